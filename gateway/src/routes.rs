//! Which path and method does what. After a path matches nothing is rejected: every answer is ours.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::path::FullPath;

use crate::handlers::{self, Call, allowances, batches, bench, exceptions, members, pools, programme, purchases, reports, spending};
use crate::problem::{Answer, json};
use crate::server::Surface;
use crate::{docs, stream};

/// The one filter: warp hands over method, path, query, headers and the body that the server has bounded.
pub(crate) fn routes(surface: Surface) -> BoxedFilter<(Answer,)> {
    let surface = Arc::new(surface);
    let surface = warp::any().map(move || surface.clone());
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    warp::method()
        .and(warp::path::full())
        .and(query)
        .and(warp::header::headers_cloned())
        .and(warp::body::bytes())
        .and(surface)
        .then(|method: Method, path: FullPath, query: String, headers: HeaderMap, body: Bytes, surface: Arc<Surface>| async move {
            let request_id = headers.get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
            let call = Call { surface, headers, query, body, request_id, deadline: handlers::deadline() };
            route(&method, path.as_str(), &call).await
        })
        .boxed()
}

pub(crate) async fn route(method: &Method, path: &str, call: &Call) -> Answer {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let [get, post, put, delete, patch] = [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH].map(|of| *method == of);
    let id = call.request_id.as_str();
    let batch = path == "/v1/batches";
    if (post || put || patch) && !call.body.is_empty() && !is(&call.headers, if batch { "application/x-ndjson" } else { "application/json" }) {
        return handlers::wrong_type(id, batch);
    }
    let outcome = match parts.as_slice() {
        ["healthz"] if get => return health(call, "ok"),
        ["readyz"] if get => return health(call, "ready"),
        ["metrics"] if get => return docs::metrics(call),
        ["openapi.json"] if get => return docs::document(),
        ["docs", rest @ ..] if get => return docs::browser(id, rest),
        ["v1", "members"] if post => members::enrol(call).await,
        ["v1", "members", "lookup"] if post => members::look_up(call).await,
        ["v1", "members", "lookup"] => return handlers::method_not_allowed(id, "POST"),
        ["v1", "members", member] if get => members::member(call, member).await,
        ["v1", "members", member] if patch => members::update(call, member).await,
        ["v1", "members", member, "quests"] if get => members::quests(call, member).await,
        ["v1", "members", member, "achievements"] if get => members::achievements(call, member).await,
        ["v1", "members", member, "tier"] if get => members::tier(call, member).await,
        ["v1", "members", member, "lots"] if get => members::lots(call, member).await,
        ["v1", "members", member, "holds"] if get => members::holds(call, member).await,
        ["v1", "members", member, "statement"] if get => members::statement(call, member).await,
        ["v1", "members", member, "events"] if get => stream::follow(call, member).await,
        ["v1", "members", member, "aliases"] if post => members::add_alias(call, member).await,
        ["v1", "members", member, "aliases", alias] if delete => members::remove_alias(call, member, alias).await,
        ["v1", "members", member, "tier-grants"] if post => members::grant_tier(call, member).await,
        ["v1", "members", member, "merge"] if post => members::merge(call, member).await,
        ["v1", "members", member, "adjustments"] if post => members::adjust(call, member).await,
        ["v1", "purchases"] if post => purchases::purchase(call).await,
        ["v1", "purchases", purchase] if get => purchases::get(call, purchase).await,
        ["v1", "purchases", purchase, "deliveries"] if post => purchases::deliver(call, purchase).await,
        ["v1", "quotes"] if post => purchases::quote(call).await,
        ["v1", "returns"] if post => purchases::give_back(call).await,
        ["v1", "batches"] if post => batches::batch(call).await,
        ["v1", "claims"] if post => purchases::claim(call).await,
        ["v1", "exceptions"] if get => exceptions::all(call).await,
        ["v1", "exceptions", exception, "close"] if post => exceptions::close(call, exception).await,
        ["v1", "voids"] if post => purchases::void(call).await,
        ["v1", "holds"] if post => spending::place(call).await,
        ["v1", "holds", hold] if get => spending::get(call, hold).await,
        ["v1", "holds", hold, "confirm"] if post => spending::confirm(call, hold).await,
        ["v1", "holds", hold, "cancel"] if post => spending::cancel(call, hold).await,
        ["v1", "pools"] if post => pools::found(call).await,
        ["v1", "pools", pool] if get => pools::get(call, pool).await,
        ["v1", "pools", pool, "members"] if post => pools::join(call, pool).await,
        ["v1", "pools", pool, "members", member] if delete => pools::leave(call, pool, member).await,
        ["v1", "allowances"] if post => allowances::allow(call).await,
        ["v1", "allowances", "keys"] if get => return allowances::keys(call),
        ["v1", "redemptions"] if post => spending::redeem(call).await,
        ["v1", "redemptions", redemption] if get => spending::get_redemption(call, redemption).await,
        ["v1", "redemptions", redemption, "reverse"] if post => spending::reverse(call, redemption).await,
        ["v1", "transfers", transfer] if get => spending::get_transfer(call, transfer).await,
        ["v1", "transfers"] if post => spending::transfer(call).await,
        ["v1", "programme"] if get => programme::current(call).await,
        ["v1", "programme"] if put => programme::save(call).await,
        ["v1", "programme", "check"] if post => programme::check(call).await,
        ["v1", "programme", "rollback"] if post => programme::roll_back(call).await,
        ["v1", "programme", "versions"] if get => programme::versions(call).await,
        ["v1", "programme", "versions", number] if get => programme::version(call, number).await,
        ["v1", "campaigns"] if get => programme::campaigns(call).await,
        ["v1", "reports", "roll-forward"] if get => reports::roll_forward(call).await,
        ["v1", "reports", "liability"] if get => reports::liability(call).await,
        ["v1", "reports", "closes"] if get => reports::closes(call).await,
        ["v1", "reports", "closes"] if post => reports::close(call).await,
        ["v1", "reports", "ifrs15"] if post => reports::ifrs15(call).await,
        ["v1", "reports", "journal"] if post => reports::journal(call).await,
        ["v1", "simulations"] if post => reports::simulate(call).await,
        ["v1", "jobs", job] if get => reports::job(call, job),
        ["v1", "jobs", job, "result"] if get => reports::job_result(call, job),
        ["bench", "purchases", bytes] if post && call.surface.ceiling => bench::purchase(call, bytes).await,
        ["bench", "members", member, bytes] if get && call.surface.ceiling => bench::member(member, bytes),
        ["healthz" | "readyz" | "metrics" | "openapi.json"]
        | ["docs", ..]
        | ["v1", "purchases" | "holds" | "redemptions" | "transfers" | "pools", _]
        | ["v1", "programme", "versions", ..]
        | ["v1", "jobs", ..]
        | ["v1", "exceptions" | "campaigns"]
        | ["v1", "allowances", "keys"]
        | ["v1", "reports", "roll-forward" | "liability"]
        | ["v1", "members", _, "tier" | "lots" | "holds" | "quests" | "achievements" | "statement" | "events"] => return handlers::method_not_allowed(id, "GET"),
        ["v1", "members" | "purchases" | "quotes" | "returns" | "voids" | "claims" | "batches" | "allowances" | "holds" | "redemptions" | "transfers" | "simulations" | "pools"]
        | ["v1", "reports", "ifrs15" | "journal"]
        | ["v1", "members", _, "adjustments" | "tier-grants" | "merge" | "aliases"]
        | ["v1", "programme", "check" | "rollback"]
        | ["v1", "purchases", _, "deliveries"]
        | ["v1", "pools", _, "members"]
        | ["v1", "exceptions", _, "close"]
        | ["v1", "redemptions", _, "reverse"]
        | ["v1", "holds", _, "confirm" | "cancel"] => return handlers::method_not_allowed(id, "POST"),
        ["v1", "programme"] => return handlers::method_not_allowed(id, "GET, PUT"),
        ["v1", "reports", "closes"] => return handlers::method_not_allowed(id, "GET, POST"),
        ["v1", "members", _] => return handlers::method_not_allowed(id, "GET, PATCH"),
        ["v1", "members", _, "aliases", _] | ["v1", "pools", _, "members", _] => return handlers::method_not_allowed(id, "DELETE"),
        _ => return handlers::not_found(id),
    };
    handlers::finish(id, outcome)
}

fn is(headers: &HeaderMap, wanted: &str) -> bool {
    let value = headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(wanted))
}

fn health(call: &Call, status: &'static str) -> Answer {
    let clock = call.members().clock();
    let now = tessera_domain::time::timestamp(clock.now()).to_string();
    json(StatusCode::OK, &Health { status, now, clock_start_at: clock.start_at().map(tessera_api::answer::instant), clock_shift_ms: clock.shift() })
}

/// Whoever watches the node.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(crate) struct Health {
    status: &'static str,
    /// The node's clock.
    now: String,
    /// In demonstrations and tests: what it showed when the folder was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    clock_start_at: Option<String>,
    /// By how much it differs from the system's, in demonstrations and tests.
    clock_shift_ms: i64,
}
