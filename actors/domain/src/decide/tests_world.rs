//! What tests of decisions stand on: a small programme, a member with its journal, and the invariants that hold after each of its records.

use std::sync::Arc;

use super::{Context, Decision, decide, needs};
use crate::Code;
use crate::basket::{Basket, Line, LineKind, Tender};
use crate::campaigns::{Budgets, Endless};
use crate::command::{Ask, Command, Purchase};
use crate::compile::{ConditionSource, MetricSource, RateSource, Source, compile};
use crate::keys::{Keys, TransactionId};
use crate::ids::MemberId;
use crate::member::Member;
use crate::merge;
use crate::number::Decimal;
use crate::programme::{Caps, ExpiryRule, HoldRules, Level, Programmes, TierPeriod, UnknownAlias, WalletRules};
use crate::record::{Body, Figures, Record};
use crate::time::{DAY_MS, Millis, RoundUp};

/// 2026-06-01T12:00:00Z.
pub(super) const NOON: Millis = 1_780_315_200_000;

pub(super) fn source() -> Source {
    let usd = "USD".parse().expect("a currency");
    Source {
        name: "test".into(),
        language: "en".into(),
        zone: "UTC".into(),
        stores: Vec::new(),
        regions: Default::default(),
        notice_unknown_stores: false,
        wallets: vec![WalletRules {
            id: "points".into(),
            decimals: 0,
            rounding: Default::default(),
            stacking: Default::default(),
            earn_on_tax: false,
            expiry: Some(ExpiryRule { months: 1, round_up: RoundUp::Day, from_activation: false, rolling: false, notice_days: 0 }),
            values: [(usd, Decimal(10_000).ratio())].into(),
            grace_days: 0,
            caps: Caps::default(),
            redemption: Vec::new(),
        }],
        transfers: Vec::new(),
        exchange: Vec::new(),
        excluded: vec!["tobacco".into()],
        rates: vec![RateSource { wallet: "".into(), id: "base".into(), priority: 0, currency: usd, points: Decimal(Decimal::ONE), campaign: "".into(), when: ConditionSource::default(), text: "".into() }],
        multipliers: Vec::new(),
        bonuses: Vec::new(),
        campaigns: Vec::new(),
        goals: Vec::new(),
        metric: MetricSource::Points("".into()),
        period: TierPeriod::CalendarYear,
        levels: [("bronze", 0), ("silver", 100)].map(|(id, threshold)| Level { id: id.into(), name: id.into(), threshold }).into(),
        grace_days: 0,
        soft_landing: false,
        tier_notice_days: 0,
        aliases: [("card".into(), UnknownAlias::Enrol)].into(),
        holds: HoldRules { ttl_ms: 60_000, max_ttl_ms: 100 * DAY_MS, max_open: 3 },
        pending: Vec::new(),
        clawback: crate::programme::Clawback::WithinBalance,
        renumbers: Vec::new(),
    }
}

pub(super) struct World {
    pub(super) programmes: Programmes,
    pub(super) member: Member,
    records: Vec<Arc<Record>>,
    pub(super) now: Millis,
    pub(super) budgets: Arc<dyn Budgets>,
    /// Journals of members that have gone into this one.
    elsewhere: Vec<(MemberId, Vec<Arc<Record>>)>,
}

impl World {
    pub(super) fn new(source: &Source) -> Self {
        Self::of(&[(source, 0)])
    }

    /// Before anybody has enrolled, at a time.
    pub(super) fn empty(source: &Source, now: Millis) -> Self {
        let mut world = Self::new(source);
        (world.member, world.now) = (Member::default(), now);
        world.records.clear();
        world
    }

    /// With several versions, each from its time on.
    pub(super) fn of(versions: &[(&Source, Millis)]) -> Self {
        let compiled = (1..).zip(versions).map(|(number, (source, since))| Arc::new(compile(source, number, *since).expect("a good programme")));
        let mut world = Self { programmes: Programmes::new(compiled.collect()), member: Member::default(), records: Vec::new(), now: NOON, budgets: Arc::new(Endless), elsewhere: Vec::new() };
        world.does(1, Ask::Enrol { aliases: Vec::new() }).expect("enrolled");
        world
    }

    pub(super) fn decide(&self, header: u128, ask: Ask) -> (Decision, Vec<u64>) {
        let command = Command { header, ask };
        let seqs = needs(&self.member, &command);
        let read: Vec<_> = seqs.iter().map(|seq| (*seq, self.record(*seq))).collect();
        let context = Context { budgets: &*self.budgets, ..Context::new(self.now, &self.programmes) };
        (decide(&self.member, &command, &context, &read), seqs.to_vec())
    }

    /// A record by its number, also one of a member that has gone into this one.
    pub(super) fn record(&self, seq: u64) -> Arc<Record> {
        let at = |records: &[Arc<Record>], seq: u64| records[usize::try_from(seq).expect("small") - 1].clone();
        let Some((member, local)) = self.member.merges.as_ref().and_then(|merges| merges.elsewhere(seq)) else { return at(&self.records, seq) };
        let journal = self.elsewhere.iter().find(|(of, _)| *of == member).expect("a journal that is known");
        Arc::new(merge::of_record(&at(&journal.1, local), u8::try_from(seq / u64::from(merge::SPAN)).expect("a place")))
    }

    /// A journal that came with another one.
    pub(super) fn knows_journal(&mut self, member: MemberId, of: &Self) {
        self.elsewhere.push((member, of.records.clone()));
    }

    /// Another member goes into this one, as the façade does it; how it ended.
    pub(super) fn takes(&mut self, me: MemberId, from: MemberId, source: &mut Self) -> Result<bool, Code> {
        source.does(0, Ask::Merge { into: me })?;
        let merge = source.member.seq;
        let cut = Arc::new(merge::Cut::new(source.member.clone()));
        let mut place = None;
        for (part, _) in (0..).zip(&cut.parts) {
            for _ in 0..2 {
                let taken = self.does(0, Ask::Absorb { from, merge, part, cut: cut.clone() })?;
                place = if let Body::Absorbed(absorbed) = &taken.body { Some(absorbed.place) } else { None };
            }
            if place.is_none() {
                break;
            }
        }
        assert_eq!(source.does(0, Ask::Tick).err(), Some(Code::NothingDue));
        source.does(0, Ask::SettleMerge { merge, place })?;
        if place.is_some() {
            self.elsewhere.append(&mut source.elsewhere.clone());
            self.elsewhere.push((from, source.records.clone()));
        }
        Ok(place.is_some())
    }

    /// Commits, and holds INV-2 and INV-1's figures after each record.
    pub(super) fn does(&mut self, header: u128, ask: Ask) -> Result<Arc<Record>, Code> {
        match self.decide(header, ask) {
            (Decision::Commit(record), _) => {
                let programme = self.programmes.current().expect("a programme").clone();
                let due = self.member.due_after(&record, &programme);
                self.member.apply(&record);
                assert!(due <= self.member.next_due(&programme), "a reminder may come too early, never too late");
                self.records.push(record.clone());
                for (number, after) in &record.after {
                    assert_eq!(self.member.figures(*number), *after, "the figures after are the fold of the events");
                }
                for wallet in &self.member.wallets {
                    let figures = wallet.figures;
                    assert!(figures.available >= 0 && (figures.debt == 0 || figures.available == 0), "INV-2: {figures:?}");
                    assert_eq!(figures.available, wallet.live.iter().map(crate::wallet::Lot::free).sum::<i64>());
                    let coming = self.member.merges.as_ref().is_some_and(|merges| merges.coming().is_some());
                    assert!(coming || figures.held == wallet.holds.iter().map(|hold| hold.points).sum::<i64>());
                }
                Ok(record)
            }
            (Decision::Repeat(index), seqs) => Ok(self.record(seqs[index])),
            (Decision::Refuse(no), _) => Err(no.code),
        }
    }

    pub(super) fn buys(&mut self, id: &str, basket: Basket) -> Result<Arc<Record>, Code> {
        let keys = Keys { transaction: Some(TransactionId { source: "pos".into(), id: id.into() }), ..Keys::default() };
        self.does(0, Ask::Purchase(Box::new(Purchase { basket: Arc::new(basket), keys, alias: None })))
    }

    pub(super) fn records(&self) -> &[Arc<Record>] {
        &self.records
    }

    /// A return of lines of a sale, all of it when none is named.
    pub(super) fn returns(&mut self, header: u128, sale: u64, lines: &[(&str, Option<i64>)]) -> Result<Arc<Record>, Code> {
        let back = |(line, amount): &(&str, Option<i64>)| crate::command::LineBack { line: (*line).into(), quantity: None, amount: *amount };
        let asked = crate::command::Return {
            kind: crate::keys::KeyKind::Return,
            sale: crate::command::SaleName::Seq(sale),
            lines: lines.iter().map(back).collect(),
            currency: None,
            points_refund: None,
            keys: Keys::default(),
            occurred_at: self.now,
            may_wait: false,
            receipt_used: false,
        };
        self.does(header, Ask::Return(Box::new(asked)))
    }

    pub(super) fn figures(&self) -> Figures {
        self.member.figures(0)
    }
}

pub(super) fn line(id: &str, category: &str, amount: i64) -> Line {
    Line {
        id: id.into(),
        kind: LineKind::Goods,
        sku: "".into(),
        category: category.into(),
        brand: "".into(),
        quantity: Decimal(Decimal::ONE),
        unit: "".into(),
        amount,
        discount: 0,
        tax: 0,
        voided: false,
        returns: None,
    }
}

pub(super) fn basket(at: Millis, lines: Vec<Line>, tenders: Vec<Tender>) -> Basket {
    let currency = "USD".parse().expect("a currency");
    Basket {
        source: "pos".into(),
        store: "1".into(),
        till: "".into(),
        channel: "".into(),
        customer_group: "".into(),
        occurred_at: at,
        business_date: None,
        currency,
        prices_include_tax: true,
        lines,
        discounts: Vec::new(),
        tenders,
        ext: "".into(),
    }
}

pub(super) fn points(amount: i64) -> Tender {
    Tender { wallet: "".into(), kind: "points".into(), amount, hold: None, offline: None, lines: Vec::new() }
}
