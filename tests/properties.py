#!/usr/bin/env python3
"""Random programmes × baskets × returns: what a node gives and takes is what tests/engine.py works out on its own.

    properties.py [--cases 1000] [--seed 1] [--baskets 25] [--binary target/debug/tessera]

Each programme is saved over HTTP and serves some baskets, each of a new member. A basket is quoted, bought, and most of them
come back in random steps. Compared are the points of every wallet, line, rule and cap, the points burned, claimed and
restored, and that a quote is the purchase; after the last line nothing is left. A case that differs is printed whole.
"""
import argparse
import datetime
import json
import math
import multiprocessing
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
from fractions import Fraction

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))
import engine  # noqa: E402
import node  # noqa: E402
from programme import Api, now  # noqa: E402

CATEGORIES, SKUS, BRANDS, STORES = ["a", "a/b", "a/b/c", "d", "tobacco", "ab"], ["s1", "s2", "s3"], ["own", "other", ""], ["1", "2", "3"]
PROCESSES = 2


def decimal(rng, *picks):
    return rng.choice([*picks, f"{rng.randint(0, 3)}.{rng.randint(1, 999999):06}"])


def condition(rng, at, depth):
    when = {}
    def maybe(chance, name, make):
        if rng.random() < chance * depth:
            when[name] = make()
    maybe(0.4, "categories", lambda: rng.sample(CATEGORIES, rng.randint(1, 2)))
    maybe(0.15, "skus", lambda: rng.sample(SKUS, rng.randint(1, 2)))
    maybe(0.15, "brands", lambda: [rng.choice(BRANDS[:2])])
    maybe(0.1, "stores", lambda: rng.sample(STORES, 2))
    maybe(0.08, "regions", lambda: ["east"])
    maybe(0.08, "channels", lambda: [rng.choice(["shop", "web"])])
    maybe(0.08, "customer_groups", lambda: ["staff"])
    maybe(0.08, "not_customer_groups", lambda: ["staff"])
    maybe(0.08, "weekdays", lambda: rng.sample(["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"], 5))
    maybe(0.1, "hours", lambda: [{"from": f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}", "to": f"{rng.randint(0, 23):02}:{rng.choice([0, 30]):02}"}])
    maybe(0.06, "tenders", lambda: [rng.choice(["points", "card"])])
    maybe(0.05, "first_purchase", lambda: True)
    maybe(0.15, "min_spend", lambda: {"currency": rng.choice(list(engine.EXPONENT)), "amount": rng.choice([1, 100, 1000, 3000, 9999])})
    maybe(0.12, "min_quantity", lambda: rng.randint(1, 9))
    maybe(0.06, "bundle", lambda: [[rng.choice(SKUS)], rng.sample(SKUS, 2)])
    maybe(0.1, "expression", lambda: rng.choice([
        f"total >= {rng.choice([1, 500, 3000])} && (hour < {rng.randint(1, 23)} || weekday == 'friday')", f"line_count > {rng.randint(1, 4)}", f"quantity >= {rng.randint(1, 4)}.0 || sku == 's1'",
        f"net > {rng.choice([10, 400, 2000])} && category in ['a', 'd', 'tobacco']", "'points' in tenders || first_purchase", "amount % 2 == 0 && brand != 'other'", f"channel + store == 'web{rng.randint(1, 3)}'",
        f"size(tenders) > {rng.randint(0, 2)} && minute % 7 != {rng.randint(0, 6)}"]))
    maybe(0.08, "from", lambda: (at + datetime.timedelta(seconds=rng.randint(-300, 300))).isoformat())
    if "from" not in when:
        maybe(0.08, "until", lambda: (at + datetime.timedelta(seconds=rng.randint(-300, 300))).isoformat())
    if any(one["from"] == one["to"] for one in when.get("hours", [])):
        del when["hours"]
    return when


def programme(rng, at):
    wallets = []
    for id in ["points", "stars", "miles"][:3]:  # a history only adds to them
        caps = {} if rng.random() < 0.6 else {"purchase": rng.randint(1, 400)}
        if rng.random() < 0.3:
            caps["member"] = {"per": "day", "points": rng.randint(1, 400)}
        wallets.append({"id": id, "decimals": {"points": 0, "stars": 2, "miles": 3}[id], "rounding": rng.choice(["floor", "half_up", "half_even"]), "stacking": rng.choice(["additive", "compound"]),
                        "earn_on_tax": rng.random() < 0.4, "values": {currency: rng.choice(["0.01", "0.007", "1", "0.333333"]) for currency in engine.EXPONENT}, "caps": caps})
    def rules(kind, most, **make):
        return [{"id": f"{kind}-{rng.randrange(1000):03}-{n}", "wallet": rng.choice(["", "points", "stars", "miles"]), "text": "-", "when": condition(rng, at, 1 if n or kind != "e" else 0.3),
                 **{name: value() for name, value in make.items()}} for n in range(rng.randint(1 if kind == "e" else 0, most))]
    made = {
        "name": "random", "zone": rng.choice(["UTC", "America/New_York", "Asia/Kolkata"]), "stores": {"2": "Pacific/Auckland"}, "regions": {"east": ["1", "2"]}, "unknown_stores": "accept",
        "wallet": wallets, "excluded_categories": ["tobacco"], "aliases": {"card": "enrol"}, "returns": {"clawback": rng.choice(["unlimited", "within_balance"])},
        "tiers": {"metric": "points", "period": "calendar_year", "level": [{"id": "one", "name": "One", "threshold": 0}]},
        "exchange": [{"from": a, "to": b, "rate": decimal(rng, "1.1", "0.9"), "since": since} for a, b in [("USD", "EUR"), ("EUR", "USD"), ("JPY", "USD"), ("USD", "KWD")]
                     for since in ["2017-01-01T00:00:00+00:00", (at + datetime.timedelta(seconds=rng.randint(-100, 300))).isoformat()] if rng.random() < 0.7],
        "earn": rules("e", 5, priority=lambda: rng.randint(0, 2), currency=lambda: rng.choice(["EUR", "EUR", "USD", "JPY", "KWD"]), points=lambda: decimal(rng, "1", "0.5", "10", "0.333333")),
        "multiplier": [rule | ({"group": rng.choice("gh")} if rng.random() < 0.4 else {}) for rule in rules("m", 6, priority=lambda: rng.randint(0, 2), factor=lambda: f"{rng.randint(1, 4)}.{rng.choice(['0', '5', '333333', '25'])}")],
        "bonus": rules("b", 4, points=lambda: rng.randint(1, 60), per_unit=lambda: rng.random() < 0.5),
    }
    campaigns = [{"id": f"{wallet}-{n}", "wallet": wallet, "member": rng.randint(1, 200)} for wallet in ("points", "stars") for n in range(2)]
    for campaign in campaigns:
        if rng.random() < 0.2:
            campaign[rng.choice(["from", "until"])] = (at + datetime.timedelta(seconds=rng.randint(-300, 300))).isoformat()
        if rng.random() < 0.3:
            del campaign["member"]
    for rule in made["earn"][1:] + made["multiplier"] + made["bonus"]:
        if (own := [campaign["id"] for campaign in campaigns if campaign["wallet"] == (rule["wallet"] or "points")]) and rng.random() < 0.4:
            rule["campaign"] = rng.choice(own)
    used = {rule.get("campaign") for kind in ("earn", "multiplier", "bonus") for rule in made[kind]}
    return made | {"campaign": [campaign for campaign in campaigns if campaign["id"] in used]}


def basket(rng, at, card):
    lines = []
    for n in range(rng.randint(1, 7)):
        amount = rng.choice([0, 1, 99, 100, 103, 1000, 1333, rng.randint(1, 20_000)])
        line = {"id": str(n), "amount": amount, "category": rng.choice(CATEGORIES), "sku": rng.choice(SKUS), "brand": rng.choice(BRANDS), "unit": rng.choice(["", "", "kg"]),
                "quantity": rng.choice(["1", "2", "3", "0", "0.75", "2.5", "7"]), "kind": rng.choices(["goods", "service", "gift_card", "fee"], [8, 2, 1, 1])[0], "voided": rng.random() < 0.06}
        line["discount"] = rng.choice([0, 0, rng.randint(0, amount)])
        line["tax"] = rng.choice([0, 0, (amount - line["discount"]) // 6])
        lines.append(line)
    made = {"member": {"alias": {"type": "card", "value": card}}, "source": "p", "store": rng.choice([*STORES, "9"]), "transaction_id": card, "channel": rng.choice(["", "shop", "web"]),
            "customer_group": rng.choice(["", "", "staff"]), "occurred_at": (at + datetime.timedelta(seconds=rng.randint(1, 400))).isoformat(), "currency": rng.choice(["EUR", "EUR", "USD", "JPY", "KWD"]),
            "prices_include_tax": rng.random() < 0.6, "lines": lines, "discounts": [], "tenders": []}
    ids = lambda: rng.sample([line["id"] for line in lines], rng.randint(1, len(lines))) if rng.random() < 0.3 else []
    for _ in range(rng.choice([0, 0, 1, 2])):
        made["discounts"].append({"amount": rng.choice([0, 1, 7, rng.randint(0, 800)]), "lines": ids()})
    total = sum(line["amount"] - line["discount"] for line in lines if not line["voided"])
    for _ in range(rng.choice([0, 0, 1, 2])):
        made["tenders"].append({"type": rng.choice(["points", "points", "card"]), "amount": rng.choice([1, rng.randint(0, max(total // 2, 1)), total]), "lines": ids(), "wallet": rng.choice(["", "stars", "miles"])})
        if made["tenders"][-1]["type"] != "points":
            del made["tenders"][-1]["wallet"]
    return made


class Differs(Exception):
    pass


class Case:
    def __init__(self, api, rng, programme, at, card):
        self.api, self.rng, self.programme = api, rng, programme
        self.basket = basket(rng, at, card)
        self.wallets = [wallet["id"] for wallet in programme["wallet"]]

    def same(self, what, node, own):
        if node != own:
            raise Differs(f"{what}: the node says {node}, by hand it is {own}\nprogramme {json.dumps(self.programme)}\nbasket {json.dumps(self.basket)}")

    def burned(self):
        """Rule 13: by wallet, what its tenders take: each rounded up."""
        found = dict.fromkeys(range(len(self.wallets)), 0)
        for tender in self.basket["tenders"]:
            if tender["type"] == "points":
                number = self.wallets.index(tender["wallet"] or "points")
                wallet = self.programme["wallet"][number]
                found[number] += math.ceil(Fraction(tender["amount"], 10 ** engine.EXPONENT[self.basket["currency"]]) / Fraction(wallet["values"][self.basket["currency"]]) * 10 ** wallet["decimals"])
        return found

    def shown(self, answer):
        found = {number: {} for number in range(len(self.wallets))}
        for one in answer["explanation"] if "explanation" in answer else ():
            rule = one["rule"] or (0 if "one purchase" in one["text"] else 1)
            key = (one.get("line"), one["kind"], rule)
            found[self.wallets.index(one["wallet"])][key] = found[self.wallets.index(one["wallet"])].get(key, 0) + one["points"]
        return found

    def run(self):
        """False: it was refused, as it had to be."""
        try:
            sale, refused = engine.Sale(self.programme, self.basket, True), None
        except engine.Refused as no:
            sale, refused = None, str(no)
        burned = self.burned() if sale else {}
        enrolled = self.api("POST", "/v1/members", {"aliases": [self.basket["member"]["alias"]]}, idempotency_key=self.basket["transaction_id"])[1]
        for number, points in burned.items():
            if points:
                body = {"wallet": self.wallets[number], "points": points, "reason": "to spend"}
                self.api("POST", f"/v1/members/{enrolled['member']}/adjustments", body, idempotency_key=f"{self.basket['transaction_id']}-{number}")
        status, quoted, _ = self.api("POST", "/v1/quotes", self.basket)
        if refused or status != 200:
            self.same("refused", quoted.get("code", status), refused)
            return False
        rooms = [wallet["caps"].get("member", {}).get("points") for wallet in self.programme["wallet"]]
        own = {number: sale.earn(number, {}, room) for number, room in enumerate(rooms)}
        self.same("the quote's awards", self.shown(quoted), own)
        status, made, _ = self.api("POST", "/v1/purchases", self.basket)
        self.same("bought", status, 201)
        self.same("the purchase against its quote", [made[name] for name in ("explanation", "wallets", "tier") if name in made], [quoted[name] for name in ("explanation", "wallets", "tier") if name in quoted])
        earned = {number: sum(awards.values()) for number, awards in own.items()}
        self.same("earned", {self.wallets.index(id): one["earned"] for id, one in made["wallets"].items()}, {number: points for number, points in earned.items() if self.wallets[number] in made["wallets"]})
        self.same("burned", {number: made["wallets"].get(id, {}).get("spent", 0) for number, id in enumerate(self.wallets)}, burned)
        if self.rng.random() < 0.7:
            self.come_back(sale, made, rooms, earned, burned)
        return True

    def come_back(self, sale, made, rooms, kept, burned):
        left, restored, step = {}, dict.fromkeys(burned, 0), 0
        sold = sum(sale.net[id] for id in sale.sold)
        while goods := [id for id in sale.sold if any(sale.remains(id, left)[::2])]:
            asked, everything = [], step > 3 or self.rng.random() < 0.2
            for id in goods if everything else self.rng.sample(goods, self.rng.randint(1, len(goods))):
                net, _, quantity = sale.remains(id, left)
                kind, whole = self.rng.random(), Fraction(sale.lines[id]["quantity"])
                if kind < 0.4 and not everything and quantity >= 1:  # rule 17: by quantity the cumulative floor, the last takes the rest
                    part = Fraction(self.rng.randint(1, math.floor(quantity)))
                    had = sale.net[id] * (whole - quantity) // whole
                    taken = net if part == quantity else min(sale.net[id] * (whole - quantity + part) // whole - had, net)
                    asked.append({"line": id, "quantity": str(part)})
                elif kind < 0.55 and not everything and net > 1:
                    part, taken = Fraction(0), self.rng.randint(1, net - 1)
                    asked.append({"line": id, "amount": taken})
                else:
                    part, taken = quantity, net
                    asked.append({"line": id})
                left[id] = (net - taken, quantity - part)
            step += 1
            body = {"purchase": made["id"], "occurred_at": self.basket["occurred_at"], "lines": asked}
            status, back, _ = self.api("POST", "/v1/returns", body, idempotency_key=f"{self.basket['transaction_id']}-back-{step}")
            self.same(f"the return {asked}", status, 201)
            gone = not any(any(sale.remains(id, left)[::2]) for id in sale.sold)
            came = sold - sum(sale.remains(id, left)[0] for id in sale.sold)
            for number, id in enumerate(self.wallets):
                now_kept = min(kept[number], sum(sale.earn(number, left, rooms[number]).values()))  # rule 16
                due = burned[number] if gone else burned[number] * came // sold if sold else 0  # rule 19
                said = back["returned"][0]["wallets"].get(id, {"claimed": 0, "restored": 0})
                self.same(f"{id} after {asked}", (said["claimed"], said["restored"]), (kept[number] - now_kept, due - restored[number]))
                kept[number], restored[number] = now_kept, due
        self.same("left in the end", [kept, restored], [dict.fromkeys(kept, 0), burned])


def work(arguments, share):
    parent = tempfile.mkdtemp(prefix="tessera-properties-")
    rng = random.Random(f"{arguments.seed} {share}")
    first = pathlib.Path(parent) / "programme.json"
    first.write_text(json.dumps(programme(rng, datetime.datetime.fromisoformat(node.START))))
    served = node.Node(arguments.binary, f"{parent}/folder", first)
    api, counts, problems, cases = Api(served.port), {"cases": 0, "refused": 0, "programmes": 0}, [], arguments.cases // PROCESSES
    ahead = now(api)
    while counts["cases"] < cases:
        _, shown, tag = api("GET", "/v1/programme")
        at = datetime.datetime.now(datetime.UTC) + ahead
        made = programme(rng, at)
        status, answer, _ = api("PUT", "/v1/programme", {"author": "test", "programme": made}, if_match=tag)
        if status != 200:
            problems.append(f"a programme is refused: {answer} {json.dumps(made)}")
            break
        counts["programmes"] += 1
        at = datetime.datetime.fromisoformat(answer["saved_at"])
        for _ in range(arguments.baskets):
            counts["cases"] += 1
            try:
                counts["refused"] += not Case(api, rng, made, at, f"{share}-{counts['cases']}").run()
            except Differs as differs:
                problems.append(str(differs))
        if share == 0 and counts["programmes"] % 50 == 0 and sys.stderr.isatty():
            print(f"{counts['cases'] * PROCESSES} of {arguments.cases} cases", end="\r", file=sys.stderr)
        if len(problems) > 5:
            break
    served.end(signal.SIGTERM)
    problems += node.audit(arguments.binary, f"{parent}/folder")
    shutil.rmtree(parent)
    return counts, problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--baskets", type=int, default=25, help="of each programme")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--binary", default=os.environ.get("TESSERA_BINARY", "target/debug/tessera"))
    arguments = parser.parse_args()
    with multiprocessing.Pool(PROCESSES) as shares:
        done = shares.starmap(work, [(arguments, share) for share in range(PROCESSES)])
    problems = [problem for _, found in done for problem in found]
    node.tell(problems)
    sums = {name: sum(counts[name] for counts, _ in done) for name in done[0][0]}
    print(f"{sums['cases']} baskets under {sums['programmes']} programmes, {sums['refused']} refused as they had to be, seed {arguments.seed}: {len(problems)} problems")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
