//! Lines were delivered: what waited for them becomes active (rule 8).

use std::sync::Arc;

use super::Draft;
use crate::record::{Body, Movement, Record, Unlock};
use crate::time::{Millis, expiry};
use crate::wallet::Lot;
use crate::{Code, Rejection, Text};

pub(super) fn deliver(draft: &mut Draft<'_>, sale: u64, asked: &[Text], records: &[(u64, Arc<Record>)]) -> Result<Body, Rejection> {
    let bought = super::returns::sale(sale, records)?;
    let seq = u32::try_from(sale).unwrap_or(u32::MAX);
    let mut waiting: Vec<(u8, Lot, u16)> = Vec::new();
    for wallet in draft.numbers() {
        let lots = draft.wallet(wallet).waiting.iter().filter(|(lot, _)| lot.id.seq == seq);
        waiting.extend(lots.filter_map(|(lot, unlock)| on_line(wallet, lot, *unlock)));
    }
    let mut lines = Vec::new();
    for (place, id) in asked.iter().enumerate() {
        let unknown = || Rejection::new(Code::UnknownLine, format!("/lines/{place}"), &format!("the sale has no line with the id {id}"));
        let line = bought.basket.lines.iter().position(|line| line.id == *id).and_then(|at| u16::try_from(at).ok()).ok_or_else(unknown)?;
        if !waiting.iter().any(|(_, _, waits)| *waits == line) {
            return Err(Rejection::new(Code::NotPending, format!("/lines/{place}"), "nothing of this line waits for its delivery: it was delivered, came back, or never had to be"));
        }
        lines.push(line);
    }
    if asked.is_empty() {
        lines = waiting.iter().map(|(_, _, line)| *line).collect();
        lines.sort_unstable();
        lines.dedup();
    }
    if lines.is_empty() {
        return Err(Rejection::new(Code::NotPending, "", "nothing of this sale waits for a delivery"));
    }
    for (wallet, lot, _) in waiting.iter().filter(|(_, _, line)| lines.contains(line)) {
        activate(draft, *wallet, lot, draft.now);
    }
    for wallet in draft.numbers() {
        if waiting.iter().filter(|(of, ..)| *of == wallet).all(|(_, _, line)| lines.contains(line)) {
            last_line(draft, wallet, seq);
        }
        draft.meet_debt(wallet);
    }
    Ok(Body::Delivered { sale, lines, asked: asked.to_vec() })
}

fn on_line(wallet: u8, lot: &Lot, unlock: Unlock) -> Option<(u8, Lot, u16)> {
    match unlock {
        Unlock::Delivery { line, .. } => Some((wallet, *lot, line)),
        Unlock::At(_) | Unlock::LastLine { .. } => None,
    }
}

/// The bonuses of the whole basket: with its last line, or when its last timed line unlocks.
pub(super) fn last_line(draft: &mut Draft<'_>, wallet: u8, sale: u32) {
    let whole: Vec<_> = draft.wallet(wallet).waiting.iter().filter(|(lot, _)| lot.id.seq == sale).copied().collect();
    for (lot, unlock) in whole {
        match unlock {
            Unlock::LastLine { not_before, .. } if not_before <= draft.now => activate(draft, wallet, &lot, draft.now),
            Unlock::LastLine { not_before, .. } => draft.moves(wallet, Movement::Rescheduled { lot: lot.id, unlock: Unlock::At(not_before) }),
            Unlock::At(_) | Unlock::Delivery { .. } => {}
        }
    }
}

/// Makes a pending lot active as of an instant.
pub(super) fn activate(draft: &mut Draft<'_>, wallet: u8, lot: &Lot, at: Millis) {
    let from_activation = draft.programme.wallet(wallet).expiry.filter(|rule| rule.from_activation);
    let counted = |rule: crate::programme::ExpiryRule| expiry(at, rule.months, rule.round_up, &draft.programme.zone).max(draft.rolled(wallet, &draft.programme));
    let expires_at = from_activation.map_or(lot.expires_at, counted);
    draft.moves(wallet, Movement::Activated { lot: lot.id, points: lot.left, activated_at: at, expires_at });
    if expires_at <= draft.now {
        // Whatever becomes available meets debt first, however briefly it lives.
        draft.meet_debt(wallet);
        draft.expire(wallet, lot.id, lot.left, expires_at.max(at));
    }
}
