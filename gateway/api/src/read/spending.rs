//! How many points, of which wallet, by which allowance.

use std::str::FromStr;

use tessera_domain::basket::{self, MAX_AMOUNT};
use tessera_domain::ids::{Kind, MadeId};
use tessera_domain::merge::Owner;
use tessera_domain::number::Currency;
use tessera_domain::programme::Programme;
use tessera_domain::record::{Asked, Offline};
use tessera_domain::{Code, Rejection};

use super::{instant, invalid, text};
use crate::Text;
use crate::request::{Adjust, Hold, Redemption};

impl Hold {
    /// How much.
    ///
    /// # Errors
    /// Neither, or both, of points and money.
    pub fn asked(&self) -> Result<Asked, Rejection> {
        asked(self.points, self.amount, self.currency.as_ref())
    }
}

impl Redemption {
    /// How much.
    ///
    /// # Errors
    /// Neither, or both, of points and money.
    pub fn asked(&self) -> Result<Asked, Rejection> {
        asked(self.points, self.amount, self.currency.as_ref())
    }
}

fn named(value: &Text, field: &str) -> Result<Text, Rejection> {
    if value.is_empty() { Err(invalid(field, "say which: an allowance is for one till")) } else { text(value, 64, || field.to_owned()) }
}

impl crate::request::NewAllowance {
    /// The store and the till.
    ///
    /// # Errors
    /// A rejection that points at the field.
    pub fn place(&self) -> Result<(Text, Text), Rejection> {
        Ok((named(&self.store, "/store")?, named(&self.till, "/till")?))
    }
}

impl crate::request::OfflineRedemption {
    /// By what it was taken, and when.
    ///
    /// # Errors
    /// A rejection that points at the field.
    pub fn read(&self, owner: &Owner, programme: &Programme) -> Result<Offline, Rejection> {
        let (store, till) = (named(&self.store, "/offline/store")?, named(&self.till, "/offline/till")?);
        let at = instant(&self.occurred_at, programme.store_zone(&store)).map_err(|no| Rejection { field: "/offline/occurred_at".into(), ..no })?;
        Ok(Offline { used: allowed(&self.allowance, self.counter, owner, "/offline")?, store, till, at })
    }
}

/// One of another member is none of this one: what was sold by it is still recorded.
pub(super) fn allowed(id: &str, counter: u32, owner: &Owner, field: &str) -> Result<basket::Allowed, Rejection> {
    let named = MadeId::parse(Kind::Allowance, id).ok_or_else(|| invalid(format!("{field}/allowance"), "not the id of an allowance: alw_ and 27 characters or more"))?;
    Ok(basket::Allowed { allowance: owner.number(named).unwrap_or(0), counter })
}

/// A wallet's place, by its id; the first's when it is empty.
///
/// # Errors
/// `unknown_wallet`.
pub fn wallet(programme: &Programme, id: &str, field: &str) -> Result<u8, Rejection> {
    let unknown = || Rejection::new(Code::UnknownWallet, field, &format!("the programme has no wallet {id:?}; name one of it"));
    programme.wallet_number(id).ok_or_else(unknown)
}

fn asked(points: Option<i64>, amount: Option<i64>, currency: Option<&Text>) -> Result<Asked, Rejection> {
    match (points, amount, currency) {
        (Some(points), None, None) => Ok(Asked::Points(points)),
        (None, Some(amount), Some(currency)) => {
            let currency = Currency::from_str(currency).map_err(|e| invalid("/currency", e))?;
            if !(1..=MAX_AMOUNT).contains(&amount) {
                return Err(invalid("/amount", "between 1 and 1000000000000 minor units"));
            }
            Ok(Asked::Money(currency, amount))
        }
        _ => Err(invalid("/points", "send either points, or amount and currency")),
    }
}


impl Adjust {
    /// The reason, checked.
    ///
    /// # Errors
    /// Empty or too long.
    pub fn reason(&self) -> Result<Text, Rejection> {
        super::reason(&self.reason)
    }
}
