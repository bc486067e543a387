//! Purchases and what becomes of them: quotes, deliveries, returns, voids.

use http::StatusCode;
use tessera_actors::{Located, Miss, Who};
use tessera_actors::names::alias_hash;
use tessera_api::read::{TakenBack, purchase_id};
use tessera_api::{answer, request};
use tessera_domain::command::{Ask, Command, SaleName};
use tessera_domain::ids::MemberId;
use tessera_domain::merge::Owner;
use tessera_domain::receipts;
use tessera_domain::record::Body;
use tessera_domain::{Code, Rejection};

use super::{Call, Stop, no_programme, unknown_version, whom};
use crate::problem::{Answer, json};

/// What a basket comes to before its member is asked.
pub(crate) struct Asked {
    pub(crate) member: MemberId,
    who: Who,
    /// The member must be enrolled first.
    enrol: bool,
    /// Nothing is to be written.
    training: bool,
    pub(crate) command: Command,
}

/// Reads the whole basket before an unknown card enrols anybody: bad input changes nothing.
pub(crate) async fn basket(call: &Call, needs_key: bool) -> Result<Asked, Stop> {
    let purchase: request::Purchase = call.read()?;
    let header = call.key()?;
    if needs_key && header == 0 && purchase.transaction_id.is_none() && purchase.sequence.is_none() {
        return Err(Stop::KeyMissing);
    }
    let programmes = call.programmes();
    let programme = programmes.current().ok_or_else(no_programme)?;
    let who = whom(&purchase.member)?;
    let Located { found, before } = call.members().locate(&who, purchase.happened(programme)?, call.deadline).await?;
    let alias = match &who {
        Who::Alias(kind, value) => Some((kind.as_str().into(), alias_hash(kind, value))),
        Who::Member(_) => None,
    };
    let command = |owner: &Owner| purchase.command(programme, owner, alias.clone()).map(|command| Command { header, ask: Ask::Purchase(Box::new(command)) });
    // What it names may be of a member that has gone into this one, or of the one that this one has gone into.
    let owner = async |member| if purchase.names_others(member) { call.members().owner(member, call.deadline).await } else { Ok(Owner::from(member)) };
    if let Some(before) = before
        && let before = owner(before).await?
        && let Ok(command) = command(&before)
        && call.members().repeat(before.member, command.clone(), call.deadline).await?.is_some()
    {
        return Ok(Asked { member: before.member, who, enrol: false, training: purchase.training, command });
    }
    let (member, enrol) = found?;
    let owner = owner(member).await?;
    Ok(Asked { member: owner.member, who, enrol, training: purchase.training, command: command(&owner)? })
}

/// A basket for a member or an alias: what it earns and spends, and why.
#[utoipa::path(post, path = "/v1/purchases", tag = "purchases", operation_id = "purchase", request_body = request::Purchase,
    params(("Idempotency-Key" = Option<String>, Header, description = "Needed unless the purchase has a sequence or a transaction id", min_length = 1, max_length = 255)),
    responses((status = 201, description = "Done, now or before", body = answer::Written,
        headers(("Idempotent-Replayed" = String, description = "`true`: an earlier request did it"))),
        (status = 200, description = "In training: what it would do; nothing is written", body = answer::Written)))]
pub(crate) async fn purchase(call: &Call) -> Result<Answer, Stop> {
    let asked = basket(call, true).await?;
    if asked.training {
        return quoted(call, asked).await;
    }
    bought(call, asked).await
}

/// A card shown after the sale: the whole basket, at most 30 days later. It earns as a late upload does, unless its receipt
/// counts for somebody already.
#[utoipa::path(post, path = "/v1/claims", tag = "purchases", operation_id = "claim", request_body = request::Purchase,
    params(("Idempotency-Key" = Option<String>, Header, description = "Beside the receipt's own key", min_length = 1, max_length = 255)),
    responses((status = 201, description = "Done, now or before", body = answer::Written), (status = 200, description = "In training: what it would do", body = answer::Written)))]
pub(crate) async fn claim(call: &Call) -> Result<Answer, Stop> {
    let asked = basket(call, true).await?;
    let Ask::Purchase(purchase) = &asked.command.ask else { return Err(Stop::KeyMissing) };
    if purchase.keys.is_empty() {
        return Err(Rejection::new(Code::Invalid, "/sequence", "a claim names its receipt: store, till, business date and sequence, or the transaction id").into());
    }
    // What took effect is answered as it was.
    if !asked.enrol
        && let Some(done) = call.members().repeat(asked.member, asked.command.clone(), call.deadline).await?
    {
        return call.done(StatusCode::CREATED, &done);
    }
    let named = if purchase.keys.natural.is_some() { "/sequence" } else { "/transaction_id" };
    receipts::in_time(purchase.basket.occurred_at, call.members().clock().now())?;
    let bearer = call.surface.receipts.find(&purchase.keys, call.deadline).await.map_err(Miss::Failure)?;
    if let Some(bearer) = bearer
        && bearer.member != asked.member
        && call.members().survivor(bearer.member, call.deadline).await? != call.members().survivor(asked.member, call.deadline).await?
    {
        return Err(Rejection::new(Code::ReceiptUsed, named, "this receipt counts for another member already").into());
    }
    if asked.training {
        return quoted(call, asked).await;
    }
    bought(call, asked).await
}

async fn bought(call: &Call, Asked { member, who, enrol, command, .. }: Asked) -> Result<Answer, Stop> {
    if enrol {
        call.members().enrol_for(member, &who, &command, call.deadline).await?;
    }
    // Of a source that renumbers: what it calls this receipt now.
    let named = match &command.ask {
        Ask::Purchase(purchase) if purchase.keys.content.is_some() => Some(purchase.keys.clone()),
        _ => None,
    };
    let done = call.members().command(member, command, call.deadline).await?;
    let renumbered = match &done.record.body {
        Body::Purchased(sale) => done.repeat && named.is_some_and(|named| named != sale.keys),
        _ => false,
    };
    call.done_noting(StatusCode::CREATED, &done, renumbered.then_some("renumbered"))
}

/// What a purchase would do; nothing is written.
#[utoipa::path(post, path = "/v1/quotes", tag = "purchases", operation_id = "quote", request_body = request::Purchase,
    responses((status = 200, description = "As the purchase would be answered", body = answer::Written)))]
pub(crate) async fn quote(call: &Call) -> Result<Answer, Stop> {
    quoted(call, basket(call, false).await?).await
}

async fn quoted(call: &Call, Asked { member, who, enrol, command, .. }: Asked) -> Result<Answer, Stop> {
    let (member, record) = if enrol && call.members().view(member, call.deadline).await.is_err() {
        (member, call.members().quote_new(&who, &command, call.deadline).await?.into())
    } else {
        call.members().quote(member, command, call.deadline).await?
    };
    let programmes = call.programmes();
    let mut written = answer::written(&programmes, &call.languages(), member, 0, &record).ok_or_else(unknown_version)?;
    written.id = None;
    Ok(json(StatusCode::OK, &written))
}

/// A purchase as it was answered.
#[utoipa::path(get, path = "/v1/purchases/{purchase}", tag = "purchases", operation_id = "getPurchase",
    params(("purchase" = String, Path, description = "The purchase's id")),
    responses((status = 200, description = "As it was answered", body = answer::Written)))]
pub(crate) async fn get(call: &Call, id: &str) -> Result<Answer, Stop> {
    let made = purchase_id(id)?;
    let record = call.members().record(made.member, made.seq).await?;
    match record.filter(|record| matches!(record.body, Body::Purchased(_))) {
        Some(record) => call.show(StatusCode::OK, made.member, made.seq, &record),
        None => Err(Rejection::new(Code::UnknownSale, "", "there is no purchase of this id; look at the answer that made it").into()),
    }
}

/// Lines were delivered: what waited for them becomes active.
#[utoipa::path(post, path = "/v1/purchases/{purchase}/deliveries", tag = "purchases", operation_id = "deliver", request_body = request::Delivery,
    params(("purchase" = String, Path, description = "The purchase's id"), ("Idempotency-Key" = String, Header, description = "So that a retry takes effect once", min_length = 1, max_length = 255)),
    responses((status = 201, description = "Unlocked", body = answer::Written)))]
pub(crate) async fn deliver(call: &Call, id: &str) -> Result<Answer, Stop> {
    let header = call.required_key()?;
    let delivery: request::Delivery = call.read_or_default()?;
    let made = purchase_id(id)?;
    call.ask(StatusCode::CREATED, made.member, header, Ask::Deliver { sale: made.seq, lines: delivery.lines }).await
}

/// Goods come back: whole or in part, by any name of the sale, or without a receipt.
#[utoipa::path(post, path = "/v1/returns", tag = "purchases", operation_id = "giveBack", request_body = request::Return,
    params(("Idempotency-Key" = Option<String>, Header, description = "Needed unless the return has a receipt of its own", min_length = 1, max_length = 255)),
    responses((status = 201, description = "Taken back", body = answer::Written), (status = 202, description = "Kept until its sale comes, at most 90 days", body = answer::Written)))]
pub(crate) async fn give_back(call: &Call) -> Result<Answer, Stop> {
    let header = call.key()?;
    let sent: request::Return = call.read()?;
    let programmes = call.programmes();
    let command = sent.command(programmes.current().ok_or_else(no_programme)?)?;
    let (keyed, ask) = match command {
        TakenBack::Sale(asked) => (!asked.keys.is_empty(), Ask::Return(asked)),
        TakenBack::Blind(asked) => (!asked.keys.is_empty(), Ask::BlindReturn(Box::new(asked))),
    };
    if header == 0 && !keyed {
        return Err(Stop::KeyMissing);
    }
    let sale = if let Ask::Return(asked) = &ask { Some(asked.sale.clone()) } else { None };
    let member = of_whom(call, sent.member.as_ref(), sent.purchase.as_deref(), sale.as_ref()).await?;
    taken_back(call, member, header, ask).await
}

/// All that is left of a purchase is taken back, with all its tenders.
#[utoipa::path(post, path = "/v1/voids", tag = "purchases", operation_id = "void", request_body = request::Void,
    params(("Idempotency-Key" = Option<String>, Header, description = "Needed unless the void has a receipt of its own", min_length = 1, max_length = 255)),
    responses((status = 201, description = "Voided", body = answer::Written), (status = 202, description = "Kept until its sale comes, at most 90 days", body = answer::Written)))]
pub(crate) async fn void(call: &Call) -> Result<Answer, Stop> {
    let header = call.key()?;
    let sent: request::Void = call.read()?;
    let programmes = call.programmes();
    let mut asked = sent.command(programmes.current().ok_or_else(no_programme)?)?;
    if let (true, SaleName::Keys(keys)) = (asked.keys.is_empty(), &asked.sale) {
        // A till voids under the receipt's own number.
        asked.keys = keys.clone();
    }
    if header == 0 && asked.keys.is_empty() {
        return Err(Stop::KeyMissing);
    }
    let member = of_whom(call, sent.member.as_ref(), sent.purchase.as_deref(), Some(&asked.sale)).await?;
    taken_back(call, member, header, Ask::Return(Box::new(asked))).await
}

async fn taken_back(call: &Call, member: MemberId, header: u128, ask: Ask) -> Result<Answer, Stop> {
    let done = call.members().command(member, Command { header, ask }, call.deadline).await?;
    let waits = matches!(done.record.body, Body::ReturnWaits(_));
    call.done(if waits { StatusCode::ACCEPTED } else { StatusCode::CREATED }, &done)
}

/// The member of a return: the purchase's id names it, or its receipt; when both are given they must agree.
async fn of_whom(call: &Call, who: Option<&request::Who>, purchase: Option<&str>, sale: Option<&SaleName>) -> Result<MemberId, Stop> {
    let by_id = purchase.map(purchase_id).transpose()?.map(|made| made.member);
    match (who, by_id) {
        (None, Some(member)) => Ok(member),
        (Some(who), None) => call.known(who).await,
        // The id says by which number.
        (Some(who), Some(member)) => {
            let known = call.known(who).await?;
            let same = known == member || call.members().survivor(known, call.deadline).await? == call.members().survivor(member, call.deadline).await?;
            if same { Ok(member) } else { Err(Rejection::new(Code::UnknownSale, "/purchase", "this purchase is another member's").into()) }
        }
        (None, None) => {
            let Some(SaleName::Keys(keys)) = sale else {
                return Err(Rejection::new(Code::Invalid, "/member", "a return without a receipt names its member").into());
            };
            let found = call.surface.receipts.find(keys, call.deadline).await.map_err(Miss::Failure)?;
            let text = "no member's purchase bears this receipt, as of a few seconds ago; name the member, and the return waits for its sale";
            Ok(found.ok_or_else(|| Rejection::new(Code::UnknownSale, "/sale", text))?.member)
        }
    }
}
