//! Wallets, transfers between them, rates of exchange.

use jiff::tz::TimeZone;

use super::{Findings, Source};
use crate::Text;
use crate::number::{Decimal, Ratio};
use crate::programme::{ExchangeRate, ExpiryRule, TransferRate, WalletRules};

/// Most wallets of a programme.
pub(super) const MAX_WALLETS: usize = 8;

pub(super) fn wallet_rules(findings: &mut Findings, wallets: &[WalletRules]) {
    findings.unless((1..=MAX_WALLETS).contains(&wallets.len()), "wallet", "a programme has 1 to 8 wallets");
    for (place, wallet) in wallets.iter().enumerate() {
        let at = format!("wallet.{place}");
        let plain = wallet.id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-') && !wallet.id.starts_with('-');
        findings.unless(plain && !wallet.id.is_empty() && wallet.id.len() <= 32, format!("{at}.id"), "an id has 1 to 32 letters, digits, - and _");
        findings.unless(wallets[..place].iter().all(|other| other.id != wallet.id), format!("{at}.id"), "another wallet has this id");
        findings.unless(wallet.decimals <= 3, format!("{at}.decimals"), "a wallet has 0 to 3 decimals");
        if let Some(ExpiryRule { months, notice_days, .. }) = wallet.expiry {
            findings.unless((0..=1_200).contains(&months), format!("{at}.expiry.months"), "between 0 and 1200");
            findings.unless((0..=366).contains(&notice_days), format!("{at}.expiry.notice_days"), "between 0 and 366");
        }
        for (currency, value) in &wallet.values {
            let path = format!("{at}.values.{}", currency.as_str());
            findings.unless(value.num > 0 && *value != Ratio { num: 0, den: 1 }, path, "the worth of a point is above 0; leave the currency out instead");
        }
        findings.unless((0..=366).contains(&wallet.grace_days), format!("{at}.grace_days"), "between 0 and 366");
        let ordered = wallet.redemption.windows(2).all(|pair| pair[0].0 < pair[1].0);
        findings.unless(ordered, format!("{at}.redemption"), "each rate begins later than the one before");
        let share = |rate: &Ratio| rate.num >= 0 && rate.num <= rate.den;
        findings.unless(wallet.redemption.iter().all(|(_, rate)| share(rate)), format!("{at}.redemption"), "a share is between 0 and 1");
        findings.unless(wallet.caps.purchase.is_none_or(|cap| cap > 0), format!("{at}.caps.purchase"), "a cap is above 0; leave it out for none");
        findings.unless(wallet.caps.member.is_none_or(|(_, cap)| cap > 0), format!("{at}.caps.member.points"), "a cap is above 0; leave it out for none");
    }
}

/// The place of a wallet that a rule names.
pub(super) fn wallet(findings: &mut Findings, at: &str, id: &Text, wallets: &[WalletRules]) -> u8 {
    if id.is_empty() {
        return 0;
    }
    let place = wallets.iter().position(|wallet| wallet.id == *id).and_then(|place| u8::try_from(place).ok());
    place.unwrap_or_else(|| {
        findings.say(at, format!("there is no wallet {id:?}; the wallets are in [[wallet]]"));
        0
    })
}

pub(super) fn transfers(findings: &mut Findings, source: &Source) -> Vec<TransferRate> {
    let mut rates: Vec<TransferRate> = Vec::with_capacity(source.transfers.len());
    for (place, row) in source.transfers.iter().enumerate() {
        let at = format!("transfer.{place}");
        let (from, to) = (wallet(findings, &format!("{at}.from"), &row.from, &source.wallets), wallet(findings, &format!("{at}.to"), &row.to, &source.wallets));
        findings.unless(from != to, format!("{at}.to"), "a transfer is between two wallets");
        findings.unless((1..=1_000_000 * Decimal::ONE).contains(&row.rate.0), format!("{at}.rate"), "a rate is above 0 and at most 1000000");
        findings.unless(rates.iter().all(|other| (other.from, other.to) != (from, to)), at, "another rate is between the same wallets");
        rates.push(TransferRate { from, to, rate: row.rate.ratio() });
    }
    rates
}

pub(super) fn exchange(findings: &mut Findings, source: &Source, zone: &TimeZone) -> Vec<ExchangeRate> {
    let mut rates: Vec<ExchangeRate> = Vec::with_capacity(source.exchange.len());
    for (place, row) in source.exchange.iter().enumerate() {
        let at = format!("exchange.{place}");
        let since = row.since.start(zone);
        findings.unless(row.from != row.to, format!("{at}.to"), "a rate is between two currencies");
        findings.unless((1..=1_000_000 * Decimal::ONE).contains(&row.rate.0), format!("{at}.rate"), "a rate is above 0 and at most 1000000");
        findings.unless(rates.iter().all(|other| (other.from, other.to, other.since) != (row.from, row.to, since)), at, "another rate of this pair begins at the same time");
        rates.push(ExchangeRate { from: row.from, to: row.to, rate: row.rate.ratio(), since });
    }
    rates.sort_by_key(|rate| std::cmp::Reverse(rate.since));
    rates
}
