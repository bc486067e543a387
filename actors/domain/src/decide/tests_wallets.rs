//! Several wallets and several currencies. Named after the rules they show.

use super::tests_world::{NOON, World, basket, line, source};
use crate::Code;
use crate::basket::{Basket, Tender};
use crate::command::Ask;
use crate::compile::{ConditionSource, ExchangeSource, MultiplierSource, RateSource, Source, TransferSource};
use crate::number::{Currency, Decimal};
use crate::programme::WalletRules;
use crate::record::{Asked, Body, Record};
use crate::rules::Condition;
use crate::time::{DAY_MS, Moment};

fn currency(code: &str) -> Currency {
    code.parse().expect("a currency")
}

fn decimal(text: &str) -> Decimal {
    text.parse().expect("a decimal")
}

/// Points for every dollar, and stars with two decimals for fruit, worth twice as much.
fn two_wallets() -> Source {
    let mut programme = source();
    let stars = WalletRules { id: "stars".into(), decimals: 2, expiry: None, values: [(currency("USD"), decimal("0.02").ratio())].into(), ..programme.wallets[0].clone() };
    programme.wallets.push(stars);
    let fruit = ConditionSource { when: Condition { categories: vec!["fruit".into()], ..Condition::default() }, ..ConditionSource::default() };
    programme.rates.push(RateSource { id: "fruit".into(), wallet: "stars".into(), priority: 0, currency: currency("USD"), points: decimal("0.5"), campaign: "".into(), when: fruit, text: "".into() });
    programme.transfers.push(TransferSource { from: "points".into(), to: "stars".into(), rate: decimal("0.333333") });
    programme
}

fn earned(record: &Record, wallet: u8) -> i64 {
    let Body::Purchased(sale) = &record.body else { panic!("not a sale") };
    sale.share(wallet).map_or(0, |share| share.earned)
}

fn pays(wallet: &str, amount: i64) -> Tender {
    Tender { kind: "points".into(), amount, wallet: wallet.into(), hold: None, offline: None, lines: Vec::new() }
}

#[test]
fn rule_01_each_wallet_is_rounded_once_in_its_own_unit() {
    let mut world = World::new(&two_wallets());
    let record = world.buys("1", basket(NOON, vec![line("a", "fruit", 333), line("b", "", 199)], Vec::new())).expect("sold");
    // 5.32 dollars: 5 points. 3.33 dollars of fruit at half a star: 1.665, of which 1.66 stand.
    assert_eq!((earned(&record, 0), earned(&record, 1)), (5, 166));
    let touched: Vec<u8> = record.after.iter().map(|(wallet, _)| *wallet).collect();
    assert_eq!(touched, [0, 1]);
    let record = world.buys("2", basket(NOON, vec![line("b", "", 199)], Vec::new())).expect("sold");
    assert_eq!(record.after.len(), 1, "the stars were not touched");
}

#[test]
fn rule_19_each_wallet_that_paid_is_restored_and_each_that_earned_is_clawed_back() {
    let mut world = World::new(&two_wallets());
    world.does(2, Ask::Adjust { wallet: 0, points: 100, reason: "start".into(), allow_debt: false, write_off: false }).expect("given");
    world.does(3, Ask::Adjust { wallet: 1, points: 5_000, reason: "start".into(), allow_debt: false, write_off: false }).expect("given");
    // 1 dollar in points (100 of them), 1 dollar in stars (50.00), 8 in money.
    let paid = world.buys("1", basket(NOON, vec![line("a", "fruit", 1_000)], vec![pays("", 100), pays("stars", 100)])).expect("sold");
    assert_eq!((earned(&paid, 0), earned(&paid, 1)), (8, 400));
    assert_eq!((world.member.figures(0).available, world.member.figures(1).available), (8, 400));
    let sale = world.member.seq;
    world.gives(4, sale, Vec::new()).expect("back");
    assert_eq!((world.member.figures(0).available, world.member.figures(1).available), (100, 5_000));
    let unknown = basket(NOON, vec![line("a", "", 1_000)], vec![pays("miles", 100)]);
    assert_eq!(world.buys("2", unknown).map(drop), Err(Code::UnknownWallet));
}

#[test]
fn rule_15_between_own_wallets_at_the_rate_of_the_programme() {
    let mut world = World::new(&two_wallets());
    world.buys("1", basket(NOON, vec![line("a", "", 1_000)], Vec::new())).expect("sold");
    world.now += DAY_MS;
    world.buys("2", basket(NOON + DAY_MS, vec![line("a", "", 1_000)], Vec::new())).expect("sold");
    // 15 points at a third: 4.999995 stars, so 4.99; the first lot whole, half of the second, each with its expiry.
    let record = world.does(2, Ask::Transfer { from: 0, to: 1, points: 15 }).expect("transferred");
    assert!(matches!(record.body, Body::Transferred { points: 15, received: 499, .. }));
    let ends: Vec<_> = world.member.wallets[1].live.iter().map(|lot| (lot.left, lot.expires_at)).collect();
    let first = world.member.wallets[0].live[0].expires_at;
    assert_eq!(ends, [(333, first - DAY_MS), (166, first)]);
    assert_eq!(world.member.figures(0).available, 5);
    assert_eq!(world.does(3, Ask::Transfer { from: 0, to: 1, points: 6 }).map(drop), Err(Code::InsufficientPoints));
    assert_eq!(world.does(4, Ask::Transfer { from: 1, to: 0, points: 1 }).map(drop), Err(Code::NoTransferRate));
    // The same request again is answered, not done again; another under its key is refused.
    world.does(2, Ask::Transfer { from: 0, to: 1, points: 15 }).expect("a repeat");
    assert_eq!(world.member.figures(0).available, 5);
    assert_eq!(world.does(2, Ask::Transfer { from: 0, to: 1, points: 14 }).map(drop), Err(Code::KeyConflict));
}

fn in_currency(code: &str, amount: i64, at: i64) -> Basket {
    Basket { currency: currency(code), ..basket(at, vec![line("a", "", amount)], Vec::new()) }
}

#[test]
fn rule_07_own_rules_first_then_the_others_at_the_dated_rate() {
    let mut programme = source();
    programme.rates.push(RateSource { id: "yen".into(), wallet: "".into(), priority: 0, currency: currency("JPY"), points: decimal("0.01"), campaign: "".into(), when: ConditionSource::default(), text: "".into() });
    let rate = |rate: &str, since| ExchangeSource { from: currency("EUR"), to: currency("USD"), rate: decimal(rate), since: Moment::At(since) };
    programme.exchange = vec![rate("1.1", NOON - 10 * DAY_MS), rate("1.25", NOON - DAY_MS)];
    let mut world = World::new(&programme);
    // Yen have a rule of their own, no decimals, and no rate is looked at.
    assert_eq!(earned(&world.buys("1", in_currency("JPY", 1_234, NOON)).expect("sold"), 0), 12);
    // 10.39 euros at 1.25 are 12.9875 dollars; two days before they were 11.429.
    let record = world.buys("2", in_currency("EUR", 1_039, NOON)).expect("sold");
    assert_eq!(earned(&record, 0), 12);
    let Body::Purchased(sale) = &record.body else { panic!("not a sale") };
    assert_eq!(sale.converted[..], [(currency("USD"), decimal("1.25").ratio())]);
    assert_eq!(earned(&world.buys("3", in_currency("EUR", 1_039, NOON - 2 * DAY_MS)).expect("sold"), 0), 11);
    // Before the first rate, and for a currency without one, nothing is half done.
    assert_eq!(world.buys("4", in_currency("EUR", 1_039, NOON - 20 * DAY_MS)).map(drop), Err(Code::CurrencyMismatch));
    assert_eq!(world.buys("5", in_currency("GBP", 1_039, NOON)).map(drop), Err(Code::CurrencyMismatch));
}

#[test]
fn rule_07_thresholds_compare_in_the_rules_currency() {
    let mut programme = source();
    programme.exchange = vec![ExchangeSource { from: currency("KWD"), to: currency("USD"), rate: decimal("3.25"), since: Moment::At(0) }];
    let when = ConditionSource { when: Condition { min_spend: Some((currency("USD"), 10_000)), ..Condition::default() }, ..ConditionSource::default() };
    programme.multipliers.push(MultiplierSource { id: "big".into(), wallet: "".into(), priority: 0, factor: decimal("2"), group: None, campaign: "".into(), when, text: "".into() });
    let mut world = World::new(&programme);
    // 30.769 dinars are 99.99925 dollars, 30.770 are 100.0025.
    assert_eq!(earned(&world.buys("1", in_currency("KWD", 30_769, NOON)).expect("sold"), 0), 99);
    assert_eq!(earned(&world.buys("2", in_currency("KWD", 30_770, NOON)).expect("sold"), 0), 200);
}

#[test]
fn rule_12_a_hold_is_of_its_wallet() {
    let mut world = World::new(&two_wallets());
    world.does(2, Ask::Adjust { wallet: 1, points: 5_000, reason: "start".into(), allow_debt: false, write_off: false }).expect("given");
    world.does(3, Ask::PlaceHold { wallet: 1, asked: Asked::Money(currency("USD"), 100), ttl_ms: None, pool: None }).expect("held");
    assert_eq!((world.member.figures(1).held, world.member.figures(0).held), (5_000, 0));
    let hold = Some(world.member.seq);
    let wrong = basket(NOON, vec![line("a", "", 100)], vec![Tender { hold, ..pays("points", 100) }]);
    assert_eq!(world.buys("1", wrong).map(drop), Err(Code::Invalid));
    world.buys("2", basket(NOON, vec![line("a", "", 100)], vec![Tender { hold, ..pays("", 100) }])).expect("sold");
    assert_eq!((world.member.figures(1).held, world.member.figures(1).available), (0, 0));
}

#[test]
fn rule_06_the_index_finds_what_matches_and_little_else() {
    let mut programme = source();
    for number in 0..2_000_usize {
        let mut when = Condition::default();
        match number % 4 {
            0 => when.skus = vec![format!("sku-{number}").into(), format!("sku-{}", number + 1).into()],
            1 => when.categories = vec![format!("c{}/d{number}", number % 7).into()],
            2 => when.brands = vec![format!("brand-{number}").into()],
            _ => when.stores = vec![format!("{number}").into()],
        }
        let when = ConditionSource { when, ..ConditionSource::default() };
        programme.multipliers.push(MultiplierSource { id: format!("m{number:05}").into(), wallet: "".into(), priority: 0, factor: decimal("1.5"), group: None, campaign: "".into(), when, text: "".into() });
    }
    let compiled = crate::compile::compile(&programme, 1, 0).expect("good");
    let mut goods = vec![line("a", "c1/d1/e", 100), line("b", "c1", 100), line("c", "", 100)];
    goods[1].sku = "sku-5".into();
    goods[2].brand = "brand-6".into();
    let bought = Basket { store: "7".into(), ..basket(NOON, goods, Vec::new()) };
    let matching = |(number, rule): (usize, &crate::programme::Multiplier)| {
        let one = rule.when.stores.iter().all(|store| *store == bought.store) && bought.lines.iter().any(|line| rule.when.line(line));
        one.then(|| u16::try_from(number).expect("few"))
    };
    let all: Vec<u16> = compiled.multipliers.iter().enumerate().filter_map(matching).collect();
    assert_eq!(compiled.index.multipliers.candidates(&bought), all);
    assert_eq!(all.len(), 4);
}

#[test]
fn rule_02_a_late_sale_does_not_move_a_wallet_that_came_after_it() {
    let mut old = source();
    old.wallets[0].expiry.iter_mut().for_each(|rule| (rule.rolling, rule.months) = (true, 24));
    let mut new = two_wallets();
    new.wallets[1].expiry = Some(crate::programme::ExpiryRule { rolling: false, ..old.wallets[0].expiry.expect("it expires") });
    let mut world = World::of(&[(&old, 0), (&new, NOON - DAY_MS)]);
    world.does(2, Ask::Adjust { wallet: 1, points: 500, reason: "start".into(), allow_debt: false, write_off: false }).expect("given");
    let before = world.member.wallets[1].clone();
    let record = world.buys("late", basket(NOON - 2 * DAY_MS, vec![line("a", "fruit", 1_000)], Vec::new())).expect("sold");
    assert_eq!((world.member.wallets[1].live.clone(), record.after.len()), (before.live, 1));
}

#[test]
fn rule_21_spend_in_another_currency_counts_at_its_rate() {
    let mut programme = source();
    programme.metric = crate::compile::MetricSource::Spend(Some(currency("USD")));
    programme.levels[1].threshold = 25_000;
    programme.exchange = vec![ExchangeSource { from: currency("EUR"), to: currency("USD"), rate: decimal("1.25"), since: Moment::At(0) }];
    let mut world = World::new(&programme);
    world.buys("1", in_currency("EUR", 20_000, NOON)).expect("sold");
    assert_eq!(world.member.tier.level, 1);
    world.gives(2, world.member.seq, Vec::new()).expect("back");
    assert_eq!((world.member.tier.level, world.member.tier.metric[0].1), (0, 0));
}

#[test]
fn rule_04_what_was_told_of_is_told_of_again_when_a_late_sale_moves_it_by_little() {
    let mut made = source();
    let rule = made.wallets[0].expiry.as_mut().expect("it expires");
    (rule.rolling, rule.notice_days) = (true, 5);
    let mut world = World::new(&made);
    world.buys("1", basket(NOON, vec![line("1", "", 1_000)], Vec::new())).expect("sold");
    world.now = NOON + 28 * DAY_MS;
    world.does(2, Ask::Tick).expect("told");
    // By three days: told of again before the old day comes; `does` looks at the reminder.
    world.buys("2", basket(NOON + 3 * DAY_MS, vec![line("1", "", 1_000)], Vec::new())).expect("sold late");
    world.now = NOON + 31 * DAY_MS;
    world.does(3, Ask::Tick).expect("told again");
}
