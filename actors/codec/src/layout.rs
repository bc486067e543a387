//! The frozen layouts, version 1. What has shipped never changes: a new field is a new version of the
//! type, with a reader for the old one.

use std::str::FromStr;
use std::sync::Arc;

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use smallvec::SmallVec;
use tessera_domain::Text;
use tessera_domain::basket::{Allowed, Basket, HeadDiscount, Line, LineKind, ReturnOf, Tender};
use tessera_domain::budget::BudgetRecord;
use tessera_domain::campaigns::{CampaignKey, Got, Room};
use tessera_domain::earn::{self, Award};
use tessera_domain::goals::{Given, Part, Progress, StepState};
use tessera_domain::ids::{GoalKey, LotId, MemberId, PoolId};
use tessera_domain::receipts::{self, Bearer, BookRecord, Why};
use tessera_domain::command::{LineBack, Return, SaleName};
use tessera_domain::keys::{KeyIndex, KeyKind, Keys, NaturalKey, Page, TransactionId};
use tessera_domain::member::{Allowance, Holding, Member};
use tessera_domain::merge::{Absorbed, Going, Journal, Merges, Source};
use tessera_domain::number::{Currency, Decimal, Ratio};
use tessera_domain::pool::{Loan, Pooled};
use tessera_domain::profile::{Birthday, Change, Found, Profile};
use tessera_domain::record::{
    Alias, Asked, Back, Beginning, Body, Claim, Event, Figures, HoldEnd, Left, Movement, Notice, Offline, PoolHold, Record, Returned, Sale, SaleLeft, Share, Standing, Taken, TierWhy, Unlock,
};
use tessera_domain::tier::{Grant, Tier};
use tessera_domain::time::Day;
use tessera_domain::versions::{self, Origin, Save, VersionRecord};
use tessera_domain::wallet::{Hold, Lot, Wallet};

use crate::wire::{Wire, frozen_enum, frozen_struct};

impl Wire for Currency {
    fn put<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        self.bytes().iter().try_for_each(|byte| byte.put(to))
    }
    fn get<D: Decoder>(from: &mut D) -> Result<Self, DecodeError> {
        let code = [u8::get(from)?, u8::get(from)?, u8::get(from)?];
        let text = std::str::from_utf8(&code).map_err(|_| DecodeError::Other("not a currency"))?;
        Self::from_str(text).map_err(DecodeError::Other)
    }
}

frozen_struct!(Day { 0 });
frozen_struct!(Decimal { 0 });
frozen_struct!(Ratio { num, den });
frozen_struct!(LotId { seq, n });
frozen_struct!(PoolId { founder, seq });
frozen_struct!(PoolHold { pool, parts });
frozen_struct!(GoalKey { 0 });
frozen_struct!(Part { goal, step, amount });
frozen_struct!(Birthday { 0 });
frozen_struct!(Found { tier, first, day, birthday, segments });
frozen_struct!(Change { zone, birthday, segments });
frozen_struct!(Figures { available, pending, held, debt });
frozen_struct!(Alias { kind, hash, tail });
frozen_struct!(NaturalKey { source, store, till, business_date, sequence });
frozen_struct!(TransactionId { source, id });
frozen_struct!(Keys { natural, transaction, content });
frozen_struct!(ReturnOf { sale, line });
frozen_struct!(Line { id, kind, sku, category, brand, quantity, unit, amount, discount, tax, voided, returns });
frozen_struct!(HeadDiscount { amount, lines });
frozen_struct!(Allowed { allowance, counter });
frozen_struct!(Offline { used, store, till, at });
frozen_struct!(Tender { kind, amount, wallet, hold, offline, lines });
frozen_struct!(Basket {
    source, store, till, channel, customer_group, occurred_at, business_date, currency, prices_include_tax, lines, discounts, tenders, ext,
});
frozen_struct!(Award { line, source, points });
frozen_struct!(Sale {
    keys, refused, basket, alias, programme, found, tier_period, day, awards, shares, campaigns, converted, metric, parts, standing, exchanged, waited, notices,
});
frozen_struct!(Share { wallet, earned, pending, burned, paid, room, cap_period });
frozen_struct!(Standing { metric, until });
frozen_struct!(LineBack { line, quantity, amount });
frozen_struct!(Return { kind, sale, lines, currency, points_refund, keys, occurred_at, may_wait, receipt_used });
frozen_struct!(Left { wallet, kept, restored });
frozen_struct!(SaleLeft { lines, wallets, metric, parts, campaigns });
frozen_struct!(CampaignKey { 0 });
frozen_struct!(Room { campaign, member, budget });
frozen_struct!(Claim { wallet, claimed, restored, unmet });
frozen_struct!(Taken { wallet, claimed, taken });
frozen_struct!(Back { sale, lines, wallets, left });
frozen_struct!(Returned { asked, back });
frozen_struct!(Record { at, programme, header, events, body, after, tier });

impl Wire for Beginning {
    /// Never written: it is the beginning of a [`Record`].
    fn put<E: Encoder>(&self, _to: &mut E) -> Result<(), EncodeError> {
        Err(EncodeError::Other("only read"))
    }
    fn get<D: Decoder>(from: &mut D) -> Result<Self, DecodeError> {
        let (at, _programme, _header, events) = (Wire::get(from)?, u32::get(from)?, u128::get(from)?, Wire::get(from)?);
        let sale = if u8::get(from)? == PURCHASED { Some((Wire::get(from)?, Wire::get(from)?)) } else { None };
        Ok(Self { at, events, sale })
    }
}

/// Tag of [`Body::Purchased`].
const PURCHASED: u8 = 2;

frozen_enum!(LineKind {
    0 => Goods {}, 1 => Service {}, 2 => GiftCard {}, 3 => Deposit {}, 4 => Fee {}, 5 => Donation {}, 6 => Return {},
});
frozen_enum!(KeyKind { 0 => Purchase {}, 1 => Return {}, 2 => Void {} });
frozen_enum!(SaleName { 0 => Seq { 0: seq }, 1 => Keys { 0: keys } });
frozen_enum!(earn::Source { 0 => Base { 0: rule }, 1 => Multiplier { 0: rule }, 2 => Bonus { 0: rule }, 3 => PurchaseCap { 0: wallet }, 4 => MemberCap { 0: wallet }, 5 => CampaignCap { 0: campaign }, 6 => CampaignBudget { 0: campaign } });
frozen_enum!(Notice { 0 => TendersDiffer {}, 1 => UnknownStore {}, 2 => ReturnDoesNotFit {}, 3 => AllowanceExceeded {} });
frozen_enum!(Asked { 0 => Points { 0: points }, 1 => Money { 0: currency, 1: amount } });
frozen_enum!(HoldEnd { 0 => Confirmed {}, 1 => Cancelled {}, 2 => Expired {} });
frozen_enum!(TierWhy { 0 => Reached {}, 1 => PeriodEnded {}, 2 => Withdrawn {} });
frozen_enum!(Unlock { 0 => At { 0: at }, 1 => Delivery { line, deadline }, 2 => LastLine { not_before, deadline } });
frozen_enum!(Body {
    1 => Enrolled { aliases, day },
    2 => Purchased { 0: sale },
    3 => HoldPlaced { wallet, points, currency, value, expires_at, asked, ttl_ms, pool },
    4 => HoldConfirmed { wallet, hold, points, asked },
    5 => HoldCancelled { hold },
    6 => Redeemed { wallet, points, currency, value, asked, offline },
    7 => Adjusted { wallet, points, reason, allow_debt, write_off },
    8 => Returned { 0: returned },
    9 => BlindReturned { basket, keys, taken },
    10 => Delivered { sale, lines, asked },
    11 => Reversed { wallet, redemption, points },
    12 => AliasAdded { alias },
    13 => AliasRemoved { kind, hash },
    14 => Transferred { from, to, points, received },
    15 => Updated { 0: change },
    16 => Elapsed {},
    17 => ReturnWaits { 0: asked },
    18 => Gave { wallet, points, to },
    19 => Took { from, gift, wallet, points },
    20 => TakeRefused { from, gift, wallet },
    21 => GiftSettled { gift, taken },
    22 => Allowed { wallet, store, till, points, not_after, ttl_ms },
    23 => TierGiven { grant, reason },
    24 => PoolFounded { founder },
    25 => PoolJoined { pool },
    26 => PoolLeft { pool },
    27 => PoolChanged { pool, member, joined },
    28 => Lent { lender, to, hold, wallet, points, pool },
    29 => LendRefused { lender, to, hold, wallet },
    30 => Gathered { hold, wallet, complete, expires_at, loans },
    31 => CameHome { owner, from, seq },
    32 => Homed { seq },
    33 => Merging { into },
    34 => Absorbed { 0: absorbed },
    35 => AbsorbRefused { from, merge },
    36 => Merged { into, merge, place },
});
frozen_enum!(Event {
    1 => Points { 0: wallet, 1: movement },
    2 => RoomUsed { wallet, period, points },
    3 => Metric { period, amount },
    4 => Visit { day, store, count },
    5 => TierChanged { from, to, at, why },
    6 => TierReviewed { period },
    7 => TierGranted { goal, level, since, until },
    8 => TierGrantEnded { goal, level, since, at },
    9 => Progressed { goal, step, on, amount, after },
    10 => Reached { goal, times },
    11 => Rewarded { goal, wallet, lot, times, each },
    12 => RewardedTier { goal, level, since, times },
    13 => RewardTaken { goal, lot, times },
    14 => TierNoticed { period, to, at },
    15 => ReturnLapsed { seq },
    16 => AllowanceUsed { allowance, counter, points },
    17 => CampaignUsed { campaign, points, charged },
});
frozen_enum!(Movement {
    1 => Issued { lot, points, unlock, activated_at, expires_at },
    2 => Activated { lot, points, activated_at, expires_at },
    3 => Rescheduled { lot, unlock },
    4 => Spent { lot, points, activated_at, expires_at },
    5 => Held { lot, points },
    6 => HeldSpent { hold, lot, points, activated_at, expires_at },
    7 => Released { hold, lot, points },
    8 => HoldEnded { hold, end },
    9 => Expired { lot, points, at },
    10 => ClawedBack { lot, points, pending },
    11 => ExpiredCounted { lot, points },
    12 => Reinstated { lot, points, activated_at, expires_at },
    13 => DebtRaised { points },
    14 => DebtRepaid { lot, points },
    15 => RepaymentUndone { lot, points },
    16 => DebtWrittenOff { points },
    17 => OwedRaised { of, points },
    18 => OwedMet { of, lot, points },
    19 => AdjustedDown { lot, points },
    20 => ExpiryMoved { expires_at },
    21 => Lapsed { lot, points, at },
    22 => Sent { lot, points },
    23 => Received { lot, points, activated_at, expires_at },
    24 => Noticed { points, until },
    25 => Unexpired { lot, points, expires_at },
    26 => Given { lot, points, activated_at, expires_at },
    27 => GivenBack { lot, points, activated_at, expires_at },
    28 => GivenClaimed { lot, points },
    29 => Gifted { lot, points, activated_at, expires_at },
    30 => Overdrawn { lot, points, activated_at, expires_at },
    31 => Lent { lot, points, activated_at, expires_at },
    32 => HeldFor { hold, lot, points },
    33 => SentHome { lot, points },
    34 => MergedIn { 0: figures },
    35 => MergedOut { 0: figures },
});

// The history of a programme.
frozen_enum!(Origin { 1 => File {}, 2 => Request {}, 3 => Rollback { 0: number } });
frozen_struct!(Save { after, author, note, origin, digest, parts });
frozen_enum!(versions::Body { 1 => Kept { part }, 2 => Saved { 0: save } });
frozen_struct!(VersionRecord { at, body });

// The snapshot of a member, and what of it goes into another one's record.
frozen_struct!(Page { fingerprints, seqs, newest });
frozen_struct!(Holding { alias, from, until });
frozen_struct!(Lot { id, activated_at, expires_at, left, held, repaid, expired, lapsed, given, gift });
frozen_struct!(Hold { seq, points, expires_at, lots });
frozen_struct!(Wallet { live, waiting, rest, holds, owed, rolled, noticed, figures });
frozen_struct!(Loan { lot, lender, theirs, activated_at, expires_at, left, at });
frozen_struct!(Pooled { of, members, gathering, homing, loans });
frozen_struct!(Journal { member, records, periods });
frozen_struct!(Source { journal, merge, parts, of });
frozen_struct!(Going { into, seq, since, place });
frozen_struct!(Merges { sources, refused, going });
frozen_struct!(Absorbed { from, merge, part, of, place, journals, state });
frozen_struct!(Allowance { seq, wallet, left, not_after, counters });
frozen_struct!(Grant { goal, level, since, until, ended });
frozen_struct!(Tier { level, history, metric, visits, grants, withdrawn, noticed, reviewed, enrolled });
frozen_struct!(StepState { sum, days, runs });
frozen_struct!(Given { lot, wallet, times, each, tier });
frozen_struct!(Progress { key, steps, reached, rewards, at });
frozen_struct!(Profile { zone, birthday, segments });

// Books of receipts, and exceptions.
impl Wire for MemberId {
    fn put<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        self.0.put(to)
    }
    fn get<D: Decoder>(from: &mut D) -> Result<Self, DecodeError> {
        u128::get(from).map(Self)
    }
}
frozen_struct!(Bearer { at, member, seq });
frozen_struct!(BookRecord { receipts, second, taken_back });
frozen_enum!(Why { 1 => ReceiptUsed {}, 2 => ReturnWithoutSale {}, 3 => AllowanceExceeded {} });
frozen_enum!(BudgetRecord { 1 => Lent { points }, 2 => Returned { points }, 3 => Charged { points, read } });
frozen_enum!(receipts::Change { 1 => Open { why, member, seq, at }, 2 => Close { number, at, author, note } });

/// Days up to `through` are closed to a shard's records from `offset` on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Closed {
    pub at: i64,
    pub offset: u64,
    pub through: Day,
    pub author: Text,
    /// Wallet, pending, active.
    pub closing: Vec<(u8, i64, i64)>,
}

frozen_struct!(Closed { at, offset, through, author, closing });

/// How many sealed pages stand beside a core page, and how many were dropped before them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sealed {
    /// Of natural keys and transaction ids.
    pub keys: (u32, u32),
    /// Of request headers.
    pub headers: (u32, u32),
}

/// A core page as read: the member without its sealed key pages.
pub(crate) struct Core(pub(crate) Member, pub(crate) Sealed);

impl Wire for Member {
    fn put<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        self.seq.put(to)?;
        self.last_at.put(to)?;
        self.enrolled_at.put(to)?;
        self.programme.put(to)?;
        self.aliases.put(to)?;
        self.wallets.put(to)?;
        self.tier.put(to)?;
        self.room.put(to)?;
        self.campaigns.0.put(to)?;
        self.purchases.put(to)?;
        self.ended_holds.put(to)?;
        self.returned.put(to)?;
        self.reversed.put(to)?;
        self.giving.put(to)?;
        self.ungiven.put(to)?;
        self.pool.put(to)?;
        self.merges.put(to)?;
        self.allowances.put(to)?;
        self.waiting.put(to)?;
        self.awaited.put(to)?;
        self.goals.put(to)?;
        self.profile.put(to)?;
        self.tidied_at.put(to)?;
        for index in [&self.keys, &self.headers] {
            index.open.put(to)?;
            u32::try_from(index.sealed.len()).unwrap_or(u32::MAX).put(to)?;
            index.dropped.put(to)?;
        }
        Ok(())
    }

    fn get<D: Decoder>(from: &mut D) -> Result<Self, DecodeError> {
        Core::get(from).map(|core| core.0)
    }
}

impl Wire for Core {
    fn put<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        self.0.put(to)
    }

    fn get<D: Decoder>(from: &mut D) -> Result<Self, DecodeError> {
        let mut member = Member {
            seq: u64::get(from)?,
            last_at: i64::get(from)?,
            enrolled_at: i64::get(from)?,
            programme: u32::get(from)?,
            aliases: Vec::get(from)?,
            wallets: SmallVec::get(from)?,
            tier: Tier::get(from)?,
            room: Vec::get(from)?,
            campaigns: Got(Vec::get(from)?),
            purchases: u32::get(from)?,
            ended_holds: Vec::get(from)?,
            returned: Vec::get(from)?,
            reversed: Vec::get(from)?,
            giving: Vec::get(from)?,
            ungiven: Vec::get(from)?,
            pool: Option::get(from)?,
            merges: Option::get(from)?,
            allowances: Vec::get(from)?,
            waiting: Vec::get(from)?,
            awaited: Vec::get(from)?,
            goals: Vec::get(from)?,
            profile: Profile::get(from)?,
            tidied_at: i64::get(from)?,
            ..Member::default()
        };
        let index = |from: &mut D| -> Result<(KeyIndex, (u32, u32)), DecodeError> {
            let open = Page::get(from)?;
            let (sealed, dropped) = (u32::get(from)?, u32::get(from)?);
            Ok((KeyIndex { open, sealed: Vec::<Arc<Page>>::new(), dropped }, (sealed, dropped)))
        };
        let (keys, sealed_keys) = index(from)?;
        let (headers, sealed_headers) = index(from)?;
        member.keys = keys;
        member.headers = headers;
        Ok(Self(member, Sealed { keys: sealed_keys, headers: sealed_headers }))
    }
}
