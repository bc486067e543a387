//! Sharded, persistent entities. Knows nothing of loyalty.
//!
//! | module | holds |
//! | --- | --- |
//! | [`behaviour`] | the [`Behaviour`] trait: what one kind of entity decides and folds |
//! | [`entity`] | the one actor that runs any behaviour: recover → needs → decide → append → apply → view → reply → publish |
//! | [`slots`] | the shared map entity → actor, view and load: looking up is not a message |
//! | [`shard`] | the supervisor: wakes, passivates, drains its entities |
//! | [`region`] | where callers come in: routes to the shard, bounds what is in flight |
//! | [`ownership`] | the shards this node holds |
//! | [`clock`] | now |
//!
//! Invariants: at most one actor per entity at a time; a reply to a command leaves only after its
//! record is durable; every queue has a bound, named where it stands.

pub mod behaviour;
pub mod clock;
pub mod entity;
pub mod ownership;
pub mod region;
pub mod shard;
pub mod slots;

pub use behaviour::{Behaviour, Decision, Failure, Needs, Published, Reply};
pub use clock::{Clock, Millis};
pub use entity::handler_size;
pub use ownership::Ownership;
pub use region::{Limits, Region, Subscription};
