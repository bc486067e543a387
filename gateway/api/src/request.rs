//! What callers send. Amounts are integers in minor units; decimals are strings; times RFC 3339.

use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use serde::{Deserialize, Serialize};
use tessera_domain::basket::{self, Basket, LineKind, MAX_LINES, MAX_TENDERS};
use tessera_domain::command;
use tessera_domain::ids::{Kind, MadeId, MemberId};
use tessera_domain::keys::{Keys, NaturalKey, TransactionId};
use tessera_domain::number::{Currency, Decimal};
use tessera_domain::programme::Programme;
use tessera_domain::record::Asked;
use tessera_domain::time::Day;
use tessera_domain::{Code, Rejection, Text};

/// `POST /v1/members`.
#[derive(Serialize, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Enrol {
    /// Card numbers, app ids and the like.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<Alias>,
}

/// A name that a member goes by.
#[derive(Serialize, Deserialize, Debug, Clone)]
#[serde(deny_unknown_fields)]
pub struct Alias {
    /// One of the programme's types.
    #[serde(rename = "type")]
    pub kind: Text,
    /// 1 to 64 characters.
    pub value: Text,
}

/// Whom a request is for: by id, or by alias.
#[derive(Serialize, Deserialize, Debug)]
#[serde(untagged)]
pub enum Who {
    /// `"member": "mem_…"`.
    Id(Text),
    /// `"member": { "alias": { … } }`.
    Alias(ByAlias),
}

/// See [`Who`].
#[derive(Serialize, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct ByAlias {
    /// The alias.
    pub alias: Alias,
}

/// `POST /v1/purchases` and `POST /v1/quotes`.
#[derive(Serialize, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Purchase {
    pub member: Who,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub source: Text,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub store: Text,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub till: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub business_date: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<Text>,
    pub occurred_at: Text,
    pub currency: Text,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub channel: Text,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub customer_group: Text,
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub prices_include_tax: bool,
    pub lines: Vec<Line>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub discounts: Vec<Discount>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tenders: Vec<Tender>,
}

/// One line of a basket.
#[derive(Serialize, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Line {
    pub id: Text,
    #[serde(default, skip_serializing_if = "is_default")]
    pub kind: Goods,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub sku: Text,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub category: Text,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub brand: Text,
    #[serde(default = "one")]
    pub quantity: Text,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub unit: Text,
    pub amount: i64,
    #[serde(default, skip_serializing_if = "is_default")]
    pub discount: i64,
    #[serde(default, skip_serializing_if = "is_default")]
    pub tax: i64,
    #[serde(default, skip_serializing_if = "is_default")]
    pub voided: bool,
}

/// What a line is.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, Default, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Goods {
    #[default]
    Goods,
    Service,
    GiftCard,
    Deposit,
    Fee,
    Donation,
}

/// A discount on the head.
#[derive(Serialize, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Discount {
    pub amount: i64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<Text>,
}

/// A tender.
#[derive(Serialize, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Tender {
    #[serde(rename = "type")]
    pub kind: Text,
    pub amount: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<Text>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<Text>,
}

/// `POST /v1/holds` and `POST /v1/redemptions`: points, or money and its currency.
#[derive(Serialize, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Spend {
    pub member: Who,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub points: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<Text>,
    /// Holds only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<i64>,
}

/// `POST /v1/holds/{id}/confirm`.
#[derive(Serialize, Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
pub struct Confirm {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub points: Option<i64>,
}

/// `POST /v1/members/{id}/adjustments`.
#[derive(Serialize, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Adjust {
    pub points: i64,
    pub reason: Text,
    #[serde(default)]
    pub allow_debt: bool,
    #[serde(default)]
    pub write_off: bool,
}

/// Whether a field is as if it had not been sent.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

// serde hands over a reference.
#[expect(clippy::trivially_copy_pass_by_ref)]
fn is_yes(value: &bool) -> bool {
    *value
}

fn yes() -> bool {
    true
}

fn one() -> Text {
    "1".into()
}

fn invalid(field: impl Into<Text>, detail: &str) -> Rejection {
    Rejection::new(Code::Invalid, field, detail)
}

/// Short text: at most `max` characters, none of them a control character.
fn text(value: &Text, max: usize, field: impl Fn() -> String) -> Result<Text, Rejection> {
    if value.chars().count() > max || value.chars().any(char::is_control) {
        return Err(invalid(field(), &format!("at most {max} characters, none of them a control character")));
    }
    Ok(value.clone())
}

impl Alias {
    /// Kind and value, checked.
    ///
    /// # Errors
    /// A rejection that points at the field.
    pub fn read(&self, at: &str) -> Result<(String, String), Rejection> {
        let (kind, value) = (text(&self.kind, 32, || format!("{at}/type"))?, text(&self.value, 64, || format!("{at}/value"))?);
        if value.is_empty() {
            return Err(invalid(format!("{at}/value"), "an alias has at least one character"));
        }
        Ok((kind.into(), value.into()))
    }
}

/// A member id.
///
/// # Errors
/// `unknown_member`: what is not an id names nobody.
pub fn member_id(id: &str) -> Result<MemberId, Rejection> {
    id.parse().map_err(|text| Rejection::new(Code::UnknownMember, "/member", text))
}

/// An instant: RFC 3339, or local time of `zone` when it has no offset. Kept to the millisecond.
fn instant(value: &str, zone: &jiff::tz::TimeZone) -> Result<i64, Rejection> {
    let read = || -> Option<i64> {
        if let Ok(instant) = value.parse::<Timestamp>() {
            return Some(instant.as_millisecond());
        }
        let local = value.parse::<DateTime>().ok()?;
        Some(zone.to_ambiguous_timestamp(local).compatible().ok()?.as_millisecond())
    };
    let plain = value.len() <= 40 && value.contains(['T', 't', ' ']) && !value.contains('[');
    let found = if plain { read() } else { None };
    // Years 2000 to 2199: what lies outside is a clock that was never set.
    found.filter(|at| (946_684_800_000..7_258_118_400_000).contains(at)).ok_or_else(|| {
        invalid("/occurred_at", "a time of the years 2000 to 2199 as in RFC 3339, such as 2026-11-21T11:53:26-05:00")
    })
}

fn day(value: &str) -> Result<Day, Rejection> {
    let date = if value.len() == 10 { value.parse::<Date>().ok() } else { None };
    date.map(Day::of).ok_or_else(|| invalid("/business_date", "a date such as 2026-11-21"))
}

fn ids(lines: &[Text], field: &str) -> Result<Vec<Text>, Rejection> {
    lines.iter().map(|id| text(id, 64, || format!("{field}/lines"))).collect()
}

impl Purchase {
    /// The command, for a member that `alias` (kind and hash) named.
    ///
    /// # Errors
    /// A rejection that points at the field.
    pub fn command(&self, programme: &Programme, member: MemberId, alias: Option<(Text, u128)>) -> Result<command::Purchase, Rejection> {
        if self.lines.len() > MAX_LINES {
            return Err(Rejection::new(Code::TooManyLines, "/lines", "a basket has at most 1000 lines; send it in two parts"));
        }
        if self.tenders.len() > MAX_TENDERS || self.discounts.len() > MAX_TENDERS {
            return Err(invalid("/tenders", "at most 50 tenders and 50 discounts"));
        }
        let source = text(&self.source, 64, || "/source".into())?;
        let store = text(&self.store, 64, || "/store".into())?;
        let till = text(&self.till, 64, || "/till".into())?;
        let business_date = self.business_date.as_deref().map(day).transpose()?;
        let natural = match (&self.sequence, business_date) {
            (Some(sequence), Some(business_date)) => {
                let sequence = text(sequence, 64, || "/sequence".into())?;
                Some(NaturalKey { source: source.clone(), store: store.clone(), till: till.clone(), business_date, sequence })
            }
            (Some(_), None) => return Err(invalid("/business_date", "a sequence is a key together with its business date; send both")),
            (None, _) => None,
        };
        let transaction = self.transaction_id.as_ref().map(|id| {
            text(id, 64, || "/transaction_id".into()).map(|id| TransactionId { source: source.clone(), id })
        });
        let keys = Keys { natural, transaction: transaction.transpose()? };
        let currency = Currency::from_str(&self.currency).map_err(|e| invalid("/currency", e))?;
        let lines = self.lines.iter().enumerate().map(|(place, line)| line.read(place)).collect::<Result<_, _>>()?;
        let discounts = self.discounts.iter().enumerate().map(|(place, discount)| {
            Ok(basket::HeadDiscount { amount: discount.amount, lines: ids(&discount.lines, &format!("/discounts/{place}"))? })
        });
        let discounts = discounts.collect::<Result<_, Rejection>>()?;
        let tenders = self.tenders.iter().enumerate().map(|(place, tender)| tender.read(place, member)).collect::<Result<_, _>>()?;
        let occurred_at = instant(&self.occurred_at, programme.store_zone(&store))?;
        let basket = Arc::new(Basket {
            source,
            store,
            till,
            channel: text(&self.channel, 64, || "/channel".into())?,
            customer_group: text(&self.customer_group, 64, || "/customer_group".into())?,
            occurred_at,
            business_date,
            currency,
            prices_include_tax: self.prices_include_tax,
            lines,
            discounts,
            tenders,
        });
        Ok(command::Purchase { basket, keys, alias })
    }
}

impl Line {
    fn read(&self, place: usize) -> Result<basket::Line, Rejection> {
        let field = |name: &'static str| move || format!("/lines/{place}/{name}");
        Ok(basket::Line {
            id: text(&self.id, 64, field("id"))?,
            kind: match self.kind {
                Goods::Goods => LineKind::Goods,
                Goods::Service => LineKind::Service,
                Goods::GiftCard => LineKind::GiftCard,
                Goods::Deposit => LineKind::Deposit,
                Goods::Fee => LineKind::Fee,
                Goods::Donation => LineKind::Donation,
            },
            sku: text(&self.sku, 64, field("sku"))?,
            category: text(&self.category, 128, field("category"))?,
            brand: text(&self.brand, 64, field("brand"))?,
            quantity: Decimal::from_str(&self.quantity).map_err(|e| invalid(field("quantity")(), e))?,
            unit: text(&self.unit, 16, field("unit"))?,
            amount: self.amount,
            discount: self.discount,
            tax: self.tax,
            voided: self.voided,
            returns: None,
        })
    }
}

impl Tender {
    fn read(&self, place: usize, member: MemberId) -> Result<basket::Tender, Rejection> {
        let hold = match &self.hold {
            None => None,
            Some(id) => {
                let hold = MadeId::parse(Kind::Hold, id).filter(|hold| hold.member == member);
                let unknown = || Rejection::new(Code::UnknownHold, format!("/tenders/{place}/hold"), "this member has no such hold");
                Some(hold.ok_or_else(unknown)?.seq)
            }
        };
        let lines = ids(&self.lines, &format!("/tenders/{place}"))?;
        Ok(basket::Tender { kind: text(&self.kind, 32, || format!("/tenders/{place}/type"))?, amount: self.amount, hold, lines })
    }
}

impl Spend {
    /// How much.
    ///
    /// # Errors
    /// Neither, or both, of points and money.
    pub fn asked(&self) -> Result<Asked, Rejection> {
        match (self.points, self.amount, &self.currency) {
            (Some(points), None, None) => Ok(Asked::Points(points)),
            (None, Some(amount), Some(currency)) => {
                let currency = Currency::from_str(currency).map_err(|e| invalid("/currency", e))?;
                if !(1..=basket::MAX_AMOUNT).contains(&amount) {
                    return Err(invalid("/amount", "between 1 and 1000000000000 minor units"));
                }
                Ok(Asked::Money(currency, amount))
            }
            _ => Err(invalid("/points", "send either points, or amount and currency")),
        }
    }
}

impl Adjust {
    /// The reason, checked.
    ///
    /// # Errors
    /// Empty or too long.
    pub fn reason(&self) -> Result<Text, Rejection> {
        let reason = text(&self.reason, 200, || "/reason".into())?;
        if reason.trim().is_empty() { Err(invalid("/reason", "say why")) } else { Ok(reason) }
    }
}
