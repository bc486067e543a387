//! Wallets and what their points are worth.

use std::collections::BTreeMap;

use serde::Deserialize;
use tessera_domain::Text;
use utoipa::ToSchema;

use super::{At, Code, Number, OnDay};

/// A wallet.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = programme::Wallet)]
pub(crate) struct Wallet {
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "base")]
    pub(crate) id: Text,
    #[serde(default)]
    #[schema(minimum = 0, maximum = 3)]
    pub(crate) decimals: u8,
    #[serde(default)]
    pub(crate) rounding: RoundingName,
    #[serde(default)]
    pub(crate) stacking: StackingName,
    #[serde(default)]
    pub(crate) earn_on_tax: bool,
    pub(crate) expiry: Option<Expiry>,
    #[serde(default)]
    #[schema(value_type = HashMap<String, String>)]
    pub(crate) values: BTreeMap<Code, Number>,
    #[serde(default)]
    #[schema(minimum = 0, maximum = 3_660)]
    pub(crate) grace_days: i32,
    #[serde(default)]
    pub(crate) caps: WalletCaps,
    /// Share of the points that is expected to be redeemed, by the day from which it holds: for finance.
    #[serde(default)]
    #[schema(max_items = 1000)]
    pub(crate) redemption: Vec<Redemption>,
}

/// What share of points is expected to be redeemed, from a day on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = programme::Redemption)]
pub(crate) struct Redemption {
    #[schema(value_type = String, format = Date, example = "2026-01-01")]
    pub(crate) since: OnDay,
    #[schema(value_type = String, pattern = r"^[0-9]{1,12}(\.[0-9]{1,6})?$", example = "0.95")]
    pub(crate) rate: Number,
}

/// What points of one wallet come to in another.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = programme::Transfer)]
pub(crate) struct Transfer {
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "points")]
    pub(crate) from: Text,
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "miles")]
    pub(crate) to: Text,
    #[schema(value_type = String, pattern = r"^[0-9]{1,12}(\.[0-9]{1,6})?$", example = "0.5")]
    pub(crate) rate: Number,
}

/// What one unit of a currency comes to in another, from a time on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = programme::Exchange)]
pub(crate) struct Exchange {
    #[schema(value_type = String, pattern = "^[A-Z]{3}$", example = "USD")]
    pub(crate) from: Code,
    #[schema(value_type = String, pattern = "^[A-Z]{3}$", example = "USD")]
    pub(crate) to: Code,
    #[schema(value_type = String, pattern = r"^[0-9]{1,12}(\.[0-9]{1,6})?$", example = "0.5")]
    pub(crate) rate: Number,
    #[schema(value_type = String, max_length = 40, example = "2026-11-27T00:00")]
    pub(crate) since: At,
}

#[derive(Deserialize, ToSchema, Default, Clone, Copy)]
#[serde(rename_all = "snake_case")]
#[schema(as = programme::RoundingName)]
pub(crate) enum RoundingName {
    #[default]
    Floor,
    HalfUp,
    HalfEven,
}

#[derive(Deserialize, ToSchema, Default, Clone, Copy)]
#[serde(rename_all = "snake_case")]
#[schema(as = programme::StackingName)]
pub(crate) enum StackingName {
    #[default]
    Additive,
    Compound,
}

/// When points expire.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = programme::Expiry)]
pub(crate) struct Expiry {
    #[schema(minimum = 0, maximum = 3_660)]
    pub(crate) months: i32,
    #[serde(default)]
    pub(crate) round_up: RoundUpName,
    #[serde(default)]
    pub(crate) from_activation: bool,
    #[serde(default)]
    pub(crate) rolling: bool,
    /// How many days ahead the member is told; 0: not.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 366)]
    pub(crate) notice_days: i32,
}

#[derive(Deserialize, ToSchema, Default, Clone, Copy)]
#[serde(rename_all = "snake_case")]
#[schema(as = programme::RoundUpName)]
pub(crate) enum RoundUpName {
    #[default]
    Day,
    Month,
    Quarter,
    HalfYear,
    Year,
}

/// The most that can be earned.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields)]
#[schema(as = programme::WalletCaps)]
pub(crate) struct WalletCaps {
    #[schema(minimum = 0, maximum = 1_000_000_000_000_i64)]
    pub(crate) purchase: Option<i64>,
    pub(crate) member: Option<MemberCap>,
}

/// The most that a member can earn in a period.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = programme::MemberCap)]
pub(crate) struct MemberCap {
    pub(crate) per: PeriodName,
    #[schema(minimum = 0, maximum = 1_000_000_000_000_i64)]
    pub(crate) points: i64,
}

#[derive(Deserialize, ToSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
#[schema(as = programme::PeriodName)]
pub(crate) enum PeriodName {
    Day,
    Week,
    Month,
    Year,
}
