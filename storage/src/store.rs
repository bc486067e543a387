//! The traits. Bytes only; a store knows nothing of points.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use crate::committer::{Cas, Op};
use crate::{Due, EntityKey, Epoch, NodeId, Offset, Seq, ShardId, StoreError};

/// A record offered to the log. `seq` is the number it takes: the entity must stand at `seq - 1`.
#[derive(Clone, Debug)]
pub struct NewRecord {
    /// Whose record.
    pub entity: EntityKey,
    /// Its number in the entity's journal, from 1.
    pub seq: Seq,
    /// The framed bytes.
    pub frame: Bytes,
    /// When the entity wants to be woken after it, [`NO_DUE`](crate::NO_DUE) for never; `None`: as its record before said, and
    /// never before the first. So that an ordinary record changes nothing in the index of reminders.
    pub due: Option<Due>,
}

/// A record read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Whose record.
    pub entity: EntityKey,
    /// Its number in the entity's journal.
    pub seq: Seq,
    /// Its place in the shard's log.
    pub offset: Offset,
    /// The framed bytes.
    pub frame: Bytes,
}

/// One page of a snapshot; page 0 is the core, written last and naming the seq.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Page number; a page that is written again replaces the older one.
    pub number: u32,
    /// The framed bytes.
    pub bytes: Bytes,
}

/// The newest snapshot of an entity. A cache: it may be ignored and the journal read from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The record it stands after; 0 = there is none.
    pub seq: Seq,
    /// Its pages, by number.
    pub pages: Vec<Page>,
}

/// What an entity needs to recover.
#[derive(Clone, Debug, Default)]
pub struct Wake {
    /// The newest snapshot, perhaps empty.
    pub snapshot: Snapshot,
    /// Every record after it, dense.
    pub records: Vec<Stored>,
}

impl Wake {
    /// The last record's number; 0 for an entity that has none.
    #[must_use]
    pub fn head(&self) -> Seq {
        self.records.last().map_or(self.snapshot.seq, |record| record.seq)
    }
}

/// Reads of held shards. One boxed future a wake, none a purchase.
pub trait ShardReads: Send + Sync + 'static {
    /// Snapshot and the records after it.
    ///
    /// # Errors
    /// `Corrupt` when a record is missing or its bytes are damaged.
    fn wake(&self, shard: ShardId, entity: EntityKey) -> BoxFuture<'_, Result<Wake, StoreError>>;

    /// Records `from ..= to` (by sequence number) that exist, oldest first.
    ///
    /// # Errors
    /// `Corrupt` when one between the first and the last is missing or damaged.
    fn history(&self, shard: ShardId, entity: EntityKey, from: Seq, to: Seq) -> BoxFuture<'_, Result<Vec<Stored>, StoreError>>;

    /// Keeps a snapshot, some time soon. Lossy by design: it is a cache.
    fn write_snapshot(&self, shard: ShardId, entity: EntityKey, snapshot: Snapshot);
}

/// What a compare-and-set found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CasOutcome {
    /// Whether the new value stands.
    pub applied: bool,
    /// The value before, as the store has it.
    pub before: Option<Bytes>,
}

/// Small conditional values beside the journal: aliases, settings fixed at creation.
pub trait Cells: Send + Sync + 'static {
    /// The current value.
    ///
    /// # Errors
    /// Any [`StoreError`] of reading.
    fn get(&self, key: Bytes) -> BoxFuture<'_, Result<Option<Bytes>, StoreError>>;

    /// Sets `key` to `new` (`None` removes) if it holds `expect` now. Durable when it answers.
    ///
    /// # Errors
    /// Any [`StoreError`] of writing.
    fn compare_and_set(&self, key: Bytes, expect: Option<Bytes>, new: Option<Bytes>) -> BoxFuture<'_, Result<CasOutcome, StoreError>>;
}

/// A journal for many shards. Chosen at start as `Arc<dyn Store>`; no room is generic over it.
pub trait Store: Send + Sync + 'static {
    /// Opens this incarnation's logs.
    ///
    /// # Errors
    /// `Fatal` with one sentence for the operator.
    fn open(&self, node: &NodeId) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Seals the logs of a dead incarnation for ever. Idempotent.
    ///
    /// # Errors
    /// `Unavailable` when the seal is not certain.
    fn fence(&self, dead: &NodeId) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Takes a shard: after this, only this handle extends it.
    ///
    /// # Errors
    /// `Fenced` when another holds it.
    fn take(&self, shard: ShardId, epoch: Epoch) -> BoxFuture<'_, Result<ShardLog, StoreError>>;

    /// Offset after a shard's last record.
    fn head(&self, shard: ShardId) -> Offset;

    /// Records of a shard in order, from an offset, at most `max`.
    ///
    /// # Errors
    /// `Corrupt` at a damaged row.
    fn read_feed(&self, shard: ShardId, from: Offset, max: usize) -> BoxFuture<'_, Result<Vec<Stored>, StoreError>>;

    /// Entities of a shard that want to be woken by an instant, the earliest first, at most `max`. A reminder lags behind its record by
    /// what the index does, some ten seconds; it stays until a later record or [`Self::remind`] moves it.
    ///
    /// # Errors
    /// `Corrupt` or `Unavailable` when it cannot be read.
    fn due(&self, shard: ShardId, by: Due, max: usize) -> BoxFuture<'_, Result<Vec<(EntityKey, Due)>, StoreError>>;

    /// Moves a reminder that came too early, unless a record has moved it meanwhile. Not durable: at worst it comes again.
    fn remind(&self, shard: ShardId, entity: EntityKey, was: Due, due: Due);

    /// The conditional cells.
    fn cells(&self) -> Arc<dyn Cells>;

    /// Waits until all that was acknowledged is indexed and snapshots are written, then closes.
    ///
    /// # Errors
    /// What the last flush said.
    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// Handle of a held shard. Cheap to clone; all methods take `&self`.
#[derive(Clone)]
pub struct ShardLog {
    shard: ShardId,
    queue: mpsc::Sender<Op>,
    reads: Arc<dyn ShardReads>,
}

impl ShardLog {
    /// Made by a store in [`Store::take`].
    #[must_use]
    pub fn new(shard: ShardId, queue: mpsc::Sender<Op>, reads: Arc<dyn ShardReads>) -> Self {
        Self { shard, queue, reads }
    }

    /// Which shard.
    #[must_use]
    pub fn shard(&self) -> ShardId {
        self.shard
    }

    /// Appends one record; answers when it is durable. The queue holds 8,192; at that bound this waits.
    ///
    /// # Errors
    /// `Conflict`: not the next record, nothing written. `Fatal`: the committer has ended.
    pub async fn append(&self, record: NewRecord) -> Result<Offset, StoreError> {
        let (reply, answer) = oneshot::channel();
        // Boxed when it has to wait: what stands here across an await stays with every awake entity.
        match self.queue.try_send(Op::Append { shard: self.shard, record, reply }) {
            Ok(()) => {}
            Err(TrySendError::Full(op)) => Box::pin(self.queue.send(op)).await.map_err(|_| ended())?,
            Err(TrySendError::Closed(_)) => return Err(ended()),
        }
        answer.await.map_err(|_| StoreError::OutcomeUnknown("the committer ended before it answered".into()))?
    }

    /// Reads what an entity needs to recover, and tells the committer where its journal stands.
    ///
    /// # Errors
    /// `Corrupt` when its journal has a gap or damaged bytes.
    pub async fn wake(&self, entity: EntityKey) -> Result<Wake, StoreError> {
        let wake = self.reads.wake(self.shard, entity).await?;
        self.queue.send(Op::Woken { entity, head: wake.head() }).await.map_err(|_| ended())?;
        Ok(wake)
    }

    /// The entity sleeps: the committer forgets where its journal stands.
    pub async fn forget(&self, entity: EntityKey) {
        // The committer has ended: there is nothing to forget.
        drop(self.queue.send(Op::Forget { entity }).await);
    }

    /// Records `from ..= to` of an entity that exist, oldest first.
    ///
    /// # Errors
    /// As [`ShardReads::history`].
    pub async fn history(&self, entity: EntityKey, from: Seq, to: Seq) -> Result<Vec<Stored>, StoreError> {
        self.reads.history(self.shard, entity, from, to).await
    }

    /// Keeps a snapshot, some time soon.
    pub fn write_snapshot(&self, entity: EntityKey, snapshot: Snapshot) {
        self.reads.write_snapshot(self.shard, entity, snapshot);
    }
}

/// [`Cells`] whose writes go through the committer's queue, so that they share its flushes.
pub struct QueuedCells<R> {
    queue: mpsc::Sender<Op>,
    read: R,
}

impl<R> QueuedCells<R> {
    /// `read` answers the current value of a key.
    pub fn new(queue: mpsc::Sender<Op>, read: R) -> Self {
        Self { queue, read }
    }
}

impl<R> Cells for QueuedCells<R>
where
    R: Fn(&[u8]) -> Result<Option<Bytes>, StoreError> + Send + Sync + 'static,
{
    fn get(&self, key: Bytes) -> BoxFuture<'_, Result<Option<Bytes>, StoreError>> {
        Box::pin(async move { (self.read)(&key) })
    }

    fn compare_and_set(&self, key: Bytes, expect: Option<Bytes>, new: Option<Bytes>) -> BoxFuture<'_, Result<CasOutcome, StoreError>> {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            self.queue.send(Op::Cas(Cas { key, expect, new, reply })).await.map_err(|_| ended())?;
            answer.await.map_err(|_| StoreError::OutcomeUnknown("the committer ended before it answered".into()))?
        })
    }
}

fn ended() -> StoreError {
    StoreError::Unavailable("the committer has ended".into())
}
