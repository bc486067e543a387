//! What takes longer than a request: one report and one batch at a time, each on a thread of its own, so that a till's batch does
//! not wait for a year's journal.
//!
//! Jobs live as long as the process. One that is lost is asked for again: it changes nothing, or is a batch, of which what was
//! done is then a repeat.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tessera_actors::finance::Progress;
use tessera_api::report::JobShown;
use tokio::sync::Semaphore;

/// Jobs that are remembered; beyond it the oldest that have ended go.
const KEPT: usize = 100;
/// Of those, jobs of each kind that may wait or run.
const WAITING: usize = 16;
/// Bytes of lines that are kept for those that have ended, but for the newest.
const LINES: usize = 512 << 20;

/// What waits for its own kind only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Report,
    Batch,
}

/// What came of a job.
pub(crate) enum Made {
    Json(serde_json::Value),
    /// Lines, and their type.
    Lines(bytes::Bytes, &'static str),
}

/// A job.
pub(crate) struct Job {
    number: u64,
    kind: Kind,
    pub(crate) progress: Progress,
    running: std::sync::atomic::AtomicBool,
    pub(crate) outcome: OnceLock<Result<Made, String>>,
}

/// All of them. Cheap to clone.
#[derive(Clone)]
pub struct Jobs {
    /// Number of the next. Begins with the time, so that an id of an earlier process names nothing.
    next: Arc<AtomicU64>,
    known: Arc<Mutex<VecDeque<Arc<Job>>>>,
    report: Arc<Semaphore>,
    batch: Arc<Semaphore>,
}

impl Default for Jobs {
    fn default() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let next = u64::try_from(since).unwrap_or(0) << 16;
        Self { next: Arc::new(next.into()), known: Arc::default(), report: Arc::new(Semaphore::new(1)), batch: Arc::new(Semaphore::new(1)) }
    }
}

impl Jobs {
    /// Begins one as soon as the one of its kind before it has ended. `None`: too many wait.
    pub(crate) fn begin<F>(&self, kind: Kind, work: impl FnOnce(Arc<Job>) -> F + Send + 'static) -> Option<Arc<Job>>
    where
        F: Future<Output = Result<Made, String>>,
    {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.iter().filter(|job| job.kind == kind && job.outcome.get().is_none()).count() >= WAITING {
            return None;
        }
        let newest = known.back().map_or(0, |job| job.number);
        while known.iter().map(|job| job.lines()).sum::<usize>() > LINES
            && let Some(oldest) = known.iter().position(|job| job.lines() > 0 && job.number != newest)
        {
            known.remove(oldest);
        }
        while known.len() >= KEPT {
            let ended = known.iter().position(|job| job.outcome.get().is_some())?;
            known.remove(ended);
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let job = Arc::new(Job { number, kind, progress: Progress::default(), running: false.into(), outcome: OnceLock::new() });
        known.push_back(job.clone());
        drop(known);
        let (turn, mine) = (if kind == Kind::Batch { self.batch.clone() } else { self.report.clone() }, job.clone());
        let handle = tokio::runtime::Handle::current();
        tokio::spawn(async move {
            let Ok(_turn) = turn.acquire_owned().await else { return };
            let on_thread = mine.clone();
            let thread = tokio::task::spawn_blocking(move || {
                on_thread.running.store(true, Ordering::Relaxed);
                handle.block_on(work(on_thread))
            });
            let outcome = thread.await.unwrap_or_else(|_| Err("the job has failed; report what the log says".into()));
            // Set once, here.
            drop(mine.outcome.set(outcome));
        });
        Some(job)
    }

    pub(crate) fn find(&self, id: &str) -> Option<Arc<Job>> {
        let number: u64 = id.strip_prefix("job_")?.parse().ok()?;
        self.known.lock().unwrap_or_else(PoisonError::into_inner).iter().find(|job| job.number == number).cloned()
    }
}

impl Job {
    /// Bytes of its lines.
    fn lines(&self) -> usize {
        if let Some(Ok(Made::Lines(text, _))) = self.outcome.get() { text.len() } else { 0 }
    }

    pub(crate) fn shown(&self) -> JobShown {
        let (state, reason, result) = match self.outcome.get() {
            None if self.running.load(Ordering::Relaxed) => ("running", None, None),
            None => ("waiting", None, None),
            Some(Ok(Made::Json(value))) => ("done", None, Some(value.clone())),
            Some(Ok(Made::Lines(..))) => ("done", None, None),
            Some(Err(reason)) => ("failed", Some(reason.clone()), None),
        };
        let (done, of) = (self.progress.done.load(Ordering::Relaxed), self.progress.of.load(Ordering::Relaxed));
        JobShown { id: format!("job_{}", self.number), state, done: done.min(of), of, reason, result }
    }
}
