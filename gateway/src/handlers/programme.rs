//! The programme: shown, checked, saved, rolled back.

use std::sync::Arc;
use std::time::Instant;

use http::{HeaderValue, StatusCode, header};
use tessera_actors::{Histories, Miss, Saving};
use tessera_api::programme::{CampaignShown, Campaigns, CheckProgramme, Checked, Found, ProgrammeShown, RollBack, SaveProgramme, VersionShown, Versions};
use tessera_api::programme_file;
use tessera_api::read;
use tessera_cluster::Failure;
use tessera_domain::compile::{self, Finding};
use tessera_domain::programme::{Programme, Programmes};
use tessera_domain::versions::{Origin, Version};
use tessera_domain::{Code, Rejection, Text};
use tokio::sync::Semaphore;

use super::{Call, Stop, no_programme, parsed};
use crate::problem::{Answer, json};

/// The programme that serves.
#[utoipa::path(get, path = "/v1/programme", tag = "programme", operation_id = "programme",
    responses((status = 200, description = "The version that serves", body = ProgrammeShown, headers(("ETag" = String, description = "For If-Match of the next save")))))]
pub(crate) async fn current(call: &Call) -> Result<Answer, Stop> {
    let history = call.histories().history(call.deadline).await.map_err(Miss::Failure)?;
    show(call, history.current().ok_or_else(no_programme)?).await
}

/// The campaigns of the version that serves: their windows, caps and budgets, and how much of a budget has been given.
#[utoipa::path(get, path = "/v1/campaigns", tag = "programme", operation_id = "campaigns",
    responses((status = 200, description = "The campaigns", body = Campaigns)))]
pub(crate) async fn campaigns(call: &Call) -> Result<Answer, Stop> {
    let programmes = call.programmes();
    let programme = programmes.current().ok_or_else(no_programme)?;
    let mut campaigns = Vec::with_capacity(programme.campaigns.len());
    for campaign in &programme.campaigns {
        let given = match campaign.budget {
            Some(_) => Some(call.surface.budgets.stands(campaign.key, call.deadline).await.map_err(Miss::Failure)?.charged),
            None => None,
        };
        campaigns.push(CampaignShown::of(programme, campaign, given));
    }
    Ok(json(StatusCode::OK, &Campaigns { campaigns }))
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
    let history = call.histories().history(call.deadline).await.map_err(Miss::Failure)?;
    let before = base(call, history.current().ok_or_else(no_programme)?.number).await?;
    let (body, all) = (call.body.clone(), call.programmes());
    heavy(call.deadline, move || {
        let asked: CheckProgramme = parsed(&body)?;
        let findings = compiled(&asked.programme, &before, &all).err().unwrap_or_default();
        let warnings = if findings.is_empty() { programme_file::warnings(&asked.programme.to_string()) } else { Vec::new() };
        let checked = Checked {
            good: findings.is_empty(),
            findings: findings.iter().map(Found::from).collect(),
            warnings: warnings.iter().map(|located| Found::from(&located.finding)).collect(),
        };
        Ok(json(StatusCode::OK, &checked))
    })
    .await?
}

/// Saves a programme as the next version; it serves at once, and sales from before keep the version of their time.
#[utoipa::path(put, path = "/v1/programme", tag = "programme", operation_id = "saveProgramme", request_body = SaveProgramme,
    params(("If-Match" = String, Header, description = "The version that it follows, in quotes: the ETag of what was read", min_length = 1, max_length = 20)),
    responses((status = 200, description = "Saved, now or before", body = ProgrammeShown,
        headers(("ETag" = String, description = "The new version"), ("Idempotent-Replayed" = String, description = "`true`: an earlier request did it")))))]
pub(crate) async fn save(call: &Call) -> Result<Answer, Stop> {
    let after = call.if_match()?;
    let before = base(call, after).await?;
    let (body, all) = (call.body.clone(), call.programmes());
    let read = heavy(call.deadline, move || {
        let asked: SaveProgramme = parsed(&body)?;
        let (author, note) = signed(&asked.author, &asked.note)?;
        compiled(&asked.programme, &before, &all).map_err(Stop::Findings)?;
        // Its keys are sorted: what differs only in their order is the same text.
        Ok::<_, Stop>((author, note, Arc::<str>::from(asked.programme.to_string())))
    });
    let (author, note, text) = read.await??;
    put(call, Saving { text, after, author, note, origin: Origin::Request }).await
}

/// Makes an earlier version's text the next version.
#[utoipa::path(post, path = "/v1/programme/rollback", tag = "programme", operation_id = "rollBack", request_body = RollBack,
    params(("If-Match" = String, Header, description = "The version that serves, in quotes", min_length = 1, max_length = 20)),
    responses((status = 200, description = "It serves again", body = ProgrammeShown,
        headers(("ETag" = String, description = "The new version"), ("Idempotent-Replayed" = String, description = "`true`: an earlier request did it")))))]
pub(crate) async fn roll_back(call: &Call) -> Result<Answer, Stop> {
    let after = call.if_match()?;
    let asked: RollBack = call.read()?;
    let (author, note) = signed(&asked.author, &asked.note)?;
    let history = call.histories().history(call.deadline).await.map_err(Miss::Failure)?;
    let earlier = history.version(asked.version).ok_or_else(unknown)?;
    let text: Arc<str> = call.histories().text(earlier).await.map_err(Miss::Failure)?.into();
    let (before, again) = (base(call, after).await?, base(call, asked.version).await?);
    let found = compile::may_follow(&before, &call.programmes(), &again);
    if !found.is_empty() {
        return Err(Stop::Findings(found));
    }
    put(call, Saving { text, after, author, note, origin: Origin::Rollback(asked.version) }).await
}

/// Saves, and makes it serve before anybody is answered: in a task of its own, so that a caller who goes away leaves
/// nothing half done.
async fn put(call: &Call, saving: Saving) -> Result<Answer, Stop> {
    let (histories, board, deadline) = (call.histories().clone(), call.members().board().clone(), call.deadline);
    let task = tokio::spawn(async move {
        let text = saving.text.clone();
        let (version, repeat) = histories.save(saving, deadline).await?;
        let (number, saved_at) = (version.number, version.saved_at);
        // It stands from here on, whatever happens.
        let unknown = |text: String| Miss::Failure(Failure::Unknown(format!("version {number} is saved and does not serve yet: {text}; send the same again")));
        let shown = text.clone();
        let compiled = tokio::task::spawn_blocking(move || programme_file::read(&text, number, saved_at).map(Arc::new)).await;
        let compiled = compiled.map_err(|e| unknown(e.to_string()))?.map_err(|_| unknown("it does not compile any more".into()))?;
        board.add(&compiled);
        Ok::<_, Miss>((version, shown, repeat))
    });
    let lost = |e: tokio::task::JoinError| Miss::Failure(Failure::Unknown(format!("{e}; send the same again")));
    let (version, text, repeat) = task.await.map_err(lost)??;
    answered(call, version, text.to_string(), repeat).await
}

async fn show(call: &Call, version: &Version) -> Result<Answer, Stop> {
    let text = call.histories().text(version).await.map_err(Miss::Failure)?;
    answered(call, version.clone(), text, false).await
}

async fn answered(call: &Call, version: Version, text: String, repeat: bool) -> Result<Answer, Stop> {
    let answer = heavy(call.deadline, move || {
        let programme = programme_file::as_json(&text).map_err(|text| Miss::Failure(Failure::Stopped(text)))?;
        let mut answer = json(StatusCode::OK, &ProgrammeShown { version: (&version).into(), programme });
        if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", version.number)) {
            answer.headers_mut().insert(header::ETAG, tag);
        }
        if repeat {
            answer.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
        }
        Ok(answer)
    });
    answer.await?
}

/// A version as it compiles: one that was saved and does not serve yet, because its task was cut off, does from now on.
/// One that there is not: that which serves, and the save itself refuses.
async fn base(call: &Call, number: u32) -> Result<Arc<Programme>, Stop> {
    let programmes = call.programmes();
    if let Some(known) = programmes.version(number) {
        return Ok(known.clone());
    }
    let history = call.histories().history(call.deadline).await.map_err(Miss::Failure)?;
    let Some(version) = history.version(number) else { return programmes.current().cloned().ok_or_else(no_programme) };
    let (text, saved_at) = (call.histories().text(version).await.map_err(Miss::Failure)?, version.saved_at);
    let compiled = heavy(call.deadline, move || programme_file::read(&text, number, saved_at).map(Arc::new)).await?;
    let damaged = |_| Miss::Failure(Failure::Stopped(format!("version {number} of the programme does not compile any more")));
    let compiled = compiled.map_err(damaged)?;
    call.members().board().add(&compiled);
    Ok(compiled)
}

fn compiled(programme: &serde_json::Value, before: &Programme, all: &Programmes) -> Result<(), Vec<Finding>> {
    let after = programme_file::compile(programme_file::from_json(programme)?, 0, 0)?;
    let findings = compile::may_follow(before, all, &after);
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

/// Programmes that are read, compiled or shown at a time; more wait, so that they leave the processor to tills.
static HEAVY: Semaphore = Semaphore::const_new(1);

/// Work of many milliseconds, away from the threads that serve tills.
pub(crate) async fn heavy<T: Send + 'static>(deadline: Instant, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Stop> {
    let permit = tokio::time::timeout_at(deadline.into(), HEAVY.acquire()).await;
    let permit = permit.ok().and_then(Result::ok).ok_or(Miss::Failure(Failure::Overloaded))?;
    // Kept by the work itself: the caller may go away before it has ended.
    let work = move || {
        let _permit = permit;
        work()
    };
    tokio::task::spawn_blocking(work).await.map_err(|e| Miss::Failure(Failure::Unavailable(e.to_string())).into())
}

impl Call {
    fn histories(&self) -> &Histories {
        &self.surface.histories
    }

    /// The version that a change follows: an entity tag (RFC 9110) of digits.
    fn if_match(&self) -> Result<u32, Stop> {
        let tag = self.headers.get(header::IF_MATCH).and_then(|tag| tag.to_str().ok()).ok_or(Stop::IfMatchMissing)?.trim();
        let tag = tag.strip_prefix("W/").unwrap_or(tag);
        let bare = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).unwrap_or(tag);
        bare.parse().ok().filter(|_| bare.bytes().all(|byte| byte.is_ascii_digit())).ok_or(Stop::IfMatchMissing)
    }
}
