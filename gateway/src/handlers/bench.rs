//! For benchmarks: all that a request meets but the member, then fixed bytes.

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use tessera_api::read;

use super::{Call, Stop, purchases};
use crate::problem::Answer;

/// A purchase up to the finished command.
pub(crate) async fn purchase(call: &Call, bytes: &str) -> Result<Answer, Stop> {
    std::hint::black_box(purchases::basket(call, true).await?);
    fixed(StatusCode::CREATED, bytes)
}

/// A balance read up to the member's id.
pub(crate) fn member(id: &str, bytes: &str) -> Result<Answer, Stop> {
    std::hint::black_box(read::member_id(id)?);
    fixed(StatusCode::OK, bytes)
}

fn fixed(status: StatusCode, bytes: &str) -> Result<Answer, Stop> {
    let bytes: usize = bytes.parse().ok().filter(|bytes| *bytes <= 65_536).ok_or_else(|| Stop::Malformed("how many bytes, up to 65536".into()))?;
    let mut answer = Answer::new(Bytes::from(vec![b' '; bytes]));
    *answer.status_mut() = status;
    answer.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(answer)
}
