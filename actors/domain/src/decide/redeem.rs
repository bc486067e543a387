//! A redemption: reserve and confirm in one.

use super::Draft;
use crate::Rejection;
use crate::record::{Asked, Body};

pub(super) fn redeem(draft: &mut Draft<'_>, asked: Asked) -> Result<Body, Rejection> {
    let (points, currency, value) = draft.priced(asked, "/points")?;
    draft.spend(points, "/points")?;
    draft.roll_expiry();
    Ok(Body::Redeemed { points, currency, value, asked })
}
