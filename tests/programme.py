#!/usr/bin/env python3
"""Changes the programme while tills are running: no request fails, and every purchase is by exactly one version, whole.

    programme.py [--seconds 8] [--binary target/debug/tessera]

Clients buy all the time. Meanwhile versions are saved, rolled back, refused as stale and refused as bad. Each version has a
factor of its own in its rule and in its sentence: a purchase earns by the factor of the version that it names, says so in its
explanation, and names the version that was in force when it happened. Then the node is started again: the history stands.
"""
import argparse
import datetime
import http.client
import json
import multiprocessing
import os
import pathlib
import random
import signal
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))
import node  # noqa: E402

CLIENTS = 4


def when(text):
    return datetime.datetime.fromisoformat(text)


class Api:
    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def __call__(self, method, path, body=None, **headers):
        headers = {"content-type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request(method, path, body and json.dumps(body), headers)
        answer = self.connection.getresponse()
        return answer.status, json.loads(answer.read()), answer.getheader("etag")

    def statement(self, member, more=""):
        """All entries, oldest first."""
        entries, cursor = [], ""
        while cursor is not None:
            page = self("GET", f"/v1/members/{member}/statement?limit=200{more}{cursor}")[1]
            entries, cursor = entries + page["entries"], f"&cursor={page['next']}" if page.get("next") else None
        return entries[::-1]


def now(api):
    """What to add to the clock here for that of the node."""
    return when(api("GET", "/readyz")[1]["now"]) - datetime.datetime.now(datetime.UTC)


def buy(number, port, seconds):
    """Buys until the time is over: (occurred_at, status, answer) of each."""
    api, made, ends = Api(port), [], time.monotonic() + seconds
    ahead = now(api)
    while time.monotonic() < ends:
        at = (datetime.datetime.now(datetime.UTC) + ahead).isoformat()
        basket = {"member": {"alias": {"type": "card", "value": f"{number}-{len(made) % 50}"}}, "source": "till", "transaction_id": f"{number}-{len(made)}",
                  "occurred_at": at, "currency": "USD", "lines": [{"id": "1", "amount": 1000}]}
        status, answer, _ = api("POST", "/v1/purchases", basket)
        made.append((at, status, answer))
    return made


def variant(programme, factor):
    return programme | {"multiplier": [{"id": "all", "factor": str(factor), "text": f"times {factor}"}], "bonus": []}


def change(api, seconds, rng):
    """Saves versions until the time is over; answers {number: factor} and the problems."""
    _, shown, tag = api("GET", "/v1/programme")
    programme, factors, problems, ends = shown["programme"], {}, [], time.monotonic() + seconds

    def must(what, status, *expected):
        if status not in expected:
            problems.append(f"{what} is answered {status} instead of {expected}")

    while time.monotonic() < ends:
        factor, number = rng.randint(1, 9), int(tag.strip('"'))
        body = {"author": "test", "note": f"times {factor}", "programme": variant(programme, factor)}
        kind = rng.random()
        if kind < 0.2 and factors:
            earlier = rng.choice(list(factors))
            status, shown, newer = api("POST", "/v1/programme/rollback", {"author": "test", "version": earlier}, if_match=tag)
            factor = factors[earlier]
            must("a rollback", status, 200)
        elif kind < 0.3:
            must("a save on an older version", api("PUT", "/v1/programme", body, if_match=f'"{number + 7}"')[0], 412)
            body["programme"] = variant(programme, "0.5")
            must("a bad programme", api("PUT", "/v1/programme", body, if_match=tag)[0], 422)
            continue
        else:
            status, shown, newer = api("PUT", "/v1/programme", body, if_match=tag)
            must("a save", status, 200)
            must("the same save again", api("PUT", "/v1/programme", body, if_match=tag)[0], 200)
        tag, factors[shown["version"]] = newer, factor
        if shown["version"] != number + 1:
            problems.append(f"version {shown['version']} follows {number}")
        time.sleep(rng.random() / 20)
    return factors, problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--binary", default=os.environ.get("TESSERA_BINARY", "target/debug/tessera"))
    arguments = parser.parse_args()
    parent = tempfile.mkdtemp(prefix="tessera-programme-")
    served = node.Node(arguments.binary, f"{parent}/folder")
    api = Api(served.port)
    with multiprocessing.Pool(CLIENTS) as clients:
        buying = clients.starmap_async(buy, [(number, served.port, arguments.seconds) for number in range(CLIENTS)])
        time.sleep(0.3)
        factors, problems = change(api, arguments.seconds - 1, random.Random(arguments.seed))
        bought = [one for made in buying.get() for one in made]
    versions = {one["version"]: one for one in api("GET", "/v1/programme/versions")[1]["versions"]}
    if sorted(versions) != list(range(1, len(versions) + 1)) or set(versions) - {1} != set(factors):
        problems.append(f"the history has versions {sorted(versions)}")
    for number, factor in factors.items():
        rule = api("GET", f"/v1/programme/versions/{number}")[1]["programme"]["multiplier"]
        if rule[0]["factor"] != str(factor):
            problems.append(f"version {number} was saved with {factor} and reads {rule}")
    seen = set()
    for at, status, answer in bought:
        if status != 201:
            problems.append(f"a purchase is answered {status} {answer}")
            continue
        version = answer["programme_version"]
        seen.add(version)
        rules = {one["rule"]: one for one in answer["explanation"]}
        factor = factors.get(version, 1)
        said = rules["all"]["text"] if "all" in rules else "times 1"
        if answer["wallets"]["points"]["earned"] != 10 * factor or (version > 1 and said != f"times {factor}"):
            problems.append(f"by version {version} (times {factor}): {answer}")
        # In force when it happened: saved by then, unless it is the first; the next one was not, or had not been when this was decided.
        if version > 1 and when(versions[version]["saved_at"]) > when(at):
            problems.append(f"a purchase of {at} is by version {version} of {versions[version]['saved_at']}")
        if version + 1 in versions and when(versions[version + 1]["saved_at"]) + datetime.timedelta(seconds=1) < when(at):
            problems.append(f"a purchase of {at} is by version {version}, and {version + 1} had long been saved")
    served.end(signal.SIGTERM)
    again = node.Node(arguments.binary, f"{parent}/folder")
    if {one["version"]: one for one in Api(again.port)("GET", "/v1/programme/versions")[1]["versions"]} != versions:
        problems.append("after another start the history is another one")
    again.leave(parent, problems)
    print(f"{len(bought)} purchases by {len(seen)} of {len(versions)} versions: {len(problems)} problems")
    sys.exit(bool(problems) or len(seen) < 10)


if __name__ == "__main__":
    main()
