//! Points are set aside, spent, and given back.

use http::StatusCode;
use tessera_api::{answer, request};
use tessera_domain::command::Ask;
use tessera_domain::ids::{Kind, MadeId};
use tessera_domain::record::Body;
use tessera_domain::{Code, Rejection};

use super::{Call, Stop, made, no_programme, said};
use crate::problem::{Answer, json};

/// Sets points aside until they are confirmed or cancelled, or the hold's time ends.
#[utoipa::path(post, path = "/v1/holds", tag = "spending", operation_id = "placeHold", request_body = request::Hold,
    params(("Idempotency-Key" = String, Header, description = "So that a retry takes effect once", min_length = 1, max_length = 255)),
    responses((status = 201, description = "Held", body = answer::Written)))]
pub(crate) async fn place(call: &Call) -> Result<Answer, Stop> {
    let header = call.required_key()?;
    let hold: request::Hold = call.read()?;
    let asked = hold.asked()?;
    let wallet = call.wallet(&hold.wallet, "/wallet")?;
    let ttl_ms = hold.ttl_seconds.map(|seconds| seconds.saturating_mul(1_000));
    let member = call.known(&hold.member).await?;
    if hold.pool {
        let done = call.members().pool_hold(member, header, wallet, asked, ttl_ms, call.deadline).await?;
        return call.done(StatusCode::CREATED, &done);
    }
    call.ask(StatusCode::CREATED, member, header, Ask::PlaceHold { wallet, asked, ttl_ms, pool: None }).await
}

/// A hold as it stands.
#[utoipa::path(get, path = "/v1/holds/{hold}", tag = "spending", operation_id = "getHold",
    params(("hold" = String, Path, description = "The hold's id")),
    responses((status = 200, description = "The hold", body = answer::HoldShown)))]
pub(crate) async fn get(call: &Call, id: &str) -> Result<Answer, Stop> {
    let MadeId { member, seq, .. } = call.members().current(made(Kind::Hold, id, Code::UnknownHold)?, call.deadline).await?;
    let unknown = || Rejection::new(Code::UnknownHold, "", "there is no hold of this id; look at the answer that made it");
    let (wallets, ended) = call.members().wallets(member, Some(seq), call.deadline).await?;
    let record = call.members().record(member, seq).await?.ok_or_else(unknown)?;
    let programmes = call.programmes();
    let programme = programmes.current().ok_or_else(no_programme)?;
    let shown = answer::hold(programme, member, seq, &record, &wallets, ended).ok_or_else(unknown)?;
    Ok(json(StatusCode::OK, &shown))
}

/// Spends a hold, or part of it; the rest returns.
#[utoipa::path(post, path = "/v1/holds/{hold}/confirm", tag = "spending", operation_id = "confirmHold", request_body = request::Confirm,
    params(("hold" = String, Path, description = "The hold's id"), ("Idempotency-Key" = String, Header, description = "So that a retry takes effect once", min_length = 1, max_length = 255)),
    responses((status = 200, description = "Spent", body = answer::Written)))]
pub(crate) async fn confirm(call: &Call, id: &str) -> Result<Answer, Stop> {
    let header = call.required_key()?;
    let confirm: request::Confirm = call.read_or_default()?;
    let hold = made(Kind::Hold, id, Code::UnknownHold)?;
    call.ask(StatusCode::OK, hold.member, header, Ask::ConfirmHold { hold: hold.seq, points: confirm.points }).await
}

/// Frees a hold's points.
#[utoipa::path(post, path = "/v1/holds/{hold}/cancel", tag = "spending", operation_id = "cancelHold", request_body = request::Nothing,
    params(("hold" = String, Path, description = "The hold's id"), ("Idempotency-Key" = String, Header, description = "So that a retry takes effect once", min_length = 1, max_length = 255)),
    responses((status = 200, description = "Freed", body = answer::Written)))]
pub(crate) async fn cancel(call: &Call, id: &str) -> Result<Answer, Stop> {
    let header = call.required_key()?;
    call.read_or_default::<request::Nothing>()?;
    let hold = made(Kind::Hold, id, Code::UnknownHold)?;
    call.ask(StatusCode::OK, hold.member, header, Ask::CancelHold { hold: hold.seq }).await
}

/// Spends points at once.
#[utoipa::path(post, path = "/v1/redemptions", tag = "spending", operation_id = "redeem", request_body = request::Redemption,
    params(("Idempotency-Key" = String, Header, description = "So that a retry takes effect once; may be left out with offline, whose counter does the same", min_length = 1, max_length = 255)),
    responses((status = 201, description = "Spent", body = answer::Written)))]
pub(crate) async fn redeem(call: &Call) -> Result<Answer, Stop> {
    let header = call.key()?;
    let redemption: Result<request::Redemption, Stop> = call.read();
    if header == 0 && !redemption.as_ref().is_ok_and(|redemption| redemption.offline.is_some()) {
        return Err(Stop::KeyMissing);
    }
    let redemption = redemption?;
    let asked = redemption.asked()?;
    let wallet = call.wallet(&redemption.wallet, "/wallet")?;
    let member = call.known(&redemption.member).await?;
    if redemption.pool {
        if redemption.offline.is_some() {
            return Err(Rejection::new(Code::Invalid, "/pool", "an allowance is of one member's own points; leave pool out").into());
        }
        let done = call.members().pool_redeem(member, header, wallet, asked, call.deadline).await?;
        return call.done(StatusCode::CREATED, &done);
    }
    let programmes = call.programmes();
    let programme = programmes.current().ok_or_else(no_programme)?;
    let owner = if redemption.offline.is_some() { call.members().owner(member, call.deadline).await? } else { member.into() };
    let offline = redemption.offline.as_ref().map(|offline| offline.read(&owner, programme)).transpose()?.map(Box::new);
    call.ask(StatusCode::CREATED, owner.member, header, Ask::Redeem { wallet, asked, offline }).await
}

/// Gives points from one of a member's wallets to another, or to another member.
#[utoipa::path(post, path = "/v1/transfers", tag = "spending", operation_id = "transfer", request_body = request::Transfer,
    params(("Idempotency-Key" = String, Header, description = "So that a retry takes effect once", min_length = 1, max_length = 255)),
    responses((status = 201, description = "Transferred", body = answer::Written), (status = 202, description = "On its way to the other member: ask for the transfer", body = answer::Written)))]
pub(crate) async fn transfer(call: &Call) -> Result<Answer, Stop> {
    let header = call.required_key()?;
    let transfer: request::Transfer = call.read()?;
    let from = call.wallet(&transfer.from, "/from")?;
    let Some(recipient) = &transfer.recipient else {
        if transfer.to.is_empty() {
            return Err(Rejection::new(Code::Invalid, "/to", "name the other wallet, or a recipient").into());
        }
        let to = call.wallet(&transfer.to, "/to")?;
        let member = call.known(&transfer.member).await?;
        return call.ask(StatusCode::CREATED, member, header, Ask::Transfer { from, to, points: transfer.points }).await;
    };
    if !transfer.to.is_empty() && transfer.to != transfer.from {
        return Err(Rejection::new(Code::Invalid, "/to", "a gift stays in its wallet; leave this out").into());
    }
    let (member, to) = (call.known(&transfer.member).await?, call.known_at(recipient, "/recipient").await?);
    let (done, state) = call.members().give(member, header, from, transfer.points, to, call.deadline).await?;
    call.saga(&done, state, || Rejection::new(Code::GiftRefused, "/recipient", "the other member could not take these points: they are back"))
}

/// A transfer as it was answered; of a gift also how it stands.
#[utoipa::path(get, path = "/v1/transfers/{transfer}", tag = "spending", operation_id = "getTransfer",
    params(("transfer" = String, Path, description = "The transfer's id")),
    responses((status = 200, description = "The transfer", body = answer::Written)))]
pub(crate) async fn get_transfer(call: &Call, id: &str) -> Result<Answer, Stop> {
    let made = made(Kind::Transfer, id, Code::UnknownTransfer)?;
    let record = call.members().record(made.member, made.seq).await?.filter(|record| matches!(record.body, Body::Gave { .. } | Body::Transferred { .. }));
    let record = record.ok_or_else(|| Rejection::new(Code::UnknownTransfer, "", "there is no transfer of this id; look at the answer that made it"))?;
    let programmes = call.programmes();
    let mut written = answer::written(&programmes, &call.languages(), made.member, made.seq, &record).ok_or_else(super::unknown_version)?;
    if matches!(record.body, Body::Gave { .. }) {
        written.state = Some(said(call.members().gift(made.member, made.seq, call.deadline).await?));
    }
    Ok(crate::problem::json(StatusCode::OK, &written))
}

/// A redemption as it was answered.
#[utoipa::path(get, path = "/v1/redemptions/{redemption}", tag = "spending", operation_id = "getRedemption",
    params(("redemption" = String, Path, description = "The redemption's id")),
    responses((status = 200, description = "As it was answered", body = answer::Written)))]
pub(crate) async fn get_redemption(call: &Call, id: &str) -> Result<Answer, Stop> {
    let made = made(Kind::Redemption, id, Code::UnknownRedemption)?;
    let record = call.members().record(made.member, made.seq).await?;
    match record.filter(|record| matches!(record.body, Body::Redeemed { .. } | Body::HoldConfirmed { .. })) {
        Some(record) => call.show(StatusCode::OK, made.member, made.seq, &record),
        None => Err(Rejection::new(Code::UnknownRedemption, "", "there is no redemption of this id; look at the answer that made it").into()),
    }
}

/// Undoes a redemption, once. One that paid for a purchase goes back with the purchase.
#[utoipa::path(post, path = "/v1/redemptions/{redemption}/reverse", tag = "spending", operation_id = "reverse", request_body = request::Nothing,
    params(("redemption" = String, Path, description = "The redemption's id"), ("Idempotency-Key" = String, Header, description = "So that a retry takes effect once", min_length = 1, max_length = 255)),
    responses((status = 201, description = "Reversed", body = answer::Written)))]
pub(crate) async fn reverse(call: &Call, id: &str) -> Result<Answer, Stop> {
    let header = call.required_key()?;
    call.read_or_default::<request::Nothing>()?;
    let redemption = made(Kind::Redemption, id, Code::UnknownRedemption)?;
    call.ask(StatusCode::CREATED, redemption.member, header, Ask::Reverse { redemption: redemption.seq }).await
}
