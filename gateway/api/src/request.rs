//! What callers send. Amounts are integers in minor units; decimals are strings; times RFC 3339.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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

/// Takes goods back: of a purchase that is named by its id or by `sale`, or, with neither, `goods` without a receipt.
#[derive(Serialize, Deserialize, ToSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct Return {
    /// Needed unless `purchase` is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<Who>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, pattern = "^pur_[0-9a-z]{27,33}$", example = "pur_44e8xcen1vz50awrxbwq3fcat92")]
    pub purchase: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sale: Option<Receipt>,
    /// The return's own receipt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
    #[schema(value_type = String, max_length = 40, example = "2026-11-22T09:10:00-05:00")]
    pub occurred_at: Text,
    /// When given it is the sale's; needed for `goods`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, pattern = "^[A-Z]{3}$", example = "USD")]
    pub currency: Option<Text>,
    /// None: all that is left.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 1000)]
    pub lines: Vec<LineBack>,
    /// How the customer was paid back; without it points come back in proportion to the goods.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 50)]
    pub refunds: Option<Vec<Refund>>,
    /// Without a receipt: the goods as they would be sold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 1000)]
    pub goods: Vec<Line>,
}

/// Takes all that is left of a purchase back, with all its tenders.
#[derive(Serialize, Deserialize, ToSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct Void {
    /// Needed unless `purchase` is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<Who>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, pattern = "^pur_[0-9a-z]{27,33}$", example = "pur_44e8xcen1vz50awrxbwq3fcat92")]
    pub purchase: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sale: Option<Receipt>,
    /// The void's own receipt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
    #[schema(value_type = String, max_length = 40, example = "2026-11-22T09:10:00-05:00")]
    pub occurred_at: Text,
}

/// What names a receipt: store, till, business date and sequence, or the source's transaction id, or both.
#[derive(Serialize, Deserialize, ToSchema, Debug, Default)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
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
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64, example = "000173")]
    pub sequence: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64, example = "31198570044")]
    pub transaction_id: Option<Text>,
}

/// What comes back of a line. Neither quantity nor amount: all that is left of it.
#[derive(Serialize, Deserialize, ToSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct LineBack {
    #[schema(value_type = String, max_length = 64, example = "1")]
    pub line: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, pattern = r"^[0-9]{1,12}(\.[0-9]{1,6})?$", example = "1")]
    pub quantity: Option<Text>,
    /// Minor units. Alone, or with quantity 0, it is a price adjustment.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1_000_000_000_000_i64)]
    pub amount: Option<i64>,
}

/// How a customer was paid back.
#[derive(Serialize, Deserialize, ToSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct Refund {
    /// `points`, or any other name, which counts as money.
    #[serde(rename = "type")]
    #[schema(value_type = String, max_length = 32, example = "card")]
    pub kind: Text,
    #[schema(minimum = 0, maximum = 1_000_000_000_000_i64, example = 379)]
    pub amount: i64,
}

/// Lines of a purchase were delivered.
#[derive(Serialize, Deserialize, ToSchema, Debug, Default)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    /// None: all that wait.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>, max_items = 1000)]
    pub lines: Vec<Text>,
}

/// Sets points aside: so many points, or what an amount of money comes to.
#[derive(Serialize, Deserialize, ToSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    pub member: Who,
    /// Id of the wallet; the programme's first when absent.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    #[schema(value_type = String, max_length = 32, example = "points")]
    pub wallet: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000_000_000_i64, example = 5)]
    pub points: Option<i64>,
    /// Minor units, with a currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000_000_000_i64)]
    pub amount: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, pattern = "^[A-Z]{3}$")]
    pub currency: Option<Text>,
    /// How long it lives; the programme says how long at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 31_536_000)]
    pub ttl_seconds: Option<i64>,
}

/// Spends points at once: so many points, or what an amount of money comes to.
#[derive(Serialize, Deserialize, ToSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct Redemption {
    pub member: Who,
    /// Id of the wallet; the programme's first when absent.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    #[schema(value_type = String, max_length = 32, example = "points")]
    pub wallet: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000_000_000_i64, example = 5)]
    pub points: Option<i64>,
    /// Minor units, with a currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000_000_000_i64)]
    pub amount: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, pattern = "^[A-Z]{3}$")]
    pub currency: Option<Text>,
    /// When a till took them without a connection; it is then a key of its own, and no Idempotency-Key is needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offline: Option<OfflineRedemption>,
}

/// By what a till took points without a connection, and when.
#[derive(Serialize, Deserialize, ToSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct OfflineRedemption {
    #[schema(value_type = String, pattern = "^alw_[0-9a-z]{27,33}$")]
    pub allowance: Text,
    /// The till's own count of the allowance's uses: each is used once.
    #[schema(minimum = 1, maximum = 1000)]
    pub counter: u32,
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "367")]
    pub store: Text,
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "4")]
    pub till: Text,
    #[schema(value_type = String, max_length = 40, example = "2026-11-22T09:10:00-05:00")]
    pub occurred_at: Text,
}

/// By what a till took a points tender without a connection; beyond the allowance the sale is recorded and the tender refused.
#[derive(Serialize, Deserialize, ToSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct OfflineTender {
    #[schema(value_type = String, pattern = "^alw_[0-9a-z]{27,33}$")]
    pub allowance: Text,
    /// The till's own count of the allowance's uses: each is used once.
    #[schema(minimum = 1, maximum = 1000)]
    pub counter: u32,
}

/// Lets a till take points of a member while it has no connection.
#[derive(Serialize, Deserialize, ToSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct NewAllowance {
    pub member: Who,
    /// Id of the wallet; the programme's first when absent.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    #[schema(value_type = String, max_length = 32, example = "points")]
    pub wallet: Text,
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "367")]
    pub store: Text,
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "4")]
    pub till: Text,
    #[schema(minimum = 1, maximum = 1_000_000_000_000_i64, example = 5)]
    pub points: i64,
    /// 7 days when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 60, maximum = 604_800)]
    pub ttl_seconds: Option<i64>,
}

/// Gives points from one of a member's wallets to another, at the programme's rate; or, with a recipient, to another member.
#[derive(Serialize, Deserialize, ToSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    pub member: Who,
    /// Id of a wallet.
    #[schema(value_type = String, min_length = 1, max_length = 32, example = "points")]
    pub from: Text,
    /// Id of a wallet; the same one for a gift.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    #[schema(value_type = String, max_length = 32, example = "miles")]
    pub to: Text,
    /// Another member, who is given them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipient: Option<Who>,
    /// Of the wallet that gives, in its smallest unit.
    #[schema(minimum = 1, maximum = 1_000_000_000_000_i64, example = 100)]
    pub points: i64,
}

/// Spends a hold.
#[derive(Serialize, Deserialize, ToSchema, Debug, Default)]
#[serde(deny_unknown_fields)]
pub struct Confirm {
    /// At most what is held; the rest returns. Absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000_000_000_i64)]
    pub points: Option<i64>,
}

/// A request that says all by its path.
#[derive(Serialize, Deserialize, ToSchema, Debug, Default)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// Staff give or take points.
#[derive(Serialize, Deserialize, ToSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct Adjust {
    /// Id of the wallet; the programme's first when absent.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    #[schema(value_type = String, max_length = 32, example = "points")]
    pub wallet: Text,
    /// Given, or taken when negative.
    #[schema(minimum = -1_000_000_000_000_i64, maximum = 1_000_000_000_000_i64, example = 50)]
    pub points: i64,
    #[schema(value_type = String, min_length = 1, max_length = 200, example = "a spoilt melon")]
    pub reason: Text,
    /// More may be taken than is available: the rest is debt.
    #[serde(default, skip_serializing_if = "is_default")]
    pub allow_debt: bool,
    /// `points` of debt are forgiven.
    #[serde(default, skip_serializing_if = "is_default")]
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
