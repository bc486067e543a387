#!/usr/bin/env python3
"""What is due is posted for members that nobody asks for: holds end, points unlock, are told of and expire, also when their time
passed while the node was down, after kill -9 and after an orderly end.

    reminders.py [--members 60] [--binary target/debug/tessera]
"""
import datetime
import json
import pathlib
import signal
import sys
import tempfile
import time
import urllib.request

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))
from clients import arguments  # noqa: E402
import node  # noqa: E402
from programme import Api  # noqa: E402

START = datetime.datetime.fromisoformat("2026-05-05T11:59:40Z")
MIDNIGHT = datetime.datetime.fromisoformat("2026-05-05T12:00:00Z")  # in the programme's zone
PATIENCE = 40  # seconds; a reminder lags by ten and some
PROGRAMME = {
    "name": "reminders", "zone": "Etc/GMT-12", "unknown_stores": "accept", "aliases": {"card": "enrol"},
    "wallet": [{"id": "points", "values": {"EUR": "0.01"}, "expiry": {"months": 0, "notice_days": 1}}],
    "earn": [{"id": "base", "currency": "EUR", "points": "1", "text": "-"}],
    "pending": [{"id": "soon", "unlock": {"at": (MIDNIGHT - datetime.timedelta(seconds=8)).isoformat()}, "when": {"categories": ["later"]}}],
    "tiers": {"metric": "points", "period": "calendar_year", "level": [{"id": "base", "name": "Base", "threshold": 0}]},
}


def statement(api, member):
    """Entries, oldest first; reading it posts nothing."""
    return api("GET", f"/v1/members/{member}/statement")[1]["entries"][::-1]


def told(port, member):
    """Names of the events that its stream has told after two seconds."""
    names = []
    try:
        with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/v1/members/{member}/events", headers={"Last-Event-ID": "0.0"}), timeout=2) as stream:
            for line in stream:
                names += [line.decode().removeprefix("event:").strip()] if line.startswith(b"event:") else []
    except TimeoutError:
        return names
    return [*names, "the stream has ended"]


def wait_for(api, members, what, holds):
    """Members whose statement does not come to hold what it should in time."""
    left, ends = list(members), time.monotonic() + PATIENCE
    while left and time.monotonic() < ends:
        left = [member for member in left if not holds(statement(api, member))]
        time.sleep(0.5)
    return [f"{what}: {len(left)} of {len(members)} members, such as {json.dumps(statement(api, left[0]))}"] if left else []


def main():
    args = arguments(members=60)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tessera-reminders-"))
    (folder / "programme.json").write_text(json.dumps(PROGRAMME))
    problems = []

    def serve():
        return node.Node(args.binary, folder / "data", folder / "programme.json", START.isoformat())

    serving = serve()
    began = time.monotonic()
    api, kinds = Api(serving.port), {"plain": [], "held": [], "later": [], "spent": []}
    for number in range(args.members):
        kind = list(kinds)[number % 4]
        basket = {"member": {"alias": {"type": "card", "value": f"{number}"}}, "transaction_id": f"{number}", "source": "pos", "occurred_at": START.isoformat(), "currency": "EUR",
                  "lines": [{"id": "1", "amount": 1000, "category": kind}]}
        status, bought, _ = api("POST", "/v1/purchases", basket, Idempotency_Key=f"b{number}")
        member = bought["member"]
        kinds[kind].append(member)
        if kind == "held":
            api("POST", "/v1/holds", {"member": member, "points": 4, "ttl_seconds": 2}, Idempotency_Key=f"h{number}")
        if kind == "spent":
            api("POST", "/v1/redemptions", {"member": member, "points": 10}, Idempotency_Key=f"r{number}")
    # Killed before most of it is due or indexed; up again for a while; then ended in good order, and down while points expire.
    serving.end(signal.SIGKILL)
    serving = serve()
    api = Api(serving.port)
    if (took := time.monotonic() - began) > 10:
        print(f"reminders: this machine took {took:.0f} s to begin")
    problems += wait_for(api, kinds["held"], "their hold ended", lambda entries: any(one["type"] == "elapsed" and one["wallets"]["points"]["change"]["held"] == -4 for one in entries))
    serving.end(signal.SIGTERM)
    time.sleep(max(0, 21 - (time.monotonic() - began)))
    serving = serve()
    api = Api(serving.port)
    for kind in ("plain", "held", "later"):
        problems += wait_for(api, kinds[kind], f"{kind}: nothing is left", lambda entries: entries[-1]["type"] == "elapsed" and entries[-1]["wallets"]["points"]["available"] == 0
                             and entries[-1]["wallets"]["points"]["pending"] == 0)
    for member in kinds["spent"]:
        if any(one["type"] == "elapsed" for one in statement(api, member)):
            problems.append(f"nothing was due for {member}: {statement(api, member)}")
    # What was told ahead, and what happened, as apps see it.
    for kind, expected in {"plain": ["points.earned", "points.expiring", "points.expired"], "later": ["points.pending", "points.activated", "points.expired"]}.items():
        names = told(serving.port, kinds[kind][0])
        if [name for name in names if name in [*expected, "the stream has ended"]] != expected:
            problems.append(f"{kind}: the stream tells {names}")
    # Nothing is posted twice.
    before = {member: len(statement(api, member)) for all_of_kind in kinds.values() for member in all_of_kind}
    time.sleep(3)
    twice = [member for member, count in before.items() if len(statement(api, member)) != count]
    problems += [f"{len(twice)} members are posted to again"] if twice else []
    serving.leave(folder, problems)
    print(f"reminders: {args.members} members that nobody asked for, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
