//! What is durable and not yet indexed, by entity. One piece of code for every store.
//!
//! The writer adds after each commit; the indexer seals what has gathered, writes it to the index
//! and only then drops it. A reader takes the tail *first* and the index second: what left the
//! tail in between is in the index, so nothing is missed, and a repeat is dropped by its number.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{EntityKey, Offset, Seq, ShardId};

/// Where a record lies: the place that its store reads it from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Number in the entity's journal.
    pub seq: Seq,
    /// Which shard.
    pub shard: ShardId,
    /// Offset of the row that holds it.
    pub row: Offset,
}

/// A generation of entries, and up to where each shard is covered by it.
#[derive(Default, Debug)]
pub struct Window {
    /// By entity, in order of sequence number.
    pub entries: HashMap<EntityKey, Vec<Entry>>,
    /// Offset after the last record of each shard that was added.
    pub next: HashMap<ShardId, Offset>,
    /// Number of records.
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
    sealed: Option<std::sync::Arc<Window>>,
}

impl TailIndex {
    /// Adds the records of one row: `(entity, seq)` in order, the row starting at `row`.
    pub fn add(&self, shard: ShardId, row: Offset, records: impl Iterator<Item = (EntityKey, Seq)>) {
        let mut inner = self.lock();
        let mut count = 0;
        for (entity, seq) in records {
            inner.active.entries.entry(entity).or_default().push(Entry { seq, shard, row });
            count += 1;
        }
        inner.active.len += usize::try_from(count).unwrap_or(usize::MAX);
        inner.active.next.insert(shard, row + count);
    }

    /// Number of records in the active generation.
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
    pub fn seal(&self) -> Option<std::sync::Arc<Window>> {
        let mut inner = self.lock();
        if inner.sealed.is_none() && inner.active.len > 0 {
            inner.sealed = Some(std::sync::Arc::new(std::mem::take(&mut inner.active)));
        }
        inner.sealed.clone()
    }

    /// The sealed generation is in the index: drop it.
    pub fn indexed(&self) {
        self.lock().sealed = None;
    }

    /// Entries of one entity, oldest first.
    #[must_use]
    pub fn of(&self, entity: &EntityKey) -> Vec<Entry> {
        let inner = self.lock();
        let sealed = inner.sealed.as_ref().and_then(|window| window.entries.get(entity));
        let active = inner.active.entries.get(entity);
        sealed.into_iter().chain(active).flatten().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        // Only pushes and moves happen under the lock: a poisoned one still holds whole values.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
