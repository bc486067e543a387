"""The fortnight's real baskets as purchases of the HTTP API.

amount = sales value + the shop's own discounts; discount = those; the manufacturer's coupon is a tender that counts as
money. Quantity 0, or above 100 (nearly all fuel), is a weight or volume: one unit.
"""
import collections
import csv
import gzip
import pathlib
import random
from itertools import groupby

FILE = pathlib.Path(__file__).parent / "data" / "two_weeks.csv.gz"


def line(number, row):
    own = int(row["retail_disc_cents"]) + int(row["coupon_match_disc_cents"])
    quantity = int(row["quantity"])
    made = {"id": str(number), "sku": row["product_id"], "category": f"{row['department']}/{row['product_category']}",
            "brand": row["brand"], "quantity": str(quantity), "amount": int(row["sales_value_cents"]) + own, "discount": own}
    if quantity == 0 or quantity > 100:
        made["unit"] = "l"
    return made


def baskets(limit=None, path=FILE):
    """Yields (household, purchase) in the order of the file."""
    with gzip.open(path, "rt") as file:
        for count, (basket, rows) in enumerate(groupby(csv.DictReader(file), key=lambda row: row["basket_id"])):
            if limit is not None and count >= limit:
                return
            rows = list(rows)
            lines = [line(number, row) for number, row in enumerate(rows, 1)]
            total = sum(line["amount"] - line["discount"] for line in lines)
            coupons = sum(int(row["coupon_disc_cents"]) for row in rows)
            tenders = [{"type": "coupon", "amount": coupons}] if coupons else []
            tenders.append({"type": "card", "amount": max(0, total - coupons)})
            yield rows[0]["household_id"], {
                "member": {"alias": {"type": "card", "value": rows[0]["household_id"]}}, "source": "journey",
                "store": rows[0]["store_id"], "transaction_id": basket, "currency": "USD",
                "occurred_at": rows[0]["transaction_timestamp"].replace(" ", "T"), "lines": lines, "tenders": tenders}


def households(path, most, seed):
    """[(household, its purchases in order)], so many drawn at random; 0: all, in random order."""
    found = collections.defaultdict(list)
    for id, basket in baskets(path=path):
        found[id].append(basket)
    work = sorted(found.items())
    random.Random(seed).shuffle(work)
    return work[:most or None]
