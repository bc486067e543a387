//! The compiled programme: what [`crate::compile`] makes of a file, ready to be asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::Text;
use crate::basket::{Basket, Line};
use crate::campaigns::Campaign;
use crate::goals::Goal;
use crate::number::{Currency, Ratio, Rounding};
use crate::profile::Found;
use crate::rules::{Condition, Head, RuleIndex};
use crate::time::{Day, Millis, Moment, Period, RoundUp};

/// One immutable version.
#[derive(Clone, Debug)]
pub struct Programme {
    /// From 1.
    pub version: u32,
    /// Since when it serves; version 1 also serves everything before it.
    pub serves_from: Millis,
    pub name: Text,
    /// Of its sentences, unless they say another.
    pub language: Text,
    pub zone: TimeZone,
    /// Zones of the stores that differ from the programme's, or are known by name.
    pub stores: BTreeMap<Text, TimeZone>,
    /// Places of a store's regions.
    pub regions: BTreeMap<Text, Vec<u16>>,
    /// Ids of the regions, by their places.
    pub region_ids: Vec<Text>,
    /// An unknown store is told to the caller.
    pub notice_unknown_stores: bool,
    /// The first is the one meant when none is named. A later version only adds to them: a wallet goes by its place.
    pub wallets: Vec<WalletRules>,
    /// Between a member's own wallets.
    pub transfers: Vec<TransferRate>,
    /// Newest first.
    pub rates_of_exchange: Vec<ExchangeRate>,
    pub excluded: Vec<Text>,
    /// By `(priority desc, id asc)`.
    pub earn: Vec<BaseRule>,
    /// By `(priority desc, id asc)`.
    pub multipliers: Vec<Multiplier>,
    pub bonuses: Vec<Bonus>,
    /// By id.
    pub campaigns: Vec<Campaign>,
    pub index: Index,
    /// Quests by id, then achievements by id.
    pub goals: Vec<Goal>,
    /// Ids of the segments that conditions name.
    pub segments: Vec<Text>,
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
    /// `None`: of every wallet.
    pub wallet: Option<u8>,
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
    pub caps: Caps,
    /// Share of the points that is expected to be redeemed, from a day on; by day (rule 26).
    pub redemption: Vec<(Day, Ratio)>,
}

impl WalletRules {
    /// The share that is expected to be redeemed, as of a day; all of it where nothing is said.
    #[must_use]
    pub fn expected_redemption(&self, day: Day) -> Ratio {
        self.redemption.iter().rev().find(|(since, _)| *since <= day).map_or(Ratio::ONE, |(_, rate)| *rate)
    }
}

/// What points of one wallet come to in another (rule 15).
#[derive(Clone, Copy, Debug)]
pub struct TransferRate {
    pub from: u8,
    pub to: u8,
    /// Whole points of the other for one whole point.
    pub rate: Ratio,
}

/// What one whole unit of a currency comes to in another, from an instant on (rule 7).
#[derive(Clone, Copy, Debug)]
pub struct ExchangeRate {
    pub from: Currency,
    pub to: Currency,
    pub rate: Ratio,
    pub since: Millis,
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
    /// How many days ahead the member is told; 0 = not.
    pub notice_days: i32,
}

/// How several multipliers combine (rule 6).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Stacking {
    #[default]
    Additive,
    Compound,
}

/// A sentence that a member can read, in the programme's language and perhaps in others.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sentence {
    pub text: Text,
    /// Language tag (BCP 47), sentence.
    pub others: Vec<(Text, Text)>,
}

impl From<&str> for Sentence {
    fn from(text: &str) -> Self {
        Self { text: text.into(), others: Vec::new() }
    }
}

impl Sentence {
    /// In the first of the wanted languages that it has; `own` is that of the programme, which serves where none does.
    #[must_use]
    pub fn in_languages(&self, own: &str, wanted: &[Text]) -> &str {
        let all = || std::iter::once((own, &self.text)).chain(self.others.iter().map(|(language, text)| (&**language, text)));
        let found = wanted.iter().find_map(|tag| {
            let exact = all().find(|(language, _)| language.eq_ignore_ascii_case(tag));
            exact.or_else(|| all().find(|(language, _)| same_language(language, tag)))
        });
        found.map_or(&self.text, |(_, text)| text)
    }
}

/// Whether a sentence in one language serves who wants the other: `de` serves `de-CH`.
#[must_use]
pub fn same_language(has: &str, wanted: &str) -> bool {
    let primary = |tag: &str| tag.split('-').next().unwrap_or_default().to_ascii_lowercase();
    has.eq_ignore_ascii_case(wanted) || primary(has) == primary(wanted)
}

/// Where the rules are found that may match a basket.
#[derive(Clone, Debug, Default)]
pub struct Index {
    pub earn: RuleIndex,
    pub multipliers: RuleIndex,
    pub bonuses: RuleIndex,
}

/// A base rule: points per whole unit of the currency.
#[derive(Clone, Debug)]
pub struct BaseRule {
    pub id: Text,
    pub wallet: u8,
    pub priority: i32,
    pub currency: Currency,
    pub points: Ratio,
    /// Place of the campaign that it belongs to.
    pub campaign: Option<u16>,
    pub when: Condition,
    pub text: Sentence,
}

/// A multiplier of the base, factor ≥ 1.
#[derive(Clone, Debug)]
pub struct Multiplier {
    pub id: Text,
    pub wallet: u8,
    pub priority: i32,
    pub factor: Ratio,
    /// Of one group only the largest counts.
    pub group: Option<Text>,
    /// Place of the campaign that it belongs to.
    pub campaign: Option<u16>,
    pub when: Condition,
    pub text: Sentence,
}

/// A bonus, in the wallet's smallest unit.
#[derive(Clone, Debug)]
pub struct Bonus {
    pub id: Text,
    pub wallet: u8,
    pub points: i64,
    pub per_unit: bool,
    /// Place of the campaign that it belongs to.
    pub campaign: Option<u16>,
    pub when: Condition,
    pub text: Sentence,
}

/// Caps on purchases, in the wallet's smallest unit.
#[derive(Clone, Debug, Default)]
pub struct Caps {
    pub purchase: Option<i64>,
    pub member: Option<(Period, i64)>,
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
    /// How many days before a downgrade the member is told; 0 = not.
    pub notice_days: i32,
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
    /// Earned in a wallet.
    Points(u8),
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
pub struct Programmes {
    versions: Vec<Arc<Programme>>,
    budgets: bool,
}

impl Programmes {
    /// Versions in the order of their numbers, from 1.
    #[must_use]
    pub fn new(versions: Vec<Arc<Programme>>) -> Self {
        let budgets = versions.iter().any(|version| version.campaigns.iter().any(|campaign| campaign.budget.is_some()));
        Self { versions, budgets }
    }

    /// Whether a campaign of any version has a budget.
    #[must_use]
    pub fn has_budgets(&self) -> bool {
        self.budgets
    }

    /// With one more version, in its place; one that is there already stays.
    #[must_use]
    pub fn with(&self, version: &Arc<Programme>) -> Self {
        let mut all = self.versions.clone();
        if let Err(place) = all.binary_search_by_key(&version.version, |known| known.version) {
            all.insert(place, version.clone());
        }
        Self::new(all)
    }

    /// All of them, the oldest first.
    pub fn oldest_first(&self) -> impl Iterator<Item = &Arc<Programme>> {
        self.versions.iter()
    }

    /// All of them, the newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &Arc<Programme>> {
        self.versions.iter().rev()
    }

    /// The version that serves now.
    #[must_use]
    pub fn current(&self) -> Option<&Arc<Programme>> {
        self.versions.last()
    }

    /// The version in force at an instant: the last one saved by then. The first also serves all time before it.
    #[must_use]
    pub fn at(&self, instant: Millis) -> Option<&Arc<Programme>> {
        self.versions.iter().rev().find(|version| version.serves_from <= instant).or(self.versions.first())
    }

    /// A version by its number.
    #[must_use]
    pub fn version(&self, number: u32) -> Option<&Arc<Programme>> {
        let place = self.versions.binary_search_by_key(&number, |version| version.version).ok()?;
        self.versions.get(place)
    }
}

impl Programme {
    /// A store's zone; the programme's when it has none of its own.
    #[must_use]
    pub fn store_zone(&self, store: &str) -> &TimeZone {
        self.stores.get(store).unwrap_or(&self.zone)
    }

    /// The wallets by their places.
    pub fn numbers(&self) -> impl Iterator<Item = u8> + use<> {
        (0_u8..).take(self.wallets.len())
    }

    /// A wallet's place, by its id; the first's when none is named.
    #[must_use]
    pub fn wallet_number(&self, id: &str) -> Option<u8> {
        if id.is_empty() { Some(0) } else { self.numbers().zip(&self.wallets).find(|(_, wallet)| wallet.id == id).map(|(number, _)| number) }
    }

    /// The rules of a wallet; those of the first, for one that this version does not have yet.
    #[must_use]
    pub fn wallet(&self, number: u8) -> &WalletRules {
        self.wallets.get(usize::from(number)).unwrap_or(&self.wallets[0])
    }

    /// The rate in force at an instant (rule 7); one between a currency and itself.
    #[must_use]
    pub fn exchange(&self, from: Currency, to: Currency, at: Millis) -> Option<Ratio> {
        if from == to {
            return Some(Ratio { num: 1, den: 1 });
        }
        self.rates_of_exchange.iter().find(|rate| rate.from == from && rate.to == to && rate.since <= at).map(|rate| rate.rate)
    }

    /// What a sum of a basket comes to in another currency (rule 7), in minor units, rounded down; without a rate nothing.
    #[must_use]
    pub fn spent(&self, basket: &Basket, currency: Currency, amount: i64) -> i64 {
        let minor = |currency: Currency| 10_i128.pow(currency.exponent().into());
        let rate = self.exchange(basket.currency, currency, basket.occurred_at);
        let sum = rate.map(|rate| i128::from(amount) * i128::from(rate.num) * minor(currency) / (i128::from(rate.den) * minor(basket.currency)));
        sum.and_then(|sum| i64::try_from(sum).ok()).map_or(0, |sum| sum.min(crate::earn::MAX_POINTS))
    }

    /// What the head conditions see of a sale.
    #[must_use]
    pub fn head<'a>(&'a self, basket: &'a Basket, found: &'a Found) -> Head<'a> {
        let zone = self.store_zone(&basket.store);
        let regions = self.regions.get(&basket.store).map_or(&[][..], |regions| regions);
        Head { basket, zone, day: Day::at(basket.occurred_at, zone), found, regions }
    }

    /// Points → money: floors to the minor unit (rule 13). `None` when the wallet has no value there, or on overflow.
    #[must_use]
    pub fn money(&self, wallet: u8, points: i64, currency: Currency) -> Option<i64> {
        let wallet = self.wallet(wallet);
        let value = wallet.values.get(&currency)?;
        let num = i128::from(points).checked_mul(i128::from(value.num))?.checked_mul(10_i128.pow(currency.exponent().into()))?;
        let den = i128::from(value.den) * 10_i128.pow(wallet.decimals.into());
        i64::try_from(num / den).ok()
    }

    /// Money → points: ceils (rule 13).
    #[must_use]
    pub fn points(&self, wallet: u8, amount: i64, currency: Currency) -> Option<i64> {
        let wallet = self.wallet(wallet);
        let value = wallet.values.get(&currency)?;
        let num = i128::from(amount).checked_mul(i128::from(value.den))?.checked_mul(10_i128.pow(wallet.decimals.into()))?;
        let den = i128::from(value.num) * 10_i128.pow(currency.exponent().into());
        i64::try_from(num.checked_add(den - 1)? / den).ok()
    }

    /// With its base rules only: no multipliers, no bonuses, no caps.
    #[must_use]
    pub fn bare(&self) -> Self {
        let mut bare = Self { multipliers: Vec::new(), bonuses: Vec::new(), ..self.clone() };
        bare.index.multipliers = RuleIndex::default();
        bare.index.bonuses = RuleIndex::default();
        bare.wallets.iter_mut().for_each(|wallet| wallet.caps = Caps::default());
        bare.campaigns.iter_mut().for_each(|campaign| (campaign.member, campaign.budget) = (None, None));
        bare
    }

    /// Whether a line can earn here (rule 5): its kind does and its category is not excluded.
    #[must_use]
    pub fn earns(&self, line: &Line) -> bool {
        line.kind.earns() && !self.excluded.iter().any(|prefix| crate::rules::within(prefix, &line.category))
    }
}
