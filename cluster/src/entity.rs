//! The one actor that runs any [`Behaviour`].

use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tessera_storage::{Due, EntityKey, NO_DUE, NewRecord, Offset, Seq, ShardLog, Snapshot, StoreError};
use tokio::sync::{broadcast, oneshot};

use crate::behaviour::{Behaviour, Decision, Failure, Needs, Published, Reply};
use crate::slots::InFlight;

/// Records a live reader may fall behind before it is cut off and resumes from the journal.
const STREAM_BUFFER: usize = 64;
/// A snapshot is due after this many records …
const SNAPSHOT_RECORDS: u32 = 256;
/// … and after records of this many times the bytes of the last snapshot, so that an entity whose
/// state has grown large does not pay for it with every record.
const SNAPSHOT_RATIO: usize = 4;

/// What an entity is sent.
pub enum Message<B: Behaviour> {
    /// A command.
    Do(Request<B, B::Command, Reply<B>>),
    /// A question.
    Ask(Request<B, B::Query, Result<B::Answer, Failure>>),
    /// A new live reader: the channel, and the record after which it begins.
    Subscribe(oneshot::Sender<Result<Live<B>, Failure>>),
}

/// A receiver of records after `Seq`.
pub type Live<B> = (broadcast::Receiver<Arc<Published<B>>>, Seq);

/// One caller's request.
pub struct Request<B: Behaviour, Content, Answer> {
    pub(crate) content: Content,
    pub(crate) deadline: Instant,
    pub(crate) reply: oneshot::Sender<Answer>,
    /// Set by whoever forwards it to a slot.
    pub(crate) in_flight: Option<InFlight<B>>,
}

/// What an entity is born with.
pub struct Birth<B: Behaviour> {
    pub(crate) behaviour: Arc<B>,
    pub(crate) key: EntityKey,
    pub(crate) log: ShardLog,
    pub(crate) view: Arc<ArcSwapOption<B::View>>,
}

/// The actor itself has no fields; its life is its state.
pub struct Entity<B>(PhantomData<fn() -> B>);

impl<B> Default for Entity<B> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

/// An entity's life.
pub struct Life<B: Behaviour> {
    birth: Birth<B>,
    state: B::State,
    /// Why it is not served: its stored records are damaged or too new.
    stopped: Option<Arc<str>>,
    live: Option<broadcast::Sender<Arc<Published<B>>>>,
    /// When it wants to be woken, as the store was last told; `None`: not known here.
    told: Option<Due>,
    since_snapshot: u32,
    bytes_since_snapshot: usize,
    snapshot_bytes: usize,
}

impl<B: Behaviour> Actor for Entity<B> {
    type Msg = Message<B>;
    type State = Life<B>;
    type Arguments = Birth<B>;

    async fn pre_start(&self, _myself: ActorRef<Self::Msg>, birth: Birth<B>) -> Result<Life<B>, ActorProcessingErr> {
        // Boxed: recovery's locals would otherwise stay in the actor's future for its whole life.
        Ok(Box::pin(Life::recover(birth)).await)
    }

    async fn handle(&self, myself: ActorRef<Self::Msg>, message: Message<B>, life: &mut Life<B>) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Do(request) => {
                if let Some(failure) = life.refusal(request.deadline) {
                    send(request.reply, Reply::Failed(failure));
                    return Ok(());
                }
                let needs = life.birth.behaviour.needs(&life.state, &request.content);
                let records = if needs.is_empty() {
                    Vec::new()
                } else {
                    match Box::pin(life.read(needs)).await {
                        Ok(records) => records,
                        Err(failure) => {
                            send(request.reply, Reply::Failed(failure));
                            return Ok(());
                        }
                    }
                };
                let Some((record, frame, request)) = life.decide(request, &records) else { return Ok(()) };
                drop(records);
                let seq = life.next_seq();
                let (bytes, due) = (frame.len(), life.new_due(&record));
                let appended = life.birth.log.append(NewRecord { entity: life.birth.key, seq, frame, due }).await;
                if life.finish(seq, bytes, record, appended, request) {
                    return Ok(());
                }
                // What this actor holds may no longer be what the journal says: wake again from it.
                myself.stop(None);
            }
            Message::Ask(request) => {
                let answer = match life.refusal(request.deadline) {
                    Some(failure) => Err(failure),
                    None => Ok(life.birth.behaviour.answer(&life.state, request.content)),
                };
                send(request.reply, answer);
            }
            Message::Subscribe(reply) => {
                let answer = match &life.stopped {
                    Some(text) => Err(Failure::Stopped(text.to_string())),
                    None => Ok(life.subscribe()),
                };
                send(reply, answer);
            }
        }
        Ok(())
    }

    async fn post_stop(&self, _myself: ActorRef<Self::Msg>, life: &mut Life<B>) -> Result<(), ActorProcessingErr> {
        if life.stopped.is_none() && life.since_snapshot > 0 {
            life.write_snapshot();
        }
        Ok(())
    }
}

type Accepted<B> = (Arc<<B as Behaviour>::Record>, Bytes, (oneshot::Sender<Reply<B>>, Option<InFlight<B>>));

impl<B: Behaviour> Life<B> {
    async fn recover(birth: Birth<B>) -> Self {
        let state = birth.behaviour.empty(&birth.key);
        let mut life = Self { birth, state, stopped: None, live: None, told: None, since_snapshot: 0, bytes_since_snapshot: 0, snapshot_bytes: 0 };
        if let Err(text) = life.read_all().await {
            metrics::counter!("tessera_entities_stopped_total").increment(1);
            tracing::error!(entity = ?life.birth.key, %text, "an entity cannot be recovered and is not served");
            life.stopped = Some(text.into());
        }
        life
    }

    async fn read_all(&mut self) -> Result<(), String> {
        let Birth { behaviour, key, log, .. } = &self.birth;
        let wake = log.wake(*key).await.map_err(|e| e.to_string())?;
        let mut records = wake.records;
        if wake.snapshot.seq > 0 {
            match behaviour.restore(key, &wake.snapshot) {
                Some(state) => {
                    self.state = state;
                    self.snapshot_bytes = wake.snapshot.pages.iter().map(|page| page.bytes.len()).sum();
                }
                None => {
                    metrics::counter!("tessera_snapshots_ignored_total").increment(1);
                    records = log.history(*key, 1, Seq::MAX).await.map_err(|e| e.to_string())?;
                }
            }
        }
        for stored in &records {
            let record = behaviour.decode(key, stored.seq, &stored.frame)?;
            let expected = behaviour.seq(&self.state) + 1;
            if stored.seq != expected {
                return Err(format!("record {expected} is missing"));
            }
            behaviour.apply(&mut self.state, &record);
            self.since_snapshot += 1;
            self.bytes_since_snapshot += stored.frame.len();
        }
        if behaviour.seq(&self.state) < wake.snapshot.seq {
            return Err(format!("the journal ends before its snapshot at {}", wake.snapshot.seq));
        }
        self.show();
        Ok(())
    }

    fn refusal(&self, deadline: Instant) -> Option<Failure> {
        match &self.stopped {
            Some(text) => Some(Failure::Stopped(text.to_string())),
            None if Instant::now() >= deadline => Some(Failure::Expired),
            None => None,
        }
    }

    async fn read(&self, needs: Needs) -> Result<Vec<(Seq, Arc<B::Record>)>, Failure> {
        let Birth { behaviour, key, log, .. } = &self.birth;
        let mut records = Vec::with_capacity(needs.len());
        for seq in needs {
            let found = log.history(*key, seq, seq).await.map_err(|e| match e {
                StoreError::Corrupt(text) => Failure::Stopped(text),
                other => Failure::Unavailable(other.to_string()),
            })?;
            let stored = found.first().ok_or_else(|| Failure::Stopped(format!("record {seq} is missing")))?;
            let record = behaviour.decode(key, seq, &stored.frame).map_err(Failure::Stopped)?;
            records.push((seq, Arc::new(record)));
        }
        Ok(records)
    }

    /// Decides; a repeat or a no is answered here, a record goes on to the log.
    fn decide(&mut self, request: Request<B, B::Command, Reply<B>>, records: &[(Seq, Arc<B::Record>)]) -> Option<Accepted<B>> {
        let behaviour = &self.birth.behaviour;
        let reply = match behaviour.decide(&self.state, &request.content, records) {
            Decision::Commit(record) => match behaviour.encode(&self.birth.key, self.next_seq(), &record) {
                Ok(frame) => return Some((record, frame, (request.reply, request.in_flight))),
                Err(rejection) => Reply::Refused(rejection),
            },
            Decision::Repeat(seq, record) => Reply::Done { seq, record, repeat: true },
            Decision::Refuse(rejection) => Reply::Refused(rejection),
        };
        send(request.reply, reply);
        None
    }

    /// Answers after the append. False: this actor must stop.
    fn finish(
        &mut self,
        seq: Seq,
        bytes: usize,
        record: Arc<B::Record>,
        appended: Result<Offset, StoreError>,
        (reply, in_flight): (oneshot::Sender<Reply<B>>, Option<InFlight<B>>),
    ) -> bool {
        if let Err(error) = appended {
            let failure = match error {
                StoreError::OutcomeUnknown(text) | StoreError::Fatal(text) => Failure::Unknown(text),
                other => Failure::Unavailable(other.to_string()),
            };
            send(reply, Reply::Failed(failure));
            return false;
        }
        self.birth.behaviour.apply(&mut self.state, &record);
        self.show();
        send(reply, Reply::Done { seq, record: record.clone(), repeat: false });
        drop(in_flight);
        self.publish(seq, record);
        self.since_snapshot += 1;
        self.bytes_since_snapshot += bytes;
        if self.since_snapshot >= SNAPSHOT_RECORDS && self.bytes_since_snapshot >= self.snapshot_bytes * SNAPSHOT_RATIO {
            self.write_snapshot();
        }
        true
    }

    /// When it wants to be woken after a record, if that is another time than the store was told. A record that is then not written
    /// ends this life, so that nothing is taken for told that was not.
    fn new_due(&mut self, record: &B::Record) -> Option<Due> {
        let due = self.birth.behaviour.due(&self.state, record);
        let before = self.told.replace(due).or((self.next_seq() == 1).then_some(NO_DUE));
        (before != Some(due)).then_some(due)
    }

    fn next_seq(&self) -> Seq {
        self.birth.behaviour.seq(&self.state) + 1
    }

    fn show(&self) {
        self.birth.view.store(Some(Arc::new(self.birth.behaviour.view(&self.state))));
    }

    fn subscribe(&mut self) -> Live<B> {
        let sender = self.live.get_or_insert_with(|| broadcast::channel(STREAM_BUFFER).0);
        (sender.subscribe(), self.birth.behaviour.seq(&self.state))
    }

    fn publish(&mut self, seq: Seq, record: Arc<B::Record>) {
        if let Some(live) = &self.live
            && live.send(Arc::new(Published { seq, record, rendered: OnceLock::new() })).is_err()
        {
            // The last reader has gone: give the channel's memory back.
            self.live = None;
        }
    }

    fn write_snapshot(&mut self) {
        let pages = self.birth.behaviour.snapshot(&self.birth.key, &mut self.state);
        if pages.is_empty() {
            return;
        }
        self.snapshot_bytes = pages.iter().map(|page| page.bytes.len()).sum();
        self.since_snapshot = 0;
        self.bytes_since_snapshot = 0;
        let seq = self.birth.behaviour.seq(&self.state);
        self.birth.log.write_snapshot(self.birth.key, Snapshot { seq, pages });
    }
}

/// The caller may have gone away; what was done stays done.
fn send<T>(reply: oneshot::Sender<T>, answer: T) {
    if reply.send(answer).is_err() {
        tracing::trace!("nobody waits for this answer any more");
    }
}

/// Bytes of the future that an awake entity keeps for its whole life: what a handler holds across an `.await`.
#[must_use]
pub fn handler_size<B: Behaviour>() -> usize {
    fn of<'a, B: Behaviour, F: Future>(_: impl FnOnce(&'a Entity<B>, ActorRef<Message<B>>, Message<B>, &'a mut Life<B>) -> F) -> usize {
        size_of::<F>()
    }
    of::<B, _>(|entity, actor, message, life| entity.handle(actor, message, life))
}
