//! A behaviour per kind of entity, and the façade that callers use.
//!
//! | module | holds |
//! | --- | --- |
//! | `aliases` | who holds an alias, and who held it |
//! | [`board`] | every programme version this node has heard of, as one immutable snapshot |
//! | [`budgets`] | [`Budgets`]: what is left of campaigns, lent to this node |
//! | [`closes`] | closes of accounting days |
//! | [`feed`] | the journals of all members, in order |
//! | [`finance`] | [`Finance`]: roll-forward, closes, cohorts, simulation |
//! | [`history`] | the programme as an entity: its versions, kept whole; [`Histories`], the façade |
//! | [`member`] | the member as a [`tessera_cluster::Behaviour`]: the domain's decisions, the codec's bytes |
//! | [`members`] | [`Members`], the typed façade: enrol, command, view |
//! | [`plain`] | entities of few words |
//! | [`receipts`] | [`Receipts`]: for which member a receipt counts; exceptions |
//! | [`reminders`] | wakes members for whom something is due |
//! | [`names`] | entity keys, member ids, hashes of aliases and request keys |
//!
//! Invariant: nothing here decides points; a rule about points found here is a bug.

mod aliases;
pub mod board;
pub mod budgets;
pub mod closes;
pub mod feed;
pub mod finance;
pub mod history;
pub mod member;
pub mod members;
pub mod names;
pub mod plain;
pub mod receipts;
pub mod reminders;

pub use board::Board;
pub use budgets::{Budgets, Purse};
pub use feed::Feed;
pub use finance::Finance;
pub use history::{Histories, Saving};
pub use receipts::Receipts;
pub use members::{Done, Followed, SagaState, Located, Members, Miss, Who};
