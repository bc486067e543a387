#!/usr/bin/env python3
"""What a disk can do to a node: run full, refuse writes, flip a bit. Asks afterwards what the node still knows.

    disk.py full      --runs 2       the disk fills up while clients post: one sentence, code 74; with room again all is there
    disk.py refused                  a read-only folder, and a folder that is in use: one sentence, code 1
    disk.py bitflips  --flips 1000   one random bit of a folder that was stopped, killed, or has several segments

After a flip a node may refuse to start and say why, answer 503 `member_stopped` for the members concerned, or be right.
It may not answer wrongly, forget what was acknowledged, panic or hang. What it did is counted by folder and kind.
"""
import argparse
import collections
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
sys.path.insert(0, str(pathlib.Path(__file__).parent))
from baskets import baskets  # noqa: E402
from node import LIMIT, Known, Node, check, load, share  # noqa: E402


def mounted(path, *how):
    """None, or why it could not be mounted."""
    try:
        made = subprocess.run(["mount", *how, str(path)], capture_output=True, text=True)
    except OSError as error:
        return str(error)
    return None if made.returncode == 0 else (made.stderr.splitlines() or [f"mount ended with {made.returncode}"])[0]


def small_disk(path):
    path.mkdir()
    return mounted(path, "-t", "tmpfs", "-o", "size=96m", "tmpfs")


def full(arguments, work, parent):
    problems, checked = [], 0
    for run in range(arguments.runs):
        disk = parent / f"disk{run}"
        if why := small_disk(disk):
            return [], f"skipped, no small disk can be mounted: {why}"
        try:
            # Wide baskets fill the segments that are there; of the others the index is the first that wants room.
            baskets = work if run % 2 else [wide(sale) for sale in work[:12_000]]
            found, asked = fill(arguments.binary, baskets, disk, random.uniform(1, 3), random.randrange(32 << 10, 256 << 10))
        finally:
            subprocess.run(["umount", str(disk)])
        problems += [f"run {run}: {problem}" for problem in found]
        checked += asked
    return problems, f"{arguments.runs} runs, {checked} answers checked"


def fill(binary, work, disk, seconds, left):
    """Clients write for some seconds; then all of the disk but `left` bytes is taken away from them."""
    filler, known, problems = disk / "filler", Known(), []
    node = Node(binary, disk / "folder")
    if node.port is None:
        return [f"the node did not start: {node.words()}"], 0

    def take(shares):
        shares.wait(seconds)
        with open(filler, "wb", buffering=0) as out:
            while (room := shutil.disk_usage(disk).free - left) > 0:
                out.write(bytes(min(room, 1 << 20)))

    sent = load(node.port, work, range(len(work)), take)
    known.add(sent)
    if len(known.texts) < 500:
        problems.append(f"only {len(known.texts)} purchases were acknowledged before the disk was full")
    try:
        node.process.wait(LIMIT)
    except subprocess.TimeoutExpired:
        node.end(signal.SIGKILL)
    problems += [f"on a full disk it {how}" for how in [node.unclean(74)] if how]
    print(f"full after {len(known.texts)} answers: {' | '.join(node.said())}")
    node = Node(binary, disk / "folder")  # still full: it may say so, or serve until it must write
    if node.port is None:
        problems += [f"started on a full disk it {how}" for how in [node.unclean(1, 74)] if how]
        print(f"started while full: {' | '.join(node.said())}")
    node.end(signal.SIGKILL)
    filler.unlink()
    node = Node(binary, disk / "folder")
    if node.port is None:
        return [*problems, f"with room again it does not start: {node.words()}"], 0
    # What was sent and not answered may be there or not. Sent again, it is: only then balances are known.
    known.add(share(node.port, work, [place for place, text, _ in sent if text is None]))
    stopped, found = check(node, work, known, list(known.texts))
    problems += found + [f"{member} is stopped" for member in stopped]
    if (code := node.end(signal.SIGTERM)) != 0:
        problems.append(f"SIGTERM ends it with code {code}: {node.said()}")
    return problems, len(known.texts) + len(known.balances)


def refused(arguments, work, parent):
    problems, known, disk, skipped = [], Known(), parent / "disk", ""

    def expect(what, path):
        node = Node(arguments.binary, path)
        how = "starts" if node.port else node.unclean(1) or (f"needs {node.seconds:.1f} s to say so" if node.seconds > 5 else None)
        node.end(signal.SIGKILL)
        problems.extend([f"{what}: the node {how}"] if how else [])
        print(f"{what}: {' | '.join(node.said())}")

    why = small_disk(disk)
    try:
        (disk / "empty").mkdir()
        first = Node(arguments.binary, disk / "folder")
        known.add(share(first.port, work, range(200)))
        expect("in use", disk / "folder")
        known.add(share(first.port, work, range(200, 300)))
        problems += check(first, work, known, range(300))[1]
        first.end(signal.SIGTERM)
        if why := why or mounted(disk, "-o", "remount,ro"):
            skipped = f", the read-only folder was skipped: {why}"
        else:
            for what, name in [("read-only", "folder"), ("read-only and empty", "empty"), ("read-only and missing", "new")]:
                expect(what, disk / name)
            mounted(disk, "-o", "remount,rw")
            again = Node(arguments.binary, disk / "folder")
            problems += check(again, work, known, range(300))[1]
            again.end(signal.SIGTERM)
    finally:
        subprocess.run(["umount", str(disk)], stderr=subprocess.DEVNULL)
    return problems, f"{len(known.texts)} answers checked{skipped}"


def wide(sale):
    """A basket of many lines: these fill a segment of 16 MiB in seconds."""
    lines = enumerate((sale["lines"] * 150)[:150])
    return {**sale, "tenders": [], "lines": [{**line, "id": str(n), "sku": f"{n:064}", "brand": f"{n:064}"} for n, line in lines]}


class Base:
    """A folder to damage, and what it must know."""

    def __init__(self, name, arguments, work, folder):
        self.name, self.folder, self.known = name, folder, Known()
        self.work = [wide(sale) for sale in work] if name == "wide" else work
        node, began, self.count = Node(arguments.binary, folder), time.monotonic(), len(work) - 200
        self.known.add(load(node.port, self.work, range(self.count // 2)))
        if name != "stopped":  # the index learns of these; of the others it does not before the end
            time.sleep(max(0, began + 11.5 - time.monotonic()))
        self.known.add(load(node.port, self.work, range(self.count // 2, self.count)))
        code = node.end(signal.SIGTERM if name == "stopped" else signal.SIGKILL)
        # Without the zeros that are laid out ahead.
        self.files = {}
        for path in [path for path in sorted(folder.rglob("*")) if path.is_file()]:
            data = path.read_bytes()
            self.files[str(path.relative_to(folder))] = data.rstrip(b"\0") if path.suffix in (".jnl", ".log") else data, len(data)
        several = bool(self.files["log/00000001.log"][0])
        if len(self.known.texts) != self.count or several != (name == "wide") or (name == "stopped" and code):
            sys.exit(f"no folder {name!r} to damage: {len(self.known.texts)} of {self.count} answers, code {code}: {node.words()}")

    def lay(self, out, damaged, at, bit):
        for name, (data, size) in self.files.items():
            path = out / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if name != damaged and "/tables/" in name:
                os.link(self.folder / name, path)  # is never written again
                continue
            with open(path, "wb") as copy:
                copy.write(data)
                copy.truncate(size)
                if name == damaged:
                    copy.seek(at)
                    copy.write(bytes([(data[at] if at < len(data) else 0) ^ 1 << bit]))


BASES, SETTINGS = [], None  # for the workers, who inherit them


def one(number):
    """(variant, file, place, kind, problems, answers checked, sentence) of one flip."""
    chance = random.Random(f"{SETTINGS.seed}/{number}")
    found = [(base, [name for name in base.files if base.files[name][1] and re.search(SETTINGS.only, name)]) for base in BASES]
    found = [(base, names) for base, names in found if names]
    base, names = found[(0, 1, 0, 1, 2)[number % 5] % len(found)]
    # By size, but half of the time every file has the same chance.
    [file] = chance.choices(names, [len(base.files[name][0]) for name in names] if chance.random() < 0.5 else None)
    data, size = base.files[file]
    at, bit = chance.randrange(min(size, len(data) + 64)), chance.randrange(8)
    out = pathlib.Path(tempfile.mkdtemp(prefix="flip-", dir=SETTINGS.parent))
    try:
        base.lay(out, file, at, bit)
        return base.name, file, f"byte {at} of {len(data)}, bit {bit}", *outcome(base, out, chance, file)
    finally:
        shutil.rmtree(out)


def outcome(base, folder, chance, file):
    """(kind, problems, answers checked, sentence)."""
    node, texts = Node(SETTINGS.binary, folder), list(base.known.texts)
    shorter = file.endswith(".jnl") and (folder / file).is_file() and (folder / file).stat().st_size < len(base.files[file][0])
    cut = ", journal cut off" if shorter else ""
    places = chance.sample(texts, 80) + texts[-40:]
    if node.port is None:
        if how := node.unclean(1):
            return "", [f"it {how}"], 0, ""
        sentence = re.sub(r"\d+", "N", node.said()[0].replace(str(folder), ""))
        again = Node(SETTINGS.binary, folder)  # it must not think better of it
        if again.port is None:
            how = again.unclean(1)
            return f"refused{cut}", [f"refused once, then it {how}"] if how else [], 0, sentence
        problems = check(again, base.work, base.known, places)[1]
        again.end(signal.SIGKILL)
        return "refused once, then right", [f"refused once, then {problem}" for problem in problems], len(places), sentence
    stopped, problems = check(node, base.work, base.known, places)
    if not problems:  # what it takes now is kept as well
        seen, fresh = Known(base.known), share(node.port, base.work, range(base.count, base.count + 6))
        seen.add(fresh)
        node.end(signal.SIGKILL)
        again = Node(SETTINGS.binary, folder)
        if again.port is None:
            problems = [f"it served and refuses after a kill -9: {' | '.join(again.said())[:400]}"]
        else:
            after, found = check(again, base.work, seen, [place for place, text, _ in fresh if text] + places[:20])
            stopped, problems = stopped | after, [f"after a kill -9: {problem}" for problem in found]
        again.end(signal.SIGKILL)
    node.end(signal.SIGKILL)
    rebuilt = "rebuilt from the log" in node.words() or "reading from the log" in node.words()
    kind = "members stopped" if stopped else "right, index rebuilt" if rebuilt else f"right{cut}"
    return kind, problems, len(base.known.balances) + len(places), ""


def named(problem):
    """The kind of a problem."""
    words = {"LOST": "lost", "panicked": "panic", "hangs": "hang", "another text": "wrong answer", " had ": "wrong balance"}
    return "PROBLEM, " + next((name for word, name in words.items() if word in problem), "other")


def bitflips(arguments, work, parent):
    global SETTINGS
    arguments.parent, SETTINGS = parent, arguments
    homes = {home: number for number, home in enumerate(dict.fromkeys(sale["member"]["alias"]["value"] for sale in work))}
    house = [homes[sale["member"]["alias"]["value"]] for sale in work]
    # The members of the last 100 homes are new since the index was written.
    first, last = [sale for sale, n in zip(work, house) if n < 300][:3_700], [sale for sale, n in zip(work, house) if 300 <= n < 400][:500]
    BASES.extend(Base(name, arguments, first + last, parent / name) for name in ["stopped", "killed", "wide"])
    counts, sentences, problems, checked = collections.Counter(), collections.Counter(), [], 0
    with multiprocessing.Pool(arguments.nodes) as pool:
        for variant, file, place, kind, found, asked, sentence in pool.imap_unordered(one, range(arguments.flips)):
            top = file.split("/")[0] + "/" if "/" in file else "other"
            counts[(top, variant, named(found[0]) if found else kind)] += 1
            sentences.update([sentence] if sentence else [])
            checked += asked
            if found:
                more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
                problems.append(f"{named(found[0])}: {variant}, {file}, {place}: {found[0]}{more}")
    for (top, variant, kind), count in sorted(counts.items()):
        print(f"{count:6} {top:7} {variant:8} {kind}")
    for sentence, count in sentences.most_common():
        print(f"{count:6} times: {sentence}")
    return sorted(problems), f"{arguments.flips} flips, {checked} answers checked"


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
