//! The façade: what the gateway calls.

use std::sync::Arc;
use std::time::Instant;

use tessera_cluster::{Clock, Failure, Limits, Ownership, Region, Reply, Subscription};
use tessera_domain::command::{Ask, Command};
use tessera_domain::decide::{self, Context};
use tessera_domain::goals::Progress;
use tessera_domain::ids::MemberId;
use tessera_domain::member::View;
use tessera_domain::programme::UnknownAlias;
use tessera_domain::record::{Alias, Body, HoldEnd, Record};
use tessera_domain::time::Millis;
use tessera_domain::wallet::Wallet;
use tessera_domain::{Code, Rejection};
use tessera_storage::{Cells, StoreError};

use crate::Board;
use crate::aliases::{Aliases, Reserved};
use crate::member::{self, Answer, MemberBehaviour, Query};
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

/// How a gift stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GiftState {
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
}

impl Members {
    /// Starts the members' region.
    ///
    /// # Errors
    /// A sentence when an actor cannot be started.
    pub async fn start(board: Arc<Board>, clock: Clock, ownership: Ownership, cells: Arc<dyn Cells>, limits: Limits, skip_dedupe: bool) -> Result<Self, String> {
        let behaviour = Arc::new(MemberBehaviour { board: board.clone(), clock: clock.clone(), skip_dedupe });
        let region = Region::start(behaviour, ownership, limits).await?;
        Ok(Self { region, aliases: Aliases::new(cells, clock.clone()), board, clock })
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
            match self.reserve(member, alias, &format!("/aliases/{place}")).await {
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
                    if self.view(member, deadline).await.is_err() || self.holds(member, kind, hash, deadline).await? {
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
    pub fn quote_new(&self, who: &Who, command: &Command) -> Result<Record, Miss> {
        let Who::Alias(kind, value) = who else { return Err(unknown_member()) };
        let programmes = self.board.programmes();
        let context = Context { now: self.clock.now(), programmes: &programmes };
        let record = decide::try_new(vec![alias(kind, value)], command, &context).map_err(Miss::No)?;
        // Nor may it be enrolled by a record that is then too large.
        member::encode(&member_key(MemberId(0)), 2, &record).map_err(Miss::No)?;
        Ok(record)
    }

    /// Enrols the member of an unknown alias, unless its first `command` would be refused: bad input changes nothing.
    ///
    /// # Errors
    /// The rejection of the command; as [`Self::enrol`].
    pub async fn enrol_for(&self, member: MemberId, who: &Who, command: &Command, deadline: Instant) -> Result<(), Miss> {
        let Who::Alias(kind, value) = who else { return Ok(()) };
        if self.view(member, deadline).await.is_err() {
            self.quote_new(who, command)?;
        }
        self.enrol(member, 0, &[(kind.clone(), value.clone())], deadline).await.map(drop)
    }

    /// Whether a member is awake and enrolled.
    fn is_awake(&self, member: MemberId) -> bool {
        self.region.view(&member_key(member)).is_some_and(|view| view.is_some())
    }

    /// Sends a command.
    ///
    /// # Errors
    /// The rejection or the failure.
    pub async fn command(&self, member: MemberId, command: Command, deadline: Instant) -> Result<Done, Miss> {
        match self.region.ask(member_key(member), command, deadline).await {
            Reply::Done { seq, record, repeat } => Ok(Done { member, seq, record, repeat }),
            Reply::Refused(rejection) => Err(Miss::No(rejection)),
            Reply::Failed(failure) => Err(Miss::Failure(failure)),
        }
    }

    /// What a command would do.
    ///
    /// # Errors
    /// The rejection that it would meet, or a failure.
    pub async fn quote(&self, member: MemberId, command: Command, deadline: Instant) -> Result<Arc<Record>, Miss> {
        let command = Arc::new(command);
        match self.query(member, |records| Query::Quote(command.clone(), records), deadline).await? {
            Answer::Quote(record) => record.map_err(Miss::No),
            _ => Err(Miss::Failure(Failure::Unavailable("another question was answered".into()))),
        }
    }

    /// What was answered to a command before; nothing is done.
    ///
    /// # Errors
    /// A failure.
    pub async fn repeat(&self, member: MemberId, command: Command, deadline: Instant) -> Result<Option<Done>, Miss> {
        let command = Arc::new(command);
        match self.query(member, |records| Query::Repeat(command.clone(), records), deadline).await? {
            Answer::Repeat(Some(seq)) => Ok(self.record(member, seq).await?.map(|record| Done { member, seq, record, repeat: true })),
            _ => Ok(None),
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
        match self.region.query(member_key(member), Query::Wallets { hold }, deadline).await {
            Ok(Answer::Wallets(Some(wallets), ended)) => Ok((wallets, ended)),
            Ok(_) => Err(unknown_member()),
            Err(failure) => Err(Miss::Failure(failure)),
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

    /// Gives points to another member: a saga (rule 15). What is cut off on the way is finished by a reminder.
    ///
    /// # Errors
    /// `unknown_member` when there is no such taker, the rejection of the giver, or a failure.
    pub async fn give(&self, from: MemberId, header: u128, wallet: u8, points: i64, to: MemberId, deadline: Instant) -> Result<(Done, GiftState), Miss> {
        if from == to {
            return Err(Miss::No(Rejection::new(Code::Invalid, "/recipient", "a gift is to another member")));
        }
        // It must be able to answer: a member that exists is never gone.
        if let Err(Miss::No(no)) = self.view(to, deadline).await {
            return Err(Miss::No(Rejection { field: "/recipient".into(), ..no }));
        }
        let done = self.command(from, Command { header, ask: Ask::Give { wallet, points, to } }, deadline).await?;
        let state = match self.gift(from, done.seq, deadline).await? {
            GiftState::Pending => self.finish_gift(from, done.seq, &done.record, deadline).await.unwrap_or(GiftState::Pending),
            settled => settled,
        };
        Ok((done, state))
    }

    /// How a gift stands, by its giver's record.
    ///
    /// # Errors
    /// A failure.
    pub async fn gift(&self, from: MemberId, seq: u64, deadline: Instant) -> Result<GiftState, Miss> {
        match self.region.query(member_key(from), Query::Gift(Some(seq)), deadline).await {
            Ok(Answer::Gifts(pending, _)) if pending.contains(&seq) => Ok(GiftState::Pending),
            Ok(Answer::Gifts(_, taken)) => Ok(if taken { GiftState::Done } else { GiftState::Undone }),
            Ok(_) => Err(unknown_member()),
            Err(failure) => Err(Miss::Failure(failure)),
        }
    }

    /// Brings what a member has given and nobody has answered to its end.
    ///
    /// # Errors
    /// A failure; it is asked after again.
    pub async fn finish_gifts(&self, from: MemberId, deadline: Instant) -> Result<(), Miss> {
        let Ok(Answer::Gifts(pending, _)) = self.region.query(member_key(from), Query::Gift(None), deadline).await else { return Ok(()) };
        for seq in pending {
            if let Some(record) = self.record(from, seq).await? {
                self.finish_gift(from, seq, &record, deadline).await?;
            }
        }
        Ok(())
    }

    /// The taker's answer, then the giver's last step. Each may be repeated by anybody: it takes effect once.
    async fn finish_gift(&self, from: MemberId, seq: u64, record: &Record, deadline: Instant) -> Result<GiftState, Miss> {
        let (Body::Gave { to, .. }, Some(gift)) = (&record.body, decide::gift(from, seq, record)) else { return Ok(GiftState::Done) };
        let answered = self.command(*to, Command { header: 0, ask: Ask::Take(Box::new(gift)) }, deadline).await?;
        let taken = matches!(answered.record.body, Body::Took { .. });
        match self.command(from, Command { header: 0, ask: Ask::SettleGift { gift: seq, taken } }, deadline).await {
            Ok(_) => {}
            // Somebody else was faster.
            Err(Miss::No(no)) if no.code == Code::NothingDue => {}
            Err(miss) => return Err(miss),
        }
        Ok(if taken { GiftState::Done } else { GiftState::Undone })
    }

    /// How far a member has come with quests and achievements.
    ///
    /// # Errors
    /// `unknown_member`, or a failure.
    pub async fn goals(&self, member: MemberId, deadline: Instant) -> Result<Vec<Progress>, Miss> {
        match self.region.query(member_key(member), Query::Goals, deadline).await {
            Ok(Answer::Goals(Some(goals))) => Ok(goals),
            Ok(_) => Err(unknown_member()),
            Err(failure) => Err(Miss::Failure(failure)),
        }
    }

    /// Records `from ..= to` of a member that exist, oldest first.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn history(&self, member: MemberId, from: u64, to: u64) -> Result<Vec<(u64, Arc<Record>)>, Miss> {
        self.region.history(member_key(member), from, to).await.map_err(Miss::Failure)
    }

    /// One record.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn record(&self, member: MemberId, seq: u64) -> Result<Option<Arc<Record>>, Miss> {
        Ok(self.history(member, seq, seq).await?.pop().map(|(_, record)| record))
    }

    /// Follows a member live.
    ///
    /// # Errors
    /// `unknown_member`, or a failure.
    pub async fn follow(&self, member: MemberId, deadline: Instant) -> Result<Followed, Miss> {
        self.view(member, deadline).await?;
        self.region.subscribe(member_key(member), deadline).await.map_err(Miss::Failure)
    }

    /// Gives a member an alias.
    ///
    /// # Errors
    /// `alias_taken`, `unknown_alias_type`, `unknown_member`, or a failure.
    pub async fn add_alias(&self, member: MemberId, header: u128, kind: &str, value: &str, deadline: Instant) -> Result<Done, Miss> {
        self.known_type(kind, "/type")?;
        let alias = alias(kind, value);
        let ask = || Command { header, ask: Ask::AddAlias { alias: alias.clone() } };
        let fresh = match self.reserve(member, &alias, "/value").await {
            Ok(fresh) => fresh,
            // It may have moved on since this very request was answered.
            Err(miss) => return self.repeat(member, ask(), deadline).await?.ok_or(miss),
        };
        let done = self.command(member, ask(), deadline).await;
        if fresh && matches!(&done, Err(Miss::No(_)) | Ok(Done { repeat: true, .. })) {
            self.give_back_all(member, &[&alias], deadline).await?;
        }
        done
    }

    /// Takes an alias from a member: first in its journal, then for others to use.
    ///
    /// # Errors
    /// `unknown_alias`, `unknown_member`, or a failure.
    pub async fn remove_alias(&self, member: MemberId, header: u128, kind: &str, value: &str, deadline: Instant) -> Result<Done, Miss> {
        let hash = alias_hash(kind, value);
        let done = self.command(member, Command { header, ask: Ask::RemoveAlias { kind: kind.into(), hash } }, deadline).await;
        // Also when the journal says it is gone: an earlier removal may have been cut short here.
        let settled = match &done {
            Ok(done) => !done.repeat || !self.holds(member, kind, hash, deadline).await?,
            Err(Miss::No(no)) => no.code == Code::UnknownAlias,
            Err(Miss::Failure(_)) => false,
        };
        if settled {
            self.aliases.end(hash, member).await.map_err(failure)?;
        }
        done
    }

    /// Whether a member holds an alias now, as its journal has it: a repeat may be of a removal before it was added again.
    async fn holds(&self, member: MemberId, kind: &str, hash: u128, deadline: Instant) -> Result<bool, Miss> {
        match self.region.query(member_key(member), Query::Holds { kind: kind.into(), hash }, deadline).await {
            Ok(Answer::Holds(holds)) => Ok(holds),
            Ok(_) => Err(unknown_member()),
            Err(failure) => Err(Miss::Failure(failure)),
        }
    }

    fn known_type(&self, kind: &str, field: &str) -> Result<(), Miss> {
        let programmes = self.board.programmes();
        if programmes.current().is_some_and(|programme| programme.aliases.contains_key(kind)) {
            return Ok(());
        }
        let detail = format!("the programme has no alias type {kind:?}; its types are in [aliases]");
        Err(Miss::No(Rejection::new(Code::UnknownAliasType, field, &detail)))
    }

    /// Reserves an alias for a member; answers whether it was free.
    async fn reserve(&self, member: MemberId, alias: &Alias, field: &str) -> Result<bool, Miss> {
        match self.aliases.reserve(alias.hash, member).await.map_err(failure)? {
            Reserved::Fresh => Ok(true),
            Reserved::Mine => Ok(false),
            Reserved::Taken => Err(Miss::No(Rejection::new(Code::AliasTaken, field, "another member holds this alias; look it up, or leave it out"))),
        }
    }

    /// Gives back what a request reserved and did not need: it was refused, or had been answered before and the alias
    /// was taken away since. What the member's journal says it holds stays.
    async fn give_back_all(&self, member: MemberId, reserved: &[&Alias], deadline: Instant) -> Result<(), Miss> {
        for alias in reserved {
            if !self.holds(member, &alias.kind, alias.hash, deadline).await? {
                self.aliases.give_back(alias.hash, member).await.map_err(failure)?;
            }
        }
        Ok(())
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
        match self.region.query(key, Query::View, deadline).await {
            Ok(Answer::View(Some(view))) => Ok(view),
            Ok(_) => Err(unknown_member()),
            Err(failure) => Err(Miss::Failure(failure)),
        }
    }
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
