//! A new member.

use super::Draft;
use crate::record::{Alias, Body, Event};
use crate::time::Day;
use crate::{Code, Rejection};

pub(super) fn enrol(draft: &mut Draft<'_>, aliases: &[Alias]) -> Result<Body, Rejection> {
    if draft.member.exists() {
        return Err(Rejection::new(Code::KeyConflict, "", "this Idempotency-Key enrolled a member with other content; use a new key"));
    }
    let day = Day::at(draft.now, &draft.programme.zone);
    let mut tier = draft.member.tier.clone();
    tier.enrolled = day;
    let period = tier.period(&draft.programme.tiers, day);
    draft.emit(Event::TierReviewed { period });
    Ok(Body::Enrolled { aliases: aliases.to_vec(), day })
}
