//! Points as a performance obligation (rule 26; IFRS 15, B39–B43): by cohort, how much of the price was for points, and how much
//! of that is revenue by now.
//!
//! A cohort is a wallet, a currency and the accounting month of issue. Figures are minor units of its currency.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Closes, Place};
use crate::basket::{Basket, LineKind};
use crate::ids::{LotId, MemberId, REWARDS};
use crate::merge::SPAN;
use crate::number::{Currency, Ratio, Rounding};
use crate::programme::{Programme, Programmes};
use crate::record::{Back, Body, Event, Movement, Record, Sale};
use crate::time::{Day, Period};

/// Which points.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct CohortKey {
    pub wallet: u8,
    pub currency: Currency,
    /// First day of the accounting month.
    pub month: Day,
}

/// What is known of a cohort.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cohort {
    /// What was paid, without tax and without what points paid.
    pub price: i64,
    /// The goods alone: before discounts, without tax.
    pub goods: i64,
    /// Points that the sales stand for.
    pub points: i64,
    /// Of their lots: redeemed so far, and still there.
    pub redeemed: i64,
    pub live: i64,
    /// What a whole point is worth, and the share that is expected to be redeemed, as of the month: never estimated again.
    pub value: Ratio,
    pub expected: Ratio,
    /// Decimals of the wallet.
    pub decimals: u8,
}

/// Points without a sale, and debt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Apart {
    /// Rewards, adjustments, transfers received: still there.
    pub provision: i64,
    /// Owed by members.
    pub receivable: i64,
}

/// All cohorts as of a day.
#[derive(Clone, Debug, Default)]
pub struct Cohorts {
    pub all: BTreeMap<CohortKey, Cohort>,
    /// By wallet.
    pub apart: BTreeMap<u8, Apart>,
    lots: HashMap<(MemberId, u8, LotId), Source>,
    /// Of each sale, for its returns: its cohorts, what it was for them, and what is left.
    sales: HashMap<(MemberId, u64), Sold>,
    /// Whose journals a member has taken over.
    sources: HashMap<MemberId, Vec<MemberId>>,
    /// Members that have gone into others, whose lots and sales are kept.
    gone: HashSet<MemberId>,
    /// What happened to lots and sales of those, wherever their journals are read.
    later: Vec<Later>,
}

/// What happened to something of a member that has gone into another one.
#[derive(Clone, Debug)]
enum Later {
    Lot { member: MemberId, wallet: u8, lot: LotId, live: i64, redeemed: i64 },
    Back { member: MemberId, back: Back, debts: Vec<(u8, i64)> },
}

/// Where a lot came from.
#[derive(Clone, Copy, Debug)]
enum Source {
    Sale(CohortKey),
    Apart,
}

/// A sale's part in its cohorts.
#[derive(Clone, Debug)]
struct Sold {
    cohorts: Vec<CohortKey>,
    price: i64,
    goods: i64,
    /// Which lines are revenue, their net, and what of it has come back.
    revenue: Vec<bool>,
    net: i64,
    back: i64,
}

impl Cohorts {
    /// Folds a record in, as far as its postings lie on accounting days up to `through`. `None`: a version is not known.
    pub fn add(&mut self, Place { member, seq, offset }: Place, record: &Record, programmes: &Programmes, closes: &Closes, through: Day) -> Option<()> {
        let programme = programmes.version(record.programme)?;
        let document = closes.accounting(super::document_day(record, programme), offset);
        if let Body::Purchased(sale) = &record.body
            && document <= through
        {
            self.sold(member, seq, sale, programmes.version(sale.programme)?, document);
        }
        // What a pool borrows is spent at once; what is not, comes home.
        let pooled = matches!(record.body, Body::Lent { .. } | Body::CameHome { .. });
        for event in &record.events {
            let Event::Points(wallet, movement) = event else { continue };
            let day = super::effective(movement).map_or(document, |at| closes.accounting(Day::at(at, &programme.zone), offset));
            if day <= through {
                self.moved(member, seq, *wallet, movement, pooled);
            }
        }
        match &record.body {
            Body::Returned(returned) if document <= through => {
                let debt = |event: &Event| if let Event::Points(wallet, Movement::DebtRaised { points }) = event { Some((*wallet, *points)) } else { None };
                self.returned(member, &returned.back, record.events.iter().filter_map(debt).collect());
            }
            Body::Purchased(sale) if document <= through => sale.exchanged.iter().chain(sale.waited.iter().map(|(_, back)| back)).for_each(|back| self.returned(member, back, Vec::new())),
            Body::Absorbed(absorbed) => self.sources.entry(member).or_default().extend(absorbed.journals.iter().map(|journal| journal.member)),
            Body::Merged { place: Some(_), .. } => {
                self.gone.insert(member);
            }
            _ => {}
        }
        Some(())
    }

    fn sold(&mut self, member: MemberId, seq: u64, sale: &Sale, programme: &Programme, day: Day) {
        let Ok(worth) = sale.basket.worth() else { return };
        let (price, goods) = prices(&sale.basket, worth.paid_in_points());
        let month = Period::Month.start(day);
        let revenue: Vec<bool> = sale.basket.lines.iter().map(|line| !line.voided && is_revenue(line.kind)).collect();
        let net = worth.lines.iter().zip(&revenue).filter(|(_, revenue)| **revenue).map(|(line, _)| line.net).sum();
        let mut sold = Sold { cohorts: Vec::new(), price, goods, revenue, net, back: 0 };
        for share in sale.shares.iter().filter(|share| share.earned > 0) {
            let rules = programme.wallet(share.wallet);
            let Some(value) = rules.values.get(&sale.basket.currency) else { continue };
            let key = CohortKey { wallet: share.wallet, currency: sale.basket.currency, month };
            let new = || Cohort { price: 0, goods: 0, points: 0, redeemed: 0, live: 0, value: *value, expected: rules.expected_redemption(month), decimals: rules.decimals };
            let cohort = self.all.entry(key).or_insert_with(new);
            cohort.price += price;
            cohort.goods += goods;
            cohort.points += share.earned;
            sold.cohorts.push(key);
        }
        self.sales.insert((member, seq), sold);
    }

    /// In whose journal a number stands, and which it is there.
    fn origin(&self, member: MemberId, seq: u64) -> Option<(MemberId, u64)> {
        let place = usize::try_from(seq / u64::from(SPAN)).ok()?.checked_sub(1)?;
        Some((*self.sources.get(&member)?.get(place)?, seq % u64::from(SPAN)))
    }

    fn returned(&mut self, member: MemberId, back: &Back, debts: Vec<(u8, i64)>) {
        match self.origin(member, back.sale) {
            Some((member, sale)) => self.later.push(Later::Back { member, back: Back { sale, ..back.clone() }, debts }),
            None => self.came_back(member, back, &debts),
        }
    }

    /// A return takes its part of the price and of the goods out, by net amount, and its points. What it claims and finds spent is debt: that
    /// part was not redeemed after all, until it is repaid.
    fn came_back(&mut self, member: MemberId, back: &Back, debts: &[(u8, i64)]) {
        let Some(sold) = self.sales.get_mut(&(member, back.sale)) else { return };
        let part = |whole: i64, back: i64| crate::number::mul_div_floor(whole, back, sold.net).unwrap_or(0);
        let before = sold.back;
        let now = before + back.lines.iter().filter(|(line, ..)| sold.revenue.get(usize::from(*line)).copied().unwrap_or(false)).map(|(_, net, _)| net).sum::<i64>();
        let (price, goods) = (part(sold.price, now) - part(sold.price, before), part(sold.goods, now) - part(sold.goods, before));
        sold.back = now;
        for key in sold.cohorts.clone() {
            if let Some(cohort) = self.all.get_mut(&key) {
                cohort.price -= price;
                cohort.goods -= goods;
                cohort.points -= back.wallets.iter().filter(|claim| claim.wallet == key.wallet).map(|claim| claim.claimed).sum::<i64>();
                cohort.redeemed -= debts.iter().filter(|(wallet, _)| *wallet == key.wallet).map(|(_, points)| points).sum::<i64>();
            }
        }
    }

    /// Forgets single lots and sales: no record of another member refers to them, unless their own has gone into it.
    pub fn next_members(&mut self) {
        let gone = &self.gone;
        self.lots.retain(|(member, ..), _| gone.contains(member));
        self.sales.retain(|(member, _), _| gone.contains(member));
    }

    /// All journals have been read.
    pub fn finish(&mut self) {
        for later in std::mem::take(&mut self.later) {
            match later {
                Later::Lot { member, wallet, lot, live, redeemed } => self.changed(member, wallet, lot, live, redeemed),
                Later::Back { member, back, debts } => self.came_back(member, &back, &debts),
            }
        }
        self.lots.clear();
        self.sales.clear();
    }

    fn moved(&mut self, member: MemberId, seq: u64, wallet: u8, movement: &Movement, pooled: bool) {
        let apart = self.apart.entry(wallet).or_default();
        match *movement {
            Movement::DebtRaised { points } | Movement::Overdrawn { points, .. } | Movement::RepaymentUndone { points, .. } | Movement::GivenClaimed { points, .. } => apart.receivable += points,
            Movement::DebtWrittenOff { points } => apart.receivable -= points,
            Movement::DebtRepaid { points, .. } => apart.receivable -= points,
            _ => {}
        }
        let (lot, live, redeemed) = match *movement {
            Movement::Issued { lot, points, .. } | Movement::Received { lot, points, .. } | Movement::Overdrawn { lot, points, .. } | Movement::Gifted { lot, points, .. } | Movement::Lent { lot, points, .. } => {
                let of_sale = (lot.n < REWARDS).then(|| self.sales.get(&(member, seq))).flatten();
                let cohort = of_sale.and_then(|sold| sold.cohorts.iter().find(|key| key.wallet == wallet)).copied();
                let cohort = cohort.filter(|_| matches!(movement, Movement::Issued { .. }));
                self.lots.insert((member, wallet, lot), cohort.map_or(Source::Apart, Source::Sale));
                (lot, points, 0)
            }
            Movement::Spent { lot, points, .. } | Movement::HeldSpent { lot, points, .. } => (lot, -points, points),
            Movement::Reinstated { lot, points, .. } => (lot, points, -points),
            Movement::Given { lot, points, .. } if pooled => (lot, -points, points),
            Movement::GivenBack { lot, points, .. } if pooled => (lot, points, -points),
            // What met a debt has paid for it: as if redeemed.
            Movement::DebtRepaid { lot, points } => (lot, -points, points),
            // Nor has it, when a return undid that.
            Movement::RepaymentUndone { lot, points } => (lot, 0, -points),
            Movement::Unexpired { lot, points, .. } | Movement::GivenBack { lot, points, .. } => (lot, points, 0),
            Movement::Expired { lot, points, .. }
            | Movement::Lapsed { lot, points, .. }
            | Movement::ClawedBack { lot, points, .. }
            | Movement::OwedMet { lot, points, .. }
            | Movement::AdjustedDown { lot, points }
            | Movement::Given { lot, points, .. }
            | Movement::SentHome { lot, points }
            | Movement::Sent { lot, points } => (lot, -points, 0),
            _ => return,
        };
        match self.origin(member, lot.seq.into()) {
            Some((member, seq)) => self.later.push(Later::Lot { member, wallet, lot: LotId { seq: u32::try_from(seq).unwrap_or(u32::MAX), ..lot }, live, redeemed }),
            None => self.changed(member, wallet, lot, live, redeemed),
        }
    }

    fn changed(&mut self, member: MemberId, wallet: u8, lot: LotId, live: i64, redeemed: i64) {
        match self.lots.get(&(member, wallet, lot)) {
            Some(Source::Sale(key)) => {
                if let Some(cohort) = self.all.get_mut(key) {
                    cohort.live += live;
                    cohort.redeemed += redeemed;
                }
            }
            Some(Source::Apart) => self.apart.entry(wallet).or_default().provision += live,
            // Issued on a day after `through`.
            None => {}
        }
    }
}

/// What is only kept for the customer, or for others, is no revenue.
fn is_revenue(kind: LineKind) -> bool {
    matches!(kind, LineKind::Goods | LineKind::Service | LineKind::Fee)
}

/// What was paid without tax and without what points paid; and the goods alone.
fn prices(basket: &Basket, paid_in_points: i64) -> (i64, i64) {
    let sold = basket.lines.iter().filter(|line| !line.voided && is_revenue(line.kind));
    let (mut gross, mut goods, mut tax) = (0_i64, 0_i64, 0_i64);
    for line in sold {
        gross += line.amount - line.discount;
        goods += line.amount;
        tax += line.tax;
    }
    gross -= basket.discounts.iter().map(|discount| discount.amount).sum::<i64>();
    let without_tax = if basket.prices_include_tax { tax } else { 0 };
    ((gross - without_tax - paid_in_points).max(0), (goods - without_tax).max(0))
}

impl Cohort {
    /// What of the price was for points: `price · S / (goods + S)`, half-even, where `S = points · value · expected`.
    #[must_use]
    pub fn allocated(&self, currency: Currency) -> i64 {
        // S over a common denominator: points/10^decimals · value · 10^exponent · expected.
        let num = i128::from(self.points.max(0)) * i128::from(self.value.num) * i128::from(self.expected.num) * 10_i128.pow(currency.exponent().into());
        let den = i128::from(self.value.den) * i128::from(self.expected.den) * 10_i128.pow(self.decimals.into());
        let whole = i128::from(self.goods.max(0)).checked_mul(den).and_then(|goods| goods.checked_add(num));
        let of = whole.filter(|whole| *whole > 0).and_then(|whole| Some((i128::from(self.price.max(0)).checked_mul(num)?, whole)));
        of.and_then(|(num, den)| crate::number::round(&num, &den, Rounding::HalfEven)).unwrap_or(0)
    }

    /// Revenue of a period: what there is at its end, less what there was before it, each by the rate expected then (rule 26).
    #[must_use]
    pub fn revenue_of_period(&self, before: Option<&Self>, currency: Currency, [eve, end]: [Ratio; 2]) -> i64 {
        self.revenue(currency, end) - before.map_or(0, |before| before.revenue(currency, eve))
    }

    /// Revenue of it so far: `allocated · min(1, redeemed / (redeemed + live · rate))`, half-even; nothing live: all of it.
    #[must_use]
    pub fn revenue(&self, currency: Currency, rate: Ratio) -> i64 {
        let allocated = self.allocated(currency);
        if self.live <= 0 {
            return allocated;
        }
        let redeemed = i128::from(self.redeemed.max(0)) * i128::from(rate.den);
        let total = redeemed + i128::from(self.live) * i128::from(rate.num);
        if total <= 0 || redeemed >= total {
            return allocated;
        }
        i128::from(allocated).checked_mul(redeemed).and_then(|num| crate::number::round(&num, &total, Rounding::HalfEven)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cohort(redeemed: i64, live: i64) -> Cohort {
        Cohort { price: 0, goods: 0, points: 0, redeemed, live, value: Ratio::ONE, expected: Ratio::ONE, decimals: 0 }
    }

    #[test]
    fn rule_26_the_check_figures() {
        let usd: Currency = "USD".parse().expect("a currency");
        // S = 10,000 points · 1.00 · .9 = 9,000.00 of goods for 91,000.00, all paid: allocated 9,000 of 100,000.
        let sold = Cohort { price: 10_000_000, goods: 9_100_000, points: 10_000, expected: Ratio { num: 9, den: 10 }, ..cohort(0, 10_000) };
        assert_eq!(sold.allocated(usd), 900_000);
        // With an allocation of 9,000 (in units here): 4,500 of 9,700 redeemed, later 8,500 of 9,900.
        let of = |redeemed: i64, total: i64| {
            let allocation = Cohort { price: 9_000, goods: 0, points: 1, ..cohort(redeemed, total - redeemed) };
            assert_eq!(allocation.allocated(usd), 9_000);
            allocation.revenue(usd, Ratio::ONE)
        };
        assert_eq!(of(4_500, 9_700), 4_175);
        assert_eq!(of(8_500, 9_900) - of(4_500, 9_700), 3_552);
        // Nothing live: all of it. Nothing redeemed: none.
        assert_eq!((of(9_000, 9_000), of(0, 9_000)), (9_000, 0));
        // Today's expected rate counts the live ones only: 4,500 redeemed, 10,400 live of which half are expected.
        let half = Cohort { price: 9_000, goods: 0, points: 1, ..cohort(4_500, 10_400) };
        assert_eq!(half.revenue(usd, Ratio { num: 1, den: 2 }), 4_175);
        // A period in which nothing is redeemed and fewer are expected: the correction is its revenue.
        let of_expected = Cohort { price: 9_000, goods: 0, points: 1, ..cohort(4_500, 5_200) };
        let fewer = Ratio { num: 9, den: 10 };
        assert_eq!(of_expected.revenue(usd, fewer), 4_412);
        assert_eq!(of_expected.revenue_of_period(Some(&of_expected), usd, [Ratio::ONE, fewer]), 4_412 - 4_175);
        assert_eq!(of_expected.revenue_of_period(None, usd, [Ratio::ONE, fewer]), 4_412);
    }
}
