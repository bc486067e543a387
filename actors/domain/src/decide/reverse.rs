//! Undoes a redemption, once (rule 19).

use std::sync::Arc;

use super::Draft;
use super::clawback::restore;
use crate::record::{Body, Record};
use crate::{Code, Rejection};

pub(super) fn reverse(draft: &mut Draft<'_>, redemption: u64, records: &[(u64, Arc<Record>)]) -> Result<Body, Rejection> {
    let body = records.iter().find(|(seq, _)| *seq == redemption).map(|(_, record)| &record.body);
    let (wallet, points) = match body {
        Some(Body::Redeemed { wallet, points, .. } | Body::HoldConfirmed { wallet, points, .. }) => (*wallet, *points),
        Some(Body::Purchased(sale)) if sale.shares.iter().any(|share| share.burned > 0) => {
            return Err(Rejection::new(Code::BelongsToPurchase, "", "these points paid for a purchase; return or void the purchase, and they come back with it"));
        }
        _ => return Err(Rejection::new(Code::UnknownRedemption, "", "this member has no such redemption")),
    };
    if draft.member.reversed.iter().any(|seq| u64::from(*seq) == redemption) {
        return Err(Rejection::new(Code::AlreadyReversed, "", "this redemption was reversed before; its points are back"));
    }
    restore(draft, wallet, redemption, 0, points, records);
    Ok(Body::Reversed { wallet, redemption, points })
}
