//! Public events of a member's stream: rendered from a record alone, in a fixed order, numbered within it.

use serde::Serialize;
use tessera_domain::ids::{Kind, MadeId, MemberId};
use tessera_domain::keys::KeyKind;
use tessera_domain::programme::Programmes;
use tessera_domain::record::{Body, Event, HoldEnd, Record};
use utoipa::ToSchema;

use crate::answer::{Wallet, instant};

/// One event, as its `data`.
#[derive(Serialize, ToSchema, Debug)]
pub struct Published<'a> {
    /// Such as `points.earned`.
    #[serde(rename = "type")]
    pub what: &'static str,
    pub member: String,
    pub seq: u64,
    #[schema(format = DateTime)]
    pub at: String,
    /// The purchase, hold or redemption.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub points: Option<i64>,
    /// After the record.
    pub wallet: Wallet,
    /// After the record.
    pub tier: &'a str,
}

/// One event as it stands in the stream.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents the lines of a stream, which are written as text")]
pub struct Streamed {
    /// `seq.n`: the n-th public event of record seq, from 0.
    #[schema(example = "12.0")]
    id: String,
    /// Its type.
    #[schema(example = "points.earned")]
    event: String,
    /// A `Published`, as JSON on one line.
    data: String,
}

/// Renders a record's events. `None`: a version that it names is not known on this node.
#[must_use]
pub fn published<'a>(programmes: &'a Programmes, member: MemberId, seq: u64, record: &'a Record) -> Option<Vec<Published<'a>>> {
    let programme = programmes.version(record.programme)?;
    let id = |kind: Kind, seq: u64| Some(MadeId { kind, member, seq }.to_string());
    let one = |(what, id, points): (&'static str, Option<String>, Option<i64>)| Published {
        what,
        member: member.to_string(),
        seq,
        at: instant(record.at),
        id,
        points,
        wallet: Wallet::of(record.after, programme),
        tier: programme.tiers.levels.get(usize::from(record.tier)).map_or("", |level| &level.id),
    };
    let sum = |points: fn(&Event) -> Option<i64>| Some(record.events.iter().filter_map(points).sum::<i64>()).filter(|sum| *sum != 0);
    let mut found = Vec::new();
    // What time has brought about comes first, then what was asked for, then what that led to.
    for event in &record.events {
        if let Event::HoldEnded { hold, end: HoldEnd::Expired } = event {
            found.push(("hold.expired", id(Kind::Hold, u64::from(*hold)), None));
        }
    }
    for (what, points) in [("points.activated", sum(activated)), ("points.expired", sum(expired))] {
        found.extend(points.map(|points| (what, None, Some(points))));
    }
    match &record.body {
        Body::Enrolled { .. } => found.push(("member.enrolled", None, None)),
        Body::AliasAdded { .. } | Body::AliasRemoved { .. } => found.push(("member.updated", None, None)),
        Body::Purchased(sale) => {
            let name = || id(Kind::Purchase, seq);
            found.extend(sale.exchanged.iter().map(|back| ("purchase.returned", id(Kind::Purchase, back.sale), None)));
            found.extend((sale.earned > sale.pending).then(|| ("points.earned", name(), Some(sale.earned - sale.pending))));
            found.extend((sale.pending > 0).then(|| ("points.pending", name(), Some(sale.pending))));
        }
        Body::Returned(returned) => {
            let what = if returned.asked.kind == KeyKind::Void { "purchase.voided" } else { "purchase.returned" };
            found.push((what, id(Kind::Purchase, returned.back.sale), None));
        }
        Body::BlindReturned { .. } => found.push(("purchase.returned", None, None)),
        Body::HoldPlaced { points, .. } => found.push(("hold.placed", id(Kind::Hold, seq), Some(*points))),
        Body::HoldConfirmed { hold, points, .. } => found.push(("hold.confirmed", id(Kind::Hold, *hold), Some(*points))),
        Body::HoldCancelled { hold } => found.push(("hold.cancelled", id(Kind::Hold, *hold), None)),
        Body::Adjusted { points, .. } => found.push(("points.adjusted", id(Kind::Adjustment, seq), Some(*points))),
        Body::Redeemed { .. } | Body::Delivered { .. } | Body::Reversed { .. } => {}
    }
    for (what, points) in [("points.redeemed", sum(redeemed)), ("points.reversed", sum(reversed)), ("points.reinstated", sum(reinstated)), ("points.debt", sum(debt))] {
        found.extend(points.map(|points| (what, None, Some(points))));
    }
    for event in &record.events {
        if let Event::TierChanged { from, to, .. } = event {
            found.push((if to > from { "tier.upgraded" } else { "tier.downgraded" }, None, None));
        }
    }
    Some(found.into_iter().map(one).collect())
}

fn activated(event: &Event) -> Option<i64> {
    if let Event::Activated { points, .. } = event { Some(*points) } else { None }
}

fn expired(event: &Event) -> Option<i64> {
    if let Event::Expired { points, .. } = event { Some(*points) } else { None }
}

fn redeemed(event: &Event) -> Option<i64> {
    if let Event::Spent { points, .. } | Event::HeldSpent { points, .. } = event { Some(*points) } else { None }
}

fn reversed(event: &Event) -> Option<i64> {
    if let Event::ClawedBack { points, .. } | Event::Lapsed { points, .. } | Event::OwedMet { points, .. } = event { Some(*points) } else { None }
}

fn reinstated(event: &Event) -> Option<i64> {
    if let Event::Reinstated { points, .. } = event { Some(*points) } else { None }
}

/// By how much debt rose; negative: fell.
fn debt(event: &Event) -> Option<i64> {
    match event {
        Event::DebtRaised { points } | Event::RepaymentUndone { points, .. } => Some(*points),
        Event::DebtRepaid { points, .. } | Event::DebtWrittenOff { points } => Some(-points),
        _ => None,
    }
}
