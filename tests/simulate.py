#!/usr/bin/env python3
"""A simulation says what a replay under the draft really comes to: a file of real baskets is replayed under one programme, a
draft is simulated over that journal, and then replayed under in earnest. Points given, balances and tiers must be the same.

    simulate.py                      the fortnight kept in the project
    simulate.py --file FILE.csv.gz   any file of that shape, such as the whole year
"""
import argparse
import json
import os
import pathlib
import shutil
import sys
import tempfile
import time
import tomllib

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))
import node  # noqa: E402
from fortnight import run, serve  # noqa: E402
from programme import Api  # noqa: E402


def job(api, path, body):
    """What came of a job, and how long it took."""
    began = time.monotonic()
    return node.job(api, api("POST", path, body)[1]), time.monotonic() - began


def ended(folder, binary, programme, expected):
    """What each wallet closes at, as the API of a node on the folder has it once nothing is due."""
    process, address = serve(binary, folder, programme)
    api = Api(int(address.rsplit(":", 1)[1]))
    ends = time.monotonic() + 30
    while True:
        closing = {wallet["wallet"]: wallet["pending"] + wallet["active"] for wallet in api("GET", "/v1/reports/liability")[1]["wallets"]}
        # What is due is posted some ten seconds late at most.
        if time.monotonic() > ends or all(closing[wallet] == of for wallet, of in expected.items()):
            break
        time.sleep(1)
    process.terminate()
    process.wait()
    return closing


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", default=os.environ.get("TESSERA_BINARY", "target/debug/tessera"))
    parser.add_argument("--file", default=str(HERE / "data" / "two_weeks.csv.gz"))
    parser.add_argument("--real", default=str(HERE.parent / "config" / "programme.toml"))
    parser.add_argument("--draft", default=str(HERE.parent / "config" / "rich.toml"))
    args = parser.parse_args()
    parent, problems = tempfile.mkdtemp(prefix="tessera-simulate-"), []
    folder = os.path.join(parent, "real")
    real, good = run(args.binary, "replay", args.file, "--fresh", folder, "--programme", args.real, "--json")
    if not good:
        problems.append(f"the first replay: {real}")
    process, address = serve(args.binary, folder, args.real)
    api = Api(int(address.rsplit(":", 1)[1]))
    made, took = job(api, "/v1/simulations", {"programme": tomllib.loads(pathlib.Path(args.draft).read_text())})
    if made.get("state") != "done":
        sys.exit(f"the simulation: {json.dumps(made)[:2000]}")
    said = made["result"]
    before = {wallet["wallet"]: wallet["pending"] + wallet["active"] for wallet in api("GET", "/v1/reports/liability")[1]["wallets"]}
    same, _ = job(api, "/v1/simulations", {"programme": tomllib.loads(pathlib.Path(args.real).read_text())})
    for wallet, of in same["result"]["wallets"].items():
        if of["given"]["real"] != of["given"]["draft"] or of["closing"]["real"] != of["closing"]["draft"]:
            problems.append(f"the programme that served, simulated: {wallet} {of}")
    if same["result"]["gain_most"] or same["result"]["lose_most"] or same["result"]["refused"]:
        problems.append(f"the programme that served, simulated, changes something: {json.dumps(same['result'])[:1000]}")
    process.terminate()
    process.wait()
    again, good = run(args.binary, "replay", args.file, "--fresh", os.path.join(parent, "draft"), "--programme", args.draft, "--json")
    if not good:
        problems.append(f"the replay under the draft: {again}")
    given = {which: sum(of["given"][which] for of in said["wallets"].values()) for which in ("real", "draft")}
    if said["purchases"] != real["new"] or given != {"real": real["earned"], "draft": again["earned"]}:
        problems.append(f"given: {said['wallets']}, replayed {real['earned']} and {again['earned']}")
    closing = ended(os.path.join(parent, "draft"), args.binary, args.draft, {wallet: of["closing"]["draft"] for wallet, of in said["wallets"].items()})
    for wallet, of in said["wallets"].items():
        if of["closing"] != {"real": before.get(wallet, 0), "draft": closing[wallet]}:
            problems.append(f"{wallet} closes at {of['closing']}; really at {before.get(wallet, 0)}, and under the draft at {closing[wallet]}")
    tiers = {tier: both["draft"] for tier, both in said["members_by_tier"].items() if both["draft"]}
    if tiers != {tier: count for tier, count in again["tiers"].items() if count}:
        problems.append(f"tiers: {tiers} simulated, {again['tiers']} replayed")
    shutil.rmtree(parent)
    for problem in problems[:10]:
        print(problem)
    print(f"{said['purchases']} purchases of {said['members']} members simulated in {took:.1f} s: {given} given, as replayed: {len(problems)} problems")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
