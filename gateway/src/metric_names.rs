//! Metrics of the gateway: their names, once, and handles made once.

use std::sync::LazyLock;
use std::time::Duration;

use http::StatusCode;
use metrics::{Counter, Gauge, Histogram};

/// Answers, by class of status.
const REQUESTS: &str = "tessera_http_requests_total";
/// From the whole head to the finished answer.
const SECONDS: &str = "tessera_http_request_seconds";
/// Event streams that are open.
const STREAMS: &str = "tessera_streams_open";

struct Handles {
    by_class: [Counter; 6],
    seconds: Histogram,
    streams: Gauge,
}

static HANDLES: LazyLock<Handles> = LazyLock::new(|| Handles {
    by_class: ["other", "1xx", "2xx", "3xx", "4xx", "5xx"].map(|class| metrics::counter!(REQUESTS, "status" => class)),
    seconds: metrics::histogram!(SECONDS),
    streams: metrics::gauge!(STREAMS),
});

/// Counts an answer.
pub(crate) fn answered(status: StatusCode, took: Duration) {
    let class = usize::from(status.as_u16() / 100);
    HANDLES.by_class[if class < 6 { class } else { 0 }].increment(1);
    HANDLES.seconds.record(took.as_secs_f64());
}

/// Counted as an open stream until it is dropped.
pub(crate) struct OpenStream;

impl OpenStream {
    pub(crate) fn new() -> Self {
        HANDLES.streams.increment(1.0);
        Self
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        HANDLES.streams.decrement(1.0);
    }
}
