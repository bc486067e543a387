//! A redemption: reserve and confirm in one.

use super::Draft;
use super::draft::priced;
use crate::Rejection;
use crate::record::{Asked, Body};

pub(super) fn redeem(draft: &mut Draft<'_>, wallet: u8, asked: Asked) -> Result<Body, Rejection> {
    let (points, currency, value) = priced(&draft.programme, wallet, asked, "/points")?;
    draft.spend(wallet, points, draft.now, "/points")?;
    draft.roll_expiry(wallet);
    Ok(Body::Redeemed { wallet, points, currency, value, asked, offline: None })
}
