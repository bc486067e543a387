//! A purchase: its points tenders first, then what it earns (rules 2, 4–6, 12, 14, 21).

use std::sync::Arc;

use smallvec::SmallVec;

use super::{Draft, allowance, campaigns, hold, issue, returns};
use crate::basket::{Basket, Worth};
use crate::command::Purchase;
use crate::earn::Facts;
use crate::goals;
use crate::programme::{Metric, Programme};
use crate::record::{Body, Event, Notice, Record, Sale, Share};
use crate::time::{DAY_MS, Day, Millis};
use crate::{Code, Rejection};

/// A till's clock may be this far ahead, in milliseconds.
pub const AHEAD: Millis = 10 * 60_000;
/// A sale may be this far from noon of its business date.
const OFF_NOON: Millis = 36 * 3_600_000;

pub(super) fn purchase(draft: &mut Draft<'_>, purchase: &Purchase, records: &[(u64, Arc<Record>)]) -> Result<Body, Rejection> {
    let basket = &purchase.basket;
    if let Some((kind, hash)) = &purchase.alias
        && !draft.member.held_alias(kind, *hash, basket.occurred_at)
    {
        return Err(Rejection::new(Code::UnknownAlias, "/member/alias", "no member held this alias when the sale happened"));
    }
    // Rule 2: a late sale earns by the rules of its time.
    let programme = draft.context.programmes.at(basket.occurred_at).unwrap_or(&draft.programme).clone();
    clock(draft.now, &programme, &basket.store, basket.occurred_at, basket.business_date)?;
    let earns = |currency| programme.exchange(basket.currency, currency, basket.occurred_at).is_some();
    if !programme.earn.iter().any(|rule| earns(rule.currency)) {
        let detail = format!("no earn rule of the programme is in {:?}, and it has no rate of exchange from it; add one, or send another currency", basket.currency);
        return Err(Rejection::new(Code::CurrencyMismatch, "/currency", &detail));
    }
    let worth = basket.worth()?;
    // Returns first (rule 17), then tenders, then what is earned.
    let exchanged = returns::exchange(draft, basket, records)?;
    let (burned, refused) = tenders(draft, basket, records)?;

    let zone = programme.store_zone(&basket.store);
    let day = Day::at(basket.occurred_at, zone);
    let local = Day::at(basket.occurred_at, &programme.zone);
    let room = |draft: &Draft<'_>, wallet: u8| {
        let (period, most) = programme.wallet(wallet).caps.member?;
        Some(most.saturating_sub(draft.room_used(wallet, period.start(local))).max(0))
    };
    let found = draft.member.profile.found(&programme, basket.occurred_at, draft.tier_at(basket.occurred_at), draft.member.purchases == 0);
    let rooms = programme.numbers().map(|wallet| room(draft, wallet)).collect();
    let mut facts = Facts { found, rooms, campaigns: campaigns::rooms(draft, &programme) };
    let earned = campaigns::earn(draft, &programme, basket, &worth, &mut facts)?;
    let head = programme.head(basket, &facts.found);
    let mut shares = SmallVec::new();
    for wallet in draft.numbers() {
        let (points, (burned, paid)) = (earned.of(wallet), burned.get(usize::from(wallet)).copied().unwrap_or_default());
        // One that came after the version of the sale's time neither earns by it nor has its expiry moved.
        let pending = if usize::from(wallet) < programme.wallets.len() { issue::issue(draft, wallet, &programme, &head, &worth, &earned) } else { 0 };
        let room = facts.rooms.get(usize::from(wallet)).copied().flatten();
        let cap_period = programme.wallet(wallet).caps.member.map_or(local, |(period, _)| period.start(local));
        if room.is_some() && points > 0 {
            draft.emit(Event::RoomUsed { wallet, period: cap_period, points });
        }
        if points != 0 || burned != 0 {
            shares.push(Share { wallet, earned: points, pending, burned, paid, room, cap_period });
        }
    }
    let campaigns = campaigns::count(draft, &programme, &facts, &earned);
    let tier_period = draft.member.tier.period(&programme.tiers, local);
    let metric = metric(draft, &programme, basket, &worth, (tier_period, day), &earned);
    if metric != 0 {
        draft.emit(Event::Metric { period: tier_period, amount: metric });
        draft.upgrade(tier_period);
    }
    let parts = goals::parts(&programme, &head, &worth);
    super::goals::count(draft, &programme, basket, (&facts.found, day), &parts);
    let mut notices = SmallVec::new();
    let sold: i64 = basket.lines.iter().zip(&worth.lines).filter(|(_, line)| line.sold).map(|(_, line)| basket.gross(line)).sum();
    // What came back of a sale in another currency cannot be set against these tenders.
    let foreign = exchanged.iter().any(|back| returns::sale(back.sale, records).is_ok_and(|sale| sale.basket.currency != basket.currency));
    let given_back: i64 = exchanged.iter().flat_map(|back| &back.lines).map(|(_, net, _)| net).sum();
    if !foreign && !basket.tenders.is_empty() && basket.tenders.iter().map(|tender| tender.amount).sum::<i64>() != (sold - given_back).max(0) {
        notices.push(Notice::TendersDiffer);
    }
    if programme.notice_unknown_stores && !programme.stores.contains_key(&basket.store) {
        notices.push(Notice::UnknownStore);
    }
    if !refused.is_empty() {
        notices.push(Notice::AllowanceExceeded);
    }
    let mut sold = Box::new(Sale {
        basket: purchase.basket.clone(),
        keys: purchase.keys.clone(),
        alias: purchase.alias.clone(),
        programme: programme.version,
        found: facts.found,
        tier_period,
        day,
        awards: earned.awards,
        shares,
        campaigns,
        converted: earned.converted,
        metric,
        parts,
        standing: draft.standing(),
        exchanged,
        waited: Vec::new(),
        refused,
        notices,
    });
    let (waited, all_fit) = returns::waited(draft, &sold, &worth, records);
    if !waited.is_empty() {
        sold.waited = waited;
        sold.standing = draft.standing();
    }
    if !all_fit {
        sold.notices.push(Notice::ReturnDoesNotFit);
    }
    Ok(Body::Purchased(sold))
}

/// Rule 2: not more than 10 minutes ahead of arrival, nor 36 hours off noon of its business date.
pub(super) fn clock(now: Millis, programme: &Programme, store: &str, occurred_at: Millis, business_date: Option<Day>) -> Result<(), Rejection> {
    if occurred_at > now.saturating_add(AHEAD) {
        return Err(Rejection::new(Code::Clock, "/occurred_at", "this is more than 10 minutes ahead of this node; set the till's clock, or its zone"));
    }
    if let Some(business) = business_date {
        let zone = programme.store_zone(store);
        let noon = business.start(zone).saturating_add(DAY_MS / 2);
        if (occurred_at - noon).abs() > OFF_NOON {
            return Err(Rejection::new(Code::Clock, "/business_date", "this happened more than 36 hours off noon of its business date; send the date of the till's day"));
        }
    }
    Ok(())
}

/// Points and minor units, by wallet.
type Burned = SmallVec<[(i64, i64); 1]>;

/// Confirms holds and redeems, in the purchase's own commit and before it earns. Points burned and the
/// minor units that they paid, by wallet; and the places of those that go beyond their allowance.
fn tenders(draft: &mut Draft<'_>, basket: &Basket, records: &[(u64, Arc<Record>)]) -> Result<(Burned, SmallVec<[u16; 0]>), Rejection> {
    let mut refused = SmallVec::new();
    let mut burned: Burned = draft.numbers().map(|_| (0, 0)).collect();
    for (place, tender) in basket.tenders.iter().enumerate().filter(|(_, tender)| tender.is_points() && tender.amount > 0) {
        let field = format!("/tenders/{place}");
        let mut pays = |wallet: u8, points: i64| {
            let (sum, paid) = &mut burned[usize::from(wallet)];
            *sum = sum.saturating_add(points);
            *paid = paid.saturating_add(tender.amount);
        };
        if let Some(used) = tender.offline {
            let named = Some(&tender.wallet).filter(|id| !id.is_empty()).map(|id| draft.programme.wallet_number(id).unwrap_or(u8::MAX));
            match allowance::tender(draft, named, tender.amount, used, basket, records) {
                Some((wallet, points)) => pays(wallet, points),
                None => refused.push(u16::try_from(place).unwrap_or(u16::MAX)),
            }
            continue;
        }
        // A hold fixes the money value (rule 12), by the version that placed it, and says which wallet.
        let placed = tender.hold.and_then(|seq| records.iter().find(|(number, _)| *number == seq));
        let priced = placed.and_then(|(_, record)| draft.context.programmes.version(record.programme)).unwrap_or(&draft.programme);
        let held = tender.hold.filter(|_| tender.wallet.is_empty()).and_then(|seq| hold::placed(seq, records).ok());
        let unknown = || Rejection::new(Code::UnknownWallet, format!("{field}/wallet"), &format!("the programme has no wallet {:?}", tender.wallet));
        let wallet = held.map(|(wallet, _)| wallet).or_else(|| draft.programme.wallet_number(&tender.wallet)).ok_or_else(unknown)?;
        let points = priced.points(wallet, tender.amount, basket.currency).ok_or_else(|| {
            let detail = format!("points of this wallet have no value in {:?}; take another tender", basket.currency);
            Rejection::new(Code::CurrencyMismatch, format!("{field}/amount"), &detail)
        })?;
        match tender.hold {
            Some(seq) => hold::confirm_for_tender(draft, wallet, seq, points, &field, records)?,
            None => draft.spend(wallet, points, basket.occurred_at, &format!("{field}/amount"))?,
        }
        pays(wallet, points);
    }
    Ok((burned, refused))
}

fn metric(draft: &mut Draft<'_>, programme: &Programme, basket: &Basket, worth: &Worth, (tier_period, day): (Day, Day), earned: &crate::earn::Earned) -> i64 {
    match programme.tiers.metric {
        Metric::Points(wallet) => earned.of(wallet),
        Metric::Spend(currency) => programme.spent(basket, currency, earned.eligible),
        Metric::Visits => {
            let store = store_number(&basket.store, tier_period);
            if !worth.keeps_something() {
                return 0;
            }
            let first = draft.visits(day, store) == 0;
            draft.emit(Event::Visit { day, store, count: 1 });
            i64::from(first)
        }
    }
}

/// Which store of a day was visited; a day that lies in two periods (the store's zone is another than the programme's)
/// counts in each. Part of the stored format.
pub(super) fn store_number(store: &str, period: Day) -> u32 {
    #[expect(clippy::cast_possible_truncation)]
    let number = crate::keys::fingerprint(&[store.as_bytes(), &period.0.to_le_bytes()]) as u32;
    number
}
