//! Returns, deliveries, reversals, aliases. Named after the rules they show.

use std::sync::Arc;

use super::tests_world::{NOON, World, basket, line, points, source};
use crate::Code;
use crate::basket::{Basket, LineKind, ReturnOf, Tender};
use crate::command::{Ask, BlindReturn, LineBack, Purchase, Return, SaleName};
use crate::compile::{BonusSource, ConditionSource, MetricSource, PendingSource};
use crate::keys::{KeyKind, Keys, TransactionId};
use crate::number::Decimal;
use crate::programme::{Clawback, UnlockRule};
use crate::rules::Condition;
use crate::record::{Alias, Asked, Back, Body, Event, Movement, Notice, SaleLeft, Taken};
use crate::time::DAY_MS;

fn one(line: &str) -> LineBack {
    LineBack { line: line.into(), quantity: None, amount: None }
}

fn some(line: &str, quantity: i64) -> LineBack {
    LineBack { line: line.into(), quantity: Some(Decimal(quantity * Decimal::ONE)), amount: None }
}

/// Over all wallets.
impl Back {
    fn claimed(&self) -> i64 {
        self.wallets.iter().map(|claim| claim.claimed).sum()
    }

    fn restored(&self) -> i64 {
        self.wallets.iter().map(|claim| claim.restored).sum()
    }

    fn unmet(&self) -> i64 {
        self.wallets.iter().map(|claim| claim.unmet).sum()
    }
}

impl SaleLeft {
    fn kept(&self) -> i64 {
        self.wallets.iter().map(|left| left.kept).sum()
    }
}

impl World {
    pub(super) fn gives(&mut self, header: u128, sale: u64, lines: Vec<LineBack>) -> Result<Back, Code> {
        let asked = Return { kind: KeyKind::Return, sale: SaleName::Seq(sale), lines, currency: None, points_refund: None, keys: Keys::default(), occurred_at: self.now, may_wait: false, receipt_used: false };
        match &self.does(header, Ask::Return(Box::new(asked)))?.body {
            Body::Returned(returned) => Ok(returned.back.clone()),
            other => panic!("{other:?}"),
        }
    }

    fn sold(&mut self, id: &str, lines: &[(&str, i64)]) -> u64 {
        let lines = lines.iter().map(|(id, amount)| line(id, "", *amount)).collect();
        self.buys(id, basket(self.now, lines, Vec::new())).expect("sold");
        self.member.seq
    }
}

#[test]
fn rule_16_a_return_leaves_what_the_kept_goods_would_have_earned() {
    let mut programme = source();
    let usd = "USD".parse().expect("a currency");
    let when = ConditionSource { when: Condition { min_spend: Some((usd, 10_000)), ..Condition::default() }, ..ConditionSource::default() };
    programme.bonuses.push(BonusSource { wallet: "".into(), id: "big".into(), points: 50, per_unit: false, campaign: "".into(), when, text: "".into() });
    let mut world = World::new(&programme);
    let sale = world.sold("1", &[("a", 9_050), ("b", 1_050)]);
    assert_eq!(world.figures().available, 101 + 50);
    // Below the threshold without b: 90.50 dollars earn 90, and no bonus.
    assert_eq!(world.gives(2, sale, vec![one("b")]).map(|back| (back.claimed(), back.left.kept())), Ok((61, 90)));
    assert_eq!(world.gives(3, sale, vec![one("b")]), Err(Code::ExceedsSale));
    assert_eq!(world.gives(4, sale, vec![one("a")]).map(|back| back.claimed()), Ok(90));
    assert_eq!((world.figures().available, world.figures().debt), (0, 0));
    assert_eq!(world.gives(5, sale, Vec::new()), Err(Code::ExceedsSale));
    // The same request again is answered, not done again.
    assert_eq!(world.gives(4, sale, vec![one("a")]).map(|back| back.claimed()), Ok(90));
    assert_eq!(world.member.tier.metric.iter().map(|(_, sum)| sum).sum::<i64>(), 0);
}

#[test]
fn rule_17_quantities_come_back_by_the_cumulative_floor() {
    let mut world = World::new(&source());
    let mut goods = line("a", "", 100);
    goods.quantity = Decimal(3 * Decimal::ONE);
    world.buys("1", basket(NOON, vec![goods], Vec::new())).expect("sold");
    let nets: Vec<i64> = (2..5).map(|header| world.gives(header, 2, vec![some("a", 1)]).expect("back").lines[0].1).collect();
    assert_eq!(nets, [33, 33, 34]);
    assert_eq!(world.gives(9, 2, vec![some("a", 1)]), Err(Code::ExceedsSale));
}

#[test]
fn rule_17_an_amount_alone_is_a_price_adjustment() {
    let mut world = World::new(&source());
    let sale = world.sold("1", &[("a", 1_000)]);
    let adjust = |amount| vec![LineBack { line: "a".into(), quantity: None, amount: Some(amount) }];
    assert_eq!(world.gives(2, sale, adjust(1_001)), Err(Code::ExceedsSale));
    assert_eq!(world.gives(3, sale, adjust(150)).map(|back| (back.claimed(), back.lines[0].2)), Ok((2, Decimal(0))));
    assert_eq!(world.gives(4, sale, vec![one("a")]).map(|back| (back.claimed(), back.lines[0].1)), Ok((8, 850)));
}

#[test]
fn rule_17_a_void_by_the_tills_key_takes_all() {
    let mut world = World::new(&source());
    let sale = world.sold("1", &[("a", 1_000), ("b", 500)]);
    let named = Keys { transaction: Some(crate::keys::TransactionId { source: "pos".into(), id: "1".into() }), ..Keys::default() };
    let void = Return { kind: KeyKind::Void, sale: SaleName::Keys(named.clone()), lines: Vec::new(), currency: None, points_refund: None, keys: named, occurred_at: NOON, may_wait: false, receipt_used: false };
    let record = world.does(0, Ask::Return(Box::new(void.clone()))).expect("voided");
    assert!(matches!(&record.body, Body::Returned(returned) if returned.back.sale == sale && returned.back.claimed() == 15));
    let again = world.does(0, Ask::Return(Box::new(void.clone()))).expect("a repeat");
    assert!(Arc::ptr_eq(&record, &again));
    let other = Return { points_refund: Some(1), ..void };
    assert_eq!(world.does(0, Ask::Return(Box::new(other))).map(drop), Err(Code::KeyConflict));
}

#[test]
fn rule_18_repayments_are_undone_first() {
    let mut world = World::new(&source());
    world.does(2, Ask::Adjust { wallet: 0, points: -60, reason: "test".into(), allow_debt: true, write_off: false }).expect("debt");
    let sale = world.sold("1", &[("a", 5_000), ("b", 5_000)]);
    assert_eq!((world.figures().available, world.figures().debt), (40, 0));
    // Half comes back: 50 of the repayment are undone, and the 40 that were left meet the debt again.
    world.gives(3, sale, vec![one("b")]).expect("back");
    assert_eq!((world.figures().available, world.figures().debt), (0, 10));
    world.gives(4, sale, vec![one("a")]).expect("back");
    assert_eq!((world.figures().available, world.figures().debt), (0, 60));
}

#[test]
fn rule_18_what_nothing_meets_is_owed_and_met_first() {
    let mut programme = source();
    programme.clawback = Clawback::SaleLots;
    let mut world = World::new(&programme);
    let sale = world.sold("1", &[("a", 10_000)]);
    world.does(2, Ask::PlaceHold { wallet: 0, asked: Asked::Points(100), ttl_ms: None, pool: None }).expect("held");
    let hold = world.member.seq;
    world.sold("2", &[("a", 500)]);
    assert_eq!(world.gives(3, sale, Vec::new()).map(|back| back.unmet()), Ok(100));
    assert_eq!((world.figures().available, world.figures().debt), (5, 0));
    // The hold's points come back to the sale's lot, and what the sale owes takes them.
    world.does(4, Ask::CancelHold { hold }).expect("cancelled");
    assert_eq!((world.figures().available, world.figures().held, world.member.wallets[0].owed.len()), (5, 0, 0));
}

#[test]
fn rule_18_policies() {
    for (policy, after) in [(Clawback::WithinBalance, (0, 0, 70)), (Clawback::Unlimited, (0, 70, 0)), (Clawback::SaleLots, (30, 0, 100))] {
        let mut programme = source();
        programme.clawback = policy;
        let mut world = World::new(&programme);
        let sale = world.sold("1", &[("a", 10_000)]);
        world.does(2, Ask::Redeem { wallet: 0, asked: Asked::Points(100), offline: None }).expect("spent");
        world.sold("2", &[("a", 3_000)]);
        let back = world.gives(3, sale, Vec::new()).expect("back");
        assert_eq!((world.figures().available, world.figures().debt, back.unmet()), after, "{policy:?}");
    }
}

#[test]
fn rule_18_expired_points_are_counted_once() {
    let mut world = World::new(&source());
    let sale = world.sold("1", &[("a", 5_000), ("b", 5_000)]);
    world.now += 40 * DAY_MS;
    world.sold("2", &[("a", 10_000)]);
    assert_eq!(world.figures().available, 100, "the first sale's have expired");
    world.gives(3, sale, vec![one("a")]).expect("back");
    world.gives(4, sale, vec![one("b")]).expect("back");
    assert_eq!(world.figures().available, 100);
}

#[test]
fn rule_19_points_come_back_in_proportion_and_in_reverse() {
    let mut world = World::new(&source());
    world.does(2, Ask::Adjust { wallet: 0, points: 30, reason: "a".into(), allow_debt: false, write_off: false }).expect("given");
    world.now += DAY_MS;
    world.does(3, Ask::Adjust { wallet: 0, points: 70, reason: "b".into(), allow_debt: false, write_off: false }).expect("given");
    world.buys("1", basket(world.now, vec![line("a", "", 150), line("b", "", 50)], vec![points(100)])).expect("sold");
    let sale = world.member.seq;
    let first = world.gives(4, sale, vec![one("b")]).expect("back");
    assert_eq!(first.restored(), 25, "a quarter of the goods, a quarter of the points");
    let lots: Vec<_> = world.member.wallets[0].live.iter().filter(|lot| u64::from(lot.id.seq) != sale).map(|lot| (lot.id.seq, lot.free())).collect();
    assert_eq!(lots, [(3, 25)], "the later debit first");
    assert_eq!(world.gives(5, sale, Vec::new()).map(|back| back.restored()), Ok(75));
    assert_eq!(world.figures().available, 100);
}

#[test]
fn rule_19_a_redemption_is_reversed_once_and_a_tender_with_its_purchase() {
    let mut world = World::new(&source());
    world.sold("1", &[("a", 10_000)]);
    world.does(2, Ask::Redeem { wallet: 0, asked: Asked::Points(60), offline: None }).expect("spent");
    let redemption = world.member.seq;
    world.does(3, Ask::Reverse { redemption }).expect("reversed");
    assert_eq!(world.figures().available, 100);
    assert_eq!(world.does(4, Ask::Reverse { redemption }).map(drop), Err(Code::AlreadyReversed));
    assert!(world.does(3, Ask::Reverse { redemption }).is_ok(), "the same request again");
    world.buys("2", basket(world.now, vec![line("a", "", 50)], vec![points(50)])).expect("sold");
    let sale = world.member.seq;
    assert_eq!(world.does(5, Ask::Reverse { redemption: sale }).map(drop), Err(Code::BelongsToPurchase));
    assert_eq!(world.does(6, Ask::Reverse { redemption: 1 }).map(drop), Err(Code::UnknownRedemption));
}

fn waits(unlock: UnlockRule, category: &str) -> PendingSource {
    let when = ConditionSource { when: Condition { categories: vec![category.into()], ..Condition::default() }, ..ConditionSource::default() };
    PendingSource { wallet: "".into(), id: category.into(), priority: 0, unlock: Some(unlock), when }
}

#[test]
fn rule_08_pending_unlocks_by_day_by_delivery_or_lapses() {
    let mut programme = source();
    programme.wallets[0].expiry = None;
    programme.pending = vec![waits(UnlockRule::Days(14), "slow"), waits(UnlockRule::Delivered, "sent")];
    programme.bonuses.push(BonusSource { wallet: "".into(), id: "hello".into(), points: 5, per_unit: false, campaign: "".into(), when: ConditionSource::default(), text: "".into() });
    let mut world = World::new(&programme);
    world.buys("1", basket(NOON, vec![line("a", "", 100), line("b", "slow", 200), line("c", "sent", 400)], Vec::new())).expect("sold");
    let sale = world.member.seq;
    assert_eq!((world.figures().available, world.figures().pending), (1, 11));
    assert_eq!(world.does(2, Ask::Redeem { wallet: 0, asked: Asked::Points(2), offline: None }).map(drop), Err(Code::InsufficientPoints));
    assert_eq!(world.does(3, Ask::Deliver { sale, lines: vec!["a".into()] }).map(drop), Err(Code::NotPending));
    // c is delivered; the bonus waits for b, the last line.
    world.does(4, Ask::Deliver { sale, lines: vec!["c".into()] }).expect("delivered");
    assert_eq!((world.figures().available, world.figures().pending), (5, 7));
    assert_eq!(world.does(5, Ask::Deliver { sale, lines: Vec::new() }).map(drop), Err(Code::NotPending));
    world.now += 15 * DAY_MS;
    world.sold("2", &[("z", 100)]);
    assert_eq!((world.figures().available, world.figures().pending), (12 + 1 + 5, 0));
    // One that never comes.
    world.buys("3", basket(world.now, vec![line("c", "sent", 900)], Vec::new())).expect("sold");
    let lost = world.member.seq;
    assert_eq!(world.figures().pending, 14);
    world.now += 91 * DAY_MS;
    world.sold("4", &[("z", 100)]);
    assert_eq!((world.figures().available, world.figures().pending), (18 + 6, 0));
    // Its return later claims what has lapsed already, and nothing else.
    world.gives(6, lost, Vec::new()).expect("back");
    assert_eq!(world.figures().available, 24);
}

#[test]
fn rule_18_pending_points_of_the_returned_line_go_first() {
    let mut programme = source();
    programme.pending = vec![waits(UnlockRule::Delivered, "sent")];
    let mut world = World::new(&programme);
    world.buys("1", basket(NOON, vec![line("a", "sent", 300), line("b", "sent", 500), line("c", "", 700)], Vec::new())).expect("sold");
    world.gives(2, 2, vec![one("b")]).expect("back");
    assert_eq!((world.figures().available, world.figures().pending), (7, 3));
    assert_eq!(world.does(3, Ask::Deliver { sale: 2, lines: vec!["b".into()] }).map(drop), Err(Code::NotPending));
}

#[test]
fn rule_17_an_exchange_is_one_commit_returns_first() {
    let mut world = World::new(&source());
    let sale = world.sold("1", &[("a", 1_000), ("b", 2_000)]);
    let mut old = line("r", "", 0);
    old.kind = LineKind::Return;
    old.returns = Some(ReturnOf { sale, line: "b".into() });
    let record = world.buys("2", basket(NOON, vec![old.clone(), line("n", "", 2_500)], Vec::new())).expect("exchanged");
    let Body::Purchased(bought) = &record.body else { panic!("a purchase") };
    assert_eq!((bought.exchanged[0].claimed(), bought.shares[0].earned, world.figures().available), (20, 25, 35));
    // What is left of the first sale is known to the next return.
    assert_eq!(world.gives(3, sale, vec![one("b")]), Err(Code::ExceedsSale));
    assert_eq!(world.gives(4, sale, Vec::new()).map(|back| back.claimed()), Ok(10));
    old.returns = Some(ReturnOf { sale: 99, line: "b".into() });
    assert_eq!(world.buys("3", basket(NOON, vec![old], Vec::new())).map(drop), Err(Code::UnknownSale));
}

#[test]
fn rule_17_without_a_receipt_at_most_what_is_there() {
    let mut world = World::new(&source());
    world.sold("1", &[("a", 1_000)]);
    let goods: Basket = basket(NOON, vec![line("x", "", 2_500)], Vec::new());
    let record = world.does(2, Ask::BlindReturn(Box::new(BlindReturn { basket: Arc::new(goods), keys: Keys::default() }))).expect("taken");
    assert!(matches!(&record.body, Body::BlindReturned { taken, .. } if taken[..] == [Taken { wallet: 0, claimed: 25, taken: 10 }]));
    assert_eq!((world.figures().available, world.figures().debt), (0, 0));
}

#[test]
fn rule_21_a_return_that_breaks_the_tier_withdraws_it_and_a_visit_goes_with_its_last_goods() {
    let mut world = World::new(&source());
    let sale = world.sold("1", &[("a", 9_000), ("b", 2_000)]);
    assert_eq!(world.member.tier.level, 1);
    world.gives(2, sale, vec![one("b")]).expect("back");
    assert_eq!(world.member.tier.level, 0);

    let mut programme = source();
    programme.metric = MetricSource::Visits;
    let mut world = World::new(&programme);
    let (first, second) = (world.sold("1", &[("a", 100)]), world.sold("2", &[("a", 100), ("b", 100)]));
    let visits = |world: &World| world.member.tier.metric.iter().map(|(_, sum)| sum).sum::<i64>();
    assert_eq!(visits(&world), 1);
    world.gives(3, first, Vec::new()).expect("back");
    world.gives(4, second, vec![one("a")]).expect("back");
    assert_eq!(visits(&world), 1, "something of that day is kept");
    world.gives(5, second, vec![one("b")]).expect("back");
    assert_eq!(visits(&world), 0);
}

#[test]
fn rule_06_a_return_frees_the_members_room() {
    let mut programme = source();
    programme.wallets[0].caps.member = Some((crate::time::Period::Month, 50));
    let mut world = World::new(&programme);
    let sale = world.sold("1", &[("a", 10_000)]);
    world.gives(2, sale, Vec::new()).expect("back");
    world.sold("2", &[("a", 10_000)]);
    assert_eq!(world.figures().available, 50);
}

#[test]
fn rule_23_a_renumbered_receipt_is_a_repeat() {
    let mut world = World::new(&source());
    let send = |world: &mut World, number: &str, amount: i64| {
        let goods = basket(NOON, vec![line("a", "", amount)], Vec::new());
        let transaction = Some(crate::keys::TransactionId { source: "pos".into(), id: number.into() });
        let keys = Keys { transaction, content: Some(goods.content()), natural: None };
        world.does(0, Ask::Purchase(Box::new(Purchase { basket: Arc::new(goods), keys, alias: None }))).expect("sold");
        world.member.seq
    };
    assert_eq!((send(&mut world, "1", 100), send(&mut world, "2", 100), send(&mut world, "3", 101)), (2, 2, 3));
}

#[test]
fn rule_12_a_tender_takes_the_points_of_a_hold_that_ended_by_time_again() {
    let mut world = World::new(&source());
    world.sold("1", &[("a", 10_000)]);
    world.does(2, Ask::PlaceHold { wallet: 0, asked: Asked::Points(80), ttl_ms: None, pool: None }).expect("held");
    let hold = world.member.seq;
    world.now += 120_000;
    let tender = crate::basket::Tender { hold: Some(hold), offline: None, ..points(80) };
    let record = world.buys("2", basket(world.now, vec![line("a", "", 80)], vec![tender.clone()])).expect("taken again");
    assert!(record.events.iter().any(|event| matches!(event, Event::Points(0, Movement::Spent { points: 80, .. }))));
    assert_eq!(world.buys("3", basket(world.now, vec![line("a", "", 80)], vec![tender])).map(drop), Err(Code::HoldExpired));
}

#[test]
fn aliases_come_and_go() {
    let mut world = World::new(&source());
    let alias = Alias { kind: "card".into(), hash: 7, tail: "".into() };
    world.does(2, Ask::AddAlias { alias: alias.clone() }).expect("added");
    assert_eq!(world.does(3, Ask::AddAlias { alias: alias.clone() }).map(drop), Err(Code::AliasTaken));
    world.does(4, Ask::RemoveAlias { kind: "card".into(), hash: 7 }).expect("removed");
    assert_eq!(world.does(5, Ask::RemoveAlias { kind: "card".into(), hash: 7 }).map(drop), Err(Code::UnknownAlias));
    assert!(world.member.held_alias("card", 7, NOON - 1) && !world.member.held_alias("card", 7, NOON + 1));
}

#[test]
fn rule_08_a_basket_bonus_does_not_wait_for_a_line_that_came_back() {
    let mut programme = source();
    programme.pending.push(waits(UnlockRule::Delivered, "sofa"));
    programme.bonuses.push(BonusSource { wallet: "".into(), id: "any".into(), points: 50, per_unit: false, campaign: "".into(), when: ConditionSource::default(), text: "".into() });
    let mut world = World::new(&programme);
    let lines = vec![line("a", "sofa", 1_000), line("b", "sofa", 2_000)];
    world.buys("1", basket(NOON, lines, Vec::new())).expect("sold");
    let sale = world.member.seq;
    assert_eq!((world.figures().available, world.figures().pending), (0, 80));
    world.does(2, Ask::Deliver { sale, lines: vec!["a".into()] }).expect("delivered");
    assert_eq!((world.figures().available, world.figures().pending), (10, 70));
    world.gives(3, sale, vec![one("b")]).expect("back");
    assert_eq!((world.figures().available, world.figures().pending), (60, 0));
}

#[test]
fn rule_14_points_that_came_and_went_unseen_met_the_debt() {
    let mut programme = source();
    programme.pending.push(waits(UnlockRule::Days(10), "sofa"));
    let mut world = World::new(&programme);
    world.buys("1", basket(NOON, vec![line("a", "sofa", 10_000)], Vec::new())).expect("sold");
    world.does(2, Ask::Adjust { wallet: 0, points: -50, reason: "test".into(), allow_debt: true, write_off: false }).expect("debt");
    // Unlocked after 10 days, expired after a month: nobody looked until the third.
    world.now = NOON + 90 * DAY_MS;
    world.does(3, Ask::Adjust { wallet: 0, points: 1, reason: "test".into(), allow_debt: false, write_off: false }).expect("looked at");
    assert_eq!((world.figures().available, world.figures().debt, world.figures().pending), (1, 0, 0));
}

#[test]
fn rule_17_a_voided_line_of_an_exchange_gives_nothing_back() {
    let mut world = World::new(&source());
    let sale = world.sold("1", &[("a", 1_000)]);
    let mut back = line("r", "", 1_000);
    back.kind = LineKind::Return;
    back.returns = Some(ReturnOf { sale, line: "a".into() });
    back.voided = true;
    world.buys("2", basket(NOON, vec![back, line("b", "", 500)], Vec::new())).expect("sold");
    assert_eq!(world.figures().available, 15);
}

#[test]
fn rule_23_a_header_is_a_key_for_thirty_days() {
    let mut world = World::new(&source());
    let adjust = |points| Ask::Adjust { wallet: 0, points, reason: "test".into(), allow_debt: false, write_off: false };
    world.does(7, adjust(5)).expect("given");
    assert_eq!(world.does(7, adjust(6)).map(drop), Err(Code::KeyConflict));
    world.now += 31 * DAY_MS;
    world.does(7, adjust(6)).expect("a new request");
    // The first five have expired meanwhile.
    assert_eq!(world.figures().available, 6);
}

#[test]
fn rule_08_a_line_without_points_of_its_own_holds_the_basket_bonus_back() {
    let mut programme = source();
    programme.wallets[0].expiry = None;
    programme.pending = vec![waits(UnlockRule::Delivered, "sent")];
    programme.bonuses.push(BonusSource { wallet: "".into(), id: "hello".into(), points: 5, per_unit: false, campaign: "".into(), when: ConditionSource::default(), text: "".into() });
    let mut world = World::new(&programme);
    // 40 cents come to no point, and its delivery is waited for all the same.
    let sold = |world: &mut World, id| {
        world.buys(id, basket(NOON, vec![line("a", "", 100), line("b", "sent", 40)], Vec::new())).expect("sold");
        world.member.seq
    };
    let sale = sold(&mut world, "1");
    assert_eq!((world.figures().available, world.figures().pending), (1, 5));
    world.does(2, Ask::Deliver { sale, lines: vec!["b".into()] }).expect("delivered");
    assert_eq!((world.figures().available, world.figures().pending), (6, 0));
    assert_eq!(world.does(3, Ask::Deliver { sale, lines: vec!["b".into()] }).map(drop), Err(Code::NotPending));
    // It comes back instead: nothing is left to wait for.
    let sale = sold(&mut world, "2");
    world.gives(4, sale, vec![one("b")]).expect("back");
    assert_eq!((world.figures().available, world.figures().pending), (12, 0));
}

#[test]
fn rule_08_what_a_cap_kept_of_a_line_that_comes_back_waits_with_the_rest() {
    let mut programme = source();
    programme.wallets[0].expiry = None;
    programme.wallets[0].caps.purchase = Some(100);
    programme.pending = vec![waits(UnlockRule::Delivered, "sent")];
    let mut world = World::new(&programme);
    world.buys("1", basket(NOON, vec![line("a", "sent", 8_000), line("b", "sent", 8_000)], Vec::new())).expect("sold");
    let sale = world.member.seq;
    // 80 + 20 after the cap; without a, b alone earns 80.
    assert_eq!(world.gives(2, sale, vec![one("a")]).map(|back| (back.claimed(), back.left.kept())), Ok((20, 80)));
    world.does(3, Ask::Deliver { sale, lines: vec!["b".into()] }).expect("delivered");
    assert_eq!((world.figures().available, world.figures().pending), (80, 0));
}

#[test]
fn rule_17_keys_of_a_sale_must_not_contradict_each_other() {
    let mut world = World::new(&source());
    let natural = crate::keys::NaturalKey { source: "pos".into(), store: "1".into(), till: "4".into(), business_date: crate::time::Day(20_605), sequence: "7".into() };
    let transaction = |id: &str| Some(crate::keys::TransactionId { source: "pos".into(), id: id.into() });
    let bought = Purchase { basket: Arc::new(basket(NOON, vec![line("a", "", 500)], Vec::new())), keys: Keys { natural: Some(natural.clone()), transaction: transaction("1"), content: None }, alias: None };
    world.does(0, Ask::Purchase(Box::new(bought))).expect("sold");
    let asked = |keys| Return { kind: KeyKind::Return, sale: SaleName::Keys(keys), lines: Vec::new(), currency: None, points_refund: None, keys: Keys::default(), occurred_at: NOON, may_wait: false, receipt_used: false };
    let other = asked(Keys { natural: Some(natural.clone()), transaction: transaction("9"), content: None });
    assert_eq!(world.does(2, Ask::Return(Box::new(other))).map(drop), Err(Code::KeyConflict));
    // A return's own receipt is of its own day.
    let late = Keys { natural: Some(crate::keys::NaturalKey { business_date: crate::time::Day(20_500), ..natural.clone() }), ..Keys::default() };
    let off = Return { keys: late, ..asked(Keys { natural: Some(natural.clone()), ..Keys::default() }) };
    assert_eq!(world.does(3, Ask::Return(Box::new(off))).map(drop), Err(Code::Clock));
    world.does(4, Ask::Return(Box::new(asked(Keys { natural: Some(natural), ..Keys::default() })))).expect("back");
}

/// A bonus of 50 for the basket; lines of category `sent` wait for their delivery.
fn with_deliveries() -> crate::compile::Source {
    let mut programme = source();
    programme.wallets[0].expiry = None;
    programme.pending = vec![waits(UnlockRule::Delivered, "sent")];
    programme.bonuses.push(BonusSource { wallet: "".into(), id: "hello".into(), points: 50, per_unit: false, campaign: "".into(), when: ConditionSource::default(), text: "".into() });
    programme
}

#[test]
fn rule_08_a_claim_on_another_lines_pending_points_does_not_unlock_the_bonus() {
    let mut world = World::new(&with_deliveries());
    world.buys("1", basket(NOON, vec![line("a", "", 1_000), line("b", "sent", 1_000)], Vec::new())).expect("sold");
    let sale = world.member.seq;
    assert_eq!((world.figures().available, world.figures().pending), (10, 60));
    // Pending points go first: those of b, which is still to come.
    assert_eq!(world.gives(2, sale, vec![one("a")]).map(|back| back.claimed()), Ok(10));
    assert_eq!((world.figures().available, world.figures().pending), (10, 50));
    world.does(3, Ask::Deliver { sale, lines: vec!["b".into()] }).expect("delivered");
    assert_eq!((world.figures().available, world.figures().pending), (60, 0));
    // A price adjustment takes a line's points and not the line.
    world.buys("2", basket(NOON, vec![line("a", "sent", 1_000)], Vec::new())).expect("sold");
    let sale = world.member.seq;
    world.gives(4, sale, vec![LineBack { line: "a".into(), quantity: None, amount: Some(950) }]).expect("adjusted");
    assert_eq!((world.figures().available, world.figures().pending), (60, 50));
}

#[test]
fn rule_08_a_line_that_a_cap_cut_to_nothing_still_waits() {
    let mut programme = with_deliveries();
    programme.bonuses.clear();
    programme.wallets[0].caps.purchase = Some(100);
    let mut world = World::new(&programme);
    world.buys("1", basket(NOON, vec![line("a", "sent", 10_000), line("b", "sent", 10_000)], Vec::new())).expect("sold");
    let sale = world.member.seq;
    assert_eq!(world.gives(2, sale, vec![one("a")]).map(|back| back.claimed()), Ok(0));
    assert_eq!((world.figures().available, world.figures().pending), (0, 100));
    world.does(3, Ask::Deliver { sale, lines: vec!["b".into()] }).expect("delivered");
    assert_eq!((world.figures().available, world.figures().pending), (100, 0));
}

#[test]
fn rule_14_points_that_expire_as_they_come_meet_debt_first() {
    let mut world = World::new(&source());
    world.does(2, Ask::Adjust { wallet: 0, points: -50, reason: "test".into(), allow_debt: true, write_off: false }).expect("debt");
    world.buys("late", basket(NOON - 100 * DAY_MS, vec![line("a", "", 10_000)], Vec::new())).expect("sold");
    assert_eq!((world.figures().available, world.figures().debt), (0, 0));
}

#[test]
fn rule_12_a_hold_that_ended_is_taken_again_once() {
    let mut world = World::new(&source());
    world.does(2, Ask::Adjust { wallet: 0, points: 300, reason: "test".into(), allow_debt: false, write_off: false }).expect("given");
    world.does(3, Ask::PlaceHold { wallet: 0, asked: Asked::Points(100), ttl_ms: None, pool: None }).expect("held");
    let hold = Some(world.member.seq);
    world.now += DAY_MS;
    let pays = || crate::basket::Tender { hold, ..points(100) };
    let twice = basket(world.now, vec![line("a", "", 1_000)], vec![pays(), pays()]);
    assert_eq!(world.buys("1", twice).map(drop), Err(Code::HoldExpired));
    assert!(world.buys("2", basket(world.now, vec![line("a", "", 1_000)], vec![pays()])).is_ok());
}

#[test]
fn rule_17_a_return_that_comes_before_its_sale_waits_and_the_sale_then_earns_what_is_kept() {
    let mut programme = source();
    programme.clawback = Clawback::Unlimited;
    let keys = |id: &str| Keys { transaction: Some(TransactionId { source: "pos".into(), id: id.into() }), ..Keys::default() };
    let back = |sale: &str, line: &str, own: &str| {
        let lines = vec![LineBack { line: line.into(), quantity: None, amount: None }];
        Ask::Return(Box::new(Return {
            kind: KeyKind::Return,
            sale: SaleName::Keys(keys(sale)),
            lines,
            currency: None,
            points_refund: None,
            keys: keys(own),
            occurred_at: NOON,
            may_wait: true,
            receipt_used: false,
        }))
    };
    let sold = || basket(NOON, vec![line("a", "", 1_000), line("b", "", 500)], vec![Tender { kind: "points".into(), amount: 300, wallet: "".into(), hold: None, offline: None, lines: Vec::new() }]);
    let start = || {
        let mut world = World::new(&programme);
        world.does(1_000, Ask::Adjust { wallet: 0, points: 300, reason: "start".into(), allow_debt: false, write_off: false }).expect("given");
        world
    };
    // In order.
    let mut plain = start();
    plain.buys("1", sold()).expect("sold");
    plain.does(0, back("1", "a", "r1")).expect("taken back");
    // The other way round; a repeat of what waits is answered from it, and nothing else has changed.
    let mut late = start();
    let waits = late.does(0, back("1", "a", "r1")).expect("kept");
    assert!(matches!(waits.body, Body::ReturnWaits(_)) && late.figures().available == 300);
    late.does(0, back("1", "a", "r1")).expect("a repeat");
    late.does(0, back("another", "a", "r2")).expect("kept");
    let record = late.buys("1", sold()).expect("sold");
    let Body::Purchased(sale) = &record.body else { panic!("not a sale") };
    assert_eq!((sale.waited.len(), late.figures(), late.member.waiting.len()), (1, plain.figures(), 1));
    // What is left goes on from there.
    for world in [&mut plain, &mut late] {
        let seq = if world.member.waiting.is_empty() { 3 } else { 5 };
        world.returns(2_000, seq, &[]).expect("the rest");
        assert_eq!(world.returns(2_001, seq, &[]).err(), Some(Code::ExceedsSale));
        assert_eq!((world.figures().available, world.figures().debt), (300, 0));
    }
    // 90 days later nobody waits any more.
    late.now = NOON + 91 * crate::time::DAY_MS;
    let record = late.does(0, Ask::Tick).expect("due");
    assert!(record.events.iter().any(|event| matches!(event, Event::ReturnLapsed { .. })) && late.member.waiting.is_empty());
}

#[test]
fn rule_17_a_waiting_return_that_does_not_fit_its_sale_waits_on_and_is_told() {
    let mut world = World::new(&source());
    let named = Keys { transaction: Some(TransactionId { source: "pos".into(), id: "1".into() }), ..Keys::default() };
    let lines = vec![LineBack { line: "no such line".into(), quantity: None, amount: None }];
    let asked = Return { kind: KeyKind::Return, sale: SaleName::Keys(named), lines, currency: None, points_refund: None, keys: Keys::default(), occurred_at: NOON, may_wait: true, receipt_used: false };
    world.does(1_000, Ask::Return(Box::new(asked))).expect("kept");
    let record = world.buys("1", basket(NOON, vec![line("a", "", 1_000)], Vec::new())).expect("sold");
    let Body::Purchased(sale) = &record.body else { panic!("not a sale") };
    assert_eq!((&sale.notices[..], world.figures().available, world.member.waiting.len()), (&[Notice::ReturnDoesNotFit][..], 10, 1));
}

#[test]
fn rule_17_a_waiting_return_whose_refund_does_not_fit_refuses_no_sale() {
    let mut world = World::new(&source());
    let named = Keys { transaction: Some(TransactionId { source: "pos".into(), id: "1".into() }), ..Keys::default() };
    let asked = Return { kind: KeyKind::Return, sale: SaleName::Keys(named), lines: Vec::new(), currency: None, points_refund: Some(500), keys: Keys::default(), occurred_at: NOON, may_wait: true, receipt_used: false };
    world.does(1_000, Ask::Return(Box::new(asked))).expect("kept");
    let record = world.buys("1", basket(NOON, vec![line("a", "", 1_000)], Vec::new())).expect("sold all the same");
    let Body::Purchased(sale) = &record.body else { panic!("not a sale") };
    assert_eq!((&sale.notices[..], world.figures().available), (&[Notice::ReturnDoesNotFit][..], 10));
}
