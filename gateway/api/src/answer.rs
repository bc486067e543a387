//! What callers get. Rendered from a record alone, so that every answer to a repeat is the same.

use serde::Serialize;
use tessera_domain::ids::{Kind, MadeId, MemberId};
use tessera_domain::member::View;
use tessera_domain::programme::{Programme, Programmes};
use tessera_domain::record::{Body, Figures, Notice, Record, Sale};
use tessera_domain::time::timestamp;

use crate::explain;

/// A wallet's figures, in its smallest unit.
#[derive(Serialize, Debug)]
pub struct Wallet {
    pub decimals: u8,
    pub available: i64,
    pub pending: i64,
    pub held: i64,
    pub debt: i64,
}

/// The answer to anything that appended a record.
#[derive(Serialize, Debug)]
pub struct Written<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    pub member: String,
    pub seq: u64,
    pub at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub earned: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub points: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    pub wallet: Wallet,
    pub tier: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub explanation: Vec<Explanation<'a>>,
    pub programme_version: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<&'static str>,
}

/// One award.
#[derive(Serialize, Debug)]
pub struct Explanation<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<&'a str>,
    pub rule: &'a str,
    pub kind: &'static str,
    pub points: i64,
    pub text: &'a str,
}

/// `GET /v1/members/{id}`.
#[derive(Serialize, Debug)]
pub struct Member<'a> {
    pub member: String,
    pub seq: u64,
    pub enrolled_at: String,
    pub wallet: Wallet,
    pub tier: Tier<'a>,
    pub programme_version: u32,
}

/// A tier and the way to the next.
#[derive(Serialize, Debug)]
pub struct Tier<'a> {
    pub id: &'a str,
    pub name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<i64>,
    pub until: String,
}

/// RFC 9457.
#[derive(Serialize, Debug)]
pub struct Problem<'a> {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub title: &'a str,
    pub status: u16,
    pub code: &'a str,
    pub detail: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub field: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<&'static str>,
    pub request_id: &'a str,
}

impl Wallet {
    fn of(figures: Figures, programme: &Programme) -> Self {
        let Figures { available, pending, held, debt } = figures;
        Self { decimals: programme.wallet.decimals, available, pending, held, debt }
    }
}

/// Renders a record. `None`: a version that it names is not known on this node.
#[must_use]
pub fn written<'a>(programmes: &'a Programmes, member: MemberId, seq: u64, record: &'a Record) -> Option<Written<'a>> {
    let programme = programmes.version(record.programme)?;
    let made = |kind: Kind| Some(MadeId { kind, member, seq }.to_string());
    let (mut id, mut points, mut expires_at, mut sale) = (None, None, None, None);
    match &record.body {
        Body::Enrolled { .. } => {}
        Body::Purchased(bought) => {
            id = made(Kind::Purchase);
            sale = Some(bought);
        }
        Body::HoldPlaced { points: held, expires_at: at, .. } => {
            id = made(Kind::Hold);
            points = Some(*held);
            expires_at = Some(timestamp(*at).to_string());
        }
        Body::HoldConfirmed { points: spent, .. } | Body::Redeemed { points: spent, .. } => {
            id = made(Kind::Redemption);
            points = Some(*spent);
        }
        Body::HoldCancelled { hold } => id = Some(MadeId { kind: Kind::Hold, member, seq: *hold }.to_string()),
        Body::Adjusted { points: by, .. } => {
            id = made(Kind::Adjustment);
            points = Some(*by);
        }
    }
    let explanation = match sale {
        Some(sale) => explanation(programmes.version(sale.programme)?, sale),
        None => Vec::new(),
    };
    Some(Written {
        id,
        member: member.to_string(),
        seq,
        at: timestamp(record.at).to_string(),
        earned: sale.map(|sale| sale.earned),
        points,
        expires_at,
        wallet: Wallet::of(record.after, programme),
        tier: programme.tiers.levels.get(usize::from(record.tier)).map_or("", |level| &level.id),
        explanation,
        programme_version: sale.map_or(record.programme, |sale| sale.programme),
        notices: sale.into_iter().flat_map(|sale| &sale.notices).map(|notice| notice_code(*notice)).collect(),
    })
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

/// Renders a member.
#[must_use]
pub fn member<'a>(programme: &'a Programme, id: MemberId, view: &View) -> Member<'a> {
    let levels = &programme.tiers.levels;
    let held = levels.get(usize::from(view.tier));
    let next = levels.get(usize::from(view.tier) + 1);
    Member {
        member: id.to_string(),
        seq: view.seq,
        enrolled_at: timestamp(view.enrolled_at).to_string(),
        wallet: Wallet::of(view.figures, programme),
        tier: Tier {
            id: held.map_or("", |level| &level.id),
            name: held.map_or("", |level| &level.name),
            next: next.map(|level| &*level.id),
            missing: next.map(|level| (level.threshold - view.tier_metric).max(0)),
            until: view.tier_until.date().to_string(),
        },
        programme_version: view.programme,
    }
}
