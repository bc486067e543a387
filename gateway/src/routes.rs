//! Which path and method does what. After a path matches nothing is rejected: every answer is ours.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::path::FullPath;

use crate::handlers::{self, Call};
use crate::problem::{Answer, json};
use crate::server::Surface;

/// The one filter: warp hands over method, path, headers and the body that the server has bounded.
pub(crate) fn routes(surface: Surface) -> BoxedFilter<(Answer,)> {
    let surface = warp::any().map(move || surface.clone());
    warp::method()
        .and(warp::path::full())
        .and(warp::header::headers_cloned())
        .and(warp::body::bytes())
        .and(surface)
        .then(|method: Method, path: FullPath, headers: HeaderMap, body: Bytes, surface: Surface| async move {
            let request_id = headers.get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
            let call = Call { members: surface.members, ceiling: surface.ceiling, headers, body, request_id, deadline: handlers::deadline() };
            route(&method, path.as_str(), &call).await
        })
        .boxed()
}

async fn route(method: &Method, path: &str, call: &Call) -> Answer {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let (get, post) = (method == Method::GET, method == Method::POST);
    let id = call.request_id.as_str();
    if post && !call.body.is_empty() && !is_json(&call.headers) {
        return handlers::wrong_type(id);
    }
    let outcome = match parts.as_slice() {
        ["healthz"] if get => return json(StatusCode::OK, &Health { status: "ok", now: now(call), clock_shift_ms: call.members.clock().shift() }),
        ["readyz"] if get => return json(StatusCode::OK, &Health { status: "ready", now: now(call), clock_shift_ms: call.members.clock().shift() }),
        ["v1", "members"] if post => handlers::enrol(call).await,
        ["v1", "members", "lookup"] if post => handlers::look_up(call).await,
        ["v1", "members", member] if get => handlers::member(call, member).await,
        ["v1", "members", member, "adjustments"] if post => handlers::adjust(call, member).await,
        ["v1", "purchases"] if post => handlers::purchase(call).await,
        ["v1", "quotes"] if post => handlers::quote(call).await,
        ["v1", "holds"] if post => handlers::hold(call).await,
        ["v1", "holds", hold, "confirm"] if post => handlers::confirm(call, hold).await,
        ["v1", "holds", hold, "cancel"] if post => handlers::cancel(call, hold).await,
        ["v1", "redemptions"] if post => handlers::redeem(call).await,
        ["bench", "purchases", bytes] if post && call.ceiling => handlers::ceiling_purchase(call, bytes).await,
        ["bench", "members", member, bytes] if get && call.ceiling => handlers::ceiling_member(member, bytes),
        ["healthz" | "readyz"]
        | ["v1", "members" | "purchases" | "quotes" | "holds" | "redemptions"]
        | ["v1", "members", _]
        | ["v1", "members", _, "adjustments"]
        | ["v1", "holds", _, "confirm" | "cancel"] => return handlers::method_not_allowed(id),
        _ => return handlers::not_found(id),
    };
    handlers::finish(id, outcome)
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

fn now(call: &Call) -> String {
    tessera_domain::time::timestamp(call.members.clock().now()).to_string()
}

#[derive(serde::Serialize)]
struct Health {
    status: &'static str,
    now: String,
    clock_shift_ms: i64,
}
