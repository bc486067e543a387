#!/usr/bin/env python3
"""The zone of the process is nobody's: the same requests to nodes in other zones make the same records, but for the time of arrival.

    zones.py [--baskets 400] [--binary target/debug/tessera]
"""
import json
import os
import pathlib
import shutil
import signal
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))
from clients import arguments  # noqa: E402
import baskets  # noqa: E402
import node  # noqa: E402
from programme import Api  # noqa: E402

ZONES = ["UTC", "Pacific/Apia", "America/St_Johns", "Asia/Kathmandu"]


def done(answered):
    status, answer, _ = answered
    if status != 201:
        sys.exit(f"not taken: {status} {answer}")
    return answer


def told(binary, zone, count):
    """Every answer, and every statement, of a node in a zone."""
    folder, answers = tempfile.mkdtemp(prefix="tessera-zones-"), []
    os.environ["TZ"] = zone
    serving = node.Node(binary, pathlib.Path(folder) / "data", HERE.parent / "config" / "rich.toml", "2018-01-01T05:00:00Z")
    api = Api(serving.port)
    members = []
    for _, basket in baskets.baskets(count):
        assert not basket["occurred_at"].endswith("Z") and "+" not in basket["occurred_at"], "the baskets tell local time"
        answers.append(done(api("POST", "/v1/purchases", basket | {"business_date": basket["occurred_at"][:10]})))
        members.append(answers[-1]["member"])
    for number, made in enumerate(answers[::7]):
        answers.append(done(api("POST", "/v1/returns", {"purchase": made["id"], "occurred_at": "2018-01-01T04:00:00Z"}, Idempotency_Key=f"r{number}")))
    for member in sorted(set(members)):
        for what in ("", "/lots", "/statement", "/tier", "/quests", "/achievements"):
            answers.append(api("GET", f"/v1/members/{member}{what}")[1])
    serving.end(signal.SIGTERM)
    shutil.rmtree(folder)
    return answers


def timeless(value):
    """Without the time of arrival."""
    if isinstance(value, dict):
        return {name: timeless(of) for name, of in value.items() if name not in ("at", "enrolled_at", "active_since", "request_id")}
    return [timeless(of) for of in value] if isinstance(value, list) else value


def main():
    args = arguments(baskets=400)
    first, problems = None, []
    for zone in ZONES:
        answers = json.dumps(timeless(told(args.binary, zone, args.baskets)), sort_keys=True)
        first = first or answers
        if answers != first:
            place = next(n for n, (a, b) in enumerate(zip(first, answers)) if a != b)
            problems.append(f"{zone}: {answers[place - 200:place + 200]}")
    node.tell(problems)
    print(f"{args.baskets} baskets in {len(ZONES)} zones, {len(first)} bytes of answers each: {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
