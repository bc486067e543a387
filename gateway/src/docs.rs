//! The OpenAPI document, its browser, and the metrics.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use tessera_api::{answer, event, request};
use utoipa::OpenApi;
use utoipa::openapi::path::Operation;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::{Content, RefOr, Ref};

use crate::handlers::{self, Call, allowances, batches, exceptions, members, pools, programme, purchases, reports, spending};
use crate::problem::Answer;
use crate::{routes, stream};

#[derive(OpenApi)]
#[openapi(
    info(title = "Tessera", description = "A retailer's loyalty programme: earn and spend points, follow a member. Amounts are integers in minor units; points are in the wallet's smallest unit."),
    paths(
        members::enrol, members::look_up, members::member, members::tier, members::lots, members::holds, members::quests, members::achievements, members::update, members::statement, members::add_alias,
        members::remove_alias, members::adjust, members::grant_tier, members::merge, stream::follow, purchases::purchase, purchases::get, purchases::quote, purchases::deliver, purchases::give_back,
        purchases::void, allowances::allow, allowances::keys, spending::place, spending::get, spending::confirm, spending::cancel, spending::redeem, spending::transfer, spending::get_transfer, spending::get_redemption, spending::reverse, programme::current,
        programme::save, programme::check, programme::roll_back, programme::versions, programme::version, programme::campaigns, reports::roll_forward, reports::liability, reports::closes, reports::close, reports::ifrs15,
        reports::journal, reports::simulate, reports::job, reports::job_result, purchases::claim, batches::batch, pools::found, pools::get, pools::join, pools::leave, exceptions::all, exceptions::close, healthz, readyz,
    ),
    components(schemas(answer::Problem, answer::Written, event::Published, request::Purchase, routes::Health))
)]
struct Document;

/// The process lives.
#[utoipa::path(get, path = "/healthz", tag = "node", operation_id = "healthz", responses((status = 200, description = "It lives", body = routes::Health)))]
#[expect(dead_code, reason = "documents a route of one line")]
fn healthz() {}

/// The node serves.
#[utoipa::path(get, path = "/readyz", tag = "node", operation_id = "readyz", responses((status = 200, description = "It serves", body = routes::Health)))]
#[expect(dead_code, reason = "documents a route of one line")]
fn readyz() {}

/// Which refusals an operation may answer with; each is a problem.
fn refusals(id: &str) -> &'static [&'static str] {
    match id {
        "healthz" | "readyz" | "allowanceKeys" => &[],
        "member" | "tier" | "lots" | "holds" | "quests" | "achievements" | "getPurchase" | "getHold" | "getRedemption" | "getTransfer" | "getPool" => &["404"],
        "job" => &["404"],
        "jobResult" => &["404", "409"],
        "closes" => &["503"],
        "exceptions" => &["422"],
        "closeException" => &["400", "404", "415", "422"],
        "rollForward" | "liability" => &["422"],
        "closeDays" | "ifrs15" | "journal" => &["400", "415", "422"],
        "batch" | "simulate" => &["400", "413", "415", "422"],
        "events" | "statement" => &["404", "422"],
        "programme" | "programmeVersions" | "campaigns" => &["503"],
        "programmeVersion" => &["404"],
        "checkProgramme" => &["400", "413", "415"],
        "saveProgramme" => &["400", "412", "413", "415", "422", "428"],
        "rollBack" => &["400", "404", "412", "413", "415", "422", "428"],
        "lookUp" => &["400", "404", "415", "422"],
        "cancelHold" | "reverse" => &["400", "404", "409", "415"],
        "removeAlias" => &["400", "404", "409", "422"],
        "leavePool" => &["400", "404", "409"],
        "enrol" => &["400", "409", "415", "422"],
        "quote" => &["400", "404", "409", "413", "415", "422"],
        "purchase" | "claim" | "giveBack" | "void" => &["400", "404", "409", "413", "415", "422"],
        _ => &["400", "404", "409", "415", "422"],
    }
}

fn describe(status: &str) -> &'static str {
    match status {
        "400" => "Malformed: not JSON, an unknown field, or no Idempotency-Key",
        "404" => "There is no such thing",
        "409" => "The state says no now, or a key was used for something else",
        "412" => "Another version was saved meanwhile: read it first",
        "428" => "No If-Match, or one that is no version",
        "413" => "Too large",
        "415" => "Not JSON; of a batch, not lines of JSON",
        "422" => "The content is wrong",
        "429" => "Too many requests wait for this member, or too many jobs",
        _ => "Certainly no effect (`outcome: none`), or send the same again (`outcome: unknown`)",
    }
}

/// The document, with what every operation may also answer.
fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    for item in document.paths.paths.values_mut() {
        let operations: [&mut Option<Operation>; 5] = [&mut item.get, &mut item.post, &mut item.delete, &mut item.put, &mut item.patch];
        for operation in operations.into_iter().flatten() {
            let id = operation.operation_id.clone().unwrap_or_default();
            let always: &[&str] = if refusals(&id).is_empty() { &[] } else { &["429", "503"] };
            for status in refusals(&id).iter().chain(always) {
                let content = Content::new(Some(RefOr::Ref(Ref::from_schema_name("Problem"))));
                let response = ResponseBuilder::new().description(describe(status)).content("application/problem+json", content).build();
                operation.responses.responses.insert((*status).to_owned(), RefOr::T(response));
            }
        }
    }
    document
}

/// `/openapi.json`.
pub(crate) fn document() -> Answer {
    static TEXT: OnceLock<Bytes> = OnceLock::new();
    // The document is made of strings and lists only: it always serialises.
    let text = TEXT.get_or_init(|| serde_json::to_vec(&openapi()).unwrap_or_default().into());
    typed("application/json", text.clone())
}

/// `/docs` and what it loads: all from this binary.
pub(crate) fn browser(request_id: &str, rest: &[&str]) -> Answer {
    static CONFIG: OnceLock<Arc<utoipa_swagger_ui::Config<'static>>> = OnceLock::new();
    let config = CONFIG.get_or_init(|| Arc::new(utoipa_swagger_ui::Config::from("/openapi.json")));
    if rest.is_empty() {
        // What the page loads is relative to the folder.
        let mut moved = Answer::new(Bytes::new());
        *moved.status_mut() = StatusCode::PERMANENT_REDIRECT;
        moved.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/docs/"));
        return moved;
    }
    match utoipa_swagger_ui::serve(&rest.join("/"), config.clone()) {
        Ok(Some(file)) => typed(&file.content_type, file.bytes.into_owned().into()),
        Ok(None) | Err(_) => handlers::not_found(request_id),
    }
}

/// `/metrics`, in Prometheus' text format.
pub(crate) fn metrics(call: &Call) -> Answer {
    #[expect(clippy::cast_precision_loss, reason = "a gauge of a few hundred thousand")]
    metrics::gauge!("tessera_members_awake").set(call.members().awake() as f64);
    let text = call.surface.metrics.as_ref().map(metrics_exporter_prometheus::PrometheusHandle::render).unwrap_or_default();
    typed("text/plain; version=0.0.4", text.into())
}

fn typed(kind: &str, body: Bytes) -> Answer {
    let mut answer = Answer::new(body);
    if let Ok(kind) = HeaderValue::from_str(kind) {
        answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    answer
}
