//! What a member is asked to do.

use std::sync::Arc;

use crate::Text;
use crate::basket::Basket;
use crate::keys::Keys;
use crate::record::{Alias, Asked};

/// A command and the key it came under.
#[derive(Clone, Debug)]
pub struct Command {
    /// `Idempotency-Key` hashed with the API key; 0 = none was given.
    pub header: u128,
    pub ask: Ask,
}

/// The closed list of commands; each has a file in [`crate::decide`].
#[derive(Clone, Debug)]
pub enum Ask {
    Enrol { aliases: Vec<Alias> },
    Purchase(Box<Purchase>),
    PlaceHold { asked: Asked, ttl_ms: Option<i64> },
    ConfirmHold { hold: u64, points: Option<i64> },
    CancelHold { hold: u64 },
    Redeem { asked: Asked },
    Adjust { points: i64, reason: Text, allow_debt: bool, write_off: bool },
}

/// A purchase.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Purchase {
    /// Shared with the record that it becomes.
    pub basket: Arc<Basket>,
    pub keys: Keys,
    /// Alias it was sent under, as (kind, hash): must be the member's at `occurred_at`.
    pub alias: Option<(Text, u128)>,
}
