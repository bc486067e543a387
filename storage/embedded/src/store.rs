//! [`EmbeddedStore`]: the traits of `tessera-storage` over the folder.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tessera_storage::committer::{self, Op, Sabotage};
use tessera_storage::store::QueuedCells;
use tessera_storage::tail::Added;
use tessera_storage::{
    Cells, EntityKey, Epoch, NodeId, Offset, Seq, ShardId, ShardLog, ShardReads, Snapshot, Store, StoreError, Stored, TailIndex, Wake,
};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::folder::Folder;
use crate::index::Index;
use crate::indexer::{self, Indexer, Note};
use crate::log::{End, Log};
use crate::rows::Row;
use crate::segments::SEGMENT;
use crate::witness::Witness;
use crate::writer::{Heads, LogWriter, Watch};

/// Told once when the store cannot go on. The binary prints the sentence and ends with a code.
pub type Fatal = Arc<dyn Fn(&StoreError) + Send + Sync>;

/// Wakes and histories that read at once; more wait.
const READS: usize = 64;

/// How to open a folder.
#[derive(Clone)]
pub struct EmbeddedOptions {
    /// The folder; made if missing.
    pub path: PathBuf,
    /// Shards of a new folder; one that exists keeps its own.
    pub shards: u16,
    /// What happens when the log cannot be written.
    pub fatal: Fatal,
    /// Test-only: acknowledge without syncing. Exists so that the power-loss check can be seen to fail.
    pub skip_sync: bool,
    /// Test-only: see [`Sabotage`].
    pub sabotage: Sabotage,
}

/// A folder that is open.
pub struct EmbeddedStore {
    reads: Arc<Reads>,
    queue: mpsc::Sender<Op>,
    notes: std::sync::mpsc::SyncSender<Note>,
    shards: u16,
    _folder: Folder,
}

impl EmbeddedStore {
    /// Opens the folder, reads what is not indexed yet, starts the committer and the indexer. Blocks.
    ///
    /// # Errors
    /// `Fatal` or `Corrupt` with one sentence for the operator.
    pub fn open(options: EmbeddedOptions) -> Result<Self, StoreError> {
        let folder = Folder::open(&options.path, options.shards)?;
        let log = Log::open(&folder.path.join("log"))?;
        let index_path = folder.path.join("index");
        let index = Index::open(&index_path)?;
        let tail = Arc::new(TailIndex::default());
        let (index, caught_up) = match catch_up(&log, &index, &tail, folder.shards) {
            Err(CatchUp::Index(error)) => {
                tracing::warn!(%error, "the index cannot be read: it is rebuilt from the log");
                drop(index);
                mark_damaged(&index_path)?;
                let index = Index::open(&index_path)?;
                let caught_up = catch_up(&log, &index, &tail, folder.shards).map_err(CatchUp::into_inner)?;
                (index, caught_up)
            }
            other => (index, other.map_err(CatchUp::into_inner)?),
        };
        let end = caught_up.end;
        let witness = Witness::open(&folder.path.join("ACKNOWLEDGED"), end.row)?;
        log.clean(end)?;
        folder.finish()?;
        let heads = Heads::new(end.position, caught_up.heads);
        let watch = Arc::new(Watch::default());
        let (queue, receiver) = mpsc::channel(committer::QUEUE);
        let (notes, inbox) = std::sync::mpsc::sync_channel(indexer::SNAPSHOT_QUEUE);
        let indexer = Indexer { index: index.clone(), tail: tail.clone(), watch: watch.clone(), fatal: options.fatal.clone() };
        let number = end.position / SEGMENT;
        let file = log.segments.writable(number).map_err(|e| StoreError::Fatal(format!("the log cannot be written: {e}")))?;
        let prepared = log.segments.prepare(number + 1)?;
        let reads = Arc::new(Reads {
            log,
            index,
            tail,
            heads,
            index_path,
            notes: notes.clone(),
            permits: Semaphore::new(READS),
            myself: OnceLock::new(),
            damage: Mutex::new(false),
        });
        let writer = LogWriter {
            reads: reads.clone(),
            file,
            prepared,
            end,
            witness,
            skip_sync: options.skip_sync,
            watch,
            fatal: options.fatal,
            bytes: Vec::new(),
            added: Vec::new(),
            commit_seconds: metrics::histogram!("tessera_store_commit_seconds"),
            commit_records: metrics::histogram!("tessera_store_commit_records"),
        };
        spawn("committer", move || committer::run(receiver, writer, options.sabotage))?;
        spawn("indexer", move || indexer.run(&inbox))?;
        // Set once, here: reads move to the blocking pool and need an owner there.
        drop(reads.myself.set(Arc::downgrade(&reads)));
        Ok(Self { reads, queue, notes, shards: folder.shards, _folder: folder })
    }

    /// Into how many shards entities are hashed in this folder.
    #[must_use]
    pub fn shards(&self) -> u16 {
        self.shards
    }
}

enum CatchUp {
    Index(StoreError),
    Log(StoreError),
}

impl CatchUp {
    fn into_inner(self) -> StoreError {
        match self {
            Self::Index(error) | Self::Log(error) => error,
        }
    }
}

/// Where the log and its shards end.
struct CaughtUp {
    end: End,
    /// Offset after each shard's last record.
    heads: Vec<Offset>,
}

/// Reads the log from where the index ends into the tail, in windows.
fn catch_up(log: &Log, index: &Index, tail: &TailIndex, shards: u16) -> Result<CaughtUp, CatchUp> {
    let indexed = index.indexed().map_err(CatchUp::Index)?;
    let mut heads = (0..shards).map(|shard| index.head(ShardId(shard))).collect::<Result<Vec<_>, _>>().map_err(CatchUp::Index)?;
    if let Some(commit) = indexed
        && !log.has(commit)
    {
        let text = format!("the log does not have its row {}, which was acknowledged: the log is damaged; restore the folder from a backup", commit.number);
        return Err(CatchUp::Log(StoreError::Fatal(text)));
    }
    let from = indexed.map_or(End::default(), |commit| End { row: commit.number + 1, position: commit.end });
    let mut failed = Ok(());
    let scan = log.scan(from, None, |commit, row| {
        let added: Vec<_> = row.records.iter().map(|(head, _)| head.added).collect();
        for record in &added {
            match heads.get_mut(usize::from(record.shard.0)) {
                Some(head) if *head == record.offset => *head += 1,
                _ => {
                    failed = Err(StoreError::Corrupt(format!("log row {}: record {} of shard {} is not the next", commit.number, record.offset, record.shard.0)));
                    return false;
                }
            }
        }
        tail.add(commit, &added, &row.cells);
        if tail.len() >= indexer::WINDOW_RECORDS
            && let Some(window) = tail.seal()
        {
            failed = index.write_window(&window);
            tail.indexed();
        }
        failed.is_ok()
    });
    let end = scan.and_then(|end| failed.map(|()| end)).map_err(|error| CatchUp::Log(unreadable(error)))?;
    Ok(CaughtUp { end, heads })
}

/// What the operator is told of a log that cannot be read to its end.
fn unreadable(error: StoreError) -> StoreError {
    match error {
        StoreError::Corrupt(what) => StoreError::Fatal(format!("{what} is damaged; restore the folder from a backup")),
        other => other,
    }
}

/// What reads need.
pub(crate) struct Reads {
    log: Log,
    index: Index,
    pub(crate) tail: Arc<TailIndex>,
    pub(crate) heads: Heads,
    index_path: PathBuf,
    notes: std::sync::mpsc::SyncSender<Note>,
    permits: Semaphore,
    myself: OnceLock<std::sync::Weak<Reads>>,
    damage: Mutex<bool>,
}

impl Reads {
    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Reads) -> Result<T, StoreError> + Send + 'static) -> Result<T, StoreError> {
        let closed = || StoreError::Unavailable("the store is closed".into());
        let _permit = self.permits.acquire().await.map_err(|_| closed())?;
        let myself = self.myself.get().and_then(std::sync::Weak::upgrade).ok_or_else(closed)?;
        tokio::task::spawn_blocking(move || work(&myself)).await.map_err(|e| StoreError::Unavailable(e.to_string()))?
    }

    fn snapshot(&self, entity: &EntityKey) -> Snapshot {
        self.index.snapshot(entity).unwrap_or_else(|error| {
            self.index_damaged(&error);
            Snapshot::default()
        })
    }

    /// Records `from ..= to` of an entity that exist: tail first, index second (see `TailIndex`).
    fn records(&self, entity: &EntityKey, from: Seq, to: Seq) -> Result<Vec<Stored>, StoreError> {
        let tail = self.tail.entity(entity, from, to);
        let records = match self.index.entity(entity, from, to) {
            Ok(indexed) => self.read(merge(indexed, tail), |added| (added.entity == *entity).then_some(added.seq)),
            Err(error) => {
                self.index_damaged(&error);
                self.scan(|added| added.entity == *entity && (from..=to).contains(&added.seq))
            }
        }?;
        match records.windows(2).find(|pair| pair[1].seq != pair[0].seq + 1) {
            Some(pair) => Err(StoreError::Corrupt(format!("{entity:?}: record {} is missing", pair[0].seq + 1))),
            None => Ok(records),
        }
    }

    /// Records of a shard from an offset, at most `max`.
    fn feed(&self, shard: ShardId, from: Offset, max: usize) -> Result<Vec<Stored>, StoreError> {
        let to = from.saturating_add(max as u64).saturating_sub(1);
        let tail = self.tail.shard(shard, from, to);
        match self.index.shard(shard, from, to) {
            Ok(indexed) => self.read(merge(indexed, tail), |added| (added.shard == shard).then_some(added.offset)),
            Err(error) => {
                self.index_damaged(&error);
                self.scan(|added| added.shard == shard && (from..=to).contains(&added.offset))
            }
        }
    }

    /// Reads records from their places; `number` says which number a record bears, if it is one of those asked for.
    fn read(&self, places: Vec<(u64, u64)>, number: impl Fn(&Added) -> Option<u64>) -> Result<Vec<Stored>, StoreError> {
        let one = |(wanted, place): (u64, u64)| {
            let (head, stored) = self.log.record(place)?;
            match number(&head.added) {
                Some(found) if found == wanted => Ok(stored),
                _ => Err(StoreError::Corrupt(format!("record {wanted} is not at {place} of the log, where the index says"))),
            }
        };
        places.into_iter().map(one).collect()
    }

    /// A cell: tail first, index second.
    pub(crate) fn cell(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        if let Some(newest) = self.tail.cell(key) {
            return Ok(newest);
        }
        self.index.cell(key).or_else(|error| {
            self.index_damaged(&error);
            let changes = self.each_row(|row| row.cells)?;
            Ok(changes.into_iter().rfind(|(name, _)| name == key).and_then(|(_, value)| value))
        })
    }

    /// Without an index: read the whole log. Slow and right.
    fn scan(&self, wanted: impl Fn(&Added) -> bool) -> Result<Vec<Stored>, StoreError> {
        self.each_row(|row| {
            let records = row.records.into_iter().filter(|(head, _)| wanted(&head.added));
            records.map(|(head, frame)| head.stored(frame)).collect()
        })
    }

    fn each_row<T>(&self, take: impl Fn(Row) -> Vec<T>) -> Result<Vec<T>, StoreError> {
        let mut found = Vec::new();
        let end = self.heads.end();
        if end > 0 {
            self.log.scan(End::default(), Some(end), |_, row| {
                found.extend(take(row));
                true
            })?;
        }
        Ok(found)
    }

    /// Counts it, says it once, and has the next start rebuild the index.
    fn index_damaged(&self, error: &StoreError) {
        metrics::counter!("tessera_store_index_damage_total").increment(1);
        let mut said = self.damage.lock().unwrap_or_else(PoisonError::into_inner);
        if !*said {
            *said = true;
            tracing::error!(%error, "the index is damaged: reading from the log instead, the next start rebuilds it");
            if let Err(error) = mark_damaged(&self.index_path) {
                tracing::error!(%error, "the index cannot be marked as damaged: delete its folder before the next start");
            }
        }
    }
}

impl ShardReads for Reads {
    fn wake(&self, _shard: ShardId, entity: EntityKey) -> BoxFuture<'_, Result<Wake, StoreError>> {
        Box::pin(self.blocking(move |reads| {
            let snapshot = reads.snapshot(&entity);
            let records = reads.records(&entity, snapshot.seq + 1, Seq::MAX)?;
            if let Some(first) = records.first()
                && first.seq != snapshot.seq + 1
            {
                return Err(StoreError::Corrupt(format!("{entity:?}: record {} is missing", snapshot.seq + 1)));
            }
            Ok(Wake { snapshot, records })
        }))
    }

    fn history(&self, _shard: ShardId, entity: EntityKey, from: Seq, to: Seq) -> BoxFuture<'_, Result<Vec<Stored>, StoreError>> {
        Box::pin(self.blocking(move |reads| reads.records(&entity, from, to)))
    }

    fn write_snapshot(&self, _shard: ShardId, entity: EntityKey, snapshot: Snapshot) {
        // Full: dropped, and the entity reads more of the log when it wakes.
        if self.notes.try_send(Note::Snapshot(entity, snapshot)).is_err() {
            metrics::counter!("tessera_store_snapshots_dropped_total").increment(1);
        }
    }
}

impl Store for EmbeddedStore {
    fn open(&self, _node: &NodeId) -> BoxFuture<'_, Result<(), StoreError>> {
        // The folder's lock is the incarnation.
        Box::pin(async { Ok(()) })
    }

    fn fence(&self, _dead: &NodeId) -> BoxFuture<'_, Result<(), StoreError>> {
        // A process that is gone has let go of the lock; there is no other log to seal.
        Box::pin(async { Ok(()) })
    }

    fn take(&self, shard: ShardId, _epoch: Epoch) -> BoxFuture<'_, Result<ShardLog, StoreError>> {
        Box::pin(async move {
            let next = self.reads.heads.of(shard);
            self.queue.send(Op::Took { shard, next }).await.map_err(|_| StoreError::Unavailable("the store is closed".into()))?;
            Ok(ShardLog::new(shard, self.queue.clone(), self.reads.clone()))
        })
    }

    fn read_feed(&self, shard: ShardId, from: Offset, max: usize) -> BoxFuture<'_, Result<Vec<Stored>, StoreError>> {
        Box::pin(self.reads.blocking(move |reads| reads.feed(shard, from, max)))
    }

    fn cells(&self) -> Arc<dyn Cells> {
        let reads = self.reads.clone();
        Arc::new(QueuedCells::new(self.queue.clone(), move |key: &[u8]| reads.cell(key)))
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async {
            let (done, closed) = oneshot::channel();
            if self.queue.send(Op::Close(done)).await.is_ok() {
                // An error says that the committer has already ended.
                drop(closed.await);
            }
            let notes = self.notes.clone();
            let close = move || {
                let (done, closed) = std::sync::mpsc::channel();
                if notes.send(Note::Close(done)).is_err() {
                    return Ok(());
                }
                closed.recv().unwrap_or(Ok(()))
            };
            tokio::task::spawn_blocking(close).await.map_err(|e| StoreError::Unavailable(e.to_string()))?
        })
    }
}

/// What is indexed, then what the tail has beyond it.
fn merge(mut indexed: Vec<(u64, u64)>, tail: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    let known = indexed.last().map(|(number, _)| *number);
    indexed.extend(tail.into_iter().filter(|(number, _)| known.is_none_or(|known| *number > known)));
    indexed
}

fn mark_damaged(index: &std::path::Path) -> Result<(), StoreError> {
    std::fs::write(index.with_extension("damaged"), b"").map_err(|e| StoreError::Fatal(format!("cannot mark {} as damaged: {e}", index.display())))
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), StoreError> {
    let spawned = std::thread::Builder::new().name(name.into()).spawn(work);
    spawned.map(|_| ()).map_err(|e| StoreError::Fatal(format!("the {name} thread cannot be started: {e}")))
}
