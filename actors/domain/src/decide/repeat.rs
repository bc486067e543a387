//! Whether a request was answered before (rules 23, 24). Content is compared as parsed.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::basket::{Allowed, Basket, Tender};
use crate::command::{Allow, Ask, Command, Purchase, Return};
use crate::keys::{HEADER_DAYS, KeyKind, Keys};
use crate::merge::SPAN;
use crate::record::{Body, Record, Sale};
use crate::time::{DAY_MS, Millis};
use crate::{Code, Rejection};

/// `None`: it is new. `Some(Ok(i))`: `records[i]` answered it. `Some(Err)`: its key was used otherwise.
pub(super) fn find(command: &Command, now: Millis, records: &[(u64, Arc<Record>)]) -> Option<Result<usize, Rejection>> {
    // Pages of old headers are dropped whole: one may outlive its days in a page that is still open.
    let lives = |record: &Record| record.at >= now - HEADER_DAYS * DAY_MS;
    let answered = |record: &Record| (command.header != 0 && record.header == command.header && lives(record)) || names(command, &record.body);
    let found: SmallVec<[(usize, u64, &Record); 2]> = records.iter().enumerate().filter(|(_, (_, record))| answered(record)).map(|(index, (seq, record))| (index, *seq, &**record)).collect();
    let (_, _, first) = found.first()?;
    // Members that have gone into this one may have had the same receipt or key: whichever fits answers.
    if found.iter().filter(|(_, seq, _)| *seq < u64::from(SPAN)).count() > 1 {
        return Some(Err(conflict("", "the keys of this request name two different things")));
    }
    let fits = found.iter().find(|(.., record)| differs(command, &record.body).is_none());
    Some(match (fits, differs(command, &first.body)) {
        (Some((index, ..)), _) => Ok(*index),
        (None, field) => Err(conflict(&field.unwrap_or_default(), "this key was used before with another value here; send the first request again, or use a new key")),
    })
}

fn conflict(field: &str, detail: &str) -> Rejection {
    Rejection::new(Code::KeyConflict, field, detail)
}

/// Whether a key of the command is a key of the record.
fn names(command: &Command, body: &Body) -> bool {
    match (&command.ask, body) {
        (Ask::Purchase(purchase), Body::Purchased(sale)) => {
            let natural = purchase.keys.natural.is_some() && purchase.keys.natural == sale.keys.natural;
            let content = purchase.keys.content.is_some() && purchase.keys.content == sale.keys.content;
            natural || content || (purchase.keys.transaction.is_some() && purchase.keys.transaction == sale.keys.transaction)
        }
        (Ask::Return(asked), Body::Returned(returned)) => asked.kind == returned.asked.kind && same_key(&asked.keys, &returned.asked.keys),
        (Ask::Return(asked), Body::ReturnWaits(waits)) => asked.kind == waits.kind && same_key(&asked.keys, &waits.keys),
        (Ask::BlindReturn(asked), Body::BlindReturned { keys, .. }) => same_key(&asked.keys, keys),
        // One receipt, with a sale named and without: two different things.
        (Ask::Return(asked), Body::BlindReturned { keys, .. }) => asked.kind == KeyKind::Return && same_key(&asked.keys, keys),
        (Ask::BlindReturn(asked), Body::ReturnWaits(waits)) => waits.kind == KeyKind::Return && same_key(&asked.keys, &waits.keys),
        (Ask::BlindReturn(asked), Body::Returned(returned)) => returned.asked.kind == KeyKind::Return && same_key(&asked.keys, &returned.asked.keys),
        (Ask::Lend { lender, to, hold, .. }, Body::Lent { lender: of, to: before, hold: seq, .. } | Body::LendRefused { lender: of, to: before, hold: seq, .. }) => lender == of && to == before && hold == seq,
        (Ask::TakeHome { owner, from, seq, .. }, Body::CameHome { owner: of, from: before, seq: s }) => owner == of && from == before && seq == s,
        (Ask::Take(gift), Body::Took { from, gift: seq, .. } | Body::TakeRefused { from, gift: seq, .. }) => gift.from == *from && gift.seq == *seq,
        (Ask::Redeem { offline: Some(offline), .. }, Body::Redeemed { offline: Some(before), .. }) => offline.used == before.used,
        (Ask::Merge { into }, Body::Merging { into: before }) => into == before,
        (Ask::Absorb { from, merge, part, .. }, Body::Absorbed(before)) => *from == before.from && *merge == before.merge && *part == before.part,
        (Ask::RefuseMerge { from, merge }, Body::Absorbed(before)) => *from == before.from && *merge == before.merge && before.part == 0,
        (Ask::Absorb { from, merge, .. } | Ask::RefuseMerge { from, merge }, Body::AbsorbRefused { from: before, merge: seq }) => from == before && merge == seq,
        // An enrolment's key is the member's id itself.
        (Ask::Enrol { .. }, Body::Enrolled { .. }) => true,
        _ => false,
    }
}

fn same_key(a: &Keys, b: &Keys) -> bool {
    (a.natural.is_some() && a.natural == b.natural) || (a.transaction.is_some() && a.transaction == b.transaction)
}

/// JSON pointer to the first thing that differs.
fn differs(command: &Command, body: &Body) -> Option<String> {
    let unless = |same: bool, field: &str| if same { None } else { Some(field.to_owned()) };
    match (&command.ask, body) {
        (Ask::Enrol { aliases }, Body::Enrolled { aliases: before, .. }) => unless(aliases == before, "/aliases"),
        (Ask::Purchase(purchase), Body::Purchased(sale)) => sale_differs(purchase, sale),
        (Ask::PlaceHold { wallet, asked, ttl_ms, pool }, Body::HoldPlaced { wallet: of, asked: before, ttl_ms: ttl, pool: p, .. }) => {
            // The parts are worked out anew with each try: those of the first one count.
            let same = unless(wallet == of, "/wallet").or(unless(asked == before, "/points")).or(unless(ttl_ms == ttl, "/ttl_seconds"));
            same.or(unless(pool.is_some() == p.is_some(), "/pool"))
        }
        (Ask::FoundPool { .. }, Body::PoolFounded { .. }) => None,
        (Ask::Merge { into }, Body::Merging { into: before }) => unless(into == before, "/into"),
        (Ask::Absorb { .. } | Ask::RefuseMerge { .. }, Body::Absorbed(_) | Body::AbsorbRefused { .. }) => None,
        (Ask::LeavePool { pool }, Body::PoolLeft { pool: before }) => unless(pool == before, ""),
        (Ask::JoinPool { pool }, Body::PoolJoined { pool: before }) => unless(pool == before, ""),
        (Ask::Lend { .. }, Body::Lent { .. } | Body::LendRefused { .. }) | (Ask::TakeHome { .. }, Body::CameHome { .. }) => None,
        (Ask::Redeem { wallet, asked, offline }, Body::Redeemed { wallet: of, asked: before, offline: o, .. }) => unless(wallet == of, "/wallet").or(unless(asked == before, "/points")).or(unless(offline == o, "/offline")),
        (Ask::Allow(asked), Body::Allowed { wallet: of, store: s, till: t, points: p, ttl_ms: ttl, .. }) => {
            let Allow { wallet, store, till, points, ttl_ms } = &**asked;
            unless(wallet == of, "/wallet").or(unless(store == s, "/store")).or(unless(till == t, "/till")).or(unless(points == p, "/points")).or(unless(ttl_ms == ttl, "/ttl_seconds"))
        }
        (Ask::ConfirmHold { hold, points }, Body::HoldConfirmed { hold: before, asked, .. }) => unless(hold == before, "").or(unless(points == asked, "/points")),
        (Ask::CancelHold { hold }, Body::HoldCancelled { hold: before }) => unless(hold == before, ""),
        (Ask::Adjust { wallet, points, reason, allow_debt, write_off }, Body::Adjusted { wallet: w0, points: p, reason: r, allow_debt: d, write_off: w }) => {
            unless(wallet == w0, "/wallet").or(unless(points == p, "/points")).or(unless(reason == r, "/reason")).or(unless(allow_debt == d, "/allow_debt")).or(unless(write_off == w, "/write_off"))
        }
        (Ask::Transfer { from, to, points }, Body::Transferred { from: f, to: t, points: p, .. }) => unless(from == f, "/from").or(unless(to == t, "/to")).or(unless(points == p, "/points")),
        (Ask::Give { wallet, points, to }, Body::Gave { wallet: w0, points: p, to: t }) => unless(wallet == w0, "/from").or(unless(points == p, "/points")).or(unless(to == t, "/recipient")),
        (Ask::Take(_), Body::Took { .. } | Body::TakeRefused { .. }) => None,
        (Ask::Return(asked), Body::Returned(returned)) => return_differs(asked, &returned.asked),
        (Ask::Return(asked), Body::ReturnWaits(waits)) => return_differs(asked, waits),
        (Ask::BlindReturn(asked), Body::BlindReturned { basket, keys, .. }) => unless(asked.keys == *keys, "/sequence").or(unless(asked.basket == *basket, "/lines")),
        (Ask::Deliver { sale, lines }, Body::Delivered { sale: before, asked, .. }) => unless(sale == before, "").or(unless(lines == asked, "/lines")),
        (Ask::Reverse { redemption }, Body::Reversed { redemption: before, .. }) => unless(redemption == before, ""),
        (Ask::AddAlias { alias }, Body::AliasAdded { alias: before }) => unless(alias == before, "/value"),
        (Ask::RemoveAlias { kind, hash }, Body::AliasRemoved { kind: before, hash: b }) => unless(kind == before && hash == b, ""),
        (Ask::GrantTier { grant, reason }, Body::TierGiven { grant: before, reason: r }) => {
            unless(grant.map(|(tier, _)| tier) == before.map(|(tier, _)| tier), "/tier").or(unless(grant == before, "/until")).or(unless(reason == r, "/reason"))
        }
        (Ask::Update(change), Body::Updated(before)) => unless(change.zone == before.zone, "/zone").or(unless(change.birthday == before.birthday, "/birthday")).or(unless(change.segments == before.segments, "/segments")),
        // The key was used for another kind of request.
        _ => Some(String::new()),
    }
}

fn return_differs(a: &Return, b: &Return) -> Option<String> {
    let fields = [
        ("/sequence", a.keys == b.keys),
        ("/sale", a.sale == b.sale),
        ("/lines", a.lines == b.lines),
        ("/currency", a.currency == b.currency),
        ("/refunds", a.points_refund == b.points_refund),
        ("/occurred_at", a.occurred_at == b.occurred_at),
        ("", a.kind == b.kind),
    ];
    fields.iter().find(|(_, same)| !same).map(|(field, _)| (*field).to_owned())
}

/// A tender that names its hold or allowance may name its wallet too: it says the same.
fn same_tender(a: &Tender, b: &Tender) -> bool {
    let wallet = a.wallet == b.wallet || ((a.hold.is_some() || a.offline.is_some()) && (a.wallet.is_empty() || b.wallet.is_empty()));
    // An allowance that was another member's then, who may have gone into this one since, is kept as none.
    let used = |a: &Allowed, b: &Allowed| a.counter == b.counter && (a.allowance == b.allowance || b.allowance == 0);
    let offline = match (&a.offline, &b.offline) {
        (Some(a), Some(b)) => used(a, b),
        (a, b) => a.is_none() && b.is_none(),
    };
    wallet && a.kind == b.kind && a.amount == b.amount && a.hold == b.hold && offline && a.lines == b.lines
}

fn sale_differs(purchase: &Purchase, sale: &Sale) -> Option<String> {
    let (a, b): (&Basket, &Basket) = (&purchase.basket, &sale.basket);
    // A till that renumbers sends the same goods under another sequence (rule 23).
    if purchase.keys.content.is_some() && purchase.keys.content == sale.keys.content && a.is_sold_again_as(b) {
        return None;
    }
    let fields = [
        ("/sequence", purchase.keys.natural == sale.keys.natural),
        ("/transaction_id", purchase.keys.transaction == sale.keys.transaction),
        ("/source", a.source == b.source),
        ("/store", a.store == b.store),
        ("/till", a.till == b.till),
        ("/channel", a.channel == b.channel),
        ("/customer_group", a.customer_group == b.customer_group),
        ("/occurred_at", a.occurred_at == b.occurred_at),
        ("/business_date", a.business_date == b.business_date),
        ("/currency", a.currency == b.currency),
        ("/prices_include_tax", a.prices_include_tax == b.prices_include_tax),
        ("/discounts", a.discounts == b.discounts),
        ("/ext", a.ext == b.ext),
        ("/tenders", a.tenders.len() == b.tenders.len() && a.tenders.iter().zip(&b.tenders).all(|(a, b)| same_tender(a, b))),
    ];
    if let Some((field, _)) = fields.iter().find(|(_, same)| !same) {
        return Some((*field).to_owned());
    }
    if a.lines.len() != b.lines.len() {
        return Some("/lines".into());
    }
    let place = a.lines.iter().zip(&b.lines).position(|(a, b)| a != b)?;
    Some(format!("/lines/{place}"))
}
