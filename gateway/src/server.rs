//! The connection loop: warp is a service in it, never the server (it would keep a half-sent head open).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Either, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tessera_actors::{Budgets, Finance, Histories, Members, Receipts};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tower_service::Service;
use tracing::Instrument;

use crate::jobs::Jobs;
use crate::metric_names;
use crate::problem::{Said, problem};
use crate::routes::routes;
use crate::signer::Signer;
use crate::stream::{Chunks, Live};

/// Bounds of the listener.
#[derive(Clone, Copy, Debug)]
pub struct ServerLimits {
    /// Bytes of a body; more: 413.
    pub body: usize,
    /// Time to send a head, and time to send a body; longer: 408 or the connection ends.
    pub patience: Duration,
    /// Open connections; more wait to be accepted.
    pub connections: usize,
    /// Time that open requests get when the node stops.
    pub drain: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self { body: 1 << 20, patience: Duration::from_secs(10), connections: 8_192, drain: Duration::from_secs(10) }
    }
}

/// What is served.
#[derive(Clone)]
pub struct Surface {
    pub members: Members,
    pub histories: Histories,
    pub finance: Finance,
    pub receipts: Receipts,
    pub budgets: Budgets,
    pub jobs: Jobs,
    /// Signs allowances.
    pub signer: Option<Arc<Signer>>,
    /// For benchmarks: `/bench/…` does all that a request meets but the member, and answers fixed bytes.
    pub ceiling: bool,
    /// What `/metrics` shows.
    pub metrics: Option<metrics_exporter_prometheus::PrometheusHandle>,
    /// Turns true when the node stops.
    pub stop: watch::Receiver<bool>,
}

/// Serves until `surface.stop` turns true, then lets open requests finish, at most for `limits.drain`.
pub async fn serve(listener: TcpListener, surface: Surface, limits: ServerLimits) {
    let mut stop = surface.stop.clone();
    let routes = routes(surface);
    let connections = Arc::new(Semaphore::new(limits.connections));
    let node: u64 = u64::from(std::process::id()) << 32;
    let count = Arc::new(AtomicU64::new(node));
    loop {
        let Ok(permit) = connections.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut stop) => break,
        };
        let (stream, _) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file handles, most likely: connections that end give some back.
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // A peer that takes nothing for so long is gone, or too slow: it may come back.
        let unsent = socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(limits.patience));
        if let Err(error) = stream.set_nodelay(true).and(unsent) {
            tracing::debug!(%error, "a connection ended before it began");
            continue;
        }
        let routes = warp::service(routes.clone());
        let count = count.clone();
        let mut stopping = stop.clone();
        tokio::spawn(async move {
            let _permit = permit;
            let service = service_fn(move |request| {
                let (routes, count) = (routes.clone(), count.clone());
                async move {
                    let begun = Instant::now();
                    let span = span(&request);
                    let answer = answer(request, routes, &count, limits).instrument(span).await;
                    metric_names::answered(answer.status(), begun.elapsed());
                    Ok::<_, std::convert::Infallible>(answer)
                }
            });
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(limits.patience).max_buf_size(64 << 10);
            let connection = http.serve_connection(TokioIo::new(stream), service);
            tokio::pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = stopped(&mut stopping) => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
    drop(listener);
    let all = u32::try_from(limits.connections).unwrap_or(u32::MAX);
    if tokio::time::timeout(limits.drain, connections.acquire_many(all)).await.is_err() {
        tracing::warn!("some connections were still open at the end of the drain");
    }
}

/// One span a request; what is logged within it carries the caller's trace (W3C `traceparent`).
fn span(request: &Request<Incoming>) -> tracing::Span {
    let trace = request.headers().get("traceparent").and_then(|value| value.to_str().ok()).and_then(|value| value.split('-').nth(1));
    tracing::info_span!("request", method = %request.method(), path = request.uri().path(), trace)
}

/// Returns once the node stops.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error says that whoever could stop us is gone: the node ends.
    drop(stop.wait_for(|stop| *stop).await);
}

/// Bounds the request, hands it to warp, and names it in the answer.
async fn answer<S, B>(request: Request<Incoming>, mut routes: S, count: &AtomicU64, limits: ServerLimits) -> http::Response<Either<B, Either<Full<Bytes>, Chunks>>>
where
    S: Service<Request<Full<Bytes>>, Response = http::Response<B>, Error = std::convert::Infallible>,
{
    let (mut head, body) = request.into_parts();
    let sent = head.headers.get("x-request-id").filter(|id| id.len() <= 128 && id.to_str().is_ok()).cloned();
    let id = sent.unwrap_or_else(|| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        HeaderValue::from_str(&format!("req_{number:016x}")).unwrap_or_else(|_| HeaderValue::from_static("req"))
    });
    let refuse = |status, code, detail: &str| {
        let answer = problem(id.to_str().unwrap_or_default(), &Said::new(status, code, detail));
        named(answer.map(|body| Either::Right(Either::Left(Full::new(body)))), &id)
    };
    // warp's path filters panic on what is not a path: the authority form, with CONNECT or without.
    if head.method == Method::CONNECT {
        return refuse(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this server is not a proxy");
    }
    if !head.uri.path().starts_with('/') {
        return refuse(StatusCode::BAD_REQUEST, "malformed", "the request names no path; begin it with a slash");
    }
    // A programme of ten thousand rules is longer than any basket, and so is a day of them.
    let with_programme = ["/v1/programme", "/v1/simulations", "/v1/batches"].iter().any(|path| head.uri.path().starts_with(path));
    let most = if with_programme { tessera_actors::history::LONGEST } else { limits.body };
    let collected = tokio::time::timeout(limits.patience, Limited::new(body, most).collect()).await;
    let bytes = match collected {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let detail = format!("a body has at most {most} bytes");
            return refuse(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", &detail);
        }
        Ok(Err(_)) => return refuse(StatusCode::BAD_REQUEST, "malformed", "the body did not arrive whole"),
        Err(_) => return refuse(StatusCode::REQUEST_TIMEOUT, "too_slow", "the body took too long to arrive; send it again"),
    };
    head.headers.insert("x-request-id", id.clone());
    match routes.call(Request::from_parts(head, Full::new(bytes))).await {
        Ok(mut answer) => match answer.extensions_mut().remove::<Live>().and_then(|live| live.body()) {
            Some(chunks) => named(answer.map(|_| Either::Right(Either::Right(chunks))), &id),
            None => named(answer.map(Either::Left), &id),
        },
        Err(never) => match never {},
    }
}

fn named<B>(mut answer: http::Response<B>, id: &HeaderValue) -> http::Response<B> {
    answer.headers_mut().insert("x-request-id", id.clone());
    answer
}
