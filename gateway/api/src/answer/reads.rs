//! What reads answer: a member as it stands. [`super::render`] and [`super::goals`] fill them.

use serde::Serialize;
use utoipa::ToSchema;

use super::{ByWallet, GoalKind, Wallet, Written};

/// A member: balance and tier as of now.
#[derive(Serialize, ToSchema, Debug)]
pub struct Member<'a> {
    #[schema(example = "mem_44e8xcen1vz50awrxbwq3fcat9")]
    pub member: String,
    #[schema(minimum = 1)]
    pub seq: u64,
    #[schema(format = DateTime)]
    pub enrolled_at: String,
    #[schema(value_type = HashMap<String, Wallet>)]
    pub wallets: ByWallet<'a, Wallet>,
    pub tier: Tier<'a>,
    #[schema(minimum = 1)]
    pub programme_version: u32,
}

/// A tier and the way to the next.
#[derive(Serialize, ToSchema, Debug)]
pub struct Tier<'a> {
    #[schema(example = "silver")]
    pub id: &'a str,
    #[schema(example = "Silver")]
    pub name: &'a str,
    /// What counts for the tier, in its period.
    #[schema(example = 1200)]
    pub metric: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "gold")]
    pub next: Option<&'a str>,
    /// What is missing to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, example = 1800)]
    pub missing: Option<i64>,
    /// Last day of the period.
    #[schema(format = Date, example = "2026-12-31")]
    pub until: String,
    /// The way to the next as a sentence, where only the tier is asked for; in a language of Accept-Language.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "1800 points to Gold by 31 Dec 2026")]
    pub text: Option<String>,
}

/// A member's lots, in the order in which they are spent, then those that wait.
#[derive(Serialize, ToSchema, Debug)]
pub struct Lots<'a> {
    pub lots: Vec<LotShown<'a>>,
}

/// Points with one expiry.
#[derive(Serialize, ToSchema, Debug)]
pub struct LotShown<'a> {
    #[schema(example = "points")]
    pub wallet: &'a str,
    /// Number of the record that issued it, and its place in that record.
    #[schema(example = "2.0")]
    pub id: String,
    /// `active`, or `pending`.
    pub state: &'static str,
    pub points: i64,
    /// Of those, held.
    pub held: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub active_since: Option<String>,
    /// Absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
    /// Of a pending lot: when it unlocks, or lapses if its delivery has not come.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub due_at: Option<String>,
    /// It waits for a delivery.
    pub waits_for_delivery: bool,
}

/// A hold as it stands.
#[derive(Serialize, ToSchema, Debug)]
pub struct HoldShown<'a> {
    #[schema(example = "points")]
    pub wallet: &'a str,
    #[schema(example = "hold_44e8xcen1vz50awrxbwq3fcat93")]
    pub id: String,
    pub member: String,
    #[schema(value_type = HoldState)]
    pub state: HoldState,
    /// Points it was placed for.
    pub points: i64,
    #[schema(format = DateTime)]
    pub expires_at: String,
}

/// How a hold stands.
#[derive(Serialize, ToSchema, Debug, Clone, Copy)]
#[serde(rename_all = "snake_case")]
pub enum HoldState {
    /// It waits for the parts of others.
    Pending,
    Open,
    Confirmed,
    Cancelled,
    Expired,
}

/// A pool.
#[derive(Serialize, ToSchema, Debug)]
pub struct Pool<'a> {
    pub id: &'a str,
    /// The founder first.
    pub members: Vec<PoolMember<'a>>,
    /// What they may spend together, by wallet.
    #[schema(value_type = std::collections::HashMap<String, i64>)]
    pub available: ByWallet<'a, i64>,
}

/// Of a pool.
#[derive(Serialize, ToSchema, Debug)]
pub struct PoolMember<'a> {
    pub member: String,
    /// By wallet.
    #[schema(value_type = std::collections::HashMap<String, i64>)]
    pub available: ByWallet<'a, i64>,
}

/// A member's open holds.
#[derive(Serialize, ToSchema, Debug)]
pub struct Holds<'a> {
    pub holds: Vec<HoldShown<'a>>,
}

/// A page of the statement, newest first.
#[derive(Serialize, ToSchema, Debug)]
pub struct Statement<'a> {
    pub entries: Vec<Written<'a>>,
    /// Cursor of the next page; absent: this was the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A member's quests, or its achievements: those that run, and those that it has begun.
#[derive(Serialize, ToSchema, Debug)]
pub struct Goals<'a> {
    pub goals: Vec<GoalShown<'a>>,
}

/// A quest or achievement of a member.
#[derive(Serialize, ToSchema, Debug)]
pub struct GoalShown<'a> {
    #[schema(example = "fresh-week")]
    pub id: &'a str,
    #[schema(value_type = GoalKind)]
    pub kind: GoalKind,
    #[schema(example = "A fresh week")]
    pub name: &'a str,
    pub text: &'a str,
    /// By the programme's zone; a store's own may be some hours off.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub until: Option<String>,
    pub repeatable: bool,
    pub steps: Vec<StepShown>,
    /// How often it stands reached.
    #[schema(minimum = 0)]
    pub reached: i64,
    /// What reaching it brings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reward: Option<RewardPromised<'a>>,
}

/// A step of it.
#[derive(Serialize, ToSchema, Debug)]
pub struct StepShown {
    /// `spend` (minor units), `units`, `purchases`, `visits`, `days_in_a_row` or `weeks_in_a_row`.
    #[schema(example = "visits")]
    pub measure: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "USD")]
    pub currency: Option<String>,
    /// In the round that runs.
    pub progress: i64,
    #[schema(minimum = 1)]
    pub goal: i64,
}

/// Points, or a tier for so many days.
#[derive(Serialize, ToSchema, Debug, Default)]
pub struct RewardPromised<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wallet: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub points: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days: Option<i32>,
}
