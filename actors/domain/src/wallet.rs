//! Lots, holds, `owed`: the fold of the movements.
//!
//! Three places for a lot. `live`: active, with points that nothing holds, in the order of spending
//! (rule 11), so that its first is the next to expire. `waiting`: pending. `rest`: spent, expired or
//! wholly held; kept while a return, a release or a reversal may still come to it.

use smallvec::SmallVec;

use crate::ids::LotId;
use crate::record::{Figures, HoldEnd, Movement, Unlock};
use crate::time::{DAY_MS, Millis, NEVER};

/// Points with one expiry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lot {
    pub id: LotId,
    pub activated_at: Millis,
    /// Valid while `now < expires_at`; [`NEVER`] for never.
    pub expires_at: Millis,
    /// Points in it, held ones included.
    pub left: i64,
    /// Of those, held.
    pub held: i64,
    /// Points of it that met debt.
    pub repaid: i64,
    /// Points of it that expired and no claim has counted.
    pub expired: i64,
    /// Points of it whose delivery never came, and no claim has counted: reversed, so they never come back (rule 8).
    pub lapsed: i64,
    /// Points of it that were given to others and no claim has counted.
    pub given: i64,
    /// It came from another member.
    pub gift: bool,
}

impl Lot {
    /// Active, all of it free.
    #[must_use]
    pub fn new(id: LotId, points: i64, activated_at: Millis, expires_at: Millis) -> Self {
        Self { id, activated_at, expires_at, left: points, held: 0, repaid: 0, expired: 0, lapsed: 0, given: 0, gift: false }
    }

    /// What can be taken.
    #[must_use]
    pub fn free(&self) -> i64 {
        self.left - self.held
    }

    pub(crate) fn order(&self) -> (Millis, Millis, LotId) {
        (self.expires_at, self.activated_at, self.id)
    }
}

/// Points set aside for one redemption.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hold {
    /// The record that placed it.
    pub seq: u32,
    pub points: i64,
    pub expires_at: Millis,
    pub lots: SmallVec<[(LotId, i64); 2]>,
}

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Wallet {
    pub live: Vec<Lot>,
    pub waiting: Vec<(Lot, Unlock)>,
    /// By lot id.
    pub rest: Vec<Lot>,
    pub holds: Vec<Hold>,
    /// Origin of lots → points that its claims left unmet (rule 18).
    pub owed: Vec<(LotId, i64)>,
    /// To where rolling expiry has moved every lot: one that comes late has at least this too.
    pub rolled: Millis,
    /// Up to when what expires has been told.
    pub noticed: Millis,
    pub figures: Figures,
}

/// A spent lot leaves after this long: the usual window in which goods come back.
const KEEP_SPENT: Millis = 90 * DAY_MS;
/// A lot that a claim may still count as expired or repaid leaves after this long.
const KEEP_COUNTED: Millis = 400 * DAY_MS;

impl Wallet {
    /// When something comes about by itself: an expiry, an unlock, the end of a hold.
    #[must_use]
    pub fn next_due(&self) -> Millis {
        let expiry = self.live.first().map_or(NEVER, |lot| lot.expires_at);
        let unlock = self.waiting.iter().map(|(_, unlock)| due(*unlock)).min().unwrap_or(NEVER);
        let hold = self.holds.iter().map(|hold| hold.expires_at).min().unwrap_or(NEVER);
        expiry.min(unlock).min(hold)
    }

    /// When points that expire are next told of, so many days ahead; 0 = not at all.
    #[must_use]
    pub fn next_notice(&self, days: i32) -> Millis {
        if days == 0 {
            return NEVER;
        }
        let next = self.live.iter().map(|lot| lot.expires_at).find(|at| *at > self.noticed && *at != NEVER);
        next.map_or(NEVER, |at| at - i64::from(days) * DAY_MS)
    }

    /// Takes up to `points` from the free active lots in the order of spending.
    #[must_use]
    pub fn take(&self, points: i64) -> Vec<(Lot, i64)> {
        let mut left = points;
        let mut taken = Vec::new();
        for lot in &self.live {
            if left == 0 {
                break;
            }
            let part = left.min(lot.free());
            taken.push((*lot, part));
            left -= part;
        }
        taken
    }

    /// Lots with points that expired, which were valid at an instant, in the order of spending.
    #[must_use]
    pub fn expired_since(&self, at: Millis) -> Vec<Lot> {
        // One that still has something, of a hold, may have been moved since: its time says nothing of what expired.
        let gone = |lot: &&Lot| lot.left == 0 && lot.expired > 0 && lot.activated_at <= at && at < lot.expires_at;
        let mut found: Vec<Lot> = self.rest.iter().filter(gone).copied().collect();
        found.sort_by_key(Lot::order);
        found
    }

    /// A lot, wherever it is.
    #[must_use]
    pub fn lot(&self, id: LotId) -> Option<&Lot> {
        let rest = self.rest.binary_search_by_key(&id, |lot| lot.id).ok().map(|at| &self.rest[at]);
        rest.or_else(|| self.live.iter().find(|lot| lot.id == id)).or_else(|| self.waiting.iter().map(|(lot, _)| lot).find(|lot| lot.id == id))
    }

    /// Folds one movement in. `seq` is the record's number. Total.
    pub fn apply(&mut self, seq: u64, movement: &Movement) {
        self.figures.apply(movement);
        match *movement {
            Movement::Issued { lot, points, unlock, activated_at, expires_at } => {
                let lot = Lot::new(lot, points, activated_at, expires_at);
                match unlock {
                    Some(unlock) => self.waiting.push((lot, unlock)),
                    None => self.place(lot),
                }
            }
            Movement::Activated { lot, activated_at, expires_at, .. } => {
                if let Some(at) = self.waiting.iter().position(|(waiting, _)| waiting.id == lot) {
                    let (lot, _) = self.waiting.remove(at);
                    self.place(Lot { activated_at, expires_at, ..lot });
                }
            }
            Movement::Rescheduled { lot, unlock } => {
                if let Some(waiting) = self.waiting.iter_mut().find(|(waiting, _)| waiting.id == lot) {
                    waiting.1 = unlock;
                }
            }
            Movement::Given { lot, points, .. } => self.change(lot, |lot| {
                lot.left -= points;
                lot.given += points;
            }),
            Movement::GivenClaimed { lot, points } => self.change(lot, |lot| lot.given -= points),
            Movement::GivenBack { lot, points, activated_at, expires_at } => {
                if self.lot(lot).is_none() {
                    self.place(Lot { given: points, ..Lot::new(lot, 0, activated_at, expires_at) });
                }
                self.change(lot, |lot| {
                    lot.left += points;
                    // Less what a return has claimed of it meanwhile.
                    lot.given = (lot.given - points).max(0);
                    lot.expires_at = expires_at;
                });
            }
            Movement::Gifted { lot, points, activated_at, expires_at } => self.place(Lot { gift: true, ..Lot::new(lot, points, activated_at, expires_at) }),
            Movement::Spent { lot, points, .. } | Movement::AdjustedDown { lot, points } | Movement::Sent { lot, points } | Movement::SentHome { lot, points } => {
                self.change(lot, |lot| lot.left -= points);
            },
            Movement::Held { lot, points } => {
                self.change(lot, |lot| lot.held += points);
                let seq = u32::try_from(seq).unwrap_or(u32::MAX);
                if let Some(hold) = self.holds.iter_mut().find(|hold| hold.seq == seq) {
                    hold.points += points;
                    hold.lots.push((lot, points));
                }
            }
            Movement::HeldSpent { hold, lot, points, .. } => {
                self.unhold(hold, lot, points);
                self.change(lot, |lot| {
                    lot.held -= points;
                    lot.left -= points;
                });
            }
            Movement::Released { hold, lot, points } => {
                self.unhold(hold, lot, points);
                self.change(lot, |lot| lot.held -= points);
            }
            Movement::HoldEnded { hold, end: HoldEnd::Confirmed | HoldEnd::Cancelled | HoldEnd::Expired } => self.holds.retain(|open| open.seq != hold),
            Movement::Expired { lot, points, .. } => self.change(lot, |lot| {
                lot.left -= points;
                lot.expired += points;
            }),
            Movement::ClawedBack { lot, points, pending: true } => {
                for (waiting, _) in self.waiting.iter_mut().filter(|(waiting, _)| waiting.id == lot) {
                    waiting.left -= points;
                }
                // What waits for a delivery holds others back until the line is delivered or gone, also without points.
                self.waiting.retain(|(waiting, unlock)| waiting.id != lot || waiting.left > 0 || matches!(unlock, Unlock::Delivery { .. }));
            }
            Movement::Lapsed { lot, points, .. } => {
                if let Some(at) = self.waiting.iter().position(|(waiting, _)| waiting.id == lot) {
                    let (lot, _) = self.waiting.remove(at);
                    self.place(Lot { left: lot.left - points, lapsed: points, ..lot });
                }
            }
            Movement::ClawedBack { lot, points, pending: false } => self.change(lot, |lot| lot.left -= points),
            Movement::ExpiredCounted { lot, points } => self.change(lot, |lot| {
                let expired = points.min(lot.expired);
                lot.expired -= expired;
                lot.lapsed -= points - expired;
            }),
            Movement::Reinstated { lot, points, activated_at, expires_at } => {
                if self.lot(lot).is_none() {
                    self.place(Lot::new(lot, 0, activated_at, expires_at));
                }
                self.change(lot, |lot| {
                    lot.left += points;
                    lot.expires_at = expires_at;
                });
            }
            Movement::Unexpired { lot, points, expires_at } => self.change(lot, |lot| {
                lot.left += points;
                lot.expired -= points;
                lot.expires_at = expires_at;
            }),
            Movement::DebtRepaid { lot, points } => self.change(lot, |lot| {
                lot.left -= points;
                lot.repaid += points;
            }),
            Movement::RepaymentUndone { lot, points } => self.change(lot, |lot| lot.repaid -= points),
            Movement::OwedRaised { of, points } => self.owe(of, points),
            Movement::OwedMet { of, lot, points } => {
                self.change(lot, |lot| lot.left -= points);
                self.owe(of, -points);
            }
            Movement::ExpiryMoved { expires_at } => {
                self.rolled = self.rolled.max(expires_at);
                // What is gone keeps its time: by that it is known whether something came before its expiry (rule 2).
                let rest = self.rest.iter_mut().filter(|lot| lot.left > 0);
                for lot in self.live.iter_mut().chain(self.waiting.iter_mut().map(|(lot, _)| lot)).chain(rest) {
                    lot.expires_at = lot.expires_at.max(expires_at);
                }
                self.live.sort_by_key(Lot::order);
            }
            Movement::Received { lot, points, activated_at, expires_at } => self.place(Lot::new(lot, points, activated_at, expires_at)),
            Movement::Noticed { until, .. } => self.noticed = self.noticed.max(until),
            Movement::Lent { lot, points, activated_at, expires_at } => self.place(Lot::new(lot, points, activated_at, expires_at)),
            Movement::HeldFor { hold, lot, points } => {
                self.change(lot, |lot| lot.held += points);
                if let Some(hold) = self.holds.iter_mut().find(|open| open.seq == hold) {
                    hold.points += points;
                    hold.lots.push((lot, points));
                }
            }
            Movement::Overdrawn { lot, points, activated_at, expires_at } => self.place(Lot::new(lot, points, activated_at, expires_at)),
            // Lots come with the record's content.
            Movement::MergedIn(_) | Movement::MergedOut(_) | Movement::DebtRaised { .. } | Movement::DebtWrittenOff { .. } => {}
        }
    }

    /// Opens a hold; the [`Movement::Held`] of the same record fill it.
    pub fn open_hold(&mut self, seq: u64, expires_at: Millis) {
        self.holds.push(Hold { seq: u32::try_from(seq).unwrap_or(u32::MAX), points: 0, expires_at, lots: SmallVec::new() });
    }

    /// When a hold that was waiting for the parts of others ends.
    pub fn hold_ends(&mut self, seq: u64, expires_at: Millis) {
        self.holds.iter_mut().filter(|hold| u64::from(hold.seq) == seq).for_each(|hold| hold.expires_at = expires_at);
    }

    /// Lets go of lots that nothing can come back to.
    pub fn forget(&mut self, now: Millis) {
        self.rest.retain(|lot| {
            let keep = if lot.repaid > 0 || lot.expired > 0 || lot.lapsed > 0 || lot.given > 0 { KEEP_COUNTED } else { KEEP_SPENT };
            // Points that expired late are counted late.
            let since = if lot.expired > 0 { lot.activated_at.max(lot.expires_at.min(now)) } else { lot.activated_at };
            lot.left > 0 || since > now - keep
        });
    }

    pub(crate) fn owe(&mut self, of: LotId, points: i64) {
        match self.owed.iter_mut().find(|(origin, _)| *origin == of) {
            Some((_, owed)) => *owed += points,
            None => self.owed.push((of, points)),
        }
        self.owed.retain(|(_, owed)| *owed > 0);
    }

    fn unhold(&mut self, hold: u32, lot: LotId, points: i64) {
        for open in self.holds.iter_mut().filter(|open| open.seq == hold) {
            open.points -= points;
            for (_, held) in open.lots.iter_mut().filter(|(id, _)| *id == lot) {
                *held -= points;
            }
            open.lots.retain(|(_, held)| *held > 0);
        }
    }

    /// Changes a lot and puts it where it then belongs.
    fn change(&mut self, id: LotId, change: impl FnOnce(&mut Lot)) {
        let mut lot = if let Some(at) = self.live.iter().position(|lot| lot.id == id) {
            self.live.remove(at)
        } else if let Ok(at) = self.rest.binary_search_by_key(&id, |lot| lot.id) {
            self.rest.remove(at)
        } else {
            return;
        };
        change(&mut lot);
        self.place(lot);
    }

    pub(crate) fn place(&mut self, lot: Lot) {
        if lot.free() > 0 {
            let at = self.live.partition_point(|other| other.order() < lot.order());
            self.live.insert(at, lot);
        } else {
            let at = self.rest.partition_point(|other| other.id < lot.id);
            self.rest.insert(at, lot);
        }
    }
}

/// When an unlock comes about by itself, if only as its deadline.
#[must_use]
pub fn due(unlock: Unlock) -> Millis {
    match unlock {
        Unlock::At(at) => at,
        Unlock::Delivery { deadline, .. } | Unlock::LastLine { deadline, .. } => deadline,
    }
}
