//! A member's profile is changed: its zone, birthday, segments.

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::profile::Change;
use crate::record::Body;
use crate::{Code, Rejection};

/// Most segments of one member.
const MAX_SEGMENTS: usize = 100;

pub(super) fn update(change: &Change) -> Result<Body, Rejection> {
    let invalid = |field: &str, text: &str| Err(Rejection::new(Code::Invalid, field, text));
    if change.zone.as_ref().is_some_and(|zone| !zone.is_empty() && TimeZone::get(zone).is_err()) {
        return invalid("/zone", "not an IANA time zone; send one such as Europe/Berlin, or null for the programme's");
    }
    // A leap year, so that 29 February is one.
    let in_calendar = |(month, day): (u8, u8)| Date::new(2024, month.cast_signed(), day.cast_signed()).is_ok();
    if change.birthday.flatten().is_some_and(|birthday| !in_calendar(birthday)) {
        return invalid("/birthday", "month and day, such as 02-29, or null for none");
    }
    if change.segments.as_ref().is_some_and(|segments| segments.len() > MAX_SEGMENTS) {
        return invalid("/segments", "a member is in at most 100 segments");
    }
    if *change == Change::default() {
        return invalid("", "send zone, birthday or segments");
    }
    Ok(Body::Updated(Box::new(change.clone())))
}
