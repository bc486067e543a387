//! Staff give, take, or forgive points, with a reason (rule 14).

use super::Draft;
use crate::record::{Body, Movement};
use crate::time::{NEVER, expiry};
use crate::{Code, Rejection};

pub(super) fn adjust(draft: &mut Draft<'_>, wallet: u8, points: i64, reason: &str, allow_debt: bool, write_off: bool) -> Result<Body, Rejection> {
    if points == 0 || points.checked_abs().is_none_or(|size| size > 1_000_000_000_000) {
        return Err(Rejection::new(Code::Invalid, "/points", "adjust by 1 to 1000000000000 points, up or down"));
    }
    if write_off {
        if points < 0 || points > draft.figures(wallet).debt {
            let detail = format!("the debt is {} points; write off at most that", draft.figures(wallet).debt);
            return Err(Rejection::new(Code::Invalid, "/points", &detail));
        }
        draft.moves(wallet, Movement::DebtWrittenOff { points });
    } else if points > 0 {
        let rule = draft.programme.wallet(wallet).expiry;
        let expires_at = rule.map_or(NEVER, |rule| expiry(draft.now, rule.months, rule.round_up, &draft.programme.zone)).max(draft.rolled(wallet, &draft.programme));
        let lot = draft.new_lot();
        draft.moves(wallet, Movement::Issued { lot, points, unlock: None, activated_at: draft.now, expires_at });
        draft.meet_debt(wallet);
    } else {
        let available = draft.figures(wallet).available;
        if -points > available && !allow_debt {
            let detail = format!("{available} points are available; take fewer, or say allow_debt");
            return Err(Rejection::new(Code::InsufficientPoints, "/points", &detail));
        }
        let taken = available.min(-points);
        for (lot, part) in draft.wallet(wallet).take(taken) {
            draft.moves(wallet, Movement::AdjustedDown { lot: lot.id, points: part });
        }
        if -points > taken {
            draft.moves(wallet, Movement::DebtRaised { points: -points - taken });
        }
    }
    Ok(Body::Adjusted { wallet, points, reason: reason.into(), allow_debt, write_off })
}
