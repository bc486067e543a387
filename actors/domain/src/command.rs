//! What a member is asked to do.

use std::sync::Arc;

use crate::Text;
use crate::basket::Basket;
use crate::ids::{LotId, MemberId, PoolId};
use crate::keys::{KeyKind, Keys};
use crate::merge::Cut;
use crate::number::{Currency, Decimal};
use crate::pool::Home;
use crate::record::{Alias, Asked, Offline, PoolHold};
use crate::time::{Day, Millis};

/// A command and the key it came under.
#[derive(Clone, Debug)]
pub struct Command {
    /// `Idempotency-Key` hashed with the API key; 0 = none was given.
    pub header: u128,
    pub ask: Ask,
}

/// The closed list of commands; each has a file in [`crate::decide`].
#[derive(Clone, Debug)]
pub enum Ask {
    Enrol { aliases: Vec<Alias> },
    Purchase(Box<Purchase>),
    /// `pool`: on the points of a pool, with the parts of the others.
    PlaceHold { wallet: u8, asked: Asked, ttl_ms: Option<i64>, pool: Option<Box<PoolHold>> },
    ConfirmHold { hold: u64, points: Option<i64> },
    CancelHold { hold: u64 },
    Redeem { wallet: u8, asked: Asked, offline: Option<Box<Offline>> },
    /// Lets a till take points without a connection.
    Allow(Box<Allow>),
    Adjust { wallet: u8, points: i64, reason: Text, allow_debt: bool, write_off: bool },
    Return(Box<Return>),
    /// Goods without a receipt: no sale is named.
    BlindReturn(Box<BlindReturn>),
    /// Lines of a sale were delivered; none named = all that wait.
    Deliver { sale: u64, lines: Vec<Text> },
    /// Undoes a redemption.
    Reverse { redemption: u64 },
    /// Between the member's own wallets.
    Transfer { from: u8, to: u8, points: i64 },
    /// To another member: the first step of a saga.
    Give { wallet: u8, points: i64, to: MemberId },
    /// What another member gives: the second step.
    Take(Box<Gift>),
    /// How the other member answered: the last step.
    SettleGift { gift: u64, taken: bool },
    /// Founds a pool; the member names itself.
    FoundPool { founder: MemberId },
    JoinPool { pool: PoolId },
    LeavePool { pool: PoolId },
    /// Of the founder: who is in the pool.
    ChangePool { pool: PoolId, member: MemberId, joined: bool },
    /// Lends points to a hold of another member of the pool. The lender names itself: it may go into another one that lends to the same hold.
    Lend { lender: MemberId, to: MemberId, hold: u64, wallet: u8, points: i64, pool: PoolId },
    /// What the others have lent to a hold; unless it is `complete`, all of it goes home.
    Gather { hold: u64, complete: bool, loans: Vec<Loaned> },
    /// Lent points come home, as a record of another member has sent them.
    TakeHome { owner: MemberId, from: MemberId, seq: u64, lots: Vec<Home> },
    /// All of them have.
    Homed { seq: u64 },
    /// Goes into another member: the first step of a saga.
    Merge { into: MemberId },
    /// Takes a part of the state of a member that goes into this one.
    Absorb { from: MemberId, merge: u64, part: u16, cut: Arc<Cut> },
    /// Will not be taken, unless it has been: a first part was refused for what it is.
    RefuseMerge { from: MemberId, merge: u64 },
    /// How that one answered. `place`: that of this journal there.
    SettleMerge { merge: u64, place: Option<u8> },
    AddAlias { alias: Alias },
    RemoveAlias { kind: Text, hash: u128 },
    /// Posts what time has brought about: sent by a reminder.
    Tick,
    /// Staff give a tier until the end of a day; `None`: what they gave ends.
    GrantTier { grant: Option<(u8, Day)>, reason: Text },
    /// Changes the profile.
    Update(Box<crate::profile::Change>),
}

/// What a till may take without a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Allow {
    pub wallet: u8,
    pub store: Text,
    pub till: Text,
    pub points: i64,
    pub ttl_ms: Option<i64>,
}

/// Points on their way from one member to another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gift {
    pub from: MemberId,
    /// The giver's record.
    pub seq: u64,
    pub wallet: u8,
    /// Points and when they expire, by the lots that they come from.
    pub lots: Vec<(i64, Millis)>,
}

/// What one member has lent to a hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loaned {
    pub lender: MemberId,
    /// Their lots: points, and the lot's times.
    pub lots: Vec<(LotId, i64, Millis, Millis)>,
}

/// A return, or a void.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Return {
    /// [`KeyKind::Return`] or [`KeyKind::Void`].
    pub kind: KeyKind,
    pub sale: SaleName,
    /// Empty: all that is left.
    pub lines: Vec<LineBack>,
    /// When given it is the sale's.
    pub currency: Option<Currency>,
    /// Minor units that go back as points; `None`: in proportion to the goods.
    pub points_refund: Option<i64>,
    pub keys: Keys,
    pub occurred_at: Millis,
    /// If there is no such sale yet, it is kept until there is.
    pub may_wait: bool,
    /// Another member's purchase bears the receipt.
    pub receipt_used: bool,
}

/// How a sale is named.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SaleName {
    /// By its record's number.
    Seq(u64),
    /// By the till's or the source's key.
    Keys(Keys),
}

/// What comes back of a line. Neither figure: all that is left of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LineBack {
    pub line: Text,
    pub quantity: Option<Decimal>,
    /// Minor units. With quantity 0 a price adjustment.
    pub amount: Option<i64>,
}

/// Goods that came back without a receipt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlindReturn {
    /// The goods as they would be sold.
    pub basket: Arc<Basket>,
    pub keys: Keys,
}

/// A purchase.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Purchase {
    /// Shared with the record that it becomes.
    pub basket: Arc<Basket>,
    pub keys: Keys,
    /// Alias it was sent under, as (kind, hash): must be the member's at `occurred_at`.
    pub alias: Option<(Text, u128)>,
}
