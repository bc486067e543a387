//! Quests and achievements (rules 20, 22): what a sale counts for them, how far a member has come, how often they are reached.
//!
//! A goal has steps; each counts money, units, purchases, store days or a streak of the member's own days or weeks. It is
//! reached as often as every step has come to its figure (once, unless it is repeatable). All of it follows the goods
//! that are kept: a return takes from the same step, and from the same day, what the sale had counted there.

use smallvec::SmallVec;

use crate::Text;
use crate::basket::Worth;
use crate::earn::items;
use crate::ids::{GoalKey, LotId};
use crate::number::Currency;
use crate::programme::{Programme, Sentence};
use crate::record::Event;
use crate::rules::{Condition, Head, Sight};
use crate::time::{DAY_MS, Day, Millis, Moment, Period};

/// A quest or an achievement, as a programme version has it.
#[derive(Clone, Debug)]
pub struct Goal {
    pub id: Text,
    pub key: GoalKey,
    pub kind: GoalKind,
    pub name: Sentence,
    /// Of a quest: when it runs; part of each step's condition too.
    pub from: Option<Moment>,
    pub until: Option<Moment>,
    pub steps: Vec<Step>,
    /// A quest may be completed again and again.
    pub repeatable: bool,
    /// An achievement stays, whatever comes back later.
    pub keep: bool,
    pub reward: Option<Reward>,
    pub text: Sentence,
}

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum GoalKind {
    /// In a window.
    Quest,
    /// Once in a life.
    Achievement,
}

/// One thing to do.
#[derive(Clone, Debug)]
pub struct Step {
    pub measure: Measure,
    /// How much of it.
    pub goal: i64,
    pub when: Condition,
}

/// What a step counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Measure {
    /// Minor units of the goods that earn, before points tenders, in a currency.
    Spend(Currency),
    /// Units of them (rule 5).
    Units,
    /// Purchases of which something is kept.
    Purchases,
    /// Store days on which something is kept.
    Visits,
    /// The member's own days in a row.
    Days,
    /// Its own weeks in a row, Monday to Sunday.
    Weeks,
}

/// What reaching it brings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reward {
    /// In a wallet's smallest unit.
    Points { wallet: u8, points: i64 },
    /// A tier for so many of the programme's local days.
    Tier { level: u8, days: i32 },
}

/// What a sale counts for one step, by the goal's place in its programme version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part {
    pub goal: u16,
    pub step: u8,
    pub amount: i64,
}

/// What a sale, or what is left of it, counts.
#[must_use]
pub fn parts(programme: &Programme, head: &Head<'_>, worth: &Worth) -> SmallVec<[Part; 0]> {
    let mut parts = SmallVec::new();
    if programme.goals.is_empty() {
        return parts;
    }
    let basket = head.basket;
    let items = items(programme, programme.wallet(0), basket, worth);
    let sight = Sight::new(programme, head, worth, &items);
    for (goal, of) in (0_u16..).zip(&programme.goals) {
        for (step, Step { measure, when, .. }) in (0_u8..).zip(&of.steps) {
            if !sight.matches(when) {
                continue;
            }
            let named = || items.iter().filter(|item| sight.line(when, item.place));
            let amount = match measure {
                Measure::Spend(currency) => {
                    let sum = named().fold(0_i64, |sum, item| sum.saturating_add(item.base));
                    programme.spent(basket, *currency, sum)
                }
                Measure::Units => named().fold(0_i64, |sum, item| sum.saturating_add(item.units)),
                Measure::Purchases | Measure::Visits | Measure::Days | Measure::Weeks => {
                    let kept = |(place, line): (usize, &crate::basket::LineWorth)| line.is_kept() && sight.line(when, place);
                    i64::from(worth.lines.iter().enumerate().any(kept))
                }
            };
            if amount > 0 {
                parts.push(Part { goal, step, amount });
            }
        }
    }
    parts
}

impl Measure {
    /// On which day, and of which store, a sale counts; `None`: it is a sum.
    #[must_use]
    pub fn on(self, store_day: Day, store: u32, own_day: Day) -> Option<(Day, u32)> {
        match self {
            Self::Spend(_) | Self::Units | Self::Purchases => None,
            Self::Visits => Some((store_day, store)),
            Self::Days => Some((own_day, 0)),
            Self::Weeks => Some((Period::Week.start(own_day), 0)),
        }
    }
}

/// How far a member has come with one goal.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    pub key: GoalKey,
    pub steps: SmallVec<[StepState; 1]>,
    /// How often it stands reached.
    pub reached: i64,
    pub rewards: SmallVec<[Given; 1]>,
    /// Time of the last record that touched it.
    pub at: Millis,
}

/// One step of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StepState {
    /// Of store days: those that are too old to be looked at one by one.
    pub sum: i64,
    /// Day, store and sales, by day.
    pub days: Vec<(Day, u32, i64)>,
    /// Of streaks: days too old to be looked at one by one, as (first, days from one to the next, how many).
    pub runs: Vec<(Day, i32, i32)>,
}

/// A reward that stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Given {
    /// The lot; of a tier none of the record's.
    pub lot: LotId,
    pub wallet: u8,
    /// Completions that it is for.
    pub times: i64,
    /// Points for each of them.
    pub each: i64,
    /// Of a tier: which, and since when.
    pub tier: Option<(u8, Millis)>,
}

impl StepState {
    /// How far this step has come. Of a streak: whole streaks, and what the last run has beyond them.
    #[must_use]
    pub fn measured(&self, step: &Step) -> i64 {
        let apart = match step.measure {
            Measure::Spend(_) | Measure::Units | Measure::Purchases => return self.sum,
            Measure::Visits => return self.sum.saturating_add(i64::try_from(self.days.len()).unwrap_or(i64::MAX)),
            Measure::Days => 1,
            Measure::Weeks => 7,
        };
        let (mut whole, mut run, mut last) = (0, 0, None);
        let mut add = |day: Day, step_between: i32, count: i32| {
            // Days that stand further apart than the streak's are each a run of their own.
            let (runs, length) = if step_between == apart || count == 1 { (1, count) } else { (count, 1) };
            for number in 0..runs {
                let first = day.plus(number * step_between);
                if last.is_some_and(|last: Day| last.plus(apart) != first) {
                    whole += run / step.goal * step.goal;
                    run = 0;
                }
                run += i64::from(length);
                last = Some(first.plus((length - 1) * apart));
            }
        };
        self.runs.iter().for_each(|(first, between, count)| add(*first, *between, *count));
        self.days.iter().for_each(|(day, ..)| add(*day, apart, 1));
        whole + run
    }

    /// Lets go of single days before one: store days are counted, days of a streak kept as runs.
    fn forget(&mut self, before: Day) {
        let past = self.days.partition_point(|(day, ..)| *day < before);
        for (day, store, _) in self.days.drain(..past) {
            if store != 0 {
                self.sum = self.sum.saturating_add(1);
                continue;
            }
            match self.runs.last_mut() {
                Some((first, between, count)) if *count == 1 && matches!(day.0 - first.0, 1 | 7) => (*between, *count) = (day.0 - first.0, 2),
                Some((first, between, count)) if *count > 1 && first.plus(*between * *count) == day => *count += 1,
                _ => self.runs.push((day, 1, 1)),
            }
        }
    }
}

impl Goal {
    /// How often every step has come to its figure.
    #[must_use]
    pub fn completions(&self, progress: &Progress) -> i64 {
        let empty = StepState::default();
        let of = |(place, step): (usize, &Step)| progress.steps.get(place).unwrap_or(&empty).measured(step).max(0) / step.goal;
        let all = self.steps.iter().enumerate().map(of).min().unwrap_or(0);
        if self.repeatable { all } else { all.min(1) }
    }
}

/// Rewards of one goal that are remembered one by one, the last ones: what comes back takes the last first. Far more than a member completes a
/// quest in the time in which goods come back.
const REWARDS: usize = 1_000;

impl Progress {
    pub(crate) fn given(&mut self, given: Given) {
        if self.rewards.len() >= REWARDS {
            self.rewards.remove(0);
        }
        self.rewards.push(given);
    }

    /// Folds one event in that is about this goal. Total.
    pub fn apply(&mut self, event: &Event, at: Millis) {
        self.at = self.at.max(at);
        match *event {
            Event::Progressed { step, on, amount, .. } => {
                let place = usize::from(step);
                if self.steps.len() <= place {
                    self.steps.resize_with(place + 1, StepState::default);
                }
                let state = &mut self.steps[place];
                let Some((day, store)) = on else {
                    state.sum = state.sum.saturating_add(amount);
                    return;
                };
                match state.days.binary_search_by_key(&(day, store), |(day, store, _)| (*day, *store)) {
                    Ok(at) => {
                        state.days[at].2 += amount;
                        if state.days[at].2 <= 0 {
                            state.days.remove(at);
                        }
                    }
                    Err(at) if amount > 0 => state.days.insert(at, (day, store, amount)),
                    Err(_) => {}
                }
            }
            Event::Reached { times, .. } => self.reached += times,
            Event::Rewarded { wallet, lot, times, each, .. } => self.given(Given { lot, wallet, times, each, tier: None }),
            Event::RewardedTier { level, since, times, .. } => self.given(Given { lot: LotId::default(), wallet: 0, times, each: 0, tier: Some((level, since)) }),
            Event::RewardTaken { lot, times, .. } => {
                // The last of them: a tier's have one and the same lot.
                if let Some(at) = self.rewards.iter().rposition(|given| given.lot == lot) {
                    self.rewards[at].times -= times;
                    if self.rewards[at].times <= 0 {
                        self.rewards.remove(at);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Progress is kept for late uploads and returns (rule 2): two years and some.
const KEEP_DAYS: i64 = 800;

/// Lets go of quests long over, and of single days long past.
pub fn forget(all: &mut Vec<Progress>, now: Millis) {
    let old = now - KEEP_DAYS * DAY_MS;
    // One that was reached stays: it must not be reached a first time again.
    all.retain(|progress| progress.key.is_achievement() || progress.at > old || progress.reached > 0);
    let before = Day(i32::try_from(old.div_euclid(DAY_MS)).unwrap_or(i32::MIN));
    all.iter_mut().flat_map(|progress| &mut progress.steps).for_each(|state| state.forget(before));
}

/// The goal that an event is about.
#[must_use]
pub fn goal_of(event: &Event) -> Option<GoalKey> {
    match event {
        Event::Progressed { goal, .. } | Event::Reached { goal, .. } | Event::Rewarded { goal, .. } | Event::RewardedTier { goal, .. } | Event::RewardTaken { goal, .. } => Some(*goal),
        _ => None,
    }
}

/// The key of an id; its lowest bit says which kind. Stored: it never changes.
#[must_use]
pub fn key(kind: GoalKind, id: &str) -> GoalKey {
    let name: &[u8] = match kind {
        GoalKind::Quest => b"quest",
        GoalKind::Achievement => b"achievement",
    };
    let hash = crate::keys::fingerprint(&[name, id.as_bytes()]);
    GoalKey(hash & !1 | u64::from(kind == GoalKind::Achievement))
}
