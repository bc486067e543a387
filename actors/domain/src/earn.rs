//! What a purchase earns (rules 1, 5, 6, 7): exact until it is rounded once.
//!
//! Every figure is a numerator over one common denominator, first in `i128`, and on overflow again
//! in 512 bits. The exact share of (line, rule) is kept beside the total, so that the rounded total
//! can be dealt out to them: the floor of each, what is left to the largest fractions.

mod deal;

use bnum::types::I512;
use smallvec::SmallVec;

use self::deal::{Share, cap, deal};
use crate::basket::{Basket, Paid, Worth};
use crate::campaigns;
use crate::number::{Currency, Ratio, Wide, lcm, mul};
use crate::profile::Found;
use crate::programme::{BaseRule, Multiplier, Programme, Stacking, WalletRules};
use crate::rules::{Condition, Head, Sight};
use crate::{Code, Rejection};

/// `line` of an award that belongs to the whole basket.
pub const WHOLE_BASKET: u16 = u16::MAX;

/// Points of one rule on one line. Its wallet, rate, factor, category and sentence are found in the
/// programme version that the record names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Award {
    /// Place of the line, or [`WHOLE_BASKET`].
    pub line: u16,
    pub source: Source,
    /// Smallest units; negative for a cap.
    pub points: i64,
}

/// Most points of one sale or adjustment, in smallest units: so that no sum of a member's can overflow.
pub const MAX_POINTS: i64 = 1_000_000_000_000_000;

/// Which rule of the programme version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    Base(u16),
    Multiplier(u16),
    Bonus(u16),
    /// A campaign's most for one member took it back, by the campaign's place.
    CampaignCap(u16),
    /// A campaign's budget was at its end.
    CampaignBudget(u16),
    /// The cap of a purchase took it back, in a wallet.
    PurchaseCap(u8),
    /// The member's cap of the period took it back, in a wallet.
    MemberCap(u8),
}

impl Source {
    /// The wallet that the points are of.
    #[must_use]
    pub fn wallet(self, programme: &Programme) -> u8 {
        match self {
            Self::Base(rule) => programme.earn.get(usize::from(rule)).map_or(0, |rule| rule.wallet),
            Self::Multiplier(rule) => programme.multipliers.get(usize::from(rule)).map_or(0, |rule| rule.wallet),
            Self::Bonus(rule) => programme.bonuses.get(usize::from(rule)).map_or(0, |rule| rule.wallet),
            Self::CampaignCap(campaign) | Self::CampaignBudget(campaign) => programme.campaigns.get(usize::from(campaign)).map_or(0, |campaign| campaign.wallet),
            Self::PurchaseCap(wallet) | Self::MemberCap(wallet) => wallet,
        }
    }

    /// The campaign that the rule belongs to.
    fn campaign(self, programme: &Programme) -> Option<u16> {
        match self {
            Self::Base(rule) => programme.earn.get(usize::from(rule))?.campaign,
            Self::Multiplier(rule) => programme.multipliers.get(usize::from(rule))?.campaign,
            Self::Bonus(rule) => programme.bonuses.get(usize::from(rule))?.campaign,
            Self::CampaignCap(_) | Self::CampaignBudget(_) | Self::PurchaseCap(_) | Self::MemberCap(_) => None,
        }
    }
}

/// What a sale earned.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Earned {
    /// Of one wallet after the other.
    pub awards: Vec<Award>,
    /// By wallet: Σ of its awards.
    pub points: SmallVec<[i64; 1]>,
    /// Of the campaigns that it got something of.
    pub campaigns: SmallVec<[campaigns::Share; 0]>,
    /// Rates at which it was converted, by the currency of the rules (rule 7).
    pub converted: SmallVec<[(Currency, Ratio); 0]>,
    /// Σ base of the lines that earn, before points tenders, as the first wallet counts them: the spend metric.
    pub eligible: i64,
}

impl Earned {
    /// Points of one wallet.
    #[must_use]
    pub fn of(&self, wallet: u8) -> i64 {
        self.points.get(usize::from(wallet)).copied().unwrap_or(0)
    }
}

/// What the sale found outside the basket; recorded with it, so that a return sees the same (rule 16).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// Of the member.
    pub found: Found,
    /// By wallet: points that the member's cap of the period still had room for.
    pub rooms: SmallVec<[Option<i64>; 1]>,
    /// Of campaigns that have not room for whatever comes.
    pub campaigns: SmallVec<[campaigns::Room; 0]>,
}

/// Rules that may match the basket, in their order.
struct Candidates {
    earn: Vec<u16>,
    multipliers: Vec<u16>,
    bonuses: Vec<u16>,
}

/// Works out the awards.
///
/// # Errors
/// `overflow` when a figure does not fit.
pub fn earn(programme: &Programme, basket: &Basket, worth: &Worth, facts: &Facts) -> Result<Earned, Rejection> {
    let head = programme.head(basket, &facts.found);
    let candidates = Candidates {
        earn: programme.index.earn.candidates(basket),
        multipliers: programme.index.multipliers.candidates(basket),
        bonuses: programme.index.bonuses.candidates(basket),
    };
    let mut earned = Earned::default();
    for (number, wallet) in programme.numbers().zip(&programme.wallets) {
        let items = items(programme, wallet, basket, worth);
        let sale = Selling { programme, number, wallet, head: &head, worth, items: &items, sight: Sight::new(programme, &head, worth, &items), candidates: &candidates };
        let (mut awards, points) = sale.earn(facts, &mut earned).ok_or_else(|| Rejection::new(Code::Overflow, "/lines", "the points of this basket do not fit; split it"))?;
        if number == 0 {
            earned.eligible = items.iter().fold(0, |sum, item| item.base.saturating_add(sum));
        }
        earned.awards.append(&mut awards);
        earned.points.push(points);
    }
    Ok(earned)
}

/// A line that earns by rule 5.
pub(crate) struct Item {
    pub(crate) place: usize,
    /// Minor units, before points tenders.
    pub(crate) base: i64,
    pub(crate) units: i64,
    /// Not everything was paid in points.
    unpaid: bool,
}

/// The lines that earn by rule 5.
pub(crate) fn items(programme: &Programme, wallet: &WalletRules, basket: &Basket, worth: &Worth) -> Vec<Item> {
    let mut items = Vec::with_capacity(basket.lines.len());
    for (place, (line, line_worth)) in basket.lines.iter().zip(&worth.lines).enumerate() {
        if !line_worth.sold || !programme.earns(line) || line_worth.net == 0 {
            continue;
        }
        let base = match (wallet.earn_on_tax, basket.prices_include_tax) {
            (true, true) | (false, false) => line_worth.net,
            (true, false) => line_worth.net + line_worth.tax,
            (false, true) => line_worth.net - line_worth.tax,
        };
        let falls: Vec<&Paid> = worth.paid.iter().filter(|paid| paid.on[place]).collect();
        let unpaid = falls.is_empty() || unpaid(&falls, &I512::of(1)).is_none_or(|(left, _)| left > I512::of(0));
        items.push(Item { place, base, units: line.units(line_worth.quantity), unpaid });
    }
    items
}

/// The share of a line that points did not pay: `(numerator, denominator)`, times `scale`.
fn unpaid<W: Wide>(falls: &[&Paid], scale: &W) -> Option<(W, W)> {
    let mut den = scale.clone();
    for paid in falls {
        den = lcm(&den, &W::of(paid.of))?;
    }
    let mut num = den.clone();
    for paid in falls {
        let (part, _) = den.div_rem(&W::of(paid.of));
        num = num.checked_sub(&mul(&part, paid.amount)?)?;
    }
    Some((num, den))
}

/// Whether tenders together pay more than all of a line.
#[must_use]
pub fn more_than_all(falls: &[&Paid]) -> bool {
    unpaid(falls, &I512::of(1)).is_none_or(|(left, _)| left < I512::of(0))
}

/// What a line takes: its base rule, at which rate of exchange, and of its multipliers one of each group.
struct Plan<'a> {
    item: &'a Item,
    rule: u16,
    rate: Ratio,
    exchange: Ratio,
    multipliers: Vec<(u16, &'a Multiplier)>,
}

/// One sale in one wallet.
struct Selling<'a> {
    programme: &'a Programme,
    number: u8,
    wallet: &'a WalletRules,
    head: &'a Head<'a>,
    worth: &'a Worth,
    items: &'a [Item],
    sight: Sight<'a>,
    candidates: &'a Candidates,
}

impl<'a> Selling<'a> {
    /// Awards and their sum; `None` on overflow.
    fn earn(&self, facts: &Facts, earned: &mut Earned) -> Option<(Vec<Award>, i64)> {
        let room = facts.rooms.get(usize::from(self.number)).copied().flatten();
        let plans = self.plans(&mut earned.converted);
        let mut awards = self.exact::<i128>(&plans).or_else(|| self.exact::<I512>(&plans))?;
        self.bonuses(&mut awards)?;
        let given = awards.iter().try_fold(0_i64, |sum, award| sum.checked_add(award.points)).filter(|given| *given <= MAX_POINTS)?;
        let mut left: Vec<i64> = awards.iter().map(|award| award.points).collect();
        let mut shares = self.campaigns(&facts.campaigns, &mut awards, &mut left);
        let given = if shares.is_empty() { given } else { left.iter().sum() };
        let all = |_: &Award| true;
        let capped = cap(&mut awards, &mut left, given, self.wallet.caps.purchase, Source::PurchaseCap(self.number), all);
        let points = cap(&mut awards, &mut left, capped, room, Source::MemberCap(self.number), all);
        for share in &mut shares {
            share.got = self.share(share.campaign, &awards, &left);
        }
        earned.campaigns.append(&mut shares);
        Some((awards, points))
    }

    /// What is left of the awards of a campaign's rules.
    fn share(&self, campaign: u16, awards: &[Award], left: &[i64]) -> i64 {
        awards.iter().zip(left).filter(|(award, _)| award.source.campaign(self.programme) == Some(campaign)).map(|(_, left)| left).sum()
    }

    /// The caps of campaigns, each on its own share: what one member gets, then the budget.
    fn campaigns(&self, rooms: &[campaigns::Room], awards: &mut Vec<Award>, left: &mut Vec<i64>) -> SmallVec<[campaigns::Share; 0]> {
        let mut shares = SmallVec::new();
        for (campaign, _) in (0_u16..).zip(&self.programme.campaigns).filter(|(_, campaign)| campaign.wallet == self.number) {
            let share = self.share(campaign, awards, left);
            if share == 0 {
                continue;
            }
            let room = rooms.iter().find(|room| room.campaign == campaign).copied().unwrap_or_default();
            let its = |award: &Award| award.source.campaign(self.programme) == Some(campaign);
            let wanted = cap(awards, left, share, room.member, Source::CampaignCap(campaign), its);
            cap(awards, left, wanted, room.budget, Source::CampaignBudget(campaign), its);
            shares.push(campaigns::Share { campaign, wanted, got: 0 });
        }
        shares
    }

    /// Of the candidates those of this wallet whose campaign runs, and whose conditions on the head and on sums hold.
    fn matching<R>(&self, candidates: &[u16], rules: &'a [R], of: impl Fn(&R) -> (u8, Option<u16>, &Condition)) -> Vec<(u16, &'a R)> {
        let found = candidates.iter().filter_map(|number| Some((*number, rules.get(usize::from(*number))?)));
        let holds = |rule: &R| {
            let (wallet, campaign, when) = of(rule);
            let runs = |place: u16| self.programme.campaigns.get(usize::from(place)).is_some_and(|campaign| campaign.runs(self.head));
            wallet == self.number && campaign.is_none_or(runs) && self.sight.matches(when)
        };
        found.filter(|(_, rule)| holds(rule)).collect()
    }

    fn plans(&self, converted: &mut SmallVec<[(Currency, Ratio); 0]>) -> Vec<Plan<'a>> {
        let basket = self.head.basket;
        let bases = self.matching(&self.candidates.earn, &self.programme.earn, |rule: &BaseRule| (rule.wallet, rule.campaign, &rule.when));
        let multipliers = self.matching(&self.candidates.multipliers, &self.programme.multipliers, |rule: &Multiplier| (rule.wallet, rule.campaign, &rule.when));
        let rate = |rule: &BaseRule| self.programme.exchange(basket.currency, rule.currency, basket.occurred_at);
        let mut plans = Vec::with_capacity(self.items.len());
        for item in self.items {
            let mut on_line = bases.iter().filter(|(_, rule)| self.sight.line(&rule.when, item.place));
            // Rule 7: those of the purchase's own currency first; only where there is none, the others by the rate of the day.
            let own = on_line.clone().find(|(_, rule)| rule.currency == basket.currency).map(|found| (found, Ratio::ONE));
            let Some(((number, rule), exchange)) = own.or_else(|| on_line.find_map(|found| Some((found, rate(found.1)?)))) else { continue };
            if rule.currency != basket.currency && !converted.iter().any(|(currency, _)| *currency == rule.currency) {
                converted.push((rule.currency, exchange));
            }
            let matching: Vec<_> = multipliers.iter().filter(|(_, rule)| self.sight.line(&rule.when, item.place)).copied().collect();
            plans.push(Plan { item, rule: *number, rate: rule.points, exchange, multipliers: one_of_each_group(&matching) });
        }
        plans
    }

    fn exact<W: Wide>(&self, plans: &[Plan<'_>]) -> Option<Vec<Award>> {
        // One denominator for all, the least that every figure is whole over: minor units, rates, multipliers, points tenders.
        let (mut rate_den, mut factor_den, mut paid_den) = (W::of(1), W::of(1), W::of(1));
        for plan in plans {
            rate_den = lcm(&rate_den, &mul(&W::of(plan.rate.den), plan.exchange.den)?)?;
            let mut of_line = W::of(1);
            for (_, rule) in &plan.multipliers {
                of_line = match self.wallet.stacking {
                    Stacking::Additive => lcm(&of_line, &W::of(rule.factor.den))?,
                    Stacking::Compound => mul(&of_line, rule.factor.den)?,
                };
            }
            factor_den = lcm(&factor_den, &of_line)?;
        }
        for paid in &self.worth.paid {
            paid_den = lcm(&paid_den, &W::of(paid.of))?;
        }
        let scale = 10_i64.pow(self.wallet.decimals.into());
        let minor_den = W::of(10_i64.pow(self.head.basket.currency.exponent().into()));
        let den = minor_den.checked_mul(&rate_den)?.checked_mul(&factor_den)?.checked_mul(&paid_den)?;

        let mut shares: Vec<Share<W>> = Vec::with_capacity(plans.len() * 2);
        for plan in plans {
            // base · (unpaid share) · exchange · rate · 10^decimals / 10^exponent, over `den`.
            let mut num = mul(&mul(&mul(&mul(&den, plan.item.base)?, plan.rate.num)?, plan.exchange.num)?, scale)?;
            num = num.div_rem(&mul(&mul(&minor_den, plan.rate.den)?, plan.exchange.den)?).0;
            let mut left = num.clone();
            for paid in self.worth.paid.iter().filter(|paid| paid.on[plan.item.place]) {
                let (part, _) = num.div_rem(&W::of(paid.of));
                left = left.checked_sub(&mul(&part, paid.amount)?)?;
            }
            if left <= W::zero() {
                continue;
            }
            shares.push(Share { line: plan.item.place, source: Source::Base(plan.rule), num: left.clone() });
            let mut stands = left.clone();
            for (number, rule) in &plan.multipliers {
                let on = match self.wallet.stacking {
                    Stacking::Additive => &left,
                    Stacking::Compound => &stands,
                };
                let (part, _) = mul(on, rule.factor.num - rule.factor.den)?.div_rem(&W::of(rule.factor.den));
                stands = stands.checked_add(&part)?;
                if part > W::zero() {
                    shares.push(Share { line: plan.item.place, source: Source::Multiplier(*number), num: part });
                }
            }
        }
        deal(self.wallet, &shares, &den)
    }

    fn bonuses(&self, awards: &mut Vec<Award>) -> Option<()> {
        let bonuses = self.matching(&self.candidates.bonuses, &self.programme.bonuses, |rule| (rule.wallet, rule.campaign, &rule.when));
        for (number, bonus) in bonuses {
            let source = Source::Bonus(number);
            let earns = |item: &&Item| item.unpaid && item.base > 0 && self.sight.line(&bonus.when, item.place);
            let mut earning = self.items.iter().filter(earns);
            if bonus.per_unit {
                for item in earning {
                    let points = bonus.points.checked_mul(item.units)?;
                    if points > 0 {
                        awards.push(Award { line: index16(item.place), source, points });
                    }
                }
            } else if earning.next().is_some() {
                awards.push(Award { line: WHOLE_BASKET, source, points: bonus.points });
            }
        }
        Some(())
    }
}

/// Of an exclusive group only the largest factor, ties by id.
fn one_of_each_group<'a>(matching: &[(u16, &'a Multiplier)]) -> Vec<(u16, &'a Multiplier)> {
    let larger = |a: Ratio, b: Ratio| i128::from(a.num) * i128::from(b.den) > i128::from(b.num) * i128::from(a.den);
    let mut chosen: Vec<(u16, &Multiplier)> = Vec::with_capacity(matching.len());
    for (index, rule) in matching {
        let rival = rule.group.as_ref().and_then(|group| chosen.iter().position(|(_, other)| other.group.as_ref() == Some(group)));
        match rival {
            None => chosen.push((*index, rule)),
            Some(at) if larger(rule.factor, chosen[at].1.factor) || (rule.factor == chosen[at].1.factor && rule.id < chosen[at].1.id) => {
                chosen.remove(at);
                chosen.push((*index, rule));
            }
            Some(_) => {}
        }
    }
    chosen.sort_by_key(|(index, _)| *index);
    chosen
}

/// Lines and rules are bounded far below this by the basket's and the programme's limits.
fn index16(index: usize) -> u16 {
    u16::try_from(index).unwrap_or(u16::MAX - 1)
}
