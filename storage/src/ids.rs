//! Names of things in a store.

use std::fmt;

/// One of the fixed number of parts that entities are hashed into.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ShardId(pub u16);

/// Counts the takes and releases of one shard; a larger one is newer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Epoch(pub u64);

/// Position of a record in its shard's log: dense, from 0.
pub type Offset = u64;

/// Position of a record in its entity's journal: dense, from 1. 0 means "nothing yet".
pub type Seq = u64;

/// When an entity wants to be woken: milliseconds since 1970. The store compares it and knows nothing else of time.
pub type Due = i64;
/// Never.
pub const NO_DUE: Due = Due::MAX;

/// One incarnation of a node: a name that is never used again.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct NodeId(pub String);

/// An entity's name in fixed bytes: programme, kind and id, laid out by the caller.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntityKey(pub [u8; EntityKey::LEN]);

impl EntityKey {
    /// Length in bytes.
    pub const LEN: usize = 22;
}

impl fmt::Debug for EntityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}
