//! Merges (rule 15): one member goes into another, one way, for ever.
//!
//! The journals stay as they are: the one that goes on takes over the *state* of the other, in one record or a few, and reads the other's
//! records where it needs them. Numbers of records keep their meaning by ranges: a member's own are below [`SPAN`], those of the n-th
//! journal it has taken over stand n spans higher, in everything that names a record: lots, holds, sales, keys. So no look-up is needed, and
//! what was made before is found under its old id as well as under the new one.
//!
//! It is a saga with one id, the record of the member that goes: `Merging`, from when on that member changes no more; `Absorbed` for each part
//! of its state, or once `AbsorbRefused`, by the other; `Merged`, which says how it ended. A no is remembered for ever, and so is what was taken
//! over: each step may be repeated by anybody, also when the other member has gone on into a third one meanwhile.

mod cut;
mod join;
mod renumber;

pub use cut::Cut;
pub(crate) use renumber::of_state;
pub use renumber::{basket, of_command, of_record};

use smallvec::SmallVec;

use crate::ids::{LotId, MadeId, MemberId};
use crate::member::Member;
use crate::time::{Day, Millis};

/// Numbers of records that one journal may have.
pub const SPAN: u32 = 1 << 24;
/// Journals that one member may have taken over, with those that they had: beyond that a merge is refused.
pub const MOST: usize = 200;

/// What a member knows of merges.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Merges {
    /// Whose journals it has taken over: the n-th one's records, from 1, are numbered from n · [`SPAN`] on.
    pub sources: Vec<Source>,
    /// Merges that it will never take: from whom, by which of its records, and the record that says so.
    pub refused: Vec<(MemberId, u64, u32)>,
    /// Where it goes, or has gone.
    pub going: Option<Going>,
}

/// A journal that was taken over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source {
    pub journal: Journal,
    /// Of a merge: its record there, the records here that took its parts, and how many parts there are. Of a journal that came with
    /// another one: 0, none, 0.
    pub merge: u64,
    pub parts: SmallVec<[u32; 1]>,
    pub of: u16,
}

/// Whose it is, and what its numbers and days are here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Journal {
    pub member: MemberId,
    /// Records of it that count.
    pub records: u32,
    /// Periods of its tier that are others here: first day there, first day here.
    pub periods: Vec<(Day, Day)>,
}

/// A member that goes into another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Going {
    pub into: MemberId,
    /// The record that began it.
    pub seq: u32,
    pub since: Millis,
    /// Once it has gone: the place of its journal there, from 1.
    pub place: Option<u8>,
}

/// A part of a state that is taken over; its numbers are those of the member that takes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Absorbed {
    pub from: MemberId,
    /// The record there that began it.
    pub merge: u64,
    /// Which part, from 0, of how many.
    pub part: u16,
    pub of: u16,
    /// Place of the journal here, from 1; those that it had taken over follow.
    pub place: u8,
    /// The journals; in the first part only.
    pub journals: Vec<Journal>,
    pub state: Box<Member>,
}

impl Merges {
    /// Who goes on in its stead, and the place of its journal there.
    #[must_use]
    pub fn gone(&self) -> Option<(MemberId, u8)> {
        self.going.and_then(|going| Some((going.into, going.place?)))
    }

    /// The record that has taken a part of a merge, if any did.
    #[must_use]
    pub fn taken(&self, from: MemberId, merge: u64, part: u16) -> Option<u64> {
        let source = self.sources.iter().find(|source| source.journal.member == from && source.merge == merge)?;
        source.parts.get(usize::from(part)).map(|seq| u64::from(*seq))
    }

    /// The record that refused a merge, if one did.
    #[must_use]
    pub fn refusal(&self, from: MemberId, merge: u64) -> Option<u64> {
        self.refused.iter().find(|(member, seq, _)| *member == from && *seq == merge).map(|(_, _, record)| u64::from(*record))
    }

    /// Whose state is being taken over, and is not yet all here.
    #[must_use]
    pub fn coming(&self) -> Option<MemberId> {
        self.sources.iter().find(|source| source.parts.len() < usize::from(source.of)).map(|source| source.journal.member)
    }

    fn source(&self, seq: u64) -> Option<&Source> {
        let place = usize::try_from(seq / u64::from(SPAN)).ok()?.checked_sub(1)?;
        self.sources.get(place)
    }

    /// The period in which what a record counts for the tier counts here.
    #[must_use]
    pub fn period(&self, seq: u64, period: Day) -> Day {
        let moved = self.source(seq).and_then(|source| source.journal.periods.iter().find(|(there, _)| *there == period));
        moved.map_or(period, |(_, here)| *here)
    }

    /// In whose journal a number of another's record stands, and which it is there. `None`: it is an own one, or there is no such record.
    #[must_use]
    pub fn elsewhere(&self, seq: u64) -> Option<(MemberId, u64)> {
        let (source, local) = (self.source(seq)?, seq % u64::from(SPAN));
        (1..=u64::from(source.journal.records)).contains(&local).then_some((source.journal.member, local))
    }

    /// Folds a part in that was taken over.
    pub(crate) fn take(&mut self, absorbed: &Absorbed, seq: u32) {
        for (place, journal) in absorbed.journals.iter().enumerate() {
            let (merge, of) = if place == 0 { (absorbed.merge, absorbed.of) } else { (0, 0) };
            self.sources.push(Source { journal: journal.clone(), merge, parts: SmallVec::new(), of });
        }
        if let Some(source) = self.sources.get_mut(usize::from(absorbed.place).wrapping_sub(1)) {
            source.parts.push(seq);
        }
    }
}

/// Whose things a request may name: a member's own, and those of the members that have gone into it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Owner {
    pub member: MemberId,
    pub sources: Vec<MemberId>,
}

impl From<MemberId> for Owner {
    fn from(member: MemberId) -> Self {
        Self { member, sources: Vec::new() }
    }
}

impl Owner {
    /// The number by which this member knows what an id names; `None`: it is another member's.
    #[must_use]
    pub fn number(&self, made: MadeId) -> Option<u64> {
        if made.member == self.member {
            return Some(made.seq);
        }
        let place = u8::try_from(self.sources.iter().position(|source| *source == made.member)?).ok()?;
        Some(number(made.seq, place.saturating_add(1)))
    }
}

/// A number of a journal as the member knows it that has taken it over at a place; 0 stays 0: it is no record.
#[must_use]
pub fn number(seq: u64, place: u8) -> u64 {
    if seq == 0 { 0 } else { seq.saturating_add(u64::from(place) * u64::from(SPAN)) }
}

fn short(seq: u32, place: u8) -> u32 {
    u32::try_from(number(seq.into(), place)).unwrap_or(u32::MAX)
}

fn lot(lot: LotId, place: u8) -> LotId {
    LotId { seq: short(lot.seq, place), ..lot }
}
