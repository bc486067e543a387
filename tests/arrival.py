#!/usr/bin/env python3
"""Order of arrival (rule 2): real baskets and their returns, once in the order in which they happened, once shuffled up to 30 days
late, with repeats under new sequence numbers. What rule 2 says does not depend on the order does not: base points, multipliers and
bonuses but for those that look at the tier, at a first purchase or at room under a cap; visits, quests and streaks. Nothing is counted twice.

    arrival.py [--households 80]                      of the fortnight kept in the project
    arrival.py --file FILE.csv.gz --households 0      every household of a file, such as the whole year
"""
import collections
import datetime
import json
import multiprocessing
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time
import tomllib

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))
from clients import arguments  # noqa: E402
import baskets  # noqa: E402
import node  # noqa: E402
from programme import Api  # noqa: E402

RICH = HERE.parent / "config" / "rich.toml"
AT = "2018-01-02T12:00:00Z"
DAYS = 30
CLIENTS = 3


def programme():
    """The rich one, for tills that number receipts anew; what depends on the order by rule 2 is told by these names."""
    made = tomllib.loads(RICH.read_text()) | {"renumbering_sources": ["journey"]}
    ordered = {rule["id"] for kind in ("multiplier", "bonus") for rule in made[kind] if {"tiers", "first_purchase"} & set(rule["when"])}
    # A tier given for a time is held from its arrival on.
    for quest in made["quest"]:
        if "tier" in quest["reward"]:
            quest["reward"] = {"points": 1}
    return made, ordered


def things(rng, id, work):
    """What happens to one household: (when, what, body), in the order in which it happens."""
    made = []
    for number, basket in enumerate(work):
        at = datetime.datetime.fromisoformat(basket["occurred_at"])
        basket = basket | {"business_date": at.date().isoformat(), "sequence": f"{id}-{number}", "till": "1", "tenders": []}
        del basket["transaction_id"]
        made.append((at, "buy", basket))
        if rng.random() < 0.3:
            line = rng.choice(basket["lines"])
            made.append((at + datetime.timedelta(days=rng.randint(0, 20), hours=1), "return", (basket["sequence"], basket, line["id"])))
        if rng.random() < 0.2:
            # The till sends it again, under another number.
            made.append((at + datetime.timedelta(seconds=1), "again", basket | {"sequence": f"{id}-{number}-again"}))
    return sorted(made, key=lambda one: one[0])


def shuffled(rng, made):
    """Up to 30 days late; a return or repeat still comes after its sale, whichever that is."""
    late = [(at + datetime.timedelta(seconds=rng.randint(0, DAYS * 86400)), at, what, body) for at, what, body in made]
    arrival, bought = [], set()
    waiting = collections.defaultdict(list)
    for _, at, what, body in sorted(late, key=lambda one: one[0]):
        sequence = body[0] if what == "return" else body["sequence"].removesuffix("-again")
        if what == "buy":
            arrival.append((at, what, body))
            bought.add(sequence)
            arrival += waiting.pop(sequence, [])
        elif sequence in bought:
            arrival.append((at, what, body))
        else:
            waiting[sequence].append((at, what, body))
    return arrival


def household(api, ordered, made, problems, counts):
    """Sends it all; answers what does not depend on the order, and what does."""
    sales, member, earned = {}, None, collections.Counter()
    for _, what, body in made:
        if what == "return":
            sequence, basket, line = body
            receipt = {name: basket[name] for name in ("source", "store", "till", "business_date")} | {"sequence": sequence}
            status, answer, _ = api("POST", "/v1/returns", {"member": basket["member"], "sale": receipt, "occurred_at": AT, "lines": [{"line": line}]}, Idempotency_Key=f"r-{sequence}-{line}")
            counts["returns"] += status == 201
            if status != 201 and answer["code"] != "exceeds_sale":
                problems.append(f"a return of {sequence} is answered {status} {answer}")
            continue
        status, answer, _ = api("POST", "/v1/purchases", body)
        if status != 201:
            problems.append(f"{what} {body['sequence']} is answered {status} {answer}")
            continue
        member, sequence = answer["member"], body["sequence"].removesuffix("-again")
        if what == "again":
            counts["again"] += 1
            if answer["id"] != sales[sequence]["id"]:
                problems.append(f"{sequence} sent again under another number took effect again")
            continue
        sales[sequence] = answer
    fixed = {}
    for sequence, sale in sales.items():
        awards, others = collections.Counter(), collections.Counter()
        for award in sale.get("explanation", []):
            # Additive multipliers do not look at each other; a cap depends on the room that is left.
            if award["rule"] not in ordered and award["kind"] != "cap":
                awards[award["kind"], award.get("line"), award["rule"]] += award["points"]
            else:
                earned[award["rule"] or award["kind"]] += award["points"]
                others[award["rule"]] += award["points"] if award["kind"] != "cap" else 0
        fixed[sequence] = (awards, others)
    goals = {}
    for kind in ("quests", "achievements"):
        for goal in api("GET", f"/v1/members/{member}/{kind}")[1]["goals"]:
            # An achievement that was reached is kept, so whether a return came before its last step matters.
            goals[goal["id"]] = (goal["reached"] if kind == "quests" else None, [step["progress"] for step in goal["steps"]])
    return fixed, goals, earned


def client(port, ordered, seed, in_order, work):
    api, found, problems, counts = Api(port), {}, [], collections.Counter()
    for id, all_of_it in work:
        rng = random.Random(f"{seed}-{id}")
        made = things(rng, id, all_of_it)
        found[id] = household(api, ordered, made if in_order else shuffled(rng, made), problems, counts)
    return found, problems, counts


def serve(args, parent, made, ordered, in_order, work):
    name = "order" if in_order else "shuffled"
    (parent / "programme.json").write_text(json.dumps(made))
    serving = node.Node(args.binary, parent / name, parent / "programme.json", AT)
    with multiprocessing.Pool(CLIENTS) as pool:
        shares = pool.starmap(client, [(serving.port, ordered, args.seed, in_order, work[n::CLIENTS]) for n in range(CLIENTS)])
    serving.end(signal.SIGTERM)
    problems = [problem for _, some, _ in shares for problem in some] + node.audit(args.binary, parent / name)
    return {id: one for found, *_ in shares for id, one in found.items()}, problems, sum((counts for *_, counts in shares), collections.Counter())


def main():
    args = arguments(file=str(HERE / "data" / "two_weeks.csv.gz"), households=80, seed=1)
    work, parent, began = baskets.households(args.file, args.households, args.seed), pathlib.Path(tempfile.mkdtemp(prefix="tessera-arrival-")), time.monotonic()
    made, ordered = programme()
    (first, problems, counts), (second, others, counts_late) = (serve(args, parent, made, ordered, in_order, work) for in_order in (True, False))
    problems += others
    sales, differ = 0, collections.Counter()
    for id in first:
        (fixed, goals, earned), (fixed_late, goals_late, earned_late) = first[id], second[id]
        sales += len(fixed)
        for sequence, (awards, others) in fixed.items():
            awards_late, others_late = fixed_late[sequence]
            # All of a purchase is rounded once (rule 1): at another tier the last point of a share may go to another rule.
            slack = int(others != others_late)
            if any(abs(awards[key] - awards_late[key]) > slack for key in {*awards, *awards_late}):
                problems.append(f"{sequence} earns {dict(awards - awards_late)} more in order and {dict(awards_late - awards)} more late")
        for goal in {*goals, *goals_late}:
            if goals_late.get(goal) != goals.get(goal):
                problems.append(f"household {id}, {goal}: {goals.get(goal)} in order, {goals_late.get(goal)} late")
        for name in {*earned, *earned_late}:
            differ[name] += earned[name] != earned_late[name]
    excused = ordered | {"cap"}
    problems += [f"{name} differs for {count} households, and rule 2 does not say so" for name, count in differ.items() if count and name not in excused]
    if not all(of[what] for of in (counts, counts_late) for what in ("returns", "again")):
        problems.append(f"nothing came back, or nothing was sent again: {counts}, {counts_late}")
    shutil.rmtree(parent)
    node.tell(problems)
    told = ", ".join(f"{name} for {count}" for name, count in sorted(differ.items()) if count)
    print(f"{sales} sales of {len(work)} households in order and up to {DAYS} days late, {time.monotonic() - began:.0f} s; differ, as rule 2 says, {told or 'none'}: {len(problems)} problems")
    return 1 if problems or not sales else 0


if __name__ == "__main__":
    sys.exit(main())
