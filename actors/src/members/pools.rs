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
const TRIES: usize = 3;

impl Members {
    async fn pooled(&self, member: MemberId, deadline: Instant) -> Result<Pooled, Miss> {
        match self.region.query(member_key(member), Query::Pool, deadline).await {
            Ok(Answer::Pool(Some(pooled))) => Ok(*pooled),
            Ok(_) => Err(unknown_member()),
            Err(failure) => Err(Miss::Failure(failure)),
        }
    }

    /// Those who are in a pool: the founder first. Both the founder and the member must say so.
    ///
    /// # Errors
    /// `unknown_pool`, or a failure.
    pub async fn pool(&self, pool: PoolId, deadline: Instant) -> Result<Vec<MemberId>, Miss> {
        let unknown = || Miss::No(Rejection::new(Code::UnknownPool, "", "there is no such pool any more; found another"));
        let founder = self.pooled(pool.founder, deadline).await.map_err(|miss| if matches!(miss, Miss::No(_)) { unknown() } else { miss })?;
        if founder.of != Some(pool) {
            return Err(unknown());
        }
        let mut members = vec![pool.founder];
        for member in founder.members {
            if self.pooled(member, deadline).await?.of == Some(pool) {
                members.push(member);
            }
        }
        Ok(members)
    }

    /// Lets a member join. First it says so, then the founder; a joining that was cut short is repeated.
    ///
    /// # Errors
    /// `in_pool`, `pool_full`, `unknown_pool`, or a failure.
    pub async fn join_pool(&self, pool: PoolId, member: MemberId, header: u128, deadline: Instant) -> Result<Done, Miss> {
        self.pool(pool, deadline).await?;
        let join = || self.command(member, Command { header, ask: Ask::JoinPool { pool } }, deadline);
        let joined = match join().await {
            Err(Miss::No(no)) if no.code == Code::InPool => {
                // Already in this or another, or in one that is no more, or that never let it in.
                let lives = match self.pooled(member, deadline).await?.of {
                    Some(of) => self.pool(of, deadline).await.is_ok_and(|members| members.contains(&member)),
                    None => false,
                };
                if lives {
                    return Err(Miss::No(no));
                }
                self.command(member, Command { header: 0, ask: Ask::LeavePool }, deadline).await?;
                join().await?
            }
            other => other?,
        };
        if let Err(miss) = self.tell_founder(pool, member, deadline).await {
            if matches!(miss, Miss::No(_)) && !joined.repeat {
                self.command(member, Command { header: 0, ask: Ask::LeavePool }, deadline).await?;
            }
            return Err(miss);
        }
        Ok(joined)
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
        let command = Command { header, ask: Ask::LeavePool };
        let done = match self.repeat(member, command.clone(), deadline).await? {
            Some(done) => done,
            None if self.pooled(member, deadline).await?.of == Some(pool) => self.command(member, command, deadline).await?,
            None => {
                self.pool(pool, deadline).await?;
                return Err(Miss::No(Rejection::new(Code::NotInPool, "/member", "this member is not in this pool")));
            }
        };
        if member != pool.founder {
            match self.tell_founder(pool, member, deadline).await {
                // The pool is no more.
                Ok(()) | Err(Miss::No(_)) => {}
                Err(miss) => return Err(miss),
            }
        }
        Ok(done)
    }

    /// Places a hold on the points of the member's pool, all or none.
    ///
    /// # Errors
    /// `not_in_pool`, `insufficient_points`, a rejection, or a failure.
    pub async fn pool_hold(&self, member: MemberId, header: u128, wallet: u8, asked: Asked, ttl_ms: Option<i64>, deadline: Instant) -> Result<Done, Miss> {
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
                // The member's own part was spent meanwhile.
                Err(Miss::No(no)) if no.code == Code::InsufficientPoints && tries < TRIES => None,
                other => Some(other?),
            };
        };
        if self.gather(member, done.seq, &done.record, deadline).await? {
            return Ok(done);
        }
        let detail = "another member of the pool could not give its part now; ask again under a new key";
        Err(Miss::No(Rejection::new(Code::InsufficientPoints, "/points", detail)))
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
        let available: i64 = seen.iter().flat_map(|(_, wallet)| &wallet.live).map(tessera_domain::wallet::Lot::free).sum();
        let too_few = || Miss::No(Rejection::new(Code::InsufficientPoints, "/points", &format!("{points} points are asked for and the pool has {available}; ask for fewer")));
        let parts = parts(&seen, points).ok_or_else(too_few)?;
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
            let ask = Ask::Lend { to: member, hold, wallet: *wallet, points: *points, pool: pool.pool };
            let answered = self.command(*lender, Command { header: 0, ask }, deadline).await?;
            match decide::loaned(*lender, &answered.record) {
                Some(loan) => loans.push(loan),
                None => complete = false,
            }
        }
        match self.command(member, Command { header: 0, ask: Ask::Gather { hold, complete, loans } }, deadline).await {
            Ok(done) => {
                self.send_home(member, done.seq, &done.record, deadline).await?;
                Ok(complete)
            }
            // Somebody else was faster.
            Err(Miss::No(no)) if no.code == Code::NothingDue => self.gathered(member, hold, pool, deadline).await,
            Err(miss) => Err(miss),
        }
    }

    /// Whether a hold that was gathered before came to be held: each lender remembers what it has answered.
    async fn gathered(&self, member: MemberId, hold: u64, pool: &PoolHold, deadline: Instant) -> Result<bool, Miss> {
        for (lender, points) in &pool.parts {
            let ask = Ask::Lend { to: member, hold, wallet: 0, points: *points, pool: pool.pool };
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
        for (owner, lots) in pooled.home(record) {
            self.send(owner, Command { header: 0, ask: Ask::TakeHome { from: member, seq, lots } }, deadline).await?;
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
        for (hold, _) in &pooled.gathering {
            if let Some(record) = self.record(member, u64::from(*hold)).await? {
                self.gather(member, u64::from(*hold), &record, deadline).await?;
            }
        }
        for (seq, _) in self.pooled(member, deadline).await?.homing {
            if let Some(record) = self.record(member, u64::from(seq)).await? {
                self.send_home(member, u64::from(seq), &record, deadline).await?;
            }
        }
        Ok(())
    }

    /// Spends points of a pool at once: a hold under a key of its own, and its confirmation.
    ///
    /// # Errors
    /// As [`Self::pool_hold`].
    pub async fn pool_redeem(&self, member: MemberId, header: u128, wallet: u8, asked: Asked, deadline: Instant) -> Result<Done, Miss> {
        let of_hold = header_hash("the hold of a redemption", &format!("{header:x}"));
        let held = self.pool_hold(member, of_hold, wallet, asked, None, deadline).await?;
        self.command(member, Command { header, ask: Ask::ConfirmHold { hold: held.seq, points: None } }, deadline).await
    }
}
