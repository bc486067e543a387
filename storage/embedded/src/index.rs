//! The index's database: a cache of the log.
//!
//! | key | value |
//! | --- | --- |
//! | `e` entity, sequence number of the first | a run: where its records lie |
//! | `s` shard, offset of the first | a run: where the shard's records lie |
//! | `d` entity | when it wants to be woken |
//! | `t` shard, that time, entity | nothing; one that is not the entity's own time any more is passed over |
//! | `h` shard | offset after its last record |
//! | `c` key of a cell | its value |
//! | `w` number | a window of the log that was written here, all of it in one batch |
//! | `l` | the last window, and the last commit in it |
//!
//! Snapshots stand in a keyspace of their own: each page has a checksum and names the record that it stands after.
//!
//! The database replays its own journal when it is opened, and silently stops at a damaged item. All that a window brings
//! is in one keyspace, so what is lost then is the newest windows, which are read from the log again, or windows in
//! between, whose numbers are then missing: [`Index::indexed`] looks.

use std::collections::HashMap;
use std::path::Path;

use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode, Readable};
use tessera_storage::tail::{Commit, Run, Window};
use tessera_storage::{Due, EntityKey, NO_DUE, Offset, Page, Seq, ShardId, Snapshot, StoreError};

use crate::rows;
use crate::segments::said;

/// Records in one run, at most.
const RUN: usize = 1_024;
/// Bytes of rows that a keyspace gathers in memory before it writes a table.
const MEMTABLE: u64 = 16 << 20;
/// After so many windows a table is written in any case, so that no journal is needed for the older ones; their numbers
/// are then forgotten.
const WINDOWS: u64 = 512;
const LAST: &[u8] = b"l";

/// The `index/` database.
#[derive(Clone)]
pub struct Index {
    db: Database,
    runs: Keyspace,
    snapshots: Keyspace,
}

/// The newest window.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Indexed {
    /// Its number, from 1.
    pub window: u64,
    /// The last commit in it.
    pub commit: Commit,
}

impl Index {
    /// Opens it, or makes it anew when it cannot be opened or was marked as damaged.
    ///
    /// # Errors
    /// `Fatal` when it can neither be opened nor made.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let marker = path.with_extension("damaged");
        let fatal = |e: std::io::Error| StoreError::Fatal(format!("the index in {} cannot be rebuilt: {}", path.display(), said(&e)));
        if marker.exists() {
            remove(path).map_err(fatal)?;
            std::fs::remove_file(&marker).map_err(fatal)?;
            tracing::warn!("the index was marked as damaged: it is rebuilt from the log");
        }
        match quietly(|| Self::try_open(path)) {
            Some(Ok(index)) => Ok(index),
            // It is not the files that are at fault.
            Some(Err(fjall::Error::Io(error))) if of_the_machine(&error) => {
                Err(StoreError::Fatal(format!("the index in {} cannot be opened: {}", path.display(), said(&error))))
            }
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
        let open = |name| db.keyspace(name, || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE));
        let (runs, snapshots) = (open("runs")?, open("snapshots")?);
        Ok(Self { db, runs, snapshots })
    }

    /// The last window that is indexed; the default when there is none.
    ///
    /// # Errors
    /// `Corrupt` when it cannot be read, or a window before it is missing.
    pub fn indexed(&self) -> Result<Indexed, StoreError> {
        let [window, number, start, end] = self.numbers(LAST)?.unwrap_or_default();
        let mut expected = None;
        for item in self.db.snapshot().prefix(&self.runs, b"w") {
            let key = item.key().map_err(|e| corrupt(&e))?;
            let found = key.get(1..).and_then(|n| n.try_into().ok()).map(u64::from_be_bytes);
            // The first is the first of all, or the last that was in a table when the older ones were forgotten.
            let good = found.is_some_and(|found| expected.map_or(found == 1 || found % WINDOWS == 0, |expected| found == expected));
            if !good {
                return Err(StoreError::Corrupt("the index lacks a window".into()));
            }
            expected = found.map(|found| found + 1);
        }
        if expected.unwrap_or(1) != window + 1 {
            return Err(StoreError::Corrupt("the index lacks a window".into()));
        }
        Ok(Indexed { window, commit: Commit { number, start, end } })
    }

    /// Offset after a shard's last record that is indexed.
    ///
    /// # Errors
    /// `Corrupt` when it cannot be read.
    pub fn head(&self, shard: ShardId) -> Result<Offset, StoreError> {
        Ok(self.numbers(&head_key(shard))?.map_or(0, |[head]| head))
    }

    /// Numbers that are kept under a key, with a checksum after them.
    fn numbers<const N: usize>(&self, key: &[u8]) -> Result<Option<[u64; N]>, StoreError> {
        let Some(value) = self.runs.get(key).map_err(|e| corrupt(&e))? else { return Ok(None) };
        let sound = value.split_last_chunk::<4>().filter(|(numbers, crc)| numbers.len() == 8 * N && keyed(key, numbers) == **crc);
        let (numbers, _) = sound.ok_or_else(|| StoreError::Corrupt("index progress".into()))?;
        let mut found = [0; N];
        for (number, bytes) in found.iter_mut().zip(numbers.chunks_exact(8)) {
            *number = bytes.try_into().map_or(0, u64::from_le_bytes);
        }
        Ok(Some(found))
    }

    /// Writes a window after `before`, in one batch: one run per entity and per shard changed, and how far the log is
    /// indexed. Answers where the index then stands.
    ///
    /// # Errors
    /// `Fatal` when it cannot be written.
    pub fn write_window(&self, before: Indexed, window: &Window) -> Result<Indexed, StoreError> {
        let now = Indexed { window: before.window + 1, commit: window.last };
        let mut batch = self.db.batch();
        let set = |batch: &mut OwnedWriteBatch, key: &[u8], numbers: &[u64]| {
            let mut value: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            value.extend_from_slice(&keyed(key, &value));
            batch.insert(&self.runs, key, value);
        };
        for (entity, run) in &window.entities {
            for (first, places) in cut(run) {
                batch.insert(&self.runs, entity_run_key(entity, first), rows::encode_run(first, places));
            }
        }
        for (shard, run) in &window.shards {
            for (first, places) in cut(run) {
                batch.insert(&self.runs, shard_run_key(*shard, first), rows::encode_run(first, places));
            }
            set(&mut batch, &head_key(*shard), &[run.end()]);
        }
        for (entity, (shard, due)) in &window.due {
            self.set_due(&mut batch, *shard, entity, *due);
        }
        for (key, value) in &window.cells {
            match value {
                Some(value) => batch.insert(&self.runs, cell_key(key), [&keyed(key, value)[..], value].concat()),
                None => batch.remove(&self.runs, cell_key(key)),
            }
        }
        set(&mut batch, &window_key(now.window), &[]);
        set(&mut batch, LAST, &[now.window, now.commit.number, now.commit.start, now.commit.end]);
        batch.commit().map_err(|e| cannot_write(&e))?;
        if now.window.is_multiple_of(WINDOWS) {
            self.forget_windows(now.window)?;
        }
        Ok(now)
    }

    fn set_due(&self, batch: &mut OwnedWriteBatch, shard: ShardId, entity: &EntityKey, due: Due) {
        let (key, value) = (due_key(entity), due.to_le_bytes());
        batch.insert(&self.runs, key, [&keyed(&key, &value)[..], &value].concat());
        if due != NO_DUE {
            batch.insert(&self.runs, time_key(shard, due, entity), []);
        }
    }

    /// When an entity wants to be woken, as far as indexed.
    fn due_of(&self, entity: &EntityKey) -> Result<Due, StoreError> {
        let key = due_key(entity);
        let Some(found) = self.runs.get(key).map_err(|e| corrupt(&e))? else { return Ok(NO_DUE) };
        let sound = found.split_first_chunk::<4>().filter(|(crc, value)| **crc == keyed(&key, value));
        let due = sound.and_then(|(_, value)| value.try_into().ok()).map(Due::from_le_bytes);
        due.ok_or_else(|| StoreError::Corrupt("a reminder in the index".into()))
    }

    /// Moves an entity's reminder, if it stands as it was.
    ///
    /// # Errors
    /// `Corrupt` or `Fatal`.
    pub fn remind(&self, shard: ShardId, entity: &EntityKey, was: Due, due: Due) -> Result<(), StoreError> {
        if self.due_of(entity)? != was {
            return Ok(());
        }
        let mut batch = self.db.batch();
        batch.remove(&self.runs, time_key(shard, was, entity));
        self.set_due(&mut batch, shard, entity, due);
        batch.commit().map_err(|e| cannot_write(&e))
    }

    /// Entities of a shard that want to be woken by an instant, the earliest first, as far as indexed. Those that have
    /// moved since are let go of; those that do not stand, by what is not indexed yet, are passed over.
    ///
    /// # Errors
    /// `Corrupt` when it cannot be read.
    pub fn due(&self, shard: ShardId, by: Due, max: usize, stands: impl Fn(&EntityKey, Due) -> bool) -> Result<Vec<(EntityKey, Due)>, StoreError> {
        let mut found = Vec::new();
        let mut moved = Vec::new();
        let range = time_key(shard, Due::MIN, &EntityKey([0; EntityKey::LEN]))..=time_key(shard, by, &EntityKey([u8::MAX; EntityKey::LEN]));
        for item in self.db.snapshot().range(&self.runs, range) {
            let key = item.key().map_err(|e| corrupt(&e))?;
            let (due, entity) = read_time_key(&key).ok_or_else(|| StoreError::Corrupt("a reminder in the index".into()))?;
            if self.due_of(&entity)? == due {
                if stands(&entity, due) {
                    found.push((entity, due));
                }
            } else {
                moved.push(key.to_vec());
            }
            if found.len() >= max || moved.len() >= max {
                break;
            }
        }
        if !moved.is_empty() {
            let mut batch = self.db.batch();
            moved.into_iter().for_each(|key| batch.remove(&self.runs, key));
            batch.commit().map_err(|e| cannot_write(&e))?;
        }
        Ok(found)
    }

    /// Writes a table of all there is, and forgets the numbers of the windows in it but the last.
    fn forget_windows(&self, last: u64) -> Result<(), StoreError> {
        self.runs.rotate_memtable_and_wait().map_err(|e| cannot_write(&e))?;
        let mut batch = self.db.batch();
        for item in self.db.snapshot().range(&self.runs, window_key(0)..window_key(last)) {
            batch.remove(&self.runs, item.key().map_err(|e| cannot_write(&e))?);
        }
        batch.commit().map_err(|e| cannot_write(&e))
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
        batch.commit().map_err(|e| cannot_write(&e))
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
        self.places(|first| entity_run_key(entity, first), from, to)
    }

    /// Where the records `from ..= to` of a shard lie, as far as indexed.
    ///
    /// # Errors
    /// `Corrupt` when a run is damaged.
    pub fn shard(&self, shard: ShardId, from: Offset, to: Offset) -> Result<Vec<(Offset, u64)>, StoreError> {
        self.places(|first| shard_run_key(shard, first), from, to)
    }

    fn places<const N: usize>(&self, key: impl Fn(u64) -> [u8; N], from: u64, to: u64) -> Result<Vec<(u64, u64)>, StoreError> {
        let snapshot = self.db.snapshot();
        // The run that holds `from` starts at or before it.
        let start = match snapshot.range(&self.runs, key(0)..=key(from)).next_back() {
            Some(item) => item.key().map_err(|e| corrupt(&e))?.to_vec(),
            None => key(from).to_vec(),
        };
        let mut found = Vec::new();
        for item in snapshot.range(&self.runs, start..=key(to).to_vec()) {
            let value = item.value().map_err(|e| corrupt(&e))?;
            let run = rows::decode_run(&value).ok_or_else(|| StoreError::Corrupt("an index run".into()))?;
            found.extend(run.between(from, to));
        }
        Ok(found)
    }

    /// The value of a cell, as far as indexed.
    ///
    /// # Errors
    /// `Corrupt` when it cannot be read.
    pub fn cell(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let Some(found) = self.runs.get(cell_key(key)).map_err(|e| corrupt(&e))? else { return Ok(None) };
        let sound = found.split_first_chunk::<4>().filter(|(crc, value)| **crc == keyed(key, value));
        let (_, value) = sound.ok_or_else(|| StoreError::Corrupt("a cell in the index".into()))?;
        Ok(Some(Bytes::copy_from_slice(value)))
    }

    /// Syncs what was written. Only done when a folder is closed, to save reading the log again.
    ///
    /// # Errors
    /// `Fatal` when it cannot be synced.
    pub fn persist(&self) -> Result<(), StoreError> {
        self.db.persist(PersistMode::SyncAll).map_err(|e| cannot_write(&e))
    }
}

/// The run of a busy entity or shard, in pieces, so that no value grows with it.
fn cut(run: &Run) -> impl Iterator<Item = (u64, &[u64])> {
    (run.first..).step_by(RUN).zip(run.places.chunks(RUN))
}

/// Key of the run of an entity's records that starts at `first`.
fn entity_run_key(entity: &EntityKey, first: Seq) -> [u8; 1 + EntityKey::LEN + 8] {
    let mut key = [b'e'; 1 + EntityKey::LEN + 8];
    key[1..=EntityKey::LEN].copy_from_slice(&entity.0);
    key[1 + EntityKey::LEN..].copy_from_slice(&first.to_be_bytes());
    key
}

/// Key of the run of a shard's records that starts at `first`.
fn shard_run_key(shard: ShardId, first: Offset) -> [u8; 11] {
    let mut key = [b's'; 11];
    key[1..3].copy_from_slice(&shard.0.to_be_bytes());
    key[3..].copy_from_slice(&first.to_be_bytes());
    key
}

fn head_key(shard: ShardId) -> [u8; 3] {
    let [high, low] = shard.0.to_be_bytes();
    [b'h', high, low]
}

fn due_key(entity: &EntityKey) -> [u8; 1 + EntityKey::LEN] {
    let mut key = [b'd'; 1 + EntityKey::LEN];
    key[1..].copy_from_slice(&entity.0);
    key
}

/// In the order of time, those before 1970 included.
fn time_key(shard: ShardId, due: Due, entity: &EntityKey) -> [u8; 3 + 8 + EntityKey::LEN] {
    let mut key = [b't'; 3 + 8 + EntityKey::LEN];
    key[1..3].copy_from_slice(&shard.0.to_be_bytes());
    key[3..11].copy_from_slice(&(due.cast_unsigned() ^ 1 << 63).to_be_bytes());
    key[11..].copy_from_slice(&entity.0);
    key
}

fn read_time_key(key: &[u8]) -> Option<(Due, EntityKey)> {
    let (due, entity) = key.get(3..)?.split_first_chunk::<8>()?;
    Some(((u64::from_be_bytes(*due) ^ 1 << 63).cast_signed(), EntityKey(entity.try_into().ok()?)))
}

fn window_key(number: u64) -> [u8; 9] {
    let mut key = [b'w'; 9];
    key[1..].copy_from_slice(&number.to_be_bytes());
    key
}

fn cell_key(key: &[u8]) -> Vec<u8> {
    [b"c", key].concat()
}

/// A checksum that also covers the key: a value under another one is noticed.
fn keyed(key: &[u8], value: &[u8]) -> [u8; 4] {
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

/// A full disk is `Fatal`; anything else is damage, and the caller marks the index.
fn cannot_write(error: &fjall::Error) -> StoreError {
    match error {
        fjall::Error::Io(e) if of_the_machine(e) => StoreError::Fatal(format!("the index cannot be written: {}", said(e))),
        other => StoreError::Corrupt(explain(other)),
    }
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

/// Whether an error says nothing of the files' content: no room, no right, no handle, no memory.
fn of_the_machine(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{OutOfMemory, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    const HANDLES: [i32; 2] = [23, 24]; // ENFILE, EMFILE: they have no kind of their own
    matches!(error.kind(), OutOfMemory | PermissionDenied | QuotaExceeded | ReadOnlyFilesystem | StorageFull)
        || error.raw_os_error().is_some_and(|code| HANDLES.contains(&code))
}

/// One sentence for the operator.
fn explain(error: &fjall::Error) -> String {
    match error {
        fjall::Error::Io(e) => said(e),
        fjall::Error::Locked => "another process has it open".into(),
        other => format!("a file in the index is damaged ({other:?})"),
    }
}
