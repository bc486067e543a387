//! The index's database: a cache of the log.

use std::collections::HashMap;
use std::path::Path;

use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode, Readable};
use tessera_storage::tail::{Place, Run, Window};
use tessera_storage::{EntityKey, Offset, Page, Seq, ShardId, Snapshot, StoreError};

use crate::log::{corrupt, explain, quietly};
use crate::rows;

/// Records in one run, at most.
const RUN: usize = 1_024;
/// Where it is kept up to which row the log is indexed; a shard's key has two bytes.
const ROWS: &[u8] = b"rows";

/// The `index/` database.
#[derive(Clone)]
pub struct Index {
    db: Database,
    entities: Keyspace,
    shards: Keyspace,
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
        let snapshots = db.keyspace("snapshots", KeyspaceCreateOptions::default)?;
        let progress = db.keyspace("progress", KeyspaceCreateOptions::default)?;
        Ok(Self { db, entities, shards, snapshots, progress })
    }

    /// Up to which row the log is indexed.
    ///
    /// # Errors
    /// `Corrupt` when it cannot be read.
    pub fn indexed(&self) -> Result<u64, StoreError> {
        self.number(ROWS)
    }

    /// Offset after a shard's last record that is indexed.
    ///
    /// # Errors
    /// `Corrupt` when it cannot be read.
    pub fn head(&self, shard: ShardId) -> Result<Offset, StoreError> {
        self.number(&shard.0.to_be_bytes())
    }

    fn number(&self, key: &[u8]) -> Result<u64, StoreError> {
        let damaged = || StoreError::Corrupt("index progress".into());
        let Some(value) = self.progress.get(key).map_err(|e| corrupt(&e))? else { return Ok(0) };
        let (number, crc) = value.split_first_chunk::<8>().ok_or_else(damaged)?;
        if crc32c::crc32c(number).to_le_bytes() != crc {
            return Err(damaged());
        }
        Ok(u64::from_le_bytes(*number))
    }

    /// Writes a window: one run per entity and per shard changed, and how far the log is indexed, in one batch.
    ///
    /// # Errors
    /// `Fatal` when it cannot be written.
    pub fn write_window(&self, window: &Window) -> Result<(), StoreError> {
        let mut batch = self.db.batch();
        let set = |batch: &mut OwnedWriteBatch, key: &[u8], number: u64| {
            let number = number.to_le_bytes();
            batch.insert(&self.progress, key, [&number[..], &crc32c::crc32c(&number).to_le_bytes()].concat());
        };
        for (entity, run) in &window.entities {
            for (first, places) in cut(run) {
                batch.insert(&self.entities, rows::entity_run_key(entity, first), rows::encode_run(first, places));
            }
        }
        for (shard, run) in &window.shards {
            for (first, places) in cut(run) {
                batch.insert(&self.shards, rows::shard_run_key(*shard, first), rows::encode_run(first, places));
            }
            set(&mut batch, &shard.0.to_be_bytes(), run.end());
        }
        set(&mut batch, ROWS, window.end);
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
    pub fn entity(&self, entity: &EntityKey, from: Seq, to: Seq) -> Result<Vec<(Seq, Place)>, StoreError> {
        self.places(&self.entities, |first| rows::entity_run_key(entity, first), from, to)
    }

    /// Where the records `from ..= to` of a shard lie, as far as indexed.
    ///
    /// # Errors
    /// `Corrupt` when a run is damaged.
    pub fn shard(&self, shard: ShardId, from: Offset, to: Offset) -> Result<Vec<(Offset, Place)>, StoreError> {
        self.places(&self.shards, |first| rows::shard_run_key(shard, first), from, to)
    }

    fn places<const N: usize>(&self, runs: &Keyspace, key: impl Fn(u64) -> [u8; N], from: u64, to: u64) -> Result<Vec<(u64, Place)>, StoreError> {
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

    /// Syncs what was written. Only done when a folder is closed, to save reading the log again.
    ///
    /// # Errors
    /// `Fatal` when it cannot be synced.
    pub fn persist(&self) -> Result<(), StoreError> {
        self.db.persist(PersistMode::SyncAll).map_err(|e| StoreError::Fatal(explain(&e)))
    }
}

/// The run of a busy entity or shard, in pieces, so that no value grows with it.
fn cut(run: &Run) -> impl Iterator<Item = (u64, &[Place])> {
    (run.first..).step_by(RUN).zip(run.places.chunks(RUN))
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
