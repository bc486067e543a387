#!/usr/bin/env python3
"""Sends a real node what no till should send: none of it may break the node, get a 5xx or change the books.

Each answer that is not a success is a whole problem (RFC 9457); what never became a request may be answered bare, or
closed. Each refused request names a card of its own, which nobody may hold when all is over.
"""
import argparse
import atexit
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
PATIENCE = 13  # seconds after which a slow sender must be gone
CLOSED, BAD, DONE = 0, {400, 422}, {200, 201, 202}  # statuses; 0 is "closed without an answer"
JSON = {"content-type": "application/json"}
NOBODY = "mem_" + "0" * 26
LINE = {"id": "1", "kind": "goods", "sku": "s", "category": "c", "brand": "b", "quantity": "1", "unit": "piece", "amount": 1000, "discount": 1, "tax": 1, "voided": False}
BASKET = {  # a good one with every field, so that each can be spoilt alone
    "member": None, "source": "bad", "store": "1", "till": "1", "occurred_at": "2017-03-13T12:00:00-04:00", "currency": "USD", "channel": "shop", "customer_group": "staff",
    "prices_include_tax": True, "lines": [LINE], "discounts": [{"amount": 1, "lines": ["1"]}], "tenders": [{"type": "card", "amount": 998, "lines": ["1"]}]}
TEXTS = {"/source": 64, "/store": 64, "/till": 64, "/business_date": 10, "/sequence": 64, "/transaction_id": 64, "/occurred_at": 64, "/currency": 3, "/channel": 64,
         "/customer_group": 64, "/lines/0/id": 64, "/lines/0/sku": 64, "/lines/0/category": 128, "/lines/0/brand": 64, "/lines/0/quantity": 64, "/lines/0/unit": 16,
         "/discounts/0/lines/0": 64, "/tenders/0/type": 32, "/tenders/0/lines/0": 64, "/member/alias/type": 32, "/member/alias/value": 64}
OPTIONAL = {"/business_date", "/sequence", "/transaction_id"}
CONTROLS = ["\0", "a\x01b", "\x7f", "\x85", "\ud800", "\udc00x"]
MARKS = ["\u202eabc", "\u2067\u200f", "\ufeff"]  # odd and allowed: not a 5xx is all that is asked
# A text between two @ goes out without its quotes.
HUGE = ["@1e400@", "@-1e400@", "@1e3@", "@NaN@", "@9223372036854775808@", "@18446744073709551616@", "@-9223372036854775809@", "@" + "9" * 400 + "@", 2**63 - 1,
        -2**63, 10**12 + 1]
NUMBER = HUGE + [-1, "1", 1.5, True, None, [], {}]
DEEP = "@" + "[" * 100_000 + "]" * 100_000 + "@"
SPOILT = [  # fields, and what they must not be
    (["/lines/0/amount", "/lines/0/discount", "/lines/0/tax", "/discounts/0/amount", "/tenders/0/amount"], NUMBER),
    (["/prices_include_tax", "/lines/0/voided"], ["true", 1, None, []]),
    (["/lines", "/discounts", "/tenders", "/discounts/0/lines", "/tenders/0/lines"], ["x", 1, True, None, {}]),
    (["/lines/0"], [["1", "goods", "s", "c", "b", "1", "piece", 1000, 1, 1, False], None, "1"]),
    (["/discounts/0"], [[1, ["1"]]]), (["/tenders/0"], [["card", 998, None, ["1"]]]), (["/member/alias"], [["card", "bad-list"], None, "1", {}]),
    (["/lines/0/kind"], [1, "bogus", "return", "GOODS", None, ["goods"], {"goods": None}]),
    (["/lines/0/quantity"], ["-1", "1e400", "1e3", "NaN", "", ".5", "1.", "1.0000001", "1" * 13, "0x1", "٣"]),
    (["/occurred_at"], ["0001-01-01T00:00:00Z", "1999-12-31T23:59:59Z", "2200-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "-000001-01-01T00:00:00Z", "2017-13-01T00:00:00Z",
                        "2017-02-30T00:00:00Z", "2017-03-13T25:00:00Z", "2017-03-13T12:00:00+99:00", "2017-03-13T12:00:00-05:00[America/New_York]", "2017-03-13", "12:00",
                        "", " ", "now", "1489406400", "2199-12-31T23:59:59Z", "2017-03-14T13:00:00Z"]),
    (["/business_date"], ["0001-01-01", "9999-12-31", "2200-01-01", "2017-13-01", "2017-02-30", "17-03-13", "", "2017-03-10"]),
    (["/currency"], ["ZZZ", "XXX", "usd", "Usd", "US", "U$D", "", "840", "EUR", "JPY"]),
    (["/points", "/member/alias/x", "/lines/0/x", "/discounts/0/x", "/tenders/0/x", "/lines/0/returns"], [1]),  # unknown fields
    (["/deep", "/member", "/lines", "/lines/0/amount", "/store"], [DEEP]),
    (["/lines"], [[], [LINE, LINE]]), (["/discounts/0/amount"], [1000]), (["/lines/0/discount"], [1001]), (["/discounts/0/lines/0"], ["2"])]
BODIES = {  # what becomes of a good body
    "half": lambda body: body[:-9], "twice": lambda body: body * 2, "words": lambda _: b"points, please", "blank": lambda _: b" ", "in a list": lambda body: b"[" + body + b"]",
    "null": lambda _: b"null", "a byte order mark first": lambda body: b"\xef\xbb\xbf" + body, "single quotes": lambda body: body.replace(b'"', b"'"),
    "a comma too many": lambda body: body[:-1] + b",}", "UTF-16": lambda body: body.decode().encode("utf-16"), "a field twice": lambda body: b'{"store":"1",' + body[1:],
    "a comment": lambda body: body + b"// that is all", "100,000 deep": lambda _: DEEP[1:-1].encode(), "objects 100,000 deep": lambda _: b'{"x":' * 100_000 + b"1" + b"}" * 100_000,
    **{f"a text of {value!r}": lambda body, value=value: body.replace(b'"shop"', b'"' + value + b'"') for value in [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xe2\x82", b"\x01"]}}
NOWHERE = ["/", "/v1", "/v1/", "/v2/members", "//v1/purchases", "/v1/holds/x/burn", "/v1/members/x/y/z", "/healthz/", "/HEALTHZ", "/v1/../healthz",
           "/%76%31/purchases", "/v1/purchases%2f", "/v1%00", "/bench/purchases/1", "/bench/members/x/1", "/.git/config", "/" + "a" * 8000]
END = b"\r\nhost: x\r\nconnection: close\r\n\r\n"
RAW = {  # what is hardly HTTP: name → bytes, statuses
    "CONNECT": (b"CONNECT host:443 HTTP/1.1" + END, {405}), "GET of an authority": (b"GET host:443 HTTP/1.1" + END, {400, 404}),
    "GET of a bare word": (b"GET healthz HTTP/1.1" + END, {400, 404}), "POST to an authority": (b"POST host:443 HTTP/1.1\r\ncontent-length: 0" + END, {400, 404}),
    "OPTIONS *": (b"OPTIONS * HTTP/1.1" + END, {200, 204, 400, 404, 405}), "a host without a path": (b"GET http://host HTTP/1.1" + END, {400, 404}),
    "HTTP/1.0": (b"GET /healthz HTTP/1.0\r\n\r\n", {200, 400, 505}), "HTTP/1.0, an unknown path": (b"GET /nowhere HTTP/1.0\r\n\r\n", {400, 404, 505}),
    "HTTP/0.9": (b"GET /healthz\r\n", {400, CLOSED}), "HTTP/9.9": (b"GET /healthz HTTP/9.9" + END, {400, 505, CLOSED}),
    "an HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 505, CLOSED}), "a TLS hello": (b"\x16\x03\x01\x02\0\x01" + bytes(range(256)) + END, {400, CLOSED}),
    "NUL bytes": (b"\0" * 100 + END, {400, CLOSED}), "blank lines without end": (b"\r\n" * 100_000, {400, 431, CLOSED}),
    "words": (b"please send me my points" + END, {400, CLOSED}), "a path of bytes above 127": (b"GET /v1/members/\xff\xfe HTTP/1.1" + END, {400, 404, CLOSED}),
    "a method in lower case": (b"get /healthz HTTP/1.1" + END, {400, 405, CLOSED}), "a path of 1 MB": (b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1" + END, {404, 414, 431, CLOSED}),
    "a header of 1 MB": (b"GET /healthz HTTP/1.1\r\nx: " + b"a" * (1 << 20) + END, {431, CLOSED}),
    "1,000 headers": (b"GET /healthz HTTP/1.1" + b"".join(b"\r\nx-%d: 1" % n for n in range(1_000)) + END, {431, CLOSED}),
    "a header without a colon": (b"GET /healthz HTTP/1.1\r\nwords" + END, {400, CLOSED}), "a header with a NUL": (b"GET /healthz HTTP/1.1\r\nx: a\0b" + END, {400, CLOSED}),
    "a request id of bytes above 127": (b"GET /nowhere HTTP/1.1\r\nx-request-id: \xff\xfe" + END, {400, 404}),
    **{f"content-length {size}": (b"POST /v1/quotes HTTP/1.1\r\ncontent-length: " + size.encode() + END, {400, 413, CLOSED}) for size in ("-1", "x", "1, 2", "1\r\ncontent-length: 2", str(2**70))},
    "transfer-encoding: gzip": (b"POST /v1/quotes HTTP/1.1\r\ntransfer-encoding: gzip" + END, {400, 501, CLOSED}),
    "a chunk size of zz": (b"POST /v1/quotes HTTP/1.1\r\ntransfer-encoding: chunked" + END + b"zz\r\n", {400, CLOSED}),
    "a chunk size of 2^64": (b"POST /v1/quotes HTTP/1.1\r\ntransfer-encoding: chunked" + END + b"1" + b"0" * 16 + b"\r\n", {400, 413, CLOSED})}
HEAD = b"POST /v1/quotes HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
STALLS = {  # sent and then silent, or then a byte a second: name → bytes, dripped, statuses
    "a half-sent head": (b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-half", b"", {408, CLOSED}), "nothing sent": (b"", b"", {408, CLOSED}),
    "a dripped head": (b"GET /healthz HTTP/1.1\r\nx: ", b"a" * PATIENCE, {408, CLOSED}), "a half-sent body": (HEAD + b"content-length: 100\r\n\r\n{", b"", {408}),
    "a dripped body": (HEAD + b"content-length: 100\r\n\r\n", b" " * PATIENCE, {408}), "a half-sent chunk": (HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\n{", b"", {408}),
    "10 MB announced and not sent": (HEAD + b"content-length: 10000000\r\n\r\n", b"", {408, 413})}


def start(binary, folder):
    """A node on a free port: (process, port, file of its words)."""
    words = pathlib.Path(f"{folder}.words")
    arguments = [binary, "serve", "--folder", folder, "--programme", str(HERE.parent / "config" / "programme.toml"), "--listen", "127.0.0.1:0", "--clock-start-at", START]
    process = subprocess.Popen(arguments, stderr=words.open("w"), env={**os.environ, "TESSERA_LOG": "error", "RUST_BACKTRACE": "0"})
    atexit.register(process.kill)
    until = time.monotonic() + 30
    while not (ready := re.search(r"ready on http://\S+:(\d+)\n", words.read_text())):
        if process.poll() is not None or time.monotonic() > until:
            sys.exit(f"the node did not start: {words.read_text()}")
        time.sleep(0.02)
    return process, int(ready[1]), words


def talk(port, sent, drip=b"", method=None):
    """One connection: (status, headers, body), or None when it was closed without an answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        try:
            connection.sendall(sent)
            for byte in drip:
                connection.settimeout(1)
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
    *way, last = [int(step) if step.isdigit() else step for step in pointer.split("/")[1:]]
    place = body = copy.deepcopy(body)
    for step in way:
        place = place[step]
    place[last] = value
    return body


def text(body):
    return body if isinstance(body, bytes) else re.sub(r'"@([^"]*)@"', r"\1", json.dumps(body)).encode()


def short(value):
    return shown if len(shown := value if isinstance(value, str) else repr(value)) <= 60 else f"{shown[:60]}… ({len(shown)})"


class Checks:
    def __init__(self, port, words):
        self.port, self.words, self.problems, self.count, self.panics, self.number = port, words, [], 0, 0, itertools.count()
        self.cards, self.ids = {}, {"alias": "card:nobody", "version": "1", "exception": "exc_0", "transfer": f"trf_{NOBODY[4:]}1"}
        made = lambda path, body, key=None: json.loads(self.write(path, body, DONE, key)[2])
        self.member = self.ids["member"] = made("/v1/members", {"aliases": [{"type": "card", "value": "known"}]}, "known")["member"]
        made("/v1/members/{member}/adjustments", {"points": 900, "reason": "to begin with"})
        self.ids["purchase"] = made("/v1/purchases", self.basket(self.member))["id"]  # or no refusal would mean anything
        for path, name in (("/v1/holds", "hold"), ("/v1/redemptions", "redemption")):
            self.ids[name] = made(path, {"member": self.member, "points": 100})["id"]
        self.ids["pool"] = made("/v1/pools", {"member": made("/v1/members", {"aliases": []})["member"]})["id"]
        self.ids["job"] = made("/v1/reports/ifrs15", {"from": "2026-01-01", "to": "2026-01-31"})["id"]
        described = json.loads(self.ask("the description", {200}, "GET", "/openapi.json")[2])["paths"]
        self.operations = [(path, method.upper(), described[path][method]) for path in described for method in described[path]]

    def judge(self, name, allowed, talked, method=None, bare=False, code=None):
        """Counts the check, notes what is wrong with its answer, and gives the answer."""
        self.count += 1
        try:
            answer = talked()
        except OSError as error:  # a timeout, or nobody listens any more
            self.problems.append(f"{name}: {error}")
            return None
        wrong, status = [], answer[0] if answer else CLOSED
        if status not in allowed:
            wrong.append(f"{status or 'closed without an answer'} instead of {' or '.join(str(one or 'closed') for one in sorted(allowed))}")
        if status >= 300 and method != "HEAD" and not (bare and not answer[2]):
            try:
                said, kind, named = json.loads(answer[2]), answer[1].get("content-type"), answer[1].get("x-request-id")
                wrong += [f"no {field} in the problem" for field in ("type", "title", "code", "detail", "request_id") if not isinstance(said.get(field), str) or not said[field]]
                wrong += [f"code {said.get('code')} instead of {code}"] * (code not in (None, said.get("code")))
                if kind != "application/problem+json" or said.get("status") != status or said.get("request_id") not in (named, ""):
                    wrong.append(f"content-type, status or request_id do not fit: {kind}, {named}, {said}")
            except ValueError:
                wrong.append(f"not a problem: {answer[2][:100]}")
        panics, self.panics = self.panics, self.words.read_text().count("panicked at")
        wrong += ["the node panicked"] * (self.panics > panics)
        self.problems += [f"{name}: {one}" for one in wrong]
        return answer

    def ask(self, name, allowed, method, path, body=b"", headers=JSON, key=None, code=None):
        body, path = text(body), path.format(**self.ids)
        fields = {"host": "x", "connection": "close", **headers, **({} if key is None else {"idempotency-key": key}), **({"content-length": len(body)} if method in ("POST", "PUT", "PATCH") else {})}
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{field}: {value}\r\n" for field, value in fields.items())
        return self.judge(name, allowed, lambda: talk(self.port, head.encode("latin-1") + b"\r\n" + body, method=method), method, code=code)

    def write(self, path, body, allowed=BAD | {409}, key=None):
        """A POST with a key of its own."""
        return self.ask(f"{short(path)} {short(body)}", allowed, "POST", path, body, key=key or f"key-{next(self.number)}")

    def card(self, name):
        """A card that nobody holds, and that nobody may hold after what `name` does."""
        value = f"bad-{next(self.number)}"
        self.cards[value] = name
        return {"type": "card", "value": value}

    def basket(self, member):
        return {**BASKET, "member": member, "business_date": "2017-03-13", "transaction_id": f"t{next(self.number)}", "sequence": f"s{next(self.number)}"}

    def purchase(self, name, spoil, allowed=BAD):
        """A spoilt basket under a card of its own, then for the member and as a quote. `spoil`: a basket → a body."""
        alias = self.card(name)
        answer = self.ask(name, allowed, "POST", "/v1/purchases", spoil(self.basket({"alias": alias})))
        if answer and answer[0] in DONE:
            del self.cards[alias["value"]]
        elif "/member" not in name:
            for path in ("/v1/purchases", "/v1/quotes"):
                self.ask(f"{name}, {path} by id", allowed, "POST", path, spoil(self.basket(self.member)))

    def spoil(self, pointer, value, allowed=BAD, name=None):
        self.purchase(f"{pointer} {name or short(repr(value))}", lambda basket: put(basket, pointer, value), allowed)


def baskets(checks):
    for pointer, most in TEXTS.items():
        for value in [7, 1.5, True, ["x"], {"x": 1}] + [None] * (pointer not in OPTIONAL) + CONTROLS:
            checks.spoil(pointer, value)
        for value in MARKS:
            checks.spoil(pointer, value, BAD | DONE | {404})
        checks.spoil(pointer, "x" * (most + 1), name=f"{most + 1} characters")
    for pointers, values in SPOILT:
        for pointer, value in itertools.product(pointers, values):
            checks.spoil(pointer, value)
    for name, how in BODIES.items():
        checks.purchase(f"body: {name}", lambda basket, how=how: how(text(basket)))
    checks.spoil("/occurred_at", "2017-03-12T02:30:00", DONE | BAD, "in a DST gap")
    checks.spoil("/lines", [{**LINE, "id": str(n)} for n in range(1_001)], {413, 422}, "1,001 of them")
    checks.spoil("/tenders", BASKET["tenders"] * 51, name="51 of them")
    checks.spoil("/member/alias/type", "app", {404})
    for hold in ["x", "hold_", f"hold_{NOBODY[4:]}1", "hold_" + "z" * 30, checks.ids["purchase"], checks.ids["hold"] + "z", None]:
        checks.spoil("/tenders/0", {"type": "points", "amount": 998, "hold": hold}, BAD | {404, 409}, f"points of the hold {hold}")
    # As the purchase would: a card enrols, an app does not. Nobody is enrolled by asking (checked at the end).
    checks.ask("a quote for an unknown card", {200}, "POST", "/v1/quotes", checks.basket({"alias": checks.card("a quote for an unknown card")}))
    checks.ask("training", {200}, "POST", "/v1/purchases", {**checks.basket({"alias": checks.card("a purchase in training")}), "training": True})
    checks.ask("a quote for an unknown app", {404}, "POST", "/v1/quotes", checks.basket({"alias": {"type": "app", "value": "a stranger's"}}))


def bodies(checks):
    """Sizes, types and shapes of bodies, on every path that takes one."""
    large = text({"store": " " * 10_000_000})
    chunks = b"".join(b"10000\r\n" + large[at:at + 65_536].ljust(65_536) + b"\r\n" for at in range(0, len(large), 65_536)) + b"0\r\n\r\n"
    for path, method, operation in [one for one in checks.operations if "requestBody" in one[2]]:
        [kind] = operation["requestBody"]["content"]
        chunked = HEAD.replace(b"/v1/quotes", path.format(**checks.ids).encode()) + b"transfer-encoding: chunked\r\n\r\n" + chunks
        checks.judge(f"{path} 10 MB in chunks", {413}, lambda chunked=chunked: talk(checks.port, chunked))
        checks.ask(f"{path} 10 MB", {413}, method, path, large, key="large")
        checks.ask(f"{path} without a content-type", {415}, method, path, b"{}", {}, key="untyped")
        for body in [b'{"member":', b"1", b'"x"', b'{"x":1}', b"[]"]:
            checks.ask(f"{method} {path} {short(body)}", BAD, method, path, body, {"content-type": kind, "if-match": '"1"'}, key=f"key-{next(checks.number)}")
    for kind in ["text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonx", "application/json, text/plain", "json", ""]:
        checks.ask(f"content-type {kind!r}", {415}, "POST", "/v1/purchases", checks.basket(checks.member), {"content-type": kind})
    checks.ask("gzip", {400, 415}, "POST", "/v1/purchases", gzip.compress(text(checks.basket(checks.member))), {**JSON, "content-encoding": "gzip"})


def strangers(right):
    """What resembles an id and names nothing."""
    prefix, digits = right.split("_")
    member, seq = digits[:26], digits[26:]
    made = [f"{prefix}_{member}0{seq}", f"{prefix}_{member}1", f"{prefix}_{member}zzzzzzz", f"{prefix}_{member}10000000", f"{prefix}_{member}"] if seq else [right + "0", right[:-1]]
    return made + [f"{prefix}_{digit * 26}{seq}" for digit in "0zu"] + [
        right.upper(), f"{prefix}_", f"{prefix}_0", digits, "x_" + digits, "x", "null", "..", "%00", "%ff", "%", f"{prefix}_" + "%F0%9F%98%80" * 8, "a" * 5_000]


def paths(checks):
    """Paths, methods, ids, keys."""
    for path, method in itertools.product(NOWHERE, ("GET", "POST", "DELETE")):
        checks.ask(f"{method} {short(path)}", {404}, method, path, headers={})
    for path in {path for path, *_ in checks.operations}:
        right = {method for known, method, _ in checks.operations if known == path}
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "HEAD", "BREW"} - right:
            checks.ask(f"{method} {path}", {200, 405} if method == "HEAD" and "GET" in right else {405}, method, path, headers={})
    for path, method, operation in checks.operations:
        body = {"adjustments": {"points": 1, "reason": "r"}, "aliases": {"type": "card", "value": "a stranger's"}, "tier-grants": {"reason": "r"}, "merge": {"into": checks.member}, "members": {"member": checks.member}}.get(path.split("/")[-1], {}) if method == "POST" else {"segments": []} if method == "PATCH" else b""
        for name in re.findall(r"{(member|purchase|hold|redemption|transfer|pool)}", path):
            for stranger in strangers(checks.ids[name]):
                checks.ask(f"{method} {path} of {short(stranger)}", {404}, method, path.replace(f"{{{name}}}", stranger), body, key=f"key-{next(checks.number)}")
        if any(one["name"] == "Idempotency-Key" and one["required"] for one in operation.get("parameters", [])):
            for key in [None, "", "k" * 256, "\xe4\xf6"]:
                checks.ask(f"{method} {path} with the key {short(repr(key))}", {400}, method, path, body, key=key, code="idempotency_key_missing")
    for key in [None, "", "k" * 256, "\xe4\xf6"]:
        basket = {**BASKET, "member": checks.member}
        checks.ask(f"a purchase with the key {short(repr(key))}", {400}, "POST", "/v1/purchases", basket, key=key, code="idempotency_key_missing")
    checks.ask("an empty key beside a transaction id", {400}, "POST", "/v1/purchases", checks.basket(checks.member), key="", code="idempotency_key_missing")
    for who in strangers(checks.member):
        for path, body in (("/v1/purchases", BASKET), ("/v1/holds", {"points": 1}), ("/v1/redemptions", {"points": 1})):
            checks.write(path, {**body, "member": who}, {404})
    for last in ["x", "1", "1.", ".1", "-1.0", "1.0.0", "1,0", "9" * 30 + ".0", "\xe4.0"]:
        checks.ask(f"events after {last}", BAD, "GET", "/v1/members/{member}/events", headers={"last-event-id": last})
    for query in ["limit=0", "limit=-1", "limit=201", "limit=x", "limit=" + "9" * 30, "cursor=x", "cursor=c", "cursor=c0", "cursor=cffffffffffffffffff", "cursor=%00", "own=yes"]:
        checks.ask(f"a statement with {query}", BAD, "GET", "/v1/members/{member}/statement?" + query)
    for alias in ["x", ":", "card:", ":x", "card", "nope:1", "card:%ff", "card:%00", "card:" + "x" * 65, "%", "card:nobody"]:
        checks.ask(f"removing the alias {short(alias)}", BAD | {404}, "DELETE", f"/v1/members/{checks.member}/aliases/{alias}", key=f"key-{next(checks.number)}")


def members(checks):
    """Holds, redemptions, adjustments, aliases."""
    for path in ("/v1/holds", "/v1/redemptions"):
        wrongs = [{"points": value} for value in NUMBER + [0]] + [{"amount": value, "currency": "USD"} for value in NUMBER + [0]] + [{}, {"amount": 1}, {"points": 1, "x": 1}]
        wrongs += [{"amount": 1, "currency": value} for value in ["usd", "ZZZ", "EUR", "", 7]] + [{"points": 1, "amount": 1, "currency": "USD"}]
        for wrong in wrongs + [{"points": 1, "ttl_seconds": value} for value in [*HUGE, -1, 0, 86_401, "60", 1.5]]:
            checks.write(path, {**wrong, "member": checks.member})
        checks.write(path, {"points": 5, "member": {"alias": checks.card(f"{path} for an unknown card")}}, BAD | {404, 409})
    wrongs = [{"points": value} for value in HUGE + [-10**12 - 1, 0, "1", 1.5, None, -5_000]] + [{"reason": value} for value in ["", " ", "x" * 201, 7, None, *CONTROLS]]
    for wrong in wrongs + [{"write_off": True}, {"allow_debt": 1}, {"x": 1}]:
        checks.write("/v1/members/{member}/adjustments", {"points": 1, "reason": "r"} | wrong)
    grants = [{"tier": value} for value in ["", "bronze", "nope", "x" * 33, 7, None, *CONTROLS]] + [{"until": value} for value in ["", "2016-01-01", "2100-01-01", "2017-02-30", "tomorrow", 7, None]]
    for wrong in grants + [{"reason": value} for value in ["", " ", "x" * 201, 7, None]] + [{"x": 1}]:
        checks.write("/v1/members/{member}/tier-grants", {"tier": "gold", "until": "2017-12-31", "reason": "r"} | wrong)
    for into in ["", "mem_nobody", "mem_" + "0" * 26, "{member}", 7, None, [], {}, {"alias": {"type": "card", "value": ""}}]:
        checks.write("/v1/members/{member}/merge", {"into": checks.member if into == "{member}" else into}, BAD | {404})
    checks.write("/v1/members/{member}/merge", {"into": "mem_nobody", "x": 1})
    for path, body in [("/v1/pools", {"member": "mem_nobody"}), ("/v1/pools", {}), ("/v1/pools", {"member": checks.member, "x": 1}), ("/v1/pools/pool_nothing/members", {"member": checks.member}), ("/v1/pools/pool_" + "0" * 27 + "/members", {"member": checks.member}),
                       ("/v1/holds", {"member": checks.member, "points": 1, "pool": True}), ("/v1/redemptions", {"member": checks.member, "points": 1, "pool": True}), ("/v1/holds", {"member": checks.member, "points": 1, "pool": 1})]:
        checks.write(path, body, BAD | {404, 409})
    for value in HUGE + [0, -1, 101, "1", 1.5]:
        checks.write("/v1/holds/{hold}/confirm", {"points": value})
    aliases = [{"type": kind, "value": value} for kind, value in [("nope", "1"), ("card", ""), ("card", "x" * 65), ("x" * 33, "1"), *(("card", value) for value in CONTROLS)]]
    for alias in aliases + [["card", "known"], {"type": "card", "value": "1", "x": 1}, {"type": "card", "value": 1}, "card", {"type": "card"}]:
        checks.write("/v1/members/lookup", alias, BAD | {404})
        checks.write("/v1/members", {"aliases": [alias, checks.card(f"/v1/members {short(alias)}")]}, BAD)
    checks.write("/v1/members", {"aliases": [checks.card(f"21 aliases, the {n}th") for n in range(21)]}, BAD)
    free = {"its key is used": checks.card("an enrolment whose key is used"), "its last alias is taken": checks.card("an enrolment whose last alias is taken")}
    checks.write("/v1/members", {"aliases": [free["its key is used"]]}, {409}, "known")
    checks.write("/v1/members", {"aliases": [free["its last alias is taken"], {"type": "card", "value": "known"}]}, {409})
    return free


def programme(checks):
    """Programmes that must not be saved: the version stays what it was."""
    right = json.loads(checks.ask("the programme", {200}, "GET", "/v1/programme")[2])["programme"]
    save = lambda name, made, allowed, tag='"1"': checks.ask(f"a programme with {name}", allowed, "PUT", "/v1/programme", {"author": "x", "programme": made}, {**JSON, "if-match": tag} if tag is not None else JSON)
    for tag in [None, "", "x", "*", '"-1"', "1.0", "9" * 30]:
        save(f"If-Match {tag!r}", right, {428}, tag)
    for tag in ['"0"', '"2"', "7", 'W/"4294967295"']:
        save(f"If-Match {tag}", right, {412}, tag)
    for pointer, values in {
        "/name": [None, 7, []], "/zone": ["", "Mars/Phobos", 7], "/wallet": [[], {}, None], "/wallet/0/id": ["", "other", "x" * 33, 7], "/wallet/0/decimals": [4, -1, 1, "0"], "/wallet/0/rounding": ["up", None],
        "/wallet/0/values": [{"USD": "0"}, {"USD": "-1"}, {"XXX": "1"}, {"USD": 0.01}, []], "/wallet/0/caps/purchase": [0, -1, "x"], "/earn": [[], None], "/earn/0/points": ["0", "-1", "1e3", "1.1234567", 1, "9999999"],
        "/earn/0/currency": ["usd", "ZZZ", ""], "/earn/0/id": ["", "x" * 65], "/earn/0/wallet": ["nope"], "/earn/0/text": [7, {}, {"de": "x"}, {"en": "x" * 401}, {"en": "x", "klingonese": "y"}],
        "/multiplier/0/factor": ["0.5", "0", "1001", "x"], "/multiplier/0/when": [{"hours": [{"from": "9:00", "to": "10:00"}]}, {"regions": ["west"]}, {"min_quantity": 0}, {"bundle": [[]]}, {"from": "yesterday"}, {"x": 1}],
        "/bonus/0/points": [0, -1, 10**10], "/tiers/level": [[], right["tiers"]["level"][:1], right["tiers"]["level"][::-1]], "/tiers/metric": ["spend", "luck"], "/pending/0/unlock": [{}, {"days": 0}, {"delivered": False}, {"days": 1, "delivered": True}],
        "/x": [1], "/exchange": [[{"from": "USD", "to": "USD", "rate": "1", "since": "2026-01-01T00:00"}], [{"from": "EUR", "to": "USD", "rate": "0", "since": "2026-01-01T00:00"}]],
        "/campaign": [[{"id": "idle"}], [{"id": ""}], [{}], {}, [{"id": "x", "budget": 0}], [{"id": "x", "member": "5"}], [{"id": "x", "x": 1}]], "/bonus/0/campaign": ["nope", 7],
        "/transfer": [[{"from": "points", "to": "points", "rate": "1"}], [{"from": "points", "to": "nope", "rate": "1"}]],
    }.items():
        for value in values:
            save(f"{pointer} {short(repr(value))}", put(right, pointer, value), {422})
    for body in [{"version": 2, "author": "x"}, {"version": 2**32 - 1, "author": "x"}, {"version": 0, "author": "x"}]:
        checks.ask(f"a rollback {body}", {404}, "POST", "/v1/programme/rollback", body, {**JSON, "if-match": '"1"'})
    for wrong in [{"version": 1}, {"version": -1, "author": "x"}, {"version": 1, "author": ""}, {"version": 1, "author": "x\u0000"}, {"version": "1", "author": "x"}, {"version": 1, "author": "x", "note": "n" * 201}]:
        checks.ask(f"a rollback {short(repr(wrong))}", BAD, "POST", "/v1/programme/rollback", wrong, {**JSON, "if-match": '"1"'})
    kept = json.loads(checks.ask("the versions", {200}, "GET", "/v1/programme/versions")[2])["versions"]
    if [one["version"] for one in kept] != [1]:
        checks.problems.append(f"bad programmes have made versions: {kept}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", default=os.environ.get("TESSERA_BINARY", "target/debug/tessera"))
    arguments = parser.parse_args()
    if not os.access(arguments.binary, os.X_OK):
        sys.exit(f"{arguments.binary} is missing: build it first with cargo build")
    parent = tempfile.mkdtemp(prefix="tessera-bad-input-")
    process, port, words = start(arguments.binary, os.path.join(parent, "folder"))
    checks = Checks(port, words)
    books = f"/v1/members/{checks.member}"
    before = checks.ask("the books before", {200}, "GET", books)
    with concurrent.futures.ThreadPoolExecutor(len(STALLS)) as pool:
        stalls = [(name, allowed, pool.submit(talk, port, sent, drip)) for name, (sent, drip, allowed) in STALLS.items()]
        for name, (sent, allowed) in RAW.items():
            checks.judge(name, allowed, lambda sent=sent: talk(port, sent), bare=True)
        paths(checks)
        free = members(checks)
        baskets(checks)
        bodies(checks)
        programme(checks)
        for name, allowed, stalled in stalls:
            checks.judge(name, allowed, stalled.result, bare=CLOSED in allowed)
    for card, name in checks.cards.items():
        checks.ask(f"{name}: nobody has its card", {404}, "POST", "/v1/members/lookup", {"type": "card", "value": card})
    for name, card in free.items():
        checks.ask(f"an enrolment refused since {name}: another may use its other alias", {201}, "POST", "/v1/purchases", checks.basket({"alias": card}))
    after = checks.ask("the books after", {200}, "GET", books)
    if not before or not after or before[2] != after[2]:
        checks.problems.append(f"the member's books were {before and before[2]} and are {after and after[2]}")
    process.send_signal(signal.SIGTERM)
    if process.wait(timeout=30) != 0:
        checks.problems.append(f"SIGTERM did not end the node cleanly: {words.read_text()[-1000:]}")
    for problem in checks.problems:
        print(problem)
    shutil.rmtree(parent, ignore_errors=True)
    print(f"bad input: {checks.count} checks, {len(checks.problems)} problems")
    sys.exit(bool(checks.problems))


main()
