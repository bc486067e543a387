//! Load: closed loops (each connection sends as fast as it is answered) and fixed rates.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use http::{Method, StatusCode};
use tokio::sync::Semaphore;

use crate::{Connection, ConnectionError};

/// Makes the n-th request: method, path, `Idempotency-Key`, body.
pub type Make = dyn Fn(u64) -> (Method, String, Option<String>, Bytes) + Send + Sync;

/// What a run measured.
#[derive(Debug)]
pub struct Measured {
    pub answers: u64,
    /// Answers that were not 2xx.
    pub refused: u64,
    /// Bytes of an answer's body.
    pub sizes: Histogram<u64>,
    pub seconds: f64,
    /// Microseconds.
    pub latency: Histogram<u64>,
}

impl Default for Measured {
    fn default() -> Self {
        // Three figures, up to a minute.
        let new = || Histogram::new_with_bounds(1, 60_000_000, 3).unwrap_or_else(|_| unreachable!("constant bounds"));
        Self { answers: 0, refused: 0, sizes: new(), seconds: 0.0, latency: new() }
    }
}

impl Measured {
    /// Answers a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        // Counts of one run are far below 2^52.
        #[expect(clippy::cast_precision_loss)]
        let answers = self.answers as f64;
        answers / self.seconds.max(f64::EPSILON)
    }

    /// A percentile in milliseconds.
    #[must_use]
    pub fn percentile_ms(&self, percent: f64) -> f64 {
        #[expect(clippy::cast_precision_loss)]
        let micros = self.latency.value_at_percentile(percent) as f64;
        micros / 1e3
    }

    /// Adds another's answers; its time is not added.
    pub fn add(&mut self, other: &Self) {
        self.answers += other.answers;
        self.refused += other.refused;
        // Same bounds on both sides: it cannot fail.
        self.latency.add(&other.latency).unwrap_or_default();
        self.sizes.add(&other.sizes).unwrap_or_default();
    }

    /// Counts one answer.
    pub fn count(&mut self, status: StatusCode, bytes: usize, since: Instant) {
        self.answers += 1;
        self.refused += u64::from(!status.is_success());
        self.sizes.saturating_record(bytes.max(1) as u64);
        let micros = u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.latency.saturating_record(micros.max(1));
    }
}

/// Kept-alive connections that several runs share.
pub struct Load {
    connections: Vec<Connection>,
    /// Numbers requests over all runs: no two are the same.
    next: Arc<AtomicU64>,
}

impl Load {
    /// Opens the connections.
    ///
    /// # Errors
    /// The first that failed.
    pub async fn open(address: SocketAddr, connections: usize) -> Result<Self, ConnectionError> {
        let mut opened = Vec::with_capacity(connections);
        for _ in 0..connections {
            opened.push(Connection::open(address).await?);
        }
        Ok(Self { connections: opened, next: Arc::default() })
    }

    /// Each connection sends as fast as it is answered, for `time` or until `most` requests were sent.
    ///
    /// # Errors
    /// A connection that broke.
    pub async fn closed(&mut self, make: Arc<Make>, time: Duration, most: u64) -> Result<Measured, ConnectionError> {
        let over = Arc::new(AtomicBool::new(false));
        let first = self.next.load(Ordering::Relaxed);
        let started = Instant::now();
        let mut tasks = Vec::with_capacity(self.connections.len());
        for mut connection in self.connections.drain(..) {
            let (make, over, next) = (make.clone(), over.clone(), self.next.clone());
            tasks.push(tokio::spawn(async move {
                let mut measured = Measured::default();
                while !over.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number - first >= most {
                        break;
                    }
                    let (method, path, key, body) = make(number);
                    let begun = Instant::now();
                    let answer = connection.send(method, &path, key.as_deref(), body).await?;
                    measured.count(answer.status, answer.body.len(), begun);
                }
                Ok::<_, ConnectionError>((connection, measured))
            }));
        }
        let timer = tokio::spawn({
            let over = over.clone();
            async move {
                tokio::time::sleep(time).await;
                over.store(true, Ordering::Relaxed);
            }
        });
        let measured = self.gather(tasks, started).await;
        timer.abort();
        measured
    }

    /// `rate` requests a second for `time`; latency counts from when a request was due, not from when it was sent.
    ///
    /// # Errors
    /// A connection that broke.
    pub async fn fixed(&mut self, make: Arc<Make>, time: Duration, rate: f64) -> Result<Measured, ConnectionError> {
        let interval = Duration::from_secs_f64(1.0 / rate);
        // Whole requests of one run.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let total = (time.as_secs_f64() * rate) as u64;
        let due = Arc::new(Semaphore::new(0));
        let taken = Arc::new(AtomicU64::new(0));
        let started = Instant::now();
        let at = move |place: u64| started + interval.mul_f64(place as f64);
        // A thread of its own: the runtime's timer ticks in milliseconds.
        let pacer = std::thread::spawn({
            let due = due.clone();
            move || {
                let mut released = 0;
                while released < total {
                    std::thread::sleep(Duration::from_micros(100));
                    let mut more = 0;
                    while released + more < total && at(released + more) <= Instant::now() {
                        more += 1;
                    }
                    due.add_permits(usize::try_from(more).unwrap_or(0));
                    released += more;
                }
            }
        });
        let mut tasks = Vec::with_capacity(self.connections.len());
        for mut connection in self.connections.drain(..) {
            let (make, due, taken, next) = (make.clone(), due.clone(), taken.clone(), self.next.clone());
            tasks.push(tokio::spawn(async move {
                let mut measured = Measured::default();
                while let Ok(permit) = due.acquire().await {
                    permit.forget();
                    let place = taken.fetch_add(1, Ordering::Relaxed);
                    let (method, path, key, body) = make(next.fetch_add(1, Ordering::Relaxed));
                    let answer = connection.send(method, &path, key.as_deref(), body).await;
                    if answer.is_err() || place + 1 == total {
                        // Nobody waits for what will not come.
                        due.close();
                    }
                    let answer = answer?;
                    measured.count(answer.status, answer.body.len(), at(place));
                }
                Ok::<_, ConnectionError>((connection, measured))
            }));
        }
        let measured = self.gather(tasks, started).await;
        drop(pacer.join());
        measured
    }

    async fn gather(&mut self, tasks: Vec<tokio::task::JoinHandle<Result<(Connection, Measured), ConnectionError>>>, started: Instant) -> Result<Measured, ConnectionError> {
        let mut all = Measured::default();
        let mut broken = None;
        for task in tasks {
            match task.await {
                Ok(Ok((connection, measured))) => {
                    all.add(&measured);
                    self.connections.push(connection);
                }
                Ok(Err(error)) => broken = Some(error),
                Err(error) => broken = Some(ConnectionError::Connect(std::io::Error::other(error))),
            }
        }
        all.seconds = started.elapsed().as_secs_f64();
        broken.map_or(Ok(all), Err)
    }
}
