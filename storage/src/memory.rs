//! A store without a disk: the same committer, the same traits, gone with the process.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use crate::committer::{self, Admitted, Backend, Batch, Op, Sabotage};
use crate::store::QueuedCells;
use crate::{Cells, Due, EntityKey, Epoch, NodeId, Offset, Seq, ShardId, ShardLog, ShardReads, Snapshot, Store, StoreError, Stored, Wake};

/// See the module.
pub struct MemoryStore {
    kept: Arc<Kept>,
    queue: mpsc::Sender<Op>,
}

#[derive(Default)]
struct Kept(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    logs: HashMap<ShardId, Vec<Stored>>,
    cells: BTreeMap<Bytes, Bytes>,
    snapshots: HashMap<EntityKey, Snapshot>,
    due: HashMap<EntityKey, (ShardId, Due)>,
}

impl Kept {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        let kept = Arc::new(Kept::default());
        let (queue, receiver) = mpsc::channel(committer::QUEUE);
        let backend = MemoryBackend(kept.clone());
        std::thread::spawn(move || committer::run(receiver, backend, Sabotage::default()));
        Self { kept, queue }
    }
}

struct MemoryBackend(Arc<Kept>);

impl Backend for MemoryBackend {
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let mut inner = self.0.lock();
        for Admitted { shard, offset, record } in &batch.records {
            let stored = Stored { entity: record.entity, seq: record.seq, offset: *offset, frame: record.frame.clone() };
            inner.logs.entry(*shard).or_default().push(stored);
            if let Some(due) = record.due {
                inner.due.insert(record.entity, (*shard, due));
            }
        }
        for (key, value) in &batch.cells {
            match value {
                Some(value) => inner.cells.insert(key.clone(), value.clone()),
                None => inner.cells.remove(key),
            };
        }
        Ok(())
    }

    fn cell(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.0.lock().cells.get(key).cloned())
    }

    fn failed(&mut self, error: &StoreError) {
        tracing::error!(%error, "the memory store has ended");
    }
}

impl ShardReads for Kept {
    fn wake(&self, shard: ShardId, entity: EntityKey) -> BoxFuture<'_, Result<Wake, StoreError>> {
        Box::pin(async move {
            let snapshot = self.lock().snapshots.get(&entity).cloned().unwrap_or_default();
            let records = self.history(shard, entity, snapshot.seq + 1, Seq::MAX).await?;
            Ok(Wake { snapshot, records })
        })
    }

    fn history(&self, shard: ShardId, entity: EntityKey, from: Seq, to: Seq) -> BoxFuture<'_, Result<Vec<Stored>, StoreError>> {
        Box::pin(async move {
            let inner = self.lock();
            let log = inner.logs.get(&shard).into_iter().flatten();
            Ok(log.filter(|r| r.entity == entity && (from..=to).contains(&r.seq)).cloned().collect())
        })
    }

    fn write_snapshot(&self, _shard: ShardId, entity: EntityKey, snapshot: Snapshot) {
        let mut inner = self.lock();
        let kept = inner.snapshots.entry(entity).or_default();
        kept.merge(snapshot);
    }
}

impl Snapshot {
    /// Takes over a newer snapshot: its pages replace those of the same number. An older one is ignored.
    pub fn merge(&mut self, newer: Snapshot) {
        if newer.seq < self.seq {
            return;
        }
        self.seq = newer.seq;
        for page in newer.pages {
            match self.pages.binary_search_by_key(&page.number, |old| old.number) {
                Ok(at) => self.pages[at] = page,
                Err(at) => self.pages.insert(at, page),
            }
        }
    }
}

impl Store for MemoryStore {
    fn open(&self, _node: &NodeId) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }

    fn fence(&self, _dead: &NodeId) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }

    fn take(&self, shard: ShardId, _epoch: Epoch) -> BoxFuture<'_, Result<ShardLog, StoreError>> {
        Box::pin(async move {
            let next = self.head(shard);
            self.queue.send(Op::Took { shard, next }).await.map_err(|_| StoreError::Unavailable("closed".into()))?;
            Ok(ShardLog::new(shard, self.queue.clone(), self.kept.clone()))
        })
    }

    fn head(&self, shard: ShardId) -> Offset {
        self.kept.lock().logs.get(&shard).map_or(0, |log| log.len() as Offset)
    }

    fn read_feed(&self, shard: ShardId, from: Offset, max: usize) -> BoxFuture<'_, Result<Vec<Stored>, StoreError>> {
        Box::pin(async move {
            let inner = self.kept.lock();
            let log = inner.logs.get(&shard).into_iter().flatten();
            Ok(log.filter(|r| r.offset >= from).take(max).cloned().collect())
        })
    }

    fn due(&self, shard: ShardId, by: Due, max: usize) -> BoxFuture<'_, Result<Vec<(EntityKey, Due)>, StoreError>> {
        Box::pin(async move {
            let inner = self.kept.lock();
            let mut found: Vec<_> = inner.due.iter().filter(|(_, (of, due))| *of == shard && *due <= by).map(|(entity, (_, due))| (*due, *entity)).collect();
            found.sort_unstable();
            Ok(found.into_iter().take(max).map(|(due, entity)| (entity, due)).collect())
        })
    }

    fn remind(&self, shard: ShardId, entity: EntityKey, was: Due, due: Due) {
        if let Some(kept) = self.kept.lock().due.get_mut(&entity)
            && kept.1 == was
        {
            *kept = (shard, due);
        }
    }

    fn cells(&self) -> Arc<dyn Cells> {
        let kept = self.kept.clone();
        Arc::new(QueuedCells::new(self.queue.clone(), move |key: &[u8]| Ok(kept.lock().cells.get(key).cloned())))
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async {
            let (done, closed) = oneshot::channel();
            if self.queue.send(Op::Close(done)).await.is_ok() {
                // An error says that the committer has already ended.
                drop(closed.await);
            }
            Ok(())
        })
    }
}
