//! Holds (rule 12): place, confirm, cancel. What time ends is posted by the draft.

use std::sync::Arc;

use super::Draft;
use super::draft::priced;
use super::pool::{gathering, own_part};
use crate::record::{Asked, Body, HoldEnd, Movement, PoolHold, Record};
use crate::wallet::{Hold, Lot};
use crate::{Code, Rejection};

pub(super) fn place(draft: &mut Draft<'_>, wallet: u8, asked: Asked, ttl_ms: Option<i64>, pool: Option<&PoolHold>) -> Result<Body, Rejection> {
    let rules = draft.programme.holds;
    let ttl = ttl_ms.unwrap_or(rules.ttl_ms);
    if !(1_000..=rules.max_ttl_ms).contains(&ttl) {
        let detail = format!("a hold lives between 1 and {} seconds", rules.max_ttl_ms / 1_000);
        return Err(Rejection::new(Code::Invalid, "/ttl_seconds", &detail));
    }
    let open: usize = draft.numbers().map(|wallet| draft.wallet(wallet).holds.len()).sum();
    if open >= rules.max_open {
        let detail = format!("{} holds are open; confirm or cancel one first", rules.max_open);
        return Err(Rejection::new(Code::TooManyHolds, "", &detail));
    }
    let (points, currency, value) = priced(&draft.programme, wallet, asked, "/points")?;
    let own = own_part(draft, points, pool)?;
    draft.enough(wallet, own, "/points")?;
    for (lot, part) in draft.wallet(wallet).take(own) {
        draft.moves(wallet, Movement::Held { lot: lot.id, points: part });
    }
    Ok(Body::HoldPlaced { wallet, points, currency, value, expires_at: draft.now + ttl, asked, ttl_ms, pool: pool.cloned().map(Box::new) })
}

pub(super) fn confirm(draft: &mut Draft<'_>, seq: u64, points: Option<i64>, records: &[(u64, Arc<Record>)]) -> Result<Body, Rejection> {
    let (wallet, placed) = placed(seq, records)?;
    let want = points.unwrap_or(placed);
    if !(1..=placed).contains(&want) {
        return Err(Rejection::new(Code::Invalid, "/points", &format!("the hold is of {placed} points; confirm between 1 and that")));
    }
    gathered(draft, seq)?;
    match open(draft, wallet, seq) {
        Some(hold) => take(draft, wallet, &hold, want),
        None => late(draft, wallet, seq, want, records)?,
    }
    draft.roll_expiry(wallet);
    Ok(Body::HoldConfirmed { wallet, hold: seq, points: want, asked: points })
}

/// A points tender that names a hold.
pub(super) fn confirm_for_tender(draft: &mut Draft<'_>, wallet: u8, seq: u64, points: i64, field: &str, records: &[(u64, Arc<Record>)]) -> Result<(), Rejection> {
    let at_field = |no: Rejection| Rejection { field: format!("{field}/hold").into(), ..no };
    let (of, placed) = placed(seq, records).map_err(at_field)?;
    if of != wallet {
        return Err(Rejection::new(Code::Invalid, format!("{field}/wallet"), "the hold is of another wallet than the tender; leave the wallet out"));
    }
    gathered(draft, seq).map_err(at_field)?;
    let Some(hold) = open(draft, wallet, seq) else {
        if points > placed {
            return Err(Rejection::new(Code::InsufficientPoints, format!("{field}/amount"), "the amount takes more points than the hold had"));
        }
        return late(draft, wallet, seq, points, records).map_err(at_field);
    };
    if points > hold.points {
        let detail = format!("the amount takes {points} points and the hold has {}", hold.points);
        return Err(Rejection::new(Code::InsufficientPoints, format!("{field}/amount"), &detail));
    }
    take(draft, wallet, &hold, points);
    Ok(())
}

pub(super) fn cancel(draft: &mut Draft<'_>, seq: u64, records: &[(u64, Arc<Record>)]) -> Result<Body, Rejection> {
    let (wallet, _) = placed(seq, records)?;
    gathered(draft, seq)?;
    let hold = open(draft, wallet, seq).ok_or_else(|| Rejection::new(Code::HoldExpired, "", "this hold is over; there is nothing to cancel"))?;
    draft.release(wallet, &hold, HoldEnd::Cancelled);
    Ok(Body::HoldCancelled { hold: seq })
}

/// The wallet and the points that a hold was placed for.
pub(super) fn placed(seq: u64, records: &[(u64, Arc<Record>)]) -> Result<(u8, i64), Rejection> {
    let body = records.iter().find(|(number, _)| *number == seq).map(|(_, record)| &record.body);
    match body {
        Some(Body::HoldPlaced { wallet, points, .. }) => Ok((*wallet, *points)),
        _ => Err(Rejection::new(Code::UnknownHold, "", "this member has no such hold")),
    }
}

/// A hold on the points of a pool is one only when it has them.
fn gathered(draft: &Draft<'_>, seq: u64) -> Result<(), Rejection> {
    let waits = draft.member.pool.as_ref().is_some_and(|pool| gathering(pool, seq));
    if waits { Err(Rejection::new(Code::HoldPending, "", "this hold still waits for the points of others; try again in some seconds")) } else { Ok(()) }
}

fn open(draft: &mut Draft<'_>, wallet: u8, seq: u64) -> Option<Hold> {
    draft.wallet(wallet).holds.iter().find(|hold| u64::from(hold.seq) == seq).cloned()
}

/// Redeems part of a hold, the first lots in the order of spending; the rest returns.
fn take(draft: &mut Draft<'_>, wallet: u8, hold: &Hold, points: i64) {
    let mut left = points;
    let mut rest = hold.clone();
    // What others have lent stands behind the member's own, whatever its time.
    rest.lots.sort_by_key(|(lot, _)| draft.wallet(wallet).lot(*lot).map(Lot::order));
    for (lot, held) in &mut rest.lots {
        let part = left.min(*held);
        let Some(known) = draft.wallet(wallet).lot(*lot).copied() else { continue };
        if part > 0 {
            let (activated_at, expires_at) = (known.activated_at, known.expires_at);
            draft.moves(wallet, Movement::HeldSpent { hold: hold.seq, lot: *lot, points: part, activated_at, expires_at });
            left -= part;
            *held -= part;
        }
    }
    rest.lots.retain(|(_, held)| *held > 0);
    draft.release(wallet, &rest, HoldEnd::Confirmed);
}

/// A confirm after the hold's time takes the same number again, if available (rule 12).
fn late(draft: &mut Draft<'_>, wallet: u8, seq: u64, points: i64, records: &[(u64, Arc<Record>)]) -> Result<(), Rejection> {
    let ended = records.iter().find(|(number, _)| *number == seq).is_some_and(|(_, record)| match record.body {
        // What others had lent is theirs again: it must be asked for anew.
        Body::HoldPlaced { expires_at, ref pool, .. } => expires_at <= draft.now && pool.as_ref().is_none_or(|pool| pool.parts.is_empty()),
        _ => false,
    });
    let over = Rejection::new(Code::HoldExpired, "", "this hold is over and its points are not available; place another");
    if !ended || draft.confirmed(seq) || draft.member.ended_hold(seq) || draft.figures(wallet).available < points {
        return Err(over);
    }
    draft.spend(wallet, points, draft.now, "/points")?;
    // Said once more, so that it is remembered as confirmed.
    draft.moves(wallet, Movement::HoldEnded { hold: u32::try_from(seq).unwrap_or(u32::MAX), end: HoldEnd::Confirmed });
    Ok(())
}
