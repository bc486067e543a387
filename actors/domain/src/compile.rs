//! From a programme as written to a [`Programme`], or findings that name the field and say what to do.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use crate::Text;
use crate::goals::{Goal, GoalKind, Measure, Reward, Step, key as goal_key};
use crate::number::{Decimal, Ratio};
use crate::programme::{
    BaseRule, Bonus, Clawback, ExchangeRate, ExpiryRule, HoldRules, Index, Level, Metric, Multiplier, PendingRule, Programme, Programmes, Sentence, TierPeriod, TierRules, TransferRate, UnknownAlias,
    UnlockRule, WalletRules,
};
use crate::rules::{Condition, RuleIndex};
use crate::time::Millis;

/// A programme as written: texts and numbers read, nothing checked yet.
#[derive(Clone, Debug)]
pub struct Source {
    pub name: Text,
    pub language: Text,
    pub zone: Text,
    pub stores: Vec<(Text, Text)>,
    /// Id and stores.
    pub regions: BTreeMap<Text, Vec<Text>>,
    pub notice_unknown_stores: bool,
    pub wallets: Vec<WalletRules>,
    pub transfers: Vec<TransferSource>,
    pub exchange: Vec<ExchangeSource>,
    pub excluded: Vec<Text>,
    pub rates: Vec<RateSource>,
    pub multipliers: Vec<MultiplierSource>,
    pub bonuses: Vec<BonusSource>,
    pub goals: Vec<GoalSource>,
    pub metric: MetricSource,
    pub period: TierPeriod,
    pub levels: Vec<Level>,
    pub grace_days: i32,
    pub soft_landing: bool,
    pub tier_notice_days: i32,
    pub aliases: BTreeMap<Text, UnknownAlias>,
    pub holds: HoldRules,
    pub pending: Vec<PendingSource>,
    pub clawback: Clawback,
    pub renumbers: Vec<Text>,
}

/// What carries a tier, as written.
#[derive(Clone, Debug)]
pub enum MetricSource {
    /// Points of a wallet; empty = the first.
    Points(Text),
    /// `None`: its currency was not written.
    Spend(Option<crate::number::Currency>),
    Visits,
}

/// A rate between wallets as written.
#[derive(Clone, Debug)]
pub struct TransferSource {
    pub from: Text,
    pub to: Text,
    pub rate: Decimal,
}

/// A rate between currencies as written.
#[derive(Clone, Debug)]
pub struct ExchangeSource {
    pub from: crate::number::Currency,
    pub to: crate::number::Currency,
    pub rate: Decimal,
    /// Local times are the programme's.
    pub since: crate::time::Moment,
}

/// A pending rule as written.
#[derive(Clone, Debug)]
pub struct PendingSource {
    pub id: Text,
    /// Empty: of every wallet.
    pub wallet: Text,
    pub priority: i32,
    /// `None`: not exactly one was written.
    pub unlock: Option<UnlockRule>,
    pub when: ConditionSource,
}

/// An earn rule as written.
#[derive(Clone, Debug)]
pub struct RateSource {
    pub id: Text,
    /// Empty: the first.
    pub wallet: Text,
    pub priority: i32,
    pub currency: crate::number::Currency,
    pub points: Decimal,
    pub when: ConditionSource,
    pub text: Sentence,
}

/// A multiplier as written.
#[derive(Clone, Debug)]
pub struct MultiplierSource {
    pub id: Text,
    /// Empty: the first.
    pub wallet: Text,
    pub priority: i32,
    pub factor: Decimal,
    pub group: Option<Text>,
    pub when: ConditionSource,
    pub text: Sentence,
}

/// A bonus as written.
#[derive(Clone, Debug)]
pub struct BonusSource {
    pub id: Text,
    /// Empty: the first.
    pub wallet: Text,
    pub points: i64,
    pub per_unit: bool,
    pub when: ConditionSource,
    pub text: Sentence,
}

/// A quest or achievement as written.
#[derive(Clone, Debug)]
pub struct GoalSource {
    pub kind: GoalKind,
    pub id: Text,
    pub name: Sentence,
    pub from: Option<crate::time::Moment>,
    pub until: Option<crate::time::Moment>,
    pub steps: Vec<StepSource>,
    pub repeatable: bool,
    pub keep: bool,
    pub reward: RewardSource,
    pub text: Sentence,
}

/// A step as written.
#[derive(Clone, Debug)]
pub struct StepSource {
    /// `None`: not exactly one was written.
    pub measure: Option<(Measure, i64)>,
    pub when: ConditionSource,
}

/// A reward as written.
#[derive(Clone, Debug)]
pub enum RewardSource {
    None,
    /// Of a wallet; empty = the first.
    Points(Text, i64),
    /// A tier, for so many days.
    Tier(Text, i32),
    /// Neither the one nor the other, or both.
    Unclear,
}

/// Conditions as written: tiers and regions by id.
#[derive(Clone, Debug, Default)]
pub struct ConditionSource {
    pub when: Condition,
    pub tiers: Vec<Text>,
    pub regions: Vec<Text>,
    pub segments: Vec<Text>,
    /// Compiled, or why it cannot be.
    pub expression: Option<Result<std::sync::Arc<dyn crate::rules::Expression>, String>>,
    /// From and to, as `HH:MM`.
    pub hours: Vec<(Text, Text)>,
}

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
    let earn = rules(&mut findings, "earn", &source.rates, |f, at, rule| {
        f.unless(rule.points.0 > 0, format!("{at}.points"), "points per unit of currency must be above 0; leave the rule out instead");
        f.unless(rule.points.0 <= 1_000_000 * Decimal::ONE, format!("{at}.points"), "points per unit of currency are at most 1000000");
        let when = condition(f, at, &rule.when, &names);
        BaseRule { id: rule.id.clone(), wallet: wallet(f, &format!("{at}.wallet"), &rule.wallet, wallets), priority: rule.priority, currency: rule.currency, points: rule.points.ratio(), when, text: sentence(f, &format!("{at}.text"), &rule.text) }
    });
    findings.unless(!source.rates.is_empty(), "earn", "a programme has at least one earn rule");
    let multipliers = rules(&mut findings, "multiplier", &source.multipliers, |f, at, rule| {
        f.unless(rule.factor.0 >= Decimal::ONE, format!("{at}.factor"), "a multiplier is at least 1; earn less with an earn rule of a higher priority");
        f.unless(rule.factor.0 <= 1_000 * Decimal::ONE, format!("{at}.factor"), "a multiplier is at most 1000");
        let when = condition(f, at, &rule.when, &names);
        Multiplier { id: rule.id.clone(), wallet: wallet(f, &format!("{at}.wallet"), &rule.wallet, wallets), priority: rule.priority, factor: rule.factor.ratio(), group: rule.group.clone(), when, text: sentence(f, &format!("{at}.text"), &rule.text) }
    });
    let bonuses = rules(&mut findings, "bonus", &source.bonuses, |f, at, rule| {
        f.unless((1..=1_000_000_000).contains(&rule.points), format!("{at}.points"), "a bonus gives 1 to 1000000000");
        let when = condition(f, at, &rule.when, &names);
        Bonus { id: rule.id.clone(), wallet: wallet(f, &format!("{at}.wallet"), &rule.wallet, wallets), points: rule.points, per_unit: rule.per_unit, when, text: sentence(f, &format!("{at}.text"), &rule.text) }
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

/// Most wallets of a programme.
const MAX_WALLETS: usize = 8;

fn wallet_rules(findings: &mut Findings, wallets: &[WalletRules]) {
    findings.unless((1..=MAX_WALLETS).contains(&wallets.len()), "wallet", "a programme has 1 to 8 wallets");
    for (place, wallet) in wallets.iter().enumerate() {
        let at = format!("wallet.{place}");
        let plain = wallet.id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-') && !wallet.id.starts_with('-');
        findings.unless(plain && !wallet.id.is_empty() && wallet.id.len() <= 32, format!("{at}.id"), "an id has 1 to 32 letters, digits, - and _");
        findings.unless(wallets[..place].iter().all(|other| other.id != wallet.id), format!("{at}.id"), "another wallet has this id");
        findings.unless(wallet.decimals <= 3, format!("{at}.decimals"), "a wallet has 0 to 3 decimals");
        if let Some(ExpiryRule { months, notice_days, .. }) = wallet.expiry {
            findings.unless((0..=1_200).contains(&months), format!("{at}.expiry.months"), "between 0 and 1200");
            findings.unless((0..=366).contains(&notice_days), format!("{at}.expiry.notice_days"), "between 0 and 366");
        }
        for (currency, value) in &wallet.values {
            let path = format!("{at}.values.{}", currency.as_str());
            findings.unless(value.num > 0 && *value != Ratio { num: 0, den: 1 }, path, "the worth of a point is above 0; leave the currency out instead");
        }
        findings.unless((0..=366).contains(&wallet.grace_days), format!("{at}.grace_days"), "between 0 and 366");
        let ordered = wallet.redemption.windows(2).all(|pair| pair[0].0 < pair[1].0);
        findings.unless(ordered, format!("{at}.redemption"), "each rate begins later than the one before");
        let share = |rate: &Ratio| rate.num >= 0 && rate.num <= rate.den;
        findings.unless(wallet.redemption.iter().all(|(_, rate)| share(rate)), format!("{at}.redemption"), "a share is between 0 and 1");
        findings.unless(wallet.caps.purchase.is_none_or(|cap| cap > 0), format!("{at}.caps.purchase"), "a cap is above 0; leave it out for none");
        findings.unless(wallet.caps.member.is_none_or(|(_, cap)| cap > 0), format!("{at}.caps.member.points"), "a cap is above 0; leave it out for none");
    }
}

/// The place of a wallet that a rule names.
fn wallet(findings: &mut Findings, at: &str, id: &Text, wallets: &[WalletRules]) -> u8 {
    if id.is_empty() {
        return 0;
    }
    let place = wallets.iter().position(|wallet| wallet.id == *id).and_then(|place| u8::try_from(place).ok());
    place.unwrap_or_else(|| {
        findings.say(at, format!("there is no wallet {id:?}; the wallets are in [[wallet]]"));
        0
    })
}

fn transfers(findings: &mut Findings, source: &Source) -> Vec<TransferRate> {
    let mut rates: Vec<TransferRate> = Vec::with_capacity(source.transfers.len());
    for (place, row) in source.transfers.iter().enumerate() {
        let at = format!("transfer.{place}");
        let (from, to) = (wallet(findings, &format!("{at}.from"), &row.from, &source.wallets), wallet(findings, &format!("{at}.to"), &row.to, &source.wallets));
        findings.unless(from != to, format!("{at}.to"), "a transfer is between two wallets");
        findings.unless((1..=1_000_000 * Decimal::ONE).contains(&row.rate.0), format!("{at}.rate"), "a rate is above 0 and at most 1000000");
        findings.unless(rates.iter().all(|other| (other.from, other.to) != (from, to)), at, "another rate is between the same wallets");
        rates.push(TransferRate { from, to, rate: row.rate.ratio() });
    }
    rates
}

fn exchange(findings: &mut Findings, source: &Source, zone: &TimeZone) -> Vec<ExchangeRate> {
    let mut rates: Vec<ExchangeRate> = Vec::with_capacity(source.exchange.len());
    for (place, row) in source.exchange.iter().enumerate() {
        let at = format!("exchange.{place}");
        let since = row.since.start(zone);
        findings.unless(row.from != row.to, format!("{at}.to"), "a rate is between two currencies");
        findings.unless((1..=1_000_000 * Decimal::ONE).contains(&row.rate.0), format!("{at}.rate"), "a rate is above 0 and at most 1000000");
        findings.unless(rates.iter().all(|other| (other.from, other.to, other.since) != (row.from, row.to, since)), at, "another rate of this pair begins at the same time");
        rates.push(ExchangeRate { from: row.from, to: row.to, rate: row.rate.ratio(), since });
    }
    rates.sort_by_key(|rate| std::cmp::Reverse(rate.since));
    rates
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

trait HasId {
    fn id(&self) -> &Text;
}

impl HasId for RateSource {
    fn id(&self) -> &Text {
        &self.id
    }
}
impl HasId for MultiplierSource {
    fn id(&self) -> &Text {
        &self.id
    }
}
impl HasId for PendingSource {
    fn id(&self) -> &Text {
        &self.id
    }
}
impl HasId for BonusSource {
    fn id(&self) -> &Text {
        &self.id
    }
}

/// Minutes of a day, from `HH:MM`; `24:00` is its end.
fn minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':').filter(|(hours, minutes)| hours.len() == 2 && minutes.len() == 2)?;
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    Some(hours * 60 + minutes).filter(|all| minutes < 60 && *all <= 1_440)
}

fn condition(findings: &mut Findings, at: &str, written: &ConditionSource, names: &Names<'_>) -> Condition {
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

/// Most quests, and most achievements.
const MAX_GOALS: usize = 200;
/// Most steps of a quest.
const MAX_STEPS: usize = 20;
/// Longest streak, in days or weeks: progress is kept day by day for some two years.
const MAX_STREAK: i64 = 366;

/// Expressions of one programme, at most.
pub const MAX_EXPRESSIONS: usize = 1_000;
/// Their parts: of those that each sale is asked, and of those that each line is.
const MAX_PARTS: (usize, usize) = (20_000, 4_000);
/// Regular expressions in them, each some KiB of memory.
const MAX_REGEXES: usize = 200;

/// What all expressions together may cost.
fn expressions(findings: &mut Findings, source: &Source) {
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
fn conditions(source: &Source) -> impl Iterator<Item = &ConditionSource> {
    let rules = source.rates.iter().map(|rule| &rule.when).chain(source.multipliers.iter().map(|rule| &rule.when)).chain(source.bonuses.iter().map(|rule| &rule.when));
    rules.chain(source.pending.iter().map(|rule| &rule.when)).chain(source.goals.iter().flat_map(|goal| &goal.steps).map(|step| &step.when))
}

/// All segments that conditions name, in order: a sale records which of them its member was in.
fn segments(source: &Source) -> Vec<Text> {
    let all: std::collections::BTreeSet<Text> = conditions(source).flat_map(|when| when.segments.iter().cloned()).collect();
    all.into_iter().collect()
}

fn goals(findings: &mut Findings, names: &Names<'_>) -> Vec<Goal> {
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

fn step(findings: &mut Findings, at: &str, written: &StepSource, goal: &GoalSource, names: &Names<'_>) -> Step {
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
