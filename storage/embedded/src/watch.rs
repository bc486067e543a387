//! Notices a write that does not come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tessera_storage::StoreError;

use crate::store::{Fatal, spawn};

/// A commit that takes longer than this ends the process.
const COMMIT_LIMIT: Duration = Duration::from_secs(10);
/// A window of the index that takes longer than this ends the process.
const INDEX_LIMIT: Duration = Duration::from_secs(120);

/// What is watched.
#[derive(Debug, Default)]
pub struct Watch {
    /// A row of the log.
    pub(crate) commit: Timed,
    /// A write to the index.
    pub(crate) index: Timed,
}

impl Watch {
    /// Starts the thread that looks. It ends when nobody else holds the watch.
    ///
    /// # Errors
    /// `Fatal` when the thread cannot be started.
    pub fn start(fatal: Fatal) -> Result<Arc<Self>, StoreError> {
        let watch = Arc::new(Self::default());
        let weak = Arc::downgrade(&watch);
        let told = fatal.clone();
        spawn("watch", fatal, move || {
            while let Some(watch) = weak.upgrade() {
                for (timed, limit, what) in [(&watch.commit, COMMIT_LIMIT, "log"), (&watch.index, INDEX_LIMIT, "index")] {
                    if timed.running() > limit {
                        let text = format!("a write to the {what} has not come back for {} s; look at the disk", limit.as_secs());
                        return told(&StoreError::Fatal(text));
                    }
                }
                drop(watch);
                std::thread::sleep(Duration::from_millis(200));
            }
        })?;
        Ok(watch)
    }
}

/// Since when something runs.
#[derive(Debug)]
pub struct Timed {
    epoch: Instant,
    /// Milliseconds after `epoch` at which it began, plus 1; 0 = it does not run.
    began: AtomicU64,
}

impl Default for Timed {
    fn default() -> Self {
        Self { epoch: Instant::now(), began: AtomicU64::new(0) }
    }
}

impl Timed {
    pub(crate) fn start(&self) -> Instant {
        let now = Instant::now();
        let since = u64::try_from(now.duration_since(self.epoch).as_millis()).unwrap_or(u64::MAX - 1);
        self.began.store(since + 1, Ordering::Relaxed);
        now
    }

    pub(crate) fn end(&self) {
        self.began.store(0, Ordering::Relaxed);
    }

    /// For how long it has run; zero when it does not.
    fn running(&self) -> Duration {
        match self.began.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            began => self.epoch.elapsed().saturating_sub(Duration::from_millis(began - 1)),
        }
    }
}
