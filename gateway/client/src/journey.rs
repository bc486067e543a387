//! Files of real baskets: a grocer's transactions, one row a line, sorted by time.
//!
//! Origin: The Complete Journey, 84.51°. Money in cents. As a basket: amount = sales value + the shop's own discounts,
//! discount = those; the manufacturer's coupon is a tender that counts as money; quantity 0, or above 100 (nearly all of
//! it fuel), is a weight or volume: one unit.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use tessera_api::Text;
use tessera_api::request::{Alias, ByAlias, Goods, Line, Purchase, Tender, Who};

/// One line of the file.
#[derive(Deserialize, Debug)]
struct Row {
    transaction_timestamp: Text,
    basket_id: Text,
    household_id: Text,
    store_id: Text,
    product_id: Text,
    department: Text,
    product_category: Text,
    brand: Text,
    quantity: i64,
    sales_value_cents: i64,
    retail_disc_cents: i64,
    coupon_disc_cents: i64,
    coupon_match_disc_cents: i64,
}

/// Reads baskets from a `.csv`, or a `.csv.gz`.
pub struct Baskets {
    rows: csv::DeserializeRecordsIntoIter<Box<dyn Read + Send>, Row>,
    next: Option<Row>,
    line: u64,
}

impl Baskets {
    /// Opens a file.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub fn open(path: &Path) -> Result<Self, String> {
        let file = File::open(path).map_err(|e| format!("{} cannot be read: {e}", path.display()))?;
        let zipped = path.extension().is_some_and(|kind| kind == "gz");
        let text: Box<dyn Read + Send> = if zipped { Box::new(MultiGzDecoder::new(BufReader::new(file))) } else { Box::new(BufReader::new(file)) };
        Ok(Self { rows: csv::Reader::from_reader(text).into_deserialize(), next: None, line: 1 })
    }

    fn row(&mut self) -> Option<Result<Row, String>> {
        self.line += 1;
        let line = self.line;
        self.rows.next().map(|row| row.map_err(|e| format!("line {line}: {e}")))
    }
}

impl Iterator for Baskets {
    /// A purchase; a sentence that names the line when the file is not of this shape.
    type Item = Result<Purchase, String>;

    fn next(&mut self) -> Option<Self::Item> {
        let first = match self.next.take() {
            Some(row) => row,
            None => match self.row()? {
                Ok(row) => row,
                Err(text) => return Some(Err(text)),
            },
        };
        let mut rows = vec![first];
        loop {
            match self.row() {
                None => break,
                Some(Err(text)) => return Some(Err(text)),
                Some(Ok(row)) if row.basket_id == rows[0].basket_id => rows.push(row),
                Some(Ok(row)) => {
                    self.next = Some(row);
                    break;
                }
            }
        }
        Some(Ok(purchase(&rows)))
    }
}

fn purchase(rows: &[Row]) -> Purchase {
    let lines: Vec<Line> = rows.iter().enumerate().map(|(place, row)| line(place + 1, row)).collect();
    let total: i64 = lines.iter().map(|line| line.amount - line.discount).sum();
    let coupons: i64 = rows.iter().map(|row| row.coupon_disc_cents).sum();
    let tender = |kind: &str, amount| Tender { kind: kind.into(), amount, wallet: Text::default(), hold: None, offline: None, lines: Vec::new() };
    let mut tenders = vec![tender("card", (total - coupons).max(0))];
    if coupons > 0 {
        tenders.insert(0, tender("coupon", coupons));
    }
    let head = &rows[0];
    Purchase {
        member: Who::Alias(ByAlias { alias: Alias { kind: "card".into(), value: head.household_id.clone() } }),
        source: "journey".into(),
        store: head.store_id.clone(),
        till: Text::default(),
        business_date: None,
        sequence: None,
        transaction_id: Some(head.basket_id.clone()),
        occurred_at: head.transaction_timestamp.replace(' ', "T").into(),
        currency: "USD".into(),
        channel: Text::default(),
        customer_group: Text::default(),
        prices_include_tax: true,
        training: false,
        lines,
        discounts: Vec::new(),
        tenders,
        ext: serde_json::Map::default(),
    }
}

fn line(number: usize, row: &Row) -> Line {
    let own = row.retail_disc_cents + row.coupon_match_disc_cents;
    let unit = if row.quantity == 0 || row.quantity > 100 { "l" } else { "" };
    Line {
        id: number.to_string().into(),
        kind: Goods::Goods,
        sku: row.product_id.clone(),
        category: format!("{}/{}", row.department, row.product_category).into(),
        brand: row.brand.clone(),
        quantity: row.quantity.to_string().into(),
        unit: unit.into(),
        amount: row.sales_value_cents + own,
        discount: own,
        tax: 0,
        voided: false,
        returns: None,
    }
}

/// What a file holds: how many baskets, and the local morning after its last, where a clock starts so that no basket is
/// in its future and few have expired.
///
/// # Errors
/// A sentence when the file is empty or not of this shape.
pub fn survey(path: &Path) -> Result<(u64, String), String> {
    let mut count = 0;
    let mut last = Text::default();
    for basket in Baskets::open(path)? {
        last = last.max(basket?.occurred_at);
        count += 1;
    }
    Ok((count, morning(path, &last)?))
}

fn morning(path: &Path, last: &str) -> Result<String, String> {
    let day = last.get(..10).ok_or_else(|| format!("{} has no baskets", path.display()))?;
    let day: jiff::civil::Date = day.parse().map_err(|e| format!("{}: {e}", path.display()))?;
    // Noon in UTC is morning at the stores of the file, which are in the United States.
    day.tomorrow().map(|next| format!("{next}T12:00:00Z")).map_err(|e| e.to_string())
}
