//! Public events of a member's stream: rendered from a record alone, in a fixed order, numbered within it.

use serde::Serialize;
use tessera_domain::ids::{GoalKey, Kind, MadeId, MemberId};
use tessera_domain::keys::KeyKind;
use tessera_domain::programme::{Programme, Programmes};
use tessera_domain::record::{Body, Event, HoldEnd, Movement, Record};
use utoipa::ToSchema;

use crate::answer::{self, ByWallet, Wallet, instant};

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
    /// The purchase, hold or redemption; the quest or achievement; of `tier.will_downgrade` the tier to come; of `member.merged` the other member:
    /// the one that goes on, or the one that has gone into this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The wallet of `points`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wallet: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub points: Option<i64>,
    /// Of `points.expiring` and `tier.will_downgrade`: when.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub due_at: Option<String>,
    /// After the record: the first wallet, and each other one that it touched.
    #[schema(value_type = HashMap<String, Wallet>)]
    pub wallets: ByWallet<'a, Wallet>,
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

/// Name, id of what it is about, wallet, points.
type Told<'a> = (&'static str, Option<String>, Option<&'a str>, Option<i64>);

/// Renders a record's events. `None`: a version that it names is not known on this node.
#[must_use]
pub fn published<'a>(programmes: &'a Programmes, member: MemberId, seq: u64, record: &'a Record) -> Option<Vec<Published<'a>>> {
    let programme = programmes.version(record.programme)?;
    let made = |kind: Kind, member: MemberId, seq: u64| Some(MadeId { kind, member, seq }.to_string());
    let id = |kind: Kind, seq: u64| made(kind, member, seq);
    let named = |number: u8| Some(&*programme.wallet(number).id);
    let touched = || record.after.iter().map(|(number, _)| *number);
    // Of each wallet, what its movements of a kind come to.
    let sums = |what: &'static str, points: fn(&Movement) -> Option<i64>| {
        touched().filter_map(move |number| {
            let of = |event: &Event| if let Event::Points(wallet, movement) = event { points(movement).filter(|_| *wallet == number) } else { None };
            let sum = record.events.iter().filter_map(of).sum::<i64>();
            (sum != 0).then(|| (what, None, named(number), Some(sum)))
        })
    };
    let mut found: Vec<Told<'_>> = Vec::new();
    // What time has brought about comes first, then what was asked for, then what that led to.
    for event in &record.events {
        if let Event::Points(wallet, Movement::HoldEnded { hold, end: HoldEnd::Expired }) = event {
            found.push(("hold.expired", id(Kind::Hold, u64::from(*hold)), named(*wallet), None));
        }
    }
    found.extend(sums("points.activated", activated));
    found.extend(sums("points.expired", expired));
    let plain = |what, id| (what, id, None, None);
    match &record.body {
        Body::Enrolled { .. } => found.push(plain("member.enrolled", None)),
        Body::AliasAdded { .. } | Body::AliasRemoved { .. } | Body::Updated(_) => found.push(plain("member.updated", None)),
        Body::Purchased(sale) => {
            found.extend(sale.exchanged.iter().chain(sale.waited.iter().map(|(_, back)| back)).map(|back| plain("purchase.returned", id(Kind::Purchase, back.sale))));
            for share in &sale.shares {
                let name = || id(Kind::Purchase, seq);
                found.extend((share.earned > share.pending).then(|| ("points.earned", name(), named(share.wallet), Some(share.earned - share.pending))));
                found.extend((share.pending > 0).then(|| ("points.pending", name(), named(share.wallet), Some(share.pending))));
            }
        }
        Body::Returned(returned) => {
            let what = if returned.asked.kind == KeyKind::Void { "purchase.voided" } else { "purchase.returned" };
            found.push(plain(what, id(Kind::Purchase, returned.back.sale)));
        }
        Body::BlindReturned { .. } => found.push(plain("purchase.returned", None)),
        Body::HoldPlaced { wallet, points, .. } => found.push(("hold.placed", id(Kind::Hold, seq), named(*wallet), Some(*points))),
        Body::HoldConfirmed { wallet, hold, points, .. } => found.push(("hold.confirmed", id(Kind::Hold, *hold), named(*wallet), Some(*points))),
        Body::HoldCancelled { hold } => found.push(plain("hold.cancelled", id(Kind::Hold, *hold))),
        Body::Adjusted { wallet, points, .. } => found.push(("points.adjusted", id(Kind::Adjustment, seq), named(*wallet), Some(*points))),
        Body::Transferred { from, to, points, received } => {
            let name = || id(Kind::Transfer, seq);
            found.push(("points.transferred", name(), named(*from), Some(-points)));
            found.push(("points.transferred", name(), named(*to), Some(*received)));
        }
        Body::Redeemed { .. } | Body::Allowed { .. } | Body::Delivered { .. } | Body::Reversed { .. } | Body::Elapsed | Body::ReturnWaits(_) | Body::TakeRefused { .. } | Body::TierGiven { .. } | Body::LendRefused { .. } | Body::Homed { .. } | Body::Merging { .. } | Body::AbsorbRefused { .. } | Body::Merged { place: None, .. } => {}
        Body::Merged { into: other, .. } => {
            found.push(plain("member.merged", Some(other.to_string())));
            found.extend(sums("points.transferred", merged));
        }
        Body::Absorbed(absorbed) => {
            found.extend((absorbed.part == 0).then(|| plain("member.merged", Some(absorbed.from.to_string()))));
            found.extend(sums("points.transferred", merged));
        }
        Body::PoolFounded { .. } | Body::PoolJoined { .. } | Body::PoolLeft { .. } | Body::PoolChanged { .. } => found.push(plain("member.updated", None)),
        Body::Lent { to, hold, wallet, points, .. } => found.push(("points.transferred", made(Kind::Hold, *to, *hold), named(*wallet), Some(-points))),
        Body::CameHome { .. } => found.extend(sums("points.transferred", given_back)),
        Body::Gathered { hold, complete: false, .. } => found.push(plain("hold.cancelled", id(Kind::Hold, *hold))),
        Body::Gathered { .. } => {}
        Body::Gave { wallet, points, .. } => found.push(("points.transferred", id(Kind::Transfer, seq), named(*wallet), Some(-points))),
        Body::Took { from, gift, wallet, points } => {
            found.push(("points.transferred", made(Kind::Transfer, *from, *gift), named(*wallet), Some(*points)));
        }
        Body::GiftSettled { gift, taken } => {
            let back = |event: &Event| if let Event::Points(wallet, Movement::GivenBack { points, .. }) = event { Some((*wallet, *points)) } else { None };
            let returned = record.events.iter().filter_map(back).fold(None, |sum: Option<(u8, i64)>, (wallet, points)| Some((wallet, sum.map_or(0, |(_, sum)| sum) + points)));
            found.extend(returned.filter(|_| !taken).map(|(wallet, points)| ("points.transferred", id(Kind::Transfer, *gift), named(wallet), Some(points))));
        }
    }
    found.extend(sums("points.redeemed", redeemed));
    found.extend(sums("points.reversed", reversed));
    found.extend(sums("points.reinstated", reinstated));
    found.extend(sums("points.debt", debt));
    let ended: Vec<u8> = record.events.iter().filter_map(|event| if let Event::TierGrantEnded { level, .. } = event { Some(*level) } else { None }).collect();
    for event in &record.events {
        match event {
            // What another tier stands above changes nothing for the member.
            Event::TierChanged { from, to, .. } if to > from && record.tier <= *to => found.push(plain("tier.upgraded", None)),
            Event::TierChanged { from, to, .. } if to < from && record.tier < *from => found.push(plain("tier.downgraded", None)),
            Event::TierGranted { level, .. } if record.tier == *level && !ended.contains(level) => found.push(plain("tier.upgraded", None)),
            Event::TierGrantEnded { level, .. } if record.tier < *level => found.push(plain("tier.downgraded", None)),
            _ => {}
        }
    }
    for event in &record.events {
        match event {
            Event::Points(wallet, Movement::Noticed { points, .. }) => found.push(("points.expiring", None, named(*wallet), Some(*points))),
            Event::TierNoticed { to, .. } => found.push(("tier.will_downgrade", programme.tiers.levels.get(usize::from(*to)).map(|level| level.id.to_string()), None, None)),
            _ => {}
        }
    }
    found.extend(of_goals(programmes, programme, record));
    let one = |(what, id, wallet, points)| Published {
        what,
        member: member.to_string(),
        seq,
        at: instant(record.at),
        id,
        wallet,
        points,
        due_at: due_at(what, wallet, programme, record),
        wallets: ByWallet::new(programme, record.after.iter().map(|(number, figures)| (*number, Wallet::of(*figures, programme, *number)))),
        tier: programme.tiers.levels.get(usize::from(record.tier)).map_or("", |level| &level.id),
    };
    Some(found.into_iter().map(one).collect())
}

/// What a record did for quests and achievements: each that went on or back once, then those that were reached, then rewards.
fn of_goals<'a>(programmes: &'a Programmes, programme: &'a Programme, record: &'a Record) -> Vec<Told<'a>> {
    let mut progressed: Vec<GoalKey> = Vec::new();
    let (mut reached, mut rewards) = (Vec::new(), Vec::new());
    let name = |key: GoalKey| answer::find_goal(programmes, programme, key).map(|goal| goal.id.to_string());
    for event in &record.events {
        match event {
            Event::Progressed { goal, .. } if !goal.is_achievement() && !progressed.contains(goal) => progressed.push(*goal),
            Event::Reached { goal, times } if *times > 0 => {
                reached.push((if goal.is_achievement() { "achievement.unlocked" } else { "quest.completed" }, name(*goal), None, None));
            }
            Event::Rewarded { goal, wallet, times, each, .. } => rewards.push(("reward.issued", name(*goal), Some(&*programme.wallet(*wallet).id), Some(times.saturating_mul(*each)))),
            Event::RewardedTier { goal, .. } => rewards.push(("reward.issued", name(*goal), None, None)),
            _ => {}
        }
    }
    let mut told: Vec<Told<'a>> = progressed.into_iter().map(|goal| ("quest.progressed", name(goal), None, None)).collect();
    told.append(&mut reached);
    told.append(&mut rewards);
    told
}

/// When what a notice tells of comes about.
fn due_at(what: &str, wallet: Option<&str>, programme: &Programme, record: &Record) -> Option<String> {
    let of = |event: &Event| match event {
        Event::Points(number, Movement::Noticed { until, .. }) if what == "points.expiring" && wallet == Some(&*programme.wallet(*number).id) => Some(instant(*until)),
        Event::TierNoticed { at, .. } if what == "tier.will_downgrade" => Some(instant(*at)),
        _ => None,
    };
    record.events.iter().find_map(of)
}

fn activated(movement: &Movement) -> Option<i64> {
    if let Movement::Activated { points, .. } = movement { Some(*points) } else { None }
}

fn expired(movement: &Movement) -> Option<i64> {
    if let Movement::Expired { points, .. } = movement { Some(*points) } else { None }
}

fn redeemed(movement: &Movement) -> Option<i64> {
    if let Movement::Spent { points, .. } | Movement::HeldSpent { points, .. } = movement { Some(*points) } else { None }
}

fn reversed(movement: &Movement) -> Option<i64> {
    if let Movement::ClawedBack { points, .. } | Movement::Lapsed { points, .. } | Movement::OwedMet { points, .. } = movement { Some(*points) } else { None }
}

/// What comes from another member, or goes to it; debt apart, which is told of as ever.
fn merged(movement: &Movement) -> Option<i64> {
    match movement {
        Movement::MergedIn(of) => Some(of.available + of.pending + of.held),
        Movement::MergedOut(of) => Some(-of.available - of.pending - of.held),
        _ => None,
    }
}

fn given_back(movement: &Movement) -> Option<i64> {
    if let Movement::GivenBack { points, .. } = movement { Some(*points) } else { None }
}

fn reinstated(movement: &Movement) -> Option<i64> {
    if let Movement::Reinstated { points, .. } | Movement::Unexpired { points, .. } = movement { Some(*points) } else { None }
}

/// By how much debt rose; negative: fell.
fn debt(movement: &Movement) -> Option<i64> {
    match movement {
        Movement::DebtRaised { points } | Movement::Overdrawn { points, .. } | Movement::RepaymentUndone { points, .. } | Movement::GivenClaimed { points, .. } => Some(*points),
        Movement::DebtRepaid { points, .. } | Movement::DebtWrittenOff { points } => Some(-points),
        Movement::MergedIn(of) => Some(of.debt),
        Movement::MergedOut(of) => Some(-of.debt),
        _ => None,
    }
}
