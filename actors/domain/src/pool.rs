//! A pool (rule 15): the right of a few members to spend each other's points. It holds none.
//!
//! The founder's journal says who is in it, each member's own which it is in: both must agree, so that a joining that was cut short
//! gives no right. To be spent, points are lent: they leave their owner's lots and come into a hold of the spender, as lots that name
//! the lender. Whatever of them is free again (the hold was released, goods came back) goes home at once. So a pool adds nothing to how
//! points are spent and given back, and no free point of one member stands with another.

use crate::ids::{LotId, MemberId, PoolId};
use crate::record::{Body, Event, Movement, Record};
use crate::time::{DAY_MS, Millis};
use crate::wallet::{Lot, Wallet};

/// Members of one pool, its founder included.
pub const MOST: usize = 8;
/// Lots that one member may lend at once: the spender's record must have room for those of all.
pub const LOTS: usize = 90;
/// Who lent a lot is known for so long after: goods that come back later give its points to the spender.
const KEEP: Millis = 1_600 * DAY_MS;

/// What a member knows of pools.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Pooled {
    /// The pool that it is in.
    pub of: Option<PoolId>,
    /// Of its founder: the others in it.
    pub members: Vec<MemberId>,
    /// Holds that wait for the parts of others: their records, and since when.
    pub gathering: Vec<(u32, Millis)>,
    /// Records of which points are on their way home, and since when.
    pub homing: Vec<(u32, Millis)>,
    /// What others have lent.
    pub loans: Vec<Loan>,
}

/// A lot of another member's points.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Loan {
    pub lot: LotId,
    pub lender: MemberId,
    /// The lender's own lot.
    pub theirs: LotId,
    pub activated_at: Millis,
    pub expires_at: Millis,
    /// Points of it that have not gone home: in a hold, or spent.
    pub left: i64,
    /// When it came.
    pub at: Millis,
}

/// Points on their way home: wallet, the owner's lot, points, its times.
pub type Home = (u8, LotId, i64, Millis, Millis);

impl Pooled {
    /// Whether there is nothing to know.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.of.is_none() && self.gathering.is_empty() && self.homing.is_empty() && self.loans.is_empty()
    }

    /// Folds what a record says of pools in. `seq` is its number.
    pub fn apply(&mut self, seq: u32, record: &Record) {
        match &record.body {
            Body::PoolFounded { founder } => (self.of, self.members) = (Some(PoolId { founder: *founder, seq: seq.into() }), Vec::new()),
            Body::PoolJoined { pool } => self.of = Some(*pool),
            Body::PoolLeft { .. } => (self.of, self.members) = (None, Vec::new()),
            Body::PoolChanged { member, joined: true, .. } => self.members.push(*member),
            Body::PoolChanged { member, joined: false, .. } => self.members.retain(|known| known != member),
            Body::HoldPlaced { pool: Some(pool), .. } if !pool.parts.is_empty() => self.gathering.push((seq, record.at)),
            Body::Gathered { hold, loans, .. } => {
                self.gathering.retain(|(open, _)| u64::from(*open) != *hold);
                let came = record.events.iter().filter_map(|event| if let Event::Points(_, Movement::Lent { lot, points, activated_at, expires_at }) = event { Some((*lot, *points, *activated_at, *expires_at)) } else { None });
                let named = loans.iter().flat_map(|(lender, lots)| lots.iter().map(move |theirs| (*lender, *theirs)));
                self.loans.extend(named.zip(came).map(|((lender, theirs), (lot, left, activated_at, expires_at))| Loan { lot, lender, theirs, activated_at, expires_at, left, at: record.at }));
                self.loans.retain(|loan| record.at - loan.at < KEEP);
            }
            Body::Homed { seq } => {
                self.homing.retain(|(open, _)| u64::from(*open) != *seq);
                if self.homing.is_empty() {
                    // What is home, all of it, cannot come back to be sent again.
                    self.loans.retain(|loan| loan.left > 0);
                }
            }
            _ => {}
        }
        if crate::decide::sends_home(record) {
            self.homing.push((seq, record.at));
        }
        for event in &record.events {
            if let Event::Points(_, Movement::SentHome { lot, points }) = event {
                self.loans.iter_mut().filter(|loan| loan.lot == *lot).for_each(|loan| loan.left -= points);
            }
        }
    }

    /// Who lent a lot, and what of theirs it is.
    #[must_use]
    pub fn loan(&self, lot: LotId) -> Option<&Loan> {
        self.loans.iter().find(|loan| loan.lot == lot)
    }

    /// What a record has sent home, by owner.
    #[must_use]
    pub fn home(&self, record: &Record) -> Vec<(MemberId, Vec<Home>)> {
        let mut all: Vec<(MemberId, Vec<Home>)> = Vec::new();
        for event in &record.events {
            let Event::Points(wallet, Movement::SentHome { lot, points }) = *event else { continue };
            let Some(loan) = self.loan(lot) else { continue };
            let home = (wallet, loan.theirs, points, loan.activated_at, loan.expires_at);
            match all.iter_mut().find(|(owner, _)| *owner == loan.lender) {
                Some((_, lots)) => lots.push(home),
                None => all.push((loan.lender, vec![home])),
            }
        }
        all
    }
}

/// Which part of so many points each member gives, in rule 11's order over all their lots; the first is the spender, whose lots go first
/// where all else is equal.
///
/// # Errors
/// How many they can give together: what they have, or what the others can lend at once.
pub fn parts(wallets: &[(MemberId, &Wallet)], points: i64) -> Result<Vec<(MemberId, i64)>, i64> {
    let of = |(place, (_, wallet)): (usize, &(MemberId, &Wallet))| wallet.live.iter().map(|lot| (lot.order(), place, lot.free())).collect::<Vec<_>>();
    let mut lots: Vec<_> = wallets.iter().enumerate().flat_map(of).collect();
    lots.sort_by_key(|((expires_at, activated_at, id), place, _)| (*expires_at, *activated_at, *place, *id));
    let mut given = vec![(0_i64, 0_usize); wallets.len()];
    let mut left = points;
    for (_, place, free) in lots {
        let (sum, count) = &mut given[place];
        if left == 0 || (place > 0 && *count == LOTS) {
            break;
        }
        let part = left.min(free);
        (*sum, *count, left) = (*sum + part, *count + 1, left - part);
    }
    if left > 0 {
        return Err(points - left);
    }
    Ok(wallets.iter().zip(given).map(|((member, _), (points, _))| (*member, points)).collect())
}

/// The lots that a member lends from, in the order of spending; `None`: they are more than can be lent at once, or hold too little.
#[must_use]
pub fn lent(wallet: &Wallet, points: i64) -> Option<Vec<(Lot, i64)>> {
    let taken = wallet.take(points);
    (taken.len() <= LOTS && taken.iter().map(|(_, part)| part).sum::<i64>() == points).then_some(taken)
}
