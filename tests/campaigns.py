#!/usr/bin/env python3
"""A campaign's budget, spent by several clients at once while the node is killed again and again: never more than it is given, in the end all
of it, for no member more than its most, and each explanation adds up.

    campaigns.py [--kills 6] [--seed 1] [--binary target/debug/tessera]
"""
import http.client
import json
import pathlib
import random
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))
from clients import arguments  # noqa: E402
import node  # noqa: E402
from programme import Api  # noqa: E402

MEMBERS, MOST, CLIENTS = 80, 1500, 4
RULES = {"summer-double", "summer-bonus"}
CAMPAIGN = """
[[campaign]]
id = "summer"
member = %d
budget = %d

[[multiplier]]
id = "summer-double"
factor = "2"
campaign = "summer"
text = "Double points in summer"

[[bonus]]
id = "summer-bonus"
points = 7
campaign = "summer"
text = "7 points for each basket of the summer"
"""


def basket(who, key, amount):
    return {"member": who, "source": "t", "store": "1", "transaction_id": key, "occurred_at": node.START, "currency": "USD", "lines": [{"id": "1", "category": "GROCERY", "amount": amount}]}


def client(number, port, seed, names, seconds):
    """Buys until the node is gone or the time is over: (basket, answer or None) of each."""
    rng, sent, ends = random.Random(f"{seed}-{number}"), [], time.monotonic() + seconds
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    while time.monotonic() < ends:
        body = basket(rng.choice(names), f"{seed}-{number}-{len(sent)}", rng.randint(100, 3000))
        try:
            connection.request("POST", "/v1/purchases", json.dumps(body), {"content-type": "application/json"})
            answer = connection.getresponse()
            text = json.loads(answer.read())
        except (OSError, http.client.HTTPException):
            sent.append((body, None))
            break
        sent.append((body, text | {"status": answer.status}))
    return sent


def got(sale):
    """Points of the campaign that a purchase got: its rules, less what the campaign's own caps cut."""
    return sum(part["points"] for part in sale["explanation"] if part["rule"] in RULES or part["kind"] in ("campaign_cap", "campaign_budget"))


def main():
    args = arguments(kills=6, seed=1)
    folder, problems, sent, rng = pathlib.Path(tempfile.mkdtemp(prefix="tessera-campaigns-")), [], [], random.Random(args.seed)
    budget = 9_000 * (args.kills + 1)
    programme = folder / "programme.toml"
    programme.write_text((node.HERE.parent / "config" / "programme.toml").read_text() + CAMPAIGN % (MOST, budget))

    def served():
        return node.Node(args.binary, folder / "data", programme)
    serving = served()
    api = Api(serving.port)
    names = [api("POST", "/v1/members", {"aliases": []}, Idempotency_Key=f"m{number}")[1]["member"] for number in range(MEMBERS)]
    # A quote asks for the budget, and takes nothing of it.
    body = basket(names[0], "quoted", 5000)
    quoted, again, bought = (api("POST", path, body)[1] for path in ("/v1/quotes", "/v1/quotes", "/v1/purchases"))
    if not quoted["explanation"] == again["explanation"] == bought["explanation"] or got(bought) <= 0:
        problems.append(f"quoted {quoted['explanation']}, and bought {bought['explanation']}")
    sent.append((body, bought | {"status": 201}))
    for round_number in range(args.kills + 1):
        work = [(number, serving.port, f"{args.seed}-{round_number}", names, 1.5) for number in range(CLIENTS)]
        last = round_number == args.kills
        sent += serving.serve(client, work, None if last else rng.uniform(0.2, 1.2))
        if not last:
            serving = served()
    api = Api(serving.port)
    for body, answer in sent:  # what was in doubt takes effect once, what was answered is answered the same
        status, now, _ = api("POST", "/v1/purchases", body)
        if status != 201 or (answer and answer["status"] == 201 and now | {"status": 201} != answer):
            problems.append(f"{body['transaction_id']} was answered {answer}, and is answered {status} {now}")
    bought = 0
    while sum(map(got, (sale for name in names for sale in api.statement(name) if sale["type"] == "purchase"))) < budget and bought < 40:
        for name in names:  # until nobody gets anything of it any more
            api("POST", "/v1/purchases", basket(name, f"more-{bought}-{name}", 3000))
        bought += 1
    sales = [sale for name in names for sale in api.statement(name) if sale["type"] == "purchase"]
    given, cut = sum(map(got, sales)), sum(part["kind"] == "campaign_budget" for sale in sales for part in sale["explanation"])
    for sale in sales:
        if sum(part["points"] for part in sale["explanation"]) != sale["wallets"]["points"]["earned"]:
            problems.append(f"{sale} does not add up")
    for name in names:
        own = sum(got(sale) for sale in api.statement(name) if sale["type"] == "purchase")
        if own > MOST:
            problems.append(f"{name} got {own} points of the campaign, more than {MOST}")
    possible = min(budget, MEMBERS * MOST)
    if given != possible:
        problems.append(f"{given} points were given of a budget of {budget}, and {possible} were to be had")
    ends = time.monotonic() + 20
    while (shown := api("GET", "/v1/campaigns")[1]["campaigns"][0]) and shown.get("given") != given and time.monotonic() < ends:
        time.sleep(0.5)
    if (shown["id"], shown["budget"], shown["given"]) != ("summer", budget, given):
        problems.append(f"the campaign is shown as {shown}, and {given} were given")
    serving.leave(folder, problems)
    print(f"{len(sales)} purchases, {given} points of a budget of {budget}, {cut} purchases cut by it, {args.kills} times killed: {len(problems)} problems")
    return 1 if problems or not cut else 0


if __name__ == "__main__":
    sys.exit(main())
