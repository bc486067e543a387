//! The durable store of one machine: a folder, no server.
//!
//! ```text
//! <folder>/LOCK      held while a process serves from the folder
//! <folder>/FORMAT    format version and shard count, written last when a folder is made
//! <folder>/log/      fjall database: the journal and the cells. Synced before every acknowledgement
//! <folder>/index/    fjall database: where each entity's records lie, snapshots. A cache: not
//!                    synced, lags by a window, rebuilt from the log when missing or damaged
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | [`folder`] | lock, format, first creation |
//! | [`rows`] | the bytes of a log row and of an index run |
//! | [`log`] | the journal's database: commits, reads by place |
//! | [`index`] | the index's database: runs, snapshots, how far each shard is indexed |
//! | [`indexer`] | the thread that moves the tail into the index |
//! | [`store`] | [`EmbeddedStore`]: the traits on top |
//!
//! Invariant: every byte in `index/` can be made again from `log/`, and `index/` never knows of a
//! record that `log/` has not synced. So an index ahead of the log proves that the log lost data.

pub mod folder;
pub mod index;
pub mod indexer;
pub mod log;
pub mod rows;
pub mod store;
pub mod witness;

pub use store::{EmbeddedOptions, EmbeddedStore, Fatal};
