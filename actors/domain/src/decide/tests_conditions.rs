//! What rules may ask of a sale (rules 3 and 6).

use super::tests_world::{NOON, World, basket, line, points, source};
use crate::basket::Basket;
use crate::compile::{BonusSource, ConditionSource, Source, compile};
use crate::record::{Body, Record};
use crate::rules::Condition;
use crate::time::Millis;

/// A bonus of 1,000 points under a condition.
fn with(when: ConditionSource) -> Source {
    let mut programme = source();
    programme.stores = vec![("ny".into(), "America/New_York".into())];
    programme.regions = [("east".into(), vec!["ny".into(), "7".into()])].into();
    programme.bonuses.push(BonusSource { id: "it".into(), wallet: "".into(), points: 1_000, per_unit: false, campaign: "".into(), when, text: "".into() });
    programme
}

fn holds(record: &Record) -> bool {
    let Body::Purchased(sale) = &record.body else { panic!("not a sale") };
    sale.shares.iter().any(|share| share.earned >= 1_000)
}

fn sale(store: &str, at: Millis) -> Basket {
    Basket { store: store.into(), ..basket(at, vec![line("a", "", 100)], Vec::new()) }
}

#[test]
fn rule_06_hours_are_of_the_stores_day_and_half_open() {
    let hours = |from: &str, to: &str| ConditionSource { hours: vec![(from.into(), to.into())], ..ConditionSource::default() };
    // Noon UTC is 08:00 in New York.
    for (from, to, utc, york) in [("12:00", "12:01", true, false), ("11:00", "12:00", false, false), ("08:00", "09:00", false, true), ("22:00", "08:01", false, true), ("00:00", "24:00", true, true)] {
        let mut world = World::new(&with(hours(from, to)));
        assert_eq!(holds(&world.buys("1", sale("1", NOON)).expect("sold")), utc, "{from} to {to}");
        assert_eq!(holds(&world.buys("2", sale("ny", NOON)).expect("sold")), york, "{from} to {to} in New York");
    }
    for (from, to) in [("8:00", "09:00"), ("09:00", "09:00"), ("24:00", "01:00"), ("10:60", "11:00"), ("x", "y")] {
        assert!(compile(&with(hours(from, to)), 1, 0).is_err(), "{from} to {to}");
    }
}

#[test]
fn rule_06_regions_tenders_and_the_first_purchase() {
    let mut world = World::new(&with(ConditionSource { regions: vec!["east".into()], ..ConditionSource::default() }));
    assert!(holds(&world.buys("1", sale("ny", NOON)).expect("sold")));
    assert!(!holds(&world.buys("2", sale("8", NOON)).expect("sold")));
    assert!(compile(&with(ConditionSource { regions: vec!["west".into()], ..ConditionSource::default() }), 1, 0).is_err());

    let when = Condition { tenders: vec!["own-card".into()], ..Condition::default() };
    let mut world = World::new(&with(ConditionSource { when, ..ConditionSource::default() }));
    let paid = |kind: &str| Basket { tenders: vec![crate::basket::Tender { kind: kind.into(), ..points(100) }], ..sale("1", NOON) };
    assert!(holds(&world.buys("1", paid("own-card")).expect("sold")));
    assert!(!holds(&world.buys("2", paid("cash")).expect("sold")));

    let mut world = World::new(&with(ConditionSource { when: Condition { first_purchase: true, ..Condition::default() }, ..ConditionSource::default() }));
    assert!(holds(&world.buys("1", sale("1", NOON)).expect("sold")));
    assert!(!holds(&world.buys("2", sale("1", NOON)).expect("sold")));
}

#[test]
fn rule_16_a_bundle_that_is_broken_up_gives_its_bonus_back() {
    let when = Condition { bundle: vec![vec!["gin".into(), "rum".into()], vec!["tonic".into()]], ..Condition::default() };
    let mut world = World::new(&with(ConditionSource { when, ..ConditionSource::default() }));
    let goods = |skus: &[&str]| {
        let lines = skus.iter().map(|sku| crate::basket::Line { sku: (*sku).into(), ..line(sku, "", 500) }).collect();
        basket(NOON, lines, Vec::new())
    };
    assert!(!holds(&world.buys("1", goods(&["gin", "rum"])).expect("sold")));
    assert!(holds(&world.buys("2", goods(&["rum", "tonic"])).expect("sold")));
    let back = world.gives(2, world.member.seq, vec![crate::command::LineBack { line: "tonic".into(), quantity: None, amount: None }]).expect("back");
    assert_eq!(back.wallets[0].claimed, 1_005);
}
