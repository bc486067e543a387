//! Quests and achievements in a commit (rules 20, 22): what is counted, then once through what that reaches or undoes.

use std::sync::Arc;

use super::clawback::claim;
use super::{Draft, issue};
use crate::basket::{Basket, Worth};
use crate::earn::MAX_POINTS;
use crate::goals::{Goal, GoalKind, Measure, Part, Reward, parts};
use crate::profile::Found;
use crate::programme::Programme;
use crate::record::{Event, Sale, SaleLeft};
use crate::time::{Day, Millis, NEVER, expiry};
use crate::{Code, Rejection};

/// Longest that a tier can be given for, in days, however often its quest is completed at once.
const MAX_TIER_DAYS: i64 = 3_660;

/// Counts what a sale comes to.
pub(super) fn count(draft: &mut Draft<'_>, programme: &Arc<Programme>, basket: &Basket, (found, store_day): (&Found, Day), parts: &[Part]) {
    for part in parts {
        progress(draft, programme, basket, (found, store_day), *part);
    }
}

/// Takes from them what a sale does not count any more: `min(counted before, counted by what remains)`, as rule 16.
pub(super) fn take_back(draft: &mut Draft<'_>, sale: &Sale, programme: &Arc<Programme>, remains: &Worth, left: &mut SaleLeft) {
    if left.parts.is_empty() {
        return;
    }
    let now = parts(programme, &programme.head(&sale.basket, &sale.found), remains);
    for part in &mut left.parts {
        let counts = now.iter().find(|now| (now.goal, now.step) == (part.goal, part.step)).map_or(0, |now| now.amount).min(part.amount);
        if counts < part.amount {
            progress(draft, programme, &sale.basket, (&sale.found, sale.day), Part { amount: counts - part.amount, ..*part });
            part.amount = counts;
        }
    }
}

fn progress(draft: &mut Draft<'_>, programme: &Arc<Programme>, basket: &Basket, (found, store_day): (&Found, Day), part: Part) {
    let Some(goal) = programme.goals.get(usize::from(part.goal)) else { return };
    let Some(step) = goal.steps.get(usize::from(part.step)) else { return };
    let store = if step.measure == Measure::Visits { super::purchase::store_number(&basket.store, store_day) } else { 0 };
    let event = |after| Event::Progressed { goal: goal.key, step: part.step, on: step.measure.on(store_day, store, found.day), amount: part.amount, after };
    let mut standing = draft.progress(goal.key);
    standing.apply(&event(0), draft.now);
    let after = standing.steps.get(usize::from(part.step)).map_or(0, |state| state.measured(step));
    draft.emit(event(after));
    // Once for each, by the version and the time of what went on; of what only went back, by its own.
    let known = draft.goals.iter().position(|(version, place, _)| version.goals.get(usize::from(*place)).is_some_and(|known| known.key == goal.key));
    let touched = (programme.clone(), part.goal, basket.occurred_at);
    match known {
        None => draft.goals.push(touched),
        Some(place) if part.amount > 0 => draft.goals[place] = touched,
        Some(_) => {}
    }
}

/// Quests, then achievements: rewards for what has been reached, and taken back where it has not.
pub(super) fn settle(draft: &mut Draft<'_>) -> Result<(), Rejection> {
    let mut touched = std::mem::take(&mut draft.goals);
    let of = |(programme, place, _): &(Arc<Programme>, u16, Millis)| programme.goals.get(usize::from(*place)).map(|goal| (goal.kind, goal.id.clone()));
    touched.sort_by_key(of);
    for (programme, place, occurred_at) in &touched {
        let Some(goal) = programme.goals.get(usize::from(*place)) else { continue };
        let progress = draft.progress(goal.key);
        let times = goal.completions(&progress) - progress.reached;
        if times > 0 {
            draft.emit(Event::Reached { goal: goal.key, times });
            reward(draft, programme, goal, times, *occurred_at)?;
        } else if times < 0 && !(goal.kind == GoalKind::Achievement && goal.keep) {
            draft.emit(Event::Reached { goal: goal.key, times });
            // Of two members who are one now both may have been rewarded for what counts once.
            let all = progress.rewards.iter().map(|given| given.times).sum::<i64>();
            take(draft, goal, if progress.reached + times == 0 { all } else { -times });
        }
    }
    draft.goals = touched;
    Ok(())
}

fn reward(draft: &mut Draft<'_>, programme: &Programme, goal: &Goal, times: i64, occurred_at: Millis) -> Result<(), Rejection> {
    match goal.reward {
        None => {}
        // A wallet of this version is one of every later one.
        Some(Reward::Points { wallet, points }) => {
            let overflow = || Rejection::new(Code::Overflow, "/lines", "the rewards of this basket do not fit; split it");
            let each = points;
            let points = points.checked_mul(times).filter(|points| *points <= MAX_POINTS).ok_or_else(overflow)?;
            let rule = programme.wallet(wallet).expiry;
            let expires_at = rule.map_or(NEVER, |rule| expiry(occurred_at, rule.months, rule.round_up, &programme.zone)).max(draft.rolled(wallet, programme));
            let lot = draft.apart_lot();
            draft.emit(Event::Rewarded { goal: goal.key, wallet, lot, times, each });
            issue::active(draft, wallet, programme, points, lot, (draft.now, expires_at));
            draft.meet_debt(wallet);
        }
        Some(Reward::Tier { level, days }) => {
            let since = draft.now;
            let days = i64::from(days).saturating_mul(times).min(MAX_TIER_DAYS);
            let until = Day::at(since, &programme.zone).plus(i32::try_from(days).unwrap_or(i32::MAX).saturating_add(1)).start(&programme.zone);
            draft.emit(Event::RewardedTier { goal: goal.key, level, since, times });
            draft.emit(Event::TierGranted { goal: goal.key, level, since, until });
        }
    }
    Ok(())
}

/// Takes the rewards of so many completions back, the last first (rule 18).
fn take(draft: &mut Draft<'_>, goal: &Goal, times: i64) {
    let mut left = times;
    let given = draft.progress(goal.key).rewards;
    for reward in given.iter().rev() {
        let times = left.min(reward.times);
        if times == 0 {
            break;
        }
        left -= times;
        draft.emit(Event::RewardTaken { goal: goal.key, lot: reward.lot, times });
        match reward.tier {
            None => {
                claim(draft, reward.wallet, reward.lot, reward.each.saturating_mul(times), &[]);
                draft.meet_debt(reward.wallet);
            }
            Some((level, since)) if times == reward.times => draft.emit(Event::TierGrantEnded { goal: goal.key, level, since, at: draft.now }),
            // Of several completions at once some stand: the tier that they gave stays.
            Some(_) => {}
        }
    }
}
