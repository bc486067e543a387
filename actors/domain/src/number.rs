//! Exact numbers: decimals of six places, reduced fractions, currencies, rounding.

use std::fmt;
use std::str::FromStr;

use bnum::types::I512;
use num_traits::{CheckedAdd, CheckedMul, CheckedSub, ToPrimitive, Zero};

/// A decimal with at most six places, held in millionths. Used for quantities, rates and factors.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Decimal(pub i64);

impl Decimal {
    /// Millionths in one.
    pub const ONE: i64 = 1_000_000;

    /// The value as a reduced fraction.
    #[must_use]
    pub fn ratio(self) -> Ratio {
        Ratio::new(self.0, Self::ONE)
    }

    /// The integer part, towards zero.
    #[must_use]
    pub fn whole(self) -> i64 {
        self.0 / Self::ONE
    }
}

impl FromStr for Decimal {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const BAD: &str = "not a decimal of at most 12 digits before and 6 after the point, such as 0.75";
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let plain = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || whole.len() > 12 || !plain(whole) || !plain(part) || (digits.contains('.') && part.is_empty()) {
            return Err(BAD);
        }
        let part = part.trim_end_matches('0');
        if part.len() > 6 {
            return Err(BAD);
        }
        let value = format!("{whole}{part:0<6}").parse::<i64>().map_err(|_| BAD)?;
        Ok(Self(if negative { -value } else { value }))
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, value) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        let (whole, part) = (value / 1_000_000, value % 1_000_000);
        if part == 0 {
            return write!(f, "{sign}{whole}");
        }
        let digits = format!("{part:06}");
        write!(f, "{sign}{whole}.{}", digits.trim_end_matches('0'))
    }
}

/// A reduced fraction with a positive denominator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ratio {
    /// Numerator.
    pub num: i64,
    /// Denominator, at least 1.
    pub den: i64,
}

impl Ratio {
    /// One.
    pub const ONE: Self = Self { num: 1, den: 1 };

    /// Reduces `num / den`; `den` must be positive.
    #[must_use]
    pub fn new(num: i64, den: i64) -> Self {
        let (mut a, mut b) = (num.unsigned_abs(), den.unsigned_abs());
        while b != 0 {
            (a, b) = (b, a % b);
        }
        let divisor = i64::try_from(a.max(1)).unwrap_or(1);
        Self { num: num / divisor, den: (den / divisor).max(1) }
    }
}

/// A currency of ISO 4217 with its own exponent (JPY 0, EUR 2, KWD 3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// The code's bytes.
    #[must_use]
    pub fn bytes(self) -> [u8; 3] {
        self.0
    }

    /// Decimal places of the minor unit.
    #[must_use]
    pub fn exponent(self) -> u8 {
        let known = iso_currency::Currency::from_code(self.as_str()).and_then(iso_currency::Currency::exponent);
        known.and_then(|exponent| u8::try_from(exponent).ok()).unwrap_or(2)
    }

    /// The three letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }
}

impl FromStr for Currency {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = iso_currency::Currency::from_code(text).is_some_and(|currency| currency.exponent().is_some());
        match <[u8; 3]>::try_from(text.as_bytes()) {
            Ok(code) if known => Ok(Self(code)),
            _ => Err("not a currency code of ISO 4217 that has a minor unit, such as EUR"),
        }
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How an exact figure becomes points. Figures here are never negative.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Rounding {
    /// Down.
    #[default]
    Floor,
    /// To the nearest, a half up.
    HalfUp,
    /// To the nearest, a half to the even neighbour.
    HalfEven,
}

/// An integer wide enough for exact sums over a common denominator.
///
/// Everyday baskets fit `i128`; what overflows it is computed again in 512 bits, by the same code.
pub trait Wide: Clone + Ord + Zero + CheckedAdd + CheckedMul + CheckedSub + ToPrimitive {
    /// From an `i64`.
    fn of(value: i64) -> Self;
    /// Quotient and remainder of non-negative numbers.
    fn div_rem(&self, by: &Self) -> (Self, Self);
}

impl Wide for i128 {
    fn of(value: i64) -> Self {
        Self::from(value)
    }
    fn div_rem(&self, by: &Self) -> (Self, Self) {
        (self / by, self % by)
    }
}

impl Wide for I512 {
    fn of(value: i64) -> Self {
        // 512 bits hold every i64.
        num_traits::FromPrimitive::from_i64(value).unwrap_or_else(Self::zero)
    }
    fn div_rem(&self, by: &Self) -> (Self, Self) {
        (*self / *by, *self % *by)
    }
}

/// Multiplies, `None` on overflow.
pub fn mul<W: Wide>(a: &W, b: i64) -> Option<W> {
    a.checked_mul(&W::of(b))
}

/// The least common multiple of positive numbers, `None` on overflow.
pub fn lcm<W: Wide>(a: &W, b: &W) -> Option<W> {
    // Nearly always: most rates are whole, and the lines of a basket share their rules.
    if a == b || *b == W::of(1) {
        return Some(a.clone());
    }
    let (mut divisor, mut rest) = (a.clone(), b.clone());
    while !rest.is_zero() {
        let (_, next) = divisor.div_rem(&rest);
        divisor = std::mem::replace(&mut rest, next);
    }
    a.checked_mul(&b.div_rem(&divisor).0)
}

/// `num / den`, rounded once.
pub fn round<W: Wide>(num: &W, den: &W, mode: Rounding) -> Option<i64> {
    let (floor, rest) = num.div_rem(den);
    let floor = floor.to_i64()?;
    let twice = rest.checked_add(&rest)?;
    let up = match mode {
        Rounding::Floor => false,
        Rounding::HalfUp => twice >= *den,
        Rounding::HalfEven => twice > *den || (twice == *den && floor % 2 != 0),
    };
    if up { floor.checked_add(1) } else { Some(floor) }
}

/// `a · b / c` rounded down, exact in between; `None` on overflow or `c` = 0. Arguments not negative.
#[must_use]
pub fn mul_div_floor(a: i64, b: i64, c: i64) -> Option<i64> {
    let product = i128::from(a) * i128::from(b);
    i64::try_from(product.checked_div(i128::from(c))?).ok()
}

/// Splits `total` by `weights` (not negative) by largest remainder; ties go to the earlier place.
///
/// With all weights zero nothing is given: the caller decides what that means.
#[must_use]
pub fn split(total: i64, weights: &[i64]) -> Vec<i64> {
    let sum: i128 = weights.iter().map(|w| i128::from(*w)).sum();
    if sum == 0 {
        return vec![0; weights.len()];
    }
    let exact = |w: i64| i128::from(total) * i128::from(w);
    let mut parts: Vec<i64> = weights.iter().map(|w| i64::try_from(exact(*w) / sum).unwrap_or(i64::MAX)).collect();
    let mut left = total - parts.iter().sum::<i64>();
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by_key(|i| (std::cmp::Reverse(exact(weights[*i]) % sum), *i));
    for i in order {
        if left == 0 {
            break;
        }
        parts[i] += 1;
        left -= 1;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_read_and_print_by_value() {
        for (text, value, printed) in [("0.75", 750_000, "0.75"), ("2.000", 2_000_000, "2"), ("-1.5", -1_500_000, "-1.5"), ("0", 0, "0")] {
            assert_eq!(text.parse::<Decimal>().map(|d| d.0), Ok(value));
            assert_eq!(Decimal(value).to_string(), printed);
        }
        for bad in ["", ".", "1.", ".5", "1e3", "1.2345678", "1234567890123", "+1", "１"] {
            assert!(bad.parse::<Decimal>().is_err(), "{bad}");
        }
    }

    #[test]
    fn rounding_modes() {
        let r = |num: i128, mode| round(&num, &2, mode);
        assert_eq!([r(3, Rounding::Floor), r(3, Rounding::HalfUp), r(3, Rounding::HalfEven), r(5, Rounding::HalfEven)], [Some(1), Some(2), Some(2), Some(2)]);
    }

    #[test]
    fn split_gives_all_to_the_largest_remainders() {
        assert_eq!(split(10, &[1, 1, 1]), [4, 3, 3]);
        assert_eq!(split(100, &[103, 103, 105]), [33, 33, 34]);
        assert_eq!(split(5, &[0, 0]), [0, 0]);
    }

    #[test]
    fn currencies_know_their_exponent() {
        let exponent = |code: &str| code.parse::<Currency>().map(Currency::exponent);
        assert_eq!([exponent("JPY"), exponent("EUR"), exponent("KWD")], [Ok(0), Ok(2), Ok(3)]);
        assert!(exponent("XAU").is_err() && exponent("usd").is_err());
    }
}
