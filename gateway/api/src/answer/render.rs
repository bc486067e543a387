//! From records and states to answers. A record alone is enough, so that every answer to a repeat is the same.

use tessera_domain::ids::{Kind, LotId, MadeId, MemberId, PoolId};
use tessera_domain::keys::KeyKind;
use tessera_domain::member::View;
use tessera_domain::programme::{Programme, Programmes};
use tessera_domain::record::{Back, Body, Event, Figures, HoldEnd, Notice, Record, Sale, Taken, Unlock};
use tessera_domain::time::{Millis, NEVER, timestamp};
use tessera_domain::wallet::{self, Lot};

use super::*;
use crate::{Text, explain};

impl Wallet {
    /// Figures of a programme's wallet.
    #[must_use]
    pub fn of(figures: Figures, programme: &Programme, number: u8) -> Self {
        let Figures { available, pending, held, debt } = figures;
        Self { decimals: programme.wallet(number).decimals, available, pending, held, debt }
    }
}

impl<'a> TierAfter<'a> {
    pub(super) fn of(programme: &'a Programme, record: &Record) -> Self {
        let levels = &programme.tiers.levels;
        let id = levels.get(usize::from(record.tier)).map_or("", |level| &level.id);
        let Body::Purchased(sale) = &record.body else { return Self { id, next: None, missing: None, until: None } };
        let next = levels.get(usize::from(record.tier) + 1);
        let missing = next.map(|level| (level.threshold - sale.standing.metric).max(0));
        Self { id, next: next.map(|level| &*level.id), missing, until: Some(sale.standing.until.date().to_string()) }
    }
}

impl Change {
    pub(super) fn of(record: &Record, number: u8) -> Self {
        let mut sum = Figures::default();
        for event in &record.events {
            if let Event::Points(wallet, movement) = event
                && *wallet == number
            {
                sum.apply(movement);
            }
        }
        let Figures { available, pending, held, debt } = sum;
        Self { available, pending, held, debt }
    }
}

/// Renders a record, its sentences in the first of the wanted languages that there is. `None`: a version that it names is not known on this node.
#[must_use]
pub fn written<'a>(programmes: &'a Programmes, wanted: &[Text], member: MemberId, seq: u64, record: &'a Record) -> Option<Written<'a>> {
    let programme = programmes.version(record.programme)?;
    let id = |kind: Kind, seq: u64| Some(MadeId { kind, member, seq }.to_string());
    let sale = if let Body::Purchased(sale) = &record.body { Some(sale) } else { None };
    let after = |(number, figures): &(u8, Figures)| {
        let share = sale.and_then(|sale| sale.share(*number));
        let wallet = WalletAfter {
            earned: sale.map(|_| share.map_or(0, |share| share.earned)),
            earned_pending: share.map(|share| share.pending).filter(|pending| *pending > 0),
            rewarded: Some(goals::rewarded(record, *number)).filter(|points| *points != 0),
            spent: share.map(|share| share.burned).filter(|burned| *burned > 0),
            wallet: Wallet::of(*figures, programme, *number),
            change: Change::of(record, *number),
        };
        (*number, wallet)
    };
    let named = |number: u8| Some(&*programme.wallet(number).id);
    let mut written = Written {
        what: what(&record.body),
        id: None,
        member: member.to_string(),
        seq,
        at: instant(record.at),
        of: None,
        wallet: None,
        points: None,
        to: None,
        received: None,
        recipient: None,
        giver: None,
        store: None,
        till: None,
        token: None,
        allowance: None,
        counter: None,
        refused_tenders: Vec::new(),
        state: None,
        value: None,
        currency: None,
        expires_at: None,
        returned: Vec::new(),
        wallets: ByWallet::new(programme, record.after.iter().map(after)),
        tier: TierAfter::of(programme, record),
        goals: goals::after(programmes, programme, wanted, record),
        explanation: Vec::new(),
        programme_version: record.programme,
        notices: Vec::new(),
    };
    match &record.body {
        Body::Enrolled { .. } | Body::AliasAdded { .. } | Body::AliasRemoved { .. } | Body::Updated(_) | Body::TierGiven { .. } | Body::Homed { .. } | Body::Elapsed => {}
        Body::Purchased(sale) => {
            written.id = id(Kind::Purchase, seq);
            written.explanation = explanation(programmes.version(sale.programme)?, wanted, sale);
            written.programme_version = sale.programme;
            written.refused_tenders = sale.refused.to_vec();
            written.returned = sale.exchanged.iter().chain(sale.waited.iter().map(|(_, back)| back)).map(|back| returned(programme, member, back)).collect();
            written.notices = sale.notices.iter().map(|notice| notice_code(*notice)).collect();
        }
        Body::HoldPlaced { wallet, points, currency, value, expires_at, .. } => {
            written.id = id(Kind::Hold, seq);
            written.wallet = named(*wallet);
            written.points = Some(*points);
            written.expires_at = Some(instant(*expires_at));
            written.value = currency.map(|_| *value);
            written.currency = currency.map(|currency| currency.as_str().to_owned());
        }
        Body::PoolFounded { .. } => written.id = id(Kind::Pool, seq),
        Body::PoolJoined { pool } | Body::PoolLeft { pool } => written.of = Some(pool_id(*pool)),
        Body::PoolChanged { pool, member, .. } => {
            written.of = Some(pool_id(*pool));
            written.recipient = Some(member.to_string());
        }
        Body::Lent { to, hold, wallet, points, .. } => {
            written.of = Some(MadeId { kind: Kind::Hold, member: *to, seq: *hold }.to_string());
            written.wallet = named(*wallet);
            written.points = Some(*points);
            written.recipient = Some(to.to_string());
        }
        Body::LendRefused { to, hold, wallet, .. } => {
            written.of = Some(MadeId { kind: Kind::Hold, member: *to, seq: *hold }.to_string());
            written.wallet = named(*wallet);
            written.recipient = Some(to.to_string());
        }
        Body::Gathered { hold, wallet, complete, .. } => {
            written.of = id(Kind::Hold, *hold);
            written.wallet = named(*wallet);
            written.state = Some(if *complete { "done" } else { "undone" });
        }
        Body::Merging { into } => written.recipient = Some(into.to_string()),
        Body::Absorbed(absorbed) => written.giver = Some(absorbed.from.to_string()),
        Body::AbsorbRefused { from, .. } => written.giver = Some(from.to_string()),
        Body::Merged { into, place, .. } => {
            written.recipient = Some(into.to_string());
            written.state = Some(if place.is_some() { "done" } else { "undone" });
        }
        Body::CameHome { from, .. } => written.giver = Some(from.to_string()),
        Body::HoldConfirmed { wallet, hold, points, .. } => {
            written.id = id(Kind::Redemption, seq);
            written.of = id(Kind::Hold, *hold);
            written.wallet = named(*wallet);
            written.points = Some(*points);
        }
        Body::HoldCancelled { hold } => {
            written.id = id(Kind::Hold, *hold);
            written.of = id(Kind::Hold, *hold);
        }
        Body::Redeemed { wallet, points, currency, value, offline, .. } => {
            written.id = id(Kind::Redemption, seq);
            written.wallet = named(*wallet);
            written.allowance = offline.as_ref().and_then(|offline| id(Kind::Allowance, offline.used.allowance));
            written.counter = offline.as_ref().map(|offline| offline.used.counter);
            written.points = Some(*points);
            written.value = currency.map(|_| *value);
            written.currency = currency.map(|currency| currency.as_str().to_owned());
        }
        Body::Allowed { wallet, store, till, points, not_after, .. } => {
            written.id = id(Kind::Allowance, seq);
            written.wallet = named(*wallet);
            written.points = Some(*points);
            (written.store, written.till) = (Some(store.as_str()), Some(till.as_str()));
            written.expires_at = Some(instant(*not_after));
        }
        Body::Adjusted { wallet, points, .. } => {
            written.id = id(Kind::Adjustment, seq);
            written.wallet = named(*wallet);
            written.points = Some(*points);
        }
        Body::Transferred { from, to, points, received } => {
            written.id = id(Kind::Transfer, seq);
            written.wallet = named(*from);
            written.points = Some(*points);
            written.to = named(*to);
            written.received = Some(*received);
        }
        Body::ReturnWaits(_) => written.id = id(Kind::Return, seq),
        Body::Gave { wallet, points, to } => {
            written.id = id(Kind::Transfer, seq);
            written.wallet = named(*wallet);
            written.points = Some(*points);
            written.recipient = Some(to.to_string());
        }
        Body::Took { from, gift, wallet, points } => {
            written.of = Some(MadeId { kind: Kind::Transfer, member: *from, seq: *gift }.to_string());
            written.wallet = named(*wallet);
            written.points = Some(*points);
            written.giver = Some(from.to_string());
        }
        Body::TakeRefused { from, gift, wallet } => {
            written.of = Some(MadeId { kind: Kind::Transfer, member: *from, seq: *gift }.to_string());
            written.wallet = named(*wallet);
            written.giver = Some(from.to_string());
        }
        Body::GiftSettled { gift, taken } => {
            written.of = id(Kind::Transfer, *gift);
            written.state = Some(if *taken { "done" } else { "undone" });
        }
        Body::Returned(taken) => {
            written.id = id(Kind::Return, seq);
            written.notices.extend(taken.asked.receipt_used.then_some("receipt_used"));
            written.of = id(Kind::Purchase, taken.back.sale);
            written.returned = vec![returned(programme, member, &taken.back)];
        }
        Body::BlindReturned { taken, .. } => {
            let of = |taken: &Taken| (taken.wallet, PointsReturned { claimed: taken.claimed, restored: 0, owed: 0, taken: Some(taken.taken) });
            written.id = id(Kind::Return, seq);
            written.returned = vec![Returned { purchase: None, wallets: ByWallet::new(programme, taken.iter().map(of)), lines: Vec::new() }];
        }
        Body::Delivered { sale, .. } => {
            written.id = id(Kind::Delivery, seq);
            written.of = id(Kind::Purchase, *sale);
        }
        Body::Reversed { wallet, redemption, points } => {
            written.id = id(Kind::Reversal, seq);
            written.of = id(Kind::Redemption, *redemption);
            written.wallet = named(*wallet);
            written.points = Some(*points);
        }
    }
    Some(written)
}

fn pool_id(pool: PoolId) -> String {
    MadeId { kind: Kind::Pool, member: pool.founder, seq: pool.seq }.to_string()
}

fn what(body: &Body) -> What {
    match body {
        Body::Enrolled { .. } => What::Enrolment,
        Body::Purchased(_) => What::Purchase,
        Body::HoldPlaced { .. } => What::Hold,
        Body::HoldConfirmed { .. } => What::Confirmation,
        Body::HoldCancelled { .. } => What::Cancellation,
        Body::Redeemed { .. } => What::Redemption,
        Body::Allowed { .. } => What::Allowance,
        Body::Adjusted { .. } => What::Adjustment,
        Body::Transferred { .. } => What::Transfer,
        Body::Returned(returned) if returned.asked.kind == KeyKind::Void => What::Void,
        Body::Returned(_) | Body::BlindReturned { .. } => What::Return,
        Body::Delivered { .. } => What::Delivery,
        Body::Reversed { .. } => What::Reversal,
        Body::AliasAdded { .. } => What::AliasAdded,
        Body::AliasRemoved { .. } => What::AliasRemoved,
        Body::Updated(_) => What::Update,
        Body::TierGiven { .. } => What::TierGrant,
        Body::Elapsed => What::Elapsed,
        Body::PoolFounded { .. } => What::PoolFounded,
        Body::PoolJoined { .. } => What::PoolJoined,
        Body::PoolLeft { .. } => What::PoolLeft,
        Body::PoolChanged { .. } => What::PoolChanged,
        Body::Lent { .. } => What::Lent,
        Body::LendRefused { .. } => What::LendRefused,
        Body::Gathered { .. } => What::Gathered,
        Body::CameHome { .. } => What::CameHome,
        Body::Homed { .. } => What::Homed,
        Body::Merging { .. } => What::Merge,
        Body::Absorbed(_) => What::MergeIn,
        Body::AbsorbRefused { .. } => What::MergeRefused,
        Body::Merged { .. } => What::MergeSettled,
        Body::Gave { .. } => What::Gift,
        Body::Took { .. } => What::GiftReceived,
        Body::TakeRefused { .. } => What::GiftRefused,
        Body::GiftSettled { .. } => What::GiftSettled,
        Body::ReturnWaits(_) => What::ReturnWaiting,
    }
}

fn returned<'a>(programme: &'a Programme, member: MemberId, back: &Back) -> Returned<'a> {
    let line = |(place, amount, quantity): &(u16, i64, tessera_domain::number::Decimal)| ReturnedLine { place: u32::from(*place) + 1, amount: *amount, quantity: quantity.to_string() };
    Returned {
        purchase: Some(MadeId { kind: Kind::Purchase, member, seq: back.sale }.to_string()),
        wallets: ByWallet::new(programme, back.wallets.iter().map(|claim| (claim.wallet, PointsReturned { claimed: claim.claimed, restored: claim.restored, owed: claim.unmet, taken: None }))),
        lines: back.lines.iter().map(line).collect(),
    }
}

fn explanation<'a>(programme: &'a Programme, wanted: &[Text], sale: &'a Sale) -> Vec<Explanation<'a>> {
    let explain = |award| {
        let explain::Explained { rule, kind, text } = explain::explain(programme, wanted, award);
        let wallet = &programme.wallet(award.source.wallet(programme)).id;
        Explanation { line: explain::line(&sale.basket, award), rule, kind, wallet, points: award.points, text }
    };
    sale.awards.iter().map(explain).collect()
}

fn notice_code(notice: Notice) -> &'static str {
    match notice {
        Notice::TendersDiffer => "tenders_differ",
        Notice::UnknownStore => "unknown_store",
        Notice::ReturnDoesNotFit => "return_does_not_fit",
        Notice::AllowanceExceeded => "allowance_exceeded",
    }
}

/// An instant as in RFC 3339.
#[must_use]
pub fn instant(at: Millis) -> String {
    timestamp(at).to_string()
}

/// Renders a member.
#[must_use]
pub fn member<'a>(programme: &'a Programme, id: MemberId, view: &View) -> Member<'a> {
    Member {
        member: id.to_string(),
        seq: view.seq,
        enrolled_at: instant(view.enrolled_at),
        wallets: ByWallet::new(programme, (0_u8..).zip(&view.figures).map(|(number, figures)| (number, Wallet::of(*figures, programme, number)))),
        tier: tier(programme, view),
        programme_version: view.programme,
    }
}

/// Renders a pool.
#[must_use]
pub fn pool<'a>(programme: &'a Programme, id: &'a str, views: &[(MemberId, View)]) -> Pool<'a> {
    let of = |view: &View, wallet: u8| view.figures.get(usize::from(wallet)).map_or(0, |figures| figures.available);
    let by = |of: &dyn Fn(u8) -> i64| ByWallet::new(programme, programme.numbers().map(|wallet| (wallet, of(wallet))));
    let members = views.iter().map(|(member, view)| PoolMember { member: member.to_string(), available: by(&|wallet| of(view, wallet)) });
    Pool { id, members: members.collect(), available: by(&|wallet| views.iter().map(|(_, view)| of(view, wallet)).sum()) }
}

/// Renders a tier.
#[must_use]
pub fn tier<'a>(programme: &'a Programme, view: &View) -> Tier<'a> {
    let levels = &programme.tiers.levels;
    let held = levels.get(usize::from(view.tier));
    let next = levels.get(usize::from(view.tier) + 1);
    Tier {
        id: held.map_or("", |level| &level.id),
        name: held.map_or("", |level| &level.name),
        metric: view.tier_metric,
        next: next.map(|level| &*level.id),
        missing: next.map(|level| (level.threshold - view.tier_metric).max(0)),
        until: view.tier_until.date().to_string(),
        text: None,
    }
}

/// Renders the lots that still hold something, wallet after wallet.
#[must_use]
pub fn lots<'a>(programme: &'a Programme, wallets: &[wallet::Wallet]) -> Lots<'a> {
    let id = |LotId { seq, n }: LotId| format!("{seq}.{n}");
    let expires_at = |at: Millis| (at != NEVER).then(|| instant(at));
    let mut lots = Vec::new();
    for (number, wallet) in (0_u8..).zip(wallets) {
        let active = |lot: &Lot| LotShown {
            wallet: &programme.wallet(number).id,
            id: id(lot.id),
            state: "active",
            points: lot.left,
            held: lot.held,
            active_since: Some(instant(lot.activated_at)),
            expires_at: expires_at(lot.expires_at),
            due_at: None,
            waits_for_delivery: false,
        };
        let pending = |(lot, unlock): &(Lot, Unlock)| LotShown {
            state: "pending",
            active_since: None,
            due_at: Some(instant(wallet::due(*unlock))),
            waits_for_delivery: !matches!(unlock, Unlock::At(_)),
            ..active(lot)
        };
        let held = wallet.rest.iter().filter(|lot| lot.left > 0);
        lots.extend(wallet.live.iter().chain(held).map(active));
        lots.extend(wallet.waiting.iter().filter(|(lot, _)| lot.left > 0).map(pending));
    }
    Lots { lots }
}

/// Renders a hold from the record that placed it. `None`: the record placed none.
#[must_use]
pub fn hold<'a>(programme: &'a Programme, member: MemberId, seq: u64, record: &Record, wallets: &[wallet::Wallet], ended: Option<HoldEnd>) -> Option<HoldShown<'a>> {
    let Body::HoldPlaced { wallet, points, expires_at, .. } = &record.body else { return None };
    let open = wallets.iter().flat_map(|wallet| &wallet.holds).find(|hold| u64::from(hold.seq) == seq);
    let state = match ended {
        Some(HoldEnd::Confirmed) => HoldState::Confirmed,
        Some(HoldEnd::Cancelled) => HoldState::Cancelled,
        Some(HoldEnd::Expired) | None => match open {
            None => HoldState::Expired,
            Some(hold) if hold.expires_at == NEVER => HoldState::Pending,
            Some(_) => HoldState::Open,
        },
    };
    let id = MadeId { kind: Kind::Hold, member, seq }.to_string();
    Some(HoldShown { wallet: &programme.wallet(*wallet).id, id, member: member.to_string(), state, points: *points, expires_at: instant(*expires_at) })
}

/// Renders the open holds.
#[must_use]
pub fn holds<'a>(programme: &'a Programme, member: MemberId, wallets: &[wallet::Wallet]) -> Holds<'a> {
    let mut holds = Vec::new();
    for (number, wallet) in (0_u8..).zip(wallets) {
        // One that still waits for the parts of others is not yet a hold.
        holds.extend(wallet.holds.iter().filter(|hold| hold.expires_at != NEVER).map(|hold| HoldShown {
            wallet: &programme.wallet(number).id,
            id: MadeId { kind: Kind::Hold, member, seq: hold.seq.into() }.to_string(),
            member: member.to_string(),
            state: HoldState::Open,
            points: hold.points,
            expires_at: instant(hold.expires_at),
        }));
    }
    Holds { holds }
}
