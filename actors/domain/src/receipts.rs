//! Which member a receipt counts for (rule 23), and what staff must look at.
//!
//! A book of receipts is one entity for a source, store and business date, fed by the feed of all members. A receipt that is seen under
//! a second member counts for the one whose purchase was recorded first; the other's is taken back.

use std::collections::BTreeMap;

use crate::{Code, Rejection, Text};
use crate::ids::MemberId;
use crate::time::{DAY_MS, Millis};

/// A purchase that bears a receipt.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Bearer {
    /// When it was recorded.
    pub at: Millis,
    pub member: MemberId,
    pub seq: u64,
}

/// A book.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Book {
    pub seq: u64,
    /// Fingerprint of the key → for whom it counts.
    pub receipts: BTreeMap<u64, Bearer>,
    /// Purchases that are to be taken back, and have not been yet.
    pub pending: Vec<Bearer>,
}

/// What a book is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Told {
    /// These purchases bear these receipts.
    Seen(Vec<(u64, Bearer)>),
    /// This one was taken back.
    TakenBack(Bearer),
}

/// What a book records of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BookRecord {
    /// New, or now another's.
    pub receipts: Vec<(u64, Bearer)>,
    /// To be taken back.
    pub second: Vec<Bearer>,
    pub taken_back: Option<Bearer>,
}

impl Book {
    /// What is new of it; `None`: nothing.
    #[must_use]
    pub fn decide(&self, told: &Told) -> Option<BookRecord> {
        let mut record = BookRecord { receipts: Vec::new(), second: Vec::new(), taken_back: None };
        match told {
            Told::TakenBack(bearer) => {
                record.taken_back = Some(*bearer).filter(|bearer| self.pending.contains(bearer));
                record.taken_back?;
            }
            Told::Seen(seen) => {
                let mut now: BTreeMap<u64, Bearer> = BTreeMap::new();
                for (fingerprint, bearer) in seen {
                    let known = now.get(fingerprint).or_else(|| self.receipts.get(fingerprint)).copied();
                    let Some(known) = known else {
                        now.insert(*fingerprint, *bearer);
                        continue;
                    };
                    // Its own, or one that was seen before: nothing new.
                    if known.member == bearer.member || self.pending.contains(bearer) || record.second.contains(bearer) {
                        continue;
                    }
                    let (first, second) = if known <= *bearer { (known, *bearer) } else { (*bearer, known) };
                    now.insert(*fingerprint, first);
                    if !record.second.contains(&second) {
                        record.second.push(second);
                    }
                }
                record.receipts = now.into_iter().filter(|(fingerprint, bearer)| self.receipts.get(fingerprint) != Some(bearer)).collect();
                if record.receipts.is_empty() && record.second.is_empty() {
                    return None;
                }
            }
        }
        Some(record)
    }

    /// Folds a record in.
    pub fn apply(&mut self, record: &BookRecord) {
        self.seq += 1;
        self.receipts.extend(record.receipts.iter().copied());
        self.pending.extend(record.second.iter().copied());
        if let Some(bearer) = record.taken_back {
            self.pending.retain(|pending| *pending != bearer);
        }
    }
}

/// A card shown later claims a sale for so long (rule 23).
const CLAIM: Millis = 30 * DAY_MS;

/// Whether a sale can still be claimed.
///
/// # Errors
/// `clock` when it cannot.
pub fn in_time(occurred_at: Millis, now: Millis) -> Result<(), Rejection> {
    if occurred_at < now.saturating_sub(CLAIM) {
        return Err(Rejection::new(Code::Clock, "/occurred_at", "a claim is made within 30 days of the sale; staff can adjust the balance instead"));
    }
    Ok(())
}

/// Why staff must look at something.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Why {
    /// A receipt was used by two members: the second one's purchase was taken back.
    ReceiptUsed,
    /// A return waited for its sale, which did not come in 90 days.
    ReturnWithoutSale,
    /// A points tender went beyond its allowance: the goods were sold and no points taken for it.
    AllowanceExceeded,
}

/// Something that staff must look at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exception {
    pub why: Why,
    pub member: MemberId,
    /// The member's record that it is about.
    pub seq: u64,
    pub opened_at: Millis,
    /// When, by whom, and what was done.
    pub closed: Option<(Millis, Text, Text)>,
}

/// What the list of exceptions is told, and records.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    Open { why: Why, member: MemberId, seq: u64, at: Millis },
    Close { number: u64, at: Millis, author: Text, note: Text },
}

/// All exceptions, by their numbers from 0.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Exceptions {
    pub seq: u64,
    pub all: Vec<Exception>,
}

impl Exceptions {
    /// Whether a change is new.
    #[must_use]
    pub fn is_new(&self, change: &Change) -> bool {
        match change {
            Change::Open { why, member, seq, .. } => !self.all.iter().any(|known| (known.why, known.member, known.seq) == (*why, *member, *seq)),
            Change::Close { number, .. } => usize::try_from(*number).ok().and_then(|number| self.all.get(number)).is_some_and(|known| known.closed.is_none()),
        }
    }

    /// Folds a change in.
    pub fn apply(&mut self, change: &Change) {
        self.seq += 1;
        match change {
            Change::Open { why, member, seq, at } => self.all.push(Exception { why: *why, member: *member, seq: *seq, opened_at: *at, closed: None }),
            Change::Close { number, at, author, note } => {
                if let Some(known) = usize::try_from(*number).ok().and_then(|number| self.all.get_mut(number)) {
                    known.closed = Some((*at, author.clone(), note.clone()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(at: Millis, member: u128) -> Bearer {
        Bearer { at, member: MemberId(member), seq: 2 }
    }

    #[test]
    fn rule_23_a_receipt_counts_for_the_first_whatever_is_heard_of_first() {
        let (first, second) = (bearer(10, 2), bearer(11, 1));
        for order in [[first, second], [second, first]] {
            let mut book = Book::default();
            for bearer in order {
                book.apply(&book.decide(&Told::Seen(vec![(7, bearer)])).expect("new"));
                assert_eq!(book.decide(&Told::Seen(vec![(7, bearer)])), None, "heard again");
            }
            assert_eq!((book.receipts[&7], &book.pending[..]), (first, &[second][..]));
            book.apply(&book.decide(&Told::TakenBack(second)).expect("it was pending"));
            assert!(book.pending.is_empty() && book.decide(&Told::TakenBack(second)).is_none());
        }
        // Both in one go.
        let record = Book::default().decide(&Told::Seen(vec![(7, second), (7, first), (8, first)])).expect("new");
        assert_eq!((record.receipts, record.second), (vec![(7, first), (8, first)], vec![second]));
    }
}
