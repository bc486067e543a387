"""What checks with clients of their own share: the command line, clients that keep what they have sent, and asking all of it again."""
import argparse
import collections
import http.client
import json
import os
import time


def arguments(**defaults):
    """--binary, and what else a check takes, with its defaults: kills=6."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", default=os.environ.get("TESSERA_BINARY", "target/debug/tessera"))
    for name, default in defaults.items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    return parser.parse_args()


class Client:
    """Sends requests, each under a key of its own, and keeps (method, path, key, body, status or None, answer) of each."""

    def __init__(self, name, port):
        self.name, self.sent, self.connection = name, [], http.client.HTTPConnection("127.0.0.1", port, timeout=15)

    def key(self):
        """Of the next request."""
        return f"{self.name}-{len(self.sent)}"

    def ask(self, method, path, body=None):
        request = (method, path, self.key(), body)
        try:
            self.connection.request(method, path, None if body is None else json.dumps(body), {"content-type": "application/json", "idempotency-key": self.key()})
            answer = self.connection.getresponse()
            self.sent.append((*request, answer.status, json.loads(answer.read())))
        except (OSError, http.client.HTTPException):
            self.sent.append((*request, None, None))
            raise
        return self.sent[-1][4:]

    def run(self, once, seconds):
        """Again and again until the time is over or the node is gone; answers what was sent."""
        ends = time.monotonic() + seconds
        try:
            while time.monotonic() < ends:
                once()
        except (OSError, http.client.HTTPException):
            pass
        return self.sent


def again(api, sent, problems, needed=()):
    """Every request again, in the order of each client: what was answered is answered the same, what was in doubt takes effect once. How many
    were acknowledged; those that post to a needed path must be among them."""
    acknowledged = collections.Counter()
    for method, path, key, body, status, answer in sent:
        now, text, _ = api(method, path, body, Idempotency_Key=key)
        if status in (200, 201):
            acknowledged[path] += 1
            if (now, text) != (status, answer):
                problems.append(f"{method} {path} {key} {body} was answered {status} {answer}, and is answered {now} {text}")
        elif now >= 500:
            problems.append(f"{method} {path} {key} is answered {now} {text}")
    problems += [f"none of the requests to {path} was acknowledged" for path in needed if not acknowledged[path]]
    return acknowledged.total()


def making(api, problems):
    """Posts what a check begins with; answers the answer, which must have the status that is expected."""
    numbers = iter(range(10**6))

    def made(path, body, good=201):
        status, answer, _ = api("POST", path, body, Idempotency_Key=f"made-{next(numbers)}")
        if status != good:
            problems.append(f"{path} {body} is answered {status} {answer}")
        return answer
    return made
