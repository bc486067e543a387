//! A state in parts that each fit a record.

use super::Member;
use crate::goals::{Progress, StepState};
use crate::keys::KeyIndex;
use crate::pool::Pooled;
use crate::record::Figures;
use crate::wallet::Wallet;

/// Bytes of a part, about: a frame holds 64 KiB. Tests have few of everything.
const BYTES: usize = if cfg!(test) { 1 << 10 } else { 40 << 10 };

/// The state of a member that goes, whole and in parts: the same parts each time.
#[derive(Clone, Debug)]
pub struct Cut {
    pub whole: Member,
    pub parts: Vec<Member>,
}

impl Cut {
    /// Cuts a state.
    #[must_use]
    pub fn new(whole: Member) -> Self {
        let parts = cut(&whole);
        Self { whole, parts }
    }
}

/// All that is not a long list stands in the first part. Figures of a part are those of the lots that are in it; debt is in the first.
fn cut(member: &Member) -> Vec<Member> {
    // All of them are named, so that a new one is not forgotten here.
    let Member {
        seq: _,
        last_at: _,
        enrolled_at: _,
        programme: _,
        aliases,
        wallets,
        tier: _,
        room,
        campaigns,
        purchases: _,
        keys: seen,
        headers,
        ended_holds,
        returned,
        waiting,
        awaited,
        giving: _,
        ungiven,
        pool,
        merges: _,
        allowances,
        reversed,
        goals,
        profile: _,
        tidied_at: _,
    } = member;
    // What it counts for the tier comes as events beside it.
    let tier = 20 * (member.tier.metric.len() + member.tier.history.len()) + 80 * member.tier.grants.len();
    let mut parts = Parts { done: Vec::new(), open: first(member), bytes: BYTES / 10 + tier };
    for held in aliases {
        parts.add(80, |part| part.aliases.push(held.clone()));
    }
    for (place, wallet) in wallets.iter().enumerate() {
        // Where each belongs is found when it comes in.
        for lot in wallet.live.iter().chain(&wallet.rest) {
            parts.add(LOT, |part| {
                let purse = purse(part, wallets, place);
                purse.figures.available += lot.free();
                purse.figures.held += lot.held;
                purse.live.push(*lot);
            });
        }
        for (lot, unlock) in &wallet.waiting {
            parts.add(LOT + 20, |part| {
                let purse = purse(part, wallets, place);
                purse.figures.pending += lot.left;
                purse.waiting.push((*lot, *unlock));
            });
        }
        for hold in &wallet.holds {
            parts.add(30 + 16 * hold.lots.len(), |part| purse(part, wallets, place).holds.push(hold.clone()));
        }
        for owed in &wallet.owed {
            parts.add(20, |part| purse(part, wallets, place).owed.push(*owed));
        }
    }
    for entry in &member.tier.visits {
        parts.add(20, |part| part.tier.visits.push(*entry));
    }
    for entry in room {
        parts.add(20, |part| part.room.push(*entry));
    }
    for entry in &campaigns.0 {
        parts.add(30, |part| part.campaigns.0.push(*entry));
    }
    keys(&mut parts, seen, |part| &mut part.keys);
    keys(&mut parts, headers, |part| &mut part.headers);
    for ended in ended_holds {
        parts.add(8, |part| part.ended_holds.push(*ended));
    }
    for returned in returned {
        parts.add(12, |part| part.returned.push(*returned));
    }
    for reversed in reversed {
        parts.add(6, |part| part.reversed.push(*reversed));
    }
    for ungiven in ungiven {
        parts.add(6, |part| part.ungiven.push(*ungiven));
    }
    for waiting in waiting {
        parts.add(16, |part| part.waiting.push(*waiting));
    }
    for awaited in awaited {
        parts.add(16, |part| part.awaited.push(*awaited));
    }
    for loan in pool.iter().flat_map(|pool| &pool.loans) {
        parts.add(100, |part| part.pool.get_or_insert_with(Box::<Pooled>::default).loans.push(*loan));
    }
    for allowance in allowances {
        parts.add(40 + 6 * allowance.counters.len(), |part| part.allowances.push(allowance.clone()));
    }
    goals.iter().for_each(|progress| goal(&mut parts, progress));
    parts.done.push(parts.open);
    parts.done
}

/// Bytes of a lot, at most.
const LOT: usize = 90;

struct Parts {
    done: Vec<Member>,
    open: Member,
    bytes: usize,
}

impl Parts {
    fn add(&mut self, bytes: usize, add: impl FnOnce(&mut Member)) {
        if self.bytes + bytes > BYTES {
            self.done.push(std::mem::take(&mut self.open));
            self.bytes = 0;
        }
        self.bytes += bytes;
        add(&mut self.open);
    }
}

/// What is no long list.
fn first(member: &Member) -> Member {
    let wallet = |wallet: &Wallet| Wallet { figures: Figures { debt: wallet.figures.debt, ..Figures::default() }, ..bare(wallet) };
    Member {
        wallets: member.wallets.iter().map(wallet).collect(),
        tier: crate::tier::Tier { visits: Vec::new(), ..member.tier.clone() },
        purchases: member.purchases,
        profile: member.profile.clone(),
        ..Member::default()
    }
}

/// What is told of all lots of a wallet.
fn bare(wallet: &Wallet) -> Wallet {
    Wallet { rolled: wallet.rolled, noticed: wallet.noticed, ..Wallet::default() }
}

fn purse<'a>(part: &'a mut Member, of: &[Wallet], place: usize) -> &'a mut Wallet {
    part.wallets.extend(of[..=place].iter().skip(part.wallets.len()).map(bare).collect::<Vec<_>>());
    &mut part.wallets[place]
}

fn keys(parts: &mut Parts, index: &KeyIndex, of: impl Fn(&mut Member) -> &mut KeyIndex) {
    for page in index.sealed.iter().map(AsRef::as_ref).chain([&index.open]) {
        for (fingerprint, seq) in page.fingerprints.iter().zip(&page.seqs) {
            parts.add(14, |part| {
                let open = &mut of(part).open;
                open.fingerprints.push(*fingerprint);
                open.seqs.push(*seq);
                open.newest = open.newest.max(page.newest);
            });
        }
    }
}

/// The days of a step may be many.
fn goal(parts: &mut Parts, progress: &Progress) {
    let bare = |step: &StepState| StepState { days: Vec::new(), ..step.clone() };
    let head = Progress { steps: progress.steps.iter().map(bare).collect(), ..progress.clone() };
    let runs: usize = head.steps.iter().map(|step| 10 + 10 * step.runs.len()).sum();
    parts.add(40 + runs + 40 * head.rewards.len(), |part| part.goals.push(head));
    for (place, step) in progress.steps.iter().enumerate() {
        for day in &step.days {
            parts.add(16, |part| {
                if part.goals.last().is_none_or(|last| last.key != progress.key) {
                    part.goals.push(Progress { key: progress.key, steps: progress.steps.iter().map(|_| StepState::default()).collect(), ..Progress::default() });
                }
                if let Some(last) = part.goals.last_mut() {
                    last.steps[place].days.push(*day);
                }
            });
        }
    }
}
