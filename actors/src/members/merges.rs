//! One member goes into another; whoever asks for it then is answered by that one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tessera_cluster::{Failure, Reply};
use tessera_domain::command::{Ask, Command};
use tessera_domain::ids::{MadeId, MemberId};
use tessera_domain::merge::{self, Cut, Merges, Owner};
use tessera_domain::record::{Body, Record};
use tessera_domain::{Code, Rejection};

use super::{Done, Members, Miss, SagaState, another, failure, unknown_member};
use crate::member::{Answer, Asked, Query};
use crate::names::member_key;

/// How long reading where a journal lies may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the journals lie that were gone through on the way to who answers.
#[derive(Default)]
pub(super) struct Path(Vec<u8>);

impl Path {
    /// A number of the first journal, as the last member knows it.
    pub(super) fn number(&self, seq: u64) -> u64 {
        self.0.iter().fold(seq, |seq, place| merge::number(seq, *place))
    }
}

impl Members {
    /// Asks a member, or the one that goes on in its stead; answers which that was.
    pub(super) async fn inquire(&self, member: MemberId, query: impl Fn(&Path) -> Query, deadline: Instant) -> Result<(MemberId, Answer), Miss> {
        let (mut member, mut path) = (member, Path::default());
        loop {
            match self.region.query(member_key(member), query(&path), deadline).await.map_err(Miss::Failure)? {
                Answer::Gone(into, place) => {
                    member = into;
                    path.0.push(place);
                }
                answer => return Ok((member, answer)),
            }
        }
    }

    /// What a member itself knows of merges; `None`: there is no such member.
    async fn merges(&self, member: MemberId, deadline: Instant) -> Result<Option<Box<Merges>>, Miss> {
        match self.region.query(member_key(member), Query::Merges, deadline).await {
            Ok(Answer::Merges(merges)) => Ok(merges),
            Ok(_) => Err(another()),
            Err(failure) => Err(Miss::Failure(failure)),
        }
    }

    /// Who answers for a member: itself, or the one that it has gone into; and whose things that one may be asked for.
    ///
    /// # Errors
    /// A failure.
    pub async fn owner(&self, member: MemberId, deadline: Instant) -> Result<Owner, Miss> {
        let mut member = member;
        loop {
            let Some(merges) = self.merges(member, deadline).await? else { return Ok(Owner::from(member)) };
            match merges.gone() {
                Some((into, _)) => member = into,
                None => return Ok(Owner { member, sources: merges.sources.into_iter().map(|source| source.journal.member).collect() }),
            }
        }
    }

    /// Who answers for a member.
    ///
    /// # Errors
    /// A failure.
    pub async fn survivor(&self, member: MemberId, deadline: Instant) -> Result<MemberId, Miss> {
        // One that is awake and shows figures has not gone.
        if self.is_awake(member) { Ok(member) } else { self.owner(member, deadline).await.map(|owner| owner.member) }
    }

    /// Number of a member's last record, also of one that has gone.
    ///
    /// # Errors
    /// `unknown_member`, or a failure.
    pub async fn head(&self, member: MemberId, deadline: Instant) -> Result<u64, Miss> {
        if let Some(shown) = self.region.view(&member_key(member))
            && let Some(view) = &*shown
        {
            return Ok(view.seq);
        }
        match self.region.query(member_key(member), Query::Head, deadline).await {
            Ok(Answer::Head(head)) if head > 0 => Ok(head),
            Ok(_) => Err(unknown_member()),
            Err(failure) => Err(Miss::Failure(failure)),
        }
    }

    /// Of a member that has gone: the record that began it.
    ///
    /// # Errors
    /// A failure.
    pub async fn gone(&self, member: MemberId, deadline: Instant) -> Result<Option<u64>, Miss> {
        if self.is_awake(member) {
            return Ok(None);
        }
        let going = self.merges(member, deadline).await?.and_then(|merges| merges.going);
        Ok(going.filter(|going| going.place.is_some()).map(|going| u64::from(going.seq)))
    }

    /// An id as who answers for its member knows it.
    ///
    /// # Errors
    /// A failure.
    pub async fn current(&self, made: MadeId, deadline: Instant) -> Result<MadeId, Miss> {
        if self.is_awake(made.member) {
            return Ok(made);
        }
        let owner = self.owner(made.member, deadline).await?;
        Ok(MadeId { member: owner.member, seq: owner.number(made).unwrap_or(made.seq), ..made })
    }

    /// A record of a journal that a member has taken over, by its number there.
    pub(super) async fn taken_over(&self, member: MemberId, seq: u64) -> Result<Option<Arc<Record>>, Miss> {
        let Some(place) = u8::try_from(seq / u64::from(merge::SPAN)).ok() else { return Ok(None) };
        Ok(self.original(member, seq).await?.map(|(.., record)| Arc::new(merge::of_record(&record, place))))
    }

    /// The same, as it stands in its own journal.
    async fn original(&self, member: MemberId, seq: u64) -> Result<Option<(MemberId, u64, Arc<Record>)>, Miss> {
        let merges = self.merges(member, Instant::now() + PATIENCE).await?;
        let Some((source, local)) = merges.and_then(|merges| merges.elsewhere(seq)) else { return Ok(None) };
        let found = self.history(source, local, local).await?.pop();
        let (_, record) = found.ok_or_else(|| Miss::Failure(Failure::Stopped(format!("record {local} of {source} is missing"))))?;
        Ok(Some((source, local, record)))
    }

    /// What a member has answered. What was done before it took a journal over is answered as it was then.
    pub(super) async fn answered(&self, member: MemberId, seq: u64, record: Arc<Record>, repeat: bool) -> Result<Done, Miss> {
        if seq >= u64::from(merge::SPAN)
            && let Some((member, seq, record)) = self.original(member, seq).await?
        {
            return Ok(Done { member, seq, record, repeat });
        }
        Ok(Done { member, seq, record, repeat })
    }

    /// Records of other journals that a command needs.
    pub(super) async fn elsewhere(&self, member: MemberId, command: Arc<Command>, deadline: Instant) -> Result<Vec<(u64, Arc<Record>)>, Miss> {
        let answer = self.region.query(member_key(member), Query::Elsewhere(command), deadline).await.map_err(Miss::Failure)?;
        let Answer::Needs(seqs) = answer else { return Ok(Vec::new()) };
        let mut records = Vec::with_capacity(seqs.len());
        for seq in seqs {
            records.extend(self.taken_over(member, seq).await?.map(|record| (seq, record)));
        }
        Ok(records)
    }

    /// Where a member has gone that takes no commands, once what keeps it is settled; `None`: it stays.
    pub(super) async fn goes_on(&self, member: MemberId, deadline: Instant) -> Result<Option<(MemberId, u8)>, Miss> {
        if let Some(source) = self.merges(member, deadline).await?.and_then(|merges| merges.coming()) {
            self.finish_merge(source, deadline).await?;
        }
        self.finish_merge(member, deadline).await?;
        Ok(self.merges(member, deadline).await?.and_then(|merges| merges.gone()))
    }

    /// Lets a member go into another one (rule 15): a saga. What is cut off on the way is finished by a reminder, or by whoever asks next.
    ///
    /// # Errors
    /// `unknown_member`, `in_pool`, `merge_refused`, or a failure.
    pub async fn merge(&self, member: MemberId, into: MemberId, deadline: Instant) -> Result<(Done, SagaState), Miss> {
        let same = || Miss::No(Rejection::new(Code::Invalid, "/into", "a member goes into another one"));
        if into == member {
            return Err(same());
        }
        let mut into = self.survivor(into, deadline).await?;
        if let Some(going) = self.merges(member, deadline).await?.and_then(|merges| merges.going)
            && self.survivor(going.into, deadline).await? == into
        {
            // Begun before, into one that may have gone on itself.
            into = going.into;
        } else if into == member {
            return Err(same());
        } else {
            // It must be able to answer: a member that exists is never gone without one that goes on.
            self.view(into, deadline).await.map_err(|miss| if let Miss::No(no) = miss { Miss::No(Rejection { field: "/into".into(), ..no }) } else { miss })?;
        }
        let done = self.begin_merge(member, into, deadline).await?;
        // From here on it goes, sooner or later.
        let pending = |miss| if let Miss::Failure(_) = miss { Ok((None, SagaState::Pending)) } else { Err(miss) };
        let (why, state) = match self.finish_merge(member, deadline).await {
            Ok(why) => match self.merges(member, deadline).await {
                Ok(merges) => {
                    let going = merges.and_then(|merges| merges.going).filter(|going| u64::from(going.seq) == done.seq);
                    (why, going.map_or(SagaState::Undone, |going| if going.place.is_some() { SagaState::Done } else { SagaState::Pending }))
                }
                Err(miss) => pending(miss)?,
            },
            Err(miss) => pending(miss)?,
        };
        match why {
            Some(no) if state == SagaState::Undone => Err(Miss::No(no)),
            _ => Ok((done, state)),
        }
    }

    /// The first step. It has no key: that the member goes, and into whom, is remembered for as long as it does; a no is not.
    async fn begin_merge(&self, member: MemberId, into: MemberId, deadline: Instant) -> Result<Done, Miss> {
        let mut tries = 0;
        loop {
            let no = match self.direct(member, Command { header: 0, ask: Ask::Merge { into } }, deadline).await {
                Err(Miss::No(no)) => no,
                other => return other,
            };
            tries += 1;
            match no.code {
                // Another one is just going into this one; or it is in a pool that is no more.
                Code::MemberMerged if tries == 1 && self.goes_on(member, deadline).await?.is_none() => {}
                Code::InPool if tries == 1 && self.leave_if_over(member, deadline).await? => {}
                Code::MemberMerged => return Err(Miss::No(Rejection::new(Code::MergeRefused, "/member", "this member goes, or has gone, into another one"))),
                _ => return Err(Miss::No(no)),
            }
        }
    }

    /// Brings a merge that has begun to its end; why the other member does not take it. Each step may be repeated by anybody: it takes effect
    /// once.
    ///
    /// # Errors
    /// A failure; it is asked after again.
    pub async fn finish_merge(&self, member: MemberId, deadline: Instant) -> Result<Option<Rejection>, Miss> {
        let answer = self.region.query(member_key(member), Query::Leaving, deadline).await.map_err(Miss::Failure)?;
        let Answer::Leaving(Some((going, state))) = answer else { return Ok(None) };
        let (into, merge) = (going.into, u64::from(going.seq));
        let aliases: Vec<(u128, bool)> = state.aliases.iter().map(|held| (held.alias.hash, held.until.is_none())).collect();
        let (place, why) = self.hand_over(member, into, merge, Arc::new(Cut::new(*state)), deadline).await?;
        if place.is_some() {
            let to = self.survivor(into, deadline).await?;
            for (hash, held) in aliases {
                self.aliases.hand_over(hash, member, to).await.map_err(failure)?;
                // It may have been taken from the other one meanwhile; and been given to it again.
                if held && !self.holds(to, hash, deadline).await? {
                    self.aliases.end(hash, to, going.since).await.map_err(failure)?;
                }
            }
        }
        match self.direct(member, Command { header: 0, ask: Ask::SettleMerge { merge, place } }, deadline).await {
            // Somebody else was faster.
            Err(Miss::No(no)) if no.code == Code::NothingDue => {}
            other => drop(other?),
        }
        Ok(if place.is_none() { why.or_else(|| Some(refused())) } else { None })
    }

    /// Lets the other member take all parts of a state; where the journal is there then, or why it is not.
    async fn hand_over(&self, member: MemberId, into: MemberId, merge: u64, cut: Arc<Cut>, deadline: Instant) -> Result<(Option<u8>, Option<Rejection>), Miss> {
        let mut place = None;
        for (part, _) in (0_u16..).zip(&cut.parts) {
            let absorb = || Command { header: 0, ask: Ask::Absorb { from: member, merge, part, cut: cut.clone() } };
            let mut answered = self.direct(into, absorb(), deadline).await;
            if matches!(&answered, Err(Miss::No(no)) if no.code == Code::MemberMerged) {
                // A third one is just going there too.
                Box::pin(self.goes_on(into, deadline)).await?;
                answered = self.direct(into, absorb(), deadline).await;
            }
            match answered {
                Err(Miss::No(no)) if no.code == Code::MemberMerged => return Err(Miss::Failure(Failure::Unavailable(no.detail.to_string()))),
                Ok(Done { record, .. }) => match &record.body {
                    Body::Absorbed(absorbed) => place = Some(absorbed.place),
                    _ => return Ok((None, None)),
                },
                // Refused for what it is: that is remembered, so that nobody takes it later.
                Err(Miss::No(no)) if part == 0 => {
                    let answered = self.direct(into, Command { header: 0, ask: Ask::RefuseMerge { from: member, merge } }, deadline).await?;
                    match &answered.record.body {
                        Body::Absorbed(absorbed) => place = Some(absorbed.place),
                        _ => return Ok((None, Some(Rejection::new(Code::MergeRefused, "/into", &no.detail)))),
                    }
                }
                Err(Miss::No(no)) => {
                    tracing::error!(%member, %into, part, ?no, "a member goes into another one that does not take all of it");
                    return Err(Miss::Failure(Failure::Unavailable("this member is going into another one, and that cannot be finished now".into())));
                }
                Err(miss) => return Err(miss),
            }
        }
        Ok((place, None))
    }

    /// Sends a step of a merge: to this member and no other.
    pub(super) async fn direct(&self, member: MemberId, command: Command, deadline: Instant) -> Result<Done, Miss> {
        match self.region.ask(member_key(member), Asked { command: Arc::new(command), brought: None }, deadline).await {
            Reply::Done { seq, record, repeat } => Ok(Done { member, seq, record, repeat }),
            Reply::Refused(no) if no.code == Code::UnknownMember => Err(unknown_member()),
            Reply::Refused(no) => Err(Miss::No(no)),
            Reply::Failed(failure) => Err(Miss::Failure(failure)),
        }
    }
}

fn refused() -> Rejection {
    Rejection::new(Code::MergeRefused, "/into", "the other member is just going into another one itself; try again in a moment")
}
