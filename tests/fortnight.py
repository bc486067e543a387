#!/usr/bin/env python3
"""A file of real baskets end to end: replayed into a fresh node, replayed again, audited, and compared with the points
that tests/year_points.py computes from the file alone.

    fortnight.py                      the fortnight kept in the project
    fortnight.py --file FILE.csv.gz   any file of that shape, such as the whole year
"""
import argparse
import atexit
import http.client
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
PROGRAMME = str(HERE.parent / "config" / "programme.toml")


def run(*arguments):
    """What a command printed as JSON, and whether it ended well."""
    ended = subprocess.run(arguments, stdout=subprocess.PIPE, text=True)
    return (json.loads(ended.stdout) if ended.stdout else None), ended.returncode == 0


def serve(binary, folder, programme=PROGRAMME):
    process = subprocess.Popen([binary, "serve", "--folder", folder, "--programme", programme, "--listen", "127.0.0.1:0"], stderr=subprocess.PIPE, text=True)
    atexit.register(process.kill)
    for line in process.stderr:
        if "ready on http://" in line:
            return process, line.rsplit("http://", 1)[1].strip()
    sys.exit("the node did not start")


def balances(address, households):
    connection = http.client.HTTPConnection(address)
    found = {}
    for household in households:
        connection.request("POST", "/v1/members/lookup", json.dumps({"type": "card", "value": household}), {"content-type": "application/json"})
        found[household] = json.loads(connection.getresponse().read())["wallets"]["points"]["available"]
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", default=os.environ.get("TESSERA_BINARY", "target/debug/tessera"))
    parser.add_argument("--file", default=str(HERE / "data" / "two_weeks.csv.gz"))
    arguments = parser.parse_args()
    parent = tempfile.mkdtemp(prefix="tessera-fortnight-")
    folder, problems = os.path.join(parent, "folder"), []
    expected, _ = run(sys.executable, str(HERE / "year_points.py"), arguments.file)

    first, good = run(arguments.binary, "replay", arguments.file, "--fresh", folder, "--json")
    if not good or first["new"] != expected["baskets"] or first["earned"] != expected["points"] or first["members"] != expected["households"]:
        problems.append(f"the first replay: {first}")
    process, address = serve(arguments.binary, folder)
    again, good = run(arguments.binary, "replay", arguments.file, "--node", address, "--json")
    if not good or again["new"] != 0 or again["repeats"] != expected["baskets"] or again["earned"] != expected["points"]:
        problems.append(f"the second replay: {again}")
    for household, points in balances(address, expected["by_household"]).items():
        if points != expected["by_household"][household]:
            problems.append(f"household {household} has {points}, its baskets earn {expected['by_household'][household]}")
    process.send_signal(signal.SIGTERM)
    if process.wait() != 0:
        problems.append("the node did not end well")
    books, good = run(arguments.binary, "audit", "--folder", folder, "--json")
    if not good or books["wallets"]["0"]["closing"] != expected["points"] or books["closing_by_api"] != {"0": expected["points"]}:
        problems.append(f"the audit: {books}")
    shutil.rmtree(parent)
    for problem in problems[:10]:
        print(problem)
    print(f"{expected['baskets']} baskets of {expected['households']} households, {expected['points']} points, {first['per_second']:.0f} baskets/s: {len(problems)} problems")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
