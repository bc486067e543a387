//! Campaigns (rule 6): rules that belong together have a window, a most for each member and a budget for all of them.
//!
//! What a member has got of a campaign is its own and stands in its state. A budget is shared by all members: it is asked for
//! through [`Budgets`], which keeps it somewhere else, and what was granted stands in the sale's record, so that everything
//! after that sees the same.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::Text;
use crate::rules::Head;
use crate::time::{DAY_MS, Millis, Moment};

/// A campaign, by its id, whichever version it stands in. Stored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct CampaignKey(pub u64);

impl CampaignKey {
    /// Of an id. Stored: it never changes.
    #[must_use]
    pub fn of(id: &str) -> Self {
        Self(crate::keys::fingerprint(&[b"campaign", id.as_bytes()]))
    }
}

/// As a programme version has it.
#[derive(Clone, Debug)]
pub struct Campaign {
    pub id: Text,
    pub key: CampaignKey,
    /// Of its rules.
    pub wallet: u8,
    pub from: Option<Moment>,
    pub until: Option<Moment>,
    /// Points that one member gets of it, at most.
    pub member: Option<i64>,
    /// Points that all members get of it, at most.
    pub budget: Option<i64>,
}

impl Campaign {
    /// Whether its window holds a sale; local times are those of the store's zone.
    #[must_use]
    pub fn runs(&self, head: &Head<'_>) -> bool {
        let at = head.basket.occurred_at;
        self.from.is_none_or(|from| at >= from.start(head.zone)) && self.until.is_none_or(|until| at < until.end(head.zone))
    }
}

/// Room of a campaign for one sale; recorded with it, so that a return sees the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Room {
    /// Its place in the programme version.
    pub campaign: u16,
    pub member: Option<i64>,
    pub budget: Option<i64>,
}

/// What a sale got of a campaign.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share {
    pub campaign: u16,
    /// After the member's most, before the budget: what is asked of the budget.
    pub wanted: i64,
    /// After all caps.
    pub got: i64,
}

/// Where budgets are kept.
pub trait Budgets: std::fmt::Debug + Sync {
    /// Takes up to `wanted` points of what is left of a campaign's budget. `None`: what is left is not known here yet; the sale is to be
    /// decided again in a moment.
    fn take(&self, campaign: CampaignKey, budget: i64, wanted: i64) -> Option<i64>;
    /// A decision that took has come to its end; what outer caps have left of that is free again. After each [`Self::take`] once.
    fn taken(&self, campaign: CampaignKey, unused: i64);
    /// The decision was refused after all.
    fn give_back(&self, campaign: CampaignKey, points: i64);
}

/// Budgets that have no end: where a decision is known not to take from one.
#[derive(Clone, Copy, Debug)]
pub struct Endless;

impl Budgets for Endless {
    fn take(&self, _campaign: CampaignKey, _budget: i64, wanted: i64) -> Option<i64> {
        Some(wanted)
    }
    fn taken(&self, _campaign: CampaignKey, _unused: i64) {}
    fn give_back(&self, _campaign: CampaignKey, _points: i64) {}
}

/// Budgets kept here alone: of a simulation.
#[derive(Debug, Default)]
pub struct Pots(Mutex<BTreeMap<CampaignKey, i64>>);

impl Pots {
    /// What was given before.
    pub fn charge(&self, campaign: CampaignKey, points: i64) {
        self.give_back(campaign, -points);
    }
}

impl Budgets for Pots {
    fn take(&self, campaign: CampaignKey, budget: i64, wanted: i64) -> Option<i64> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = taken.entry(campaign).or_default();
        let part = wanted.min(budget - *taken).max(0);
        *taken += part;
        Some(part)
    }
    fn taken(&self, campaign: CampaignKey, unused: i64) {
        self.give_back(campaign, unused);
    }
    fn give_back(&self, campaign: CampaignKey, points: i64) {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *taken.entry(campaign).or_default() -= points;
    }
}

/// What a member has got of a campaign is kept so long after its last sale, for late uploads and returns (rule 2).
const KEEP: Millis = 800 * DAY_MS;

/// What a member has got of campaigns, and when it last did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Got(pub Vec<(CampaignKey, i64, Millis)>);

impl Got {
    /// Of one campaign.
    #[must_use]
    pub fn of(&self, campaign: CampaignKey) -> i64 {
        self.0.iter().find(|(key, ..)| *key == campaign).map_or(0, |(_, points, _)| *points)
    }

    /// Folds a change in.
    pub fn add(&mut self, campaign: CampaignKey, points: i64, at: Millis) {
        match self.0.iter_mut().find(|(key, ..)| *key == campaign) {
            Some((_, got, last)) => (*got, *last) = (got.saturating_add(points), at.max(*last)),
            None => self.0.push((campaign, points, at)),
        }
    }

    /// Lets go of campaigns long past.
    pub fn forget(&mut self, now: Millis) {
        self.0.retain(|(_, points, at)| *points != 0 && *at > now - KEEP);
    }
}
