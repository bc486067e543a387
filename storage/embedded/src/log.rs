//! The journal's database.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fjall::config::FilterPolicy;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};
use tessera_storage::committer::{Backend, Batch};
use tessera_storage::tail::{Added, Place};
use tessera_storage::{Offset, ShardId, StoreError, Stored, TailIndex};

use crate::rows::{self, RecordHead};
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
            // What is asked for is there: no filters.
            let rows = || KeyspaceCreateOptions::default().expect_point_read_hits(true).filter_policy(FilterPolicy::disabled());
            let rows = db.keyspace("rows", rows)?;
            let cells = db.keyspace("cells", KeyspaceCreateOptions::default)?;
            db.persist(PersistMode::SyncAll)?;
            Ok(Self { db, rows, cells })
        };
        let damaged = || StoreError::Fatal(format!("the log in {} is damaged; restore the folder from a backup", path.display()));
        let opened = quietly(open).ok_or_else(damaged)?;
        opened.map_err(|e| StoreError::Fatal(format!("the log in {} cannot be opened: {}", path.display(), explain(&e))))
    }

    /// Number after the last row.
    ///
    /// # Errors
    /// `Corrupt` when its key cannot be read.
    pub fn end(&self) -> Result<u64, StoreError> {
        let snapshot = self.db.snapshot();
        let Some(last) = snapshot.range::<[u8; rows::KEY], _>(&self.rows, ..).next_back() else { return Ok(0) };
        let key = last.key().map_err(|e| corrupt(&e))?;
        let (row, _) = rows::parse_key(&key).ok_or_else(|| StoreError::Corrupt("a key in the log".into()))?;
        Ok(row + 1)
    }

    /// Reads one record. Its frame is for the caller to check.
    ///
    /// # Errors
    /// `Corrupt` when a part is missing, or what stands at that place is damaged.
    pub fn record(&self, place: Place) -> Result<(RecordHead, Stored), StoreError> {
        let Place { row, at } = place;
        let damaged = || StoreError::Corrupt(format!("log row {row}: the record at {at}"));
        let snapshot = self.db.snapshot();
        let skip = at as usize % rows::PART;
        let mut next = u16::try_from(at as usize / rows::PART).map_err(|_| damaged())?;
        let mut bytes = Vec::new();
        let mut fill = |bytes: &mut Vec<u8>, len: usize| -> Result<(), StoreError> {
            while bytes.len() < len {
                let part = snapshot.get(&self.rows, rows::key(row, next)).map_err(|e| corrupt(&e))?;
                bytes.extend_from_slice(&part.ok_or_else(damaged)?);
                next += 1;
            }
            Ok(())
        };
        let frame = skip + rows::RECORD_HEAD;
        fill(&mut bytes, frame)?;
        let head = RecordHead::decode(place, &bytes[skip..]).ok_or_else(damaged)?;
        fill(&mut bytes, frame + head.len)?;
        Ok((head, head.stored(Bytes::from(bytes).slice(frame..frame + head.len))))
    }

    /// Calls `each` with every row from `from` on, in order, until it answers false. Rows must follow one another without a gap.
    ///
    /// # Errors
    /// `Corrupt` at the first damaged row or gap.
    pub fn scan(&self, from: u64, mut each: impl FnMut(u64, Vec<(RecordHead, Bytes)>) -> bool) -> Result<(), StoreError> {
        let snapshot = self.db.snapshot();
        let mut parts = snapshot.range(&self.rows, rows::key(from, 0)..);
        let mut row = from;
        while let Some(first) = parts.next() {
            let missing = || StoreError::Corrupt(format!("log row {row}: a part is missing"));
            let (key, first) = first.into_inner().map_err(|e| corrupt(&e))?;
            if rows::parse_key(&key) != Some((row, 0)) {
                return Err(missing());
            }
            let count = rows::parts(row, &first).ok_or_else(|| StoreError::Corrupt(format!("log row {row}")))?;
            let mut bytes = Vec::with_capacity(count * rows::PART);
            bytes.extend_from_slice(&first);
            for number in (1..=u16::MAX).take(count - 1) {
                let (key, part) = parts.next().ok_or_else(missing)?.into_inner().map_err(|e| corrupt(&e))?;
                if rows::parse_key(&key) != Some((row, number)) {
                    return Err(missing());
                }
                bytes.extend_from_slice(&part);
            }
            if !each(row, rows::decode(row, &Bytes::from(bytes))?) {
                break;
            }
            row += 1;
        }
        Ok(())
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
    /// Number of the next row.
    pub(crate) row: u64,
    pub(crate) heads: Arc<Heads>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) added: Vec<Added>,
    pub(crate) commit_seconds: metrics::Histogram,
    pub(crate) commit_records: metrics::Histogram,
}

impl Backend for LogWriter {
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let started = self.watch.start();
        let mut write = self.log.db.batch().durability(self.durability);
        let records = batch.records.len();
        if records > 0 {
            rows::encode(&mut self.bytes, &mut self.added, self.row, &batch.records);
            for (number, part) in (0_u16..).zip(self.bytes.chunks(rows::PART)) {
                write.insert(&self.log.rows, rows::key(self.row, number), part);
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
        if records > 0 {
            self.tail.add(self.row, &self.added);
            self.heads.advance(&self.added);
            self.row += 1;
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

/// Offset after each shard's last durable record.
pub struct Heads(Box<[AtomicU64]>);

impl Heads {
    /// As found when the folder was opened.
    #[must_use]
    pub fn new(found: Vec<Offset>) -> Self {
        Self(found.into_iter().map(AtomicU64::new).collect())
    }

    /// Of one shard; 0 for one that the folder does not have.
    #[must_use]
    pub fn of(&self, shard: ShardId) -> Offset {
        self.0.get(usize::from(shard.0)).map_or(0, |head| head.load(Ordering::Acquire))
    }

    fn advance(&self, added: &[Added]) {
        for record in added {
            if let Some(head) = self.0.get(usize::from(record.shard.0)) {
                head.store(record.offset + 1, Ordering::Release);
            }
        }
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
