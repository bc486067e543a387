//! The index's database: a cache of the log.

use std::collections::HashMap;
use std::path::Path;

use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode, Readable};
use tessera_storage::tail::{Commit, Run, Window};
use tessera_storage::{EntityKey, Offset, Page, Seq, ShardId, Snapshot, StoreError};

use crate::rows;
use crate::segments::said;

/// Records in one run, at most.
const RUN: usize = 1_024;
/// Where the last commit that is indexed is kept; a shard's key has two bytes.
const LAST: &[u8] = b"last";

/// The `index/` database.
#[derive(Clone)]
pub struct Index {
    db: Database,
    entities: Keyspace,
    shards: Keyspace,
    cells: Keyspace,
    snapshots: Keyspace,
    progress: Keyspace,
}

impl Index {
    /// Opens it, or makes it anew when it cannot be opened or was marked as damaged.
    ///
    /// # Errors
    /// `Fatal` when it can neither be opened nor made.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let marker = path.with_extension("damaged");
        let fatal = |e: std::io::Error| StoreError::Fatal(format!("the index in {} cannot be rebuilt: {e}", path.display()));
        if marker.exists() {
            remove(path).map_err(fatal)?;
            std::fs::remove_file(&marker).map_err(fatal)?;
            tracing::warn!("the index was marked as damaged: it is rebuilt from the log");
        }
        match quietly(|| Self::try_open(path)) {
            Some(Ok(index)) => Ok(index),
            other => {
                let error = other.and_then(Result::err).map_or_else(|| "a file in it is damaged".into(), |error| explain(&error));
                tracing::warn!(error, "the index cannot be opened: it is rebuilt from the log");
                remove(path).map_err(fatal)?;
                Self::try_open(path).map_err(|e| StoreError::Fatal(format!("the index in {} cannot be made: {}", path.display(), explain(&e))))
            }
        }
    }

    fn try_open(path: &Path) -> fjall::Result<Self> {
        let db = Database::builder(path).worker_threads(1).cache_size(32 << 20).open()?;
        let entities = db.keyspace("entities", KeyspaceCreateOptions::default)?;
        let shards = db.keyspace("shards", KeyspaceCreateOptions::default)?;
        let cells = db.keyspace("cells", KeyspaceCreateOptions::default)?;
        let snapshots = db.keyspace("snapshots", KeyspaceCreateOptions::default)?;
        let progress = db.keyspace("progress", KeyspaceCreateOptions::default)?;
        Ok(Self { db, entities, shards, cells, snapshots, progress })
    }

    /// The last commit that is indexed; `None` when there is none.
    ///
    /// # Errors
    /// `Corrupt` when it cannot be read.
    pub fn indexed(&self) -> Result<Option<Commit>, StoreError> {
        let [number, start, end] = self.numbers(LAST)?.unwrap_or_default();
        Ok((end > 0).then_some(Commit { number, start, end }))
    }

    /// Offset after a shard's last record that is indexed.
    ///
    /// # Errors
    /// `Corrupt` when it cannot be read.
    pub fn head(&self, shard: ShardId) -> Result<Offset, StoreError> {
        Ok(self.numbers(&shard.0.to_be_bytes())?.map_or(0, |[head]| head))
    }

    /// Numbers that are kept under a key, with a checksum after them.
    fn numbers<const N: usize>(&self, key: &[u8]) -> Result<Option<[u64; N]>, StoreError> {
        let Some(value) = self.progress.get(key).map_err(|e| corrupt(&e))? else { return Ok(None) };
        let sound = value.split_last_chunk::<4>().filter(|(numbers, crc)| numbers.len() == 8 * N && crc32c::crc32c(numbers).to_le_bytes() == **crc);
        let (numbers, _) = sound.ok_or_else(|| StoreError::Corrupt("index progress".into()))?;
        let mut found = [0; N];
        for (number, bytes) in found.iter_mut().zip(numbers.chunks_exact(8)) {
            *number = bytes.try_into().map_or(0, u64::from_le_bytes);
        }
        Ok(Some(found))
    }

    /// Writes a window: one run per entity and per shard changed, and how far the log is indexed, in one batch.
    ///
    /// # Errors
    /// `Fatal` when it cannot be written.
    pub fn write_window(&self, window: &Window) -> Result<(), StoreError> {
        let mut batch = self.db.batch();
        let set = |batch: &mut OwnedWriteBatch, key: &[u8], numbers: &[u64]| {
            let mut value: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            value.extend_from_slice(&crc32c::crc32c(&value).to_le_bytes());
            batch.insert(&self.progress, key, value);
        };
        for (entity, run) in &window.entities {
            for (first, places) in cut(run) {
                batch.insert(&self.entities, entity_run_key(entity, first), rows::encode_run(first, places));
            }
        }
        for (shard, run) in &window.shards {
            for (first, places) in cut(run) {
                batch.insert(&self.shards, shard_run_key(*shard, first), rows::encode_run(first, places));
            }
            set(&mut batch, &shard.0.to_be_bytes(), &[run.end()]);
        }
        for (key, value) in &window.cells {
            match value {
                Some(value) => batch.insert(&self.cells, &key[..], [&cell_checksum(key, value)[..], value].concat()),
                None => batch.remove(&self.cells, &key[..]),
            }
        }
        set(&mut batch, LAST, &[window.last.number, window.last.start, window.last.end]);
        batch.commit().map_err(|e| StoreError::Fatal(format!("the index cannot be written: {}", explain(&e))))
    }

    /// Writes the pages of snapshots. The core page names the sequence number.
    ///
    /// # Errors
    /// `Fatal` when it cannot be written.
    pub fn write_snapshots(&self, snapshots: &HashMap<EntityKey, Snapshot>) -> Result<(), StoreError> {
        let mut batch = self.db.batch();
        for (entity, snapshot) in snapshots {
            // Only forward: one that comes late must not stand before the newer one.
            if self.snapshot_seq(entity) > snapshot.seq {
                continue;
            }
            for page in &snapshot.pages {
                let mut value = Vec::with_capacity(page.bytes.len() + 8);
                value.extend_from_slice(&snapshot.seq.to_le_bytes());
                value.extend_from_slice(&page.bytes);
                batch.insert(&self.snapshots, page_key(entity, page.number), value);
            }
        }
        batch.commit().map_err(|e| StoreError::Fatal(format!("the index cannot be written: {}", explain(&e))))
    }

    /// After which record the kept snapshot stands; 0 when there is none, or none that can be read.
    fn snapshot_seq(&self, entity: &EntityKey) -> Seq {
        let core = self.snapshots.get(page_key(entity, 0)).ok().flatten();
        core.and_then(|core| core.first_chunk::<8>().copied()).map_or(0, Seq::from_le_bytes)
    }

    /// The newest snapshot; empty when there is none.
    ///
    /// # Errors
    /// `Corrupt` when a page cannot be read.
    pub fn snapshot(&self, entity: &EntityKey) -> Result<Snapshot, StoreError> {
        let mut found = Snapshot::default();
        let range = page_key(entity, 0)..=page_key(entity, u32::MAX);
        for item in self.db.snapshot().range(&self.snapshots, range) {
            let (key, value) = item.into_inner().map_err(|e| corrupt(&e))?;
            let number = key.get(EntityKey::LEN..).and_then(|n| n.try_into().ok()).map(u32::from_be_bytes);
            let (Some(number), Some((seq, bytes))) = (number, value.split_first_chunk::<8>()) else {
                return Err(StoreError::Corrupt("a snapshot page".into()));
            };
            if number == 0 {
                found.seq = Seq::from_le_bytes(*seq);
            }
            found.pages.push(Page { number, bytes: Bytes::copy_from_slice(bytes) });
        }
        Ok(found)
    }

    /// Where the records `from ..= to` of an entity lie, as far as indexed.
    ///
    /// # Errors
    /// `Corrupt` when a run is damaged.
    pub fn entity(&self, entity: &EntityKey, from: Seq, to: Seq) -> Result<Vec<(Seq, u64)>, StoreError> {
        self.places(&self.entities, |first| entity_run_key(entity, first), from, to)
    }

    /// Where the records `from ..= to` of a shard lie, as far as indexed.
    ///
    /// # Errors
    /// `Corrupt` when a run is damaged.
    pub fn shard(&self, shard: ShardId, from: Offset, to: Offset) -> Result<Vec<(Offset, u64)>, StoreError> {
        self.places(&self.shards, |first| shard_run_key(shard, first), from, to)
    }

    fn places<const N: usize>(&self, runs: &Keyspace, key: impl Fn(u64) -> [u8; N], from: u64, to: u64) -> Result<Vec<(u64, u64)>, StoreError> {
        let snapshot = self.db.snapshot();
        // The run that holds `from` starts at or before it.
        let start = match snapshot.range(runs, key(0)..=key(from)).next_back() {
            Some(item) => item.key().map_err(|e| corrupt(&e))?.to_vec(),
            None => key(from).to_vec(),
        };
        let mut found = Vec::new();
        for item in snapshot.range(runs, start..=key(to).to_vec()) {
            let value = item.value().map_err(|e| corrupt(&e))?;
            let run = rows::decode_run(&value).ok_or_else(|| StoreError::Corrupt("an index run".into()))?;
            found.extend(run.numbered().filter(|(number, _)| (from..=to).contains(number)));
        }
        Ok(found)
    }

    /// The value of a cell, as far as indexed.
    ///
    /// # Errors
    /// `Corrupt` when it cannot be read.
    pub fn cell(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let Some(found) = self.cells.get(key).map_err(|e| corrupt(&e))? else { return Ok(None) };
        let sound = found.split_first_chunk::<4>().filter(|(crc, value)| **crc == cell_checksum(key, value));
        let (_, value) = sound.ok_or_else(|| StoreError::Corrupt("a cell in the index".into()))?;
        Ok(Some(Bytes::copy_from_slice(value)))
    }

    /// Syncs what was written. Only done when a folder is closed, to save reading the log again.
    ///
    /// # Errors
    /// `Fatal` when it cannot be synced.
    pub fn persist(&self) -> Result<(), StoreError> {
        self.db.persist(PersistMode::SyncAll).map_err(|e| StoreError::Fatal(explain(&e)))
    }
}

/// The run of a busy entity or shard, in pieces, so that no value grows with it.
fn cut(run: &Run) -> impl Iterator<Item = (u64, &[u64])> {
    (run.first..).step_by(RUN).zip(run.places.chunks(RUN))
}

/// Key of the run of an entity's records that starts at `first`.
fn entity_run_key(entity: &EntityKey, first: Seq) -> [u8; EntityKey::LEN + 8] {
    let mut key = [0; EntityKey::LEN + 8];
    key[..EntityKey::LEN].copy_from_slice(&entity.0);
    key[EntityKey::LEN..].copy_from_slice(&first.to_be_bytes());
    key
}

/// Key of the run of a shard's records that starts at `first`.
fn shard_run_key(shard: ShardId, first: Offset) -> [u8; 10] {
    let mut key = [0; 10];
    key[..2].copy_from_slice(&shard.0.to_be_bytes());
    key[2..].copy_from_slice(&first.to_be_bytes());
    key
}

fn cell_checksum(key: &[u8], value: &[u8]) -> [u8; 4] {
    crc32c::crc32c_append(crc32c::crc32c(key), value).to_le_bytes()
}

fn page_key(entity: &EntityKey, number: u32) -> [u8; EntityKey::LEN + 4] {
    let mut key = [0; EntityKey::LEN + 4];
    key[..EntityKey::LEN].copy_from_slice(&entity.0);
    key[EntityKey::LEN..].copy_from_slice(&number.to_be_bytes());
    key
}

fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

fn corrupt(error: &fjall::Error) -> StoreError {
    StoreError::Corrupt(explain(error))
}

/// Opens a database whose library may panic on a damaged file: `None` then. The panic is not printed: what it means for
/// the operator is said by the caller.
fn quietly<T>(open: impl FnOnce() -> T) -> Option<T> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|panic| tracing::debug!(%panic, "a database cannot be opened")));
    let opened = std::panic::catch_unwind(std::panic::AssertUnwindSafe(open)).ok();
    std::panic::set_hook(hook);
    opened
}

/// One sentence for the operator.
fn explain(error: &fjall::Error) -> String {
    match error {
        fjall::Error::Io(e) => said(e),
        fjall::Error::Locked => "another process has it open".into(),
        other => format!("a file in it is damaged; restore the folder from a backup ({other:?})"),
    }
}
