//! What a return takes back, and what it gives back (rules 18, 19).

use std::sync::Arc;

use super::Draft;
use crate::ids::LotId;
use crate::programme::Clawback;
use crate::record::{Event, Movement, Record, Unlock};
use crate::time::{DAY_MS, Millis};
use crate::wallet::Lot;

/// Takes a claim on the lots of one origin back; answers what nothing met, which the origin owes. `lines`: those of a sale
/// that came back, whose own pending points go first.
pub(super) fn claim(draft: &mut Draft<'_>, wallet: u8, of: LotId, claimed: i64, lines: &[u16]) -> i64 {
    let mut left = claimed;
    let mut take = |points: i64| {
        let part = left.min(points).max(0);
        left -= part;
        part
    };
    let mine = |lots: &[Lot]| -> Vec<Lot> { lots.iter().filter(|lot| lot.id.origin() == of).copied().collect() };

    // The repayments that these lots made are undone first.
    let before = draft.wallet(wallet);
    let all: Vec<Lot> = mine(&before.live).into_iter().chain(mine(&before.rest)).collect();
    for lot in &all {
        let points = take(lot.repaid);
        if points > 0 {
            draft.moves(wallet, Movement::RepaymentUndone { lot: lot.id, points });
        }
    }
    let mut waiting: Vec<(Lot, Unlock)> = draft.wallet(wallet).waiting.iter().filter(|(lot, _)| lot.id.origin() == of).copied().collect();
    waiting.sort_by_key(|(lot, unlock)| (!matches!(unlock, Unlock::Delivery { line, .. } if lines.contains(line)), lot.id));
    for (lot, _) in waiting {
        let points = take(lot.left);
        if points > 0 {
            draft.moves(wallet, Movement::ClawedBack { lot: lot.id, points, pending: true });
        }
    }
    for lot in mine(&draft.wallet(wallet).live) {
        let points = take(lot.free());
        if points > 0 {
            draft.moves(wallet, Movement::ClawedBack { lot: lot.id, points, pending: false });
        }
    }
    for lot in &all {
        let points = take(lot.expired + lot.lapsed);
        if points > 0 {
            draft.moves(wallet, Movement::ExpiredCounted { lot: lot.id, points });
        }
    }
    // What was given to others counts as spent: the giver owes it (rule 15).
    for lot in &all {
        let points = take(lot.given);
        if points > 0 {
            draft.moves(wallet, Movement::GivenClaimed { lot: lot.id, points });
        }
    }
    if draft.programme.clawback != Clawback::SaleLots {
        left -= take_available(draft, wallet, left);
    }
    if draft.programme.clawback == Clawback::Unlimited && left > 0 {
        draft.moves(wallet, Movement::DebtRaised { points: left });
        left = 0;
    }
    if left > 0 {
        draft.moves(wallet, Movement::OwedRaised { of, points: left });
    }
    left
}

/// Takes up to so many points from what is available, in the order of spending.
pub(super) fn take_available(draft: &mut Draft<'_>, wallet: u8, points: i64) -> i64 {
    let most = points.min(draft.figures(wallet).available).max(0);
    for (lot, part) in draft.wallet(wallet).take(most) {
        draft.moves(wallet, Movement::ClawedBack { lot: lot.id, points: part, pending: false });
    }
    most
}

/// Gives points that a record burned back to the lots they came from, in the reverse order of the debit, from where
/// earlier restorations stopped. What is past its time lives on for the grace, or expires at once.
pub(super) fn restore(draft: &mut Draft<'_>, wallet: u8, burned_by: u64, restored: i64, points: i64, records: &[(u64, Arc<Record>)]) {
    // A return that waited for its sale is of the sale's own record.
    let record = records.iter().find(|(seq, _)| *seq == burned_by).map(|(_, record)| record.events.as_slice());
    let events = record.unwrap_or(if burned_by == u64::from(draft.seq()) { draft.events() } else { &[] });
    let debits: Vec<(LotId, i64, Millis, Millis)> = events.iter().filter_map(|event| debit(wallet, event)).collect();
    let (mut skip, mut left) = (restored, points);
    for (lot, debited, activated_at, expires_at) in debits.into_iter().rev() {
        let skipped = skip.min(debited);
        skip -= skipped;
        let part = left.min(debited - skipped);
        if part <= 0 {
            continue;
        }
        left -= part;
        // Rolling expiry may have moved the lot meanwhile.
        let expires_at = draft.wallet(wallet).lot(lot).map_or(expires_at, |known| known.expires_at.max(expires_at)).max(draft.rolled(wallet, &draft.programme));
        let grace = i64::from(draft.programme.wallet(wallet).grace_days) * DAY_MS;
        let over = expires_at <= draft.now;
        let until = if over && grace > 0 { draft.now + grace } else { expires_at };
        draft.moves(wallet, Movement::Reinstated { lot, points: part, activated_at, expires_at: until });
        if draft.goes_home(wallet, lot, part) {
            continue;
        }
        if until <= draft.now {
            // Whatever becomes available meets debt first, however briefly it lives.
            draft.meet_debt(wallet);
            draft.expire(wallet, lot, part, draft.now);
        }
    }
    draft.meet_debt(wallet);
}

fn debit(wallet: u8, event: &Event) -> Option<(LotId, i64, Millis, Millis)> {
    let Event::Points(of, movement) = event else { return None };
    match *movement {
        Movement::Spent { lot, points, activated_at, expires_at } | Movement::HeldSpent { lot, points, activated_at, expires_at, .. } if *of == wallet => Some((lot, points, activated_at, expires_at)),
        _ => None,
    }
}
