//! A member goes into another one (rule 15): see [`crate::merge`].

use super::Draft;
use crate::command::{Ask, Command};
use crate::ids::MemberId;
use crate::member::Member;
use crate::goals::Progress;
use crate::merge::{self, Absorbed, Going, Merges, cut};
use crate::programme::Metric;
use crate::record::{Body, Event, Figures, Movement, Record, TierWhy};
use crate::tier::Tier;
use crate::time::Day;
use crate::{Code, Rejection};

/// What goes begins: nothing of it may be on its way to or from others.
pub(super) fn begin(draft: &Draft<'_>, into: MemberId) -> Result<Body, Rejection> {
    let member = draft.member;
    if member.pool.as_ref().is_some_and(|pool| pool.of.is_some()) {
        return Err(Rejection::new(Code::InPool, "/member", "this member is in a pool; it must leave that one first"));
    }
    if !member.giving.is_empty() || member.pool.as_ref().is_some_and(|pool| !pool.gathering.is_empty() || !pool.homing.is_empty()) {
        return Err(Rejection::new(Code::MergeRefused, "", "points of this member are on their way to or from others; try again in a moment"));
    }
    if member.merges.as_ref().is_some_and(|merges| merges.is_coming()) {
        return Err(Rejection::new(Code::MergeRefused, "", "another member is just going into this one; try again in a moment"));
    }
    Ok(Body::Merging { into })
}

/// What a member answers that goes, or has gone: it changes no more.
pub(super) fn frozen(draft: Draft<'_>, going: &Going, command: &Command) -> Result<Record, Rejection> {
    let body = match &command.ask {
        Ask::SettleMerge { merge, place } if going.place.is_none() && u64::from(going.seq) == *merge => Body::Merged { into: going.into, merge: *merge, place: *place },
        Ask::SettleMerge { .. } | Ask::Tick => return Err(settled()),
        // A no is remembered: this merge is never taken, whatever becomes of this member's own.
        Ask::Absorb { from, merge, .. } | Ask::RefuseMerge { from, merge } => Body::AbsorbRefused { from: *from, merge: *merge },
        _ => return Err(Rejection::new(Code::MemberMerged, "/member", "this member is going into another one; try again in a moment")),
    };
    let mut draft = draft;
    if let Body::Merged { place: Some(_), .. } = body {
        for wallet in draft.numbers() {
            let figures = draft.figures(wallet);
            if figures != Figures::default() {
                draft.moves(wallet, Movement::MergedOut(figures));
            }
        }
    }
    Ok(draft.record(0, body))
}

pub(super) fn settled() -> Rejection {
    Rejection::new(Code::NothingDue, "", "nothing is due")
}

/// Takes a part of another member's state over.
pub(super) fn absorb(draft: &mut Draft<'_>, from: MemberId, merge: u64, part: u16, source: &Member) -> Result<Body, Rejection> {
    let none = Merges::default();
    let known = draft.member.merges.as_deref().unwrap_or(&none);
    let theirs: Vec<(MemberId, u32)> = source.merges.iter().flat_map(|merges| &merges.sources).map(|source| (source.member, source.records)).collect();
    let place = match known.sources.iter().position(|source| source.member == from) {
        Some(place) => place,
        None if part == 0 && known.sources.len() + theirs.len() < merge::MOST && fits(draft, source) => known.sources.len(),
        None => return Ok(Body::AbsorbRefused { from, merge }),
    };
    let mut parts = cut(source);
    let of = parts.len();
    if known.sources.get(place).is_some_and(|source| source.merge != merge || source.parts.len() != usize::from(part)) || usize::from(part) >= of {
        return Err(settled());
    }
    let place = u8::try_from(place + 1).unwrap_or(u8::MAX);
    let mut state = Box::new(parts.swap_remove(part.into()));
    merge::of_state(&mut state, place);
    counts(draft, &mut state);
    for (number, wallet) in (0_u8..).zip(&state.wallets) {
        draft.takes_over(number, wallet);
    }
    if part == 0 {
        tier(draft, source);
    }
    for number in draft.numbers() {
        draft.meet_debt(number);
    }
    draft.joined = state.goals.iter().map(|progress| together(draft.member, progress)).collect();
    if usize::from(part) + 1 == of {
        goals(draft, source);
    }
    let journals = if part == 0 { std::iter::once((from, u32::try_from(merge).unwrap_or(u32::MAX))).chain(theirs).collect() } else { Vec::new() };
    Ok(Body::Absorbed(Box::new(Absorbed { from, merge, part, of: u16::try_from(of).unwrap_or(u16::MAX), place, journals, state })))
}

/// Whether what a member would have fits.
fn fits(draft: &Draft<'_>, source: &Member) -> bool {
    let sum = |wallet: u8| {
        let (own, theirs) = (draft.figures(wallet), source.figures(wallet));
        [own.available.saturating_add(theirs.available), own.pending.saturating_add(theirs.pending), own.held.saturating_add(theirs.held), own.debt.saturating_add(theirs.debt)]
    };
    // A little less than a balance may be, so that what comes of it has room.
    source.wallets.len() <= draft.numbers().count() && draft.numbers().all(|wallet| sum(wallet).iter().all(|points| *points <= super::MOST / 10 * 9))
}

/// What counts by day or period comes as events, so that everything sees it as it sees any other.
fn counts(draft: &mut Draft<'_>, state: &mut Member) {
    let rules = draft.programme.clone();
    let today = Day::at(draft.now, &rules.zone);
    let (own, theirs) = (&draft.member.tier, std::mem::take(&mut state.tier));
    let mut events = Vec::new();
    for (start, amount) in &theirs.metric {
        // Years of two members begin on different days: a year counts where its last day lies, or where today does.
        let last = theirs.next(&rules.tiers, *start).plus(-1).min(today.max(*start));
        events.push(Event::Metric { period: own.period(&rules.tiers, last), amount: *amount });
    }
    for (day, store, count) in &theirs.visits {
        // A store day of both is one visit.
        if rules.tiers.metric == Metric::Visits && draft.visits(*day, *store) > 0 {
            events.push(Event::Metric { period: own.period(&rules.tiers, *day), amount: -1 });
        }
        events.push(Event::Visit { day: *day, store: *store, count: *count });
    }
    for grant in &theirs.grants {
        events.push(Event::TierGranted { goal: grant.goal, level: grant.level, since: grant.since, until: grant.until });
        if grant.ended {
            events.push(Event::TierGrantEnded { goal: grant.goal, level: grant.level, since: grant.since, at: grant.until });
        }
    }
    state.tier = Tier { history: theirs.history, withdrawn: theirs.withdrawn, ..Tier::default() };
    let used = std::mem::take(&mut state.room).into_iter().map(|(wallet, period, points)| Event::RoomUsed { wallet, period, points });
    events.extend(used);
    // Their budgets were charged for it already.
    let got = std::mem::take(&mut state.campaigns.0).into_iter().map(|(campaign, points, _)| Event::CampaignUsed { campaign, points, charged: false });
    events.extend(got);
    events.into_iter().for_each(|event| draft.emit(event));
}

/// The higher of the two, or what both carry together.
fn tier(draft: &mut Draft<'_>, source: &Member) {
    let programme = draft.programme.clone();
    let mut theirs = source.tier.clone();
    theirs.reviews(&programme.tiers, &programme.zone, draft.now).iter().for_each(|event| theirs.apply(event));
    draft.upgrade(draft.member.tier.period(&programme.tiers, Day::at(draft.now, &programme.zone)));
    let from = draft.carried();
    if theirs.level > from {
        draft.emit(Event::TierChanged { from, to: theirs.level, at: draft.now, why: TierWhy::Reached });
    }
}

fn together(member: &Member, part: &Progress) -> Progress {
    let mut progress = member.progress(part.key).cloned().unwrap_or_else(|| Progress { key: part.key, ..Progress::default() });
    progress.join(part);
    progress
}

/// What both have done may complete a quest, and is then rewarded as ever. What both have completed that counts once stays with its rewards.
fn goals(draft: &mut Draft<'_>, source: &Member) {
    let programme = draft.programme.clone();
    for (place, goal) in (0_u16..).zip(&programme.goals) {
        if source.progress(goal.key).is_none() {
            continue;
        }
        let progress = draft.progress(goal.key);
        let most = if goal.keep && !goal.repeatable { 1 } else { goal.completions(&progress) };
        if progress.reached > most {
            draft.emit(Event::Reached { goal: goal.key, times: most - progress.reached });
        } else {
            draft.goals.push((programme.clone(), place, draft.now));
        }
    }
}
