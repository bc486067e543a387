"""Hooks of schemathesis for api_fuzz.py: counts every answer, and makes half of the sound cases be about something real.

Reads the file that TESSERA_FUZZ_SEEDS names, {"seed": …, "pools": {"member": [id, …], …}}; writes its counts, by operation and
then by phase and status, into the file that TESSERA_FUZZ_COUNTS names.
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
COUNTS = defaultdict(Counter)  # operation: {"phase status": answers}
MET = defaultdict(Counter)  # operation: {status: answers}
SEEN = set()  # every id that the node gave out: what a link carries is left alone
FRESH = iter(range(1 << 60))
PLENTY = 40  # answers 2xx of an operation, after which the generated bodies get most of the turns

# Pools of what ends once: what is drawn from one goes over to "used_…".
ONCE = {"hold", "owned", "to_reverse", "to_return", "to_deliver", "loner", "goer", "joins", "leaves"}
# What a path parameter after this part of the path is an id of.
PATHS = {"pools": "$pool", "versions": "$version", "members": "$member", "holds": "$hold", "purchases": "$purchase", "redemptions": "$redemption", "jobs": "$job", "transfers": "$transfer", "exceptions": "nobody"}
# What a generated field becomes, wherever it stands in a body.
FIELDS = {"member": "$who", "into": "$who", "purchase": "$purchase", "occurred_at": "$moment", "currency": "USD", "transaction_id": "$fresh", "wallet": "",
          "business_date": "2026-11-15"}
LINES = [{"id": "1", "category": "PRODUCE/POTATOES", "quantity": "0.75", "unit": "kg", "amount": 139, "discount": 60},
         {"id": "2", "category": "GROCERY/MILK", "quantity": "2", "amount": 12300}]
BASKET = {"member": "$who", "source": "fuzz", "store": "367", "transaction_id": "$fresh", "occurred_at": "$moment", "currency": "USD", "lines": LINES}
UNPAID = {"body": {**BASKET, "member": "$poor", "tenders": [{"type": "points", "amount": 12000}]}}
LONG = {"body": {**BASKET, "lines": [{"id": str(place), "category": "x" * 128, "sku": "x" * 64, "amount": 1} for place in range(1000)]}}
POINT, POOR = {"body": {"member": "$who", "points": 1}}, {"body": {"member": "$poor", "points": 1}}
NOBODY = {"body": {"member": "mem_nobody", "points": 1}}
SENT = {"member": "$who", "from": "points", "to": "miles"}
BASED, NEWER = {"headers": {"If-Match": "$etag"}}, {"headers": {"If-Match": '"99999"'}}
UNBASED = {"headers": {"If-Match": "none"}}
SAVED = {"body": {"author": "$fresh", "programme": "$programme"}}
ROLLED = {"body": {"author": "$fresh", "version": 1}}
# By operation: what the node takes ("2xx"), and what it must refuse with a status. "$…" is drawn from a pool, or made anew.
KNOWN = {
    "POST /v1/members": {"2xx": {"body": {"aliases": [{"type": "card", "value": "$fresh"}]}}, "409": {"body": {"aliases": ["$alias"]}}},
    "POST /v1/members/lookup": {"2xx": {"body": "$alias"}},
    "GET /v1/members/{}/events": {"2xx": {"headers": {"Last-Event-ID": "1.0"}}},
    "POST /v1/members/{}/adjustments": {"2xx": {"body": {"points": 7, "reason": "$fresh"}}, "409": {"body": {"points": -7_000_000_000, "reason": "$fresh"}}},
    "POST /v1/members/{}/tier-grants": {"2xx": {"body": {"tier": "gold", "until": "2027-03-31", "reason": "$fresh"}}, "409": {"path": ["$poor"], "body": {"reason": "$fresh"}}},
    "POST /v1/members/{}/merge": {"2xx": {"path": ["$goer"], "body": {"into": "$who"}}, "404": {"body": {"into": "mem_nobody"}}, "409": {"path": ["$used_loner"], "body": {"into": "$who"}}},
    "POST /v1/members/{}/aliases": {"2xx": {"body": {"type": "app", "value": "$fresh"}}, "409": {"body": "$alias"}},
    "DELETE /v1/members/{}/aliases/{}": {"2xx": {"path": "$owned"}, "409": "$clash", "422": {"path": ["$member", "card:" + "x" * 65]}},
    "POST /v1/purchases": {"2xx": {"body": BASKET}, "409": UNPAID, "413": LONG},
    "POST /v1/claims": {"2xx": {"body": BASKET}, "409": UNPAID, "413": LONG},
    "GET /v1/jobs/{}": {"2xx": {"path": ["$job"]}},
    "GET /v1/jobs/{}/result": {"2xx": {"path": ["$journal"]}, "409": {"path": ["$job"]}},
    "POST /v1/batches": {"2xx": {"body": {"path": "/v1/purchases", "body": BASKET}}, "413": {"body": {"path": "/v1/purchases", "body": {"padding": "x" * (9 << 20)}}},
                         "400": {"body": {"path": "/v1/programme", "body": {}}}},
    "POST /v1/simulations": {"2xx": {"body": {"programme": "$programme"}}, "413": {"body": {"programme": "$programme", "padding": "x" * (9 << 20)}}, "422": {"body": {"programme": {"name": "x"}}}},
    "POST /v1/reports/ifrs15": {"2xx": {"body": {"from": "2026-11-01", "to": "2026-11-30"}}},
    "POST /v1/reports/journal": {"2xx": {"body": {"from": "2026-11-01", "to": "2026-11-30"}}},
    "POST /v1/reports/closes": {"2xx": {"body": {"through": "2026-10-01", "author": "$fresh"}}},
    "PATCH /v1/members/{}": {"2xx": {"body": {"zone": "Europe/Berlin", "birthday": "02-29", "segments": ["vip"]}}},
    "POST /v1/purchases/{}/deliveries": {"2xx": {"path": ["$to_deliver"], "body": {}}, "409": {"body": {}}},
    "POST /v1/quotes": {"2xx": {"body": BASKET}, "409": UNPAID},
    "POST /v1/returns": {"2xx": {"body": {"purchase": "$to_return", "occurred_at": "2026-11-30T10:00:00-05:00"}},
                         "409": {"body": {"purchase": "$used_to_return", "occurred_at": "2026-11-30T10:00:00-05:00", "lines": [{"line": "1", "amount": 90_000}]}}},
    "POST /v1/voids": {"2xx": {"body": {"purchase": "$to_return", "occurred_at": "2026-11-30T10:00:00-05:00"}},
                       "409": {"body": {"purchase": "$used_to_return", "occurred_at": "2026-11-30T10:00:00-05:00"}}},
    "GET /v1/programme/versions/{}": {"2xx": {"path": [1]}},
    "POST /v1/programme/check": {"2xx": {"body": {"programme": "$programme"}}, "413": {"body": {"programme": "$programme", "padding": "x" * (9 << 20)}}},
    "PUT /v1/programme": {"2xx": {**SAVED, **BASED}, "412": {**SAVED, **NEWER}, "428": {**SAVED, **UNBASED}, "413": {"body": {"padding": "x" * (9 << 20)}, **BASED},
                          "422": {"body": {"author": " ", "programme": "$programme"}, **BASED}},
    "POST /v1/programme/rollback": {"2xx": {**ROLLED, **BASED}, "412": {**ROLLED, **NEWER}, "428": {**ROLLED, **UNBASED},
                                    "404": {"body": {"author": "x", "version": 99999}, **BASED}, "413": {"body": {**ROLLED["body"], "padding": "x" * (9 << 20)}, **BASED}, "422": {"body": {"author": " ", "version": 1}, **BASED}},
    "POST /v1/holds": {"2xx": POINT, "404": NOBODY, "409": POOR},
    "POST /v1/holds/{}/confirm": {"2xx": {"body": {}}, "409": {"path": ["$used_hold"], "body": {}}},
    "POST /v1/holds/{}/cancel": {"2xx": {"body": {}}, "409": {"path": ["$used_hold"], "body": {}}},
    "POST /v1/transfers": {"2xx": {"body": {**SENT, "points": 2}}, "404": {"body": {**SENT, "member": "mem_nobody", "points": 2}}, "409": {"body": {**SENT, "points": 10**12}}},
    "POST /v1/pools": {"2xx": {"body": {"member": "$loner"}}, "404": {"body": {"member": "mem_nobody"}}, "409": {"body": {"member": "$used_loner"}}},
    "POST /v1/pools/{}/members": {"2xx": "$joins", "409": "$used_joins"},
    "DELETE /v1/pools/{}/members/{}": {"2xx": "$leaves", "409": "$used_leaves"},
    "POST /v1/allowances": {"2xx": {"body": {"member": "$who", "store": "367", "till": "4", "points": 1}}, "404": {"body": {"member": "mem_nobody", "store": "1", "till": "1", "points": 1}},
                            "409": {"body": {"member": "$poor", "store": "1", "till": "1", "points": 1}}},
    "POST /v1/redemptions": {"2xx": POINT, "404": NOBODY, "409": POOR},
    "POST /v1/redemptions/{}/reverse": {"2xx": {"path": ["$to_reverse"], "body": {}}, "409": {"path": ["$used_to_reverse"], "body": {}}},
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
    if name == "etag":  # of what was saved last
        return POOLS["etag"][-1]
    if name in ("journal", "job"):  # of the last ones: few are kept
        return rng.choice(POOLS[name][-2:])
    if name == "version":
        return rng.randint(1, len(POOLS["etag"]))
    if name == "fresh":
        return f"f{SEEDS['seed']}-{next(FRESH)}"
    if name == "moment":
        return f"2026-11-{rng.randint(1, 29):02}T{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:00-05:00"
    if name == "who":
        return draw(rng, rng.choice(["$member", {"alias": "$alias"}]))
    if name in ONCE and POOLS[name]:
        POOLS["used_" + name].append(POOLS[name].pop())
        return POOLS["used_" + name][-1]
    return rng.choice(POOLS["used_" + name if name in ONCE else name])


def fill(rng, value):
    """Keeps what was generated but for the fields that must name something real, and what excludes each other."""
    if isinstance(value, list):
        return [fill(rng, item) for item in value]
    if not isinstance(value, dict):
        return value
    made = {key: draw(rng, FIELDS[key]) if key in FIELDS else fill(rng, item) for key, item in value.items()}
    if "purchase" in made:  # it names its member
        made = {key: item for key, item in made.items() if key not in ("member", "sale", "goods")}
    for place, line in enumerate(made["lines"] if isinstance(made.get("lines"), list) else []):
        if isinstance(line, dict) and isinstance(line.get("amount"), int) and "id" in line:
            line["id"] = str(place)
            for part in ("discount", "tax"):
                if isinstance(line.get(part), int):
                    line[part] = min(line[part], line["amount"] // 2)
    if made.get("points") is not None and "amount" in made and "reason" not in made:  # points, or money
        made = {key: item for key, item in made.items() if key not in ("amount", "currency")}
    return made


def whole(value):
    """1.0 is an integer to JSON Schema; to the node, which keeps floats away from money, it is none. Nor are numbers beyond
    those of IEEE 754 JSON that it reads."""
    if isinstance(value, (int, float)) and abs(value) > 10**300:
        return 0
    if isinstance(value, dict):
        return {key: whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def linked(value):
    """Whether the node gave out something of this value."""
    if isinstance(value, (dict, list)):
        return any(linked(item) for item in (value.values() if isinstance(value, dict) else value))
    return isinstance(value, str) and value in SEEN


def wanted(rng, case, known):
    """What a case is turned into: "2xx", a refusal that has not been met yet, "real" ids, or nothing else than was generated."""
    met = MET[case.operation.label]
    documented = {str(status) for status in case.operation.responses.status_codes}
    possible = set(known) | {"413"} | ({"404"} if case.path_parameters else set())
    unmet = [status for status in sorted(possible & documented) if not met[status]]
    behind = "2xx" in known and sum(count for status, count in met.items() if status[0] == "2") < PLENTY
    if rng.random() >= (0.9 if unmet or behind else 0.5):
        return None
    turn = rng.random()
    if turn < 0.25 and unmet:
        return rng.choice(unmet)
    return "2xx" if turn < (0.8 if behind else 0.2) and "2xx" in known else "real"


schemathesis.serializer.alias("application/x-ndjson", "application/json")  # of one line


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
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    sent = case.body is not NOT_SET
    body = whole(case.body) if sent else None
    name = f"{case.method.upper()} {re.sub('{.*?}', '{}', case.path)}"
    rng = random.Random(f"{SEEDS['seed']} {name} {case.path_parameters} {case.query} {body} {dict(case.headers)}")
    phase = case.meta.phase.name.value
    follows = phase == "stateful" and (linked(body) or linked(case.path_parameters))
    known = KNOWN.get(name, {})
    answer = None if phase == "examples" or follows else wanted(rng, case, known)
    if answer:
        request = draw(rng, known.get(answer, {}))
        parts = case.path.split("/")
        places = [(part[1:-1], PATHS.get(before)) for before, part in zip(parts, parts[1:]) if part.startswith("{")]
        if answer == "404" and not request:
            request = {"path": ["nobody"] * len(places)}
        if answer == "413" and not request and isinstance(body, dict):
            request = {"body": {**body, "padding": "x" * (1 << 20)}}  # just above what a node reads: it answers without closing on us
        if sent:
            body = request["body"] if "body" in request else body if "/programme" in name or "/simulations" in name else fill(rng, body)
        if "path" in request:
            case.path_parameters.update(zip((parameter for parameter, _ in places), request["path"]))
        else:
            case.path_parameters.update((parameter, draw(rng, pool)) for parameter, pool in places if pool)
        # Of the stream of a member with a past the first event comes at once.
        case.headers.update({"Idempotency-Key": draw(rng, "$fresh"), **(request or draw(rng, known.get("2xx", {}))).get("headers", {})})
    if name in ("POST /v1/purchases", "POST /v1/claims", "POST /v1/returns", "POST /v1/voids") and isinstance(body, dict):
        own = [body, body.get("receipt") or {}]
        if not any(part.get(key) is not None for part in own for key in ("transaction_id", "sequence")):
            case.headers.setdefault("Idempotency-Key", draw(rng, "$fresh"))  # what has no key at all is refused
    if sent:
        case.body = body


@schemathesis.hook
def after_call(context, case, response):
    phase = case.meta.phase.name.value if case.meta is not None else "checks"
    if case.method.upper() != "GET" and (tag := response.headers.get("etag")):
        POOLS["etag"].append(tag[0])
    COUNTS[case.operation.label][f"{phase} {response.status_code}"] += 1
    MET[case.operation.label][str(response.status_code)] += 1
    try:
        made = json.loads(response.content)
    except ValueError:
        return
    if isinstance(made, dict) and str(made.get("id")).startswith("trf_"):
        POOLS["transfer"].append(made["id"])
    if response.status_code == 202 and case.operation.label == "POST /v1/reports/journal":
        POOLS["journal"].append(made["id"])
    elif case.operation.label == "POST /v1/batches":
        pass  # its lines are ready in no time
    elif response.status_code == 202 and isinstance(made, dict) and str(made.get("id")).startswith("job_"):
        POOLS["job"].append(made["id"])
    if isinstance(made, dict):
        SEEN.update(made[field] for field in ("id", "member") if isinstance(made.get(field), str))


@atexit.register
def write():
    with open(os.environ["TESSERA_FUZZ_COUNTS"], "w") as file:
        json.dump(COUNTS, file)
