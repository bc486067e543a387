"""What every household earns over a file of transactions, worked out from the rule book and not with the node's code: as
the file replayed, in its order, into a fresh node on the morning after its last basket (all are late uploads, at the lowest
tier). All is exact, and a field that it does not know ends the script.
    year_points.py tests/data/two_weeks.csv.gz [--programme config/programme.toml] [--total]"""
import argparse
import csv
import gzip
import json
import math
import sys
import tomllib
from collections import Counter
from datetime import datetime
from fractions import Fraction
from functools import lru_cache
from itertools import groupby
from zoneinfo import ZoneInfo

KNOWN = {kind: set(names.split()) for kind, names in {
    "programme": "name language zone stores regions unknown_stores excluded_categories wallet transfer exchange earn multiplier bonus tiers aliases holds pending returns renumbering_sources",
    "wallet": "id decimals rounding stacking earn_on_tax expiry values grace_days caps redemption", "caps": "purchase member", "member": "per points", "min_spend": "currency amount",
    "earn": "id priority currency points when text", "multiplier": "id priority factor group when text", "bonus": "id points per_unit when text",
    "when": "categories skus brands stores channels tiers weekdays customer_groups not_customer_groups from until min_spend min_quantity"}.items()}
ROUND = {"floor": math.floor, "half_up": lambda exact: math.floor(exact + Fraction(1, 2)), "half_even": round}


def known(kind, table):
    unknown = sorted(set(table) - KNOWN[kind])
    return sys.exit(f"{kind} {table.get('id', table)}: this script does not know {unknown}") if unknown else table


def above(category):  # with itself: a/b lies in a and in a/b
    return {category[:end] for end in range(1, len(category) + 1) if category[end:end + 1] in ("", "/")}


class Rule:
    def __init__(self, kind, row, lowest):
        self.kind, self.row, self.when, self.lowest = kind, known(kind, row), known("when", row.get("when", {})), lowest
        self.value = Fraction(row["factor" if kind == "multiplier" else "points"])
        self.least = known("min_spend", self.when.get("min_spend", {"currency": "USD", "amount": 0}))
        self.span = [datetime.fromisoformat(self.when.get(*edge)) for edge in (("from", "0001-01-03T00:00Z"), ("until", "9999-12-29T00:00Z"))]

    @lru_cache(None)
    def names(self, sku, category, brand):
        own = {"skus": {sku}, "brands": {brand}, "categories": above(category)}
        return all(own[field] & set(self.when[field]) for field in own if self.when.get(field))

    def holds(self, store, moment, lines):
        """Conditions of the head, and minimums. The file has neither channels nor customer groups."""
        head = {"stores": store, "tiers": self.lowest, "weekdays": moment.strftime("%A").lower(), "channels": "", "customer_groups": ""}
        named = [line for line in lines if self.names(*line[0])]
        return (all(value in self.when[field] for field, value in head.items() if self.when.get(field))
                and {self.row.get("currency", "USD"), self.least["currency"]} == {"USD"} and self.span[0] <= moment < self.span[1]
                and sum(net for _, net, _ in named) >= self.least["amount"] and sum(units for *_, units in named) >= self.when.get("min_quantity", 0))


@lru_cache(None)
def per_cent(holding, stacking, goods):
    """What a cent of these goods earns by the rules that hold; of an exclusive group only the largest multiplier."""
    named = [rule for rule in holding if rule.names(*goods)]
    factors = {rule.row.get("group", rule): rule.value for rule in sorted(named, key=lambda rule: rule.value) if rule.kind == "multiplier"}.values()
    factor = {"additive": 1 + sum(value - 1 for value in factors), "compound": math.prod(factors)}[stacking]
    return next((rule.value for rule in named if rule.kind == "earn"), Fraction(0)) * factor / 100


def points(rules, wallet, sale):
    holding, cents = tuple(rule for rule in rules if rule.holds(*sale)), Counter()
    for goods, net, _ in sale[2]:
        cents[per_cent(holding, wallet.get("stacking", "additive"), goods)] += net
    total = ROUND[wallet.get("rounding", "floor")](sum(each * net for each, net in cents.items()) * 10 ** wallet.get("decimals", 0))
    units = {rule: [units for goods, _, units in sale[2] if rule.names(*goods)] for rule in holding if rule.kind == "bonus"}
    return total + sum(int(rule.value) * (sum(named) if rule.row.get("per_unit") else bool(named)) for rule, named in units.items())


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("file", help="transactions as CSV or CSV.gz")
parser.add_argument("--programme", default=f"{sys.path[0]}/../config/programme.toml")
parser.add_argument("--total", action="store_true", help="without the households")
arguments = parser.parse_args()
table = known("programme", tomllib.load(open(arguments.programme, "rb"), parse_float=Fraction))
wallet, zone = known("wallet", *table["wallet"]), ZoneInfo(table["zone"])
caps = known("caps", wallet.get("caps", {}))
cap, excluded = known("member", caps.get("member", {"per": "year", "points": math.inf})), set(table.get("excluded_categories", []))
rules = [Rule(kind, row, table["tiers"]["level"][0]["id"]) for kind in ("earn", "multiplier", "bonus") for row in table.get(kind, [])]
rules.sort(key=lambda rule: (-rule.row.get("priority", 0), rule.row["id"]))
households, used, baskets = Counter(), Counter(), set()
for basket, rows in groupby(csv.DictReader((gzip.open if arguments.file.endswith(".gz") else open)(arguments.file, "rt")), lambda row: row["basket_id"]):
    lines = []  # those that can earn: (goods, net in cents, units)
    for row in rows:
        net, quantity, category = int(row["sales_value_cents"]), int(row["quantity"]), f"{row['department']}/{row['product_category']}"
        at_home = table.get("stores", {}).get(row["store_id"], table["zone"]) == table["zone"]
        assert at_home and basket not in baskets and min(net, quantity) >= 0, f"basket {basket}: a store of another zone, in two parts, or negative"
        if net and not above(category) & excluded:
            lines.append(((row["product_id"], category, row["brand"]), net, quantity if 0 < quantity <= 100 else 1))
    baskets.add(basket)
    moment = datetime.fromisoformat(row["transaction_timestamp"]).replace(tzinfo=zone)
    period = row["household_id"], moment.strftime({"day": "%Y %j", "week": "%G %V", "month": "%Y %m", "year": "%Y"}[cap["per"]])
    earned = min(points(rules, wallet, (row["store_id"], moment, lines)), caps.get("purchase", math.inf), cap["points"] - used[period])
    used[period] += earned
    households[row["household_id"]] += earned
print(json.dumps({"households": len(households), "baskets": len(baskets), "points": sum(households.values())} | ({} if arguments.total else {"by_household": households})))
