//! Random command sequences: the invariants INV-1 to INV-5 after every command. `CASES=100000 cargo test -p tessera-domain
//! random_sequences` runs many; a failure is shrunk to the shortest sequence, which then becomes a named test.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::tests_world::{NOON, World, basket, line, source};
use super::Decision;
use crate::basket::{Allowed, Basket, Tender};
use crate::campaigns::{CampaignKey, Pots};
use crate::command::{Allow, Ask, LineBack, Loaned, Return, SaleName};
use crate::compile::{CampaignSource, ConditionSource, GoalSource, MultiplierSource, PendingSource, RewardSource, Source, StepSource, TransferSource};
use crate::finance::postings;
use crate::goals::{GoalKind, Measure};
use crate::ids::{LotId, MemberId, PoolId};
use crate::keys::{KeyKind, Keys};
use crate::member::Member;
use crate::merge::{number, of_command};
use crate::number::Decimal;
use crate::programme::{Clawback, Programmes, UnlockRule, WalletRules};
use crate::record::{Asked, Body, Event, Movement, Offline, PoolHold, Record};
use crate::rules::Condition;
use crate::time::{DAY_MS, Day, Millis, Period};

/// One command, by figures that are made to fit what stands then.
#[derive(Clone, Debug)]
enum Op {
    Buy { hours_ago: u16, lines: Vec<(u8, u16, u8)>, points: u8, hold: bool },
    GiveBack { sale: u8, line: u8, part: u8, void: bool },
    Exchange { sale: u8, amount: u16 },
    Hold { wallet: bool, part: u8, hours: u8 },
    Confirm { hold: u8, part: u8 },
    Cancel { hold: u8 },
    Redeem { wallet: bool, part: u8 },
    Reverse { redemption: u8 },
    Adjust { wallet: bool, points: i16 },
    WriteOff { points: u8 },
    Deliver { sale: u8 },
    Transfer { part: u8 },
    Give { wallet: bool, part: u8 },
    SettleGift { taken: bool },
    Take { points: u8, hours: i16 },
    Wait { hours: u16 },
    Allow { wallet: bool, part: u8, hours: u8 },
    Offline { allowance: u8, counter: u8, part: u8, hours_ago: u8, bought: bool },
    Grant { days: Option<u8> },
    Pool { joins: bool },
    PoolHold { wallet: bool, part: u8, lent: u16 },
    Gather { complete: bool, hours: i16 },
    Lend { wallet: bool, part: u8 },
    TakeHome { lent: u8 },
    Homed,
    Tick,
    Again { command: u8 },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (prop_oneof![3 => Just(0_u16), 1 => 0_u16..2_000], prop::collection::vec((0_u8..4, 0_u16..3_000, 1_u8..4), 1..4), prop_oneof![3 => Just(0_u8), 1 => any::<u8>()], any::<bool>())
            .prop_map(|(hours_ago, lines, points, hold)| Op::Buy { hours_ago, lines, points, hold }),
        4 => (any::<u8>(), any::<u8>(), any::<u8>(), prop::bool::weighted(0.2)).prop_map(|(sale, line, part, void)| Op::GiveBack { sale, line, part, void }),
        1 => (any::<u8>(), 0_u16..3_000).prop_map(|(sale, amount)| Op::Exchange { sale, amount }),
        2 => (any::<bool>(), any::<u8>(), 1_u8..80).prop_map(|(wallet, part, hours)| Op::Hold { wallet, part, hours }),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(hold, part)| Op::Confirm { hold, part }),
        1 => any::<u8>().prop_map(|hold| Op::Cancel { hold }),
        2 => (any::<bool>(), any::<u8>()).prop_map(|(wallet, part)| Op::Redeem { wallet, part }),
        1 => any::<u8>().prop_map(|redemption| Op::Reverse { redemption }),
        1 => (any::<bool>(), -100_i16..100).prop_map(|(wallet, points)| Op::Adjust { wallet, points }),
        1 => (1_u8..50).prop_map(|points| Op::WriteOff { points }),
        1 => any::<u8>().prop_map(|sale| Op::Deliver { sale }),
        1 => any::<u8>().prop_map(|part| Op::Transfer { part }),
        1 => (any::<bool>(), any::<u8>()).prop_map(|(wallet, part)| Op::Give { wallet, part }),
        1 => any::<bool>().prop_map(|taken| Op::SettleGift { taken }),
        1 => (any::<u8>(), -10_i16..900).prop_map(|(points, hours)| Op::Take { points, hours }),
        2 => (1_u16..900).prop_map(|hours| Op::Wait { hours }),
        1 => prop::option::of(0_u8..40).prop_map(|days| Op::Grant { days }),
        1 => prop::bool::weighted(0.8).prop_map(|joins| Op::Pool { joins }),
        1 => (any::<bool>(), any::<u8>(), 1_u16..200).prop_map(|(wallet, part, lent)| Op::PoolHold { wallet, part, lent }),
        2 => (prop::bool::weighted(0.8), -10_i16..900).prop_map(|(complete, hours)| Op::Gather { complete, hours }),
        1 => (any::<bool>(), any::<u8>()).prop_map(|(wallet, part)| Op::Lend { wallet, part }),
        1 => any::<u8>().prop_map(|lent| Op::TakeHome { lent }),
        1 => Just(Op::Homed),
        1 => Just(Op::Tick),
        1 => (any::<bool>(), any::<u8>(), 1_u8..=168).prop_map(|(wallet, part, hours)| Op::Allow { wallet, part, hours }),
        3 => (any::<u8>(), 1_u8..6, any::<u8>(), 0_u8..100, any::<bool>()).prop_map(|(allowance, counter, part, hours_ago, bought)| Op::Offline { allowance, counter, part, hours_ago, bought }),
        1 => any::<u8>().prop_map(|command| Op::Again { command }),
    ]
}

/// A programme with everything in it, by some switches.
fn programme(switches: u8) -> Source {
    let mut made = source();
    let on = |bit: u8| switches & (1 << bit) != 0;
    made.clawback = if on(0) { Clawback::Unlimited } else if on(1) { Clawback::SaleLots } else { Clawback::WithinBalance };
    let rule = made.wallets[0].expiry.as_mut().expect("it expires");
    rule.rolling = on(2);
    rule.from_activation = on(3);
    rule.notice_days = if on(4) { 5 } else { 0 };
    made.wallets[0].grace_days = if on(5) { 3 } else { 0 };
    made.wallets[0].caps.purchase = on(6).then_some(40);
    made.wallets[0].caps.member = on(7).then_some((Period::Week, 70));
    let usd = "USD".parse().expect("a currency");
    made.wallets.push(WalletRules { id: "stars".into(), decimals: 2, expiry: None, values: [(usd, Decimal(20_000).ratio())].into(), caps: Default::default(), ..made.wallets[0].clone() });
    let when = |category: &str| ConditionSource { when: Condition { categories: vec![category.into()], ..Condition::default() }, ..ConditionSource::default() };
    made.rates.push(crate::compile::RateSource { id: "stars".into(), wallet: "stars".into(), priority: 0, currency: usd, points: Decimal(333_333), campaign: "".into(), when: when("b"), text: "".into() });
    made.multipliers.push(MultiplierSource { id: "a".into(), wallet: "".into(), priority: 0, factor: Decimal(1_700_000), group: None, campaign: "".into(), when: when("a"), text: "".into() });
    made.bonuses.push(crate::compile::BonusSource {
        id: "big".into(),
        wallet: "".into(),
        points: 7,
        per_unit: false,
        campaign: "".into(), when: ConditionSource { when: Condition { min_spend: Some((usd, 2_500)), ..Condition::default() }, ..ConditionSource::default() },
        text: "".into(),
    });
    made.pending = vec![
        PendingSource { id: "d".into(), wallet: "".into(), priority: 0, unlock: Some(UnlockRule::Delivered), when: when("c") },
        PendingSource { id: "n".into(), wallet: "points".into(), priority: 1, unlock: Some(UnlockRule::Days(3)), when: when("b") },
    ];
    made.campaigns.push(CampaignSource { id: "c".into(), wallet: "".into(), from: None, until: None, member: on(5).then_some(MOST_OF_CAMPAIGN), budget: on(6).then_some(BUDGET) });
    made.multipliers[0].campaign = "c".into();
    made.bonuses[0].campaign = "c".into();
    made.transfers.push(TransferSource { from: "points".into(), to: "stars".into(), rate: Decimal(500_000) });
    let goal = |kind, id: &str, measure, figure, points| GoalSource {
        kind,
        id: id.into(),
        name: id.into(),
        from: None,
        until: None,
        steps: vec![StepSource { measure: Some((measure, figure)), when: ConditionSource::default() }],
        repeatable: kind == GoalKind::Quest,
        keep: kind == GoalKind::Quest || on(2),
        reward: RewardSource::Points("".into(), points),
        text: "".into(),
    };
    made.goals = vec![
        goal(GoalKind::Quest, "spend", Measure::Spend(usd), 3_000, 11),
        goal(GoalKind::Quest, "days", Measure::Days, 2, 5),
        goal(GoalKind::Achievement, "visits", Measure::Visits, 3, 13),
    ];
    made
}

/// Per lot: pending, active, held; and debt: added up from the movements alone.
#[derive(Default)]
struct Shadow {
    lots: HashMap<(u8, LotId), [i64; 3]>,
    debt: BTreeMap<u8, i64>,
}

impl Shadow {
    /// INV-3: every debit names a lot that has it.
    fn add(&mut self, wallet: u8, movement: &Movement) {
        if let Movement::MergedOut(figures) = movement {
            assert_eq!(figures.net(), self.closing(wallet), "INV-3: all that there was goes");
            self.lots.retain(|(of, _), _| *of != wallet);
            self.debt.remove(&wallet);
        }
        let mut on = |lot: LotId, change: [i64; 3]| {
            let has = self.lots.entry((wallet, lot)).or_default();
            has.iter_mut().zip(change).for_each(|(has, change)| *has += change);
            assert!(has.iter().all(|points| *points >= 0), "INV-3: {movement:?} leaves {has:?}");
        };
        match *movement {
            Movement::Issued { lot, points, unlock: Some(_), .. } => on(lot, [points, 0, 0]),
            Movement::Issued { lot, points, unlock: None, .. }
            | Movement::Received { lot, points, .. }
            | Movement::Reinstated { lot, points, .. }
            | Movement::Gifted { lot, points, .. }
            | Movement::Lent { lot, points, .. }
            | Movement::GivenBack { lot, points, .. }
            | Movement::Unexpired { lot, points, .. } => on(lot, [0, points, 0]),
            Movement::Overdrawn { lot, points, .. } => on(lot, [0, points, 0]),
            Movement::Activated { lot, points, .. } => on(lot, [-points, points, 0]),
            Movement::Held { lot, points } | Movement::HeldFor { lot, points, .. } => on(lot, [0, -points, points]),
            Movement::Released { lot, points, .. } => on(lot, [0, points, -points]),
            Movement::HeldSpent { lot, points, .. } => on(lot, [0, 0, -points]),
            Movement::Lapsed { lot, points, .. } | Movement::ClawedBack { lot, points, pending: true } => on(lot, [-points, 0, 0]),
            Movement::Spent { lot, points, .. }
            | Movement::Expired { lot, points, .. }
            | Movement::ClawedBack { lot, points, pending: false }
            | Movement::OwedMet { lot, points, .. }
            | Movement::AdjustedDown { lot, points }
            | Movement::DebtRepaid { lot, points }
            | Movement::Given { lot, points, .. }
            | Movement::SentHome { lot, points }
            | Movement::Sent { lot, points } => on(lot, [0, -points, 0]),
            _ => {}
        }
        let debt = match *movement {
            Movement::DebtRaised { points } | Movement::Overdrawn { points, .. } | Movement::RepaymentUndone { points, .. } | Movement::GivenClaimed { points, .. } => points,
            Movement::DebtRepaid { points, .. } | Movement::DebtWrittenOff { points } => -points,
            _ => 0,
        };
        let owes = self.debt.entry(wallet).or_default();
        *owes += debt;
        assert!(*owes >= 0, "INV-3: {movement:?} leaves a debt of {owes}");
    }

    fn closing(&self, wallet: u8) -> i64 {
        let lots = self.lots.iter().filter(|((of, _), _)| *of == wallet).flat_map(|(_, sums)| sums);
        lots.sum::<i64>() - self.debt.get(&wallet).copied().unwrap_or(0)
    }
}

const MOST_OF_CAMPAIGN: i64 = 60;
const BUDGET: i64 = 90;
const POOL: PoolId = PoolId { founder: MemberId(5), seq: 2 };
/// Key of the first command; the enrolment has one of its own.
const FIRST: u128 = 1_000;

struct Run {
    world: World,
    programmes: Programmes,
    commands: Vec<(u128, Ask)>,
    /// What took effect, by its number: also of a member that has gone into this one.
    made: Vec<(u64, Arc<Record>)>,
    /// Key → record that answered it, and when.
    answers: HashMap<u128, (u64, Millis)>,
    /// Key of the next command.
    next: u128,
    shadow: Shadow,
    posted: BTreeMap<u8, i64>,
    switches: u8,
    /// Of the campaign's budget.
    charged: i64,
    /// What a member that has gone into this one had got of the campaign.
    brought: i64,
}

impl Run {
    fn new(switches: u8, first: u128) -> Self {
        let source = programme(switches);
        let version = Arc::new(crate::compile::compile(&source, 1, 0).expect("a good programme"));
        let mut world = World::new(&source);
        world.budgets = Arc::new(Pots::default());
        Self { world, programmes: Programmes::new(vec![version]), commands: Vec::new(), made: Vec::new(), answers: HashMap::new(), next: first, shadow: Shadow::default(), posted: BTreeMap::new(), switches, charged: 0, brought: 0 }
    }

    fn on(&self, bit: u8) -> bool {
        self.switches & (1 << bit) != 0
    }

    /// Numbers of records of a kind.
    fn numbers(&self, of: impl Fn(&Body) -> bool) -> Vec<u64> {
        self.made.iter().filter(|(_, record)| of(&record.body)).map(|(seq, _)| *seq).collect()
    }

    fn pick(numbers: &[u64], by: u8) -> Option<u64> {
        numbers.get(usize::from(by) % numbers.len().max(1)).copied()
    }

    fn ask(&self, op: &Op) -> Option<Ask> {
        let sales = self.numbers(|body| matches!(body, Body::Purchased(_)));
        let part = |of: i64, part: u8| (of * i64::from(part) / 255).max(1);
        let available = |wallet: u8| self.world.member.figures(wallet).available;
        let keys = Keys::default();
        Some(match op {
            Op::Buy { hours_ago, lines, points, hold } => {
                let made = lines.iter().enumerate().map(|(place, (category, amount, quantity))| {
                    let category = ["a", "b", "c", "d"][usize::from(*category)];
                    crate::basket::Line { quantity: Decimal(i64::from(*quantity) * Decimal::ONE), ..line(&place.to_string(), category, i64::from(*amount)) }
                });
                let made: Vec<_> = made.collect();
                let net: i64 = made.iter().map(|line| line.amount).sum();
                let holds = self.numbers(|body| matches!(body, Body::HoldPlaced { wallet: 0, .. }));
                let named = Self::pick(&holds, *points).filter(|_| *hold);
                let amount = (net * i64::from(*points) / 255).min(available(0).max(0));
                let tenders = if amount > 0 { vec![Tender { kind: "points".into(), amount, wallet: "".into(), hold: named, offline: None, lines: Vec::new() }] } else { Vec::new() };
                self.buy(basket(self.world.now - Millis::from(*hours_ago) * 3_600_000, made, tenders))
            }
            Op::GiveBack { sale, line, part, void } => {
                let seq = Self::pick(&sales, *sale)?;
                let Body::Purchased(sold) = &self.world.record(seq).body else { return None };
                let back = &sold.basket.lines[usize::from(*line) % sold.basket.lines.len()];
                let amount = (*part < 200).then(|| back.amount * i64::from(*part) / 200);
                let lines = if *void { Vec::new() } else { vec![LineBack { line: back.id.clone(), quantity: None, amount }] };
                let kind = if *void { KeyKind::Void } else { KeyKind::Return };
                Ask::Return(Box::new(Return { kind, sale: SaleName::Seq(seq), lines, currency: None, points_refund: None, keys, occurred_at: self.world.now, may_wait: false, receipt_used: false }))
            }
            Op::Exchange { sale, amount } => {
                let seq = Self::pick(&sales, *sale)?;
                let mut back = line("r", "", 0);
                back.kind = crate::basket::LineKind::Return;
                back.returns = Some(crate::basket::ReturnOf { sale: seq, line: "0".into() });
                self.buy(basket(self.world.now, vec![back, line("new", "a", i64::from(*amount))], Vec::new()))
            }
            Op::Hold { wallet, part: of, hours } => Ask::PlaceHold { wallet: u8::from(*wallet), asked: Asked::Points(part(available(u8::from(*wallet)), *of)), ttl_ms: Some(i64::from(*hours) * 3_600_000), pool: None },
            Op::Confirm { hold, part: of } => Ask::ConfirmHold { hold: Self::pick(&self.numbers(|body| matches!(body, Body::HoldPlaced { .. })), *hold)?, points: (*of < 128).then_some(1 + i64::from(*of) / 8) },
            Op::Cancel { hold } => Ask::CancelHold { hold: Self::pick(&self.numbers(|body| matches!(body, Body::HoldPlaced { .. })), *hold)? },
            Op::Redeem { wallet, part: of } => Ask::Redeem { wallet: u8::from(*wallet), asked: Asked::Points(part(available(u8::from(*wallet)), *of)), offline: None },
            Op::Reverse { redemption } => Ask::Reverse { redemption: Self::pick(&self.numbers(|body| matches!(body, Body::Redeemed { .. } | Body::HoldConfirmed { .. })), *redemption)? },
            Op::Adjust { wallet, points } => Ask::Adjust { wallet: u8::from(*wallet), points: i64::from(*points), reason: "test".into(), allow_debt: true, write_off: false },
            Op::WriteOff { points } => Ask::Adjust { wallet: 0, points: i64::from(*points).min(self.world.member.figures(0).debt), reason: "test".into(), allow_debt: false, write_off: true },
            Op::Deliver { sale } => Ask::Deliver { sale: Self::pick(&sales, *sale)?, lines: Vec::new() },
            Op::Transfer { part: of } => Ask::Transfer { from: 0, to: 1, points: part(available(0), *of) },
            Op::Give { wallet, part: of } => Ask::Give { wallet: u8::from(*wallet), points: part(available(u8::from(*wallet)), *of), to: MemberId(7) },
            Op::SettleGift { taken } => Ask::SettleGift { gift: u64::from(self.world.member.giving.first()?.0), taken: *taken },
            Op::Take { points, hours } => {
                let lots = vec![(i64::from(*points) + 1, self.world.now + Millis::from(*hours) * 3_600_000)];
                Ask::Take(Box::new(crate::command::Gift { from: MemberId(9), seq: u64::try_from(self.next).unwrap_or(0), wallet: 0, lots }))
            }
            Op::Allow { wallet, part: of, hours } => {
                let wallet = u8::from(*wallet);
                Ask::Allow(Box::new(Allow { wallet, store: "1".into(), till: "4".into(), points: part(available(wallet), *of), ttl_ms: Some(i64::from(*hours) * 3_600_000) }))
            }
            Op::Offline { allowance, counter, part: of, hours_ago, bought } => {
                let allowance = Self::pick(&self.numbers(|body| matches!(body, Body::Allowed { .. })), *allowance)?;
                let Body::Allowed { wallet, points, .. } = self.world.record(allowance).body else { return None };
                let (used, at) = (Allowed { allowance, counter: u32::from(*counter) }, self.world.now - Millis::from(*hours_ago) * 3_600_000);
                let points = part(points, *of);
                if !bought {
                    return Some(Ask::Redeem { wallet, asked: Asked::Points(points), offline: Some(Box::new(Offline { used, store: "1".into(), till: "4".into(), at })) });
                }
                let id = if wallet == 0 { "" } else { "stars" };
                let tender = Tender { kind: "points".into(), amount: points, wallet: id.into(), hold: None, offline: Some(used), lines: Vec::new() };
                self.buy(Basket { till: "4".into(), ..basket(at, vec![line("0", "a", points + 100)], vec![tender]) })
            }
            Op::Grant { days } => {
                let today = Day::at(self.world.now, &jiff::tz::TimeZone::UTC);
                Ask::GrantTier { grant: days.map(|days| (1, today.plus(days.into()))), reason: "test".into() }
            }
            Op::Pool { joins } => if *joins { Ask::JoinPool { pool: POOL } } else { Ask::LeavePool { pool: POOL } },
            Op::PoolHold { wallet, part: of, lent } => {
                let wallet = u8::from(*wallet);
                let (own, lent) = (part(available(wallet), *of), i64::from(*lent));
                let pool = PoolHold { pool: POOL, parts: vec![(MemberId(5), lent / 2), (MemberId(6), lent - lent / 2)] };
                Ask::PlaceHold { wallet, asked: Asked::Points(own + lent), ttl_ms: Some(10 * DAY_MS), pool: Some(Box::new(pool)) }
            }
            Op::Gather { complete, hours } => {
                let hold = self.world.member.pool.as_ref()?.gathering.first()?.0;
                let Body::HoldPlaced { pool: Some(pool), .. } = &self.world.record(hold.into()).body else { return None };
                let lots = |points: i64| vec![(LotId { seq: 3, n: 0 }, points, self.world.now, self.world.now + Millis::from(*hours) * 3_600_000)];
                let loans = pool.parts.iter().filter(|(_, points)| *points > 0).map(|(lender, points)| Loaned { lender: *lender, lots: lots(*points) });
                Ask::Gather { hold: hold.into(), complete: *complete, loans: loans.skip(usize::from(!complete)).collect() }
            }
            Op::Lend { wallet, part: of } => {
                let wallet = u8::from(*wallet);
                Ask::Lend { lender: MemberId(1), to: MemberId(6), hold: u64::try_from(self.next).unwrap_or(0), wallet, points: part(available(wallet), *of), pool: POOL }
            }
            Op::TakeHome { lent } => {
                // Each record that lent sends home once, half of each lot.
                let seq = Self::pick(&self.numbers(|body| matches!(body, Body::Lent { .. })), *lent)?;
                let of = |event: &Event| match *event {
                    Event::Points(wallet, Movement::Given { lot, points, activated_at, expires_at }) => Some((wallet, lot, (points + 1) / 2, activated_at, expires_at)),
                    _ => None,
                };
                Ask::TakeHome { owner: MemberId(1), from: MemberId(6), seq, lots: self.world.record(seq).events.iter().filter_map(of).collect() }
            }
            Op::Homed => Ask::Homed { seq: self.world.member.pool.as_ref()?.homing.first()?.0.into() },
            Op::Tick => Ask::Tick,
            Op::Wait { .. } | Op::Again { .. } => return None,
        })
    }

    fn buy(&self, basket: Basket) -> Ask {
        Ask::Purchase(Box::new(crate::command::Purchase { basket: Arc::new(basket), keys: Keys::default(), alias: None }))
    }

    fn step(&mut self, op: &Op) {
        match op {
            Op::Wait { hours } => self.world.now += Millis::from(*hours) * 3_600_000,
            Op::Again { command } => {
                // INV-5: what took effect is answered from its record, at any later time within the key's days.
                if let Some((header, ask)) = self.commands.get(usize::from(*command) % self.commands.len().max(1)).cloned()
                    && header != 0
                {
                    let (decision, seqs) = self.world.decide(header, ask);
                    let (seq, at) = self.answers[&header];
                    if self.world.now - at < 30 * DAY_MS {
                        let Decision::Repeat(index) = decision else { panic!("INV-5: {decision:?} at a repeat") };
                        assert_eq!(seqs[index], seq, "INV-5: another record");
                    }
                }
            }
            op => {
                let Some(ask) = self.ask(op) else { return };
                let header = if matches!(ask, Ask::Tick | Ask::SettleGift { .. } | Ask::Gather { .. } | Ask::Homed { .. }) { 0 } else { self.next };
                // INV-2 and the figures after each record are held by `does`.
                let before = self.world.member.seq;
                if let Ok(record) = self.world.does(header, ask.clone())
                    // What is answered by its own key is no new record.
                    && self.world.member.seq > before
                {
                    self.commands.push((header, ask));
                    self.answers.insert(header, (self.world.member.seq, record.at));
                    self.next += 1;
                    self.check(&record);
                    self.made.push((self.world.member.seq, record));
                }
            }
        }
    }

    /// Another member goes into this one, unless something of it is on its way; everything that it has can be named here then.
    fn take(&mut self, mut source: Self) {
        let now = self.world.now.max(source.world.now);
        (self.world.now, source.world.now) = (now, now);
        let (before, before_there) = (self.world.records().len(), source.world.records().len());
        let closing = |run: &Self| (0..2).map(|wallet| run.world.member.figures(wallet).net()).sum::<i64>();
        // What time brings about with the first record may end something.
        if !source.world.member.giving.is_empty() {
            return;
        }
        let Ok(true) = self.world.takes(MemberId(1), MemberId(2), &mut source.world) else { return };
        let left: Vec<_> = source.world.records()[before_there..].to_vec();
        for record in left {
            source.check(&record);
        }
        assert_eq!(closing(&source), 0, "nothing is left");
        source.end();
        self.brought = source.brought + self.world.member.campaigns.of(CampaignKey::of("c"));
        let taken: Vec<_> = self.world.records()[before..].iter().cloned().zip(before as u64 + 1..).collect();
        for (record, seq) in taken {
            self.check(&record);
            self.made.push((seq, record));
        }
        let place = self.world.member.merges.as_ref().map_or(0, |merges| u8::try_from(merges.sources.len()).expect("few"));
        self.made.extend(source.made.iter().map(|(seq, _)| number(*seq, place)).map(|seq| (seq, self.world.record(seq))));
        self.answers.extend(source.answers.into_iter().map(|(header, (seq, at))| (header, (number(seq, place), at))));
        self.commands.extend(source.commands.iter().map(|(header, ask)| (*header, of_command(ask, MemberId(1), place))));
    }

    fn check(&mut self, record: &Record) {
        if let Body::Absorbed(absorbed) = &record.body {
            for (wallet, purse) in (0..).zip(&absorbed.state.wallets) {
                let lots = purse.live.iter().chain(&purse.rest).map(|lot| (lot.id, [0, lot.free(), lot.held]));
                let waiting = purse.waiting.iter().map(|(lot, _)| (lot.id, [lot.left, 0, 0]));
                lots.chain(waiting).for_each(|(id, sums)| assert!(self.shadow.lots.insert((wallet, id), sums).is_none(), "a lot comes once"));
                *self.shadow.debt.entry(wallet).or_default() += purse.figures.debt;
            }
        }
        for event in &record.events {
            if let Event::Points(wallet, movement) = event {
                self.shadow.add(*wallet, movement);
            }
        }
        // INV-4: Σ lots − Σ debt is what finance has posted, and what the figures say.
        for posting in postings(record, &self.programmes).expect("a known version") {
            *self.posted.entry(posting.wallet).or_default() += posting.points;
        }
        for (wallet, figures) in &record.after {
            let closing = figures.available + figures.pending + figures.held - figures.debt;
            assert_eq!(closing, self.shadow.closing(*wallet), "INV-4: figures and lots of wallet {wallet}");
            assert_eq!(closing, self.posted.get(wallet).copied().unwrap_or(0), "INV-4: figures and postings of wallet {wallet}");
        }
        // Rule 6: what a campaign gives one member, and what its budget gives all, however goods come back.
        let campaign = CampaignKey::of("c");
        let got = self.world.member.campaigns.of(campaign);
        self.charged += record.events.iter().filter_map(|event| if let Event::CampaignUsed { points, charged: true, .. } = event { Some(*points) } else { None }).sum::<i64>();
        assert!(got >= 0 && (!self.on(5) || got <= MOST_OF_CAMPAIGN.max(self.brought)), "rule 6: a member has got {got}");
        assert!(!self.on(6) || self.charged <= BUDGET, "INV-8: {} of a budget of {BUDGET}", self.charged);
        if let Body::Purchased(sale) = &record.body {
            assert_eq!(sale.awards.iter().map(|award| award.points).sum::<i64>(), sale.shares.iter().map(|share| share.earned).sum::<i64>(), "rule 9: the explanation adds up");
        }
    }

    /// INV-1: the state is the fold of its records.
    fn end(&self) {
        let mut again = Member::default();
        self.world.records().iter().for_each(|record| again.apply(record));
        assert_eq!(again, self.world.member, "INV-1");
    }
}

/// Counts what took effect, so that a run says what it has tried.
fn count(counts: &mut BTreeMap<String, u64>, record: &Record) {
    let mut name = |text: &str| *counts.entry(text.split([' ', '(', '{']).next().unwrap_or_default().to_owned()).or_default() += 1;
    name(&format!("{:?}", record.body));
    for event in &record.events {
        if let Event::Points(_, movement) = event { name(&format!("{movement:?}")) } else { name(&format!("{event:?}")) }
    }
}

/// A member's life; that of another one, who then goes into it; and what becomes of both.
fn run(switches: u8, [ops, theirs, together]: &[Vec<Op>; 3]) -> Run {
    let alone = |ops: &[Op], first| {
        let mut run = Run::new(switches, first);
        run.world.now = NOON;
        ops.iter().for_each(|op| run.step(op));
        run.end();
        run
    };
    let mut run = alone(ops, FIRST);
    if !theirs.is_empty() {
        run.take(alone(theirs, 100 * FIRST));
        together.iter().for_each(|op| run.step(op));
        run.end();
    }
    run
}

#[test]
fn random_sequences_hold_every_invariant() {
    let cases = std::env::var("CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(2_000);
    let config = Config { cases, max_shrink_iters: 20_000, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    let counts = std::cell::RefCell::new(BTreeMap::new());
    let merged = (prop::collection::vec(op(), 1..20), prop::collection::vec(op(), 1..20));
    let lives = (any::<u8>(), prop::collection::vec(op(), 1..40), prop::option::weighted(0.4, merged));
    let outcome = runner.run(&lives, |(switches, ops, merged)| {
        let (theirs, together) = merged.unwrap_or_default();
        let made = run(switches, &[ops, theirs, together]);
        made.made.iter().for_each(|(_, record)| count(&mut counts.borrow_mut(), record));
        Ok(())
    });
    eprintln!("{cases} sequences: {:?}", counts.borrow());
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
