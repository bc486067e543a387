//! The façade: what the gateway calls.

mod aliases;
mod gifts;
mod merges;
mod pools;

use std::sync::Arc;
use std::time::Instant;

use tessera_cluster::{Clock, Failure, Limits, Ownership, Region, Reply, Subscription};
use tessera_domain::command::{Ask, Command};
use tessera_domain::decide::{self, Context};
use tessera_domain::goals::Progress;
use tessera_domain::ids::MemberId;
use tessera_domain::member::View;
use tessera_domain::merge;
use tessera_domain::programme::UnknownAlias;
use tessera_domain::record::{Alias, HoldEnd, Record};
use tessera_domain::time::Millis;
use tessera_domain::wallet::Wallet;
use tessera_domain::{Code, Rejection};
use tessera_storage::{Cells, StoreError};

use crate::Board;
use crate::aliases::Aliases;
use crate::budgets::{Look, Purse};
use crate::member::{self, Answer, Asked, MemberBehaviour, Query};
use crate::names::{alias_hash, enrolled_by_alias, member_key};

/// Whom a request is for.
#[derive(Clone, Debug)]
pub enum Who {
    /// By id.
    Member(MemberId),
    /// By alias: kind and value.
    Alias(String, String),
}

/// Whom a request is for, once an alias was looked up.
pub struct Located {
    /// The member, and whether it must be enrolled first: its alias is unknown and of a type that enrols
    /// ([`Members::enrol_for`]). Or that nobody held the alias.
    pub found: Result<(MemberId, bool), Miss>,
    /// Who held the alias shortly before, and may have answered this very request ([`Members::repeat`]).
    pub before: Option<MemberId>,
}

/// How many members one alias makes in turn, each after the one before gave it up.
const HOLDERS: u32 = 16;

/// A member followed live.
pub type Followed = Subscription<MemberBehaviour>;

/// What was done, now or before.
pub struct Done {
    /// For whom.
    pub member: MemberId,
    /// The record's number.
    pub seq: u64,
    /// The record that the answer is rendered from.
    pub record: Arc<Record>,
    /// It was done by an earlier request.
    pub repeat: bool,
}

/// How what goes from one member to another stands: a gift, a merge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SagaState {
    /// On its way: it is asked after until it has arrived, or was not taken.
    Pending,
    Done,
    Undone,
}

/// Why nothing was done.
#[derive(Debug)]
pub enum Miss {
    /// A business no.
    No(Rejection),
    /// A technical failure.
    Failure(Failure),
}

/// Members of this node. Cheap to clone.
#[derive(Clone)]
pub struct Members {
    region: Region<MemberBehaviour>,
    aliases: Aliases,
    board: Arc<Board>,
    clock: Clock,
    purse: Arc<Purse>,
}

impl Members {
    /// Starts the members' region.
    ///
    /// # Errors
    /// A sentence when an actor cannot be started.
    pub async fn start(board: Arc<Board>, clock: Clock, ownership: Ownership, cells: Arc<dyn Cells>, limits: Limits, purse: Arc<Purse>, skip_dedupe: bool) -> Result<Self, String> {
        let behaviour = Arc::new(MemberBehaviour { board: board.clone(), clock: clock.clone(), purse: purse.clone(), skip_dedupe });
        let region = Region::start(behaviour, ownership, limits).await?;
        Ok(Self { region, aliases: Aliases::new(cells, clock.clone()), board, clock, purse })
    }

    /// The board.
    #[must_use]
    pub fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// The node's clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Members awake on this node.
    #[must_use]
    pub fn awake(&self) -> usize {
        self.region.awake()
    }

    /// Lets every member finish and sleep.
    pub async fn drain(&self) {
        self.region.drain().await;
    }

    /// Enrols a member under an id derived from the request's key.
    ///
    /// The aliases are reserved first, each for this id: a retry finds its own reservation, another
    /// member's enrolment is refused. One that was cut short holds its aliases until it is retried.
    ///
    /// # Errors
    /// `alias_taken`, `unknown_alias_type`, or a failure.
    pub async fn enrol(&self, member: MemberId, header: u128, aliases: &[(String, String)], deadline: Instant) -> Result<Done, Miss> {
        let mut kept = Vec::with_capacity(aliases.len());
        for (place, (kind, value)) in aliases.iter().enumerate() {
            self.known_type(kind, &format!("/aliases/{place}/type"))?;
            kept.push(alias(kind, value));
        }
        let ask = || Command { header, ask: Ask::Enrol { aliases: kept.clone() } };
        let mut reserved = Vec::new();
        for (place, alias) in kept.iter().enumerate() {
            match self.reserve(member, alias, &format!("/aliases/{place}"), deadline).await {
                Ok(true) => reserved.push(alias),
                Ok(false) => {}
                Err(miss) => {
                    // What this request reserved before it was refused is given back.
                    self.give_back_all(member, &reserved, deadline).await?;
                    // It may have moved on since this very request was answered.
                    return self.repeat(member, ask(), deadline).await?.ok_or(miss);
                }
            }
        }
        let done = self.command(member, ask(), deadline).await;
        if matches!(&done, Err(Miss::No(_)) | Ok(Done { repeat: true, .. })) {
            self.give_back_all(member, &reserved, deadline).await?;
        }
        done
    }

    /// The member that holds an alias now.
    ///
    /// # Errors
    /// `unknown_alias`, or a failure.
    pub async fn look_up(&self, kind: &str, value: &str) -> Result<MemberId, Miss> {
        let found = self.aliases.holder(alias_hash(kind, value)).await.map_err(failure)?;
        found.ok_or_else(unknown_alias)
    }

    /// The member that a request is for, an alias as it was held at `at`.
    ///
    /// # Errors
    /// As [`Self::look_up`].
    pub async fn locate(&self, who: &Who, at: Millis, deadline: Instant) -> Result<Located, Miss> {
        let (kind, value) = match who {
            Who::Member(member) => return Ok(Located { found: Ok((*member, false)), before: None }),
            Who::Alias(kind, value) => (kind, value),
        };
        let programmes = self.board.programmes();
        let enrols = programmes.current().and_then(|programme| programme.aliases.get(kind.as_str()).copied()) == Some(UnknownAlias::Enrol);
        let hash = alias_hash(kind, value);
        let mut made = (0..HOLDERS).map(|turn| enrolled_by_alias(hash, turn));
        let (holder, before) = self.aliases.holder_at(hash, at).await.map_err(failure)?;
        let mut found = Err(unknown_alias());
        match holder {
            // Reserved by an enrolment like this one. It may have been cut short before its record was
            // written: unless the member is seen to be there, it is enrolled again, which repeats harmlessly.
            Some(member) => found = Ok((member, enrols && !self.is_awake(member) && made.any(|made| made == member))),
            None if enrols => {
                // A member that was made by this alias and gave it up is not made again: the next one is.
                for member in made {
                    if self.view(member, deadline).await.is_err() || self.holds(member, hash, deadline).await? {
                        found = Ok((member, true));
                        break;
                    }
                }
            }
            None => {}
        }
        Ok(Located { found, before })
    }

    /// What a first purchase under an unknown alias would do, that of a member who is not enrolled yet.
    ///
    /// # Errors
    /// The rejection that it would meet.
    pub async fn quote_new(&self, who: &Who, command: &Command, deadline: Instant) -> Result<Record, Miss> {
        let Who::Alias(kind, value) = who else { return Err(unknown_member()) };
        loop {
            let programmes = self.board.programmes();
            let look = Look(&self.purse);
            let context = Context { budgets: &look, ..Context::new(self.clock.now(), &programmes) };
            match decide::try_new(vec![alias(kind, value)], command, &context) {
                Err(no) if no.code == Code::BudgetPending && Instant::now() < deadline => self.purse.wait().await,
                Err(no) if no.code == Code::BudgetPending => return Err(unknown_budget(&no)),
                Err(no) => return Err(Miss::No(no)),
                Ok(record) => {
                    // Nor may it be enrolled by a record that is then too large.
                    member::encode(&member_key(MemberId(0)), 2, &record).map_err(Miss::No)?;
                    return Ok(record);
                }
            }
        }
    }

    /// Enrols the member of an unknown alias, unless its first `command` would be refused: bad input changes nothing.
    ///
    /// # Errors
    /// The rejection of the command; as [`Self::enrol`].
    pub async fn enrol_for(&self, member: MemberId, who: &Who, command: &Command, deadline: Instant) -> Result<(), Miss> {
        let Who::Alias(kind, value) = who else { return Ok(()) };
        if self.view(member, deadline).await.is_err() {
            self.quote_new(who, command, deadline).await?;
        }
        self.enrol(member, 0, &[(kind.clone(), value.clone())], deadline).await.map(drop)
    }

    /// Whether a member is awake and enrolled.
    fn is_awake(&self, member: MemberId) -> bool {
        self.region.view(&member_key(member)).is_some_and(|view| view.is_some())
    }

    /// Sends a command; to a member that has gone into another one: to that one.
    ///
    /// # Errors
    /// The rejection or the failure.
    pub async fn command(&self, member: MemberId, command: Command, deadline: Instant) -> Result<Done, Miss> {
        let done = self.send(member, command, deadline).await?;
        if decide::sends_home(&done.record)
            && let Err(miss) = Box::pin(self.send_home(done.member, done.seq, &done.record, deadline)).await
        {
            // A reminder does it.
            tracing::debug!(member = %done.member, seq = done.seq, ?miss, "lent points are still on their way home");
        }
        Ok(done)
    }

    async fn send(&self, member: MemberId, command: Command, deadline: Instant) -> Result<Done, Miss> {
        let (mut member, mut command, mut brought) = (member, Arc::new(command), None);
        loop {
            let asked = Asked { command: command.clone(), brought: brought.take() };
            let no = match self.region.ask(member_key(member), asked, deadline).await {
                Reply::Done { seq, record, repeat } => return self.answered(member, seq, record, repeat).await,
                Reply::Refused(no) => no,
                Reply::Failed(failure) => return Err(Miss::Failure(failure)),
            };
            match no.code {
                // A purchase may have to wait for a campaign's budget, and is then decided again.
                Code::BudgetPending if Instant::now() < deadline => self.purse.wait().await,
                Code::BudgetPending => return Err(unknown_budget(&no)),
                Code::RecordsElsewhere => brought = Some(Box::new(Box::pin(self.elsewhere(member, command.clone(), deadline)).await?)),
                Code::MemberMerged => {
                    if let Some((into, place)) = Box::pin(self.goes_on(member, deadline)).await? {
                        (member, command) = (into, sent_on(&command, into, place));
                    }
                }
                _ => return Err(Miss::No(no)),
            }
        }
    }

    /// What a command would do, and for whom.
    ///
    /// # Errors
    /// The rejection that it would meet, or a failure.
    pub async fn quote(&self, member: MemberId, command: Command, deadline: Instant) -> Result<(MemberId, Arc<Record>), Miss> {
        let (mut member, mut command) = (member, Arc::new(command));
        loop {
            let gone = match self.query(member, |records| Query::Quote(command.clone(), records), deadline).await? {
                Answer::Quote(Err(no)) if no.code == Code::BudgetPending && Instant::now() < deadline => {
                    self.purse.wait().await;
                    continue;
                }
                Answer::Quote(Err(no)) if no.code == Code::BudgetPending => return Err(unknown_budget(&no)),
                Answer::Quote(Err(no)) if no.code == Code::MemberMerged => self.goes_on(member, deadline).await?,
                Answer::Quote(record) => return record.map(|record| (member, record)).map_err(Miss::No),
                Answer::Gone(into, place) => Some((into, place)),
                _ => return Err(another()),
            };
            if let Some((into, place)) = gone {
                (member, command) = (into, sent_on(&command, into, place));
            }
        }
    }

    /// What was answered to a command before; nothing is done.
    ///
    /// # Errors
    /// A failure.
    pub async fn repeat(&self, member: MemberId, command: Command, deadline: Instant) -> Result<Option<Done>, Miss> {
        let (mut member, mut command) = (member, Arc::new(command));
        loop {
            match self.query(member, |records| Query::Repeat(command.clone(), records), deadline).await? {
                Answer::Repeat(Some(seq)) => {
                    let Some(record) = self.record(member, seq).await? else { return Ok(None) };
                    return self.answered(member, seq, record, true).await.map(Some);
                }
                Answer::Gone(into, place) => (member, command) = (into, sent_on(&command, into, place)),
                // Not all that it may have answered can be looked at yet.
                Answer::Busy => {
                    if let Some((into, place)) = Box::pin(self.goes_on(member, deadline)).await? {
                        (member, command) = (into, sent_on(&command, into, place));
                    }
                }
                _ => return Ok(None),
            }
        }
    }

    /// Asks, with the records that the answer turns out to need.
    async fn query(&self, member: MemberId, query: impl Fn(Vec<(u64, Arc<Record>)>) -> Query, deadline: Instant) -> Result<Answer, Miss> {
        let mut records = Vec::new();
        loop {
            match self.region.query(member_key(member), query(records.clone()), deadline).await {
                Ok(Answer::Needs(seqs)) => {
                    for seq in seqs {
                        let record = self.record(member, seq).await?.ok_or_else(|| Miss::Failure(Failure::Stopped(format!("record {seq} is missing"))))?;
                        records.push((seq, record));
                    }
                }
                Ok(answer) => return Ok(answer),
                Err(failure) => return Err(Miss::Failure(failure)),
            }
        }
    }

    /// Lots and holds of each wallet as of now; and how `hold` ended, if it was confirmed or cancelled.
    ///
    /// # Errors
    /// `unknown_member`, or a failure.
    pub async fn wallets(&self, member: MemberId, hold: Option<u64>, deadline: Instant) -> Result<(Vec<Wallet>, Option<HoldEnd>), Miss> {
        match self.inquire(member, |path| Query::Wallets { hold: hold.map(|seq| path.number(seq)) }, deadline).await? {
            (_, Answer::Wallets(Some(wallets), ended)) => Ok((wallets, ended)),
            _ => Err(unknown_member()),
        }
    }

    /// Posts what is due for a member that nobody has asked for.
    ///
    /// # Errors
    /// `nothing_due`, or a failure.
    pub async fn tick(&self, member: MemberId, deadline: Instant) -> Result<Done, Miss> {
        self.command(member, Command { header: 0, ask: Ask::Tick }, deadline).await
    }

    /// When a member wants to be woken.
    ///
    /// # Errors
    /// A failure.
    pub async fn next_due(&self, member: MemberId, deadline: Instant) -> Result<Millis, Miss> {
        match self.region.query(member_key(member), Query::Due, deadline).await {
            Ok(Answer::Due(due)) => Ok(due),
            Ok(_) => Err(unknown_member()),
            Err(failure) => Err(Miss::Failure(failure)),
        }
    }

    /// How far a member has come with quests and achievements.
    ///
    /// # Errors
    /// `unknown_member`, or a failure.
    pub async fn goals(&self, member: MemberId, deadline: Instant) -> Result<Vec<Progress>, Miss> {
        match self.inquire(member, |_| Query::Goals, deadline).await? {
            (_, Answer::Goals(Some(goals))) => Ok(goals),
            _ => Err(unknown_member()),
        }
    }

    /// Records `from ..= to` of a member that exist, oldest first.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn history(&self, member: MemberId, from: u64, to: u64) -> Result<Vec<(u64, Arc<Record>)>, Miss> {
        self.region.history(member_key(member), from, to).await.map_err(Miss::Failure)
    }

    /// One record, by its number as the member knows it: also of one that has gone into it.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn record(&self, member: MemberId, seq: u64) -> Result<Option<Arc<Record>>, Miss> {
        if seq >= u64::from(merge::SPAN) {
            return self.taken_over(member, seq).await;
        }
        Ok(self.history(member, seq, seq).await?.pop().map(|(_, record)| record))
    }

    /// Follows a member live.
    ///
    /// # Errors
    /// `unknown_member`, or a failure.
    pub async fn follow(&self, member: MemberId, deadline: Instant) -> Result<Followed, Miss> {
        // One that has gone says nothing more; what it said is there to be read.
        self.head(member, deadline).await?;
        self.region.subscribe(member_key(member), deadline).await.map_err(Miss::Failure)
    }

    /// Balance and tier as of now: from the slot while they hold, otherwise from the member.
    ///
    /// # Errors
    /// `unknown_member`, or a failure.
    pub async fn view(&self, member: MemberId, deadline: Instant) -> Result<View, Miss> {
        let key = member_key(member);
        if let Some(shown) = self.region.view(&key)
            && let Some(view) = &*shown
            && self.clock.now() < view.good_until
        {
            return Ok(view.clone());
        }
        match self.inquire(member, |_| Query::View, deadline).await? {
            (_, Answer::View(Some(view))) => Ok(view),
            _ => Err(unknown_member()),
        }
    }
}

/// A command to a member that has gone, for the one that goes on.
fn sent_on(command: &Command, into: MemberId, place: u8) -> Arc<Command> {
    Arc::new(Command { header: command.header, ask: merge::of_command(&command.ask, into, place) })
}

fn another() -> Miss {
    Miss::Failure(Failure::Unavailable("another question was answered".into()))
}

/// The sale can be sent again in a moment: nothing is wrong with it.
fn unknown_budget(no: &Rejection) -> Miss {
    Miss::Failure(Failure::Unavailable(no.detail.to_string()))
}

fn unknown_alias() -> Miss {
    Miss::No(Rejection::new(Code::UnknownAlias, "/member/alias", "no member holds this alias; enrol one with it"))
}

fn unknown_member() -> Miss {
    Miss::No(Rejection::new(Code::UnknownMember, "", "there is no such member; enrol it first"))
}

/// What is kept of an alias: a hash, and the last four characters of the longer ones.
fn alias(kind: &str, value: &str) -> Alias {
    let count = value.chars().count();
    let tail: String = value.chars().skip(count.saturating_sub(4)).collect();
    let tail = if count >= 8 { tail } else { String::new() };
    Alias { kind: kind.into(), hash: alias_hash(kind, value), tail: tail.into() }
}

fn failure(error: StoreError) -> Miss {
    Miss::Failure(match error {
        StoreError::OutcomeUnknown(text) | StoreError::Fatal(text) => Failure::Unknown(text),
        other => Failure::Unavailable(other.to_string()),
    })
}
