#!/usr/bin/env python3
"""Random commands to a node with a rich programme. After each answer the figures, lots, caps and tiers must add up; a quote is the
purchase after it; a repeat is the same text, another content under its key a conflict; at the end statements and audit agree.

    random_commands.py --members 6 --commands 1500 --seed 7
"""
import argparse
import collections
import datetime
import decimal
import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

MIDNIGHT = datetime.datetime.fromisoformat("2026-04-30T22:00:00Z")  # 1 May in the programme's zone: half-way points and tier periods end
BERLIN, NEW_YORK = (datetime.timezone(datetime.timedelta(hours=hours)) for hours in (2, -4))  # all that spring
FIGURES = ("available", "pending", "held", "debt")
PROGRAMME = """
name = "Random"
zone = "Europe/Berlin"
stores = {{ "2" = "America/New_York" }}
excluded_categories = ["X"]
aliases = {{ card = "enrol", app = "reject" }}
returns = {{ clawback = "{clawback}" }}
holds = {{ ttl_seconds = 30, max_ttl_seconds = 600, max_open = 4 }}
wallet = [{{ id = "points", decimals = {decimals}, rounding = "{rounding}", stacking = "{stacking}", values = {{ EUR = "0.03" }}, expiry = {{ {expiry} }}, grace_days = {grace},
            caps = {{ purchase = {purchase_cap}, member = {{ per = "day", points = {cap} }} }} }}]
earn = [{{ id = "base", currency = "EUR", points = "1", text = "-" }},
        {{ id = "less", priority = 2, currency = "EUR", points = "0.333333", when = {{ categories = ["D"] }}, text = "-" }}]
multiplier = [{{ id = "a", factor = "2", group = "g", when = {{ categories = ["A"] }}, text = "-" }}, {{ id = "p", factor = "1.7", group = "g", when = {{ brands = ["P"] }}, text = "-" }},
              {{ id = "b", factor = "1.333333", when = {{ categories = ["B", "C"] }}, text = "-" }},
              {{ id = "tier", priority = 3, factor = "1.5", when = {{ tiers = ["silver", "gold"] }}, text = "-" }}]
bonus = [{{ id = "big", points = {big}, when = {{ min_spend = {{ currency = "EUR", amount = 6000 }} }}, text = "-" }},
         {{ id = "each", points = 3, per_unit = true, when = {{ skus = ["S"] }}, text = "-" }}]
pending = [{{ id = "d", priority = 1, unlock = {{ delivered = true }}, when = {{ categories = ["C"] }} }},
           {{ id = "n", unlock = {{ days = 1 }}, when = {{ categories = ["B/n"] }} }}, {{ id = "s", unlock = {{ at = "{soon}" }}, when = {{ categories = ["B"] }} }}]
tiers = {{ metric = "{metric}", period = "rolling", months_before = {before}, level = [{{ id = "bronze", name = "B", threshold = 0 }},
          {{ id = "silver", name = "S", threshold = {silver} }}, {{ id = "gold", name = "G", threshold = {gold} }}] }}
"""


def when(text):
    return datetime.datetime.fromisoformat(text)


def millionths(quantity):
    return int(decimal.Decimal(quantity) * 10**6)


def flat(made):
    """An answer with what it says of the one wallet at its top."""
    if points := made.get("wallets", {}).get("points"):
        made |= {"wallet": {f: points[f] for f in ("decimals", *FIGURES)}} | {f: points[f] for f in ("change", "earned") if f in points}
    for back in made.get("returned", []):
        back |= {"claimed": 0, "restored": 0, "owed": 0} | back["wallets"].get("points", {})
    made.get("entries", []) and [flat(entry) for entry in made["entries"]]
    return made


def stands(wallet):
    return min(wallet[f] for f in FIGURES) >= 0 and not (wallet["debt"] and wallet["available"])


def part(sale, line, quantity):
    """What a quantity of a line comes to: the cumulative floor, the last takes the rest."""
    (first, of), (net, left) = sale["first"][line], sale["left"][line]
    return (net if quantity == left else min(net, first * (of - left + quantity) // of - first * (of - left) // of), quantity)


class Member:
    def __init__(self, id):
        self.id, self.seq, self.wallet, self.entries, self.done = id, 1, dict.fromkeys(FIGURES, 0), {}, []
        self.sales, self.holds, self.redemptions, self.used, self.metric = {}, {}, {}, collections.Counter(), collections.Counter()


class Run:
    def __init__(self, arguments):
        self.rng, self.problems, self.counts, self.number = random.Random(arguments.seed), [], collections.Counter(), 0
        self.parent, self.binary, self.members, pick = tempfile.mkdtemp(prefix="tessera-random-"), arguments.binary, [], self.rng.choice
        self.holder, self.since = {}, {}  # of each alias: who holds it, and since when
        begin = MIDNIGHT - datetime.timedelta(seconds=3 + arguments.commands * 0.012)
        self.soon, self.metric, self.policy = begin + (MIDNIGHT - begin) / 8, pick(["points", "visits"]), pick(["sale_lots", "within_balance", "unlimited"])
        decimals, self.before = pick([0, 2]), pick([0, 1])
        self.scale, self.cap, expiry = 10**decimals, pick([300, 2500]) * 10**decimals, pick(["months = 0", "months = 1", "months = 1, rolling = true", "months = 0, from_activation = true"])
        levels = {"silver": 500 * self.scale, "gold": 1500 * self.scale} if self.metric == "points" else {"silver": 2, "gold": 4}
        self.folder, programme = os.path.join(self.parent, "folder"), os.path.join(self.parent, "programme.toml")
        with open(programme, "w") as file:
            file.write(PROGRAMME.format(
                clawback=self.policy, decimals=decimals, rounding=pick(["floor", "half_up", "half_even"]), stacking=pick(["additive", "compound"]), grace=pick([0, 3]), cap=self.cap,
                expiry=expiry, purchase_cap=pick([250, 4000]) * self.scale, soon=self.soon.isoformat(), metric=self.metric, before=self.before, big=20 * self.scale, **levels))
        serve = [self.binary, "serve", "--folder", self.folder, "--programme", programme, "--listen", "127.0.0.1:0", "--clock-start-at", begin.isoformat()]
        self.node = subprocess.Popen(serve, stderr=subprocess.PIPE, text=True, env={**os.environ, "TESSERA_LOG": "error"})
        line = next((line for line in self.node.stderr if "ready on http://" in line), None) or sys.exit("the node did not start")
        self.connection, self.shift = http.client.HTTPConnection("127.0.0.1", int(line.rsplit(":", 1)[1]), timeout=20), begin - datetime.datetime.now(datetime.UTC)

    def now(self):
        return datetime.datetime.now(datetime.UTC) + self.shift

    def fresh(self, word="k"):
        self.number += 1
        return f"{word}{self.number}"

    def check(self, good, what, member=None, *more):
        self.counts["checks"] += 1
        if not good:
            self.problems.append(f"{member.id if member else '-'} record {member.seq if member else '-'}: {what}: {' '.join(json.dumps(one, default=str) for one in more)}"[:3000])

    def quiet(self, member, start):
        """Whether time has brought nothing about since then, give or take."""
        slack = datetime.timedelta(milliseconds=80)
        return not any(start - slack <= at <= self.now() + slack for at in [MIDNIGHT, self.soon, *(ends for _, ends in member.holds.values())])

    def send(self, method, path, body=None, key=None):
        headers = {"content-type": "application/json"} | ({"idempotency-key": key} if key else {})
        self.connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = self.connection.getresponse()
        text = answer.read().decode()
        if answer.status >= 500:
            raise RuntimeError(f"{method} {path} {json.dumps(body)} is answered {answer.status} {text}")
        return answer.status, flat(json.loads(text)), text, answer.getheader("idempotent-replayed") == "true"

    def elapsed(self, member, before):
        """Takes in what the node's reminders have posted meanwhile: nobody asked, so nobody was answered."""
        newer, cursor = [], ""
        while cursor is not None and (not newer or newer[-1]["seq"] > member.seq + 1):
            page = self.send("GET", f"/v1/members/{member.id}/statement?limit=50{cursor}")[1]
            newer, cursor = newer + page["entries"], "&cursor=" + page["next"] if "next" in page else None
        for entry in reversed([entry for entry in newer if member.seq < entry["seq"] < before]):
            self.counts["elapsed"] += 1
            self.check(entry["type"] == "elapsed" and entry["seq"] == member.seq + 1, "a record that nobody asked for", member, entry)
            self.check(all(entry["wallet"][f] - member.wallet[f] == entry["change"][f] for f in FIGURES), "the change is not the difference", member, member.wallet, entry)
            member.seq, member.wallet, member.entries[entry["seq"]] = entry["seq"], entry["wallet"], entry

    def do(self, member, method, path, body=None, refusals=(), then=None, key=""):
        """Sends a command and holds what must hold of every answer; `then` tells the model. None: it was refused, as it may be."""
        request = (method, path, body, self.fresh() if key == "" else key)
        status, made, text, replayed = self.send(*request)
        if status >= 400:
            self.check(made["code"] in refusals, "refused", member, made, request)
            return None
        self.counts[made["type"]] += 1
        if made["seq"] > member.seq + 1:
            self.elapsed(member, made["seq"])
        self.check(not replayed and made["seq"] == member.seq + 1 and made["member"] == member.id, "a new request is a new record", member, made, request)
        self.check(all(made["wallet"][f] - member.wallet[f] == made["change"][f] for f in FIGURES), "the change is not the difference", member, member.wallet, made, request)
        self.check(stands(made["wallet"]), "figures that cannot stand", member, made, request)
        self.check(sum(one["points"] for one in made.get("explanation", [])) == made.get("earned", 0), "the explanation does not add up", member, made)
        member.seq, member.wallet, member.entries[made["seq"]] = made["seq"], made["wallet"], made
        member.done.append((request, text))
        for back in made.get("returned", []):
            if "purchase" in back:
                self.came_back(member, back, made, request)
        if then:
            then(made)
        shown, lots = self.send("GET", f"/v1/members/{member.id}")[1], self.send("GET", f"/v1/members/{member.id}/lots")[1]["lots"]
        wallet, until = shown["wallet"], when(shown["tier"]["until"]).month
        self.check(stands(wallet), "figures that cannot stand", member, shown)
        if self.quiet(member, when(made["at"])):
            self.check(wallet == member.wallet and shown["tier"]["id"] == made["tier"]["id"], "the member is not as its last record says", member, shown, made, request)
            points, held = sum(lot["points"] for lot in lots), sum(lot["held"] for lot in lots)
            pending = sum(lot["points"] for lot in lots if lot["state"] == "pending")
            self.check((points - held - pending, pending, held) == tuple(wallet[f] for f in FIGURES[:3]), "the lots do not add up", member, lots, wallet, request)
            metric = sum(sign(count) if self.metric == "visits" else count for (month, *_), count in member.metric.items() if until - self.before <= month <= until)
            self.check(shown["tier"]["metric"] == metric, f"the tier's metric should be {metric}", member, shown, made, request)
        return made

    def came_back(self, member, back, made, request):
        sale = member.sales[back["purchase"]]
        lines = {str(line["place"]): (line["amount"], millionths(line["quantity"])) for line in back["lines"]}
        self.check(lines == sale["asked"], "other goods came back than was asked", member, sale, back, request)
        for id, (net, quantity) in lines.items():
            sale["left"][id] = (sale["left"][id][0] - net, sale["left"][id][1] - quantity)
        sale["claimed"], sale["restored"] = sale["claimed"] + back["claimed"], sale["restored"] + back["restored"]
        member.used[sale["day"]] -= back["claimed"]
        self.check(back["claimed"] >= back["owed"] >= 0 and not (back["owed"] and self.policy == "unlimited"), "owed", member, back, request)
        self.check(sale["restored"] <= sale["burned"] and sale["claimed"] <= sale["earned"], "more came back than was given", member, sale, made, request)
        gone = not any(map(any, sale["left"].values()))
        member.metric[sale["visit"]] -= back["claimed"] if self.metric == "points" else gone and not sale["gone"]
        sale["gone"] = gone
        self.check(not gone or sale["claimed"] == sale["earned"], "a full return claims what was earned", member, sale, made, request)
        self.check(not gone or sale["restored"] == sale["burned"] or sale["refunds"], "a full return restores what was burned", member, sale, made, request)

    def lines(self):
        pick = self.rng.choice
        for place in range(1, pick([2, 3, 5])):
            amount = pick([0, 1, 99, 1234, 3333, 10000, self.rng.randrange(20000)])
            yield {"id": str(place), "category": pick(["A/x", "B", "B/n", "C", "C", "D", "X", "E"]), "brand": pick(["", "P"]), "sku": pick(["", "S"]), "amount": amount,
                   "discount": pick([0, 0, amount // 3]), "quantity": pick(["1", "1", "3", "7", "2.5", "0"]), "unit": pick(["", "piece", "kg"]),
                   "kind": pick(["goods"] * 8 + ["gift_card", "service"]), "voided": self.rng.random() < 0.04}

    def purchase(self, member):
        pick, rng, lines = self.rng.choice, self.rng, list(self.lines())
        at = self.now() - datetime.timedelta(days=pick([0, 0, 0, 1, 30]))
        body = {"member": member.id, "source": "pos", "store": pick("12"), "till": "1", "currency": "EUR", "occurred_at": at.isoformat(), "lines": lines, "tenders": []}
        body |= {"business_date": at.date().isoformat(), "sequence": self.fresh("q")} if rng.random() < 0.7 else {"transaction_id": self.fresh("t")}
        backs = [id for id, sale in member.sales.items() if any(quantity for _, quantity in sale["left"].values())]
        for id in rng.sample(backs, min(len(backs), 2)) if rng.random() < 0.3 else []:
            sale = member.sales[id]
            chosen = [(line, pick([quantity, quantity // 2 or quantity])) for line, (_, quantity) in sale["left"].items() if quantity]
            sale["asked"] = {line: part(sale, line, quantity) for line, quantity in chosen}
            lines += [{"id": f"{id}-{line}", "kind": "return", "amount": 0, "quantity": str(decimal.Decimal(quantity) / 10**6), "returns": {"purchase": id, "line": line}} for line, quantity in chosen]
        if "return" in [line["kind"] for line in lines] and rng.random() < 0.2:  # nothing is bought
            body["lines"] = lines = [line for line in lines if line["kind"] == "return"]
        sold = {line["id"]: line["amount"] - line["discount"] for line in lines if line["kind"] != "return" and not line["voided"]}
        goods = [line["id"] for line in lines if line["kind"] == "goods" and sold.get(line["id"])]
        if goods and rng.random() < 0.2:
            body["discounts"] = [{"amount": sold[goods[0]] // 2, "lines": goods[:1]}]
            sold[goods[0]] -= sold[goods[0]] // 2
        for amount in pick([[sum(sold.values())], [sum(sold.values()) // 3], [sum(sold.values()) // 4, sum(sold.values()) // 5]]) if rng.random() < 0.45 else []:
            hold, amount = pick([*member.holds, None]), min(amount, member.wallet["available"] * 3 // self.scale) if rng.random() < 0.8 else amount
            body["tenders"] += [{"type": "points", "amount": amount} | ({"hold": hold} if hold and hold not in str(body["tenders"]) else {})] if amount else []
        spent = sum(-(-one["amount"] * self.scale // 3) for one in body["tenders"])
        body["tenders"].append({"type": "card", "amount": 1})
        owned = [value for value, holder in self.holder.items() if holder is member and self.since[value] < at]
        body["member"] = {"alias": {"type": "app", "value": pick(owned)}} if owned and rng.random() < 0.3 else member.id
        day, local = at.astimezone(BERLIN).date(), at.astimezone(NEW_YORK if body["store"] == "2" else BERLIN).date()
        first = {line["id"]: (sold[line["id"]], millionths(line["quantity"])) for line in lines if line["id"] in sold}
        sale = {"claimed": 0, "burned": spent, "restored": 0, "refunds": False, "day": day, "first": first, "left": dict(first), "body": body, "gone": not any(map(any, first.values())),
                "visit": (day.month, local, body["store"])}

        def bought(made):
            rules, room = made.get("explanation", []), max(self.cap - member.used[day], 0)
            earned = sum(one["points"] for one in rules if not one["text"].endswith("in this period"))
            self.check(made["earned"] == min(earned, room), f"the member's cap has room for {room}", member, made, body)
            late = at < self.now() - datetime.timedelta(hours=1) or not self.quiet(member, began)
            self.check(late or tier != "bronze" or "tier" not in [one["rule"] for one in rules], "it earns by a tier that is not held", member, made, body)
            sale["earned"], member.sales[made["id"]] = made["earned"], sale
            member.used[day] += made["earned"]
            member.metric[sale["visit"]] += made["earned"] if self.metric == "points" else not sale["gone"]
            for tender in body["tenders"]:
                member.holds.pop(tender.get("hold"), None)

        began, tier = self.now(), self.send("GET", f"/v1/members/{member.id}")[1]["tier"]["id"]
        quoted = self.send("POST", "/v1/quotes", body)[1]
        made = self.do(member, "POST", "/v1/purchases", body, {"insufficient_points", "hold_expired"} if spent else (), bought, self.rng.choice([None, ""]))
        if self.quiet(member, began):
            same = {name: value for name, value in (made or {"code": quoted.get("code")}).items() if name not in ("id", "seq", "at")}
            self.check(all(quoted.get(name) == value for name, value in same.items()), "the quote is another", member, quoted, made, body)

    def give_back(self, member, id=None):
        rng, whole, id = self.rng, id is not None, id or self.rng.choice(list(member.sales))
        sale, path = member.sales[id], "/v1/returns"
        keys = {name: sale["body"][name] for name in ("source", "store", "till", "business_date", "sequence", "transaction_id") if name in sale["body"]}
        left, body = {line: one for line, one in sale["left"].items() if any(one)}, {"occurred_at": self.now().isoformat()}
        sale["asked"] = {}
        for line, (net, quantity) in left.items() if not whole and rng.random() < 0.7 else ():
            amount, some = rng.randint(1, net) if net and rng.random() < 0.4 else None, rng.choice([0, quantity, quantity // 3 // 500000 * 500000])
            if (amount or some) and rng.random() < 0.6:
                body.setdefault("lines", []).append({"line": line} | ({"amount": amount} if amount else {}) | ({"quantity": str(decimal.Decimal(some) / 10**6)} if some else {}))
                sale["asked"][line] = (amount, some) if amount else part(sale, line, some)
        if "lines" not in body:
            sale["asked"], path = left, rng.choice([path, "/v1/voids"] if left else [path])
        by_key = rng.random() < 0.5 and not sale.get(path)  # a void by the sale's receipt goes by that key itself
        body |= {"member": member.id, "sale": keys} if by_key else {"purchase": id}
        if rng.random() < 0.4:
            body["receipt"] = keys if by_key and rng.random() < 0.5 else {"source": "pos", "transaction_id": self.fresh("t")}
        sale[path] = sale.get(path) or by_key
        if path == "/v1/returns" and sale["burned"] and rng.random() < 0.3:
            body["refunds"], sale["refunds"] = [{"type": "points", "amount": rng.randrange(sale["burned"] * 3 // self.scale + 1)}, {"type": "card", "amount": 1}], True
        self.do(member, "POST", path, body, {"exceeds_sale"} if not left or "refunds" in body else ())

    def blind(self, member):
        body = {"member": member.id, "currency": "EUR", "occurred_at": self.now().isoformat(), "goods": list(self.lines())}
        made = self.do(member, "POST", "/v1/returns", body | self.rng.choice([{}, {"receipt": {"source": "pos", "transaction_id": self.fresh("t")}}]))
        self.check(made and 0 <= made["returned"][0]["taken"] <= made["returned"][0]["claimed"] and not (made["returned"][0]["taken"] and self.policy == "sale_lots"), "without a receipt", member, made)

    def deliver(self, member):
        id = self.rng.choice(list(member.sales))
        lines = [line["id"] for line in member.sales[id]["body"]["lines"] if line.get("category") == "C" and self.rng.random() < 0.7]
        self.do(member, "POST", f"/v1/purchases/{id}/deliveries", self.rng.choice([{}, {"lines": lines}]), {"not_pending"})

    def spend(self, member):
        points = self.rng.randint(1, max(member.wallet["available"], 1) * 11 // 10 + 1)
        body = {"member": member.id} | self.rng.choice([{"points": points}, {"amount": points * 3 // self.scale + 1, "currency": "EUR"}])
        if self.rng.random() < 0.5:
            self.do(member, "POST", "/v1/redemptions", body, {"insufficient_points"}, lambda made: member.redemptions.update({made["id"]: made["points"]}))
        else:
            body |= self.rng.choice([{}, {"ttl_seconds": self.rng.choice([1, 2, 60])}])
            self.do(member, "POST", "/v1/holds", body, {"insufficient_points", "too_many_holds"}, lambda made: member.holds.update({made["id"]: (made["points"], when(made["expires_at"]))}))

    def hold(self, member):
        id = self.rng.choice(list(member.holds))
        points, ends = member.holds[id]
        over = {"hold_expired"} if ends < self.now() + datetime.timedelta(seconds=1) else ()
        some = self.rng.choice([None, {"points": self.rng.randint(1, points)}])
        what, body = self.rng.choice([("cancel", None), ("confirm", some), ("confirm", some)])
        made = self.do(member, "POST", f"/v1/holds/{id}/{what}", body, over, lambda made: member.holds.pop(id))
        if made and what == "confirm":
            member.redemptions[made["id"]] = made["points"]
            self.check(made["points"] == (body or {}).get("points", points), "another number is confirmed", member, made)
        elif over:
            member.holds.pop(id, None)

    def reverse(self, member):
        id = self.rng.choice(list(member.redemptions))
        made = self.do(member, "POST", f"/v1/redemptions/{id}/reverse", None, () if member.redemptions[id] else {"already_reversed"})
        self.check((made or {"points": 0})["points"] == member.redemptions[id], "a redemption is reversed once", member, made)
        member.redemptions[id] = 0

    def adjust(self, member):
        body = {"points": self.rng.choice([1, 50, 400, -30, -300]) * self.scale, "reason": "r", "allow_debt": self.rng.random() < 0.4}
        body |= {"points": self.rng.randint(1, member.wallet["debt"]), "write_off": True} if member.wallet["debt"] and self.rng.random() < 0.5 else {}
        self.do(member, "POST", f"/v1/members/{member.id}/adjustments", body, {"insufficient_points", "invalid" if "write_off" in body else ""})

    def alias(self, member):
        value = f"a{self.rng.randrange(6)}"
        holder, path = self.holder.get(value), f"/v1/members/{member.id}/aliases"
        if holder is member:
            self.do(member, "DELETE", f"{path}/app:{value}", None, (), lambda made: self.holder.update({value: None}))
        else:
            self.do(member, "POST", path, {"type": "app", "value": value}, {"alias_taken"} if holder else (), lambda made: (self.holder.update({value: member}), self.since.update({value: when(made["at"])})))

    def again(self, member):
        (method, path, body, key), text = self.rng.choice(member.done)
        body, last, receipt = body or {}, path.rsplit("/", 1)[1], (body or {}).get("receipt")
        if self.rng.random() < 0.6:
            key = self.fresh() if (receipt or last == "purchases") and self.rng.random() < 0.5 and (receipt or key is None or self.rng.random() < 0.5) else key
            status, _, told, replayed = self.send(method, path, body or None, key)
            self.counts["repeats"] += 1
            self.check(replayed and told == text, "a repeat is not the same", member, (method, path, body, key), (status, told), text)
            return
        others = {"purchases": {"channel": "other"}, "returns": {"occurred_at": "2026-04-30T00:00:00Z"}, "voids": {"occurred_at": "2026-04-30T00:00:00Z"}, "redemptions": {"points": 10**6},
                  "holds": self.rng.choice([{"points": 10**6}, {"ttl_seconds": 59}]), "adjustments": {"reason": "other"}, "confirm": {"points": 10**6},
                  "deliveries": {"lines": [] if body.get("lines") else ["1"]}}
        other = {**body, **others.get(last, {})}
        if "points" in others.get(last, {}):
            other = {name: value for name, value in other.items() if name not in ("amount", "currency")}
        choices = [(path, other, key or self.fresh())] if last in others else []
        choices += [("/v1/redemptions", {"member": member.id, "points": 1}, key)] if key and (last != "redemptions") else []
        goods = {"member": member.id, "receipt": receipt, "currency": "EUR", "occurred_at": self.now().isoformat(), "goods": [{"id": "1", "amount": 100}]}
        choices += [(path, goods, self.fresh())] if receipt and last == "returns" and "goods" not in body else []
        for path, other, key in self.rng.sample(choices, min(len(choices), 1)):
            status, made, told, _ = self.send("POST", path, other, key)
            self.counts["conflicts"] += 1
            self.check(status == 409 and made["code"] == "key_conflict", "a key is used for something else", member, (path, other, key), (status, told), body)

    def enrol(self):
        request = ("POST", "/v1/members", {"aliases": [{"type": "card", "value": self.fresh("c")}]}, self.fresh("enrol"))
        _, made, text, _ = self.send(*request)
        self.shift = when(made["at"]) + datetime.timedelta(milliseconds=5) - datetime.datetime.now(datetime.UTC)  # never behind the node's clock
        self.members.append(Member(made["member"]))
        self.members[-1].entries[1], self.members[-1].done = made, [(request, text)]

    def statement(self, member):
        self.elapsed(member, float("inf"))
        entries, path, cursor = [], f"/v1/members/{member.id}/statement?limit={self.rng.choice([1, 7, 50, 200])}", ""
        while cursor is not None:
            page = self.send("GET", path + cursor)[1]
            entries, cursor = entries + page["entries"], "&cursor=" + page["next"] if "next" in page else None
        self.check(entries == [member.entries[seq] for seq in range(member.seq, 0, -1)], "the statement is not what was answered", member)
        self.check(all(sum(entry["change"][f] for entry in entries) == member.wallet[f] for f in FIGURES), "the statement does not add up", member, member.wallet)

    def run(self, members, commands):
        for _ in range(members):
            self.enrol()
        kinds = {self.purchase: 30, self.give_back: 16, self.blind: 2, self.deliver: 7, self.spend: 12, self.hold: 10, self.reverse: 4, self.adjust: 7, self.alias: 4, self.again: 14}
        for place in range(commands):
            if place == commands // 2:
                while self.now() < MIDNIGHT:
                    self.send("GET", "/healthz")  # what is idle is closed
                    time.sleep(0.2)
            member, what = self.rng.choice(self.members), self.rng.choices(list(kinds), kinds.values())[0]
            needs = {self.give_back: member.sales, self.deliver: member.sales, self.hold: member.holds, self.reverse: member.redemptions}
            if needs.get(what, True):
                what(member)
        for member in self.members:
            for id in member.sales:
                self.give_back(member, id)
            self.statement(member)

    def end(self):
        self.node.send_signal(signal.SIGTERM)
        self.check(self.node.wait(30) == 0, "the node did not end well")
        audit = subprocess.run([self.binary, "audit", "--folder", self.folder, "--json"], capture_output=True, text=True)
        self.check(audit.returncode == 0 and json.loads(audit.stdout)["problems"] == [], "the audit", None, audit.stdout, audit.stderr)
        shutil.rmtree(self.parent)


def sign(count):
    return (count > 0) - (count < 0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", default=os.environ.get("TESSERA_BINARY", "target/debug/tessera"))
    parser.add_argument("--members", type=int, default=6)
    parser.add_argument("--commands", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=time.time_ns() % (1 << 32))
    arguments = parser.parse_args()
    if not os.access(arguments.binary, os.X_OK):
        sys.exit(f"{arguments.binary} is missing: build it first with cargo build")
    run = Run(arguments)
    try:
        run.run(arguments.members, arguments.commands)
    except RuntimeError as stopped:
        run.problems.append(str(stopped))
    finally:
        run.end()
    for problem in run.problems[:10]:
        print(problem)
    print(f"seed {arguments.seed}: {run.counts.pop('checks')} checks of {dict(run.counts)}, {len(run.problems)} problems")
    sys.exit(bool(run.problems))


main()
