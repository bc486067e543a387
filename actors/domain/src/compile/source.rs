//! A programme as it was written: what names are used, not yet what they mean.

use std::collections::BTreeMap;

use crate::Text;
use crate::goals::{GoalKind, Measure};
use crate::number::Decimal;
use crate::programme::{Clawback, HoldRules, Level, Sentence, TierPeriod, UnknownAlias, UnlockRule, WalletRules};
use crate::rules::Condition;

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
    pub campaigns: Vec<CampaignSource>,
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
    /// Id of the campaign that it belongs to; empty: none.
    pub campaign: Text,
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
    /// Id of the campaign that it belongs to; empty: none.
    pub campaign: Text,
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
    /// Id of the campaign that it belongs to; empty: none.
    pub campaign: Text,
    pub when: ConditionSource,
    pub text: Sentence,
}

/// A campaign as written.
#[derive(Clone, Debug)]
pub struct CampaignSource {
    pub id: Text,
    /// Empty: the first.
    pub wallet: Text,
    /// Local times are those of the store's zone.
    pub from: Option<crate::time::Moment>,
    pub until: Option<crate::time::Moment>,
    pub member: Option<i64>,
    pub budget: Option<i64>,
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

pub(super) trait HasId {
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
