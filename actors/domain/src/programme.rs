//! The compiled programme: what [`crate::compile`] makes of a file, ready to be asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::Text;
use crate::basket::{Basket, Line};
use crate::number::{Currency, Ratio, Rounding};
use crate::time::{Day, Millis, Moment, Period, RoundUp};

/// One immutable version.
#[derive(Clone, Debug)]
pub struct Programme {
    /// From 1.
    pub version: u32,
    /// Since when it serves; version 1 also serves everything before it.
    pub serves_from: Millis,
    pub name: Text,
    pub zone: TimeZone,
    /// Zones of the stores that differ from the programme's, or are known by name.
    pub stores: BTreeMap<Text, TimeZone>,
    /// An unknown store is told to the caller.
    pub notice_unknown_stores: bool,
    pub wallet: WalletRules,
    pub excluded: Vec<Text>,
    /// By `(priority desc, id asc)`.
    pub rates: Vec<BaseRule>,
    /// By `(priority desc, id asc)`.
    pub multipliers: Vec<Multiplier>,
    pub bonuses: Vec<Bonus>,
    pub caps: Caps,
    pub tiers: TierRules,
    pub aliases: BTreeMap<Text, UnknownAlias>,
    pub holds: HoldRules,
    /// By `(priority desc, id asc)`; the first that matches a line says when its points unlock.
    pub pending: Vec<PendingRule>,
    pub clawback: Clawback,
    /// Sources whose tills number a receipt anew when they send it again (rule 23).
    pub renumbers: Vec<Text>,
}

/// Which points wait, and for what (rule 8). Conditions on sums are not looked at.
#[derive(Clone, Debug)]
pub struct PendingRule {
    pub id: Text,
    pub priority: i32,
    pub unlock: UnlockRule,
    pub when: Condition,
}

/// When points of a line unlock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnlockRule {
    /// At the start of the local day so many days after the sale's.
    Days(i32),
    At(Moment),
    /// With the line's delivery; reversed when that has not come in 90 days.
    Delivered,
}

/// From where a claim is met after the sale's own points (rule 18).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Clawback {
    /// From nowhere: it is owed by the sale.
    SaleLots,
    /// From other available points.
    #[default]
    WithinBalance,
    /// From other available points, then it is debt.
    Unlimited,
}

/// The wallet's rules.
#[derive(Clone, Debug)]
pub struct WalletRules {
    pub id: Text,
    pub decimals: u8,
    pub rounding: Rounding,
    pub stacking: Stacking,
    pub earn_on_tax: bool,
    pub expiry: Option<ExpiryRule>,
    /// What one whole point is worth in a currency, in whole units of it.
    pub values: BTreeMap<Currency, Ratio>,
    /// Days that released points whose expiry has passed live on; 0 = none (rule 12).
    pub grace_days: i32,
}

/// When points expire.
#[derive(Clone, Copy, Debug)]
pub struct ExpiryRule {
    pub months: i32,
    pub round_up: RoundUp,
    /// Counted from activation instead of from the sale.
    pub from_activation: bool,
    /// A purchase or redemption moves every lot's expiry.
    pub rolling: bool,
}

/// How several multipliers combine (rule 6).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Stacking {
    #[default]
    Additive,
    Compound,
}

/// A base rule: points per whole unit of the currency.
#[derive(Clone, Debug)]
pub struct BaseRule {
    pub id: Text,
    pub priority: i32,
    pub currency: Currency,
    pub points: Ratio,
    pub when: Condition,
    pub text: Text,
}

/// A multiplier of the base, factor ≥ 1.
#[derive(Clone, Debug)]
pub struct Multiplier {
    pub id: Text,
    pub priority: i32,
    pub factor: Ratio,
    /// Of one group only the largest counts.
    pub group: Option<Text>,
    pub when: Condition,
    pub text: Text,
}

/// A bonus, in the wallet's smallest unit.
#[derive(Clone, Debug)]
pub struct Bonus {
    pub id: Text,
    pub points: i64,
    pub per_unit: bool,
    pub when: Condition,
    pub text: Text,
}

/// Caps on purchases, in the wallet's smallest unit.
#[derive(Clone, Debug, Default)]
pub struct Caps {
    pub purchase: Option<i64>,
    pub member: Option<(Period, i64)>,
}

/// Typed conditions; an empty list or `None` is no condition.
#[derive(Clone, Debug, Default)]
pub struct Condition {
    // of the line
    pub categories: Vec<Text>,
    pub skus: Vec<Text>,
    pub brands: Vec<Text>,
    // of the head
    pub stores: Vec<Text>,
    pub channels: Vec<Text>,
    pub tiers: Vec<u8>,
    /// Monday = 0.
    pub weekdays: Vec<i8>,
    pub customer_groups: Vec<Text>,
    pub not_customer_groups: Vec<Text>,
    /// `[start, end)`; local times are those of the store's zone.
    pub from: Option<Moment>,
    pub until: Option<Moment>,
    pub min_spend: Option<(Currency, i64)>,
    pub min_quantity: Option<i64>,
}

/// The tier ladder.
#[derive(Clone, Debug)]
pub struct TierRules {
    pub metric: Metric,
    pub period: TierPeriod,
    /// Lowest first; the first has threshold 0.
    pub levels: Vec<Level>,
    pub grace_days: i32,
    pub soft_landing: bool,
}

/// One tier.
#[derive(Clone, Debug)]
pub struct Level {
    pub id: Text,
    pub name: Text,
    pub threshold: i64,
}

/// What carries a tier (rule 21).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Metric {
    Points,
    /// Minor units of one currency.
    Spend(Currency),
    Visits,
}

/// Over what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TierPeriod {
    CalendarYear,
    /// From the day of enrolment.
    AnniversaryYear,
    /// This month and so many before.
    Rolling(u8),
}

/// What an unknown alias of a type does on a purchase.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnknownAlias {
    Reject,
    Enrol,
}

/// Holds.
#[derive(Clone, Copy, Debug)]
pub struct HoldRules {
    pub ttl_ms: i64,
    pub max_ttl_ms: i64,
    pub max_open: usize,
}

/// Every version that has served, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Programmes(Vec<Arc<Programme>>);

impl Programmes {
    /// Versions in the order of their numbers, from 1.
    #[must_use]
    pub fn new(versions: Vec<Arc<Programme>>) -> Self {
        Self(versions)
    }

    /// The version that serves now.
    #[must_use]
    pub fn current(&self) -> Option<&Arc<Programme>> {
        self.0.last()
    }

    /// The version in force at an instant: the last one saved by then. The first also serves all time before it.
    #[must_use]
    pub fn at(&self, instant: Millis) -> Option<&Arc<Programme>> {
        self.0.iter().rev().find(|version| version.serves_from <= instant).or(self.0.first())
    }

    /// A version by its number.
    #[must_use]
    pub fn version(&self, number: u32) -> Option<&Arc<Programme>> {
        self.0.iter().find(|version| version.version == number)
    }
}

impl Programme {
    /// A store's zone; the programme's when it has none of its own.
    #[must_use]
    pub fn store_zone(&self, store: &str) -> &TimeZone {
        self.stores.get(store).unwrap_or(&self.zone)
    }

    /// Points → money: floors to the minor unit (rule 13). `None` when the wallet has no value there, or on overflow.
    #[must_use]
    pub fn money(&self, points: i64, currency: Currency) -> Option<i64> {
        let value = self.wallet.values.get(&currency)?;
        let num = i128::from(points).checked_mul(i128::from(value.num))?.checked_mul(10_i128.pow(currency.exponent().into()))?;
        let den = i128::from(value.den) * 10_i128.pow(self.wallet.decimals.into());
        i64::try_from(num / den).ok()
    }

    /// Money → points: ceils (rule 13).
    #[must_use]
    pub fn points(&self, amount: i64, currency: Currency) -> Option<i64> {
        let value = self.wallet.values.get(&currency)?;
        let num = i128::from(amount).checked_mul(i128::from(value.den))?.checked_mul(10_i128.pow(self.wallet.decimals.into()))?;
        let den = i128::from(value.num) * 10_i128.pow(currency.exponent().into());
        i64::try_from(num.checked_add(den - 1)? / den).ok()
    }

    /// Whether a line can earn here (rule 5): its kind does and its category is not excluded.
    #[must_use]
    pub fn earns(&self, line: &Line) -> bool {
        line.kind.earns() && !self.excluded.iter().any(|prefix| within(prefix, &line.category))
    }
}

/// What of a sale the head conditions look at.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    pub basket: &'a Basket,
    /// The store's.
    pub zone: &'a TimeZone,
    /// In that zone.
    pub day: Day,
    /// Held before the sale.
    pub tier: u8,
}

impl Condition {
    /// The conditions of the head that need no sum over lines.
    #[must_use]
    pub fn head(&self, head: &Head<'_>) -> bool {
        let basket = head.basket;
        let any = |list: &[Text], value: &str| list.is_empty() || list.iter().any(|item| **item == *value);
        any(&self.stores, &basket.store)
            && any(&self.channels, &basket.channel)
            && any(&self.customer_groups, &basket.customer_group)
            && (self.not_customer_groups.is_empty() || !any(&self.not_customer_groups, &basket.customer_group))
            && (self.tiers.is_empty() || self.tiers.contains(&head.tier))
            && (self.weekdays.is_empty() || self.weekdays.contains(&head.day.date().weekday().to_monday_zero_offset()))
            && self.from.is_none_or(|from| basket.occurred_at >= from.start(head.zone))
            && self.until.is_none_or(|until| basket.occurred_at < until.end(head.zone))
    }

    /// The conditions of one line.
    #[must_use]
    pub fn line(&self, line: &Line) -> bool {
        (self.categories.is_empty() || self.categories.iter().any(|prefix| within(prefix, &line.category)))
            && (self.skus.is_empty() || self.skus.contains(&line.sku))
            && (self.brands.is_empty() || self.brands.contains(&line.brand))
    }

    /// Whether a sum over lines is asked for.
    #[must_use]
    pub fn has_minimum(&self) -> bool {
        self.min_spend.is_some() || self.min_quantity.is_some()
    }
}

/// Whether `category` is `prefix` or lies below it: `produce` holds `produce/potatoes`.
#[must_use]
pub fn within(prefix: &str, category: &str) -> bool {
    category.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
