//! The auditor's own books: what each record moved, lot by lot.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Serialize;
use tessera_domain::ids::{LotId, MemberId};
use tessera_domain::keys::Keys;
use tessera_domain::merge::SPAN;
use tessera_domain::record::{Body, Event, Movement, Record, Unlock};
use tessera_domain::wallet::Wallet;

/// What all records moved in one wallet, in its smallest unit.
/// closing = issued + given − spent − expired − reversed + reinstated + received − sent − taken − debt raised + written off.
#[derive(Default, Serialize)]
pub(super) struct Sums {
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
    /// Between wallets.
    received: i64,
    sent: i64,
    /// By staff.
    taken: i64,
    debt_raised: i64,
    debt_written_off: i64,
    /// Σ lots − Σ debt of all members.
    pub(super) closing: i64,
}

/// By the wallet's place in the programme.
#[derive(Default, Serialize)]
pub(super) struct Books {
    pub(super) wallets: BTreeMap<u8, Sums>,
    /// Key → how often it stands: a purchase whose receipt counts for another member was taken back.
    #[serde(skip)]
    keys: HashMap<Arc<str>, i32>,
    /// Such purchases of members that have gone into others: whose, and which.
    #[serde(skip)]
    elsewhere: Vec<(MemberId, u64)>,
}

impl Books {
    pub(super) fn close(&mut self, ledgers: &HashMap<MemberId, Ledger>) {
        for (member, sale) in std::mem::take(&mut self.elsewhere) {
            for key in ledgers.get(&member).and_then(|ledger| ledger.sales.get(&sale)).into_iter().flatten() {
                *self.keys.entry(key.clone()).or_default() -= 1;
            }
        }
        for (number, purse) in ledgers.values().flat_map(|ledger| &ledger.purses) {
            self.wallets.entry(*number).or_default().closing += purse.lots.values().map(|lot| lot.pending + lot.active + lot.held).sum::<i64>() - purse.debt;
        }
    }

    /// Keys that took effect more than once.
    pub(super) fn twice(&self) -> impl Iterator<Item = String> + '_ {
        self.keys.iter().filter(|(_, count)| **count > 1).map(|(key, count)| format!("{key} has taken effect {count} times"))
    }

    /// Of every wallet.
    pub(super) fn closing(&self) -> BTreeMap<u8, i64> {
        self.wallets.iter().map(|(number, sums)| (*number, sums.closing)).collect()
    }

    /// For people; `name`: a wallet's id.
    pub(super) fn text(&self, name: impl Fn(u8) -> String) -> String {
        let wallet = |(number, sums): (&u8, &Sums)| {
            let rows = [
                ("issued", sums.issued),
                ("given by staff", sums.given),
                ("spent", -sums.spent),
                ("expired", -sums.expired),
                ("reversed", -sums.reversed),
                ("reinstated", sums.reinstated),
                ("received", sums.received),
                ("sent", -sums.sent),
                ("taken by staff", -sums.taken),
                ("debt raised", -sums.debt_raised),
                ("debt written off", sums.debt_written_off),
                ("closing", sums.closing),
            ];
            let rows = rows.iter().map(|(name, points)| format!("{name:<17} {points}")).collect::<Vec<_>>().join("\n");
            format!("{}\n{rows}", name(*number))
        };
        self.wallets.iter().map(wallet).collect::<Vec<_>>().join("\n")
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
    purses: BTreeMap<u8, Purse>,
    /// Keys of its purchases.
    sales: HashMap<u64, Vec<Arc<str>>>,
    /// Ends of open holds.
    holds: HashMap<u64, i64>,
    /// Whose journals it has taken over.
    sources: Vec<MemberId>,
    /// It has gone into another one.
    gone: bool,
}

/// One member's points in one wallet.
#[derive(Default)]
struct Purse {
    lots: HashMap<LotId, LotSum>,
    debt: i64,
}

impl Purse {
    /// available, pending, held, debt.
    fn figures(&self) -> [i64; 4] {
        let sum = |figure: fn(&LotSum) -> i64| self.lots.values().map(figure).sum();
        [sum(|lot| lot.active), sum(|lot| lot.pending), sum(|lot| lot.held), self.debt]
    }
}

impl Ledger {
    pub(super) fn head(&self) -> u64 {
        self.head
    }

    pub(super) fn gone(&self) -> bool {
        self.gone
    }

    /// By wallet: available, pending, held, debt.
    pub(super) fn figures(&self) -> BTreeMap<u8, [i64; 4]> {
        self.purses.iter().map(|(number, purse)| (*number, purse.figures())).collect()
    }

    /// Whether time has brought something about since the last record.
    pub(super) fn is_due(&self, now: i64) -> bool {
        let lot = |lot: &LotSum| (lot.active > 0 && lot.expires_at <= now) || (lot.pending > 0 && lot.unlocks_at <= now);
        self.purses.values().flat_map(|purse| purse.lots.values()).any(lot) || self.holds.values().any(|end| *end <= now)
    }

    pub(super) fn add(&mut self, member: MemberId, seq: u64, record: &Record, books: &mut Books, problems: &mut Vec<String>) {
        let mut problem = |text: &str| problems.push(format!("{member}, record {seq}: {text}"));
        if seq != self.head + 1 {
            problem(&format!("it follows record {}", self.head));
        }
        self.head = seq;
        match &record.body {
            Body::Purchased(sale) => {
                if sale.awards.iter().map(|award| award.points).sum::<i64>() != sale.shares.iter().map(|share| share.earned).sum::<i64>() {
                    problem("the explanation does not add up to what was earned");
                }
                let keys = names(&sale.keys, "sale");
                keys.iter().for_each(|key| *books.keys.entry(key.clone()).or_default() += 1);
                self.sales.insert(seq, keys);
            }
            Body::Returned(returned) => {
                for key in names(&returned.asked.keys, &format!("{:?}", returned.asked.kind)) {
                    *books.keys.entry(key).or_default() += 1;
                }
                let place = usize::try_from(returned.back.sale / u64::from(SPAN)).unwrap_or(0);
                if returned.asked.receipt_used && place > 0 {
                    books.elsewhere.extend(self.sources.get(place - 1).map(|source| (*source, returned.back.sale % u64::from(SPAN))));
                } else if returned.asked.receipt_used {
                    for key in self.sales.get(&returned.back.sale).into_iter().flatten() {
                        *books.keys.entry(key.clone()).or_default() -= 1;
                    }
                }
            }
            Body::Absorbed(absorbed) => {
                self.sources.extend(absorbed.journals.iter().map(|journal| journal.member));
                for (number, wallet) in (0_u8..).zip(&absorbed.state.wallets) {
                    self.holds.extend(wallet.holds.iter().map(|hold| (u64::from(hold.seq), hold.expires_at)));
                    self.purses.entry(number).or_default().joined(wallet);
                }
            }
            Body::Merged { place: Some(_), .. } => {
                self.gone = true;
                self.holds.clear();
            }
            // One that waits for the parts of others ends only when it has them.
            Body::HoldPlaced { expires_at, pool, .. } => {
                let waits = pool.as_ref().is_some_and(|pool| !pool.parts.is_empty());
                self.holds.insert(seq, if waits { i64::MAX } else { *expires_at });
            }
            Body::Gathered { hold, expires_at, .. } => {
                self.holds.insert(*hold, *expires_at);
            }
            _ => {}
        }
        let by_staff = matches!(record.body, Body::Adjusted { .. });
        for event in &record.events {
            let Event::Points(number, movement) = event else { continue };
            if let Movement::HoldEnded { hold, .. } = movement {
                self.holds.remove(&u64::from(*hold));
            }
            self.purses.entry(*number).or_default().moved(movement, by_staff, books.wallets.entry(*number).or_default());
        }
        let stated: BTreeMap<u8, [i64; 4]> = record.after.iter().map(|(number, after)| (*number, [after.available, after.pending, after.held, after.debt])).collect();
        for (number, stated) in &stated {
            let purse = self.purses.entry(*number).or_default();
            if purse.lots.values().any(|lot| lot.active < 0 || lot.pending < 0 || lot.held < 0) {
                problem("a lot is below zero");
            }
            let figures = purse.figures();
            if figures[3] > 0 && figures[0] > 0 {
                problem("debt and available points stand together");
            }
            if *stated != figures {
                problem(&format!("the figures after it do not add up: {stated:?} of wallet {number}"));
            }
        }
    }
}

impl Purse {
    /// Lots of a member that goes into this one.
    fn joined(&mut self, wallet: &Wallet) {
        for lot in wallet.live.iter().chain(&wallet.rest) {
            self.lots.insert(lot.id, LotSum { pending: 0, active: lot.left - lot.held, held: lot.held, expires_at: lot.expires_at, unlocks_at: i64::MAX });
        }
        for (lot, unlock) in &wallet.waiting {
            self.lots.insert(lot.id, LotSum { pending: lot.left, active: 0, held: 0, expires_at: lot.expires_at, unlocks_at: unlocks_at(*unlock) });
        }
    }

    fn moved(&mut self, movement: &Movement, by_staff: bool, books: &mut Sums) {
        match *movement {
            Movement::Issued { lot, points, unlock, expires_at, .. } => {
                if by_staff { books.given += points } else { books.issued += points }
                let lot = self.lots.entry(lot).or_default();
                lot.expires_at = expires_at;
                if unlock.is_some() { lot.pending += points } else { lot.active += points }
                lot.unlocks_at = unlock.map_or(i64::MAX, unlocks_at);
            }
            Movement::Activated { lot, points, expires_at, .. } => {
                let lot = self.lots.entry(lot).or_default();
                lot.pending -= points;
                lot.active += points;
                lot.expires_at = expires_at;
            }
            Movement::Rescheduled { lot, unlock } => self.lots.entry(lot).or_default().unlocks_at = unlocks_at(unlock),
            Movement::Spent { lot, points, .. } => {
                books.spent += points;
                self.lots.entry(lot).or_default().active -= points;
            }
            Movement::Held { lot, points } | Movement::HeldFor { lot, points, .. } => {
                let lot = self.lots.entry(lot).or_default();
                lot.active -= points;
                lot.held += points;
            }
            Movement::HeldSpent { lot, points, .. } => {
                books.spent += points;
                self.lots.entry(lot).or_default().held -= points;
            }
            Movement::Released { lot, points, .. } => {
                let lot = self.lots.entry(lot).or_default();
                lot.held -= points;
                lot.active += points;
            }
            Movement::Expired { lot, points, .. } => {
                books.expired += points;
                self.lots.entry(lot).or_default().active -= points;
            }
            Movement::Lapsed { lot, points, .. } => {
                books.expired += points;
                self.lots.entry(lot).or_default().pending -= points;
            }
            Movement::ClawedBack { lot, points, pending } => {
                books.reversed += points;
                let lot = self.lots.entry(lot).or_default();
                if pending { lot.pending -= points } else { lot.active -= points }
            }
            Movement::OwedMet { lot, points, .. } => {
                books.reversed += points;
                self.lots.entry(lot).or_default().active -= points;
            }
            Movement::Reinstated { lot, points, expires_at, .. } | Movement::Unexpired { lot, points, expires_at } => {
                books.reinstated += points;
                let lot = self.lots.entry(lot).or_default();
                lot.active += points;
                lot.expires_at = expires_at;
            }
            // A lot and as much debt: what is owed to the member less what it owes stays the same.
            Movement::Overdrawn { lot, points, expires_at, .. } => {
                let lot = self.lots.entry(lot).or_default();
                lot.active += points;
                lot.expires_at = expires_at;
                self.debt += points;
            }
            Movement::DebtRaised { points } | Movement::RepaymentUndone { points, .. } | Movement::GivenClaimed { points, .. } => {
                books.debt_raised += points;
                self.debt += points;
            }
            // From a lot to debt: what is owed to the member less what it owes stays the same.
            Movement::DebtRepaid { lot, points } => {
                self.lots.entry(lot).or_default().active -= points;
                self.debt -= points;
            }
            Movement::DebtWrittenOff { points } => {
                books.debt_written_off += points;
                self.debt -= points;
            }
            Movement::AdjustedDown { lot, points } => {
                books.taken += points;
                self.lots.entry(lot).or_default().active -= points;
            }
            Movement::ExpiryMoved { expires_at } => {
                for lot in self.lots.values_mut() {
                    lot.expires_at = lot.expires_at.max(expires_at);
                }
            }
            Movement::Sent { lot, points } | Movement::SentHome { lot, points } | Movement::Given { lot, points, .. } => {
                books.sent += points;
                self.lots.entry(lot).or_default().active -= points;
            }
            Movement::Received { lot, points, expires_at, .. } | Movement::Gifted { lot, points, expires_at, .. } | Movement::GivenBack { lot, points, expires_at, .. } | Movement::Lent { lot, points, expires_at, .. } => {
                books.received += points;
                let lot = self.lots.entry(lot).or_default();
                lot.active += points;
                lot.expires_at = expires_at;
            }
            // The lots stand in the record.
            Movement::MergedIn(of) => {
                books.received += of.net();
                self.debt += of.debt;
            }
            Movement::MergedOut(of) => {
                books.sent += of.net();
                // What had been there must be what goes: otherwise something is left here.
                if self.figures() == [of.available, of.pending, of.held, of.debt] {
                    self.lots.clear();
                    self.debt = 0;
                }
            }
            Movement::ExpiredCounted { .. } | Movement::OwedRaised { .. } | Movement::HoldEnded { .. } | Movement::Noticed { .. } => {}
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
fn names(keys: &Keys, kind: &str) -> Vec<Arc<str>> {
    let natural = keys.natural.as_ref().map(|key| format!("{kind} {}/{}/{}/{}/{}", key.source, key.store, key.till, key.business_date.date(), key.sequence));
    let transaction = keys.transaction.as_ref().map(|key| format!("{kind} {}#{}", key.source, key.id));
    natural.into_iter().chain(transaction).map(Into::into).collect()
}
