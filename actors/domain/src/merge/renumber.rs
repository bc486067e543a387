//! What names records of a journal, by the numbers that they have where that journal was taken over.

use std::sync::Arc;

use super::{lot, number, short};
use crate::basket::Basket;
use crate::command::{Ask, Purchase, Return, SaleName};
use crate::ids::{LotId, MemberId};
use crate::member::Member;
use crate::record::{Back, Body, Event, Movement, Offline, Record, Returned};

/// A basket that names records: holds, allowances, sales of which lines come back.
#[must_use]
pub fn basket(basket: &Arc<Basket>, mut number: impl FnMut(u64) -> u64) -> Arc<Basket> {
    let names = basket.tenders.iter().any(|tender| tender.hold.is_some() || tender.offline.is_some()) || basket.lines.iter().any(|line| line.returns.is_some());
    if !names {
        return basket.clone();
    }
    let mut mine = Basket::clone(basket);
    for tender in &mut mine.tenders {
        tender.hold = tender.hold.map(&mut number);
        if let Some(used) = &mut tender.offline {
            used.allowance = number(used.allowance);
        }
    }
    for returns in mine.lines.iter_mut().filter_map(|line| line.returns.as_mut()) {
        returns.sale = number(returns.sale);
    }
    Arc::new(mine)
}

fn sale_name(name: &SaleName, place: u8) -> SaleName {
    match name {
        SaleName::Seq(seq) => SaleName::Seq(number(*seq, place)),
        keys @ SaleName::Keys(_) => keys.clone(),
    }
}

fn asked(asked: &Return, place: u8) -> Return {
    Return { sale: sale_name(&asked.sale, place), ..asked.clone() }
}

fn offline(offline: &mut Offline, place: u8) {
    offline.used.allowance = number(offline.used.allowance, place);
}

/// A request to a member that has gone, as the one takes it that goes on.
#[must_use]
pub fn of_command(ask: &Ask, into: MemberId, place: u8) -> Ask {
    let mut ask = ask.clone();
    match &mut ask {
        Ask::FoundPool { founder } => *founder = into,
        Ask::Purchase(purchase) => **purchase = Purchase { basket: basket(&purchase.basket, |seq| number(seq, place)), ..(**purchase).clone() },
        Ask::ConfirmHold { hold: seq, .. } | Ask::CancelHold { hold: seq } | Ask::Deliver { sale: seq, .. } | Ask::Reverse { redemption: seq } => *seq = number(*seq, place),
        Ask::Redeem { offline: Some(used), .. } => offline(used, place),
        Ask::Return(sent) => **sent = asked(sent, place),
        Ask::TakeHome { lots, .. } => lots.iter_mut().for_each(|(_, id, ..)| *id = lot(*id, place)),
        _ => {}
    }
    ask
}

/// A record of a journal that was taken over.
#[must_use]
pub fn of_record(record: &Record, place: u8) -> Record {
    let mut record = record.clone();
    match &mut record.body {
        Body::Purchased(sale) => {
            sale.basket = basket(&sale.basket, |seq| number(seq, place));
            sale.exchanged.iter_mut().for_each(|given| back(given, place));
            for (waiting, given) in &mut sale.waited {
                *waiting = number(*waiting, place);
                back(given, place);
            }
        }
        Body::Redeemed { offline: Some(used), .. } => offline(used, place),
        Body::Returned(returned) => {
            let Returned { asked: sent, back: given } = &mut **returned;
            *sent = asked(sent, place);
            back(given, place);
        }
        Body::ReturnWaits(waits) => **waits = asked(waits, place),
        Body::HoldConfirmed { hold: seq, .. }
        | Body::HoldCancelled { hold: seq }
        | Body::Gathered { hold: seq, .. }
        | Body::Delivered { sale: seq, .. }
        | Body::Reversed { redemption: seq, .. }
        | Body::GiftSettled { gift: seq, .. }
        | Body::Homed { seq } => *seq = number(*seq, place),
        _ => {}
    }
    record.events.iter_mut().for_each(|event| of_event(event, place));
    record
}

fn back(back: &mut Back, place: u8) {
    back.sale = number(back.sale, place);
}

fn of_event(event: &mut Event, place: u8) {
    match event {
        Event::Points(_, movement) => of_movement(movement, place),
        Event::AllowanceUsed { allowance, .. } => *allowance = short(*allowance, place),
        Event::ReturnLapsed { seq } => *seq = number(*seq, place),
        // A tier that is a reward has the lot of no record.
        Event::Rewarded { lot: id, .. } | Event::RewardTaken { lot: id, .. } => *id = lot(*id, place),
        _ => {}
    }
}

fn of_movement(movement: &mut Movement, place: u8) {
    let shift = |id: &mut LotId| *id = lot(*id, place);
    match movement {
        Movement::Issued { lot, .. }
        | Movement::Activated { lot, .. }
        | Movement::Rescheduled { lot, .. }
        | Movement::Spent { lot, .. }
        | Movement::Held { lot, .. }
        | Movement::Expired { lot, .. }
        | Movement::ClawedBack { lot, .. }
        | Movement::Lapsed { lot, .. }
        | Movement::ExpiredCounted { lot, .. }
        | Movement::Unexpired { lot, .. }
        | Movement::Reinstated { lot, .. }
        | Movement::Overdrawn { lot, .. }
        | Movement::DebtRepaid { lot, .. }
        | Movement::RepaymentUndone { lot, .. }
        | Movement::OwedRaised { of: lot, .. }
        | Movement::AdjustedDown { lot, .. }
        | Movement::Sent { lot, .. }
        | Movement::Given { lot, .. }
        | Movement::GivenBack { lot, .. }
        | Movement::GivenClaimed { lot, .. }
        | Movement::Gifted { lot, .. }
        | Movement::Lent { lot, .. }
        | Movement::SentHome { lot, .. }
        | Movement::Received { lot, .. } => shift(lot),
        Movement::OwedMet { of, lot, .. } => {
            shift(of);
            shift(lot);
        }
        Movement::HeldSpent { hold, lot, .. } | Movement::Released { hold, lot, .. } | Movement::HeldFor { hold, lot, .. } => {
            *hold = short(*hold, place);
            shift(lot);
        }
        Movement::HoldEnded { hold, .. } => *hold = short(*hold, place),
        Movement::DebtRaised { .. } | Movement::DebtWrittenOff { .. } | Movement::Noticed { .. } | Movement::ExpiryMoved { .. } | Movement::MergedIn(_) | Movement::MergedOut(_) => {}
    }
}

/// A part of a state.
pub(crate) fn of_state(state: &mut Member, place: u8) {
    for wallet in &mut state.wallets {
        let lots = wallet.live.iter_mut().chain(&mut wallet.rest).chain(wallet.waiting.iter_mut().map(|(lot, _)| lot));
        lots.for_each(|known| known.id = lot(known.id, place));
        for hold in &mut wallet.holds {
            hold.seq = short(hold.seq, place);
            hold.lots.iter_mut().for_each(|(id, _)| *id = lot(*id, place));
        }
        wallet.owed.iter_mut().for_each(|(of, _)| *of = lot(*of, place));
    }
    for index in [&mut state.keys, &mut state.headers] {
        index.open.seqs.iter_mut().for_each(|seq| *seq = short(*seq, place));
    }
    state.ended_holds.iter_mut().for_each(|(seq, _)| *seq = short(*seq, place));
    state.returned.iter_mut().for_each(|(sale, seq)| (*sale, *seq) = (short(*sale, place), short(*seq, place)));
    state.reversed.iter_mut().chain(&mut state.ungiven).for_each(|seq| *seq = short(*seq, place));
    state.waiting.iter_mut().for_each(|(seq, _)| *seq = short(*seq, place));
    state.awaited.iter_mut().for_each(|(_, seq)| *seq = short(*seq, place));
    state.allowances.iter_mut().for_each(|allowance| allowance.seq = short(allowance.seq, place));
    state.pool.iter_mut().flat_map(|pool| &mut pool.loans).for_each(|loan| loan.lot = lot(loan.lot, place));
    state.goals.iter_mut().flat_map(|progress| &mut progress.rewards).for_each(|given| given.lot = lot(given.lot, place));
}
