//! Which rules match: the typed conditions, and an index by the first thing that each looks at.

use std::collections::HashMap;

use jiff::tz::TimeZone;

use crate::Text;
use crate::basket::{Basket, Line};
use crate::number::Currency;
use crate::profile::{BirthdayWindow, Found};
use crate::time::{Day, Moment, minute_of_day};

/// Typed conditions; an empty list or `None` is no condition.
#[derive(Clone, Debug, Default)]
pub struct Condition {
    // of the line
    pub categories: Vec<Text>,
    pub skus: Vec<Text>,
    pub brands: Vec<Text>,
    // of the head
    pub stores: Vec<Text>,
    pub channels: Vec<Text>,
    pub tiers: Vec<u8>,
    /// Monday = 0.
    pub weekdays: Vec<i8>,
    pub customer_groups: Vec<Text>,
    pub not_customer_groups: Vec<Text>,
    /// `[start, end)`; local times are those of the store's zone.
    pub from: Option<Moment>,
    pub until: Option<Moment>,
    /// `[start, end)` in minutes of the store's local day; over midnight when the end is not later.
    pub hours: Vec<(u16, u16)>,
    /// Kinds of tender, of which one must be there.
    pub tenders: Vec<Text>,
    /// Places of regions.
    pub regions: Vec<u16>,
    /// The member's first purchase only.
    pub first_purchase: bool,
    /// Of the member's birthday.
    pub birthday: Option<BirthdayWindow>,
    /// Places of segments, of which the member is in one.
    pub segments: Vec<u16>,
    // of sums over lines
    /// Of each group of products one must be among the lines that earn.
    pub bundle: Vec<Vec<Text>>,
    pub min_spend: Option<(Currency, i64)>,
    pub min_quantity: Option<i64>,
}

/// What of a sale the head conditions look at.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    pub basket: &'a Basket,
    /// The store's.
    pub zone: &'a TimeZone,
    /// In that zone.
    pub day: Day,
    /// Of its member.
    pub found: &'a Found,
    /// The store's.
    pub regions: &'a [u16],
}

impl Condition {
    /// The conditions of the head that need no sum over lines.
    #[must_use]
    pub fn head(&self, head: &Head<'_>) -> bool {
        let basket = head.basket;
        let any = |list: &[Text], value: &str| list.is_empty() || list.iter().any(|item| **item == *value);
        any(&self.stores, &basket.store)
            && any(&self.channels, &basket.channel)
            && any(&self.customer_groups, &basket.customer_group)
            && (self.not_customer_groups.is_empty() || !any(&self.not_customer_groups, &basket.customer_group))
            && (self.tiers.is_empty() || self.tiers.contains(&head.found.tier))
            && (!self.first_purchase || head.found.first)
            && self.birthday.is_none_or(|window| head.found.birthday.contains(window))
            && (self.segments.is_empty() || self.segments.iter().any(|segment| head.found.segments.contains(segment)))
            && (self.tenders.is_empty() || basket.tenders.iter().any(|tender| self.tenders.contains(&tender.kind)))
            && (self.regions.is_empty() || self.regions.iter().any(|region| head.regions.contains(region)))
            && (self.hours.is_empty() || self.in_hours(minute_of_day(basket.occurred_at, head.zone)))
            && (self.weekdays.is_empty() || self.weekdays.contains(&head.day.date().weekday().to_monday_zero_offset()))
            && self.from.is_none_or(|from| basket.occurred_at >= from.start(head.zone))
            && self.until.is_none_or(|until| basket.occurred_at < until.end(head.zone))
    }

    /// The conditions of one line.
    #[must_use]
    pub fn line(&self, line: &Line) -> bool {
        (self.categories.is_empty() || self.categories.iter().any(|prefix| within(prefix, &line.category)))
            && (self.skus.is_empty() || self.skus.contains(&line.sku))
            && (self.brands.is_empty() || self.brands.contains(&line.brand))
    }

    fn in_hours(&self, minute: u16) -> bool {
        self.hours.iter().any(|(start, end)| if start < end { (*start..*end).contains(&minute) } else { minute >= *start || minute < *end })
    }

    /// Whether a sum over lines is asked for, or a bundle of them.
    #[must_use]
    pub fn has_minimum(&self) -> bool {
        self.min_spend.is_some() || self.min_quantity.is_some() || !self.bundle.is_empty()
    }
}

/// Whether `category` is `prefix` or lies below it: `produce` holds `produce/potatoes`.
#[must_use]
pub fn within(prefix: &str, category: &str) -> bool {
    category.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Rules of one kind by the first thing that each looks at: a basket is compared with those only that it may match, so
/// that ten thousand rules of which twenty match cost little more than twenty.
#[derive(Clone, Debug, Default)]
pub struct RuleIndex {
    /// Those that look at none of what follows.
    general: Vec<u16>,
    skus: HashMap<Text, Vec<u16>>,
    categories: HashMap<Text, Vec<u16>>,
    brands: HashMap<Text, Vec<u16>>,
    stores: HashMap<Text, Vec<u16>>,
}

impl RuleIndex {
    /// Of rules in their order, fewer than 65,536.
    #[must_use]
    pub fn new<'a>(rules: impl Iterator<Item = &'a Condition>) -> Self {
        let mut index = Self::default();
        for (number, when) in (0_u16..).zip(rules) {
            // Each rule stands in one of them: products are rarest, then come categories, brands, stores.
            let (map, keys) = if !when.skus.is_empty() {
                (&mut index.skus, &when.skus)
            } else if !when.categories.is_empty() {
                (&mut index.categories, &when.categories)
            } else if !when.brands.is_empty() {
                (&mut index.brands, &when.brands)
            } else if !when.stores.is_empty() {
                (&mut index.stores, &when.stores)
            } else {
                index.general.push(number);
                continue;
            };
            for key in keys {
                map.entry(key.clone()).or_default().push(number);
            }
        }
        index
    }

    /// Rules that may match a basket, in their order.
    #[must_use]
    pub fn candidates(&self, basket: &Basket) -> Vec<u16> {
        let mut found = self.general.clone();
        let mut add = |map: &HashMap<Text, Vec<u16>>, key: &str| found.extend(map.get(key).into_iter().flatten());
        add(&self.stores, &basket.store);
        for line in &basket.lines {
            add(&self.skus, &line.sku);
            add(&self.brands, &line.brand);
            if !self.categories.is_empty() {
                let ends = line.category.match_indices('/').map(|(end, _)| end).chain([line.category.len()]);
                ends.for_each(|end| add(&self.categories, &line.category[..end]));
            }
        }
        if found.len() > self.general.len() {
            found.sort_unstable();
            found.dedup();
        }
        found
    }
}
