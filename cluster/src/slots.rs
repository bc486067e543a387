//! Entity → actor: a shared map, so that finding an awake entity costs no message.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arc_swap::ArcSwapOption;
use dashmap::DashMap;
use ractor::ActorRef;
use tessera_storage::EntityKey;

use crate::behaviour::Behaviour;
use crate::clock::age_seconds;
use crate::entity::Message;

/// An awake entity, as callers see it.
pub struct Slot<B: Behaviour> {
    pub(crate) actor: ActorRef<Message<B>>,
    pub(crate) view: Arc<ArcSwapOption<B::View>>,
    last_used: AtomicU32,
    in_flight: AtomicU32,
    streams: AtomicU32,
}

impl<B: Behaviour> Slot<B> {
    pub(crate) fn new(actor: ActorRef<Message<B>>, view: Arc<ArcSwapOption<B::View>>) -> Self {
        Self { actor, view, last_used: AtomicU32::new(age_seconds()), in_flight: AtomicU32::new(0), streams: AtomicU32::new(0) }
    }

    pub(crate) fn touch(&self) {
        self.last_used.store(age_seconds(), Ordering::Relaxed);
    }

    /// Seconds since a caller last came by.
    pub(crate) fn idle_seconds(&self) -> u32 {
        age_seconds().saturating_sub(self.last_used.load(Ordering::Relaxed))
    }

    /// Nothing on the way to it, nobody listening.
    pub(crate) fn is_quiet(&self) -> bool {
        self.in_flight.load(Ordering::Acquire) == 0 && self.streams.load(Ordering::Acquire) == 0
    }
}

/// One caller's request, counted in the slot until it is dropped.
pub(crate) struct InFlight<B: Behaviour>(Arc<Slot<B>>);

impl<B: Behaviour> InFlight<B> {
    /// `None` when `bound` requests are already on their way.
    pub(crate) fn enter(slot: &Arc<Slot<B>>, bound: u32) -> Option<Self> {
        if slot.in_flight.fetch_add(1, Ordering::AcqRel) >= bound {
            slot.in_flight.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        slot.touch();
        Some(Self(slot.clone()))
    }
}

impl<B: Behaviour> Drop for InFlight<B> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

/// One live stream, counted in the slot until it is dropped: its entity is not put to sleep.
pub struct Listening<B: Behaviour>(Arc<Slot<B>>);

impl<B: Behaviour> Listening<B> {
    pub(crate) fn enter(slot: &Arc<Slot<B>>) -> Self {
        slot.streams.fetch_add(1, Ordering::AcqRel);
        Self(slot.clone())
    }
}

impl<B: Behaviour> Drop for Listening<B> {
    fn drop(&mut self) {
        self.0.touch();
        self.0.streams.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The map. Only a shard inserts and removes.
pub struct Slots<B: Behaviour>(DashMap<EntityKey, Arc<Slot<B>>>);

impl<B: Behaviour> Default for Slots<B> {
    fn default() -> Self {
        Self(DashMap::new())
    }
}

impl<B: Behaviour> Slots<B> {
    /// The slot of an awake entity.
    #[must_use]
    pub fn get(&self, entity: &EntityKey) -> Option<Arc<Slot<B>>> {
        self.0.get(entity).map(|slot| slot.clone())
    }

    /// How many are awake.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is awake.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn insert(&self, entity: EntityKey, slot: Arc<Slot<B>>) {
        self.0.insert(entity, slot);
    }

    pub(crate) fn remove(&self, entity: &EntityKey) {
        self.0.remove(entity);
    }
}
