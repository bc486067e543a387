//! What comes back: returns, voids, deliveries.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Line, Who};
use crate::Text;

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
