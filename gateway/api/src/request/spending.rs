//! What is done with points: holds, redemptions, allowances, transfers, adjustments.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Who;
use crate::Text;

/// Sets points aside: so many points, or what an amount of money comes to.
#[derive(Serialize, Deserialize, ToSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    pub member: Who,
    /// Id of the wallet; the programme's first when absent.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    #[schema(value_type = String, max_length = 32, example = "points")]
    pub wallet: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000_000_000_i64, example = 5)]
    pub points: Option<i64>,
    /// Minor units, with a currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000_000_000_i64)]
    pub amount: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, pattern = "^[A-Z]{3}$")]
    pub currency: Option<Text>,
    /// How long it lives; the programme says how long at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 31_536_000)]
    pub ttl_seconds: Option<i64>,
    /// On the points of all members of the pool that it is in.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub pool: bool,
}

/// Spends points at once: so many points, or what an amount of money comes to.
#[derive(Serialize, Deserialize, ToSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct Redemption {
    pub member: Who,
    /// Id of the wallet; the programme's first when absent.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    #[schema(value_type = String, max_length = 32, example = "points")]
    pub wallet: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000_000_000_i64, example = 5)]
    pub points: Option<i64>,
    /// Minor units, with a currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000_000_000_i64)]
    pub amount: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, pattern = "^[A-Z]{3}$")]
    pub currency: Option<Text>,
    /// When a till took them without a connection; it is then a key of its own, and no Idempotency-Key is needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offline: Option<OfflineRedemption>,
    /// On the points of all members of the pool that it is in.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub pool: bool,
}

/// By what a till took points without a connection, and when.
#[derive(Serialize, Deserialize, ToSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct OfflineRedemption {
    #[schema(value_type = String, pattern = "^alw_[0-9a-z]{27,33}$")]
    pub allowance: Text,
    /// The till's own count of the allowance's uses: each is used once.
    #[schema(minimum = 1, maximum = 1000)]
    pub counter: u32,
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "367")]
    pub store: Text,
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "4")]
    pub till: Text,
    #[schema(value_type = String, max_length = 40, example = "2026-11-22T09:10:00-05:00")]
    pub occurred_at: Text,
}

/// By what a till took a points tender without a connection; beyond the allowance the sale is recorded and the tender refused.
#[derive(Serialize, Deserialize, ToSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct OfflineTender {
    #[schema(value_type = String, pattern = "^alw_[0-9a-z]{27,33}$")]
    pub allowance: Text,
    /// The till's own count of the allowance's uses: each is used once.
    #[schema(minimum = 1, maximum = 1000)]
    pub counter: u32,
}

/// Lets a till take points of a member while it has no connection.
#[derive(Serialize, Deserialize, ToSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct NewAllowance {
    pub member: Who,
    /// Id of the wallet; the programme's first when absent.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    #[schema(value_type = String, max_length = 32, example = "points")]
    pub wallet: Text,
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "367")]
    pub store: Text,
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "4")]
    pub till: Text,
    #[schema(minimum = 1, maximum = 1_000_000_000_000_i64, example = 5)]
    pub points: i64,
    /// 7 days when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 60, maximum = 604_800)]
    pub ttl_seconds: Option<i64>,
}

/// Founds a pool, or lets a member join one.
#[derive(Serialize, Deserialize, ToSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct NewPoolMember {
    pub member: Who,
}

/// Gives points from one of a member's wallets to another, at the programme's rate; or, with a recipient, to another member.
#[derive(Serialize, Deserialize, ToSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    pub member: Who,
    /// Id of a wallet.
    #[schema(value_type = String, min_length = 1, max_length = 32, example = "points")]
    pub from: Text,
    /// Id of a wallet; the same one for a gift.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    #[schema(value_type = String, max_length = 32, example = "miles")]
    pub to: Text,
    /// Another member, who is given them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipient: Option<Who>,
    /// Of the wallet that gives, in its smallest unit.
    #[schema(minimum = 1, maximum = 1_000_000_000_000_i64, example = 100)]
    pub points: i64,
}

/// Spends a hold.
#[derive(Serialize, Deserialize, ToSchema, Debug, Default)]
#[serde(deny_unknown_fields)]
pub struct Confirm {
    /// At most what is held; the rest returns. Absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000_000_000_i64)]
    pub points: Option<i64>,
}

/// A request that says all by its path.
#[derive(Serialize, Deserialize, ToSchema, Debug, Default)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// Staff give or take points.
#[derive(Serialize, Deserialize, ToSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct Adjust {
    /// Id of the wallet; the programme's first when absent.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    #[schema(value_type = String, max_length = 32, example = "points")]
    pub wallet: Text,
    /// Given, or taken when negative.
    #[schema(minimum = -1_000_000_000_000_i64, maximum = 1_000_000_000_000_i64, example = 50)]
    pub points: i64,
    #[schema(value_type = String, min_length = 1, max_length = 200, example = "a spoilt melon")]
    pub reason: Text,
    /// More may be taken than is available: the rest is debt.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub allow_debt: bool,
    /// `points` of debt are forgiven.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub write_off: bool,
}
