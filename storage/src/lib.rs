//! Store traits over bytes: what a journal must do, and nothing about points.
//!
//! | module | holds |
//! | --- | --- |
//! | [`ids`] | shard, epoch, offset, entity key |
//! | [`error`] | the closed list of ways a store can fail |
//! | [`store`] | the traits [`Store`], [`ShardReads`], [`Cells`], and [`ShardLog`], the handle of a held shard |
//! | [`committer`] | one writer for many shards: admission, offsets, group commit |
//! | [`tail`] | [`TailIndex`]: what is durable and not yet indexed |
//! | [`memory`] | a store without a disk, for tests |
//! | [`contract`] | the suite that each store passes |
//!
//! Invariant: a record is acknowledged only after [`committer::Backend::commit`] has made its
//! whole batch durable; per shard the offsets are dense, per entity the sequence numbers are.

pub mod committer;
pub mod contract;
pub mod error;
pub mod ids;
pub mod memory;
pub mod store;
pub mod tail;

pub use error::StoreError;
pub use ids::{Due, EntityKey, Epoch, NO_DUE, NodeId, Offset, Seq, ShardId};
pub use memory::MemoryStore;
pub use store::{CasOutcome, Cells, NewRecord, Page, ShardLog, ShardReads, Snapshot, Store, Stored, Wake};
pub use tail::TailIndex;
