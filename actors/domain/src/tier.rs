//! The tier (rule 21): a metric summed by period, the level it carries, and when that is looked at.

use jiff::tz::TimeZone;

use crate::ids::GoalKey;
use crate::programme::{TierPeriod, TierRules};
use crate::record::{Event, TierWhy};
use crate::time::{DAY_MS, Day, Millis, NEVER, Period};

/// A member's tier.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tier {
    pub level: u8,
    /// Since when which level was held, oldest first: a late sale earns by the tier of its time.
    pub history: Vec<(Millis, u8)>,
    /// First day of a period → metric.
    pub metric: Vec<(Day, i64)>,
    /// (store day, store) → sales with something kept.
    pub visits: Vec<(Day, u32, i32)>,
    /// Tiers given for a time, whatever the metric carries; those that ended are kept for late uploads.
    pub grants: Vec<Grant>,
    /// When a return last withdrew a tier: what was held before says nothing any more.
    pub withdrawn: Millis,
    /// First day of the period whose end the member was last told of.
    pub noticed: Day,
    /// First day of the period that was last looked at.
    pub reviewed: Day,
    pub enrolled: Day,
}

/// A tier given for a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grant {
    /// What gave it.
    pub goal: GoalKey,
    pub level: u8,
    pub since: Millis,
    pub until: Millis,
    /// Its end has been posted.
    pub ended: bool,
}

/// History is kept for late uploads (rule 2).
const KEEP_DAYS: i32 = 400;

impl Tier {
    /// Level held at an instant.
    #[must_use]
    pub fn at(&self, instant: Millis) -> u8 {
        let held = self.history.iter().rev().find(|(since, _)| *since <= instant).or(self.history.first());
        held.map_or(0, |(_, level)| *level).max(self.granted(instant))
    }

    /// Level held now: what the metric carries, or what was given.
    #[must_use]
    pub fn held(&self, now: Millis) -> u8 {
        self.level.max(self.granted(now))
    }

    /// Level given for a time, at an instant.
    #[must_use]
    pub fn granted(&self, at: Millis) -> u8 {
        self.grants.iter().filter(|grant| (grant.since..grant.until).contains(&at)).map(|grant| grant.level).max().unwrap_or(0)
    }

    /// When a tier that was given ends.
    #[must_use]
    pub fn next_grant_end(&self) -> Millis {
        self.grants.iter().filter(|grant| !grant.ended).map(|grant| grant.until).min().unwrap_or(NEVER)
    }

    /// First day of the period that holds `day`.
    #[must_use]
    pub fn period(&self, rules: &TierRules, day: Day) -> Day {
        match rules.period {
            TierPeriod::CalendarYear => Period::Year.start(day),
            TierPeriod::Rolling(_) => Period::Month.start(day),
            TierPeriod::AnniversaryYear => {
                // A sale from before the enrolment counts for the year that ends with it.
                let years = i32::from(day.date().year()) - i32::from(self.enrolled.date().year());
                let start = self.enrolled.plus_months(12 * years);
                if start <= day { start } else { self.enrolled.plus_months(12 * (years - 1)) }
            }
        }
    }

    /// First day of the period after `start`.
    #[must_use]
    pub fn next(&self, rules: &TierRules, start: Day) -> Day {
        match rules.period {
            TierPeriod::CalendarYear => Period::Year.next(start),
            TierPeriod::Rolling(_) => Period::Month.next(start),
            // Counted from the enrolment, so that 29 February comes back.
            TierPeriod::AnniversaryYear => self.period(rules, start.plus(366)).max(start.plus(1)),
        }
    }

    fn previous(&self, rules: &TierRules, start: Day) -> Day {
        self.period(rules, start.plus(-1))
    }

    /// The metric of the period that starts at `start`, with changes that are not folded in yet.
    #[must_use]
    pub fn sum(&self, rules: &TierRules, start: Day, changes: &[(Day, i64)]) -> i64 {
        let months = if let TierPeriod::Rolling(before) = rules.period { i32::from(before) } else { 0 };
        let first = if months > 0 { start.plus_months(-months) } else { start };
        let all = self.metric.iter().chain(changes);
        all.filter(|(day, _)| (first..=start).contains(day)).fold(0, |sum, (_, amount)| sum.saturating_add(*amount))
    }

    /// Highest level carried on `day` by this period or the last closed one, and while `grace` by the one before.
    #[must_use]
    pub fn carried(&self, rules: &TierRules, day: Day, changes: &[(Day, i64)]) -> u8 {
        let this = self.period(rules, day);
        let last = self.previous(rules, this);
        let mut best = self.sum(rules, this, changes).max(self.sum(rules, last, changes));
        if day < this.plus(rules.grace_days) {
            best = best.max(self.sum(rules, self.previous(rules, last), changes));
        }
        level(rules, best)
    }

    /// When the end of a period is next looked at: it ends at local midnight, plus the grace.
    #[must_use]
    pub fn next_review(&self, rules: &TierRules, zone: &TimeZone) -> Millis {
        if rules.levels.len() < 2 {
            return NEVER;
        }
        self.next(rules, self.reviewed).plus(rules.grace_days).start(zone)
    }

    /// The level that the next end of a period leaves, as things stand, and when that is.
    #[must_use]
    pub fn ahead(&self, rules: &TierRules, zone: &TimeZone) -> (u8, Millis) {
        let period = self.next(rules, self.reviewed);
        (self.after(rules, period), self.next_review(rules, zone))
    }

    fn after(&self, rules: &TierRules, period: Day) -> u8 {
        let carried = self.carried(rules, period.plus(rules.grace_days), &[]);
        let least = if rules.soft_landing { self.level.saturating_sub(1) } else { 0 };
        carried.max(least).min(self.level)
    }

    /// When the member is to be told of a downgrade; never, as long as none is coming.
    #[must_use]
    pub fn next_notice(&self, rules: &TierRules, zone: &TimeZone) -> Millis {
        if rules.notice_days == 0 || self.level == 0 || self.noticed >= self.next(rules, self.reviewed) {
            return NEVER;
        }
        let (to, at) = self.ahead(rules, zone);
        if to < self.level && at != NEVER { at - i64::from(rules.notice_days) * DAY_MS } else { NEVER }
    }

    /// The level that would be held today, had the metric of a period that is over always been what it is now: ends of periods
    /// since then are looked at again (rule 2). Never less than what is held.
    #[must_use]
    pub fn replayed(&self, rules: &TierRules, from: Day, zone: &TimeZone, changes: &[(Day, i64)]) -> u8 {
        let mut seen = self.clone();
        for (day, amount) in changes {
            seen.apply(&Event::Metric { period: *day, amount: *amount });
        }
        // As it was held in that period, or as that period now carries it.
        let last = self.next(rules, from).plus(-1);
        let then = self.history.iter().rev().find(|(since, _)| *since <= last.start(zone)).or(self.history.first()).map_or(0, |(_, level)| *level);
        let then = if self.withdrawn > last.start(zone) { 0 } else { then };
        seen.level = then.max(level(rules, seen.sum(rules, from, &[])));
        let mut period = self.next(rules, from);
        while period <= self.reviewed {
            seen.level = seen.after(rules, period);
            period = self.next(rules, period);
        }
        seen.level.max(self.level)
    }

    /// Events of the period ends up to `now`.
    #[must_use]
    pub fn reviews(&self, rules: &TierRules, zone: &TimeZone, now: Millis) -> Vec<Event> {
        let mut events = Vec::new();
        let mut seen = self.clone();
        while seen.next_review(rules, zone) <= now {
            let at = seen.next_review(rules, zone);
            let period = seen.next(rules, seen.reviewed);
            let to = seen.after(rules, period);
            if to != seen.level {
                events.push(Event::TierChanged { from: seen.level, to, at, why: TierWhy::PeriodEnded });
                seen.level = to;
            }
            seen.reviewed = period;
            if seen.level == 0 && seen.metric.iter().all(|(day, _)| *day < period.plus(-2 * 366)) {
                // Nothing left to lose: jump to the period of today.
                seen.reviewed = seen.period(rules, Day::at(now, zone).plus(-rules.grace_days)).max(period);
            }
        }
        if seen.reviewed != self.reviewed {
            events.push(Event::TierReviewed { period: seen.reviewed });
        }
        events
    }

    /// Folds one event in.
    pub fn apply(&mut self, event: &Event) {
        match *event {
            Event::Metric { period, amount } => match self.metric.iter_mut().find(|(day, _)| *day == period) {
                Some((_, sum)) => *sum = sum.saturating_add(amount),
                None => self.metric.push((period, amount)),
            },
            Event::Visit { day, store, count } => {
                match self.visits.iter_mut().find(|(d, s, _)| *d == day && *s == store) {
                    Some((_, _, seen)) => *seen += count,
                    None => self.visits.push((day, store, count)),
                }
                self.visits.retain(|(_, _, seen)| *seen > 0);
            }
            Event::TierChanged { to, at, why, .. } => {
                if why == TierWhy::Withdrawn {
                    self.withdrawn = at;
                }
                self.level = to;
                self.history.push((at, to));
            }
            Event::TierGranted { goal, level, since, until } => self.grants.push(Grant { goal, level, since, until, ended: false }),
            Event::TierGrantEnded { goal, since, at, .. } => {
                if let Some(grant) = self.grants.iter_mut().find(|grant| grant.goal == goal && grant.since == since && !grant.ended) {
                    grant.until = grant.until.min(at);
                    grant.ended = true;
                }
            }
            Event::TierNoticed { period, .. } => self.noticed = self.noticed.max(period),
            Event::TierReviewed { period } => {
                self.reviewed = period;
                // Of a rolling period of 36 months the last closed one and the one before it are looked at too.
                self.metric.retain(|(day, _)| *day >= period.plus(-4 * KEEP_DAYS));
                let old = period.plus(-2 * KEEP_DAYS);
                self.visits.retain(|(day, _, _)| *day >= old);
                self.grants.retain(|grant| !grant.ended || grant.until >= i64::from(old.0) * DAY_MS);
                let cut = self.history.iter().filter(|(since, _)| *since < i64::from(old.0) * DAY_MS).count();
                // The last one before the cut still says what was held at it.
                self.history.drain(..cut.saturating_sub(1));
            }
            _ => {}
        }
    }
}

/// The level that an amount reaches.
#[must_use]
pub fn level(rules: &TierRules, amount: i64) -> u8 {
    let reached = rules.levels.iter().skip(1).take_while(|level| amount >= level.threshold).count();
    u8::try_from(reached).unwrap_or(u8::MAX)
}
