//! What all operations share: the request as read, its key, its deadline, how it ends.

pub(crate) mod allowances;
pub(crate) mod batches;
pub(crate) mod bench;
pub(crate) mod exceptions;
pub(crate) mod members;
pub(crate) mod pools;
pub(crate) mod programme;
pub(crate) mod purchases;
pub(crate) mod reports;
pub(crate) mod spending;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::de::DeserializeOwned;
use smallvec::SmallVec;
use tessera_actors::names::header_hash;
use tessera_actors::{Done, Members, Miss, SagaState, Who};
use tessera_api::{answer, read, request};
use tessera_cluster::Failure;
use tessera_domain::command::{Ask, Command};
use tessera_domain::compile::Finding;
use tessera_domain::ids::{Kind, MadeId, MemberId};
use tessera_domain::programme::Programmes;
use tessera_domain::record::Record;
use tessera_domain::{Code, Rejection, Text};

use crate::problem::{Answer, Said, bad_programme, json, missed, problem};
use crate::server::Surface;

/// Until API keys exist, all callers are one.
pub(crate) const API_KEY: &str = "";
/// How long a request may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// A request, once its body has been read.
pub(crate) struct Call {
    pub(crate) surface: Arc<Surface>,
    pub(crate) headers: HeaderMap,
    pub(crate) query: String,
    pub(crate) body: Bytes,
    pub(crate) request_id: String,
    pub(crate) deadline: Instant,
}

/// Why a handler ends early.
pub(crate) enum Stop {
    Malformed(String),
    Findings(Vec<Finding>),
    IfMatchMissing,
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
        Err(Stop::Findings(findings)) => bad_programme(request_id, &findings),
        Err(Stop::IfMatchMissing) => {
            let text = "send If-Match with the version that this follows, such as \"7\": the ETag of what you have read";
            problem(request_id, &Said::new(StatusCode::PRECONDITION_REQUIRED, "if_match_missing", text))
        }
        Err(Stop::KeyMissing) => {
            let text = "send an Idempotency-Key of 1 to 255 visible characters, so that a retry cannot take effect twice";
            problem(request_id, &Said::new(StatusCode::BAD_REQUEST, "idempotency_key_missing", text))
        }
    }
}

impl Call {
    pub(crate) fn members(&self) -> &Members {
        &self.surface.members
    }

    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, Stop> {
        parsed(&self.body)
    }

    /// As [`Self::read`], where no body is as good as an empty one.
    pub(crate) fn read_or_default<T: DeserializeOwned + Default>(&self) -> Result<T, Stop> {
        if self.body.is_empty() { Ok(T::default()) } else { self.read() }
    }

    /// The `Idempotency-Key`, hashed; 0 = none. An empty or overlong one is refused rather than ignored.
    pub(crate) fn key(&self) -> Result<u128, Stop> {
        Ok(self.key_text()?.map_or(0, |key| header_hash(API_KEY, key)))
    }

    pub(crate) fn required_key(&self) -> Result<u128, Stop> {
        Ok(header_hash(API_KEY, self.required_key_text()?))
    }

    pub(crate) fn required_key_text(&self) -> Result<&str, Stop> {
        self.key_text()?.ok_or(Stop::KeyMissing)
    }

    fn key_text(&self) -> Result<Option<&str>, Stop> {
        match self.headers.get("idempotency-key").map(HeaderValue::to_str) {
            None => Ok(None),
            Some(Ok(key)) if !key.is_empty() && key.len() <= 255 => Ok(Some(key)),
            Some(_) => Err(Stop::KeyMissing),
        }
    }

    /// A field of the query; it holds plain characters only.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.query.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value))
    }

    /// The member that somebody's alias or id names, which may have gone into another one; nobody is enrolled.
    pub(crate) async fn known(&self, who: &request::Who) -> Result<MemberId, Stop> {
        self.known_at(who, "/member").await
    }

    /// The same, of another field than `/member`.
    pub(crate) async fn known_at(&self, who: &request::Who, field: &str) -> Result<MemberId, Stop> {
        let at = |no: Rejection| Rejection { field: no.field.replacen("/member", field, 1).into(), ..no };
        Ok(match whom(who).map_err(at)? {
            Who::Member(member) => member,
            Who::Alias(kind, value) => self.members().look_up(&kind, &value).await.map_err(|miss| if let Miss::No(no) = miss { Miss::No(at(no)) } else { miss })?,
        })
    }

    /// The member that a path names, or the one that it has gone into.
    pub(crate) async fn member(&self, id: &str) -> Result<MemberId, Stop> {
        Ok(self.members().survivor(read::member_id(id)?, self.deadline).await?)
    }

    /// The languages of `Accept-Language` (RFC 9110), the most wanted first; at most eight are looked at.
    pub(crate) fn languages(&self) -> SmallVec<[Text; 2]> {
        let Some(header) = self.headers.get(http::header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()) else { return SmallVec::new() };
        let weighed = |part: &str| {
            let (tag, weight) = part.split_once(';').unwrap_or((part, "q=1"));
            let weight: f32 = weight.trim().strip_prefix("q=")?.parse().ok()?;
            (weight > 0.0 && tag.trim() != "*").then(|| (Text::from(tag.trim()), weight))
        };
        let mut wanted: SmallVec<[(Text, f32); 2]> = header.split(',').take(8).filter_map(weighed).collect();
        wanted.sort_by(|a, b| b.1.total_cmp(&a.1));
        wanted.into_iter().map(|(tag, _)| tag).collect()
    }

    /// A wallet's place, by the id that the caller gave.
    pub(crate) fn wallet(&self, id: &str, field: &str) -> Result<u8, Stop> {
        Ok(read::wallet(self.programmes().current().ok_or_else(no_programme)?, id, field)?)
    }

    pub(crate) fn programmes(&self) -> Arc<Programmes> {
        self.members().board().programmes()
    }

    pub(crate) fn done(&self, status: StatusCode, done: &Done) -> Result<Answer, Stop> {
        self.done_noting(status, done, None)
    }

    /// As [`Self::done`], with a notice that is not of the record.
    pub(crate) fn done_noting(&self, status: StatusCode, done: &Done, notice: Option<&'static str>) -> Result<Answer, Stop> {
        let programmes = self.programmes();
        let mut written = answer::written(&programmes, &self.languages(), done.member, done.seq, &done.record).ok_or_else(unknown_version)?;
        written.notices.extend(notice);
        let mut answer = json(status, &written);
        if done.repeat {
            answer.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
        }
        Ok(answer)
    }

    /// What goes from one member to another, by how it stands.
    pub(crate) fn saga(&self, done: &Done, state: SagaState, undone: impl Fn() -> Rejection) -> Result<Answer, Stop> {
        let status = match state {
            SagaState::Done => StatusCode::CREATED,
            SagaState::Pending => StatusCode::ACCEPTED,
            SagaState::Undone => return Err(undone().into()),
        };
        let programmes = self.programmes();
        let mut written = answer::written(&programmes, &self.languages(), done.member, done.seq, &done.record).ok_or_else(unknown_version)?;
        written.state = Some(said(state));
        let mut answer = json(status, &written);
        if done.repeat {
            answer.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
        }
        Ok(answer)
    }

    pub(crate) fn show(&self, status: StatusCode, member: MemberId, seq: u64, record: &Record) -> Result<Answer, Stop> {
        let programmes = self.programmes();
        let written = answer::written(&programmes, &self.languages(), member, seq, record).ok_or_else(unknown_version)?;
        Ok(json(status, &written))
    }

    pub(crate) async fn ask(&self, status: StatusCode, member: MemberId, header: u128, ask: Ask) -> Result<Answer, Stop> {
        let done = self.members().command(member, Command { header, ask }, self.deadline).await?;
        self.done(status, &done)
    }
}

/// As answers say it.
pub(crate) fn said(state: SagaState) -> &'static str {
    match state {
        SagaState::Done => "done",
        SagaState::Pending => "pending",
        SagaState::Undone => "undone",
    }
}

/// A body as an operation takes it.
pub(crate) fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Stop> {
    tessera_api::strict::from_slice(body).map_err(|e| Stop::Malformed(format!("the body is not what this operation takes: {e}")))
}

pub(crate) fn unknown_version() -> Stop {
    Stop::Miss(Miss::Failure(Failure::Unavailable("this node does not know the record's programme version yet".into())))
}

pub(crate) fn no_programme() -> Stop {
    Stop::Miss(Miss::Failure(Failure::Unavailable("no programme is loaded".into())))
}

pub(crate) fn whom(who: &request::Who) -> Result<Who, Rejection> {
    Ok(match who {
        request::Who::Id(id) => Who::Member(read::member_id(id)?),
        request::Who::Alias(by) => {
            let (kind, value) = by.alias.read("/member/alias")?;
            Who::Alias(kind, value)
        }
    })
}

pub(crate) fn made(kind: Kind, id: &str, code: Code) -> Result<MadeId, Rejection> {
    MadeId::parse(kind, id).ok_or_else(|| Rejection::new(code, "", "there is nothing of this id; look at the answer that made it"))
}

pub(crate) fn not_found(request_id: &str) -> Answer {
    problem(request_id, &Said::new(StatusCode::NOT_FOUND, "no_such_path", "there is nothing at this path; /docs lists what there is"))
}

pub(crate) fn method_not_allowed(request_id: &str, allow: &'static str) -> Answer {
    let mut answer = problem(request_id, &Said::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this path takes another method; see the Allow header, or /docs"));
    answer.headers_mut().insert(http::header::ALLOW, HeaderValue::from_static(allow));
    answer
}

pub(crate) fn wrong_type(request_id: &str, batch: bool) -> Answer {
    let text = if batch { "send the lines as application/x-ndjson" } else { "send the body as application/json" };
    problem(request_id, &Said::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", text))
}
