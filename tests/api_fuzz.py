#!/usr/bin/env python3
"""Lets schemathesis call a fresh node by its own /openapi.json, and counts what it answered.

    api_fuzz.py [--cases 7500] [--seed n] [--binary target/debug/tessera] [--venv target/venv] [--out target/api_fuzz]

All checks of schemathesis and its stateful phase are on. Beyond them: every operation answers 2xx often enough, and every
4xx that the document lists for an operation is met. Ids of members, holds and the rest are made beforehand; the hooks put
them into half of the cases. The first run installs schemathesis into --venv. The whole report is in --out.
"""
import argparse
import http.client
import json
import math
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import venv

HERE = pathlib.Path(__file__).parent
VERSION = "4.32.0"
START = "2026-12-01T12:00:00Z"  # after the times that the document's examples and the hooks name
ENOUGH = 20  # answers 2xx of each operation
# To a sound request: 404, 409, 412 and 422 are the state's and the rule book's noes, 413 comes before the body is read, and
# 428 says that an If-Match is no version.
CHECKS = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "404", "409", "412", "413", "422", "428"]
[checks.missing_required_header]
expected-statuses = ["400", "415", "422", "428"]
[checks.negative_data_rejection]
expected-statuses = ["400", "404", "405", "409", "412", "413", "415", "422", "428"]
"""


# The sample programme is given a second wallet.
SECOND = """
[[wallet]]
id = "miles"
values = { USD = "0.02" }

[[transfer]]
from = "points"
to = "miles"
rate = "0.5"
"""


def install(folder):
    """The folder's schemathesis, installed if it is not there."""
    command = folder / "bin" / "schemathesis"
    if not command.exists():
        print(f"installing schemathesis {VERSION} into {folder}", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([folder / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", f"schemathesis=={VERSION}"], check=True)
    return command


def start(binary, folder, log):
    """A node on a free port: (process, host:port)."""
    programme = log.with_suffix(".toml")
    programme.write_text((HERE.parent / "config" / "programme.toml").read_text() + SECOND)
    arguments = [binary, "serve", "--folder", folder, "--programme", str(programme),
                 "--listen", "127.0.0.1:0", "--clock-start-at", START]
    process = subprocess.Popen(arguments, stderr=log.open("w"), env={"TESSERA_LOG": "warn", **os.environ})
    for _ in range(300):
        if ready := re.search(r"ready on http://(\S+)\n", log.read_text()):
            return process, ready[1]
        if process.poll() is not None:
            break
        time.sleep(0.1)
    process.kill()
    sys.exit(f"the node did not start: {log.read_text()}")


class Node:
    def __init__(self, address):
        self.connection, self.keys = http.client.HTTPConnection(address, timeout=30), 0

    def ask(self, method, path, body=None):
        self.keys += 1
        headers = {"content-type": "application/json", "idempotency-key": f"beforehand-{self.keys}"} if method == "POST" else {}
        self.connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = self.connection.getresponse()
        text = answer.read()
        return json.loads(text) if answer.status in (200, 201, 202) else sys.exit(f"{method} {path} was answered {answer.status}: {text.decode()}")


def beforehand(node):
    """Pools of ids for the hooks: members with points and what they have done, some of it ended, and members with nothing."""
    pools = {name: [] for name in ("member", "alias", "purchase", "redemption", "poor", "hold", "used_hold", "owned", "used_owned", "clash",
                                   "to_reverse", "used_to_reverse", "to_return", "used_to_return", "to_deliver", "used_to_deliver",
                                   "loner", "used_loner", "goer", "used_goer", "pool", "joins", "used_joins", "leaves", "used_leaves")}
    numbers = iter(range(1_000_000))

    def enrol(points, *more):
        card = {"type": "card", "value": f"26000{next(numbers):08}"}
        member = node.ask("POST", "/v1/members", {"aliases": [card, *more]})["member"]
        if points:
            node.ask("POST", f"/v1/members/{member}/adjustments", {"points": points, "reason": "to have something to spend"})
        return member, card

    def buy(member, **more):
        basket = {"member": member, "source": "beforehand", "transaction_id": str(next(numbers)), "occurred_at": "2026-10-30T11:53:26-04:00",
                  "currency": "USD", "lines": [{"id": "1", "amount": 1000}, {"id": "2", "amount": 2500, "quantity": "5"}], **more}
        return node.ask("POST", "/v1/purchases", basket)["id"]

    for number in range(60):
        member, card = enrol(1_000_000)
        pools["member"].append(member)
        pools["alias"].append(card)
        pools["purchase"].append(buy(member))
        pools["redemption"].append(node.ask("POST", "/v1/redemptions", {"member": member, "points": 10})["id"])
    for number in range(60):  # others than those above: a member may have 20 open holds, and all of this ends
        member, _ = enrol(10_000, *({"type": "app", "value": f"app-{number}-{each}"} for each in range(8)))
        pools["clash"].append({"path": [member, f"app:app-{number}-0"], "headers": {"Idempotency-Key": f"beforehand-{node.keys}"}})
        pools["owned"] += [[member, f"app:app-{number}-{each}"] for each in range(8)]
        pools["hold"] += [node.ask("POST", "/v1/holds", {"member": member, "points": 3, "ttl_seconds": 86_400})["id"] for _ in range(15)]
        pools["to_reverse"] += [node.ask("POST", "/v1/redemptions", {"member": member, "points": 3})["id"] for _ in range(5)]
        pools["to_return"] += [buy(member) for _ in range(5)]
        pools["to_deliver"] += [buy(member, channel="delivery") for _ in range(5)]
    for path, pool in (("/v1/holds/{}/confirm", "hold"), ("/v1/redemptions/{}/reverse", "to_reverse")):
        pools["used_" + pool] = [pools[pool].pop() for _ in range(20)]
        for made in pools["used_" + pool]:
            node.ask("POST", path.format(made), {})
    for _ in range(20):
        pools["used_to_return"].append(pools["to_return"].pop())
        node.ask("POST", "/v1/voids", {"purchase": pools["used_to_return"][-1], "occurred_at": "2026-11-01T10:00:00-05:00"})
    for number in range(30):  # each pool has seven that may join, or that may leave
        founder, *others = (enrol(0)[0] for _ in range(8))
        pool = node.ask("POST", "/v1/pools", {"member": founder})["id"]
        pools["pool"].append(pool)
        if number % 2:
            pools["joins"] += [{"path": [pool], "body": {"member": member}} for member in others]
            continue
        for member in others:
            node.ask("POST", f"/v1/pools/{pool}/members", {"member": member})
        pools["leaves"] += [{"path": [pool, member]} for member in others]
        pools["used_leaves"].append({"path": [pool, pools["member"][0]]})
        pools["used_joins"].append({"path": [pool], "body": {"member": others[0]}})
        pools["used_loner"].append(others[1])
    pools["loner"] = [enrol(0)[0] for _ in range(120)]
    pools["goer"] = [enrol(50)[0] for _ in range(60)]  # who goes into another member
    pools["poor"] = [enrol(0)[0] for _ in range(5)]
    days = {"from": "2026-10-01", "to": "2026-10-31"}
    pools["job"] = [node.ask("POST", "/v1/reports/ifrs15", days)["id"] for _ in range(3)]
    pools["journal"] = [node.ask("POST", "/v1/reports/journal", days)["id"]]
    pools["transfer"] = [node.ask("POST", "/v1/transfers", {"member": member, "from": "points", "to": "miles", "points": 2})["id"] for member in pools["member"][:5]]
    pools["programme"], pools["etag"] = [node.ask("GET", "/v1/programme")["programme"]], ['"1"']
    return pools


def streams(document):
    """Settings for operations that answer without end: the first event is enough."""
    names = [made["operationId"] for item in document["paths"].values() for made in item.values()
             if isinstance(made, dict) and "text/event-stream" in json.dumps(made.get("responses", {}))]
    return "".join(f'[[operations]]\ninclude-operation-id = "{name}"\nmax-stream-events = 1\nrequest-timeout = 1.0\n' for name in names)


# Jobs are made faster here than they end.
JOBS = "".join(f"""[[operations]]
include-operation-id = "{name}"
[operations.checks.positive_data_acceptance]
expected-statuses = ["2xx", "404", "409", "413", "422", "429"]
""" for name in ("ifrs15", "journal", "simulate"))
# To be told what is wrong with a programme is what this one is for.
CHECKED = """[[operations]]
include-operation-id = "checkProgramme"
[operations.checks.negative_data_rejection]
expected-statuses = ["200", "400", "413", "415", "422"]
"""


def operations(document):
    """{"POST /v1/holds": [its documented statuses], …}"""
    methods = ("get", "put", "post", "delete", "patch")
    return {f"{method.upper()} {path}": [status for status in made["responses"] if status.isdigit()]
            for path, item in document["paths"].items() for method, made in item.items() if method in methods}


def judge(counts, documented, arguments):
    """Prints the table; answers the number of cases and the problems."""
    problems, total, width = [], 0, max(map(len, documented), default=0)
    print(f"{'operation':{width}} {'cases':>6} {'2xx':>6}  others")
    for operation, statuses in documented.items():
        met = {}
        for name, count in counts.get(operation, {}).items():
            phase, status = name.split()
            met[status] = met.get(status, 0) + count
        cases, good = sum(met.values()), sum(count for status, count in met.items() if status[0] == "2")
        total += cases
        others = ", ".join(f"{status}: {met[status]}" for status in sorted(met) if status[0] != "2")
        print(f"{operation:{width}} {cases:6} {good:6}  {others}")
        if good < ENOUGH:
            problems.append(f"{operation} answered 2xx {good} times, not {ENOUGH}")
        unmet = [status for status in sorted(statuses) if status[0] == "4" and status not in met and status not in arguments.spare.split(",")]
        if unmet:
            problems.append(f"{operation} never answered {', '.join(unmet)}, which its document lists")
    if total < arguments.cases:
        problems.append(f"{total} cases, fewer than {arguments.cases}")
    return total, problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=os.environ.get("TESSERA_BINARY", "target/debug/tessera"))
    parser.add_argument("--cases", type=int, default=7_500, help="at least so many in all")
    parser.add_argument("--seed", type=int, default=time.time_ns() % (1 << 32))
    parser.add_argument("--venv", type=pathlib.Path, default=HERE.parent / "target" / "venv")
    parser.add_argument("--out", type=pathlib.Path, default=HERE.parent / "target" / "api_fuzz")
    parser.add_argument("--spare", default="408,429", help="4xx that need not be met: one caller at a time cannot provoke them")
    arguments = parser.parse_args()
    if not os.access(arguments.binary, os.X_OK):
        sys.exit(f"{arguments.binary} is missing: build it first with cargo build")
    command, out = install(arguments.venv.absolute()), arguments.out.absolute()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    folder, began = tempfile.mkdtemp(prefix="tessera-fuzz-"), time.monotonic()
    process, address = start(arguments.binary, os.path.join(folder, "node"), out / "node.log")
    try:
        node = Node(address)
        document = node.ask("GET", "/openapi.json")
        documented = operations(document)
        (out / "openapi.json").write_text(json.dumps(document, indent=1))
        (out / "seeds.json").write_text(json.dumps({"seed": arguments.seed, "pools": beforehand(node)}))
        (out / "schemathesis.toml").write_text(CHECKS + streams(document) + CHECKED + JOBS)
        call = [command, "--config-file", "schemathesis.toml", "run", f"http://{address}/openapi.json", "--url", f"http://{address}",
                "--no-color", "--checks", "all", "--output-sanitize", "false",
                "--phases", "examples,coverage,fuzzing,stateful", "--max-examples", str(math.ceil(arguments.cases / max(1, len(documented)))),
                "--seed", str(arguments.seed), "--continue-on-failure", "--generation-database", "none", "--report", "junit",
                "--report-junit-path", "junit.xml"]
        environment = {**os.environ, "SCHEMATHESIS_HOOKS": str(HERE / "api_fuzz_hooks.py"), "PYTHONDONTWRITEBYTECODE": "1",
                       "TESSERA_FUZZ_SEEDS": str(out / "seeds.json"), "TESSERA_FUZZ_COUNTS": str(out / "counts.json")}
        with (out / "schemathesis.log").open("w") as log:
            code = subprocess.run(call, cwd=out, env=environment, stdout=log, stderr=subprocess.STDOUT).returncode
        died = process.poll() is not None
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)
    counts = json.loads((out / "counts.json").read_text()) if (out / "counts.json").exists() else {}
    total, problems = judge(counts, documented, arguments)
    if code != 0:
        print((out / "schemathesis.log").read_text().split("= FAILURES =")[-1][:20_000])
        problems.append(f"schemathesis ended with {code}: see {out / 'schemathesis.log'}")
    if died:
        problems = [f"the node ended by itself: see {out / 'node.log'}"]
    for problem in problems:
        print(problem)
    print(f"api fuzz: {total} cases on {len(documented)} operations, seed {arguments.seed}, {time.monotonic() - began:.0f} s, {len(problems)} problems")
    sys.exit(bool(problems))


main()
