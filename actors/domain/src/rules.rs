//! Which rules match: the typed conditions, and an index by the first thing that each looks at.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::Text;
use crate::basket::{Basket, Line, Worth};
use crate::earn::Item;
use crate::number::Currency;
use crate::profile::{BirthdayWindow, Found};
use crate::programme::Programme;
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
    /// What the conditions above cannot say.
    pub expression: Option<Arc<dyn Expression>>,
}

/// A condition written as a formula; it is compiled elsewhere. Pure: the same sale gives the same answer for ever.
pub trait Expression: std::fmt::Debug + Send + Sync {
    /// How many parts it has, and of them regular expressions: what it costs.
    fn parts(&self) -> (usize, usize);
    /// Whether it looks at a line; otherwise it is of the whole sale.
    fn of_line(&self) -> bool;
    /// Whether it holds; what cannot be worked out (a division by 0, say) does not. `line`: its place, for one that looks at a line.
    fn holds(&self, sight: &Sight<'_>, line: Option<usize>) -> bool;
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

    /// The typed conditions of one line; [`Sight::line`] asks the expression too.
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

/// A sale as rules see it.
pub struct Sight<'a> {
    pub programme: &'a Programme,
    pub head: &'a Head<'a>,
    pub worth: &'a Worth,
    /// The lines that earn by rule 5.
    items: &'a [Item],
    total: i64,
}

impl<'a> Sight<'a> {
    pub(crate) fn new(programme: &'a Programme, head: &'a Head<'a>, worth: &'a Worth, items: &'a [Item]) -> Self {
        let total = items.iter().fold(0, |sum, item| item.base.saturating_add(sum));
        Self { programme, head, worth, items, total }
    }

    /// Σ base of the lines that earn, before points tenders, in minor units.
    #[must_use]
    pub fn total(&self) -> i64 {
        self.total
    }

    /// How many lines earn.
    #[must_use]
    pub fn earning_lines(&self) -> usize {
        self.items.len()
    }

    /// Whether a rule's conditions hold for a line, those of the line itself.
    #[must_use]
    pub fn line(&self, when: &Condition, place: usize) -> bool {
        let expression = when.expression.as_ref().filter(|expression| expression.of_line());
        when.line(&self.head.basket.lines[place]) && expression.is_none_or(|expression| expression.holds(self, Some(place)))
    }

    /// Whether those of the head and of sums hold: the lines that earn by rule 5 are counted, before points tenders, and of
    /// them those that the condition itself names.
    #[must_use]
    pub fn matches(&self, when: &Condition) -> bool {
        if !when.head(self.head) || when.expression.as_ref().is_some_and(|expression| !expression.of_line() && !expression.holds(self, None)) {
            return false;
        }
        if !when.has_minimum() {
            return true;
        }
        let basket = self.head.basket;
        let named = || self.items.iter().filter(|item| self.line(when, item.place));
        let spent = when.min_spend.is_none_or(|(currency, least)| {
            // In the rule's currency (rule 7), exactly; without a rate it is not met.
            let sum: i128 = named().map(|item| i128::from(item.base)).sum();
            let minor = |currency: Currency| 10_i128.pow(currency.exponent().into());
            let rate = self.programme.exchange(basket.currency, currency, basket.occurred_at);
            rate.is_some_and(|rate| sum * i128::from(rate.num) * minor(currency) >= i128::from(least) * i128::from(rate.den) * minor(basket.currency))
        });
        let sold = |skus: &Vec<Text>| self.items.iter().any(|item| skus.contains(&basket.lines[item.place].sku));
        spent && when.bundle.iter().all(sold) && when.min_quantity.is_none_or(|least| named().map(|item| item.units).sum::<i64>() >= least)
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
