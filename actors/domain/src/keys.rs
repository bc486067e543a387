//! Which request was answered by which record (rules 23, 24).

use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use crate::Text;
use crate::time::{DAY_MS, Day, Millis};

/// The keys of a purchase, return or void. Each one given is a key.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Keys {
    pub natural: Option<NaturalKey>,
    pub transaction: Option<TransactionId>,
    /// Of sources that renumber: a fingerprint of what was sold, where and when.
    pub content: Option<u64>,
}

/// What names a receipt on the till's side.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NaturalKey {
    pub source: Text,
    pub store: Text,
    pub till: Text,
    pub business_date: Day,
    pub sequence: Text,
}

/// The source's own id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransactionId {
    pub source: Text,
    pub id: Text,
}

/// What a key names; part of it, so that a sale and its return may share a receipt's number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyKind {
    Purchase,
    Return,
    Void,
}

impl KeyKind {
    fn name(self) -> &'static [u8] {
        match self {
            Self::Purchase => b"purchase",
            Self::Return => b"return",
            Self::Void => b"void",
        }
    }
}

impl NaturalKey {
    /// Stored: the hash and its layout never change.
    #[must_use]
    pub fn fingerprint(&self, kind: KeyKind) -> u64 {
        let day = self.business_date.0.to_le_bytes();
        fingerprint(&[b"natural", kind.name(), self.source.as_bytes(), self.store.as_bytes(), self.till.as_bytes(), &day, self.sequence.as_bytes()])
    }
}

impl TransactionId {
    /// Stored: the hash and its layout never change.
    #[must_use]
    pub fn fingerprint(&self, kind: KeyKind) -> u64 {
        fingerprint(&[b"transaction", kind.name(), self.source.as_bytes(), self.id.as_bytes()])
    }
}

impl Keys {
    /// Fingerprints of the keys given.
    #[must_use]
    pub fn fingerprints(&self, kind: KeyKind) -> smallvec::SmallVec<[u64; 3]> {
        let natural = self.natural.as_ref().map(|key| key.fingerprint(kind));
        let transaction = self.transaction.as_ref().map(|key| key.fingerprint(kind));
        natural.into_iter().chain(transaction).chain(self.content).collect()
    }

    /// Whether nothing was given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.natural.is_none() && self.transaction.is_none()
    }
}

/// Fingerprint of a gift, as its taker remembers it. Stored.
#[must_use]
pub fn gift(from: crate::ids::MemberId, seq: u64) -> u64 {
    fingerprint(&[b"gift", &from.0.to_le_bytes(), &seq.to_le_bytes()])
}

/// Fingerprint of what was lent to a hold, as its lender remembers it. Stored.
#[must_use]
pub fn lent(lender: crate::ids::MemberId, to: crate::ids::MemberId, hold: u64) -> u64 {
    fingerprint(&[b"lent", &lender.0.to_le_bytes(), &to.0.to_le_bytes(), &hold.to_le_bytes()])
}

/// Fingerprint of what came home from a record of another member. Stored.
#[must_use]
pub fn home(owner: crate::ids::MemberId, from: crate::ids::MemberId, seq: u64) -> u64 {
    fingerprint(&[b"home", &owner.0.to_le_bytes(), &from.0.to_le_bytes(), &seq.to_le_bytes()])
}

/// Fingerprint of a redemption by an allowance, by its number in the journal that gave it: the same wherever that goes on. Stored.
#[must_use]
pub fn allowed(used: crate::basket::Allowed) -> u64 {
    let allowance = used.allowance % u64::from(crate::merge::SPAN);
    fingerprint(&[b"allowed", &allowance.to_le_bytes(), &used.counter.to_le_bytes()])
}

/// xxh3-64 over the parts, each preceded by its length.
#[must_use]
pub fn fingerprint(parts: &[&[u8]]) -> u64 {
    let mut hash = Xxh3::new();
    for part in parts {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.digest()
}

/// Entries of one page; a full page is sealed and never changes.
pub const PAGE: usize = 512;
/// How long an `Idempotency-Key` is remembered.
pub const HEADER_DAYS: i64 = 30;

/// Fingerprints and the records that answered them. Fingerprints can collide: the record itself is
/// read back and compared before anything is concluded.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KeyIndex {
    /// Sorted by fingerprint.
    pub open: Page,
    pub sealed: Vec<Arc<Page>>,
    /// Sealed pages dropped so far: a page's number never changes.
    pub dropped: u32,
}

/// A page: sorted fingerprints and, beside each, its record.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Page {
    pub fingerprints: Vec<u64>,
    pub seqs: Vec<u32>,
    /// Time of the newest entry.
    pub newest: Millis,
}

impl Page {
    fn find(&self, fingerprint: u64) -> impl Iterator<Item = u64> {
        let start = self.fingerprints.partition_point(|f| *f < fingerprint);
        let same = self.fingerprints[start..].iter().take_while(move |f| **f == fingerprint);
        same.zip(&self.seqs[start..]).map(|(_, seq)| u64::from(*seq))
    }
}

impl KeyIndex {
    /// Remembers that a record answered a key.
    pub fn insert(&mut self, fingerprint: u64, seq: u64, at: Millis) {
        let place = self.open.fingerprints.partition_point(|f| *f < fingerprint);
        self.open.fingerprints.insert(place, fingerprint);
        self.open.seqs.insert(place, u32::try_from(seq).unwrap_or(u32::MAX));
        self.open.newest = self.open.newest.max(at);
        if self.open.seqs.len() >= PAGE {
            self.sealed.push(Arc::new(std::mem::take(&mut self.open)));
        }
    }

    /// Records that may have answered it.
    pub fn find(&self, fingerprint: u64) -> impl Iterator<Item = u64> {
        self.sealed.iter().flat_map(move |page| page.find(fingerprint)).chain(self.open.find(fingerprint))
    }

    /// Forgets pages whose newest entry is older than [`HEADER_DAYS`] at `now`.
    pub fn forget(&mut self, now: Millis) {
        let old = self.sealed.iter().take_while(|page| page.newest < now - HEADER_DAYS * DAY_MS).count();
        self.sealed.drain(..old);
        self.dropped += u32::try_from(old).unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_fingerprints() {
        let keys = Keys {
            natural: Some(NaturalKey { source: "pos".into(), store: "367".into(), till: "4".into(), business_date: Day(20_000), sequence: "000173".into() }),
            transaction: Some(TransactionId { source: "pos".into(), id: "31198570044".into() }),
            content: None,
        };
        let golden: [u64; 2] = [3_573_508_850_000_041_109, 76_920_976_467_905_414];
        assert_eq!(keys.fingerprints(KeyKind::Purchase)[..], golden);
        assert_ne!(keys.fingerprints(KeyKind::Return)[..], golden);
    }

    #[test]
    fn found_after_sealing_and_forgotten_after_thirty_days() {
        let mut index = KeyIndex::default();
        for seq in 1..=2_000_u64 {
            index.insert(seq.wrapping_mul(0x9e37_79b9_7f4a_7c15), seq, 0);
        }
        assert_eq!(index.sealed.len(), 3);
        for seq in [1, 512, 513, 2_000_u64] {
            assert_eq!(index.find(seq.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect::<Vec<_>>(), [seq]);
        }
        index.forget(31 * DAY_MS);
        assert_eq!((index.sealed.len(), index.dropped), (0, 3));
    }
}
