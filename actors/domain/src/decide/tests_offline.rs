//! Rule 14: what tills take without a connection.

use super::tests_world::{NOON, World, basket, line, points, source};
use crate::Code;
use crate::basket::{Allowed, Basket, Tender};
use crate::command::{Allow, Ask, Return, SaleName};
use crate::keys::{KeyKind, Keys};
use crate::record::{Asked, Body, Figures, Notice, Offline, Record};
use crate::time::{DAY_MS, Millis};

const HOUR: Millis = 3_600_000;

fn adjust(points: i64) -> Ask {
    Ask::Adjust { wallet: 0, points, reason: "test".into(), allow_debt: false, write_off: false }
}

fn allow(points: i64) -> Ask {
    Ask::Allow(Box::new(Allow { wallet: 0, store: "1".into(), till: "4".into(), points, ttl_ms: None }))
}

fn redeem(points: i64, allowance: u64, counter: u32, at: Millis) -> Ask {
    Ask::Redeem { wallet: 0, asked: Asked::Points(points), offline: Some(Box::new(Offline { used: Allowed { allowance, counter }, store: "1".into(), till: "4".into(), at })) }
}

fn pays(amount: i64, allowance: u64, counter: u32) -> Tender {
    Tender { offline: Some(Allowed { allowance, counter }), ..points(amount) }
}

/// A member with 100 points, and an allowance of 80 by its record 3.
fn world() -> World {
    let mut world = World::new(&source());
    world.does(100, adjust(100)).expect("given");
    world.does(101, allow(80)).expect("allowed");
    world
}

fn stands(world: &World) -> (i64, i64) {
    let Figures { available, debt, .. } = world.figures();
    (available, debt)
}

fn refused(record: &Record) -> (&[u16], bool) {
    let Body::Purchased(sale) = &record.body else { panic!("a sale") };
    (&sale.refused, sale.notices.contains(&Notice::AllowanceExceeded))
}

#[test]
fn rule_14_an_allowance_promises_what_no_other_does() {
    let mut world = world();
    assert_eq!(world.does(3, allow(21)).err(), Some(Code::InsufficientPoints));
    world.does(4, allow(20)).expect("the rest");
    assert_eq!(stands(&world), (100, 0), "it holds nothing");
    world.does(5, adjust(100)).expect("given");
    (6..9).for_each(|key| drop(world.does(key, allow(1)).expect("a third to a fifth")));
    assert_eq!(world.does(9, allow(1)).err(), Some(Code::TooManyAllowances));
    world.now += 8 * DAY_MS;
    assert_eq!(world.does(10, allow(200)).err(), Some(Code::InsufficientPoints), "their uses may be on their way");
    world.now += 7 * DAY_MS;
    world.does(10, allow(200)).expect("the others have ended");
    let week = Ask::Allow(Box::new(Allow { wallet: 0, store: "1".into(), till: "4".into(), points: 1, ttl_ms: Some(7 * DAY_MS + 1) }));
    assert_eq!(world.does(11, week).err(), Some(Code::Invalid));
}

#[test]
fn rule_14_each_counter_once_within_the_allowance_and_its_time() {
    let mut world = world();
    let at = world.now;
    world.does(0, redeem(50, 3, 1, at)).expect("spent");
    assert_eq!(stands(&world), (50, 0));
    // Without any key: its counter is one.
    let again = world.does(0, redeem(50, 3, 1, at)).expect("a repeat");
    assert!(matches!(again.body, Body::Redeemed { points: 50, .. }));
    assert_eq!(stands(&world), (50, 0));
    assert_eq!(world.does(0, redeem(49, 3, 1, at)).err(), Some(Code::KeyConflict));
    assert_eq!(world.does(0, redeem(31, 3, 2, at)).err(), Some(Code::AllowanceExceeded), "30 are left of it");
    assert_eq!(world.does(0, redeem(1, 3, 2, at + 7 * DAY_MS)).err(), Some(Code::Clock));
    world.now += 8 * DAY_MS;
    assert_eq!(world.does(0, redeem(1, 3, 2, at + 7 * DAY_MS)).err(), Some(Code::AllowanceExceeded), "after its time");
    assert_eq!(world.does(0, redeem(1, 3, 1_001, at)).err(), Some(Code::AllowanceExceeded));
    assert_eq!(world.does(0, redeem(1, 4, 1, at)).err(), Some(Code::UnknownAllowance));
    world.does(0, redeem(30, 3, 2, at + DAY_MS)).expect("late, and of its time");
    assert_eq!(stands(&world), (20, 0));
    world.now += 90 * DAY_MS;
    world.does(20, adjust(1)).expect("given");
    assert_eq!(world.does(0, redeem(1, 3, 3, at)).err(), Some(Code::UnknownAllowance), "forgotten");
}

#[test]
fn rule_14_first_the_lots_of_its_time_then_others_then_debt() {
    let mut world = world();
    let at = world.now;
    // All of it spent elsewhere, and new points since.
    world.does(3, Ask::Redeem { wallet: 0, asked: Asked::Points(90), offline: None }).expect("spent");
    world.now += HOUR;
    world.does(4, adjust(30)).expect("given");
    let record = world.does(0, redeem(80, 3, 1, at + 1)).expect("it was promised");
    assert_eq!(stands(&world), (0, 40), "10 of then, 30 of since, the rest is debt");
    assert_eq!(record.after[0].1.debt, 40);
    // What comes meets it; what is undone comes back.
    world.does(5, adjust(50)).expect("given");
    assert_eq!(stands(&world), (10, 0));
    let redemption = world.member.seq - 1;
    world.does(6, Ask::Reverse { redemption }).expect("undone");
    assert_eq!(stands(&world), (90, 0));
}

#[test]
fn rule_14_what_has_expired_since_was_valid_then() {
    let mut world = world();
    world.now += 28 * DAY_MS;
    world.does(3, allow(80)).expect("allowed");
    let at = world.now;
    world.now += 5 * DAY_MS;
    world.does(4, adjust(7)).expect("what was there has expired");
    assert_eq!(stands(&world), (7, 0));
    world.does(0, redeem(80, 4, 1, at + HOUR)).expect("promised");
    assert_eq!(stands(&world), (7, 0), "the expired ones paid for it");
}

#[test]
fn rule_14_beyond_it_the_sale_is_recorded_and_the_tender_refused() {
    let mut world = world();
    let sold = |tenders| Basket { till: "4".into(), ..basket(NOON, vec![line("1", "", 200)], tenders) };
    let record = world.buys("a", sold(vec![pays(50, 3, 1), pays(40, 3, 2)])).expect("the goods are sold");
    assert_eq!(refused(&record), (&[1][..], true));
    let earned = 1; // 1.10 of 2.00 was not paid in points
    assert_eq!(stands(&world), (50 + earned, 0));
    let record = world.buys("b", sold(vec![pays(10, 3, 1)])).expect("the counter was used");
    assert_eq!(refused(&record), (&[0][..], true));
    let record = world.buys("c", sold(vec![pays(10, 99, 1)])).expect("no such allowance");
    assert_eq!(refused(&record), (&[0][..], true));
    let mut elsewhere = sold(vec![pays(10, 3, 3)]);
    elsewhere.till = "5".into();
    assert_eq!(refused(&world.buys("d", elsewhere).expect("another till")), (&[0][..], true));
    let mut nowhere = sold(vec![pays(10, 3, 3)]);
    nowhere.till = "".into();
    assert_eq!(refused(&world.buys("f", nowhere).expect("no till")), (&[0][..], true));
    assert_eq!(refused(&world.buys("e", sold(vec![pays(10, 3, 3)])).expect("its till")), (&[][..], false));
    // A refund of the tender that was refused is one of no points.
    let sale = SaleName::Keys(Keys { transaction: Some(crate::keys::TransactionId { source: "pos".into(), id: "b".into() }), ..Keys::default() });
    let refund = Return { kind: KeyKind::Return, sale, lines: Vec::new(), currency: None, points_refund: Some(10), keys: Keys::default(), occurred_at: world.now, may_wait: false, receipt_used: false };
    let before = stands(&world).0;
    world.does(8, Ask::Return(Box::new(refund))).expect("returned");
    assert_eq!(stands(&world).0, before - 1, "what it had earned, and nothing comes back");
    // All of the first comes back, with what was taken for it and nothing more.
    let before = stands(&world).0;
    let asked = Return { kind: KeyKind::Void, sale: SaleName::Seq(4), lines: Vec::new(), currency: None, points_refund: None, keys: Keys::default(), occurred_at: world.now, may_wait: false, receipt_used: false };
    world.does(9, Ask::Return(Box::new(asked))).expect("void");
    assert_eq!(stands(&world), (before + 50 - earned, 0));
}

#[test]
fn rule_14_a_late_use_that_moves_a_rolling_wallet_meets_debt_first() {
    let mut programme = source();
    programme.wallets[0].expiry.as_mut().expect("it expires").rolling = true;
    let mut world = World::new(&programme);
    world.does(100, adjust(100)).expect("given");
    world.now += 29 * DAY_MS;
    world.does(101, allow(30)).expect("allowed");
    let at = world.now + DAY_MS;
    world.now += 5 * DAY_MS;
    let owes = Ask::Adjust { wallet: 0, points: -50, reason: "test".into(), allow_debt: true, write_off: false };
    world.does(102, owes).expect("a debt, as all has expired");
    assert_eq!(stands(&world), (0, 50));
    world.does(0, redeem(30, 3, 1, at)).expect("promised");
    assert_eq!(stands(&world), (20, 0), "100 live on: 30 are spent and 50 met the debt");
}
