#!/usr/bin/env python3
"""Receipts across members: one that two members use counts for the first, also when the node is killed in between; returns find their sale
by the receipt alone, wait for one that has not come, and a card shown later claims what nobody has.

    receipts.py [--receipts 60] [--seed 1] [--binary target/debug/tessera]
"""
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
from programme import Api  # noqa: E402

NOW = datetime.datetime.fromisoformat(node.START)
PATIENCE = 30
PROGRAMME = {
    "name": "receipts", "zone": "UTC", "unknown_stores": "accept", "aliases": {"card": "enrol"}, "returns": {"clawback": "unlimited"},
    "wallet": [{"id": "points", "values": {"USD": "0.01"}}], "earn": [{"id": "base", "currency": "USD", "points": "1", "text": "-"}],
    "tiers": {"metric": "points", "period": "calendar_year", "level": [{"id": "base", "name": "Base", "threshold": 0}]},
}


class Check:
    def __init__(self, args):
        self.args, self.folder, self.problems, self.keys = args, pathlib.Path(tempfile.mkdtemp(prefix="tessera-receipts-")), [], 0
        (self.folder / "programme.json").write_text(json.dumps(PROGRAMME))
        self.start()

    def start(self):
        self.serving = node.Node(self.args.binary, self.folder / "data", self.folder / "programme.json")
        self.api = Api(self.serving.port)

    def sent(self, path, body, good):
        self.keys += 1
        status, answer, _ = self.api("POST", path, body, Idempotency_Key=f"k{self.keys}")
        if status != good:
            self.problems.append(f"{path} {json.dumps(body)} is answered {status} {answer}")
        return answer

    def basket(self, card, sequence, amount, days=0):
        at = NOW - datetime.timedelta(days=days, minutes=5)
        return {"member": {"alias": {"type": "card", "value": card}}, "source": "pos", "store": str(sequence % 3), "till": "1", "business_date": at.date().isoformat(), "sequence": str(sequence),
                "occurred_at": at.isoformat(), "currency": "USD", "lines": [{"id": "1", "amount": amount}, {"id": "2", "amount": 100}]}

    @staticmethod
    def receipt(basket):
        return {name: basket[name] for name in ("source", "store", "till", "business_date", "sequence")}

    def balance(self, card):
        wallet = self.api("POST", "/v1/members/lookup", {"type": "card", "value": card})[1]["wallets"]["points"]
        return wallet["available"] - wallet["debt"]

    def until(self, what, holds):
        ends = time.monotonic() + PATIENCE
        while not holds():
            if time.monotonic() > ends:
                self.problems.append(f"it does not come about: {what}")
                return
            time.sleep(0.2)

    def used_twice(self):
        rng, first, expected = random.Random(self.args.seed), {}, collections.Counter()
        made = [(sequence, card) for sequence in range(self.args.receipts) for card in rng.sample(["a", "b", "c", "d"], rng.randint(1, 3))]
        rng.shuffle(made)
        for place, (sequence, card) in enumerate(made):
            basket = self.basket(card, sequence, 1000 + 100 * sequence)
            bought = self.sent("/v1/purchases", basket, 201)
            # Of two in one millisecond the one with the lower id.
            bearer = (datetime.datetime.fromisoformat(bought["at"]), bought["member"], card)
            first[sequence] = min(first.get(sequence, bearer), bearer)
            if place == len(made) // 2:
                self.serving.end(signal.SIGKILL)
                self.start()
        for sequence, (*_, card) in first.items():
            expected[card] += 11 + sequence
        self.serving.end(signal.SIGKILL)
        self.start()
        self.until(f"each receipt counts once: {dict(expected)}", lambda: all(self.balance(card) == expected[card] for card in expected))
        twice = len(made) - len(first)
        self.until(f"{twice} exceptions", lambda: len(self.api("GET", "/v1/exceptions?state=open")[1]["exceptions"]) == min(twice, 100))
        exceptions = self.api("GET", "/v1/exceptions?state=all")[1]["exceptions"]
        for one in exceptions:
            entries = self.api("GET", f"/v1/members/{one['member']}/statement?limit=200")[1]["entries"]
            purchase = next(entry["id"] for entry in entries if entry["seq"] == one["seq"])
            voids = [entry for entry in entries if entry["type"] == "void" and entry["of"] == purchase]
            if one["why"] != "receipt_used" or len(voids) != 1 or voids[0]["notices"] != ["receipt_used"]:
                self.problems.append(f"{one}: {voids}")
        closed = self.sent(f"/v1/exceptions/{exceptions[0]['id']}/close", {"author": "support", "note": "partners"}, 200)
        self.sent(f"/v1/exceptions/{exceptions[0]['id']}/close", {"author": "support", "note": "partners"}, 200)
        self.sent("/v1/exceptions/exc_100000/close", {"author": "support"}, 404)
        if closed.get("closed_by") != "support" or len(self.api("GET", "/v1/exceptions?state=open")[1]["exceptions"]) != twice - 1:
            self.problems.append(f"closed: {closed}")
        return len(made), twice

    def returns(self):
        sold = self.basket("r", 900, 2000)
        back = {"sale": self.receipt(sold), "occurred_at": NOW.isoformat(), "lines": [{"line": "1"}]}
        self.sent("/v1/returns", back, 404)
        self.sent("/v1/returns", {"member": sold["member"], **back}, 404)  # the card is nobody's yet
        self.sent("/v1/purchases", self.basket("r", 899, 100), 201)
        waits = self.sent("/v1/returns", {"member": sold["member"], **back}, 202)
        if waits.get("type") != "return_waiting":
            self.problems.append(f"waiting: {waits}")
        made = self.sent("/v1/purchases", sold, 201)
        if made["returned"][0]["wallets"]["points"]["claimed"] != 20 or self.balance("r") != 3:
            self.problems.append(f"a sale whose return had waited: {made}")
        # By the receipt alone, from anywhere.
        self.until("a return by its receipt", lambda: self.api("POST", "/v1/returns", {"sale": self.receipt(sold), "occurred_at": NOW.isoformat()}, Idempotency_Key="alone")[0] == 201)
        self.until("a void by its receipt", lambda: self.api("POST", "/v1/voids", {"sale": self.receipt(self.basket("r", 899, 100)), "occurred_at": NOW.isoformat()})[0] == 201)
        if self.balance("r") != 0:
            self.problems.append(f"after all came back: {self.balance('r')}")

    def claims(self):
        sold = self.basket("own", 950, 2000)
        self.sent("/v1/purchases", sold, 201)
        thieves = []

        def refused():
            thieves.append(f"thief {len(thieves)}")
            return self.api("POST", "/v1/claims", sold | {"member": {"alias": {"type": "card", "value": thieves[-1]}}})[1].get("code") == "receipt_used"
        self.until("a claim of a receipt that counts for another is refused", refused)
        for thief in thieves[:-1]:
            # Before the feed was read it was taken: the receipt counts once all the same.
            self.until("what was claimed too early is taken back", lambda thief=thief: self.balance(thief) == 0)
        status, again, _ = self.api("POST", "/v1/claims", sold)
        if status != 201 or self.balance("own") != 21:
            self.problems.append(f"a claim of one's own receipt: {status} {again}")
        late = self.basket("late", 951, 2000, 29)
        self.sent("/v1/claims", late, 201)
        if self.balance("late") != 21:
            self.problems.append("a claim of 29 days ago")
        self.sent("/v1/claims", self.basket("late", 952, 2000, 31), 422)
        plain = self.basket("late", 953, 2000)
        self.sent("/v1/claims", {name: value for name, value in plain.items() if name not in ("business_date", "sequence")}, 422)


def main():
    check = Check(arguments(receipts=60, seed=1))
    made, twice = check.used_twice()
    check.returns()
    check.claims()
    check.serving.leave(check.folder, check.problems)
    print(f"{made} purchases, {twice} of them with a receipt that counts for another, {len(check.problems)} problems")
    return 1 if check.problems else 0


if __name__ == "__main__":
    sys.exit(main())
