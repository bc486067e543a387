//! What was earned becomes lots: active at once, or pending until a day or a delivery (rules 4, 8).

use std::collections::BTreeMap;

use super::Draft;
use crate::basket::{Basket, Worth};
use crate::earn::{Earned, WHOLE_BASKET};
use crate::programme::{PendingRule, Programme, UnlockRule};
use crate::rules::Head;
use crate::record::{Movement, Unlock};
use crate::time::{DAY_MS, Day, Millis, NEVER, expiry};

/// A delivery that has not come by then reverses what waits for it.
const DELIVERY: Millis = 90 * DAY_MS;

/// Issues the points of a sale in a wallet; past their time already, they expire in the same commit (rule 2). Answers
/// how many of them wait.
pub(super) fn issue(draft: &mut Draft<'_>, wallet: u8, programme: &Programme, head: &Head<'_>, worth: &Worth, earned: &Earned) -> i64 {
    let occurred_at = head.basket.occurred_at;
    let rule = programme.wallet(wallet).expiry;
    let from = match rule {
        Some(rule) if rule.from_activation => draft.now,
        _ => occurred_at,
    };
    let expires_at = rule.map_or(NEVER, |rule| expiry(from, rule.months, rule.round_up, &programme.zone));
    let at_least = draft.rolled(wallet, programme);
    if rule.is_some_and(|rule| rule.rolling) {
        draft.roll(wallet, occurred_at, expires_at);
    }
    let expires_at = expires_at.max(at_least);
    let parts = parts(wallet, programme, head, worth, earned);
    let mut pending = 0;
    for (unlock, points) in parts {
        let lot = draft.new_lot();
        match unlock {
            // A late sale may have unlocked before it arrived.
            Some(Unlock::At(at)) if at <= draft.now => active(draft, wallet, programme, points, lot, (at, expires_at)),
            Some(_) => {
                pending += points;
                draft.moves(wallet, Movement::Issued { lot, points, unlock, activated_at: draft.now, expires_at });
            }
            None => active(draft, wallet, programme, points, lot, (draft.now, expires_at)),
        }
    }
    if draft.figures(wallet).debt > 0 {
        draft.meet_debt(wallet);
    }
    pending
}

pub(super) fn active(draft: &mut Draft<'_>, wallet: u8, programme: &Programme, points: i64, lot: crate::ids::LotId, (activated_at, expires_at): (Millis, Millis)) {
    let from_activation = programme.wallet(wallet).expiry.filter(|rule| rule.from_activation);
    let counted = |rule: crate::programme::ExpiryRule| expiry(activated_at, rule.months, rule.round_up, &programme.zone).max(draft.rolled(wallet, programme));
    let expires_at = from_activation.map_or(expires_at, counted);
    draft.moves(wallet, Movement::Issued { lot, points, unlock: None, activated_at, expires_at });
    if expires_at <= draft.now {
        // Whatever becomes available meets debt first, however briefly it lives.
        draft.meet_debt(wallet);
        draft.expire(wallet, lot, points, draft.now);
    }
}

/// The points by what they wait for; `None` first.
fn parts(wallet: u8, programme: &Programme, head: &Head<'_>, worth: &Worth, earned: &Earned) -> Vec<(Option<Unlock>, i64)> {
    let all = earned.of(wallet);
    let holds_back = |rule: &PendingRule| rule.wallet.is_none_or(|of| of == wallet) && rule.when.head(head);
    if all <= 0 || !programme.pending.iter().any(holds_back) {
        return if all > 0 { vec![(None, all)] } else { Vec::new() };
    }
    // A line that earns by rule 5 holds the basket's bonus back, also when its own points come to 0.
    let earning = head.basket.lines.iter().zip(&worth.lines).enumerate().filter(|(_, (line, worth))| worth.sold && worth.net > 0 && programme.earns(line));
    let mut lines: BTreeMap<u16, i64> = earning.filter_map(|(place, _)| Some((u16::try_from(place).ok()?, 0))).collect();
    for award in earned.awards.iter().filter(|award| award.source.wallet(programme) == wallet) {
        *lines.entry(award.line).or_default() += award.points;
    }
    let whole = lines.remove(&WHOLE_BASKET).unwrap_or(0);
    let deadline = head.basket.occurred_at.saturating_add(DELIVERY);
    let (mut now, mut timed, mut delivered) = (0, BTreeMap::<Millis, i64>::new(), Vec::new());
    // What a cap took of one line may come back to it when another does (rule 16).
    let cut = earned.awards.iter().any(|award| award.points < 0 && award.source.wallet(programme) == wallet);
    for (line, points) in lines.into_iter().filter(|(_, points)| *points > 0 || whole > 0 || cut) {
        match unlock(wallet, programme, head, usize::from(line)) {
            None => now += points,
            // A date that had passed when the sale was made holds nothing back.
            Some(UnlockRule::At(at)) if at.start(head.zone) <= head.basket.occurred_at => now += points,
            Some(UnlockRule::At(at)) => *timed.entry(at.start(head.zone)).or_default() += points,
            Some(UnlockRule::Days(days)) => {
                let day = Day::at(head.basket.occurred_at, &programme.zone).plus(days);
                *timed.entry(day.start(&programme.zone)).or_default() += points;
            }
            Some(UnlockRule::Delivered) => delivered.push((Some(Unlock::Delivery { line, deadline }), points)),
        }
    }
    // A bonus of the whole basket unlocks with the last of its lines.
    let last = timed.keys().next_back().copied();
    let mut parts = Vec::new();
    match (delivered.is_empty(), last) {
        (true, None) => now += whole,
        (true, Some(last)) => *timed.entry(last).or_default() += whole,
        (false, last) if whole > 0 => delivered.push((Some(Unlock::LastLine { not_before: last.unwrap_or(Millis::MIN), deadline }), whole)),
        (false, _) => {}
    }
    if now > 0 {
        parts.push((None, now));
    }
    parts.extend(timed.into_iter().filter(|(_, points)| *points > 0).map(|(at, points)| (Some(Unlock::At(at)), points)));
    parts.extend(delivered);
    parts
}

fn unlock(wallet: u8, programme: &Programme, head: &Head<'_>, line: usize) -> Option<UnlockRule> {
    let basket: &Basket = head.basket;
    let line = basket.lines.get(line)?;
    programme.pending.iter().filter(|rule| rule.wallet.is_none_or(|of| of == wallet)).find(|rule| rule.when.head(head) && rule.when.line(line)).map(|rule| rule.unlock)
}
