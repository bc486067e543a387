//! Instants, local days, windows and periods in IANA zones.

use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, AmbiguousTimestamp, TimeZone};
use jiff::{Timestamp, ToSpan};

/// Milliseconds since 1970-01-01T00:00Z.
pub type Millis = i64;

/// A local calendar day, counted from 1970-01-01.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Day(pub i32);

/// "Never" for an instant that is compared.
pub const NEVER: Millis = i64::MAX;
/// Milliseconds of 24 hours.
pub const DAY_MS: Millis = 86_400_000;

const EPOCH: Date = Date::constant(1970, 1, 1);

impl Day {
    /// The civil date; the ends of the calendar stand for what lies beyond it.
    #[must_use]
    pub fn date(self) -> Date {
        EPOCH.checked_add(i64::from(self.0).days()).unwrap_or(if self.0 < 0 { Date::MIN } else { Date::MAX })
    }

    /// The day of a civil date.
    #[must_use]
    pub fn of(date: Date) -> Self {
        let days = EPOCH.until(date).map_or(0, |span| span.get_days());
        Self(days)
    }

    /// The local day of an instant.
    #[must_use]
    pub fn at(instant: Millis, zone: &TimeZone) -> Self {
        Self::of(zone.to_datetime(timestamp(instant)).date())
    }

    /// The first instant of this day: in a gap the first valid one, in an overlap the earlier.
    #[must_use]
    pub fn start(self, zone: &TimeZone) -> Millis {
        Moment::Local(self.date().at(0, 0, 0, 0)).start(zone)
    }

    /// Days later.
    #[must_use]
    pub fn plus(self, days: i32) -> Self {
        Self(self.0.saturating_add(days))
    }

    /// Months later, clamped to the month's end.
    #[must_use]
    pub fn plus_months(self, months: i32) -> Self {
        self.date().checked_add(i64::from(months).months()).map_or(self, Self::of)
    }
}

/// An end of a window: an instant, or a local time that each store's zone makes its own instant of (rule 3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moment {
    At(Millis),
    Local(DateTime),
}

/// Minutes of the local day that have passed at an instant, 0 to 1,439.
#[must_use]
pub fn minute_of_day(instant: Millis, zone: &TimeZone) -> u16 {
    let time = zone.to_datetime(timestamp(instant)).time();
    u16::from(time.hour().unsigned_abs()) * 60 + u16::from(time.minute().unsigned_abs())
}

impl Moment {
    /// As the start of a window: of two instants the earlier; in a gap the first valid one.
    #[must_use]
    pub fn start(self, zone: &TimeZone) -> Millis {
        self.instant(zone, |ambiguous| ambiguous.compatible())
    }

    /// As the end of a window: of two instants the later; in a gap the first valid one.
    #[must_use]
    pub fn end(self, zone: &TimeZone) -> Millis {
        self.instant(zone, |ambiguous| ambiguous.later())
    }

    fn instant(self, zone: &TimeZone, choose: impl FnOnce(AmbiguousTimestamp) -> Result<Timestamp, jiff::Error>) -> Millis {
        let local = match self {
            Self::At(at) => return at,
            Self::Local(local) => local,
        };
        let ambiguous = zone.to_ambiguous_timestamp(local);
        let gap = matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. });
        let Ok(chosen) = choose(ambiguous) else { return NEVER };
        // In a gap it lies somewhere behind the change of the clocks, which is the first valid instant.
        let change = gap.then(|| zone.preceding(chosen.saturating_add(1.nanosecond()).unwrap_or(chosen)).next()).flatten();
        change.map_or(chosen, |change| change.timestamp()).as_millisecond()
    }
}

/// A clamped timestamp.
#[must_use]
pub fn timestamp(instant: Millis) -> Timestamp {
    Timestamp::from_millisecond(instant).unwrap_or(if instant < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// To what end an expiry date is rounded up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RoundUp {
    /// Not rounded.
    #[default]
    Day,
    /// To the last day of the month.
    Month,
    /// … of the quarter.
    Quarter,
    /// … of the half-year.
    HalfYear,
    /// … of the year.
    Year,
}

/// Rule 4: the local day `months` after `from`, rounded up; points are valid until the *next* day starts.
#[must_use]
pub fn expiry(from: Millis, months: i32, round: RoundUp, zone: &TimeZone) -> Millis {
    let day = Day::at(from, zone).plus_months(months);
    let date = day.date();
    let month = match round {
        RoundUp::Day => return day.plus(1).start(zone),
        RoundUp::Month => date.month(),
        RoundUp::Quarter => (date.month() + 2) / 3 * 3,
        RoundUp::HalfYear => (date.month() + 5) / 6 * 6,
        RoundUp::Year => 12,
    };
    let last = Date::new(date.year(), month, 1).map_or(date, Date::last_of_month);
    Day::of(last).plus(1).start(zone)
}

/// A calendar period.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Period {
    /// A local day.
    Day,
    /// Monday to Sunday.
    Week,
    /// A calendar month.
    Month,
    /// A calendar year.
    Year,
}

impl Period {
    /// First day of the period that holds `day`.
    #[must_use]
    pub fn start(self, day: Day) -> Day {
        let date = day.date();
        match self {
            Self::Day => day,
            Self::Week => day.plus(-i32::from(date.weekday().to_monday_zero_offset())),
            Self::Month => Day::of(date.first_of_month()),
            Self::Year => Day::of(date.first_of_year()),
        }
    }

    /// First day of the period after the one that starts at `start`.
    #[must_use]
    pub fn next(self, start: Day) -> Day {
        match self {
            Self::Day => start.plus(1),
            Self::Week => start.plus(7),
            Self::Month => start.plus_months(1),
            Self::Year => start.plus_months(12),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).expect("bundled zone")
    }

    fn at(text: &str) -> Millis {
        text.parse::<Timestamp>().expect("timestamp").as_millisecond()
    }

    #[test]
    fn rule_04_expiry_clamps_rounds_and_starts_the_next_day() {
        let berlin = zone("Europe/Berlin");
        let expires = |from: &str, months, round| timestamp(expiry(at(from), months, round, &berlin)).to_string();
        // 31 January + 1 month = 28 February, valid through that day.
        assert_eq!(expires("2026-01-31T12:00:00Z", 1, RoundUp::Day), "2026-02-28T23:00:00Z");
        assert_eq!(expires("2028-01-31T12:00:00Z", 1, RoundUp::Day), "2028-02-29T23:00:00Z");
        assert_eq!(expires("2026-02-10T12:00:00Z", 12, RoundUp::Quarter), "2027-03-31T22:00:00Z");
        assert_eq!(expires("2026-07-10T12:00:00Z", 0, RoundUp::HalfYear), "2026-12-31T23:00:00Z");
        assert_eq!(expires("2026-07-10T12:00:00Z", 6, RoundUp::Year), "2027-12-31T23:00:00Z");
        // 23:30Z is already the next day in Berlin.
        assert_eq!(expires("2026-03-30T23:30:00Z", 0, RoundUp::Day), "2026-03-31T22:00:00Z");
    }

    #[test]
    fn rule_03_a_day_that_starts_in_a_gap_starts_at_the_first_valid_instant() {
        // Lebanon moves its clocks at midnight.
        let beirut = zone("Asia/Beirut");
        let day = Day::of(Date::constant(2026, 3, 29));
        assert_eq!(timestamp(day.start(&beirut)).to_string(), "2026-03-28T22:00:00Z");
        assert_eq!(Day::at(day.start(&beirut), &beirut), day);
        // Samoa had no 30 December 2011: the "day" starts when the next one does.
        let apia = zone("Pacific/Apia");
        let missing = Day::of(Date::constant(2011, 12, 30));
        assert_eq!(missing.start(&apia), missing.plus(1).start(&apia));
    }

    #[test]
    fn rule_03_windows_take_the_earlier_start_the_later_end_and_the_first_valid_instant() {
        let new_york = zone("America/New_York");
        let local = |text: &str| Moment::Local(text.parse().expect("a local time"));
        let shown = |at: Millis| timestamp(at).to_string();
        // 01:30 comes twice on 1 November 2026.
        assert_eq!(shown(local("2026-11-01T01:30").start(&new_york)), "2026-11-01T05:30:00Z");
        assert_eq!(shown(local("2026-11-01T01:30").end(&new_york)), "2026-11-01T06:30:00Z");
        // 02:30 does not come on 8 March 2026: 03:00 does instead.
        for moment in [local("2026-03-08T02:30").start(&new_york), local("2026-03-08T02:30").end(&new_york)] {
            assert_eq!(shown(moment), "2026-03-08T07:00:00Z");
        }
        assert_eq!(shown(local("2026-07-01T00:00").start(&zone("America/Los_Angeles"))), "2026-07-01T07:00:00Z");
        assert_eq!(Moment::At(5).end(&new_york), 5);
    }

    /// Clocks that change at midnight, at one, two or three, by half an hour, in the south, in the far east, and backwards for a month.
    const CHANGING: [&str; 12] = [
        "Europe/Berlin",
        "America/New_York",
        "America/St_Johns",
        "America/Havana",
        "America/Santiago",
        "Africa/Cairo",
        "Africa/Casablanca",
        "Asia/Beirut",
        "Asia/Jerusalem",
        "Australia/Lord_Howe",
        "Australia/Sydney",
        "Pacific/Chatham",
    ];

    #[test]
    fn rule_03_every_change_of_the_clocks_in_2026() {
        const MINUTE: Millis = 60_000;
        let mut changes = 0;
        for name in CHANGING {
            let zone = zone(name);
            let year = (at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
            for change in zone.following(timestamp(year.0)).map(|change| change.timestamp().as_millisecond()).take_while(|change| *change < year.1) {
                changes += 1;
                // Every local minute within three hours of the change, as the clock on the wall shows it, and the instants that show it.
                let shows = |instant: Millis| zone.to_datetime(timestamp(instant));
                let instants: Vec<Millis> = (-240..=240).map(|minutes| change + minutes * MINUTE).collect();
                let noon = shows(change - 180 * MINUTE).min(shows(change - MINUTE));
                for minutes in 0..360 {
                    let local = noon.checked_add(minutes.minutes()).expect("a local time");
                    let found: Vec<Millis> = instants.iter().copied().filter(|instant| shows(*instant) == local).collect();
                    let (start, end) = (Moment::Local(local).start(&zone), Moment::Local(local).end(&zone));
                    match found[..] {
                        // Skipped: the first valid instant, which is that of the change.
                        [] => assert_eq!((start, end), (change, change), "{name} {local} in a gap"),
                        [one] => assert_eq!((start, end), (one, one), "{name} {local}"),
                        [earlier, .., later] => assert_eq!((start, end), (earlier, later), "{name} {local} comes twice"),
                    }
                }
                // A day begins with the first instant that is in it, and points that expire with the day before are gone then.
                let days: std::collections::BTreeSet<Day> = instants.iter().map(|instant| Day::at(*instant, &zone)).collect();
                for day in days {
                    let start = day.start(&zone);
                    assert!(Day::at(start, &zone) == day && Day::at(start - 1, &zone) < day, "{name} {:?}", day.date());
                    assert_eq!(expiry(start - 1, 0, RoundUp::Day, &zone), start);
                }
            }
        }
        assert_eq!(changes, 24, "each of them changes twice in 2026");
    }

    #[test]
    fn rule_04_the_29th_of_february_and_a_day_that_was_skipped() {
        let berlin = zone("Europe/Berlin");
        let leap = at("2028-02-29T12:00:00Z");
        for (months, expires) in [(12, "2029-02-28T23:00:00Z"), (48, "2032-02-29T23:00:00Z"), (1, "2028-03-29T22:00:00Z")] {
            assert_eq!(timestamp(expiry(leap, months, RoundUp::Day, &berlin)).to_string(), expires);
        }
        // Samoa went from 29 to 31 December 2011: what was valid through the 29th, or the 30th, ends as the 31st begins.
        let apia = zone("Pacific/Apia");
        let after = at("2011-12-30T10:00:00Z");
        assert_eq!(Day::at(after, &apia).date().to_string(), "2011-12-31");
        assert_eq!(expiry(after - 1, 0, RoundUp::Day, &apia), after);
        assert_eq!(expiry(at("2011-11-30T12:00:00Z"), 1, RoundUp::Day, &apia), after);
        assert_eq!(Period::Day.next(Day::at(after - 1, &apia)).start(&apia), after);
    }

    #[test]
    fn periods() {
        let day = Day::of(Date::constant(2026, 11, 25));
        let starts = [Period::Day, Period::Week, Period::Month, Period::Year].map(|p| p.start(day).date().to_string());
        assert_eq!(starts, ["2026-11-25", "2026-11-23", "2026-11-01", "2026-01-01"]);
        assert_eq!(Period::Month.next(Period::Month.start(day)).date().to_string(), "2026-12-01");
    }
}
