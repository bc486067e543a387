//! What a programme looks like, in a file (TOML) or a request (JSON): the same fields.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde::de::Error as _;
use tessera_domain::Text;
use tessera_domain::number::{Currency, Decimal};
use tessera_domain::time::Moment;
use utoipa::ToSchema;

/// A programme, as a file or a request writes it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProgrammeFile {
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "First Light")]
    pub(super) name: Text,
    /// Of the sentences, as a language tag.
    #[serde(default = "english")]
    #[schema(value_type = String, min_length = 2, max_length = 20, default = "en", example = "en")]
    pub(super) language: Text,
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "America/New_York")]
    pub(super) zone: Text,
    #[serde(default)]
    #[schema(value_type = HashMap<String, String>)]
    pub(super) stores: BTreeMap<Text, Text>,
    /// Stores by region.
    #[serde(default)]
    #[schema(value_type = HashMap<String, Vec<String>>)]
    pub(super) regions: BTreeMap<Text, Vec<Text>>,
    #[serde(default)]
    pub(super) unknown_stores: UnknownStores,
    #[serde(default)]
    #[schema(max_items = 10000)]
    pub(super) wallet: Vec<Wallet>,
    #[serde(default)]
    #[schema(max_items = 10000)]
    pub(super) transfer: Vec<Transfer>,
    #[serde(default)]
    #[schema(max_items = 10000)]
    pub(super) exchange: Vec<Exchange>,
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 10000)]
    pub(super) excluded_categories: Vec<Text>,
    #[serde(default)]
    #[schema(max_items = 10000)]
    pub(super) earn: Vec<Earn>,
    #[serde(default)]
    #[schema(max_items = 10000)]
    pub(super) multiplier: Vec<Multiplier>,
    #[serde(default)]
    #[schema(max_items = 10000)]
    pub(super) bonus: Vec<Bonus>,
    #[serde(default)]
    #[schema(max_items = 200)]
    pub(super) quest: Vec<Quest>,
    #[serde(default)]
    #[schema(max_items = 200)]
    pub(super) achievement: Vec<Achievement>,
    pub(super) tiers: Tiers,
    #[serde(default)]
    #[schema(value_type = HashMap<String, AliasPolicy>)]
    pub(super) aliases: BTreeMap<Text, AliasPolicy>,
    #[serde(default)]
    pub(super) holds: Holds,
    #[serde(default)]
    #[schema(max_items = 10000)]
    pub(super) pending: Vec<Pending>,
    #[serde(default)]
    pub(super) returns: Returns,
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 10000)]
    pub(super) renumbering_sources: Vec<Text>,
}

#[derive(Deserialize, ToSchema, Default, Clone, Copy)]
#[serde(rename_all = "snake_case")]
#[schema(as = programme::UnknownStores)]
pub(super) enum UnknownStores {
    #[default]
    Notice,
    Accept,
}

#[derive(Deserialize, ToSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
#[schema(as = programme::AliasPolicy)]
pub(super) enum AliasPolicy {
    Reject,
    Enrol,
}

/// A wallet.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = programme::Wallet)]
pub(super) struct Wallet {
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "base")]
    pub(super) id: Text,
    #[serde(default)]
    #[schema(minimum = 0, maximum = 3)]
    pub(super) decimals: u8,
    #[serde(default)]
    pub(super) rounding: RoundingName,
    #[serde(default)]
    pub(super) stacking: StackingName,
    #[serde(default)]
    pub(super) earn_on_tax: bool,
    pub(super) expiry: Option<Expiry>,
    #[serde(default)]
    #[schema(value_type = HashMap<String, String>)]
    pub(super) values: BTreeMap<Code, Number>,
    #[serde(default)]
    #[schema(minimum = 0, maximum = 3_660)]
    pub(super) grace_days: i32,
    #[serde(default)]
    pub(super) caps: WalletCaps,
    /// Share of the points that is expected to be redeemed, by the day from which it holds: for finance.
    #[serde(default)]
    #[schema(max_items = 1000)]
    pub(super) redemption: Vec<Redemption>,
}

/// What share of points is expected to be redeemed, from a day on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = programme::Redemption)]
pub(super) struct Redemption {
    #[schema(value_type = String, format = Date, example = "2026-01-01")]
    pub(super) since: OnDay,
    #[schema(value_type = String, pattern = r"^[0-9]{1,12}(\.[0-9]{1,6})?$", example = "0.95")]
    pub(super) rate: Number,
}

/// What points of one wallet come to in another.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = programme::Transfer)]
pub(super) struct Transfer {
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "points")]
    pub(super) from: Text,
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "miles")]
    pub(super) to: Text,
    #[schema(value_type = String, pattern = r"^[0-9]{1,12}(\.[0-9]{1,6})?$", example = "0.5")]
    pub(super) rate: Number,
}

/// What one unit of a currency comes to in another, from a time on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = programme::Exchange)]
pub(super) struct Exchange {
    #[schema(value_type = String, pattern = "^[A-Z]{3}$", example = "USD")]
    pub(super) from: Code,
    #[schema(value_type = String, pattern = "^[A-Z]{3}$", example = "USD")]
    pub(super) to: Code,
    #[schema(value_type = String, pattern = r"^[0-9]{1,12}(\.[0-9]{1,6})?$", example = "0.5")]
    pub(super) rate: Number,
    #[schema(value_type = String, max_length = 40, example = "2026-11-27T00:00")]
    pub(super) since: At,
}

#[derive(Deserialize, ToSchema, Default, Clone, Copy)]
#[serde(rename_all = "snake_case")]
#[schema(as = programme::RoundingName)]
pub(super) enum RoundingName {
    #[default]
    Floor,
    HalfUp,
    HalfEven,
}

#[derive(Deserialize, ToSchema, Default, Clone, Copy)]
#[serde(rename_all = "snake_case")]
#[schema(as = programme::StackingName)]
pub(super) enum StackingName {
    #[default]
    Additive,
    Compound,
}

/// When points expire.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = programme::Expiry)]
pub(super) struct Expiry {
    #[schema(minimum = 0, maximum = 3_660)]
    pub(super) months: i32,
    #[serde(default)]
    pub(super) round_up: RoundUpName,
    #[serde(default)]
    pub(super) from_activation: bool,
    #[serde(default)]
    pub(super) rolling: bool,
    /// How many days ahead the member is told; 0: not.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 366)]
    pub(super) notice_days: i32,
}

#[derive(Deserialize, ToSchema, Default, Clone, Copy)]
#[serde(rename_all = "snake_case")]
#[schema(as = programme::RoundUpName)]
pub(super) enum RoundUpName {
    #[default]
    Day,
    Month,
    Quarter,
    HalfYear,
    Year,
}

/// A base rule: points for a whole unit of a currency.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = programme::Earn)]
pub(super) struct Earn {
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "base")]
    pub(super) id: Text,
    #[serde(default)]
    #[schema(value_type = String, min_length = 0, max_length = 64, example = "points")]
    pub(super) wallet: Text,
    #[serde(default)]
    #[schema(minimum = -1_000_000, maximum = 1_000_000)]
    pub(super) priority: i32,
    #[schema(value_type = String, pattern = "^[A-Z]{3}$", example = "USD")]
    pub(super) currency: Code,
    #[schema(value_type = String, pattern = r"^[0-9]{1,12}(\.[0-9]{1,6})?$", example = "0.5")]
    pub(super) points: Number,
    #[serde(default)]
    pub(super) when: When,
    pub(super) text: Words,
}

/// A multiplier of the base.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = programme::Multiplier)]
pub(super) struct Multiplier {
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "base")]
    pub(super) id: Text,
    #[serde(default)]
    #[schema(value_type = String, min_length = 0, max_length = 64, example = "points")]
    pub(super) wallet: Text,
    #[serde(default)]
    #[schema(minimum = -1_000_000, maximum = 1_000_000)]
    pub(super) priority: i32,
    #[schema(value_type = String, pattern = r"^[0-9]{1,12}(\.[0-9]{1,6})?$", example = "0.5")]
    pub(super) factor: Number,
    #[schema(value_type = Option<String>, max_length = 64, example = "spring")]
    pub(super) group: Option<Text>,
    #[serde(default)]
    pub(super) when: When,
    pub(super) text: Words,
}

/// A fixed bonus.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = programme::Bonus)]
pub(super) struct Bonus {
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "base")]
    pub(super) id: Text,
    #[serde(default)]
    #[schema(value_type = String, min_length = 0, max_length = 64, example = "points")]
    pub(super) wallet: Text,
    #[schema(minimum = 0, maximum = 1_000_000_000_000_i64)]
    pub(super) points: i64,
    #[serde(default)]
    pub(super) per_unit: bool,
    #[serde(default)]
    pub(super) when: When,
    pub(super) text: Words,
}

/// Things to do in a window, for a reward. Members' progress goes by the id: what is different gets another one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = programme::Quest)]
pub(super) struct Quest {
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "fresh-week")]
    pub(super) id: Text,
    pub(super) name: Words,
    #[schema(value_type = Option<String>, max_length = 40, example = "2026-11-27T00:00")]
    pub(super) from: Option<At>,
    #[schema(value_type = Option<String>, max_length = 40, example = "2026-12-04T00:00")]
    pub(super) until: Option<At>,
    #[schema(max_items = 20)]
    pub(super) step: Vec<Step>,
    #[serde(default)]
    pub(super) repeatable: bool,
    pub(super) reward: Option<Reward>,
    pub(super) text: Words,
}

/// A milestone, once in a life.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = programme::Achievement)]
pub(super) struct Achievement {
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "hundred-visits")]
    pub(super) id: Text,
    pub(super) name: Words,
    pub(super) step: Step,
    /// It stays whatever comes back later.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub(super) keep: bool,
    pub(super) reward: Option<Reward>,
    pub(super) text: Words,
}

fn yes() -> bool {
    true
}

/// One thing to do: exactly one of the figures, of what the conditions name.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = programme::Step)]
pub(super) struct Step {
    pub(super) spend: Option<MinSpend>,
    #[schema(minimum = 1, maximum = 1_000_000_000_000_i64)]
    pub(super) units: Option<i64>,
    #[schema(minimum = 1, maximum = 1_000_000_000_000_i64)]
    pub(super) purchases: Option<i64>,
    /// Store days.
    #[schema(minimum = 1, maximum = 1_000_000_000_000_i64)]
    pub(super) visits: Option<i64>,
    /// Days of the member's own zone.
    #[schema(minimum = 1, maximum = 366)]
    pub(super) days_in_a_row: Option<i64>,
    #[schema(minimum = 1, maximum = 366)]
    pub(super) weeks_in_a_row: Option<i64>,
    #[serde(default)]
    pub(super) when: When,
}

/// Points, in a wallet's smallest unit; or a tier for so many days.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = programme::Reward)]
pub(super) struct Reward {
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64, example = "points")]
    pub(super) wallet: Option<Text>,
    #[schema(minimum = 1, maximum = 1_000_000_000)]
    pub(super) points: Option<i64>,
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64, example = "gold")]
    pub(super) tier: Option<Text>,
    #[schema(minimum = 1, maximum = 3_660)]
    pub(super) days: Option<i32>,
}

/// Which points wait, and for what.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = programme::Pending)]
pub(super) struct Pending {
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "base")]
    pub(super) id: Text,
    #[serde(default)]
    #[schema(value_type = String, min_length = 0, max_length = 64, example = "points")]
    pub(super) wallet: Text,
    #[serde(default)]
    #[schema(minimum = -1_000_000, maximum = 1_000_000)]
    pub(super) priority: i32,
    pub(super) unlock: Unlock,
    #[serde(default)]
    pub(super) when: When,
}

/// One of the three.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = programme::Unlock)]
pub(super) struct Unlock {
    /// So many local days after the sale's.
    #[schema(minimum = 1, maximum = 3_660)]
    pub(super) days: Option<i32>,
    #[schema(value_type = Option<String>, max_length = 40, example = "2026-11-27T00:00")]
    pub(super) at: Option<At>,
    #[schema(value_type = Option<bool>, example = true)]
    pub(super) delivered: Option<Yes>,
}

/// `delivered = true`: false would say nothing.
pub(super) struct Yes;

impl<'de> Deserialize<'de> for Yes {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if bool::deserialize(from)? { Ok(Self) } else { Err(D::Error::custom("delivered = true, or leave the rule out")) }
    }
}

/// What returns take.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields)]
#[schema(as = programme::Returns)]
pub(super) struct Returns {
    #[serde(default)]
    pub(super) clawback: ClawbackName,
}

#[derive(Deserialize, ToSchema, Default, Clone, Copy)]
#[serde(rename_all = "snake_case")]
#[schema(as = programme::ClawbackName)]
pub(super) enum ClawbackName {
    SaleLots,
    #[default]
    WithinBalance,
    Unlimited,
}

/// Conditions; one that is left out always holds.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields)]
#[schema(as = programme::When)]
pub(super) struct When {
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 10000)]
    pub(super) categories: Vec<Text>,
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 10000)]
    pub(super) skus: Vec<Text>,
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 10000)]
    pub(super) brands: Vec<Text>,
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 10000)]
    pub(super) stores: Vec<Text>,
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 10000)]
    pub(super) channels: Vec<Text>,
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 10000)]
    pub(super) tiers: Vec<Text>,
    #[serde(default)]
    #[schema(max_items = 10000)]
    pub(super) weekdays: Vec<Weekday>,
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 10000)]
    pub(super) customer_groups: Vec<Text>,
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 10000)]
    pub(super) not_customer_groups: Vec<Text>,
    #[schema(value_type = Option<String>, max_length = 40, example = "2026-11-27T00:00")]
    pub(super) from: Option<At>,
    #[schema(value_type = Option<String>, max_length = 40, example = "2026-11-27T00:00")]
    pub(super) until: Option<At>,
    pub(super) min_spend: Option<MinSpend>,
    #[schema(minimum = 0, maximum = 1_000_000_000_000_i64)]
    pub(super) min_quantity: Option<i64>,
    /// Times of the store's day; one of them must hold.
    #[serde(default)]
    #[schema(max_items = 24)]
    pub(super) hours: Vec<Hours>,
    /// Kinds of tender, of which one must be there.
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 100)]
    pub(super) tenders: Vec<Text>,
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 100)]
    pub(super) regions: Vec<Text>,
    /// The member's first purchase only.
    #[serde(default)]
    pub(super) first_purchase: bool,
    /// The member's birthday: the day, the seven days that begin with it, or its month.
    pub(super) birthday: Option<BirthdayName>,
    /// Segments, of which the member is in one.
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 100)]
    pub(super) segments: Vec<Text>,
    /// What the others cannot say, in CEL: see the README for its names.
    #[schema(value_type = Option<String>, max_length = 1024, example = "total >= 5000 && weekday == 'friday'")]
    pub(super) expression: Option<Text>,
    /// Groups of products; one of each must be bought.
    #[serde(default)]
    #[schema(value_type = Vec<Vec<String>>, max_items = 100)]
    pub(super) bundle: Vec<Vec<Text>>,
}

#[derive(Deserialize, ToSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
#[schema(as = programme::BirthdayName)]
pub(super) enum BirthdayName {
    Day,
    Week,
    Month,
}

#[derive(Deserialize, ToSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
#[schema(as = programme::Weekday)]
pub(super) enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

/// From a time of the store's day to another, over midnight when that is not later.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = programme::Hours)]
pub(super) struct Hours {
    #[schema(value_type = String, min_length = 5, max_length = 5, example = "17:00")]
    pub(super) from: Text,
    #[schema(value_type = String, min_length = 5, max_length = 5, example = "19:30")]
    pub(super) to: Text,
}

/// A sum in minor units.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = programme::MinSpend)]
pub(super) struct MinSpend {
    #[schema(value_type = String, pattern = "^[A-Z]{3}$", example = "USD")]
    pub(super) currency: Code,
    #[schema(minimum = 0, maximum = 1_000_000_000_000_i64)]
    pub(super) amount: i64,
}

/// The most that can be earned.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields)]
#[schema(as = programme::WalletCaps)]
pub(super) struct WalletCaps {
    #[schema(minimum = 0, maximum = 1_000_000_000_000_i64)]
    pub(super) purchase: Option<i64>,
    pub(super) member: Option<MemberCap>,
}

/// The most that a member can earn in a period.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = programme::MemberCap)]
pub(super) struct MemberCap {
    pub(super) per: PeriodName,
    #[schema(minimum = 0, maximum = 1_000_000_000_000_i64)]
    pub(super) points: i64,
}

#[derive(Deserialize, ToSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
#[schema(as = programme::PeriodName)]
pub(super) enum PeriodName {
    Day,
    Week,
    Month,
    Year,
}

/// The ladder.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = programme::Tiers)]
pub(super) struct Tiers {
    pub(super) metric: MetricName,
    /// Of metric points.
    #[serde(default)]
    #[schema(value_type = String, min_length = 0, max_length = 64, example = "points")]
    pub(super) wallet: Text,
    #[schema(value_type = Option<String>, pattern = "^[A-Z]{3}$", example = "USD")]
    pub(super) currency: Option<Code>,
    pub(super) period: TierPeriodName,
    #[serde(default)]
    #[schema(minimum = 0, maximum = 36)]
    pub(super) months_before: u8,
    #[serde(default)]
    #[schema(minimum = 0, maximum = 3_660)]
    pub(super) grace_days: i32,
    #[serde(default)]
    pub(super) soft_landing: bool,
    /// How many days before a downgrade the member is told; 0: not.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 366)]
    pub(super) notice_days: i32,
    #[schema(max_items = 10000)]
    pub(super) level: Vec<LevelRow>,
}

#[derive(Deserialize, ToSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
#[schema(as = programme::MetricName)]
pub(super) enum MetricName {
    Points,
    Spend,
    Visits,
}

#[derive(Deserialize, ToSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
#[schema(as = programme::TierPeriodName)]
pub(super) enum TierPeriodName {
    CalendarYear,
    AnniversaryYear,
    Rolling,
}

/// One tier.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = programme::LevelRow)]
pub(super) struct LevelRow {
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "base")]
    pub(super) id: Text,
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "First Light")]
    pub(super) name: Text,
    #[schema(minimum = 0, maximum = 1_000_000_000_000_i64)]
    pub(super) threshold: i64,
}

/// Holds.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = programme::Holds)]
pub(super) struct Holds {
    #[schema(minimum = 0, maximum = 1_000_000_000_000_i64)]
    pub(super) ttl_seconds: i64,
    #[schema(minimum = 0, maximum = 1_000_000_000_000_i64)]
    pub(super) max_ttl_seconds: i64,
    #[schema(minimum = 0, maximum = 1_000)]
    pub(super) max_open: usize,
}

impl Default for Holds {
    fn default() -> Self {
        Self { ttl_seconds: 900, max_ttl_seconds: 7 * 86_400, max_open: 20 }
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord, Clone, Copy)]
pub(super) struct Code(pub(super) Currency);

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Currency::from_str(&text).map(Self).map_err(D::Error::custom)
    }
}

/// A decimal, written as a string so that no float stands between the file and the points.
#[derive(Clone, Copy)]
pub(super) struct Number(pub(super) Decimal);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Decimal::from_str(&text).map(Self).map_err(D::Error::custom)
    }
}

/// An instant, or a local time of each store.
pub(super) struct At(pub(super) Moment);

impl<'de> Deserialize<'de> for At {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let instant = text.parse::<jiff::Timestamp>().map(|at| Moment::At(at.as_millisecond()));
        let at = instant.or_else(|_| text.parse().map(Moment::Local));
        at.map(Self).map_err(|_| D::Error::custom("a local time of each store, such as \"2026-11-27T00:00\", or an instant with its offset, such as \"2026-11-27T00:00:00-05:00\""))
    }
}

/// A local day.
pub(super) struct OnDay(pub(super) jiff::civil::Date);

impl<'de> Deserialize<'de> for OnDay {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map(Self).map_err(|_| D::Error::custom("a day, such as \"2026-01-01\""))
    }
}

fn english() -> Text {
    "en".into()
}

/// A sentence in the programme's language, or sentences by language tag, of which one is the programme's.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = programme::Words)]
pub(super) enum Words {
    #[schema(value_type = String, example = "1 point a dollar")]
    One(Text),
    #[schema(value_type = HashMap<String, String>)]
    ByLanguage(BTreeMap<Text, Text>),
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> serde::de::Visitor<'de> for Either {
            type Value = Words;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a sentence, or sentences by language such as { en = \"…\", de = \"…\" }")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Words, E> {
                Ok(Words::One(text.into()))
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Words, A::Error> {
                let texts = BTreeMap::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                if texts.is_empty() { Err(A::Error::custom("one sentence at least, in the programme's language")) } else { Ok(Words::ByLanguage(texts)) }
            }
        }

        from.deserialize_any(Either)
    }
}
