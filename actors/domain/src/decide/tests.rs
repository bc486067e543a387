//! Given a member, when a command, then a record. Named after the rules they show.

use std::sync::Arc;

use super::{Context, Decision, decide, needs};
use crate::Code;
use crate::basket::{Basket, Line, LineKind, Tender};
use crate::campaigns::{Budgets, Endless};
use crate::command::{Ask, Command, Purchase};
use crate::rules::Condition;
use crate::compile::{MetricSource, BonusSource, ConditionSource, MultiplierSource, RateSource, Source, compile};
use crate::keys::{Keys, TransactionId};
use crate::ids::MemberId;
use crate::member::Member;
use crate::merge;
use crate::number::Decimal;
use crate::programme::{Caps, ExpiryRule, HoldRules, Level, Programmes, TierPeriod, UnknownAlias, WalletRules};
use crate::record::{Asked, Body, Figures, Record};
use crate::time::{DAY_MS, Millis, RoundUp};

/// 2026-06-01T12:00:00Z.
pub(super) const NOON: Millis = 1_780_315_200_000;

pub(super) fn source() -> Source {
    let usd = "USD".parse().expect("a currency");
    Source {
        name: "test".into(),
        language: "en".into(),
        zone: "UTC".into(),
        stores: Vec::new(),
        regions: Default::default(),
        notice_unknown_stores: false,
        wallets: vec![WalletRules {
            id: "points".into(),
            decimals: 0,
            rounding: Default::default(),
            stacking: Default::default(),
            earn_on_tax: false,
            expiry: Some(ExpiryRule { months: 1, round_up: RoundUp::Day, from_activation: false, rolling: false, notice_days: 0 }),
            values: [(usd, Decimal(10_000).ratio())].into(),
            grace_days: 0,
            caps: Caps::default(),
            redemption: Vec::new(),
        }],
        transfers: Vec::new(),
        exchange: Vec::new(),
        excluded: vec!["tobacco".into()],
        rates: vec![RateSource { wallet: "".into(), id: "base".into(), priority: 0, currency: usd, points: Decimal(Decimal::ONE), campaign: "".into(), when: ConditionSource::default(), text: "".into() }],
        multipliers: Vec::new(),
        bonuses: Vec::new(),
        campaigns: Vec::new(),
        goals: Vec::new(),
        metric: MetricSource::Points("".into()),
        period: TierPeriod::CalendarYear,
        levels: [("bronze", 0), ("silver", 100)].map(|(id, threshold)| Level { id: id.into(), name: id.into(), threshold }).into(),
        grace_days: 0,
        soft_landing: false,
        tier_notice_days: 0,
        aliases: [("card".into(), UnknownAlias::Enrol)].into(),
        holds: HoldRules { ttl_ms: 60_000, max_ttl_ms: 100 * DAY_MS, max_open: 3 },
        pending: Vec::new(),
        clawback: crate::programme::Clawback::WithinBalance,
        renumbers: Vec::new(),
    }
}

pub(super) struct World {
    programmes: Programmes,
    pub(super) member: Member,
    records: Vec<Arc<Record>>,
    pub(super) now: Millis,
    pub(super) budgets: Arc<dyn Budgets>,
    /// Journals of members that have gone into this one.
    elsewhere: Vec<(MemberId, Vec<Arc<Record>>)>,
}

impl World {
    pub(super) fn new(source: &Source) -> Self {
        Self::of(&[(source, 0)])
    }

    /// Before anybody has enrolled, at a time.
    pub(super) fn empty(source: &Source, now: Millis) -> Self {
        let mut world = Self::new(source);
        (world.member, world.now) = (Member::default(), now);
        world.records.clear();
        world
    }

    /// With several versions, each from its time on.
    pub(super) fn of(versions: &[(&Source, Millis)]) -> Self {
        let compiled = (1..).zip(versions).map(|(number, (source, since))| Arc::new(compile(source, number, *since).expect("a good programme")));
        let mut world = Self { programmes: Programmes::new(compiled.collect()), member: Member::default(), records: Vec::new(), now: NOON, budgets: Arc::new(Endless), elsewhere: Vec::new() };
        world.does(1, Ask::Enrol { aliases: Vec::new() }).expect("enrolled");
        world
    }

    pub(super) fn decide(&self, header: u128, ask: Ask) -> (Decision, Vec<u64>) {
        let command = Command { header, ask };
        let seqs = needs(&self.member, &command);
        let read: Vec<_> = seqs.iter().map(|seq| (*seq, self.record(*seq))).collect();
        let context = Context { budgets: &*self.budgets, ..Context::new(self.now, &self.programmes) };
        (decide(&self.member, &command, &context, &read), seqs.to_vec())
    }

    /// A record by its number, also one of a member that has gone into this one.
    pub(super) fn record(&self, seq: u64) -> Arc<Record> {
        let at = |records: &[Arc<Record>], seq: u64| records[usize::try_from(seq).expect("small") - 1].clone();
        let Some((member, local)) = self.member.merges.as_ref().and_then(|merges| merges.elsewhere(seq)) else { return at(&self.records, seq) };
        let journal = self.elsewhere.iter().find(|(of, _)| *of == member).expect("a journal that is known");
        Arc::new(merge::of_record(&at(&journal.1, local), u8::try_from(seq / u64::from(merge::SPAN)).expect("a place")))
    }

    /// A journal that came with another one.
    pub(super) fn knows_journal(&mut self, member: MemberId, of: &Self) {
        self.elsewhere.push((member, of.records.clone()));
    }

    /// Another member goes into this one, as the façade does it; how it ended.
    pub(super) fn takes(&mut self, me: MemberId, from: MemberId, source: &mut Self) -> Result<bool, Code> {
        source.does(0, Ask::Merge { into: me })?;
        let merge = source.member.seq;
        let cut = Arc::new(merge::Cut::new(source.member.clone()));
        let mut place = None;
        for (part, _) in (0..).zip(&cut.parts) {
            for _ in 0..2 {
                let taken = self.does(0, Ask::Absorb { from, merge, part, cut: cut.clone() })?;
                place = if let Body::Absorbed(absorbed) = &taken.body { Some(absorbed.place) } else { None };
            }
            if place.is_none() {
                break;
            }
        }
        assert_eq!(source.does(0, Ask::Tick).err(), Some(Code::NothingDue));
        source.does(0, Ask::SettleMerge { merge, place })?;
        if place.is_some() {
            self.elsewhere.append(&mut source.elsewhere.clone());
            self.elsewhere.push((from, source.records.clone()));
        }
        Ok(place.is_some())
    }

    /// Commits, and holds INV-2 and INV-1's figures after each record.
    pub(super) fn does(&mut self, header: u128, ask: Ask) -> Result<Arc<Record>, Code> {
        match self.decide(header, ask) {
            (Decision::Commit(record), _) => {
                let programme = self.programmes.current().expect("a programme").clone();
                let due = self.member.due_after(&record, &programme);
                self.member.apply(&record);
                assert!(due <= self.member.next_due(&programme), "a reminder may come too early, never too late");
                self.records.push(record.clone());
                for (number, after) in &record.after {
                    assert_eq!(self.member.figures(*number), *after, "the figures after are the fold of the events");
                }
                for wallet in &self.member.wallets {
                    let figures = wallet.figures;
                    assert!(figures.available >= 0 && (figures.debt == 0 || figures.available == 0), "INV-2: {figures:?}");
                    assert_eq!(figures.available, wallet.live.iter().map(crate::wallet::Lot::free).sum::<i64>());
                    let coming = self.member.merges.as_ref().is_some_and(|merges| merges.coming().is_some());
                    assert!(coming || figures.held == wallet.holds.iter().map(|hold| hold.points).sum::<i64>());
                }
                Ok(record)
            }
            (Decision::Repeat(index), seqs) => Ok(self.record(seqs[index])),
            (Decision::Refuse(no), _) => Err(no.code),
        }
    }

    pub(super) fn buys(&mut self, id: &str, basket: Basket) -> Result<Arc<Record>, Code> {
        let keys = Keys { transaction: Some(TransactionId { source: "pos".into(), id: id.into() }), ..Keys::default() };
        self.does(0, Ask::Purchase(Box::new(Purchase { basket: Arc::new(basket), keys, alias: None })))
    }

    pub(super) fn records(&self) -> &[Arc<Record>] {
        &self.records
    }

    /// A return of lines of a sale, all of it when none is named.
    pub(super) fn returns(&mut self, header: u128, sale: u64, lines: &[(&str, Option<i64>)]) -> Result<Arc<Record>, Code> {
        let back = |(line, amount): &(&str, Option<i64>)| crate::command::LineBack { line: (*line).into(), quantity: None, amount: *amount };
        let asked = crate::command::Return {
            kind: crate::keys::KeyKind::Return,
            sale: crate::command::SaleName::Seq(sale),
            lines: lines.iter().map(back).collect(),
            currency: None,
            points_refund: None,
            keys: Keys::default(),
            occurred_at: self.now,
            may_wait: false,
            receipt_used: false,
        };
        self.does(header, Ask::Return(Box::new(asked)))
    }

    pub(super) fn figures(&self) -> Figures {
        self.member.figures(0)
    }
}

pub(super) fn line(id: &str, category: &str, amount: i64) -> Line {
    Line {
        id: id.into(),
        kind: LineKind::Goods,
        sku: "".into(),
        category: category.into(),
        brand: "".into(),
        quantity: Decimal(Decimal::ONE),
        unit: "".into(),
        amount,
        discount: 0,
        tax: 0,
        voided: false,
        returns: None,
    }
}

pub(super) fn basket(at: Millis, lines: Vec<Line>, tenders: Vec<Tender>) -> Basket {
    let currency = "USD".parse().expect("a currency");
    Basket {
        source: "pos".into(),
        store: "1".into(),
        till: "".into(),
        channel: "".into(),
        customer_group: "".into(),
        occurred_at: at,
        business_date: None,
        currency,
        prices_include_tax: true,
        lines,
        discounts: Vec::new(),
        tenders,
        ext: "".into(),
    }
}

pub(super) fn points(amount: i64) -> Tender {
    Tender { wallet: "".into(), kind: "points".into(), amount, hold: None, offline: None, lines: Vec::new() }
}

fn earned(record: &Record) -> i64 {
    match &record.body {
        Body::Purchased(sale) => {
            let earned = sale.shares.iter().map(|share| share.earned).sum::<i64>();
            assert_eq!(sale.awards.iter().map(|award| award.points).sum::<i64>(), earned, "rule 9: the explanation adds up");
            earned
        }
        other => panic!("not a sale: {other:?}"),
    }
}

#[test]
fn rule_01_shares_paid_in_points_are_exact() {
    // Lines of 1.03, 1.03, 1.05, of which 2.11 was paid in points: exactly one dollar is left, so one point.
    let mut world = World::new(&source());
    world.does(2, Ask::Adjust { wallet: 0, points: 1_000, reason: "start".into(), allow_debt: false, write_off: false }).expect("given");
    let lines = vec![line("1", "", 103), line("2", "", 103), line("3", "", 105)];
    assert_eq!(earned(&world.buys("a", basket(NOON, lines, vec![points(211)])).expect("sold")), 1);
    assert_eq!(world.figures().available, 1_000 - 211 + 1);
}

#[test]
fn rule_05_the_example_of_the_api() {
    // Triple points on milk; 79 of 379 cents paid in points: .625 and 2.375 dollars count; 7.75 becomes 7.
    let mut programme = source();
    let when = ConditionSource { when: Condition { categories: vec!["dairy/milk".into()], ..Condition::default() }, ..ConditionSource::default() };
    programme.multipliers.push(MultiplierSource { wallet: "".into(), id: "milk".into(), priority: 0, factor: Decimal(3 * Decimal::ONE), group: None, campaign: "".into(), when, text: "".into() });
    let mut world = World::new(&programme);
    world.does(2, Ask::Adjust { wallet: 0, points: 100, reason: "start".into(), allow_debt: false, write_off: false }).expect("given");
    let mut potatoes = line("1", "produce/potatoes", 139);
    potatoes.discount = 60;
    let record = world.buys("a", basket(NOON, vec![potatoes, line("2", "dairy/milk", 300)], vec![points(79)])).expect("sold");
    assert_eq!(earned(&record), 7);
}

#[test]
fn rule_05_what_never_earns() {
    let mut world = World::new(&source());
    let mut card = line("1", "", 5_000);
    card.kind = LineKind::GiftCard;
    let mut voided = line("2", "", 5_000);
    voided.voided = true;
    let lines = vec![card, voided, line("3", "tobacco/cigars", 5_000), line("4", "tobaccos", 200)];
    assert_eq!(earned(&world.buys("a", basket(NOON, lines, Vec::new())).expect("sold")), 2);
    let too_much = basket(NOON, vec![line("1", "", 100)], vec![points(101)]);
    assert_eq!(world.buys("b", too_much).err(), Some(Code::TenderExceeds));
}

#[test]
fn rule_06_caps_cut_bonuses_first_and_say_so() {
    let mut programme = source();
    programme.bonuses.push(BonusSource { wallet: "".into(), id: "ten".into(), points: 10, per_unit: false, campaign: "".into(), when: ConditionSource::default(), text: "".into() });
    programme.wallets[0].caps.purchase = Some(15);
    let mut world = World::new(&programme);
    let record = world.buys("a", basket(NOON, vec![line("1", "", 1_200)], Vec::new())).expect("sold");
    assert_eq!(earned(&record), 15);
    let Body::Purchased(sale) = &record.body else { panic!("a sale") };
    assert_eq!(sale.awards.last().map(|award| (award.line, award.points)), Some((crate::earn::WHOLE_BASKET, -7)));
}

#[test]
fn rule_04_points_expire_at_the_start_of_the_next_day_at_every_read() {
    let mut world = World::new(&source());
    world.buys("a", basket(NOON, vec![line("1", "", 500)], Vec::new())).expect("sold");
    // One month later, valid through 1 July: gone at 2 July 00:00 UTC.
    world.now = NOON + 30 * DAY_MS + DAY_MS / 2 - 1;
    assert_eq!(super::due(&world.member, &Context::new(world.now, &world.programmes)).map(|due| due.0[0].available), Some(5));
    world.now += 1;
    assert_eq!(super::due(&world.member, &Context::new(world.now, &world.programmes)).map(|due| due.0[0].available), Some(0));
    assert_eq!(world.does(2, Ask::Redeem { wallet: 0, asked: Asked::Points(1), offline: None }).err(), Some(Code::InsufficientPoints));
}

#[test]
fn rule_12_a_hold_keeps_its_points_and_a_late_confirm_takes_them_again() {
    let mut world = World::new(&source());
    world.buys("a", basket(NOON, vec![line("1", "", 1_000)], Vec::new())).expect("sold");
    let hold = world.does(2, Ask::PlaceHold { wallet: 0, asked: Asked::Points(6), ttl_ms: None, pool: None }).map(|_| world.member.seq).expect("held");
    assert_eq!((world.figures().available, world.figures().held), (4, 6));
    assert_eq!(world.does(3, Ask::PlaceHold { wallet: 0, asked: Asked::Points(5), ttl_ms: None, pool: None }).err(), Some(Code::InsufficientPoints));
    world.now += 61_000;
    world.does(4, Ask::ConfirmHold { hold, points: Some(5) }).expect("taken again");
    assert_eq!((world.figures().available, world.figures().held), (5, 0));
    assert_eq!(world.does(5, Ask::ConfirmHold { hold, points: None }).err(), Some(Code::HoldExpired), "once only");
    assert!(world.does(4, Ask::ConfirmHold { hold, points: Some(5) }).is_ok(), "the same request again is answered");
    assert_eq!(world.figures().available, 5);
}

#[test]
fn rule_13_money_to_points_ceils() {
    let mut programme = source();
    programme.wallets[0].values.values_mut().for_each(|value| *value = Decimal(30_000).ratio());
    let mut world = World::new(&programme);
    world.does(2, Ask::Adjust { wallet: 0, points: 100, reason: "start".into(), allow_debt: false, write_off: false }).expect("given");
    // A point is 3 cents: 10 cents take 4.
    world.does(3, Ask::Redeem { wallet: 0, asked: Asked::Money("USD".parse().expect("a currency"), 10), offline: None }).expect("redeemed");
    assert_eq!(world.figures().available, 96);
}

#[test]
fn rule_14_debt_is_met_first_and_never_stands_beside_points() {
    let mut world = World::new(&source());
    assert_eq!(world.does(2, Ask::Adjust { wallet: 0, points: -8, reason: "error".into(), allow_debt: false, write_off: false }).err(), Some(Code::InsufficientPoints));
    world.does(3, Ask::Adjust { wallet: 0, points: -8, reason: "error".into(), allow_debt: true, write_off: false }).expect("taken");
    world.buys("a", basket(NOON, vec![line("1", "", 500)], Vec::new())).expect("sold");
    assert_eq!((world.figures().available, world.figures().debt), (0, 3));
    world.does(4, Ask::Adjust { wallet: 0, points: 2, reason: "goodwill".into(), allow_debt: false, write_off: true }).expect("forgiven");
    world.buys("b", basket(NOON, vec![line("1", "", 500)], Vec::new())).expect("sold");
    assert_eq!((world.figures().available, world.figures().debt), (4, 0));
}

#[test]
fn rule_21_a_purchase_earns_at_the_tier_held_before_it() {
    let mut world = World::new(&source());
    let record = world.buys("a", basket(NOON, vec![line("1", "", 10_000)], Vec::new())).expect("sold");
    assert_eq!(record.tier, 1);
    let Body::Purchased(sale) = &record.body else { panic!("a sale") };
    assert_eq!(sale.found.tier, 0);
    // Kept through the next year by the closed one, lost after it.
    world.now += 500 * DAY_MS;
    assert_eq!(super::due(&world.member, &Context::new(world.now, &world.programmes)).map(|due| due.1), Some(1));
    world.now += 100 * DAY_MS;
    assert_eq!(super::due(&world.member, &Context::new(world.now, &world.programmes)).map(|due| due.1), Some(0));
}

#[test]
fn rules_23_and_24_a_repeat_is_answered_and_other_content_is_named() {
    let mut world = World::new(&source());
    let first = world.buys("a", basket(NOON, vec![line("1", "", 500)], Vec::new())).expect("sold");
    let again = world.buys("a", basket(NOON, vec![line("1", "", 500)], Vec::new())).expect("repeated");
    assert!(Arc::ptr_eq(&first, &again));
    assert_eq!(world.figures().available, 5);
    assert_eq!(world.buys("a", basket(NOON, vec![line("1", "", 501)], Vec::new())).err(), Some(Code::KeyConflict));
}

#[test]
fn rule_02_a_clock_that_runs_ahead_is_refused() {
    let mut world = World::new(&source());
    let ahead = basket(NOON + 11 * 60_000, vec![line("1", "", 500)], Vec::new());
    assert_eq!(world.buys("a", ahead).err(), Some(Code::Clock));
}

#[test]
fn rule_04_a_redemption_rolls_every_expiry_on() {
    let mut programme = source();
    programme.wallets[0].expiry.iter_mut().for_each(|rule| rule.rolling = true);
    let mut world = World::new(&programme);
    world.buys("a", basket(NOON, vec![line("1", "", 500)], Vec::new())).expect("sold");
    world.now += 20 * DAY_MS;
    world.does(2, Ask::Redeem { wallet: 0, asked: Asked::Points(1), offline: None }).expect("redeemed");
    world.now += 20 * DAY_MS;
    assert_eq!(super::due(&world.member, &Context::new(world.now, &world.programmes)).map(|due| due.0[0].available), Some(4));
}

#[test]
fn rule_01_many_rules_with_long_decimals_do_not_overflow() {
    for stacking in [crate::programme::Stacking::Additive, crate::programme::Stacking::Compound] {
        let mut programme = source();
        programme.wallets[0].stacking = stacking;
        for n in 0..200 {
            // Each on another category, so that a line meets few of them.
            let when = ConditionSource { when: Condition { categories: vec![format!("c{n}").into()], ..Condition::default() }, ..ConditionSource::default() };
            programme.multipliers.push(MultiplierSource { wallet: "".into(), id: format!("m{n}").into(), priority: 0, factor: Decimal(1_333_333 + 2 * n), group: None, campaign: "".into(), when, text: "".into() });
        }
        let mut world = World::new(&programme);
        let lines = (0..200).map(|n| line(&n.to_string(), &format!("c{n}"), 1_000)).collect();
        let record = world.buys("1", basket(NOON, lines, Vec::new()));
        if stacking == crate::programme::Stacking::Additive {
            // 2,000 dollars, each line with its own factor: 10·Σ(1.333333 + 2n/10⁶) = 2,667.0646, rounded once.
            assert_eq!(record.map(|record| earned(&record)), Ok(2_667));
        } else {
            // 200 factors of six places each: over one denominator of 10⁶ they still fit.
            assert_eq!(record.map(|record| earned(&record)), Ok(2_667));
        }
    }
}

#[test]
fn rule_21_the_first_purchase_after_a_downgrade_earns_at_the_lower_tier() {
    let mut programme = source();
    let when = ConditionSource { tiers: vec!["silver".into()], ..ConditionSource::default() };
    programme.multipliers.push(MultiplierSource { wallet: "".into(), id: "silver".into(), priority: 0, factor: Decimal(2 * Decimal::ONE), group: None, campaign: "".into(), when, text: "".into() });
    let mut world = World::new(&programme);
    world.buys("1", basket(NOON, vec![line("a", "", 10_000)], Vec::new())).expect("silver now");
    assert_eq!(world.member.tier.level, 1);
    // The year in which it was reached and the one after it carry it; then nobody has looked.
    world.now = NOON + 600 * DAY_MS;
    let record = world.buys("2", basket(world.now, vec![line("a", "", 1_000)], Vec::new())).expect("sold");
    assert_eq!((earned(&record), world.member.tier.level), (10, 0));
}

#[test]
fn rule_04_a_late_lot_of_a_rolling_wallet_is_moved_as_the_others_were() {
    let mut programme = source();
    programme.wallets[0].expiry.iter_mut().for_each(|rule| rule.rolling = true);
    let mut world = World::new(&programme);
    world.buys("new", basket(NOON, vec![line("1", "", 100)], Vec::new())).expect("sold");
    world.buys("late", basket(NOON - 20 * DAY_MS, vec![line("1", "", 100)], Vec::new())).expect("sold");
    let ends: Vec<Millis> = world.member.wallets[0].live.iter().map(|lot| lot.expires_at).collect();
    assert_eq!(ends[0], ends[1]);
}

#[test]
fn rule_06_a_second_cap_goes_on_where_the_first_stopped() {
    let mut programme = source();
    programme.multipliers.push(MultiplierSource { wallet: "".into(), id: "double".into(), priority: 0, factor: Decimal(2 * Decimal::ONE), group: None, campaign: "".into(), when: ConditionSource::default(), text: "".into() });
    programme.wallets[0].caps.purchase = Some(30);
    programme.wallets[0].caps.member = Some((crate::time::Period::Month, 25));
    let mut world = World::new(&programme);
    // Base 10 + 10, doubled to 40. The purchase's cap takes 10 of the last line's multiplier, the member's 5 of the first line's: the base stands.
    let record = world.buys("1", basket(NOON, vec![line("1", "", 1_000), line("2", "", 1_000)], Vec::new())).expect("sold");
    assert_eq!(earned(&record), 25);
    let Body::Purchased(sale) = &record.body else { panic!("not a sale") };
    let of = |place: u16| sale.awards.iter().filter(|award| award.line == place).map(|award| award.points).sum::<i64>();
    assert_eq!((of(0), of(1)), (15, 10));
}

#[test]
fn rule_01_a_balance_beyond_counting_is_refused() {
    let mut world = World::new(&source());
    let give = |world: &mut World, header| world.does(header, Ask::Adjust { wallet: 0, points: 1_000_000_000_000, reason: "test".into(), allow_debt: false, write_off: false });
    give(&mut world, 1_000).expect("given");
    world.member.wallets[0].figures.available = 100 * crate::earn::MAX_POINTS;
    assert_eq!(give(&mut world, 2).map(drop), Err(Code::Overflow));
}

#[test]
fn rule_16_programmes_where_more_goods_earn_less_are_warned_of() {
    let mut programme = source();
    let usd = "USD".parse().expect("a currency");
    let when = ConditionSource { when: Condition { min_spend: Some((usd, 10_000)), ..Condition::default() }, ..ConditionSource::default() };
    let big = RateSource { wallet: "".into(), id: "big".into(), priority: 5, currency: usd, points: Decimal(Decimal::ONE / 2), campaign: "".into(), when, text: "".into() };
    assert!(crate::compile::warnings(&programme).is_empty());
    programme.rates.push(big);
    let paths: Vec<String> = crate::compile::warnings(&programme).into_iter().map(|finding| finding.path).collect();
    assert_eq!(paths, ["earn.1"]);
}

#[test]
fn rule_02_a_late_sale_that_was_paid_with_points_reinstates_what_it_needs() {
    let mut world = World::new(&source());
    world.buys("1", basket(NOON, vec![line("1", "", 1_000)], Vec::new())).expect("sold");
    world.buys("2", basket(NOON, vec![line("1", "", 1_000)], Vec::new())).expect("sold");
    world.now = NOON + 40 * DAY_MS;
    // Posted, with something else.
    world.buys("3", basket(world.now, vec![line("1", "", 300)], Vec::new())).expect("sold");
    assert_eq!(world.figures().available, 3);
    let pays = |amount| vec![Tender { kind: "points".into(), amount, wallet: "".into(), hold: None, offline: None, lines: Vec::new() }];
    // After the expiry there were none to pay with; before it there were 20, of which 9 are needed beside the 3.
    assert_eq!(world.buys("4", basket(NOON + 39 * DAY_MS, vec![line("1", "", 1_200)], pays(12))).err(), Some(Code::InsufficientPoints));
    let record = world.buys("5", basket(NOON + 20 * DAY_MS, vec![line("1", "", 12)], pays(12))).expect("sold");
    assert_eq!(world.figures().available, 0, "{:?}", record.events);
    let lots: Vec<i64> = world.member.wallets[0].rest.iter().map(|lot| lot.expired).collect();
    assert_eq!(lots.iter().sum::<i64>(), 11, "11 of the 20 stay expired");
}

#[test]
fn rule_02_late_activity_in_a_rolling_wallet_reinstates_what_it_would_have_kept() {
    let mut programme = source();
    programme.wallets[0].expiry.iter_mut().for_each(|rule| rule.rolling = true);
    let mut world = World::new(&programme);
    world.buys("1", basket(NOON, vec![line("1", "", 1_000)], Vec::new())).expect("sold");
    world.now = NOON + 40 * DAY_MS;
    world.does(9_000, Ask::Tick).expect("posted");
    assert_eq!(world.figures().available, 0);
    // Bought on the twentieth day, known on the fortieth: all of it would have lived on to the fiftieth.
    world.buys("late", basket(NOON + 20 * DAY_MS, vec![line("1", "", 100)], Vec::new())).expect("sold");
    assert_eq!(world.figures().available, 11);
    world.now = NOON + 60 * DAY_MS;
    world.does(9_001, Ask::Tick).expect("posted");
    assert_eq!(world.figures().available, 0);
}

#[test]
fn rule_02_a_downgrade_that_a_late_sale_would_have_prevented_is_undone() {
    let mut programme = source();
    programme.levels = [("bronze", 0), ("silver", 100), ("gold", 200)].map(|(id, threshold)| Level { id: id.into(), name: id.into(), threshold }).into();
    programme.soft_landing = true;
    let mut world = World::new(&programme);
    world.buys("1", basket(NOON, vec![line("1", "", 15_000)], Vec::new())).expect("sold");
    // Silver of 2026 through 2027; nothing in 2027: bronze from 2028.
    world.now = NOON + 600 * DAY_MS;
    world.does(9_000, Ask::Tick).expect("posted");
    assert_eq!(world.member.tier.level, 0);
    // 60 more of 2026: gold through 2027, and softly silver in 2028.
    world.buys("late", basket(NOON + DAY_MS, vec![line("1", "", 6_000)], Vec::new())).expect("sold");
    assert_eq!(world.member.tier.level, 1);
}

#[test]
fn rule_02_what_expired_stays_expired_whatever_rolls_later() {
    let mut programme = source();
    programme.wallets[0].expiry.iter_mut().for_each(|rule| rule.rolling = true);
    let mut world = World::new(&programme);
    world.buys("1", basket(NOON, vec![line("1", "", 1_000)], Vec::new())).expect("sold");
    world.now = NOON + 40 * DAY_MS;
    world.does(9_000, Ask::Tick).expect("posted");
    for (id, days) in [("2", 41), ("3", 42)] {
        world.now = NOON + days * DAY_MS;
        // A second before it is known, as every till's.
        world.buys(id, basket(world.now - 1_000, vec![line("1", "", 100)], Vec::new())).expect("sold");
    }
    assert_eq!(world.figures().available, 2);
}

#[test]
fn rule_08_what_lapsed_never_comes_back() {
    let mut programme = source();
    programme.wallets[0].expiry = None;
    programme.pending.push(crate::compile::PendingSource { id: "d".into(), wallet: "".into(), priority: 0, unlock: Some(crate::programme::UnlockRule::Delivered), when: ConditionSource::default() });
    let mut world = World::new(&programme);
    world.buys("1", basket(NOON, vec![line("1", "", 10_000)], Vec::new())).expect("sold");
    world.now = NOON + 91 * DAY_MS;
    world.does(9_000, Ask::Tick).expect("lapsed");
    let pays = vec![Tender { kind: "points".into(), amount: 50, wallet: "".into(), hold: None, offline: None, lines: Vec::new() }];
    let late = world.buys("2", basket(world.now - 1_000, vec![line("1", "", 100)], pays));
    assert_eq!(late.err(), Some(Code::InsufficientPoints));
}

#[test]
fn rule_21_a_late_sale_undoes_no_downgrade_that_it_would_not_have_prevented() {
    let mut world = World::new(&source());
    world.buys("1", basket(NOON, vec![line("1", "", 10_000)], Vec::new())).expect("sold");
    assert_eq!(world.member.tier.level, 1);
    // Nobody has looked since; the first that comes is a late sale of the year before last.
    world.now = NOON + 600 * DAY_MS;
    world.buys("late", basket(NOON + DAY_MS, vec![line("1", "", 100)], Vec::new())).expect("sold");
    assert_eq!(world.member.tier.level, 0);
}

#[test]
fn rule_15_a_gift_ends_in_exactly_one_of_done_or_undone() {
    use crate::command::Gift;
    let mut world = World::new(&source());
    let sale = world.buys("1", basket(NOON, vec![line("1", "", 10_000)], Vec::new())).expect("sold");
    assert_eq!(sale.after[0].1.available, 100);
    let to = crate::ids::MemberId(7);
    assert_eq!(world.does(1_000, Ask::Give { wallet: 0, points: 101, to }).err(), Some(Code::InsufficientPoints));
    world.does(1_001, Ask::Give { wallet: 0, points: 60, to }).expect("on its way");
    let (seq, record) = (world.member.seq, world.records().last().expect("there").clone());
    assert_eq!(world.figures().available, 40);
    // The taker: once, however often it is told; and it cannot give it on.
    let gift: Gift = super::gift(crate::ids::MemberId(1), seq, &record).expect("a gift");
    let mut taker = World::new(&source());
    for _ in 0..2 {
        taker.does(0, Ask::Take(Box::new(gift.clone()))).expect("taken");
        assert_eq!((taker.figures().available, taker.member.seq), (60, 2));
    }
    assert_eq!(taker.does(1_000, Ask::Give { wallet: 0, points: 1, to }).err(), Some(Code::InsufficientPoints));
    // A return of the sale: what was given is the giver's debt, whatever the policy.
    world.does(0, Ask::SettleGift { gift: seq, taken: true }).expect("settled");
    assert_eq!(world.does(0, Ask::SettleGift { gift: seq, taken: false }).err(), Some(Code::NothingDue));
    world.returns(2_000, 2, &[]).expect("taken back");
    assert_eq!((world.figures().available, world.figures().debt), (0, 60));
    // Undone: the points are back, and meet what a return has made of them meanwhile.
    let mut other = World::new(&source());
    other.buys("1", basket(NOON, vec![line("1", "", 10_000)], Vec::new())).expect("sold");
    other.does(1_001, Ask::Give { wallet: 0, points: 60, to }).expect("on its way");
    other.returns(2_000, 2, &[]).expect("taken back");
    assert_eq!(other.figures().debt, 60);
    other.does(0, Ask::SettleGift { gift: 3, taken: false }).expect("undone");
    assert_eq!(other.figures(), Figures::default());
}
