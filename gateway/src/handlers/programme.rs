//! The programme: shown, checked, saved, rolled back.

use std::sync::Arc;

use http::{HeaderValue, StatusCode, header};
use tessera_actors::{Histories, Miss, Saving};
use tessera_api::programme::{CheckProgramme, Checked, Found, ProgrammeShown, RollBack, SaveProgramme, VersionShown, Versions};
use tessera_api::programme_file;
use tessera_api::read;
use tessera_cluster::Failure;
use tessera_domain::compile::{self, Finding};
use tessera_domain::programme::Programme;
use tessera_domain::versions::{Origin, Version};
use tessera_domain::{Code, Rejection, Text};

use super::{Call, Stop, no_programme};
use crate::problem::{Answer, json};

/// The programme that serves.
#[utoipa::path(get, path = "/v1/programme", tag = "programme", operation_id = "programme",
    responses((status = 200, description = "The version that serves", body = ProgrammeShown, headers(("ETag" = String, description = "For If-Match of the next save")))))]
pub(crate) async fn current(call: &Call) -> Result<Answer, Stop> {
    let history = call.histories().history(call.deadline).await.map_err(Miss::Failure)?;
    show(call, history.current().ok_or_else(no_programme)?).await
}

/// All versions, newest first: who saved each, when and why.
#[utoipa::path(get, path = "/v1/programme/versions", tag = "programme", operation_id = "programmeVersions",
    responses((status = 200, description = "The versions", body = Versions)))]
pub(crate) async fn versions(call: &Call) -> Result<Answer, Stop> {
    let history = call.histories().history(call.deadline).await.map_err(Miss::Failure)?;
    Ok(json(StatusCode::OK, &Versions { versions: history.versions.iter().rev().map(VersionShown::from).collect() }))
}

/// One version with its text.
#[utoipa::path(get, path = "/v1/programme/versions/{version}", tag = "programme", operation_id = "programmeVersion",
    params(("version" = u32, Path, description = "Its number", minimum = 1)),
    responses((status = 200, description = "The version", body = ProgrammeShown)))]
pub(crate) async fn version(call: &Call, number: &str) -> Result<Answer, Stop> {
    let history = call.histories().history(call.deadline).await.map_err(Miss::Failure)?;
    let version = number.parse().ok().and_then(|number| history.version(number)).ok_or_else(unknown)?;
    show(call, version).await
}

/// Looks at a programme without saving it.
#[utoipa::path(post, path = "/v1/programme/check", tag = "programme", operation_id = "checkProgramme", request_body = CheckProgramme,
    responses((status = 200, description = "Whether it could be saved, and what is wrong with it", body = Checked)))]
pub(crate) async fn check(call: &Call) -> Result<Answer, Stop> {
    let asked: CheckProgramme = call.read()?;
    let before = call.programmes().current().cloned().ok_or_else(no_programme)?;
    let checked = heavy(move || {
        let findings = compiled(&asked.programme, &before).err().unwrap_or_default();
        let warnings = if findings.is_empty() { programme_file::warnings(&asked.programme.to_string()) } else { Vec::new() };
        Checked {
            good: findings.is_empty(),
            findings: findings.iter().map(Found::from).collect(),
            warnings: warnings.iter().map(|located| Found::from(&located.finding)).collect(),
        }
    });
    Ok(json(StatusCode::OK, &checked.await?))
}

/// Saves a programme as the next version; it serves at once, and sales from before keep the version of their time.
#[utoipa::path(put, path = "/v1/programme", tag = "programme", operation_id = "saveProgramme", request_body = SaveProgramme,
    params(("If-Match" = String, Header, description = "The version that it follows, in quotes: the ETag of what was read", min_length = 1, max_length = 20)),
    responses((status = 200, description = "Saved, now or before", body = ProgrammeShown,
        headers(("ETag" = String, description = "The new version"), ("Idempotent-Replayed" = String, description = "`true`: an earlier request did it")))))]
pub(crate) async fn save(call: &Call) -> Result<Answer, Stop> {
    let after = call.if_match()?;
    let asked: SaveProgramme = call.read()?;
    let (author, note) = signed(&asked.author, &asked.note)?;
    let before = base(call, after)?;
    let programme = asked.programme.clone();
    heavy(move || compiled(&programme, &before)).await?.map_err(Stop::Findings)?;
    // Its keys are sorted: what differs only in their order is the same text.
    let text = asked.programme.to_string();
    let (version, repeat) = put(call, Saving { text: &text, after, author, note, origin: Origin::Request }).await?;
    Ok(answered(&version, asked.programme, repeat))
}

/// Makes an earlier version's text the next version.
#[utoipa::path(post, path = "/v1/programme/rollback", tag = "programme", operation_id = "rollBack", request_body = RollBack,
    params(("If-Match" = String, Header, description = "The version that serves, in quotes", min_length = 1, max_length = 20)),
    responses((status = 200, description = "It serves again", body = ProgrammeShown, headers(("ETag" = String, description = "The new version")))))]
pub(crate) async fn roll_back(call: &Call) -> Result<Answer, Stop> {
    let after = call.if_match()?;
    let asked: RollBack = call.read()?;
    let (author, note) = signed(&asked.author, &asked.note)?;
    let history = call.histories().history(call.deadline).await.map_err(Miss::Failure)?;
    let earlier = history.version(asked.version).ok_or_else(unknown)?;
    let text = call.histories().text(earlier).await.map_err(Miss::Failure)?;
    let before = base(call, after)?;
    let found = heavy({
        let text = text.clone();
        move || programme_file::read(&text, 0, 0).map_or_else(|found| found.into_iter().map(|located| located.finding).collect(), |after| compile::may_follow(&before, &after))
    });
    let found = found.await?;
    if !found.is_empty() {
        return Err(Stop::Findings(found));
    }
    let (version, repeat) = put(call, Saving { text: &text, after, author, note, origin: Origin::Rollback(asked.version) }).await?;
    let value = programme_file::as_json(&text).map_err(|text| Miss::Failure(Failure::Stopped(text)))?;
    Ok(answered(&version, value, repeat))
}

/// Saves, and makes it serve before anybody is answered.
async fn put(call: &Call, saving: Saving<'_>) -> Result<(Version, bool), Stop> {
    let text = saving.text.to_owned();
    let (version, repeat) = call.histories().save(saving, call.deadline).await?;
    let (number, saved_at) = (version.number, version.saved_at);
    let compiled = heavy(move || programme_file::read(&text, number, saved_at).map(Arc::new)).await?;
    let damaged = |_| Miss::Failure(Failure::Stopped(format!("version {number} of the programme does not compile any more")));
    call.members().board().add(&compiled.map_err(damaged)?);
    Ok((version, repeat))
}

async fn show(call: &Call, version: &Version) -> Result<Answer, Stop> {
    let text = call.histories().text(version).await.map_err(Miss::Failure)?;
    let value = programme_file::as_json(&text).map_err(|text| Miss::Failure(Failure::Stopped(text)))?;
    Ok(answered(version, value, false))
}

fn answered(version: &Version, programme: serde_json::Value, repeat: bool) -> Answer {
    let mut answer = json(StatusCode::OK, &ProgrammeShown { version: version.into(), programme });
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", version.number)) {
        answer.headers_mut().insert(header::ETAG, tag);
    }
    if repeat {
        answer.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
    }
    answer
}

/// The version that a change is based on, if this node knows it; else the one that serves: the save itself refuses then.
fn base(call: &Call, after: u32) -> Result<Arc<Programme>, Stop> {
    let programmes = call.programmes();
    programmes.version(after).or_else(|| programmes.current()).cloned().ok_or_else(no_programme)
}

fn compiled(programme: &serde_json::Value, before: &Programme) -> Result<(), Vec<Finding>> {
    let after = programme_file::compile(programme_file::from_json(programme)?, 0, 0)?;
    let findings = compile::may_follow(before, &after);
    if findings.is_empty() { Ok(()) } else { Err(findings) }
}

fn signed(author: &Text, note: &Text) -> Result<(Text, Text), Rejection> {
    let author = read::text(author, 64, || "/author".into())?;
    if author.trim().is_empty() {
        return Err(Rejection::new(Code::Invalid, "/author", "say who saves it"));
    }
    Ok((author, read::text(note, 200, || "/note".into())?))
}

fn unknown() -> Rejection {
    Rejection::new(Code::UnknownVersion, "", "there is no such version; /v1/programme/versions lists them")
}

/// Work of many milliseconds, away from the threads that serve tills.
async fn heavy<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Stop> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Miss::Failure(Failure::Unavailable(e.to_string())).into())
}

impl Call {
    fn histories(&self) -> &Histories {
        &self.surface.histories
    }

    /// The version that a change follows.
    fn if_match(&self) -> Result<u32, Stop> {
        let tag = self.headers.get(header::IF_MATCH).and_then(|tag| tag.to_str().ok()).ok_or(Stop::IfMatchMissing)?;
        tag.trim().trim_start_matches("W/").trim_matches('"').parse().map_err(|_| Stop::IfMatchMissing)
    }
}
