//! Rules that earn, and their conditions.

use serde::Deserialize;
use serde::de::Error as _;
use tessera_domain::Text;
use utoipa::ToSchema;

use super::{At, Code, Number, Words};

/// A base rule: points for a whole unit of a currency.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = programme::Earn)]
pub(crate) struct Earn {
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "base")]
    pub(crate) id: Text,
    #[serde(default)]
    #[schema(value_type = String, min_length = 0, max_length = 64, example = "points")]
    pub(crate) wallet: Text,
    #[serde(default)]
    #[schema(minimum = -1_000_000, maximum = 1_000_000)]
    pub(crate) priority: i32,
    #[schema(value_type = String, pattern = "^[A-Z]{3}$", example = "USD")]
    pub(crate) currency: Code,
    #[schema(value_type = String, pattern = r"^[0-9]{1,12}(\.[0-9]{1,6})?$", example = "0.5")]
    pub(crate) points: Number,
    /// Id of the campaign that it belongs to.
    #[serde(default)]
    #[schema(value_type = String, max_length = 64, example = "summer")]
    pub(crate) campaign: Text,
    #[serde(default)]
    pub(crate) when: When,
    pub(crate) text: Words,
}

/// A multiplier of the base.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = programme::Multiplier)]
pub(crate) struct Multiplier {
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "base")]
    pub(crate) id: Text,
    #[serde(default)]
    #[schema(value_type = String, min_length = 0, max_length = 64, example = "points")]
    pub(crate) wallet: Text,
    #[serde(default)]
    #[schema(minimum = -1_000_000, maximum = 1_000_000)]
    pub(crate) priority: i32,
    #[schema(value_type = String, pattern = r"^[0-9]{1,12}(\.[0-9]{1,6})?$", example = "0.5")]
    pub(crate) factor: Number,
    #[schema(value_type = Option<String>, max_length = 64, example = "spring")]
    pub(crate) group: Option<Text>,
    /// Id of the campaign that it belongs to.
    #[serde(default)]
    #[schema(value_type = String, max_length = 64, example = "summer")]
    pub(crate) campaign: Text,
    #[serde(default)]
    pub(crate) when: When,
    pub(crate) text: Words,
}

/// A fixed bonus.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = programme::Bonus)]
pub(crate) struct Bonus {
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "base")]
    pub(crate) id: Text,
    #[serde(default)]
    #[schema(value_type = String, min_length = 0, max_length = 64, example = "points")]
    pub(crate) wallet: Text,
    #[schema(minimum = 0, maximum = 1_000_000_000_000_i64)]
    pub(crate) points: i64,
    #[serde(default)]
    pub(crate) per_unit: bool,
    /// Id of the campaign that it belongs to.
    #[serde(default)]
    #[schema(value_type = String, max_length = 64, example = "summer")]
    pub(crate) campaign: Text,
    #[serde(default)]
    pub(crate) when: When,
    pub(crate) text: Words,
}

/// Rules that belong together: they name it in their field `campaign`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = programme::Campaign)]
pub(crate) struct Campaign {
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "summer")]
    pub(crate) id: Text,
    /// Of its rules; the first when absent.
    #[serde(default)]
    #[schema(value_type = String, min_length = 0, max_length = 64, example = "points")]
    pub(crate) wallet: Text,
    /// When it runs, in the store's time.
    #[schema(value_type = Option<String>, max_length = 40, example = "2026-06-01T00:00")]
    pub(crate) from: Option<At>,
    #[schema(value_type = Option<String>, max_length = 40, example = "2026-09-01T00:00")]
    pub(crate) until: Option<At>,
    /// Points that one member gets of it, at most; returns make room again.
    #[schema(minimum = 1, maximum = 1_000_000_000_000_000_i64)]
    pub(crate) member: Option<i64>,
    /// Points that all members get of it, at most; returns give nothing back.
    #[schema(minimum = 1, maximum = 1_000_000_000_000_000_i64)]
    pub(crate) budget: Option<i64>,
}

/// Which points wait, and for what.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = programme::Pending)]
pub(crate) struct Pending {
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "base")]
    pub(crate) id: Text,
    #[serde(default)]
    #[schema(value_type = String, min_length = 0, max_length = 64, example = "points")]
    pub(crate) wallet: Text,
    #[serde(default)]
    #[schema(minimum = -1_000_000, maximum = 1_000_000)]
    pub(crate) priority: i32,
    pub(crate) unlock: Unlock,
    #[serde(default)]
    pub(crate) when: When,
}

/// One of the three.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = programme::Unlock)]
pub(crate) struct Unlock {
    /// So many local days after the sale's.
    #[schema(minimum = 1, maximum = 3_660)]
    pub(crate) days: Option<i32>,
    #[schema(value_type = Option<String>, max_length = 40, example = "2026-11-27T00:00")]
    pub(crate) at: Option<At>,
    #[schema(value_type = Option<bool>, example = true)]
    pub(crate) delivered: Option<Yes>,
}

/// `delivered = true`: false would say nothing.
pub(crate) struct Yes;

impl<'de> Deserialize<'de> for Yes {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if bool::deserialize(from)? { Ok(Self) } else { Err(D::Error::custom("delivered = true, or leave the rule out")) }
    }
}

/// Conditions; one that is left out always holds.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields)]
#[schema(as = programme::When)]
pub(crate) struct When {
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 10000)]
    pub(crate) categories: Vec<Text>,
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 10000)]
    pub(crate) skus: Vec<Text>,
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 10000)]
    pub(crate) brands: Vec<Text>,
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 10000)]
    pub(crate) stores: Vec<Text>,
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 10000)]
    pub(crate) channels: Vec<Text>,
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 10000)]
    pub(crate) tiers: Vec<Text>,
    #[serde(default)]
    #[schema(max_items = 10000)]
    pub(crate) weekdays: Vec<Weekday>,
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 10000)]
    pub(crate) customer_groups: Vec<Text>,
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 10000)]
    pub(crate) not_customer_groups: Vec<Text>,
    #[schema(value_type = Option<String>, max_length = 40, example = "2026-11-27T00:00")]
    pub(crate) from: Option<At>,
    #[schema(value_type = Option<String>, max_length = 40, example = "2026-11-27T00:00")]
    pub(crate) until: Option<At>,
    pub(crate) min_spend: Option<MinSpend>,
    #[schema(minimum = 0, maximum = 1_000_000_000_000_i64)]
    pub(crate) min_quantity: Option<i64>,
    /// Times of the store's day; one of them must hold.
    #[serde(default)]
    #[schema(max_items = 24)]
    pub(crate) hours: Vec<Hours>,
    /// Kinds of tender, of which one must be there.
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 100)]
    pub(crate) tenders: Vec<Text>,
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 100)]
    pub(crate) regions: Vec<Text>,
    /// The member's first purchase only.
    #[serde(default)]
    pub(crate) first_purchase: bool,
    /// The member's birthday: the day, the seven days that begin with it, or its month.
    pub(crate) birthday: Option<BirthdayName>,
    /// Segments, of which the member is in one.
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 100)]
    pub(crate) segments: Vec<Text>,
    /// What the others cannot say, in CEL: see the README for its names.
    #[schema(value_type = Option<String>, max_length = 1024, example = "total >= 5000 && weekday == 'friday'")]
    pub(crate) expression: Option<Text>,
    /// Groups of products; one of each must be bought.
    #[serde(default)]
    #[schema(value_type = Vec<Vec<String>>, max_items = 100)]
    pub(crate) bundle: Vec<Vec<Text>>,
}

#[derive(Deserialize, ToSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
#[schema(as = programme::BirthdayName)]
pub(crate) enum BirthdayName {
    Day,
    Week,
    Month,
}

#[derive(Deserialize, ToSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
#[schema(as = programme::Weekday)]
pub(crate) enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

/// From a time of the store's day to another, over midnight when that is not later.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = programme::Hours)]
pub(crate) struct Hours {
    #[schema(value_type = String, min_length = 5, max_length = 5, example = "17:00")]
    pub(crate) from: Text,
    #[schema(value_type = String, min_length = 5, max_length = 5, example = "19:30")]
    pub(crate) to: Text,
}

/// A sum in minor units.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = programme::MinSpend)]
pub(crate) struct MinSpend {
    #[schema(value_type = String, pattern = "^[A-Z]{3}$", example = "USD")]
    pub(crate) currency: Code,
    #[schema(minimum = 0, maximum = 1_000_000_000_000_i64)]
    pub(crate) amount: i64,
}
