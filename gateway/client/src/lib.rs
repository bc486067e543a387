//! The other end of the wire: a client, a load driver, and files of real baskets.
//!
//! | module | holds |
//! | --- | --- |
//! | [`connection`] | one kept-alive HTTP/1.1 connection |
//! | [`events`] | a member's event stream |
//! | [`journey`] | a grocer's transactions (The Complete Journey, 84.51°) as purchases |
//! | [`load`] | closed loops and fixed rates over many connections, with percentiles |
//!
//! Invariant: it knows the node by its HTTP surface alone.

pub mod connection;
pub mod events;
pub mod journey;
pub mod load;

pub use connection::{Connection, ConnectionError};
