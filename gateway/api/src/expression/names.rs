//! What an expression may name, its type, and where its value comes from.

use cel::common::types::{CelBool, CelDouble, CelInt, CelString};
use cel::common::value::CowVal;
use cel::context::VariableResolver;
use regex::Regex;
use tessera_domain::basket::LineKind;
use tessera_domain::profile::BirthdayWindow;
use tessera_domain::rules::Sight;
use tessera_domain::time::{minute_of_day, timestamp};

/// Types of values. A list is one of texts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Type {
    Bool,
    Int,
    Double,
    Text,
    List,
}

impl Type {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Bool => "true or false",
            Self::Int => "a whole number",
            Self::Double => "a number with decimals",
            Self::Text => "a text",
            Self::List => "a list of texts",
        }
    }
}

/// Names of the sale: who bought, where, when, how much.
pub(super) const HEAD: [(&str, Type); 21] = [
    ("source", Type::Text),
    ("store", Type::Text),
    ("till", Type::Text),
    ("channel", Type::Text),
    ("customer_group", Type::Text),
    ("currency", Type::Text),
    ("tier", Type::Text),
    ("first_purchase", Type::Bool),
    ("birthday", Type::Bool),
    ("segments", Type::List),
    ("regions", Type::List),
    ("tenders", Type::List),
    // Of the lines that earn: minor units before points tenders, and how many there are.
    ("total", Type::Int),
    ("line_count", Type::Int),
    // Of the store's local time.
    ("year", Type::Int),
    ("month", Type::Int),
    ("day", Type::Int),
    ("weekday", Type::Text),
    ("hour", Type::Int),
    ("minute", Type::Int),
    ("prices_include_tax", Type::Bool),
];

/// Names of a line.
pub(super) const LINE: [(&str, Type); 8] = [
    ("sku", Type::Text),
    ("category", Type::Text),
    ("brand", Type::Text),
    ("unit", Type::Text),
    ("kind", Type::Text),
    ("quantity", Type::Double),
    // Minor units: before its discounts, and after them.
    ("amount", Type::Int),
    ("net", Type::Int),
];

/// First character of our own names, which no source can write.
pub(super) const REGEX: char = '#';

/// A sale, and perhaps a line, as an expression sees it.
pub(super) struct Seen<'a> {
    pub(super) sight: &'a Sight<'a>,
    pub(super) line: Option<usize>,
    pub(super) regexes: &'a [(String, Regex)],
}

impl Seen<'_> {
    /// A text by its name.
    fn text(&self, name: &str) -> Option<&str> {
        let head = self.sight.head;
        let basket = head.basket;
        let line = || Some(&basket.lines[self.line?]);
        Some(match name {
            "source" => &basket.source,
            "store" => &basket.store,
            "till" => &basket.till,
            "channel" => &basket.channel,
            "customer_group" => &basket.customer_group,
            "currency" => basket.currency.as_str(),
            "tier" => self.sight.programme.tiers.levels.get(usize::from(head.found.tier)).map_or("", |level| &level.id),
            "weekday" => ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
                .get(usize::from(head.day.date().weekday().to_monday_zero_offset().unsigned_abs()))?,
            "sku" => &line()?.sku,
            "category" => &line()?.category,
            "brand" => &line()?.brand,
            "unit" => &line()?.unit,
            "kind" => match line()?.kind {
                LineKind::Goods => "goods",
                LineKind::Service => "service",
                LineKind::GiftCard => "gift_card",
                LineKind::Deposit => "deposit",
                LineKind::Fee => "fee",
                LineKind::Donation => "donation",
                LineKind::Return => "return",
            },
            _ => return None,
        })
    }

    fn list(&self, name: &str) -> Option<Vec<cel::Value>> {
        let (programme, head) = (self.sight.programme, self.sight.head);
        let text = |text: &str| cel::Value::from(text.to_owned());
        Some(match name {
            "segments" => head.found.segments.iter().filter_map(|place| programme.segments.get(usize::from(*place))).map(|id| text(id)).collect(),
            "regions" => head.regions.iter().filter_map(|place| programme.region_ids.get(usize::from(*place))).map(|id| text(id)).collect(),
            "tenders" => head.basket.tenders.iter().map(|tender| text(&tender.kind)).collect(),
            _ => return None,
        })
    }

    fn whole(&self, name: &str) -> Option<i64> {
        let head = self.sight.head;
        let date = || head.day.date();
        Some(match name {
            "total" => self.sight.total(),
            "line_count" => i64::try_from(self.sight.earning_lines()).unwrap_or(i64::MAX),
            "year" => date().year().into(),
            "month" => date().month().into(),
            "day" => date().day().into(),
            "hour" => i64::from(minute_of_day(head.basket.occurred_at, head.zone)) / 60,
            "minute" => head.zone.to_datetime(timestamp(head.basket.occurred_at)).minute().into(),
            "amount" => head.basket.lines[self.line?].amount,
            "net" => self.sight.worth.lines[self.line?].net,
            _ => return None,
        })
    }

    fn truth(&self, name: &str) -> Option<bool> {
        let head = self.sight.head;
        Some(match name {
            "first_purchase" => head.found.first,
            "birthday" => head.found.birthday.contains(BirthdayWindow::Day),
            "prices_include_tax" => head.basket.prices_include_tax,
            _ => {
                let (of, regex) = self.regexes.get(name.strip_prefix(REGEX)?.parse::<usize>().ok()?)?;
                regex.is_match(self.text(of)?)
            }
        })
    }
}

impl VariableResolver for Seen<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        if let Some(text) = self.text(name) {
            return Some(CowVal::owned(CelString::from(text)));
        }
        if let Some(whole) = self.whole(name) {
            return Some(CowVal::owned(CelInt::from(whole)));
        }
        if let Some(truth) = self.truth(name) {
            return Some(CowVal::owned(CelBool::from(truth)));
        }
        if name == "quantity" {
            // Millionths fit a double's 53 bits far beyond what a line can count.
            #[expect(clippy::cast_precision_loss)]
            let quantity = self.sight.worth.lines[self.line?].quantity.0 as f64 / 1e6;
            return Some(CowVal::owned(CelDouble::from(quantity)));
        }
        cel::Value::from(self.list(name)?).try_into().ok().map(CowVal::Owned)
    }
}
