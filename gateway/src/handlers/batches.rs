//! Many writes in one request: what a till has gathered while it was offline. Each line is a request of its own, done in its
//! turn; each has its own result. A batch is a job: sent again, every line is a repeat.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tessera_api::report::{BatchLine, JobShown};
use tessera_domain::{Code, Rejection, Text};

use super::{Call, Stop, deadline};
use crate::jobs::{Kind, Made};
use crate::problem::{Answer, Said, json, problem};
use crate::routes;

/// Lines of one batch, at most.
const MOST: usize = 10_000;
/// Bytes of its results; what comes after them has its status only.
const MOST_BYTES: usize = 64 << 20;
/// What a line may ask for.
const PATHS: [&str; 8] = ["/v1/purchases", "/v1/returns", "/v1/voids", "/v1/claims", "/v1/redemptions", "/v1/allowances", "/v1/holds", "/v1/members"];

/// One line as it was read.
struct Line {
    number: usize,
    path: Text,
    headers: HeaderMap,
    body: Bytes,
}

/// Many writes, one JSON object a line; each is done in its turn, with a result of its own.
#[utoipa::path(post, path = "/v1/batches", tag = "purchases", operation_id = "batch", request_body(content = BatchLine, content_type = "application/x-ndjson", description = "One line for each write"),
    responses((status = 202, description = "Begun: ask for the job's result, a line for each", body = JobShown)))]
pub(crate) async fn batch(call: &Call) -> Result<Answer, Stop> {
    // All of it is read before any of it is done.
    let mut lines = Vec::new();
    for (number, text) in (1_usize..).zip(call.body.split(|byte| *byte == b'\n')) {
        if text.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        lines.push(read(number, text)?);
        if lines.len() > MOST {
            return Err(Rejection::new(Code::Invalid, "", "a batch has at most 10000 lines; send it in parts").into());
        }
    }
    if lines.is_empty() {
        return Err(Rejection::new(Code::Invalid, "", "a batch has at least one line").into());
    }
    let (surface, request_id) = (call.surface.clone(), call.request_id.clone());
    let begun = call.surface.jobs.begin(Kind::Batch, move |job| async move {
        job.progress.begin(lines.len() as u64);
        let mut results: Vec<u8> = Vec::new();
        for Line { number, path, headers, body } in lines {
            let call = Call { surface: surface.clone(), headers, query: String::new(), body, request_id: format!("{request_id}.{number}"), deadline: deadline() };
            let answer = Box::pin(routes::route(&Method::POST, &path, &call)).await;
            let (status, text) = (answer.status().as_u16(), answer.into_body());
            results.extend_from_slice(format!("{{\"line\":{number},\"status\":{status}").as_bytes());
            // What was answered is JSON already.
            if results.len() + text.len() < MOST_BYTES {
                results.extend_from_slice(b",\"answer\":");
                results.extend_from_slice(&text);
            }
            results.extend_from_slice(b"}\n");
            job.progress.add(1);
        }
        Ok(Made::Lines(results.into(), "application/x-ndjson"))
    });
    let text = "as many jobs wait as may; send the batch again when one of them has ended";
    Ok(begun.map_or_else(|| problem(&call.request_id, &Said::new(StatusCode::TOO_MANY_REQUESTS, "too_many_jobs", text)), |job| json(StatusCode::ACCEPTED, &job.shown())))
}

fn read(number: usize, text: &[u8]) -> Result<Line, Stop> {
    let at = |text: String| Stop::Malformed(format!("line {number}: {text}"));
    if !text.trim_ascii_start().starts_with(b"{") {
        return Err(at("an object is expected: path, body, idempotency_key".to_owned()));
    }
    // The body is passed on as it was written.
    let line: BatchLine<'_> = serde_json::from_slice(text).map_err(|e| at(e.to_string()))?;
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:-".contains(&byte));
    let known = PATHS.iter().any(|path| line.path.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.strip_prefix('/').is_some_and(|rest| rest.split('/').all(plain))));
    if !known || line.path.len() > 200 {
        return Err(at(format!("a line posts to one of {}, or below it", PATHS.join(", "))));
    }
    if !line.body.get().starts_with('{') {
        return Err(at("body: an object is expected, as it would be posted".to_owned()));
    }
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(key) = &line.idempotency_key {
        let good = (1..=255).contains(&key.len()) && key.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        let wrong = || at("an idempotency_key has 1 to 255 visible characters of ASCII".to_owned());
        headers.insert("idempotency-key", Some(key).filter(|_| good).and_then(|key| HeaderValue::from_str(key).ok()).ok_or_else(wrong)?);
    }
    let body = line.body.get().as_bytes().to_vec().into();
    Ok(Line { number, path: line.path, headers, body })
}
