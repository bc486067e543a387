//! What finance and marketing ask for: the books, closes, and jobs.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use jiff::Timestamp;
use tessera_actors::Miss;
use tessera_api::answer::instant;
use tessera_api::report::{self, CloseDays, CloseShown, Closing, ClosesShown, DayShown, Days, JobShown, Liability, RollForwardShown, Simulate};
use tessera_api::{programme_file, read};
use tessera_domain::time::Day;
use tessera_domain::{Code, Rejection};

use super::{Call, Stop, no_programme};
use crate::jobs::{Job, Kind, Made};
use crate::problem::{Answer, Said, json, problem};

/// Days of one report, at most.
const MOST_DAYS: i32 = 3_660;
/// Bytes of a journal, at most.
const MOST_BYTES: usize = 256 << 20;

fn span(from: &str, to: &str) -> Result<(Day, Day), Rejection> {
    let (from, to) = (read::day(from, "/from")?, read::day(to, "/to")?);
    if from > to || to.0 - from.0 > MOST_DAYS {
        return Err(Rejection::new(Code::Invalid, "/to", "not before from, and at most ten years after it"));
    }
    Ok((from, to))
}

/// Points by accounting day: opening, what moved, closing.
#[utoipa::path(get, path = "/v1/reports/roll-forward", tag = "reports", operation_id = "rollForward",
    params(("from" = String, Query, description = "First accounting day", format = Date), ("to" = String, Query, description = "Last accounting day", format = Date),
        ("wallet" = Option<String>, Query, description = "One wallet; all when absent", max_length = 32),
        ("format" = Option<String>, Query, description = "`csv`; JSON when absent", max_length = 4)),
    responses((status = 200, description = "The days on which something moved, with the first and the last", content(
        (RollForwardShown = "application/json"), (String = "text/csv")))))]
pub(crate) async fn roll_forward(call: &Call) -> Result<Answer, Stop> {
    let (from, to) = span(call.field("from").unwrap_or_default(), call.field("to").unwrap_or_default())?;
    let programmes = call.programmes();
    let programme = programmes.current().ok_or_else(no_programme)?;
    let wallets: Vec<u8> = match call.field("wallet") {
        Some(id) => vec![read::wallet(programme, id, "/wallet")?],
        None => programme.numbers().collect(),
    };
    let csv = match call.field("format") {
        None | Some("json") => false,
        Some("csv") => true,
        Some(_) => return Err(Rejection::new(Code::Invalid, "/format", "json or csv").into()),
    };
    let book = call.surface.finance.roll_forward(call.deadline).await.map_err(Miss::Failure)?;
    let rows: Vec<_> = wallets.iter().flat_map(|wallet| book.rows(*wallet, from, to)).collect();
    let days: Vec<DayShown<'_>> = rows.iter().map(|row| DayShown::of(programme, row)).collect();
    Ok(if csv { lines(report::roll_forward_csv(&days).into(), CSV) } else { json(StatusCode::OK, &RollForwardShown { days }) })
}

/// What is owed to members at the end of a day.
#[utoipa::path(get, path = "/v1/reports/liability", tag = "reports", operation_id = "liability",
    params(("day" = Option<String>, Query, description = "Today's when absent", format = Date)),
    responses((status = 200, description = "By wallet", body = Liability)))]
pub(crate) async fn liability(call: &Call) -> Result<Answer, Stop> {
    let programmes = call.programmes();
    let programme = programmes.current().ok_or_else(no_programme)?;
    let day = match call.field("day") {
        Some(text) => read::day(text, "/day")?,
        None => Day::at(call.members().clock().now(), &programme.zone),
    };
    let book = call.surface.finance.roll_forward(call.deadline).await.map_err(Miss::Failure)?;
    Ok(json(StatusCode::OK, &report::liability(programme, &book, day)))
}

/// Closes every accounting day up to one: it never changes again.
#[utoipa::path(post, path = "/v1/reports/closes", tag = "reports", operation_id = "closeDays", request_body = CloseDays,
    responses((status = 200, description = "Closed, now or before", body = ClosesShown)))]
pub(crate) async fn close(call: &Call) -> Result<Answer, Stop> {
    let asked: CloseDays = call.read()?;
    let through = read::day(&asked.through, "/through")?;
    let author = read::text(&asked.author, 64, || "/author".into())?;
    if author.trim().is_empty() {
        return Err(Rejection::new(Code::Invalid, "/author", "say who closes").into());
    }
    call.surface.finance.close(through, author, call.deadline).await?;
    closes(call).await
}

/// The closes so far.
#[utoipa::path(get, path = "/v1/reports/closes", tag = "reports", operation_id = "closes",
    responses((status = 200, description = "By day", body = ClosesShown)))]
pub(crate) async fn closes(call: &Call) -> Result<Answer, Stop> {
    let made = call.surface.finance.closes(call.deadline).await.map_err(Miss::Failure)?;
    let programmes = call.programmes();
    let programme = programmes.current().ok_or_else(no_programme)?;
    let closes = made.iter().map(|(at, close)| CloseShown {
        through: close.through.date().to_string(),
        at: instant(*at),
        author: close.author.clone(),
        closing: close.closing.iter().map(|(wallet, pending, active)| (&*programme.wallet(*wallet).id, Closing { pending: *pending, active: *active })).collect(),
    });
    Ok(json(StatusCode::OK, &ClosesShown { closes: closes.collect() }))
}

/// Revenue deferred for points, by cohort, and what of it the period brings (IFRS 15).
#[utoipa::path(post, path = "/v1/reports/ifrs15", tag = "reports", operation_id = "ifrs15", request_body = Days,
    responses((status = 202, description = "Begun: ask for the job", body = JobShown)))]
pub(crate) async fn ifrs15(call: &Call) -> Result<Answer, Stop> {
    let asked: Days = call.read()?;
    let (from, to) = span(&asked.from, &asked.to)?;
    let (finance, programme) = (call.surface.finance.clone(), call.programmes().current().ok_or_else(no_programme)?.clone());
    begun(call, call.surface.jobs.begin(Kind::Report, move |job| async move {
        let eve = from.plus(-1);
        let found = finance.cohorts(&[eve, to], &job.progress).await?;
        let [before, after] = <[_; 2]>::try_from(found).map_err(|_| "two days were asked for")?;
        let shown = report::ifrs15(&programme, (&before, eve), (&after, to));
        serde_json::to_value(&shown).map(Made::Json).map_err(|e| e.to_string())
    }))
}

/// Every movement of points on some accounting days, as CSV.
#[utoipa::path(post, path = "/v1/reports/journal", tag = "reports", operation_id = "journal", request_body = Days,
    responses((status = 202, description = "Begun: ask for the job's result", body = JobShown)))]
pub(crate) async fn journal(call: &Call) -> Result<Answer, Stop> {
    let asked: Days = call.read()?;
    let (from, to) = span(&asked.from, &asked.to)?;
    let (finance, programme) = (call.surface.finance.clone(), call.programmes().current().ok_or_else(no_programme)?.clone());
    begun(call, call.surface.jobs.begin(Kind::Report, move |job| async move {
        let mut text = report::JOURNAL_HEAD.to_owned();
        let write = |fed: &tessera_actors::feed::Fed, posting: &_, accounting| {
            text.push_str(&report::journal_line(&programme, fed.member, fed.seq, posting, accounting));
            if text.len() > MOST_BYTES { Err("these days have more than 256 MiB; ask for fewer".to_owned()) } else { Ok(()) }
        };
        finance.journal(from, to, &job.progress, write).await?;
        Ok(Made::Lines(text.into(), CSV))
    }))
}

/// A draft programme over what has really happened, without writing: what it would have given, to whom, at what cost.
#[utoipa::path(post, path = "/v1/simulations", tag = "reports", operation_id = "simulate", request_body = Simulate,
    responses((status = 202, description = "Begun: ask for the job", body = JobShown)))]
pub(crate) async fn simulate(call: &Call) -> Result<Answer, Stop> {
    let asked: Simulate = call.read()?;
    let at = |text: &Option<_>, field: &str, otherwise: i64| -> Result<i64, Rejection> {
        let Some(text): &Option<tessera_domain::Text> = text else { return Ok(otherwise) };
        let at = text.parse::<Timestamp>().map(|at| at.as_millisecond());
        at.map_err(|_| Rejection::new(Code::Invalid, field, "an instant as in RFC 3339, such as 2026-01-01T00:00:00Z"))
    };
    let (from, to) = (at(&asked.from, "/from", i64::MIN)?, at(&asked.to, "/to", i64::MAX)?);
    if from >= to {
        return Err(Rejection::new(Code::Invalid, "/to", "a time ends after it begins").into());
    }
    let all = call.programmes();
    let before = all.current().ok_or_else(no_programme)?.clone();
    let compiled = super::programme::heavy(call.deadline, move || {
        let draft = programme_file::from_json(&asked.programme).and_then(|file| programme_file::compile(file, 1, 0)).map_err(Stop::Findings)?;
        let findings = tessera_domain::compile::may_follow(&before, &all, &draft);
        if findings.is_empty() { Ok(draft) } else { Err(Stop::Findings(findings)) }
    });
    let draft = compiled.await??;
    let finance = call.surface.finance.clone();
    begun(call, call.surface.jobs.begin(Kind::Report, move |job| async move {
        let totals = finance.simulate(&draft, from, to, &job.progress).await?;
        serde_json::to_value(report::simulated(&draft, &totals)).map(Made::Json).map_err(|e| e.to_string())
    }))
}

fn begun(call: &Call, job: Option<std::sync::Arc<Job>>) -> Result<Answer, Stop> {
    let text = "as many jobs wait as may; ask again when one of them has ended";
    Ok(job.map_or_else(
        || problem(&call.request_id, &Said::new(StatusCode::TOO_MANY_REQUESTS, "too_many_jobs", text)),
        |job| json(StatusCode::ACCEPTED, &job.shown()),
    ))
}

/// How far a job has come, and what came of it.
#[utoipa::path(get, path = "/v1/jobs/{job}", tag = "reports", operation_id = "job",
    params(("job" = String, Path, description = "The job's id")),
    responses((status = 200, description = "The job", body = JobShown)))]
pub(crate) fn job(call: &Call, id: &str) -> Result<Answer, Stop> {
    Ok(json(StatusCode::OK, &find(call, id)?.shown()))
}

/// What came of a journal, as CSV; of a batch, a line of JSON for each of its own.
#[utoipa::path(get, path = "/v1/jobs/{job}/result", tag = "reports", operation_id = "jobResult",
    params(("job" = String, Path, description = "The job's id")),
    responses((status = 200, description = "The lines", content((String = "text/csv"), (String = "application/x-ndjson")))))]
pub(crate) fn job_result(call: &Call, id: &str) -> Result<Answer, Stop> {
    match find(call, id)?.outcome.get() {
        Some(Ok(Made::Lines(text, kind))) => Ok(lines(text.clone(), kind)),
        _ => Err(Rejection::new(Code::JobWithoutLines, "", "this job has no lines: it runs still, has failed, or its result stands in the job itself").into()),
    }
}

fn find(call: &Call, id: &str) -> Result<std::sync::Arc<Job>, Rejection> {
    call.surface.jobs.find(id).ok_or_else(|| Rejection::new(Code::UnknownJob, "", "there is no such job; jobs are forgotten when the node stops: ask again"))
}

const CSV: &str = "text/csv; charset=utf-8";

fn lines(text: Bytes, kind: &'static str) -> Answer {
    let mut answer = Answer::new(text);
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}
