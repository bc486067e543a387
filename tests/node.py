"""A node as a process, its audit, clients that post to it, and what they were told."""
import atexit
import collections
import hashlib
import http.client
import json
import multiprocessing
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).parent
START = "2017-03-14T12:00:00Z"  # after the last of the baskets
CLIENTS = 6
LIMIT = 20  # seconds; whoever needs longer hangs


class Node:
    """A node on a free port; `port` is None if it did not start. It speaks into a file, so that nobody must read along."""

    def __init__(self, binary, folder, programme=HERE.parent / "config" / "programme.toml", start=START):
        self.binary, self.folder, self.file = binary, folder, tempfile.TemporaryFile()
        arguments = [binary, "serve", "--folder", str(folder), "--programme", str(programme),
                     "--listen", "127.0.0.1:0", "--clock-start-at", start]
        self.process = subprocess.Popen(arguments, stderr=self.file, env={**os.environ, "TESSERA_LOG": "warn", "RUST_BACKTRACE": "0"})
        atexit.register(self.process.kill)  # nobody else would, if the check dies
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
        """What it said to people: all but its log. Of a panic's place, the crate and the file."""
        spoken = re.sub(r"\S*/registry/src/[^/]*/|note: run with .*", "", self.words())
        return [line for line in spoken.splitlines() if line and not line.startswith(("{", "tessera is ready"))]

    def end(self, how):
        """Sends the signal if it still runs; answers its code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.hung = True
            self.process.kill()
            return self.process.wait()

    def leave(self, parent, problems):
        """The end of a check: it ends in peace, its books are added up, the parent of its folder goes; the first problems are told."""
        self.end(signal.SIGTERM)
        problems += audit(self.binary, self.folder)
        shutil.rmtree(parent)
        tell(problems)

    def serve(self, client, work, kill_after=None):
        """Lets one client for each piece of work at it, and kills it after some seconds; answers what they have sent."""
        with multiprocessing.Pool(len(work)) as clients:
            shares = clients.starmap_async(client, work)
            if kill_after is not None:
                time.sleep(kill_after)
                self.end(signal.SIGKILL)
            return [one for share in shares.get() for one in share]

    def unclean(self, *codes):
        """Why this was no end with one sentence and one of the codes; None if it was."""
        if self.hung or self.process.poll() is None:
            return f"hangs for {LIMIT} s"
        said, code = self.said(), self.process.returncode
        if code not in codes or len(said) != 1 or not said[0].startswith("tessera: "):
            return f"ends with code {code} and says {' | '.join(said)[:400] or 'nothing'}"
        return None


def audit(binary, folder):
    """What the audit finds wrong in a folder that no node holds: a list of one, or of none."""
    made = subprocess.run([binary, "audit", "--folder", str(folder)], capture_output=True, text=True)
    return [f"the audit: {made.stdout[-800:]} {made.stderr[-400:]}"] if made.returncode else []


def job(api, made, patience=LIMIT * 30):
    """A job that has begun, once it has ended; RuntimeError if it does not."""
    ends = time.monotonic() + patience
    while made.get("state") in ("waiting", "running"):
        if time.monotonic() > ends:
            raise RuntimeError(f"a job does not end: {made}")
        time.sleep(0.05)
        made = api("GET", f"/v1/jobs/{made['id']}")[1]
    return made


def tell(problems, most=8):
    for problem in problems[:most]:
        print("problem:", str(problem)[:1500])


def ask(connection, method, path, body=None):
    """(status, code of a problem, replayed, text)."""
    connection.request(method, path, body and json.dumps(body), {"content-type": "application/json"} if body else {})
    answer = connection.getresponse()
    text = answer.read().decode()
    return answer.status, json.loads(text).get("code") if answer.status >= 400 else None, answer.getheader("idempotent-replayed") == "true", text


def share(port, work, places):
    """Posts these places until the node is gone; answers (place, text or None, when) for each that was sent."""
    connection, sent = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT), []
    for place in places:
        try:
            status, _, _, text = ask(connection, "POST", "/v1/purchases", work[place])
        except (OSError, http.client.HTTPException):
            return [*sent, (place, None, 0)]
        sent.append((place, text if status == 201 else None, time.monotonic_ns()))
        if status >= 500:
            break
    return sent


def load(port, work, places, meanwhile=None):
    """The same by several clients at once."""
    with multiprocessing.Pool(CLIENTS) as clients:
        shares = clients.starmap_async(share, [(port, work, places[n::CLIENTS]) for n in range(CLIENTS)])
        if meanwhile:
            meanwhile(shares)
        return [one for sent in shares.get() for one in sent]


def digest(text):
    return hashlib.sha256(text.encode()).digest()


class Known:
    """What clients were told: texts by place, in the order of the answers, and what that makes for each member."""

    def __init__(self, before=None):
        self.texts, self.member = (dict(before.texts), dict(before.member)) if before else ({}, {})
        self.balances = collections.Counter(before.balances if before else {})

    def add(self, sent):
        for place, text, _ in sorted((one for one in sent if one[1]), key=lambda one: one[2]):
            made = json.loads(text)
            self.texts[place], self.member[place] = digest(text), made["member"]
            self.balances[made["member"]] += made["wallets"]["points"]["earned"]


def check(node, work, known, places):
    """(members stopped, problems): every balance, then these places again, each a repeat with the same text."""
    connection, stopped, balances, texts = http.client.HTTPConnection("127.0.0.1", node.port, timeout=LIMIT), set(), [], []
    try:
        for member, points in known.balances.items():
            status, code, _, text = ask(connection, "GET", f"/v1/members/{member}")
            if code == "member_stopped":
                stopped.add(member)
            elif status != 200:
                balances.append(f"{member} had {points} and is answered {status} {code}")
            elif (has := json.loads(text)["wallets"]["points"]["available"]) != points:
                balances.append(f"{member} had {points} and has {has}")
        for place in places:
            status, code, replayed, text = ask(connection, "POST", "/v1/purchases", work[place])
            if code == "member_stopped":
                stopped.add(known.member[place])
            elif status != 201 or not replayed or digest(text) != known.texts[place]:
                what = f"answered {status} {code}" if status != 201 else "another text" if replayed else "LOST and done again"
                texts.append(f"basket {work[place]['transaction_id']} was acknowledged and is {what}")
    except TimeoutError:
        texts.append(f"it hangs: no answer within {LIMIT} s")
    except (OSError, http.client.HTTPException) as error:
        node.end(0)
        texts.append(f"the node is gone ({error!r}): it {node.unclean(74) or node.said()[0]}")
    if "panicked" in node.words():
        texts.append(f"it panicked: {' | '.join(node.said())[:400]}")
    return stopped, texts + balances
