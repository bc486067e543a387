//! The ways a store can fail. Each says whether trying again can help.

use crate::{EntityKey, Seq};

/// A technical failure of the store, never a business "no".
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The log was sealed by another node: this node no longer owns the shard.
    #[error("this node no longer writes the log {log}")]
    Fenced {
        /// The sealed log.
        log: String,
    },
    /// The record does not follow the entity's last one. Nothing of it was written.
    #[error("entity {entity:?}: expected to append after {expected}, the journal stands at {actual:?}")]
    Conflict {
        /// Whose journal.
        entity: EntityKey,
        /// The sequence number before the offered record.
        expected: Seq,
        /// Where the journal stands; `None`: it was not woken here.
        actual: Option<Seq>,
    },
    /// Certainly without effect; the same again may succeed.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// It may or may not have been written; the caller must ask again with the same key.
    #[error("the outcome is not known: {0}")]
    OutcomeUnknown(String),
    /// Stored bytes are damaged. The entity they belong to is not served.
    #[error("stored data is damaged: {0}")]
    Corrupt(String),
    /// The store cannot go on; the process should end.
    #[error("{0}")]
    Fatal(String),
}
