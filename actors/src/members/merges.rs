//! One member goes into another; whoever asks for it then is answered by that one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tessera_cluster::{Failure, Reply};
use tessera_domain::command::{Ask, Command};
use tessera_domain::ids::{MadeId, MemberId};
use tessera_domain::merge::{self, Merges, Owner};
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
                None => return Ok(Owner { member, sources: merges.sources.into_iter().map(|source| source.member).collect() }),
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
        match self.region.query(member_key(member), Query::Head, deadline).await {
            Ok(Answer::Head(head)) if head > 0 => Ok(head),
            Ok(_) => Err(unknown_member()),
            Err(failure) => Err(Miss::Failure(failure)),
        }
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
    pub(super) async fn elsewhere(&self, member: MemberId, command: &Command, deadline: Instant) -> Result<Vec<(u64, Arc<Record>)>, Miss> {
        let answer = self.region.query(member_key(member), Query::Elsewhere(Arc::new(command.clone())), deadline).await.map_err(Miss::Failure)?;
        let Answer::Needs(seqs) = answer else { return Ok(Vec::new()) };
        let mut records = Vec::with_capacity(seqs.len());
        for seq in seqs {
            records.extend(self.taken_over(member, seq).await?.map(|record| (seq, record)));
        }
        Ok(records)
    }

    /// Where a member has gone that takes no commands, once that is settled; `None`: it stays after all.
    pub(super) async fn goes_on(&self, member: MemberId, deadline: Instant) -> Result<Option<(MemberId, u8)>, Miss> {
        self.finish_merge(member, deadline).await?;
        Ok(self.merges(member, deadline).await?.and_then(|merges| merges.gone()))
    }

    /// Lets a member go into another one (rule 15): a saga. What is cut off on the way is finished by a reminder, or by whoever asks next.
    ///
    /// # Errors
    /// `unknown_member`, `in_pool`, `merge_refused`, or a failure.
    pub async fn merge(&self, member: MemberId, into: MemberId, header: u128, deadline: Instant) -> Result<(Done, SagaState), Miss> {
        let mut into = self.survivor(into, deadline).await?;
        if let Some(going) = self.merges(member, deadline).await?.and_then(|merges| merges.going)
            && self.survivor(going.into, deadline).await? == into
        {
            // Begun before, into one that may have gone on itself.
            into = going.into;
        } else if into == member {
            return Err(Miss::No(Rejection::new(Code::Invalid, "/into", "a member goes into another one")));
        } else {
            // It must be able to answer: a member that exists is never gone without one that goes on.
            self.view(into, deadline).await.map_err(|miss| if let Miss::No(no) = miss { Miss::No(Rejection { field: "/into".into(), ..no }) } else { miss })?;
        }
        let done = self.direct(member, Command { header, ask: Ask::Merge { into } }, deadline).await.map_err(|miss| match miss {
            Miss::No(no) if no.code == Code::MemberMerged => Miss::No(Rejection::new(Code::MergeRefused, "/member", "this member goes, or has gone, into another one")),
            other => other,
        })?;
        let why = match self.finish_merge(member, deadline).await {
            Ok(why) => why,
            Err(Miss::Failure(_)) => None,
            Err(miss) => return Err(miss),
        };
        let going = self.merges(member, deadline).await?.and_then(|merges| merges.going).filter(|going| u64::from(going.seq) == done.seq);
        let state = going.map_or(SagaState::Undone, |going| if going.place.is_some() { SagaState::Done } else { SagaState::Pending });
        match why {
            Some(no) if state == SagaState::Undone => Err(Miss::No(no)),
            _ => Ok((done, state)),
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
        let (mut place, mut why) = (None, None);
        for (part, _) in (0_u16..).zip(merge::cut(&state)) {
            let absorb = Ask::Absorb { from: member, merge, part, state: state.clone() };
            let answered = match self.direct(into, Command { header: 0, ask: absorb }, deadline).await {
                // Its first part is refused for what it is: remembered, so that nobody takes it later.
                Err(Miss::No(no)) if part == 0 => {
                    why = Some(no);
                    self.direct(into, Command { header: 0, ask: Ask::RefuseMerge { from: member, merge } }, deadline).await?
                }
                other => other?,
            };
            place = if let Body::Absorbed(absorbed) = &answered.record.body { Some(absorbed.place) } else { None };
            if place.is_none() {
                break;
            }
        }
        if place.is_some() {
            let to = self.survivor(into, deadline).await?;
            for held in &state.aliases {
                self.aliases.hand_over(held.alias.hash, member, to).await.map_err(failure)?;
            }
        }
        match self.direct(member, Command { header: 0, ask: Ask::SettleMerge { merge, place } }, deadline).await {
            // Somebody else was faster.
            Err(Miss::No(no)) if no.code == Code::NothingDue => {}
            other => drop(other?),
        }
        Ok(why.filter(|_| place.is_none()).or_else(|| place.is_none().then(refused)))
    }

    /// Sends a step of a merge: to this member and no other.
    async fn direct(&self, member: MemberId, command: Command, deadline: Instant) -> Result<Done, Miss> {
        match self.region.ask(member_key(member), Box::new(Asked { command, brought: Vec::new() }), deadline).await {
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
