//! HTTP: one listener, its limits, its routes.
//!
//! | module | holds |
//! | --- | --- |
//! | [`server`] | the connection loop: bodies, times, connections are bounded before a route sees them |
//! | [`routes`] | which path and method does what |
//! | [`handlers`] | one function per operation: read, command, render; its part of the API document |
//! | [`stream`] | server-sent events: history, then live, with a bound for slow readers |
//! | `jobs` | what takes longer than a request |
//! | `signer` | signs the tokens of allowances |
//! | `metric_names` | what is counted |
//! | [`docs`] | the OpenAPI document, its browser, the metrics |
//! | [`problem`] | every answer that is not a success, as RFC 9457 |
//!
//! Invariant: nothing here decides points, and nothing here reads the store.

mod docs;
mod handlers;
pub mod jobs;
mod metric_names;
mod problem;
mod routes;
pub mod server;
mod signer;
mod stream;

pub use signer::Signer;
pub use server::{ServerLimits, Surface, serve};
