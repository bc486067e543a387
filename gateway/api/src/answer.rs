//! What callers get: the shapes. [`render`] fills them.

mod goals;
mod reads;
mod render;

use serde::Serialize;
use smallvec::SmallVec;
use tessera_domain::programme::Programme;
use utoipa::ToSchema;

pub use self::goals::{find_goal, goals};
pub use self::reads::{GoalShown, Goals, HoldShown, HoldState, Holds, LotShown, Lots, Member, Pool, PoolMember, RewardPromised, Statement, StepShown, Tier};
pub use self::render::{hold, holds, instant, lots, member, pool, tier, written};

/// Points of a wallet, in its smallest unit.
#[derive(Serialize, ToSchema, Debug)]
pub struct Wallet {
    /// Decimals of the wallet: 1234 with 2 is 12.34 points.
    #[schema(minimum = 0, maximum = 3, example = 0)]
    pub decimals: u8,
    /// To be spent.
    #[schema(example = 174)]
    pub available: i64,
    /// Not yet unlocked.
    #[schema(example = 0)]
    pub pending: i64,
    /// Set aside by holds.
    #[schema(example = 0)]
    pub held: i64,
    /// Taken beyond what there was.
    #[schema(example = 0)]
    pub debt: i64,
}

/// What a record changed, in the wallet's smallest unit.
#[derive(Serialize, ToSchema, Debug)]
pub struct Change {
    pub available: i64,
    pub pending: i64,
    pub held: i64,
    pub debt: i64,
}

/// A wallet that a record touched, as it stood after it.
#[derive(Serialize, ToSchema, Debug)]
pub struct WalletAfter {
    /// Of a purchase: what it earned.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 174)]
    pub earned: Option<i64>,
    /// Of what it earned, how much is not yet unlocked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub earned_pending: Option<i64>,
    /// Rewards of quests and achievements.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rewarded: Option<i64>,
    /// Of a purchase: points that its tenders took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spent: Option<i64>,
    #[serde(flatten)]
    pub wallet: Wallet,
    pub change: Change,
}

/// What came back of a wallet's points.
#[derive(Serialize, ToSchema, Debug)]
pub struct PointsReturned {
    /// Points that the kept goods would not have earned.
    pub claimed: i64,
    /// Points it was paid with that came back.
    pub restored: i64,
    /// Of the claim, what there was nothing to take from; the purchase owes it.
    pub owed: i64,
    /// Without a receipt: of the claim, what was there and was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taken: Option<i64>,
}

/// Something of each wallet, by its id, in the programme's order.
#[derive(Debug)]
pub struct ByWallet<'a, T>(SmallVec<[(&'a str, T); 1]>);

impl<T: Serialize> Serialize for ByWallet<'_, T> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(id, of)| (id, of)))
    }
}

impl<'a, T> ByWallet<'a, T> {
    pub(crate) fn new(programme: &'a Programme, of: impl Iterator<Item = (u8, T)>) -> Self {
        Self(of.map(|(number, of)| (&*programme.wallet(number).id, of)).collect())
    }
}

/// The answer to anything that was done; also a line of the statement.
#[derive(Serialize, ToSchema, Debug)]
pub struct Written<'a> {
    #[serde(rename = "type")]
    #[schema(value_type = What)]
    pub what: What,
    /// Of what was done; a quote has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "pur_44e8xcen1vz50awrxbwq3fcat92")]
    pub id: Option<String>,
    #[schema(example = "mem_44e8xcen1vz50awrxbwq3fcat9")]
    pub member: String,
    /// Number of the record in the member's journal.
    #[schema(minimum = 0, example = 2)]
    pub seq: u64,
    #[schema(format = DateTime, example = "2026-11-21T16:53:26.5Z")]
    pub at: String,
    /// The purchase, hold or redemption that this is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// The wallet of `points`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "points")]
    pub wallet: Option<&'a str>,
    /// Points held, spent, given or taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub points: Option<i64>,
    /// Of a transfer: the other wallet, and what it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received: Option<i64>,
    /// Of a gift or a merge: to whom, or from whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub giver: Option<String>,
    /// How a gift or a merge stands: `pending`, `done` or `undone`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<&'static str>,
    /// Minor units that those points are worth, where money was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// When a hold or an allowance ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
    /// Of an allowance: for which store and till.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub till: Option<&'a str>,
    /// Of an allowance: what the till keeps, a JWT under one of `/v1/allowances/keys`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Of a redemption that a till made without a connection: the allowance and its counter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowance: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counter: Option<u32>,
    /// Points tenders beyond their allowance, from 0: nothing was taken for them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused_tenders: Vec<u16>,
    /// What came back, by sale.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub returned: Vec<Returned<'a>>,
    /// The first wallet, and each other one that it touched.
    #[schema(value_type = HashMap<String, WalletAfter>)]
    pub wallets: ByWallet<'a, WalletAfter>,
    pub tier: TierAfter<'a>,
    /// Quests and achievements that went on, or back.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub goals: Vec<GoalAfter<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub explanation: Vec<Explanation<'a>>,
    #[schema(minimum = 1, example = 1)]
    pub programme_version: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub notices: Vec<&'static str>,
}

/// The tier held after it; of a purchase also the way to the next.
#[derive(Serialize, ToSchema, Debug)]
pub struct TierAfter<'a> {
    #[schema(example = "bronze")]
    pub id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "silver")]
    pub next: Option<&'a str>,
    /// What is missing to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, example = 120)]
    pub missing: Option<i64>,
    /// Last day of the period that counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = Date, example = "2026-12-31")]
    pub until: Option<String>,
}

/// What was done.
#[derive(Serialize, ToSchema, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum What {
    Enrolment,
    Purchase,
    Return,
    Void,
    Hold,
    Confirmation,
    Cancellation,
    Redemption,
    Allowance,
    Reversal,
    Adjustment,
    TierGrant,
    Transfer,
    /// To another member.
    Gift,
    GiftReceived,
    GiftRefused,
    GiftSettled,
    PoolFounded,
    PoolJoined,
    PoolLeft,
    PoolChanged,
    /// To the hold of another member of the pool.
    Lent,
    LendRefused,
    /// What the others have lent to a hold.
    Gathered,
    /// Lent points are back.
    CameHome,
    Homed,
    /// Goes into another member.
    Merge,
    MergeIn,
    MergeRefused,
    MergeSettled,
    Delivery,
    AliasAdded,
    AliasRemoved,
    Update,
    /// Nobody asked: something was due.
    Elapsed,
    /// Kept until its sale comes.
    ReturnWaiting,
}

/// A quest or achievement after what was done.
#[derive(Serialize, ToSchema, Debug)]
pub struct GoalAfter<'a> {
    #[schema(example = "fresh-week")]
    pub id: &'a str,
    #[schema(value_type = GoalKind)]
    pub kind: GoalKind,
    #[schema(example = "A fresh week")]
    pub name: &'a str,
    /// Steps that went on, or back.
    pub steps: Vec<StepAfter>,
    /// How many times more it is reached; negative: fewer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reached: Option<i64>,
    /// What that brought.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reward: Option<RewardShown<'a>>,
    /// Of one that was reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "Five days of fresh fruit")]
    pub text: Option<&'a str>,
}

/// Which of the two.
#[derive(Serialize, ToSchema, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum GoalKind {
    Quest,
    Achievement,
}

/// How far a step has come.
#[derive(Serialize, ToSchema, Debug)]
pub struct StepAfter {
    /// Its place, from 1.
    #[schema(minimum = 1)]
    pub step: u32,
    /// By how much it went on; of streaks and store days: by how many purchases.
    pub change: i64,
    /// So far, completions before included.
    pub progress: i64,
    #[schema(minimum = 1)]
    pub goal: i64,
}

/// Points, or a tier for a time.
#[derive(Serialize, ToSchema, Debug, Default)]
pub struct RewardShown<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "points")]
    pub wallet: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub points: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "gold")]
    pub tier: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub until: Option<String>,
}

/// What came back of one purchase.
#[derive(Serialize, ToSchema, Debug)]
pub struct Returned<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purchase: Option<String>,
    #[schema(value_type = HashMap<String, PointsReturned>)]
    pub wallets: ByWallet<'a, PointsReturned>,
    pub lines: Vec<ReturnedLine>,
}

/// What came back of one line.
#[derive(Serialize, ToSchema, Debug)]
pub struct ReturnedLine {
    /// Its place in the purchase, from 1.
    #[schema(minimum = 1)]
    pub place: u32,
    /// Minor units.
    pub amount: i64,
    pub quantity: String,
}

/// One award: which rule gave how many points, and why.
#[derive(Serialize, ToSchema, Debug)]
pub struct Explanation<'a> {
    /// Absent: the whole basket.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2")]
    pub line: Option<&'a str>,
    #[schema(example = "base")]
    pub rule: &'a str,
    /// `base`, `multiplier`, `bonus`, `cap`, `campaign_cap` or `campaign_budget`.
    #[schema(example = "base")]
    pub kind: &'static str,
    #[schema(example = "points")]
    pub wallet: &'a str,
    #[schema(example = 123)]
    pub points: i64,
    #[schema(example = "1 point a dollar")]
    pub text: &'a str,
}

/// A problem, as in RFC 9457.
#[derive(Serialize, ToSchema, Debug)]
pub struct Problem<'a> {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub title: &'a str,
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// Stable, for programs.
    #[schema(example = "insufficient_points")]
    pub code: &'a str,
    /// What to do.
    pub detail: &'a str,
    /// JSON pointer into the request.
    #[serde(skip_serializing_if = "str::is_empty")]
    #[schema(example = "/lines/0/amount")]
    pub field: &'a str,
    /// `none`: certainly no effect; `unknown`: send the same again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<&'static str>,
    /// Of a programme: all that is wrong with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<crate::programme::Found>,
    pub request_id: &'a str,
}
