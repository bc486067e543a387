#!/usr/bin/env python3
"""Batches of late writes: several tills send what they gathered, out of order, with lines that others sent too, with lines that are refused; the
node is killed in between. Every line has its own answer, everything counts once, and a batch that cannot be read does nothing.

    batches.py [--lines 300] [--seed 1] [--binary target/debug/tessera]
"""
import argparse
import datetime
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))
import node  # noqa: E402
from receipts import NOW, PATIENCE, PROGRAMME  # noqa: E402

MEMBERS = 20


class Check:
    def __init__(self, args):
        self.args, self.folder, self.problems = args, pathlib.Path(tempfile.mkdtemp(prefix="tessera-batches-")), []
        (self.folder / "programme.json").write_text(json.dumps(PROGRAMME))
        self.start()

    def start(self):
        self.serving = node.Node(self.args.binary, self.folder / "data", self.folder / "programme.json")

    def ask(self, method, path, body=b"", kind="application/x-ndjson"):
        connection = node.http.client.HTTPConnection("127.0.0.1", self.serving.port, timeout=30)
        connection.request(method, path, body, {"content-type": kind} if body else {})
        answer = connection.getresponse()
        return answer.status, answer.read()

    def begin(self, lines):
        status, text = self.ask("POST", "/v1/batches", b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        if status != 202:
            self.problems.append(f"a batch is answered {status} {text.decode()}")
        return json.loads(text)["id"]

    def results(self, job):
        ends = time.monotonic() + PATIENCE
        while (state := json.loads(self.ask("GET", f"/v1/jobs/{job}")[1]))["state"] != "done":
            if state["state"] == "failed" or time.monotonic() > ends:
                self.problems.append(f"{job} does not end: {state}")
                return []
            time.sleep(0.02)
        return [json.loads(line) for line in self.ask("GET", f"/v1/jobs/{job}/result")[1].splitlines()]

    def balance(self, number):
        who = json.dumps({"type": "card", "value": f"m{number}"}).encode()
        wallet = json.loads(self.ask("POST", "/v1/members/lookup", who, "application/json")[1])["wallets"]["points"]
        return wallet["available"] - wallet["debt"]


def purchase(number, member, amount, days):
    at = NOW - datetime.timedelta(days=days, minutes=5)
    return {"path": "/v1/purchases", "body": {
        "member": {"alias": {"type": "card", "value": f"m{member}"}}, "source": "pos", "transaction_id": str(number), "occurred_at": at.isoformat(),
        "currency": "USD", "lines": [{"id": "1", "amount": amount}]}}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", default=os.environ.get("TESSERA_BINARY", "target/debug/tessera"))
    parser.add_argument("--lines", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    check = Check(parser.parse_args())
    rng, expected, lines = random.Random(check.args.seed), [0] * MEMBERS, []
    for number in range(check.args.lines):
        member, amount = rng.randrange(MEMBERS), rng.randrange(100, 100_000)
        bought = purchase(number, member, amount, rng.randrange(30))
        lines.append((201, bought))
        if rng.random() < 0.3:  # waits for its sale if that comes later
            sale = {"source": "pos", "transaction_id": str(number)}
            back = {"member": bought["body"]["member"], "sale": sale, "receipt": {"source": "pos", "transaction_id": f"back-{number}"}, "occurred_at": NOW.isoformat()}
            lines.append(((201, 202, 404), {"path": "/v1/returns", "body": back}))
        else:
            expected[member] += amount // 100
    bad = [(422, purchase(f"bad-{number}", 0, -5, 0)) for number in range(10)]
    bad.append((409, {"path": "/v1/redemptions", "idempotency_key": "r0", "body": {"member": {"alias": {"type": "card", "value": "m0"}}, "wallet": "points", "points": 10**9}}))

    # Three tills with shares that overlap; the second is sent before the first has ended, and the node is killed then.
    rng.shuffle(lines)
    shares = [lines, bad + rng.sample(lines, len(lines) // 2), rng.sample(lines, len(lines))]
    jobs = [check.begin([line for _, line in share]) for share in shares[:2]]
    time.sleep(rng.random() / 4)
    check.serving.end(signal.SIGKILL)
    check.start()
    if check.ask("GET", f"/v1/jobs/{jobs[0]}")[0] != 404:
        check.problems.append("a batch outlived its node")
    # A return that came before its member was known is refused: sent again, it finds its sale.
    for _ in range(2):
        jobs = [check.begin([line for _, line in share]) for share in shares]
        answers = [check.results(job) for job in jobs]
    for share, results in zip(shares, answers):
        if [one["line"] for one in results] != list(range(1, len(share) + 1)):
            check.problems.append(f"{len(share)} lines, {len(results)} results")
        for (good, line), one in zip(share, results):
            if one["status"] not in (good if isinstance(good, tuple) else (good,)) or one["status"] == 404:
                check.problems.append(f"{json.dumps(line)} is answered {json.dumps(one)}")
    balances = [check.balance(number) for number in range(MEMBERS)]
    if balances != expected:
        check.problems.append(f"balances {balances}, expected {expected}")

    # What cannot be read does nothing, and says in which line.
    good = json.dumps(purchase("never", 0, 100, 0)).encode()
    for text, kind, status, said in (
            (good + b"\n{", "application/x-ndjson", 400, "line 2"), (good + b"\n\n" + b'{"path": "/v1/programme/rollback", "body": {}}', "application/x-ndjson", 400, "line 3"),
            (good, "application/json", 415, "x-ndjson"), (b"\n \n", "application/x-ndjson", 422, "at least one"), (b"\n".join([good] * 10_001), "application/x-ndjson", 422, "10000")):
        answer = check.ask("POST", "/v1/batches", text, kind)
        if answer[0] != status or said not in answer[1].decode():
            check.problems.append(f"{text[:80]} is answered {answer}")
    if check.balance(0) != expected[0]:
        check.problems.append("a batch that was refused did something")

    check.serving.end(signal.SIGTERM)
    audit = subprocess.run([check.args.binary, "audit", "--folder", str(check.folder / "data")], capture_output=True, text=True)
    if audit.returncode:
        check.problems.append(f"the audit: {audit.stdout[-800:]}")
    shutil.rmtree(check.folder)
    for problem in check.problems[:8]:
        print("problem:", problem[:1200])
    print(f"{sum(len(share) for share in shares)} lines in 3 batches, sent 3 times, {len(check.problems)} problems")
    return 1 if check.problems else 0


if __name__ == "__main__":
    sys.exit(main())
