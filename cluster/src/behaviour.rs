//! What one kind of entity is: a pure core and its bytes.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use smallvec::SmallVec;
use tessera_storage::{Due, EntityKey, NO_DUE, Page, Seq, Snapshot};

/// Records of its own that a decision must see.
pub type Needs = SmallVec<[Seq; 2]>;

/// One kind of entity. All methods are synchronous; [`crate::entity`] does the I/O between them.
pub trait Behaviour: Send + Sync + 'static {
    /// The fold of the records.
    type State: Send + Sync + 'static;
    /// What callers ask for.
    type Command: Send + 'static;
    /// What one command appends.
    type Record: Send + Sync + 'static;
    /// A business no.
    type Rejection: Send + 'static;
    /// What reads see without the actor.
    type View: Send + Sync + 'static;
    /// A question that needs the whole state.
    type Query: Send + 'static;
    /// Its answer.
    type Answer: Send + 'static;

    /// The state before the first record.
    fn empty(&self, entity: &EntityKey) -> Self::State;
    /// Which records [`Self::decide`] must see: a possible repeat, the sale behind a late return.
    fn needs(&self, state: &Self::State, command: &Self::Command) -> Needs;
    /// Decides. `records` are those that `needs` named, in that order.
    fn decide(&self, state: &Self::State, command: &Self::Command, records: &[(Seq, Arc<Self::Record>)]) -> Decision<Self::Record, Self::Rejection>;
    /// Folds a record in. Total.
    fn apply(&self, state: &mut Self::State, record: &Self::Record);
    /// When the entity wants to be woken after a record, if nobody asks before: not later than that, and perhaps earlier.
    fn due(&self, _state: &Self::State, _record: &Self::Record) -> Due {
        NO_DUE
    }
    /// What reads may see of this state.
    fn view(&self, state: &Self::State) -> Self::View;
    /// Answers a question; `state` may be read only.
    fn answer(&self, state: &Self::State, query: Self::Query) -> Self::Answer;

    /// Number of the last record folded in.
    fn seq(&self, state: &Self::State) -> Seq;
    /// Framed bytes of a record.
    ///
    /// # Errors
    /// A rejection when the record would be larger than a frame may be.
    fn encode(&self, entity: &EntityKey, seq: Seq, record: &Self::Record) -> Result<Bytes, Self::Rejection>;
    /// Reads a frame back.
    ///
    /// # Errors
    /// A sentence for the operator: damaged, or written by a newer version.
    fn decode(&self, entity: &EntityKey, seq: Seq, frame: &[u8]) -> Result<Self::Record, String>;
    /// Pages to keep; those that were written before and have not changed may be left out.
    fn snapshot(&self, entity: &EntityKey, state: &mut Self::State) -> Vec<Page>;
    /// Reads a snapshot; `None` when damaged or of another version: the journal is read instead.
    fn restore(&self, entity: &EntityKey, snapshot: &Snapshot) -> Option<Self::State>;
}

/// What a command comes to.
pub enum Decision<Record, Rejection> {
    /// Append this record.
    Commit(Arc<Record>),
    /// It was done before: answer with this record.
    Repeat(Seq, Arc<Record>),
    /// A business no; nothing is remembered.
    Refuse(Rejection),
}

/// What a caller gets back.
pub enum Reply<B: Behaviour> {
    /// Done, now or before.
    Done {
        /// The record's number.
        seq: Seq,
        /// The record that the answer is rendered from.
        record: Arc<B::Record>,
        /// It was done by an earlier request.
        repeat: bool,
    },
    /// A business no.
    Refused(B::Rejection),
    /// A technical failure.
    Failed(Failure),
}

/// Why a request has no answer. All but `Unknown` certainly had no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The node has too much in flight.
    #[error("the node has too many requests in flight")]
    Overloaded,
    /// This entity has too many requests waiting.
    #[error("too many requests wait for this one member")]
    Busy,
    /// The deadline passed before it was begun.
    #[error("the request waited past its deadline")]
    Expired,
    /// The store or the node cannot serve now.
    #[error("{0}")]
    Unavailable(String),
    /// The entity's stored records are damaged or too new; it is not served.
    #[error("{0}")]
    Stopped(String),
    /// It may or may not have taken effect: send the same again.
    #[error("{0}")]
    Unknown(String),
}

/// A record on its way to live readers; the rendered form is made once for all of them.
pub struct Published<B: Behaviour> {
    /// The record's number.
    pub seq: Seq,
    /// The record.
    pub record: Arc<B::Record>,
    /// Set by the first reader that renders it.
    pub rendered: OnceLock<Bytes>,
}
