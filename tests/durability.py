#!/usr/bin/env python3
"""Kills a real node, or cuts its power, while separate processes post real baskets to it; then asks what it still knows.

    durability.py crash      --runs 20     kill -9 at random moments; each restart opens the same folder
    durability.py powerloss  --runs 20     the folder as it could look after a power cut, opened anew each time
    durability.py … --sabotage skip_sync   break one promise on purpose (debug builds): the check must fail

A client writes each request before it sends it and each answer when it has it. The checker reads only those files and
the API: what was acknowledged is there once, with the same answer; a balance is the sum of what was earned.
"""
import argparse
import glob
import http.client
import json
import multiprocessing
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE / "powerloss")]
from baskets import baskets  # noqa: E402

START = "2017-03-14T12:00:00Z"  # after the file's last basket
CLIENTS = 6


def start(binary, folder, env=None, wait=30):
    """A node on a free port; answers (process, port), or (process, None) with its last words when it did not start."""
    arguments = [binary, "serve", "--folder", folder, "--programme", str(HERE.parent / "config" / "programme.toml"),
                 "--listen", "127.0.0.1:0", "--clock-start-at", START]
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, env={**os.environ, "TESSERA_LOG": "error", **(env or {})}, text=True)
    words = []
    for line in process.stderr:
        words.append(line)
        if "ready on http://" in line:
            return process, int(line.rsplit(":", 1)[1])
    return process, "".join(words)


def post(connection, body):
    connection.request("POST", "/v1/purchases", json.dumps(body), {"content-type": "application/json"})
    answer = connection.getresponse()
    return answer.status, answer.getheader("idempotent-replayed"), answer.read().decode()


def client(number, port, first, work, log):
    """Posts its share of the baskets until the node is gone. One line a request, one an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with open(log, "a", buffering=1) as out:
        for place in range(first + number, len(work), CLIENTS):
            out.write(json.dumps({"sent": place}) + "\n")
            try:
                status, _, text = post(connection, work[place][1])
            except OSError:
                return
            except http.client.HTTPException:
                return
            out.write(json.dumps({"place": place, "status": status, "text": text, "ns": time.monotonic_ns()}) + "\n")


def load(port, first, work, logs, seconds):
    clients = [multiprocessing.Process(target=client, args=(n, port, first, work, f"{logs}/{n}")) for n in range(CLIENTS)]
    for process in clients:
        process.start()
    time.sleep(seconds)
    return clients


def read(logs):
    """(answers by place, every place sent)."""
    answers, sent = {}, set()
    for name in glob.glob(f"{logs}/*"):
        for text in open(name):
            try:
                entry = json.loads(text)
            except json.JSONDecodeError:
                continue  # cut short by the end of the client
            if "sent" in entry:
                sent.add(entry["sent"])
            else:
                answers.setdefault(entry["place"], entry)
    return answers, sent


def check(port, work, answers, sent, balances):
    """Problems found. Sends again all that was sent: acknowledged → the same answer, marked as a repeat.

    `balances`: `sent` is all that was ever sent, so a member has what these baskets earned and nothing else."""
    problems, earned = [], {}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for place in sorted(sent):
        status, replayed, text = post(connection, work[place][1])
        known = answers.get(place)
        acknowledged = known and known["status"] == 201
        if acknowledged and (replayed != "true" or text != known["text"]):
            problems.append(f"basket {work[place][1]['transaction_id']} was acknowledged and is {'different' if replayed else 'lost'}")
        if status != 201:
            problems.append(f"basket {work[place][1]['transaction_id']} was answered {status}: {text}")
        else:
            made = json.loads(text)
            earned[made["member"]] = earned.get(made["member"], 0) + made["wallets"]["points"]["earned"]
    for member, points in earned.items() if balances else ():
        connection.request("GET", f"/v1/members/{member}")
        wallet = json.loads(connection.getresponse().read())["wallets"]["points"]
        if wallet["available"] != points:
            problems.append(f"{member} earned {points} and has {wallet['available']}")
    return problems


def crash(arguments, work, folder):
    logs = tempfile.mkdtemp(prefix="tessera-clients-")
    env = {"TESSERA_TEST_SABOTAGE": arguments.sabotage} if arguments.sabotage else {}
    checked, first = 0, 0
    for run in range(arguments.runs):
        process, port = start(arguments.binary, folder, env)
        if not isinstance(port, int):
            return [f"run {run}: the node did not start: {port}"], checked
        answers, sent = read(logs)
        recent = {place for place in sent if place >= first - 600}
        problems = check(port, work, answers, recent, balances=recent == sent)
        checked += len(recent)
        first = (max(sent) + 1) if sent else 0
        if not problems and first < len(work) - CLIENTS:
            clients = load(port, first, work, logs, random.uniform(0.05, 0.8))
        else:
            clients = []
        process.send_signal(signal.SIGKILL)
        process.wait()
        for one in clients:
            one.join()
        if problems:
            return problems, checked
        # Also while it opens, wakes and indexes.
        if run % 3 == 0:
            process = subprocess.Popen([arguments.binary, "serve", "--folder", folder, "--programme", str(HERE.parent / "config" / "programme.toml"),
                                        "--listen", "127.0.0.1:0"], stderr=subprocess.DEVNULL)
            time.sleep(random.uniform(0.0, 0.08))
            process.kill()
            process.wait()
    process, port = start(arguments.binary, folder, env)
    if not isinstance(port, int):
        return [f"the node did not start: {port}"], checked
    answers, sent = read(logs)
    problems = check(port, work, answers, sent, balances=True)
    process.send_signal(signal.SIGTERM)
    if process.wait(timeout=30) != 0:
        problems.append("SIGTERM did not end the node cleanly")
    return problems, checked + len(sent)


def powerloss(arguments, work, folder):
    from cut import Trace
    shim, trace, logs = f"{folder}.so", f"{folder}.trace", tempfile.mkdtemp(prefix="tessera-clients-")
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", shim, str(HERE / "powerloss" / "shim.c"), "-ldl", "-lpthread"], check=True)
    os.mkdir(folder)
    env = {"POWERLOSS_ROOT": folder, "POWERLOSS_TRACE": trace, "LD_PRELOAD": shim}
    if arguments.sabotage:
        env["TESSERA_TEST_SABOTAGE"] = arguments.sabotage
    process, port = start(arguments.binary, folder, env)
    if not isinstance(port, int):
        return [f"the node did not start: {port}"], 0
    clients = load(port, 0, work, logs, 3)
    process.kill()
    process.wait()
    for one in clients:
        one.join()
    answers, _ = read(logs)
    recorded = Trace(trace)
    begins = recorded.sync_begins
    checked = 0
    for run in range(arguments.runs):
        out = f"{folder}.cut"
        shutil.rmtree(out, ignore_errors=True)
        at = recorded.before_sync(random.randrange(len(begins))) if run % 2 and begins else random.randrange(len(recorded) + 1)
        cut = recorded.cut(at, random.choice([512, 4096]), random.randrange(1 << 30), out)
        until = cut["next_ns"]
        process, port = start(arguments.binary, out)
        if not isinstance(port, int):
            return [f"cut {at}: the folder did not open: {port}"], checked
        due = {place for place, one in answers.items() if until is None or one["ns"] < until}
        asked = set(random.sample(sorted(due), min(400, len(due)))) | set(sorted(due)[-100:])
        problems = check_kept(port, work, answers, asked)
        checked += len(asked)
        process.kill()
        process.wait()
        if problems:
            return [f"cut {at}: {problem}" for problem in problems], checked
    return [], checked


def check_kept(port, work, answers, asked):
    """Every one of `asked` was acknowledged before the cut: it must be a repeat with the same answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    problems = []
    for place in sorted(asked):
        _, replayed, text = post(connection, work[place][1])
        if answers[place]["status"] == 201 and (replayed != "true" or text != answers[place]["text"]):
            problems.append(f"basket {work[place][1]['transaction_id']} was acknowledged and is lost")
    return problems


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["crash", "powerloss"])
    parser.add_argument("--binary", default=os.environ.get("TESSERA_BINARY", "target/debug/tessera"))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--sabotage")
    parser.add_argument("--seed", type=int, default=time.time_ns() % (1 << 32))
    arguments = parser.parse_args()
    if not os.access(arguments.binary, os.X_OK):
        sys.exit(f"{arguments.binary} is missing: build it first with cargo build")
    random.seed(arguments.seed)
    work = list(baskets())
    # A long loop must not run out of baskets: the same goods again are other sales.
    again = range(1, 1 + arguments.runs // 6)
    work += [(who, {**sale, "transaction_id": f"{sale['transaction_id']}-{turn}"}) for turn in again for who, sale in work]
    parent = tempfile.mkdtemp(prefix="tessera-durability-")
    problems, checked = (crash if arguments.what == "crash" else powerloss)(arguments, work, os.path.join(parent, "folder"))
    for problem in problems[:10]:
        print(problem)
    shutil.rmtree(parent, ignore_errors=True)
    caught = "caught" if problems else "not caught"
    outcome = f"sabotage {arguments.sabotage}: {caught}" if arguments.sabotage else f"{len(problems)} problems"
    print(f"{arguments.what}: {arguments.runs} runs, seed {arguments.seed}, {checked} answers checked, {outcome}")
    sys.exit(bool(problems) != bool(arguments.sabotage))


main()
