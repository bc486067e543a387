#!/usr/bin/env python3
"""Gifts between members, from several clients at once, while the node is killed again and again: each ends in exactly one of done or
undone, nothing is doubled or lost, and what was received is not given on.

    gifts.py [--kills 6] [--seed 1] [--binary target/debug/tessera]
"""
import collections
import http.client
import json
import pathlib
import random
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))
from clients import arguments  # noqa: E402
import node  # noqa: E402
from programme import Api  # noqa: E402

MEMBERS, START, CLIENTS = 6, 5000, 4


def client(number, port, seed, names, seconds):
    """Gives until the node is gone or the time is over: (key, body, status or None, answer) of each."""
    rng, made, ends = random.Random(f"{seed}-{number}"), [], time.monotonic() + seconds
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    while time.monotonic() < ends:
        giver, taker = rng.sample(names, 2)
        key, body = f"{seed}-{number}-{len(made)}", {"member": giver, "from": "points", "recipient": taker, "points": rng.randint(1, 60)}
        try:
            connection.request("POST", "/v1/transfers", json.dumps(body), {"content-type": "application/json", "idempotency-key": key})
            answer = connection.getresponse()
            made.append((key, body, answer.status, json.loads(answer.read())))
        except (OSError, http.client.HTTPException):
            made.append((key, body, None, None))
            break
    return made


def main():
    args = arguments(kills=6, seed=1)
    folder, problems, sent, rng = pathlib.Path(tempfile.mkdtemp(prefix="tessera-gifts-")), [], [], random.Random(args.seed)
    serving = node.Node(args.binary, folder / "data")
    api = Api(serving.port)
    names = [api("POST", "/v1/members", {"aliases": []}, Idempotency_Key=f"m{number}")[1]["member"] for number in range(MEMBERS)]
    for name in names:
        api("POST", f"/v1/members/{name}/adjustments", {"points": START, "reason": "start"}, Idempotency_Key=f"a{name}")
    for body, code in [({"member": names[0], "from": "points", "recipient": names[0], "points": 1}, "invalid"), ({"member": names[0], "from": "points", "points": 1}, "invalid"),
                       ({"member": names[0], "from": "points", "recipient": "mem_" + "0" * 26, "points": 1}, "unknown_member"),
                       ({"member": names[0], "from": "points", "recipient": names[1], "points": START + 1}, "insufficient_points")]:
        status, answer, _ = api("POST", "/v1/transfers", body, Idempotency_Key=f"bad-{code}-{body['points']}-{len(body)}")
        if answer.get("code") != code:
            problems.append(f"{body} is answered {status} {answer}")
    for round_number in range(args.kills):
        work = [(number, serving.port, f"{args.seed}-{round_number}", names, 3) for number in range(CLIENTS)]
        sent += serving.serve(client, work, rng.uniform(0.2, 1.2))
        serving = node.Node(args.binary, folder / "data")
    api = Api(serving.port)
    # What was cut off is brought to its end by itself.
    ends = time.monotonic() + 60

    def pending():
        made = 0
        for name in names:
            entries = statements[name] = api.statement(name)
            made += sum(entry["type"] == "gift" for entry in entries) - sum(entry["type"] == "gift_settled" for entry in entries)
        return made
    statements = {}
    while pending() and time.monotonic() < ends:
        time.sleep(1)
    gifts = {entry["id"]: entry for entries in statements.values() for entry in entries if entry["type"] == "gift"}
    settled = collections.Counter(entry["of"] for entries in statements.values() for entry in entries if entry["type"] == "gift_settled")
    received = collections.defaultdict(list)
    for name, entries in statements.items():
        for entry in entries:
            if entry["type"] == "gift_received":
                received[entry["of"]].append((name, entry["points"]))
    for id, gift in gifts.items():
        if settled[id] != 1 or received[id] != [(gift["recipient"], gift["points"])]:
            problems.append(f"{gift}: settled {settled[id]} times, received as {received[id]}")
    total = sum(api("GET", f"/v1/members/{name}")[1]["wallets"]["points"]["available"] for name in names)
    if total != MEMBERS * START:
        problems.append(f"{total} points, and {MEMBERS * START} were there")
    # Every request again: what was acknowledged is answered the same, what was in doubt takes effect once.
    acknowledged, made = 0, {}
    for key, body, status, answer in sent:
        again_status, again, _ = api("POST", "/v1/transfers", body, Idempotency_Key=key)
        if again_status == 201:
            made.setdefault(key, set()).add(again["id"])
        if status in (201, 202):
            acknowledged += 1
            if again_status != 201 or again | {"state": ""} != answer | {"state": ""} or again["id"] not in gifts:
                problems.append(f"{key} was answered {status} {answer}, and is answered {again_status} {again}")
    pending()
    ids = [entry["id"] for entries in statements.values() for entry in entries if entry["type"] == "gift"]
    if any(len(of) != 1 for of in made.values()) or sorted(ids) != sorted(id for of in made.values() for id in of):
        problems.append(f"{len(ids)} gifts stand in the statements, and {len(made)} requests made {sum(len(of) for of in made.values())}")
    # What was received cannot be given on.
    poor = api("POST", "/v1/members", {"aliases": []}, Idempotency_Key="poor")[1]["member"]
    rich = names[0]
    api("POST", f"/v1/members/{rich}/adjustments", {"points": 1, "reason": "its own"}, Idempotency_Key="own")
    for key, giver, taker, good in [("one", rich, poor, 201), ("two", poor, rich, 409)]:
        status, answer, _ = api("POST", "/v1/transfers", {"member": giver, "from": "points", "recipient": taker, "points": 1}, Idempotency_Key=key)
        if status != good:
            problems.append(f"a gift from {giver} is answered {status} {answer}")
    serving.leave(folder, problems)
    print(f"{len(gifts)} gifts, {acknowledged} acknowledged, {args.kills} times killed: {len(problems)} problems")
    return 1 if problems or not gifts else 0


if __name__ == "__main__":
    sys.exit(main())
