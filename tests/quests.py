#!/usr/bin/env python3
"""Random quests and achievements, worked out a second time from the goods that are kept, after every command.

    quests.py [--programmes 12] [--commands 120] [--seed 1] [--binary target/debug/tessera]

Each programme gets a member that buys, gives back, spends, and buys late, in stores of several zones. After each command the
model forgets what it knew and counts anew: progress, completions, rewards, tiers and the balance must be those of the node.
In the end everything goes back in random order: no points and no progress are left, but for achievements that are kept.
"""
import datetime
import json
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import zoneinfo

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))
from clients import arguments  # noqa: E402
import node  # noqa: E402
from programme import Api  # noqa: E402

CATEGORIES = ["a", "a/b", "c", "d"]
ZONES = {"1": "UTC", "2": "Pacific/Auckland", "3": "America/New_York"}
OWN = ["", "Europe/Berlin", "Pacific/Apia", "America/Los_Angeles"]
NOW = datetime.datetime.fromisoformat(node.START)
MEASURES = {"spend": [500, 2000, 9000], "units": [2, 5, 20], "purchases": [1, 3, 8], "visits": [1, 3, 6], "days_in_a_row": [1, 2, 4], "weeks_in_a_row": [1, 2, 3]}
MONDAY = datetime.date(1970, 1, 5)


def when(rng):
    made = {}
    if rng.random() < 0.5:
        made["categories"] = rng.sample(CATEGORIES, rng.randint(1, 2))
    if rng.random() < 0.2:
        made["stores"] = rng.sample(list(ZONES), 2)
    if rng.random() < 0.2:
        made["min_spend"] = {"currency": "EUR", "amount": rng.choice([100, 400, 1500])}
    return made


def step(rng, keep=True):
    measure = rng.choice([name for name in MEASURES if keep or "row" not in name])
    figure = rng.choice(MEASURES[measure])
    return {measure: {"currency": "EUR", "amount": figure} if measure == "spend" else figure, "when": when(rng)}


def programme(rng):
    def reward():
        return rng.choice([{"points": rng.randint(1, 90)}, {"points": rng.randint(1, 90)}, {"tier": "gold", "days": 3000}, None])
    quests, achievements = [], []
    for n in range(rng.randint(1, 6)):
        start = NOW - datetime.timedelta(days=rng.randint(5, 40), hours=rng.randint(0, 23))
        quest = {"id": f"q{n}", "name": "-", "text": "-", "repeatable": rng.random() < 0.5, "step": [step(rng) for _ in range(rng.randint(1, 3))], "reward": reward()}
        if rng.random() < 0.6:
            quest["from"] = f"{start:%Y-%m-%dT%H:%M}"
            quest["until"] = f"{start + datetime.timedelta(days=rng.randint(2, 20)):%Y-%m-%dT%H:%M}"
        quests.append({name: value for name, value in quest.items() if value is not None})
    for n in range(rng.randint(0, 4)):
        keep = rng.random() < 0.5
        one = {"id": f"a{n}", "name": "-", "text": "-", "keep": keep, "step": step(rng, keep), "reward": reward()}
        achievements.append({name: value for name, value in one.items() if value is not None})
    return {
        "name": "quests", "zone": "UTC", "stores": ZONES, "unknown_stores": "accept", "aliases": {"card": "enrol"}, "returns": {"clawback": "unlimited"},
        "wallet": [{"id": "points", "values": {"EUR": "0.01"}}],
        "earn": [{"id": "base", "currency": "EUR", "points": "1", "text": "-"}],
        "tiers": {"metric": "visits", "period": "calendar_year", "level": [{"id": "base", "name": "Base", "threshold": 0}, {"id": "gold", "name": "Gold", "threshold": 1000000}]},
        "quest": quests, "achievement": achievements,
    }


def within(category, prefixes):
    return not prefixes or any(category == prefix or category.startswith(prefix + "/") for prefix in prefixes)


def counts(step, goal, sale):
    """What a sale as it stands counts for a step: a figure, or the day (and store) that it stands for."""
    [(measure, figure)] = [(name, step[name]) for name in MEASURES if name in step]
    rules, local = step["when"], sale["at"].astimezone(zoneinfo.ZoneInfo(ZONES[sale["store"]]))
    text = f"{local:%Y-%m-%dT%H:%M:%S}"
    named = [line for line in sale["lines"] if within(line["category"], rules.get("categories"))]
    if not (goal.get("from", "") <= text and (goal.get("until") is None or text < goal["until"])) or sale["store"] not in rules.get("stores", ZONES):
        return measure, None
    if sum(line["left"] for line in named) < rules.get("min_spend", {}).get("amount", 0):
        return measure, None
    if measure == "spend":
        return measure, sum(line["left"] for line in named)
    if measure == "units":
        return measure, sum(line["units"] for line in named if line["left"])
    if not any(line["left"] or line["units"] for line in named):
        return measure, None
    own = sale["at"].astimezone(zoneinfo.ZoneInfo(sale["own"] or "UTC")).date()
    return measure, {"purchases": 1, "visits": (local.date(), sale["store"]), "days_in_a_row": own, "weeks_in_a_row": (own - MONDAY).days // 7}[measure]


def streaks(days, apart, goal):
    """(whole streaks, length of the run that the last day is in beyond them)."""
    whole = run = 0
    for day in sorted(days):
        if day - apart not in days:
            whole, run = whole + run // goal, 0
        run += 1
    return whole + run // goal, run % goal


def completions(step, goal, sales):
    """(how often this step is done, how far the next time)."""
    found = [counts(step, goal, sale) for sale in sales]
    measure, made = found[0][0] if found else None, [one for _, one in found if one is not None]
    if measure is None:
        return 0, 0
    figure = step[measure]["amount"] if measure == "spend" else step[measure]
    if measure == "days_in_a_row":
        return streaks(set(made), datetime.timedelta(days=1), figure)
    if measure == "weeks_in_a_row":
        return streaks(set(made), 1, figure)
    total = len(set(made)) if measure == "visits" else sum(made)
    return total // figure, total % figure


class Member:
    """One member of one programme, and what the model knows of it."""

    def __init__(self, api, rng, made):
        self.api, self.rng, self.made, self.sales, self.spent, self.kept, self.keys, self.problems = api, rng, made, [], 0, set(), 0, []
        self.reached, self.undone = 0, 0
        self.own = ""
        self.id = self.sent("POST", "/v1/members", {"aliases": []})["member"]

    def sent(self, method, path, body=None, good=(200, 201)):
        self.keys += 1
        status, answer, _ = self.api(method, path, body, Idempotency_Key=f"k{self.keys}")
        if status not in good:
            self.problems.append(f"{method} {path} {body} is answered {status} {answer}")
        for goal in answer.get("goals", []) if method == "POST" else []:
            self.reached, self.undone = self.reached + max(goal.get("reached", 0), 0), self.undone - min(goal.get("reached", 0), 0)
        return answer

    def buy(self):
        rng = self.rng
        at = NOW - datetime.timedelta(minutes=rng.randint(0, 45 * 1440))
        lines = [{"id": str(n), "category": rng.choice(CATEGORIES), "amount": rng.choice([0, 99, 250, 1200, 5000]), "quantity": str(rng.randint(1, 6))} for n in range(rng.randint(1, 4))]
        store = rng.choice(list(ZONES))
        body = {"member": self.id, "source": "pos", "transaction_id": f"t{self.keys}", "store": store, "occurred_at": at.isoformat(), "currency": "EUR", "lines": lines}
        made = self.sent("POST", "/v1/purchases", body)
        if "id" in made:
            self.sales.append({"id": made["id"], "at": at, "store": store, "own": self.own, "lines": [{"id": line["id"], "category": line["category"], "left": line["amount"], "units": int(line["quantity"])} for line in lines]})

    def give_back(self, all_of_it=False):
        sale = self.rng.choice(self.sales)
        open_lines = [line for line in sale["lines"] if line["left"] or line["units"]]
        if not open_lines:
            return
        back = []
        for line in open_lines if all_of_it else self.rng.sample(open_lines, self.rng.randint(1, len(open_lines))):
            if all_of_it or self.rng.random() < 0.4:
                back.append({"line": line["id"]})
                line["left"] = line["units"] = 0
            elif line["left"] and self.rng.random() < 0.5:
                amount = self.rng.randint(1, line["left"])
                back.append({"line": line["id"], "amount": amount})
                line["left"] -= amount
            elif line["units"]:
                units = self.rng.randint(1, line["units"])
                amount = line["left"] if units == line["units"] else self.rng.randint(0, line["left"])
                back.append({"line": line["id"], "quantity": str(units), "amount": amount})
                line["left"], line["units"] = line["left"] - amount, line["units"] - units
        self.sent("POST", "/v1/returns", {"purchase": sale["id"], "occurred_at": NOW.isoformat(), "lines": back})

    def spend(self):
        available = self.sent("GET", f"/v1/members/{self.id}")["wallets"]["points"]["available"]
        if available:
            points = self.rng.randint(1, available)
            self.sent("POST", "/v1/redemptions", {"member": self.id, "points": points})
            self.spent += points

    def move(self):
        self.own = self.rng.choice(OWN)
        self.sent("PATCH", f"/v1/members/{self.id}", {"zone": self.own or None})

    def check(self):
        """Counts anew and compares."""
        points, gold = sum(sum(line["left"] for line in sale["lines"]) // 100 for sale in self.sales) - self.spent, False
        for kind in ("quest", "achievement"):
            path = f"/v1/members/{self.id}/{kind}s"
            shown = {goal["id"]: goal for goal in self.sent("GET", path)["goals"]}
            for goal in self.made[kind]:
                steps = goal["step"] if kind == "quest" else [goal["step"]]
                done = [completions(step, goal, self.sales) for step in steps]
                times = min(whole for whole, _ in done)
                times = times if goal.get("repeatable") else min(times, 1)
                if kind == "achievement" and goal["keep"]:
                    self.kept |= {goal["id"]} if times else set()
                    times = int(goal["id"] in self.kept)
                has = shown.get(goal["id"], {"reached": 0, "steps": []})
                if has["reached"] != times:
                    self.problems.append(f"{goal} is reached {has['reached']} times at the node, {times} here")
                if len(steps) == 1 and has["steps"] and (goal.get("repeatable") or times == 0) and has["steps"][0]["progress"] != done[0][1]:
                    self.problems.append(f"{goal} has come {has['steps']} at the node, {done} here")
                reward = goal.get("reward", {})
                points += times * reward.get("points", 0)
                gold |= times > 0 and "tier" in reward
        shown = self.sent("GET", f"/v1/members/{self.id}")
        wallet = shown["wallets"]["points"]
        if wallet["available"] - wallet["debt"] != points:
            self.problems.append(f"{self.id} has {wallet}, and {points} here")
        if (shown["tier"]["id"] == "gold") != gold:
            self.problems.append(f"{self.id} is {shown['tier']}, and gold is {gold} here")
        return points


def main():
    args = arguments(programmes=12, commands=120, seed=1)
    rng, commands, reached, undone, problems = random.Random(args.seed), 0, 0, 0, []
    for number in range(args.programmes):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="tessera-quests-"))
        made = programme(rng)
        (folder / "programme.json").write_text(json.dumps(made))
        started = node.Node(args.binary, folder / "data", folder / "programme.json")
        if started.port is None:
            problems.append(f"the node did not start: {started.said()}")
            break
        member = Member(Api(started.port), rng, made)
        while commands < (number + 1) * args.commands and not member.problems:
            rng.choices([member.buy, member.give_back if member.sales else member.buy, member.spend, member.move], [5, 4, 1, 0.3])[0]()
            member.check()
            commands += 1
        while not member.problems and any(line["left"] or line["units"] for sale in member.sales for line in sale["lines"]):
            member.give_back(rng.random() < 0.5)
            member.check()
        reached, undone = reached + member.reached, undone + member.undone
        problems += [f"programme {number}: {problem}" for problem in member.problems]
        started.end(signal.SIGTERM)
        problems += node.audit(args.binary, folder / "data")
        shutil.rmtree(folder, ignore_errors=True)
        if problems:
            break
    node.tell(problems)
    print(f"{args.programmes} programmes, {commands} commands, reached {reached} times and undone {undone}, {len(problems)} problems")
    return 1 if problems or undone < args.programmes else 0


if __name__ == "__main__":
    sys.exit(main())
