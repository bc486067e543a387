//! Where callers come in: finds the entity, bounds what is in flight.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ractor::{Actor, ActorRef};
use tessera_storage::{EntityKey, Seq, StoreError};
use tokio::sync::{Semaphore, broadcast, oneshot};

use crate::behaviour::{Behaviour, Failure, Published, Reply};
use crate::entity::{Message, Request};
use crate::ownership::{Ownership, shard_of};
use crate::shard::{Shard, ShardBirth, ShardMessage, forward};
use crate::slots::{Listening, Slots};

/// Bounds of one node.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Commands and questions in flight; at the bound: [`Failure::Overloaded`].
    pub in_flight: usize,
    /// Of those, for one entity; at the bound: [`Failure::Busy`].
    pub per_entity: u32,
    /// Entities kept awake; beyond it the longest idle ones sleep.
    pub awake: usize,
    /// After how long without a caller an entity sleeps.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { in_flight: 4_096, per_entity: 256, awake: 200_000, idle: Duration::from_secs(120) }
    }
}

/// Entities of one kind on this node. Cheap to clone.
pub struct Region<B: Behaviour>(Arc<Inner<B>>);

impl<B: Behaviour> Clone for Region<B> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

struct Inner<B: Behaviour> {
    behaviour: Arc<B>,
    slots: Arc<Slots<B>>,
    shards: Vec<ActorRef<ShardMessage<B>>>,
    ownership: Ownership,
    permits: Semaphore,
    limits: Limits,
}

/// A live reader's end: records after `head`.
pub struct Subscription<B: Behaviour> {
    /// The records, as they are published.
    pub receiver: broadcast::Receiver<Arc<Published<B>>>,
    /// The last record before the first that the receiver gives.
    pub head: Seq,
    _listening: Option<Listening<B>>,
}

impl<B: Behaviour> Region<B> {
    /// Starts the shards' supervisors over the logs that this node holds.
    ///
    /// # Errors
    /// A sentence when an actor cannot be started.
    pub async fn start(behaviour: Arc<B>, ownership: Ownership, limits: Limits) -> Result<Self, String> {
        let slots = Arc::new(Slots::default());
        let mut shards = Vec::with_capacity(ownership.logs().len());
        for log in ownership.logs() {
            let birth = ShardBirth {
                behaviour: behaviour.clone(),
                log: log.clone(),
                slots: slots.clone(),
                limits,
                awake: limits.awake.div_ceil(ownership.logs().len()),
            };
            let (shard, _) = Shard::spawn(None, Shard::default(), birth).await.map_err(|e| e.to_string())?;
            shards.push(shard);
        }
        let region = Self(Arc::new(Inner { behaviour, slots, shards, ownership, permits: Semaphore::new(limits.in_flight), limits }));
        region.sweep_now_and_then();
        Ok(region)
    }

    fn sweep_now_and_then(&self) {
        let weak = Arc::downgrade(&self.0);
        let every = self.0.limits.idle.clamp(Duration::from_millis(100), Duration::from_secs(5));
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                let Some(inner) = weak.upgrade() else { return };
                for shard in &inner.shards {
                    // A shard that has ended has nothing awake.
                    drop(shard.send_message(ShardMessage::Sweep));
                }
            }
        });
    }

    /// Sends a command and waits for its answer, at most until `deadline`.
    pub async fn ask(&self, entity: EntityKey, command: B::Command, deadline: Instant) -> Reply<B> {
        let Ok(_permit) = self.0.permits.try_acquire() else { return Reply::Failed(Failure::Overloaded) };
        let (reply, answer) = oneshot::channel();
        self.deliver(entity, Message::Do(Request { content: command, deadline, reply, in_flight: None }));
        match tokio::time::timeout_at(deadline.into(), answer).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) => Reply::Failed(Failure::Unknown("the member's actor ended before it answered; send the same request again".into())),
            Err(_) => Reply::Failed(Failure::Unknown("the deadline passed before the answer came; send the same request again".into())),
        }
    }

    /// Asks a question of the whole state.
    ///
    /// # Errors
    /// Any [`Failure`]; a question has no effect.
    pub async fn query(&self, entity: EntityKey, query: B::Query, deadline: Instant) -> Result<B::Answer, Failure> {
        let Ok(_permit) = self.0.permits.try_acquire() else { return Err(Failure::Overloaded) };
        let (reply, answer) = oneshot::channel();
        self.deliver(entity, Message::Ask(Request { content: query, deadline, reply, in_flight: None }));
        match tokio::time::timeout_at(deadline.into(), answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(Failure::Expired),
        }
    }

    /// What an awake entity last showed; `None` when it sleeps.
    #[must_use]
    pub fn view(&self, entity: &EntityKey) -> Option<Arc<B::View>> {
        let slot = self.0.slots.get(entity)?;
        slot.touch();
        slot.view.load_full()
    }

    /// How many entities are awake.
    #[must_use]
    pub fn awake(&self) -> usize {
        self.0.slots.len()
    }

    /// Becomes a live reader.
    ///
    /// # Errors
    /// `Stopped` or `Unavailable`.
    pub async fn subscribe(&self, entity: EntityKey, deadline: Instant) -> Result<Subscription<B>, Failure> {
        let (reply, answer) = oneshot::channel();
        self.deliver(entity, Message::Subscribe(reply));
        let answered = tokio::time::timeout_at(deadline.into(), answer).await.map_err(|_| Failure::Expired)?;
        let (receiver, head) = answered.map_err(|_| Failure::Unavailable("the member's actor ended; try again".into()))??;
        let _listening = self.0.slots.get(&entity).map(|slot| Listening::enter(&slot));
        Ok(Subscription { receiver, head, _listening })
    }

    /// Records `from ..= to` that exist, oldest first, read from the journal.
    ///
    /// # Errors
    /// `Stopped` when one is damaged, `Unavailable` when the store cannot be read.
    pub async fn history(&self, entity: EntityKey, from: Seq, to: Seq) -> Result<Vec<(Seq, Arc<B::Record>)>, Failure> {
        let found = self.0.ownership.log(&entity).history(entity, from, to).await.map_err(|e| match e {
            StoreError::Corrupt(text) => Failure::Stopped(text),
            other => Failure::Unavailable(other.to_string()),
        })?;
        let decode = |stored: tessera_storage::Stored| {
            let record = self.0.behaviour.decode(&entity, stored.seq, &stored.frame).map_err(Failure::Stopped)?;
            Ok((stored.seq, Arc::new(record)))
        };
        found.into_iter().map(decode).collect()
    }

    /// Lets every entity finish what it has and sleep. Nothing is taken any more.
    pub async fn drain(&self) {
        self.0.permits.close();
        let mut waiting = Vec::with_capacity(self.0.shards.len());
        for shard in &self.0.shards {
            let (done, drained) = oneshot::channel();
            if shard.send_message(ShardMessage::Drain(done)).is_ok() {
                waiting.push(drained);
            }
        }
        for drained in waiting {
            // An error says that the shard has ended, so its entities have too.
            drop(drained.await);
        }
    }

    fn deliver(&self, entity: EntityKey, message: Message<B>) {
        let message = match self.0.slots.get(&entity) {
            Some(slot) => match forward(&slot, message, self.0.limits.per_entity) {
                Ok(()) => return,
                Err(message) => message,
            },
            None => message,
        };
        let shards = u16::try_from(self.0.shards.len()).unwrap_or(u16::MAX);
        let shard = &self.0.shards[usize::from(shard_of(&entity, shards).0)];
        // A shard that has ended drops the message, and with it the reply: the caller is told.
        drop(shard.send_message(ShardMessage::Deliver(entity, message)));
    }
}
