//! What callers get. Rendered from a record alone, so that every answer to a repeat is the same.

use serde::Serialize;
use tessera_domain::ids::{Kind, LotId, MadeId, MemberId};
use tessera_domain::keys::KeyKind;
use tessera_domain::member::View;
use tessera_domain::programme::{Programme, Programmes};
use tessera_domain::record::{Back, Body, Figures, HoldEnd, Notice, Record, Sale, Unlock};
use tessera_domain::time::{Millis, NEVER, timestamp};
use tessera_domain::wallet::{self, Lot};
use utoipa::ToSchema;

use crate::explain;

/// Points of a wallet, in its smallest unit.
#[derive(Serialize, ToSchema, Debug)]
pub struct Wallet {
    /// Decimals of the wallet: 1234 with 2 is 12.34 points.
    #[schema(minimum = 0, maximum = 3, example = 0)]
    pub decimals: u8,
    /// To be spent.
    #[schema(example = 174)]
    pub available: i64,
    /// Not yet unlocked.
    #[schema(example = 0)]
    pub pending: i64,
    /// Set aside by holds.
    #[schema(example = 0)]
    pub held: i64,
    /// Taken beyond what there was.
    #[schema(example = 0)]
    pub debt: i64,
}

/// What a record changed, in the wallet's smallest unit.
#[derive(Serialize, ToSchema, Debug)]
pub struct Change {
    pub available: i64,
    pub pending: i64,
    pub held: i64,
    pub debt: i64,
}

/// The answer to anything that was done; also a line of the statement.
#[derive(Serialize, ToSchema, Debug)]
pub struct Written<'a> {
    #[serde(rename = "type")]
    #[schema(value_type = What)]
    pub what: What,
    /// Of what was done; a quote has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "pur_44e8xcen1vz50awrxbwq3fcat92")]
    pub id: Option<String>,
    #[schema(example = "mem_44e8xcen1vz50awrxbwq3fcat9")]
    pub member: String,
    /// Number of the record in the member's journal.
    #[schema(minimum = 0, example = 2)]
    pub seq: u64,
    #[schema(format = DateTime, example = "2026-11-21T16:53:26.5Z")]
    pub at: String,
    /// The purchase, hold or redemption that this is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub earned: Option<i64>,
    /// Of what was earned, how much is not yet unlocked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending: Option<i64>,
    /// Points held, spent, given or taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub points: Option<i64>,
    /// Minor units that those points are worth, where money was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// When a hold ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
    /// What came back, by sale.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub returned: Vec<Returned>,
    pub change: Change,
    /// After it.
    pub wallet: Wallet,
    pub tier: TierAfter<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub explanation: Vec<Explanation<'a>>,
    #[schema(minimum = 1, example = 1)]
    pub programme_version: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub notices: Vec<&'static str>,
}

/// The tier held after it; of a purchase also the way to the next.
#[derive(Serialize, ToSchema, Debug)]
pub struct TierAfter<'a> {
    #[schema(example = "bronze")]
    pub id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "silver")]
    pub next: Option<&'a str>,
    /// What is missing to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, example = 120)]
    pub missing: Option<i64>,
    /// Last day of the period that counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = Date, example = "2026-12-31")]
    pub until: Option<String>,
}

/// What was done.
#[derive(Serialize, ToSchema, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum What {
    Enrolment,
    Purchase,
    Return,
    Void,
    Hold,
    Confirmation,
    Cancellation,
    Redemption,
    Reversal,
    Adjustment,
    Delivery,
    AliasAdded,
    AliasRemoved,
}

/// What came back of one purchase.
#[derive(Serialize, ToSchema, Debug)]
pub struct Returned {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purchase: Option<String>,
    /// Points that the kept goods would not have earned.
    pub claimed: i64,
    /// Points it was paid with that came back.
    pub restored: i64,
    /// Of the claim, what there was nothing to take from; the purchase owes it.
    pub owed: i64,
    pub lines: Vec<ReturnedLine>,
}

/// What came back of one line.
#[derive(Serialize, ToSchema, Debug)]
pub struct ReturnedLine {
    /// Its place in the purchase, from 1.
    #[schema(minimum = 1)]
    pub place: u32,
    /// Minor units.
    pub amount: i64,
    pub quantity: String,
}

/// One award: which rule gave how many points, and why.
#[derive(Serialize, ToSchema, Debug)]
pub struct Explanation<'a> {
    /// Absent: the whole basket.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2")]
    pub line: Option<&'a str>,
    #[schema(example = "base")]
    pub rule: &'a str,
    /// `base`, `multiplier`, `bonus` or `cap`.
    #[schema(example = "base")]
    pub kind: &'static str,
    #[schema(example = 123)]
    pub points: i64,
    #[schema(example = "1 point a dollar")]
    pub text: &'a str,
}

/// A member: balance and tier as of now.
#[derive(Serialize, ToSchema, Debug)]
pub struct Member<'a> {
    #[schema(example = "mem_44e8xcen1vz50awrxbwq3fcat9")]
    pub member: String,
    #[schema(minimum = 1)]
    pub seq: u64,
    #[schema(format = DateTime)]
    pub enrolled_at: String,
    pub wallet: Wallet,
    pub tier: Tier<'a>,
    #[schema(minimum = 1)]
    pub programme_version: u32,
}

/// A tier and the way to the next.
#[derive(Serialize, ToSchema, Debug)]
pub struct Tier<'a> {
    #[schema(example = "silver")]
    pub id: &'a str,
    #[schema(example = "Silver")]
    pub name: &'a str,
    /// What counts for the tier, in its period.
    #[schema(example = 1200)]
    pub metric: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "gold")]
    pub next: Option<&'a str>,
    /// What is missing to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, example = 1800)]
    pub missing: Option<i64>,
    /// Last day of the period.
    #[schema(format = Date, example = "2026-12-31")]
    pub until: String,
}

/// A member's lots, in the order in which they are spent, then those that wait.
#[derive(Serialize, ToSchema, Debug)]
pub struct Lots {
    pub lots: Vec<LotShown>,
}

/// Points with one expiry.
#[derive(Serialize, ToSchema, Debug)]
pub struct LotShown {
    /// Number of the record that issued it, and its place in that record.
    #[schema(example = "2.0")]
    pub id: String,
    /// `active`, or `pending`.
    pub state: &'static str,
    pub points: i64,
    /// Of those, held.
    pub held: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub active_since: Option<String>,
    /// Absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
    /// Of a pending lot: when it unlocks, or lapses if its delivery has not come.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub due_at: Option<String>,
    /// It waits for a delivery.
    pub waits_for_delivery: bool,
}

/// A hold as it stands.
#[derive(Serialize, ToSchema, Debug)]
pub struct HoldShown {
    #[schema(example = "hold_44e8xcen1vz50awrxbwq3fcat93")]
    pub id: String,
    pub member: String,
    #[schema(value_type = HoldState)]
    pub state: HoldState,
    /// Points it was placed for.
    pub points: i64,
    #[schema(format = DateTime)]
    pub expires_at: String,
}

/// How a hold stands.
#[derive(Serialize, ToSchema, Debug, Clone, Copy)]
#[serde(rename_all = "snake_case")]
pub enum HoldState {
    Open,
    Confirmed,
    Cancelled,
    Expired,
}

/// A member's open holds.
#[derive(Serialize, ToSchema, Debug)]
pub struct Holds {
    pub holds: Vec<HoldShown>,
}

/// A page of the statement, newest first.
#[derive(Serialize, ToSchema, Debug)]
pub struct Statement<'a> {
    pub entries: Vec<Written<'a>>,
    /// Cursor of the next page; absent: this was the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A problem, as in RFC 9457.
#[derive(Serialize, ToSchema, Debug)]
pub struct Problem<'a> {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub title: &'a str,
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// Stable, for programs.
    #[schema(example = "insufficient_points")]
    pub code: &'a str,
    /// What to do.
    pub detail: &'a str,
    /// JSON pointer into the request.
    #[serde(skip_serializing_if = "str::is_empty")]
    #[schema(example = "/lines/0/amount")]
    pub field: &'a str,
    /// `none`: certainly no effect; `unknown`: send the same again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<&'static str>,
    pub request_id: &'a str,
}

impl Wallet {
    /// Figures of a programme's wallet.
    #[must_use]
    pub fn of(figures: Figures, programme: &Programme) -> Self {
        let Figures { available, pending, held, debt } = figures;
        Self { decimals: programme.wallet.decimals, available, pending, held, debt }
    }
}

impl<'a> TierAfter<'a> {
    fn of(programme: &'a Programme, record: &Record) -> Self {
        let levels = &programme.tiers.levels;
        let id = levels.get(usize::from(record.tier)).map_or("", |level| &level.id);
        let Body::Purchased(sale) = &record.body else { return Self { id, next: None, missing: None, until: None } };
        let next = levels.get(usize::from(record.tier) + 1);
        let missing = next.map(|level| (level.threshold - sale.standing.metric).max(0));
        Self { id, next: next.map(|level| &*level.id), missing, until: Some(sale.standing.until.date().to_string()) }
    }
}

impl Change {
    fn of(record: &Record) -> Self {
        let mut sum = Figures::default();
        record.events.iter().for_each(|event| sum.apply(event));
        let Figures { available, pending, held, debt } = sum;
        Self { available, pending, held, debt }
    }
}

/// Renders a record. `None`: a version that it names is not known on this node.
#[must_use]
pub fn written<'a>(programmes: &'a Programmes, member: MemberId, seq: u64, record: &'a Record) -> Option<Written<'a>> {
    let programme = programmes.version(record.programme)?;
    let id = |kind: Kind, seq: u64| Some(MadeId { kind, member, seq }.to_string());
    let mut written = Written {
        what: what(&record.body),
        id: None,
        member: member.to_string(),
        seq,
        at: instant(record.at),
        of: None,
        earned: None,
        pending: None,
        points: None,
        value: None,
        currency: None,
        expires_at: None,
        returned: Vec::new(),
        change: Change::of(record),
        wallet: Wallet::of(record.after, programme),
        tier: TierAfter::of(programme, record),
        explanation: Vec::new(),
        programme_version: record.programme,
        notices: Vec::new(),
    };
    match &record.body {
        Body::Enrolled { .. } | Body::AliasAdded { .. } | Body::AliasRemoved { .. } => {}
        Body::Purchased(sale) => {
            written.id = id(Kind::Purchase, seq);
            written.earned = Some(sale.earned);
            written.pending = Some(sale.pending).filter(|pending| *pending > 0);
            written.explanation = explanation(programmes.version(sale.programme)?, sale);
            written.programme_version = sale.programme;
            written.returned = sale.exchanged.iter().map(|back| returned(member, back)).collect();
            written.notices = sale.notices.iter().map(|notice| notice_code(*notice)).collect();
        }
        Body::HoldPlaced { points, currency, value, expires_at, .. } => {
            written.id = id(Kind::Hold, seq);
            written.points = Some(*points);
            written.expires_at = Some(instant(*expires_at));
            written.value = currency.map(|_| *value);
            written.currency = currency.map(|currency| currency.as_str().to_owned());
        }
        Body::HoldConfirmed { hold, points, .. } => {
            written.id = id(Kind::Redemption, seq);
            written.of = id(Kind::Hold, *hold);
            written.points = Some(*points);
        }
        Body::HoldCancelled { hold } => {
            written.id = id(Kind::Hold, *hold);
            written.of = id(Kind::Hold, *hold);
        }
        Body::Redeemed { points, currency, value, .. } => {
            written.id = id(Kind::Redemption, seq);
            written.points = Some(*points);
            written.value = currency.map(|_| *value);
            written.currency = currency.map(|currency| currency.as_str().to_owned());
        }
        Body::Adjusted { points, .. } => {
            written.id = id(Kind::Adjustment, seq);
            written.points = Some(*points);
        }
        Body::Returned(taken) => {
            written.id = id(Kind::Return, seq);
            written.of = id(Kind::Purchase, taken.back.sale);
            written.returned = vec![returned(member, &taken.back)];
        }
        Body::BlindReturned { claimed, taken, .. } => {
            written.id = id(Kind::Return, seq);
            written.returned = vec![Returned { purchase: None, claimed: *claimed, restored: 0, owed: 0, lines: Vec::new() }];
            written.points = Some(-taken);
        }
        Body::Delivered { sale, .. } => {
            written.id = id(Kind::Delivery, seq);
            written.of = id(Kind::Purchase, *sale);
        }
        Body::Reversed { redemption, points } => {
            written.id = id(Kind::Reversal, seq);
            written.of = id(Kind::Redemption, *redemption);
            written.points = Some(*points);
        }
    }
    Some(written)
}

fn what(body: &Body) -> What {
    match body {
        Body::Enrolled { .. } => What::Enrolment,
        Body::Purchased(_) => What::Purchase,
        Body::HoldPlaced { .. } => What::Hold,
        Body::HoldConfirmed { .. } => What::Confirmation,
        Body::HoldCancelled { .. } => What::Cancellation,
        Body::Redeemed { .. } => What::Redemption,
        Body::Adjusted { .. } => What::Adjustment,
        Body::Returned(returned) if returned.asked.kind == KeyKind::Void => What::Void,
        Body::Returned(_) | Body::BlindReturned { .. } => What::Return,
        Body::Delivered { .. } => What::Delivery,
        Body::Reversed { .. } => What::Reversal,
        Body::AliasAdded { .. } => What::AliasAdded,
        Body::AliasRemoved { .. } => What::AliasRemoved,
    }
}

fn returned(member: MemberId, back: &Back) -> Returned {
    let line = |(place, amount, quantity): &(u16, i64, tessera_domain::number::Decimal)| ReturnedLine { place: u32::from(*place) + 1, amount: *amount, quantity: quantity.to_string() };
    Returned {
        purchase: Some(MadeId { kind: Kind::Purchase, member, seq: back.sale }.to_string()),
        claimed: back.claimed,
        restored: back.restored,
        owed: back.unmet,
        lines: back.lines.iter().map(line).collect(),
    }
}

fn explanation<'a>(programme: &'a Programme, sale: &'a Sale) -> Vec<Explanation<'a>> {
    let explain = |award| {
        let explain::Explained { rule, kind, text } = explain::explain(programme, award);
        Explanation { line: explain::line(&sale.basket, award), rule, kind, points: award.points, text }
    };
    sale.awards.iter().map(explain).collect()
}

fn notice_code(notice: Notice) -> &'static str {
    match notice {
        Notice::TendersDiffer => "tenders_differ",
        Notice::UnknownStore => "unknown_store",
    }
}

/// An instant as in RFC 3339.
#[must_use]
pub fn instant(at: Millis) -> String {
    timestamp(at).to_string()
}

/// Renders a member.
#[must_use]
pub fn member<'a>(programme: &'a Programme, id: MemberId, view: &View) -> Member<'a> {
    Member {
        member: id.to_string(),
        seq: view.seq,
        enrolled_at: instant(view.enrolled_at),
        wallet: Wallet::of(view.figures, programme),
        tier: tier(programme, view),
        programme_version: view.programme,
    }
}

/// Renders a tier.
#[must_use]
pub fn tier<'a>(programme: &'a Programme, view: &View) -> Tier<'a> {
    let levels = &programme.tiers.levels;
    let held = levels.get(usize::from(view.tier));
    let next = levels.get(usize::from(view.tier) + 1);
    Tier {
        id: held.map_or("", |level| &level.id),
        name: held.map_or("", |level| &level.name),
        metric: view.tier_metric,
        next: next.map(|level| &*level.id),
        missing: next.map(|level| (level.threshold - view.tier_metric).max(0)),
        until: view.tier_until.date().to_string(),
    }
}

/// Renders the lots of a wallet that still hold something.
#[must_use]
pub fn lots(wallet: &wallet::Wallet) -> Lots {
    let id = |LotId { seq, n }: LotId| format!("{seq}.{n}");
    let expires_at = |at: Millis| (at != NEVER).then(|| instant(at));
    let active = |lot: &Lot| LotShown {
        id: id(lot.id),
        state: "active",
        points: lot.left,
        held: lot.held,
        active_since: Some(instant(lot.activated_at)),
        expires_at: expires_at(lot.expires_at),
        due_at: None,
        waits_for_delivery: false,
    };
    let pending = |(lot, unlock): &(Lot, Unlock)| LotShown {
        state: "pending",
        active_since: None,
        due_at: Some(instant(wallet::due(*unlock))),
        waits_for_delivery: !matches!(unlock, Unlock::At(_)),
        ..active(lot)
    };
    let held = wallet.rest.iter().filter(|lot| lot.left > 0);
    Lots { lots: wallet.live.iter().chain(held).map(active).chain(wallet.waiting.iter().filter(|(lot, _)| lot.left > 0).map(pending)).collect() }
}

/// Renders a hold from the record that placed it. `None`: the record placed none.
#[must_use]
pub fn hold(member: MemberId, seq: u64, record: &Record, wallet: &wallet::Wallet, ended: Option<HoldEnd>) -> Option<HoldShown> {
    let Body::HoldPlaced { points, expires_at, .. } = &record.body else { return None };
    let open = wallet.holds.iter().any(|hold| u64::from(hold.seq) == seq);
    let state = match ended {
        Some(HoldEnd::Confirmed) => HoldState::Confirmed,
        Some(HoldEnd::Cancelled) => HoldState::Cancelled,
        Some(HoldEnd::Expired) | None if !open => HoldState::Expired,
        Some(HoldEnd::Expired) | None => HoldState::Open,
    };
    let id = MadeId { kind: Kind::Hold, member, seq }.to_string();
    Some(HoldShown { id, member: member.to_string(), state, points: *points, expires_at: instant(*expires_at) })
}

/// Renders the open holds of a wallet.
#[must_use]
pub fn holds(member: MemberId, wallet: &wallet::Wallet) -> Holds {
    let shown = |hold: &wallet::Hold| HoldShown {
        id: MadeId { kind: Kind::Hold, member, seq: hold.seq.into() }.to_string(),
        member: member.to_string(),
        state: HoldState::Open,
        points: hold.points,
        expires_at: instant(hold.expires_at),
    };
    Holds { holds: wallet.holds.iter().map(shown).collect() }
}
