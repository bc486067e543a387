//! The thread that moves the tail into the index, and snapshots with it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use tessera_storage::{Due, EntityKey, ShardId, Snapshot, StoreError, TailIndex};

use crate::index::{Index, Indexed};
use crate::store::{Fatal, mark_damaged, rebuild};
use crate::watch::Watch;

/// Records after which a window is closed.
pub const WINDOW_RECORDS: usize = 65_536;
/// Time after which a window is closed.
pub const WINDOW_TIME: Duration = Duration::from_secs(10);
/// Records that may wait to be indexed; at the bound commits wait.
pub const TAIL_RECORDS: usize = 16 * WINDOW_RECORDS;
/// Snapshots that may wait; at the bound they are dropped, since the log has it all.
pub const SNAPSHOT_QUEUE: usize = 1_024;

/// What the indexer is told.
pub enum Note {
    /// Keep this snapshot.
    Snapshot(EntityKey, Snapshot),
    /// Move a reminder that came too early.
    Remind { shard: ShardId, entity: EntityKey, was: Due, due: Due },
    /// Index everything, sync, and end.
    Close(mpsc::Sender<Result<(), StoreError>>),
}

/// The indexer's loop.
pub struct Indexer {
    pub(crate) index: Index,
    /// Up to where it is written.
    pub(crate) indexed: Indexed,
    pub(crate) path: PathBuf,
    pub(crate) tail: Arc<TailIndex>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) fatal: Fatal,
}

impl Indexer {
    /// Runs until it is closed.
    pub fn run(mut self, notes: &Receiver<Note>) {
        let mut closed_at = Instant::now();
        let mut pending: HashMap<EntityKey, Snapshot> = HashMap::new();
        loop {
            match notes.recv_timeout(Duration::from_millis(200)) {
                Ok(Note::Snapshot(entity, snapshot)) => pending.entry(entity).or_default().merge(snapshot),
                Ok(Note::Remind { shard, entity, was, due }) => {
                    if let Err(error) = self.index.remind(shard, &entity, was, due) {
                        return (self.fatal)(&self.explained(error));
                    }
                }
                Ok(Note::Close(done)) => {
                    let outcome = self.write(&mut pending).and_then(|()| self.window()).and_then(|()| self.index.persist());
                    let outcome = outcome.map_err(|error| self.explained(error));
                    // Whoever asked may have given up waiting.
                    drop(done.send(outcome));
                    return;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let due = closed_at.elapsed() >= WINDOW_TIME || self.tail.len() >= WINDOW_RECORDS;
            let outcome = self.write(&mut pending).and_then(|()| if due { self.window() } else { Ok(()) });
            if due {
                closed_at = Instant::now();
            }
            if let Err(error) = outcome {
                return (self.fatal)(&self.explained(error));
            }
        }
    }

    /// Damage is for the next start to mend.
    fn explained(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::Corrupt(_) => mark_damaged(&self.path).err().unwrap_or_else(|| rebuild(&error)),
            other => other,
        }
    }

    fn write(&self, pending: &mut HashMap<EntityKey, Snapshot>) -> Result<(), StoreError> {
        if !pending.is_empty() {
            self.watch.index.start();
            self.index.write_snapshots(pending)?;
            self.watch.index.end();
            pending.clear();
        }
        Ok(())
    }

    /// Indexes what has gathered. It leaves the tail only after it can be read from the index.
    fn window(&mut self) -> Result<(), StoreError> {
        if let Some(window) = self.tail.seal() {
            self.watch.index.start();
            self.indexed = self.index.write_window(self.indexed, &window)?;
            self.watch.index.end();
            self.tail.indexed();
        }
        Ok(())
    }
}
