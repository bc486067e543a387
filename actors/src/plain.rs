//! Entities of few words: a state, what it is told, and what is new of it. No dedupe by key.

use std::sync::Arc;

use bytes::Bytes;
use tessera_cluster::{Behaviour, Decision, Needs};
use tessera_codec::{Damage, TooLong};
use tessera_storage::{EntityKey, Page, Seq, Snapshot};

/// One kind of them.
pub trait Plain: Send + Sync + 'static {
    type State: Default + Send + Sync + 'static;
    type Told: Send + 'static;
    type Record: Send + Sync + 'static;
    type Question: Send + 'static;
    type Answer: Send + 'static;

    /// Answers without handing the whole state out.
    fn answer(state: &Self::State, question: Self::Question) -> Self::Answer;
    /// What is new; `None`: nothing, and nothing is appended.
    fn decide(state: &Self::State, told: &Self::Told) -> Option<Self::Record>;
    fn apply(state: &mut Self::State, record: &Self::Record);
    fn seq(state: &Self::State) -> Seq;
    /// # Errors
    /// `TooLong` when the body would be longer than a frame may be.
    fn encode(entity: &[u8], seq: Seq, record: &Self::Record) -> Result<Bytes, TooLong>;
    /// # Errors
    /// When it is damaged or newer.
    fn decode(entity: &[u8], seq: Seq, bytes: &[u8]) -> Result<Self::Record, Damage>;
}

/// Why nothing was appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Nothing {
    New,
    TooLong,
}

/// It as a behaviour.
pub struct Entity<P>(pub std::marker::PhantomData<fn() -> P>);

impl<P: Plain> Behaviour for Entity<P> {
    type State = P::State;
    type Command = P::Told;
    type Record = P::Record;
    type Rejection = Nothing;
    type View = ();
    type Query = P::Question;
    type Answer = P::Answer;

    fn empty(&self, _entity: &EntityKey) -> P::State {
        P::State::default()
    }

    fn needs(&self, _state: &P::State, _told: &P::Told) -> Needs {
        Needs::new()
    }

    fn decide(&self, state: &P::State, told: &P::Told, _records: &[(Seq, Arc<P::Record>)]) -> Decision<P::Record, Nothing> {
        P::decide(state, told).map_or(Decision::Refuse(Nothing::New), |record| Decision::Commit(Arc::new(record)))
    }

    fn apply(&self, state: &mut P::State, record: &P::Record) {
        P::apply(state, record);
    }

    fn view(&self, _state: &P::State) {}

    fn answer(&self, state: &P::State, question: P::Question) -> P::Answer {
        P::answer(state, question)
    }

    fn seq(&self, state: &P::State) -> Seq {
        P::seq(state)
    }

    fn encode(&self, entity: &EntityKey, seq: Seq, record: &P::Record) -> Result<Bytes, Nothing> {
        P::encode(&entity.0, seq, record).map_err(|TooLong| Nothing::TooLong)
    }

    fn decode(&self, entity: &EntityKey, seq: Seq, frame: &[u8]) -> Result<P::Record, String> {
        P::decode(&entity.0, seq, frame).map_err(|e| e.to_string())
    }

    // The journal is its own snapshot: it is read whole when the entity wakes.
    fn snapshot(&self, _entity: &EntityKey, _state: &mut P::State) -> Vec<Page> {
        Vec::new()
    }

    fn restore(&self, _entity: &EntityKey, _snapshot: &Snapshot) -> Option<P::State> {
        None
    }
}
