#!/usr/bin/env python3
"""What a disk can do to a node: run full, refuse writes, flip a bit. Asks afterwards what the node still knows.

    disk.py full      --runs 2       the disk fills up while clients post: one sentence, code 74; with room again all is there
    disk.py refused                  a read-only folder, and a folder that is in use: one sentence, code 1
    disk.py bitflips  --flips 1000   one random bit of a folder that was stopped, killed, or is large enough for tables

After a flip a node may refuse to start and say why, answer 503 `member_stopped` for the members concerned, or be right.
It may not answer wrongly, forget what was acknowledged, panic or hang. The lists that are printed count what it did.
"""
import argparse
import collections
import hashlib
import http.client
import json
import multiprocessing
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))
from baskets import baskets  # noqa: E402

START = "2017-03-14T12:00:00Z"  # after the file's last basket
CLIENTS = 6
LIMIT = 20  # seconds; whoever needs longer hangs


class Node:
    """A node on a free port; `port` is None if it did not start. It speaks into a file, so that nobody must read along."""

    def __init__(self, binary, folder):
        self.file = tempfile.TemporaryFile()
        arguments = [binary, "serve", "--folder", str(folder), "--programme", str(HERE.parent / "config" / "programme.toml"),
                     "--listen", "127.0.0.1:0", "--clock-start-at", START]
        self.process = subprocess.Popen(arguments, stderr=self.file, env={**os.environ, "TESSERA_LOG": "warn", "RUST_BACKTRACE": "0"})
        self.port, self.hung, began = None, False, time.monotonic()
        while self.port is None and self.process.poll() is None:
            ready = re.search(r"ready on http://.*:(\d+)\n", self.words())
            self.port = int(ready[1]) if ready else None
            if time.monotonic() > began + LIMIT:
                self.hung = True
                self.end(signal.SIGKILL)
            time.sleep(0.002)
        self.seconds = time.monotonic() - began

    def words(self):
        return os.pread(self.file.fileno(), 1 << 24, 0).decode(errors="replace")

    def said(self):
        """What it said to people: all but its log."""
        spoken = re.sub(r"\S*/registry/src/[^/]*/|note: run with .*|^\n", "", self.words(), flags=re.M)
        return [line for line in spoken.splitlines() if line and not line.startswith(("{", "tessera is ready"))]

    def end(self, how):
        """Its code; how it ended if that was not by `how`."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.hung = True
            self.process.kill()
            return self.process.wait()

    def unclean(self, *codes):
        """Why this was no end with one sentence and one of the codes; None if it was."""
        if self.hung or self.process.poll() is None:
            return f"hangs for {LIMIT} s"
        said, code = self.said(), self.process.returncode
        if code not in codes or len(said) != 1 or not said[0].startswith("tessera: "):
            return f"ends with code {code} and says {' | '.join(said)[:400] or 'nothing'}"
        return None


def ask(connection, method, path, body=None):
    """(status, code of a problem, replayed, text)."""
    connection.request(method, path, body and json.dumps(body), {"content-type": "application/json"} if body else {})
    answer = connection.getresponse()
    text = answer.read().decode()
    return answer.status, json.loads(text).get("code") if answer.status >= 400 else None, answer.getheader("idempotent-replayed") == "true", text


def share(port, work, places):
    """Posts its places until the node is gone; answers (place, text or None, when) for each that was sent."""
    connection, sent = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT), []
    for place in places:
        try:
            status, _, _, text = ask(connection, "POST", "/v1/purchases", work[place])
        except (OSError, http.client.HTTPException):
            return [*sent, (place, None, 0)]
        sent.append((place, text if status == 201 else None, time.monotonic_ns()))
        if status >= 500:
            return sent
    return sent


class Known:
    """What clients were told: the text by place, the balances; places in the order of their answers."""

    def __init__(self):
        self.texts, self.balances, self.member = {}, collections.Counter(), {}

    def add(self, sent):
        for place, text, _ in sorted((one for one in sent if one[1]), key=lambda one: one[2]):
            made = json.loads(text)
            self.texts[place], self.member[place] = hashlib.sha256(text.encode()).digest(), made["member"]
            self.balances[made["member"]] += made["earned"]


def load(port, work, places, meanwhile=None):
    with multiprocessing.Pool(CLIENTS) as clients:
        shares = clients.starmap_async(share, [(port, work, places[n::CLIENTS]) for n in range(CLIENTS)])
        if meanwhile:
            meanwhile(shares)
        return [one for sent in shares.get() for one in sent]


def check(node, work, known, places):
    """(members stopped, problems): every balance, then these places again. The node may have ended in between."""
    connection, stopped, problems, wrong = http.client.HTTPConnection("127.0.0.1", node.port, timeout=LIMIT), set(), [], []
    try:
        for member, points in known.balances.items():
            status, code, _, text = ask(connection, "GET", f"/v1/members/{member}")
            if code == "member_stopped":
                stopped.add(member)
            elif status != 200:
                problems.append(f"{member} had {points} and is answered {status} {code}")
            elif (has := json.loads(text)["wallet"]["available"]) != points:
                problems.append(f"{member} had {points} and has {has}")
        for place in places:
            status, code, replayed, text = ask(connection, "POST", "/v1/purchases", work[place])
            if code == "member_stopped":
                stopped.add(known.member[place])
            elif status != 201 or not replayed or hashlib.sha256(text.encode()).digest() != known.texts[place]:
                what = f"answered {status} {code}" if status != 201 else "another text" if replayed else "LOST and done again"
                wrong.append(f"basket {work[place]['transaction_id']} was acknowledged and is {what}")
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, TimeoutError):
            problems.append(f"no answer within {LIMIT} s")
        else:
            node.end(0)
            problems.append(f"the node is gone ({error!r}): it {node.unclean(74) or node.said()[0]}")
    if "panicked" in node.words():
        problems.append(f"it panics: {' | '.join(node.said())[:400]}")
    return stopped, wrong + problems


def mounted(path, *how):
    """None, or why it could not be mounted."""
    try:
        made = subprocess.run(["mount", *how, str(path)], capture_output=True, text=True)
    except OSError as error:
        return str(error)
    return None if made.returncode == 0 else made.stderr.strip() or f"mount ended with {made.returncode}"


def full(arguments, work, parent):
    problems, checked = [], 0
    for run in range(arguments.runs):
        disk = parent / f"disk{run}"
        disk.mkdir()
        if why := mounted(disk, "-t", "tmpfs", "-o", "size=48m", "tmpfs"):
            return [], f"skipped, no small disk can be mounted: {why}"
        try:
            found, asked = fill(arguments.binary, work, disk, random.randrange(4 << 20, 8 << 20), random.randrange(64 << 10, 2 << 20))
        finally:
            subprocess.run(["umount", str(disk)])
        problems += [f"run {run}: {problem}" for problem in found]
        checked += asked
    return problems, f"{arguments.runs} runs, {checked} answers checked"


def fill(binary, work, disk, before, left):
    """Clients write `before` bytes; then all but `left` is taken away from them."""
    filler, known = disk / "filler", Known()
    node = Node(binary, disk / "folder")
    if node.port is None:
        return [f"the node did not start: {node.words()}"], 0

    def take(shares):
        while shutil.disk_usage(disk).used < before and not shares.ready():
            time.sleep(0.01)
        with open(filler, "wb", buffering=0) as out:
            while (room := shutil.disk_usage(disk).free - left) > 0:
                out.write(bytes(min(room, 1 << 20)))

    sent = load(node.port, work, range(len(work)), take)
    known.add(sent)
    problems = []
    try:
        node.process.wait(LIMIT)
        problems += [f"on a full disk it {how}" for how in [node.unclean(74)] if how]
    except subprocess.TimeoutExpired:
        problems.append(f"the disk is full and the node goes on: {node.words()}")
        node.end(signal.SIGKILL)
    node = Node(binary, disk / "folder")  # still full: it may say so, or serve until the first write
    if node.port is None and (how := node.unclean(1, 74)):
        problems.append(f"started on a full disk it {how}")
    node.end(signal.SIGKILL)
    filler.unlink()
    node = Node(binary, disk / "folder")
    if node.port is None:
        return [*problems, f"with room again it does not start: {node.words()}"], 0
    # What was sent and not answered may be there or not: sent again, it is; only then balances are known.
    unanswered = [place for place, text, _ in sent if text is None]
    known.add(share(node.port, work, unanswered))
    stopped, found = check(node, work, known, list(known.texts))
    problems += found + [f"{member} is stopped" for member in stopped]
    if (code := node.end(signal.SIGTERM)) != 0:
        problems.append(f"SIGTERM ends it with code {code}: {node.said()}")
    if len(sent) - len(unanswered) < 2_000:
        problems.append(f"only {len(sent) - len(unanswered)} purchases were acknowledged before the disk was full")
    return problems, len(known.texts) + len(known.balances)


def refused(arguments, work, parent):
    problems, notes, disk = [], "", parent / "disk"
    (disk / "empty").mkdir(parents=True)
    why = mounted(disk, "-t", "tmpfs", "-o", "size=48m", "tmpfs")
    folder, known = disk / "folder", Known()

    def expect(what, path):
        node = Node(arguments.binary, path)
        how = node.unclean(1) or (f"needs {node.seconds:.1f} s to say so" if node.seconds > 5 else None)
        if how:
            problems.append(f"{what}: the node {how}")
        else:
            print(f"{what}: {node.said()[0]}")
        node.end(signal.SIGKILL)

    try:
        first = Node(arguments.binary, folder)
        known.add(share(first.port, work, range(200)))
        expect("in use", folder)
        known.add(share(first.port, work, range(200, 300)))
        problems += check(first, work, known, range(300))[1]
        first.end(signal.SIGTERM)
        if not why:
            (disk / "empty").mkdir()
            why = mounted(disk, "-o", "remount,ro")
        if why:
            notes = f", skipped the read-only folder, it cannot be mounted: {why}"
        else:
            for what, path in [("read-only", folder), ("read-only and empty", disk / "empty"), ("read-only and missing", disk / "new")]:
                expect(what, path)
            mounted(disk, "-o", "remount,rw")
            first = Node(arguments.binary, folder)
            problems += check(first, work, known, range(300))[1]
            first.end(signal.SIGTERM)
    finally:
        subprocess.run(["umount", str(disk)], stderr=subprocess.DEVNULL)
    return problems, f"{len(known.texts)} answers checked{notes}"


class Base:
    """A folder to damage, and what it must know. Files are kept without the zeros that fjall allocates behind a journal."""

    def __init__(self, name, arguments, work, folder):
        self.name, self.folder, self.known, self.work = name, folder, Known(), work
        node, began = Node(arguments.binary, folder), time.monotonic()
        if name == "tables":  # fjall writes one for 64 MiB: baskets of many lines get there in seconds
            self.work = [{**sale, "tenders": [], "lines": [{**line, "id": str(n), "sku": f"{n:064}", "brand": f"{n:064}"} for n, line in enumerate((sale["lines"] * 150)[:150])]}
                         for sale in work[:3_000]] + work[3_000:]
        count, self.next = len(work) - 200, len(work) - 200
        half = count // 2
        self.known.add(load(node.port, self.work, range(half)))
        if name != "stopped":  # the index learns of these before it is too late for the others
            time.sleep(max(0, began + 11.5 - time.monotonic()))
        self.known.add(load(node.port, self.work, range(half, count)))
        code = node.end(signal.SIGTERM if name == "stopped" else signal.SIGKILL)
        if len(self.known.texts) != count or (name == "stopped" and code):
            sys.exit(f"the folder to damage was not made: {len(self.known.texts)} of {count}, code {code}, {node.words()}")
        found = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        self.files = {str(path.relative_to(folder)): (path.read_bytes().rstrip(b"\0") if path.suffix == ".jnl" else path.read_bytes(), path.stat().st_size) for path in found}
        if name == "tables" and not any(re.match(r"log/keyspaces/[12]/tables/", file) for file in self.files):
            sys.exit("the folder to damage has no table")

    def lay(self, out, file, at, bit):
        for name, (data, size) in self.files.items():
            path = out / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if name != file and "/tables/" in name:
                os.link(self.folder / name, path)  # never written again
                continue
            with open(path, "wb") as copy:
                copy.write(data)
                copy.truncate(size)
                if name == file:
                    copy.seek(at)
                    copy.write(bytes([(data[at] if at < len(data) else 0) ^ 1 << bit]))


BASES, SETTINGS = [], None  # for the workers, who inherit them


def one(number):
    """(variant, file, place in words, kinds, problems, answers checked, sentence) of one flip."""
    chance = random.Random(f"{SETTINGS.seed}/{number}")
    base = BASES[0 if number % 5 < 2 else 1 if number % 5 < 4 else 2]
    names = [name for name in base.files if base.files[name][1] and re.search(SETTINGS.only, name)]
    # By size, but half of the time every file has the same chance.
    [file] = chance.choices(names, [len(base.files[name][0]) for name in names] if chance.random() < 0.5 else None)
    data, size = base.files[file]
    at, bit = chance.randrange(min(size, len(data) + 64)), chance.randrange(8)
    out = pathlib.Path(tempfile.mkdtemp(prefix="flip-", dir=SETTINGS.parent))
    try:
        base.lay(out, file, at, bit)
        kind, problems, checked, sentence = outcome(base, out, chance, file)
    finally:
        shutil.rmtree(out)
    return base.name, file, f"byte {at} of {len(data)}, bit {bit}", kind, problems, checked, sentence


def outcome(base, folder, chance, file):
    node = Node(SETTINGS.binary, folder)
    cut = " (and the file was cut)" if file.endswith(".jnl") and (folder / file).is_file() and (folder / file).stat().st_size < len(base.files[file][0]) else ""
    if node.port is None:
        sentence = re.sub(r"\d+", "N", (node.said() or [""])[0].replace(str(folder), ""))
        if how := node.unclean(1):
            return "", [f"it {how}"], 0, ""
        again = Node(SETTINGS.binary, folder)
        if again.port is None:
            how = again.unclean(1)
            return f"refused{cut}", [f"refused once, then it {how}"] if how else [], 0, sentence
        stopped, problems = check(again, base.work, base.known, list(base.known.texts)[-400:])
        again.end(signal.SIGKILL)
        return "refused once, then right", [f"refused once ({sentence}), then: {problem}" for problem in problems], 400, sentence
    known, texts = base.known, list(base.known.texts)
    places = chance.sample(texts, 80) + texts[-40:]
    stopped, problems = check(node, base.work, known, places)
    checked = len(known.balances) + len(places)
    if not problems:  # what it takes now is kept as well
        fresh, seen = share(node.port, base.work, range(base.next, base.next + 6)), Known()
        seen.texts, seen.member, seen.balances = dict(known.texts), dict(known.member), known.balances.copy()
        seen.add(fresh)
        node.end(signal.SIGKILL)
        again = Node(SETTINGS.binary, folder)
        if again.port is None:
            problems = [f"it served, and refuses after a kill -9: {again.words()[-400:]}"]
        else:
            after, found = check(again, base.work, seen, [place for place, text, _ in fresh if text] + places[:20])
            stopped, problems = stopped | after, [f"after a kill -9: {problem}" for problem in found]
            again.end(signal.SIGKILL)
    node.end(signal.SIGKILL)
    rebuilt = "rebuilt from the log" in node.words() or "reading from the log" in node.words()
    kind = "members stopped" if stopped else "right, index rebuilt" if rebuilt else f"right{cut}"
    return kind, problems, checked, ""


def named(problem):
    """The kind of a problem."""
    words = {"LOST": "lost", "panicked": "panic", "hangs": "hang", "another text": "wrong answer", " and has ": "wrong balance"}
    return "PROBLEM, " + next((name for word, name in words.items() if word in problem), "other")


def bitflips(arguments, work, parent):
    global SETTINGS
    arguments.parent, SETTINGS = parent, arguments
    homes = dict.fromkeys(sale["member"]["alias"]["value"] for sale in work)
    few = set(list(homes)[:400])
    work = [sale for sale in work if sale["member"]["alias"]["value"] in few][:4_200]
    BASES.extend(Base(name, arguments, work, parent / name) for name in ["stopped", "killed", "tables"])
    counts, sentences, problems, checked = collections.Counter(), collections.Counter(), [], 0
    with multiprocessing.Pool(arguments.nodes) as pool:
        for variant, file, place, kind, found, asked, sentence in pool.imap_unordered(one, range(arguments.flips)):
            top = file.split("/")[0] + "/" if "/" in file else "other"
            counts[(top, variant, named(found[0]) if found else kind)] += 1
            sentences.update([sentence] if sentence else [])
            checked += asked
            if found:
                problems.append(f"{variant}: {file}, {place}: {found[0]}" + (f" (and {len(found) - 1} more)" if len(found) > 1 else ""))
    for (top, variant, kind), count in sorted(counts.items()):
        print(f"{count:6} {top:7} {variant:8} {kind}")
    for sentence, count in sentences.most_common():
        print(f"{count:6} times: {sentence}")
    return problems, f"{arguments.flips} flips, {checked} answers checked"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["full", "refused", "bitflips"])
    parser.add_argument("--binary", default=os.environ.get("TESSERA_BINARY", "target/debug/tessera"))
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--flips", type=int, default=1_000)
    parser.add_argument("--nodes", type=int, default=2, help="at once")
    parser.add_argument("--only", default="", help="flip only in files whose path matches this")
    parser.add_argument("--seed", type=int, default=time.time_ns() % (1 << 32))
    arguments = parser.parse_args()
    if not os.access(arguments.binary, os.X_OK):
        sys.exit(f"{arguments.binary} is missing: build it first with cargo build")
    random.seed(arguments.seed)
    once = [sale for _, sale in baskets()]
    work = once + [{**sale, "transaction_id": f"{sale['transaction_id']}-{turn}"} for turn in range(1, 4) for sale in once]
    # Nothing here depends on a real disk, and a folder in memory is copied at once.
    memory = os.path.isdir("/dev/shm") and shutil.disk_usage("/dev/shm").free > 2 << 30
    parent = pathlib.Path(tempfile.mkdtemp(prefix="tessera-disk-", dir="/dev/shm" if memory else None))
    try:
        problems, summary = {"full": full, "refused": refused, "bitflips": bitflips}[arguments.what](arguments, work, parent)
    finally:
        shutil.rmtree(parent, ignore_errors=True)
    for problem in problems[:40]:
        print(problem)
    print(f"{arguments.what}: {summary}, seed {arguments.seed}, {len(problems)} problems")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
