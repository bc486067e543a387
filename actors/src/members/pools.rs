//! Pools: who is in one, holds on the points of all, and points that go home.

use std::time::Instant;

use tessera_domain::command::{Ask, Command};
use tessera_domain::decide;
use tessera_domain::ids::{MemberId, PoolId};
use tessera_domain::pool::{Pooled, parts};
use tessera_domain::record::{Asked, Body, PoolHold, Record};
use tessera_domain::wallet::Wallet;
use tessera_domain::{Code, Rejection};

use super::{Done, Members, Miss, unknown_member};
use crate::member::{Answer, Query};
use crate::names::{header_hash, member_key};

/// How often a hold is tried again when others were faster at the points.
const TRIES: u32 = 8;

impl Members {
    async fn pooled(&self, member: MemberId, deadline: Instant) -> Result<Pooled, Miss> {
        match self.region.query(member_key(member), Query::Pool, deadline).await {
            Ok(Answer::Pool(Some(pooled))) => Ok(*pooled),
            // One that goes into another member is in no pool, and nothing of it is under way.
            Ok(Answer::Gone(..)) => Ok(Pooled::default()),
            Ok(_) => Err(unknown_member()),
            Err(failure) => Err(Miss::Failure(failure)),
        }
    }

    /// Those who are in a pool: the founder first. Both the founder and the member must say so.
    ///
    /// # Errors
    /// `unknown_pool`, or a failure.
    pub async fn pool(&self, pool: PoolId, deadline: Instant) -> Result<Vec<MemberId>, Miss> {
        let mut members = vec![pool.founder];
        for member in self.listed(pool, deadline).await? {
            if self.pooled(member, deadline).await?.of == Some(pool) {
                members.push(member);
            }
        }
        Ok(members)
    }

    /// Those whom the founder knows.
    async fn listed(&self, pool: PoolId, deadline: Instant) -> Result<Vec<MemberId>, Miss> {
        let unknown = || Miss::No(Rejection::new(Code::UnknownPool, "", "there is no such pool any more; found another"));
        let founder = self.pooled(pool.founder, deadline).await.map_err(|miss| if matches!(miss, Miss::No(_)) { unknown() } else { miss })?;
        if founder.of == Some(pool) { Ok(founder.members) } else { Err(unknown()) }
    }

    /// Sends a command that needs a member in no pool; one that it is in, and that is no more or never let it in, is left first.
    async fn unless_pooled(&self, member: MemberId, command: Command, deadline: Instant) -> Result<Done, Miss> {
        match self.command(member, command.clone(), deadline).await {
            Err(Miss::No(no)) if no.code == Code::InPool => {
                if self.leave_if_over(member, deadline).await? { self.command(member, command, deadline).await } else { Err(Miss::No(no)) }
            }
            other => other,
        }
    }

    /// Leaves a pool that is no more, or never let the member in; whether that was so.
    pub(super) async fn leave_if_over(&self, member: MemberId, deadline: Instant) -> Result<bool, Miss> {
        let Some(of) = self.pooled(member, deadline).await?.of else { return Ok(false) };
        let lives = match self.listed(of, deadline).await {
            Ok(members) => of.founder == member || members.contains(&member),
            Err(Miss::No(_)) => false,
            Err(miss) => return Err(miss),
        };
        if !lives {
            self.leave(of, member, deadline).await?;
        }
        Ok(!lives)
    }

    /// The member says that it is in a pool no more; nothing if it is not.
    async fn leave(&self, pool: PoolId, member: MemberId, deadline: Instant) -> Result<(), Miss> {
        match self.command(member, Command { header: 0, ask: Ask::LeavePool { pool } }, deadline).await {
            Ok(_) => Ok(()),
            Err(Miss::No(no)) if no.code == Code::NotInPool => Ok(()),
            Err(miss) => Err(miss),
        }
    }

    /// Founds a pool.
    ///
    /// # Errors
    /// `in_pool`, or a failure.
    pub async fn found_pool(&self, founder: MemberId, header: u128, deadline: Instant) -> Result<Done, Miss> {
        let founder = self.survivor(founder, deadline).await?;
        self.unless_pooled(founder, Command { header, ask: Ask::FoundPool { founder } }, deadline).await
    }

    /// Lets a member join. First it says so, then the founder; a joining that was cut short is repeated.
    ///
    /// # Errors
    /// `in_pool`, `pool_full`, `unknown_pool`, or a failure.
    pub async fn join_pool(&self, pool: PoolId, member: MemberId, header: u128, deadline: Instant) -> Result<Done, Miss> {
        let member = self.survivor(member, deadline).await?;
        let command = Command { header, ask: Ask::JoinPool { pool } };
        let joined = match self.repeat(member, command.clone(), deadline).await? {
            Some(joined) => joined,
            None => {
                self.listed(pool, deadline).await?;
                self.unless_pooled(member, command, deadline).await?
            }
        };
        // It may have gone into another one meanwhile.
        let member = self.survivor(member, deadline).await?;
        match self.tell_founder(pool, member, deadline).await {
            Ok(()) => Ok(joined),
            // What was answered before stays answered, whatever has become of the pool.
            Err(Miss::No(_)) if joined.repeat => Ok(joined),
            Err(Miss::No(no)) => {
                self.leave(pool, member, deadline).await?;
                Err(Miss::No(no))
            }
            Err(miss) => Err(miss),
        }
    }

    /// Tells the founder whether a member says that it is in the pool, until that is so: another request may change it meanwhile.
    async fn tell_founder(&self, pool: PoolId, member: MemberId, deadline: Instant) -> Result<(), Miss> {
        let mut joined = self.pooled(member, deadline).await?.of == Some(pool);
        loop {
            match self.command(pool.founder, Command { header: 0, ask: Ask::ChangePool { pool, member, joined } }, deadline).await {
                Ok(_) => {}
                Err(Miss::No(no)) if no.code == Code::NothingDue => {}
                Err(miss) => return Err(miss),
            }
            let now = self.pooled(member, deadline).await?.of == Some(pool);
            if now == joined {
                return Ok(());
            }
            joined = now;
        }
    }

    /// Lets a member leave; when the founder does, the pool is no more. Holds that are open stay.
    ///
    /// # Errors
    /// `not_in_pool`, `unknown_pool`, or a failure.
    pub async fn leave_pool(&self, pool: PoolId, member: MemberId, header: u128, deadline: Instant) -> Result<Done, Miss> {
        let asked = member;
        let member = self.survivor(member, deadline).await?;
        let command = Command { header, ask: Ask::LeavePool { pool } };
        let left = match self.repeat(member, command.clone(), deadline).await? {
            Some(done) => Ok(done),
            None => self.command(member, command, deadline).await,
        };
        if member != pool.founder {
            // Also when it had left before, and the founder was never told.
            match self.tell_founder(pool, member, deadline).await {
                Ok(()) => {}
                // The pool is no more.
                Err(Miss::No(no)) => return left.map_err(|miss| if matches!(miss, Miss::No(_)) { Miss::No(no) } else { miss }),
                Err(miss) => return Err(miss),
            }
            if asked != member {
                // Its leaving may have been cut short before it went into this one.
                self.tell_founder(pool, asked, deadline).await?;
            }
        }
        left
    }

    /// Places a hold on the points of the member's pool, all or none.
    ///
    /// # Errors
    /// `not_in_pool`, `insufficient_points`, a rejection, or a failure.
    pub async fn pool_hold(&self, member: MemberId, header: u128, wallet: u8, asked: Asked, ttl_ms: Option<i64>, deadline: Instant) -> Result<Done, Miss> {
        let member = self.survivor(member, deadline).await?;
        for attempt in 0..TRIES {
            if let Some(done) = self.try_hold(member, key_of(header, attempt), wallet, asked, ttl_ms, deadline).await? {
                return Ok(done);
            }
        }
        Err(busy())
    }

    /// One attempt; `None`: somebody could not give its part, and the request is decided anew under the next key (rule 24: a no is not
    /// remembered). A retry comes by the same attempts.
    async fn try_hold(&self, member: MemberId, header: u128, wallet: u8, asked: Asked, ttl_ms: Option<i64>, deadline: Instant) -> Result<Option<Done>, Miss> {
        let command = |pool| Command { header, ask: Ask::PlaceHold { wallet, asked, ttl_ms, pool: Some(Box::new(pool)) } };
        // A retry finds its own hold, whatever the pool has become.
        let any = PoolHold { pool: PoolId { founder: member, seq: 0 }, parts: Vec::new() };
        let mut placed = self.repeat(member, command(any), deadline).await?;
        let mut tries = 0;
        let done = loop {
            if let Some(done) = placed {
                break done;
            }
            let of = self.pooled(member, deadline).await?.of;
            let pool = of.ok_or_else(|| Miss::No(Rejection::new(Code::NotInPool, "/member", "this member is in no pool; it must join one first")))?;
            let parts = self.parts(member, pool, wallet, asked, deadline).await?;
            tries += 1;
            placed = match self.command(member, command(PoolHold { pool, parts }), deadline).await {
                // The member's own part was spent meanwhile; nothing was written.
                Err(Miss::No(no)) if no.code == Code::InsufficientPoints && tries < TRIES => None,
                other => Some(other?),
            };
        };
        // A retry may find one of a member that has gone into this one.
        Ok(self.gather(done.member, done.seq, &done.record, deadline).await?.then_some(done))
    }

    /// What the others give, in rule 11's order over the lots of all.
    async fn parts(&self, member: MemberId, pool: PoolId, wallet: u8, asked: Asked, deadline: Instant) -> Result<Vec<(MemberId, i64)>, Miss> {
        let members = self.pool(pool, deadline).await?;
        if !members.contains(&member) {
            return Err(Miss::No(Rejection::new(Code::NotInPool, "/member", "the pool's founder does not know this member; it must join again")));
        }
        let mut all: Vec<(MemberId, Wallet)> = Vec::with_capacity(members.len());
        for one in [member].into_iter().chain(members.into_iter().filter(|other| *other != member)) {
            let (wallets, _) = self.wallets(one, None, deadline).await?;
            all.extend(wallets.into_iter().nth(usize::from(wallet)).map(|wallet| (one, wallet)));
        }
        let programmes = self.board.programmes();
        let programme = programmes.current().ok_or_else(unknown_member)?;
        let points = decide::points_asked(programme, wallet, asked).map_err(Miss::No)?;
        let seen: Vec<(MemberId, &Wallet)> = all.iter().map(|(one, wallet)| (*one, wallet)).collect();
        let parts = parts(&seen, points).map_err(|most| {
            Miss::No(Rejection::new(Code::InsufficientPoints, "/points", &format!("{points} points are asked for and the pool can give {most} at once; ask for fewer")))
        })?;
        Ok(parts.into_iter().filter(|(one, part)| *one != member && *part > 0).collect())
    }

    /// Asks the others for their parts of a hold; whether it holds them all in the end. Each step may be repeated by anybody.
    async fn gather(&self, member: MemberId, hold: u64, record: &Record, deadline: Instant) -> Result<bool, Miss> {
        let Body::HoldPlaced { wallet, pool: Some(pool), .. } = &record.body else { return Ok(true) };
        if !decide::gathering(&self.pooled(member, deadline).await?, hold) {
            return self.gathered(member, hold, pool, deadline).await;
        }
        let (mut loans, mut complete) = (Vec::new(), true);
        for (lender, points) in &pool.parts {
            // Without this answer the hold stays as it is: what was asked must not be taken for not given.
            let ask = Ask::Lend { lender: *lender, to: member, hold, wallet: *wallet, points: *points, pool: pool.pool };
            let answered = self.lend(*lender, Command { header: 0, ask }, deadline).await?;
            match answered.and_then(|answered| decide::loaned(*lender, &answered.record)) {
                Some(loan) => loans.push(loan),
                None => complete = false,
            }
        }
        match self.command(member, Command { header: 0, ask: Ask::Gather { hold, complete, loans } }, deadline).await {
            // One that is past its time by now was held, and is over, as any other.
            Ok(_) => Ok(complete),
            // Somebody else was faster.
            Err(Miss::No(no)) if no.code == Code::NothingDue => self.gathered(member, hold, pool, deadline).await,
            Err(miss) => Err(miss),
        }
    }

    /// A lender's answer; `None`: it has gone into another member without one, and lends nothing any more.
    async fn lend(&self, lender: MemberId, command: Command, deadline: Instant) -> Result<Option<Done>, Miss> {
        match self.direct(lender, command.clone(), deadline).await {
            Err(Miss::No(no)) if no.code == Code::MemberMerged => match self.goes_on(lender, deadline).await? {
                Some(_) => self.repeat(lender, command, deadline).await,
                None => self.direct(lender, command, deadline).await.map(Some),
            },
            other => other.map(Some),
        }
    }

    /// Whether a hold that was gathered before came to be held: each lender remembers what it has answered.
    async fn gathered(&self, member: MemberId, hold: u64, pool: &PoolHold, deadline: Instant) -> Result<bool, Miss> {
        for (lender, points) in &pool.parts {
            let ask = Ask::Lend { lender: *lender, to: member, hold, wallet: 0, points: *points, pool: pool.pool };
            let before = self.repeat(*lender, Command { header: 0, ask }, deadline).await?;
            if before.is_none_or(|before| matches!(before.record.body, Body::LendRefused { .. })) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Brings points that a record has sent home to their owners.
    pub(super) async fn send_home(&self, member: MemberId, seq: u64, record: &Record, deadline: Instant) -> Result<(), Miss> {
        let pooled = self.pooled(member, deadline).await?;
        if pooled.homing.iter().all(|(open, _)| u64::from(*open) != seq) {
            return Ok(());
        }
        let mut failed = None;
        for (owner, lots) in pooled.home(record) {
            // One that cannot be reached keeps nobody else from what is theirs.
            failed = self.send(owner, Command { header: 0, ask: Ask::TakeHome { owner, from: member, seq, lots } }, deadline).await.err().or(failed);
        }
        if let Some(miss) = failed {
            return Err(miss);
        }
        match self.send(member, Command { header: 0, ask: Ask::Homed { seq } }, deadline).await {
            Err(Miss::No(no)) if no.code == Code::NothingDue => Ok(()),
            other => other.map(drop),
        }
    }

    /// Brings what was cut off to its end: holds that wait for others, and points on their way home.
    ///
    /// # Errors
    /// A failure; it is asked after again.
    pub async fn finish_pools(&self, member: MemberId, deadline: Instant) -> Result<(), Miss> {
        let pooled = match self.pooled(member, deadline).await {
            Err(Miss::No(_)) => return Ok(()),
            other => other?,
        };
        let mut failed = None;
        for (hold, _) in &pooled.gathering {
            let hold = u64::from(*hold);
            if let Some(record) = self.record(member, hold).await? {
                failed = self.gather(member, hold, &record, deadline).await.err().or(failed);
            }
        }
        for (seq, _) in self.pooled(member, deadline).await?.homing {
            if let Some(record) = self.record(member, u64::from(seq)).await? {
                failed = self.send_home(member, u64::from(seq), &record, deadline).await.err().or(failed);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Spends points of a pool at once: a hold under a key of its own, and its confirmation.
    ///
    /// # Errors
    /// As [`Self::pool_hold`].
    pub async fn pool_redeem(&self, member: MemberId, header: u128, wallet: u8, asked: Asked, deadline: Instant) -> Result<Done, Miss> {
        let member = self.survivor(member, deadline).await?;
        let confirm = |hold| Command { header, ask: Ask::ConfirmHold { hold, points: None } };
        let any = || Some(Box::new(PoolHold { pool: PoolId { founder: member, seq: 0 }, parts: Vec::new() }));
        for attempt in 0..TRIES {
            // A retry finds what it has confirmed, whichever attempt that was.
            let ask = Ask::PlaceHold { wallet, asked, ttl_ms: None, pool: any() };
            let Some(held) = self.repeat(member, Command { header: key_of(header ^ OF_REDEMPTION, attempt), ask }, deadline).await? else { break };
            if let Some(done) = self.repeat(held.member, confirm(held.seq), deadline).await? {
                return Ok(done);
            }
        }
        for attempt in 0..TRIES {
            let Some(held) = self.try_hold(member, key_of(header ^ OF_REDEMPTION, attempt), wallet, asked, None, deadline).await? else { continue };
            match self.command(held.member, confirm(held.seq), deadline).await {
                // Its time ended before it was confirmed: another is placed.
                Err(Miss::No(no)) if no.code == Code::HoldExpired => {}
                Err(Miss::No(no)) => {
                    // The key was used for something else: nobody's points stay held for it.
                    let freed = self.command(held.member, Command { header: 0, ask: Ask::CancelHold { hold: held.seq } }, deadline).await;
                    return if let Err(Miss::Failure(failure)) = freed { Err(Miss::Failure(failure)) } else { Err(Miss::No(no)) };
                }
                other => return other,
            }
        }
        Err(busy())
    }
}

/// Tells the hold of a redemption from the redemption itself.
const OF_REDEMPTION: u128 = 1 << 127;

/// The key of a request's attempt.
fn key_of(header: u128, attempt: u32) -> u128 {
    if attempt == 0 { header } else { header_hash("an attempt at a shared hold", &format!("{header:x} {attempt}")) }
}

fn busy() -> Miss {
    Miss::No(Rejection::new(Code::InsufficientPoints, "/points", "others of the pool spend its points at the same time; ask again"))
}
