//! Pools: members who may spend each other's points.

use http::StatusCode;
use tessera_api::{answer, read, request};
use tessera_domain::ids::{Kind, MadeId, PoolId};
use tessera_domain::Code;

use super::{Call, Stop, made, no_programme};
use crate::problem::{Answer, json};

fn pool(id: &str) -> Result<PoolId, Stop> {
    let MadeId { member, seq, .. } = made(Kind::Pool, id, Code::UnknownPool)?;
    Ok(PoolId { founder: member, seq })
}

/// Founds a pool: its members may spend each other's points. Each keeps its own; a member is in one pool at most.
#[utoipa::path(post, path = "/v1/pools", tag = "pools", operation_id = "foundPool", request_body = request::NewPoolMember,
    params(("Idempotency-Key" = String, Header, description = "So that a retry takes effect once", min_length = 1, max_length = 255)),
    responses((status = 201, description = "Founded", body = answer::Written)))]
pub(crate) async fn found(call: &Call) -> Result<Answer, Stop> {
    let header = call.required_key()?;
    let request: request::NewPoolMember = call.read()?;
    let founder = call.known(&request.member).await?;
    let done = call.members().found_pool(founder, header, call.deadline).await?;
    call.done(StatusCode::CREATED, &done)
}

/// A pool: who is in it, and what each may spend.
#[utoipa::path(get, path = "/v1/pools/{pool}", tag = "pools", operation_id = "getPool",
    params(("pool" = String, Path, description = "The pool's id")),
    responses((status = 200, description = "The pool", body = answer::Pool)))]
pub(crate) async fn get(call: &Call, id: &str) -> Result<Answer, Stop> {
    let mut views = Vec::new();
    for member in call.members().pool(pool(id)?, call.deadline).await? {
        views.push((member, call.members().view(member, call.deadline).await?));
    }
    let programmes = call.programmes();
    let programme = programmes.current().ok_or_else(no_programme)?;
    Ok(json(StatusCode::OK, &answer::pool(programme, id, &views)))
}

/// Lets a member join.
#[utoipa::path(post, path = "/v1/pools/{pool}/members", tag = "pools", operation_id = "joinPool", request_body = request::NewPoolMember,
    params(("pool" = String, Path, description = "The pool's id"), ("Idempotency-Key" = String, Header, description = "So that a retry takes effect once", min_length = 1, max_length = 255)),
    responses((status = 201, description = "Joined", body = answer::Written)))]
pub(crate) async fn join(call: &Call, id: &str) -> Result<Answer, Stop> {
    let header = call.required_key()?;
    let request: request::NewPoolMember = call.read()?;
    let (pool, member) = (pool(id)?, call.known(&request.member).await?);
    let done = call.members().join_pool(pool, member, header, call.deadline).await?;
    call.done(StatusCode::CREATED, &done)
}

/// Lets a member leave. When the founder does, the pool is no more. Open holds stay.
#[utoipa::path(delete, path = "/v1/pools/{pool}/members/{member}", tag = "pools", operation_id = "leavePool",
    params(("pool" = String, Path, description = "The pool's id"), ("member" = String, Path, description = "The member's id"),
        ("Idempotency-Key" = String, Header, description = "So that a retry takes effect once", min_length = 1, max_length = 255)),
    responses((status = 200, description = "Left", body = answer::Written)))]
pub(crate) async fn leave(call: &Call, id: &str, member: &str) -> Result<Answer, Stop> {
    let header = call.required_key()?;
    let done = call.members().leave_pool(pool(id)?, read::member_id(member)?, header, call.deadline).await?;
    call.done(StatusCode::OK, &done)
}
