//! The journal's database.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fjall::compaction::Leveled;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};
use tessera_storage::committer::{Backend, Batch};
use tessera_storage::{Offset, ShardId, StoreError, Stored, TailIndex};

use crate::rows;
use crate::store::Fatal;
use crate::witness::Witness;

/// The cell that counts changes of cells.
const CHANGES: &[u8] = b"\0changes";

/// The `log/` database: rows of records, and the cells.
#[derive(Clone)]
pub struct Log {
    db: Database,
    rows: Keyspace,
    cells: Keyspace,
}

impl Log {
    /// Opens or makes it.
    ///
    /// # Errors
    /// `Fatal` with one sentence.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let open = || -> fjall::Result<Self> {
            // Room, so that a commit never waits for a memtable: four of 64 MiB may queue.
            let db = Database::builder(path).worker_threads(2).max_journaling_size(1 << 30).cache_size(64 << 20).open()?;
            // Rows are written once and read seldom: many may gather before they are merged (a stall begins at 20).
            let rows = || KeyspaceCreateOptions::default().compaction_strategy(Arc::new(Leveled::default().with_l0_threshold(12)));
            let rows = db.keyspace("rows", rows)?;
            let cells = db.keyspace("cells", KeyspaceCreateOptions::default)?;
            db.persist(PersistMode::SyncAll)?;
            Ok(Self { db, rows, cells })
        };
        let damaged = || StoreError::Fatal(format!("the log in {} is damaged; restore the folder from a backup", path.display()));
        let opened = quietly(open).ok_or_else(damaged)?;
        opened.map_err(|e| StoreError::Fatal(format!("the log in {} cannot be opened: {}", path.display(), explain(&e))))
    }

    /// Offset after a shard's last record.
    ///
    /// # Errors
    /// `Corrupt` when its last row cannot be read.
    pub fn head(&self, shard: ShardId) -> Result<Offset, StoreError> {
        let snapshot = self.db.snapshot();
        let last = snapshot.range(&self.rows, rows::key(shard, 0, 0)..=rows::key(shard, Offset::MAX, u16::MAX)).next_back();
        let Some(last) = last else { return Ok(0) };
        let key = last.key().map_err(|e| corrupt(&e))?;
        let (_, row, _) = rows::parse_key(&key).ok_or_else(|| StoreError::Corrupt("a key in the log".into()))?;
        Ok(row + self.row(shard, row)?.len() as Offset)
    }

    /// Reads one row.
    ///
    /// # Errors
    /// `Corrupt` when a part is missing or the checksum is wrong.
    pub fn row(&self, shard: ShardId, row: Offset) -> Result<Vec<Stored>, StoreError> {
        let snapshot = self.db.snapshot();
        let missing = || StoreError::Corrupt(format!("log row at shard {}, offset {row}: a part is missing", shard.0));
        let part = |number: u16| snapshot.get(&self.rows, rows::key(shard, row, number)).map_err(|e| corrupt(&e));
        let first = part(0)?.ok_or_else(missing)?;
        let parts = rows::parts(&first).ok_or_else(missing)?;
        let mut bytes = Vec::with_capacity(parts * rows::PART);
        bytes.extend_from_slice(&first);
        for number in 1..parts {
            let number = u16::try_from(number).map_err(|_| missing())?;
            bytes.extend_from_slice(&part(number)?.ok_or_else(missing)?);
        }
        rows::decode(shard, row, &Bytes::from(bytes))
    }

    /// Calls `each` with every row of a shard from the row that starts at `from`, in order, until it
    /// answers false. Rows must follow one another without a gap.
    ///
    /// # Errors
    /// `Corrupt` at the first damaged row or gap.
    pub fn scan(&self, shard: ShardId, from: Offset, mut each: impl FnMut(Offset, Vec<Stored>) -> bool) -> Result<(), StoreError> {
        let mut next = from;
        let head = self.head(shard)?;
        while next < head {
            let records = self.row(shard, next)?;
            let count = records.len() as Offset;
            if count == 0 || !each(next, records) {
                break;
            }
            next += count;
        }
        Ok(())
    }

    /// Start of the row that holds `offset`.
    ///
    /// # Errors
    /// `Corrupt` when the key cannot be read.
    pub fn row_of(&self, shard: ShardId, offset: Offset) -> Result<Option<Offset>, StoreError> {
        let snapshot = self.db.snapshot();
        let at = snapshot.range(&self.rows, rows::key(shard, 0, 0)..=rows::key(shard, offset, u16::MAX)).next_back();
        let Some(at) = at else { return Ok(None) };
        let key = at.key().map_err(|e| corrupt(&e))?;
        Ok(rows::parse_key(&key).map(|(_, row, _)| row))
    }

    /// How many commits have changed a cell.
    ///
    /// # Errors
    /// `Corrupt` when it cannot be read.
    pub fn cell_changes(&self) -> Result<u64, StoreError> {
        let count = self.cell(CHANGES)?.map(|bytes| <[u8; 8]>::try_from(&bytes[..]).map_err(|_| StoreError::Corrupt("the count of changed cells".into())));
        Ok(count.transpose()?.map_or(0, u64::from_le_bytes))
    }

    /// A cell's value.
    ///
    /// # Errors
    /// `Corrupt` when it cannot be read.
    pub fn cell(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let value = self.db.snapshot().get(&self.cells, key).map_err(|e| corrupt(&e))?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }
}

/// The committer's writer of `log/`.
pub struct LogWriter {
    pub(crate) log: Log,
    pub(crate) tail: Arc<TailIndex>,
    pub(crate) witness: Witness,
    pub(crate) durability: Option<PersistMode>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) fatal: Fatal,
    pub(crate) buffer: Vec<u8>,
    pub(crate) commit_seconds: metrics::Histogram,
    pub(crate) commit_records: metrics::Histogram,
}

impl Backend for LogWriter {
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let started = self.watch.start();
        let mut write = self.log.db.batch().durability(self.durability);
        let mut records = 0_usize;
        for (shard, part) in &batch.parts {
            records += part.records.len();
            rows::encode(&mut self.buffer, *shard, part.first, &part.records);
            for (number, chunk) in (0_u16..).zip(self.buffer.chunks(rows::PART)) {
                write.insert(&self.log.rows, rows::key(*shard, part.first, number), chunk);
            }
        }
        for (key, value) in &batch.cells {
            match value {
                Some(value) => write.insert(&self.log.cells, &key[..], &value[..]),
                None => write.remove(&self.log.cells, &key[..]),
            }
        }
        if !batch.cells.is_empty() {
            write.insert(&self.log.cells, CHANGES, (self.witness.cells() + 1).to_le_bytes());
        }
        write.commit().map_err(|e| StoreError::Fatal(format!("the log cannot be written: {}", explain(&e))))?;
        self.watch.end();
        self.witness.note(records as u64, !batch.cells.is_empty()).map_err(|e| StoreError::Fatal(format!("what was acknowledged cannot be noted: {}", said(&e))))?;
        for (shard, part) in &batch.parts {
            self.tail.add(*shard, part.first, part.records.iter().map(|record| (record.entity, record.seq)));
        }
        self.commit_seconds.record(started.elapsed().as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "a batch has at most 1,024 records")]
        self.commit_records.record(records as f64);
        Ok(())
    }

    fn cell(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.log.cell(key)
    }

    fn failed(&mut self, error: &StoreError) {
        (self.fatal)(error);
    }
}

/// Notices a commit that does not come back.
pub struct Watch {
    epoch: Instant,
    /// Milliseconds after `epoch` at which the running commit began, plus 1; 0 = none runs.
    began: AtomicU64,
}

impl Default for Watch {
    fn default() -> Self {
        Self { epoch: Instant::now(), began: AtomicU64::new(0) }
    }
}

impl Watch {
    fn start(&self) -> Instant {
        let now = Instant::now();
        let since = u64::try_from(now.duration_since(self.epoch).as_millis()).unwrap_or(u64::MAX - 1);
        self.began.store(since + 1, Ordering::Relaxed);
        now
    }

    fn end(&self) {
        self.began.store(0, Ordering::Relaxed);
    }

    /// For how long the running commit has run; zero when none does.
    #[must_use]
    pub fn running(&self) -> Duration {
        match self.began.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            began => self.epoch.elapsed().saturating_sub(Duration::from_millis(began - 1)),
        }
    }
}

pub(crate) fn corrupt(error: &fjall::Error) -> StoreError {
    StoreError::Corrupt(explain(error))
}

/// Opens a database whose library may panic on a damaged file: `None` then. The panic is not printed: what it means for
/// the operator is said by the caller.
pub(crate) fn quietly<T>(open: impl FnOnce() -> T) -> Option<T> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|panic| tracing::debug!(%panic, "a database cannot be opened")));
    let opened = std::panic::catch_unwind(std::panic::AssertUnwindSafe(open)).ok();
    std::panic::set_hook(hook);
    opened
}

/// One sentence for the operator.
pub(crate) fn explain(error: &fjall::Error) -> String {
    match error {
        fjall::Error::Io(e) => said(e),
        fjall::Error::Locked => "another process has it open".into(),
        other => format!("a file in it is damaged; restore the folder from a backup ({other:?})"),
    }
}

fn said(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::StorageFull => "the disk is full; make room on it and start again, nothing acknowledged is lost".into(),
        _ => error.to_string(),
    }
}
