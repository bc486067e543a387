//! Pools (rule 15): who is in one, and a hold over the lots of all: a saga with one id, the spender's record, that ends in exactly one of
//! held or not. The spender appends the hold with its own part; each other member `Lent` or `LendRefused`, once for this id; only their
//! answers let the spender append `Gathered`. What goes home later is such a saga too: `CameHome` of each owner, then `Homed`.

use std::sync::Arc;

use super::Draft;
use super::draft::priced;
use crate::command::Loaned;
use crate::ids::{MemberId, PoolId};
use crate::pool::{Home, MOST, Pooled, lent};
use crate::programme::Programme;
use crate::record::{Asked, Body, Event, HoldEnd, Movement, PoolHold, Record};
use crate::time::DAY_MS;
use crate::{Code, Rejection};

fn in_pool() -> Rejection {
    Rejection::new(Code::InPool, "/member", "this member is in a pool already; it must leave that one first")
}

fn not_in_pool() -> Rejection {
    Rejection::new(Code::NotInPool, "/member", "this member is in no such pool; it must join it first")
}

pub(super) fn found(draft: &Draft<'_>, founder: MemberId) -> Result<Body, Rejection> {
    if pool(draft).is_some() { Err(in_pool()) } else { Ok(Body::PoolFounded { founder }) }
}

pub(super) fn join(draft: &Draft<'_>, joined: PoolId) -> Result<Body, Rejection> {
    if pool(draft).is_some() { Err(in_pool()) } else { Ok(Body::PoolJoined { pool: joined }) }
}

pub(super) fn leave(draft: &Draft<'_>, left: PoolId) -> Result<Body, Rejection> {
    if pool(draft) == Some(left) { Ok(Body::PoolLeft { pool: left }) } else { Err(not_in_pool()) }
}

pub(super) fn change(draft: &Draft<'_>, changed: PoolId, member: MemberId, joined: bool) -> Result<Body, Rejection> {
    let known = draft.member.pool.as_ref().filter(|known| known.of == Some(changed) && changed.founder != member);
    let known = known.ok_or_else(|| Rejection::new(Code::UnknownPool, "", "there is no such pool any more; found another"))?;
    if known.members.contains(&member) == joined {
        return Err(Rejection::new(Code::NothingDue, "", "that is so already"));
    }
    if joined && known.members.len() + 1 >= MOST {
        return Err(Rejection::new(Code::PoolFull, "/member", "a pool has at most 8 members; one must leave it first"));
    }
    Ok(Body::PoolChanged { pool: changed, member, joined })
}

fn pool(draft: &Draft<'_>) -> Option<PoolId> {
    draft.member.pool.as_ref().and_then(|pool| pool.of)
}

/// The member's own part of a hold.
pub(super) fn own_part(draft: &Draft<'_>, points: i64, hold: Option<&PoolHold>) -> Result<i64, Rejection> {
    let Some(hold) = hold else { return Ok(points) };
    if pool(draft) != Some(hold.pool) {
        return Err(not_in_pool());
    }
    if draft.member.pool.as_ref().is_some_and(|pool| pool.gathering.len() + pool.homing.len() >= MOST_UNDER_WAY) {
        return Err(Rejection::new(Code::TooManyHolds, "", "20 shared holds of this member are under way; wait until their points have arrived"));
    }
    let others = hold.parts.iter().fold(0_i64, |sum, (_, part)| sum.saturating_add(*part));
    Ok((points - others).max(0))
}

/// Shared holds of one member that may be under way.
const MOST_UNDER_WAY: usize = 20;

pub(super) fn lend(draft: &mut Draft<'_>, lender: MemberId, (to, hold): (MemberId, u64), wallet: u8, points: i64, of: PoolId) -> Body {
    let known = pool(draft) == Some(of) && usize::from(wallet) < draft.programme.wallets.len() && points > 0;
    let lots = if known { lent(draft.wallet(wallet), points) } else { None };
    // A no is remembered too: nothing is lent to this hold later.
    let Some(lots) = lots else { return Body::LendRefused { lender, to, hold, wallet } };
    for (lot, part) in lots {
        draft.moves(wallet, Movement::Given { lot: lot.id, points: part, activated_at: lot.activated_at, expires_at: lot.expires_at });
    }
    Body::Lent { lender, to, hold, wallet, points, pool: of }
}

/// What a record says was lent, for the spender; `None`: nothing was.
#[must_use]
pub fn loaned(lender: MemberId, record: &Record) -> Option<Loaned> {
    let Body::Lent { .. } = record.body else { return None };
    let of = |event: &Event| match *event {
        Event::Points(_, Movement::Given { lot, points, activated_at, expires_at }) => Some((lot, points, activated_at, expires_at)),
        _ => None,
    };
    Some(Loaned { lender, lots: record.events.iter().filter_map(of).collect() })
}

pub(super) fn gather(draft: &mut Draft<'_>, hold: u64, complete: bool, loans: &[Loaned], records: &[(u64, Arc<Record>)]) -> Result<Body, Rejection> {
    let waits = draft.member.pool.as_ref().is_some_and(|pool| gathering(pool, hold));
    let placed = records.iter().find(|(seq, _)| *seq == hold).map(|(_, record)| &record.body);
    let (Some(Body::HoldPlaced { wallet, expires_at, .. }), true) = (placed, waits) else {
        return Err(Rejection::new(Code::NothingDue, "", "this hold waits for nobody"));
    };
    let (wallet, expires_at) = (*wallet, *expires_at);
    let number = u32::try_from(hold).unwrap_or(u32::MAX);
    draft.borrows = true;
    for (_, points, activated_at, expires_at) in loans.iter().flat_map(|loan| &loan.lots) {
        let lot = draft.new_lot();
        draft.moves(wallet, Movement::Lent { lot, points: *points, activated_at: *activated_at, expires_at: *expires_at });
        draft.moves(wallet, Movement::HeldFor { hold: number, lot, points: *points });
    }
    let open = draft.wallet(wallet).holds.iter().find(|open| open.seq == number).cloned();
    if let Some(mut open) = open.filter(|_| !complete || expires_at <= draft.now) {
        open.expires_at = expires_at;
        draft.release(wallet, &open, if complete { HoldEnd::Expired } else { HoldEnd::Cancelled });
    }
    let loans = loans.iter().map(|loan| (loan.lender, loan.lots.iter().map(|(lot, ..)| *lot).collect())).collect();
    Ok(Body::Gathered { hold, wallet, complete, expires_at, loans })
}

/// Points that a request comes to.
///
/// # Errors
/// As of a hold.
pub fn points_asked(programme: &Programme, wallet: u8, asked: Asked) -> Result<i64, Rejection> {
    priced(programme, wallet, asked, "/points").map(|(points, _, _)| points)
}

/// Whether a record sends lent points home.
#[must_use]
pub fn sends_home(record: &Record) -> bool {
    record.events.iter().any(|event| matches!(event, Event::Points(_, Movement::SentHome { .. })))
}

/// Whether a hold waits for the parts of others.
#[must_use]
pub fn gathering(pool: &Pooled, hold: u64) -> bool {
    pool.gathering.iter().any(|(seq, _)| u64::from(*seq) == hold)
}

pub(super) fn take_home(draft: &mut Draft<'_>, owner: MemberId, (from, seq): (MemberId, u64), lots: &[Home]) -> Body {
    for (wallet, lot, points, activated_at, expires_at) in lots.iter().copied() {
        // Rolling expiry may have moved the lot meanwhile; what is past its time lives on for the grace (rules 12, 19).
        let expires_at = draft.wallet(wallet).lot(lot).map_or(expires_at, |known| known.expires_at.max(expires_at)).max(draft.rolled(wallet, &draft.programme));
        let grace = i64::from(draft.programme.wallet(wallet).grace_days) * DAY_MS;
        let expires_at = if expires_at <= draft.now && grace > 0 { draft.now + grace } else { expires_at };
        // What a return has claimed meanwhile is debt: the points come back and meet it.
        draft.moves(wallet, Movement::GivenBack { lot, points, activated_at, expires_at });
        if expires_at <= draft.now {
            draft.meet_debt(wallet);
            draft.expire(wallet, lot, points, draft.now);
        }
        draft.meet_debt(wallet);
    }
    Body::CameHome { owner, from, seq }
}

pub(super) fn homed(draft: &Draft<'_>, seq: u64) -> Result<Body, Rejection> {
    let waits = draft.member.pool.as_ref().is_some_and(|pool| pool.homing.iter().any(|(open, _)| u64::from(*open) == seq));
    if waits { Ok(Body::Homed { seq }) } else { Err(Rejection::new(Code::NothingDue, "", "nothing of this is on its way")) }
}
