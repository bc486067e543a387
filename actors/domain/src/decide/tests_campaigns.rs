//! Campaigns (rule 6): what one member gets of one, and what all do.

use std::sync::Arc;

use super::tests_world::{NOON, World, basket, line, source};
use crate::Code;
use crate::campaigns::{Budgets, CampaignKey, Pots};
use crate::command::Ask;
use crate::compile::{BonusSource, CampaignSource, ConditionSource, MultiplierSource, Source, compile};
use crate::earn;
use crate::number::Decimal;
use crate::record::{Asked, Body, Record};
use crate::rules::Condition;
use crate::time::{DAY_MS, Moment};

/// Double points on fruit and 7 for every basket, both of a campaign: at most `member` points of it for one member.
fn summer(member: Option<i64>, budget: Option<i64>) -> Source {
    let mut made = source();
    let fruit = ConditionSource { when: Condition { categories: vec!["fruit".into()], ..Condition::default() }, ..ConditionSource::default() };
    made.campaigns = vec![CampaignSource { id: "summer".into(), wallet: "".into(), from: None, until: None, member, budget }];
    made.multipliers = vec![MultiplierSource { id: "double".into(), wallet: "".into(), priority: 0, factor: Decimal(2 * Decimal::ONE), group: None, campaign: "summer".into(), when: fruit, text: "".into() }];
    made.bonuses = vec![BonusSource { id: "seven".into(), wallet: "".into(), points: 7, per_unit: false, campaign: "summer".into(), when: ConditionSource::default(), text: "".into() }];
    made
}

fn buys(world: &mut World, id: &str, amount: i64) -> Arc<Record> {
    world.buys(id, basket(world.now, vec![line("a", "fruit", amount)], Vec::new())).expect("sold")
}

/// Points by kind: base, multiplier, bonus, cut by the member's most, cut by the budget, cut by the purchase's cap.
fn kinds(record: &Record) -> [i64; 6] {
    let Body::Purchased(sale) = &record.body else { panic!("not a sale") };
    let mut sums = [0; 6];
    for award in &sale.awards {
        let kind = match award.source {
            earn::Source::Base(_) => 0,
            earn::Source::Multiplier(_) => 1,
            earn::Source::Bonus(_) => 2,
            earn::Source::CampaignCap(_) => 3,
            earn::Source::CampaignBudget(_) => 4,
            earn::Source::PurchaseCap(_) | earn::Source::MemberCap(_) => 5,
        };
        sums[kind] += award.points;
    }
    sums
}

#[test]
fn rule_06_a_campaign_gives_one_member_so_much_and_a_return_makes_room() {
    let mut world = World::new(&summer(Some(20), None));
    assert_eq!(kinds(&buys(&mut world, "1", 1_000)), [10, 10, 7, 0, 0, 0]);
    // 3 are left of 20: the bonus, added last, goes first; the base is not the campaign's.
    assert_eq!(kinds(&buys(&mut world, "2", 500)), [5, 5, 7, -9, 0, 0]);
    assert_eq!((world.figures().available, world.member.campaigns.of(CampaignKey::of("summer"))), (35, 20));
    // Half of the first comes back: 5 of its 10 by the multiplier, and the room is there for the next.
    world.returns(1_001, 2, &[("a", Some(500))]).expect("taken back");
    assert_eq!((world.figures().available, world.member.campaigns.of(CampaignKey::of("summer"))), (25, 15));
    // Nothing is topped up: what was cut stays cut, also when all of it comes back.
    world.returns(1_002, 3, &[]).expect("taken back");
    assert_eq!((world.figures().available, world.member.campaigns.of(CampaignKey::of("summer"))), (17, 12));
    assert_eq!(kinds(&buys(&mut world, "3", 1_000)), [10, 10, 7, -9, 0, 0]);
    world.returns(1_003, 2, &[]).expect("the rest");
    world.returns(1_004, 6, &[]).expect("all of it");
    assert_eq!((world.figures().available, world.member.campaigns.of(CampaignKey::of("summer"))), (0, 0));
}

#[test]
fn rule_06_a_budget_is_of_all_members_and_is_charged_what_is_left_after_all_caps() {
    let mut made = summer(None, Some(30));
    made.wallets[0].caps.purchase = Some(20);
    let pots: Arc<dyn Budgets> = Arc::new(Pots::default());
    let (mut first, mut second) = (World::new(&made), World::new(&made));
    (first.budgets, second.budgets) = (pots.clone(), pots.clone());
    // 27 of which 7 of the bonus are cut by the purchase's cap: 10 are charged.
    assert_eq!(kinds(&buys(&mut first, "1", 1_000)), [10, 10, 7, 0, 0, -7]);
    assert_eq!(kinds(&buys(&mut second, "1", 500)), [5, 5, 7, 0, 0, 0]);
    // 30 - 10 - 12 = 8 are left; a quote's own pots say the same, and a refusal takes nothing.
    let paid = crate::basket::Tender { kind: "points".into(), amount: 100, wallet: "".into(), hold: None, offline: None, lines: Vec::new() };
    assert_eq!(second.buys("2", basket(NOON, vec![line("a", "fruit", 500)], vec![paid])).err(), Some(Code::InsufficientPoints));
    let record = buys(&mut second, "2", 500);
    assert_eq!(kinds(&record), [5, 5, 7, 0, -4, 0]);
    assert_eq!(kinds(&buys(&mut first, "2", 500)), [5, 5, 7, 0, -12, 0]);
    // A return gives nothing back to the budget, and sees the room of its sale.
    second.returns(1_001, 3, &[("a", Some(250))]).expect("half");
    // 250 earn 5 exactly, of which the base has 3; of 2 and 7 there was room for 8.
    assert_eq!(second.figures().available, 17 + 3 + 8);
    second.returns(1_002, 3, &[]).expect("all");
    assert_eq!((second.figures().available, kinds(&buys(&mut first, "3", 500))), (17, [5, 5, 7, 0, -12, 0]));
    // What is left unknown is decided again.
    #[derive(Debug)]
    struct Unknown;
    impl Budgets for Unknown {
        fn take(&self, _campaign: CampaignKey, _budget: i64, _wanted: i64) -> Option<i64> {
            None
        }
        fn taken(&self, _campaign: CampaignKey, _unused: i64) {}
        fn give_back(&self, _campaign: CampaignKey, _points: i64) {}
    }
    first.budgets = Arc::new(Unknown);
    assert_eq!(first.buys("4", basket(NOON, vec![line("a", "fruit", 500)], Vec::new())).err(), Some(Code::BudgetPending));
    first.does(9, Ask::Redeem { wallet: 0, asked: Asked::Points(1), offline: None }).expect("nothing of a budget");
}

#[test]
fn rule_06_a_campaign_runs_in_its_window() {
    let mut made = summer(None, None);
    let at = |text: &str| Moment::Local(text.parse().expect("a time"));
    (made.campaigns[0].from, made.campaigns[0].until) = (Some(at("2026-06-02T00:00:00")), Some(at("2026-06-03T00:00:00")));
    let mut world = World::new(&made);
    assert_eq!(kinds(&buys(&mut world, "1", 1_000)), [10, 0, 0, 0, 0, 0]);
    world.now = NOON + DAY_MS;
    assert_eq!(kinds(&buys(&mut world, "2", 1_000)), [10, 10, 7, 0, 0, 0]);
    world.now = NOON + DAY_MS * 3 / 2;
    assert_eq!(kinds(&buys(&mut world, "3", 1_000)), [10, 0, 0, 0, 0, 0]);
}

#[test]
fn a_campaign_and_its_rules_fit() {
    let paths = |change: fn(&mut Source)| {
        let mut made = summer(Some(20), Some(30));
        change(&mut made);
        compile(&made, 1, 0).expect_err("wrong").into_iter().map(|finding| finding.path).collect::<Vec<_>>()
    };
    assert_eq!(paths(|made| made.bonuses[0].campaign = "winter".into()), ["bonus.0.campaign"]);
    assert_eq!(paths(|made| made.campaigns[0].member = Some(0)), ["campaign.0.member"]);
    assert_eq!(paths(|made| made.campaigns[0].budget = Some(-1)), ["campaign.0.budget"]);
    assert_eq!(paths(|made| made.campaigns.push(CampaignSource { id: "idle".into(), ..made.campaigns[0].clone() })), ["campaign.1.id"]);
    assert_eq!(paths(|made| made.campaigns.push(made.campaigns[0].clone())), ["campaign.1.id"]);
}
