//! What a till may take while it has no connection.

use http::{HeaderValue, StatusCode};
use serde_json::json;
use tessera_api::{answer, request};
use tessera_domain::command::{Allow, Ask, Command};
use tessera_domain::record::Body;

use super::{Call, Stop};
use crate::problem::{Answer, json};

/// Lets a till take points of a member while it has no connection; the answer's token is what it keeps.
#[utoipa::path(post, path = "/v1/allowances", tag = "spending", operation_id = "allow", request_body = request::NewAllowance,
    params(("Idempotency-Key" = String, Header, description = "So that a retry takes effect once", min_length = 1, max_length = 255)),
    responses((status = 201, description = "Allowed", body = answer::Written)))]
pub(crate) async fn allow(call: &Call) -> Result<Answer, Stop> {
    let header = call.required_key()?;
    let asked: request::NewAllowance = call.read()?;
    let wallet = call.wallet(&asked.wallet, "/wallet")?;
    let (store, till) = asked.place()?;
    let ttl_ms = asked.ttl_seconds.map(|seconds| seconds.saturating_mul(1_000));
    let member = call.known(&asked.member).await?;
    let done = call.members().command(member, Command { header, ask: Ask::Allow(Box::new(Allow { wallet, store, till, points: asked.points, ttl_ms })) }, call.deadline).await?;
    let programmes = call.programmes();
    let mut written = answer::written(&programmes, &call.languages(), done.member, done.seq, &done.record).ok_or_else(super::unknown_version)?;
    if let (Body::Allowed { not_after, .. }, Some(signer)) = (&done.record.body, &call.surface.signer) {
        // RFC 7519: times are seconds.
        written.token = Some(signer.token(&json!({
            "jti": written.id, "sub": written.member, "wallet": written.wallet, "store": written.store, "till": written.till, "points": written.points,
            "iat": done.record.at.div_euclid(1_000), "exp": not_after.div_euclid(1_000),
        })));
    }
    let mut answer = json(StatusCode::CREATED, &written);
    if done.repeat {
        answer.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
    }
    Ok(answer)
}

/// What tills check tokens of allowances with: JSON web keys of RFC 8037.
#[utoipa::path(get, path = "/v1/allowances/keys", tag = "spending", operation_id = "allowanceKeys",
    responses((status = 200, description = "A JSON web key set", body = Object)))]
pub(crate) fn keys(call: &Call) -> Answer {
    json(StatusCode::OK, &call.surface.signer.as_ref().map_or_else(|| json!({ "keys": [] }), |signer| signer.keys()))
}
