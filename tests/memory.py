#!/usr/bin/env python3
"""What a member costs: memory while it is awake, the time to wake it, and whether a long history makes a purchase dearer.

    memory.py members --file FILE.csv.gz   resident memory by awake member, each with a real year of baskets behind it
    memory.py wake                         the first GET of a sleeping member with 1,000 purchases, less a second GET
    memory.py history                      processor time and bytes written: the 10th-100th purchase, the 9,900th-10,000th

The file is of the shape of the fortnight kept here; its households are repeated under other cards until there are `--count`
members, and of `--share 0.1` each keeps a tenth of its baskets. Wants a release build and a machine with nothing else to do.
"""
import argparse
import datetime
import http.client
import json
import multiprocessing
import os
import pathlib
import re
import shutil
import signal
import socket
import sys
import tempfile
import time
from statistics import median

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))
import baskets  # noqa: E402
import node  # noqa: E402

node.START, node.LIMIT = "2018-01-02T12:00:00Z", 600  # the morning after the year; a node with many members ends slowly
CLIENTS, CONNECTIONS, PIPELINED = 3, 32, 8
CARD, SALE = b"card-00000000", b"sale-000000000000"  # places in a body, kept in width


def start(arguments, folder, awake=200_000, idle=86_400):
    os.environ.update(TESSERA_AWAKE=str(awake), TESSERA_IDLE_SECONDS=str(idle))
    started = node.Node(arguments.binary, folder)
    if started.port is None:
        sys.exit(f"the node did not start: {started.said()}")
    return started


def stop(running):
    if code := running.end(signal.SIGTERM):
        sys.exit(f"the node ended with code {code} and says {running.said()}")


def proc(running, file, field):
    """A figure of a file in /proc: VmRSS of `status` is in KiB, those of `io` are in bytes."""
    return int(re.search(rf"^{field}:\s+(\d+)", pathlib.Path(f"/proc/{running.process.pid}/{file}").read_text(), re.MULTILINE)[1])


def used(running):
    """µs of processor (utime + stime, which /proc/PID/stat has in ticks of 10 ms), bytes given to write(), bytes of pages for the disk."""
    return time.clock_gettime_ns((~running.process.pid << 3) | 2) / 1e3, proc(running, "io", "wchar"), proc(running, "io", "write_bytes")


def ask(running, *what):
    return node.ask(http.client.HTTPConnection("127.0.0.1", running.port, timeout=node.LIMIT), *what)[3]


def metric(running, name):
    found = re.search(rf"^{name} (\d+)", ask(running, "GET", "/metrics"), re.MULTILINE)
    return int(found[1]) if found else 0


def connect(running):
    made = socket.create_connection(("127.0.0.1", running.port), timeout=node.LIMIT)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def answers(connection, count):
    """[(status, body)] of so many pipelined requests."""
    data, found, at = b"", [], 0
    while len(found) < count:
        head = data.find(b"\r\n\r\n", at)
        length = data.index(b"content-length: ", at, head) + 16 if head >= 0 else 0
        end = head + 4 + int(data[length:data.index(b"\r", length)]) if head >= 0 else sys.maxsize
        if len(data) < end:
            data += connection.recv(1 << 18) or sys.exit("the node closed a connection")
        else:
            found.append((data[at + 9:at + 12], data[head + 4:end]))
            at = end
    return found


def mould(purchase):
    """A purchase's request in three parts: a card and a transaction id belong between them."""
    body = json.dumps({**purchase, "member": {"alias": {"type": "card", "value": CARD.decode()}}, "transaction_id": SALE.decode()}, separators=(",", ":")).encode()
    head = b"POST /v1/purchases HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    first, rest = (head + body).split(CARD)
    return first, *rest.split(SALE)


def small(number):
    """The number-th of 10,000 purchases over a year: one line, in three shops by turns."""
    line = {"id": "1", "sku": "1095275", "category": "PASTRY/ROLLS", "brand": "National", "quantity": "1", "amount": 150, "discount": 11}
    moment = datetime.datetime(2017, 1, 1) + datetime.timedelta(minutes=52 * number)
    return mould({"source": "journey", "store": str(330 + number % 3), "currency": "USD", "occurred_at": moment.isoformat(), "lines": [line]})


def buy(connection, member, moulds, first):
    """Sends these purchases of a member at once. Call what this returns for the answers; any refusal ends it all."""
    connection.sendall(b"".join(b"%bcard-%08d%bsale-%04d%08d%b" % (a, member, b, first + n, member, c) for n, (a, b, c) in enumerate(moulds)))
    return lambda: [text if status == b"201" else sys.exit(f"a purchase was answered {text.decode()}") for status, text in answers(connection, len(moulds))]


def client(running, jobs):
    """Posts jobs: (member, moulds, number of the first). A member's purchases keep their order."""
    def chunks():
        for member, moulds, first in jobs:
            yield from ((member, moulds[at:at + PIPELINED], first + at) for at in range(0, len(moulds), PIPELINED))
    jobs, lanes = iter(jobs), [(connect(running), chunks()) for _ in range(CONNECTIONS)]
    while lanes := [(connection, work, chunk) for connection, work, *_ in lanes if (chunk := next(work, None))]:
        for take in [buy(connection, *chunk) for connection, _, chunk in lanes]:
            take()


def post(running, jobs):
    """Posts them all by a few processes; answers purchases a second."""
    began, fork = time.monotonic(), multiprocessing.get_context("fork")
    clients = [fork.Process(target=client, args=(running, jobs[number::CLIENTS])) for number in range(CLIENTS)]
    for step in fork.Process.start, fork.Process.join:
        for one in clients:
            step(one)
    if any(one.exitcode for one in clients):
        sys.exit("a client gave up")
    return sum(len(moulds) for _, moulds, _ in jobs) / (time.monotonic() - began)


def members(arguments, folder):
    households, baskets.FILE, share = {}, arguments.file, arguments.share
    for household, purchase in baskets.baskets():
        households.setdefault(household, []).append(mould(purchase))
    # A share is taken evenly over the year.
    kept = [[one for n, one in enumerate(moulds) if not n or int((n + 1) * share) > int(n * share)] for moulds in households.values()]
    jobs = [(member, kept[member % len(kept)], 0) for member in range(arguments.count)]
    # They fall asleep on the way, so that each has a snapshot: those of a stop at once are more than are kept.
    running = start(arguments, folder, idle=5)
    rate, total = post(running, jobs), sum(len(moulds) for _, moulds, _ in jobs)
    time.sleep(12)
    print(f"{total} purchases of {len(jobs)} members, {total / len(jobs):.1f} each ({share:.0%} of a household's), {rate:.0f}/s; "
          f"then {metric(running, 'tessera_members_awake')} awake, {metric(running, 'tessera_store_snapshots_dropped_total')} snapshots dropped", flush=True)
    stop(running)

    def wave(title, number, awake, idle):
        """Starts, has each member buy once more, and stops: KiB before and after, and how many are awake then."""
        running = start(arguments, folder, awake, idle)
        time.sleep(2)
        before = proc(running, "status", "VmRSS")
        rate = post(running, [(member, moulds[-1:], number) for member, moulds, _ in jobs])
        time.sleep(15)  # what is not indexed yet leaves memory within 10 s
        after, woken = proc(running, "status", "VmRSS"), metric(running, "tessera_members_awake")
        stop(running)
        print(f"{title}: {before / 1024:.0f} MiB at the start, {after / 1024:.0f} MiB after a purchase each ({rate:.0f}/s), "
              f"{woken} awake: {(after - before) / len(jobs):.2f} KiB a member", flush=True)
        return before, after, woken

    empty, full, woken = wave("they stay awake", 9_001, 200_000, 86_400)
    # The same reads and writes, and a snapshot each, with nobody awake at the end: what store, connections and allocator keep.
    again, nobody, _ = wave("they sleep at once", 9_002, 1, 1)
    each, rest = (full - empty) / len(jobs), (nobody - again) / len(jobs)
    print(f"a start after those writes, nobody awake: {(again - empty) / len(jobs):+.2f} KiB a member; awake less asleep: {each - rest:.2f} KiB")
    problems = [f"{woken} of {len(jobs)} are awake"] * (woken != len(jobs)) + ["more than 20 KiB"] * (each > 20)
    return f"{len(jobs)} awake, {each:.2f} KiB of resident memory each", problems


def wake(arguments, folder):
    running, moulds, numbers = start(arguments, folder), [small(number) for number in range(1_000)], range(arguments.count)
    rate = post(running, [(member, moulds, 0) for member in numbers])
    found = [ask(running, "POST", "/v1/members/lookup", {"type": "card", "value": f"card-{member:08}"}) for member in numbers]
    stop(running)
    running = start(arguments, folder)
    connection, times, problems = connect(running), [], []
    for known in found:
        for turn in ("asleep", "awake"):
            began = time.perf_counter()
            connection.sendall(b"GET /v1/members/%b HTTP/1.1\r\nhost: t\r\n\r\n" % json.loads(known)["member"].encode())
            got = answers(connection, 1)[0][1].decode()
            times.append(1e3 * (time.perf_counter() - began))
            problems += [f"before {known}, {turn} {got}"] * (got != known)
    problems += ["not all are awake"] * (metric(running, "tessera_members_awake") != len(found))
    stop(running)
    more = sorted(first - second for first, second in zip(times[::2], times[1::2]))
    print(f"{len(found)} members of 1,000 purchases ({rate:.0f}/s): first GET {median(times[::2]):.3f} ms, second {median(times[1::2]):.3f} ms; "
          f"the difference: first tenth {more[len(more) // 10]:.3f}, last tenth {more[len(more) * 9 // 10]:.3f}, most {more[-1]:.3f} ms")
    return f"to wake one takes {median(more):.3f} ms in the median of {len(found)}", problems + ["more than 1 ms"] * (median(more) > 1)


def history(arguments, folder):
    moulds = [small(number) for number in range(10_000)]
    running, old, half = start(arguments, folder), range(arguments.count), range(1_000, 1_000 + max(3, arguments.count // 4))
    rate = post(running, [(member, moulds[:9_899], 0) for member in old] + [(member, moulds[:5_000], 0) for member in half])
    time.sleep(20)  # what the store does in the background comes to rest
    connection = connect(running)

    def alone(member, first, last):
        """One by one; what was used for each."""
        before = used(running)
        for number in range(first - 1, last):
            buy(connection, member, moulds[number:number + 1], number)()
        return [(b - a) / (last - first + 1) for a, b in zip(before, used(running))]

    fresh, late = [], []
    for member in old:  # by turns, so that both meet the same store and the same noise
        alone(2_000 + member, 1, 9)
        fresh.append(alone(2_000 + member, 10, 100))
        late.append(alone(member, 9_900, 10_000))
    windows = {"10th-100th": fresh, "9,900th-10,000th": late, "5,001st-10,000th, with the snapshots due": [alone(member, 5_001, 10_000) for member in half]}
    stop(running)
    # Medians: when the store empties its memory, one window pays for all that was written before it.
    rows = [[median(column) for column in zip(*window)] for window in windows.values()]
    for title, (cpu, written, pages) in zip(windows, rows):
        print(f"{title:41} {cpu:6.1f} µs of processor, {written:5.0f} bytes given to write(), {pages:5.0f} bytes of pages")
    # Judged by write(): it counts each byte (answers too), where pages of 4 KiB hide what a longer record adds.
    ratios = [row[of] / rows[0][of] for row in rows[1:] for of in (0, 1)]
    return ("9,900th-10,000th to 10th-100th purchase: {:.2f} of the processor, {:.2f} of the bytes; 5,001st-10,000th: {:.2f} and {:.2f}; "
            "{} members, {:.0f}/s before".format(*ratios, len(old), rate)), ["more than 1.5 times"] * (max(ratios) > 1.5)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["members", "wake", "history"])
    parser.add_argument("--binary", default=os.environ.get("TESSERA_BINARY", "target/release/tessera"))
    parser.add_argument("--count", type=int, help="members: 100000, 300 or 20 if not given")
    parser.add_argument("--file", default=baskets.FILE, help="the fortnight if not given")
    parser.add_argument("--share", type=float, default=1, help="of each household's baskets")
    arguments = parser.parse_args()
    if not os.access(arguments.binary, os.X_OK):
        sys.exit(f"{arguments.binary} is missing: build it first with cargo build --release")
    measure, count = {"members": (members, 100_000), "wake": (wake, 300), "history": (history, 20)}[arguments.what]
    arguments.count = arguments.count or count
    parent = tempfile.mkdtemp(prefix="tessera-memory-")
    try:
        summary, problems = measure(arguments, os.path.join(parent, "folder"))
    finally:
        shutil.rmtree(parent, ignore_errors=True)
    for problem in problems[:10]:
        print(problem)
    print(f"{arguments.what}: {summary}: {len(problems)} problems")
    sys.exit(bool(problems))


main()
