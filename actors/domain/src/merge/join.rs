//! A part of another member's state comes in. What counts by day or period (the tier's metric, visits, room, campaigns) does not come this way:
//! the record says it in events.

use super::Absorbed;
use crate::goals::Progress;
use crate::keys::KeyIndex;
use crate::member::Member;
use crate::tier::Tier;
use crate::time::Millis;
use crate::wallet::Wallet;

impl Member {
    /// What stands after the record's own events: they told of what was there before.
    pub(crate) fn joined(&mut self, part: &Self) {
        for (place, wallet) in part.wallets.iter().enumerate() {
            let purse = self.purse(place);
            // Rather told of twice than not at all.
            purse.noticed = purse.noticed.min(wallet.noticed);
        }
        self.tier.join(&part.tier);
    }

    /// Folds a part in; figures come in by the record's events.
    pub(crate) fn join(&mut self, absorbed: &Absorbed) {
        let part = &*absorbed.state;
        self.aliases.extend(part.aliases.iter().cloned());
        for (place, wallet) in part.wallets.iter().enumerate() {
            self.purse(place).join(wallet);
        }
        self.purchases = self.purchases.saturating_add(part.purchases);
        join_keys(&mut self.keys, &part.keys);
        join_keys(&mut self.headers, &part.headers);
        self.ended_holds.extend_from_slice(&part.ended_holds);
        self.returned.extend_from_slice(&part.returned);
        self.returned.sort_unstable();
        self.reversed.extend_from_slice(&part.reversed);
        self.ungiven.extend_from_slice(&part.ungiven);
        self.waiting.extend_from_slice(&part.waiting);
        self.awaited.extend_from_slice(&part.awaited);
        self.allowances.extend(part.allowances.iter().cloned());
        if let Some(pool) = &part.pool {
            self.pool.get_or_insert_with(Default::default).loans.extend_from_slice(&pool.loans);
        }
        for progress in &part.goals {
            self.progress_mut(progress.key).join(progress);
        }
        // What the member says of itself goes before what the other one said.
        let (own, other) = (&mut self.profile, &part.profile);
        if own.zone.is_empty() {
            own.zone = other.zone.clone();
        }
        own.birthday = own.birthday.or(other.birthday);
        own.segments.extend(other.segments.iter().cloned());
        own.segments.sort_unstable();
        own.segments.dedup();
    }
}

fn join_keys(index: &mut KeyIndex, part: &KeyIndex) {
    let page = &part.open;
    for (fingerprint, seq) in page.fingerprints.iter().zip(&page.seqs) {
        index.insert(*fingerprint, u64::from(*seq), page.newest);
    }
}

impl Wallet {
    /// Lots, holds and what is owed; not the figures.
    pub(crate) fn join(&mut self, part: &Self) {
        part.live.iter().chain(&part.rest).for_each(|lot| self.place(*lot));
        self.waiting.extend_from_slice(&part.waiting);
        self.holds.extend(part.holds.iter().cloned());
        part.owed.iter().for_each(|(of, points)| self.owe(*of, *points));
        self.rolled = self.rolled.max(part.rolled);
    }
}

impl Progress {
    /// What both have done counts together.
    pub(crate) fn join(&mut self, part: &Self) {
        if self.steps.len() < part.steps.len() {
            self.steps.resize_with(part.steps.len(), Default::default);
        }
        for (step, other) in self.steps.iter_mut().zip(&part.steps) {
            step.sum = step.sum.saturating_add(other.sum);
            for (day, store, count) in &other.days {
                match step.days.binary_search_by_key(&(*day, *store), |(day, store, _)| (*day, *store)) {
                    Ok(at) => step.days[at].2 += count,
                    Err(at) => step.days.insert(at, (*day, *store, *count)),
                }
            }
            step.runs.extend_from_slice(&other.runs);
            step.runs.sort_unstable();
        }
        self.reached += part.reached;
        part.rewards.iter().for_each(|given| self.given(*given));
        self.at = self.at.max(part.at);
    }
}

impl Tier {
    /// At each time the higher of the two levels: a late sale of either earns by what was held then.
    pub(crate) fn join(&mut self, part: &Self) {
        if part.history.is_empty() {
            return;
        }
        let at = |history: &[(Millis, u8)], instant: Millis| history.iter().rev().find(|(since, _)| *since <= instant).map_or(0, |(_, level)| *level);
        let mut times: Vec<Millis> = self.history.iter().chain(&part.history).map(|(since, _)| *since).collect();
        times.sort_unstable();
        times.dedup();
        let mut joined: Vec<(Millis, u8)> = Vec::new();
        for since in times {
            let level = at(&self.history, since).max(at(&part.history, since));
            if joined.last().is_none_or(|(_, last)| *last != level) {
                joined.push((since, level));
            }
        }
        self.history = joined;
        self.withdrawn = self.withdrawn.max(part.withdrawn);
    }
}
