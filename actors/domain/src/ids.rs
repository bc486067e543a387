//! Names. What a member's record made is named by the member and the record's number, so an id needs no look-up.

use std::fmt;
use std::str::FromStr;

/// A member. Derived by the caller from the enrolment's key, so that a retry names the same one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct MemberId(pub u128);

/// A lot: the record that issued it, and its place in that record.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct LotId {
    /// Sequence number of the record.
    pub seq: u32,
    /// Place among the lots of that record; those of their own origin are counted from [`REWARDS`].
    pub n: u16,
}

/// First place of a lot that is its own origin: a reward, or what an allowance overdrew.
pub const REWARDS: u16 = 1 << 15;

impl LotId {
    /// The lots of a sale, or whatever else its record issued.
    #[must_use]
    pub fn sale(seq: u32) -> Self {
        Self { seq, n: 0 }
    }

    /// What a claim on this lot is made on: the record's own lots have one origin, each reward is its own (rule 20).
    #[must_use]
    pub fn origin(self) -> Self {
        if self.n < REWARDS { Self::sale(self.seq) } else { self }
    }
}

/// A quest or achievement, by its id, whichever version it stands in. Stored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct GoalKey(pub u64);

impl GoalKey {
    /// Staff, as what gives a tier.
    pub const STAFF: Self = Self(0);

    /// Whether it is an achievement.
    #[must_use]
    pub fn is_achievement(self) -> bool {
        self.0 & 1 == 1
    }
}

/// A pool: the record that founded it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PoolId {
    pub founder: MemberId,
    /// Sequence number of the record.
    pub seq: u64,
}

/// What a record of a member made.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// A purchase.
    Purchase,
    /// A return or void.
    Return,
    /// A hold.
    Hold,
    /// A redemption.
    Redemption,
    /// A staff adjustment.
    Adjustment,
    /// A delivery.
    Delivery,
    /// A reversal.
    Reversal,
    /// A transfer.
    Transfer,
    /// An allowance.
    Allowance,
    /// A pool.
    Pool,
}

impl Kind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Purchase => "pur_",
            Self::Return => "ret_",
            Self::Hold => "hold_",
            Self::Redemption => "red_",
            Self::Adjustment => "adj_",
            Self::Delivery => "del_",
            Self::Reversal => "rev_",
            Self::Transfer => "trf_",
            Self::Allowance => "alw_",
            Self::Pool => "pool_",
        }
    }
}

/// The public name of something that a member's record made.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MadeId {
    /// What.
    pub kind: Kind,
    /// By whose record.
    pub member: MemberId,
    /// By which record.
    pub seq: u64,
}

const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const MEMBER_DIGITS: usize = 26;

/// Crockford's base 32, lower case; `width` digits at least.
fn write32(f: &mut fmt::Formatter<'_>, mut value: u128, width: usize) -> fmt::Result {
    let mut digits = [b'0'; MEMBER_DIGITS];
    let mut at = MEMBER_DIGITS;
    while value != 0 || MEMBER_DIGITS - at < width {
        at -= 1;
        digits[at] = DIGITS[(value & 31) as usize];
        value >>= 5;
    }
    f.write_str(std::str::from_utf8(&digits[at..]).unwrap_or_default())
}

fn read32(text: &str) -> Option<u128> {
    let mut value = 0_u128;
    for byte in text.bytes() {
        let digit = DIGITS.iter().position(|d| *d == byte)?;
        value = value.checked_mul(32)?.checked_add(digit as u128)?;
    }
    Some(value)
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mem_")?;
        write32(f, self.0, MEMBER_DIGITS)
    }
}

impl FromStr for MemberId {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix("mem_").filter(|d| d.len() == MEMBER_DIGITS);
        digits.and_then(read32).map(Self).ok_or("not a member id: mem_ and 26 characters")
    }
}

impl fmt::Display for MadeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.prefix())?;
        write32(f, self.member.0, MEMBER_DIGITS)?;
        write32(f, u128::from(self.seq), 1)
    }
}

impl MadeId {
    /// Reads an id of a given kind.
    #[must_use]
    pub fn parse(kind: Kind, text: &str) -> Option<Self> {
        let rest = text.strip_prefix(kind.prefix())?;
        let (member, seq) = rest.split_at_checked(MEMBER_DIGITS)?;
        if seq.is_empty() || seq.len() > 7 || (seq.starts_with('0') && seq.len() > 1) {
            return None;
        }
        Some(Self { kind, member: MemberId(read32(member)?), seq: u64::try_from(read32(seq)?).ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back() {
        for member in [MemberId(0), MemberId(7), MemberId(u128::MAX)] {
            assert_eq!(member.to_string().parse(), Ok(member));
            for seq in [1, 31, 32, 4_000_000_000] {
                let id = MadeId { kind: Kind::Hold, member, seq };
                assert_eq!(MadeId::parse(Kind::Hold, &id.to_string()), Some(id));
                assert_eq!(MadeId::parse(Kind::Purchase, &id.to_string()), None);
            }
        }
        assert!("mem_0".parse::<MemberId>().is_err());
        assert!("mem_zzzzzzzzzzzzzzzzzzzzzzzzzz".parse::<MemberId>().is_err());
    }
}
