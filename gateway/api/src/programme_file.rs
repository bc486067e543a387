//! The programme file: TOML, commented, checked with findings by line.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::Error as _;
use tessera_domain::Text;
use tessera_domain::compile::{self, BonusSource, ConditionSource, ExchangeSource, Finding, MetricSource, MultiplierSource, PendingSource, RateSource, Source, TransferSource};
use tessera_domain::number::{Currency, Decimal, Rounding};
use tessera_domain::programme::{Caps, Clawback, ExpiryRule, HoldRules, Level, Programme, Stacking, TierPeriod, UnknownAlias, UnlockRule, WalletRules};
use tessera_domain::rules::Condition;
use tessera_domain::time::{Millis, Moment, Period, RoundUp};

/// A finding and the line it is on, from 1; 0 when the file has no such place.
#[derive(Debug)]
pub struct Located {
    pub line: usize,
    pub finding: Finding,
}

/// Reads and compiles a programme file.
///
/// # Errors
/// Every finding, each with its line.
pub fn read(text: &str, version: u32, serves_from: Millis) -> Result<Programme, Vec<Located>> {
    let file: File = toml::from_str(text).map_err(|e| {
        let line = e.span().map_or(0, |span| line_at(text, span.start));
        vec![Located { line, finding: Finding { path: String::new(), text: e.message().to_owned() } }]
    })?;
    if matches!((file.tiers.metric, &file.tiers.currency), (MetricName::Spend, None)) {
        let finding = Finding { path: "tiers.currency".into(), text: "a tier by spend names its currency, such as currency = \"USD\"".into() };
        return Err(vec![Located { line: 0, finding }]);
    }
    compile::compile(&file.source(), version, serves_from).map_err(|findings| located(text, findings))
}

/// What in a good programme may surprise its owner, each with its line.
#[must_use]
pub fn warnings(text: &str) -> Vec<Located> {
    let Ok(file) = toml::from_str::<File>(text) else { return Vec::new() };
    located(text, compile::warnings(&file.source()))
}

fn located(text: &str, findings: Vec<Finding>) -> Vec<Located> {
    let tree = toml_edit::Document::parse(text).ok();
    let locate = |finding: Finding| Located { line: tree.as_ref().map_or(0, |tree| line_of(text, tree.as_item(), &finding.path)), finding };
    findings.into_iter().map(locate).collect()
}

fn line_at(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}

/// The line of the deepest part of a path that the file has.
fn line_of(text: &str, root: &toml_edit::Item, path: &str) -> usize {
    let mut line = 0;
    let mut item = Some(root);
    let mut table: Option<&toml_edit::Table> = None;
    for part in path.split('.') {
        let next = match (table, item) {
            (Some(table), _) => table.get(part),
            (None, Some(item)) => item.get(part),
            (None, None) => None,
        };
        table = None;
        if next.is_none()
            && let (Some(toml_edit::Item::ArrayOfTables(tables)), Ok(place)) = (item, part.parse::<usize>())
        {
            table = tables.get(place);
            line = table.and_then(toml_edit::Table::span).map_or(line, |span| line_at(text, span.start));
            item = None;
            continue;
        }
        let Some(found) = next else { break };
        line = found.span().map_or(line, |span| line_at(text, span.start));
        item = Some(found);
    }
    line
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: Text,
    zone: Text,
    #[serde(default)]
    stores: BTreeMap<Text, Text>,
    #[serde(default)]
    unknown_stores: UnknownStores,
    #[serde(default)]
    wallet: Vec<Wallet>,
    #[serde(default)]
    transfer: Vec<Transfer>,
    #[serde(default)]
    exchange: Vec<Exchange>,
    #[serde(default)]
    excluded_categories: Vec<Text>,
    #[serde(default)]
    earn: Vec<Earn>,
    #[serde(default)]
    multiplier: Vec<Multiplier>,
    #[serde(default)]
    bonus: Vec<Bonus>,
    tiers: Tiers,
    #[serde(default)]
    aliases: BTreeMap<Text, AliasPolicy>,
    #[serde(default)]
    holds: Holds,
    #[serde(default)]
    pending: Vec<Pending>,
    #[serde(default)]
    returns: Returns,
    #[serde(default)]
    renumbering_sources: Vec<Text>,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum UnknownStores {
    #[default]
    Notice,
    Accept,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum AliasPolicy {
    Reject,
    Enrol,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wallet {
    id: Text,
    #[serde(default)]
    decimals: u8,
    #[serde(default)]
    rounding: RoundingName,
    #[serde(default)]
    stacking: StackingName,
    #[serde(default)]
    earn_on_tax: bool,
    expiry: Option<Expiry>,
    #[serde(default)]
    values: BTreeMap<Code, Number>,
    #[serde(default)]
    grace_days: i32,
    #[serde(default)]
    caps: WalletCaps,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Transfer {
    from: Text,
    to: Text,
    rate: Number,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exchange {
    from: Code,
    to: Code,
    rate: Number,
    since: At,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum RoundingName {
    #[default]
    Floor,
    HalfUp,
    HalfEven,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum StackingName {
    #[default]
    Additive,
    Compound,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expiry {
    months: i32,
    #[serde(default)]
    round_up: RoundUpName,
    #[serde(default)]
    from_activation: bool,
    #[serde(default)]
    rolling: bool,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum RoundUpName {
    #[default]
    Day,
    Month,
    Quarter,
    HalfYear,
    Year,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Earn {
    id: Text,
    #[serde(default)]
    wallet: Text,
    #[serde(default)]
    priority: i32,
    currency: Code,
    points: Number,
    #[serde(default)]
    when: When,
    text: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Multiplier {
    id: Text,
    #[serde(default)]
    wallet: Text,
    #[serde(default)]
    priority: i32,
    factor: Number,
    group: Option<Text>,
    #[serde(default)]
    when: When,
    text: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bonus {
    id: Text,
    #[serde(default)]
    wallet: Text,
    points: i64,
    #[serde(default)]
    per_unit: bool,
    #[serde(default)]
    when: When,
    text: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pending {
    id: Text,
    #[serde(default)]
    wallet: Text,
    #[serde(default)]
    priority: i32,
    unlock: UnlockName,
    #[serde(default)]
    when: When,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum UnlockName {
    Days(i32),
    At(At),
    Delivered(Yes),
}

/// `delivered = true`: false would say nothing.
struct Yes;

impl<'de> Deserialize<'de> for Yes {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if bool::deserialize(from)? { Ok(Self) } else { Err(D::Error::custom("delivered = true, or leave the rule out")) }
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Returns {
    #[serde(default)]
    clawback: ClawbackName,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum ClawbackName {
    SaleLots,
    #[default]
    WithinBalance,
    Unlimited,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct When {
    #[serde(default)]
    categories: Vec<Text>,
    #[serde(default)]
    skus: Vec<Text>,
    #[serde(default)]
    brands: Vec<Text>,
    #[serde(default)]
    stores: Vec<Text>,
    #[serde(default)]
    channels: Vec<Text>,
    #[serde(default)]
    tiers: Vec<Text>,
    #[serde(default)]
    weekdays: Vec<Weekday>,
    #[serde(default)]
    customer_groups: Vec<Text>,
    #[serde(default)]
    not_customer_groups: Vec<Text>,
    from: Option<At>,
    until: Option<At>,
    min_spend: Option<MinSpend>,
    min_quantity: Option<i64>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MinSpend {
    currency: Code,
    amount: i64,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct WalletCaps {
    purchase: Option<i64>,
    member: Option<MemberCap>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MemberCap {
    per: PeriodName,
    points: i64,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum PeriodName {
    Day,
    Week,
    Month,
    Year,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tiers {
    metric: MetricName,
    /// Of metric points.
    #[serde(default)]
    wallet: Text,
    currency: Option<Code>,
    period: TierPeriodName,
    #[serde(default)]
    months_before: u8,
    #[serde(default)]
    grace_days: i32,
    #[serde(default)]
    soft_landing: bool,
    level: Vec<LevelRow>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum MetricName {
    Points,
    Spend,
    Visits,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum TierPeriodName {
    CalendarYear,
    AnniversaryYear,
    Rolling,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LevelRow {
    id: Text,
    name: Text,
    threshold: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Holds {
    ttl_seconds: i64,
    max_ttl_seconds: i64,
    max_open: usize,
}

impl Default for Holds {
    fn default() -> Self {
        Self { ttl_seconds: 900, max_ttl_seconds: 7 * 86_400, max_open: 20 }
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord, Clone, Copy)]
struct Code(Currency);

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Currency::from_str(&text).map(Self).map_err(D::Error::custom)
    }
}

/// A decimal, written as a string so that no float stands between the file and the points.
#[derive(Clone, Copy)]
struct Number(Decimal);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Decimal::from_str(&text).map(Self).map_err(D::Error::custom)
    }
}

/// An instant, or a local time of each store.
struct At(Moment);

impl<'de> Deserialize<'de> for At {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let instant = text.parse::<jiff::Timestamp>().map(|at| Moment::At(at.as_millisecond()));
        let at = instant.or_else(|_| text.parse().map(Moment::Local));
        at.map(Self).map_err(|_| D::Error::custom("a local time of each store, such as \"2026-11-27T00:00\", or an instant with its offset, such as \"2026-11-27T00:00:00-05:00\""))
    }
}

impl When {
    fn source(self) -> ConditionSource {
        let when = Condition {
            categories: self.categories,
            skus: self.skus,
            brands: self.brands,
            stores: self.stores,
            channels: self.channels,
            tiers: Vec::new(),
            weekdays: self.weekdays.into_iter().map(|day| day as i8).collect(),
            customer_groups: self.customer_groups,
            not_customer_groups: self.not_customer_groups,
            from: self.from.map(|at| at.0),
            until: self.until.map(|at| at.0),
            min_spend: self.min_spend.map(|min| (min.currency.0, min.amount)),
            min_quantity: self.min_quantity,
        };
        ConditionSource { when, tiers: self.tiers }
    }
}

impl Wallet {
    fn rules(self) -> WalletRules {
        let expiry = self.expiry.map(|expiry| ExpiryRule {
            months: expiry.months,
            round_up: match expiry.round_up {
                RoundUpName::Day => RoundUp::Day,
                RoundUpName::Month => RoundUp::Month,
                RoundUpName::Quarter => RoundUp::Quarter,
                RoundUpName::HalfYear => RoundUp::HalfYear,
                RoundUpName::Year => RoundUp::Year,
            },
            from_activation: expiry.from_activation,
            rolling: expiry.rolling,
        });
        let period = |per: PeriodName| match per {
            PeriodName::Day => Period::Day,
            PeriodName::Week => Period::Week,
            PeriodName::Month => Period::Month,
            PeriodName::Year => Period::Year,
        };
        WalletRules {
            id: self.id,
            decimals: self.decimals,
            rounding: match self.rounding {
                RoundingName::Floor => Rounding::Floor,
                RoundingName::HalfUp => Rounding::HalfUp,
                RoundingName::HalfEven => Rounding::HalfEven,
            },
            stacking: match self.stacking {
                StackingName::Additive => Stacking::Additive,
                StackingName::Compound => Stacking::Compound,
            },
            earn_on_tax: self.earn_on_tax,
            expiry,
            values: self.values.into_iter().map(|(currency, value)| (currency.0, value.0.ratio())).collect(),
            grace_days: self.grace_days,
            caps: Caps { purchase: self.caps.purchase, member: self.caps.member.map(|cap| (period(cap.per), cap.points)) },
        }
    }
}

impl File {
    fn source(self) -> Source {
        let earn = |row: Earn| RateSource { id: row.id, wallet: row.wallet, priority: row.priority, currency: row.currency.0, points: row.points.0, when: row.when.source(), text: row.text };
        let multiplier =
            |row: Multiplier| MultiplierSource { id: row.id, wallet: row.wallet, priority: row.priority, factor: row.factor.0, group: row.group, when: row.when.source(), text: row.text };
        let bonus = |row: Bonus| BonusSource { id: row.id, wallet: row.wallet, points: row.points, per_unit: row.per_unit, when: row.when.source(), text: row.text };
        let pending = |row: Pending| PendingSource {
            id: row.id,
            wallet: row.wallet,
            priority: row.priority,
            unlock: match row.unlock {
                UnlockName::Days(days) => UnlockRule::Days(days),
                UnlockName::At(at) => UnlockRule::At(at.0),
                UnlockName::Delivered(Yes) => UnlockRule::Delivered,
            },
            when: row.when.source(),
        };
        let tiers = self.tiers;
        Source {
            name: self.name,
            zone: self.zone,
            stores: self.stores.into_iter().collect(),
            notice_unknown_stores: matches!(self.unknown_stores, UnknownStores::Notice),
            wallets: self.wallet.into_iter().map(Wallet::rules).collect(),
            transfers: self.transfer.into_iter().map(|row| TransferSource { from: row.from, to: row.to, rate: row.rate.0 }).collect(),
            exchange: self.exchange.into_iter().map(|row| ExchangeSource { from: row.from.0, to: row.to.0, rate: row.rate.0, since: row.since.0 }).collect(),
            excluded: self.excluded_categories,
            rates: self.earn.into_iter().map(earn).collect(),
            multipliers: self.multiplier.into_iter().map(multiplier).collect(),
            bonuses: self.bonus.into_iter().map(bonus).collect(),
            metric: match (tiers.metric, tiers.currency) {
                (MetricName::Points, _) => MetricSource::Points(tiers.wallet),
                (MetricName::Visits, _) => MetricSource::Visits,
                (MetricName::Spend, Some(currency)) => MetricSource::Spend(currency.0),
                // `read` has refused it.
                (MetricName::Spend, None) => MetricSource::Points(Text::default()),
            },
            period: match tiers.period {
                TierPeriodName::CalendarYear => TierPeriod::CalendarYear,
                TierPeriodName::AnniversaryYear => TierPeriod::AnniversaryYear,
                TierPeriodName::Rolling => TierPeriod::Rolling(tiers.months_before),
            },
            levels: tiers.level.into_iter().map(|row| Level { id: row.id, name: row.name, threshold: row.threshold }).collect(),
            grace_days: tiers.grace_days,
            soft_landing: tiers.soft_landing,
            aliases: self.aliases.into_iter().map(|(kind, policy)| (kind, match policy { AliasPolicy::Reject => UnknownAlias::Reject, AliasPolicy::Enrol => UnknownAlias::Enrol })).collect(),
            holds: HoldRules { ttl_ms: self.holds.ttl_seconds.saturating_mul(1_000), max_ttl_ms: self.holds.max_ttl_seconds.saturating_mul(1_000), max_open: self.holds.max_open },
            pending: self.pending.into_iter().map(pending).collect(),
            clawback: match self.returns.clawback {
                ClawbackName::SaleLots => Clawback::SaleLots,
                ClawbackName::WithinBalance => Clawback::WithinBalance,
                ClawbackName::Unlimited => Clawback::Unlimited,
            },
            renumbers: self.renumbering_sources,
        }
    }
}
