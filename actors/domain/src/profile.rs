//! What a member says of itself, as far as rules ask for it, and what a sale found of its member.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use smallvec::SmallVec;

use crate::Text;
use crate::programme::Programme;
use crate::time::{Day, Millis};

/// The profile. Names and addresses are not part of it: no rule asks for them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Profile {
    /// IANA name of the member's own zone; empty: the programme's.
    pub zone: Text,
    /// Month and day.
    pub birthday: Option<(u8, u8)>,
    /// Ids of the segments it is in, sorted.
    pub segments: Vec<Text>,
}

/// What of a profile changes; `None`: stays.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Change {
    pub zone: Option<Text>,
    pub birthday: Option<Option<(u8, u8)>>,
    pub segments: Option<Vec<Text>>,
}

impl Profile {
    /// Folds a change in.
    pub fn apply(&mut self, change: &Change) {
        if let Some(zone) = &change.zone {
            self.zone = zone.clone();
        }
        if let Some(birthday) = change.birthday {
            self.birthday = birthday;
        }
        if let Some(segments) = &change.segments {
            self.segments.clone_from(segments);
        }
    }

    /// The member's local day at an instant, by its own zone if it has one (rule 22).
    #[must_use]
    pub fn day(&self, at: Millis, programme: &Programme) -> Day {
        let own = if self.zone.is_empty() { None } else { TimeZone::get(&self.zone).ok() };
        Day::at(at, own.as_ref().unwrap_or(&programme.zone))
    }

    /// What a sale finds.
    #[must_use]
    pub fn found(&self, programme: &Programme, at: Millis, tier: u8, first: bool) -> Found {
        let day = self.day(at, programme);
        let birthday = self.birthday.map_or(Birthday(0), |birthday| Birthday::on(birthday, day));
        let segments = (0_u16..).zip(&programme.segments).filter(|(_, id)| self.segments.binary_search(id).is_ok()).map(|(place, _)| place);
        Found { tier, first, day, birthday, segments: segments.collect() }
    }
}

/// What a sale found of its member; recorded with it, so that a return sees the same (rule 16).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Found {
    /// Tier held before the sale.
    pub tier: u8,
    /// Nothing had been bought before, of what had arrived by then.
    pub first: bool,
    /// The member's local day.
    pub day: Day,
    pub birthday: Birthday,
    /// Places of the segments of the programme version that it was in.
    pub segments: SmallVec<[u16; 0]>,
}

/// Which windows of the birthday a day lies in, a bit each. Stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Birthday(pub u8);

/// A window of the birthday.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BirthdayWindow {
    /// The day itself; 29 February is 28 February in other years.
    Day,
    /// The seven days that begin with it.
    Week,
    /// Its calendar month.
    Month,
}

impl Birthday {
    fn on((month, day_of_month): (u8, u8), day: Day) -> Self {
        let date = day.date();
        let in_year = |year: i16| {
            let first = Date::new(year, month.cast_signed(), 1).ok()?;
            Some(Day::of(first.with().day(day_of_month.cast_signed().min(first.days_in_month())).build().ok()?))
        };
        let since = [date.year(), date.year() - 1].into_iter().filter_map(in_year).map(|birthday| day.0 - birthday.0).find(|days| *days >= 0);
        let bit = |window: BirthdayWindow, holds: bool| if holds { Self::bit(window) } else { 0 };
        Self(
            bit(BirthdayWindow::Day, since == Some(0))
                | bit(BirthdayWindow::Week, since.is_some_and(|days| days < 7))
                | bit(BirthdayWindow::Month, date.month() == month.cast_signed()),
        )
    }

    fn bit(window: BirthdayWindow) -> u8 {
        match window {
            BirthdayWindow::Day => 1,
            BirthdayWindow::Week => 2,
            BirthdayWindow::Month => 4,
        }
    }

    /// Whether the day lies in a window.
    #[must_use]
    pub fn contains(self, window: BirthdayWindow) -> bool {
        self.0 & Self::bit(window) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_birthday_on_29_february_is_the_28th_in_other_years() {
        let on = |year, month, day| Birthday::on((2, 29), Day::of(Date::constant(year, month, day)));
        assert!(on(2028, 2, 29).contains(BirthdayWindow::Day) && !on(2028, 2, 28).contains(BirthdayWindow::Day));
        assert!(on(2026, 2, 28).contains(BirthdayWindow::Day));
        assert!(on(2026, 3, 6).contains(BirthdayWindow::Week) && !on(2026, 3, 7).contains(BirthdayWindow::Week));
        assert!(on(2026, 2, 1).contains(BirthdayWindow::Month) && !on(2026, 3, 1).contains(BirthdayWindow::Month));
        // The week of a birthday on New Year's Eve ends in the next year.
        let eve = Birthday::on((12, 31), Day::of(Date::constant(2027, 1, 6)));
        assert!(eve.contains(BirthdayWindow::Week) && !eve.contains(BirthdayWindow::Month));
    }
}
