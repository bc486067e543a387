#!/usr/bin/env python3
"""Real baskets under the rich programme: each is quoted and bought, and the quote is the purchase; then every basket goes back line by
line, in random order. In the end nobody has a point, nothing is pending or owed, and no quest has come any way, but for the
rewards of achievements that are kept.

    give_back.py [--households 120]              of the fortnight kept in the project
    give_back.py --file FILE.csv.gz --households 0    every household of a file, such as the whole year
"""
import collections
import multiprocessing
import pathlib
import random
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
CLIENTS = 3
AT = "2018-01-02T12:00:00Z"


def kept_rewards(programme, reached):
    """Points by wallet of the achievements that stay."""
    points = collections.Counter()
    for achievement in programme["achievement"]:
        reward = achievement.get("reward", {})
        if achievement["id"] in reached and achievement.get("keep", True) and "points" in reward:
            points[reward.get("wallet", "points")] += reward["points"]
    return points


def household(api, rng, programme, work, counts, problems):
    """Buys and gives back what one household bought."""
    lines, member = [], None
    for basket in work:
        quoted = api("POST", "/v1/quotes", basket)
        status, bought, _ = api("POST", "/v1/purchases", basket)
        counts["baskets"] += 1
        if status != 201:
            problems.append(f"{basket['transaction_id']} is answered {status} {bought}")
            continue
        same = [{name: made[name] for name in ("wallets", "explanation", "tier", "goals", "notices") if name in made} for made in (quoted[1], bought)]
        if quoted[0] != 200 or same[0] != same[1]:
            problems.append(f"{basket['transaction_id']} was quoted {same[0]} and bought at {same[1]}")
        member = bought["member"]
        lines += [(bought["id"], line["id"]) for line in basket["lines"] if line["amount"] > line.get("discount", 0) or float(line.get("quantity", "1")) > 0]
    rng.shuffle(lines)
    for purchase, line in lines:
        status, answer, _ = api("POST", "/v1/returns", {"purchase": purchase, "occurred_at": AT, "lines": [{"line": line}]}, Idempotency_Key=f"{purchase}-{line}")
        counts["lines"] += 1
        if status != 201:
            problems.append(f"line {line} of {purchase} is answered {status} {answer}")
    if member is None:
        return
    wallets = api("GET", f"/v1/members/{member}")[1]["wallets"]
    achievements = {one["id"]: one for one in api("GET", f"/v1/members/{member}/achievements")[1]["goals"]}
    kept = kept_rewards(programme, {id for id, one in achievements.items() if one["reached"]})
    counts["kept"] += sum(one["reached"] for one in achievements.values())
    for wallet, of in wallets.items():
        # A kept reward may have expired, or paid for points that a clawback found spent.
        if of["pending"] or of["held"] or of["available"] - of["debt"] > kept[wallet] or (not kept[wallet] and (of["available"] or of["debt"])):
            problems.append(f"{member} ends with {of} {wallet}, of kept rewards {kept[wallet]}")
    for one in api("GET", f"/v1/members/{member}/quests")[1]["goals"] + list(achievements.values()):
        if any(step["progress"] for step in one["steps"]) or (one["kind"] == "quest" and one["reached"]):
            problems.append(f"{member} ends with {one}")


def client(port, rng_seed, work):
    api, counts, problems = Api(port), collections.Counter(), []
    programme = tomllib.loads(RICH.read_text())
    for id, all_of_it in work:
        household(api, random.Random(f"{rng_seed}-{id}"), programme, all_of_it, counts, problems)
        if len(problems) > 20:
            break
    return counts, problems


def main():
    args = arguments(file=str(HERE / "data" / "two_weeks.csv.gz"), households=120, seed=1)
    work = baskets.households(args.file, args.households, args.seed)
    parent = pathlib.Path(tempfile.mkdtemp(prefix="tessera-give-back-"))
    serving, began = node.Node(args.binary, parent / "data", RICH, AT), time.monotonic()
    with multiprocessing.Pool(CLIENTS) as pool:
        found = pool.starmap(client, [(serving.port, args.seed, work[number::CLIENTS]) for number in range(CLIENTS)])
    counts, problems = sum((counts for counts, _ in found), collections.Counter()), [problem for _, some in found for problem in some]
    serving.leave(parent, problems)
    print(f"{counts['baskets']} baskets of {len(work)} households quoted, bought and given back in {counts['lines']} lines, {counts['kept']} achievements kept, "
          f"{time.monotonic() - began:.0f} s: {len(problems)} problems")
    return 1 if problems or not counts["lines"] else 0


if __name__ == "__main__":
    sys.exit(main())
