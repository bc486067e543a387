//! The façade: what the gateway calls.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tessera_cluster::{Clock, Failure, Limits, Ownership, Region, Reply};
use tessera_domain::command::{Ask, Command};
use tessera_domain::ids::MemberId;
use tessera_domain::member::View;
use tessera_domain::programme::UnknownAlias;
use tessera_domain::record::{Alias, Record};
use tessera_domain::{Code, Rejection};
use tessera_storage::{Cells, StoreError};

use crate::Board;
use crate::member::{Answer, MemberBehaviour, Query};
use crate::names::{alias_hash, enrolled_by_alias, member_key};

/// Whom a request is for.
#[derive(Clone, Debug)]
pub enum Who {
    /// By id.
    Member(MemberId),
    /// By alias: kind and value.
    Alias(String, String),
}

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
    cells: Arc<dyn Cells>,
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
        Ok(Self { region, cells, board, clock })
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
        let programmes = self.board.programmes();
        let mut kept = Vec::with_capacity(aliases.len());
        for (place, (kind, value)) in aliases.iter().enumerate() {
            let known = programmes.current().is_some_and(|programme| programme.aliases.contains_key(kind.as_str()));
            if !known {
                let detail = format!("the programme has no alias type {kind:?}; its types are in [aliases]");
                return Err(Miss::No(Rejection::new(Code::UnknownAliasType, format!("/aliases/{place}/type"), &detail)));
            }
            kept.push(alias(kind, value));
        }
        for (place, alias) in kept.iter().enumerate() {
            let mine = Bytes::copy_from_slice(&member.0.to_be_bytes());
            let outcome = self.cells.compare_and_set(alias_key(alias.hash), None, Some(mine.clone())).await.map_err(failure)?;
            if outcome.before.is_some_and(|holder| holder != mine) {
                let text = "another member holds this alias; look it up, or leave it out";
                return Err(Miss::No(Rejection::new(Code::AliasTaken, format!("/aliases/{place}"), text)));
            }
        }
        self.command(member, Command { header, ask: Ask::Enrol { aliases: kept } }, deadline).await
    }

    /// The member that holds an alias now.
    ///
    /// # Errors
    /// `unknown_alias`, or a failure.
    pub async fn look_up(&self, kind: &str, value: &str) -> Result<MemberId, Miss> {
        let found = self.cells.get(alias_key(alias_hash(kind, value))).await.map_err(failure)?;
        let id = found.and_then(|bytes| <[u8; 16]>::try_from(&bytes[..]).ok());
        id.map(|id| MemberId(u128::from_be_bytes(id))).ok_or_else(|| {
            Miss::No(Rejection::new(Code::UnknownAlias, "/member/alias", "no member holds this alias; enrol one with it"))
        })
    }

    /// The member that a purchase is for; an unknown alias enrols one where the programme says so.
    ///
    /// # Errors
    /// As [`Self::look_up`] and [`Self::enrol`].
    pub async fn resolve(&self, who: &Who, deadline: Instant) -> Result<MemberId, Miss> {
        let (kind, value) = match who {
            Who::Member(member) => return Ok(*member),
            Who::Alias(kind, value) => (kind, value),
        };
        let programmes = self.board.programmes();
        let policy = programmes.current().and_then(|programme| programme.aliases.get(kind.as_str()).copied());
        let made = enrolled_by_alias(alias_hash(kind, value));
        match self.look_up(kind, value).await {
            // Reserved by an enrolment like this one. It may have been cut short before its record was
            // written: unless the member is seen to be there, it is enrolled again, which repeats harmlessly.
            Ok(member) if member == made && policy == Some(UnknownAlias::Enrol) && !self.is_awake(member) => {}
            Err(Miss::No(_)) if policy == Some(UnknownAlias::Enrol) => {}
            found => return found,
        }
        self.enrol(made, 0, &[(kind.clone(), value.clone())], deadline).await.map(|done| done.member)
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
    pub async fn quote(&self, member: MemberId, command: Command, deadline: Instant) -> Result<Record, Miss> {
        match self.region.query(member_key(member), Query::Quote(Box::new(command)), deadline).await {
            Ok(Answer::Quote(record)) => record.map_err(Miss::No),
            Ok(Answer::View(_)) => Err(Miss::Failure(Failure::Unavailable("another question was answered".into()))),
            Err(failure) => Err(Miss::Failure(failure)),
        }
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
            Ok(_) => Err(Miss::No(Rejection::new(Code::UnknownMember, "", "there is no such member; enrol it first"))),
            Err(failure) => Err(Miss::Failure(failure)),
        }
    }
}

/// What is kept of an alias: a hash, and the last four characters of the longer ones.
fn alias(kind: &str, value: &str) -> Alias {
    let count = value.chars().count();
    let tail: String = value.chars().skip(count.saturating_sub(4)).collect();
    let tail = if count >= 8 { tail } else { String::new() };
    Alias { kind: kind.into(), hash: alias_hash(kind, value), tail: tail.into() }
}

fn alias_key(hash: u128) -> Bytes {
    let mut key = Vec::with_capacity(22);
    key.extend_from_slice(b"alias/");
    key.extend_from_slice(&hash.to_be_bytes());
    key.into()
}

fn failure(error: StoreError) -> Miss {
    Miss::Failure(match error {
        StoreError::OutcomeUnknown(text) | StoreError::Fatal(text) => Failure::Unknown(text),
        other => Failure::Unavailable(other.to_string()),
    })
}
