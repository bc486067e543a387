//! Gifts from member to member.

use std::time::Instant;

use tessera_domain::command::{Ask, Command};
use tessera_domain::decide;
use tessera_domain::ids::MemberId;
use tessera_domain::merge::Owner;
use tessera_domain::record::{Body, Record};
use tessera_domain::{Code, Rejection};

use super::{Done, SagaState, Members, Miss, unknown_member};
use crate::member::{Answer, Query};
use crate::names::member_key;

impl Members {
    /// Gives points to another member: a saga (rule 15). What is cut off on the way is finished by a reminder.
    ///
    /// # Errors
    /// `unknown_member` when there is no such taker, the rejection of the giver, or a failure.
    pub async fn give(&self, from: MemberId, header: u128, wallet: u8, points: i64, to: MemberId, deadline: Instant) -> Result<(Done, SagaState), Miss> {
        let command = |to| Command { header, ask: Ask::Give { wallet, points, to } };
        let owner = self.owner(to, deadline).await?;
        let mine = self.survivor(from, deadline).await? == owner.member;
        let done = if mine {
            Err(Miss::No(Rejection::new(Code::Invalid, "/recipient", "a gift is to another member")))
        } else {
            // It must be able to answer: a member that exists is never gone. One that cannot be asked now may not exist.
            self.view(to, deadline).await.map_err(|miss| if let Miss::No(no) = miss { Miss::No(Rejection { field: "/recipient".into(), ..no }) } else { miss })?;
            self.command(from, command(owner.member), deadline).await
        };
        let done = match done {
            // It may have been given before the two became one, or to another that has gone into this recipient since.
            Err(Miss::No(no)) if mine || no.code == Code::KeyConflict => self.given_before(from, &owner, command, deadline).await?.ok_or(Miss::No(no))?,
            other => other?,
        };
        let from = done.member;
        let state = match self.gift(from, done.seq, deadline).await? {
            SagaState::Pending => self.finish_gift(from, done.seq, &done.record, deadline).await.unwrap_or(SagaState::Pending),
            settled => settled,
        };
        Ok((done, state))
    }

    async fn given_before(&self, from: MemberId, to: &Owner, command: impl Fn(MemberId) -> Command, deadline: Instant) -> Result<Option<Done>, Miss> {
        for one in [&to.member].into_iter().chain(&to.sources) {
            if let Some(done) = self.repeat(from, command(*one), deadline).await? {
                return Ok(Some(done));
            }
        }
        Ok(None)
    }

    /// How a gift stands, by its giver's record.
    ///
    /// # Errors
    /// A failure.
    pub async fn gift(&self, from: MemberId, seq: u64, deadline: Instant) -> Result<SagaState, Miss> {
        match self.inquire(from, |path| Query::Gift(Some(path.number(seq))), deadline).await? {
            (of, Answer::Gifts(pending, _)) if of == from && pending.contains(&seq) => Ok(SagaState::Pending),
            (_, Answer::Gifts(_, taken)) => Ok(if taken { SagaState::Done } else { SagaState::Undone }),
            _ => Err(unknown_member()),
        }
    }

    /// Brings what a member has given and nobody has answered to its end.
    ///
    /// # Errors
    /// A failure; it is asked after again.
    pub async fn finish_gifts(&self, from: MemberId, deadline: Instant) -> Result<(), Miss> {
        let Answer::Gifts(pending, _) = self.region.query(member_key(from), Query::Gift(None), deadline).await.map_err(Miss::Failure)? else { return Ok(()) };
        for seq in pending {
            if let Some(record) = self.record(from, seq).await? {
                self.finish_gift(from, seq, &record, deadline).await?;
            }
        }
        Ok(())
    }

    /// The taker's answer, then the giver's last step. Each may be repeated by anybody: it takes effect once.
    async fn finish_gift(&self, from: MemberId, seq: u64, record: &Record, deadline: Instant) -> Result<SagaState, Miss> {
        let (Body::Gave { to, .. }, Some(gift)) = (&record.body, decide::gift(from, seq, record)) else { return Ok(SagaState::Done) };
        let answered = self.command(*to, Command { header: 0, ask: Ask::Take(Box::new(gift)) }, deadline).await?;
        let taken = matches!(answered.record.body, Body::Took { .. });
        match self.command(from, Command { header: 0, ask: Ask::SettleGift { gift: seq, taken } }, deadline).await {
            Ok(_) => {}
            // Somebody else was faster.
            Err(Miss::No(no)) if no.code == Code::NothingDue => {}
            Err(miss) => return Err(miss),
        }
        Ok(if taken { SagaState::Done } else { SagaState::Undone })
    }
}
