"""Hooks of schemathesis for api_fuzz.py: counts every answer by operation, and makes half of the cases be about something real.

Reads the file TESSERA_FUZZ_SEEDS names, {"seed": …, "pools": {"member": [id, …], …}}; writes its counts, by operation, phase and
status, into the file that TESSERA_FUZZ_COUNTS names.
"""
import atexit
import json
import os
import random
import re
from collections import Counter, defaultdict

import schemathesis
from schemathesis.core import NOT_SET

with open(os.environ["TESSERA_FUZZ_SEEDS"]) as file:
    SEEDS = json.load(file)
POOLS = SEEDS["pools"]
COUNTS = defaultdict(Counter)
SEEN = set()  # every id that the node gave out: what a link carries is left alone
FRESH = iter(range(1 << 60))

# What a path parameter after this part of the path is an id of.
PATHS = {"members": "member", "holds": "hold", "purchases": "purchase", "redemptions": "redemption"}
# What a generated field becomes, wherever it stands in a body.
FIELDS = {"member": "$who", "occurred_at": "$moment", "currency": "USD", "transaction_id": "$fresh", "business_date": "2026-11-30"}
LINES = [{"id": "1", "category": "PRODUCE/POTATOES", "quantity": "0.75", "unit": "kg", "amount": 139, "discount": 60},
         {"id": "2", "category": "GROCERY/MILK", "quantity": "2", "amount": 12300}]
BASKET = {"member": "$who", "source": "fuzz", "store": "367", "transaction_id": "$fresh", "occurred_at": "$moment", "currency": "USD", "lines": LINES}
UNPAID = {**BASKET, "member": "$poor", "tenders": [{"type": "points", "amount": 12000}]}
NOBODY = {"member": "nobody", "points": 1}
# By operation: a body that the node takes ("2xx"), and such that it must refuse with a status. "$…" is drawn, or made anew.
KNOWN = {
    "POST /v1/members": {"2xx": {"aliases": [{"type": "card", "value": "$fresh"}]}, "409": {"aliases": ["$alias"]}},
    "POST /v1/members/lookup": {"2xx": "$alias"},
    "POST /v1/members/{}/adjustments": {"2xx": {"points": 7, "reason": "$fresh"}, "409": {"points": -7_000_000_000, "reason": "$fresh"}},
    "POST /v1/purchases": {"2xx": BASKET, "409": UNPAID},
    "POST /v1/quotes": {"2xx": BASKET, "409": UNPAID},
    "POST /v1/holds": {"2xx": {"member": "$who", "points": 1}, "404": NOBODY, "409": {"member": "$poor", "points": 1}},
    "POST /v1/holds/{}/confirm": {"2xx": {}, "409": {}},
    "POST /v1/holds/{}/cancel": {"2xx": None, "409": None},
    "POST /v1/redemptions": {"2xx": {"member": "$who", "points": 1}, "404": NOBODY, "409": {"member": "$poor", "points": 1}},
}


def draw(rng, what):
    """A real value: `what` with every "$name" in it replaced."""
    if isinstance(what, dict):
        return {key: draw(rng, value) for key, value in what.items()}
    if isinstance(what, list):
        return [draw(rng, value) for value in what]
    if not isinstance(what, str) or not what.startswith("$"):
        return what
    name = what[1:]
    if name == "fresh":
        return f"f{SEEDS['seed']}-{next(FRESH)}"
    if name == "moment":
        return f"2026-11-{rng.randint(1, 29):02}T{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:00-05:00"
    if name == "who":
        return draw(rng, rng.choice(["$member", {"alias": "$alias"}]))
    if name == "hold" and POOLS["hold"]:
        return POOLS["hold"].pop()  # a hold ends once
    return rng.choice(POOLS[name if name != "hold" else "used_hold"])


def fill(rng, value):
    """Keeps what was generated but for the fields that must name something real, and figures that exclude each other."""
    if isinstance(value, list):
        return [fill(rng, item) for item in value]
    if not isinstance(value, dict):
        return value
    made = {key: draw(rng, FIELDS[key]) if key in FIELDS else fill(rng, item) for key, item in value.items()}
    for place, line in enumerate(made["lines"] if isinstance(made.get("lines"), list) else []):
        if isinstance(line, dict) and isinstance(line.get("amount"), int):
            line["id"] = str(place)
            for part in ("discount", "tax"):
                if isinstance(line.get(part), int):
                    line[part] = min(line[part], line["amount"] // 2)
    return made


def whole(value):
    """1.0 is an integer to JSON Schema; to the node, which keeps floats away from money, it is none."""
    if isinstance(value, dict):
        return {key: whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def linked(value):
    if isinstance(value, dict):
        return any(linked(item) for item in value.values())
    if isinstance(value, list):
        return any(linked(item) for item in value)
    return isinstance(value, str) and value in SEEN


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """An operation with nothing to generate would be called once only: the node takes X-Request-Id everywhere."""
    for path in raw_schema.get("paths", {}).values():
        for method, operation in path.items():
            if method in ("get", "post", "put", "delete", "patch") and not (
                    operation.get("parameters") or path.get("parameters") or operation.get("requestBody")):
                operation["parameters"] = [{"name": "X-Request-Id", "in": "header", "schema": {"type": "string"}}]


@schemathesis.hook
def before_call(context, case, kwargs):
    """Of the sound cases beyond the document's examples, half get real ids; of these some become a known answer."""
    if case.meta is None or not case.meta.generation.mode.is_positive or case.meta.phase.name.value == "examples":
        return
    sent = case.body is not NOT_SET
    body = whole(case.body) if sent else None
    name = f"{case.method.upper()} {re.sub('{.*?}', '{}', case.path)}"
    rng = random.Random(f"{SEEDS['seed']} {name} {case.path_parameters} {body} {dict(case.headers)}")
    stateful = case.meta.phase.name.value == "stateful"
    turn, pools = rng.random(), PATHS
    if turn < 0.5 and not (stateful and linked(body)):
        wanted = "2xx" if turn < 0.2 else refusal(rng, case, name) if turn < 0.3 else ""
        if wanted == "413":
            body = {**body, "padding": "x" * (1 << 20)}  # just above what a node reads: it answers without closing on us
        elif sent:
            body = draw(rng, KNOWN[name][wanted]) if wanted in KNOWN.get(name, {}) else fill(rng, body)
        pools = {"404": {}, "409": {**PATHS, "holds": "used_hold"}}.get(wanted, PATHS)
        case.headers["Idempotency-Key"] = draw(rng, "$fresh")
        parts = case.path.split("/")
        for before, part in zip(parts, parts[1:]):
            if part.startswith("{") and before in pools and not (stateful and linked(case.path_parameters.get(part[1:-1]))):
                case.path_parameters[part[1:-1]] = draw(rng, "$" + pools[before])
    elif name == "POST /v1/purchases" and isinstance(body, dict) and not {"transaction_id", "sequence"} & set(body):
        case.headers["Idempotency-Key"] = draw(rng, "$fresh")  # a purchase without any key is refused
    if sent:
        case.body = body


def refusal(rng, case, name):
    """A documented 4xx that can be brought about; one that has not been met yet if there is one."""
    possible = set(KNOWN.get(name, ())) | ({"413"} if isinstance(case.body, dict) else set())
    possible &= {str(status) for status in case.operation.responses.status_codes}
    met = {key.split()[1] for key in COUNTS[case.operation.label]}
    return rng.choice(sorted(possible - met) or sorted(possible - {"413"}) or [""])


@schemathesis.hook
def after_call(context, case, response):
    phase = case.meta.phase.name.value if case.meta is not None else "checks"
    COUNTS[case.operation.label][f"{phase} {response.status_code}"] += 1
    try:
        made = json.loads(response.content)
    except ValueError:
        return
    if isinstance(made, dict):
        SEEN.update(made[field] for field in ("id", "member") if isinstance(made.get(field), str))


@atexit.register
def write():
    with open(os.environ["TESSERA_FUZZ_COUNTS"], "w") as file:
        json.dump(COUNTS, file)
