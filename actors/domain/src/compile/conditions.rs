//! Conditions: names become numbers, texts become figures.

use super::{ConditionSource, Findings, Names, Source};
use crate::Text;
use crate::rules::Condition;

/// Minutes of a day, from `HH:MM`; `24:00` is its end.
pub(super) fn minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':').filter(|(hours, minutes)| hours.len() == 2 && minutes.len() == 2)?;
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    Some(hours * 60 + minutes).filter(|all| minutes < 60 && *all <= 1_440)
}

pub(super) fn condition(findings: &mut Findings, at: &str, written: &ConditionSource, names: &Names<'_>) -> Condition {
    let (source, zone) = (names.source, names.zone);
    let at = &format!("{at}.when");
    let mut when = written.when.clone();
    for (place, (from, to)) in written.hours.iter().enumerate() {
        match minutes(from).zip(minutes(to)).filter(|(from, to)| from != to && *from < 1_440) {
            Some(span) => when.hours.push(span),
            None => findings.say(format!("{at}.hours.{place}"), "from and to are times of day such as 17:00 and 19:30, and differ"),
        }
    }
    for id in &written.regions {
        match source.regions.keys().position(|region| region == id).and_then(|place| u16::try_from(place).ok()) {
            Some(place) => when.regions.push(place),
            None => findings.say(format!("{at}.regions"), format!("there is no region {id:?}; the regions are in [regions]")),
        }
    }
    findings.unless(when.bundle.iter().all(|group| !group.is_empty()), format!("{at}.bundle"), "each group of a bundle names at least one product");
    match &written.expression {
        None => {}
        Some(Ok(expression)) => when.expression = Some(expression.clone()),
        Some(Err(text)) => findings.say(format!("{at}.expression"), text.clone()),
    }
    for id in &written.segments {
        let place = names.segments.binary_search(id).ok().and_then(|place| u16::try_from(place).ok());
        when.segments.extend(place);
        findings.unless(!id.is_empty() && id.len() <= 64, format!("{at}.segments"), "a segment's id has 1 to 64 bytes");
    }
    for id in &written.tiers {
        match source.levels.iter().position(|level| level.id == *id).and_then(|place| u8::try_from(place).ok()) {
            Some(place) => when.tiers.push(place),
            None => findings.say(format!("{at}.tiers"), format!("there is no tier {id:?}; the tiers are in [[tiers.level]]")),
        }
    }
    if let (Some(from), Some(until)) = (when.from, when.until) {
        findings.unless(from.start(zone) < until.end(zone), format!("{at}.until"), "a window ends after it begins");
    }
    findings.unless(when.min_spend.is_none_or(|(_, least)| least > 0), format!("{at}.min_spend"), "above 0, in minor units; leave it out for none");
    findings.unless(when.min_quantity.is_none_or(|least| least > 0), format!("{at}.min_quantity"), "above 0; leave it out for none");
    when
}

/// Expressions of one programme, at most.
pub const MAX_EXPRESSIONS: usize = 1_000;

/// Their parts: of those that each sale is asked, and of those that each line is.
pub(super) const MAX_PARTS: (usize, usize) = (20_000, 4_000);

/// Regular expressions in them, each some KiB of memory.
pub(super) const MAX_REGEXES: usize = 200;

/// What all expressions together may cost.
pub(super) fn expressions(findings: &mut Findings, source: &Source) {
    let mut sums = [0; 4];
    for when in conditions(source) {
        if let Some(Ok(expression)) = &when.expression {
            let (parts, regexes) = expression.parts();
            let place = usize::from(expression.of_line());
            (sums[place], sums[2], sums[3]) = (sums[place] + parts, sums[2] + regexes, sums[3] + 1);
        }
    }
    let good = sums[0] <= MAX_PARTS.0 && sums[1] <= MAX_PARTS.1 && sums[2] <= MAX_REGEXES && sums[3] <= MAX_EXPRESSIONS;
    let most = format!("all together have at most {MAX_EXPRESSIONS} expressions of {} parts, {} of them for each line, and {MAX_REGEXES} regular expressions; say more with the typed conditions", MAX_PARTS.0, MAX_PARTS.1);
    findings.unless(good, "", &most);
}

/// Every condition as written.
pub(super) fn conditions(source: &Source) -> impl Iterator<Item = &ConditionSource> {
    let rules = source.rates.iter().map(|rule| &rule.when).chain(source.multipliers.iter().map(|rule| &rule.when)).chain(source.bonuses.iter().map(|rule| &rule.when));
    rules.chain(source.pending.iter().map(|rule| &rule.when)).chain(source.goals.iter().flat_map(|goal| &goal.steps).map(|step| &step.when))
}

/// All segments that conditions name, in order: a sale records which of them its member was in.
pub(super) fn segments(source: &Source) -> Vec<Text> {
    let all: std::collections::BTreeSet<Text> = conditions(source).flat_map(|when| when.segments.iter().cloned()).collect();
    all.into_iter().collect()
}
