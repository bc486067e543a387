//! Now, as the node tells it.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970-01-01T00:00Z.
pub type Millis = i64;

/// The node's clock. With a start it runs from there, as if the folder had been made at that time.
#[derive(Clone, Debug)]
pub struct Clock {
    /// Added to the system's time.
    shift: Millis,
    start: Option<Millis>,
}

impl Clock {
    /// The system's time.
    #[must_use]
    pub fn system() -> Self {
        Self { shift: 0, start: None }
    }

    /// Time that stood at `start` when the system's clock stood at `created`.
    #[must_use]
    pub fn started(start: Millis, created: Millis) -> Self {
        Self { shift: start - created, start: Some(start) }
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub fn now(&self) -> Millis {
        system_now() + self.shift
    }

    /// Where it was started, if it was.
    #[must_use]
    pub fn start_at(&self) -> Option<Millis> {
        self.start
    }

    /// By how much it differs from the system's time, in milliseconds.
    #[must_use]
    pub fn shift(&self) -> Millis {
        self.shift
    }
}

/// The system's time in milliseconds since 1970.
#[must_use]
pub fn system_now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
}

/// Seconds since this process first asked; for ages, not for dates.
#[must_use]
pub(crate) fn age_seconds() -> u32 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    u32::try_from(START.get_or_init(Instant::now).elapsed().as_secs()).unwrap_or(u32::MAX)
}
