#!/usr/bin/env python3
"""Tills without a connection. Batches of late writes: several tills send what they gathered, out of order, with lines that others sent too,
with lines that are refused; the node is killed in between. Every line has its own answer, everything counts once, and a batch that cannot be
read does nothing. Allowances: what tills took by them while points were spent elsewhere too, within them and beyond.

    offline.py [--lines 300] [--seed 1] [--binary target/debug/tessera]
"""
import base64
import collections
import datetime
import json
import pathlib
import random
import signal
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))
from clients import arguments  # noqa: E402
import node  # noqa: E402
from receipts import NOW, PATIENCE, PROGRAMME  # noqa: E402

MEMBERS = 20


class Check:
    def __init__(self, args):
        self.args, self.folder, self.problems = args, pathlib.Path(tempfile.mkdtemp(prefix="tessera-offline-")), []
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

    def all_of(self, lines, good):
        """The answers to lines that are all taken."""
        results = self.results(self.begin(lines))
        for line, one in zip(lines, results):
            if one["status"] != good:
                self.problems.append(f"{json.dumps(line)} is answered {json.dumps(one)}")
        return [one["answer"] for one in results]

    def allowances(self, rng, members=12, tills=3):
        """Each member has 1,000 points and gives each till 300 of them; 400 are spent elsewhere meanwhile. Whatever the order of arrival, what the
        tills took within their allowances is spent, also when that is debt; each purchase beyond them is recorded and an exception."""
        cards = [{"alias": {"type": "card", "value": f"o{number}"}} for number in range(members)]
        self.all_of([{"path": "/v1/members", "idempotency_key": f"enrol {number}", "body": {"aliases": [card["alias"]]}} for number, card in enumerate(cards)], 201)
        ids = [json.loads(self.ask("POST", "/v1/members/lookup", json.dumps(card["alias"]).encode(), "application/json")[1])["member"] for card in cards]
        self.all_of([{"path": f"/v1/members/{id}/adjustments", "idempotency_key": f"give {id}", "body": {"points": 1000, "reason": "start"}} for id in ids], 201)
        wanted = [{"path": "/v1/allowances", "idempotency_key": f"{id} {till}", "body": {"member": id, "store": "9", "till": str(till), "points": 300}} for id in ids for till in range(tills)]
        allowed = self.all_of(wanted, 201)
        [key] = json.loads(self.ask("GET", "/v1/allowances/keys")[1])["keys"]
        for one in allowed:
            header, claims, signature = (base64.urlsafe_b64decode(part + "==") for part in one["token"].split("."))
            same = {"jti": one["id"], "sub": one["member"], "wallet": "points", "store": "9", "till": one["till"], "points": 300}
            if json.loads(header) != {"alg": "EdDSA", "typ": "JWT", "kid": key["kid"]} or len(signature) != 64 or not same.items() <= json.loads(claims).items():
                self.problems.append(f"a token: {header} {claims}")
        if self.all_of(wanted[:1], 201)[0]["token"] != allowed[0]["token"]:
            self.problems.append("a repeat has another token")
        at = datetime.datetime.fromisoformat(allowed[0]["at"]) + datetime.timedelta(seconds=1)
        spent, beyond, gathered, voids = collections.Counter(), 0, collections.defaultdict(list), []
        for place, one in enumerate(allowed):
            left, counter = 300, 0

            def sold(points, counter, when=at, till=one["till"]):
                number = f"offline {place} {len(gathered[place])}"
                used = {"allowance": one["id"], "counter": counter}
                gathered[place].append({"path": "/v1/purchases", "body": {
                    "member": one["member"], "source": "pos", "store": "9", "till": till, "transaction_id": number, "occurred_at": when.isoformat(), "currency": "USD",
                    "lines": [{"id": "1", "amount": points}], "tenders": [{"type": "points", "amount": points, "offline": used}]}})
                voids.append({"path": "/v1/voids", "body": {"member": one["member"], "sale": {"source": "pos", "transaction_id": number}, "occurred_at": NOW.isoformat()}})
            while left > 100:
                points, counter = rng.randint(10, min(left, 200)), counter + 1
                left -= points
                spent[one["member"]] += points
                kind = rng.random()
                if kind < 0.3:  # alone, without any purchase
                    gathered[place].append({"path": "/v1/redemptions", "body": {"member": one["member"], "points": points, "offline": {"allowance": one["id"], "counter": counter, "store": "9", "till": one["till"], "occurred_at": at.isoformat()}}})
                    continue
                sold(points, counter)
                if kind < 0.6:  # the same counter for another sale of as much: one of them is beyond
                    sold(points, counter)
                    beyond += 1
            for refused in (lambda: sold(301, counter + 1), lambda: sold(1, counter + 2, at + datetime.timedelta(days=-1)), lambda: sold(1, counter + 3, till="elsewhere")):
                refused()
                beyond += 1
        for lines in gathered.values():
            rng.shuffle(lines)
        elsewhere = [{"path": "/v1/redemptions", "idempotency_key": f"elsewhere {id}", "body": {"member": id, "points": 400}} for id in ids]
        self.all_of(elsewhere, 201)
        first = [self.begin(lines) for lines in list(gathered.values())[::4]]
        self.results(first[0])
        self.serving.end(signal.SIGKILL)
        self.start()
        sales = [answer for lines in gathered.values() for answer in self.all_of(lines * 2, 201)]
        took = collections.Counter()
        for answer in {one["id"]: one for one in sales}.values():
            if answer["type"] == "purchase" and (answer.get("refused_tenders") == [0]) != ("allowance_exceeded" in answer.get("notices", [])):
                self.problems.append(f"a tender refused: {answer}")
            took["beyond"] += "refused_tenders" in answer
        if took["beyond"] != beyond:
            self.problems.append(f"{took['beyond']} tenders are refused and {beyond} were beyond")

        def stands(id):
            wallet = json.loads(self.ask("GET", f"/v1/members/{id}")[1])["wallets"]["points"]
            return wallet["available"], wallet["debt"]
        for id in ids:
            left = 600 - spent[id]
            if stands(id) != (max(left, 0), max(-left, 0)):
                self.problems.append(f"{id} spent {spent[id]} offline and stands at {stands(id)}")
        opened, ends = 0, time.monotonic() + PATIENCE
        while opened != beyond and time.monotonic() < ends:
            pages, cursor = [], ""
            while cursor is not None:
                page = json.loads(self.ask("GET", "/v1/exceptions?state=all" + cursor)[1])
                pages, cursor = pages + page["exceptions"], "&cursor=" + page["next"] if "next" in page else None
            opened = sum(one["why"] == "allowance_exceeded" for one in pages)
        if opened != beyond:
            self.problems.append(f"{opened} exceptions, and {beyond} purchases were beyond")
        # All sales are taken back: what was taken for them comes back, first to the debt.
        alone = collections.Counter()
        for lines in gathered.values():
            for line in lines:
                if line["path"] == "/v1/redemptions":
                    alone[line["body"]["member"]] += line["body"]["points"]
        self.all_of(voids, 201)
        for id in ids:
            left = 600 - alone[id]
            if stands(id) != (max(left, 0), max(-left, 0)):
                self.problems.append(f"{id} gave all sales back and stands at {stands(id)}")
        return len(sales) // 2, beyond, sum(spent[id] > 600 for id in ids)


def purchase(number, member, amount, days):
    at = NOW - datetime.timedelta(days=days, minutes=5)
    return {"path": "/v1/purchases", "body": {
        "member": {"alias": {"type": "card", "value": f"m{member}"}}, "source": "pos", "transaction_id": str(number), "occurred_at": at.isoformat(),
        "currency": "USD", "lines": [{"id": "1", "amount": amount}]}}


def main():
    check = Check(arguments(lines=300, seed=1))
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
    old = jobs[0]
    # A return that came before its member was known is refused: sent again, it finds its sale.
    for _ in range(2):
        jobs = [check.begin([line for _, line in share]) for share in shares]
        answers = [check.results(job) for job in jobs]
    if check.ask("GET", f"/v1/jobs/{old}")[0] != 404:
        check.problems.append("another batch bears the id of one before")
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

    uses, beyond, overdrawn = check.allowances(rng)
    check.serving.leave(check.folder, check.problems)
    print(f"{sum(len(share) for share in shares)} lines in 3 batches, sent 3 times; {uses} uses of allowances, {beyond} of them beyond, {overdrawn} members overdrawn: {len(check.problems)} problems")
    return 1 if check.problems else 0


if __name__ == "__main__":
    sys.exit(main())
