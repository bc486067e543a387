//! Merges (rule 15): one member goes into another, each with a journal of its own.

use std::sync::Arc;

use super::tests_world::{NOON, World, basket, line, points, source};
use crate::Code;
use crate::basket::{Allowed, Tender};
use crate::command::{Ask, Return, SaleName};
use crate::compile::{GoalSource, RewardSource, Source, StepSource};
use crate::goals::{GoalKind, Measure};
use crate::ids::{Kind, MadeId, MemberId, PoolId};
use crate::keys::{KeyKind, Keys, TransactionId};
use crate::merge::{Cut, Owner, SPAN, number, of_command};
use crate::record::{Asked, Body, Figures, Offline, Record};
use crate::time::DAY_MS;

const GOES: MemberId = MemberId(1);
const STAYS: MemberId = MemberId(2);
const THIRD: MemberId = MemberId(3);

fn worlds(source: &Source) -> (World, World) {
    (World::new(source), World::new(source))
}

fn buys(world: &mut World, id: &str, amount: i64) -> u64 {
    world.buys(id, basket(world.now, vec![line("a", "", amount)], Vec::new())).expect("sold");
    world.member.seq
}

/// All of a sale, by the till's key.
fn returned(world: &mut World, header: u128, id: &str) -> Result<Arc<Record>, Code> {
    let keys = Keys { transaction: Some(TransactionId { source: "pos".into(), id: id.into() }), ..Keys::default() };
    let asked = Return { kind: KeyKind::Return, sale: SaleName::Keys(keys), lines: Vec::new(), currency: None, points_refund: None, keys: Keys::default(), occurred_at: world.now, may_wait: false, receipt_used: false };
    world.does(header, Ask::Return(Box::new(asked)))
}

fn merged(goes: &mut World, stays: &mut World) {
    assert_eq!(stays.takes(STAYS, GOES, goes), Ok(true));
    assert_eq!(goes.figures(), Figures::default(), "nothing is left");
}

#[test]
fn rule_15_a_merge_moves_lots_holds_sales_and_keys() {
    let (mut goes, mut stays) = worlds(&source());
    let sale = buys(&mut goes, "1", 9_000);
    let first = goes.does(107, Ask::PlaceHold { wallet: 0, asked: Asked::Points(30), ttl_ms: None, pool: None }).expect("held");
    let hold = goes.member.seq;
    goes.does(0, Ask::Redeem { wallet: 0, asked: Asked::Points(10), offline: None }).expect("spent");
    let redemption = goes.member.seq;
    buys(&mut stays, "2", 4_000);
    let before = stays.figures();
    merged(&mut goes, &mut stays);
    assert_eq!(stays.figures(), Figures { available: before.available + 50, held: 30, ..before });
    assert_eq!((stays.member.tier.level, stays.member.purchases), (1, 2), "40 and 90 points of the year are silver");
    // The old id answers with the one that goes on; what was asked there is answered as it was.
    assert_eq!(goes.does(108, Ask::Redeem { wallet: 0, asked: Asked::Points(1), offline: None }).err(), Some(Code::MemberMerged));
    let (into, place) = goes.member.merges.as_ref().and_then(|merges| merges.gone()).expect("gone");
    assert_eq!((into, place), (STAYS, 1));
    let again = stays.does(107, Ask::PlaceHold { wallet: 0, asked: Asked::Points(30), ttl_ms: None, pool: None }).expect("a repeat");
    assert_eq!(again.after, first.after);
    // Its hold, redemption and sale go on there, by its numbers as they are there.
    stays.does(109, of_command(&Ask::ConfirmHold { hold, points: Some(25) }, STAYS, place)).expect("confirmed");
    stays.does(110, of_command(&Ask::Reverse { redemption }, STAYS, place)).expect("undone");
    assert_eq!(stays.figures(), Figures { available: 40 + 90 - 25, ..Figures::default() });
    let owner = Owner { member: STAYS, sources: vec![GOES] };
    assert_eq!(owner.number(MadeId { kind: Kind::Purchase, member: GOES, seq: sale }), Some(number(sale, place)));
    assert_eq!(owner.number(MadeId { kind: Kind::Purchase, member: THIRD, seq: sale }), None);
    returned(&mut stays, 111, "1").expect("given back");
    assert_eq!(stays.figures().available, 40 - 25, "90 of the sale are claimed: 65 of its own lots, 25 of the others");
    assert_eq!(returned(&mut stays, 112, "1").err(), Some(Code::ExceedsSale));
    assert_eq!(stays.buys("1", basket(stays.now, vec![line("a", "", 9_000)], Vec::new())).expect("a repeat").after, goes.record(sale).after);
    assert_eq!(stays.does(113, Ask::Reverse { redemption: number(99, place) }).err(), Some(Code::UnknownRedemption));
}

#[test]
fn rule_15_what_comes_in_meets_debt() {
    let (mut goes, mut stays) = worlds(&source());
    buys(&mut goes, "1", 9_000);
    stays.does(101, Ask::Adjust { wallet: 0, points: -70, reason: "test".into(), allow_debt: true, write_off: false }).expect("owes");
    merged(&mut goes, &mut stays);
    assert_eq!(stays.figures(), Figures { available: 20, ..Figures::default() });
    // And the other way round.
    let (mut goes, mut stays) = worlds(&source());
    buys(&mut stays, "1", 9_000);
    goes.does(101, Ask::Adjust { wallet: 0, points: -70, reason: "test".into(), allow_debt: true, write_off: false }).expect("owes");
    merged(&mut goes, &mut stays);
    assert_eq!(stays.figures(), Figures { available: 20, ..Figures::default() });
}

#[test]
fn rule_15_a_receipt_that_both_have_counts_once() {
    for second in [true, false] {
        let (mut goes, mut stays) = worlds(&source());
        let (one, other) = (buys(&mut goes, "1", 9_000), buys(&mut stays, "1", 9_000));
        // The later of the two was taken back (rule 23).
        let (taken, sale) = if second { (&mut stays, other) } else { (&mut goes, one) };
        taken.returns(50, sale, &[]).expect("taken back");
        merged(&mut goes, &mut stays);
        assert_eq!(stays.figures().available, 90);
        // The till may send it once more, and the goods come back once.
        assert!(stays.buys("1", basket(stays.now, vec![line("a", "", 9_000)], Vec::new())).is_ok());
        returned(&mut stays, 151, "1").expect("given back");
        assert_eq!(stays.figures().available, 0);
        assert_eq!(returned(&mut stays, 152, "1").err(), Some(Code::ExceedsSale));
    }
}

#[test]
fn rule_15_a_merge_that_is_not_taken_changes_nothing() {
    let (mut goes, mut stays) = worlds(&source());
    buys(&mut goes, "1", 9_000);
    let pool = PoolId { founder: GOES, seq: 3 };
    goes.does(101, Ask::FoundPool { founder: GOES }).expect("founded");
    assert_eq!(goes.does(0, Ask::Merge { into: STAYS }).err(), Some(Code::InPool));
    goes.does(102, Ask::LeavePool { pool }).expect("left");
    goes.does(103, Ask::Give { wallet: 0, points: 5, to: THIRD }).expect("given");
    assert_eq!(goes.does(0, Ask::Merge { into: STAYS }).err(), Some(Code::MergeRefused));
    goes.does(0, Ask::SettleGift { gift: goes.member.seq, taken: true }).expect("arrived");
    // Two that go into each other at the same time: both are refused, for ever, and both stay.
    for (one, into) in [(&mut goes, STAYS), (&mut stays, GOES)] {
        one.does(0, Ask::Merge { into }).expect("begun");
        assert_eq!(one.does(104, Ask::Redeem { wallet: 0, asked: Asked::Points(1), offline: None }).err(), Some(Code::MemberMerged));
    }
    let (merge, cut) = (goes.member.seq, Arc::new(Cut::new(goes.member.clone())));
    let ask = || Ask::Absorb { from: GOES, merge, part: 0, cut: cut.clone() };
    let parts = |world: &World| Cut::new(world.member.clone()).parts;
    let before = parts(&stays);
    assert!(matches!(stays.does(0, ask()).expect("answered").body, Body::AbsorbRefused { .. }));
    assert_eq!(parts(&stays), before, "its own state may be on its way");
    goes.does(0, Ask::SettleMerge { merge, place: None }).expect("undone");
    stays.does(0, Ask::SettleMerge { merge: stays.member.seq - 1, place: None }).expect("undone");
    assert!(matches!(stays.does(0, ask()).expect("answered").body, Body::AbsorbRefused { .. }));
    assert_eq!(goes.does(0, Ask::SettleMerge { merge, place: Some(1) }).err(), Some(Code::NothingDue));
    assert_eq!(goes.figures().available, 85);
    // A new attempt is another one.
    merged(&mut goes, &mut stays);
    assert_eq!(stays.figures().available, 85);
}

#[test]
fn rule_15_what_was_taken_over_goes_on_with_it() {
    let (mut goes, mut stays) = worlds(&source());
    let mut third = World::new(&source());
    let sale = buys(&mut goes, "1", 9_000);
    buys(&mut stays, "2", 4_000);
    goes.does(0, Ask::Merge { into: STAYS }).expect("begun");
    let (merge, cut) = (goes.member.seq, Arc::new(Cut::new(goes.member.clone())));
    let ask = |part| Ask::Absorb { from: GOES, merge, part, cut: cut.clone() };
    let last = u16::try_from(cut.parts.len() - 1).expect("few");
    let taken: Vec<_> = (0..=last).map(|part| stays.does(0, ask(part)).expect("taken")).collect();
    assert_eq!(third.takes(THIRD, STAYS, &mut stays), Ok(true));
    // Whoever asks again, after the member that took it has gone itself, hears the same.
    (0..=last).zip(taken).for_each(|(part, taken)| assert_eq!(stays.does(0, ask(part)).expect("once"), taken));
    goes.does(0, Ask::SettleMerge { merge, place: Some(1) }).expect("gone");
    third.knows_journal(GOES, &goes);
    assert_eq!(third.figures().available, 130);
    assert_eq!(third.member.merges.as_ref().map(|merges| merges.sources.len()), Some(2));
    // From the first by way of the second to the third.
    assert_eq!(number(number(sale, 1), 1), sale + 2 * u64::from(SPAN));
    returned(&mut third, 101, "1").expect("given back");
    assert_eq!(third.figures().available, 40);
}

#[test]
fn rule_15_a_state_of_any_size_comes_in_parts() {
    let (mut goes, mut stays) = worlds(&source());
    for number in 0..2_500_i64 {
        goes.now += 60_000;
        buys(&mut goes, &number.to_string(), 100 + number);
    }
    let parts = Cut::new(goes.member.clone()).parts;
    assert!(parts.len() > 5);
    let sum = parts.iter().map(|part| part.figures(0).available).sum::<i64>();
    assert_eq!(sum, goes.figures().available);
    stays.now = goes.now;
    let before = goes.figures().available;
    merged(&mut goes, &mut stays);
    assert_eq!((stays.figures().available, stays.member.purchases), (before, 2_500));
    let lots = stays.member.wallets[0].live.len();
    returned(&mut stays, 101, "2000").expect("given back");
    assert_eq!(stays.member.wallets[0].live.len(), lots - 1);
}

#[test]
fn rule_15_allowances_and_returns_that_wait_go_with_their_member() {
    let (mut goes, mut stays) = worlds(&source());
    buys(&mut goes, "1", 9_000);
    goes.does(101, Ask::Allow(Box::new(crate::command::Allow { wallet: 0, store: "1".into(), till: "4".into(), points: 50, ttl_ms: None }))).expect("allowed");
    let allowance = goes.member.seq;
    let used = |counter| Ask::Redeem { wallet: 0, asked: Asked::Points(20), offline: Some(Box::new(Offline { used: Allowed { allowance, counter }, store: "1".into(), till: "4".into(), at: NOON })) };
    goes.does(102, used(1)).expect("spent");
    let keys = Keys { transaction: Some(TransactionId { source: "pos".into(), id: "later".into() }), ..Keys::default() };
    let asked = Return { kind: KeyKind::Return, sale: SaleName::Keys(keys), lines: Vec::new(), currency: None, points_refund: None, keys: Keys::default(), occurred_at: goes.now, may_wait: true, receipt_used: false };
    goes.does(103, Ask::Return(Box::new(asked))).expect("waits");
    merged(&mut goes, &mut stays);
    // The same use once, another one, and no more than there is.
    stays.does(104, of_command(&used(1), STAYS, 1)).expect("a repeat");
    stays.does(105, of_command(&used(2), STAYS, 1)).expect("spent");
    assert_eq!(stays.does(106, of_command(&used(3), STAYS, 1)).err(), Some(Code::AllowanceExceeded));
    assert_eq!(stays.figures().available, 50);
    buys(&mut stays, "later", 1_000);
    assert_eq!(stays.figures().available, 50, "its return has waited for it");
    assert!(stays.member.waiting.is_empty());
}

#[test]
fn rule_15_what_both_did_for_a_quest_counts_together() {
    let mut programme = source();
    let goal = |kind, id: &str, figure| GoalSource {
        kind,
        id: id.into(),
        name: id.into(),
        from: None,
        until: None,
        steps: vec![StepSource { measure: Some((Measure::Spend("USD".parse().expect("a currency")), figure)), when: Default::default() }],
        repeatable: kind == GoalKind::Quest,
        keep: false,
        reward: RewardSource::Points("".into(), 500),
        text: "".into(),
    };
    programme.goals = vec![goal(GoalKind::Quest, "together", 10_000), goal(GoalKind::Achievement, "each", 2_000)];
    let (mut goes, mut stays) = worlds(&programme);
    let sale = buys(&mut goes, "1", 6_000);
    buys(&mut stays, "2", 5_000);
    assert_eq!([goes.figures().available, stays.figures().available], [560, 550]);
    merged(&mut goes, &mut stays);
    // The quest is reached by both together; what each had reached that counts once, both keep.
    assert_eq!(stays.figures().available, 560 + 550 + 500);
    stays.does(101, of_command(&Ask::Return(Box::new(Return { kind: KeyKind::Return, sale: SaleName::Seq(sale), lines: Vec::new(), currency: None, points_refund: None, keys: Keys::default(), occurred_at: stays.now, may_wait: false, receipt_used: false })), STAYS, 1)).expect("given back");
    assert_eq!(stays.figures().available, 560 + 550 - 60);
}

#[test]
fn rule_15_the_higher_tier_is_held_by_both_also_in_the_past() {
    let (mut goes, mut stays) = worlds(&source());
    goes.now = NOON + DAY_MS;
    buys(&mut goes, "1", 12_000);
    (goes.now, stays.now) = (NOON + 3 * DAY_MS, NOON + 3 * DAY_MS);
    assert_eq!([goes.member.tier.level, stays.member.tier.level], [1, 0]);
    merged(&mut goes, &mut stays);
    let tier = &stays.member.tier;
    assert_eq!([NOON, NOON + 2 * DAY_MS, NOON + 4 * DAY_MS].map(|at| tier.at(at)), [0, 1, 1]);
    // What carried it goes with the goods.
    returned(&mut stays, 101, "1").expect("given back");
    assert_eq!(stays.member.tier.level, 0);
}

#[test]
fn rule_15_points_tenders_of_the_one_that_went_come_back() {
    let (mut goes, mut stays) = worlds(&source());
    buys(&mut goes, "1", 9_000);
    goes.does(101, Ask::PlaceHold { wallet: 0, asked: Asked::Points(40), ttl_ms: None, pool: None }).expect("held");
    let hold = goes.member.seq;
    goes.buys("paid", basket(goes.now, vec![line("x", "tobacco", 50)], vec![points(50)])).expect("sold");
    merged(&mut goes, &mut stays);
    assert_eq!(stays.figures(), Figures { available: 0, held: 40, ..Figures::default() });
    // The till has the card by now, and the hold by its old name.
    let tender = Tender { hold: Some(number(hold, 1)), ..points(40) };
    stays.buys("held", basket(stays.now, vec![line("x", "tobacco", 40)], vec![tender])).expect("sold");
    for (header, id) in [(102, "paid"), (103, "held")] {
        returned(&mut stays, header, id).expect("given back");
    }
    assert_eq!(stays.figures(), Figures { available: 90, ..Figures::default() });
}

#[test]
fn rule_15_until_all_of_a_state_is_there_nothing_is_done_with_it() {
    let (mut goes, mut stays) = worlds(&source());
    for number in 0..30 {
        buys(&mut goes, &number.to_string(), 300);
    }
    buys(&mut stays, "other", 4_000);
    goes.does(0, Ask::Merge { into: STAYS }).expect("begun");
    let (merge, cut) = (goes.member.seq, Arc::new(Cut::new(goes.member.clone())));
    assert!(cut.parts.len() > 3);
    stays.does(0, Ask::Absorb { from: GOES, merge, part: 0, cut: cut.clone() }).expect("taken");
    assert_eq!(stays.does(101, Ask::Redeem { wallet: 0, asked: Asked::Points(1), offline: None }).err(), Some(Code::MemberMerged));
    assert_eq!(stays.does(0, Ask::Absorb { from: GOES, merge, part: 2, cut: cut.clone() }).err(), Some(Code::NothingDue));
    let other = Ask::Absorb { from: THIRD, merge: 2, part: 0, cut: Arc::new(Cut::new(World::new(&source()).member)) };
    assert_eq!(stays.does(0, other).err(), Some(Code::MemberMerged), "nor is another one taken over");
    for (part, _) in (0..).zip(&cut.parts) {
        stays.does(0, Ask::Absorb { from: GOES, merge, part, cut: cut.clone() }).expect("taken");
    }
    stays.does(101, Ask::Redeem { wallet: 0, asked: Asked::Points(1), offline: None }).expect("spent");
}

#[test]
fn rule_15_years_of_two_members_that_begin_on_different_days() {
    let programme = Source { period: crate::programme::TierPeriod::AnniversaryYear, ..source() };
    let mut third = World::new(&programme);
    let mut goes = World::new(&programme);
    // Enrolled three months later.
    let later = |at| {
        let mut world = World::empty(&programme, at);
        world.does(1, Ask::Enrol { aliases: Vec::new() }).expect("enrolled");
        world
    };
    let mut stays = later(NOON + 90 * DAY_MS);
    goes.now = NOON + 30 * DAY_MS;
    buys(&mut goes, "1", 12_000);
    goes.now = stays.now;
    merged(&mut goes, &mut stays);
    third.now = stays.now;
    assert_eq!(stays.member.tier.level, 1);
    // Once more, into one whose year begins when the first one's did.
    assert_eq!(third.takes(THIRD, STAYS, &mut stays), Ok(true));
    assert_eq!(third.member.tier.level, 1);
    returned(&mut third, 101, "1").expect("given back");
    assert_eq!(third.member.tier.level, 0, "what carried it goes with the goods");
}

#[test]
fn rule_15_when_all_goods_are_back_nobodys_reward_is_left() {
    let mut programme = source();
    let usd = "USD".parse().expect("a currency");
    programme.clawback = crate::programme::Clawback::Unlimited;
    programme.goals = vec![GoalSource {
        kind: GoalKind::Quest,
        id: "once".into(),
        name: "once".into(),
        from: None,
        until: None,
        steps: vec![StepSource { measure: Some((Measure::Spend(usd), 2_000)), when: Default::default() }],
        repeatable: false,
        keep: true,
        reward: RewardSource::Points("".into(), 500),
        text: "".into(),
    }];
    let (mut goes, mut stays) = worlds(&programme);
    buys(&mut goes, "1", 6_000);
    buys(&mut stays, "2", 5_000);
    merged(&mut goes, &mut stays);
    returned(&mut stays, 101, "1").expect("given back");
    assert_eq!(stays.figures().available, 550 + 500);
    returned(&mut stays, 102, "2").expect("given back");
    assert_eq!(stays.figures(), Figures::default());
}

#[test]
fn rule_15_a_return_that_waits_where_the_other_one_has_the_sale_is_shown_to_staff() {
    let (mut goes, mut stays) = worlds(&source());
    buys(&mut stays, "1", 9_000);
    let keys = Keys { transaction: Some(TransactionId { source: "pos".into(), id: "1".into() }), ..Keys::default() };
    let asked = Return { kind: KeyKind::Return, sale: SaleName::Keys(keys), lines: Vec::new(), currency: None, points_refund: None, keys: Keys::default(), occurred_at: goes.now, may_wait: true, receipt_used: false };
    goes.does(101, Ask::Return(Box::new(asked))).expect("waits");
    merged(&mut goes, &mut stays);
    assert!(stays.member.waiting.is_empty() && stays.member.awaited.is_empty());
    assert!(stays.records().iter().any(|record| record.events.iter().any(|event| matches!(event, crate::record::Event::ReturnLapsed { .. }))));
}

#[test]
fn rule_15_two_who_lent_to_one_hold_and_are_one_now_each_get_their_own_back() {
    let (mut one, mut other) = worlds(&source());
    let pool = PoolId { founder: THIRD, seq: 2 };
    for (lender, member) in [(&mut one, GOES), (&mut other, STAYS)] {
        buys(lender, "1", 9_000);
        lender.does(101, Ask::JoinPool { pool }).expect("joined");
        lender.does(0, Ask::Lend { lender: member, to: THIRD, hold: 3, wallet: 0, points: 30, pool }).expect("lent");
    }
    one.does(102, Ask::LeavePool { pool }).expect("left");
    let lots = |world: &World| vec![(0, world.member.wallets[0].live[0].id, 30, NOON, NOON + 40 * DAY_MS)];
    let asks = [(GOES, lots(&one)), (STAYS, lots(&other))].map(|(owner, lots)| Ask::TakeHome { owner, from: THIRD, seq: 9, lots });
    merged(&mut one, &mut other);
    // The first is sent on, renumbered; neither is taken for the other's.
    other.does(0, of_command(&asks[0], STAYS, 1)).expect("home");
    other.does(0, asks[1].clone()).expect("home");
    for ask in [of_command(&asks[0], STAYS, 1), asks[1].clone()] {
        other.does(0, ask).expect("once");
    }
    assert_eq!(other.figures().available, 180);
}
