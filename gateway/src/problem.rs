//! Answers that are not a success: `application/problem+json` with a stable code.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use tessera_actors::Miss;
use tessera_api::answer::Problem;
use tessera_api::programme::Found;
use tessera_cluster::Failure;
use tessera_domain::compile::Finding;
use tessera_domain::{Code, Rejection};
use tessera_domain::rejection::Class;

pub(crate) type Answer = Response<Bytes>;

/// What a problem says.
pub(crate) struct Said<'a> {
    pub(crate) status: StatusCode,
    pub(crate) code: &'a str,
    pub(crate) detail: &'a str,
    pub(crate) field: &'a str,
    pub(crate) outcome: Option<&'static str>,
}

impl<'a> Said<'a> {
    pub(crate) fn new(status: StatusCode, code: &'a str, detail: &'a str) -> Self {
        Self { status, code, detail, field: "", outcome: None }
    }
}

pub(crate) fn problem(request_id: &str, said: &Said<'_>) -> Answer {
    problem_with(request_id, said, Vec::new())
}

/// A programme that cannot be saved, with all that is wrong with it.
pub(crate) fn bad_programme(request_id: &str, findings: &[Finding]) -> Answer {
    let detail = format!("{} findings; each names the field and says what to do", findings.len());
    let said = Said { field: "/programme", ..Said::new(StatusCode::UNPROCESSABLE_ENTITY, Code::BadProgramme.as_str(), &detail) };
    problem_with(request_id, &said, findings.iter().map(Found::from).collect())
}

fn problem_with(request_id: &str, said: &Said<'_>, findings: Vec<Found>) -> Answer {
    let body = Problem {
        kind: "about:blank",
        title: said.status.canonical_reason().unwrap_or("Error"),
        status: said.status.as_u16(),
        code: said.code,
        detail: said.detail,
        field: said.field,
        outcome: said.outcome,
        findings,
        request_id,
    };
    let mut answer = json(said.status, &body);
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if said.status == StatusCode::SERVICE_UNAVAILABLE || said.status == StatusCode::TOO_MANY_REQUESTS {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    answer
}

pub(crate) fn json(status: StatusCode, body: &impl serde::Serialize) -> Answer {
    // The shapes hold strings, numbers and lists only: they always serialise.
    let mut bytes = Vec::with_capacity(4_096);
    serde_json::to_writer(&mut bytes, body).unwrap_or_default();
    let mut answer = Response::new(Bytes::from(bytes));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

pub(crate) fn rejected(request_id: &str, no: &Rejection) -> Answer {
    let status = match no.code.class() {
        Class::NotFound => StatusCode::NOT_FOUND,
        Class::Conflict => StatusCode::CONFLICT,
        Class::Content => StatusCode::UNPROCESSABLE_ENTITY,
        Class::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Class::Precondition => StatusCode::PRECONDITION_FAILED,
    };
    problem(request_id, &Said { field: &no.field, ..Said::new(status, no.code.as_str(), &no.detail) })
}

pub(crate) fn missed(request_id: &str, miss: &Miss) -> Answer {
    let failure = match miss {
        Miss::No(no) => return rejected(request_id, no),
        Miss::Failure(failure) => failure,
    };
    let unavailable = StatusCode::SERVICE_UNAVAILABLE;
    let (status, code, outcome) = match failure {
        Failure::Overloaded => (unavailable, "overloaded", "none"),
        Failure::Busy => (StatusCode::TOO_MANY_REQUESTS, "busy", "none"),
        Failure::Expired => (unavailable, "expired", "none"),
        Failure::Unavailable(_) => (unavailable, "unavailable", "none"),
        Failure::Stopped(_) => (unavailable, "member_stopped", "none"),
        Failure::Unknown(_) => (unavailable, "in_doubt", "unknown"),
    };
    let detail = failure.to_string();
    if !matches!(failure, Failure::Overloaded | Failure::Busy | Failure::Expired) {
        tracing::warn!(request_id, code, %detail, "a request could not be served");
    }
    problem(request_id, &Said { outcome: Some(outcome), ..Said::new(status, code, &detail) })
}
