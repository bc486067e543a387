//! The state as it is, with the events so far folded in as far as a decision looks.

use std::borrow::Cow;
use std::sync::Arc;

use crate::ids::LotId;
use crate::member::Member;
use crate::number::Currency;
use crate::programme::Programme;
use crate::record::{Asked, Body, Event, Figures, HoldEnd, Record, Standing, TierWhy, Unlock};
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
    /// Copied at the first event that changes a lot which is there already: an ordinary purchase only
    /// adds one, and must not cost more for a member with many.
    wallet: Cow<'a, Wallet>,
    /// Events that `wallet` has folded in.
    folded: usize,
    figures: Figures,
    tier: u8,
    lots: u16,
}

impl<'a> Draft<'a> {
    pub(super) fn new(member: &'a Member, context: &'a Context<'a>) -> Result<Self, Rejection> {
        let programme = context.programmes.current().cloned();
        let programme = programme.ok_or_else(|| Rejection::new(Code::NotSupported, "", "no programme is loaded on this node"))?;
        Ok(Self {
            member,
            context,
            now: member.now(context.now),
            programme,
            events: Vec::new(),
            wallet: Cow::Borrowed(&member.wallet),
            folded: 0,
            figures: member.wallet.figures,
            tier: member.tier.level,
            lots: 0,
        })
    }

    /// Number of the record in the making.
    pub(super) fn seq(&self) -> u32 {
        u32::try_from(self.member.seq + 1).unwrap_or(u32::MAX)
    }

    pub(super) fn figures(&self) -> Figures {
        self.figures
    }

    pub(super) fn emit(&mut self, event: Event) {
        self.figures.apply(&event);
        if let Event::TierChanged { to, .. } = event {
            self.tier = to;
        }
        self.events.push(event);
    }

    /// The wallet with every event so far.
    pub(super) fn wallet(&mut self) -> &Wallet {
        if self.folded < self.events.len() {
            let seq = self.member.seq + 1;
            let wallet = self.wallet.to_mut();
            for event in &self.events[self.folded..] {
                wallet.apply(seq, event);
            }
            self.folded = self.events.len();
        }
        &self.wallet
    }

    /// A new lot of this record.
    pub(super) fn new_lot(&mut self) -> LotId {
        self.lots += 1;
        LotId { seq: self.seq(), n: self.lots - 1 }
    }

    /// Posts what time has brought about: ends of holds, expiries, ends of tier periods.
    pub(super) fn post_due(&mut self) {
        if !self.member.exists() || self.now < self.member.next_due(&self.programme) {
            return;
        }
        let now = self.now;
        let over: Vec<_> = self.wallet().holds.iter().filter(|hold| hold.expires_at <= now).cloned().collect();
        for hold in over {
            self.release(&hold, HoldEnd::Expired);
        }
        self.post_unlocks();
        self.post_expiries();
        let programme = self.programme.clone();
        for event in self.member.tier.reviews(&programme.tiers, &programme.zone, now) {
            self.emit(event);
        }
    }

    /// Pending points whose day has come; what waited for an event past its deadline lapses.
    fn post_unlocks(&mut self) {
        let now = self.now;
        let mut over: Vec<_> = self.wallet().waiting.iter().filter(|(_, unlock)| due(*unlock) <= now).copied().collect();
        over.sort_by_key(|(lot, unlock)| (due(*unlock), lot.id));
        for (lot, unlock) in over {
            match unlock {
                Unlock::At(at) => {
                    super::deliver::activate(self, &lot, at);
                    self.meet_debt();
                }
                Unlock::Delivery { .. } | Unlock::LastLine { .. } => self.emit(Event::Lapsed { lot: lot.id, points: lot.left }),
            }
        }
    }

    fn post_expiries(&mut self) {
        let now = self.now;
        let over: Vec<_> = self.wallet().live.iter().take_while(|lot| lot.expires_at <= now).copied().collect();
        for lot in over {
            self.emit(Event::Expired { lot: lot.id, points: lot.free(), at: lot.expires_at });
        }
    }

    /// Tier held at an instant, with the ends of periods that are posted with this record.
    pub(super) fn tier_at(&self, instant: Millis) -> u8 {
        let posted = self.events.iter().rev().find_map(|event| match *event {
            Event::TierChanged { to, at, why: TierWhy::PeriodEnded, .. } if at <= instant => Some(to),
            _ => None,
        });
        posted.unwrap_or_else(|| self.member.tier.at(instant))
    }

    /// Gives a hold's points back to their lots; what is past its time expires at once, or lives on for the grace.
    pub(super) fn release(&mut self, hold: &crate::wallet::Hold, end: HoldEnd) {
        let grace = i64::from(self.programme.wallet.grace_days) * DAY_MS;
        let now = self.now;
        for (lot, points) in &hold.lots {
            self.emit(Event::Released { hold: hold.seq, lot: *lot, points: *points });
            let expires_at = self.wallet().lot(*lot).map_or(now, |lot| lot.expires_at);
            // The grace counts from the release; a hold may end long before anyone asks.
            let released = if end == HoldEnd::Expired { hold.expires_at } else { self.now };
            if expires_at <= released && released.saturating_add(grace) <= self.now {
                // Whatever becomes available meets debt first, however briefly it lives.
                self.meet_debt();
                self.expire(*lot, *points, released.saturating_add(grace));
            } else if expires_at <= released {
                // Given a new time by coming back; nothing but the time changes.
                let (id, at) = (*lot, released + grace);
                let activated_at = self.wallet().lot(id).map_or(now, |lot| lot.activated_at);
                self.emit(Event::Reinstated { lot: id, points: 0, activated_at, expires_at: at });
            }
        }
        self.emit(Event::HoldEnded { hold: hold.seq, end });
        self.meet_debt();
    }

    /// Expires what is left of so many points that have just come to a lot.
    pub(super) fn expire(&mut self, lot: LotId, points: i64, at: Millis) {
        let points = self.wallet().lot(lot).map_or(0, Lot::free).min(points);
        if points > 0 {
            self.emit(Event::Expired { lot, points, at });
        }
    }

    /// Takes points for a redemption of this record, in the order of spending.
    pub(super) fn spend(&mut self, points: i64, field: &str) -> Result<(), Rejection> {
        self.enough(points, field)?;
        for (lot, part) in self.wallet().take(points) {
            self.emit(Event::Spent { lot: lot.id, points: part, activated_at: lot.activated_at, expires_at: lot.expires_at });
        }
        Ok(())
    }

    /// Whether so many points are available.
    pub(super) fn enough(&self, points: i64, field: &str) -> Result<(), Rejection> {
        if points <= self.figures.available {
            return Ok(());
        }
        let detail = format!("{points} points are asked for and {} are available; ask for fewer", self.figures.available);
        Err(Rejection::new(Code::InsufficientPoints, field, &detail))
    }

    /// Rule 14: active points that nothing holds first meet what their sale owes, then debt.
    pub(super) fn meet_debt(&mut self) {
        let owed = self.wallet().owed.clone();
        for (sale, mut left) in owed {
            let lots: Vec<_> = self.wallet().live.iter().filter(|lot| lot.id.seq == sale).copied().collect();
            for lot in lots {
                let points = left.min(lot.free());
                if points > 0 {
                    self.emit(Event::OwedMet { sale, lot: lot.id, points });
                    left -= points;
                }
            }
        }
        let debt = self.figures.debt.min(self.figures.available);
        if debt > 0 {
            for (lot, points) in self.wallet().take(debt) {
                self.emit(Event::DebtRepaid { lot: lot.id, points });
            }
        }
    }

    /// Rule 4, rolling: a redemption moves every lot's expiry, only later.
    pub(super) fn roll_expiry(&mut self) {
        let rule = self.programme.wallet.expiry.filter(|rule| rule.rolling);
        if let Some(rule) = rule {
            let expires_at = expiry(self.now, rule.months, rule.round_up, &self.programme.zone);
            self.emit(Event::ExpiryMoved { expires_at });
        }
    }

    /// Rule 4, rolling: to where the purchases and redemptions so far have moved every lot's expiry.
    pub(super) fn rolled(&self, programme: &Programme) -> Millis {
        if programme.wallet.expiry.is_some_and(|rule| rule.rolling) { self.member.wallet.rolled } else { Millis::MIN }
    }

    /// Raises the tier at once if the metric now carries a higher one (rule 21).
    pub(super) fn upgrade(&mut self) {
        let programme = self.programme.clone();
        let changes = self.metric_changes();
        let carried = self.member.tier.carried(&programme.tiers, Day::at(self.now, &programme.zone), &changes);
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
    pub(super) fn room_used(&self, period: Day) -> i64 {
        let before = self.member.room.iter().find(|(day, _)| *day == period).map_or(0, |(_, used)| *used);
        let of = |event: &Event| match event {
            Event::RoomUsed { period: of, points } if *of == period => *points,
            _ => 0,
        };
        before + self.events.iter().map(of).sum::<i64>()
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

    /// Points asked for, directly or as money (rule 13), and what they are worth.
    pub(super) fn priced(&self, asked: Asked, field: &str) -> Result<(i64, Option<Currency>, i64), Rejection> {
        let (points, currency, value) = match asked {
            Asked::Points(points) => (points, None, 0),
            Asked::Money(currency, amount) => {
                let points = self.programme.points(amount, currency);
                let points = points.ok_or_else(|| {
                    Rejection::new(Code::CurrencyMismatch, field, &format!("points have no value in {currency:?}; the programme's [wallet.values] names the currencies"))
                })?;
                (points, Some(currency), amount)
            }
        };
        if points <= 0 {
            return Err(Rejection::new(Code::Invalid, field, "ask for at least one point"));
        }
        Ok((points, currency, value))
    }

    /// How far the metric has come in the period of now.
    pub(super) fn standing(&self) -> Standing {
        let (tier, rules) = (&self.member.tier, &self.programme.tiers);
        let period = tier.period(rules, Day::at(self.now, &self.programme.zone));
        Standing { metric: tier.sum(rules, period, &self.metric_changes()), until: tier.next(rules, period).plus(-1) }
    }

    /// Figures and tier as they stand.
    pub(super) fn outcome(&self) -> (Figures, u8) {
        (self.figures, self.tier)
    }

    /// Closes the draft.
    pub(super) fn record(self, header: u128, body: Body) -> Record {
        Record { at: self.now, programme: self.programme.version, header, body, events: self.events, after: self.figures, tier: self.tier }
    }
}
