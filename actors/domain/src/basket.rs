//! What a till sends, and what each line comes to (rule 5).

use crate::number::{Currency, Decimal, split};
use crate::time::{Day, Millis};
use crate::{Code, Rejection, Text};

/// A basket as parsed. Equality is by content: instants, decimals by value, absent = default (rule 24).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Basket {
    pub source: Text,
    pub store: Text,
    pub till: Text,
    pub channel: Text,
    pub customer_group: Text,
    pub occurred_at: Millis,
    pub business_date: Option<Day>,
    pub currency: Currency,
    pub prices_include_tax: bool,
    pub lines: Vec<Line>,
    pub discounts: Vec<HeadDiscount>,
    pub tenders: Vec<Tender>,
    /// The caller's own data: a JSON object with its keys sorted, or nothing.
    pub ext: Text,
}

/// One line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    pub id: Text,
    pub kind: LineKind,
    pub sku: Text,
    pub category: Text,
    pub brand: Text,
    pub quantity: Decimal,
    /// Empty or `piece`: sold by the piece. Anything else is a weight or volume.
    pub unit: Text,
    /// What the line came to before its discount, minor units.
    pub amount: i64,
    pub discount: i64,
    pub tax: i64,
    pub voided: bool,
    /// For `kind: return`: which line of which sale comes back.
    pub returns: Option<ReturnOf>,
}

/// The sale and line that an exchange line gives back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReturnOf {
    pub sale: u64,
    pub line: Text,
}

/// What kind of thing a line is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LineKind {
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
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeadDiscount {
    pub amount: i64,
    /// Ids of the lines it falls on; empty = all goods.
    pub lines: Vec<Text>,
}

/// How something was paid.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tender {
    /// `points`, or any other name, which counts as money.
    pub kind: Text,
    pub amount: i64,
    /// Of a points tender: the id of its wallet; empty = the first.
    pub wallet: Text,
    /// The hold that a points tender confirms, by the record that placed it.
    pub hold: Option<u64>,
    /// What a till without a connection took it by.
    pub offline: Option<Allowed>,
    /// Ids of the lines that it pays; empty = all sold lines.
    pub lines: Vec<Text>,
}

/// A use of an allowance (rule 14).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Allowed {
    /// The record that gave it; 0 = none of this member.
    pub allowance: u64,
    /// The till's own count of its uses: each is used once.
    pub counter: u32,
}

impl Tender {
    /// Whether it is paid in points.
    #[must_use]
    pub fn is_points(&self) -> bool {
        &*self.kind == "points"
    }
}

impl LineKind {
    /// Whether it can earn at all.
    #[must_use]
    pub fn earns(self) -> bool {
        matches!(self, Self::Goods | Self::Service)
    }
}

/// What a line came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LineWorth {
    /// `amount` − discounts: what was asked for it, minor units.
    pub net: i64,
    /// Its tax.
    pub tax: i64,
    /// Quantity that has not come back.
    pub quantity: Decimal,
    /// Sold: neither voided nor a return.
    pub sold: bool,
}

/// A points tender, and which lines it fell on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Paid {
    /// Minor units paid in points.
    pub amount: i64,
    /// Gross of the lines it fell on.
    pub of: i64,
    /// By line: whether it fell on it.
    pub on: Vec<bool>,
}

/// A whole basket's worth.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Worth {
    pub lines: Vec<LineWorth>,
    pub paid: Vec<Paid>,
}

impl Worth {
    /// Σ net of the sold lines.
    #[must_use]
    pub fn net(&self) -> i64 {
        self.lines.iter().filter(|line| line.sold).map(|line| line.net).sum()
    }

    /// Whether something sold is there (rule 21: a visit).
    #[must_use]
    pub fn keeps_something(&self) -> bool {
        self.lines.iter().any(LineWorth::is_kept)
    }

    /// Σ minor units paid in points.
    #[must_use]
    pub fn paid_in_points(&self) -> i64 {
        self.paid.iter().map(|paid| paid.amount).sum()
    }
}

/// Largest amount of a line, a discount, a tax or a tender, in minor units.
pub const MAX_AMOUNT: i64 = 1_000_000_000_000;
/// Most lines of a basket.
pub const MAX_LINES: usize = 1_000;
/// Most tenders and head discounts of a basket.
pub const MAX_TENDERS: usize = 50;

impl Basket {
    /// Fingerprint of what was sold, where and when, whatever the receipt was called (rule 23). Stored.
    #[must_use]
    pub fn content(&self) -> u64 {
        let amounts: Vec<u8> = self.lines.iter().flat_map(|line| [line.amount, line.discount, line.quantity.0]).flat_map(i64::to_le_bytes).collect();
        let skus: Vec<u8> = self.lines.iter().flat_map(|line| line.sku.bytes().chain([0])).collect();
        let (at, off) = (self.occurred_at.to_le_bytes(), self.off_the_head().to_le_bytes());
        crate::keys::fingerprint(&[b"content", self.source.as_bytes(), self.store.as_bytes(), self.till.as_bytes(), &at, &amounts, &off, &skus])
    }

    /// Same source, store, till, instant, total and lines.
    #[must_use]
    pub fn is_sold_again_as(&self, other: &Self) -> bool {
        let head = self.source == other.source && self.store == other.store && self.till == other.till && self.occurred_at == other.occurred_at;
        head && self.off_the_head() == other.off_the_head() && self.lines == other.lines
    }

    fn off_the_head(&self) -> i64 {
        self.discounts.iter().fold(0, |sum, discount| discount.amount.saturating_add(sum))
    }

    /// Gross of a line: with tax.
    #[must_use]
    pub fn gross(&self, worth: &LineWorth) -> i64 {
        if self.prices_include_tax { worth.net } else { worth.net + worth.tax }
    }

    /// Checks what only the whole basket shows, and works out each line's worth.
    ///
    /// # Errors
    /// A rejection that points at the field.
    pub fn worth(&self) -> Result<Worth, Rejection> {
        self.check()?;
        let mut lines: Vec<LineWorth> = self.lines.iter().map(LineWorth::of).collect();
        for (place, discount) in self.discounts.iter().enumerate() {
            let field = || format!("/discounts/{place}");
            let on = self.named(&discount.lines, &field, |line| matches!(line.kind, LineKind::Goods))?;
            let weights: Vec<i64> = lines.iter().zip(&on).map(|(line, on)| if *on && line.sold { line.net } else { 0 }).collect();
            if discount.amount > weights.iter().sum() {
                return Err(Rejection::new(Code::DiscountExceeds, format!("{}/amount", field()), "the discount is larger than the lines it falls on"));
            }
            for (line, share) in lines.iter_mut().zip(split(discount.amount, &weights)) {
                line.net -= share;
            }
        }
        if self.prices_include_tax {
            for (place, (line, worth)) in self.lines.iter().zip(&lines).enumerate() {
                if worth.sold && line.tax > worth.net {
                    return Err(Rejection::new(Code::Invalid, format!("/lines/{place}/tax"), "the tax is larger than the line that includes it"));
                }
            }
        }
        let paid = self.paid(&lines)?;
        Ok(Worth { lines, paid })
    }

    fn check(&self) -> Result<(), Rejection> {
        let invalid = |field: String, text: &str| Err(Rejection::new(Code::Invalid, field, text));
        if self.lines.is_empty() {
            return invalid("/lines".into(), "a basket has at least one line");
        }
        for (place, line) in self.lines.iter().enumerate() {
            let amounts = [("amount", line.amount), ("discount", line.discount), ("tax", line.tax)];
            for (name, amount) in amounts {
                if !(0..=MAX_AMOUNT).contains(&amount) {
                    return invalid(format!("/lines/{place}/{name}"), "an amount is between 0 and 1000000000000 minor units");
                }
            }
            if line.discount > line.amount {
                return Err(Rejection::new(Code::DiscountExceeds, format!("/lines/{place}/discount"), "the discount is larger than the amount"));
            }
            if line.quantity.0 < 0 {
                return invalid(format!("/lines/{place}/quantity"), "a quantity is not negative; what comes back is a line of kind return");
            }
            if (line.kind == LineKind::Return) != line.returns.is_some() {
                return invalid(format!("/lines/{place}"), "a line of kind return, and no other, names the sale and line it gives back");
            }
            if self.lines[..place].iter().any(|earlier| earlier.id == line.id) {
                return invalid(format!("/lines/{place}/id"), "another line has this id");
            }
        }
        let heads = self.discounts.iter().map(|d| d.amount).chain(self.tenders.iter().map(|t| t.amount));
        if heads.into_iter().any(|amount| !(0..=MAX_AMOUNT).contains(&amount)) {
            return invalid("/tenders".into(), "an amount is between 0 and 1000000000000 minor units");
        }
        Ok(())
    }

    /// Which lines a list of ids names; empty = those that `otherwise` takes.
    fn named(&self, ids: &[Text], field: &dyn Fn() -> String, otherwise: impl Fn(&Line) -> bool) -> Result<Vec<bool>, Rejection> {
        if ids.is_empty() {
            return Ok(self.lines.iter().map(otherwise).collect());
        }
        let mut on = vec![false; self.lines.len()];
        for id in ids {
            let Some(place) = self.lines.iter().position(|line| line.id == *id) else {
                return Err(Rejection::new(Code::UnknownLine, format!("{}/lines", field()), &format!("no line has the id {id}")));
            };
            on[place] = true;
        }
        Ok(on)
    }

    fn paid(&self, lines: &[LineWorth]) -> Result<Vec<Paid>, Rejection> {
        let mut all = Vec::new();
        for (place, tender) in self.tenders.iter().enumerate().filter(|(_, tender)| tender.is_points()) {
            let field = || format!("/tenders/{place}");
            let on = self.named(&tender.lines, &field, |_| true)?;
            let on: Vec<bool> = on.into_iter().zip(lines).map(|(on, line)| on && line.sold).collect();
            let of: i64 = lines.iter().zip(&on).filter(|(_, on)| **on).map(|(line, _)| self.gross(line)).sum();
            let exceeds = || Rejection::new(Code::TenderExceeds, format!("{}/amount", field()), "the points pay more than the lines they fall on");
            if tender.amount > of {
                return Err(exceeds());
            }
            if of > 0 {
                all.push(Paid { amount: tender.amount, of, on });
            }
            // Several tenders on one line: together no more than all of it.
            let over = (0..lines.len()).any(|line| {
                let falls: Vec<&Paid> = all.iter().filter(|paid| paid.on[line]).collect();
                falls.len() > 1 && crate::earn::more_than_all(&falls)
            });
            if over {
                return Err(exceeds());
            }
        }
        Ok(all)
    }
}

impl LineWorth {
    /// Sold, and something of it has not come back.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.sold && (self.net > 0 || self.quantity.0 > 0)
    }

    fn of(line: &Line) -> Self {
        let sold = !line.voided && line.kind != LineKind::Return;
        Self { net: if sold { line.amount - line.discount } else { 0 }, tax: if sold { line.tax } else { 0 }, quantity: line.quantity, sold }
    }

    /// What is left of the line after part of it came back (rule 16): tax in proportion, rounded down.
    #[must_use]
    pub fn less(&self, net: i64, quantity: Decimal) -> Self {
        let left = self.net - net;
        let tax = crate::number::mul_div_floor(self.tax, left, self.net).unwrap_or(0);
        Self { net: left, tax, quantity: Decimal(self.quantity.0 - quantity.0), sold: self.sold }
    }
}

impl Line {
    /// The sale and line that it gives back, unless the cashier took it off again.
    #[must_use]
    pub fn gives_back(&self) -> Option<&ReturnOf> {
        self.returns.as_ref().filter(|_| !self.voided)
    }

    /// Rule 5: whole units by the piece; by weight, by volume or with quantity 0 the line counts one.
    #[must_use]
    pub fn units(&self, quantity: Decimal) -> i64 {
        let piece = self.unit.is_empty() || &*self.unit == "piece";
        if piece && self.quantity.0 != 0 { quantity.whole() } else { 1 }
    }
}
