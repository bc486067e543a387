//! [`EmbeddedStore`]: the traits of `tessera-storage` over the folder.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tessera_storage::committer::{self, Op, Sabotage};
use tessera_storage::store::QueuedCells;
use tessera_storage::tail::{Added, Commit};
use tessera_storage::{
    Cells, Due, EntityKey, Epoch, NodeId, Offset, Seq, ShardId, ShardLog, ShardReads, Snapshot, Store, StoreError, Stored, TailIndex, Wake,
};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::folder::Folder;
use crate::index::{Index, Indexed};
use crate::indexer::{self, Indexer, Note};
use crate::log::{End, Log};
use crate::segments::SEGMENT;
use crate::watch::Watch;
use crate::witness::Witness;
use crate::writer::{Heads, LogWriter};

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
}

impl EmbeddedStore {
    /// Opens the folder, reads what is not indexed yet, starts the committer and the indexer. Blocks.
    ///
    /// # Errors
    /// `Fatal` or `Corrupt` with one sentence for the operator.
    pub fn open(options: EmbeddedOptions) -> Result<Self, StoreError> {
        let folder = Arc::new(Folder::open(&options.path, options.shards)?);
        let log = Log::open(&folder.path.join("log"), &folder)?;
        let index_path = folder.path.join("index");
        let index = open_index(&index_path)?;
        let tail = Arc::new(TailIndex::default());
        let (index, caught_up) = match catch_up(&log, &index, &tail, folder.shards) {
            Err(CatchUp::Index(error)) => {
                tracing::warn!(%error, "the index cannot be read: it is rebuilt from the log");
                drop(index);
                mark_damaged(&index_path)?;
                tail.clear();
                let index = open_index(&index_path)?;
                let caught_up = catch_up(&log, &index, &tail, folder.shards).map_err(CatchUp::into_inner)?;
                (index, caught_up)
            }
            other => (index, other.map_err(CatchUp::into_inner)?),
        };
        let end = caught_up.end;
        let witness = Witness::open(&folder.path.join("ACKNOWLEDGED"), end.row)?;
        if let Some(last) = caught_up.last {
            log.settle(last)?;
        }
        log.clean(end)?;
        folder.finish()?;
        let heads = Heads::new(end.position, caught_up.heads);
        let watch = Watch::start(options.fatal.clone())?;
        let (queue, receiver) = mpsc::channel(committer::QUEUE);
        let (notes, inbox) = std::sync::mpsc::sync_channel(indexer::SNAPSHOT_QUEUE);
        let indexer = Indexer {
            index: index.clone(),
            indexed: caught_up.indexed,
            path: index_path.clone(),
            tail: tail.clone(),
            watch: watch.clone(),
            fatal: options.fatal.clone(),
        };
        let number = end.position / SEGMENT;
        let file = log.segments.writable(number).map_err(|e| StoreError::Fatal(format!("the log cannot be written: {e}")))?;
        let prepared = log.segments.prepare(number + 1, &folder)?;
        let reads = Arc::new(Reads {
            log,
            index,
            tail,
            heads,
            index_path,
            notes: notes.clone(),
            permits: Arc::new(Semaphore::new(READS)),
            myself: OnceLock::new(),
            fatal: options.fatal.clone(),
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
            fatal: options.fatal.clone(),
            bytes: Vec::new(),
            added: Vec::new(),
            commit_seconds: metrics::histogram!("tessera_store_commit_seconds"),
            commit_records: metrics::histogram!("tessera_store_commit_records"),
        };
        let shards = folder.shards;
        // The folder is ours until the last thread that writes to it has ended.
        spawn("committer", options.fatal.clone(), move || {
            committer::run(receiver, writer, options.sabotage);
            drop(folder);
        })?;
        spawn("indexer", options.fatal, move || {
            give_way();
            indexer.run(&inbox);
        })?;
        // Set once, here: reads move to the blocking pool and need an owner there.
        drop(reads.myself.set(Arc::downgrade(&reads)));
        Ok(Self { reads, queue, notes, shards })
    }

    /// Into how many shards entities are hashed in this folder.
    #[must_use]
    pub fn shards(&self) -> u16 {
        self.shards
    }
}

/// Opens the index from a thread that gives way: the database's own threads take after the one that opens it.
fn open_index(path: &std::path::Path) -> Result<Index, StoreError> {
    let open = || {
        give_way();
        Index::open(path)
    };
    std::thread::scope(|scope| scope.spawn(open).join()).unwrap_or_else(|_| Err(StoreError::Fatal("the index cannot be opened: its thread failed".into())))
}

/// What can wait does not take the processor from those that callers wait for.
pub(crate) fn give_way() {
    if let Err(error) = rustix::process::nice(10) {
        tracing::debug!(%error, "a thread keeps its priority");
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
    /// The last commit; `None` in an empty log.
    last: Option<Commit>,
    /// Offset after each shard's last record.
    heads: Vec<Offset>,
    indexed: Indexed,
}

/// Reads the log from where the index ends into the tail, in windows.
fn catch_up(log: &Log, index: &Index, tail: &TailIndex, shards: u16) -> Result<CaughtUp, CatchUp> {
    let mut indexed = index.indexed().map_err(CatchUp::Index)?;
    let mut heads = (0..shards).map(|shard| index.head(ShardId(shard))).collect::<Result<Vec<_>, _>>().map_err(CatchUp::Index)?;
    let mut last = (indexed.window > 0).then_some(indexed.commit);
    if let Some(commit) = last
        && !log.has(commit)
    {
        let text = format!("the log does not have its row {}, which was acknowledged: the log is damaged; restore the folder from a backup", commit.number);
        return Err(CatchUp::Log(StoreError::Fatal(text)));
    }
    let from = last.map_or(End::default(), |commit| End { row: commit.number + 1, position: commit.end });
    let mut failed = Ok(());
    let scan = log.scan(from, None, |commit, row| {
        let added: Vec<_> = row.records.iter().map(|(head, _)| head.added).collect();
        for record in &added {
            match heads.get_mut(usize::from(record.shard.0)) {
                Some(head) if *head == record.offset => *head += 1,
                _ => {
                    let text = format!("log row {}: record {} of shard {} is not the next", commit.number, record.offset, record.shard.0);
                    failed = Err(CatchUp::Log(StoreError::Corrupt(text)));
                    return false;
                }
            }
        }
        last = Some(commit);
        tail.add(commit, &added, &row.cells);
        if tail.len() >= indexer::WINDOW_RECORDS
            && let Some(window) = tail.seal()
        {
            match index.write_window(indexed, &window) {
                Ok(now) => indexed = now,
                Err(error @ StoreError::Corrupt(_)) => failed = Err(CatchUp::Index(error)),
                Err(error) => failed = Err(CatchUp::Log(error)),
            }
            tail.indexed();
        }
        failed.is_ok()
    });
    let end = scan.map_err(|error| CatchUp::Log(unreadable(error)))?;
    failed.map_err(|error| match error {
        CatchUp::Log(error) => CatchUp::Log(unreadable(error)),
        index @ CatchUp::Index(_) => index,
    })?;
    Ok(CaughtUp { end, last, heads, indexed })
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
    permits: Arc<Semaphore>,
    myself: OnceLock<std::sync::Weak<Reads>>,
    fatal: Fatal,
    damage: Mutex<bool>,
}

impl Reads {
    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Reads) -> Result<T, StoreError> + Send + 'static) -> Result<T, StoreError> {
        let closed = || StoreError::Unavailable("the store is closed".into());
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| closed())?;
        let myself = self.myself.get().and_then(std::sync::Weak::upgrade).ok_or_else(closed)?;
        let read = tokio::task::spawn_blocking(move || {
            // Kept by the work itself: the caller may go away before it has ended.
            let _permit = permit;
            work(&myself)
        });
        read.await.map_err(|e| StoreError::Unavailable(e.to_string()))?
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

    /// A cell: tail first, index second. One that is damaged ends the process: cells are looked up by the committer, which
    /// must not read a whole log for each.
    pub(crate) fn cell(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        if let Some(newest) = self.tail.cell(key) {
            return Ok(newest);
        }
        self.index.cell(key).inspect_err(|error| {
            self.index_damaged(error);
            (self.fatal)(&rebuild(error));
        })
    }

    /// Without an index: read the whole log. Slow and right.
    fn scan(&self, wanted: impl Fn(&Added) -> bool) -> Result<Vec<Stored>, StoreError> {
        let mut found = Vec::new();
        let end = self.heads.end();
        if end == 0 {
            return Ok(found);
        }
        let reached = self.log.scan(End::default(), Some(end), |_, row| {
            let records = row.records.into_iter().filter(|(head, _)| wanted(&head.added));
            // Copied: a frame that is kept must not keep its segment.
            found.extend(records.map(|(head, frame)| head.stored(Bytes::copy_from_slice(&frame))));
            true
        })?;
        if reached.position < end {
            return Err(StoreError::Corrupt(format!("log row {}", reached.row)));
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

    fn head(&self, shard: ShardId) -> Offset {
        self.reads.heads.of(shard)
    }

    fn read_feed(&self, shard: ShardId, from: Offset, max: usize) -> BoxFuture<'_, Result<Vec<Stored>, StoreError>> {
        Box::pin(self.reads.blocking(move |reads| reads.feed(shard, from, max)))
    }

    fn due(&self, shard: ShardId, by: Due, max: usize) -> BoxFuture<'_, Result<Vec<(EntityKey, Due)>, StoreError>> {
        Box::pin(self.reads.blocking(move |reads| {
            // What its newest record says counts, indexed or not.
            let stands = |entity: &EntityKey, due| reads.tail.due(entity).is_none_or(|newest| newest == due);
            reads.index.due(shard, by, max, stands).inspect_err(|error| reads.index_damaged(error))
        }))
    }

    fn remind(&self, shard: ShardId, entity: EntityKey, was: Due, due: Due) {
        // Full: it comes again.
        if self.notes.try_send(Note::Remind { shard, entity, was, due }).is_err() {
            metrics::counter!("tessera_store_reminders_dropped_total").increment(1);
        }
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
                let ended = || StoreError::Fatal("the index was not written to its end; the next start reads the log again".into());
                notes.send(Note::Close(done)).map_err(|_| ended())?;
                closed.recv().map_err(|_| ended())?
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

/// Has the next start rebuild the index.
pub(crate) fn mark_damaged(index: &std::path::Path) -> Result<(), StoreError> {
    std::fs::write(index.with_extension("damaged"), b"").map_err(|e| StoreError::Fatal(format!("cannot mark {} as damaged: {e}", index.display())))
}

/// What the operator is told of an index that cannot be used.
pub(crate) fn rebuild(error: &StoreError) -> StoreError {
    StoreError::Fatal(format!("the index is damaged ({error}); start again, it is rebuilt from the log"))
}

/// Starts a thread that the store cannot do without: should it panic, the process ends.
pub(crate) fn spawn(name: &'static str, fatal: Fatal, work: impl FnOnce() + Send + 'static) -> Result<(), StoreError> {
    let guarded = move || {
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err() {
            fatal(&StoreError::Fatal(format!("the thread {name} has failed; start again, and report what the log says")));
        }
    };
    let spawned = std::thread::Builder::new().name(name.into()).spawn(guarded);
    spawned.map(|_| ()).map_err(|e| StoreError::Fatal(format!("the {name} thread cannot be started: {e}")))
}
