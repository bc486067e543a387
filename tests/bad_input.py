#!/usr/bin/env python3
"""Sends a real node what no till should send; nothing of it may break the node, get a 5xx or change the books.

    bad_input.py [--only TEXT]     --only: just the checks whose names hold TEXT

Each answer that is not a success is a whole problem (RFC 9457); what never was a request may be answered bare by the
HTTP layer, or closed. Each refused purchase names a card of its own, which nobody may hold when all is over.
"""
import argparse
import concurrent.futures
import copy
import gzip
import http.client
import itertools
import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
START = "2017-03-14T12:00:00Z"
CLOSED, SLOW = 0, 13  # "closed without an answer" among the statuses; seconds in which a slow sender must be gone
BAD, DONE = {400, 422}, {200, 201}
JSON = {"content-type": "application/json"}
NOBODY = "mem_" + "0" * 26
BASKET = {  # a good one with every field, so that each can be spoilt alone
    "member": None, "source": "bad", "store": "1", "till": "1", "business_date": "2017-03-13", "sequence": "", "transaction_id": "",
    "occurred_at": "2017-03-13T12:00:00-04:00", "currency": "USD", "channel": "shop", "customer_group": "staff", "prices_include_tax": True,
    "lines": [{"id": "1", "kind": "goods", "sku": "s", "category": "c", "brand": "b", "quantity": "1", "unit": "piece", "amount": 1000, "discount": 1,
               "tax": 1, "voided": False}],
    "discounts": [{"amount": 1, "lines": ["1"]}], "tenders": [{"type": "card", "amount": 998, "lines": ["1"]}]}
TEXTS = {"/source": 64, "/store": 64, "/till": 64, "/business_date": 10, "/sequence": 64, "/transaction_id": 64, "/occurred_at": 64, "/currency": 3,
         "/channel": 64, "/customer_group": 64, "/lines/0/id": 64, "/lines/0/sku": 64, "/lines/0/category": 128, "/lines/0/brand": 64,
         "/lines/0/quantity": 64, "/lines/0/unit": 16, "/discounts/0/lines/0": 64, "/tenders/0/type": 32, "/tenders/0/lines/0": 64,
         "/member/alias/type": 32, "/member/alias/value": 64}
OPTIONAL = {"/business_date", "/sequence", "/transaction_id"}
NUMBERS = ["/lines/0/amount", "/lines/0/discount", "/lines/0/tax", "/discounts/0/amount", "/tenders/0/amount"]
HUGE = ["@1e400@", "@-1e400@", "@1e3@", "@NaN@", "@9223372036854775808@", "@18446744073709551616@", "@-9223372036854775809@", "@" + "9" * 400 + "@",
        2**63 - 1, -2**63, 10**12 + 1, -1]
TIMES = ["0001-01-01T00:00:00Z", "1999-12-31T23:59:59Z", "2200-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "-000001-01-01T00:00:00Z", "2017-13-01T00:00:00Z",
         "2017-02-30T00:00:00Z", "2017-03-13T25:00:00Z", "2017-03-13T12:00:00+99:00", "2017-03-13T12:00:00-05:00[America/New_York]", "2017-03-13", "12:00", "",
         " ", "now", "1489406400", "2199-12-31T23:59:59Z", "2017-03-14T13:00:00Z"]
CONTROLS = {"NUL": "\0", "a control character": "a\x01b", "DEL": "\x7f", "a C1 control": "\x85", "a lone surrogate": "\ud800", "half a pair": "\udc00x"}
MARKS = {"right-to-left marks": "\u202e\u2067\u200f", "a byte order mark": "\ufeff"}
POSTS = ["/v1/members", "/v1/members/lookup", "/v1/members/{id}/adjustments", "/v1/purchases", "/v1/quotes", "/v1/holds", "/v1/holds/{hold}/confirm",
         "/v1/holds/{hold}/cancel", "/v1/redemptions"]
KEYED = {"/v1/members": {"aliases": []}, "/v1/holds": {"member": "{id}", "points": 1}, "/v1/redemptions": {"member": "{id}", "points": 1},
         "/v1/holds/{hold}/confirm": {}, "/v1/holds/{hold}/cancel": {}, "/v1/members/{id}/adjustments": {"points": 1, "reason": "r"},
         "/v1/purchases": {**{k: v for k, v in BASKET.items() if k not in OPTIONAL}, "member": "{id}"}}
NOWHERE = ["/", "/v1", "/v1/", "/v2/members", "/v1/purchases/", "//v1/purchases", "/v1/holds/x/burn", "/v1/members/x/y/z", "/healthz/", "/HEALTHZ",
           "/v1/../healthz", "/%76%31/purchases", "/v1/purchases%2f", "/v1%00", "/bench/purchases/1", "/bench/members/x/1", "/.git/config", "/" + "a" * 8000]
RAW = {  # what is hardly HTTP: name → bytes, statuses
    "CONNECT host:443": (b"CONNECT host:443 HTTP/1.1\r\nhost: host\r\n\r\n", {405}),
    "GET of an authority": (b"GET host:443 HTTP/1.1\r\nhost: host\r\nconnection: close\r\n\r\n", {400, 404}),
    "GET of a bare word": (b"GET healthz HTTP/1.1\r\nhost: host\r\nconnection: close\r\n\r\n", {400, 404}),
    "POST to an authority": (b"POST host:443 HTTP/1.1\r\nhost: host\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", {400, 404}),
    "OPTIONS *": (b"OPTIONS * HTTP/1.1\r\nhost: host\r\nconnection: close\r\n\r\n", {200, 204, 400, 404, 405}),
    "a path without a slash behind a host": (b"GET http://host HTTP/1.1\r\nhost: host\r\nconnection: close\r\n\r\n", {400, 404}),
    "HTTP/1.0": (b"GET /healthz HTTP/1.0\r\n\r\n", {200, 400, 505}),
    "HTTP/1.0, an unknown path": (b"GET /nowhere HTTP/1.0\r\n\r\n", {400, 404, 505}),
    "HTTP/1.0, a body that is not JSON": (b"POST /v1/quotes HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: 1\r\n\r\n{", {400, 505}),
    "HTTP/0.9": (b"GET /healthz\r\n", {400, CLOSED}),
    "HTTP/9.9": (b"GET /healthz HTTP/9.9\r\n\r\n", {400, 505, CLOSED}),
    "an HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 505, CLOSED}),
    "a TLS hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) + b"\r\n\r\n", {400, CLOSED}),
    "NUL bytes": (b"\0" * 100 + b"\r\n\r\n", {400, CLOSED}),
    "blank lines without end": (b"\r\n" * 100_000, {400, 431, CLOSED}),
    "a request line of words": (b"please send me my points\r\n\r\n", {400, CLOSED}),
    "a path of bytes above 127": (b"GET /v1/members/\xff\xfe HTTP/1.1\r\nconnection: close\r\n\r\n", {400, 404, CLOSED}),
    "a method in lower case": (b"get /healthz HTTP/1.1\r\nconnection: close\r\n\r\n", {400, 405, CLOSED}),
    "a path of 1 MB": (b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1\r\n\r\n", {404, 414, 431, CLOSED}),
    "a header of 1 MB": (b"GET /healthz HTTP/1.1\r\nx: " + b"a" * (1 << 20) + b"\r\n\r\n", {431, CLOSED}),
    "1,000 headers": (b"GET /healthz HTTP/1.1\r\n" + b"".join(b"x-%d: 1\r\n" % n for n in range(1_000)) + b"\r\n", {431, CLOSED}),
    "a header without a colon": (b"GET /healthz HTTP/1.1\r\nwords\r\n\r\n", {400, CLOSED}),
    "a header with a NUL": (b"GET /healthz HTTP/1.1\r\nx: a\0b\r\n\r\n", {400, CLOSED}),
    "a folded header": (b"GET /healthz HTTP/1.1\r\nx: a\r\n b\r\nconnection: close\r\n\r\n", {200, 400, CLOSED}),
    "a request id of bytes above 127": (b"GET /nowhere HTTP/1.1\r\nx-request-id: \xff\xfe\r\nconnection: close\r\n\r\n", {400, 404}),
    "a content-length of -1": (b"POST /v1/quotes HTTP/1.1\r\ncontent-length: -1\r\n\r\n", {400, CLOSED}),
    "a content-length of 2^70": (b"POST /v1/quotes HTTP/1.1\r\ncontent-length: 1180591620717411303424\r\n\r\n", {400, 413, CLOSED}),
    "a content-length of 2^63": (b"POST /v1/quotes HTTP/1.1\r\ncontent-length: 9223372036854775808\r\n\r\n" + b" " * (2 << 20), {400, 413, CLOSED}),
    "two content-lengths": (b"POST /v1/quotes HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}", {400, CLOSED}),
    "transfer-encoding: gzip": (b"POST /v1/quotes HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n", {400, 501, CLOSED}),
    "a chunk size of zz": (b"POST /v1/quotes HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", {400, CLOSED}),
    "a chunk size of 2^64": (b"POST /v1/quotes HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n10000000000000000\r\n", {400, 413, CLOSED})}
HEAD = b"POST /v1/quotes HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
STALLS = {  # sent and then silent, or then a byte a second: name → bytes, dripped, statuses
    "a half-sent head": (b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-half", b"", {408, CLOSED}), "nothing sent": (b"", b"", {408, CLOSED}),
    "a dripped head": (b"GET /healthz HTTP/1.1\r\nx: ", b"a" * 30, {408, CLOSED}),
    "a half-sent body": (HEAD + b"content-length: 100\r\n\r\n{", b"", {408}), "a dripped body": (HEAD + b"content-length: 100\r\n\r\n", b" " * 30, {408}),
    "a half-sent chunked body": (HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\n{", b"", {408}),
    "10 MB announced and not sent": (HEAD + b"content-length: 10000000\r\n\r\n", b"", {408, 413})}


def start(binary, folder):
    """A node on a free port: (process, port, file of its last words)."""
    words = pathlib.Path(f"{folder}.words")
    arguments = [binary, "serve", "--folder", folder, "--programme", str(HERE.parent / "config" / "programme.toml"),
                 "--listen", "127.0.0.1:0", "--clock-start-at", START]
    process = subprocess.Popen(arguments, stderr=words.open("w"), env={**os.environ, "TESSERA_LOG": "error", "RUST_BACKTRACE": "0"})
    until = time.monotonic() + 30
    while not (ready := re.search(r"ready on http://\S+:(\d+)\n", words.read_text())):
        if process.poll() is not None or time.monotonic() > until:
            process.kill()
            sys.exit(f"the node did not start: {words.read_text()}")
        time.sleep(0.02)
    return process, int(ready[1]), words


def talk(port, sent, drip=b"", method=None):
    """One connection: (status, headers, body), or None when it was closed without an answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        try:
            connection.sendall(sent)
            for byte in drip:
                if select.select([connection], [], [], 1)[0]:
                    break
                connection.sendall(bytes([byte]))
        except ConnectionError:
            pass  # refused before it was all sent: the answer may still be there
        answer = http.client.HTTPResponse(connection, method=method)
        try:
            answer.begin()
            return answer.status, answer.headers, answer.read()
        except (http.client.HTTPException, ConnectionError):
            return None


def put(body, pointer, value):
    body = copy.deepcopy(body)
    *way, last = [int(step) if step.isdigit() else step for step in pointer.split("/")[1:]]
    place = body
    for step in way:
        place = place[step]
    place[last] = value
    return body


def text(body):
    """JSON bytes. A text between two @ stands for itself, without its quotes."""
    return body if isinstance(body, bytes) else re.sub(r'"@([^"]*)@"', r"\1", json.dumps(body)).encode()


def short(value):
    return (shown := repr(value))[:30] + ("…" if len(shown) > 30 else "")


class Checks:
    def __init__(self, port, words, only):
        self.port, self.words, self.only = port, words, only
        self.problems, self.count, self.panics, self.cards, self.number = [], 0, 0, {}, itertools.count()

    def judge(self, name, allowed, answer, method=None, bare=False):
        """Counts the check and notes what is wrong with its answer."""
        self.count += 1
        wrong, status = [], answer[0] if answer else CLOSED
        if status not in allowed:
            wrong.append(f"{status or 'closed without an answer'} instead of {'/'.join(str(one or 'closed') for one in sorted(allowed))}")
        if status >= 300 and method != "HEAD" and not (bare and not answer[2]):
            headers, body = answer[1:]
            if headers.get("content-type") != "application/problem+json":
                wrong.append(f"content-type {headers.get('content-type')}")
            try:
                said = json.loads(body)
                missing = [field for field in ("type", "title", "code", "detail", "request_id") if not (isinstance(said.get(field), str) and said[field])]
                wrong += [f"no {field} in the problem" for field in missing]
                if said.get("status") != status or ("request_id" not in missing and said["request_id"] != headers.get("x-request-id")):
                    wrong.append("the problem's status or request_id is not the answer's")
            except ValueError:
                wrong.append(f"the body is not a problem: {body[:100]}")
        panics = self.words.read_text().count("panicked at")
        if panics > self.panics:
            wrong.append("the node panicked")
        self.panics = panics
        self.problems += [f"{name}: {one}" for one in wrong]
        return status

    def raw(self, name, allowed, sent, method=None, bare=False):
        if self.only in name:
            try:
                return self.judge(name, allowed, talk(self.port, sent, method=method), method, bare)
            except OSError as error:  # a timeout, or nobody listens any more
                self.problems.append(f"{name}: {error}")

    def ask(self, name, allowed, method, path, body=b"", headers=JSON, key=None):
        body = text(body)
        lines = [f"{method} {path} HTTP/1.1", "host: x", "connection: close"] + [f"{field}: {value}" for field, value in headers.items()]
        lines += ([f"idempotency-key: {key}"] if key is not None else []) + ([f"content-length: {len(body)}"] if body or method == "POST" else [])
        return self.raw(name, allowed, "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body, method)

    def card(self, name):
        """A card that nobody holds, and nobody may hold after what `name` does to it, unless that succeeds."""
        value = f"bad-{next(self.number)}"
        self.cards[value] = name
        return {"type": "card", "value": value}

    def basket(self, member):
        return {**BASKET, "member": member, "transaction_id": f"t{next(self.number)}", "sequence": f"s{next(self.number)}"}

    def purchase(self, name, spoil, allowed=BAD):
        """A spoilt basket under a card of its own, then for the member and as a quote. `spoil`: a basket → a body."""
        if self.only not in name:
            return
        alias = self.card(name)
        if self.ask(name, allowed, "POST", "/v1/purchases", spoil(self.basket({"alias": alias}))) in DONE:
            del self.cards[alias["value"]]
            return
        for path in ("/v1/purchases", "/v1/quotes"):
            try:
                body = spoil(self.basket(self.member))
            except TypeError:
                return  # what is spoilt is the alias itself
            self.ask(f"{name}, by id, {path}", allowed, "POST", path, body)

    def spoil(self, name, pointer, value, allowed=BAD):
        self.purchase(f"{pointer} {name}", lambda basket: put(basket, pointer, value), allowed)

    def made(self, path, body, key):
        """Part of the preparation: it must succeed."""
        status, _, answer = talk(self.port, (f"POST {path} HTTP/1.1\r\nconnection: close\r\ncontent-type: application/json\r\nidempotency-key: {key}\r\n"
                                             f"content-length: {len(text(body))}\r\n\r\n").encode() + text(body))
        return json.loads(answer) if status in DONE else sys.exit(f"POST {path} was answered {status}: {answer.decode()}")

    def books(self):
        status, _, body = talk(self.port, f"GET /v1/members/{self.member} HTTP/1.1\r\nconnection: close\r\n\r\n".encode())
        return status, json.loads(body)


def fields(checks):
    """Baskets with one field spoilt."""
    for pointer, most in TEXTS.items():
        for value in [7, 1.5, True, ["x"], {"x": 1}] + [None] * (pointer not in OPTIONAL):
            checks.spoil(f"as {value!r}", pointer, value)
        for name, value in CONTROLS.items():
            checks.spoil(f"with {name}", pointer, value)
        for name, value in MARKS.items():
            checks.spoil(f"with {name}", pointer, value, BAD | DONE | {404})
        checks.spoil(f"of {most + 1} characters", pointer, "x" * (most + 1))
    for pointer in NUMBERS:
        for value in ["1", 1.5, True, None, [], {}] + HUGE:
            checks.spoil(f"as {short(value)}", pointer, value)
    for pointer in ("/prices_include_tax", "/lines/0/voided"):
        for value in ["true", 1, None, []]:
            checks.spoil(f"as {value!r}", pointer, value)
    for pointer in ("/lines", "/discounts", "/tenders", "/discounts/0/lines", "/tenders/0/lines"):
        for value in ["x", 1, True, None, {}]:
            checks.spoil(f"as {value!r}", pointer, value)
    for pointer, shape in {"/lines/0": ["1"], "/discounts/0": [1, ["1"]], "/tenders/0": ["card", 998, None, ["1"]], "/member/alias": ["card", "bad-list"]}.items():
        checks.spoil("as a list", pointer, shape)
    for value in [1, "bogus", "return", "GOODS", None, ["goods"], {"goods": None}]:
        checks.spoil(f"as {value!r}", "/lines/0/kind", value)
    for value in ["-1", "1e400", "1e3", "NaN", "", ".5", "1.", "1.0000001", "1" * 13, "0x1", "٣"]:
        checks.spoil(f"as {value!r}", "/lines/0/quantity", value)
    for value in TIMES:
        checks.spoil(f"as {value!r}", "/occurred_at", value)
    checks.spoil("local, in a DST gap", "/occurred_at", "2017-03-12T02:30:00", DONE | BAD)
    for value in ["0001-01-01", "9999-12-31", "2200-01-01", "2017-13-01", "2017-02-30", "17-03-13", "", "2017-03-10"]:
        checks.spoil(f"as {value!r}", "/business_date", value)
    for value in ["ZZZ", "XXX", "usd", "Usd", "US", "U$D", "", "840", "EUR", "JPY"]:
        checks.spoil(f"as {value!r}", "/currency", value)
    for pointer in ("/points", "/member/alias/x", "/lines/0/x", "/discounts/0/x", "/tenders/0/x", "/lines/0/returns"):
        checks.spoil("is an unknown field", pointer, 1)
    line = BASKET["lines"][0]
    checks.spoil("empty", "/lines", [])
    checks.spoil("1,001 of them", "/lines", [{**line, "id": str(n)} for n in range(1_001)], {413, 422})
    checks.spoil("two of one id", "/lines", [line, line])
    checks.spoil("51 of them", "/tenders", BASKET["tenders"] * 51)
    checks.spoil("larger than the basket", "/discounts/0/amount", 1000)
    checks.spoil("larger than the line", "/lines/0/discount", 1001)
    checks.spoil("an unknown line", "/discounts/0/lines/0", "2")
    for value in ["x", "hold_", f"hold_{NOBODY[4:]}1", "hold_" + "z" * 30, "pur_" + "0" * 27, checks.hold[:-1] + "zz"]:
        checks.spoil(f"as {short(value)}", "/tenders/0", {"type": "points", "amount": 1, "hold": value}, BAD | {404})
    checks.spoil("points that are not there", "/tenders/0", {"type": "points", "amount": 998}, {409} | DONE)


def bodies(checks):
    """Bodies that are no baskets at all."""
    spoilt = {"half": lambda body: body[:-9], "twice": lambda body: body * 2, "words": lambda body: b"points, please", "nothing": lambda body: b" ",
              "a list of its values": lambda body: b"[" + body + b"]", "null": lambda body: b"null", "a byte order mark first": lambda body: b"\xef\xbb\xbf" + body,
              "single quotes": lambda body: body.replace(b'"', b"'"), "a comma too many": lambda body: body[:-1] + b",}", "UTF-16": lambda body: body.decode().encode("utf-16"),
              "a field twice": lambda body: b'{"store":"1",' + body[1:], "a comment": lambda body: body + b"// that is all"}
    for name, how in spoilt.items():
        checks.purchase(f"body: {name}", lambda basket, how=how: how(text(basket)))
    for name, value in {"0xff": b"\xff", "an overlong NUL": b"\xc0\x80", "a surrogate": b"\xed\xa0\x80", "a cut sequence": b"\xe2\x82", "a raw control": b"\x01"}.items():
        checks.purchase(f"body: invalid UTF-8, {name}", lambda basket, value=value: text(basket).replace(b'"shop"', b'"' + value + b'"'))
    for opened, closed in (("[", "]"), ('{"x":', "}")):
        deep = f"@{opened * 100_000}1{closed * 100_000}@"
        if opened == "[":
            for pointer in ("/deep", "/member", "/lines", "/lines/0/amount", "/store"):
                checks.spoil("nested 100,000 deep", pointer, deep)
        checks.purchase(f"body: nested 100,000 deep in {opened}", lambda basket, deep=deep: deep[1:-1].encode())
    large = text({**BASKET, "member": checks.member, "store": " " * 10_000_000})
    for path in POSTS:
        path = path.format(id=checks.member, hold=checks.hold)
        checks.ask(f"10 MB to {path}", {413}, "POST", path, large, key="large")
        chunks = b"".join(b"10000\r\n" + large[at:at + 65_536].ljust(65_536) + b"\r\n" for at in range(0, len(large), 65_536)) + b"0\r\n\r\n"
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nidempotency-key: large\r\ntransfer-encoding: chunked\r\n\r\n"
        checks.raw(f"10 MB in chunks to {path}", {413}, head.encode() + chunks)
    good = text(checks.basket(checks.member))
    checks.ask("gzip", {400, 415}, "POST", "/v1/purchases", gzip.compress(good), {**JSON, "content-encoding": "gzip"})
    for kind in ["text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonx", "application/json, text/plain",
                 "application/problem+json", "json", ""]:
        checks.ask(f"content-type {kind!r}", {415}, "POST", "/v1/purchases", good, {"content-type": kind})
    for path in POSTS:
        path = path.format(id=checks.member, hold=checks.hold)
        checks.ask(f"no content-type to {path}", {415}, "POST", path, b"{}", {}, key="untyped")
        for name, body in {"half an object": b'{"member":', "a list": b"[]", "a number": b"1", "a text": b'"x"', "an unknown field": b'{"x":1}'}.items():
            if not path.endswith("/cancel"):  # which takes no body
                checks.ask(f"{name} to {path}", BAD, "POST", path, body, key="shape")


def paths(checks):
    """Paths, methods, ids, keys."""
    for path in NOWHERE:
        for method in ("GET", "POST", "DELETE"):
            checks.ask(f"{method} {short(path)}", {404}, method, path, headers={})
    for path, right in [("/healthz", "GET"), ("/readyz", "GET"), ("/v1/members/{id}", "GET")] + [(path, "POST") for path in POSTS]:
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "HEAD", "BREW"):
            if method != right:
                head = {200, 405} if (method, right) == ("HEAD", "GET") else {405}
                checks.ask(f"{method} {path}", head, method, path.format(id=checks.member, hold=checks.hold), headers={})
    members = ["mem_", "mem_0", NOBODY, "mem_" + "z" * 26, "mem_" + "u" * 26, checks.member + "0", checks.member[:-1], checks.member.upper(), checks.member.replace("_", "%5F"), "x",
               "null", "..", "%00", "%ff", "%", "mem_" + "%F0%9F%98%80" * 6 + "00", checks.hold, "a" * 5_000]
    for number, who in enumerate(members):
        checks.ask(f"member {short(who)}", {404}, "GET", f"/v1/members/{who}")
        checks.ask(f"adjusting member {short(who)}", {404}, "POST", f"/v1/members/{who}/adjustments", {"points": 1, "reason": "r"}, key=f"who-{number}")
        checks.ask(f"a purchase for member {short(who)}", {404}, "POST", "/v1/purchases", checks.basket(who))
        checks.ask(f"a hold for member {short(who)}", {404}, "POST", "/v1/holds", {"member": who, "points": 1}, key=f"who-{number}")
    digits = checks.hold[5:31]
    for who in ["hold_", "hold_1", f"hold_{digits}", f"hold_{digits}0", f"hold_{digits}1", f"hold_{digits}zzzzzzz", f"hold_{digits}10000000", f"hold_{digits}0{checks.hold[31:]}",
                f"pur_{checks.hold[5:]}", checks.hold.upper(), NOBODY, f"hold_{NOBODY[4:]}1", "hold_" + "%F0%9F%98%80" * 8, "x"]:
        for what in ("confirm", "cancel"):
            checks.ask(f"{what} {who}", {404}, "POST", f"/v1/holds/{who}/{what}", key=f"{what}-{who}")
    for path, body in KEYED.items():
        path, body = path.format(id=checks.member, hold=checks.hold), json.loads(json.dumps(body).replace("{id}", checks.member))
        for name, key in {"no key": None, "an empty key": "", "256 characters": "k" * 256, "a key of bytes above 127": "\xe4\xf6"}.items():
            checks.ask(f"{name} to {path}", {400}, "POST", path, body, key=key)
    checks.ask("an empty key beside a transaction id", {400}, "POST", "/v1/purchases", checks.basket(checks.member), key="")


def spending(checks):
    """Members, holds, redemptions, adjustments."""
    no = BAD | {409}
    for path in ("/v1/holds", "/v1/redemptions"):
        wrongs = [{"points": value} for value in HUGE + [0, "1", 1.5, True, [], {}]] + [{"amount": value, "currency": "USD"} for value in HUGE + [0, "1", 1.5]]
        wrongs += [{"amount": 1, "currency": value} for value in ["usd", "ZZZ", "EUR", "", 7]] + [{"points": 1, "amount": 1, "currency": "USD"}, {"points": 1, "x": 1}, {"amount": 1}, {}]
        for wrong in wrongs + [{"points": 1, "ttl_seconds": value} for value in HUGE + [0, 86_401, "60", 1.5]]:
            checks.ask(f"{path} {short(wrong)}", no, "POST", path, {"member": checks.member, **wrong}, key=f"{path}-{next(checks.number)}")
        name = f"{path} for an unknown card"
        if checks.only in name:
            checks.ask(name, no | {404}, "POST", path, {"member": {"alias": checks.card(name)}, "points": 5}, key=f"{path}-unknown")
    for value in HUGE[:-3] + [-2**63, 10**12 + 1, -10**12 - 1, 0, "1", 1.5, None, -5_000]:
        checks.ask(f"adjusting by {short(value)}", no, "POST", f"/v1/members/{checks.member}/adjustments", {"points": value, "reason": "r"}, key=f"by-{short(value)}")
    for reason in ["", " ", "x" * 201, 7, None, *CONTROLS.values()]:
        checks.ask(f"adjusting for the reason {short(reason)}", no, "POST", f"/v1/members/{checks.member}/adjustments", {"points": 1, "reason": reason}, key=f"for-{short(reason)}")
    checks.ask("writing off what is no debt", no, "POST", f"/v1/members/{checks.member}/adjustments", {"points": 1, "reason": "r", "write_off": True}, key="off")
    for value in HUGE + [0, 101, "1", 1.5]:
        checks.ask(f"confirming {short(value)} points", no, "POST", f"/v1/holds/{checks.hold}/confirm", {"points": value}, key=f"confirm-{short(value)}")
    kinds = {"an unknown type of alias": [("nope", "1")], "an empty alias": [("card", "")], "an alias of 65 characters": [("card", "x" * 65)], "a type of 33": [("x" * 33, "1")],
             "21 aliases": [("card", f"many-{n}") for n in range(21)], **{f"an alias with {name}": [("card", value)] for name, value in CONTROLS.items()}}
    for name, others in kinds.items():
        if checks.only in name:
            others = [{"type": kind, "value": value} for kind, value in others]
            checks.ask(f"enrolling with {name}", BAD, "POST", "/v1/members", {"aliases": [checks.card(name), *others]}, key=f"enrol {name}")
            checks.ask(f"looking up {name}", BAD | {404}, "POST", "/v1/members/lookup", others[0])
    for name, alias in {"a list": ["card", "known"], "an unknown field": {"type": "card", "value": "1", "x": 1}, "a number": {"type": "card", "value": 1}}.items():
        checks.ask(f"looking up {name}", BAD, "POST", "/v1/members/lookup", alias)
    for name, key, alias in (("a taken alias", "taken", {"type": "card", "value": "known"}), ("another request's key", "enrol", None)):
        if checks.only in (name := f"an enrolment refused for {name}"):
            free = checks.card(name)
            checks.ask(name, {409}, "POST", "/v1/members", {"aliases": [free] + ([alias] if alias else [])}, key=key)
            checks.free.append((name, free))
    checks.purchase("an app that nobody has", lambda basket: put(basket, "/member/alias/type", "app"), {404})
    checks.ask("a quote for an unknown card", {404}, "POST", "/v1/quotes", checks.basket({"alias": checks.card("a quote for an unknown card")}))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", default=os.environ.get("TESSERA_BINARY", "target/debug/tessera"))
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    if not os.access(arguments.binary, os.X_OK):
        sys.exit(f"{arguments.binary} is missing: build it first with cargo build")
    parent = tempfile.mkdtemp(prefix="tessera-bad-input-")
    process, port, words = start(arguments.binary, os.path.join(parent, "folder"))
    checks = Checks(port, words, arguments.only)
    checks.member = checks.made("/v1/members", {"aliases": [{"type": "card", "value": "known"}]}, "enrol")["member"]
    checks.made(f"/v1/members/{checks.member}/adjustments", {"points": 1_000, "reason": "to begin with"}, "give")
    checks.hold = checks.made("/v1/holds", {"member": checks.member, "points": 100}, "hold")["id"]
    checks.made("/v1/purchases", checks.basket({"alias": {"type": "card", "value": "good"}}), "good")  # or no refusal below means anything
    checks.free, before = [], checks.books()
    with concurrent.futures.ThreadPoolExecutor(len(STALLS)) as pool:
        def stall(sent, drip):
            began = time.monotonic()
            return talk(port, sent, drip), time.monotonic() - began
        stalls = {name: pool.submit(stall, sent, drip) for name, (sent, drip, _) in STALLS.items() if arguments.only in name}
        for name, (sent, allowed) in RAW.items():
            checks.raw(name, allowed, sent, bare=True)
        for part in (paths, spending, fields, bodies):
            part(checks)
        for name, stalled in stalls.items():
            try:
                answer, took = stalled.result()
                checks.judge(name, STALLS[name][2], answer, bare=CLOSED in STALLS[name][2])
                checks.problems += [f"{name}: gone only after {took:.1f} s"] * (took > SLOW)
            except OSError as error:
                checks.problems.append(f"{name}: {error}")
    refused, checks.only = len(checks.cards), ""
    for card, name in checks.cards.items():
        checks.ask(f"{name}: is its card unknown afterwards?", {404}, "POST", "/v1/members/lookup", {"type": "card", "value": card})
    for name, card in checks.free:
        checks.ask(f"{name}: may its card be used afterwards?", {201}, "POST", "/v1/purchases", checks.basket({"alias": card}))
    checks.ask("is the node up afterwards?", {200}, "GET", "/healthz")
    if (after := checks.books()) != before:
        checks.problems.append(f"the member's books were {before} and are {after}")
    process.send_signal(signal.SIGTERM)
    try:
        if process.wait(timeout=30) != 0:
            checks.problems.append(f"SIGTERM did not end the node cleanly: {words.read_text()[-1000:]}")
    except subprocess.TimeoutExpired:
        process.kill()
        checks.problems.append("SIGTERM did not end the node within 30 s")
    for problem in checks.problems:
        print(problem)
    shutil.rmtree(parent, ignore_errors=True)
    print(f"bad input: {checks.count} checks, {refused} cards of refused requests looked up, {len(checks.problems)} problems")
    sys.exit(bool(checks.problems))


main()
