//! What this node has heard of the programme.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tessera_domain::programme::{Programme, Programmes};

/// One immutable snapshot, replaced as a whole.
#[derive(Debug, Default)]
pub struct Board(ArcSwap<Programmes>);

impl Board {
    /// Starts with these versions.
    #[must_use]
    pub fn new(programmes: Programmes) -> Self {
        Self(ArcSwap::from_pointee(programmes))
    }

    /// Adds a version; one that is there already stays.
    pub fn add(&self, version: &Arc<Programme>) {
        self.0.rcu(|before| before.with(version));
    }

    /// The snapshot as of now.
    #[must_use]
    pub fn programmes(&self) -> Arc<Programmes> {
        self.0.load_full()
    }
}
