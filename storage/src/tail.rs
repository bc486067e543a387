//! What is durable and not yet indexed: where each entity's and each shard's records lie. One piece of code for every store.
//!
//! The writer adds after each commit; the indexer seals what has gathered, writes it to the index
//! and only then drops it. A reader takes the tail *first* and the index second: what left the
//! tail in between is in the index, so nothing is missed, and a repeat is dropped by its number.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::{Due, EntityKey, Offset, Seq, ShardId};

/// A record that was committed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Added {
    /// Whose.
    pub entity: EntityKey,
    /// Its number in the entity's journal.
    pub seq: Seq,
    /// Which shard.
    pub shard: ShardId,
    /// Its number in the shard's log.
    pub offset: Offset,
    /// Where it lies: the store's own address of it.
    pub place: u64,
    /// When its entity wants to be woken; `None`: as before.
    pub due: Option<Due>,
}

/// Places of consecutive records: of one entity by sequence number, or of one shard by offset.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Run {
    /// Number of the first.
    pub first: u64,
    /// Where they lie, in order.
    pub places: Vec<u64>,
}

impl Run {
    /// Number after the last.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.first + self.places.len() as u64
    }

    /// The numbers `from ..= to` that it has, each with its place.
    pub fn between(&self, from: u64, to: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
        let skip = usize::try_from(from.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let places = self.places.get(skip..).unwrap_or_default();
        (self.first.max(from)..=to).zip(places.iter().copied())
    }
}

/// A commit, by its number and where it lies.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Commit {
    /// Its number, dense from 0.
    pub number: u64,
    /// Where it begins.
    pub start: u64,
    /// Where the next may begin.
    pub end: u64,
}

/// A generation of places.
#[derive(Default, Debug)]
pub struct Window {
    /// By entity.
    pub entities: HashMap<EntityKey, Run>,
    /// By shard.
    pub shards: HashMap<ShardId, Run>,
    /// When each entity wants to be woken, of those that said something new.
    pub due: HashMap<EntityKey, (ShardId, Due)>,
    /// The newest values of cells; `None` = removed.
    pub cells: HashMap<Bytes, Option<Bytes>>,
    /// The newest commit that was added.
    pub last: Commit,
    /// Number of records and of changes of cells.
    pub len: usize,
}

/// See the module.
#[derive(Default, Debug)]
pub struct TailIndex {
    inner: Mutex<Generations>,
}

#[derive(Default, Debug)]
struct Generations {
    active: Window,
    sealed: Option<Arc<Window>>,
}

impl TailIndex {
    /// Adds what one commit has brought.
    pub fn add(&self, commit: Commit, records: &[Added], cells: &[(Bytes, Option<Bytes>)]) {
        let active = &mut self.lock().active;
        for record in records {
            push(&mut active.entities, record.entity, record.seq, record.place);
            push(&mut active.shards, record.shard, record.offset, record.place);
            if let Some(due) = record.due {
                active.due.insert(record.entity, (record.shard, due));
            }
        }
        for (key, value) in cells {
            active.cells.insert(key.clone(), value.clone());
        }
        active.len += records.len() + cells.len();
        active.last = commit;
    }

    /// Number of records and of changes of cells that wait to be sealed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().active.len
    }

    /// Whether nothing waits to be indexed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Closes the active generation for indexing; it stays readable until [`Self::indexed`].
    /// `None` when it is empty. One at a time: a second call before `indexed` answers the same one.
    #[must_use]
    pub fn seal(&self) -> Option<Arc<Window>> {
        let mut inner = self.lock();
        if inner.sealed.is_none() && inner.active.len > 0 {
            inner.sealed = Some(Arc::new(std::mem::take(&mut inner.active)));
        }
        inner.sealed.clone()
    }

    /// The sealed generation is in the index: drop it.
    pub fn indexed(&self) {
        let sealed = self.lock().sealed.take();
        // Freed without the lock: it may be large.
        drop(sealed);
    }

    /// Forgets everything.
    pub fn clear(&self) {
        *self.lock() = Generations::default();
    }

    /// Places of one entity's records `from ..= to` by sequence number, oldest first.
    #[must_use]
    pub fn entity(&self, entity: &EntityKey, from: Seq, to: Seq) -> Vec<(Seq, u64)> {
        self.of(|window| window.entities.get(entity), from, to)
    }

    /// Places of one shard's records `from ..= to` by offset, oldest first.
    #[must_use]
    pub fn shard(&self, shard: ShardId, from: Offset, to: Offset) -> Vec<(Offset, u64)> {
        self.of(|window| window.shards.get(&shard), from, to)
    }

    /// The newest value of a cell, `Some(None)` = removed; `None` when it did not change.
    #[must_use]
    pub fn cell(&self, key: &[u8]) -> Option<Option<Bytes>> {
        let inner = self.lock();
        let mut windows = [Some(&inner.active), inner.sealed.as_deref()].into_iter().flatten();
        windows.find_map(|window| window.cells.get(key)).cloned()
    }

    /// When an entity wants to be woken, if that is new; `None` when no record here says so.
    #[must_use]
    pub fn due(&self, entity: &EntityKey) -> Option<Due> {
        let inner = self.lock();
        let mut windows = [Some(&inner.active), inner.sealed.as_deref()].into_iter().flatten();
        windows.find_map(|window| window.due.get(entity)).map(|(_, due)| *due)
    }

    fn of(&self, run: impl Fn(&Window) -> Option<&Run>, from: u64, to: u64) -> Vec<(u64, u64)> {
        let inner = self.lock();
        let windows = inner.sealed.as_deref().into_iter().chain([&inner.active]);
        windows.filter_map(run).flat_map(|run| run.between(from, to)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        // Only pushes and moves happen under the lock: a poisoned one still holds whole values.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The committer admits only the next record, so that runs have no gap.
fn push<K: Eq + Hash>(runs: &mut HashMap<K, Run>, key: K, number: u64, place: u64) {
    let run = runs.entry(key).or_insert_with(|| Run { first: number, places: Vec::new() });
    debug_assert_eq!(run.end(), number, "a gap");
    run.places.push(place);
}
