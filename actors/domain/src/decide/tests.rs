//! Given a member, when a command, then a record. Named after the rules they show.

use std::sync::Arc;

use super::Context;
use super::tests_world::{NOON, World, basket, line, points, source};
use crate::Code;
use crate::basket::{LineKind, Tender};
use crate::command::Ask;
use crate::rules::Condition;
use crate::compile::{BonusSource, ConditionSource, MultiplierSource, RateSource};
use crate::number::Decimal;
use crate::programme::Level;
use crate::record::{Asked, Body, Figures, Record};
use crate::time::{DAY_MS, Millis};

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
