"""Earning worked out a second time: exact fractions, one rule of the book after the other, no code and no order of work shared
with the engine that it checks. Deliberately slow and plain. Rule numbers are those of the rule book."""
import datetime
import math
import re
from fractions import Fraction
from zoneinfo import ZoneInfo

EXPONENT = {"JPY": 0, "USD": 2, "EUR": 2, "KWD": 3}
EARNS = {"goods", "service"}
OF_LINE = {"sku", "category", "brand", "unit", "kind", "quantity", "amount", "net"}


def split(total, weights):
    """Largest remainder, ties to the earlier place."""
    whole = sum(weights)
    if not whole:
        return [0] * len(weights)
    exact = [Fraction(total * weight, whole) for weight in weights]
    shares = [math.floor(one) for one in exact]
    for place in sorted(range(len(weights)), key=lambda n: (shares[n] - exact[n], n))[:total - sum(shares)]:
        shares[place] += 1
    return shares


def rounded(value, mode):
    floor, rest = math.floor(value), value - math.floor(value)
    if mode == "half_up":
        return floor + (rest >= Fraction(1, 2))
    if mode == "half_even":
        return floor + (rest > Fraction(1, 2) or (rest == Fraction(1, 2) and floor % 2 == 1))
    return floor


def below(prefix, category):
    return category == prefix or category.startswith(prefix + "/")


class Refused(Exception):
    pass


class Sale:
    """A basket under a programme; `left`: {line id: (net, quantity)} of what has not come back, of lines that are not whole."""

    def __init__(self, programme, basket, first):
        self.programme, self.basket, self.first = programme, basket, first
        if all(self.rate(rule["currency"]) is None for rule in programme["earn"]):
            raise Refused("currency_mismatch")
        self.lines = {line["id"]: {"kind": "goods", "sku": "", "category": "", "brand": "", "quantity": "1", "unit": "", "discount": 0, "tax": 0, "voided": False} | line for line in basket["lines"]}
        self.incl = basket.get("prices_include_tax", True)
        self.sold = [id for id, line in self.lines.items() if not line["voided"]]
        self.net = {id: line["amount"] - line["discount"] if id in self.sold else 0 for id, line in self.lines.items()}
        for discount in basket.get("discounts", []):  # rule 5: on the lines it names, otherwise on all goods, by net amount
            on = [id for id in self.sold if id in discount["lines"]] if discount.get("lines") else [id for id in self.sold if self.lines[id]["kind"] == "goods"]
            if discount["amount"] > sum(self.net[id] for id in on):
                raise Refused("discount_exceeds")
            for id, share in zip(on, split(discount["amount"], [self.net[id] for id in on])):
                self.net[id] -= share
        if self.incl and any(self.lines[id]["tax"] > self.net[id] for id in self.sold):
            raise Refused("invalid")
        gross = {id: self.net[id] + (0 if self.incl else self.lines[id]["tax"]) for id in self.sold}
        self.paid = {id: Fraction(0) for id in self.lines}  # the share of each line that points paid: it stays (rule 16)
        for tender in basket.get("tenders", []):
            if tender["type"] == "points":
                on = [id for id in self.sold if not tender.get("lines") or id in tender["lines"]]
                of = sum(gross[id] for id in on)
                if tender["amount"] > of:
                    raise Refused("tender_exceeds")
                for id in on if of else ():
                    self.paid[id] += Fraction(tender["amount"], of)
        if any(share > 1 for share in self.paid.values()):
            raise Refused("tender_exceeds")

    def rate(self, to):
        """Rule 7: the one in force when it happened."""
        if to == self.basket["currency"]:
            return Fraction(1)
        at = datetime.datetime.fromisoformat(self.basket["occurred_at"])
        rates = [(datetime.datetime.fromisoformat(one["since"]), one["rate"]) for one in self.programme.get("exchange", []) if (one["from"], one["to"]) == (self.basket["currency"], to)]
        rates = [one for one in rates if one[0] <= at]
        return Fraction(max(rates)[1]) if rates else None

    def remains(self, id, left):
        """Net, tax and quantity of a line that have not come back."""
        line = self.lines[id]
        net, quantity = left.get(id, (self.net[id], Fraction(line["quantity"])))
        tax = line["tax"] if id not in left else line["tax"] * net // self.net[id] if self.net[id] else 0
        return net, tax, quantity

    def earning(self, wallet, left):
        """Rule 5: (id, base, units) of the lines that earn."""
        found = []
        for id in self.sold:
            line, (net, tax, quantity) = self.lines[id], self.remains(id, left)
            if line["kind"] in EARNS and net and not any(below(prefix, line["category"]) for prefix in self.programme.get("excluded_categories", [])):
                base = net + (0 if self.incl else tax) if wallet.get("earn_on_tax") else net - (tax if self.incl else 0)
                piece = line["unit"] in ("", "piece") and Fraction(line["quantity"]) != 0
                found.append((id, base, math.floor(quantity) if piece else 1))
        return found

    def says(self, expression, earning, id=None):
        """An expression of the few that Python reads as CEL does, once its and and or are written out."""
        basket, local = self.basket, self.local()
        names = {"total": sum(base for _, base, _ in earning), "line_count": len(earning), "store": basket.get("store", ""), "channel": basket.get("channel", ""), "currency": basket["currency"],
                 "weekday": local.strftime("%A").lower(), "hour": local.hour, "minute": local.minute, "day": local.day, "month": local.month, "year": local.year, "first_purchase": self.first,
                 "tenders": [tender["type"] for tender in basket.get("tenders", [])], "customer_group": basket.get("customer_group", ""), "size": len}
        if id is not None:
            net, _, quantity = self.remains(id, self.left)
            names |= {name: self.lines[id][name] for name in ("sku", "category", "brand", "unit", "kind", "amount")} | {"net": net, "quantity": float(quantity)}
        return eval(expression.replace("&&", " and ").replace("||", " or "), {"__builtins__": {}}, names)  # noqa: S307

    def of_line(self, when):
        return "expression" in when and bool(OF_LINE & set(re.findall("[a-z_]+", when["expression"])))

    def local(self):
        zone = self.programme.get("stores", {}).get(self.basket.get("store", ""), self.programme["zone"])
        return datetime.datetime.fromisoformat(self.basket["occurred_at"]).astimezone(ZoneInfo(zone))

    def on_line(self, when, id):
        line = self.lines[id]
        if self.of_line(when) and not self.says(when["expression"], self.now, id):
            return False
        return ((not when.get("categories") or any(below(prefix, line["category"]) for prefix in when["categories"]))
                and (not when.get("skus") or line["sku"] in when["skus"]) and (not when.get("brands") or line["brand"] in when["brands"]))

    def holds(self, when, earning):
        basket, store = self.basket, self.basket.get("store", "")
        local = self.local()
        clock = local.strftime("%H:%M")
        tests = [
            not when.get("stores") or store in when["stores"],
            not when.get("regions") or any(store in self.programme["regions"][one] for one in when["regions"]),
            not when.get("channels") or basket.get("channel", "") in when["channels"],
            not when.get("customer_groups") or basket.get("customer_group", "") in when["customer_groups"],
            basket.get("customer_group", "") not in when.get("not_customer_groups", []),
            not when.get("weekdays") or local.strftime("%A").lower() in when["weekdays"],
            not when.get("hours") or any(one["from"] <= clock < one["to"] if one["from"] < one["to"] else clock >= one["from"] or clock < one["to"] for one in when["hours"]),
            not when.get("tenders") or any(tender["type"] in when["tenders"] for tender in basket.get("tenders", [])),
            not when.get("first_purchase") or self.first,
            "expression" not in when or self.of_line(when) or self.says(when["expression"], earning),
            "from" not in when or datetime.datetime.fromisoformat(when["from"]) <= local,
            "until" not in when or local < datetime.datetime.fromisoformat(when["until"]),
            all(any(self.lines[id]["sku"] in group for id, _, _ in earning) for group in when.get("bundle", [])),
        ]
        named = [(base, units) for id, base, units in earning if self.on_line(when, id)]
        if least := when.get("min_spend"):
            rate, spent = self.rate(least["currency"]), sum(base for base, _ in named)
            tests.append(rate is not None and Fraction(spent, 10 ** EXPONENT[basket["currency"]]) * rate >= Fraction(least["amount"], 10 ** EXPONENT[least["currency"]]))
        if "min_quantity" in when:
            tests.append(sum(units for _, units in named) >= when["min_quantity"])
        return all(tests)

    def earn(self, number, left, room):
        """{(line or None, kind, rule): points} of a wallet, in the order in which they were added (rule 6)."""
        wallet, mine = self.programme["wallet"][number], lambda kind: [one for one in self.programme.get(kind, []) if (one.get("wallet") or self.programme["wallet"][0]["id"]) == self.programme["wallet"][number]["id"]]
        mine = lambda kind, all=mine: [rule for rule in all(kind) if not rule.get("campaign") or self.runs(rule["campaign"])]
        earning = self.earning(wallet, left)
        self.now, self.left = earning, left
        bases = sorted((rule for rule in mine("earn") if self.holds(rule.get("when", {}), earning)), key=lambda rule: (-rule.get("priority", 0), rule["id"]))
        multipliers = sorted((rule for rule in mine("multiplier") if self.holds(rule.get("when", {}), earning)), key=lambda rule: (-rule.get("priority", 0), rule["id"]))
        exact, unit = [], Fraction(10 ** wallet.get("decimals", 0), 10 ** EXPONENT[self.basket["currency"]])
        for id, base, _ in earning:
            on = [rule for rule in bases if self.on_line(rule.get("when", {}), id)]
            on = [rule for rule in on if rule["currency"] == self.basket["currency"]] or [rule for rule in on if self.rate(rule["currency"]) is not None]
            if not on or not base * (1 - self.paid[id]) > 0:
                continue
            points = base * (1 - self.paid[id]) * self.rate(on[0]["currency"]) * Fraction(on[0]["points"]) * unit
            exact.append(((id, "base", on[0]["id"]), points))
            chosen, stands = {}, points
            for rule in (rule for rule in multipliers if self.on_line(rule.get("when", {}), id)):
                key = ("group", rule["group"]) if rule.get("group") else ("rule", rule["id"])
                if key not in chosen or (-Fraction(rule["factor"]), rule["id"]) < (-Fraction(chosen[key]["factor"]), chosen[key]["id"]):
                    chosen[key] = rule
            for rule in (rule for rule in multipliers if any(rule is one for one in chosen.values())):
                more = (Fraction(rule["factor"]) - 1) * (stands if wallet.get("stacking") == "compound" else points)
                stands += more
                exact.append(((id, "multiplier", rule["id"]), more))
        total = rounded(sum(points for _, points in exact), wallet.get("rounding", "floor"))
        awards = {key: math.floor(points) for key, points in exact}  # rule 1: what is left one each to the largest fractions
        for key, points in sorted(exact, key=lambda one: math.floor(one[1]) - one[1])[:total - sum(awards.values())]:
            awards[key] += 1
        for rule in sorted((rule for rule in mine("bonus") if self.holds(rule.get("when", {}), earning)), key=lambda rule: rule["id"]):
            on = [(id, units) for id, base, units in earning if self.paid[id] < 1 and base > 0 and self.on_line(rule.get("when", {}), id)]
            for id, units in on if rule.get("per_unit") else on[:1]:
                awards[(id if rule.get("per_unit") else None, "bonus", rule["id"])] = rule["points"] * (units if rule.get("per_unit") else 1)
        caps = []
        for campaign in sorted(self.programme.get("campaign", []), key=lambda one: one["id"]):  # each on its own share, before the others
            of = {(said, rule["id"]) for said, kind in (("base", "earn"), ("multiplier", "multiplier"), ("bonus", "bonus")) for rule in mine(kind) if rule.get("campaign") == campaign["id"]}
            caps.append(("campaign_cap", campaign["id"], campaign.get("member"), of))
        caps += [("cap", 0, wallet.get("caps", {}).get("purchase"), None), ("cap", 1, room, None)]
        return self.capped({key: points for key, points in awards.items() if points}, caps)

    def runs(self, id):
        campaign, local = next(one for one in self.programme["campaign"] if one["id"] == id), self.local()
        begun = "from" not in campaign or datetime.datetime.fromisoformat(campaign["from"]) <= local
        return begun and ("until" not in campaign or local < datetime.datetime.fromisoformat(campaign["until"]))

    def capped(self, awards, caps):
        """Cuts what was added last first: bonuses, multipliers, base, each from the last line; the whole basket counts as the last."""
        layer, place = {"bonus": 0, "multiplier": 1, "base": 2}, {id: n for n, id in enumerate(self.lines)} | {None: math.inf}
        order, left, cuts = list(awards), dict(awards), {}
        order.sort(key=lambda key: (layer[key[1]], -place[key[0]], -list(awards).index(key)))
        for kind, name, cap, of in caps:
            its = [key for key in order if of is None or key[1:] in of]
            excess = sum(left[key] for key in its) - cap if cap is not None else 0
            for key in its:
                cut = max(min(excess, left[key]), 0)
                left[key], excess = left[key] - cut, excess - cut
                if cut:
                    cuts[(key[0], kind, name)] = cuts.get((key[0], kind, name), 0) - cut
        return awards | cuts
