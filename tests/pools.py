#!/usr/bin/env python3
"""Households that spend each other's points from several clients at once, while members leave and join and the node is killed again and
again: a hold has all of its parts or none, what is not spent or comes back is its owner's again, and nothing is doubled or lost.

    pools.py [--kills 6] [--seed 1] [--binary target/debug/tessera]
"""
import pathlib
import random
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))
from clients import Client, again, arguments, making  # noqa: E402
import node  # noqa: E402
from programme import Api  # noqa: E402

HOUSEHOLDS, SIZE, START, CLIENTS = 3, 4, 3000, 4
AT = "2017-03-14T07:00:00-04:00"


def client(number, port, seed, pools, seconds):
    """Spends until the node is gone or the time is over: (method, path, key, body, status or None, answer) of each request."""
    rng, till = random.Random(f"{seed}-{number}"), Client(f"{seed}-{number}", port)
    ask = till.ask

    def once():
        pool, members = rng.choice(pools)
        who, points, what = rng.choice(members), rng.randint(1, 200), rng.random()
        if what < 0.1:
            other = rng.choice(members[1:])
            ask("DELETE", f"/v1/pools/{pool}/members/{other}", None)
            ask("POST", f"/v1/pools/{pool}/members", {"member": other})
            return
        if what < 0.4:
            status, made = ask("POST", "/v1/redemptions", {"member": who, "points": points, "pool": True})
            if status == 201 and rng.random() < 0.5:
                ask("POST", f"/v1/redemptions/{made['id']}/reverse", {})
            return
        status, hold = ask("POST", "/v1/holds", {"member": who, "points": points, "pool": True, "ttl_seconds": rng.choice([1, 600])})
        if status != 201 or what < 0.5:
            return
        if what < 0.6:
            ask("POST", f"/v1/holds/{hold['id']}/cancel", {})
        elif what < 0.8:
            ask("POST", f"/v1/holds/{hold['id']}/confirm", {"points": rng.randint(1, points)})
        else:  # deposits earn nothing
            line = {"id": "1", "kind": "deposit", "amount": 2 * points}
            tender = {"type": "points", "amount": rng.randint(1, points), "hold": hold["id"]}
            status, sale = ask("POST", "/v1/purchases", {"member": who, "occurred_at": AT, "currency": "USD", "lines": [line], "tenders": [tender], "source": "t", "store": "1", "transaction_id": till.key()})
            if status == 201 and rng.random() < 0.5:
                back = [{"line": "1", "amount": rng.randint(1, 2 * points)}] if rng.random() < 0.5 else []
                ask("POST", "/v1/returns", {"purchase": sale["id"], "occurred_at": AT, **({"lines": back} if back else {})})
    return till.run(once, seconds)


def books(api, members):
    """Of a household: what is available, what is held, what its members have spent for good, holds over the points of several, and what is odd."""
    available, held, spent, shared, odd = 0, 0, 0, 0, []
    for member in members:
        wallet = api("GET", f"/v1/members/{member}")[1]["wallets"]["points"]
        available, held = available + wallet["available"], held + wallet["held"]
        if wallet["debt"] or wallet["pending"] or wallet["available"] > START:
            odd.append(f"{member} has {wallet}")
        for entry in api.statement(member):
            shared += entry["type"] == "gathered" and entry["state"] == "done"
            match entry["type"]:
                case "confirmation":
                    spent += entry["points"]
                case "reversal":
                    spent -= entry["points"]
                case "purchase":
                    spent += entry["wallets"]["points"].get("spent", 0)
                case "return":
                    spent -= sum(of["wallets"].get("points", {}).get("restored", 0) for of in entry["returned"])
    return available, held, spent, shared, odd


def main():
    args = arguments(kills=6, seed=1)
    folder, problems, sent, rng = pathlib.Path(tempfile.mkdtemp(prefix="tessera-pools-")), [], [], random.Random(args.seed)
    serving = node.Node(args.binary, folder / "data")
    api = Api(serving.port)
    made = making(api, problems)
    pools = []
    for _ in range(HOUSEHOLDS):
        members = [made("/v1/members", {"aliases": []})["member"] for _ in range(SIZE)]
        for member in members:
            for part in range(6):  # lots that expire on the same day, and are told apart by when they came
                made(f"/v1/members/{member}/adjustments", {"points": START // 6, "reason": f"start {part}"})
        pool = made("/v1/pools", {"member": members[0]})["id"]
        for member in members[1:]:
            made(f"/v1/pools/{pool}/members", {"member": member})
        pools.append((pool, members))
    everybody = [member for _, members in pools for member in members]
    stranger = made("/v1/members", {"aliases": []})["member"]
    seen = api("GET", f"/v1/pools/{pools[0][0]}")[1]
    if [one["member"] for one in seen["members"]] != pools[0][1] or seen["available"]["points"] != SIZE * START:
        problems.append(f"the pool is shown as {seen}")
    for body, good, code in [({"member": stranger}, 404, "unknown_pool"), ({"member": everybody[0]}, 409, "in_pool")]:
        path = f"/v1/pools/{pools[0][0] if good == 409 else 'pool_' + '0' * 27}/members"
        if made(path, body, good).get("code") != code:
            problems.append(f"{path} {body} is not answered {code}")
    for body, code in [({"member": stranger, "points": 1, "pool": True}, "not_in_pool"), ({"member": everybody[0], "points": SIZE * START + 1, "pool": True}, "insufficient_points")]:
        if made("/v1/redemptions", body, 409).get("code") != code:
            problems.append(f"{body} is not answered {code}")
    for round_number in range(args.kills):
        work = [(number, serving.port, f"{args.seed}-{round_number}", pools, 3) for number in range(CLIENTS)]
        sent += serving.serve(client, work, rng.uniform(0.3, 1.5))
        serving = node.Node(args.binary, folder / "data")
    api = Api(serving.port)
    acknowledged = again(api, sent, problems, ["/v1/purchases", "/v1/returns", "/v1/redemptions"])
    # What was cut off is brought to its end by itself; what is held is given back.
    ends = time.monotonic() + 90
    for member in everybody:
        for hold in api("GET", f"/v1/members/{member}/holds")[1]["holds"]:
            api("POST", f"/v1/holds/{hold['id']}/cancel", {}, Idempotency_Key=f"free-{hold['id']}")
    shared = 0
    for pool, members in pools:
        found = books(api, members)
        # Lent points that are not home yet are on their way there.
        while found[0] + found[2] != SIZE * START and time.monotonic() < ends:
            time.sleep(2)
            found = books(api, members)
        available, held, spent, count, odd = found
        shared, problems = shared + count, problems + odd
        if held or available + spent != SIZE * START:
            problems.append(f"the members of {pool} have {available} points, hold {held}, have spent {spent}, and {SIZE * START} were there")
    serving.leave(folder, problems)
    print(f"{len(sent)} requests, {acknowledged} acknowledged, {shared} holds over the points of several, {args.kills} times killed: {len(problems)} problems")
    return 1 if problems or not shared else 0


if __name__ == "__main__":
    sys.exit(main())
