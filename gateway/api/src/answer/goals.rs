//! Quests and achievements: of a record, and of a member.

use tessera_domain::goals::{Goal, GoalKind as Kind, Measure, Progress, Reward, StepState, goal_of};
use tessera_domain::ids::GoalKey;
use tessera_domain::programme::{Programme, Programmes};
use tessera_domain::record::{Event, Record};
use tessera_domain::time::{Millis, Moment};

use super::render::instant;
use super::{GoalAfter, GoalKind, GoalShown, Goals, RewardPromised, RewardShown, StepAfter, StepShown};
use crate::Text;

/// Points of a record's rewards in a wallet, as they were given.
pub(super) fn rewarded(record: &Record, wallet: u8) -> i64 {
    let of = |event: &Event| match event {
        Event::Rewarded { wallet: of, times, each, .. } if *of == wallet => times.saturating_mul(*each),
        _ => 0,
    };
    record.events.iter().map(of).sum()
}

/// A goal by its key: of the version that decided, or of the newest one that has it.
#[must_use]
pub fn find_goal<'a>(programmes: &'a Programmes, programme: &'a Programme, key: GoalKey) -> Option<&'a Goal> {
    let of = |programme: &'a Programme| programme.goals.iter().find(|goal| goal.key == key);
    of(programme).or_else(|| programmes.newest_first().find_map(|version| of(version)))
}

fn kind(kind: Kind) -> GoalKind {
    match kind {
        Kind::Quest => GoalKind::Quest,
        Kind::Achievement => GoalKind::Achievement,
    }
}

/// What a record did for goals: each once, in the order in which they were touched.
pub(super) fn after<'a>(programmes: &'a Programmes, programme: &'a Programme, wanted: &[Text], record: &Record) -> Vec<GoalAfter<'a>> {
    let mut keys: Vec<GoalKey> = Vec::new();
    for key in record.events.iter().filter_map(goal_of) {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let one = |key: GoalKey| {
        let goal = find_goal(programmes, programme, key)?;
        let events = || record.events.iter().filter(move |event| goal_of(event) == Some(key));
        let mut steps: Vec<StepAfter> = Vec::new();
        let (mut reached, mut reward) = (None, None);
        for event in events() {
            match event {
                Event::Progressed { step, amount, after, .. } => {
                    let place = u32::from(*step) + 1;
                    match steps.iter_mut().find(|earlier| earlier.step == place) {
                        Some(earlier) => (earlier.change, earlier.progress) = (earlier.change + amount, *after),
                        None => steps.push(StepAfter { step: place, change: *amount, progress: *after, goal: goal.steps.get(usize::from(*step)).map_or(1, |step| step.goal) }),
                    }
                }
                Event::Reached { times, .. } => reached = Some(*times),
                Event::Rewarded { wallet, times, each, .. } => reward = Some(RewardShown { wallet: Some(&programme.wallet(*wallet).id), points: Some(times * each), ..RewardShown::default() }),
                Event::RewardedTier { level, since, .. } => {
                    let until = record.events.iter().find_map(|event| match event {
                        Event::TierGranted { level: of, since: from, until, .. } if of == level && from == since => Some(instant(*until)),
                        _ => None,
                    });
                    reward = Some(RewardShown { tier: programme.tiers.levels.get(usize::from(*level)).map(|level| &*level.id), until, ..RewardShown::default() });
                }
                _ => {}
            }
        }
        let text = reached.is_some_and(|times| times > 0).then(|| goal.text.in_languages(&programme.language, wanted));
        Some(GoalAfter { id: &goal.id, kind: kind(goal.kind), name: goal.name.in_languages(&programme.language, wanted), steps, reached, reward, text })
    };
    keys.into_iter().filter_map(one).collect()
}

/// A member's quests, or its achievements, as of now: those of the version that serves, unless a window is over that it never began.
#[must_use]
pub fn goals<'a>(programme: &'a Programme, wanted: &[Text], of: Kind, progress: &[Progress], now: Millis) -> Goals<'a> {
    let empty = Progress::default();
    let said = |sentence: &'a tessera_domain::programme::Sentence| sentence.in_languages(&programme.language, wanted);
    let at = |moment: Option<Moment>, end: bool| moment.map(|moment| if end { moment.end(&programme.zone) } else { moment.start(&programme.zone) });
    let mut shown = Vec::new();
    for goal in programme.goals.iter().filter(|goal| goal.kind == of) {
        let mine = progress.iter().find(|mine| mine.key == goal.key);
        let over = at(goal.until, true).is_some_and(|until| until <= now);
        if over && mine.is_none() {
            continue;
        }
        let mine = mine.unwrap_or(&empty);
        let blank = StepState::default();
        let step = |(place, step): (usize, &tessera_domain::goals::Step)| {
            let (measure, currency) = measure(step.measure);
            let all = mine.steps.get(place).unwrap_or(&blank).measured(step);
            let round = if goal.repeatable { (all - mine.reached * step.goal).max(0) } else { all };
            StepShown { measure, currency, progress: round.min(step.goal), goal: step.goal }
        };
        let reward = goal.reward.map(|reward| match reward {
            Reward::Points { wallet, points } => RewardPromised { wallet: Some(&*programme.wallet(wallet).id), points: Some(points), ..RewardPromised::default() },
            Reward::Tier { level, days } => RewardPromised { tier: programme.tiers.levels.get(usize::from(level)).map(|level| &*level.id), days: Some(days), ..RewardPromised::default() },
        });
        shown.push(GoalShown {
            id: &goal.id,
            kind: kind(goal.kind),
            name: said(&goal.name),
            text: said(&goal.text),
            from: at(goal.from, false).map(instant),
            until: at(goal.until, true).map(instant),
            repeatable: goal.repeatable,
            steps: goal.steps.iter().enumerate().map(step).collect(),
            reached: mine.reached,
            reward,
        });
    }
    Goals { goals: shown }
}

fn measure(measure: Measure) -> (&'static str, Option<String>) {
    match measure {
        Measure::Spend(currency) => ("spend", Some(currency.as_str().to_owned())),
        Measure::Units => ("units", None),
        Measure::Purchases => ("purchases", None),
        Measure::Visits => ("visits", None),
        Measure::Days => ("days_in_a_row", None),
        Measure::Weeks => ("weeks_in_a_row", None),
    }
}
