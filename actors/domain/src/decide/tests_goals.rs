//! Quests, achievements, the member's profile. Named after the rules they show.

use super::tests_world::{NOON, World, basket, line, source};
use crate::Code;
use crate::command::Ask;
use crate::compile::{ConditionSource, GoalSource, MultiplierSource, RewardSource, Source, StepSource, compile, may_follow};
use crate::goals::{GoalKind, Measure, key};
use crate::number::Decimal;
use crate::profile::{BirthdayWindow, Change};
use crate::programme::{Clawback, Programmes};
use crate::record::Event;
use crate::rules::Condition;
use crate::time::{DAY_MS, Day, Millis};

fn step(measure: Measure, figure: i64, category: &str) -> StepSource {
    let categories = if category.is_empty() { Vec::new() } else { vec![category.into()] };
    StepSource { measure: Some((measure, figure)), when: ConditionSource { when: Condition { categories, ..Condition::default() }, ..ConditionSource::default() } }
}

fn quest(id: &str, steps: Vec<StepSource>, points: i64) -> GoalSource {
    GoalSource {
        kind: GoalKind::Quest,
        id: id.into(),
        name: id.into(),
        from: None,
        until: None,
        steps,
        repeatable: false,
        keep: true,
        reward: RewardSource::Points("".into(), points),
        text: "well done".into(),
    }
}

fn with(goals: Vec<GoalSource>) -> Source {
    Source { goals, clawback: Clawback::Unlimited, ..source() }
}

fn buys(world: &mut World, id: &str, at: Millis, category: &str, amount: i64) -> u64 {
    world.now = world.now.max(at);
    world.buys(id, basket(at, vec![line("a", category, amount)], Vec::new())).expect("sold");
    world.member.seq
}

fn reached(world: &World, kind: GoalKind, id: &str) -> i64 {
    world.member.progress(key(kind, id)).map_or(0, |progress| progress.reached)
}

#[test]
fn rule_20_the_nth_reward_stands_while_net_is_at_least_n_times_the_goal() {
    let usd = "USD".parse().expect("a currency");
    let mut programme = with(vec![quest("spend", vec![step(Measure::Spend(usd), 1_000, "fruit")], 50)]);
    programme.goals[0].repeatable = true;
    let mut world = World::new(&programme);
    // 25 dollars of fruit: two rewards in one lot, 25 points for the goods.
    let sale = buys(&mut world, "1", NOON, "fruit", 2_500);
    assert_eq!((reached(&world, GoalKind::Quest, "spend"), world.figures().available), (2, 125));
    // 6 dollars come back: 19 are left, one reward is taken.
    world.returns(1_001, sale, &[("a", Some(600))]).expect("taken back");
    assert_eq!((reached(&world, GoalKind::Quest, "spend"), world.figures().available), (1, 69));
    // It goes on from there.
    let next = buys(&mut world, "2", NOON, "fruit", 100);
    assert_eq!((reached(&world, GoalKind::Quest, "spend"), world.figures().available), (2, 120));
    world.returns(1_002, next, &[]).expect("taken back");
    world.returns(1_003, sale, &[]).expect("taken back");
    assert_eq!((reached(&world, GoalKind::Quest, "spend"), world.figures()), (0, Default::default()), "nothing kept, nothing left");
    assert!(world.member.progress(key(GoalKind::Quest, "spend")).is_some_and(|progress| progress.rewards.is_empty() && progress.steps[0].sum == 0));
}

#[test]
fn rule_20_a_reward_that_is_spent_is_taken_by_the_policy_or_owed_by_itself() {
    let mut programme = with(vec![quest("two", vec![step(Measure::Purchases, 2, "")], 50)]);
    programme.clawback = Clawback::SaleLots;
    let mut world = World::new(&programme);
    buys(&mut world, "1", NOON, "", 1_000);
    let sale = buys(&mut world, "2", NOON, "", 1_000);
    assert_eq!(world.figures().available, 70);
    world.does(2_000, Ask::Redeem { wallet: 0, asked: crate::record::Asked::Points(70), offline: None }).expect("spent");
    world.returns(1_001, sale, &[]).expect("taken back");
    // The sale owes its 10, the reward its 50, each met only by its own lots.
    let owed: Vec<i64> = world.member.wallets[0].owed.iter().map(|(_, points)| *points).collect();
    assert_eq!((owed, world.figures().available), (vec![10, 50], 0));
    buys(&mut world, "3", NOON, "", 500);
    // Completed again: a new reward, whose lot is another one; the goods' points are not touched either.
    assert_eq!(world.figures().available, 55);
}

#[test]
fn rule_22_every_step_counts_and_each_purchase_tells_of_a_quest_once() {
    let steps = vec![step(Measure::Units, 2, "fruit"), step(Measure::Visits, 2, "")];
    let mut world = World::new(&with(vec![quest("both", steps, 50)]));
    let lines = vec![line("a", "fruit", 100), line("b", "fruit", 100), line("c", "", 100)];
    let record = world.buys("1", basket(NOON, lines, Vec::new())).expect("sold");
    let progressed = record.events.iter().filter(|event| matches!(event, Event::Progressed { .. })).count();
    assert_eq!((progressed, reached(&world, GoalKind::Quest, "both")), (2, 0), "one visit is missing");
    buys(&mut world, "2", NOON, "", 100);
    assert_eq!(reached(&world, GoalKind::Quest, "both"), 0, "the same store on the same day is one visit");
    let next = buys(&mut world, "3", NOON + DAY_MS, "", 100);
    assert_eq!((reached(&world, GoalKind::Quest, "both"), world.figures().available), (1, 55));
    // Not repeatable.
    buys(&mut world, "4", NOON + 2 * DAY_MS, "fruit", 100);
    let last = buys(&mut world, "5", NOON + 2 * DAY_MS, "fruit", 100);
    assert_eq!(reached(&world, GoalKind::Quest, "both"), 1);
    // One of three visits goes: two are left.
    world.returns(1_001, next, &[]).expect("taken back");
    assert_eq!(reached(&world, GoalKind::Quest, "both"), 1);
    world.returns(1_002, last, &[]).expect("taken back");
    assert_eq!(reached(&world, GoalKind::Quest, "both"), 1, "something else of that day is kept");
}

#[test]
fn rule_22_a_streak_is_of_the_members_own_days_and_a_day_stands_while_anything_is_kept() {
    let mut world = World::new(&with(vec![quest("three", vec![step(Measure::Days, 3, "")], 50)]));
    world.does(500, Ask::Update(Box::new(Change { zone: Some("Pacific/Auckland".into()), ..Change::default() }))).expect("changed");
    // Noon in UTC is the next day already in Auckland, 23:00 in UTC too: three days of their own are needed.
    let first = buys(&mut world, "1", NOON, "", 100);
    buys(&mut world, "2", NOON + 11 * 3_600_000, "", 100);
    let second = buys(&mut world, "3", NOON + DAY_MS, "", 100);
    // Late, and in the middle of nothing: order does not matter.
    buys(&mut world, "4", NOON + 3 * DAY_MS, "", 100);
    assert_eq!(reached(&world, GoalKind::Quest, "three"), 0);
    buys(&mut world, "5", NOON + 2 * DAY_MS, "", 100);
    assert_eq!(reached(&world, GoalKind::Quest, "three"), 1);
    world.returns(1_001, first, &[]).expect("taken back");
    assert_eq!(reached(&world, GoalKind::Quest, "three"), 1, "the other purchase of that day is kept");
    world.returns(1_002, second, &[]).expect("taken back");
    assert_eq!(reached(&world, GoalKind::Quest, "three"), 0);
}

#[test]
fn rule_20_an_achievement_pays_once_and_is_kept_unless_it_says_otherwise() {
    let achievement = |id: &str, keep| GoalSource { kind: GoalKind::Achievement, keep, ..quest(id, vec![step(Measure::Purchases, 2, "")], 100) };
    let mut world = World::new(&with(vec![achievement("kept", true), achievement("lent", false)]));
    buys(&mut world, "1", NOON, "", 100);
    let sale = buys(&mut world, "2", NOON, "", 100);
    assert_eq!(world.figures().available, 202);
    world.returns(1_001, sale, &[]).expect("taken back");
    assert_eq!((reached(&world, GoalKind::Achievement, "kept"), reached(&world, GoalKind::Achievement, "lent"), world.figures().available), (1, 0, 101));
    buys(&mut world, "3", NOON, "", 100);
    assert_eq!(world.figures().available, 202, "the kept one pays nothing a second time");
}

#[test]
fn rule_21_a_tier_may_be_a_reward_and_ends_by_its_time_or_with_what_gave_it() {
    let gold = GoalSource { reward: RewardSource::Tier("silver".into(), 10), ..quest("taste", vec![step(Measure::Purchases, 1, "fruit")], 0) };
    let mut world = World::new(&with(vec![gold]));
    let sale = buys(&mut world, "1", NOON, "fruit", 100);
    assert_eq!((world.member.tier.level, world.member.tier.held(world.now)), (0, 1), "nothing of it is by the metric");
    let record = world.buys("2", basket(NOON, vec![line("a", "", 100)], Vec::new())).expect("sold");
    assert_eq!(record.tier, 1);
    world.returns(1_001, sale, &[]).expect("taken back");
    assert_eq!(world.member.tier.held(world.now), 0);
    buys(&mut world, "3", NOON, "fruit", 100);
    // Until the end of the tenth local day; a late sale earns by the tier of its time.
    world.now = NOON + 11 * DAY_MS;
    let record = world.buys("4", basket(world.now, vec![line("a", "", 100)], Vec::new())).expect("sold");
    assert!(record.tier == 0 && record.events.iter().any(|event| matches!(event, Event::TierGrantEnded { .. })));
    assert_eq!((world.member.tier.at(NOON + 9 * DAY_MS), world.member.tier.at(world.now)), (1, 0));
}

#[test]
fn rule_21_staff_give_a_tier_until_the_end_of_a_day_and_end_it() {
    let mut world = World::new(&source());
    let grant = |grant| Ask::GrantTier { grant, reason: "moved".into() };
    let today = Day::at(NOON, &jiff::tz::TimeZone::UTC);
    assert_eq!(world.does(2, grant(None)).err(), Some(Code::NoGrant));
    for wrong in [(0, today), (2, today), (1, today.plus(-1)), (1, today.plus(4_000))] {
        assert_eq!(world.does(2, grant(Some(wrong))).err(), Some(Code::Invalid));
    }
    let record = world.does(3, grant(Some((1, today)))).expect("given");
    assert_eq!((record.tier, world.member.tier.level), (1, 0), "nothing of it is by the metric");
    // A new grant takes the place of the one before it; both are kept for late sales.
    world.does(4, grant(Some((1, today.plus(5))))).expect("longer");
    world.now = NOON + DAY_MS;
    assert_eq!(world.does(5, grant(None)).expect("ended").tier, 0);
    assert_eq!((world.member.tier.at(NOON + 1), world.member.tier.at(world.now)), (1, 0));
    assert_eq!(world.does(6, grant(None)).err(), Some(Code::NoGrant));
    world.does(7, grant(Some((1, today.plus(1))))).expect("given again");
    world.now = NOON + DAY_MS * 3 / 2 - 1;
    assert_eq!(world.does(8, Ask::Tick).err(), Some(Code::NothingDue));
    world.now += 1;
    assert_eq!(world.does(9, Ask::Tick).expect("over at midnight").tier, 0);
}

#[test]
fn rule_20_rewards_count_for_no_cap_tier_or_quest() {
    let mut programme = with(vec![quest("one", vec![step(Measure::Purchases, 1, "")], 500)]);
    programme.wallets[0].caps.purchase = Some(3);
    programme.wallets[0].caps.member = Some((crate::time::Period::Month, 5));
    let mut world = World::new(&programme);
    buys(&mut world, "1", NOON, "", 1_000);
    assert_eq!((world.figures().available, world.member.tier.metric[0].1, world.member.room[0].2), (503, 3, 3));
}

#[test]
fn birthday_and_segments_are_facts_of_the_sale() {
    let mut programme = source();
    let rule = |id: &str, when: ConditionSource| MultiplierSource { id: id.into(), wallet: "".into(), priority: 0, factor: Decimal(2 * Decimal::ONE), group: None, campaign: "".into(), when, text: "".into() };
    programme.multipliers = vec![
        rule("birthday", ConditionSource { when: Condition { birthday: Some(BirthdayWindow::Day), ..Condition::default() }, ..ConditionSource::default() }),
        rule("vip", ConditionSource { segments: vec!["vip".into()], ..ConditionSource::default() }),
    ];
    let mut world = World::new(&programme);
    let change = |birthday, segments: &[&str]| Ask::Update(Box::new(Change { zone: None, birthday: Some(birthday), segments: Some(segments.iter().map(|id| (*id).into()).collect()) }));
    assert_eq!(world.does(499, change(Some((2, 30)), &[])).err(), Some(Code::Invalid));
    world.does(500, change(Some((6, 1)), &["others", "vip"])).expect("changed");
    let sale = buys(&mut world, "1", NOON, "", 1_000);
    assert_eq!(world.figures().available, 30);
    // A return sees what the sale saw.
    world.does(501, change(None, &[])).expect("changed");
    world.returns(1_001, sale, &[("a", Some(500))]).expect("taken back");
    assert_eq!(world.figures().available, 15);
}

#[test]
fn a_quest_whose_steps_change_needs_an_id_of_its_own() {
    let version = |figure, number| std::sync::Arc::new(compile(&with(vec![quest("q", vec![step(Measure::Visits, figure, "")], 50)]), number, 0).expect("good"));
    let without = std::sync::Arc::new(compile(&source(), 2, 0).expect("good"));
    let all = Programmes::new(vec![version(3, 1), without.clone()]);
    assert_eq!(may_follow(&without, &all, &version(3, 3)), []);
    let findings = may_follow(&without, &all, &version(4, 3));
    assert_eq!(findings.iter().map(|finding| &*finding.path).collect::<Vec<_>>(), ["quest"]);
}

#[test]
fn rule_04_points_that_expire_are_told_of_once_ahead_of_time_and_posted_for_a_member_nobody_touches() {
    let mut programme = source();
    programme.wallets[0].expiry.as_mut().expect("it expires").notice_days = 10;
    let mut world = World::new(&programme);
    let tick = |world: &mut World| world.does(0, Ask::Tick).map(|record| record.events.clone());
    buys(&mut world, "1", NOON, "", 1_000);
    buys(&mut world, "2", NOON + DAY_MS, "", 500);
    assert_eq!(tick(&mut world), Err(Code::NothingDue));
    // 1 June + 1 month, valid through 1 July: told on 22 June, and of the second lot on the 23rd.
    let expires_at = NOON + 31 * DAY_MS - DAY_MS / 2;
    assert_eq!(world.member.next_due(&compile(&programme, 1, 0).expect("good")), expires_at - 10 * DAY_MS);
    world.now = expires_at - 10 * DAY_MS;
    let told = |points, until| Event::Points(0, crate::record::Movement::Noticed { points, until });
    assert_eq!(tick(&mut world), Ok(vec![told(10, expires_at)]));
    assert_eq!(tick(&mut world), Err(Code::NothingDue));
    world.now = expires_at;
    let events = tick(&mut world).expect("due");
    assert_eq!((events.len(), events[1], world.figures().available), (2, told(5, expires_at + DAY_MS), 5));
}

#[test]
fn rule_21_a_member_is_told_ahead_of_a_downgrade_unless_it_has_done_enough() {
    let mut programme = source();
    programme.tier_notice_days = 30;
    let mut world = World::new(&programme);
    buys(&mut world, "1", NOON, "", 10_000);
    let tick = |world: &mut World| world.does(0, Ask::Tick).map(|record| record.events.clone());
    // Silver of 2026 is kept through 2027; told on 2 December 2027.
    let (new_year, end) = (1_798_761_600_000, 1_830_297_600_000);
    world.now = new_year + DAY_MS;
    tick(&mut world).expect("the end of 2026 is looked at, the points have expired");
    let mut busy = World::new(&programme);
    buys(&mut busy, "1", NOON, "", 10_000);
    buys(&mut busy, "2", new_year + DAY_MS, "", 10_000);
    world.now = end - 30 * DAY_MS;
    let told = tick(&mut world).expect("told");
    assert!(matches!(told[..], [Event::TierNoticed { to: 0, at, .. }] if at == end), "{told:?}");
    assert_eq!(tick(&mut world), Err(Code::NothingDue));
    busy.now = end - 30 * DAY_MS;
    assert!(tick(&mut busy).map_or(true, |events| !events.iter().any(|event| matches!(event, Event::TierNoticed { .. }))));
}

#[test]
fn rule_20_a_reward_in_an_exchange_is_dated_by_what_was_sold() {
    let usd = "USD".parse().expect("a currency");
    let mut world = World::new(&with(vec![quest("spend", vec![step(Measure::Spend(usd), 1_500, "")], 50)]));
    let old = buys(&mut world, "1", NOON - 40 * DAY_MS, "", 1_000);
    let mut back = line("r", "", 0);
    back.kind = crate::basket::LineKind::Return;
    back.returns = Some(crate::basket::ReturnOf { sale: old, line: "a".into() });
    let record = world.buys("2", basket(NOON, vec![back, line("n", "", 2_000)], Vec::new())).expect("exchanged");
    let expires = record.events.iter().find_map(|event| match event {
        Event::Points(_, crate::record::Movement::Issued { lot, expires_at, .. }) if lot.n >= crate::ids::REWARDS => Some(*expires_at),
        _ => None,
    });
    assert!(expires.is_some_and(|at| at > NOON + 25 * DAY_MS), "{expires:?}");
}

#[test]
fn rule_21_two_tiers_given_at_once_end_each_by_its_own_time() {
    let gold = |id: &str, days| GoalSource { reward: RewardSource::Tier("silver".into(), days), ..quest(id, vec![step(Measure::Purchases, 1, "")], 0) };
    let mut world = World::new(&with(vec![gold("long", 60), gold("short", 30)]));
    buys(&mut world, "1", NOON, "", 100);
    world.now = NOON + 40 * DAY_MS;
    world.does(9_000, Ask::Tick).expect("the shorter one has ended");
    assert_eq!(world.member.tier.held(world.now), 1);
    world.now = NOON + 62 * DAY_MS;
    world.does(9_001, Ask::Tick).expect("the longer one too");
    assert_eq!(world.member.tier.held(world.now), 0);
}

#[test]
fn rule_22_a_streak_outlives_its_single_days() {
    let mut programme = with(vec![quest("three", vec![step(Measure::Days, 3, "")], 50), quest("weeks", vec![step(Measure::Weeks, 2, "")], 7)]);
    programme.goals[0].repeatable = true;
    programme.wallets[0].expiry = None;
    let mut world = World::new(&programme);
    for day in 0..14 {
        buys(&mut world, &format!("{day}"), NOON + day * DAY_MS, "", 100);
    }
    assert_eq!((reached(&world, GoalKind::Quest, "three"), reached(&world, GoalKind::Quest, "weeks")), (4, 1));
    let before = world.figures().available;
    buys(&mut world, "later", NOON + 900 * DAY_MS, "", 100);
    buys(&mut world, "later still", NOON + 940 * DAY_MS, "", 100);
    assert_eq!((reached(&world, GoalKind::Quest, "three"), world.figures().available), (4, before + 2));
    let state = &world.member.progress(key(GoalKind::Quest, "three")).expect("begun").steps[0];
    assert_eq!((state.days.len(), state.runs.len()), (2, 1));
}

#[test]
fn rule_20_however_often_a_quest_was_completed_all_of_it_goes_back() {
    // Found by a year of real baskets: only the last 64 rewards were remembered.
    let mut world = World::new(&with(vec![GoalSource { repeatable: true, ..quest("q", vec![step(Measure::Units, 1, "")], 10) }]));
    let sales: Vec<u64> = (0..150).map(|number: i64| buys(&mut world, &number.to_string(), NOON + number * 60_000, "fruit", 100)).collect();
    assert_eq!(world.figures().available, 150 * 11);
    for (header, sale) in (1_000..).zip(sales) {
        world.returns(header, sale, &[]).expect("given back");
    }
    assert_eq!((world.figures(), reached(&world, GoalKind::Quest, "q")), (crate::record::Figures::default(), 0));
}
