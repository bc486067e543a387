//! The durable store of one machine: a folder, no server.
//!
//! ```text
//! <folder>/LOCK      held while a process serves from the folder
//! <folder>/FORMAT    format version and shard count, written last when a folder is made
//! <folder>/log/      the journal and the cells, in segments. Flushed before every acknowledgement
//! <folder>/index/    fjall database: where each entity's records lie, cells, snapshots. A cache: not
//!                    synced, lags by a window, rebuilt from the log when missing or damaged
//! <folder>/ACKNOWLEDGED  how many rows of the log were acknowledged, at least
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | [`folder`] | lock, format, first creation |
//! | [`rows`] | the bytes of a log row and of an index run |
//! | [`segments`] | the files of the log, made ahead |
//! | [`log`] | reads of the log: one record, row after row, where it ends |
//! | [`writer`] | writes of the log |
//! | [`witness`] | what was acknowledged |
//! | [`watch`] | notices a write that does not come back |
//! | [`index`] | the index's database: runs, cells, snapshots, how far the log is indexed |
//! | [`indexer`] | the thread that moves the tail into the index |
//! | [`store`] | [`EmbeddedStore`]: the traits on top |
//!
//! Invariant: every byte in `index/` can be made again from `log/`, and `index/` never knows of a
//! record that `log/` has not synced. So an index ahead of the log proves that the log lost data.
//!
//! Why the log is not a database as well: it has one writer, is only appended to, and is read by place. In fjall each
//! record was written twice (journal, table), a commit took twice the processor, tables that were being made stalled
//! commits for 20 to 100 ms, and a flipped bit in its journal silently cut off all that stood after it.

pub mod folder;
pub mod index;
pub mod indexer;
pub mod log;
pub mod rows;
pub mod segments;
pub mod store;
pub mod watch;
pub mod witness;
pub mod writer;

pub use store::{EmbeddedOptions, EmbeddedStore, Fatal};
