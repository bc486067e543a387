//! From a programme as written to a [`Programme`], or findings that name the field and say what to do.

mod campaigns;
mod conditions;
mod goals;
mod source;
mod wallets;

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

pub use self::conditions::MAX_EXPRESSIONS;
use self::campaigns::{MAX_CAMPAIGNS, campaigns, member_of};
use self::conditions::{condition, expressions, segments};
use self::goals::{MAX_GOALS, goals};
pub use self::source::{BonusSource, CampaignSource, ConditionSource, ExchangeSource, GoalSource, MetricSource, MultiplierSource, PendingSource, RateSource, RewardSource, Source, StepSource, TransferSource};
use self::source::HasId;
use self::wallets::{MAX_WALLETS, exchange, transfers, wallet, wallet_rules};
use crate::Text;
use crate::goals::{Goal, GoalKind, Step};
use crate::number::Decimal;
use crate::programme::{
    BaseRule, Bonus, Index, Metric, Multiplier, PendingRule, Programme, Programmes, Sentence, TierPeriod, TierRules,
    UnlockRule,
};
use crate::rules::RuleIndex;
use crate::time::Millis;

/// What is wrong, where, and what to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// Path of the field as in the file: `earn.2.points`.
    pub path: String,
    pub text: String,
}

/// Most rules of one kind.
const MAX_RULES: usize = 10_000;

struct Findings(Vec<Finding>);

impl Findings {
    fn say(&mut self, path: impl Into<String>, text: impl Into<String>) {
        self.0.push(Finding { path: path.into(), text: text.into() });
    }

    fn unless(&mut self, good: bool, path: impl Into<String>, text: &str) {
        if !good {
            self.say(path, text);
        }
    }
}

/// What the names in conditions are looked up in.
struct Names<'a> {
    source: &'a Source,
    zone: &'a TimeZone,
    segments: Vec<Text>,
}

/// Checks the whole and compiles it.
///
/// # Errors
/// Every finding, in the order of the file.
pub fn compile(source: &Source, version: u32, serves_from: Millis) -> Result<Programme, Vec<Finding>> {
    let mut findings = Findings(Vec::new());
    counts(&mut findings, source);
    if !findings.0.is_empty() {
        // What follows takes time and memory by these counts.
        return Err(findings.0);
    }
    let zone = read_zone(&mut findings, "zone", &source.zone);
    let name = |text: &Text| !text.trim().is_empty() && text.len() <= 64;
    findings.unless(name(&source.name), "name", "a name has 1 to 64 bytes");
    for kind in source.aliases.keys() {
        findings.unless(!kind.is_empty() && kind.len() <= 32, format!("aliases.{}", key(kind)), "a type of alias has 1 to 32 bytes");
    }
    for (place, level) in source.levels.iter().enumerate() {
        findings.unless(name(&level.id) && level.id.len() <= 32, format!("tiers.level.{place}.id"), "an id has 1 to 32 bytes");
        findings.unless(name(&level.name), format!("tiers.level.{place}.name"), "a name has 1 to 64 bytes");
    }
    let mut regions: BTreeMap<Text, Vec<u16>> = BTreeMap::new();
    for (place, stores) in (0_u16..).zip(source.regions.values()) {
        for store in stores {
            regions.entry(store.clone()).or_default().push(place);
        }
    }
    findings.unless(is_language(&source.language), "language", "a language tag such as en or de-CH");
    let mut stores = BTreeMap::new();
    for (store, name) in &source.stores {
        let zone = read_zone(&mut findings, &format!("stores.{}", key(store)), name);
        stores.insert(store.clone(), zone);
    }
    let names = Names { source, zone: &zone, segments: segments(source) };
    findings.unless(names.segments.len() <= 10_000, "segments", "all conditions together name at most 10000 segments");
    expressions(&mut findings, source);
    let wallets = &source.wallets;
    wallet_rules(&mut findings, wallets);
    let transfers = transfers(&mut findings, source);
    let rates_of_exchange = exchange(&mut findings, source, &zone);
    let metric = match &source.metric {
        MetricSource::Points(id) => Metric::Points(wallet(&mut findings, "tiers.wallet", id, wallets)),
        MetricSource::Spend(Some(currency)) => Metric::Spend(*currency),
        MetricSource::Spend(None) => {
            findings.say("tiers.currency", "a tier by spend names its currency, such as USD");
            Metric::Visits
        }
        MetricSource::Visits => Metric::Visits,
    };
    let levels = &source.levels;
    tiers(&mut findings, source);
    let campaigns = campaigns(&mut findings, source, &zone);
    let earn = rules(&mut findings, "earn", &source.rates, |f, at, rule| {
        f.unless(rule.points.0 > 0, format!("{at}.points"), "points per unit of currency must be above 0; leave the rule out instead");
        f.unless(rule.points.0 <= 1_000_000 * Decimal::ONE, format!("{at}.points"), "points per unit of currency are at most 1000000");
        let when = condition(f, at, &rule.when, &names);
        BaseRule { id: rule.id.clone(), wallet: wallet(f, &format!("{at}.wallet"), &rule.wallet, wallets), priority: rule.priority, currency: rule.currency, points: rule.points.ratio(), campaign: member_of(f, at, &rule.campaign, &rule.wallet, source, &campaigns), when, text: sentence(f, &format!("{at}.text"), &rule.text) }
    });
    findings.unless(!source.rates.is_empty(), "earn", "a programme has at least one earn rule");
    let multipliers = rules(&mut findings, "multiplier", &source.multipliers, |f, at, rule| {
        f.unless(rule.factor.0 >= Decimal::ONE, format!("{at}.factor"), "a multiplier is at least 1; earn less with an earn rule of a higher priority");
        f.unless(rule.factor.0 <= 1_000 * Decimal::ONE, format!("{at}.factor"), "a multiplier is at most 1000");
        let when = condition(f, at, &rule.when, &names);
        Multiplier { id: rule.id.clone(), wallet: wallet(f, &format!("{at}.wallet"), &rule.wallet, wallets), priority: rule.priority, factor: rule.factor.ratio(), group: rule.group.clone(), campaign: member_of(f, at, &rule.campaign, &rule.wallet, source, &campaigns), when, text: sentence(f, &format!("{at}.text"), &rule.text) }
    });
    let bonuses = rules(&mut findings, "bonus", &source.bonuses, |f, at, rule| {
        f.unless((1..=1_000_000_000).contains(&rule.points), format!("{at}.points"), "a bonus gives 1 to 1000000000");
        let when = condition(f, at, &rule.when, &names);
        Bonus { id: rule.id.clone(), wallet: wallet(f, &format!("{at}.wallet"), &rule.wallet, wallets), points: rule.points, per_unit: rule.per_unit, campaign: member_of(f, at, &rule.campaign, &rule.wallet, source, &campaigns), when, text: sentence(f, &format!("{at}.text"), &rule.text) }
    });
    let pending = rules(&mut findings, "pending", &source.pending, |f, at, rule| {
        f.unless(rule.unlock.is_some(), format!("{at}.unlock"), "one of days, at, delivered");
        if let Some(UnlockRule::Days(days)) = rule.unlock {
            f.unless((1..=3_660).contains(&days), format!("{at}.unlock.days"), "between 1 and 3660");
        }
        let when = condition(f, at, &rule.when, &names);
        let of = (!rule.wallet.is_empty()).then(|| wallet(f, &format!("{at}.wallet"), &rule.wallet, wallets));
        let plain = !when.has_minimum() && when.expression.is_none();
        f.unless(plain, format!("{at}.when"), "a pending rule looks at a line and at the head, not at sums; leave min_spend, min_quantity, bundle and expression out");
        PendingRule { id: rule.id.clone(), wallet: of, priority: rule.priority, unlock: rule.unlock.unwrap_or(UnlockRule::Delivered), when }
    });
    let goals = goals(&mut findings, &names);
    findings.unless(!source.aliases.is_empty(), "aliases", "name at least one type of alias, such as card");
    let holds = source.holds;
    findings.unless(holds.ttl_ms >= 1_000 && holds.ttl_ms <= holds.max_ttl_ms, "holds.ttl_seconds", "at least 1 and at most max_ttl_seconds");
    findings.unless(holds.max_ttl_ms <= 31_536_000_000, "holds.max_ttl_seconds", "at most a year, 31536000");
    findings.unless(holds.max_open <= 1_000, "holds.max_open", "at most 1000");
    if !findings.0.is_empty() {
        return Err(findings.0);
    }
    let segments = names.segments;
    let mut programme = Programme {
        version,
        serves_from,
        name: source.name.clone(),
        language: source.language.clone(),
        zone,
        stores,
        regions,
        region_ids: source.regions.keys().cloned().collect(),
        notice_unknown_stores: source.notice_unknown_stores,
        wallets: wallets.clone(),
        transfers,
        rates_of_exchange,
        excluded: source.excluded.clone(),
        earn,
        multipliers,
        bonuses,
        campaigns,
        index: Index::default(),
        goals,
        segments,
        tiers: TierRules { metric, period: source.period, levels: levels.clone(), grace_days: source.grace_days, soft_landing: source.soft_landing, notice_days: source.tier_notice_days },
        aliases: source.aliases.clone(),
        holds,
        pending,
        clawback: source.clawback,
        renumbers: source.renumbers.clone(),
    };
    programme.earn.sort_by(|a, b| (b.priority, &a.id).cmp(&(a.priority, &b.id)));
    programme.multipliers.sort_by(|a, b| (b.priority, &a.id).cmp(&(a.priority, &b.id)));
    programme.pending.sort_by(|a, b| (b.priority, &a.id).cmp(&(a.priority, &b.id)));
    programme.bonuses.sort_by(|a, b| a.id.cmp(&b.id));
    programme.goals.sort_by(|a, b| (a.kind, &a.id).cmp(&(b.kind, &b.id)));
    programme.index = Index {
        earn: RuleIndex::new(programme.earn.iter().map(|rule| &rule.when)),
        multipliers: RuleIndex::new(programme.multipliers.iter().map(|rule| &rule.when)),
        bonuses: RuleIndex::new(programme.bonuses.iter().map(|rule| &rule.when)),
    };
    Ok(programme)
}

/// Why a programme may not follow another: members hold tiers and wallets by their places, so what stands there must stay.
/// `all`: every version so far; a quest that was left out for a while is still the same one.
#[must_use]
pub fn may_follow(before: &Programme, all: &Programmes, after: &Programme) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    let levels = before.tiers.levels.iter().zip(after.tiers.levels.iter().map(Some).chain(std::iter::repeat(None)));
    for (place, (level, now)) in levels.enumerate() {
        let text = format!("{:?} stood here, and members hold it by its place; keep what was there and add tiers at the top", level.id);
        findings.unless(now.is_some_and(|now| now.id == level.id), format!("tiers.level.{place}.id"), &text);
    }
    let wallets = before.wallets.iter().zip(after.wallets.iter().map(Some).chain(std::iter::repeat(None)));
    for (place, (wallet, now)) in wallets.enumerate() {
        let text = format!("{:?} with {} decimals stood here, and members hold it by its place; keep what was there and add wallets at the end", wallet.id, wallet.decimals);
        findings.unless(now.is_some_and(|now| now.id == wallet.id && now.decimals == wallet.decimals), format!("wallet.{place}.id"), &text);
    }
    for (place, campaign) in after.campaigns.iter().enumerate() {
        let was = all.newest_first().find_map(|version| version.campaigns.iter().find(|was| was.key == campaign.key));
        let text = format!("{:?} was a campaign of another wallet, and members have got points of it; give this one an id of its own", campaign.id);
        findings.unless(was.is_none_or(|was| was.wallet == campaign.wallet), format!("campaign.{place}.wallet"), &text);
    }
    for goal in &after.goals {
        if let Some(was) = all.newest_first().find_map(|version| version.goals.iter().find(|was| was.key == goal.key)) {
            let text = "members have come some way with this one: its steps, its window, and whether it is repeatable stay as they are; give what is different an id of its own";
            let kind = if goal.kind == GoalKind::Quest { "quest" } else { "achievement" };
            findings.unless(same_way(was, goal), kind, &format!("{:?}: {text}", goal.id));
        }
    }
    findings.0
}

/// Whether what a member has done for one goal counts for the other.
fn same_way(a: &Goal, b: &Goal) -> bool {
    let step = |step: &Step| (step.measure, step.goal);
    a.repeatable == b.repeatable && a.keep == b.keep && a.from == b.from && a.until == b.until && a.steps.iter().map(step).eq(b.steps.iter().map(step))
}

/// What in a good programme may surprise its owner: where adding goods lowers an award, a return in steps may leave less
/// than one in a single step (rule 16).
#[must_use]
pub fn warnings(source: &Source) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    for (place, rule) in source.rates.iter().enumerate() {
        let has_minimum = rule.when.when.has_minimum();
        let displaces = |other: &RateSource| other.currency == rule.currency && other.wallet == rule.wallet && (other.priority, &rule.id) <= (rule.priority, &other.id) && other.points.0 > rule.points.0;
        if has_minimum && let Some(other) = source.rates.iter().find(|other| displaces(other)) {
            let text = format!("a basket that reaches this minimum may earn less than before, by the lower rate than that of {:?}: a return in steps may then leave fewer points", other.id);
            findings.say(format!("earn.{place}"), text);
        }
    }
    findings.0
}

/// A key as a part of a path: its dots and slashes are not the path's.
fn key(text: &str) -> String {
    text.replace('~', "~0").replace('/', "~1").replace('.', "~2")
}

/// How many there may be of what is written in lists.
fn counts(findings: &mut Findings, source: &Source) {
    let stores: usize = source.regions.values().map(Vec::len).sum();
    let of = [
        ("wallet", source.wallets.len(), MAX_WALLETS),
        ("tiers.level", source.levels.len(), 100),
        ("earn", source.rates.len(), MAX_RULES),
        ("multiplier", source.multipliers.len(), MAX_RULES),
        ("bonus", source.bonuses.len(), MAX_RULES),
        ("pending", source.pending.len(), 1_000),
        ("campaign", source.campaigns.len(), MAX_CAMPAIGNS),
        ("quest", source.goals.iter().filter(|goal| goal.kind == GoalKind::Quest).count(), MAX_GOALS),
        ("achievement", source.goals.iter().filter(|goal| goal.kind == GoalKind::Achievement).count(), MAX_GOALS),
        ("transfer", source.transfers.len(), MAX_WALLETS * MAX_WALLETS),
        ("exchange", source.exchange.len(), 1_000),
        ("excluded_categories", source.excluded.len(), 1_000),
        ("renumbering_sources", source.renumbers.len(), 100),
        ("aliases", source.aliases.len(), 100),
        ("regions", source.regions.len(), 1_000),
        ("regions", stores, 100_000),
        ("stores", source.stores.len(), 100_000),
    ];
    for (path, count, most) in of {
        findings.unless(count <= most, path, &format!("at most {most}, and there are {count}"));
    }
    let rules = source.rates.iter().map(|rule| &rule.when).chain(source.multipliers.iter().map(|rule| &rule.when)).chain(source.bonuses.iter().map(|rule| &rule.when));
    let named: usize = rules.map(|when| when.regions.len()).sum();
    findings.unless(named <= 100_000, "regions", "all rules together name at most 100000 regions");
}

/// A language and perhaps a region or script: letters and digits between hyphens.
fn is_language(tag: &str) -> bool {
    let mut parts = tag.split('-');
    let first = parts.next().is_some_and(|part| (2..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphabetic()));
    first && parts.all(|part| (2..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// A sentence of a rule: in the programme's language at least.
fn sentence(findings: &mut Findings, at: &str, text: &Sentence) -> Sentence {
    for (language, _) in &text.others {
        findings.unless(is_language(language), format!("{at}.{}", key(language)), "a language tag such as en or de-CH");
    }
    findings.unless(text.others.is_empty() || !text.text.is_empty(), at, "one of the sentences is in the programme's language");
    let said = text.text.len() <= 400 && text.others.iter().all(|(_, text)| text.len() <= 400);
    findings.unless(said, at, "a sentence has at most 400 bytes");
    text.clone()
}

fn read_zone(findings: &mut Findings, path: &str, name: &str) -> TimeZone {
    TimeZone::get(name).unwrap_or_else(|_| {
        findings.say(path, format!("{name:?} is not an IANA time zone; write one such as \"Europe/Berlin\""));
        TimeZone::UTC
    })
}

fn tiers(findings: &mut Findings, source: &Source) {
    let levels = &source.levels;
    findings.unless(!levels.is_empty() && levels.len() <= 100, "tiers.level", "a programme has 1 to 100 tiers; the first has threshold 0");
    findings.unless(levels.first().is_none_or(|level| level.threshold == 0), "tiers.level.0.threshold", "the first tier has threshold 0");
    for (place, pair) in levels.windows(2).enumerate() {
        let path = format!("tiers.level.{}.threshold", place + 1);
        findings.unless(pair[0].threshold < pair[1].threshold, path, "thresholds rise from tier to tier");
    }
    for (place, level) in levels.iter().enumerate() {
        let twice = levels[..place].iter().any(|other| other.id == level.id);
        findings.unless(!twice, format!("tiers.level.{place}.id"), "another tier has this id");
    }
    findings.unless((0..=366).contains(&source.grace_days), "tiers.grace_days", "between 0 and 366");
    findings.unless((0..=366).contains(&source.tier_notice_days), "tiers.notice_days", "between 0 and 366");
    if let TierPeriod::Rolling(before) = source.period {
        findings.unless(before <= 36, "tiers.months_before", "at most 36");
    }
}

/// One kind of rules: ids are unique and not empty, each is checked and compiled.
fn rules<S: HasId, R>(findings: &mut Findings, kind: &str, sources: &[S], mut compile: impl FnMut(&mut Findings, &str, &S) -> R) -> Vec<R> {
    findings.unless(sources.len() <= MAX_RULES, kind, "at most 10000 of one kind");
    let mut ids = std::collections::BTreeSet::new();
    let compiled = sources.iter().enumerate().map(|(place, source)| {
        let at = format!("{kind}.{place}");
        findings.unless(!source.id().is_empty() && source.id().len() <= 64, format!("{at}.id"), "an id has 1 to 64 characters");
        findings.unless(ids.insert(source.id().clone()), format!("{at}.id"), "another rule of this kind has this id");
        compile(findings, &at, source)
    });
    compiled.collect()
}
