//! Staff give a tier for a time, with a reason, whatever the metric carries (rule 21).

use super::Draft;
use crate::ids::GoalKey;
use crate::record::{Body, Event};
use crate::time::Day;
use crate::{Code, Rejection};

/// How far ahead a tier can be given, in days: some ten years.
const MOST_DAYS: i32 = 3_660;

/// The tier is held to the end of the day in the programme's zone. One grant of staff stands at a time: a new one takes
/// the place of the one before it.
pub(super) fn grant(draft: &mut Draft<'_>, grant: Option<(u8, Day)>, reason: &str) -> Result<Body, Rejection> {
    let by_staff = |grant: &&crate::tier::Grant| grant.goal == GoalKey::STAFF && !grant.ended && grant.until > draft.now;
    // Two, after a merge.
    let before: Vec<_> = draft.member.tier.grants.iter().filter(by_staff).copied().collect();
    if let Some((level, last)) = grant {
        if level == 0 || usize::from(level) >= draft.programme.tiers.levels.len() {
            return Err(Rejection::new(Code::Invalid, "/tier", "name a tier of the programme above its lowest, which every member has"));
        }
        let today = Day::at(draft.now, &draft.programme.zone);
        if last < today || last > today.plus(MOST_DAYS) {
            return Err(Rejection::new(Code::Invalid, "/until", "give the last day of it: today or later, at most ten years ahead"));
        }
    } else if before.is_empty() {
        return Err(Rejection::new(Code::NoGrant, "/tier", "staff have given this member no tier that could end; name one to give it"));
    }
    for before in before {
        draft.emit(Event::TierGrantEnded { goal: before.goal, level: before.level, since: before.since, at: draft.now });
    }
    if let Some((level, last)) = grant {
        let until = last.plus(1).start(&draft.programme.zone);
        draft.emit(Event::TierGranted { goal: GoalKey::STAFF, level, since: draft.now, until });
    }
    Ok(Body::TierGiven { grant, reason: reason.into() })
}
