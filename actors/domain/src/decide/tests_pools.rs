//! Pools (rule 15): a spender and a lender, each in a journal of its own.

use super::tests_world::{NOON, World, basket, line, source};
use super::{gathering, loaned};
use crate::Code;
use crate::command::{Ask, Loaned};
use crate::ids::{MemberId, PoolId};
use crate::pool::parts;
use crate::record::{Asked, Body, Event, Movement, PoolHold, Record};
use crate::time::DAY_MS;

const SPENDER: MemberId = MemberId(1);
const LENDER: MemberId = MemberId(2);
const POOL: PoolId = PoolId { founder: SPENDER, seq: 2 };

/// The spender's 100 points expire after the first 60 of the lender's, and before its other 60.
fn households() -> (World, World) {
    let (mut spender, mut lender) = (World::new(&source()), World::new(&source()));
    spender.does(500, Ask::FoundPool { founder: SPENDER }).expect("founded");
    lender.does(500, Ask::JoinPool { pool: POOL }).expect("joined");
    spender.does(0, Ask::ChangePool { pool: POOL, member: LENDER, joined: true }).expect("known");
    for (lends, day, amount) in [(true, 0, 6_000), (false, 1, 10_000), (true, 2, 6_000)] {
        let world = if lends { &mut lender } else { &mut spender };
        world.now = NOON + day * DAY_MS;
        world.buys(&day.to_string(), basket(world.now, vec![line("a", "", amount)], Vec::new())).expect("sold");
    }
    spender.now = lender.now;
    (spender, lender)
}

/// Places a hold of so many points and asks the lender, as the façade does.
fn hold(spender: &mut World, lender: &mut World, points: i64) -> u64 {
    let of = parts(&[(SPENDER, &spender.member.wallets[0]), (LENDER, &lender.member.wallets[0])], points).expect("enough together");
    let pool = PoolHold { pool: POOL, parts: vec![of[1]] };
    spender.does(10_000 + u128::from(spender.member.seq), Ask::PlaceHold { wallet: 0, asked: Asked::Points(points), ttl_ms: Some(DAY_MS), pool: Some(Box::new(pool)) }).expect("placed");
    let seq = spender.member.seq;
    assert!(gathering(spender.member.pool.as_ref().expect("in a pool"), seq));
    assert_eq!(spender.does(601, Ask::ConfirmHold { hold: seq, points: None }).err(), Some(Code::HoldPending));
    let lend = Ask::Lend { lender: LENDER, to: SPENDER, hold: seq, wallet: 0, points: of[1].1, pool: POOL };
    let lent = lender.does(0, lend.clone()).expect("answered");
    assert_eq!(lender.does(0, lend).expect("once"), lent);
    let loans: Vec<Loaned> = loaned(LENDER, &lent).into_iter().collect();
    spender.does(0, Ask::Gather { hold: seq, complete: !loans.is_empty(), loans }).expect("gathered");
    assert_eq!(spender.does(0, Ask::Gather { hold: seq, complete: true, loans: Vec::new() }).err(), Some(Code::NothingDue));
    seq
}

/// Brings home what the spender's last record has sent.
fn home(spender: &mut World, lender: &mut World, record: &Record) -> i64 {
    let seq = spender.member.seq;
    let mut points = 0;
    for (owner, lots) in spender.member.pool.as_ref().expect("in a pool").home(record) {
        assert_eq!(owner, LENDER);
        points += lots.iter().map(|(_, _, points, ..)| points).sum::<i64>();
        for _ in 0..2 {
            lender.does(0, Ask::TakeHome { owner: LENDER, from: SPENDER, seq, lots: lots.clone() }).expect("home, once");
        }
    }
    if points > 0 {
        spender.does(0, Ask::Homed { seq }).expect("settled");
    }
    assert_eq!(spender.does(0, Ask::Homed { seq }).err(), Some(Code::NothingDue));
    points
}

fn balances(spender: &World, lender: &World) -> (i64, i64) {
    (spender.figures().available, lender.figures().available)
}

#[test]
fn rule_15_a_pool_spends_the_lots_of_all_in_the_order_of_spending() {
    let (mut spender, mut lender) = households();
    // 60 of the lender's, then 100 of the spender's, then 20 of the lender's.
    let seq = hold(&mut spender, &mut lender, 180);
    assert_eq!((balances(&spender, &lender), spender.figures().held), ((0, 40), 180));
    // Of 170, what comes last in the order goes home.
    let record = spender.does(602, Ask::ConfirmHold { hold: seq, points: Some(170) }).expect("spent");
    assert_eq!(home(&mut spender, &mut lender, &record), 10);
    assert_eq!(balances(&spender, &lender), (0, 50));
    // Undone, each has what it gave.
    let redemption = spender.member.seq - 1;
    let record = spender.does(603, Ask::Reverse { redemption }).expect("undone");
    assert_eq!((home(&mut spender, &mut lender, &record), balances(&spender, &lender)), (70, (100, 120)));
}

#[test]
fn rule_15_what_a_pool_paid_goes_back_to_its_owner_with_the_goods() {
    let (mut spender, mut lender) = households();
    let seq = hold(&mut spender, &mut lender, 180);
    let tender = crate::basket::Tender { kind: "points".into(), amount: 180, wallet: "".into(), hold: Some(seq), offline: None, lines: Vec::new() };
    let record = spender.buys("paid", basket(spender.now, vec![line("x", "tobacco", 360)], vec![tender])).expect("sold");
    assert_eq!((home(&mut spender, &mut lender, &record), balances(&spender, &lender)), (0, (0, 40)));
    let sale = spender.member.seq;
    // The last debit comes back first (rule 19): 20 of the lender's, then the spender's.
    let record = spender.returns(700, sale, &[("x", Some(100))]).expect("half of a half");
    assert_eq!((home(&mut spender, &mut lender, &record), balances(&spender, &lender)), (20, (30, 60)));
    let record = spender.returns(701, sale, &[]).expect("the rest");
    assert_eq!((home(&mut spender, &mut lender, &record), balances(&spender, &lender)), (60, (100, 120)));
}

#[test]
fn rule_15_points_that_an_exchange_sends_home_wake_their_member() {
    let (mut spender, mut lender) = households();
    let seq = hold(&mut spender, &mut lender, 180);
    let tender = crate::basket::Tender { kind: "points".into(), amount: 180, wallet: "".into(), hold: Some(seq), offline: None, lines: Vec::new() };
    spender.buys("paid", basket(spender.now, vec![line("x", "tobacco", 180)], vec![tender])).expect("sold");
    let mut back = line("r", "", 0);
    back.kind = crate::basket::LineKind::Return;
    back.returns = Some(crate::basket::ReturnOf { sale: spender.member.seq, line: "x".into() });
    // Nothing of it changes a tier or a lot of the spender's own before its time: that it is asked after is what is left.
    let record = spender.buys("exchange", basket(spender.now, vec![back], Vec::new())).expect("given back");
    assert_eq!((home(&mut spender, &mut lender, &record), balances(&spender, &lender)), (80, (100, 120)));
}

#[test]
fn rule_15_all_or_none_and_what_is_free_again_goes_home() {
    let (mut spender, mut lender) = households();
    // The lender spends meanwhile: it says no, once for ever.
    let (own, theirs) = (&spender.member.wallets[0], &lender.member.wallets[0]);
    let part = parts(&[(SPENDER, own), (LENDER, theirs)], 220).expect("all of it")[1].1;
    lender.does(600, Ask::Redeem { wallet: 0, asked: Asked::Points(1), offline: None }).expect("spent");
    let pool = PoolHold { pool: POOL, parts: vec![(LENDER, part)] };
    spender.does(600, Ask::PlaceHold { wallet: 0, asked: Asked::Points(220), ttl_ms: None, pool: Some(Box::new(pool)) }).expect("placed");
    let seq = spender.member.seq;
    let refused = lender.does(0, Ask::Lend { lender: LENDER, to: SPENDER, hold: seq, wallet: 0, points: part, pool: POOL }).expect("answered");
    assert!(matches!(refused.body, Body::LendRefused { .. }) && loaned(LENDER, &refused).is_none());
    spender.does(0, Ask::Gather { hold: seq, complete: false, loans: Vec::new() }).expect("undone");
    assert_eq!((balances(&spender, &lender), spender.figures().held), ((100, 119), 0));
    // A hold that ends by its time sends home what was lent; leaving ends the right, not open holds.
    let seq = hold(&mut spender, &mut lender, 200);
    lender.does(610, Ask::LeavePool { pool: POOL }).expect("left");
    assert_eq!(spender.figures().held, 200);
    spender.now += DAY_MS;
    let record = spender.does(0, Ask::Tick).expect("over");
    assert!(spender.member.pool.as_ref().is_some_and(|pool| !gathering(pool, seq)));
    assert_eq!((home(&mut spender, &mut lender, &record), balances(&spender, &lender)), (100, (100, 119)));
    let refused = lender.does(0, Ask::Lend { lender: LENDER, to: SPENDER, hold: 99, wallet: 0, points: 1, pool: POOL }).expect("answered");
    assert!(matches!(refused.body, Body::LendRefused { .. }));
}

#[test]
fn rule_15_one_pool_per_member_and_both_sides_say_so() {
    let (mut spender, mut lender) = households();
    assert_eq!(lender.does(501, Ask::FoundPool { founder: LENDER }).err(), Some(Code::InPool));
    assert_eq!(spender.does(501, Ask::JoinPool { pool: PoolId { founder: LENDER, seq: 9 } }).err(), Some(Code::InPool));
    for number in 3..9 {
        spender.does(0, Ask::ChangePool { pool: POOL, member: MemberId(number), joined: true }).expect("joined");
    }
    assert_eq!(spender.does(0, Ask::ChangePool { pool: POOL, member: MemberId(9), joined: true }).err(), Some(Code::PoolFull));
    spender.does(0, Ask::ChangePool { pool: POOL, member: MemberId(3), joined: false }).expect("left");
    spender.does(502, Ask::LeavePool { pool: POOL }).expect("the founder left: the pool is no more");
    assert_eq!(spender.does(0, Ask::ChangePool { pool: POOL, member: MemberId(9), joined: true }).err(), Some(Code::UnknownPool));
    let hold = Ask::PlaceHold { wallet: 0, asked: Asked::Points(1), ttl_ms: None, pool: Some(Box::new(PoolHold { pool: POOL, parts: Vec::new() })) };
    assert_eq!(spender.does(503, hold).err(), Some(Code::NotInPool));
}

#[test]
fn rule_15_lent_points_of_a_returned_sale_are_the_lenders_debt_until_they_come_home() {
    let (mut spender, mut lender) = households();
    let seq = hold(&mut spender, &mut lender, 220);
    // All of the lender's points are lent when goods come back.
    lender.returns(700, 3, &[]).expect("taken back");
    assert_eq!(lender.figures().debt, 60);
    let record = spender.does(602, Ask::CancelHold { hold: seq }).expect("freed");
    assert_eq!(home(&mut spender, &mut lender, &record), 120);
    assert_eq!((lender.figures().debt, balances(&spender, &lender)), (0, (100, 60)));
    let met: i64 = lender.records().iter().flat_map(|record| &record.events).filter_map(|event| if let Event::Points(_, Movement::DebtRepaid { points, .. }) = event { Some(points) } else { None }).sum();
    assert_eq!(met, 60);
}
