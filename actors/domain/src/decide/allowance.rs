//! Allowances of tills that lose their connection (rule 14): what a member may spend there before we hear of it.
//!
//! An allowance promises points that are there, and holds none: what they have become when its uses arrive is taken in the order
//! of rule 14, and the rest is debt.

use std::sync::Arc;

use super::draft::priced;
use super::{AHEAD, Draft};
use crate::basket::{Allowed, Basket};
use crate::command::Allow;
use crate::member::Allowance;
use crate::programme::Programme;
use crate::record::{Asked, Body, Event, Movement, Offline, Record};
use crate::time::{DAY_MS, Millis, NEVER, expiry};
use crate::{Code, Rejection, Text};

/// Open allowances of one member, at most.
const OPEN: usize = 5;
/// An allowance ends within this.
const LONGEST: Millis = 7 * DAY_MS;
/// Uses may arrive so long after it: until then what is left of it is promised.
const SETTLES: Millis = 7 * DAY_MS;
/// Its counters run from 1 to this.
const USES: u32 = 1_000;
/// Allowances that are remembered of one member, at most.
const KEPT: usize = 200;

pub(super) fn allow(draft: &mut Draft<'_>, asked: &Allow) -> Result<Body, Rejection> {
    let Allow { wallet, points, ttl_ms, .. } = *asked;
    let ttl = ttl_ms.unwrap_or(LONGEST);
    if !(60_000..=LONGEST).contains(&ttl) {
        return Err(Rejection::new(Code::Invalid, "/ttl_seconds", "an allowance lives between one minute and 7 days: 60 to 604800 seconds"));
    }
    if points <= 0 {
        return Err(Rejection::new(Code::Invalid, "/points", "allow at least one point"));
    }
    let unused = || draft.member.allowances.iter().filter(|known| known.left > 0);
    if unused().filter(|known| draft.now < known.not_after).count() >= OPEN || draft.member.allowances.len() >= KEPT {
        return Err(Rejection::new(Code::TooManyAllowances, "", &format!("{OPEN} allowances of this member are open, or {KEPT} of the last 90 days; wait until one of them ends")));
    }
    let promised: i64 = unused().filter(|known| known.wallet == wallet && draft.now < known.not_after + SETTLES).map(|known| known.left).sum();
    let available = draft.figures(wallet).available - promised;
    if points > available {
        let detail = format!("{points} points are asked for, and {} are available that no other allowance promises; ask for fewer", available.max(0));
        return Err(Rejection::new(Code::InsufficientPoints, "/points", &detail));
    }
    Ok(Body::Allowed { wallet, store: asked.store.clone(), till: asked.till.clone(), points, not_after: draft.now + ttl, ttl_ms })
}

/// A redemption that a till made without a connection.
pub(super) fn redeem(draft: &mut Draft<'_>, wallet: u8, asked: Asked, offline: &Offline, records: &[(u64, Arc<Record>)]) -> Result<Body, Rejection> {
    if offline.at > draft.now.saturating_add(AHEAD) {
        return Err(Rejection::new(Code::Clock, "/offline/occurred_at", "this is more than 10 minutes ahead of this node; set the till's clock, or its zone"));
    }
    let (points, currency, value) = priced(&known_then(draft, offline.used, records), wallet, asked, "/points")?;
    let known = known(draft, offline.used).ok_or_else(|| Rejection::new(Code::UnknownAllowance, "/offline/allowance", "this member has no such allowance, or it ended more than 90 days ago"))?;
    if known.wallet != wallet {
        return Err(Rejection::new(Code::Invalid, "/wallet", "the allowance is of another wallet; leave this out for the programme's first"));
    }
    if !is_there(offline.used, &offline.store, &offline.till, records) {
        return Err(Rejection::new(Code::AllowanceExceeded, "/offline/till", "the allowance is of another store or till"));
    }
    fits(&known, offline.used, points, offline.at, records).map_err(|why| Rejection::new(Code::AllowanceExceeded, "/offline", &why))?;
    spend(draft, wallet, offline.used, points, offline.at);
    if let Some(rule) = draft.programme.wallet(wallet).expiry.filter(|rule| rule.rolling) {
        let expires_at = expiry(offline.at, rule.months, rule.round_up, &draft.programme.zone);
        draft.roll(wallet, offline.at, expires_at);
        draft.meet_debt(wallet);
    }
    Ok(Body::Redeemed { wallet, points, currency, value, asked, offline: Some(Box::new(offline.clone())) })
}

/// A points tender of a sale: its wallet and whether it was taken. The goods are sold: what goes beyond the allowance is for staff.
pub(super) fn tender(draft: &mut Draft<'_>, wallet: Option<u8>, amount: i64, used: Allowed, basket: &Basket, records: &[(u64, Arc<Record>)]) -> Option<(u8, i64)> {
    let known = known(draft, used).filter(|known| wallet.is_none_or(|wallet| wallet == known.wallet))?;
    let points = known_then(draft, used, records).points(known.wallet, amount, basket.currency)?;
    if !is_there(used, &basket.store, &basket.till, records) {
        return None;
    }
    fits(&known, used, points, basket.occurred_at, records).ok()?;
    spend(draft, known.wallet, used, points, basket.occurred_at);
    Some((known.wallet, points))
}

/// What the till knew: the version that the allowance was given under fixes what a point is worth.
fn known_then(draft: &Draft<'_>, used: Allowed, records: &[(u64, Arc<Record>)]) -> Arc<Programme> {
    let given = records.iter().find(|(seq, _)| *seq == used.allowance);
    given.and_then(|(_, record)| draft.context.programmes.version(record.programme)).unwrap_or(&draft.programme).clone()
}

/// Whether the allowance is of this till.
fn is_there(used: Allowed, store: &Text, till: &Text, records: &[(u64, Arc<Record>)]) -> bool {
    records.iter().any(|(seq, record)| *seq == used.allowance && matches!(&record.body, Body::Allowed { store: s, till: t, .. } if s == store && t == till))
}

/// The allowance as this record has left it so far.
fn known(draft: &Draft<'_>, used: Allowed) -> Option<Allowance> {
    let mut known = draft.member.allowances.iter().find(|known| u64::from(known.seq) == used.allowance)?.clone();
    draft.events().iter().for_each(|event| known.apply(event));
    Some(known)
}

fn fits(known: &Allowance, used: Allowed, points: i64, at: Millis, records: &[(u64, Arc<Record>)]) -> Result<(), String> {
    let given = records.iter().find(|(seq, _)| *seq == used.allowance).map_or(Millis::MAX, |(_, record)| record.at);
    if !(1..=USES).contains(&used.counter) {
        return Err(format!("counters run from 1 to {USES}"));
    }
    if known.counters.contains(&used.counter) {
        return Err("this counter of the allowance was used before; each is used once".into());
    }
    // The till's clock may run behind.
    if at < given.saturating_sub(AHEAD) || at >= known.not_after {
        return Err("this happened outside the allowance's time".into());
    }
    if points > known.left {
        return Err(format!("{points} points are spent and {} are left of the allowance", known.left));
    }
    Ok(())
}

/// From the lots that were valid then, also those that have expired since; then from the others; the rest is debt.
fn spend(draft: &mut Draft<'_>, wallet: u8, used: Allowed, points: i64, at: Millis) {
    let allowance = u32::try_from(used.allowance).unwrap_or(u32::MAX);
    draft.emit(Event::AllowanceUsed { allowance, counter: used.counter, points });
    let mut left = points - take(draft, wallet, points, at);
    if left > 0 && at < draft.now {
        draft.reinstate(wallet, left, at);
        left -= take(draft, wallet, left, at);
    }
    left -= take(draft, wallet, left, Millis::MAX);
    if left > 0 {
        let rule = draft.programme.wallet(wallet).expiry;
        let expires_at = rule.map_or(NEVER, |rule| expiry(draft.now, rule.months, rule.round_up, &draft.programme.zone));
        let expires_at = expires_at.max(draft.rolled(wallet, &draft.programme));
        let (lot, activated_at) = (draft.apart_lot(), draft.now);
        draft.moves(wallet, Movement::Overdrawn { lot, points: left, activated_at, expires_at });
        draft.moves(wallet, Movement::Spent { lot, points: left, activated_at, expires_at });
    }
}

/// Takes up to so many points of lots that were active by then; answers how many.
fn take(draft: &mut Draft<'_>, wallet: u8, points: i64, by: Millis) -> i64 {
    let mut left = points;
    let lots: Vec<_> = draft.wallet(wallet).live.iter().filter(|lot| lot.activated_at <= by).copied().collect();
    for lot in lots {
        let part = left.min(lot.free());
        if part > 0 {
            draft.moves(wallet, Movement::Spent { lot: lot.id, points: part, activated_at: lot.activated_at, expires_at: lot.expires_at });
            left -= part;
        }
    }
    points - left
}
