//! A member: the fold of its records, and what reads may see of it.

use smallvec::SmallVec;

use crate::campaigns::Got;
use crate::goals::{self, Progress};
use crate::keys::{KeyIndex, KeyKind};
use crate::merge::{Going, Merges};
use crate::pool::Pooled;
use crate::profile::Profile;
use crate::programme::Programme;
use crate::record::{Alias, Back, Body, Event, Figures, HoldEnd, Movement, Record};
use crate::tier::Tier;
use crate::time::{DAY_MS, Day, Millis};
use crate::wallet::Wallet;

/// An alias, and when it was the member's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holding {
    pub alias: Alias,
    pub from: Millis,
    pub until: Option<Millis>,
}

/// The state.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Member {
    /// Number of the last record; 0 = not enrolled.
    pub seq: u64,
    /// Time of the last record.
    pub last_at: Millis,
    pub enrolled_at: Millis,
    /// Programme version of the last record.
    pub programme: u32,
    pub aliases: Vec<Holding>,
    /// By their place in the programme; those beyond the last are empty.
    pub wallets: SmallVec<[Wallet; 1]>,
    pub tier: Tier,
    /// Wallet, first day of a period → points that count for the member's cap.
    pub room: Vec<(u8, Day, i64)>,
    /// What it has got of campaigns.
    pub campaigns: Got,
    /// Purchases that arrived.
    pub purchases: u32,
    /// Natural keys and transaction ids.
    pub keys: KeyIndex,
    /// `Idempotency-Key`s.
    pub headers: KeyIndex,
    /// Holds that were confirmed or cancelled: a late confirm must not find them again.
    pub ended_holds: Vec<(u32, HoldEnd)>,
    /// Sales of which something came back, with the record that says how they stand; by sale.
    pub returned: Vec<(u32, u32)>,
    /// Returns whose sale has not come: their records, and when they came.
    pub waiting: Vec<(u32, Millis)>,
    /// What those are waiting for: fingerprints of keys, and the record.
    pub awaited: Vec<(u64, u32)>,
    /// Gifts on their way: their records, and since when.
    pub giving: Vec<(u32, Millis)>,
    /// Gifts that the other member did not take.
    pub ungiven: Vec<u32>,
    /// What it knows of pools.
    pub pool: Option<Box<Pooled>>,
    /// What it knows of merges.
    pub merges: Option<Box<Merges>>,
    /// Allowances, also those that ended: their uses may still arrive.
    pub allowances: Vec<Allowance>,
    /// Redemptions that were reversed.
    pub reversed: Vec<u32>,
    /// How far it has come with quests and achievements.
    pub goals: Vec<Progress>,
    pub profile: Profile,
    /// Last look for what can be let go of.
    pub tidied_at: Millis,
}

/// What a till may take without a connection (rule 14).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Allowance {
    /// The record that gave it.
    pub seq: u32,
    pub wallet: u8,
    /// Points that are left of it.
    pub left: i64,
    pub not_after: Millis,
    /// Those that were used.
    pub counters: Vec<u32>,
}

impl Allowance {
    /// Folds a use of it in.
    pub fn apply(&mut self, event: &Event) {
        if let Event::AllowanceUsed { allowance, counter, points } = event
            && *allowance == self.seq
        {
            self.left -= points;
            self.counters.push(*counter);
        }
    }
}

/// How often old lots and periods are looked for.
const TIDY_EVERY: Millis = 30 * DAY_MS;
/// A gift that was not settled by then is asked after.
pub const GIFT: Millis = 5_000;
/// A return waits this long for its sale (rule 17).
pub const WAIT: Millis = 90 * DAY_MS;
/// Room of a period is kept for late uploads (rule 2).
const KEEP_ROOM_DAYS: i32 = 800;

impl Member {
    /// Whether there is such a member.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.seq > 0
    }

    /// The member's own now: never earlier than its last record (rule 2).
    #[must_use]
    pub fn now(&self, clock: Millis) -> Millis {
        clock.max(self.last_at)
    }

    /// Whether an alias was this member's at an instant. A card is older than its enrolment: what was
    /// bought before the first holding counts as held.
    #[must_use]
    pub fn held_alias(&self, kind: &str, hash: u128, at: Millis) -> bool {
        let mut mine = self.aliases.iter().filter(|held| *held.alias.kind == *kind && held.alias.hash == hash);
        mine.any(|held| held.until.is_none_or(|until| at < until))
    }

    /// Whether a hold was confirmed or cancelled. What ended by its time is not in this list.
    #[must_use]
    pub fn ended_hold(&self, hold: u64) -> bool {
        self.ended_holds.iter().any(|(seq, _)| u64::from(*seq) == hold)
    }

    /// Figures of a wallet.
    #[must_use]
    pub fn figures(&self, wallet: u8) -> Figures {
        self.wallets.get(usize::from(wallet)).map_or(Figures::default(), |wallet| wallet.figures)
    }

    /// Where it goes, or has gone.
    #[must_use]
    pub fn going(&self) -> Option<&Going> {
        self.merges.as_ref().and_then(|merges| merges.going.as_ref())
    }

    /// Whether there is a record of this number: an own one, or of a member that has gone into this one.
    #[must_use]
    pub fn knows(&self, seq: u64) -> bool {
        (1..=self.seq).contains(&seq) || self.merges.as_ref().is_some_and(|merges| merges.elsewhere(seq).is_some())
    }

    fn wallet_mut(&mut self, wallet: u8) -> &mut Wallet {
        self.purse(wallet.into())
    }

    pub(crate) fn purse(&mut self, place: usize) -> &mut Wallet {
        if self.wallets.len() <= place {
            self.wallets.resize_with(place + 1, Wallet::default);
        }
        &mut self.wallets[place]
    }

    pub(crate) fn progress_mut(&mut self, goal: crate::ids::GoalKey) -> &mut Progress {
        let at = match self.goals.binary_search_by_key(&goal, |progress| progress.key) {
            Ok(at) => at,
            Err(at) => {
                self.goals.insert(at, Progress { key: goal, ..Progress::default() });
                at
            }
        };
        &mut self.goals[at]
    }

    /// How far it has come with a goal.
    #[must_use]
    pub fn progress(&self, goal: crate::ids::GoalKey) -> Option<&Progress> {
        self.goals.binary_search_by_key(&goal, |progress| progress.key).ok().map(|at| &self.goals[at])
    }

    /// When something comes about by itself.
    #[must_use]
    pub fn next_due(&self, programme: &Programme) -> Millis {
        if let Some(going) = self.going() {
            return if going.place.is_some() { crate::time::NEVER } else { going.since + GIFT };
        }
        let (tiers, zone) = (&programme.tiers, &programme.zone);
        let notice = |number: u8| programme.wallet(number).expiry.map_or(0, |rule| rule.notice_days);
        let of = |(number, wallet): (u8, &Wallet)| wallet.next_due().min(wallet.next_notice(notice(number)));
        let wallets = (0_u8..).zip(&self.wallets).map(of).min().unwrap_or(crate::time::NEVER);
        let giving = self.giving.iter().map(|(_, since)| since + GIFT).min().unwrap_or(crate::time::NEVER);
        let open = self.pool.iter().flat_map(|pool| pool.gathering.iter().chain(&pool.homing));
        let giving = open.map(|(_, since)| since + GIFT).min().unwrap_or(crate::time::NEVER).min(giving);
        let waiting = self.waiting.iter().map(|(_, since)| since + WAIT).min().unwrap_or(crate::time::NEVER).min(giving);
        wallets.min(waiting).min(self.tier.next_review(tiers, zone)).min(self.tier.next_grant_end()).min(self.tier.next_notice(tiers, zone))
    }

    /// When the member wants to be woken after a record; of a purchase perhaps earlier than needed, so that nothing is
    /// copied for it.
    #[must_use]
    pub fn due_after(&self, record: &Record, programme: &Programme) -> Millis {
        let before = self.next_due(programme);
        if self.exists() && record.at < before && matches!(record.body, Body::Purchased(_)) {
            let notice = |wallet: u8| i64::from(programme.wallet(wallet).expiry.map_or(0, |rule| rule.notice_days)) * DAY_MS;
            let of = |event: &Event| match *event {
                Event::Points(wallet, Movement::Issued { unlock, expires_at, .. }) => expires_at.saturating_sub(notice(wallet)).min(unlock.map_or(crate::time::NEVER, crate::wallet::due)),
                // What was told of may be moved by little: then it is told of again, before it would have expired.
                Event::Points(wallet, Movement::Reinstated { expires_at, .. } | Movement::ExpiryMoved { expires_at }) => expires_at.saturating_sub(notice(wallet)),
                // What may be due sooner than anything before.
                Event::Points(_, Movement::Released { .. } | Movement::Activated { .. } | Movement::Rescheduled { .. } | Movement::Unexpired { .. } | Movement::SentHome { .. }) => record.at,
                // A tier that can be lost, or that ends by itself.
                Event::TierChanged { .. } | Event::TierGranted { .. } | Event::Metric { amount: i64::MIN..0, .. } => record.at,
                _ => crate::time::NEVER,
            };
            let soonest = record.events.iter().map(of).min().unwrap_or(crate::time::NEVER);
            if soonest > record.at {
                return before.min(soonest);
            }
        }
        let mut after = self.clone();
        after.apply(record);
        after.next_due(programme)
    }

    /// Which record says how a sale stands, if something came back of it.
    #[must_use]
    pub fn last_return(&self, sale: u64) -> Option<u64> {
        let at = self.returned.binary_search_by_key(&short(sale), |(seq, _)| *seq).ok()?;
        Some(u64::from(self.returned[at].1))
    }

    fn waits_no_more(&mut self, seq: u32) {
        self.waiting.retain(|(waiting, _)| *waiting != seq);
        self.awaited.retain(|(_, waiting)| *waiting != seq);
    }

    fn stands(&mut self, back: &Back) {
        let (sale, seq) = (short(back.sale), short(self.seq));
        match self.returned.binary_search_by_key(&sale, |(seq, _)| *seq) {
            Ok(at) => self.returned[at].1 = seq,
            Err(at) => self.returned.insert(at, (sale, seq)),
        }
    }

    /// Whether an alias is this member's now.
    #[must_use]
    pub fn holds_alias(&self, hash: u128) -> bool {
        self.aliases.iter().any(|held| held.alias.hash == hash && held.until.is_none())
    }

    fn pooled(&mut self, record: &Record) {
        // Most members are in no pool, and need no memory for one.
        let begins = matches!(record.body, Body::PoolFounded { .. } | Body::PoolJoined { .. }) || matches!(&record.body, Body::HoldPlaced { pool: Some(_), .. });
        if self.pool.is_none() && begins {
            self.pool = Some(Box::default());
        }
        if let Some(pool) = &mut self.pool {
            pool.apply(short(self.seq), record);
            if pool.is_empty() {
                self.pool = None;
            }
        }
    }

    /// A merge is settled: nothing is left of what has gone but where it went.
    fn gone(&mut self, place: Option<u8>) {
        let Some(merges) = &mut self.merges else { return };
        match place {
            None => merges.going = None,
            Some(place) => {
                merges.going.iter_mut().for_each(|going| going.place = Some(place));
                let figures = |wallet: &Wallet| Wallet { figures: wallet.figures, ..Wallet::default() };
                *self = Self {
                    seq: self.seq,
                    last_at: self.last_at,
                    enrolled_at: self.enrolled_at,
                    programme: self.programme,
                    // The record's events take them.
                    wallets: self.wallets.iter().map(figures).collect(),
                    merges: self.merges.take(),
                    ..Self::default()
                };
            }
        }
    }

    /// Folds a record in. Total: whatever a record says is taken as it is.
    pub fn apply(&mut self, record: &Record) {
        self.seq += 1;
        self.last_at = self.last_at.max(record.at);
        self.programme = record.programme;
        if record.header != 0 {
            // The low bits of a hash are a fingerprint of it.
            #[expect(clippy::cast_possible_truncation)]
            self.headers.insert(record.header as u64, self.seq, record.at);
            self.headers.forget(record.at);
        }
        match &record.body {
            Body::Enrolled { aliases, day } => {
                self.tier.enrolled = *day;
                self.enrolled_at = record.at;
                self.tidied_at = record.at;
                self.aliases = aliases.iter().map(|alias| Holding { alias: alias.clone(), from: record.at, until: None }).collect();
                self.tier.history.push((Millis::MIN, 0));
            }
            Body::Purchased(sale) => {
                self.purchases = self.purchases.saturating_add(1);
                for fingerprint in sale.keys.fingerprints(KeyKind::Purchase) {
                    self.keys.insert(fingerprint, self.seq, record.at);
                }
                for back in &sale.exchanged {
                    self.stands(back);
                }
                for (waiting, back) in &sale.waited {
                    self.stands(back);
                    self.waits_no_more(short(*waiting));
                }
            }
            Body::HoldPlaced { wallet, expires_at, pool, .. } => {
                let seq = self.seq;
                // One that waits for the parts of others is not over before it has them.
                let waits = pool.as_ref().is_some_and(|pool| !pool.parts.is_empty());
                self.wallet_mut(*wallet).open_hold(seq, if waits { crate::time::NEVER } else { *expires_at });
            }
            Body::Gathered { hold, wallet, expires_at, .. } => self.wallet_mut(*wallet).hold_ends(*hold, *expires_at),
            Body::Lent { lender, to, hold, .. } | Body::LendRefused { lender, to, hold, .. } => self.keys.insert(crate::keys::lent(*lender, *to, *hold), self.seq, record.at),
            Body::CameHome { owner, from, seq } => self.keys.insert(crate::keys::home(*owner, *from, *seq), self.seq, record.at),
            Body::Returned(returned) => {
                for fingerprint in returned.asked.keys.fingerprints(returned.asked.kind) {
                    self.keys.insert(fingerprint, self.seq, record.at);
                }
                self.stands(&returned.back);
            }
            Body::ReturnWaits(asked) => {
                for fingerprint in asked.keys.fingerprints(asked.kind) {
                    self.keys.insert(fingerprint, self.seq, record.at);
                }
                let seq = short(self.seq);
                self.waiting.push((seq, record.at));
                if let crate::command::SaleName::Keys(keys) = &asked.sale {
                    self.awaited.extend(keys.fingerprints(KeyKind::Purchase).into_iter().map(|fingerprint| (fingerprint, seq)));
                }
            }
            Body::BlindReturned { keys, .. } => {
                for fingerprint in keys.fingerprints(KeyKind::Return) {
                    self.keys.insert(fingerprint, self.seq, record.at);
                }
            }
            Body::Reversed { redemption, .. } => self.reversed.push(short(*redemption)),
            Body::AliasAdded { alias } => self.aliases.push(Holding { alias: alias.clone(), from: record.at, until: None }),
            Body::AliasRemoved { kind, hash } => {
                for held in self.aliases.iter_mut().filter(|held| held.alias.kind == *kind && held.alias.hash == *hash) {
                    held.until.get_or_insert(record.at);
                }
            }
            Body::Gave { .. } => self.giving.push((short(self.seq), record.at)),
            Body::Took { from, gift, .. } | Body::TakeRefused { from, gift, .. } => self.keys.insert(crate::keys::gift(*from, *gift), self.seq, record.at),
            Body::GiftSettled { gift, taken } => {
                self.giving.retain(|(seq, _)| *seq != short(*gift));
                if !taken {
                    self.ungiven.push(short(*gift));
                }
            }
            Body::Allowed { wallet, points, not_after, .. } => {
                let seq = short(self.seq);
                self.allowances.push(Allowance { seq, wallet: *wallet, left: *points, not_after: *not_after, counters: Vec::new() });
            }
            Body::Redeemed { offline: Some(offline), .. } => self.keys.insert(crate::keys::allowed(offline.used), self.seq, record.at),
            Body::Updated(change) => self.profile.apply(change),
            Body::Merging { into } => {
                let (seq, since) = (short(self.seq), record.at);
                self.merges.get_or_insert_default().going = Some(Going { into: *into, seq, since, place: None });
            }
            Body::Absorbed(absorbed) => {
                let seq = short(self.seq);
                self.merges.get_or_insert_default().take(absorbed, seq);
                self.join(absorbed);
            }
            Body::AbsorbRefused { from, merge } => {
                let seq = short(self.seq);
                self.merges.get_or_insert_default().refused.push((*from, *merge, seq));
            }
            Body::Merged { place, .. } => self.gone(*place),
            Body::PoolFounded { .. } | Body::PoolJoined { .. } | Body::PoolLeft { .. } | Body::PoolChanged { .. } | Body::Homed { .. } => {}
            Body::Elapsed | Body::HoldConfirmed { .. } | Body::HoldCancelled { .. } | Body::Redeemed { .. } | Body::Adjusted { .. } | Body::Delivered { .. } | Body::Transferred { .. } | Body::TierGiven { .. } => {}
        }
        self.pooled(record);
        for event in &record.events {
            self.tier.apply(event);
            if let Some(goal) = goals::goal_of(event) {
                self.progress_mut(goal).apply(event, record.at);
            }
            match event {
                Event::Points(wallet, movement) => {
                    let seq = self.seq;
                    self.wallet_mut(*wallet).apply(seq, movement);
                    if let Movement::HoldEnded { hold, end: end @ (HoldEnd::Confirmed | HoldEnd::Cancelled) } = movement {
                        self.ended_holds.push((*hold, *end));
                    }
                }
                Event::RoomUsed { wallet, period, points } => match self.room.iter_mut().find(|(of, day, _)| of == wallet && day == period) {
                    Some((_, _, used)) => *used += points,
                    None => self.room.push((*wallet, *period, *points)),
                },
                Event::CampaignUsed { campaign, points, .. } => self.campaigns.add(*campaign, *points, record.at),
                Event::AllowanceUsed { .. } => self.allowances.iter_mut().for_each(|known| known.apply(event)),
                Event::ReturnLapsed { seq } => self.waits_no_more(short(*seq)),
                _ => {}
            }
        }
        if let Body::Absorbed(absorbed) = &record.body {
            self.joined(&absorbed.state);
        }
        // One that goes must stay as it is: its state may be on its way.
        if record.at - self.tidied_at >= TIDY_EVERY && self.going().is_none() {
            self.tidied_at = record.at;
            self.wallets.iter_mut().for_each(|wallet| wallet.forget(record.at));
            self.allowances.retain(|known| record.at < known.not_after + WAIT);
            self.campaigns.forget(record.at);
            goals::forget(&mut self.goals, record.at);
            let newest = self.room.iter().map(|(_, day, _)| *day).max().unwrap_or_default();
            self.room.retain(|(_, day, _)| *day > newest.plus(-KEEP_ROOM_DAYS));
        }
    }
}

/// Records of one member are numbered far below 2^32.
fn short(seq: u64) -> u32 {
    u32::try_from(seq).unwrap_or(u32::MAX)
}

/// What reads see without asking the member, as long as `now < good_until`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct View {
    pub seq: u64,
    /// By wallet.
    pub figures: SmallVec<[Figures; 1]>,
    pub tier: u8,
    /// First day of the tier's period, its metric, and its last day.
    pub tier_period: Day,
    pub tier_metric: i64,
    pub tier_until: Day,
    pub programme: u32,
    pub enrolled_at: Millis,
    pub good_until: Millis,
}

impl View {
    /// Of a member that has nothing due at `now`.
    #[must_use]
    pub fn of(member: &Member, programme: &Programme, now: Millis) -> Self {
        let today = Day::at(now, &programme.zone);
        let period = member.tier.period(&programme.tiers, today);
        let next = member.tier.next(&programme.tiers, period);
        Self {
            seq: member.seq,
            figures: programme.numbers().map(|wallet| member.figures(wallet)).collect(),
            tier: member.tier.held(now),
            tier_period: period,
            tier_metric: member.tier.sum(&programme.tiers, period, &[]),
            tier_until: next.plus(-1),
            programme: programme.version,
            enrolled_at: member.enrolled_at,
            good_until: member.next_due(programme).min(next.start(&programme.zone)),
        }
    }
}
