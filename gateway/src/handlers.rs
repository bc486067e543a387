//! One function per operation: read the request, send the command, render the record.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::de::DeserializeOwned;
use tessera_actors::names::{alias_hash, enrolled_id, header_hash};
use tessera_actors::{Done, Members, Miss, Who};
use tessera_api::{answer, request};
use tessera_cluster::Failure;
use tessera_domain::command::{Ask, Command};
use tessera_domain::ids::{Kind, MadeId, MemberId};
use tessera_domain::{Code, Rejection};

use crate::problem::{Answer, Said, json, missed, problem};

/// Until API keys exist, all callers are one.
const API_KEY: &str = "";
/// How long a request may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// A request, once its body has been read.
pub(crate) struct Call {
    pub(crate) members: Members,
    pub(crate) ceiling: bool,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) request_id: String,
    pub(crate) deadline: Instant,
}

/// Why a handler ends early.
pub(crate) enum Stop {
    Malformed(String),
    Miss(Miss),
    KeyMissing,
}

impl From<Rejection> for Stop {
    fn from(no: Rejection) -> Self {
        Self::Miss(Miss::No(no))
    }
}

impl From<Miss> for Stop {
    fn from(miss: Miss) -> Self {
        Self::Miss(miss)
    }
}

pub(crate) fn deadline() -> Instant {
    Instant::now() + DEADLINE
}

pub(crate) fn finish(request_id: &str, outcome: Result<Answer, Stop>) -> Answer {
    match outcome {
        Ok(answer) => answer,
        Err(Stop::Miss(miss)) => missed(request_id, &miss),
        Err(Stop::Malformed(text)) => problem(request_id, &Said::new(StatusCode::BAD_REQUEST, "malformed", &text)),
        Err(Stop::KeyMissing) => {
            let text = "send an Idempotency-Key of 1 to 255 visible characters, so that a retry cannot take effect twice";
            problem(request_id, &Said::new(StatusCode::BAD_REQUEST, "idempotency_key_missing", text))
        }
    }
}

impl Call {
    fn read<T: DeserializeOwned>(&self) -> Result<T, Stop> {
        serde_json::from_slice(&self.body).map_err(|e| Stop::Malformed(format!("the body is not what this operation takes: {e}")))
    }

    /// The `Idempotency-Key`; an empty or overlong one is refused rather than ignored.
    fn key(&self) -> Result<Option<&str>, Stop> {
        match self.headers.get("idempotency-key").map(HeaderValue::to_str) {
            None => Ok(None),
            Some(Ok(key)) if !key.is_empty() && key.len() <= 255 => Ok(Some(key)),
            Some(_) => Err(Stop::KeyMissing),
        }
    }

    fn required_key(&self) -> Result<&str, Stop> {
        self.key()?.ok_or(Stop::KeyMissing)
    }

    async fn resolve(&self, who: &request::Who) -> Result<MemberId, Stop> {
        Ok(self.members.resolve(&whom(who)?, self.deadline).await?)
    }

    fn done(&self, status: StatusCode, done: &Done) -> Result<Answer, Stop> {
        let programmes = self.members.board().programmes();
        let written = answer::written(&programmes, done.member, done.seq, &done.record);
        let written = written.ok_or_else(|| Miss::Failure(Failure::Unavailable("this node does not know the record's programme version yet".into())))?;
        let mut answer = json(status, &written);
        if done.repeat {
            answer.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
        }
        Ok(answer)
    }

    async fn ask(&self, status: StatusCode, member: MemberId, header: u128, ask: Ask) -> Result<Answer, Stop> {
        let done = self.members.command(member, Command { header, ask }, self.deadline).await?;
        self.done(status, &done)
    }
}

fn whom(who: &request::Who) -> Result<Who, Rejection> {
    Ok(match who {
        request::Who::Id(id) => Who::Member(request::member_id(id)?),
        request::Who::Alias(by) => {
            let (kind, value) = by.alias.read("/member/alias")?;
            Who::Alias(kind, value)
        }
    })
}

fn made(kind: Kind, id: &str, code: Code) -> Result<MadeId, Rejection> {
    MadeId::parse(kind, id).ok_or_else(|| Rejection::new(code, "", "there is nothing of this id; look at the answer that made it"))
}

pub(crate) async fn enrol(call: &Call) -> Result<Answer, Stop> {
    let key = call.required_key()?;
    let enrol: request::Enrol = call.read()?;
    if enrol.aliases.len() > 20 {
        return Err(Rejection::new(Code::Invalid, "/aliases", "at most 20 aliases").into());
    }
    let aliases = enrol.aliases.iter().enumerate().map(|(place, alias)| alias.read(&format!("/aliases/{place}")));
    let aliases = aliases.collect::<Result<Vec<_>, _>>()?;
    let done = call.members.enrol(enrolled_id(API_KEY, key), header_hash(API_KEY, key), &aliases, call.deadline).await?;
    call.done(StatusCode::CREATED, &done)
}

pub(crate) async fn look_up(call: &Call) -> Result<Answer, Stop> {
    let alias: request::Alias = call.read()?;
    let (kind, value) = alias.read("")?;
    let member = call.members.look_up(&kind, &value).await?;
    show(call, member).await
}

pub(crate) async fn member(call: &Call, id: &str) -> Result<Answer, Stop> {
    show(call, request::member_id(id)?).await
}

async fn show(call: &Call, member: MemberId) -> Result<Answer, Stop> {
    let view = call.members.view(member, call.deadline).await?;
    let programmes = call.members.board().programmes();
    let programme = programmes.current().ok_or_else(|| Miss::Failure(Failure::Unavailable("no programme is loaded".into())))?;
    Ok(json(StatusCode::OK, &answer::member(programme, member, &view)))
}

/// The basket as a command, and whom it is for.
async fn basket(call: &Call, quote: bool) -> Result<(MemberId, Command), Stop> {
    let purchase: request::Purchase = call.read()?;
    let header = call.key()?.map_or(0, |key| header_hash(API_KEY, key));
    if !quote && header == 0 && purchase.transaction_id.is_none() && purchase.sequence.is_none() {
        return Err(Stop::KeyMissing);
    }
    let programmes = call.members.board().programmes();
    let programme = programmes.current().ok_or_else(|| Miss::Failure(Failure::Unavailable("no programme is loaded".into())))?;
    let who = whom(&purchase.member)?;
    // Read the whole basket before an unknown card enrols anybody: bad input changes nothing.
    let (alias, nobody) = match &who {
        Who::Alias(kind, value) => (Some((kind.as_str().into(), alias_hash(kind, value))), MemberId(0)),
        Who::Member(member) => (None, *member),
    };
    let known = match (&who, quote) {
        (Who::Alias(kind, value), true) => call.members.look_up(kind, value).await?,
        (Who::Alias(..), false) => {
            if purchase.tenders.iter().all(|tender| tender.hold.is_none()) {
                purchase.command(programme, nobody, alias.clone())?.basket.worth()?;
            }
            call.resolve(&purchase.member).await?
        }
        (Who::Member(member), _) => *member,
    };
    let command = purchase.command(programme, known, alias)?;
    Ok((known, Command { header, ask: Ask::Purchase(Box::new(command)) }))
}

pub(crate) async fn purchase(call: &Call) -> Result<Answer, Stop> {
    let (member, command) = basket(call, false).await?;
    let done = call.members.command(member, command, call.deadline).await?;
    call.done(StatusCode::CREATED, &done)
}

pub(crate) async fn quote(call: &Call) -> Result<Answer, Stop> {
    let (member, command) = basket(call, true).await?;
    let record = call.members.quote(member, command, call.deadline).await?;
    let programmes = call.members.board().programmes();
    let written = answer::written(&programmes, member, 0, &record).map(|mut written| {
        written.id = None;
        json(StatusCode::OK, &written)
    });
    written.ok_or_else(|| Stop::Miss(Miss::Failure(Failure::Unavailable("no programme is loaded".into()))))
}

pub(crate) async fn hold(call: &Call) -> Result<Answer, Stop> {
    let header = header_hash(API_KEY, call.required_key()?);
    let spend: request::Spend = call.read()?;
    let asked = spend.asked()?;
    let ttl_ms = spend.ttl_seconds.map(|seconds| seconds.saturating_mul(1_000));
    let member = call.resolve(&spend.member).await?;
    call.ask(StatusCode::CREATED, member, header, Ask::PlaceHold { asked, ttl_ms }).await
}

pub(crate) async fn confirm(call: &Call, id: &str) -> Result<Answer, Stop> {
    let header = header_hash(API_KEY, call.required_key()?);
    let confirm: request::Confirm = if call.body.is_empty() { request::Confirm::default() } else { call.read()? };
    let hold = made(Kind::Hold, id, Code::UnknownHold)?;
    call.ask(StatusCode::OK, hold.member, header, Ask::ConfirmHold { hold: hold.seq, points: confirm.points }).await
}

pub(crate) async fn cancel(call: &Call, id: &str) -> Result<Answer, Stop> {
    let header = header_hash(API_KEY, call.required_key()?);
    let hold = made(Kind::Hold, id, Code::UnknownHold)?;
    call.ask(StatusCode::OK, hold.member, header, Ask::CancelHold { hold: hold.seq }).await
}

pub(crate) async fn redeem(call: &Call) -> Result<Answer, Stop> {
    let header = header_hash(API_KEY, call.required_key()?);
    let spend: request::Spend = call.read()?;
    if spend.ttl_seconds.is_some() {
        return Err(Rejection::new(Code::Invalid, "/ttl_seconds", "a redemption is done at once; place a hold instead").into());
    }
    let asked = spend.asked()?;
    let member = call.resolve(&spend.member).await?;
    call.ask(StatusCode::CREATED, member, header, Ask::Redeem { asked }).await
}

pub(crate) async fn adjust(call: &Call, id: &str) -> Result<Answer, Stop> {
    let header = header_hash(API_KEY, call.required_key()?);
    let adjust: request::Adjust = call.read()?;
    let ask = Ask::Adjust { points: adjust.points, reason: adjust.reason()?, allow_debt: adjust.allow_debt, write_off: adjust.write_off };
    call.ask(StatusCode::CREATED, request::member_id(id)?, header, ask).await
}

/// A purchase up to the finished command, then fixed bytes: what all but the member costs.
pub(crate) async fn ceiling_purchase(call: &Call, bytes: &str) -> Result<Answer, Stop> {
    std::hint::black_box(basket(call, false).await?);
    fixed(StatusCode::CREATED, bytes)
}

/// As [`ceiling_purchase`], of a balance read.
pub(crate) fn ceiling_member(id: &str, bytes: &str) -> Result<Answer, Stop> {
    std::hint::black_box(request::member_id(id)?);
    fixed(StatusCode::OK, bytes)
}

fn fixed(status: StatusCode, bytes: &str) -> Result<Answer, Stop> {
    let bytes: usize = bytes.parse().ok().filter(|bytes| *bytes <= 65_536).ok_or_else(|| Stop::Malformed("how many bytes, up to 65536".into()))?;
    let mut answer = Answer::new(Bytes::from(vec![b' '; bytes]));
    *answer.status_mut() = status;
    answer.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(answer)
}

pub(crate) fn not_found(request_id: &str) -> Answer {
    problem(request_id, &Said::new(StatusCode::NOT_FOUND, "no_such_path", "there is nothing at this path"))
}

pub(crate) fn method_not_allowed(request_id: &str) -> Answer {
    problem(request_id, &Said::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this path takes another method"))
}

pub(crate) fn wrong_type(request_id: &str) -> Answer {
    problem(request_id, &Said::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", "send the body as application/json"))
}

