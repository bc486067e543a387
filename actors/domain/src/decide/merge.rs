//! A member goes into another one (rule 15): see [`crate::merge`].

use std::sync::Arc;

use super::Draft;
use crate::command::{Ask, Command};
use crate::ids::MemberId;
use crate::member::Member;
use crate::goals::Progress;
use crate::merge::{self, Absorbed, Cut, Going, Journal, Merges};
use crate::programme::{Metric, Programme};
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
    let under_way = member.pool.as_ref().is_some_and(|pool| !pool.gathering.is_empty() || !pool.homing.is_empty());
    // Also what time has just brought about.
    let sends = draft.events().iter().any(|event| matches!(event, Event::Points(_, Movement::SentHome { .. })));
    if !member.giving.is_empty() || under_way || sends {
        return Err(Rejection::new(Code::MergeRefused, "", "points of this member are on their way to or from others; try again in a moment"));
    }
    Ok(Body::Merging { into })
}

/// What a member answers that goes, or has gone: it changes no more.
pub(super) fn frozen(draft: Draft<'_>, going: &Going, command: &Command) -> Result<Record, Rejection> {
    let body = match &command.ask {
        Ask::SettleMerge { merge, place } if going.place.is_none() && u64::from(going.seq) == *merge => Body::Merged { into: going.into, merge: *merge, place: *place },
        // What it had under way was settled before it began to go.
        Ask::SettleMerge { .. } | Ask::Tick | Ask::SettleGift { .. } | Ask::Gather { .. } | Ask::Homed { .. } => return Err(settled()),
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

/// Another one is just going into this member.
pub(super) fn busy() -> Rejection {
    Rejection::new(Code::MemberMerged, "/member", "another member is just going into this one; try again in a moment")
}

/// Takes a part of another member's state over.
pub(super) fn absorb(draft: &mut Draft<'_>, from: MemberId, merge: u64, part: u16, cut: &Cut) -> Result<Body, Rejection> {
    let Cut { whole, parts } = cut;
    let none = Merges::default();
    let known = draft.member.merges.as_deref().unwrap_or(&none);
    let theirs: Vec<&Journal> = whole.merges.iter().flat_map(|merges| &merges.sources).map(|source| &source.journal).collect();
    if known.coming().is_some_and(|other| other != from) {
        return Err(busy());
    }
    let source = known.sources.iter().position(|source| source.journal.member == from);
    let taken = source.map_or(0, |place| known.sources[place].parts.len());
    let Some(state) = parts.get(usize::from(part)).filter(|_| usize::from(part) == taken && source.is_none_or(|place| known.sources[place].merge == merge)) else {
        return Err(settled());
    };
    if source.is_none() {
        check(draft, known, whole, theirs.len())?;
    }
    let place = u8::try_from(source.unwrap_or(known.sources.len()) + 1).unwrap_or(u8::MAX);
    let mut state = Box::new(state.clone());
    merge::of_state(&mut state, place);
    let mut journals = Vec::new();
    let periods = periods(draft, whole);
    let moved = |day: Day| periods.iter().find(|(there, _)| *there == day).map_or(day, |(_, here)| *here);
    if part == 0 {
        let through = theirs.iter().map(|journal| Journal { periods: through(&journal.periods, &periods, moved), ..(*journal).clone() });
        let own = Journal { member: from, records: u32::try_from(merge).unwrap_or(u32::MAX), periods: periods.clone() };
        journals = std::iter::once(own).chain(through).collect();
    }
    let their_tier = reviewed(draft, whole);
    counts(draft, &mut state, &their_tier, moved);
    for (number, wallet) in (0_u8..).zip(&state.wallets) {
        draft.takes_over(number, wallet);
    }
    for number in draft.numbers() {
        draft.meet_debt(number);
    }
    draft.joined = state.goals.iter().map(|progress| together(draft.member, progress)).collect();
    if usize::from(part) + 1 == parts.len() {
        tier(draft, whole);
        goals(draft, whole);
        sold(draft, whole, place);
    }
    Ok(Body::Absorbed(Box::new(Absorbed { from, merge, part, of: u16::try_from(parts.len()).unwrap_or(u16::MAX), place, journals, state })))
}

/// Whether a member can be taken over.
fn check(draft: &Draft<'_>, known: &Merges, source: &Member, theirs: usize) -> Result<(), Rejection> {
    if known.sources.len() + theirs >= merge::MOST {
        return Err(Rejection::new(Code::MergeRefused, "/into", "as many members as can have gone into this one"));
    }
    if !fits(draft, source) {
        return Err(Rejection::new(Code::MergeRefused, "/into", "the points of both are more than one member can have"));
    }
    Ok(())
}

/// Periods of the source's tier that are others here. Years of two members begin on different days: a year counts where its last day lies, or
/// where today does.
fn periods(draft: &Draft<'_>, source: &Member) -> Vec<(Day, Day)> {
    let rules = &draft.programme.tiers;
    let today = Day::at(draft.now, &draft.programme.zone);
    let here = |start: Day| draft.member.tier.period(rules, source.tier.next(rules, start).plus(-1).min(today.max(start)));
    source.tier.metric.iter().map(|(start, _)| (*start, here(*start))).filter(|(there, here)| there != here).collect()
}

/// Those of a journal that had come with it: by way of its own.
fn through(theirs: &[(Day, Day)], own: &[(Day, Day)], moved: impl Fn(Day) -> Day) -> Vec<(Day, Day)> {
    let mut all: Vec<(Day, Day)> = theirs.iter().map(|(there, between)| (*there, moved(*between))).collect();
    all.extend(own.iter().filter(|(there, _)| theirs.iter().all(|(known, _)| known != there)));
    all
}

/// The source's tier, with the ends of periods that have come since it began to go.
fn reviewed(draft: &Draft<'_>, source: &Member) -> Tier {
    let mut tier = source.tier.clone();
    tier.reviews(&draft.programme.tiers, &draft.programme.zone, draft.now).iter().for_each(|event| tier.apply(event));
    tier
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
fn counts(draft: &mut Draft<'_>, state: &mut Member, reviewed: &Tier, here: impl Fn(Day) -> Day) {
    let rules = draft.programme.clone();
    let theirs = std::mem::take(&mut state.tier);
    let own = &draft.member.tier;
    let mut events: Vec<Event> = theirs.metric.iter().map(|(start, amount)| Event::Metric { period: here(*start), amount: *amount }).collect();
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
    if !theirs.history.is_empty() {
        state.tier = Tier { history: reviewed.history.clone(), withdrawn: theirs.withdrawn, ..Tier::default() };
    }
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
    let level = reviewed(draft, source).level;
    draft.upgrade(draft.member.tier.period(&programme.tiers, Day::at(draft.now, &programme.zone)));
    let from = draft.carried();
    if level > from {
        draft.emit(Event::TierChanged { from, to: level, at: draft.now, why: TierWhy::Reached });
    }
}

fn together(member: &Member, part: &Progress) -> Progress {
    let mut progress = member.progress(part.key).cloned().unwrap_or_else(|| Progress { key: part.key, ..Progress::default() });
    progress.join(part);
    progress
}

/// What both have done may complete a quest that still runs, and is then rewarded as ever. What both have completed that counts once stays with its rewards.
fn goals(draft: &mut Draft<'_>, source: &Member) {
    for theirs in &source.goals {
        // By the newest version that has it.
        let of = |programme: &Arc<Programme>| programme.goals.iter().position(|goal| goal.key == theirs.key).map(|place| (programme.clone(), place));
        let Some((programme, place)) = draft.context.programmes.newest_first().find_map(of) else { continue };
        let goal = &programme.goals[place];
        let progress = draft.progress(goal.key);
        let most = if goal.keep && !goal.repeatable { 1 } else { goal.completions(&progress) };
        if progress.reached > most {
            draft.emit(Event::Reached { goal: goal.key, times: most - progress.reached });
        } else if programme.version == draft.programme.version && goal.until.is_none_or(|until| draft.now < until.end(&programme.zone)) {
            draft.goals.push((programme.clone(), u16::try_from(place).unwrap_or(u16::MAX), draft.now));
        }
    }
}

/// A return that waits for a sale which the other one has: nobody will send that sale again, so staff look at it now.
fn sold(draft: &mut Draft<'_>, source: &Member, place: u8) {
    // Earlier parts are here already.
    let came = |seq: u64| seq / u64::from(merge::SPAN) == u64::from(place);
    let own = draft.member.awaited.iter().map(|(sale, seq)| (sale, u64::from(*seq))).filter(|(sale, seq)| !came(*seq) && source.keys.find(**sale).next().is_some());
    let theirs = source.awaited.iter().filter(|(sale, _)| draft.member.keys.find(*sale).any(|seq| !came(seq))).map(|(sale, seq)| (sale, merge::number(u64::from(*seq), place)));
    let mut met: Vec<u64> = own.chain(theirs).map(|(_, seq)| seq).collect();
    met.sort_unstable();
    met.dedup();
    met.into_iter().for_each(|seq| draft.emit(Event::ReturnLapsed { seq }));
}
