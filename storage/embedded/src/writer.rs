//! Writing the log: one row a commit, flushed before it is answered.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tessera_storage::committer::{Backend, Batch};
use tessera_storage::tail::{Added, Commit};
use tessera_storage::{Offset, ShardId, StoreError};

use crate::indexer;
use crate::log::End;
use crate::rows;
use crate::segments::{Prepared, SEGMENT, said};
use crate::store::{Fatal, Reads};
use crate::watch::Watch;
use crate::witness::Witness;

/// The committer's writer of `log/`.
pub struct LogWriter {
    pub(crate) reads: Arc<Reads>,
    /// The segment that is written.
    pub(crate) file: File,
    pub(crate) prepared: Prepared,
    pub(crate) end: End,
    pub(crate) witness: Witness,
    /// Test-only: acknowledge without syncing.
    pub(crate) skip_sync: bool,
    pub(crate) watch: Arc<Watch>,
    pub(crate) fatal: Fatal,
    pub(crate) bytes: Vec<u8>,
    pub(crate) added: Vec<Added>,
    pub(crate) commit_seconds: metrics::Histogram,
    pub(crate) commit_records: metrics::Histogram,
}

impl LogWriter {
    /// Writes the laid out row and flushes it.
    fn write(&mut self, batch: &Batch) -> Result<Commit, StoreError> {
        let cannot = |error: String| StoreError::Fatal(format!("the log cannot be written: {error}"));
        rows::encode(&mut self.bytes, &mut self.added, self.end.position, self.end.row, batch);
        // A row that would end where its segment does goes into the next: `end` always lies in the segment that is written.
        if self.end.position % SEGMENT + self.bytes.len() as u64 >= SEGMENT {
            self.file = self.prepared.next().map_err(cannot)?;
            self.end.position = (self.end.position / SEGMENT + 1) * SEGMENT;
            rows::encode(&mut self.bytes, &mut self.added, self.end.position, self.end.row, batch);
        }
        if self.bytes.len() as u64 >= SEGMENT {
            return Err(cannot(format!("a commit of {} bytes is larger than a segment", self.bytes.len())));
        }
        let start = self.end.position;
        let write = self.file.write_all_at(&self.bytes, start % SEGMENT);
        let flush = || if self.skip_sync { Ok(()) } else { self.file.sync_data() };
        write.and_then(|()| flush()).map_err(|e| cannot(said(&e)))?;
        let commit = Commit { number: self.end.row, start, end: start + self.bytes.len() as u64 };
        self.end = End { row: commit.number + 1, position: commit.end };
        Ok(commit)
    }
}

impl Backend for LogWriter {
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        // The tail has a bound: beyond it, writes wait for the index (INV-10).
        while self.reads.tail.len() >= indexer::TAIL_RECORDS {
            std::thread::sleep(Duration::from_millis(5));
        }
        let started = self.watch.commit.start();
        let commit = self.write(batch)?;
        self.watch.commit.end();
        self.witness.note(self.end.row).map_err(|e| StoreError::Fatal(format!("what was acknowledged cannot be noted: {}", said(&e))))?;
        self.reads.tail.add(commit, &self.added, &batch.cells);
        self.reads.heads.advance(commit.end, &self.added);
        self.commit_seconds.record(started.elapsed().as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "a batch has at most 1,024 records")]
        self.commit_records.record(batch.records.len() as f64);
        Ok(())
    }

    fn cell(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.reads.cell(key)
    }

    fn failed(&mut self, error: &StoreError) {
        (self.fatal)(error);
    }
}

/// Up to where the log and each of its shards are durable.
pub struct Heads {
    end: AtomicU64,
    shards: Box<[AtomicU64]>,
}

impl Heads {
    /// As found when the folder was opened.
    #[must_use]
    pub fn new(end: u64, shards: Vec<Offset>) -> Self {
        Self { end: AtomicU64::new(end), shards: shards.into_iter().map(AtomicU64::new).collect() }
    }

    /// Position after the last row.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// Offset after a shard's last record; 0 for one that the folder does not have.
    #[must_use]
    pub fn of(&self, shard: ShardId) -> Offset {
        self.shards.get(usize::from(shard.0)).map_or(0, |head| head.load(Ordering::Acquire))
    }

    fn advance(&self, end: u64, added: &[Added]) {
        for record in added {
            if let Some(head) = self.shards.get(usize::from(record.shard.0)) {
                head.store(record.offset + 1, Ordering::Release);
            }
        }
        self.end.store(end, Ordering::Release);
    }
}
