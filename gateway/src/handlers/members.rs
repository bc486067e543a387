//! Members: enrolment, aliases, balance, lots, tier, statement, adjustments.

use http::{HeaderValue, StatusCode, header};
use percent_encoding::percent_decode_str;
use tessera_actors::names::{enrolled_id, header_hash};
use tessera_api::forecast::forecast;
use tessera_api::{answer, read, request};
use tessera_domain::command::Ask;
use tessera_domain::goals::GoalKind;
use tessera_domain::ids::MemberId;
use tessera_domain::{Code, Rejection};

use super::{API_KEY, Call, Stop, no_programme, unknown_version};
use crate::problem::{Answer, json};

/// Entries of a page of the statement, unless asked otherwise; and at most.
const PAGE: u64 = 50;
const PAGE_MOST: u64 = 200;

/// Enrols a member.
#[utoipa::path(post, path = "/v1/members", tag = "members", operation_id = "enrol", request_body = request::Enrol,
    params(("Idempotency-Key" = String, Header, description = "So that a retry enrols nobody twice", min_length = 1, max_length = 255)),
    responses((status = 201, description = "Enrolled", body = answer::Written)))]
pub(crate) async fn enrol(call: &Call) -> Result<Answer, Stop> {
    let key = call.required_key_text()?;
    let enrol: request::Enrol = call.read()?;
    if enrol.aliases.len() > 20 {
        return Err(Rejection::new(Code::Invalid, "/aliases", "at most 20 aliases").into());
    }
    let aliases = enrol.aliases.iter().enumerate().map(|(place, alias)| alias.read(&format!("/aliases/{place}")));
    let aliases = aliases.collect::<Result<Vec<_>, _>>()?;
    let done = call.members().enrol(enrolled_id(API_KEY, key), header_hash(API_KEY, key), &aliases, call.deadline).await?;
    call.done(StatusCode::CREATED, &done)
}

/// The member that holds an alias. In the body, so that no phone number stands in a log.
#[utoipa::path(post, path = "/v1/members/lookup", tag = "members", operation_id = "lookUp", request_body = request::Alias,
    responses((status = 200, description = "The member", body = answer::Member)))]
pub(crate) async fn look_up(call: &Call) -> Result<Answer, Stop> {
    let alias: request::Alias = call.read()?;
    let (kind, value) = alias.read("")?;
    let member = call.members().look_up(&kind, &value).await?;
    show(call, member).await
}

/// Balance and tier as of now.
#[utoipa::path(get, path = "/v1/members/{member}", tag = "members", operation_id = "member",
    params(("member" = String, Path, description = "The member's id")),
    responses((status = 200, description = "The member", body = answer::Member)))]
pub(crate) async fn member(call: &Call, id: &str) -> Result<Answer, Stop> {
    show(call, call.member(id).await?).await
}

async fn show(call: &Call, member: MemberId) -> Result<Answer, Stop> {
    let view = call.members().view(member, call.deadline).await?;
    let programmes = call.programmes();
    let programme = programmes.current().ok_or_else(no_programme)?;
    Ok(json(StatusCode::OK, &answer::member(programme, member, &view)))
}

/// The tier, what carries it, and what is missing to the next.
#[utoipa::path(get, path = "/v1/members/{member}/tier", tag = "members", operation_id = "tier",
    params(("member" = String, Path, description = "The member's id")),
    responses((status = 200, description = "The tier", body = answer::Tier)))]
pub(crate) async fn tier(call: &Call, id: &str) -> Result<Answer, Stop> {
    let view = call.members().view(read::member_id(id)?, call.deadline).await?;
    let programmes = call.programmes();
    let programme = programmes.current().ok_or_else(no_programme)?;
    let text = forecast(programme, &view, &call.languages());
    Ok(json(StatusCode::OK, &answer::Tier { text, ..answer::tier(programme, &view) }))
}

/// The lots, in the order in which they are spent, then those that wait.
#[utoipa::path(get, path = "/v1/members/{member}/lots", tag = "members", operation_id = "lots",
    params(("member" = String, Path, description = "The member's id")),
    responses((status = 200, description = "The lots", body = answer::Lots)))]
pub(crate) async fn lots(call: &Call, id: &str) -> Result<Answer, Stop> {
    let (wallets, _) = call.members().wallets(read::member_id(id)?, None, call.deadline).await?;
    let programmes = call.programmes();
    Ok(json(StatusCode::OK, &answer::lots(programmes.current().ok_or_else(no_programme)?, &wallets)))
}

/// The quests: those that run, and those that the member has begun.
#[utoipa::path(get, path = "/v1/members/{member}/quests", tag = "members", operation_id = "quests",
    params(("member" = String, Path, description = "The member's id")),
    responses((status = 200, description = "The quests", body = answer::Goals)))]
pub(crate) async fn quests(call: &Call, id: &str) -> Result<Answer, Stop> {
    goals(call, id, GoalKind::Quest).await
}

/// The achievements, and how far the member has come with each.
#[utoipa::path(get, path = "/v1/members/{member}/achievements", tag = "members", operation_id = "achievements",
    params(("member" = String, Path, description = "The member's id")),
    responses((status = 200, description = "The achievements", body = answer::Goals)))]
pub(crate) async fn achievements(call: &Call, id: &str) -> Result<Answer, Stop> {
    goals(call, id, GoalKind::Achievement).await
}

async fn goals(call: &Call, id: &str, kind: GoalKind) -> Result<Answer, Stop> {
    let progress = call.members().goals(read::member_id(id)?, call.deadline).await?;
    let programmes = call.programmes();
    let programme = programmes.current().ok_or_else(no_programme)?;
    Ok(json(StatusCode::OK, &answer::goals(programme, &call.languages(), kind, &progress, call.members().clock().now())))
}

/// Changes the profile: the member's own zone, birthday, segments.
#[utoipa::path(patch, path = "/v1/members/{member}", tag = "members", operation_id = "update", request_body = request::Update,
    params(("member" = String, Path, description = "The member's id"), ("Idempotency-Key" = String, Header, description = "So that a retry takes effect once", min_length = 1, max_length = 255)),
    responses((status = 200, description = "Changed", body = answer::Written)))]
pub(crate) async fn update(call: &Call, id: &str) -> Result<Answer, Stop> {
    let header = call.required_key()?;
    let update: request::Update = call.read()?;
    let change = update.change()?;
    call.ask(StatusCode::OK, read::member_id(id)?, header, Ask::Update(Box::new(change))).await
}

/// The open holds.
#[utoipa::path(get, path = "/v1/members/{member}/holds", tag = "members", operation_id = "holds",
    params(("member" = String, Path, description = "The member's id")),
    responses((status = 200, description = "The holds", body = answer::Holds)))]
pub(crate) async fn holds(call: &Call, id: &str) -> Result<Answer, Stop> {
    let member = call.member(id).await?;
    let (wallets, _) = call.members().wallets(member, None, call.deadline).await?;
    let programmes = call.programmes();
    Ok(json(StatusCode::OK, &answer::holds(programmes.current().ok_or_else(no_programme)?, member, &wallets)))
}

/// The ledger, newest first, each entry with its explanation.
#[utoipa::path(get, path = "/v1/members/{member}/statement", tag = "members", operation_id = "statement",
    params(("member" = String, Path, description = "The member's id"),
        ("cursor" = Option<String>, Query, description = "Where the page before ended: its `next`", max_length = 20),
        ("limit" = Option<u64>, Query, description = "Entries of a page; 50 when absent", minimum = 1, maximum = 200),
        ("own" = Option<bool>, Query, description = "`true`: of this member's own journal, also if it has gone into another one")),
    responses((status = 200, description = "A page of the statement", body = answer::Statement,
        headers(("Link" = String, description = "`rel=\"next\"`, unless this was the last page")))))]
pub(crate) async fn statement(call: &Call, id: &str) -> Result<Answer, Stop> {
    let own = match call.field("own") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Rejection::new(Code::Invalid, "/own", "true or false").into()),
    };
    let named = read::member_id(id)?;
    // A page goes on in the journal of the page before.
    let cursor_of = |member: MemberId| call.field("cursor").and_then(|cursor| read_cursor(member, cursor));
    let member = if own || cursor_of(named).is_some() { named } else { call.members().survivor(named, call.deadline).await? };
    let bad = |field: &str, text: &str| Stop::from(Rejection::new(Code::Invalid, field, text));
    let limit = match call.field("limit") {
        None => PAGE,
        Some(limit) => limit.parse().ok().filter(|limit| (1..=PAGE_MOST).contains(limit)).ok_or_else(|| bad("/limit", "between 1 and 200"))?,
    };
    let head = call.members().head(member, call.deadline).await?;
    let to = match call.field("cursor") {
        None => head,
        Some(_) => cursor_of(member).filter(|to| *to <= head).ok_or_else(|| bad("/cursor", "send the `next` of the page before, or none for the first"))?,
    };
    let from = to.saturating_sub(limit - 1).max(1);
    let records = call.members().history(member, from, to).await?;
    let programmes = call.programmes();
    let languages = call.languages();
    let entries = records.iter().rev().map(|(seq, record)| answer::written(&programmes, &languages, member, *seq, record));
    let entries = entries.collect::<Option<Vec<_>>>().ok_or_else(unknown_version)?;
    let next = (from > 1).then(|| cursor(member, from - 1));
    let link = next.as_ref().map(|next| format!("</v1/members/{member}/statement?limit={limit}&cursor={next}>; rel=\"next\""));
    let mut page = json(StatusCode::OK, &answer::Statement { entries, next });
    if let Some(Ok(link)) = link.map(|link| HeaderValue::from_str(&link)) {
        page.headers_mut().insert(header::LINK, link);
    }
    Ok(page)
}

/// Opaque to callers: the last record of the next page, and whose.
fn cursor(member: MemberId, to: u64) -> String {
    format!("c{to:x}-{:x}", tag(member))
}

fn read_cursor(member: MemberId, cursor: &str) -> Option<u64> {
    let (to, of) = cursor.strip_prefix('c')?.split_once('-')?;
    let whose = u128::from_str_radix(of, 16).ok()? == tag(member);
    u64::from_str_radix(to, 16).ok().filter(|to| *to > 0 && whose)
}

/// Ids are hashes: a part tells them apart.
fn tag(member: MemberId) -> u128 {
    member.0 & 0xff_ffff
}

/// Gives a member an alias.
#[utoipa::path(post, path = "/v1/members/{member}/aliases", tag = "members", operation_id = "addAlias", request_body = request::Alias,
    params(("member" = String, Path, description = "The member's id"), ("Idempotency-Key" = String, Header, description = "So that a retry takes effect once", min_length = 1, max_length = 255)),
    responses((status = 201, description = "Added", body = answer::Written)))]
pub(crate) async fn add_alias(call: &Call, id: &str) -> Result<Answer, Stop> {
    let header = call.required_key()?;
    let alias: request::Alias = call.read()?;
    let (kind, value) = alias.read("")?;
    let done = call.members().add_alias(read::member_id(id)?, header, &kind, &value, call.deadline).await?;
    call.done(StatusCode::CREATED, &done)
}

/// Takes an alias from a member.
#[utoipa::path(delete, path = "/v1/members/{member}/aliases/{alias}", tag = "members", operation_id = "removeAlias",
    params(("member" = String, Path, description = "The member's id"), ("alias" = String, Path, description = "Type and value with a colon between: card:2600001234567"),
        ("Idempotency-Key" = String, Header, description = "So that a retry takes effect once", min_length = 1, max_length = 255)),
    responses((status = 200, description = "Removed", body = answer::Written)))]
pub(crate) async fn remove_alias(call: &Call, id: &str, alias: &str) -> Result<Answer, Stop> {
    let header = call.required_key()?;
    let member = read::member_id(id)?;
    let text = percent_decode_str(alias).decode_utf8().map_err(|_| Stop::Malformed("the alias in the path is not UTF-8".into()))?;
    let (kind, value) = text.split_once(':').ok_or_else(|| Rejection::new(Code::UnknownAlias, "", "an alias in a path is its type, a colon, its value: card:2600001234567"))?;
    let (kind, value) = request::Alias { kind: kind.into(), value: value.into() }.read("")?;
    let done = call.members().remove_alias(member, header, &kind, &value, call.deadline).await?;
    call.done(StatusCode::OK, &done)
}

/// Lets a member go into another one: points, holds, purchases, cards and progress go with it, and the other one answers for it ever after.
#[utoipa::path(post, path = "/v1/members/{member}/merge", tag = "members", operation_id = "merge", request_body = request::Merge,
    params(("member" = String, Path, description = "The id of the member that goes"), ("Idempotency-Key" = String, Header, description = "So that a retry takes effect once", min_length = 1, max_length = 255)),
    responses((status = 201, description = "Merged", body = answer::Written), (status = 202, description = "Begun: it is finished as soon as both can be reached; ask again", body = answer::Written)))]
pub(crate) async fn merge(call: &Call, id: &str) -> Result<Answer, Stop> {
    call.required_key()?;
    let request: request::Merge = call.read()?;
    let member = read::member_id(id)?;
    let into = call.known_at(&request.into, "/into").await?;
    let (done, state) = call.members().merge(member, into, call.deadline).await?;
    call.saga(&done, state, || Rejection::new(Code::MergeRefused, "", "the other member could not take this one: all is as before"))
}

/// Staff give a tier until the end of a day, with a reason; without a tier, what they gave ends.
#[utoipa::path(post, path = "/v1/members/{member}/tier-grants", tag = "members", operation_id = "grantTier", request_body = request::TierGrant,
    params(("member" = String, Path, description = "The member's id"), ("Idempotency-Key" = String, Header, description = "So that a retry takes effect once", min_length = 1, max_length = 255)),
    responses((status = 201, description = "Given, or ended", body = answer::Written)))]
pub(crate) async fn grant_tier(call: &Call, id: &str) -> Result<Answer, Stop> {
    let header = call.required_key()?;
    let grant: request::TierGrant = call.read()?;
    let programmes = call.programmes();
    let ask = grant.ask(programmes.current().ok_or_else(no_programme)?)?;
    call.ask(StatusCode::CREATED, read::member_id(id)?, header, ask).await
}

/// Staff give, take or forgive points, with a reason.
#[utoipa::path(post, path = "/v1/members/{member}/adjustments", tag = "members", operation_id = "adjust", request_body = request::Adjust,
    params(("member" = String, Path, description = "The member's id"), ("Idempotency-Key" = String, Header, description = "So that a retry takes effect once", min_length = 1, max_length = 255)),
    responses((status = 201, description = "Adjusted", body = answer::Written)))]
pub(crate) async fn adjust(call: &Call, id: &str) -> Result<Answer, Stop> {
    let header = call.required_key()?;
    let adjust: request::Adjust = call.read()?;
    let wallet = call.wallet(&adjust.wallet, "/wallet")?;
    let ask = Ask::Adjust { wallet, points: adjust.points, reason: adjust.reason()?, allow_debt: adjust.allow_debt, write_off: adjust.write_off };
    call.ask(StatusCode::CREATED, read::member_id(id)?, header, ask).await
}
