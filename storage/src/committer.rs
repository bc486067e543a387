//! One writer for many shards: admits records, gives them offsets, commits batches, then answers.
//!
//! It never lingers to fill a batch: what has queued while the last flush ran is the next batch.
//! Invariants: an append is answered after its commit; a stale record is refused alone and leaves
//! its batch untouched; a failed commit ends the committer, since what it wrote is then unknown.

use std::collections::HashMap;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::{CasOutcome, EntityKey, NewRecord, Offset, Seq, ShardId, StoreError};

/// Appends that may wait; at the bound, `append` waits.
pub const QUEUE: usize = 8_192;
/// Records in one batch, at most.
pub const BATCH_RECORDS: usize = 1_024;
/// Bytes of frames after which a batch is closed.
pub const BATCH_BYTES: usize = 512 * 1_024;

/// Times that the processor is offered to others before a batch is closed; on an idle machine each is under a microsecond.
const YIELDS: u32 = 4;

/// The answer to one append.
pub type AppendReply = oneshot::Sender<Result<Offset, StoreError>>;

/// What the committer is asked.
pub enum Op {
    /// Append one record.
    Append {
        /// To which shard.
        shard: ShardId,
        /// The record.
        record: NewRecord,
        /// Where the answer goes.
        reply: AppendReply,
    },
    /// An entity was read up to `head` and may append after it.
    Woken {
        /// Which.
        entity: EntityKey,
        /// Its last record.
        head: Seq,
    },
    /// An entity sleeps.
    Forget {
        /// Which.
        entity: EntityKey,
    },
    /// A conditional cell.
    Cas(Cas),
    /// A shard was taken; its next record gets this offset.
    Took {
        /// Which.
        shard: ShardId,
        /// The offset after its last record.
        next: Offset,
    },
    /// Commit what is queued, then end and answer.
    Close(oneshot::Sender<()>),
}

/// A compare-and-set on a cell.
pub struct Cas {
    /// Which cell.
    pub key: Bytes,
    /// What it must hold now.
    pub expect: Option<Bytes>,
    /// What it then holds; `None` removes it.
    pub new: Option<Bytes>,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Result<CasOutcome, StoreError>>,
}

/// A record that was admitted: it has its offset.
pub struct Admitted {
    /// To which shard.
    pub shard: ShardId,
    /// Its number in the shard's log.
    pub offset: Offset,
    /// The record.
    pub record: NewRecord,
}

/// What is committed at once, all or nothing.
#[derive(Default)]
pub struct Batch {
    /// The records, of each shard and each entity in order.
    pub records: Vec<Admitted>,
    /// Cells to set or remove.
    pub cells: Vec<(Bytes, Option<Bytes>)>,
}

/// What a store does for the committer.
pub trait Backend: Send + 'static {
    /// Makes the whole batch durable, all or nothing, or fails for good.
    ///
    /// # Errors
    /// Any error ends the committer.
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError>;
    /// The current value of a cell, as of the last commit.
    ///
    /// # Errors
    /// Any [`StoreError`] of reading.
    fn cell(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError>;
    /// Called when the committer cannot go on; a durable store ends the process here.
    fn failed(&mut self, error: &StoreError);
}

/// Test-only: ways to break the promise, so that the checks can be shown to notice.
#[derive(Clone, Copy, Default, Debug)]
pub struct Sabotage {
    /// Answer appends before they are committed.
    pub reply_before_append: bool,
}

/// Who may append what: where each awake entity's journal stands and each shard's next offset.
#[derive(Default)]
struct Admission {
    heads: HashMap<EntityKey, Seq>,
    next: HashMap<ShardId, Offset>,
}

impl Admission {
    fn admit(&mut self, shard: ShardId, record: &NewRecord) -> Result<Offset, StoreError> {
        let Some(next) = self.next.get_mut(&shard) else {
            return Err(StoreError::Fenced { log: format!("shard {}", shard.0) });
        };
        let actual = self.heads.get_mut(&record.entity);
        match actual {
            Some(head) if *head + 1 == record.seq => {
                *head = record.seq;
                let offset = *next;
                *next += 1;
                Ok(offset)
            }
            other => Err(StoreError::Conflict {
                entity: record.entity,
                expected: record.seq.saturating_sub(1),
                actual: other.copied(),
            }),
        }
    }
}

/// Drains the queue until it closes. Runs on a thread of its own.
pub fn run(mut queue: mpsc::Receiver<Op>, mut backend: impl Backend, sabotage: Sabotage) {
    let mut admission = Admission::default();
    // What was received and has not found room yet, the next one last.
    let mut ops = Vec::with_capacity(BATCH_RECORDS);
    loop {
        if ops.is_empty() {
            if queue.blocking_recv_many(&mut ops, BATCH_RECORDS) == 0 {
                return;
            }
            ops.reverse();
        }
        let mut round = Round::default();
        // What arrived meanwhile joins, up to the bounds. Nothing waits for more to come: the processor is offered
        // to those who are about to append, and the batch is closed as soon as that brings nobody.
        let mut yielded = 0;
        while !round.is_full() {
            match ops.pop().or_else(|| queue.try_recv().ok()) {
                Some(op) => {
                    round.add(op, &mut admission, &backend, sabotage);
                    yielded = 0;
                }
                None if yielded == YIELDS => break,
                None => {
                    yielded += 1;
                    std::thread::yield_now();
                }
            }
        }
        if sabotage.reply_before_append {
            // As a slow disk would: what was answered is not there yet.
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        if let Err(error) = round.settle(&mut backend) {
            backend.failed(&error);
            return;
        }
        if let Some(done) = round.closing {
            return answer(done, ());
        }
    }
}

/// One batch in the making, and who waits for it.
#[derive(Default)]
struct Round {
    batch: Batch,
    taken: usize,
    bytes: usize,
    appends: Vec<(AppendReply, Offset)>,
    cas: Vec<(oneshot::Sender<Result<CasOutcome, StoreError>>, CasOutcome)>,
    closing: Option<oneshot::Sender<()>>,
}

impl Round {
    /// Whether it takes no more. A frame has 64 KiB at most, so a batch stays far below a store's limits.
    fn is_full(&self) -> bool {
        self.taken >= BATCH_RECORDS || self.bytes >= BATCH_BYTES || self.closing.is_some()
    }

    fn add(&mut self, op: Op, admission: &mut Admission, backend: &impl Backend, sabotage: Sabotage) {
        self.taken += 1;
        match op {
            Op::Append { shard, record, reply } => match admission.admit(shard, &record) {
                Ok(offset) => {
                    self.bytes += record.frame.len();
                    self.batch.records.push(Admitted { shard, offset, record });
                    if sabotage.reply_before_append {
                        answer(reply, Ok(offset));
                    } else {
                        self.appends.push((reply, offset));
                    }
                }
                Err(error) => answer(reply, Err(error)),
            },
            Op::Cas(cas) => self.add_cas(cas, backend),
            Op::Woken { entity, head } => {
                admission.heads.insert(entity, head);
            }
            Op::Forget { entity } => {
                admission.heads.remove(&entity);
            }
            Op::Took { shard, next } => {
                // Taken again: what is in flight is already counted.
                admission.next.entry(shard).or_insert(next);
            }
            Op::Close(done) => self.closing = Some(done),
        }
    }

    fn add_cas(&mut self, cas: Cas, backend: &impl Backend) {
        let earlier = self.batch.cells.iter().rev().find(|(key, _)| *key == cas.key);
        let before = match earlier {
            Some((_, value)) => Ok(value.clone()),
            None => backend.cell(&cas.key),
        };
        match before {
            Ok(before) if before == cas.expect => {
                self.bytes += cas.key.len() + cas.new.as_ref().map_or(0, Bytes::len);
                self.batch.cells.push((cas.key, cas.new));
                self.cas.push((cas.reply, CasOutcome { applied: true, before }));
            }
            // "Not applied" is answered with the round too: what it saw may only be durable then.
            Ok(before) => self.cas.push((cas.reply, CasOutcome { applied: false, before })),
            Err(error) => answer(cas.reply, Err(error)),
        }
    }

    fn settle(&mut self, backend: &mut impl Backend) -> Result<(), StoreError> {
        if !self.batch.records.is_empty() || !self.batch.cells.is_empty() {
            backend.commit(&self.batch)?;
        }
        for (reply, offset) in self.appends.drain(..) {
            answer(reply, Ok(offset));
        }
        for (reply, outcome) in self.cas.drain(..) {
            answer(reply, Ok(outcome));
        }
        Ok(())
    }
}

/// The caller may have gone away; the record stands all the same.
fn answer<T>(reply: oneshot::Sender<T>, value: T) {
    if reply.send(value).is_err() {
        tracing::trace!("nobody waits for this answer any more");
    }
}
