#!/usr/bin/env python3
"""Follows members' events over many real connections while purchases are posted, and stops a node in the midst of it.

    streams.py follow --connections 1000     some readers stall, some are cut: each sees every event once and in order
    streams.py stop   --times 20             SIGTERM under load: what was read is answered, what was not has no effect

An event's id is SEQ.N, the N-th public event of record SEQ. Two adjustments end a test: a stream that has shown the
second one must have shown everything up to the first.
"""
import argparse
import atexit
import heapq
import http.client
import json
import multiprocessing
import os
import pathlib
import random
import re
import resource
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))
from baskets import baskets  # noqa: E402

START = "2017-03-14T12:00:00Z"  # after the file's last basket
PROCESSES = 2  # that follow
CLIENTS = 6  # that post while the node is stopped
STALL = 15  # seconds that a stalled reader does not read; the node gives up after 10
STOP = 15  # seconds that a node may take to stop
PATIENCE = 120  # seconds until a test gives up waiting


class Wrong(Exception):
    """An answer or an event is not as specified."""


class Reader:
    """One subscription: takes heads, chunks and events off its socket, and knows where to resume."""

    def __init__(self, name, member, after, seen, slow=False, history=True):
        self.name, self.member, self.after, self.seen, self.slow, self.history = name, member, after, seen, slow, history
        self.ids, self.opened, self.cut, self.connection = [], 0, 0, None

    def last(self):
        return self.ids[-1] if self.ids else self.after

    def open(self, port):
        self.raw, self.text, self.live, self.ended = bytearray(), b"", False, False
        self.connection = socket.socket()
        if self.slow:  # small buffers on both sides: what is not read soon keeps the node from writing
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)  # the least there is
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        self.connection.settimeout(30)
        self.connection.connect(("127.0.0.1", port))
        last = "last-event-id: %d.%d\r\n" % self.last() if self.ids or self.history else ""
        self.connection.sendall(f"GET /v1/members/{self.member}/events HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n{last}\r\n".encode())
        self.connection.setblocking(False)
        self.opened += 1

    def read(self):
        """Takes what has arrived; false once the connection is over."""
        try:
            data = self.connection.recv(1 << 16)
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        self.raw += data
        if data and (self.live or self.head()):
            self.chunks()
            self.events()
        return bool(data) and not self.ended

    def head(self):
        end = self.raw.find(b"\r\n\r\n")
        if end < 0:
            return False
        lines = self.raw[:end].decode("latin-1").lower().split("\r\n")
        if lines[0].split()[1] != "200" or "transfer-encoding: chunked" not in lines or not any(re.match("content-type: ?text/event-stream", line) for line in lines):
            raise Wrong(f"the stream was answered {bytes(self.raw[:600]).decode('latin-1')!r}")
        del self.raw[:end + 4]
        self.live = True
        return True

    def chunks(self):
        while (end := self.raw.find(b"\r\n", 0, 20)) >= 0 and len(self.raw) >= end + 4 + (size := int(self.raw[:end], 16)):
            self.text += self.raw[end + 2:end + 2 + size]
            del self.raw[:end + 4 + size]
            self.ended = self.ended or size == 0

    def events(self):
        *blocks, self.text = self.text.split(b"\n\n")
        for block in blocks:
            if block not in self.seen:
                self.seen[block] = self.event(block)
            if self.seen[block]:
                self.ids.append(self.seen[block])
        if self.ended and self.text:
            raise Wrong(f"the stream ended in an event: {self.text!r}")

    def event(self, block):
        """(seq, n) of an event, None of a comment. `seen` shares them among the readers of a member."""
        lines = [line for line in block.decode().split("\n") if not line.startswith(":")]
        if not lines:
            return None
        found = re.fullmatch(r"id: (\d+)\.(\d+)\nevent: [a-z_.]+\ndata: (.+)", "\n".join(lines))
        if not found:
            raise Wrong(f"not an event: {block!r}")
        json.loads(found[3])
        known = (int(found[1]), int(found[2]))
        if self.seen.setdefault(known, lines) != lines:
            raise Wrong(f"two events of one id: {lines} and {self.seen[known]}")
        return known


class Herd:
    """The readers of this process. One whose connection ends goes on from where it was, while `resume` holds."""

    def __init__(self, readers):
        self.readers, self.selector, self.plan, self.problems, self.resume, self.port = readers, selectors.DefaultSelector(), [], [], True, None

    def watch(self, reader):
        if reader.connection:
            self.selector.register(reader.connection, selectors.EVENT_READ, reader)

    def open(self, reader):
        reader.open(self.port)
        self.watch(reader)

    def close(self, reader):
        if reader.connection:
            if reader.connection in self.selector.get_map():
                self.selector.unregister(reader.connection)
            reader.connection.close()
            reader.connection = None

    def cut(self, reader):
        if reader.connection:
            self.close(reader)
            self.open(reader)

    def stall(self, reader, seconds):
        if reader.connection:
            self.selector.unregister(reader.connection)
            self.later(seconds, self.watch, reader)

    def later(self, seconds, act, reader):
        heapq.heappush(self.plan, (time.monotonic() + seconds, len(self.plan), id(reader), act, reader))

    def take(self, reader):
        try:
            if reader.read():
                return
            self.close(reader)
            reader.cut += self.resume
            if self.resume and reader.cut <= 100:
                self.open(reader)
        except (Wrong, OSError, ValueError) as error:
            self.close(reader)
            self.problems.append(f"{reader.name}: {error}")

    def until(self, done, seconds=PATIENCE):
        """Turns until `done`; false when it took too long or something is wrong."""
        end = time.monotonic() + seconds
        while not done():
            if time.monotonic() > end or self.problems:
                return False
            for key, _ in self.selector.select(0.05):
                self.take(key.data)
            while self.plan and self.plan[0][0] <= time.monotonic():
                *_, act, reader = heapq.heappop(self.plan)
                act(reader)
        return True

    def opened(self, port):
        self.port = port
        for reader in self.readers:
            self.open(reader)
        return self.until(lambda: all(reader.live for reader in self.readers))


def start(binary, folder):
    """A node on a free port: (process, port)."""
    words = pathlib.Path(f"{folder}.words")
    arguments = [binary, "serve", "--folder", folder, "--programme", str(HERE.parent / "config" / "programme.toml"), "--listen", "127.0.0.1:0", "--clock-start-at", START]
    process = subprocess.Popen(arguments, stderr=words.open("w"), env={**os.environ, "TESSERA_LOG": "error"})
    atexit.register(process.kill)
    until = time.monotonic() + 30
    while not (ready := re.search(r"ready on http://\S+:(\d+)\n", words.read_text())):
        if process.poll() is not None or time.monotonic() > until:
            sys.exit(f"the node did not start: {words.read_text()}")
        time.sleep(0.02)
    return process, int(ready[1])


def post(connection, path, body, key=None):
    connection.request("POST", path, json.dumps(body), {"content-type": "application/json", **({"idempotency-key": key} if key else {})})
    answer = connection.getresponse()
    return answer.status, answer.getheader("idempotent-replayed"), answer.read().decode()


def made(connection, path, body, key):
    status, _, text = post(connection, path, body, key)
    return json.loads(text) if status == 201 else sys.exit(f"POST {path} was answered {status}: {text}")


def whole(connection, port, member, after):
    """(the ids that a stream opened now shows up to the first of two last records, its number, problems)."""
    first, second = [made(connection, f"/v1/members/{member}/adjustments", {"points": 1, "reason": "the end"}, f"end-{member}-{n}")["seq"] for n in (1, 2)]
    herd = Herd([reader := Reader("the reference", member, after, {})])
    herd.opened(port)
    if not herd.until(lambda: reader.last()[0] >= second):
        return [], first, herd.problems or [f"the reference ends at {reader.last()} and the last record is {second}"]
    herd.close(reader)
    ids = [one for one in reader.ids if one[0] <= first]
    gaps = [two for one, two in zip([after] + ids, ids) if two != (one[0], one[1] + 1) and not (two[0] > one[0] and two[1] == 0)]
    return ids, first, [f"the reference jumps to {two[0]}.{two[1]}" for two in gaps[:3]]


def compare(reader, reference, first):
    """What is wrong with a reader's ids."""
    ids = [one for one in reader.ids if one[0] <= first]
    if ids == reference or not reference:  # without one something else is wrong
        return []
    missing, strange = set(reference) - set(ids), set(ids) - set(reference)
    example = ", such as %d.%d" % min(missing | strange) if missing | strange else ""
    return [f"{reader.name}: {len(missing)} missing, {len(strange)} unknown, {len(ids) - len(set(ids))} twice of {len(reference)}{example}"]


def follower(number, arguments, port, member, after, pipe):
    """A process that follows: of ten readers one stalls, one is cut three times, one says not from where it goes on."""
    random.seed(arguments.seed + number)
    seen, seconds = {}, arguments.purchases / arguments.rate
    kinds = {0: "stalled", 1: "cut", 2: "from now on"}
    readers = [Reader(f"connection {n} ({kinds.get(n % 10, 'steady')})", member, after, seen, n % 10 == 0, n % 10 != 2) for n in range(number, arguments.connections, PROCESSES)]
    stalled, cut = [[reader for reader in readers if kind in reader.name] for kind in ("stalled", "cut")]
    herd = Herd(readers)
    pipe.send(herd.opened(port))
    herd.until(pipe.poll)
    pipe.recv()
    for reader in stalled:
        herd.stall(reader, STALL)
    for reader in cut * 3:
        herd.later(random.uniform(0, seconds), herd.cut, reader)
    herd.until(pipe.poll, seconds + PATIENCE)
    reference, first = pipe.recv()
    herd.until(lambda: not herd.plan and all(reader.last()[0] > first for reader in readers))
    problems = herd.problems or [problem for reader in readers for problem in compare(reader, reference, first)]
    others = [reader for reader in readers if reader not in stalled]
    pipe.send({"problems": problems, "connections": sum(reader.opened for reader in readers), "cut by the node while stalled": sum(reader.cut for reader in stalled),
               "cut by the node otherwise": sum(reader.cut for reader in others), "cut by the reader": len(cut) * 3, "events": sum(len(reader.ids) for reader in readers)})


def follow(arguments, folder):
    process, port = start(arguments.binary, folder)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    enrolled = made(connection, "/v1/members", {}, "member")
    member, after = enrolled["member"], (enrolled["seq"], 99)
    pipes, processes, problems, paid = [], [], [], set()
    for number in range(PROCESSES):
        mine, theirs = multiprocessing.Pipe()
        processes.append(multiprocessing.Process(target=follower, args=(number, arguments, port, member, after, theirs), daemon=True))
        processes[-1].start()
        theirs.close()
        pipes.append(mine)
    if not all([pipe.recv() for pipe in pipes]):
        problems.append("not all streams were opened")
    for pipe in pipes:
        pipe.send("go")
    connection.close()  # it may have idled too long; it opens again by itself
    began = time.monotonic()
    for count, (_, sale) in enumerate(baskets(arguments.purchases)):
        time.sleep(max(0.0, began + count / arguments.rate - time.monotonic()))  # the rate
        answer = made(connection, "/v1/purchases", {**sale, "member": member}, None)
        if answer["wallets"]["points"]["earned"] > 0:
            paid.add(answer["seq"])
    took = time.monotonic() - began
    reference, first, wrong = whole(connection, port, member, after)
    problems += wrong
    if silent := paid - {seq for seq, _ in reference}:
        problems.append(f"{len(silent)} purchases earned and have no event, such as record {min(silent)}")
    for pipe in pipes:
        pipe.send((reference, first))
    counts = {}
    for pipe in pipes:
        told = pipe.recv()
        problems += told.pop("problems")
        counts = {name: counts.get(name, 0) + count for name, count in told.items()}
    for one in processes:
        one.join()
    process.send_signal(signal.SIGTERM)
    if process.wait(timeout=STOP) != 0:
        problems.append("SIGTERM did not end the node cleanly")
    words = ", ".join(f"{count} {name}" for name, count in counts.items())
    return problems, f"{arguments.connections} readers, {arguments.purchases} purchases in {took:.1f} s, {len(reference)} events each; {words}"


def sale(place, work, members):
    """A purchase that is posted once: every other one is for a member that is followed, the rest go by their cards."""
    again, at = divmod(place, len(work))
    body = {**work[at], "transaction_id": f"{work[at]['transaction_id']}-{again}"}
    return {**body, "member": members[place // 2 % len(members)]} if place % 2 else body


def client(number, port, first, work, members, log):
    """Posts its share on one kept-alive connection until the node is gone. One line a request, one an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2 * STOP)
    with open(log, "w", buffering=1) as out:
        for place in range(first + number, sys.maxsize, CLIENTS):
            out.write(json.dumps({"sent": place}) + "\n")
            try:
                status, _, text = post(connection, "/v1/purchases", sale(place, work, members))
            except (OSError, http.client.HTTPException):
                return
            out.write(json.dumps({"place": place, "status": status, "text": text}) + "\n")


def check(port, work, members, logs, counts):
    """Sends again all that was sent: acknowledged → the same answer, as a repeat; anything else → it is new."""
    entries = [json.loads(line) for log in logs for line in open(log)]
    answers = {entry["place"]: entry for entry in entries if "place" in entry}
    connection, problems = http.client.HTTPConnection("127.0.0.1", port, timeout=30), []
    for place in sorted(entry["sent"] for entry in entries if "sent" in entry):
        status, replayed, text = post(connection, "/v1/purchases", sale(place, work, members))
        known = answers.get(place)
        kind = "without an answer" if not known else "answered" if known["status"] == 201 else "refused"
        counts[kind] = counts.get(kind, 0) + 1
        if status != 201:
            problems.append(f"purchase {place} is answered {status}: {text}")
        elif kind == "answered" and (replayed != "true" or text != known["text"]):
            problems.append(f"purchase {place} was acknowledged and is {'different' if replayed else 'lost'}")
        elif kind == "without an answer" and replayed:
            problems.append(f"purchase {place} got no answer but had its effect")
        elif kind == "refused" and replayed and json.loads(known["text"]).get("outcome") != "unknown":
            problems.append(f"purchase {place} was answered {known['status']} but had its effect")
    return problems


def stop(arguments, folder):
    work, counts, slowest, first, logs, members, herd = [one for _, one in baskets()], {}, 0.0, 0, [], [], None
    for turn in range(arguments.times + 1):
        process, port = start(arguments.binary, folder)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        problems = check(port, work, members, logs, counts)
        if not herd:
            members = [made(connection, "/v1/members", {}, f"member-{n}")["member"] for n in range(10)]
            seen = {member: {} for member in members}
            herd = Herd([Reader(f"stream {n}", members[n % 10], (1, 99), seen[members[n % 10]]) for n in range(arguments.connections)])
        herd.resume = True
        if not herd.opened(port):
            problems += herd.problems or ["not all streams were opened"]
        if turn == arguments.times and herd.readers and not problems:
            for member in members:
                reference, last, wrong = whole(connection, port, member, (1, 99))
                mine = [reader for reader in herd.readers if reader.member == member]
                herd.until(lambda: all(reader.last()[0] > last for reader in mine))
                problems += wrong + (herd.problems or [problem for reader in mine for problem in compare(reader, reference, last)])
        connection.close()
        clients = []
        if turn < arguments.times and not problems:
            logs = [f"{folder}.client-{turn}-{number}" for number in range(CLIENTS)]
            clients = [multiprocessing.Process(target=client, args=(n, port, first, work, members, logs[n]), daemon=True) for n in range(CLIENTS)]
            for one in clients:
                one.start()
            moment = time.monotonic() + random.uniform(0.2, 1.5)
            herd.until(lambda: time.monotonic() > moment and all(os.path.exists(log) and os.path.getsize(log) > 1_000 for log in logs))
        herd.resume = False
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        herd.until(lambda: process.poll() is not None and not any(reader.connection for reader in herd.readers), STOP)
        slowest = max(slowest, time.monotonic() - began)
        if process.poll() is None:
            process.kill()
            problems.append(f"the node runs {STOP} s after SIGTERM")
        elif process.returncode != 0:
            problems.append(f"SIGTERM ended the node with {process.returncode}: {pathlib.Path(f'{folder}.words').read_text()[-500:]}")
        rough = [reader for reader in herd.readers if not reader.ended]
        problems += herd.problems + ([f"{len(rough)} streams did not end with a last chunk, such as {rough[0].name}"] if rough else [])
        for one in clients:
            one.join()
        first = 1 + max([json.loads(line).get("sent", 0) for log in logs for line in open(log)], default=-1)
        if problems:
            return [f"time {turn + 1}: {problem}" for problem in problems], "stopped early"
    words = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    cut = sum(reader.cut for reader in herd.readers)
    events = sum(len(reader.ids) for reader in herd.readers)
    return [], f"{arguments.times} times, at most {slowest:.1f} s; purchases: {words}; {arguments.connections} streams, {events} events, {cut} cut by the node"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["follow", "stop"])
    parser.add_argument("--binary", default=os.environ.get("TESSERA_BINARY", "target/debug/tessera"))
    parser.add_argument("--connections", type=int, help="1000 to follow, 100 to stop")
    parser.add_argument("--purchases", type=int, default=400)
    parser.add_argument("--rate", type=float, default=80, help="purchases a second")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=time.time_ns() % (1 << 32))
    arguments = parser.parse_args()
    if not os.access(arguments.binary, os.X_OK):
        sys.exit(f"{arguments.binary} is missing: build it first with cargo build")
    if arguments.connections is None:
        arguments.connections = 1_000 if arguments.what == "follow" else 100
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # the node's too
    random.seed(arguments.seed)
    parent = tempfile.mkdtemp(prefix="tessera-streams-")
    problems, words = (follow if arguments.what == "follow" else stop)(arguments, os.path.join(parent, "folder"))
    for problem in problems[:10]:
        print(problem)
    shutil.rmtree(parent, ignore_errors=True)
    print(f"streams {arguments.what}: {words}; seed {arguments.seed}, {len(problems)} problems")
    sys.exit(bool(problems))


main()
