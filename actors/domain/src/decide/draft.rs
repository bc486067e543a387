//! The state as it is, with the events so far folded in as far as a decision looks.

use std::borrow::Cow;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::campaigns::CampaignKey;
use crate::goals::{Progress, goal_of};
use crate::ids::{GoalKey, LotId, REWARDS};
use crate::member::Member;
use crate::number::Currency;
use crate::programme::Programme;
use crate::record::{Asked, Body, Event, Figures, HoldEnd, Movement, Record, Standing, TierWhy, Unlock};
use crate::time::{DAY_MS, Day, Millis, expiry};
use crate::wallet::{Lot, Wallet, due};
use crate::{Code, Rejection};

use super::Context;

/// See the module.
pub struct Draft<'a> {
    pub(super) member: &'a Member,
    pub(super) context: &'a Context<'a>,
    /// The member's own now.
    pub(super) now: Millis,
    /// The version that serves now.
    pub(super) programme: Arc<Programme>,
    events: Vec<Event>,
    desks: SmallVec<[Desk<'a>; 1]>,
    /// Events that the desks' wallets have folded in.
    folded: usize,
    /// What the metric carries; a grant may give more.
    tier: u8,
    lots: u16,
    rewards: u16,
    /// Taken from budgets: given back when the command is refused in the end.
    pub(super) taken: SmallVec<[(CampaignKey, i64); 0]>,
    /// The new lots of this record are other members'.
    pub(super) borrows: bool,
    /// Progress of goals with what a part of another member's state adds to it.
    pub(super) joined: Vec<Progress>,
    /// Goals that this record has touched, with the version and the time by which they count.
    pub(super) goals: Vec<(Arc<Programme>, u16, Millis)>,
}

/// A wallet in the making.
struct Desk<'a> {
    /// Copied at the first event that changes a lot which is there already: an ordinary purchase only
    /// adds one, and must not cost more for a member with many.
    wallet: Cow<'a, Wallet>,
    /// With every event so far.
    figures: Figures,
    touched: bool,
}

impl<'a> Draft<'a> {
    pub(super) fn new(member: &'a Member, context: &'a Context<'a>) -> Result<Self, Rejection> {
        let programme = context.programmes.current().cloned();
        let programme = programme.ok_or_else(|| Rejection::new(Code::NotSupported, "", "no programme is loaded on this node"))?;
        let count = programme.wallets.len().max(member.wallets.len());
        let desk = |place: usize| match member.wallets.get(place) {
            Some(wallet) => Desk { wallet: Cow::Borrowed(wallet), figures: wallet.figures, touched: place == 0 },
            None => Desk { wallet: Cow::Owned(Wallet::default()), figures: Figures::default(), touched: place == 0 },
        };
        Ok(Self {
            desks: (0..count).map(desk).collect(),
            member,
            context,
            now: member.now(context.now),
            programme,
            events: Vec::new(),
            folded: 0,
            tier: member.tier.level,
            lots: 0,
            rewards: 0,
            taken: SmallVec::new(),
            borrows: false,
            joined: Vec::new(),
            goals: Vec::new(),
        })
    }

    /// Number of the record in the making.
    pub(super) fn seq(&self) -> u32 {
        u32::try_from(self.member.seq + 1).unwrap_or(u32::MAX)
    }

    /// Whether nothing has happened.
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The wallets by their places.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u8> + use<> {
        (0_u8..).take(self.desks.len())
    }

    pub(super) fn figures(&self, wallet: u8) -> Figures {
        self.desks[usize::from(wallet)].figures
    }

    pub(super) fn emit(&mut self, event: Event) {
        match event {
            Event::Points(wallet, movement) => {
                let desk = &mut self.desks[usize::from(wallet)];
                desk.figures.apply(&movement);
                desk.touched = true;
            }
            Event::TierChanged { to, .. } => self.tier = to,
            _ => {}
        }
        self.events.push(event);
    }

    /// Emits a movement of points in a wallet.
    pub(super) fn moves(&mut self, wallet: u8, movement: Movement) {
        self.emit(Event::Points(wallet, movement));
    }

    /// A wallet with every event so far.
    pub(super) fn wallet(&mut self, wallet: u8) -> &Wallet {
        let seq = self.member.seq + 1;
        for event in &self.events[self.folded..] {
            if let Event::Points(of, movement) = event {
                self.desks[usize::from(*of)].wallet.to_mut().apply(seq, movement);
            }
        }
        self.folded = self.events.len();
        &self.desks[usize::from(wallet)].wallet
    }

    /// Takes the lots of another member's wallet over.
    pub(super) fn takes_over(&mut self, wallet: u8, part: &Wallet) {
        self.wallet(wallet);
        self.desks[usize::from(wallet)].wallet.to_mut().join(part);
        if part.figures != Figures::default() {
            self.moves(wallet, Movement::MergedIn(part.figures));
        }
    }

    /// The level that the metric carries, with every event so far.
    pub(super) fn carried(&self) -> u8 {
        self.tier
    }

    /// A new lot of this record.
    pub(super) fn new_lot(&mut self) -> LotId {
        self.lots += 1;
        LotId { seq: self.seq(), n: self.lots - 1 }
    }

    /// The events so far.
    pub(super) fn events(&self) -> &[Event] {
        &self.events
    }

    /// A new lot of this record that is an origin of its own: a reward, or what an allowance overdrew.
    pub(super) fn apart_lot(&mut self) -> LotId {
        self.rewards += 1;
        LotId { seq: self.seq(), n: REWARDS + self.rewards - 1 }
    }

    /// How far the member has come with a goal, with every event so far.
    pub(super) fn progress(&self, goal: GoalKey) -> Progress {
        let joined = self.joined.iter().find(|joined| joined.key == goal);
        let mut progress = joined.or_else(|| self.member.progress(goal)).cloned().unwrap_or_else(|| Progress { key: goal, ..Progress::default() });
        for event in self.events.iter().filter(|event| goal_of(event) == Some(goal)) {
            progress.apply(event, self.now);
        }
        progress
    }

    /// Posts what time has brought about: ends of holds, expiries, ends of tier periods.
    pub(super) fn post_due(&mut self) {
        if !self.member.exists() || self.now < self.member.next_due(&self.programme) {
            return;
        }
        let now = self.now;
        for wallet in self.numbers() {
            let over: Vec<_> = self.wallet(wallet).holds.iter().filter(|hold| hold.expires_at <= now).cloned().collect();
            for hold in over {
                self.release(wallet, &hold, HoldEnd::Expired);
            }
            self.post_unlocks(wallet);
            self.post_expiries(wallet);
            self.post_notice(wallet);
        }
        for (seq, since) in &self.member.waiting {
            if since + crate::member::WAIT <= now {
                self.emit(Event::ReturnLapsed { seq: u64::from(*seq) });
            }
        }
        let programme = self.programme.clone();
        for event in self.member.tier.reviews(&programme.tiers, &programme.zone, now) {
            self.emit(event);
        }
        let seen = {
            let mut tier = self.member.tier.clone();
            self.events.iter().for_each(|event| tier.apply(event));
            tier
        };
        if seen.next_notice(&programme.tiers, &programme.zone) <= now {
            let (to, at) = seen.ahead(&programme.tiers, &programme.zone);
            self.emit(Event::TierNoticed { period: seen.next(&programme.tiers, seen.reviewed), to, at });
        }
        for grant in self.member.tier.grants.iter().filter(|grant| !grant.ended && grant.until <= now) {
            self.emit(Event::TierGrantEnded { goal: grant.goal, level: grant.level, since: grant.since, at: grant.until });
        }
    }

    /// Pending points whose day has come; what waited for an event past its deadline lapses.
    fn post_unlocks(&mut self, wallet: u8) {
        let now = self.now;
        let mut over: Vec<_> = self.wallet(wallet).waiting.iter().filter(|(_, unlock)| due(*unlock) <= now).copied().collect();
        over.sort_by_key(|(lot, unlock)| (due(*unlock), lot.id));
        for (lot, unlock) in over {
            match unlock {
                Unlock::At(at) => {
                    super::deliver::activate(self, wallet, &lot, at);
                    self.meet_debt(wallet);
                }
                // The sale stands, so what it counts for the tier stays.
                Unlock::Delivery { .. } | Unlock::LastLine { .. } => self.moves(wallet, Movement::Lapsed { lot: lot.id, points: lot.left, at: due(unlock) }),
            }
        }
    }

    fn post_expiries(&mut self, wallet: u8) {
        let now = self.now;
        let over: Vec<_> = self.wallet(wallet).live.iter().take_while(|lot| lot.expires_at <= now).copied().collect();
        for lot in over {
            self.moves(wallet, Movement::Expired { lot: lot.id, points: lot.free(), at: lot.expires_at });
        }
    }

    /// Points that expire before long.
    fn post_notice(&mut self, wallet: u8) {
        let days = self.programme.wallet(wallet).expiry.map_or(0, |rule| rule.notice_days);
        let now = self.now;
        let by = now.saturating_add(i64::from(days) * DAY_MS);
        let seen = self.wallet(wallet);
        if seen.next_notice(days) > now {
            return;
        }
        let noticed = seen.noticed;
        let soon: Vec<_> = seen.live.iter().filter(|lot| lot.expires_at > noticed && lot.expires_at <= by).map(|lot| (lot.free(), lot.expires_at)).collect();
        let points = soon.iter().map(|(points, _)| points).sum();
        if let Some((_, until)) = soon.last() {
            self.moves(wallet, Movement::Noticed { points, until: *until });
        }
    }

    /// Tier held at an instant, with the ends of periods that are posted with this record.
    pub(super) fn tier_at(&self, instant: Millis) -> u8 {
        let posted = self.events.iter().rev().find_map(|event| match *event {
            Event::TierChanged { to, at, why: TierWhy::PeriodEnded, .. } if at <= instant => Some(to),
            _ => None,
        });
        posted.map_or_else(|| self.member.tier.at(instant), |carried| carried.max(self.member.tier.granted(instant)))
    }

    /// Gives a hold's points back to their lots; what is past its time expires at once, or lives on for the grace.
    pub(super) fn release(&mut self, wallet: u8, hold: &crate::wallet::Hold, end: HoldEnd) {
        let grace = i64::from(self.programme.wallet(wallet).grace_days) * DAY_MS;
        let now = self.now;
        for (lot, points) in &hold.lots {
            self.moves(wallet, Movement::Released { hold: hold.seq, lot: *lot, points: *points });
            if self.goes_home(wallet, *lot, *points) {
                continue;
            }
            let expires_at = self.wallet(wallet).lot(*lot).map_or(now, |lot| lot.expires_at);
            // The grace counts from the release; a hold may end long before anyone asks.
            let released = if end == HoldEnd::Expired { hold.expires_at } else { self.now };
            if expires_at <= released && released.saturating_add(grace) <= self.now {
                // Whatever becomes available meets debt first, however briefly it lives.
                self.meet_debt(wallet);
                self.expire(wallet, *lot, *points, released.saturating_add(grace));
            } else if expires_at <= released {
                // Given a new time by coming back; nothing but the time changes.
                let (id, at) = (*lot, released + grace);
                let activated_at = self.wallet(wallet).lot(id).map_or(now, |lot| lot.activated_at);
                self.moves(wallet, Movement::Reinstated { lot: id, points: 0, activated_at, expires_at: at });
            }
        }
        self.moves(wallet, Movement::HoldEnded { hold: hold.seq, end });
        self.meet_debt(wallet);
    }

    /// Free points of a lot that another member has lent go back to it at once; whether it is one.
    pub(super) fn goes_home(&mut self, wallet: u8, lot: LotId, points: i64) -> bool {
        let lent = (self.borrows && lot.seq == self.seq()) || self.member.pool.as_ref().is_some_and(|pool| pool.loan(lot).is_some());
        if lent {
            self.moves(wallet, Movement::SentHome { lot, points });
        }
        lent
    }

    /// Whether this record has confirmed a hold already.
    pub(super) fn confirmed(&self, hold: u64) -> bool {
        self.events.iter().any(|event| matches!(event, Event::Points(_, Movement::HoldEnded { hold: ended, end: HoldEnd::Confirmed }) if u64::from(*ended) == hold))
    }

    /// Expires what is left of so many points that have just come to a lot.
    pub(super) fn expire(&mut self, wallet: u8, lot: LotId, points: i64, at: Millis) {
        let points = self.wallet(wallet).lot(lot).map_or(0, Lot::free).min(points);
        if points > 0 {
            self.moves(wallet, Movement::Expired { lot, points, at });
        }
    }

    /// Takes points for a redemption of this record, in the order of spending. One from before a posted expiry reinstates
    /// what it needs (rule 2).
    pub(super) fn spend(&mut self, wallet: u8, points: i64, at: Millis, field: &str) -> Result<(), Rejection> {
        if at < self.now && points > self.figures(wallet).available {
            self.reinstate(wallet, points - self.figures(wallet).available, at);
        }
        self.enough(wallet, points, field)?;
        for (lot, part) in self.wallet(wallet).take(points) {
            self.moves(wallet, Movement::Spent { lot: lot.id, points: part, activated_at: lot.activated_at, expires_at: lot.expires_at });
        }
        Ok(())
    }

    /// Up to so many points that had expired, of lots that were valid at an instant.
    pub(super) fn reinstate(&mut self, wallet: u8, points: i64, at: Millis) {
        let mut left = points;
        for lot in self.wallet(wallet).expired_since(at) {
            let part = left.min(lot.expired);
            if part > 0 {
                self.moves(wallet, Movement::Unexpired { lot: lot.id, points: part, expires_at: lot.expires_at });
                left -= part;
            }
        }
    }

    /// Rolling expiry of something that happened earlier: what had been posted as expired by then lives on (rule 2).
    pub(super) fn roll(&mut self, wallet: u8, at: Millis, expires_at: Millis) {
        let back: Vec<_> = if at < self.now && expires_at > self.now { self.wallet(wallet).expired_since(at) } else { Vec::new() };
        self.moves(wallet, Movement::ExpiryMoved { expires_at });
        for lot in back {
            self.moves(wallet, Movement::Unexpired { lot: lot.id, points: lot.expired, expires_at: lot.expires_at.max(expires_at) });
        }
    }

    /// Whether so many points are available.
    pub(super) fn enough(&self, wallet: u8, points: i64, field: &str) -> Result<(), Rejection> {
        let available = self.figures(wallet).available;
        if points <= available {
            return Ok(());
        }
        let detail = format!("{points} points are asked for and {available} are available; ask for fewer");
        Err(Rejection::new(Code::InsufficientPoints, field, &detail))
    }

    /// Rule 14: active points that nothing holds first meet what their sale owes, then debt.
    pub(super) fn meet_debt(&mut self, wallet: u8) {
        let owed = self.wallet(wallet).owed.clone();
        for (of, mut left) in owed {
            let lots: Vec<_> = self.wallet(wallet).live.iter().filter(|lot| lot.id.origin() == of).copied().collect();
            for lot in lots {
                let points = left.min(lot.free());
                if points > 0 {
                    self.moves(wallet, Movement::OwedMet { of, lot: lot.id, points });
                    left -= points;
                }
            }
        }
        let figures = self.figures(wallet);
        let debt = figures.debt.min(figures.available);
        if debt > 0 {
            for (lot, points) in self.wallet(wallet).take(debt) {
                self.moves(wallet, Movement::DebtRepaid { lot: lot.id, points });
            }
        }
    }

    /// Rule 4, rolling: a redemption moves every lot's expiry, only later.
    pub(super) fn roll_expiry(&mut self, wallet: u8) {
        let rule = self.programme.wallet(wallet).expiry.filter(|rule| rule.rolling);
        if let Some(rule) = rule {
            let expires_at = expiry(self.now, rule.months, rule.round_up, &self.programme.zone);
            self.roll(wallet, self.now, expires_at);
        }
    }

    /// Rule 4, rolling: to where the purchases and redemptions so far have moved every lot's expiry.
    pub(super) fn rolled(&self, wallet: u8, programme: &Programme) -> Millis {
        let rolling = programme.wallet(wallet).expiry.is_some_and(|rule| rule.rolling);
        let moved = self.member.wallets.get(usize::from(wallet)).filter(|_| rolling);
        moved.map_or(Millis::MIN, |wallet| wallet.rolled)
    }

    /// Raises the tier at once if the metric now carries a higher one (rule 21), or would carry it still, had what counts
    /// for `period` come in its time (rule 2).
    pub(super) fn upgrade(&mut self, period: Day) {
        let programme = self.programme.clone();
        let changes = self.metric_changes();
        // As it stands with the ends of periods that are posted with this record.
        let mut tier = Cow::Borrowed(&self.member.tier);
        self.events.iter().filter(|event| matches!(event, Event::TierChanged { .. } | Event::TierReviewed { .. })).for_each(|event| tier.to_mut().apply(event));
        let mut carried = tier.carried(&programme.tiers, Day::at(self.now, &programme.zone), &changes);
        if period < tier.reviewed {
            carried = carried.max(tier.replayed(&programme.tiers, period, &programme.zone, &changes));
        }
        if carried > self.tier {
            self.emit(Event::TierChanged { from: self.tier, to: carried, at: self.now, why: TierWhy::Reached });
        }
    }

    /// Withdraws the tier at once if what came back has broken it (rule 21). One that is held by something
    /// else than the metric (soft landing) stays.
    pub(super) fn withdraw(&mut self) {
        let programme = self.programme.clone();
        let changes = self.metric_changes();
        let today = Day::at(self.now, &programme.zone);
        // As it was before the last change: an exchange may take from several sales.
        let before = self.member.tier.carried(&programme.tiers, today, &changes[..changes.len().saturating_sub(1)]);
        let after = self.member.tier.carried(&programme.tiers, today, &changes);
        if after < before && self.tier == before {
            self.emit(Event::TierChanged { from: self.tier, to: after, at: self.now, why: TierWhy::Withdrawn });
        }
    }

    /// Points that count for the member's cap of a period, this record's changes included: what comes back in an
    /// exchange makes room for what is sold in it.
    pub(super) fn room_used(&self, wallet: u8, period: Day) -> i64 {
        let before = self.member.room.iter().find(|(of, day, _)| *of == wallet && *day == period).map_or(0, |(_, _, used)| *used);
        let of = |event: &Event| match event {
            Event::RoomUsed { wallet: of, period: day, points } if *of == wallet && *day == period => *points,
            _ => 0,
        };
        before + self.events.iter().map(of).sum::<i64>()
    }

    /// What the member has got of a campaign, this record's changes included.
    pub(super) fn campaign_got(&self, campaign: CampaignKey) -> i64 {
        let of = |event: &Event| if let Event::CampaignUsed { campaign: of, points, .. } = event { Some(*points).filter(|_| *of == campaign) } else { None };
        self.member.campaigns.of(campaign) + self.events.iter().filter_map(of).sum::<i64>()
    }

    /// Sales of a store day with something kept, this record's changes included.
    pub(super) fn visits(&self, day: Day, store: u32) -> i32 {
        let before = self.member.tier.visits.iter().find(|(d, s, _)| *d == day && *s == store).map_or(0, |(_, _, count)| *count);
        let of = |event: &Event| match event {
            Event::Visit { day: d, store: s, count } if *d == day && *s == store => *count,
            _ => 0,
        };
        before + self.events.iter().map(of).sum::<i32>()
    }

    fn metric_changes(&self) -> Vec<(Day, i64)> {
        self.events.iter().filter_map(|event| if let Event::Metric { period, amount } = event { Some((*period, *amount)) } else { None }).collect()
    }

    /// How far the metric has come in the period of now.
    pub(super) fn standing(&self) -> Standing {
        let (tier, rules) = (&self.member.tier, &self.programme.tiers);
        let period = tier.period(rules, Day::at(self.now, &self.programme.zone));
        Standing { metric: tier.sum(rules, period, &self.metric_changes()), until: tier.next(rules, period).plus(-1) }
    }

    /// The tier as it stands: what the metric carries, or what was given.
    fn tier_held(&self) -> u8 {
        if self.member.tier.grants.is_empty() && !self.events.iter().any(|event| matches!(event, Event::TierGranted { .. })) {
            return self.tier;
        }
        let mut tier = crate::tier::Tier { level: self.tier, grants: self.member.tier.grants.clone(), ..crate::tier::Tier::default() };
        self.events.iter().filter(|event| matches!(event, Event::TierGranted { .. } | Event::TierGrantEnded { .. })).for_each(|event| tier.apply(event));
        tier.held(self.now)
    }

    /// Figures by wallet, and the tier, as they stand.
    pub(super) fn outcome(&self) -> (SmallVec<[Figures; 1]>, u8) {
        (self.desks.iter().map(|desk| desk.figures).collect(), self.tier_held())
    }

    /// Closes the draft.
    pub(super) fn record(self, header: u128, body: Body) -> Record {
        let after = (0_u8..).zip(&self.desks).filter(|(_, desk)| desk.touched).map(|(number, desk)| (number, desk.figures)).collect();
        let tier = self.tier_held();
        Record { at: self.now, programme: self.programme.version, header, body, events: self.events, after, tier }
    }
}

/// Points asked for, directly or as money (rule 13), and what they are worth.
pub(super) fn priced(programme: &Programme, wallet: u8, asked: Asked, field: &str) -> Result<(i64, Option<Currency>, i64), Rejection> {
    let (points, currency, value) = match asked {
        Asked::Points(points) => (points, None, 0),
        Asked::Money(currency, amount) => {
            let points = programme.points(wallet, amount, currency);
            let points = points.ok_or_else(|| {
                Rejection::new(Code::CurrencyMismatch, field, &format!("points have no value in {currency:?}; the wallet's values in the programme name the currencies"))
            })?;
            (points, Some(currency), amount)
        }
    };
    if points <= 0 {
        return Err(Rejection::new(Code::Invalid, field, "ask for at least one point"));
    }
    Ok((points, currency, value))
}
