//! HTTP: one listener, its limits, its routes.
//!
//! | module | holds |
//! | --- | --- |
//! | [`server`] | the connection loop: bodies, times, connections are bounded before a route sees them |
//! | [`routes`] | which path and method does what |
//! | [`handlers`] | one function per operation: read, command, render |
//! | [`problem`] | every answer that is not a success, as RFC 9457 |
//!
//! Invariant: nothing here decides points, and nothing here reads the store.

mod handlers;
mod problem;
mod routes;
pub mod server;

pub use server::{ServerLimits, Surface, serve};
