//! The auditor's own books: what each record moved, lot by lot.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use tessera_domain::ids::{LotId, MemberId};
use tessera_domain::keys::Keys;
use tessera_domain::record::{Body, Event, Record, Unlock};

/// What all records moved, in the wallet's smallest unit. closing = issued − spent − expired − reversed + reinstated − taken − raised + written off.
#[derive(Default, Serialize)]
pub(super) struct Books {
    /// By purchases, active and pending.
    issued: i64,
    /// By staff.
    given: i64,
    spent: i64,
    /// Past their time, or their delivery never came.
    expired: i64,
    /// Taken back with goods.
    reversed: i64,
    /// Came back to their lots.
    reinstated: i64,
    /// By staff.
    taken: i64,
    debt_raised: i64,
    debt_written_off: i64,
    /// Σ lots − Σ debt of all members.
    pub(super) closing: i64,
    #[serde(skip)]
    keys: HashSet<String>,
}

impl Books {
    pub(super) fn close<'a>(&mut self, ledgers: impl Iterator<Item = &'a Ledger>) {
        self.closing = ledgers.map(|ledger| ledger.lots.values().map(|lot| lot.pending + lot.active + lot.held).sum::<i64>() - ledger.debt).sum();
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let rows = [
            ("issued", self.issued),
            ("given by staff", self.given),
            ("spent", -self.spent),
            ("expired", -self.expired),
            ("reversed", -self.reversed),
            ("reinstated", self.reinstated),
            ("taken by staff", -self.taken),
            ("debt raised", -self.debt_raised),
            ("debt written off", self.debt_written_off),
            ("closing", self.closing),
        ];
        rows.iter().map(|(name, points)| format!("{name:<17} {points}")).collect::<Vec<_>>().join("\n")
    }
}

#[derive(Default)]
struct LotSum {
    pending: i64,
    active: i64,
    held: i64,
    expires_at: i64,
    unlocks_at: i64,
}

/// One member's.
#[derive(Default)]
pub(super) struct Ledger {
    head: u64,
    lots: HashMap<LotId, LotSum>,
    /// Ends of open holds.
    holds: HashMap<u64, i64>,
    debt: i64,
}

impl Ledger {
    pub(super) fn head(&self) -> u64 {
        self.head
    }

    /// available, pending, held, debt.
    pub(super) fn figures(&self) -> [i64; 4] {
        let sum = |figure: fn(&LotSum) -> i64| self.lots.values().map(figure).sum();
        [sum(|lot| lot.active), sum(|lot| lot.pending), sum(|lot| lot.held), self.debt]
    }

    /// Whether time has brought something about since the last record.
    pub(super) fn is_due(&self, now: i64) -> bool {
        let lot = |lot: &LotSum| (lot.active > 0 && lot.expires_at <= now) || (lot.pending > 0 && lot.unlocks_at <= now);
        self.lots.values().any(lot) || self.holds.values().any(|end| *end <= now)
    }

    pub(super) fn add(&mut self, member: MemberId, seq: u64, record: &Record, books: &mut Books, problems: &mut Vec<String>) {
        let mut problem = |text: &str| problems.push(format!("{member}, record {seq}: {text}"));
        if seq != self.head + 1 {
            problem(&format!("it follows record {}", self.head));
        }
        self.head = seq;
        match &record.body {
            Body::Purchased(sale) => {
                if sale.awards.iter().map(|award| award.points).sum::<i64>() != sale.earned {
                    problem("the explanation does not add up to what was earned");
                }
                for key in names(&sale.keys, "sale") {
                    if !books.keys.insert(key.clone()) {
                        problem(&format!("{key} has taken effect twice"));
                    }
                }
            }
            Body::Returned(returned) => {
                for key in names(&returned.asked.keys, &format!("{:?}", returned.asked.kind)) {
                    if !books.keys.insert(key.clone()) {
                        problem(&format!("{key} has taken effect twice"));
                    }
                }
            }
            Body::HoldPlaced { expires_at, .. } => {
                self.holds.insert(seq, *expires_at);
            }
            _ => {}
        }
        let by_staff = matches!(record.body, Body::Adjusted { .. });
        for event in &record.events {
            self.moved(event, by_staff, books);
        }
        if self.lots.values().any(|lot| lot.active < 0 || lot.pending < 0 || lot.held < 0) {
            problem("a lot is below zero");
        }
        let [available, pending, held, debt] = self.figures();
        if debt > 0 && available > 0 {
            problem("debt and available points stand together");
        }
        let after = record.after;
        if [after.available, after.pending, after.held, after.debt] != [available, pending, held, debt] {
            problem(&format!("the figures after it do not add up: {after:?}"));
        }
    }

    fn moved(&mut self, event: &Event, by_staff: bool, books: &mut Books) {
        match *event {
            Event::Issued { lot, points, unlock, expires_at, .. } => {
                if by_staff { books.given += points } else { books.issued += points }
                let lot = self.lots.entry(lot).or_default();
                lot.expires_at = expires_at;
                if unlock.is_some() { lot.pending += points } else { lot.active += points }
                lot.unlocks_at = unlock.map_or(i64::MAX, unlocks_at);
            }
            Event::Activated { lot, points, expires_at, .. } => {
                let lot = self.lots.entry(lot).or_default();
                lot.pending -= points;
                lot.active += points;
                lot.expires_at = expires_at;
            }
            Event::Rescheduled { lot, unlock } => self.lots.entry(lot).or_default().unlocks_at = unlocks_at(unlock),
            Event::Spent { lot, points, .. } => {
                books.spent += points;
                self.lots.entry(lot).or_default().active -= points;
            }
            Event::Held { lot, points } => {
                let lot = self.lots.entry(lot).or_default();
                lot.active -= points;
                lot.held += points;
            }
            Event::HeldSpent { lot, points, .. } => {
                books.spent += points;
                self.lots.entry(lot).or_default().held -= points;
            }
            Event::Released { lot, points, .. } => {
                let lot = self.lots.entry(lot).or_default();
                lot.held -= points;
                lot.active += points;
            }
            Event::HoldEnded { hold, .. } => {
                self.holds.remove(&u64::from(hold));
            }
            Event::Expired { lot, points, .. } => {
                books.expired += points;
                self.lots.entry(lot).or_default().active -= points;
            }
            Event::Lapsed { lot, points } => {
                books.expired += points;
                self.lots.entry(lot).or_default().pending -= points;
            }
            Event::ClawedBack { lot, points, pending } => {
                books.reversed += points;
                let lot = self.lots.entry(lot).or_default();
                if pending { lot.pending -= points } else { lot.active -= points }
            }
            Event::OwedMet { lot, points, .. } => {
                books.reversed += points;
                self.lots.entry(lot).or_default().active -= points;
            }
            Event::Reinstated { lot, points, expires_at, .. } => {
                books.reinstated += points;
                let lot = self.lots.entry(lot).or_default();
                lot.active += points;
                lot.expires_at = expires_at;
            }
            Event::DebtRaised { points } | Event::RepaymentUndone { points, .. } => {
                books.debt_raised += points;
                self.debt += points;
            }
            // From a lot to debt: what is owed to the member less what it owes stays the same.
            Event::DebtRepaid { lot, points } => {
                self.lots.entry(lot).or_default().active -= points;
                self.debt -= points;
            }
            Event::DebtWrittenOff { points } => {
                books.debt_written_off += points;
                self.debt -= points;
            }
            Event::AdjustedDown { lot, points } => {
                books.taken += points;
                self.lots.entry(lot).or_default().active -= points;
            }
            Event::ExpiryMoved { expires_at } => {
                for lot in self.lots.values_mut() {
                    lot.expires_at = lot.expires_at.max(expires_at);
                }
            }
            Event::ExpiredCounted { .. }
            | Event::OwedRaised { .. }
            | Event::RoomUsed { .. }
            | Event::Metric { .. }
            | Event::Visit { .. }
            | Event::TierChanged { .. }
            | Event::TierReviewed { .. } => {}
        }
    }
}

fn unlocks_at(unlock: Unlock) -> i64 {
    match unlock {
        Unlock::At(at) => at,
        Unlock::Delivery { deadline, .. } | Unlock::LastLine { deadline, .. } => deadline,
    }
}

/// The keys as text, each with what it names.
fn names(keys: &Keys, kind: &str) -> Vec<String> {
    let natural = keys.natural.as_ref().map(|key| format!("{kind} {}/{}/{}/{}/{}", key.source, key.store, key.till, key.business_date.date(), key.sequence));
    let transaction = keys.transaction.as_ref().map(|key| format!("{kind} {}#{}", key.source, key.id));
    natural.into_iter().chain(transaction).collect()
}
