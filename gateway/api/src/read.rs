//! From what callers send to commands: every text, number and time checked, with a pointer to the field.

mod returns;
mod spending;

use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use tessera_domain::basket::{self, Basket, LineKind, MAX_LINES, MAX_TENDERS};
use tessera_domain::command::{self, Ask};
use tessera_domain::ids::{Kind, MadeId, MemberId};
use tessera_domain::merge::Owner;
use tessera_domain::keys::{Keys, NaturalKey, TransactionId};
use tessera_domain::number::{Currency, Decimal};
use tessera_domain::profile::Change;
use tessera_domain::programme::Programme;
use tessera_domain::time::{Day, Millis};
use tessera_domain::{Code, Rejection};

use crate::Text;
pub use self::returns::{TakenBack, purchase_id};
use self::spending::allowed;
pub use self::spending::wallet;
use crate::request::{Alias, Goods, Line, Purchase, Receipt, Tender, TierGrant, Update};

fn invalid(field: impl Into<Text>, detail: &str) -> Rejection {
    Rejection::new(Code::Invalid, field, detail)
}

/// A key: at least one character.
fn key(value: &Text, field: impl Fn() -> String) -> Result<Text, Rejection> {
    if value.is_empty() { Err(invalid(field(), "a key has at least one character; leave it out if there is none")) } else { text(value, 64, field) }
}

/// Short text: at most `max` characters, none of them a control character.
///
/// # Errors
/// `invalid` when it is not.
pub fn text(value: &Text, max: usize, field: impl Fn() -> String) -> Result<Text, Rejection> {
    // Nearly all are plain ASCII, where a byte is a character.
    let plain = value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let good = if plain { value.len() <= max } else { value.chars().count() <= max && !value.chars().any(char::is_control) };
    if !good {
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

/// A date.
///
/// # Errors
/// A rejection that points at `field`.
pub fn day(value: &str, field: &str) -> Result<Day, Rejection> {
    let date = if value.len() == 10 { value.parse::<Date>().ok() } else { None };
    date.map(Day::of).ok_or_else(|| invalid(field, "a date such as 2026-11-21"))
}

fn ids(lines: &[Text], field: &str) -> Result<Vec<Text>, Rejection> {
    lines.iter().map(|id| text(id, 64, || format!("{field}/lines"))).collect()
}

impl Purchase {
    /// When the sale happened.
    ///
    /// # Errors
    /// `invalid` when it is no such time.
    pub fn happened(&self, programme: &Programme) -> Result<Millis, Rejection> {
        instant(&self.occurred_at, programme.store_zone(&self.store))
    }

    /// Whether it names anything that another member made: a hold, an allowance, a sale of which goods come back.
    #[must_use]
    pub fn names_others(&self, member: MemberId) -> bool {
        let tenders = self.tenders.iter().flat_map(|tender| {
            let hold = tender.hold.as_ref().and_then(|id| MadeId::parse(Kind::Hold, id));
            hold.into_iter().chain(tender.offline.as_ref().and_then(|offline| MadeId::parse(Kind::Allowance, &offline.allowance)))
        });
        let returned = self.lines.iter().filter_map(|line| MadeId::parse(Kind::Purchase, &line.returns.as_ref()?.purchase));
        tenders.chain(returned).any(|made| made.member != member)
    }

    /// The command, for a member that `alias` (kind and hash) named.
    ///
    /// # Errors
    /// A rejection that points at the field.
    pub fn command(&self, programme: &Programme, owner: &Owner, alias: Option<(Text, u128)>) -> Result<command::Purchase, Rejection> {
        if self.lines.len() > MAX_LINES {
            return Err(Rejection::new(Code::TooManyLines, "/lines", "a basket has at most 1000 lines; send it in two parts"));
        }
        if self.tenders.len() > MAX_TENDERS {
            return Err(invalid("/tenders", "at most 50 tenders"));
        }
        if self.discounts.len() > MAX_TENDERS {
            return Err(invalid("/discounts", "at most 50 discounts"));
        }
        let source = text(&self.source, 64, || "/source".into())?;
        let store = text(&self.store, 64, || "/store".into())?;
        let till = text(&self.till, 64, || "/till".into())?;
        let business_date = self.business_date.as_deref().map(|date| day(date, "/business_date")).transpose()?;
        let mut keys = keys([&source, &store, &till], business_date, self.sequence.as_ref(), self.transaction_id.as_ref(), "")?;
        let currency = Currency::from_str(&self.currency).map_err(|e| invalid("/currency", e))?;
        let lines = self.lines.iter().enumerate().map(|(place, line)| line.read(place, owner)).collect::<Result<_, _>>()?;
        let discounts = self.discounts.iter().enumerate().map(|(place, discount)| {
            Ok(basket::HeadDiscount { amount: discount.amount, lines: ids(&discount.lines, &format!("/discounts/{place}"))? })
        });
        let discounts = discounts.collect::<Result<_, Rejection>>()?;
        let tenders = self.tenders.iter().enumerate().map(|(place, tender)| tender.read(place, owner, programme)).collect::<Result<_, _>>()?;
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
            ext: free(&self.ext)?,
        });
        if programme.renumbers.contains(&basket.source) {
            keys.content = Some(basket.content());
        }
        Ok(command::Purchase { basket, keys, alias })
    }
}

/// Bytes of a caller's own data, at most.
const MAX_EXT: usize = 4_096;

/// A caller's own data in one form: its keys are sorted, so that it compares by content.
fn free(ext: &serde_json::Map<String, serde_json::Value>) -> Result<Text, Rejection> {
    if ext.is_empty() {
        return Ok(Text::default());
    }
    let text = serde_json::to_string(ext).ok().filter(|text| text.len() <= MAX_EXT);
    text.map(Text::from).ok_or_else(|| invalid("/ext", "your own data is a JSON object of at most 4096 bytes"))
}

/// The keys that a receipt goes by.
fn keys([source, store, till]: [&Text; 3], business_date: Option<Day>, sequence: Option<&Text>, transaction_id: Option<&Text>, at: &str) -> Result<Keys, Rejection> {
    let natural = match (sequence, business_date) {
        (Some(sequence), Some(business_date)) => {
            let sequence = key(sequence, || format!("{at}/sequence"))?;
            Some(NaturalKey { source: source.clone(), store: store.clone(), till: till.clone(), business_date, sequence })
        }
        (Some(_), None) => return Err(invalid(format!("{at}/business_date"), "a sequence is a key together with its business date; send both")),
        (None, _) => None,
    };
    let transaction = transaction_id.map(|id| key(id, || format!("{at}/transaction_id")).map(|id| TransactionId { source: source.clone(), id }));
    Ok(Keys { natural, transaction: transaction.transpose()?, content: None })
}

impl Receipt {
    fn keys(&self, at: &str) -> Result<Keys, Rejection> {
        let source = text(&self.source, 64, || format!("{at}/source"))?;
        let store = text(&self.store, 64, || format!("{at}/store"))?;
        let till = text(&self.till, 64, || format!("{at}/till"))?;
        let day = self.business_date.as_deref().map(|date| day(date, &format!("{at}/business_date"))).transpose()?;
        keys([&source, &store, &till], day, self.sequence.as_ref(), self.transaction_id.as_ref(), at)
    }
}

impl Line {
    fn read(&self, place: usize, owner: &Owner) -> Result<basket::Line, Rejection> {
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
                Goods::Return => LineKind::Return,
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
            returns: self.returns.as_ref().map(|returns| returns.read(place, owner)).transpose()?,
        })
    }
}

impl crate::request::Returns {
    fn read(&self, place: usize, owner: &Owner) -> Result<basket::ReturnOf, Rejection> {
        let unknown = || Rejection::new(Code::UnknownSale, format!("/lines/{place}/returns/purchase"), "this member has no such purchase");
        let sale = MadeId::parse(Kind::Purchase, &self.purchase).and_then(|sale| owner.number(sale)).ok_or_else(unknown)?;
        Ok(basket::ReturnOf { sale, line: text(&self.line, 64, || format!("/lines/{place}/returns/line"))? })
    }
}

impl Tender {
    fn read(&self, place: usize, owner: &Owner, programme: &Programme) -> Result<basket::Tender, Rejection> {
        let hold = match &self.hold {
            None => None,
            Some(id) => {
                let hold = MadeId::parse(Kind::Hold, id).and_then(|hold| owner.number(hold));
                let unknown = || Rejection::new(Code::UnknownHold, format!("/tenders/{place}/hold"), "this member has no such hold");
                Some(hold.ok_or_else(unknown)?)
            }
        };
        let used = |offline: &crate::request::OfflineTender| allowed(&offline.allowance, offline.counter, owner, &format!("/tenders/{place}/offline"));
        let offline = self.offline.as_ref().map(used).transpose()?;
        if offline.is_some() && (hold.is_some() || &*self.kind != "points") {
            return Err(invalid(format!("/tenders/{place}/offline"), "only a tender of type points has one, and it names no hold"));
        }
        let lines = ids(&self.lines, &format!("/tenders/{place}"))?;
        // The first wallet is meant when none is named: naming it says the same.
        let wallet = text(&self.wallet, 32, || format!("/tenders/{place}/wallet"))?;
        let wallet = if programme.wallet_number(&wallet) == Some(0) && hold.is_none() && offline.is_none() { Text::default() } else { wallet };
        Ok(basket::Tender { kind: text(&self.kind, 32, || format!("/tenders/{place}/type"))?, amount: self.amount, wallet, hold, offline, lines })
    }
}

/// Why staff do something.
fn reason(reason: &Text) -> Result<Text, Rejection> {
    let reason = text(reason, 200, || "/reason".into())?;
    if reason.trim().is_empty() { Err(invalid("/reason", "say why")) } else { Ok(reason) }
}

impl TierGrant {
    /// What is asked of the member.
    ///
    /// # Errors
    /// A rejection that points at the field.
    pub fn ask(&self, programme: &Programme) -> Result<Ask, Rejection> {
        let grant = match (&self.tier, &self.until) {
            (Some(tier), Some(until)) => {
                let level = programme.tiers.levels.iter().position(|level| level.id == *tier).and_then(|place| u8::try_from(place).ok());
                let tiers = || programme.tiers.levels.iter().skip(1).map(|level| &*level.id).collect::<Vec<_>>().join(", ");
                let level = level.ok_or_else(|| invalid("/tier", &format!("no tier of the programme; those that can be given are {}", tiers())))?;
                Some((level, day(until, "/until")?))
            }
            (None, None) => None,
            (Some(_), None) => return Err(invalid("/until", "give the last day of it, such as 2026-12-31")),
            (None, Some(_)) => return Err(invalid("/tier", "name the tier; without one, leave until out too: what staff gave then ends now")),
        };
        Ok(Ask::GrantTier { grant, reason: reason(&self.reason)? })
    }
}

impl Update {
    /// The change, checked as far as text goes.
    ///
    /// # Errors
    /// A rejection that points at the field.
    pub fn change(&self) -> Result<Change, Rejection> {
        let birthday = |given: &Text| -> Result<(u8, u8), Rejection> {
            let read = given.split_once('-').filter(|(month, day)| month.len() == 2 && day.len() == 2);
            let read = read.and_then(|(month, day)| Some((month.parse().ok()?, day.parse().ok()?)));
            read.ok_or_else(|| invalid("/birthday", "month and day, such as 02-29, or null for none"))
        };
        let mut segments = self.segments.clone().map(Option::unwrap_or_default);
        if let Some(segments) = &mut segments {
            for (place, segment) in segments.iter().enumerate() {
                key(segment, || format!("/segments/{place}"))?;
            }
            segments.sort();
            segments.dedup();
        }
        Ok(Change {
            zone: self.zone.as_ref().map(|zone| text(zone.as_ref().unwrap_or(&Text::default()), 64, || "/zone".into())).transpose()?,
            birthday: self.birthday.as_ref().map(|given| given.as_ref().map(birthday).transpose()).transpose()?,
            segments,
        })
    }
}
