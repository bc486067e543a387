//! What callers send. Amounts are integers in minor units; decimals are strings; times RFC 3339.

mod returns;
mod spending;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use self::returns::{Delivery, LineBack, Receipt, Refund, Return, Void};
pub use self::spending::{Adjust, Confirm, Hold, NewAllowance, Nothing, OfflineRedemption, OfflineTender, NewPoolMember, Redemption, Transfer};
use crate::Text;

/// Enrols a member.
#[derive(Serialize, Deserialize, ToSchema, Debug, Default)]
#[serde(deny_unknown_fields)]
pub struct Enrol {
    /// Card numbers, app ids and the like.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 20)]
    pub aliases: Vec<Alias>,
}

/// Changes a member's profile: what is left out stays, `null` removes.
#[derive(Serialize, Deserialize, ToSchema, Debug, Default)]
#[serde(deny_unknown_fields)]
pub struct Update {
    /// IANA name of the member's own zone, in which its days are counted; the programme's otherwise.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, max_length = 64, example = "Europe/Berlin")]
    pub zone: Option<Option<Text>>,
    /// Month and day.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, pattern = "^(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$", example = "02-29")]
    pub birthday: Option<Option<Text>>,
    /// All segments that it is in from now on.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>, max_items = 100)]
    pub segments: Option<Option<Vec<Text>>>,
}

/// Staff give a tier for a time, whatever its metric carries; without a tier, what they gave ends now.
#[derive(Serialize, Deserialize, ToSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct TierGrant {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 32, example = "gold")]
    pub tier: Option<Text>,
    /// The last day of it, in the programme's zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", example = "2026-12-31")]
    pub until: Option<Text>,
    #[schema(value_type = String, min_length = 1, max_length = 200, example = "moved here from another programme")]
    pub reason: Text,
}

/// A member goes into another one, one way, for ever.
#[derive(Serialize, Deserialize, ToSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct Merge {
    /// The one that goes on.
    pub into: Who,
}

/// What was sent, `null` included, apart from what was not.
fn given<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// A name that a member goes by.
#[derive(Serialize, Deserialize, ToSchema, Debug, Clone)]
#[serde(deny_unknown_fields)]
pub struct Alias {
    /// One of the programme's types.
    #[serde(rename = "type")]
    #[schema(value_type = String, min_length = 1, max_length = 32, example = "card")]
    pub kind: Text,
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "2600001234567")]
    pub value: Text,
}

/// Whom a request is for: a member id, or an alias.
#[derive(Serialize, ToSchema, Debug)]
#[serde(untagged)]
pub enum Who {
    /// A member id.
    #[schema(value_type = String, example = "mem_44e8xcen1vz50awrxbwq3fcat9")]
    Id(Text),
    /// By alias.
    Alias(ByAlias),
}

impl<'de> Deserialize<'de> for Who {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct IdOrAlias;

        impl<'de> serde::de::Visitor<'de> for IdOrAlias {
            type Value = Who;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a member id, or an object with an alias")
            }

            fn visit_str<E: serde::de::Error>(self, id: &str) -> Result<Who, E> {
                Ok(Who::Id(id.into()))
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Who, A::Error> {
                ByAlias::deserialize(serde::de::value::MapAccessDeserializer::new(map)).map(Who::Alias)
            }
        }

        from.deserialize_any(IdOrAlias)
    }
}

/// A member by an alias.
#[derive(Serialize, Deserialize, ToSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct ByAlias {
    pub alias: Alias,
}

/// A basket. It goes by its receipt (source, store, till, business date, sequence), by the source's transaction id, or both.
#[derive(Serialize, Deserialize, ToSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct Purchase {
    pub member: Who,
    /// The system that sends it.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    #[schema(value_type = String, max_length = 64, example = "pos")]
    pub source: Text,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    #[schema(value_type = String, max_length = 64, example = "367")]
    pub store: Text,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    #[schema(value_type = String, max_length = 64, example = "4")]
    pub till: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date, example = "2026-11-21")]
    pub business_date: Option<Text>,
    /// With a business date: the receipt's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64, example = "000173")]
    pub sequence: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64, example = "31198570044")]
    pub transaction_id: Option<Text>,
    /// RFC 3339; without an offset it is the store's local time.
    #[schema(value_type = String, max_length = 40, example = "2026-11-21T11:53:26-05:00")]
    pub occurred_at: Text,
    /// ISO 4217.
    #[schema(value_type = String, pattern = "^[A-Z]{3}$", example = "USD")]
    pub currency: Text,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    #[schema(value_type = String, max_length = 64, example = "store")]
    pub channel: Text,
    /// Such as staff.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    #[schema(value_type = String, max_length = 64, example = "")]
    pub customer_group: Text,
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    #[schema(default = true)]
    pub prices_include_tax: bool,
    /// A till in training mode: answered as a quote is, and nothing is written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schema(default = false)]
    pub training: bool,
    #[schema(min_items = 1, max_items = 1000)]
    pub lines: Vec<Line>,
    /// Discounts on the head.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 50)]
    pub discounts: Vec<Discount>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 50)]
    pub tenders: Vec<Tender>,
    /// Your own data, kept with the purchase: at most 4 KiB, its numbers as in IEEE 754.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    #[schema(value_type = Object, additional_properties = true)]
    pub ext: serde_json::Map<String, serde_json::Value>,
}

/// One line of a basket.
#[derive(Serialize, Deserialize, ToSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Unique in the basket.
    #[schema(value_type = String, max_length = 64, example = "1")]
    pub id: Text,
    #[serde(default, skip_serializing_if = "is_default")]
    #[schema(inline)]
    pub kind: Goods,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    #[schema(value_type = String, max_length = 64, example = "1004906")]
    pub sku: Text,
    /// From the widest to the narrowest, with slashes.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    #[schema(value_type = String, max_length = 128, example = "PRODUCE/POTATOES")]
    pub category: Text,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    #[schema(value_type = String, max_length = 64, example = "National")]
    pub brand: Text,
    /// A decimal; 1 when absent.
    #[serde(default = "one")]
    #[schema(value_type = String, pattern = r"^[0-9]{1,12}(\.[0-9]{1,6})?$", example = "0.75")]
    pub quantity: Text,
    /// Empty or `piece`: sold by the piece. Anything else is a weight or volume.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    #[schema(value_type = String, max_length = 16, example = "kg")]
    pub unit: Text,
    /// What the line came to before its discount, minor units.
    #[schema(minimum = 0, maximum = 1_000_000_000_000_i64, example = 139)]
    pub amount: i64,
    #[serde(default, skip_serializing_if = "is_default")]
    #[schema(minimum = 0, maximum = 1_000_000_000_000_i64, example = 60)]
    pub discount: i64,
    #[serde(default, skip_serializing_if = "is_default")]
    #[schema(minimum = 0, maximum = 1_000_000_000_000_i64, example = 0)]
    pub tax: i64,
    #[serde(default, skip_serializing_if = "is_default")]
    pub voided: bool,
    /// Of a line of kind `return`: what it gives back. Its quantity says how much; an amount above 0 says for how much.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub returns: Option<Returns>,
}

/// A line of an earlier purchase.
#[derive(Serialize, Deserialize, ToSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct Returns {
    #[schema(value_type = String, pattern = "^pur_[0-9a-z]{27,33}$", example = "pur_44e8xcen1vz50awrxbwq3fcat92")]
    pub purchase: Text,
    #[schema(value_type = String, max_length = 64, example = "1")]
    pub line: Text,
}

/// What a line is; only goods and services earn.
#[derive(Serialize, Deserialize, ToSchema, Debug, Clone, Copy, Default, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Goods {
    #[default]
    Goods,
    Service,
    GiftCard,
    Deposit,
    Fee,
    Donation,
    Return,
}

/// A discount on the head.
#[derive(Serialize, Deserialize, ToSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct Discount {
    #[schema(minimum = 0, maximum = 1_000_000_000_000_i64, example = 100)]
    pub amount: i64,
    /// Ids of the lines it falls on; none: all goods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>, max_items = 1000)]
    pub lines: Vec<Text>,
}

/// How something was paid.
#[derive(Serialize, Deserialize, ToSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct Tender {
    /// `points`, or any other name, which counts as money.
    #[serde(rename = "type")]
    #[schema(value_type = String, max_length = 32, example = "card")]
    pub kind: Text,
    #[schema(minimum = 0, maximum = 1_000_000_000_000_i64, example = 379)]
    pub amount: i64,
    /// Of a points tender: id of the wallet; the hold's, or the programme's first, when absent.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    #[schema(value_type = String, max_length = 32, example = "points")]
    pub wallet: Text,
    /// The hold that a points tender confirms.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, pattern = "^hold_[0-9a-z]{27,33}$")]
    pub hold: Option<Text>,
    /// When a till took it without a connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offline: Option<OfflineTender>,
    /// Ids of the lines it pays; none: all sold lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>, max_items = 1000)]
    pub lines: Vec<Text>,
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
