//! Returns and voids as commands.

use std::str::FromStr;
use std::sync::Arc;

use tessera_domain::basket::{Basket, MAX_AMOUNT, MAX_LINES, MAX_TENDERS};
use tessera_domain::command;
use tessera_domain::ids::{Kind, MadeId, MemberId};
use tessera_domain::merge::Owner;
use tessera_domain::keys::{KeyKind, Keys};
use tessera_domain::number::{Currency, Decimal};
use tessera_domain::programme::Programme;
use tessera_domain::time::Millis;
use tessera_domain::{Code, Rejection};

use super::{instant, invalid, text};
use crate::Text;
use crate::request::{Receipt, Return, Void};

/// A return, once its member is known.
pub enum TakenBack {
    /// Of a sale.
    Sale(Box<command::Return>),
    /// Without a receipt.
    Blind(command::BlindReturn),
}

/// The sale that a return or void names.
fn sale_name(purchase: Option<&Text>, sale: Option<&Receipt>) -> Result<Option<command::SaleName>, Rejection> {
    match (purchase, sale) {
        (Some(id), None) => Ok(Some(command::SaleName::Seq(purchase_id(id)?.seq))),
        (None, Some(receipt)) => {
            let keys = receipt.keys("/sale")?;
            if keys.is_empty() {
                return Err(invalid("/sale", "name the sale by its sequence and business date, or by its transaction id"));
            }
            Ok(Some(command::SaleName::Keys(keys)))
        }
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(invalid("/sale", "name the sale once: by purchase, or by sale")),
    }
}

/// A purchase's id.
///
/// # Errors
/// `unknown_sale`: what is not an id names nothing.
pub fn purchase_id(id: &str) -> Result<MadeId, Rejection> {
    MadeId::parse(Kind::Purchase, id).ok_or_else(|| Rejection::new(Code::UnknownSale, "/purchase", "there is no purchase of this id; look at the answer that made it"))
}

impl Return {
    /// The command.
    ///
    /// # Errors
    /// A rejection that points at the field.
    pub fn command(&self, programme: &Programme) -> Result<TakenBack, Rejection> {
        let own = self.receipt.as_ref().map_or(Ok(Keys::default()), |receipt| receipt.keys("/receipt"))?;
        let store = self.receipt.as_ref().map(|receipt| receipt.store.clone()).unwrap_or_default();
        let occurred_at = instant(&self.occurred_at, programme.store_zone(&store))?;
        let currency = self.currency.as_ref().map(|code| Currency::from_str(code).map_err(|e| invalid("/currency", e))).transpose()?;
        let Some(sale) = sale_name(self.purchase.as_ref(), self.sale.as_ref())? else {
            return self.blind(own, occurred_at, currency).map(TakenBack::Blind);
        };
        if !self.goods.is_empty() {
            return Err(invalid("/goods", "goods are for a return without a receipt; name lines of the sale instead"));
        }
        if self.lines.len() > MAX_LINES {
            return Err(invalid("/lines", "at most 1000 lines"));
        }
        let line = |(place, back): (usize, &crate::request::LineBack)| {
            let at = format!("/lines/{place}");
            let quantity = back.quantity.as_ref().map(|quantity| Decimal::from_str(quantity).map_err(|e| invalid(format!("{at}/quantity"), e)));
            Ok(command::LineBack { line: text(&back.line, 64, || format!("{at}/line"))?, quantity: quantity.transpose()?, amount: back.amount })
        };
        let lines = self.lines.iter().enumerate().map(line).collect::<Result<_, Rejection>>()?;
        let points_refund = self.refunds.as_ref().map(|refunds| points_of(refunds)).transpose()?;
        let may_wait = matches!(sale, command::SaleName::Keys(_));
        let asked = command::Return { kind: KeyKind::Return, sale, lines, currency, points_refund, keys: own, occurred_at, may_wait, receipt_used: false };
        Ok(TakenBack::Sale(Box::new(asked)))
    }

    fn blind(&self, keys: Keys, occurred_at: Millis, currency: Option<Currency>) -> Result<command::BlindReturn, Rejection> {
        if self.goods.is_empty() {
            return Err(invalid("/purchase", "name the purchase by its id or by sale; or list the goods of a return without a receipt"));
        }
        if !self.lines.is_empty() || self.refunds.is_some() {
            return Err(invalid("/lines", "a return without a receipt lists goods only"));
        }
        if self.goods.len() > 1_000 {
            return Err(invalid("/goods", "at most 1000 lines"));
        }
        let currency = currency.ok_or_else(|| invalid("/currency", "goods without a receipt name their currency"))?;
        let receipt = self.receipt.as_ref();
        let lines = self.goods.iter().enumerate().map(|(place, line)| line.read(place, &Owner::from(MemberId(0))));
        let lines = lines.collect::<Result<_, _>>().map_err(goods)?;
        let basket = Basket {
            source: receipt.map(|receipt| receipt.source.clone()).unwrap_or_default(),
            store: receipt.map(|receipt| receipt.store.clone()).unwrap_or_default(),
            till: receipt.map(|receipt| receipt.till.clone()).unwrap_or_default(),
            channel: Text::default(),
            customer_group: Text::default(),
            occurred_at,
            business_date: None,
            currency,
            prices_include_tax: true,
            lines,
            discounts: Vec::new(),
            tenders: Vec::new(),
            ext: Text::default(),
        };
        basket.worth().map_err(goods)?;
        Ok(command::BlindReturn { basket: Arc::new(basket), keys })
    }
}

/// What is a line of a basket is one of the goods here.
fn goods(no: Rejection) -> Rejection {
    let field = no.field.strip_prefix("/lines").map(|rest| format!("/goods{rest}").into());
    Rejection { field: field.unwrap_or_else(|| no.field.clone()), ..no }
}

fn points_of(refunds: &[crate::request::Refund]) -> Result<i64, Rejection> {
    if refunds.len() > MAX_TENDERS {
        return Err(invalid("/refunds", "at most 50 refunds"));
    }
    let mut points = 0;
    for (place, refund) in refunds.iter().enumerate() {
        if !(0..=MAX_AMOUNT).contains(&refund.amount) {
            return Err(invalid(format!("/refunds/{place}/amount"), "between 0 and 1000000000000 minor units"));
        }
        if &*refund.kind == "points" {
            points += refund.amount;
        }
    }
    Ok(points)
}

impl Void {
    /// The command.
    ///
    /// # Errors
    /// A rejection that points at the field.
    pub fn command(&self, programme: &Programme) -> Result<command::Return, Rejection> {
        let keys = self.receipt.as_ref().map_or(Ok(Keys::default()), |receipt| receipt.keys("/receipt"))?;
        let store = self.receipt.as_ref().map(|receipt| receipt.store.clone()).unwrap_or_default();
        let occurred_at = instant(&self.occurred_at, programme.store_zone(&store))?;
        let sale = sale_name(self.purchase.as_ref(), self.sale.as_ref())?;
        let sale = sale.ok_or_else(|| invalid("/purchase", "name the purchase by its id or by sale"))?;
        let may_wait = matches!(sale, command::SaleName::Keys(_));
        Ok(command::Return { kind: KeyKind::Void, sale, lines: Vec::new(), currency: None, points_refund: None, keys, occurred_at, may_wait, receipt_used: false })
    }
}
