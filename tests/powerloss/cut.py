#!/usr/bin/env python3
"""Builds a folder as it could look after a power cut, from a trace recorded by shim.c.

  cut.py TRACE info --json
  cut.py TRACE list                                  one line per record, for reading
  cut.py TRACE cut --at N [--before-sync] --unit 512|4096 --seed S --out DIR

A cut at N is a power loss after records 0 .. N-1 and before record N. With --before-sync, N counts
sync-begin records from 0 and the cut is right before that record, so what it would have covered is
still volatile. A cut inside the baseline (the folder as it was at the start) counts as right after
it. Equal arguments give equal folders. DIR must be missing or empty.

Model. A sync covers what was recorded before it began, once it has ended; a sync still running at
the cut, or failed, promises nothing.
(a) Content. Data units (aligned pieces of 512 B or 4 KiB) of a file written since its last
    completed sync survive or not independently: a unit takes its latest version, or else one of
    the older ones at random, down to the last durable one (zeros if none). The probability of the
    latest is drawn per file from 0, 0.1, 0.5, 0.9, 1, so that "one unit missing", "one unit there",
    "all" and "none" are all common outcomes, at any number of units.
(b) Size. The surviving size is the durable one, the latest one, or any between. Data beyond it is
    gone. A truncation which survives removes older data beyond it for good; data written there
    after one which does not survive is dropped, since it went to newly allocated blocks. A size
    may survive without the data below it, which then reads as zeros: wider than ext4's ordered
    mode for plain appends (there data reaches the disk before the size), but what it shows for
    preallocated files, and what writeback mode and other file systems show for appends.
(c) Names. Create, rename, link, unlink, mkdir, rmdir are journalled in order: a random prefix of
    those since the last journal commit survives. As on ext4, an fsync of a file or directory commits
    the journal if that inode was changed since the last commit; an fdatasync only if the
    change was to size, allocation (a write to a new 4 KiB block) or directory entries.
Not modelled: lost or torn sectors below the unit, reordering of name changes, file modes and times.

Acknowledgements: the ns of a record is CLOCK_MONOTONIC (time.monotonic_ns) when its operation had
completed. What was acknowledged at a time < next_ns (any time, if next_ns is null) must survive.
"""
import argparse
import bisect
import json
import mmap
import os
import random
import struct

(CREATE, MKDIR, WRITE, RESIZE, RENAME, LINK, UNLINK, RMDIR, SYNC_BEGIN, SYNC_END, BASELINE_END,
 UNSUPPORTED) = range(1, 13)
KINDS = ("", "create", "mkdir", "write", "resize", "rename", "link", "unlink", "rmdir",
         "sync-begin", "sync-end", "baseline-end", "unsupported")
HEADER = struct.Struct("<IHHHHIQQQQQ")
MAGIC, FDATASYNC, ROOT, EVERY_FILE = 0x31435450, 1, 1, 0


class File:
    """Changes of one file: events (record, offset, length, position of the data in the trace), with
    length -1 for a change of the size to offset; and a cached durable state."""

    def __init__(self):
        self.events, self.records, self.syncs, self.blocks, self.size = [], [], [], set(), 0
        self.forget()

    def forget(self):
        self.applied, self.data, self.durable_size = 0, bytearray(), 0

    def durable(self, count, trace):
        """Content and size after the first count events; content may be shorter than the size."""
        if count < self.applied:
            self.forget()
        for _, off, length, pos in self.events[self.applied:count]:
            if length < 0:
                del self.data[off:]
                self.durable_size = off
            else:
                if off > len(self.data):
                    self.data.extend(bytes(off - len(self.data)))
                self.data[off:off + length] = trace[pos:pos + length]
                self.durable_size = max(self.durable_size, off + length)
        self.applied = count
        return self.data, self.durable_size


class Trace:
    def __init__(self, path):
        with open(path, "rb") as f:
            self.bytes = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)
        self.ns, self.kinds, self.files, self.names = [], bytearray(), {}, []
        self.sync_begins, self.baseline, self._at = [], 0, []
        self.commits = [(-1, 0)]  # (record of the sync-end, names recorded before this are durable)
        self._changed, self._data_changed = {}, {}  # inode: last change an fsync/fdatasync commits
        self._allocated = {}  # inode: last write which has to allocate; done by its next sync
        self._commits_names = {}  # sync-begin: whether that sync commits the journal
        pos, end = 0, len(self.bytes)
        while pos + HEADER.size <= end:  # a killed process may leave a last record incomplete
            head = HEADER.unpack_from(self.bytes, pos)
            if head[5] != MAGIC:
                raise ValueError(f"no record at byte {pos} of the trace")
            if pos + HEADER.size + head[0] > end:
                break
            self._add(head, pos + HEADER.size)
            self._at.append(pos)
            pos += HEADER.size + head[0]
        if not self.baseline:
            raise ValueError("the trace ends within its baseline")

    def _add(self, head, pos):
        size, kind, flags, len1, len2, _, ns, fid, off, dir1, dir2 = head
        index = len(self.kinds)
        self.ns.append(ns)
        self.kinds.append(kind)
        if kind == WRITE or kind == RESIZE:
            file = self.files[fid]
            self._changed[fid] = index
            if kind == RESIZE:
                self._data_changed[fid], file.size = index, off
                file.events.append((index, off, -1, 0))
            else:
                blocks = range(off >> 12, (off + size - 1 >> 12) + 1)
                if off + size > file.size or not file.blocks.issuperset(blocks):
                    self._allocated[fid] = index
                file.blocks.update(blocks)
                file.size = max(file.size, off + size)
                file.events.append((index, off, size, pos))
            file.records.append(index)
        elif kind == SYNC_BEGIN:
            self.sync_begins.append(index)
            changed = self._data_changed if flags & FDATASYNC else self._changed
            file = self.files.get(fid)
            self._commits_names[index] = (
                fid == EVERY_FILE or changed.get(fid, -1) >= self.commits[-1][1]
                or self._allocated.get(fid, -1) >= (file.syncs[-1][1] if file and file.syncs else 0))
        elif kind == SYNC_END:
            for file in self.files.values() if fid == EVERY_FILE else [self.files.get(fid)]:
                if file:
                    begin = max(off, file.syncs[-1][1] if file.syncs else 0)
                    file.syncs.append((index, begin))
            if self._commits_names[off]:
                self.commits.append((index, max(off, self.commits[-1][1])))
        elif kind == BASELINE_END:
            self.baseline = index + 1
            self.commits.append((index, index))
            for file in self.files.values():
                file.syncs.append((index, index))
        elif kind == UNSUPPORTED:
            what = self.bytes[pos:pos + len1].decode()
            raise ValueError(f"record {index}: the program used something unsupported: {what}")
        else:
            name1 = self.bytes[pos:pos + len1]
            name2 = self.bytes[pos + len1:pos + len1 + len2]
            self.names.append((index, kind, fid, dir1, name1, dir2, name2))
            if kind == CREATE:
                self.files[fid] = File()
            self._changed[fid] = index
            for inode in (dir1, dir2) + ((fid,) if kind in (CREATE, MKDIR) else ()):
                self._changed[inode] = self._data_changed[inode] = index

    def __len__(self):
        return len(self.kinds)

    def info(self):
        return {"records": len(self), "baseline": self.baseline,
                "sync_begins": len(self.sync_begins), "sync_ends": self.kinds.count(SYNC_END),
                "first_ns": self.ns[0], "last_ns": self.ns[-1], "bytes": len(self.bytes),
                "kinds": {KINDS[k]: self.kinds.count(k) for k in sorted(set(self.kinds))}}

    def records(self):
        """Every record as a dict; path and new_path are relative to the root at that time."""
        where, names = {ROOT: (0, b".")}, iter(self.names + [(len(self),)])
        change = next(names)

        def path(fid):
            parts = []
            while fid in where and fid != ROOT:
                fid, name = where[fid]
                parts.append(os.fsdecode(name))
            return "/".join(reversed(parts)) or "."
        for index, pos in enumerate(self._at):
            size, kind, _, len1, len2, _, ns, fid, off, _, _ = HEADER.unpack_from(self.bytes, pos)
            record = {"index": index, "kind": KINDS[kind], "ns": ns, "file": fid,
                      "path": "(all)" if fid == EVERY_FILE else path(fid), "offset": off,
                      "length": size - len1 - len2}
            if index == change[0]:
                _, _, _, dir1, name1, dir2, name2 = change
                record["path"] = os.path.normpath(path(dir1) + "/" + os.fsdecode(name1))
                if kind == RENAME:
                    record["new_path"] = os.path.normpath(path(dir2) + "/" + os.fsdecode(name2))
                where[fid] = (dir2, name2) if kind == RENAME else (dir1, name1)
                change = next(names)
            yield record

    def before_sync(self, k):
        """Where to cut right before the k-th sync-begin record, from 0."""
        return self.sync_begins[k]

    def cut(self, at, unit, seed, out_dir):
        """Writes out_dir as it could be after a power loss right before record at."""
        at = max(at, self.baseline)
        if at > len(self):
            raise ValueError(f"the trace has only {len(self)} records")
        os.makedirs(out_dir, exist_ok=True)
        if os.listdir(out_dir):
            raise ValueError(f"{out_dir} is not empty")
        rng = random.Random(f"{seed} {at} {unit}")
        written = {}
        self._write_dir(self._names_after(at, rng), ROOT, out_dir, at, unit, rng, written)
        return {"at": at, "unit": unit, "seed": seed, "out": out_dir, "last_ns": self.ns[at - 1],
                "next_ns": self.ns[at] if at < len(self) else None, "files": len(written)}

    def _names_after(self, at, rng):
        """Directories {id: {name: id}} at the cut, as in (c)."""
        committed = self.commits[bisect.bisect_left(self.commits, (at,)) - 1][1]
        durable = bisect.bisect_left(self.names, (committed,))
        recorded = bisect.bisect_left(self.names, (at,))
        dirs = {ROOT: {}}
        count = rng.choice((durable, recorded, *(rng.randint(durable, recorded),) * 2))
        for _, kind, fid, dir1, name1, dir2, name2 in self.names[:count]:
            if kind == MKDIR:
                dirs[fid] = {}
            # A deleted directory's inode number may come to name a folder outside the root.
            if kind in (UNLINK, RMDIR, RENAME):
                dirs.get(dir1, {}).pop(name1, None)
            if kind == RENAME:
                dirs.get(dir2, {})[name2] = fid
            elif kind in (CREATE, MKDIR, LINK):
                dirs.get(dir1, {})[name1] = fid
        return dirs

    def _write_dir(self, dirs, dir_id, path, at, unit, rng, written):
        for name, fid in sorted(dirs[dir_id].items()):
            target = os.path.join(path, os.fsdecode(name))
            if fid in dirs:
                os.mkdir(target)
                self._write_dir(dirs, fid, target, at, unit, rng, written)
            elif fid in written:
                os.link(written[fid], target)
            else:
                written[fid] = target
                self._write_file(self.files[fid], target, at, unit, rng)

    def _write_file(self, file, target, at, unit, rng):
        """One file at the cut, as in (a) and (b)."""
        sync = bisect.bisect_left(file.syncs, (at,))
        synced = bisect.bisect_left(file.records, file.syncs[sync - 1][1] if sync else 0)
        data, size = file.durable(synced, self.bytes)
        pending = file.events[synced:bisect.bisect_left(file.records, at)]
        sizes = [(-1, size)]  # (index in pending of the change, size after it)
        for i, (_, off, length, _) in enumerate(pending):
            new = off if length < 0 else max(sizes[-1][1], off + length)
            if new != sizes[-1][1]:
                sizes.append((i, new))
        last, size = rng.choice((sizes[0], sizes[-1], *(rng.choice(sizes),) * 2))
        keep = len(data)  # durable content beyond this was truncated away
        reach = None  # once a truncation has not survived, only data below its size can
        units = {}  # unit: its pending writes, and the truncations among them, in order
        for i, event in enumerate(pending):
            _, off, length, _ = event
            if length < 0 and i <= last:
                keep = min(keep, off)
                for u, versions in units.items():
                    if (u + 1) * unit > off:
                        versions.append(event)
            elif length < 0:
                reach = off if reach is None else min(reach, off)
            else:
                stop = off + length if reach is None else min(off + length, reach)
                for u in range(off // unit, -(-stop // unit) if stop > off else 0):
                    units.setdefault(u, []).append((0, off, stop - off, event[3]))
        latest = rng.choice((0, 0.1, 0.5, 0.9, 1))
        with open(target, "wb") as f:
            f.write(memoryview(data)[:min(keep, size)])
            for u, versions in units.items():
                start, stop = u * unit, (u + 1) * unit
                if start >= size:
                    continue
                count = sum(v[2] >= 0 for v in versions)
                survive = count if rng.random() < latest else rng.randrange(count)
                content = bytearray(data[start:min(stop, keep)].ljust(unit, b"\0"))
                for _, off, length, pos in versions:
                    if length < 0:
                        cut = max(off - start, 0)
                        content[cut:] = bytes(unit - cut)
                    elif survive > 0:
                        survive -= 1
                        a, b = max(off, start), min(off + length, stop)
                        content[a - start:b - start] = self.bytes[pos + a - off:pos + b - off]
                f.seek(start)
                f.write(content)
            f.truncate(size)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trace")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("info").add_argument("--json", action="store_true")
    commands.add_parser("list")
    cut = commands.add_parser("cut")
    cut.add_argument("--at", type=int, required=True)
    cut.add_argument("--before-sync", action="store_true", help="--at counts sync-begin records")
    cut.add_argument("--unit", type=int, choices=(512, 4096), default=4096)
    cut.add_argument("--seed", type=int, default=0)
    cut.add_argument("--out", required=True)
    args = parser.parse_args()
    trace = Trace(args.trace)
    if args.command == "info":
        print(json.dumps(trace.info(), indent=None if args.json else 2))
    elif args.command == "list":
        for record in trace.records():
            print(json.dumps(record))
    else:
        at = trace.before_sync(args.at) if args.before_sync else args.at
        print(json.dumps(trace.cut(at, args.unit, args.seed, args.out)))


if __name__ == "__main__":
    main()
