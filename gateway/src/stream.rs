//! A member's events, live: history from where the reader stopped, then what is published.
//!
//! Each reader has a task that fills a short queue; the connection empties it as fast as the socket takes it. A
//! reader that falls behind the member's channel, or whose socket takes nothing for ten seconds (the listener sets
//! `TCP_USER_TIMEOUT`), is cut off and resumes with `Last-Event-ID`.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, header};
use http_body::{Body, Frame};
use tessera_actors::{Followed, Members};
use tessera_api::{event, read};
use tessera_domain::ids::MemberId;
use tessera_domain::record::{Body as Content, Record};
use tessera_domain::{Code, Rejection};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{mpsc, watch};

use crate::handlers::{Call, Stop};
use crate::metric_names::OpenStream;
use crate::problem::Answer;

/// Chunks that wait for the socket; at the bound the reader's task waits, and its member's channel fills.
const QUEUE: usize = 16;
/// Records read from the journal at a time.
const CHUNK: u64 = 256;
/// A comment is sent when nothing else was for so long.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The last event a reader has seen: the n-th of a record.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    seq: u64,
    n: u64,
}

/// A member's events as server-sent events, from after `Last-Event-ID`, or from now on.
#[utoipa::path(get, path = "/v1/members/{member}/events", tag = "members", operation_id = "events",
    params(("member" = String, Path, description = "The member's id"),
        ("Last-Event-ID" = Option<String>, Header, description = "`seq.n` of the last event seen: goes on after it, without gap or repeat", max_length = 41)),
    responses((status = 204, description = "This member has gone into another one, and all that it said has been seen: follow that one"), (status = 200, description = "`id` is `seq.n`, the n-th public event of record seq; `event` its type; `data` its JSON", body = event::Streamed, content_type = "text/event-stream")))]
pub(crate) async fn follow(call: &Call, id: &str) -> Result<Answer, Stop> {
    let member = read::member_id(id)?;
    let last = match call.headers.get("last-event-id") {
        None => None,
        Some(id) => Some(seen(id).ok_or_else(|| Rejection::new(Code::Invalid, "Last-Event-ID", "the id of an event of this stream, such as 12.0"))?),
    };
    let gone = call.members().gone(member, call.deadline).await?;
    let live = call.members().follow(member, call.deadline).await?;
    if last.is_some_and(|last| last.seq > live.head) {
        return Err(Rejection::new(Code::Invalid, "Last-Event-ID", "this is ahead of the member's journal: it is of another member, or of a node that was put back; follow without it").into());
    }
    // One that has gone into another member says what a reader has missed, and at least that.
    let now = gone.map_or(live.head, |seq| seq.min(live.head));
    let after = last.unwrap_or(Seen { seq: now, n: u64::MAX });
    if let Some(seq) = gone
        && !has_more(call, member, seq.max(after.seq), live.head, after).await?
    {
        let mut answer = Answer::new(Bytes::new());
        *answer.status_mut() = http::StatusCode::NO_CONTENT;
        return Ok(answer);
    }
    let (queue, chunks) = mpsc::channel(QUEUE);
    let reader = Reader { members: call.members().clone(), member, queue, stop: call.surface.stop.clone() };
    tokio::spawn(reader.run(live, after));
    let mut answer = Answer::new(Bytes::new());
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    answer.extensions_mut().insert(Live(Arc::new(Mutex::new(Some(chunks)))));
    Ok(answer)
}

/// The member has gone into another one: it says nothing more.
fn ends(record: &Record) -> bool {
    matches!(record.body, Content::Merged { place: Some(_), .. })
}

/// Whether a member's journal has an event in some records that a reader has not seen.
async fn has_more(call: &Call, member: MemberId, from: u64, to: u64, after: Seen) -> Result<bool, Stop> {
    let programmes = call.programmes();
    let records = call.members().history(member, from, to).await?;
    let last = |(seq, record): &(u64, Arc<Record>)| Some(Seen { seq: *seq, n: event::published(&programmes, member, *seq, record)?.len().checked_sub(1)? as u64 });
    Ok(records.iter().filter_map(last).any(|last| last > after))
}

fn seen(id: &HeaderValue) -> Option<Seen> {
    let (seq, n) = id.to_str().ok()?.split_once('.')?;
    Some(Seen { seq: seq.parse().ok()?, n: n.parse().ok()? })
}

/// Travels from the handler through warp to the listener, which makes it the answer's body.
#[derive(Clone)]
pub(crate) struct Live(Arc<Mutex<Option<mpsc::Receiver<Bytes>>>>);

impl Live {
    /// The body; the first call takes it.
    pub(crate) fn body(&self) -> Option<Chunks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().map(Chunks)
    }
}

/// A body of chunks as they come.
pub(crate) struct Chunks(mpsc::Receiver<Bytes>);

impl Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|chunk| chunk.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// One reader's task.
struct Reader {
    members: Members,
    member: MemberId,
    queue: mpsc::Sender<Bytes>,
    stop: watch::Receiver<bool>,
}

impl Reader {
    async fn run(mut self, live: Followed, after: Seen) {
        let _open = OpenStream::new();
        let mut stop = self.stop.clone();
        tokio::select! {
            // The end of the stream; the client resumes elsewhere, or here when the node is back.
            _ = stop.wait_for(|stop| *stop) => {}
            // The reader has gone, or has fallen behind.
            _ = self.read(live, after) => {}
        }
    }

    async fn read(&mut self, mut live: Followed, after: Seen) -> Option<()> {
        self.queue.send(Bytes::from_static(b": events of one member\n\n")).await.ok()?;
        let mut from = after.seq.max(1);
        while from <= live.head {
            let to = live.head.min(from + CHUNK - 1);
            for (seq, record) in self.members.history(self.member, from, to).await.ok()? {
                let text = self.render(seq, &record, after)?;
                self.give(text).await?;
                if ends(&record) {
                    return None;
                }
            }
            from = to + 1;
        }
        let head = live.head;
        loop {
            match tokio::time::timeout(KEEP_ALIVE, live.receiver.recv()).await {
                Err(_) => self.queue.send(Bytes::from_static(b": still here\n\n")).await.ok()?,
                // Lagged: what it missed is in the journal. Closed: the member sleeps or moved.
                Ok(Err(RecvError::Lagged(_) | RecvError::Closed)) => return None,
                Ok(Ok(published)) if published.seq <= head.max(after.seq) => {}
                Ok(Ok(published)) => {
                    let text = match published.rendered.get() {
                        Some(text) => text.clone(),
                        None => {
                            // Two readers may both render it: the same bytes.
                            let text = self.render(published.seq, &published.record, after)?;
                            published.rendered.get_or_init(|| text).clone()
                        }
                    };
                    self.give(text).await?;
                    if ends(&published.record) {
                        return None;
                    }
                }
            }
        }
    }

    async fn give(&self, text: Bytes) -> Option<()> {
        if text.is_empty() { Some(()) } else { self.queue.send(text).await.ok() }
    }

    fn render(&self, seq: u64, record: &Record, after: Seen) -> Option<Bytes> {
        let programmes = self.members.board().programmes();
        let mut text = String::new();
        for (n, event) in (0_u64..).zip(event::published(&programmes, self.member, seq, record)?) {
            if (Seen { seq, n }) > after {
                // The shapes hold strings, numbers and lists only: they always serialise, on one line.
                let data = serde_json::to_string(&event).unwrap_or_default();
                text.push_str(&format!("id: {seq}.{n}\nevent: {}\ndata: {data}\n\n", event.what));
            }
        }
        Some(text.into())
    }
}
