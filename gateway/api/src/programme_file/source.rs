//! From a programme as written to what the domain compiles.

use tessera_domain::compile::{
    BonusSource, CampaignSource, ConditionSource, ExchangeSource, GoalSource, MetricSource, MultiplierSource, PendingSource, RateSource, RewardSource, Source, StepSource, TransferSource,
};
use tessera_domain::goals::{GoalKind, Measure};
use tessera_domain::number::Rounding;
use tessera_domain::profile::BirthdayWindow;
use tessera_domain::programme::{Caps, Clawback, ExpiryRule, HoldRules, Level, Sentence, Stacking, TierPeriod, UnknownAlias, UnlockRule, WalletRules};
use tessera_domain::rules::Condition;
use tessera_domain::time::{Day, Period, RoundUp};

use super::shape::*;
use crate::expression;

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
            hours: Vec::new(),
            tenders: self.tenders,
            regions: Vec::new(),
            first_purchase: self.first_purchase,
            birthday: self.birthday.map(|window| match window {
                BirthdayName::Day => BirthdayWindow::Day,
                BirthdayName::Week => BirthdayWindow::Week,
                BirthdayName::Month => BirthdayWindow::Month,
            }),
            segments: Vec::new(),
            bundle: self.bundle,
            expression: None,
        };
        let expression = self.expression.map(|text| expression::compile(&text));
        ConditionSource { when, tiers: self.tiers, regions: self.regions, segments: self.segments, expression, hours: self.hours.into_iter().map(|hours| (hours.from, hours.to)).collect() }
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
            notice_days: expiry.notice_days,
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
            redemption: self.redemption.into_iter().map(|row| (Day::of(row.since.0), row.rate.0.ratio())).collect(),
            caps: Caps { purchase: self.caps.purchase, member: self.caps.member.map(|cap| (period(cap.per), cap.points)) },
        }
    }
}

impl Step {
    fn source(self) -> StepSource {
        let spend = self.spend.map(|spend| (Measure::Spend(spend.currency.0), spend.amount));
        let of = |measure: Measure, figure: Option<i64>| figure.map(|figure| (measure, figure));
        let (units, purchases, visits) = (of(Measure::Units, self.units), of(Measure::Purchases, self.purchases), of(Measure::Visits, self.visits));
        let (days, weeks) = (of(Measure::Days, self.days_in_a_row), of(Measure::Weeks, self.weeks_in_a_row));
        let mut written = [spend, units, purchases, visits, days, weeks].into_iter().flatten();
        let measure = written.next();
        StepSource { measure: if written.next().is_none() { measure } else { None }, when: self.when.source() }
    }
}

impl Reward {
    fn source(reward: Option<Self>) -> RewardSource {
        match reward {
            None => RewardSource::None,
            Some(Self { wallet, points: Some(points), tier: None, days: None }) => RewardSource::Points(wallet.unwrap_or_default(), points),
            Some(Self { wallet: None, points: None, tier: Some(tier), days: Some(days) }) => RewardSource::Tier(tier, days),
            Some(Self { .. }) => RewardSource::Unclear,
        }
    }
}

impl Words {
    /// Without one in the programme's language, that is left empty: a finding, where there are others.
    fn sentence(self, own: &str) -> Sentence {
        match self {
            Self::One(text) => Sentence { text, others: Vec::new() },
            Self::ByLanguage(mut texts) => Sentence { text: texts.remove(own).unwrap_or_default(), others: texts.into_iter().collect() },
        }
    }
}

impl ProgrammeFile {
    /// How many conditions are written as expressions.
    pub(super) fn expressions(&self) -> usize {
        let rules = self.earn.iter().map(|row| &row.when).chain(self.multiplier.iter().map(|row| &row.when)).chain(self.bonus.iter().map(|row| &row.when));
        let others = self.pending.iter().map(|row| &row.when).chain(self.quest.iter().flat_map(|row| &row.step).chain(self.achievement.iter().map(|row| &row.step)).map(|step| &step.when));
        rules.chain(others).filter(|when| when.expression.is_some()).count()
    }

    pub(super) fn source(self) -> Source {
        let language = self.language;
        let earn = |row: Earn| RateSource { id: row.id, wallet: row.wallet, priority: row.priority, currency: row.currency.0, points: row.points.0, campaign: row.campaign, when: row.when.source(), text: row.text.sentence(&language) };
        let multiplier =
            |row: Multiplier| MultiplierSource { id: row.id, wallet: row.wallet, priority: row.priority, factor: row.factor.0, group: row.group, campaign: row.campaign, when: row.when.source(), text: row.text.sentence(&language) };
        let bonus = |row: Bonus| BonusSource { id: row.id, wallet: row.wallet, points: row.points, per_unit: row.per_unit, campaign: row.campaign, when: row.when.source(), text: row.text.sentence(&language) };
        let campaign = |row: Campaign| CampaignSource { id: row.id, wallet: row.wallet, from: row.from.map(|at| at.0), until: row.until.map(|at| at.0), member: row.member, budget: row.budget };
        let pending = |row: Pending| PendingSource {
            id: row.id,
            wallet: row.wallet,
            priority: row.priority,
            unlock: match row.unlock {
                Unlock { days: Some(days), at: None, delivered: None } => Some(UnlockRule::Days(days)),
                Unlock { days: None, at: Some(at), delivered: None } => Some(UnlockRule::At(at.0)),
                Unlock { days: None, at: None, delivered: Some(Yes) } => Some(UnlockRule::Delivered),
                Unlock { .. } => None,
            },
            when: row.when.source(),
        };
        let quest = |row: Quest| GoalSource {
            kind: GoalKind::Quest,
            id: row.id,
            name: row.name.sentence(&language),
            from: row.from.map(|at| at.0),
            until: row.until.map(|at| at.0),
            steps: row.step.into_iter().map(Step::source).collect(),
            repeatable: row.repeatable,
            keep: true,
            reward: Reward::source(row.reward),
            text: row.text.sentence(&language),
        };
        let achievement = |row: Achievement| GoalSource {
            kind: GoalKind::Achievement,
            id: row.id,
            name: row.name.sentence(&language),
            from: None,
            until: None,
            steps: vec![row.step.source()],
            repeatable: false,
            keep: row.keep,
            reward: Reward::source(row.reward),
            text: row.text.sentence(&language),
        };
        let goals = self.quest.into_iter().map(quest).chain(self.achievement.into_iter().map(achievement)).collect();
        let tiers = self.tiers;
        Source {
            name: self.name,
            language: language.clone(),
            zone: self.zone,
            stores: self.stores.into_iter().collect(),
            regions: self.regions,
            notice_unknown_stores: matches!(self.unknown_stores, UnknownStores::Notice),
            wallets: self.wallet.into_iter().map(Wallet::rules).collect(),
            transfers: self.transfer.into_iter().map(|row| TransferSource { from: row.from, to: row.to, rate: row.rate.0 }).collect(),
            exchange: self.exchange.into_iter().map(|row| ExchangeSource { from: row.from.0, to: row.to.0, rate: row.rate.0, since: row.since.0 }).collect(),
            excluded: self.excluded_categories,
            rates: self.earn.into_iter().map(earn).collect(),
            multipliers: self.multiplier.into_iter().map(multiplier).collect(),
            bonuses: self.bonus.into_iter().map(bonus).collect(),
            campaigns: self.campaign.into_iter().map(campaign).collect(),
            goals,
            metric: match (tiers.metric, tiers.currency) {
                (MetricName::Points, _) => MetricSource::Points(tiers.wallet),
                (MetricName::Visits, _) => MetricSource::Visits,
                (MetricName::Spend, currency) => MetricSource::Spend(currency.map(|currency| currency.0)),
            },
            period: match tiers.period {
                TierPeriodName::CalendarYear => TierPeriod::CalendarYear,
                TierPeriodName::AnniversaryYear => TierPeriod::AnniversaryYear,
                TierPeriodName::Rolling => TierPeriod::Rolling(tiers.months_before),
            },
            levels: tiers.level.into_iter().map(|row| Level { id: row.id, name: row.name, threshold: row.threshold }).collect(),
            grace_days: tiers.grace_days,
            soft_landing: tiers.soft_landing,
            tier_notice_days: tiers.notice_days,
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
