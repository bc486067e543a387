//! What a purchase earns (rules 1, 5, 6): exact until it is rounded once.
//!
//! Every figure is a numerator over one common denominator, first in `i128`, and on overflow again
//! in 512 bits. The exact share of (line, rule) is kept beside the total, so that the rounded total
//! can be dealt out to them: the floor of each, what is left to the largest fractions.

use bnum::types::I512;

use crate::basket::{Basket, Paid, Worth};
use crate::number::{Ratio, Wide, lcm, mul, round};
use crate::programme::{Condition, Head, Multiplier, Programme, Stacking};
use crate::{Code, Rejection};

/// `line` of an award that belongs to the whole basket.
pub const WHOLE_BASKET: u16 = u16::MAX;

/// Points of one rule on one line. Its rate, factor, category and sentence are found in the
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
    /// The cap of a purchase took it back.
    PurchaseCap,
    /// The member's cap of the period took it back.
    MemberCap,
}

/// What a sale earned.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Earned {
    pub awards: Vec<Award>,
    /// Σ awards.
    pub points: i64,
    /// Σ base of the lines that earn, before points tenders: the spend metric.
    pub eligible: i64,
    /// Σ units of those lines.
    pub units: i64,
}

/// What the sale found outside the basket; recorded with it, so that a return sees the same (rule 16).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Facts {
    /// Tier held before the sale.
    pub tier: u8,
    /// Points that the member's cap of the period still had room for.
    pub room: Option<i64>,
}

struct Item {
    place: usize,
    base: i64,
    units: i64,
    /// Not everything was paid in points.
    unpaid: bool,
}

/// Works out the awards.
///
/// # Errors
/// `overflow` when a figure does not fit.
pub fn earn(programme: &Programme, basket: &Basket, worth: &Worth, facts: Facts) -> Result<Earned, Rejection> {
    let zone = programme.store_zone(&basket.store);
    let head = Head { basket, zone, day: crate::time::Day::at(basket.occurred_at, zone), tier: facts.tier };
    let items = items(programme, basket, worth);
    let overflow = || Rejection::new(Code::Overflow, "/lines", "the points of this basket do not fit; split it");
    let shares = exact::<i128>(programme, &head, worth, &items).or_else(|| exact::<I512>(programme, &head, worth, &items));
    let mut awards = shares.ok_or_else(overflow)?;
    bonuses(programme, &head, &items, &mut awards).ok_or_else(overflow)?;
    let given = awards.iter().try_fold(0_i64, |sum, award| sum.checked_add(award.points)).filter(|given| *given <= MAX_POINTS).ok_or_else(overflow)?;
    let mut left: Vec<i64> = awards.iter().map(|award| award.points).collect();
    let capped = cap(&mut awards, &mut left, given, programme.caps.purchase, Source::PurchaseCap);
    let points = cap(&mut awards, &mut left, capped, facts.room, Source::MemberCap);
    let eligible = items.iter().try_fold(0_i64, |sum, item| sum.checked_add(item.base)).ok_or_else(overflow)?;
    Ok(Earned { awards, points, eligible, units: items.iter().map(|item| item.units).sum() })
}

/// The lines that earn by rule 5.
fn items(programme: &Programme, basket: &Basket, worth: &Worth) -> Vec<Item> {
    let mut items = Vec::with_capacity(basket.lines.len());
    for (place, (line, line_worth)) in basket.lines.iter().zip(&worth.lines).enumerate() {
        if !line_worth.sold || !programme.earns(line) || line_worth.net == 0 {
            continue;
        }
        let base = match (programme.wallet.earn_on_tax, basket.prices_include_tax) {
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

struct Share<W> {
    line: usize,
    source: Source,
    num: W,
}

fn exact<W: Wide>(programme: &Programme, head: &Head<'_>, worth: &Worth, items: &[Item]) -> Option<Vec<Award>> {
    let rates: Vec<(usize, Ratio)> = programme
        .rates
        .iter()
        .enumerate()
        .filter(|(_, rule)| rule.currency == head.basket.currency && matches(&rule.when, head, items))
        .map(|(index, rule)| (index, rule.points))
        .collect();
    let multipliers: Vec<(usize, &Multiplier)> =
        programme.multipliers.iter().enumerate().filter(|(_, rule)| matches(&rule.when, head, items)).collect();

    // What each line takes: its base rule, and of its multipliers one of each group.
    let mut plans = Vec::with_capacity(items.len());
    for item in items {
        let line = &head.basket.lines[item.place];
        let Some((rule, rate)) = rates.iter().find(|(index, _)| programme.rates[*index].when.line(line)) else { continue };
        let matching: Vec<_> = multipliers.iter().filter(|(_, rule)| rule.when.line(line)).copied().collect();
        plans.push((item, *rule, *rate, one_of_each_group(&matching)));
    }

    // One denominator for all, the least that every figure is whole over: minor units, rates, multipliers, points tenders.
    let (mut rate_den, mut factor_den, mut paid_den) = (W::of(1), W::of(1), W::of(1));
    for (_, _, rate, chosen) in &plans {
        rate_den = lcm(&rate_den, &W::of(rate.den))?;
        let mut of_line = W::of(1);
        for (_, rule) in chosen {
            of_line = match programme.wallet.stacking {
                Stacking::Additive => lcm(&of_line, &W::of(rule.factor.den))?,
                Stacking::Compound => mul(&of_line, rule.factor.den)?,
            };
        }
        factor_den = lcm(&factor_den, &of_line)?;
    }
    for paid in &worth.paid {
        paid_den = lcm(&paid_den, &W::of(paid.of))?;
    }
    let scale = 10_i64.pow(programme.wallet.decimals.into());
    let minor_den = W::of(10_i64.pow(head.basket.currency.exponent().into()));
    let den = minor_den.checked_mul(&rate_den)?.checked_mul(&factor_den)?.checked_mul(&paid_den)?;

    let mut shares: Vec<Share<W>> = Vec::with_capacity(items.len() * 2);
    for (item, rule, rate, chosen) in plans {
        // base · (unpaid share) · rate · 10^decimals / 10^exponent, over `den`.
        let mut num = mul(&mul(&mul(&den, item.base)?, rate.num)?, scale)?;
        num = num.div_rem(&mul(&minor_den, rate.den)?).0;
        let mut left = num.clone();
        for paid in worth.paid.iter().filter(|paid| paid.on[item.place]) {
            let (part, _) = num.div_rem(&W::of(paid.of));
            left = left.checked_sub(&mul(&part, paid.amount)?)?;
        }
        if left <= W::zero() {
            continue;
        }
        shares.push(Share { line: item.place, source: Source::Base(index16(rule)), num: left.clone() });
        let mut stands = left.clone();
        for (index, rule) in chosen {
            let on = match programme.wallet.stacking {
                Stacking::Additive => &left,
                Stacking::Compound => &stands,
            };
            let (part, _) = mul(on, rule.factor.num - rule.factor.den)?.div_rem(&W::of(rule.factor.den));
            stands = stands.checked_add(&part)?;
            if part > W::zero() {
                shares.push(Share { line: item.place, source: Source::Multiplier(index16(index)), num: part });
            }
        }
    }
    deal(programme, shares, &den)
}

/// Rounds the sum once and deals it out (rule 1).
fn deal<W: Wide>(programme: &Programme, shares: Vec<Share<W>>, den: &W) -> Option<Vec<Award>> {
    let mut sum = W::zero();
    for share in &shares {
        sum = sum.checked_add(&share.num)?;
    }
    let total = round(&sum, den, programme.wallet.rounding)?;
    let mut dealt = 0_i64;
    let mut parts = Vec::with_capacity(shares.len());
    for share in &shares {
        let (floor, rest) = share.num.div_rem(den);
        let floor = floor.to_i64()?;
        dealt = dealt.checked_add(floor)?;
        parts.push((floor, rest));
    }
    // Shares stand in the order (place of the line, order of the rules): a stable sort keeps it for ties.
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by(|a, b| parts[*b].1.cmp(&parts[*a].1));
    for index in order.into_iter().take(usize::try_from(total.checked_sub(dealt)?).unwrap_or(0)) {
        parts[index].0 += 1;
    }
    let awards = shares.iter().zip(parts).filter(|(_, (points, _))| *points > 0);
    Some(awards.map(|(share, (points, _))| Award { line: index16(share.line), source: share.source, points }).collect())
}

/// Of an exclusive group only the largest factor, ties by id.
fn one_of_each_group<'a>(matching: &[(usize, &'a Multiplier)]) -> Vec<(usize, &'a Multiplier)> {
    let larger = |a: Ratio, b: Ratio| i128::from(a.num) * i128::from(b.den) > i128::from(b.num) * i128::from(a.den);
    let mut chosen: Vec<(usize, &Multiplier)> = Vec::with_capacity(matching.len());
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

/// Head conditions and minimums: counts the lines that earn by rule 5, before points tenders, and of
/// them those that the condition's own categories or products name.
fn matches(when: &Condition, head: &Head<'_>, items: &[Item]) -> bool {
    if !when.head(head) {
        return false;
    }
    if !when.has_minimum() {
        return true;
    }
    let named = || items.iter().filter(|item| when.line(&head.basket.lines[item.place]));
    // A minimum in another currency needs a rate (rule 7), which this version does not have: not met.
    let spent = when.min_spend.is_none_or(|(currency, least)| currency == head.basket.currency && named().map(|item| item.base).sum::<i64>() >= least);
    spent && when.min_quantity.is_none_or(|least| named().map(|item| item.units).sum::<i64>() >= least)
}

fn bonuses(programme: &Programme, head: &Head<'_>, items: &[Item], awards: &mut Vec<Award>) -> Option<()> {
    for (index, bonus) in programme.bonuses.iter().enumerate() {
        if !matches(&bonus.when, head, items) {
            continue;
        }
        let source = Source::Bonus(index16(index));
        let mut earning = items.iter().filter(|item| item.unpaid && item.base > 0 && bonus.when.line(&head.basket.lines[item.place]));
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

/// Cuts what was added last first: bonuses, multipliers, base, each from the last line. What is cut
/// stands beside what it was cut from, so that the awards of a line still add up. `left`: what earlier
/// caps have left of each award.
fn cap(awards: &mut Vec<Award>, left: &mut Vec<i64>, points: i64, room: Option<i64>, source: Source) -> i64 {
    let Some(room) = room.map(|room| room.max(0)).filter(|room| points > *room) else { return points };
    let layer = |award: &Award| match award.source {
        Source::Bonus(_) => 0,
        Source::Multiplier(_) => 1,
        Source::Base(_) | Source::PurchaseCap | Source::MemberCap => 2,
    };
    let mut order: Vec<usize> = (0..awards.len()).filter(|i| left[*i] > 0).collect();
    // Within a layer from the last line; of one line, the rule added last.
    order.sort_by_key(|i| (layer(&awards[*i]), std::cmp::Reverse((awards[*i].line, *i))));
    let mut excess = points - room;
    let mut cuts: Vec<Award> = Vec::new();
    for index in order {
        let cut = excess.min(left[index]);
        if cut == 0 {
            break;
        }
        left[index] -= cut;
        excess -= cut;
        let line = awards[index].line;
        match cuts.iter_mut().find(|earlier| earlier.line == line) {
            Some(earlier) => earlier.points -= cut,
            None => cuts.push(Award { line, source, points: -cut }),
        }
    }
    left.extend(cuts.iter().map(|_| 0));
    awards.append(&mut cuts);
    room
}

/// Lines and rules are bounded far below this by the basket's and the programme's limits.
fn index16(index: usize) -> u16 {
    u16::try_from(index).unwrap_or(u16::MAX - 1)
}
