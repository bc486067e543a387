//! What staff must look at.

use http::StatusCode;
use tessera_actors::Miss;
use tessera_api::report::{CloseException, ExceptionShown, ExceptionsShown};
use tessera_api::{read, report};
use tessera_domain::{Code, Rejection};

use super::{Call, Stop};
use crate::problem::{Answer, json};

/// What staff must look at, the oldest first.
#[utoipa::path(get, path = "/v1/exceptions", tag = "exceptions", operation_id = "exceptions",
    params(("state" = Option<String>, Query, description = "`open` or `closed`; all when absent", max_length = 8)),
    responses((status = 200, description = "The exceptions", body = ExceptionsShown)))]
pub(crate) async fn all(call: &Call) -> Result<Answer, Stop> {
    let closed = match call.field("state") {
        None => None,
        Some("open") => Some(false),
        Some("closed") => Some(true),
        Some(_) => return Err(Rejection::new(Code::Invalid, "/state", "open or closed").into()),
    };
    let found = call.surface.receipts.exceptions(call.deadline).await.map_err(Miss::Failure)?;
    let shown = (0_u64..).zip(&found.all).filter(|(_, one)| closed.is_none_or(|closed| closed == one.closed.is_some()));
    Ok(json(StatusCode::OK, &ExceptionsShown { exceptions: shown.map(|(number, one)| report::exception(number, one)).collect() }))
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
    let unknown = || Rejection::new(Code::UnknownException, "", "there is no such exception, or it is closed");
    let number: u64 = id.strip_prefix("exc_").and_then(|number| number.parse().ok()).ok_or_else(unknown)?;
    if !call.surface.receipts.close(number, author, note, call.deadline).await.map_err(Miss::Failure)? {
        return Err(unknown().into());
    }
    let found = call.surface.receipts.exceptions(call.deadline).await.map_err(Miss::Failure)?;
    let one = usize::try_from(number).ok().and_then(|number| found.all.get(number)).ok_or_else(unknown)?;
    Ok(json(StatusCode::OK, &report::exception(number, one)))
}
