//! Quests and achievements.

use serde::Deserialize;
use tessera_domain::Text;
use utoipa::ToSchema;

use super::{At, MinSpend, When, Words};

/// Things to do in a window, for a reward. Members' progress goes by the id: what is different gets another one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = programme::Quest)]
pub(crate) struct Quest {
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "fresh-week")]
    pub(crate) id: Text,
    pub(crate) name: Words,
    #[schema(value_type = Option<String>, max_length = 40, example = "2026-11-27T00:00")]
    pub(crate) from: Option<At>,
    #[schema(value_type = Option<String>, max_length = 40, example = "2026-12-04T00:00")]
    pub(crate) until: Option<At>,
    #[schema(max_items = 20)]
    pub(crate) step: Vec<Step>,
    #[serde(default)]
    pub(crate) repeatable: bool,
    pub(crate) reward: Option<Reward>,
    pub(crate) text: Words,
}

/// A milestone, once in a life.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = programme::Achievement)]
pub(crate) struct Achievement {
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "hundred-visits")]
    pub(crate) id: Text,
    pub(crate) name: Words,
    pub(crate) step: Step,
    /// It stays whatever comes back later.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub(crate) keep: bool,
    pub(crate) reward: Option<Reward>,
    pub(crate) text: Words,
}

fn yes() -> bool {
    true
}

/// One thing to do: exactly one of the figures, of what the conditions name.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = programme::Step)]
pub(crate) struct Step {
    pub(crate) spend: Option<MinSpend>,
    #[schema(minimum = 1, maximum = 1_000_000_000_000_i64)]
    pub(crate) units: Option<i64>,
    #[schema(minimum = 1, maximum = 1_000_000_000_000_i64)]
    pub(crate) purchases: Option<i64>,
    /// Store days.
    #[schema(minimum = 1, maximum = 1_000_000_000_000_i64)]
    pub(crate) visits: Option<i64>,
    /// Days of the member's own zone.
    #[schema(minimum = 1, maximum = 366)]
    pub(crate) days_in_a_row: Option<i64>,
    #[schema(minimum = 1, maximum = 366)]
    pub(crate) weeks_in_a_row: Option<i64>,
    #[serde(default)]
    pub(crate) when: When,
}

/// Points, in a wallet's smallest unit; or a tier for so many days.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = programme::Reward)]
pub(crate) struct Reward {
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64, example = "points")]
    pub(crate) wallet: Option<Text>,
    #[schema(minimum = 1, maximum = 1_000_000_000)]
    pub(crate) points: Option<i64>,
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64, example = "gold")]
    pub(crate) tier: Option<Text>,
    #[schema(minimum = 1, maximum = 3_660)]
    pub(crate) days: Option<i32>,
}
