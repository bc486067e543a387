//! What one command appends: its content, its events, the figures after.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::Text;
use crate::basket::{Allowed, Basket};
use crate::campaigns::{CampaignKey, Room};
use crate::command::Return;
use crate::earn::Award;
use crate::ids::{GoalKey, LotId, MemberId, PoolId};
use crate::keys::Keys;
use crate::merge::Absorbed;
use crate::goals::Part;
use crate::number::{Currency, Decimal, Ratio};
use crate::profile::{Change, Found};
use crate::time::{Day, Millis};

/// One record: a sequence number, a frame. The answer, the stream's events and the statement's line
/// are rendered from it alone, the first time and at every repeat.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// The member's own now: never earlier than the record before it.
    pub at: Millis,
    /// Programme version that decided it.
    pub programme: u32,
    /// `Idempotency-Key`, as a hash over the API key and the header; 0 = none.
    pub header: u128,
    pub body: Body,
    pub events: Vec<Event>,
    /// Of the first wallet, and of each other one that this record touched.
    pub after: SmallVec<[(u8, Figures); 1]>,
    /// Tier held after it.
    pub tier: u8,
}

/// What stands at the beginning of a record, for those who read them all and need no more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Beginning {
    pub at: Millis,
    pub events: Vec<Event>,
    /// Of a purchase: its keys, and the places of points tenders beyond their allowance.
    pub sale: Option<(Keys, SmallVec<[u16; 0]>)>,
}

/// What was asked and is needed to compare a repeat with, and to render the answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    Enrolled { aliases: Vec<Alias>, day: Day },
    Purchased(Box<Sale>),
    HoldPlaced { wallet: u8, points: i64, currency: Option<Currency>, value: i64, expires_at: Millis, asked: Asked, ttl_ms: Option<i64>, pool: Option<Box<PoolHold>> },
    HoldConfirmed { wallet: u8, hold: u64, points: i64, asked: Option<i64> },
    HoldCancelled { hold: u64 },
    Redeemed { wallet: u8, points: i64, currency: Option<Currency>, value: i64, asked: Asked, offline: Option<Box<Offline>> },
    Adjusted { wallet: u8, points: i64, reason: Text, allow_debt: bool, write_off: bool },
    Returned(Box<Returned>),
    /// Without a receipt: what today's base rules claim, and what of it was there.
    BlindReturned { basket: Arc<Basket>, keys: Keys, taken: SmallVec<[Taken; 1]> },
    Delivered { sale: u64, lines: Vec<u16>, asked: Vec<Text> },
    Reversed { wallet: u8, redemption: u64, points: i64 },
    /// From one of the member's wallets to another, at the rate of the programme version.
    Transferred { from: u8, to: u8, points: i64, received: i64 },
    /// Points on their way to another member, until that one has answered.
    Gave { wallet: u8, points: i64, to: MemberId },
    /// From another member.
    Took { from: MemberId, gift: u64, wallet: u8, points: i64 },
    /// What another member offered could not be taken.
    TakeRefused { from: MemberId, gift: u64, wallet: u8 },
    /// How a gift ended.
    GiftSettled { gift: u64, taken: bool },
    /// The member founded a pool: this record names it.
    PoolFounded { founder: MemberId },
    /// It says that it is in a pool; its right begins when the founder says so too.
    PoolJoined { pool: PoolId },
    PoolLeft { pool: PoolId },
    /// The founder says who is in the pool.
    PoolChanged { pool: PoolId, member: MemberId, joined: bool },
    /// Points lent to another member's hold.
    Lent { lender: MemberId, to: MemberId, hold: u64, wallet: u8, points: i64, pool: PoolId },
    /// They could not be lent, and never will be for this hold.
    LendRefused { lender: MemberId, to: MemberId, hold: u64, wallet: u8 },
    /// What others have lent to a hold, by their lots; unless that is all of it, the hold is over.
    Gathered { hold: u64, wallet: u8, complete: bool, expires_at: Millis, loans: Vec<(MemberId, Vec<LotId>)> },
    /// Lent points came home.
    CameHome { owner: MemberId, from: MemberId, seq: u64 },
    /// Everybody whose points a record had sent home has them.
    Homed { seq: u64 },
    AliasAdded { alias: Alias },
    AliasRemoved { kind: Text, hash: u128 },
    /// Staff gave a tier until the end of a day, or ended what they had given.
    TierGiven { grant: Option<(u8, Day)>, reason: Text },
    /// Its profile was changed.
    Updated(Box<Change>),
    /// A return whose sale has not come yet.
    ReturnWaits(Box<Return>),
    /// What a till may take without a connection until an instant.
    Allowed { wallet: u8, store: Text, till: Text, points: i64, not_after: Millis, ttl_ms: Option<i64> },
    /// The member goes into another one, and changes no more until that is settled.
    Merging { into: MemberId },
    /// A part of the state of a member that goes into this one.
    Absorbed(Box<Absorbed>),
    /// A merge that this member does not take, and never will.
    AbsorbRefused { from: MemberId, merge: u64 },
    /// How a merge ended. `place`: that of its journal with the other; none: it was not taken, and all is as before.
    Merged { into: MemberId, merge: u64, place: Option<u8> },
    /// Nobody asked: time has brought the events about.
    Elapsed,
}

/// A return of a sale.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Returned {
    pub asked: Return,
    pub back: Back,
}

/// What went back of one sale, and how the sale stands after it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Back {
    /// Number of the sale's record.
    pub sale: u64,
    /// Net and quantity that came back now, by place of the line.
    pub lines: Vec<(u16, i64, Decimal)>,
    /// Of each wallet that the sale touched.
    pub wallets: SmallVec<[Claim; 1]>,
    pub left: SaleLeft,
}

/// What a return took from one wallet, and what it gave back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claim {
    pub wallet: u8,
    /// Points claimed now.
    pub claimed: i64,
    /// Points that the sale had burned and that came back now.
    pub restored: i64,
    /// Of the claim, what nothing met: owed by the sale.
    pub unmet: i64,
}

/// What a return without a receipt took from one wallet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Taken {
    pub wallet: u8,
    pub claimed: i64,
    pub taken: i64,
}

/// A sale after what has come back of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SaleLeft {
    /// Net and quantity left, of the lines that are not whole any more.
    pub lines: Vec<(u16, i64, Decimal)>,
    pub wallets: SmallVec<[Left; 1]>,
    /// What it still counts for the tier, unless that is visits.
    pub metric: i64,
    /// What it still counts for quests and achievements.
    pub parts: SmallVec<[Part; 0]>,
    /// What it still has of campaigns, by their places.
    pub campaigns: SmallVec<[(u16, i64); 0]>,
}

/// What a sale still is for one wallet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Left {
    pub wallet: u8,
    /// Points it still gives.
    pub kept: i64,
    /// Points restored so far.
    pub restored: i64,
}

/// How much a hold or redemption asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked {
    Points(i64),
    Money(Currency, i64),
}

/// A hold on the points of a pool.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PoolHold {
    pub pool: PoolId,
    /// What the others lend to it; the rest is the member's own.
    pub parts: Vec<(MemberId, i64)>,
}

/// By what a till without a connection redeemed, where and when.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Offline {
    pub used: Allowed,
    pub store: Text,
    pub till: Text,
    pub at: Millis,
}

/// An alias: a kind and a hash of the value. The value itself is not kept, only its last characters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alias {
    pub kind: Text,
    pub hash: u128,
    pub tail: Text,
}

/// A sale.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sale {
    pub basket: Arc<Basket>,
    pub keys: Keys,
    /// Alias it was sent under, as (kind, hash).
    pub alias: Option<(Text, u128)>,
    pub programme: u32,
    /// What the sale found of its member: a return sees the same.
    pub found: Found,
    /// First day of the tier period it counts for.
    pub tier_period: Day,
    /// Day in the store's zone.
    pub day: Day,
    pub awards: Vec<Award>,
    /// Of each wallet that it touched.
    pub shares: SmallVec<[Share; 1]>,
    /// Of each campaign that it got something of, with the room that there was.
    pub campaigns: SmallVec<[(Room, i64); 0]>,
    /// Rates at which it was converted, by the currency of the rules.
    pub converted: SmallVec<[(Currency, Ratio); 0]>,
    /// What it counted for the tier.
    pub metric: i64,
    /// What it counted for quests and achievements.
    pub parts: SmallVec<[Part; 0]>,
    pub standing: Standing,
    /// What its lines of kind return gave back of earlier sales.
    pub exchanged: Vec<Back>,
    /// Returns that waited for it: the record, and what came back.
    pub waited: Vec<(u64, Back)>,
    /// Points tenders beyond their allowance, by place: nothing was taken for them.
    pub refused: SmallVec<[u16; 0]>,
    pub notices: SmallVec<[Notice; 2]>,
}

/// What a sale was for one wallet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share {
    pub wallet: u8,
    pub earned: i64,
    /// Of those, not yet unlocked.
    pub pending: i64,
    /// Points burned by its tenders.
    pub burned: i64,
    /// Minor units that those points paid.
    pub paid: i64,
    /// Room that the member's cap of the period had for it.
    pub room: Option<i64>,
    /// First day of that period.
    pub cap_period: Day,
}

impl Sale {
    /// What it was for a wallet; nothing when it did not touch it.
    #[must_use]
    pub fn share(&self, wallet: u8) -> Option<&Share> {
        self.shares.iter().find(|share| share.wallet == wallet)
    }
}

/// How far the member has come in the tier period of now, the sale included.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    pub metric: i64,
    /// Last day of the period.
    pub until: Day,
}

/// Something a cashier may be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notice {
    /// The tenders do not add up to the lines (change, cash rounding, tips).
    TendersDiffer,
    /// The store is not in the programme: its zone was used.
    UnknownStore,
    /// A return that waited for it does not fit it, and waits on.
    ReturnDoesNotFit,
    /// A points tender goes beyond its allowance and was not taken: the cashier, or staff, must look at it.
    AllowanceExceeded,
}

/// A wallet's figures, in its smallest unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    pub available: i64,
    pub pending: i64,
    pub held: i64,
    pub debt: i64,
}

/// When a pending lot unlocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unlock {
    At(Millis),
    /// Delivery of a line of its sale; reversed at the deadline.
    Delivery { line: u16, deadline: Millis },
    /// With the sale's last line: not before an instant; reversed at the deadline.
    LastLine { not_before: Millis, deadline: Millis },
}

/// One change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// Of points in a wallet, by its place in the programme.
    Points(u8, Movement),
    /// Room of the member's cap used in a period; negative: freed by a return.
    RoomUsed { wallet: u8, period: Day, points: i64 },
    /// Points got of a campaign; negative: goods came back. `charged`: to its budget.
    CampaignUsed { campaign: CampaignKey, points: i64, charged: bool },
    /// The tier's metric of a period.
    Metric { period: Day, amount: i64 },
    /// Sales with something kept, on one store day.
    Visit { day: Day, store: u32, count: i32 },
    TierChanged { from: u8, to: u8, at: Millis, why: TierWhy },
    /// The end of a period was looked at: reviews go on from this period.
    TierReviewed { period: Day },
    /// An allowance was used.
    AllowanceUsed { allowance: u32, counter: u32, points: i64 },
    /// A return waited for its sale in vain.
    ReturnLapsed { seq: u64 },
    /// The member was told of the tier that the end of a period will leave it, unless it does something.
    TierNoticed { period: Day, to: u8, at: Millis },
    /// A tier was given for a time, whatever the metric carries.
    TierGranted { goal: GoalKey, level: u8, since: Millis, until: Millis },
    /// It ended, by its time or because what gave it was taken back.
    TierGrantEnded { goal: GoalKey, level: u8, since: Millis, at: Millis },
    /// A step of a quest or achievement went on, or back. `after`: how far it has come.
    Progressed { goal: GoalKey, step: u8, on: Option<(Day, u32)>, amount: i64, after: i64 },
    /// A quest or achievement was completed so many times more; negative: fewer.
    Reached { goal: GoalKey, times: i64 },
    /// A lot is its reward, for so many completions of so many points each.
    Rewarded { goal: GoalKey, wallet: u8, lot: LotId, times: i64, each: i64 },
    /// A tier is its reward.
    RewardedTier { goal: GoalKey, level: u8, since: Millis, times: i64 },
    /// So many completions of that reward were taken back.
    RewardTaken { goal: GoalKey, lot: LotId, times: i64 },
}

/// Points that moved in a wallet. Each names the lots it touches (INV-3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Movement {
    /// A new lot; pending when it has an unlock.
    Issued { lot: LotId, points: i64, unlock: Option<Unlock>, activated_at: Millis, expires_at: Millis },
    /// Pending points became active.
    Activated { lot: LotId, points: i64, activated_at: Millis, expires_at: Millis },
    /// A pending lot now waits for something else.
    Rescheduled { lot: LotId, unlock: Unlock },
    /// Redeemed, by this record. Carries the lot's times, so that it can come back after the lot is gone.
    Spent { lot: LotId, points: i64, activated_at: Millis, expires_at: Millis },
    /// Held by this record.
    Held { lot: LotId, points: i64 },
    /// A hold's points were redeemed.
    HeldSpent { hold: u32, lot: LotId, points: i64, activated_at: Millis, expires_at: Millis },
    /// A hold's points are free again.
    Released { hold: u32, lot: LotId, points: i64 },
    /// The hold is over.
    HoldEnded { hold: u32, end: HoldEnd },
    /// Past its time.
    Expired { lot: LotId, points: i64, at: Millis },
    /// Taken back by a return of its sale.
    ClawedBack { lot: LotId, points: i64, pending: bool },
    /// Pending points whose event has not come in time. A later claim counts them as taken.
    Lapsed { lot: LotId, points: i64, at: Millis },
    /// Expired or lapsed points that a claim counted: no balance changes.
    ExpiredCounted { lot: LotId, points: i64 },
    /// Points whose expiry had been posted live on: something from before it has arrived (rule 2).
    Unexpired { lot: LotId, points: i64, expires_at: Millis },
    /// Spent points came back to their lot.
    Reinstated { lot: LotId, points: i64, activated_at: Millis, expires_at: Millis },
    /// More was taken than there was.
    DebtRaised { points: i64 },
    /// A new lot and as much debt: an allowance's promise was more than there is (rule 14).
    Overdrawn { lot: LotId, points: i64, activated_at: Millis, expires_at: Millis },
    /// A lot's points met debt.
    DebtRepaid { lot: LotId, points: i64 },
    /// A return undid what its sale had repaid.
    RepaymentUndone { lot: LotId, points: i64 },
    /// Staff forgave debt.
    DebtWrittenOff { points: i64 },
    /// A claim that nothing met, on the lots of one origin.
    OwedRaised { of: LotId, points: i64 },
    /// A lot's points met what its origin owed.
    OwedMet { of: LotId, lot: LotId, points: i64 },
    /// Taken by staff.
    AdjustedDown { lot: LotId, points: i64 },
    /// The member was told of points that expire by an instant.
    Noticed { points: i64, until: Millis },
    /// Rolling expiry moved every lot to at least this.
    ExpiryMoved { expires_at: Millis },
    /// Given to another wallet.
    Sent { lot: LotId, points: i64 },
    /// Given to another member.
    Given { lot: LotId, points: i64, activated_at: Millis, expires_at: Millis },
    /// The other member did not take it.
    GivenBack { lot: LotId, points: i64, activated_at: Millis, expires_at: Millis },
    /// A return of its sale claimed what had been given: the giver owes it.
    GivenClaimed { lot: LotId, points: i64 },
    /// A new lot, from another member: it cannot be given on.
    Gifted { lot: LotId, points: i64, activated_at: Millis, expires_at: Millis },
    /// A new lot, of another member's points: only for a hold.
    Lent { lot: LotId, points: i64, activated_at: Millis, expires_at: Millis },
    /// Held by an earlier record.
    HeldFor { hold: u32, lot: LotId, points: i64 },
    /// Points of a lent lot that are free again go back to their owner.
    SentHome { lot: LotId, points: i64 },
    /// A new lot, from another wallet.
    Received { lot: LotId, points: i64, activated_at: Millis, expires_at: Millis },
    /// What a member that goes into this one had, as it stands in the lots of the record's content.
    MergedIn(Figures),
    /// All that the member had goes to another one.
    MergedOut(Figures),
}

/// How a hold ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HoldEnd {
    Confirmed,
    Cancelled,
    Expired,
}

/// Why a tier changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TierWhy {
    Reached,
    PeriodEnded,
    Withdrawn,
}

impl Figures {
    /// Σ lots − Σ debt.
    #[must_use]
    pub fn net(&self) -> i64 {
        self.available + self.pending + self.held - self.debt
    }

    /// Folds one movement in. Total: figures saturate, and the invariants say they never have to.
    pub fn apply(&mut self, movement: &Movement) {
        let add = |figure: &mut i64, points: i64| *figure = figure.saturating_add(points);
        match *movement {
            Movement::Issued { points, unlock: Some(_), .. } => add(&mut self.pending, points),
            Movement::Issued { points, unlock: None, .. } | Movement::Reinstated { points, .. } | Movement::Unexpired { points, .. } | Movement::Received { points, .. } | Movement::GivenBack { points, .. } | Movement::Gifted { points, .. } | Movement::Lent { points, .. } => {
                add(&mut self.available, points);
            }
            Movement::Activated { points, .. } => {
                add(&mut self.pending, -points);
                add(&mut self.available, points);
            }
            Movement::Spent { points, .. }
            | Movement::Expired { points, .. }
            | Movement::ClawedBack { points, pending: false, .. }
            | Movement::OwedMet { points, .. }
            | Movement::AdjustedDown { points, .. }
            | Movement::Given { points, .. }
            | Movement::SentHome { points, .. }
            | Movement::Sent { points, .. } => add(&mut self.available, -points),
            Movement::ClawedBack { points, pending: true, .. } | Movement::Lapsed { points, .. } => add(&mut self.pending, -points),
            Movement::Held { points, .. } | Movement::HeldFor { points, .. } => {
                add(&mut self.available, -points);
                add(&mut self.held, points);
            }
            Movement::Released { points, .. } => {
                add(&mut self.held, -points);
                add(&mut self.available, points);
            }
            Movement::HeldSpent { points, .. } => add(&mut self.held, -points),
            Movement::Overdrawn { points, .. } => {
                add(&mut self.available, points);
                add(&mut self.debt, points);
            }
            Movement::DebtRaised { points } | Movement::RepaymentUndone { points, .. } | Movement::GivenClaimed { points, .. } => add(&mut self.debt, points),
            Movement::DebtRepaid { points, .. } => {
                add(&mut self.available, -points);
                add(&mut self.debt, -points);
            }
            Movement::DebtWrittenOff { points } => add(&mut self.debt, -points),
            Movement::MergedIn(of) => {
                add(&mut self.available, of.available);
                add(&mut self.pending, of.pending);
                add(&mut self.held, of.held);
                add(&mut self.debt, of.debt);
            }
            Movement::MergedOut(of) => {
                add(&mut self.available, -of.available);
                add(&mut self.pending, -of.pending);
                add(&mut self.held, -of.held);
                add(&mut self.debt, -of.debt);
            }
            Movement::Rescheduled { .. }
            | Movement::HoldEnded { .. }
            | Movement::ExpiredCounted { .. }
            | Movement::OwedRaised { .. }
            | Movement::Noticed { .. }
            | Movement::ExpiryMoved { .. } => {}
        }
    }
}
