//! The supervisor of one shard's entities: wakes, passivates, drains.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use tessera_storage::{EntityKey, ShardLog};
use tokio::sync::oneshot;

use crate::behaviour::{Behaviour, Failure, Reply};
use crate::entity::{Birth, Entity, Message};
use crate::region::Limits;
use crate::slots::{InFlight, Slot, Slots};

/// Messages held for one entity while its last actor ends; more are refused.
const HELD: usize = 256;

/// What a shard is sent.
pub enum ShardMessage<B: Behaviour> {
    /// For an entity that had no slot, or whose actor no longer took it.
    Deliver(EntityKey, Message<B>),
    /// Put to sleep who has been idle.
    Sweep,
    /// Let every entity finish what it has, write its snapshot, and answer.
    Drain(oneshot::Sender<()>),
}

/// What a shard is born with.
pub struct ShardBirth<B: Behaviour> {
    pub(crate) behaviour: Arc<B>,
    pub(crate) log: ShardLog,
    pub(crate) slots: Arc<Slots<B>>,
    pub(crate) limits: Limits,
    /// How many of its entities may be awake.
    pub(crate) awake: usize,
}

/// A shard's state.
pub struct ShardState<B: Behaviour> {
    birth: ShardBirth<B>,
    awake: HashMap<EntityKey, Arc<Slot<B>>>,
    /// Actors that are ending, and what waits for their successors.
    ending: HashMap<EntityKey, Vec<Message<B>>>,
    names: HashMap<ActorId, EntityKey>,
    draining: bool,
}

/// The actor.
pub struct Shard<B>(std::marker::PhantomData<fn() -> B>);

impl<B> Default for Shard<B> {
    fn default() -> Self {
        Self(std::marker::PhantomData)
    }
}

impl<B: Behaviour> Actor for Shard<B> {
    type Msg = ShardMessage<B>;
    type State = ShardState<B>;
    type Arguments = ShardBirth<B>;

    async fn pre_start(&self, _myself: ActorRef<Self::Msg>, birth: ShardBirth<B>) -> Result<Self::State, ActorProcessingErr> {
        Ok(ShardState { birth, awake: HashMap::new(), ending: HashMap::new(), names: HashMap::new(), draining: false })
    }

    async fn handle(&self, myself: ActorRef<Self::Msg>, message: Self::Msg, state: &mut Self::State) -> Result<(), ActorProcessingErr> {
        match message {
            ShardMessage::Deliver(key, message) => state.deliver(&myself, key, message).await,
            ShardMessage::Sweep => state.sweep(),
            ShardMessage::Drain(done) => {
                state.draining = true;
                myself.drain_children_and_wait(None).await;
                for key in state.awake.keys() {
                    state.birth.slots.remove(key);
                }
                if done.send(()).is_err() {
                    tracing::debug!("nobody waits for this drain any more");
                }
            }
        }
        Ok(())
    }

    /// A child that ends, for whatever reason, must not end the shard.
    async fn handle_supervisor_evt(&self, myself: ActorRef<Self::Msg>, event: SupervisionEvent, state: &mut Self::State) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorTerminated(cell, _, _) => state.ended(&myself, cell.get_id()).await,
            SupervisionEvent::ActorFailed(cell, error) => {
                metrics::counter!("tessera_entity_failures_total").increment(1);
                tracing::error!(%error, "an entity's actor failed; the next request wakes it from its journal");
                state.ended(&myself, cell.get_id()).await;
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        Ok(())
    }
}

impl<B: Behaviour> ShardState<B> {
    async fn deliver(&mut self, myself: &ActorRef<ShardMessage<B>>, key: EntityKey, message: Message<B>) {
        if self.draining {
            return refuse(message, || Failure::Unavailable("the node is stopping".into()));
        }
        if let Some(held) = self.ending.get_mut(&key) {
            if held.len() < HELD {
                held.push(message);
            } else {
                refuse(message, || Failure::Busy);
            }
            return;
        }
        let slot = match self.awake.get(&key) {
            Some(slot) => slot.clone(),
            None => match self.wake(myself, key).await {
                Ok(slot) => slot,
                Err(text) => return refuse(message, || Failure::Unavailable(text.clone())),
            },
        };
        if let Err(message) = forward(&slot, message, self.birth.limits.per_entity) {
            // Its actor has just ended; the supervision event is on its way.
            self.birth.slots.remove(&key);
            self.awake.remove(&key);
            self.ending.entry(key).or_default().push(message);
        }
    }

    async fn wake(&mut self, myself: &ActorRef<ShardMessage<B>>, key: EntityKey) -> Result<Arc<Slot<B>>, String> {
        let view = Arc::new(ArcSwapOption::empty());
        let birth = Birth { behaviour: self.birth.behaviour.clone(), key, log: self.birth.log.clone(), view: view.clone() };
        // Instant: the replay runs in the entity's own task, not in this handler.
        let (actor, _) = ractor::ActorRuntime::spawn_linked_instant(None, Entity::<B>::default(), birth, myself.get_cell()).map_err(|e| e.to_string())?;
        self.names.insert(actor.get_id(), key);
        let slot = Arc::new(Slot::new(actor, view));
        self.awake.insert(key, slot.clone());
        self.birth.slots.insert(key, slot.clone());
        Ok(slot)
    }

    fn sweep(&mut self) {
        let idle = u32::try_from(self.birth.limits.idle.as_secs()).unwrap_or(u32::MAX);
        let mut quiet: Vec<(u32, EntityKey)> =
            self.awake.iter().filter(|(_, slot)| slot.is_quiet()).map(|(key, slot)| (slot.idle_seconds(), *key)).collect();
        quiet.sort_unstable_by(|a, b| b.cmp(a));
        let over = self.awake.len().saturating_sub(self.birth.awake);
        for (place, (seconds, key)) in quiet.into_iter().enumerate() {
            if seconds < idle && place >= over {
                break;
            }
            self.birth.slots.remove(&key);
            if let Some(slot) = self.awake.remove(&key) {
                self.ending.entry(key).or_default();
                // Already ended: the event that says so is on its way.
                drop(slot.actor.drain());
            }
        }
    }

    /// Only now may a successor start: the old actor's last append has been answered.
    async fn ended(&mut self, myself: &ActorRef<ShardMessage<B>>, id: ActorId) {
        let Some(key) = self.names.remove(&id) else { return };
        if self.awake.get(&key).is_some_and(|slot| slot.actor.get_id() == id) {
            self.awake.remove(&key);
            self.birth.slots.remove(&key);
        }
        self.birth.log.forget(key).await;
        for message in self.ending.remove(&key).into_iter().flatten() {
            self.deliver_held(myself, key, message).await;
        }
    }

    async fn deliver_held(&mut self, myself: &ActorRef<ShardMessage<B>>, key: EntityKey, message: Message<B>) {
        Box::pin(self.deliver(myself, key, message)).await;
    }
}

/// Counts the message in the slot and sends it; handed back when the actor no longer takes it.
pub(crate) fn forward<B: Behaviour>(slot: &Arc<Slot<B>>, mut message: Message<B>, bound: u32) -> Result<(), Message<B>> {
    let entered = match &mut message {
        Message::Do(request) => InFlight::enter(slot, bound).map(|guard| request.in_flight = Some(guard)),
        Message::Ask(request) => InFlight::enter(slot, bound).map(|guard| request.in_flight = Some(guard)),
        Message::Subscribe(_) => Some(()),
    };
    if entered.is_none() {
        refuse(message, || Failure::Busy);
        return Ok(());
    }
    match slot.actor.send_message(message) {
        Ok(()) => Ok(()),
        Err(ractor::MessagingErr::SendErr(message)) => Err(message),
        // The channel cannot fail in another way for a local actor; the reply's drop tells the caller.
        Err(_) => Ok(()),
    }
}

fn refuse<B: Behaviour>(message: Message<B>, failure: impl Fn() -> Failure) {
    let gone = match message {
        Message::Do(request) => request.reply.send(Reply::Failed(failure())).is_err(),
        Message::Ask(request) => request.reply.send(Err(failure())).is_err(),
        Message::Subscribe(reply) => reply.send(Err(failure())).is_err(),
    };
    if gone {
        tracing::trace!("nobody waits for this answer any more");
    }
}
