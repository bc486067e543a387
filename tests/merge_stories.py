#!/usr/bin/env python3
"""What people meet after two members have become one: a customer with an old card, a till with an old id, an app that follows the member that
has gone, a household, a giver who asks again. Each story is told once, with what must come of it.

    merge_stories.py [--binary target/debug/tessera]
"""
import http.client
import pathlib
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))
from clients import arguments  # noqa: E402
import node  # noqa: E402
from programme import Api  # noqa: E402

AT = "2017-03-14T07:00:00-04:00"


class Stories:
    def __init__(self, port):
        self.api, self.port, self.problems, self.numbers, self.told = Api(port), port, [], iter(range(10**6)), 0

    def ask(self, method, path, body=None, good=(200, 201), key=None):
        status, answer, headers = self.api(method, path, body, Idempotency_Key=key or f"story-{next(self.numbers)}")
        self.told += 1
        if status not in good:
            self.problems.append(f"{method} {path} {body} is answered {status} {answer}")
        return answer

    def is_so(self, what, found, wanted):
        self.told += 1
        if found != wanted:
            self.problems.append(f"{what}: {found}, not {wanted}")

    def member(self, points=1000):
        card = {"type": "card", "value": f"{8_000_000 + next(self.numbers)}"}
        member = self.ask("POST", "/v1/members", {"aliases": [card]})["member"]
        if points:
            self.ask("POST", f"/v1/members/{member}/adjustments", {"points": points, "reason": "start"})
        return member, card

    def merge(self, member, into, good=(201,), key=None):
        return self.ask("POST", f"/v1/members/{member}/merge", {"into": into}, good, key)

    def available(self, member):
        return self.ask("GET", f"/v1/members/{member}")["wallets"]["points"]["available"]

    def basket(self, who, amount, kind="goods", **more):
        return {"member": who, "occurred_at": AT, "currency": "USD", "source": "t", "store": "1", "transaction_id": f"story-{next(self.numbers)}",
                "lines": [{"id": "1", "kind": kind, "category": "GROCERY", "amount": amount}], **more}

    def events(self, member, last=None):
        """Status, and the events that come before the stream ends."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", f"/v1/members/{member}/events", headers={"last-event-id": last} if last else {})
        answer = connection.getresponse()
        lines = answer.read().decode().splitlines() if answer.status == 200 else []
        return answer.status, [line[7:] for line in lines if line.startswith("event: ")], [line[4:] for line in lines if line.startswith("id: ")]


def old_cards(story):
    (gone, card), (stays, _) = story.member(), story.member()
    story.merge(gone, stays)
    story.is_so("an old card leads to the one that stays", story.ask("POST", "/v1/members/lookup", card)["member"], stays)
    story.ask("DELETE", f"/v1/members/{gone}/aliases/card:{card['value']}")
    story.ask("POST", "/v1/members/lookup", card, (404,))
    story.ask("POST", "/v1/members", {"aliases": [card]})
    new = {"type": "card", "value": f"{card['value']}-new"}
    story.ask("POST", f"/v1/members/{gone}/aliases", new)
    story.is_so("a card added under the old id is its too", story.ask("POST", "/v1/members/lookup", new)["member"], stays)
    story.ask("DELETE", f"/v1/members/{stays}/aliases/card:{new['value']}")
    story.ask("POST", "/v1/members/lookup", new, (404,))


def tills_with_old_ids(story):
    (gone, card), (stays, _) = story.member(), story.member()
    sale = story.ask("POST", "/v1/purchases", bought := story.basket(gone, 1_000))
    holds = [story.ask("POST", "/v1/holds", {"member": gone, "points": 100}) for _ in range(3)]
    spent = story.ask("POST", "/v1/redemptions", {"member": gone, "points": 50})
    story.merge(gone, stays)
    later = story.ask("POST", "/v1/holds", {"member": gone, "points": 100})
    story.is_so("what is placed under the old id is the other one's", later["member"], stays)
    # Each by each name that the till may know.
    for who, hold in [({"alias": card}, holds[0]), (stays, holds[1]), (gone, holds[2]), (gone, later)]:
        tender = {"type": "points", "amount": 100, "hold": hold["id"]}
        quote = story.ask("POST", "/v1/quotes", body := story.basket(who, 100, "deposit", tenders=[tender]))
        done = story.ask("POST", "/v1/purchases", body)
        story.is_so("a quote is the purchase", (quote["member"], quote["wallets"]), (done["member"], done["wallets"]))
        story.is_so("the hold is spent", story.ask("GET", f"/v1/holds/{hold['id']}")["state"], "confirmed")
    story.is_so("a purchase is found by its id", story.ask("GET", f"/v1/purchases/{sale['id']}")["id"], sale["id"])
    story.is_so("it is answered as it was", story.ask("POST", "/v1/purchases", bought), sale)
    story.ask("POST", f"/v1/redemptions/{spent['id']}/reverse", {})
    before = story.available(stays)
    back = story.ask("POST", "/v1/returns", {"member": {"alias": card}, "purchase": sale["id"], "occurred_at": AT})
    story.is_so("goods go back by the old id and the card", (back["member"], story.available(gone)), (stays, before - sale["wallets"]["points"]["earned"]))
    story.ask("POST", "/v1/claims", bought | {"member": {"alias": card}})


def readers(story):
    (gone, _), (stays, _) = story.member(), story.member()
    for points in (1, 2, 3):
        story.ask("POST", f"/v1/members/{gone}/adjustments", {"points": points, "reason": "more"})
    page = story.ask("GET", f"/v1/members/{gone}/statement?limit=2")
    story.merge(gone, stays)
    rest = story.ask("GET", f"/v1/members/{gone}/statement?limit=2&cursor={page['next']}")
    story.is_so("a statement goes on where it was", {entry["member"] for entry in rest["entries"]}, {gone})
    story.is_so("a new one is the other's", {entry["member"] for entry in story.ask("GET", f"/v1/members/{gone}/statement")["entries"]}, {stays})
    status, events, ids = story.events(gone, "1.0")
    story.is_so("a reader hears all that was said, then of the merge", (status, events[0], events[-2]), (200, "points.adjusted", "member.merged"))
    for last in ids[-2:]:
        status, events, _ = story.events(gone, last)
        story.is_so(f"after {last} of {ids}", status, 204 if last == ids[-1] else 200)
    story.is_so("a new reader hears of it too", story.events(gone)[:2], (200, ["member.merged", "points.transferred"]))


def households(story):
    (founder, _), (one, _), (other, _) = story.member(0), story.member(), story.member()
    pool = story.ask("POST", "/v1/pools", {"member": founder})["id"]
    for member in (one, other):
        story.ask("POST", f"/v1/pools/{pool}/members", {"member": member})
    hold = story.ask("POST", "/v1/holds", {"member": founder, "points": 1_500, "pool": True})
    key = f"shared-{founder}"
    shared = story.ask("POST", "/v1/redemptions", body := {"member": one, "points": 100, "pool": True}, key=key)
    story.merge(one, other, (409,))
    story.ask("DELETE", f"/v1/pools/{pool}/members/{one}")
    story.merge(one, other)
    story.ask("POST", f"/v1/holds/{hold['id']}/cancel", {})
    story.is_so("what two have lent who are one now is all back", story.available(one), 1_900)
    story.is_so("a shared redemption is answered as it was", story.ask("POST", "/v1/redemptions", body, key=key), shared)
    story.is_so("and is not made again", story.available(other), 1_900)


def givers(story):
    for into in ("third", "giver"):
        (giver, _), (taker, card), (third, _) = (story.member() for _ in range(3))
        key = f"gift-{giver}"
        given = story.ask("POST", "/v1/transfers", {"member": giver, "from": "points", "points": 10, "recipient": taker}, key=key)
        story.merge(taker, third if into == "third" else giver)
        for recipient in (taker, {"alias": card}):
            again = story.ask("POST", "/v1/transfers", {"member": giver, "from": "points", "points": 10, "recipient": recipient}, key=key)
            story.is_so(f"a gift to one that has gone into the {into} is answered as it was", again, given)
    story.merge(giver, third)
    (giver, _), (taker, _) = story.member(), story.member()
    body = {"member": giver, "from": "points", "points": 10, "recipient": taker}
    given = story.ask("POST", "/v1/transfers", body, key="first")
    story.merge(giver, taker)
    story.is_so("a gift by one that has gone into its taker is answered as it was", story.ask("POST", "/v1/transfers", body, key="first"), given)
    story.is_so("a transfer is found by its id", story.ask("GET", f"/v1/transfers/{given['id']}")["state"], "done")


def staff(story):
    (gone, _), (stays, _), (third, _) = (story.member() for _ in range(3))
    pool = story.ask("POST", "/v1/pools", {"member": gone})["id"]
    story.is_so("a no has its reason", story.merge(gone, stays, (409,), "staff")["code"], "in_pool")
    story.ask("DELETE", f"/v1/pools/{pool}/members/{gone}")
    done = story.merge(gone, stays, key="staff")
    story.is_so("and is not remembered", done["state"], "done")
    story.merge(stays, third, key="staff")
    story.is_so("what was done is answered as it was", story.merge(gone, stays, key="staff"), done)
    story.is_so("a member goes once", story.merge(gone, story.member()[0], (409,))["code"], "merge_refused")
    story.is_so("all points are there", (story.available(gone), story.available(third)), (3_000, 3_000))


def main():
    args = arguments()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tessera-merge-stories-"))
    serving = node.Node(args.binary, folder / "data")
    story = Stories(serving.port)
    for told in (old_cards, tills_with_old_ids, readers, households, givers, staff):
        try:
            told(story)
        except (KeyError, TypeError) as error:  # an answer that was a refusal, told of already
            story.problems.append(f"{told.__name__} cannot go on: {error!r}")
    serving.leave(folder, story.problems)
    print(f"{story.told} checks of what people meet after a merge: {len(story.problems)} problems")
    return 1 if story.problems else 0


if __name__ == "__main__":
    sys.exit(main())
