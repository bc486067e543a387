//! The history of a programme: which versions there are, who saved each and why, and which records hold its text.
//!
//! A text is kept in parts, one record each, before the record that makes it a version: what was uploaded and never
//! saved is never served. Versions are numbered from 1 and never change; a rollback is a new version with an old text.

use std::sync::Arc;

use crate::time::Millis;
use crate::{Code, Rejection, Text};

/// The fold of the records.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct History {
    /// Number of the last record.
    pub seq: u64,
    /// Time of the last record.
    pub last_at: Millis,
    /// Oldest first.
    pub versions: Vec<Version>,
}

/// One version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Version {
    /// From 1.
    pub number: u32,
    /// Since when it serves.
    pub saved_at: Millis,
    pub author: Text,
    pub note: Text,
    pub origin: Origin,
    /// Of the text.
    pub digest: u128,
    /// Records that hold the text, in order.
    pub parts: Vec<u64>,
    /// The record that saved it.
    pub seq: u64,
}

/// Where a version came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// The file that the settings name, as it was found at a start: TOML.
    File,
    /// A request: JSON.
    Request,
    /// An earlier version, of which it has the text.
    Rollback(u32),
}

/// What a history is asked to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ask {
    /// Keep a part of a text.
    Keep { part: Arc<[u8]> },
    /// Make a version of the parts that these records hold.
    Save(Save),
}

/// A version to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Save {
    /// The version that it follows; 0 = none.
    pub after: u32,
    pub author: Text,
    pub note: Text,
    pub origin: Origin,
    pub digest: u128,
    pub parts: Vec<u64>,
}

/// One record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VersionRecord {
    pub at: Millis,
    pub body: Body,
}

/// What it says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    Kept { part: Arc<[u8]> },
    Saved(Save),
}

/// What a request comes to.
#[derive(Debug)]
pub enum Decision {
    Commit(VersionRecord),
    /// An earlier request like it made a version: [`History::made`].
    Repeat,
    Refuse(Rejection),
}

/// Most versions of one programme.
const MOST: usize = 100_000;

impl Version {
    /// The version that a record made.
    #[must_use]
    pub fn of(record: &VersionRecord, seq: u64) -> Option<Self> {
        let Body::Saved(save) = &record.body else { return None };
        Some(Self {
            number: save.after.saturating_add(1),
            saved_at: record.at,
            author: save.author.clone(),
            note: save.note.clone(),
            origin: save.origin,
            digest: save.digest,
            parts: save.parts.clone(),
            seq,
        })
    }
}

impl History {
    /// The version that serves.
    #[must_use]
    pub fn current(&self) -> Option<&Version> {
        self.versions.last()
    }

    /// A version by its number.
    #[must_use]
    pub fn version(&self, number: u32) -> Option<&Version> {
        let place = self.versions.binary_search_by_key(&number, |version| version.number).ok()?;
        Some(&self.versions[place])
    }

    /// The file as it was last found.
    #[must_use]
    pub fn last_file(&self) -> Option<&Version> {
        self.versions.iter().rev().find(|version| version.origin == Origin::File)
    }

    /// Decides. Time never runs backwards: a version serves from after the one before it.
    #[must_use]
    pub fn decide(&self, ask: &Ask, now: Millis) -> Decision {
        let save = match ask {
            Ask::Keep { part } => return Decision::Commit(VersionRecord { at: now.max(self.last_at), body: Body::Kept { part: part.clone() } }),
            Ask::Save(save) => save,
        };
        let current = self.current().map_or(0, |version| version.number);
        if self.made(save).is_some() {
            return Decision::Repeat;
        }
        if save.after != current {
            let detail = format!("version {current} serves by now; read it, and save again with If-Match: \"{current}\"");
            return Decision::Refuse(Rejection::new(Code::Stale, "", &detail));
        }
        if save.parts.iter().any(|seq| *seq == 0 || *seq > self.seq) || self.versions.len() >= MOST {
            return Decision::Refuse(Rejection::new(Code::Invalid, "", "the text of this version is not kept"));
        }
        let at = now.max(self.last_at + 1);
        Decision::Commit(VersionRecord { at, body: Body::Saved(save.clone()) })
    }

    /// The version that a request made when it came before, though others may have followed.
    #[must_use]
    pub fn made(&self, save: &Save) -> Option<&Version> {
        let next = self.version(save.after.checked_add(1)?)?;
        let same = next.digest == save.digest && next.author == save.author && next.note == save.note && next.origin == save.origin;
        same.then_some(next)
    }

    /// Folds a record in.
    pub fn apply(&mut self, record: &VersionRecord) {
        self.seq += 1;
        self.last_at = record.at;
        self.versions.extend(Version::of(record, self.seq));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn save(after: u32, author: &str, parts: &[u64]) -> Ask {
        Ask::Save(Save { after, author: author.into(), note: "".into(), origin: Origin::Request, digest: 7, parts: parts.to_vec() })
    }

    fn does(history: &mut History, ask: &Ask, now: Millis) -> Result<bool, Code> {
        match history.decide(ask, now) {
            Decision::Commit(record) => {
                history.apply(&record);
                Ok(true)
            }
            Decision::Repeat => Ok(false),
            Decision::Refuse(no) => Err(no.code),
        }
    }

    #[test]
    fn versions_follow_each_other_and_a_retry_makes_no_second_one() {
        let mut history = History::default();
        assert_eq!(does(&mut history, &save(0, "a", &[1]), 5), Err(Code::Invalid), "its part is not there yet");
        assert_eq!(does(&mut history, &Ask::Keep { part: [1_u8].into() }, 5), Ok(true));
        assert_eq!(does(&mut history, &save(0, "a", &[1]), 5), Ok(true));
        assert_eq!(does(&mut history, &save(0, "a", &[1]), 5), Ok(false), "the same again");
        assert_eq!(does(&mut history, &save(0, "b", &[1]), 5), Err(Code::Stale));
        for after in [2, u32::MAX] {
            assert_eq!(does(&mut history, &save(after, "b", &[1]), 5), Err(Code::Stale));
        }
        // The clock stood still, or ran back: the next version still serves from later on.
        assert_eq!(does(&mut history, &save(1, "b", &[1]), 3), Ok(true));
        assert_eq!(does(&mut history, &save(0, "a", &[1]), 9), Ok(false), "a late retry, after another version");
        let since: Vec<(u32, Millis)> = history.versions.iter().map(|version| (version.number, version.saved_at)).collect();
        assert_eq!(since, [(1, 6), (2, 7)]);
    }
}
