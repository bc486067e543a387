//! Points from one of a member's wallets to another (rule 15): one commit, at the rate of the programme version.

use super::Draft;
use crate::number::mul_div_floor;
use crate::record::{Body, Movement};
use crate::{Code, Rejection};

pub(super) fn transfer(draft: &mut Draft<'_>, from: u8, to: u8, points: i64) -> Result<Body, Rejection> {
    let programme = draft.programme.clone();
    let rate = programme.transfers.iter().find(|rate| rate.from == from && rate.to == to).map(|rate| rate.rate);
    let Some(rate) = rate else {
        let (from, to) = (&programme.wallet(from).id, &programme.wallet(to).id);
        let detail = format!("the programme has no rate from {from} to {to}; its rates are in [[transfer]]");
        return Err(Rejection::new(Code::NoTransferRate, "/to", &detail));
    };
    if points <= 0 {
        return Err(Rejection::new(Code::Invalid, "/points", "give at least one point"));
    }
    draft.enough(from, points, "/points")?;
    // points · rate · 10^(decimals of the other) / 10^(decimals of the one): floored once, dealt out by lot (rule 1).
    let overflow = || Rejection::new(Code::Overflow, "/points", "so many points do not fit the other wallet; give fewer");
    let scale = |wallet: u8| 10_i64.pow(programme.wallet(wallet).decimals.into());
    let num = rate.num.checked_mul(scale(to)).ok_or_else(overflow)?;
    let den = rate.den.checked_mul(scale(from)).ok_or_else(overflow)?;
    let received = mul_div_floor(points, num, den).filter(|received| *received <= crate::earn::MAX_POINTS).ok_or_else(overflow)?;
    if received == 0 {
        return Err(Rejection::new(Code::Invalid, "/points", "so few points come to none in the other wallet; give more"));
    }
    let lots = draft.wallet(from).take(points);
    // Rule 1: the floor of each exact share, what is left one each to the largest fractions.
    let exact = |part: i64| i128::from(part) * i128::from(num);
    let mut shares: Vec<i64> = lots.iter().map(|(_, part)| i64::try_from(exact(*part) / i128::from(den)).unwrap_or(0)).collect();
    let mut order: Vec<usize> = (0..lots.len()).collect();
    order.sort_by_key(|place| std::cmp::Reverse(exact(lots[*place].1) % i128::from(den)));
    let rest = usize::try_from(received - shares.iter().sum::<i64>()).unwrap_or(0);
    for place in order.into_iter().take(rest) {
        shares[place] += 1;
    }
    for ((lot, part), share) in lots.into_iter().zip(shares) {
        draft.moves(from, Movement::Sent { lot: lot.id, points: part });
        if share > 0 {
            let new = draft.new_lot();
            draft.moves(to, Movement::Received { lot: new, points: share, activated_at: draft.now, expires_at: lot.expires_at });
        }
    }
    draft.meet_debt(to);
    Ok(Body::Transferred { from, to, points, received })
}
