#!/usr/bin/env python3
"""What every household earns over a file of transactions, worked out from the rule book and not with the node's code.

    year_points.py tests/data/two_weeks.csv.gz [--programme config/programme.toml] [--total]

It stands for that file replayed into a fresh node whose clock stands on the morning after the last basket: all are late
uploads, in the order of the file, at the lowest tier. All is exact; a field it does not know ends the script.
"""
import argparse
import csv
import gzip
import json
import math
import sys
import tomllib
from collections import Counter
from datetime import datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from itertools import groupby
from zoneinfo import ZoneInfo

KNOWN = {kind: set(names.split()) for kind, names in {
    "programme": "name zone stores unknown_stores excluded_categories wallet earn multiplier bonus caps tiers aliases holds"
    " pending returns renumbering_sources", "caps": "purchase member", "member": "per points", "min_spend": "currency amount",
    "wallet": "id decimals rounding stacking earn_on_tax expiry values grace_days", "earn": "id priority currency points when text",
    "multiplier": "id priority factor group when text", "bonus": "id points per_unit when text", "when": "categories skus brands stores "
    "channels tiers weekdays customer_groups not_customer_groups from until min_spend min_quantity"}.items()}
STARTS = {"day": lambda day: day, "week": lambda day: day - timedelta(day.weekday()),
          "month": lambda day: day.replace(day=1), "year": lambda day: day.replace(month=1, day=1)}
ROUND = {"floor": math.floor, "half_up": lambda exact: math.floor(exact + Fraction(1, 2)), "half_even": round}


def known(kind, table):
    unknown = sorted(set(table) - KNOWN[kind])
    return sys.exit(f"{kind} {table.get('id', '')}: this script does not know {unknown}") if unknown else table


class Rule:
    def __init__(self, kind, row, lowest):
        self.row, self.when, self.lowest = known(kind, row), known("when", row.get("when", {})), lowest
        self.value = Fraction(row["factor" if kind == "multiplier" else "points"])
        self.least = known("min_spend", self.when.get("min_spend", {"currency": "USD", "amount": 0}))
        self.start, self.end = (datetime.fromisoformat(self.when.get(*edge)) for edge in (
            ("from", "0001-01-03T00:00Z"), ("until", "9999-12-29T00:00Z")))
        self.names = lru_cache(None)(self.names)

    def names(self, sku, category, brand):
        """Whether the conditions of a line name these goods. A category names all below it too."""
        own = {"skus": {sku}, "brands": {brand}, "categories": {category[:end] for end in range(1, len(category) + 1) if category[end:end + 1] in ("", "/")}}
        return all(own[field] & set(self.when[field]) for field in own if self.when.get(field))

    def holds(self, store, moment, lines):
        """Conditions of the head and minimums. The file has neither channels nor customer groups."""
        head = {"stores": store, "tiers": self.lowest, "weekdays": moment.strftime("%A").lower(), "channels": "", "customer_groups": ""}
        named = [line for line in lines if self.names(*line[0])]
        return (all(value in self.when[field] for field, value in head.items() if self.when.get(field)) and self.start <= moment < self.end
                and {self.row.get("currency", "USD"), self.least["currency"]} == {"USD"}
                and sum(net for _, net, _ in named) >= self.least["amount"] and sum(units for *_, units in named) >= self.when.get("min_quantity", 0))
