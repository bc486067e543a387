//! Quests and achievements.

use super::{Findings, GoalSource, Names, RewardSource, StepSource, condition, sentence, wallet};
use crate::goals::{Goal, GoalKind, Measure, Reward, Step, key as goal_key};

/// Most quests, and most achievements.
pub(super) const MAX_GOALS: usize = 200;

/// Most steps of a quest.
pub(super) const MAX_STEPS: usize = 20;

/// Longest streak, in days or weeks: progress is kept day by day for some two years.
pub(super) const MAX_STREAK: i64 = 366;

pub(super) fn goals(findings: &mut Findings, names: &Names<'_>) -> Vec<Goal> {
    let (source, zone) = (names.source, names.zone);
    let mut goals: Vec<Goal> = Vec::with_capacity(source.goals.len());
    let mut places = [0; 2];
    for written in &source.goals {
        let (kind, place) = match written.kind {
            GoalKind::Quest => ("quest", &mut places[0]),
            GoalKind::Achievement => ("achievement", &mut places[1]),
        };
        let at = &format!("{kind}.{place}");
        *place += 1;
        findings.unless(!written.id.is_empty() && written.id.len() <= 64, format!("{at}.id"), "an id has 1 to 64 bytes");
        let key = goal_key(written.kind, &written.id);
        findings.unless(goals.iter().all(|other| other.key != key), format!("{at}.id"), "another one has this id");
        if let (Some(from), Some(until)) = (written.from, written.until) {
            findings.unless(from.start(zone) < until.end(zone), format!("{at}.until"), "a window ends after it begins");
        }
        findings.unless((1..=MAX_STEPS).contains(&written.steps.len()), format!("{at}.step"), "1 to 20 steps");
        let steps: Vec<Step> = written.steps.iter().enumerate().map(|(number, step)| self::step(findings, &if written.kind == GoalKind::Quest { format!("{at}.step.{number}") } else { format!("{at}.step") }, step, written, names)).collect();
        let streak = steps.iter().any(|step| matches!(step.measure, Measure::Days | Measure::Weeks));
        findings.unless(written.keep || !streak, format!("{at}.keep"), "an achievement for a streak is kept: single days are forgotten in the end");
        let reward = match &written.reward {
            RewardSource::None => None,
            RewardSource::Points(id, points) => {
                findings.unless((1..=1_000_000_000).contains(points), format!("{at}.reward.points"), "a reward gives 1 to 1000000000");
                Some(Reward::Points { wallet: wallet(findings, &format!("{at}.reward.wallet"), id, &source.wallets), points: *points })
            }
            RewardSource::Tier(id, days) => {
                findings.unless((1..=3_660).contains(days), format!("{at}.reward.days"), "between 1 and 3660");
                let level = source.levels.iter().position(|level| level.id == *id).and_then(|place| u8::try_from(place).ok());
                findings.unless(level.is_some(), format!("{at}.reward.tier"), "there is no such tier; the tiers are in [[tiers.level]]");
                Some(Reward::Tier { level: level.unwrap_or(0), days: *days })
            }
            RewardSource::Unclear => {
                findings.say(format!("{at}.reward"), "either points (and a wallet), or a tier and days");
                None
            }
        };
        goals.push(Goal {
            id: written.id.clone(),
            key,
            kind: written.kind,
            name: sentence(findings, &format!("{at}.name"), &written.name),
            from: written.from,
            until: written.until,
            steps,
            repeatable: written.repeatable,
            keep: written.keep,
            reward,
            text: sentence(findings, &format!("{at}.text"), &written.text),
        });
    }
    goals
}

pub(super) fn step(findings: &mut Findings, at: &str, written: &StepSource, goal: &GoalSource, names: &Names<'_>) -> Step {
    let mut when = condition(findings, at, &written.when, names);
    let windowed = when.from.is_some() || when.until.is_some();
    findings.unless(!windowed || (goal.from.is_none() && goal.until.is_none()), format!("{at}.when"), "the window is the quest's: write from and until there");
    when.from = when.from.or(goal.from);
    when.until = when.until.or(goal.until);
    let Some((measure, figure)) = written.measure else {
        findings.say(at, "one of spend, units, purchases, visits, days_in_a_row, weeks_in_a_row");
        return Step { measure: Measure::Purchases, goal: 1, when };
    };
    let most = if matches!(measure, Measure::Days | Measure::Weeks) { MAX_STREAK } else { 1_000_000_000_000 };
    findings.unless((1..=most).contains(&figure), at, &format!("the figure to come to is between 1 and {most}"));
    Step { measure, goal: figure.max(1), when }
}
