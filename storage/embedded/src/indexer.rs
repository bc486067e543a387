//! The thread that moves the tail into the index, and snapshots with it.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use tessera_storage::{EntityKey, Snapshot, StoreError, TailIndex};

use crate::index::Index;
use crate::store::Fatal;
use crate::writer::Watch;

/// Records after which a window is closed.
pub const WINDOW_RECORDS: usize = 65_536;
/// Time after which a window is closed.
pub const WINDOW_TIME: Duration = Duration::from_secs(10);
/// A commit that takes longer than this ends the process.
pub const COMMIT_LIMIT: Duration = Duration::from_secs(10);
/// Snapshots that may wait; at the bound they are dropped, since the log has it all.
pub const SNAPSHOT_QUEUE: usize = 1_024;

/// What the indexer is told.
pub enum Note {
    /// Keep this snapshot.
    Snapshot(EntityKey, Snapshot),
    /// Index everything, sync, and end.
    Close(mpsc::Sender<Result<(), StoreError>>),
}

/// The indexer's loop.
pub struct Indexer {
    pub(crate) index: Index,
    pub(crate) tail: Arc<TailIndex>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) fatal: Fatal,
}

impl Indexer {
    /// Runs until it is closed.
    pub fn run(self, notes: &Receiver<Note>) {
        let mut closed_at = Instant::now();
        let mut pending: HashMap<EntityKey, Snapshot> = HashMap::new();
        loop {
            match notes.recv_timeout(Duration::from_millis(200)) {
                Ok(Note::Snapshot(entity, snapshot)) => pending.entry(entity).or_default().merge(snapshot),
                Ok(Note::Close(done)) => {
                    let outcome = self.write(&mut pending).and_then(|()| self.window()).and_then(|()| self.index.persist());
                    // Whoever asked may have given up waiting.
                    drop(done.send(outcome));
                    return;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.watch.running() > COMMIT_LIMIT {
                let text = format!("a write to the log has not come back for {} s; look at the disk", COMMIT_LIMIT.as_secs());
                return (self.fatal)(&StoreError::Fatal(text));
            }
            let due = closed_at.elapsed() >= WINDOW_TIME || self.tail.len() >= WINDOW_RECORDS;
            let outcome = self.write(&mut pending).and_then(|()| if due { self.window() } else { Ok(()) });
            if due {
                closed_at = Instant::now();
            }
            if let Err(error) = outcome {
                return (self.fatal)(&error);
            }
        }
    }

    fn write(&self, pending: &mut HashMap<EntityKey, Snapshot>) -> Result<(), StoreError> {
        if !pending.is_empty() {
            self.index.write_snapshots(pending)?;
            pending.clear();
        }
        Ok(())
    }

    /// Indexes what has gathered. It leaves the tail only after it can be read from the index.
    fn window(&self) -> Result<(), StoreError> {
        if let Some(window) = self.tail.seal() {
            self.index.write_window(&window)?;
            self.tail.indexed();
        }
        Ok(())
    }
}
