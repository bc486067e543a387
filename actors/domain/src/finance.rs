//! Finance (rule 25): what each record moved, on which accounting day, and the roll-forward made of it.
//!
//! closing = opening + issued ± activated − redeemed − reversed − expired + reinstated ± adjusted ± transferred + written off
//! = Σ lots − Σ debt, per wallet and day, pending and active apart.

pub mod ifrs15;

use std::collections::BTreeMap;

use crate::programme::{Programme, Programmes};
use crate::record::{Body, Event, Movement, Record};
use crate::time::{Day, Millis};

/// Which of the two columns.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Column {
    /// Not yet unlocked.
    Pending,
    /// Unlocked, held ones included, less debt.
    Active,
}

/// Why points moved.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    Issued,
    Activated,
    /// Net of reversals.
    Redeemed,
    Reversed,
    Expired,
    Reinstated,
    Adjusted,
    Transferred,
    WrittenOff,
}

impl Kind {
    /// All of them, in the order of the roll-forward.
    pub const ALL: [Self; 9] =
        [Self::Issued, Self::Activated, Self::Redeemed, Self::Reversed, Self::Expired, Self::Reinstated, Self::Adjusted, Self::Transferred, Self::WrittenOff];

    /// Its name in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Issued => "issued",
            Self::Activated => "activated",
            Self::Redeemed => "redeemed",
            Self::Reversed => "reversed",
            Self::Expired => "expired",
            Self::Reinstated => "reinstated",
            Self::Adjusted => "adjusted",
            Self::Transferred => "transferred",
            Self::WrittenOff => "written_off",
        }
    }
}

/// Points that moved: signed, so that a column's closing is its opening and all of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Posting {
    /// Its own accounting day, whether or not that is closed.
    pub day: Day,
    pub wallet: u8,
    pub column: Column,
    pub kind: Kind,
    pub points: i64,
}

/// What a record moved. `None`: this node does not know the version that decided it.
#[must_use]
pub fn postings(record: &Record, programmes: &Programmes) -> Option<Vec<Posting>> {
    let programme = programmes.version(record.programme)?;
    let document = document_day(record, programme);
    let mut all = Vec::new();
    for event in &record.events {
        let Event::Points(wallet, movement) = event else { continue };
        let day = effective(movement).map_or(document, |at| Day::at(at, &programme.zone));
        let mut post = |column, kind, points: i64| {
            if points != 0 {
                all.push(Posting { day, wallet: *wallet, column, kind, points });
            }
        };
        let by_staff = matches!(record.body, Body::Adjusted { .. });
        let given = if by_staff { Kind::Adjusted } else { Kind::Issued };
        match *movement {
            Movement::Issued { points, unlock: Some(_), .. } => post(Column::Pending, given, points),
            Movement::Issued { points, unlock: None, .. } => post(Column::Active, given, points),
            Movement::Activated { points, .. } => {
                post(Column::Pending, Kind::Activated, -points);
                post(Column::Active, Kind::Activated, points);
            }
            Movement::Spent { points, .. } | Movement::HeldSpent { points, .. } => post(Column::Active, Kind::Redeemed, -points),
            Movement::Reinstated { points, .. } => post(Column::Active, Kind::Redeemed, points),
            Movement::Expired { points, .. } => post(Column::Active, Kind::Expired, -points),
            Movement::Unexpired { points, .. } => post(Column::Active, Kind::Reinstated, points),
            Movement::Lapsed { points, .. } => post(Column::Pending, Kind::Reversed, -points),
            Movement::ClawedBack { points, pending, .. } => post(if pending { Column::Pending } else { Column::Active }, Kind::Reversed, -points),
            Movement::OwedMet { points, .. } | Movement::RepaymentUndone { points, .. } => post(Column::Active, Kind::Reversed, -points),
            Movement::DebtRaised { points } => post(Column::Active, if by_staff { Kind::Adjusted } else { Kind::Reversed }, -points),
            Movement::DebtWrittenOff { points } => post(Column::Active, Kind::WrittenOff, points),
            Movement::AdjustedDown { points, .. } => post(Column::Active, Kind::Adjusted, -points),
            Movement::Sent { points, .. } | Movement::Given { points, .. } | Movement::SentHome { points, .. } => post(Column::Active, Kind::Transferred, -points),
            Movement::GivenClaimed { points, .. } => post(Column::Active, Kind::Reversed, -points),
            Movement::Received { points, .. } | Movement::Gifted { points, .. } | Movement::GivenBack { points, .. } | Movement::Lent { points, .. } => post(Column::Active, Kind::Transferred, points),
            Movement::MergedIn(of) => {
                post(Column::Pending, Kind::Transferred, of.pending);
                post(Column::Active, Kind::Transferred, of.net() - of.pending);
            }
            Movement::MergedOut(of) => {
                post(Column::Pending, Kind::Transferred, -of.pending);
                post(Column::Active, Kind::Transferred, of.pending - of.net());
            }
            // From a lot to debt, from free to held: the sum of the column stays.
            Movement::DebtRepaid { .. }
            | Movement::Overdrawn { .. }
            | Movement::Held { .. }
            | Movement::HeldFor { .. }
            | Movement::Released { .. }
            | Movement::HoldEnded { .. }
            | Movement::Rescheduled { .. }
            | Movement::ExpiredCounted { .. }
            | Movement::OwedRaised { .. }
            | Movement::Noticed { .. }
            | Movement::ExpiryMoved { .. } => {}
        }
    }
    Some(all)
}

/// What time has brought about is effective at its own time, not when it was posted.
fn effective(movement: &Movement) -> Option<Millis> {
    match *movement {
        Movement::Expired { at, .. } | Movement::Lapsed { at, .. } => Some(at),
        Movement::Activated { activated_at, .. } => Some(activated_at),
        _ => None,
    }
}

/// The business date, otherwise the programme's day of the effective time.
fn document_day(record: &Record, programme: &Programme) -> Day {
    let (date, at) = match &record.body {
        Body::Purchased(sale) => (sale.basket.business_date, sale.basket.occurred_at),
        Body::Returned(returned) => (returned.asked.keys.natural.as_ref().map(|key| key.business_date), returned.asked.occurred_at),
        Body::BlindReturned { basket, keys, .. } => (keys.natural.as_ref().map(|key| key.business_date), basket.occurred_at),
        Body::Redeemed { offline: Some(offline), .. } => (None, offline.at),
        _ => (None, record.at),
    };
    date.unwrap_or_else(|| Day::at(at, &programme.zone))
}

/// Closes of one shard: from which record on which days were closed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Closes(pub Vec<(u64, Day)>);

impl Closes {
    /// The accounting day of a posting: its own, or the first open one if that is closed to records from `offset` on.
    #[must_use]
    pub fn accounting(&self, day: Day, offset: u64) -> Day {
        let closed = self.0.iter().filter(|(from, _)| offset >= *from).map(|(_, through)| *through).max();
        closed.map_or(day, |through| day.max(through.plus(1)))
    }

    /// The last closed day.
    #[must_use]
    pub fn through(&self) -> Option<Day> {
        self.0.iter().map(|(_, through)| *through).max()
    }
}

/// A record in the feed: whose, its number, and its place in its shard.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub member: crate::ids::MemberId,
    pub seq: u64,
    pub offset: u64,
}

/// What moved on one day in one wallet, by column and kind.
pub type Flows = BTreeMap<(Column, Kind), i64>;

/// The roll-forward: flows by wallet and accounting day.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RollForward {
    pub days: BTreeMap<(u8, Day), Flows>,
}

/// One day of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DayRow {
    pub wallet: u8,
    pub day: Day,
    /// Pending and active.
    pub opening: [i64; 2],
    pub flows: Flows,
    pub closing: [i64; 2],
}

impl RollForward {
    /// Adds a posting to its accounting day.
    pub fn add(&mut self, posting: &Posting, accounting: Day) {
        *self.days.entry((posting.wallet, accounting)).or_default().entry((posting.column, posting.kind)).or_default() += posting.points;
    }

    /// What a wallet closed at on a day: pending and active.
    #[must_use]
    pub fn closing(&self, wallet: u8, day: Day) -> [i64; 2] {
        let flows = self.days.range((wallet, Day(i32::MIN))..=(wallet, day)).map(|(_, flows)| flows);
        flows.fold([0, 0], add)
    }

    /// The days of a wallet from one to another on which something moved, with the first and the last in any case.
    #[must_use]
    pub fn rows(&self, wallet: u8, from: Day, to: Day) -> Vec<DayRow> {
        let mut opening = self.closing(wallet, from.plus(-1));
        let mut rows = Vec::new();
        let empty = Flows::new();
        let mut days: Vec<Day> = self.days.range((wallet, from)..=(wallet, to)).map(|((_, day), _)| *day).collect();
        for edge in [from, to] {
            if let Err(place) = days.binary_search(&edge) {
                days.insert(place, edge);
            }
        }
        for day in days {
            let flows = self.days.get(&(wallet, day)).unwrap_or(&empty).clone();
            let closing = add(opening, &flows);
            rows.push(DayRow { wallet, day, opening, flows, closing });
            opening = closing;
        }
        rows
    }
}

fn add(sums: [i64; 2], flows: &Flows) -> [i64; 2] {
    flows.iter().fold(sums, |[pending, active], ((column, _), points)| match column {
        Column::Pending => [pending + points, active],
        Column::Active => [pending, active + points],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_25_a_closed_day_never_changes_and_the_first_open_one_takes_what_comes_late() {
        let closes = Closes(vec![(10, Day(100)), (20, Day(130))]);
        // Before the close the day is its own; after it, the first open one.
        assert_eq!([9, 10, 20].map(|offset| closes.accounting(Day(90), offset)), [Day(90), Day(101), Day(131)]);
        assert_eq!(closes.accounting(Day(140), 25), Day(140));
        let mut book = RollForward::default();
        let posting = |day, points| Posting { day: Day(day), wallet: 0, column: Column::Active, kind: Kind::Issued, points };
        for (offset, day, points) in [(1, 90, 5), (11, 90, 7), (12, 105, 1)] {
            book.add(&posting(day, points), closes.accounting(Day(day), offset));
        }
        let rows = book.rows(0, Day(90), Day(105));
        let shown: Vec<_> = rows.iter().map(|row| (row.day.0, row.opening[1], row.closing[1])).collect();
        assert_eq!(shown, [(90, 0, 5), (101, 5, 12), (105, 12, 13)]);
        assert_eq!(book.closing(0, Day(100)), [0, 5]);
    }
}
