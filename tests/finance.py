#!/usr/bin/env python3
"""The books of finance, from random commands: the roll-forward is the sum of the journal, its closing what members hold; a closed
day never changes; IFRS 15 is what fractions work out from the answers that tills were given (of each lot how much was redeemed is
taken as told: no answer says it).

    finance.py [--commands 400] [--seed 1] [--binary target/debug/tessera]
"""
import collections
import csv
import datetime
import io
import json
import pathlib
import random
import signal
import sys
import tempfile
from fractions import Fraction

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))
from clients import arguments  # noqa: E402
import node  # noqa: E402
from engine import rounded  # noqa: E402
from programme import Api  # noqa: E402

NOW = datetime.datetime.fromisoformat(node.START)
TODAY = NOW.date()
VALUES = {"points": Fraction("0.01"), "stars": Fraction("0.5")}
DECIMALS = {"points": 0, "stars": 2}
PROGRAMME = {
    "name": "finance", "zone": "UTC", "unknown_stores": "accept", "aliases": {"card": "enrol"}, "returns": {"clawback": "unlimited"},
    "wallet": [{"id": "points", "values": {"USD": "0.01"}, "expiry": {"months": 1}, "redemption": [{"since": "2016-01-01", "rate": "0.9"}, {"since": "2017-03-01", "rate": "0.8"}]},
               {"id": "stars", "decimals": 2, "values": {"USD": "0.5"}, "redemption": [{"since": "2016-01-01", "rate": "0.75"}]}],
    "transfer": [{"from": "points", "to": "stars", "rate": "0.02"}],
    "earn": [{"id": "base", "currency": "USD", "points": "1", "text": "-"}, {"id": "stars", "wallet": "stars", "currency": "USD", "points": "0.05", "when": {"categories": ["a"]}, "text": "-"}],
    "pending": [{"id": "later", "wallet": "points", "unlock": {"days": 9}, "when": {"categories": ["b"]}}],
    "quest": [{"id": "three", "name": "-", "text": "-", "repeatable": True, "step": [{"purchases": 3}], "reward": {"points": 20}}],
    "tiers": {"metric": "points", "period": "calendar_year", "level": [{"id": "base", "name": "Base", "threshold": 0}]},
}


def expected(wallet, day):
    """The share of a wallet's points that is expected to be redeemed, as of a day."""
    return Fraction("0.75") if wallet == "stars" else Fraction("0.9") if day < "2017-03-01" else Fraction("0.8")


class Work:
    def __init__(self, api, rng):
        self.api, self.rng, self.keys, self.problems, self.members, self.sales, self.redemptions = api, rng, 0, [], [], {}, []

    def sent(self, method, path, body=None, good=(200, 201, 202)):
        self.keys += 1
        status, answer, _ = self.api(method, path, body, Idempotency_Key=f"k{self.keys}")
        if status not in good:
            self.problems.append(f"{method} {path} {json.dumps(body)} is answered {status} {answer}")
        return answer if status < 300 else None

    def buy(self, days=60):
        rng = self.rng
        at = NOW - datetime.timedelta(minutes=rng.randint(0, days * 1440))
        lines = [{"id": str(n), "category": rng.choice("abc"), "amount": rng.randint(100, 20000), "kind": rng.choice(["goods"] * 5 + ["gift_card"])} for n in range(rng.randint(1, 3))]
        for line in lines:
            line["discount"] = rng.choice([0, 0, line["amount"] // 4])
        body = {"member": {"alias": {"type": "card", "value": str(rng.randrange(12))}}, "source": "pos", "store": "1", "transaction_id": f"t{self.keys}", "occurred_at": at.isoformat(),
                "currency": "USD", "lines": lines}
        if rng.random() < 0.6:
            body["business_date"] = (at - datetime.timedelta(hours=4)).date().isoformat()
        made = self.sent("POST", "/v1/purchases", body)
        if made:
            self.sales[made["id"]] = {"member": made["member"], "day": body.get("business_date") or at.date().isoformat(), "lines": {line["id"]: line["amount"] - line["discount"] for line in lines},
                                      "revenue": {line["id"] for line in lines if line["kind"] == "goods"}, "price": sum(line["amount"] - line["discount"] for line in lines if line["kind"] == "goods"),
                                      "goods": sum(line["amount"] for line in lines if line["kind"] == "goods")}
            self.members = sorted({*self.members, made["member"]})

    def give_back(self):
        open_sales = [id for id, sale in self.sales.items() if any(sale["lines"].values())]
        if open_sales:
            id = self.rng.choice(open_sales)
            line = self.rng.choice([line for line, left in self.sales[id]["lines"].items() if left])
            amount = self.rng.choice([self.sales[id]["lines"][line], self.rng.randint(1, self.sales[id]["lines"][line])])
            whole = amount == self.sales[id]["lines"][line]
            self.sent("POST", "/v1/returns", {"purchase": id, "occurred_at": NOW.isoformat(), "lines": [{"line": line} if whole else {"line": line, "amount": amount}]})
            self.sales[id]["lines"][line] -= amount

    def spend(self):
        if self.members:
            member, wallet = self.rng.choice(self.members), self.rng.choice(list(VALUES))
            if (available := self.sent("GET", f"/v1/members/{member}")["wallets"][wallet]["available"]) > 0:
                made = self.sent("POST", "/v1/redemptions", {"member": member, "wallet": wallet, "points": self.rng.randint(1, available)})
                self.redemptions.append(made["id"])

    def undo(self):
        if self.redemptions:
            self.sent("POST", f"/v1/redemptions/{self.redemptions.pop(self.rng.randrange(len(self.redemptions)))}/reverse", {})

    def adjust(self):
        if self.members:
            self.sent("POST", f"/v1/members/{self.rng.choice(self.members)}/adjustments", {"points": self.rng.choice([50, -30, -500]), "reason": "test", "allow_debt": True})

    def move(self):
        if self.members:
            member = self.rng.choice(self.members)
            if (available := self.sent("GET", f"/v1/members/{member}")["wallets"]["points"]["available"]) >= 50:
                self.sent("POST", "/v1/transfers", {"member": member, "from": "points", "to": "stars", "points": self.rng.randint(50, available)})

    def rows(self):
        return {(one["wallet"], one["day"]): one for one in self.sent("GET", "/v1/reports/roll-forward?from=2016-01-01&to=2017-12-31")["days"]}

    def job(self, path, body):
        made = node.job(self.api, self.sent("POST", path, body))
        if made["state"] != "done":
            self.problems.append(f"{path}: {made}")
        return made

    def journal(self):
        made = self.job("/v1/reports/journal", {"from": "2016-01-01", "to": "2017-12-31"})
        connection = self.api.connection
        connection.request("GET", f"/v1/jobs/{made['id']}/result")
        return list(csv.DictReader(io.StringIO(connection.getresponse().read().decode())))

    def check(self):
        """Roll-forward, journal, members: three ways to one figure."""
        sums, closing = collections.Counter(), collections.Counter()
        for line in self.journal():
            sums[line["wallet"], line["accounting_day"], line["column"], line["kind"]] += int(line["points"])
        rows, shown = self.rows(), collections.Counter()
        for (wallet, day), row in rows.items():
            for column in ("pending", "active"):
                of = row[column]
                if of["opening"] + sum(of["moved"].values()) != of["closing"]:
                    self.problems.append(f"{wallet} {day} does not add up: {of}")
                for kind, points in of["moved"].items():
                    shown[wallet, day, column, kind] += points
        if +shown - +sums or +sums - +shown or {key: value for key, value in shown.items() if value} != {key: value for key, value in sums.items() if value}:
            self.problems.append(f"the roll-forward is not the journal: {list((shown - sums).items())[:3]}")
        # As of now, so that nothing is due that no record tells of.
        for member in self.members:
            entries = self.sent("GET", f"/v1/members/{member}/statement?limit=200")["entries"]
            for wallet in VALUES:
                last = next((one["wallets"][wallet] for one in entries if wallet in one["wallets"]), None)
                if last:
                    closing[wallet] += last["available"] + last["held"] + last["pending"] - last["debt"]
        for wallet in VALUES:
            last = rows[wallet, "2017-12-31"]
            if last["pending"]["closing"] + last["active"]["closing"] != closing[wallet]:
                self.problems.append(f"{wallet}: finance closes at {last}, members hold {closing[wallet]}")
        return rows

    def ifrs15(self):
        """From the records of the API alone: price, goods and points of each month, redeemed and live by the lots' records."""
        said = self.job("/v1/reports/ifrs15", {"from": "2017-03-01", "to": "2017-12-31"})["result"]
        cohorts = collections.defaultdict(lambda: [0, 0, 0, 0, 0])  # price, goods, points, redeemed, live
        provision = collections.Counter()
        for member in self.members:
            records = {one["seq"]: one for one in self.sent("GET", f"/v1/members/{member}/statement?limit=200")["entries"]}
            months = {seq: self.month(one) for seq, one in records.items() if one["type"] == "purchase"}
            for lot in self.sent("GET", f"/v1/members/{member}/lots")["lots"]:
                seq, n = map(int, lot["id"].split("."))
                if seq in months and n < 1 << 15:
                    cohorts[lot["wallet"], months[seq]][4] += lot["points"]
                else:
                    provision[lot["wallet"]] += lot["points"]
            for seq, month in months.items():
                for wallet, of in records[seq]["wallets"].items():
                    if of.get("earned"):
                        claimed = sum(back["wallets"].get(wallet, {}).get("claimed", 0) for one in records.values() for back in one.get("returned", []) if back.get("purchase") == records[seq]["id"])
                        cohort = cohorts[wallet, month]
                        cohort[2] += of["earned"] - claimed
                        sale = self.sales[records[seq]["id"]]  # what came back takes its part by net amount
                        back = sale["price"] - sum(left for line, left in sale["lines"].items() if line in sale["revenue"])
                        cohort[0] += sale["price"] - back
                        cohort[1] += sale["goods"] - sale["goods"] * back // sale["price"]
        for shown in said["cohorts"]:
            mine = cohorts.pop((shown["wallet"], shown["month"]), None)
            if mine is None or (shown["points"], shown["live"]) != (mine[2], mine[4]):
                self.problems.append(f"cohort {shown}: here {mine}")
            standing = Fraction(shown["points"], 10 ** DECIMALS[shown["wallet"]]) * VALUES[shown["wallet"]] * 100 * expected(shown["wallet"], shown["month"] + "-01")
            allocated = rounded(mine[0] * standing / (mine[1] + standing), "half_even") if mine and mine[1] + standing else 0
            if shown["allocated"] != allocated:
                self.problems.append(f"allocation of {shown}: here {allocated} of {mine}")
            live = shown["live"]
            expected_total = shown["redeemed"] + live * expected(shown["wallet"], "2017-12-31")
            revenue = shown["allocated"] if live <= 0 else rounded(shown["allocated"] * min(Fraction(1), shown["redeemed"] / expected_total if expected_total else Fraction(1)), "half_even")
            if shown["revenue"] != revenue or shown["deferred"] != shown["allocated"] - revenue:
                self.problems.append(f"revenue of {shown}: here {revenue}")
        left = {key: of for key, of in cohorts.items() if of[2] or of[4]}
        if left:
            self.problems.append(f"cohorts that finance does not know: {left}")
        for shown in said["apart"]:
            if shown["provision"] != provision[shown["wallet"]]:
                self.problems.append(f"{shown}: here {provision[shown['wallet']]}")
        # Whatever the periods: together they come to the revenue, also over a change of the rate and while points are spent.
        sums = collections.Counter()
        for start, end in (("2016-01-01", "2017-01-31"), ("2017-02-01", "2017-02-28"), ("2017-03-01", "2017-12-31")):
            for shown in self.job("/v1/reports/ifrs15", {"from": start, "to": end})["result"]["cohorts"]:
                sums[shown["wallet"], shown["month"]] += shown["revenue_of_period"]
        for shown in said["cohorts"]:
            if sums[shown["wallet"], shown["month"]] != shown["revenue"]:
                self.problems.append(f"{shown}: the periods come to {sums[shown['wallet'], shown['month']]}")
        return len(said["cohorts"])

    def month(self, record):
        return self.sales[record["id"]]["day"][:7]


def main():
    args = arguments(commands=400, seed=1)
    rng, folder = random.Random(args.seed), pathlib.Path(tempfile.mkdtemp(prefix="tessera-finance-"))
    (folder / "programme.json").write_text(json.dumps(PROGRAMME))
    serving = node.Node(args.binary, folder / "data", folder / "programme.json")
    work = Work(Api(serving.port), rng)

    def some(count):
        for _ in range(count):
            rng.choices([work.buy, work.give_back, work.spend, work.undo, work.adjust, work.move], [6, 3, 3, 1, 1, 1])[0]()

    some(args.commands)
    before = work.check()
    cohorts = work.ifrs15()
    closed = TODAY - datetime.timedelta(days=10)
    tomorrow = work.sent("POST", "/v1/reports/closes", {"through": TODAY.isoformat(), "author": "test"}, good=(422,))
    if tomorrow is not None:
        work.problems.append("a day that is not over was closed")
    for _ in range(2):
        shown = work.sent("POST", "/v1/reports/closes", {"through": closed.isoformat(), "author": "test"})["closes"]
        for wallet, of in shown[0]["closing"].items():
            row = max((row for (id, day), row in before.items() if id == wallet and day <= closed.isoformat()), key=lambda row: row["day"])
            if (of["pending"], of["active"]) != (row["pending"]["closing"], row["active"]["closing"]):
                work.problems.append(f"closed at {of}, and the roll-forward said {row}")
    some(args.commands // 2)
    after = work.check()
    for key, row in before.items():
        if key[1] <= closed.isoformat() and after.get(key) != row:
            work.problems.append(f"closed, and changed: {row}, now {after.get(key)}")
    moved = [line for line in work.journal() if line["accounting_day"] != line["own_day"]]
    if not moved or any(line["accounting_day"] != (closed + datetime.timedelta(days=1)).isoformat() or line["own_day"] > closed.isoformat() for line in moved):
        work.problems.append(f"late postings: {moved[:3]}")
    # After another start the same, from the journal and the closes alone.
    serving.end(signal.SIGKILL)
    serving = node.Node(args.binary, folder / "data", folder / "programme.json")
    work.api = Api(serving.port)
    again = work.rows()
    if {key: row for key, row in again.items() if key[1] <= closed.isoformat()} != {key: row for key, row in after.items() if key[1] <= closed.isoformat()}:
        work.problems.append("after another start a closed day is another one")
    work.check()
    serving.leave(folder, work.problems)
    print(f"{args.commands * 3 // 2} commands of {len(work.members)} members, {cohorts} cohorts, {len(moved)} late postings, {len(work.problems)} problems")
    return 1 if work.problems else 0


if __name__ == "__main__":
    sys.exit(main())
