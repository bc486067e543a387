//! [`EmbeddedStore`]: the traits of `tessera-storage` over the folder.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use futures_util::future::BoxFuture;
use tessera_storage::committer::{self, Op, Sabotage};
use tessera_storage::store::QueuedCells;
use tessera_storage::{
    Cells, EntityKey, Epoch, NodeId, Offset, Seq, ShardId, ShardLog, ShardReads, Snapshot, Store, StoreError, Stored, TailIndex, Wake,
};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::folder::Folder;
use crate::index::Index;
use crate::indexer::{self, Indexer, Note};
use crate::log::{Log, LogWriter, Watch};
use crate::witness::{Totals, Witness};

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
        let records = (0..folder.shards).map(|shard| log.head(ShardId(shard))).sum::<Result<u64, _>>()?;
        let witness = Witness::open(&folder.path.join("ACKNOWLEDGED"), Totals { records, cells: log.cell_changes()? })?;
        folder.finish()?;
        let tail = Arc::new(TailIndex::default());
        let index = match catch_up(&log, &index, &tail, folder.shards) {
            Err(CatchUp::Index(error)) => {
                tracing::warn!(%error, "the index cannot be read: it is rebuilt from the log");
                drop(index);
                mark_damaged(&index_path)?;
                let index = Index::open(&index_path)?;
                catch_up(&log, &index, &tail, folder.shards).map_err(CatchUp::into_inner)?;
                index
            }
            other => other.map(|()| index).map_err(CatchUp::into_inner)?,
        };
        let watch = Arc::new(Watch::default());
        let (queue, receiver) = mpsc::channel(committer::QUEUE);
        let writer = LogWriter {
            log: log.clone(),
            tail: tail.clone(),
            witness,
            durability: (!options.skip_sync).then_some(fjall::PersistMode::SyncData),
            watch: watch.clone(),
            fatal: options.fatal.clone(),
            buffer: Vec::new(),
            commit_seconds: metrics::histogram!("tessera_store_commit_seconds"),
            commit_records: metrics::histogram!("tessera_store_commit_records"),
        };
        spawn("committer", move || committer::run(receiver, writer, options.sabotage))?;
        let (notes, inbox) = std::sync::mpsc::sync_channel(indexer::SNAPSHOT_QUEUE);
        let indexer = Indexer { index: index.clone(), tail: tail.clone(), watch, fatal: options.fatal };
        spawn("indexer", move || indexer.run(&inbox))?;
        let reads = Arc::new(Reads {
            log,
            index,
            tail,
            index_path,
            notes: notes.clone(),
            permits: Semaphore::new(READS),
            myself: OnceLock::new(),
            damage: Mutex::new(false),
        });
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

/// Reads the log from where the index ends into the tail, in windows.
fn catch_up(log: &Log, index: &Index, tail: &TailIndex, shards: u16) -> Result<(), CatchUp> {
    for shard in (0..shards).map(ShardId) {
        let indexed = index.indexed(shard).map_err(CatchUp::Index)?;
        let head = log.head(shard).map_err(CatchUp::Log)?;
        if head < indexed {
            let text = format!(
                "the log of shard {} ends at {head}, but records up to {indexed} were acknowledged: the log is damaged; restore the folder from a backup",
                shard.0
            );
            return Err(CatchUp::Log(StoreError::Fatal(text)));
        }
        let mut failed = Ok(());
        let scan = log.scan(shard, indexed, |row, records| {
            tail.add(shard, row, records.iter().map(|record| (record.entity, record.seq)));
            if tail.len() >= indexer::WINDOW_RECORDS
                && let Some(window) = tail.seal()
            {
                failed = index.write_window(&window);
                tail.indexed();
            }
            failed.is_ok()
        });
        scan.and(failed).map_err(CatchUp::Log)?;
    }
    Ok(())
}

struct Reads {
    log: Log,
    index: Index,
    tail: Arc<TailIndex>,
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

    /// Records `from ..= to` that exist: tail first, index second (see `TailIndex`).
    fn records(&self, shard: ShardId, entity: &EntityKey, from: Seq, to: Seq) -> Result<Vec<Stored>, StoreError> {
        let tail = self.tail.of(entity);
        let mut entries = match self.index.entries(entity, from, to) {
            Ok(entries) => entries,
            Err(error) => {
                self.index_damaged(&error);
                return self.scan(shard, entity, from, to);
            }
        };
        let known = entries.last().map_or(0, |entry| entry.seq);
        entries.extend(tail.into_iter().filter(|entry| (from..=to).contains(&entry.seq) && entry.seq > known));
        let mut found: Vec<Stored> = Vec::with_capacity(entries.len());
        let mut row: Option<(Offset, Vec<Stored>)> = None;
        for entry in entries {
            if row.as_ref().is_none_or(|(at, _)| *at != entry.row) {
                row = Some((entry.row, self.log.row(shard, entry.row)?));
            }
            let records = row.iter().flat_map(|(_, records)| records);
            let record = records.into_iter().find(|r| r.seq == entry.seq && r.entity == *entity);
            let record = record.ok_or_else(|| StoreError::Corrupt(format!("record {} of {entity:?} is not where the index says", entry.seq)))?;
            found.push(record.clone());
        }
        dense(entity, &found)?;
        Ok(found)
    }

    /// Without an index: read the whole shard. Slow and right.
    fn scan(&self, shard: ShardId, entity: &EntityKey, from: Seq, to: Seq) -> Result<Vec<Stored>, StoreError> {
        let mut found = Vec::new();
        self.log.scan(shard, 0, |_, records| {
            found.extend(records.into_iter().filter(|r| r.entity == *entity && (from..=to).contains(&r.seq)));
            true
        })?;
        dense(entity, &found)?;
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
    fn wake(&self, shard: ShardId, entity: EntityKey) -> BoxFuture<'_, Result<Wake, StoreError>> {
        Box::pin(self.blocking(move |reads| {
            let snapshot = reads.snapshot(&entity);
            let records = reads.records(shard, &entity, snapshot.seq + 1, Seq::MAX)?;
            if let Some(first) = records.first()
                && first.seq != snapshot.seq + 1
            {
                return Err(StoreError::Corrupt(format!("{entity:?}: record {} is missing", snapshot.seq + 1)));
            }
            Ok(Wake { snapshot, records })
        }))
    }

    fn history(&self, shard: ShardId, entity: EntityKey, from: Seq, to: Seq) -> BoxFuture<'_, Result<Vec<Stored>, StoreError>> {
        Box::pin(self.blocking(move |reads| reads.records(shard, &entity, from, to)))
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
            let next = self.reads.log.head(shard)?;
            self.queue.send(Op::Took { shard, next }).await.map_err(|_| StoreError::Unavailable("the store is closed".into()))?;
            Ok(ShardLog::new(shard, self.queue.clone(), self.reads.clone()))
        })
    }

    fn read_feed(&self, shard: ShardId, from: Offset, max: usize) -> BoxFuture<'_, Result<Vec<Stored>, StoreError>> {
        Box::pin(self.reads.blocking(move |reads| {
            let mut found = Vec::new();
            let Some(start) = reads.log.row_of(shard, from)? else { return Ok(found) };
            reads.log.scan(shard, start, |_, records| {
                found.extend(records.into_iter().filter(|record| record.offset >= from));
                found.len() < max
            })?;
            found.truncate(max);
            Ok(found)
        }))
    }

    fn cells(&self) -> Arc<dyn Cells> {
        let log = self.reads.log.clone();
        Arc::new(QueuedCells::new(self.queue.clone(), move |key: &[u8]| log.cell(key)))
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

fn dense(entity: &EntityKey, records: &[Stored]) -> Result<(), StoreError> {
    match records.windows(2).find(|pair| pair[1].seq != pair[0].seq + 1) {
        Some(pair) => Err(StoreError::Corrupt(format!("{entity:?}: record {} is missing", pair[0].seq + 1))),
        None => Ok(()),
    }
}

fn mark_damaged(index: &std::path::Path) -> Result<(), StoreError> {
    std::fs::write(index.with_extension("damaged"), b"").map_err(|e| StoreError::Fatal(format!("cannot mark {} as damaged: {e}", index.display())))
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), StoreError> {
    let spawned = std::thread::Builder::new().name(name.into()).spawn(work);
    spawned.map(|_| ()).map_err(|e| StoreError::Fatal(format!("the {name} thread cannot be started: {e}")))
}
