//! One file per command. Each fills a [`Draft`]: the state as it is, and the events so far.

mod adjust;
mod allowance;
mod alias;
mod campaigns;
mod clawback;
mod deliver;
mod draft;
mod enrol;
mod gift;
mod goals;
mod hold;
mod issue;
mod merge;
mod pool;
mod purchase;
mod redeem;
mod repeat;
mod returns;
mod reverse;
mod tier;
mod transfer;
mod update;

use std::sync::Arc;

use smallvec::SmallVec;

pub use crate::decide::draft::Draft;
pub use crate::decide::gift::gift;
pub use crate::decide::pool::{gathering, loaned, points_asked, sends_home};
pub use crate::decide::purchase::AHEAD;
use crate::campaigns::{Budgets, Endless};
use crate::command::{Ask, Command, SaleName};
use crate::keys::KeyKind;
use crate::member::Member;
use crate::programme::Programmes;
use crate::record::{Body, Figures, Record};
use crate::time::Millis;
use crate::{Code, Rejection};

/// What comes to a decision from outside.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The node's clock.
    pub now: Millis,
    /// Every version this node has heard of.
    pub programmes: &'a Programmes,
    /// What is left of the budgets of campaigns.
    pub budgets: &'a dyn Budgets,
}

impl<'a> Context<'a> {
    /// Where no budget has an end.
    #[must_use]
    pub fn new(now: Millis, programmes: &'a Programmes) -> Self {
        Self { now, programmes, budgets: &Endless }
    }
}

/// What a command comes to.
#[derive(Debug)]
pub enum Decision {
    /// Append this.
    Commit(Arc<Record>),
    /// `records[i]` answered it before.
    Repeat(usize),
    /// No.
    Refuse(Rejection),
}

/// Records that [`decide`] must see: those that may have answered this request before, and those that
/// it names.
#[must_use]
pub fn needs(member: &Member, command: &Command) -> SmallVec<[u64; 2]> {
    let mut seqs: SmallVec<[u64; 2]> = SmallVec::new();
    let mut add = |seq: u64| {
        if !seqs.contains(&seq) {
            seqs.push(seq);
        }
    };
    let exists = |seq: u64| member.knows(seq);
    if command.header != 0 {
        // The low bits of a hash are a fingerprint of it.
        #[expect(clippy::cast_possible_truncation)]
        member.headers.find(command.header as u64).for_each(&mut add);
    }
    match &command.ask {
        Ask::Purchase(purchase) => {
            let fingerprints = purchase.keys.fingerprints(KeyKind::Purchase);
            fingerprints.iter().for_each(|fingerprint| member.keys.find(*fingerprint).for_each(&mut add));
            // A return that waits for it.
            member.awaited.iter().filter(|(of, _)| fingerprints.contains(of)).for_each(|(_, seq)| add(u64::from(*seq)));
            // A hold may be over by now, and is then taken again; a line that comes back names its sale.
            purchase.basket.tenders.iter().filter_map(|tender| tender.hold).filter(|seq| exists(*seq)).for_each(&mut add);
            purchase.basket.tenders.iter().filter_map(|tender| tender.offline).map(|used| used.allowance).filter(|seq| exists(*seq)).for_each(&mut add);
            for sale in purchase.basket.lines.iter().filter_map(|line| line.gives_back()).map(|returns| returns.sale).filter(|seq| exists(*seq)) {
                add(sale);
                member.last_return(sale).into_iter().for_each(&mut add);
            }
        }
        Ask::Return(asked) => {
            for fingerprint in asked.keys.fingerprints(asked.kind) {
                member.keys.find(fingerprint).for_each(&mut add);
            }
            let named: SmallVec<[u64; 2]> = match &asked.sale {
                SaleName::Seq(seq) => [*seq].into_iter().filter(|seq| exists(*seq)).collect(),
                SaleName::Keys(keys) => keys.fingerprints(KeyKind::Purchase).into_iter().flat_map(|fingerprint| member.keys.find(fingerprint).collect::<Vec<_>>()).collect(),
            };
            for sale in named {
                add(sale);
                member.last_return(sale).into_iter().for_each(&mut add);
            }
        }
        Ask::BlindReturn(asked) => {
            for fingerprint in asked.keys.fingerprints(KeyKind::Return) {
                member.keys.find(fingerprint).for_each(&mut add);
            }
        }
        Ask::Deliver { sale: seq, .. } | Ask::Reverse { redemption: seq } | Ask::SettleGift { gift: seq, .. } if exists(*seq) => add(*seq),
        Ask::Redeem { offline: Some(offline), .. } => {
            member.keys.find(crate::keys::allowed(offline.used)).for_each(&mut add);
            Some(offline.used.allowance).filter(|seq| exists(*seq)).into_iter().for_each(&mut add);
        }
        Ask::Lend { lender, to, hold, .. } => member.keys.find(crate::keys::lent(*lender, *to, *hold)).for_each(&mut add),
        Ask::TakeHome { owner, from, seq, .. } => member.keys.find(crate::keys::home(*owner, *from, *seq)).for_each(&mut add),
        Ask::Gather { hold, .. } if exists(*hold) => add(*hold),
        Ask::Take(gift) => member.keys.find(crate::keys::gift(gift.from, gift.seq)).for_each(&mut add),
        // A hold that is over: how it ended is asked of its record and of the one that ended it.
        Ask::ConfirmHold { hold, .. } | Ask::CancelHold { hold } if exists(*hold) => add(*hold),
        Ask::Merge { .. } => member.going().into_iter().for_each(|going| add(u64::from(going.seq))),
        Ask::Absorb { from, merge, part, .. } => {
            let known = member.merges.as_ref().and_then(|merges| merges.taken(*from, *merge, *part).or(merges.refusal(*from, *merge)));
            known.into_iter().for_each(&mut add);
        }
        Ask::RefuseMerge { from, merge } => {
            let known = member.merges.as_ref().and_then(|merges| merges.taken(*from, *merge, 0).or(merges.refusal(*from, *merge)));
            known.into_iter().for_each(&mut add);
        }
        Ask::Enrol { .. } if member.exists() => add(1),
        Ask::Enrol { .. }
        | Ask::PlaceHold { .. }
        | Ask::ConfirmHold { .. }
        | Ask::CancelHold { .. }
        | Ask::Redeem { .. }
        | Ask::Allow(_)
        | Ask::Adjust { .. }
        | Ask::Transfer { .. }
        | Ask::Deliver { .. }
        | Ask::Reverse { .. }
        | Ask::Give { .. }
        | Ask::SettleGift { .. }
        | Ask::FoundPool { .. }
        | Ask::JoinPool { .. }
        | Ask::LeavePool { .. }
        | Ask::ChangePool { .. }
        | Ask::Gather { .. }
        | Ask::Homed { .. }
        | Ask::SettleMerge { .. }
        | Ask::AddAlias { .. }
        | Ask::RemoveAlias { .. }
        | Ask::GrantTier { .. }
        | Ask::Tick
        | Ask::Update(_) => {}
    }
    seqs
}

/// Decides. `records` are those that [`needs`] named, with their numbers.
#[must_use]
pub fn decide(member: &Member, command: &Command, context: &Context<'_>, records: &[(u64, Arc<Record>)]) -> Decision {
    match repeat::find(command, context.now, records) {
        Some(Ok(index)) => return Decision::Repeat(index),
        Some(Err(rejection)) => return Decision::Refuse(rejection),
        None => {}
    }
    match draft(member, command, context, records) {
        Ok(record) => Decision::Commit(Arc::new(record)),
        Err(rejection) => Decision::Refuse(rejection),
    }
}

/// The record that [`decide`] would commit; a quote calls it and writes nothing (rule 10).
///
/// # Errors
/// The rejection that the command would meet.
pub fn draft(member: &Member, command: &Command, context: &Context<'_>, records: &[(u64, Arc<Record>)]) -> Result<Record, Rejection> {
    if !member.exists() && !matches!(command.ask, Ask::Enrol { .. }) {
        return Err(Rejection::new(Code::UnknownMember, "/member", "there is no such member; enrol it first"));
    }
    let mut draft = Draft::new(member, context)?;
    if let Some(going) = member.going() {
        return merge::frozen(draft, going, command);
    }
    if member.merges.as_ref().is_some_and(|merges| merges.coming().is_some()) && !matches!(command.ask, Ask::Absorb { .. } | Ask::RefuseMerge { .. }) {
        return Err(merge::busy());
    }
    match body(&mut draft, command, records) {
        Ok(body) => Ok(draft.record(command.header, body)),
        Err(no) => {
            draft.taken.iter().for_each(|(campaign, points)| context.budgets.give_back(*campaign, *points));
            Err(no)
        }
    }
}

/// What was asked for, with everything that it leads to in the draft.
fn body(draft: &mut Draft<'_>, command: &Command, records: &[(u64, Arc<Record>)]) -> Result<Body, Rejection> {
    // Between the parts of another's state nothing comes about by time: not all of it is here.
    if draft.member.merges.as_ref().is_none_or(|merges| merges.coming().is_none()) {
        draft.post_due();
    }
    let body = match &command.ask {
        Ask::Enrol { aliases } => enrol::enrol(draft, aliases)?,
        Ask::Purchase(purchase) => purchase::purchase(draft, purchase, records)?,
        Ask::PlaceHold { wallet, asked, ttl_ms, pool } => hold::place(draft, *wallet, *asked, *ttl_ms, pool.as_deref())?,
        Ask::ConfirmHold { hold, points } => hold::confirm(draft, *hold, *points, records)?,
        Ask::CancelHold { hold } => hold::cancel(draft, *hold, records)?,
        Ask::Redeem { wallet, asked, offline: None } => redeem::redeem(draft, *wallet, *asked)?,
        Ask::Redeem { wallet, asked, offline: Some(offline) } => allowance::redeem(draft, *wallet, *asked, offline, records)?,
        Ask::Allow(asked) => allowance::allow(draft, asked)?,
        Ask::Adjust { wallet, points, reason, allow_debt, write_off } => adjust::adjust(draft, *wallet, *points, reason, *allow_debt, *write_off)?,
        Ask::Return(asked) => returns::give_back(draft, asked, records)?,
        Ask::BlindReturn(asked) => returns::blind(draft, asked)?,
        Ask::Deliver { sale, lines } => deliver::deliver(draft, *sale, lines, records)?,
        Ask::Reverse { redemption } => reverse::reverse(draft, *redemption, records)?,
        Ask::Transfer { from, to, points } => transfer::transfer(draft, *from, *to, *points)?,
        Ask::Give { wallet, points, to } => gift::give(draft, *wallet, *points, *to)?,
        Ask::Take(gift) => gift::take(draft, gift),
        Ask::SettleGift { gift, taken } => gift::settle(draft, *gift, *taken, records)?,
        Ask::FoundPool { founder } => pool::found(draft, *founder)?,
        Ask::JoinPool { pool } => pool::join(draft, *pool)?,
        Ask::LeavePool { pool } => pool::leave(draft, *pool)?,
        Ask::ChangePool { pool, member, joined } => pool::change(draft, *pool, *member, *joined)?,
        Ask::Lend { lender, to, hold, wallet, points, pool } => pool::lend(draft, *lender, (*to, *hold), *wallet, *points, *pool),
        Ask::Gather { hold, complete, loans } => pool::gather(draft, *hold, *complete, loans, records)?,
        Ask::TakeHome { owner, from, seq, lots } => pool::take_home(draft, *owner, (*from, *seq), lots),
        Ask::Homed { seq } => pool::homed(draft, *seq)?,
        Ask::Merge { into } => merge::begin(draft, *into)?,
        Ask::RefuseMerge { from, merge } => Body::AbsorbRefused { from: *from, merge: *merge },
        Ask::Absorb { from, merge, part, cut } => merge::absorb(draft, *from, *merge, *part, cut)?,
        Ask::SettleMerge { .. } => return Err(merge::settled()),
        Ask::AddAlias { alias } => alias::add(draft, alias)?,
        Ask::RemoveAlias { kind, hash } => alias::remove(draft, kind, *hash)?,
        Ask::Update(change) => update::update(change)?,
        Ask::GrantTier { grant, reason } => tier::grant(draft, *grant, reason)?,
        Ask::Tick if draft.is_empty() => return Err(merge::settled()),
        Ask::Tick => Body::Elapsed,
    };
    goals::settle(draft)?;
    let too_many = |Figures { available, pending, held, debt }| [available, pending, held, debt].into_iter().any(|points| points > MOST);
    if draft.numbers().any(|wallet| too_many(draft.figures(wallet))) {
        return Err(Rejection::new(Code::Overflow, "", "the member's balance would grow beyond what can be counted"));
    }
    Ok(body)
}

/// Most points of one figure, so far below what an `i64` holds that no record's own sums overflow.
const MOST: i64 = 100 * crate::earn::MAX_POINTS;

/// The record that a command would commit if its member were enrolled with it: asked before an unknown card enrols
/// anybody, so that a refused purchase changes nothing.
///
/// # Errors
/// The rejection.
pub fn try_new(aliases: Vec<crate::record::Alias>, command: &Command, context: &Context<'_>) -> Result<Record, Rejection> {
    let mut member = Member::default();
    let enrolled = draft(&member, &Command { header: 0, ask: Ask::Enrol { aliases } }, context, &[])?;
    member.apply(&enrolled);
    draft(&member, command, context, &[])
}

/// The wallets with everything that time has brought about by `context.now`, not yet posted.
#[must_use]
pub fn wallets(member: &Member, context: &Context<'_>) -> Option<Vec<crate::wallet::Wallet>> {
    let mut draft = Draft::new(member, context).ok()?;
    draft.post_due();
    Some(draft.numbers().map(|wallet| draft.wallet(wallet).clone()).collect())
}

/// Figures by wallet, and the tier, with everything that time has brought about by `context.now`, not yet posted.
#[must_use]
pub fn due(member: &Member, context: &Context<'_>) -> Option<(SmallVec<[Figures; 1]>, u8)> {
    let mut draft = Draft::new(member, context).ok()?;
    draft.post_due();
    Some(draft.outcome())
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_campaigns;
#[cfg(test)]
mod tests_conditions;
#[cfg(test)]
mod tests_goals;
#[cfg(test)]
mod tests_merge;
#[cfg(test)]
mod tests_offline;
#[cfg(test)]
mod tests_pools;
#[cfg(test)]
mod tests_properties;
#[cfg(test)]
mod tests_returns;
#[cfg(test)]
mod tests_wallets;
#[cfg(test)]
mod tests_world;
