#!/usr/bin/env python3
"""Members go into each other while tills buy, spend and give back under old ids and new, several at once, and the node is killed again and
again: every answer is the same when its request is repeated, no point is lost or doubled, and each member that has gone is answered for
by one that is left.

    merges.py [--kills 6] [--seed 1] [--binary target/debug/tessera]
"""
import pathlib
import random
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))
from clients import Client, again, arguments, making  # noqa: E402
import node  # noqa: E402
from programme import Api  # noqa: E402

FAMILIES, SIZE, START, CLIENTS = 12, 4, 30_000, 4  # so many points that a claim always finds them
AT = "2017-03-14T07:00:00-04:00"


def client(number, port, seed, families, seconds):
    """Buys, spends, gives back and merges until the node is gone or the time is over: what it has sent."""
    rng, till = random.Random(f"{seed}-{number}"), Client(f"{seed}-{number}", port)

    def ask(path, body):
        return till.ask("POST", path, body)

    def who(family):
        """By its id, or by its card."""
        member, card = rng.choice(family)
        return member if rng.random() < 0.5 else {"alias": {"type": "card", "value": card}}

    def once():
        family, what = rng.choice(families), rng.random()
        if what < 0.04:
            (one, _), (other, card) = rng.sample(family, 2)
            ask(f"/v1/members/{one}/merge", {"into": rng.choice([other, {"alias": {"type": "card", "value": card}}])})
        elif what < 0.3:
            line = {"id": "1", "kind": "goods", "category": "GROCERY", "amount": 100 * rng.randint(1, 30)}
            body = {"member": who(family), "occurred_at": AT, "currency": "USD", "lines": [line], "source": "t", "store": "1", "transaction_id": till.key()}
            status, sale = ask("/v1/purchases", body)
            if status == 201 and rng.random() < 0.5:
                back = rng.choice([{"purchase": sale["id"]}, {"member": who(family), "sale": {"source": "t", "transaction_id": body["transaction_id"]}}])
                ask("/v1/returns", {**back, "occurred_at": AT})
        elif what < 0.5:
            status, made = ask("/v1/redemptions", {"member": who(family), "points": rng.randint(1, 200)})
            if status == 201 and rng.random() < 0.7:
                ask(f"/v1/redemptions/{made['id']}/reverse", {})
        else:
            points = rng.randint(1, 200)
            status, hold = ask("/v1/holds", {"member": who(family), "points": points, "ttl_seconds": 600})
            if status != 201:
                return
            if rng.random() < 0.3:
                ask(f"/v1/holds/{hold['id']}/cancel", {})
            elif rng.random() < 0.5:
                ask(f"/v1/holds/{hold['id']}/confirm", {"points": rng.randint(1, points)})
            else:  # deposits earn nothing; the till may know another id by now
                tender = {"type": "points", "amount": points, "hold": hold["id"]}
                body = {"member": rng.choice([hold["member"], who(family)]), "occurred_at": AT, "currency": "USD", "lines": [{"id": "1", "kind": "deposit", "amount": points}],
                        "tenders": [tender], "source": "t", "store": "1", "transaction_id": till.key()}
                ask("/v1/purchases", body)
    return till.run(once, seconds)


def books(api, family, problems):
    """What a family has, and what its journals say it should have; how many merges there were."""
    has, left, earned, spent, merges = 0, set(), 0, 0, 0
    for member, card in family:
        shown = api("GET", f"/v1/members/{member}")[1]
        by_card = api("POST", "/v1/members/lookup", {"type": "card", "value": card})[1]
        if by_card.get("member") != shown["member"]:
            problems.append(f"{member} is answered for by {shown['member']}, and its card by {by_card}")
        if shown["member"] not in left:
            left.add(shown["member"])
            wallet = shown["wallets"]["points"]
            has += wallet["available"] + wallet["pending"] + wallet["held"] - wallet["debt"]
            if wallet["held"] != sum(hold["points"] for hold in api("GET", f"/v1/members/{shown['member']}/holds")[1]["holds"]):
                problems.append(f"{shown['member']} has holds that do not come to what is held")
        for entry in api.statement(member, "&own=true"):
            points = entry["wallets"].get("points", {})
            earned += points.get("earned", 0)
            spent += points.get("spent", 0)
            match entry["type"]:
                case "redemption" | "confirmation":
                    spent += entry["points"]
                case "reversal":
                    spent -= entry["points"]
                case "adjustment":
                    earned += entry["points"]
                case "return":
                    of = entry["returned"][0]["wallets"].get("points", {})
                    earned, spent = earned - of.get("claimed", 0), spent - of.get("restored", 0)
                case "merge_settled":
                    merges += entry["state"] == "done"
    if len(left) + merges != len(family):
        problems.append(f"of {len(family)} members {merges} have gone and {len(left)} are left")
    if has != earned - spent:
        problems.append(f"the family of {family[0][0]} has {has} points, has earned {earned} and spent {spent}")
    return merges


def main():
    args = arguments(kills=6, seed=1)
    folder, problems, sent, rng = pathlib.Path(tempfile.mkdtemp(prefix="tessera-merges-")), [], [], random.Random(args.seed)
    serving = node.Node(args.binary, folder / "data")
    api = Api(serving.port)
    made = making(api, problems)
    families = []
    for family in range(FAMILIES):
        members = []
        for place in range(SIZE):
            card = f"{7_000_000 + family * SIZE + place}"
            member = made("/v1/members", {"aliases": [{"type": "card", "value": card}]})["member"]
            made(f"/v1/members/{member}/adjustments", {"points": START, "reason": "start"})
            members.append((member, card))
        families.append(members)
    (one, _), (other, _) = families[0][:2]
    for path, body, good, code in [(f"/v1/members/{one}/merge", {"into": one}, 422, "invalid"), (f"/v1/members/mem_{'0' * 26}/merge", {"into": one}, 404, "unknown_member"),
                                   (f"/v1/members/{one}/merge", {"into": f"mem_{'0' * 26}"}, 404, "unknown_member")]:
        if made(path, body, good).get("code") != code:
            problems.append(f"{path} {body} is not answered {code}")
    made("/v1/pools", {"member": other})
    if made(f"/v1/members/{other}/merge", {"into": one}, 409).get("code") != "in_pool":
        problems.append("a member of a pool goes into another one")
    families[0] = [pair for pair in families[0] if pair[0] != other]
    for round_number in range(args.kills):
        # Each round has families of its own, so that merges never run out.
        work = [(number, serving.port, f"{args.seed}-{round_number}", families[round_number % 3::3], 3) for number in range(CLIENTS)]
        sent += serving.serve(client, work, rng.uniform(0.3, 1.5))
        serving = node.Node(args.binary, folder / "data")
    api = Api(serving.port)
    acknowledged = again(api, sent, problems, ["/v1/purchases", "/v1/returns", "/v1/redemptions", "/v1/holds"])
    merges = sum(books(api, family, problems) for family in families)
    serving.leave(folder, problems)
    print(f"{len(sent)} requests, {acknowledged} acknowledged, {merges} merges, {args.kills} times killed: {len(problems)} problems")
    return 1 if problems or not merges else 0


if __name__ == "__main__":
    sys.exit(main())
