//! A state in parts that each fit a record.

use super::Member;
use crate::goals::{Progress, StepState};
use crate::keys::KeyIndex;
use crate::pool::Pooled;
use crate::record::Figures;
use crate::time::Millis;
use crate::wallet::{Lot, Wallet};

/// Bytes of a part, about: a frame holds 64 KiB.
const BYTES: usize = 40 << 10;

/// Cuts the state of a member that goes into parts, the same each time. All that is not a long list stands in the first. Figures of a part are
/// those of the lots that are in it; debt is in the first.
#[must_use]
pub fn cut(member: &Member) -> Vec<Member> {
    let mut parts = Parts { done: Vec::new(), open: first(member), bytes: 4 << 10 };
    for held in &member.aliases {
        parts.add(80, |part| part.aliases.push(held.clone()));
    }
    for (place, wallet) in member.wallets.iter().enumerate() {
        for lot in &wallet.live {
            parts.add(LOT, |part| add(purse(part, place), lot).live.push(*lot));
        }
        for lot in &wallet.rest {
            parts.add(LOT, |part| add(purse(part, place), lot).rest.push(*lot));
        }
        for (lot, unlock) in &wallet.waiting {
            parts.add(LOT + 20, |part| {
                let purse = purse(part, place);
                purse.figures.pending += lot.left;
                purse.waiting.push((*lot, *unlock));
            });
        }
        for hold in &wallet.holds {
            parts.add(30 + 16 * hold.lots.len(), |part| purse(part, place).holds.push(hold.clone()));
        }
        for owed in &wallet.owed {
            parts.add(20, |part| purse(part, place).owed.push(*owed));
        }
    }
    for entry in &member.tier.visits {
        parts.add(20, |part| part.tier.visits.push(*entry));
    }
    for entry in &member.room {
        parts.add(20, |part| part.room.push(*entry));
    }
    for entry in &member.campaigns.0 {
        parts.add(30, |part| part.campaigns.0.push(*entry));
    }
    keys(&mut parts, &member.keys, |part| &mut part.keys);
    keys(&mut parts, &member.headers, |part| &mut part.headers);
    for ended in &member.ended_holds {
        parts.add(8, |part| part.ended_holds.push(*ended));
    }
    for returned in &member.returned {
        parts.add(12, |part| part.returned.push(*returned));
    }
    for reversed in &member.reversed {
        parts.add(6, |part| part.reversed.push(*reversed));
    }
    for ungiven in &member.ungiven {
        parts.add(6, |part| part.ungiven.push(*ungiven));
    }
    for waiting in &member.waiting {
        parts.add(16, |part| part.waiting.push(*waiting));
    }
    for awaited in &member.awaited {
        parts.add(16, |part| part.awaited.push(*awaited));
    }
    for loan in member.pool.iter().flat_map(|pool| &pool.loans) {
        parts.add(100, |part| part.pool.get_or_insert_with(Box::<Pooled>::default).loans.push(*loan));
    }
    for allowance in &member.allowances {
        parts.add(40 + 6 * allowance.counters.len(), |part| part.allowances.push(allowance.clone()));
    }
    member.goals.iter().for_each(|progress| goal(&mut parts, progress));
    parts.done.push(parts.open);
    parts.done
}

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
    let wallet = |wallet: &Wallet| Wallet { rolled: wallet.rolled, noticed: wallet.noticed, figures: Figures { debt: wallet.figures.debt, ..Figures::default() }, ..Wallet::default() };
    Member {
        wallets: member.wallets.iter().map(wallet).collect(),
        tier: crate::tier::Tier { visits: Vec::new(), ..member.tier.clone() },
        purchases: member.purchases,
        profile: member.profile.clone(),
        ..Member::default()
    }
}

fn purse(part: &mut Member, place: usize) -> &mut Wallet {
    if part.wallets.len() <= place {
        // Nothing of it was told of: that is said in the first part.
        part.wallets.resize_with(place + 1, || Wallet { noticed: Millis::MAX, ..Wallet::default() });
    }
    &mut part.wallets[place]
}

fn add<'a>(purse: &'a mut Wallet, lot: &Lot) -> &'a mut Wallet {
    purse.figures.available += lot.free();
    purse.figures.held += lot.held;
    purse
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
