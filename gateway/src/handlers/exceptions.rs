//! What staff must look at.

use http::StatusCode;
use tessera_actors::Miss;
use tessera_actors::receipts::Asked;
use tessera_api::report::{CloseException, ExceptionShown, ExceptionsShown};
use tessera_api::{read, report};
use tessera_domain::{Code, Rejection};

use super::{Call, Stop};
use crate::problem::{Answer, json};

/// Entries of a page.
const PAGE: usize = 100;

/// What staff must look at, the oldest first; a page at a time.
#[utoipa::path(get, path = "/v1/exceptions", tag = "exceptions", operation_id = "exceptions",
    params(("state" = Option<String>, Query, description = "`open`, `closed` or `all`; open when absent", max_length = 8),
        ("cursor" = Option<String>, Query, description = "Where the page before ended: its `next`", max_length = 20)),
    responses((status = 200, description = "The exceptions", body = ExceptionsShown)))]
pub(crate) async fn all(call: &Call) -> Result<Answer, Stop> {
    let closed = match call.field("state") {
        None | Some("open") => Some(false),
        Some("closed") => Some(true),
        Some("all") => None,
        Some(_) => return Err(Rejection::new(Code::Invalid, "/state", "open, closed or all").into()),
    };
    let number = call.field("cursor").map_or(Some(0), number).ok_or_else(|| Rejection::new(Code::Invalid, "/cursor", "send the `next` of the page before, or none for the first"))?;
    let mut found = call.surface.receipts.exceptions(Asked::From { number, closed, most: PAGE + 1 }, call.deadline).await.map_err(Miss::Failure)?;
    let next = found.get(PAGE).map(|(number, _)| format!("exc_{number}"));
    found.truncate(PAGE);
    Ok(json(StatusCode::OK, &ExceptionsShown { exceptions: found.iter().map(|(number, one)| report::exception(*number, one)).collect(), next }))
}

fn number(id: &str) -> Option<u64> {
    id.strip_prefix("exc_").and_then(|number| number.parse().ok())
}

/// Staff have looked at one.
#[utoipa::path(post, path = "/v1/exceptions/{exception}/close", tag = "exceptions", operation_id = "closeException", request_body = CloseException,
    params(("exception" = String, Path, description = "The exception's id")),
    responses((status = 200, description = "Closed", body = ExceptionShown)))]
pub(crate) async fn close(call: &Call, id: &str) -> Result<Answer, Stop> {
    let asked: CloseException = call.read()?;
    let (author, note) = (read::text(&asked.author, 64, || "/author".into())?, read::text(&asked.note, 200, || "/note".into())?);
    if author.trim().is_empty() {
        return Err(Rejection::new(Code::Invalid, "/author", "say who has looked at it").into());
    }
    let unknown = || Rejection::new(Code::UnknownException, "", "there is no such exception; GET /v1/exceptions lists them");
    let number = number(id).ok_or_else(unknown)?;
    // What was closed stays so: a retry is answered with it, also somebody else's.
    call.surface.receipts.close(number, author, note, call.deadline).await.map_err(Miss::Failure)?;
    let found = call.surface.receipts.exceptions(Asked::One(number), call.deadline).await.map_err(Miss::Failure)?;
    let (number, one) = found.first().ok_or_else(unknown)?;
    Ok(json(StatusCode::OK, &report::exception(*number, one)))
}
