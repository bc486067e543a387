//! Aliases come and go: reserved in the index first, held once the member's journal says so.

use std::time::Instant;

use tessera_domain::command::{Ask, Command};
use tessera_domain::ids::MemberId;
use tessera_domain::record::Alias;
use tessera_domain::time::NEVER;
use tessera_domain::{Code, Rejection};

use super::{Done, Members, Miss, alias, failure, unknown_member};
use crate::aliases::Reserved;
use crate::member::{Answer, Query};
use crate::names::alias_hash;

impl Members {
    /// Gives a member an alias.
    ///
    /// # Errors
    /// `alias_taken`, `unknown_alias_type`, `unknown_member`, or a failure.
    pub async fn add_alias(&self, member: MemberId, header: u128, kind: &str, value: &str, deadline: Instant) -> Result<Done, Miss> {
        self.known_type(kind, "/type")?;
        let member = self.survivor(member, deadline).await?;
        let alias = alias(kind, value);
        let ask = || Command { header, ask: Ask::AddAlias { alias: alias.clone() } };
        let fresh = match self.reserve(member, &alias, "/value", deadline).await {
            Ok(fresh) => fresh,
            // It may have moved on since this very request was answered.
            Err(miss) => return self.repeat(member, ask(), deadline).await?.ok_or(miss),
        };
        let done = self.command(member, ask(), deadline).await;
        if fresh && matches!(&done, Err(Miss::No(_)) | Ok(Done { repeat: true, .. })) {
            self.give_back_all(member, &[&alias], deadline).await?;
        } else if done.as_ref().is_ok_and(|done| done.member != member) {
            // It has gone into another one meanwhile.
            let to = self.survivor(member, deadline).await?;
            self.aliases.hand_over(alias.hash, member, to).await.map_err(failure)?;
        }
        done
    }

    /// Takes an alias from a member: first in its journal, then for others to use.
    ///
    /// # Errors
    /// `unknown_alias`, `unknown_member`, or a failure.
    pub async fn remove_alias(&self, member: MemberId, header: u128, kind: &str, value: &str, deadline: Instant) -> Result<Done, Miss> {
        let hash = alias_hash(kind, value);
        let member = self.survivor(member, deadline).await?;
        let done = self.command(member, Command { header, ask: Ask::RemoveAlias { kind: kind.into(), hash } }, deadline).await;
        // Also when the journal says it is gone: an earlier removal may have been cut short here.
        let settled = match &done {
            Ok(done) => !done.repeat || !self.holds(member, hash, deadline).await?,
            Err(Miss::No(no)) => no.code == Code::UnknownAlias,
            Err(Miss::Failure(_)) => false,
        };
        if settled {
            // A member that has gone into this one may still stand there.
            let holder = self.aliases.holder(hash).await.map_err(failure)?.unwrap_or(member);
            if holder == member || self.survivor(holder, deadline).await? == self.survivor(member, deadline).await? {
                self.aliases.end(hash, holder, NEVER).await.map_err(failure)?;
            }
        }
        done
    }

    /// Whether a member holds an alias now, as its journal has it: a repeat may be of a removal before it was added again.
    pub(super) async fn holds(&self, member: MemberId, hash: u128, deadline: Instant) -> Result<bool, Miss> {
        match self.inquire(member, |_| Query::Holds { hash }, deadline).await? {
            (_, Answer::Holds(holds)) => Ok(holds),
            _ => Err(unknown_member()),
        }
    }

    pub(super) fn known_type(&self, kind: &str, field: &str) -> Result<(), Miss> {
        let programmes = self.board.programmes();
        if programmes.current().is_some_and(|programme| programme.aliases.contains_key(kind)) {
            return Ok(());
        }
        let detail = format!("the programme has no alias type {kind:?}; its types are in [aliases]");
        Err(Miss::No(Rejection::new(Code::UnknownAliasType, field, &detail)))
    }

    /// Reserves an alias for a member; answers whether it was free.
    pub(super) async fn reserve(&self, member: MemberId, alias: &Alias, field: &str, deadline: Instant) -> Result<bool, Miss> {
        let taken = match self.aliases.reserve(alias.hash, member).await.map_err(failure)? {
            Reserved::Fresh => return Ok(true),
            Reserved::Mine => return Ok(false),
            Reserved::Taken => self.aliases.holder(alias.hash).await.map_err(failure)?,
        };
        match taken {
            // One that has gone into this member reserved it, and was cut short.
            Some(holder) if self.survivor(holder, deadline).await? == member => {
                self.aliases.hand_over(alias.hash, holder, member).await.map_err(failure)?;
                Ok(false)
            }
            _ => Err(Miss::No(Rejection::new(Code::AliasTaken, field, "another member holds this alias; look it up, or leave it out"))),
        }
    }

    /// Gives back what a request reserved and did not need: it was refused, or had been answered before and the alias
    /// was taken away since. What the member's journal says it holds stays.
    pub(super) async fn give_back_all(&self, member: MemberId, reserved: &[&Alias], deadline: Instant) -> Result<(), Miss> {
        for alias in reserved {
            if !self.holds(member, alias.hash, deadline).await? {
                self.aliases.give_back(alias.hash, member).await.map_err(failure)?;
            }
        }
        Ok(())
    }
}
