//! Points from one member to another (rule 15): a saga with one id, the giver's record, that ends in exactly one of done or
//! undone. The giver appends `Gave`; the taker `Took` or `TakeRefused`, once for this id; only that answer lets the giver append
//! `GiftSettled`. Nothing is undone by time.

use std::sync::Arc;

use super::Draft;
use crate::command::Gift;
use crate::earn::MAX_POINTS;
use crate::ids::MemberId;
use crate::record::{Body, Event, Movement, Record};
use crate::time::Millis;
use crate::wallet::Lot;
use crate::{Code, Rejection};

pub(super) fn give(draft: &mut Draft<'_>, wallet: u8, points: i64, to: MemberId) -> Result<Body, Rejection> {
    if points <= 0 {
        return Err(Rejection::new(Code::Invalid, "/points", "give at least one point"));
    }
    // What was received cannot be given on.
    let own: Vec<Lot> = draft.wallet(wallet).live.iter().filter(|lot| !lot.gift).copied().collect();
    let available: i64 = own.iter().map(Lot::free).sum();
    if points > available {
        let detail = format!("{points} points are asked for and {available} can be given; points that were received cannot be given on");
        return Err(Rejection::new(Code::InsufficientPoints, "/points", &detail));
    }
    if draft.member.giving.len() >= MAX_GIVING {
        return Err(Rejection::new(Code::TooManyHolds, "", "20 gifts of this member are on their way; wait until they have arrived"));
    }
    let (mut left, mut count) = (points, 0);
    for lot in own {
        let part = left.min(lot.free());
        if part > 0 {
            draft.moves(wallet, Movement::Given { lot: lot.id, points: part, activated_at: lot.activated_at, expires_at: lot.expires_at });
            left -= part;
            count += 1;
        }
    }
    if count > MAX_GIFT_LOTS {
        // The taker's record must have room for them: a gift that is on its way must be able to arrive.
        return Err(Rejection::new(Code::Invalid, "/points", "these points are of more than 500 lots; give fewer"));
    }
    Ok(Body::Gave { wallet, points, to })
}

/// Lots that one gift may be of.
const MAX_GIFT_LOTS: usize = 500;
/// Gifts of one member that may be on their way.
const MAX_GIVING: usize = 20;

/// What a giver's record says was given, for its taker; `None`: it gave nothing.
#[must_use]
pub fn gift(from: MemberId, seq: u64, record: &Record) -> Option<Gift> {
    let Body::Gave { wallet, .. } = record.body else { return None };
    let mut lots: Vec<(i64, Millis)> = Vec::new();
    for event in &record.events {
        if let Event::Points(_, Movement::Given { points, expires_at, .. }) = event {
            match lots.last_mut().filter(|(_, at)| at == expires_at) {
                Some((sum, _)) => *sum += points,
                None => lots.push((*points, *expires_at)),
            }
        }
    }
    Some(Gift { from, seq, wallet, lots })
}

pub(super) fn take(draft: &mut Draft<'_>, gift: &Gift) -> Body {
    let Gift { from, seq, wallet, lots } = gift;
    let points = lots.iter().fold(0_i64, |sum, (points, _)| sum.saturating_add(*points));
    // A no is remembered too: this id is never taken later.
    let fits = draft.figures(*wallet).available.saturating_add(points) <= 90 * MAX_POINTS;
    if !fits || usize::from(*wallet) >= draft.programme.wallets.len() {
        return Body::TakeRefused { from: *from, gift: *seq, wallet: *wallet };
    }
    for (points, expires_at) in lots {
        let lot = draft.new_lot();
        draft.moves(*wallet, Movement::Gifted { lot, points: *points, activated_at: draft.now, expires_at: *expires_at });
        if *expires_at <= draft.now {
            // Whatever becomes available meets debt first, however briefly it lives.
            draft.meet_debt(*wallet);
            draft.expire(*wallet, lot, *points, draft.now);
        }
    }
    draft.meet_debt(*wallet);
    Body::Took { from: *from, gift: *seq, wallet: *wallet, points }
}

pub(super) fn settle(draft: &mut Draft<'_>, gift: u64, taken: bool, records: &[(u64, Arc<Record>)]) -> Result<Body, Rejection> {
    let record = records.iter().find(|(seq, _)| *seq == gift).map(|(_, record)| record);
    let (Some(record), true) = (record, draft.member.giving.iter().any(|(seq, _)| u64::from(*seq) == gift)) else {
        return Err(Rejection::new(Code::NothingDue, "", "this gift is settled"));
    };
    let Body::Gave { wallet, .. } = record.body else { return Err(Rejection::new(Code::NothingDue, "", "this is no gift")) };
    if !taken {
        for event in &record.events {
            let Event::Points(_, Movement::Given { lot, points, activated_at, expires_at }) = *event else { continue };
            // Rolling expiry may have moved the lot meanwhile.
            let expires_at = draft.wallet(wallet).lot(lot).map_or(expires_at, |known| known.expires_at.max(expires_at)).max(draft.rolled(wallet, &draft.programme));
            // What a return has claimed meanwhile is debt: the points come back and meet it.
            draft.moves(wallet, Movement::GivenBack { lot, points, activated_at, expires_at });
            if expires_at <= draft.now {
                draft.meet_debt(wallet);
                draft.expire(wallet, lot, points, draft.now);
            }
        }
        draft.meet_debt(wallet);
    }
    Ok(Body::GiftSettled { gift, taken })
}
