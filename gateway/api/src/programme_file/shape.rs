//! What a programme looks like, in a file (TOML) or a request (JSON): the same fields.

mod goals;
mod rules;
mod scalars;
mod wallets;

use std::collections::BTreeMap;

use serde::Deserialize;
use tessera_domain::Text;
use utoipa::ToSchema;

pub(super) use self::goals::*;
pub(super) use self::rules::*;
pub(super) use self::scalars::*;
pub(super) use self::wallets::*;

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
    #[schema(max_items = 1000)]
    pub(super) campaign: Vec<Campaign>,
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

fn english() -> Text {
    "en".into()
}
