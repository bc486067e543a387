//! Returns, voids, exchanges, and returns without a receipt (rules 16, 17, 19).

use std::sync::Arc;

use smallvec::SmallVec;

use super::clawback::{claim, restore, take_available};
use super::Draft;
use crate::basket::{Basket, Line, LineKind, LineWorth, Worth};
use crate::command::{BlindReturn, LineBack, Return, SaleName};
use crate::earn::{Facts, earn};
use crate::ids::LotId;
use crate::keys::Keys;
use crate::merge::SPAN;
use crate::number::{Decimal, mul_div_floor};
use crate::programme::{Clawback, Metric};
use crate::record::{Back, Body, Claim, Event, Left, Movement, Record, Returned, Sale, SaleLeft, Taken, Unlock};
use crate::time::Millis;
use crate::{Code, Rejection};

type Records = [(u64, Arc<Record>)];

/// Returns of one member that may wait for their sales.
const MAX_WAITING: usize = 100;

/// The sale of a record that was read.
pub(super) fn sale(seq: u64, records: &Records) -> Result<&Sale, Rejection> {
    let body = records.iter().find(|(number, _)| *number == seq).map(|(_, record)| &record.body);
    match body {
        Some(Body::Purchased(sale)) => Ok(sale),
        _ => Err(Rejection::new(Code::UnknownSale, "/sale", "this member has no such purchase; look at the id, or at source, store, till, date and sequence")),
    }
}

/// Whether a sale goes by these keys.
pub(super) fn is_named(sale: &Sale, keys: &Keys) -> bool {
    let natural = keys.natural.is_some() && keys.natural == sale.keys.natural;
    natural || (keys.transaction.is_some() && keys.transaction == sale.keys.transaction)
}

/// Whether a key that is given is not the one that the sale has.
fn contradicts(sale: &Sale, keys: &Keys) -> bool {
    let natural = keys.natural.as_ref().zip(sale.keys.natural.as_ref()).is_some_and(|(given, has)| given != has);
    natural || keys.transaction.as_ref().zip(sale.keys.transaction.as_ref()).is_some_and(|(given, has)| given != has)
}

/// A return's time against this node's and against the business date of its own receipt.
fn own_clock(draft: &Draft<'_>, keys: &Keys, occurred_at: Millis) -> Result<(), Rejection> {
    let (store, date) = keys.natural.as_ref().map_or(("", None), |key| (&*key.store, Some(key.business_date)));
    super::purchase::clock(draft.now, &draft.programme, store, occurred_at, date)
}

pub(super) fn give_back(draft: &mut Draft<'_>, asked: &Return, records: &Records) -> Result<Body, Rejection> {
    let seq = match &asked.sale {
        SaleName::Seq(seq) => *seq,
        SaleName::Keys(keys) => {
            let sold = records.iter().filter_map(|(seq, record)| if let Body::Purchased(sale) = &record.body { Some((*seq, sale)) } else { None });
            let named: SmallVec<[(u64, &Sale); 2]> = sold.map(|(seq, sale)| (seq, &**sale)).filter(|(_, sale)| is_named(sale, keys)).collect();
            let merged = named.iter().any(|(seq, _)| *seq >= u64::from(SPAN));
            if named.iter().any(|(_, sale)| contradicts(sale, keys)) || (named.len() > 1 && !merged) {
                return Err(Rejection::new(Code::KeyConflict, "/sale", "these keys do not name one and the same purchase; send the purchase's id"));
            }
            // A receipt that two members had who are one now: it counts once, and where it still does, goods come back.
            let counts = |(seq, sale): &&(u64, &Sale)| is_left(sale, &left(draft, *seq, sale, records));
            named.iter().find(|one| named.len() == 1 || counts(one)).or(named.first()).map_or(0, |(seq, _)| *seq)
        }
    };
    if seq == 0 && asked.may_wait {
        own_clock(draft, &asked.keys, asked.occurred_at)?;
        if draft.member.waiting.len() >= MAX_WAITING {
            return Err(Rejection::new(Code::UnknownSale, "/sale", "this member has no such purchase, and 100 other returns wait for theirs"));
        }
        return Ok(Body::ReturnWaits(Box::new(asked.clone())));
    }
    let bought = sale(seq, records)?;
    if asked.currency.is_some_and(|currency| currency != bought.basket.currency) {
        let detail = format!("the sale was in {:?}; send quantities, or amounts in its currency", bought.basket.currency);
        return Err(Rejection::new(Code::CurrencyMismatch, "/currency", &detail));
    }
    // A till may take a sale back under the sale's own number: then the date is the sale's.
    let own = if is_named(bought, &asked.keys) { &Keys::default() } else { &asked.keys };
    own_clock(draft, own, asked.occurred_at)?;
    let worth = bought.basket.worth()?;
    let before = left(draft, seq, bought, records);
    let lines = lines_back(bought, &worth, &before, asked)?;
    let back = back(draft, seq, bought, &worth, before, lines, asked.points_refund, records)?;
    Ok(Body::Returned(Box::new(Returned { asked: asked.clone(), back })))
}

/// Whether anything of a sale is left that could come back.
fn is_left(sold: &Sale, left: &SaleLeft) -> bool {
    let has = |(place, line): (usize, &LineWorth)| line.sold && of_line(left, place, line) != (0, Decimal(0));
    sold.basket.worth().is_ok_and(|worth| worth.lines.iter().enumerate().any(has))
}

/// What comes back of each line.
fn lines_back(bought: &Sale, worth: &Worth, before: &SaleLeft, asked: &Return) -> Result<Vec<(u16, i64, Decimal)>, Rejection> {
    let mut lines = Vec::new();
    if asked.lines.is_empty() {
        for (place, worth) in worth.lines.iter().enumerate().filter(|(_, worth)| worth.sold) {
            let (net, quantity) = of_line(before, place, worth);
            if net > 0 || quantity.0 > 0 {
                lines.push((index(place), net, quantity));
            }
        }
    }
    for (at, back) in asked.lines.iter().enumerate() {
        let field = format!("/lines/{at}");
        let place = place_of(&bought.basket.lines, &back.line, &field)?;
        if lines.iter().any(|(line, ..)| *line == index(place)) {
            return Err(Rejection::new(Code::Invalid, field, "this line is named twice; add the two up"));
        }
        let (net, quantity) = amounts(&worth.lines[place], of_line(before, place, &worth.lines[place]), back, &field)?;
        lines.push((index(place), net, quantity));
    }
    if lines.is_empty() {
        return Err(Rejection::new(Code::ExceedsSale, "", "all of this purchase has come back already"));
    }
    Ok(lines)
}

/// Gives back what returns say that have waited for this sale: it then earns what is kept (rule 17). Those that do not fit it
/// wait on.
pub(super) fn waited(draft: &mut Draft<'_>, sold: &Sale, worth: &Worth, records: &Records) -> (Vec<(u64, Back)>, bool) {
    if draft.member.waiting.is_empty() {
        return (Vec::new(), true);
    }
    let seq = u64::from(draft.seq());
    let (mut all, mut all_fit) = (Vec::new(), true);
    let mut before = whole(sold);
    for (number, record) in records {
        let Body::ReturnWaits(asked) = &record.body else { continue };
        let SaleName::Keys(keys) = &asked.sale else { continue };
        if !is_named(sold, keys) || !draft.member.waiting.iter().any(|(waiting, since)| u64::from(*waiting) == *number && since + crate::member::WAIT > draft.now) {
            continue;
        }
        let fits = asked.currency.is_none_or(|currency| currency == sold.basket.currency) && !contradicts(sold, keys);
        let Some(lines) = lines_back(sold, worth, &before, asked).ok().filter(|_| fits) else {
            all_fit = false;
            continue;
        };
        // It refuses before it changes anything.
        let Ok(back) = back(draft, seq, sold, worth, before.clone(), lines, asked.points_refund, records) else {
            all_fit = false;
            continue;
        };
        before = back.left.clone();
        all.push((*number, back));
    }
    (all, all_fit)
}

/// The lines of kind return of a purchase: each gives back a line of an earlier sale, before anything is sold.
pub(super) fn exchange(draft: &mut Draft<'_>, basket: &Basket, records: &Records) -> Result<Vec<Back>, Rejection> {
    let lines = &basket.lines;
    let mut sales: Vec<u64> = lines.iter().filter_map(Line::gives_back).map(|returns| returns.sale).collect();
    sales.sort_unstable();
    sales.dedup();
    let mut all = Vec::with_capacity(sales.len());
    for seq in sales {
        let bought = sale(seq, records)?;
        let worth = bought.basket.worth()?;
        let before = left(draft, seq, bought, records);
        let mut backs: Vec<(u16, i64, Decimal)> = Vec::new();
        for (at, line) in lines.iter().enumerate() {
            let Some(returns) = line.gives_back().filter(|returns| returns.sale == seq) else { continue };
            let field = format!("/lines/{at}");
            if line.amount > 0 && bought.basket.currency != basket.currency {
                let detail = format!("the sale was in {:?}; give the line back by its quantity, without an amount", bought.basket.currency);
                return Err(Rejection::new(Code::CurrencyMismatch, format!("{field}/amount"), &detail));
            }
            let place = place_of(&bought.basket.lines, &returns.line, &format!("{field}/returns"))?;
            if backs.iter().any(|(line, ..)| *line == index(place)) {
                return Err(Rejection::new(Code::Invalid, field, "this line is given back twice; add the two up"));
            }
            // Without an amount the quantity says it.
            let asked = LineBack { line: returns.line.clone(), quantity: Some(line.quantity), amount: (line.amount > 0).then_some(line.amount - line.discount) };
            let (net, quantity) = amounts(&worth.lines[place], of_line(&before, place, &worth.lines[place]), &asked, &field)?;
            backs.push((index(place), net, quantity));
        }
        all.push(back(draft, seq, bought, &worth, before, backs, None, records)?);
    }
    Ok(all)
}

/// Without a receipt: what today's base rule would give, taken from what is available at most.
pub(super) fn blind(draft: &mut Draft<'_>, asked: &BlindReturn) -> Result<Body, Rejection> {
    let today = draft.programme.clone();
    let base = today.bare();
    if asked.basket.lines.iter().any(|line| line.kind == LineKind::Return) || !asked.basket.tenders.is_empty() {
        return Err(Rejection::new(Code::Invalid, "/lines", "a return without a receipt lists the goods as they would be sold, and no tenders"));
    }
    own_clock(draft, &asked.keys, asked.basket.occurred_at)?;
    let worth = asked.basket.worth()?;
    let earned = earn(&base, &asked.basket, &worth, &Facts::default())?;
    let mut taken = SmallVec::new();
    for wallet in today.numbers() {
        let claimed = earned.of(wallet);
        let most = if today.clawback == Clawback::SaleLots { 0 } else { claimed };
        if claimed > 0 || wallet == 0 {
            taken.push(Taken { wallet, claimed, taken: take_available(draft, wallet, most) });
        }
    }
    Ok(Body::BlindReturned { basket: asked.basket.clone(), keys: asked.keys.clone(), taken })
}

/// How a sale stands before this: as sold, or as its last return left it.
fn left(draft: &Draft<'_>, seq: u64, sale: &Sale, records: &Records) -> SaleLeft {
    let Some(last) = draft.member.last_return(seq) else { return whole(sale) };
    let record = records.iter().find(|(number, _)| *number == last).map(|(_, record)| &record.body);
    let found = match record {
        Some(Body::Returned(returned)) => Some(&returned.back),
        // The last of those that waited for it, or that an exchange gave back.
        Some(Body::Purchased(sale)) => sale.waited.iter().map(|(_, back)| back).chain(&sale.exchanged).rfind(|back| back.sale == seq),
        _ => None,
    };
    found.map_or_else(|| whole(sale), |back| back.left.clone())
}

/// A sale of which nothing has come back.
fn whole(sale: &Sale) -> SaleLeft {
    let share = |share: &crate::record::Share| Left { wallet: share.wallet, kept: share.earned, restored: 0 };
    SaleLeft { lines: Vec::new(), wallets: sale.shares.iter().map(share).collect(), metric: sale.metric, parts: sale.parts.clone(), campaigns: sale.campaigns.iter().filter(|(_, got)| *got > 0).map(|(room, got)| (room.campaign, *got)).collect() }
}

fn of_line(left: &SaleLeft, place: usize, worth: &LineWorth) -> (i64, Decimal) {
    left.lines.iter().find(|(line, ..)| *line == index(place)).map_or((worth.net, worth.quantity), |(_, net, quantity)| (*net, *quantity))
}

fn place_of(lines: &[Line], id: &str, field: &str) -> Result<usize, Rejection> {
    let unknown = || Rejection::new(Code::UnknownLine, format!("{field}/line"), &format!("the sale has no line with the id {id}"));
    lines.iter().position(|line| *line.id == *id).ok_or_else(unknown)
}

/// Net and quantity that come back of a line (rule 17).
fn amounts(worth: &LineWorth, left: (i64, Decimal), asked: &LineBack, field: &str) -> Result<(i64, Decimal), Rejection> {
    let exceeds = |what: &str| Err(Rejection::new(Code::ExceedsSale, format!("{field}/{what}"), &format!("{} minor units and quantity {} are left of this line", left.0, left.1)));
    if asked.quantity.is_some_and(|quantity| quantity.0 < 0) || asked.amount.is_some_and(|amount| amount < 0) {
        return Err(Rejection::new(Code::Invalid, field.to_owned(), "what comes back is not negative"));
    }
    if !worth.sold || (left.0 == 0 && left.1.0 == 0) {
        return exceeds("line");
    }
    let quantity = asked.quantity.unwrap_or_default();
    if quantity > left.1 {
        return exceeds("quantity");
    }
    match asked.amount {
        None if asked.quantity.is_none() => Ok(left),
        Some(amount) if amount > left.0 => exceeds("amount"),
        None | Some(0) if quantity.0 == 0 => Err(Rejection::new(Code::Invalid, field.to_owned(), "say how much comes back: a quantity, an amount, or neither for all of the line")),
        Some(amount) => Ok((amount, quantity)),
        // The last takes the rest.
        None if quantity == left.1 => Ok((left.0, quantity)),
        None => {
            let share = |quantity: i64| mul_div_floor(worth.net, quantity, worth.quantity.0).unwrap_or(0);
            let before = worth.quantity.0 - left.1.0;
            Ok(((share(before + quantity.0) - share(before)).min(left.0), quantity))
        }
    }
}

/// Gives lines of a sale back: restores what they were paid with, then claims what they had earned.
#[expect(clippy::too_many_arguments, reason = "one sale as it was, as it stands, and what comes back")]
fn back(
    draft: &mut Draft<'_>,
    seq: u64,
    sale: &Sale,
    worth: &Worth,
    before: SaleLeft,
    lines: Vec<(u16, i64, Decimal)>,
    points_refund: Option<i64>,
    records: &Records,
) -> Result<Back, Rejection> {
    let had_something = remaining(worth, &before).keeps_something();
    let mut left = before.clone();
    for (line, net, quantity) in &lines {
        let place = usize::from(*line);
        let (had_net, had_quantity) = of_line(&before, place, &worth.lines[place]);
        let now = (*line, had_net - net, Decimal(had_quantity.0 - quantity.0));
        left.lines.retain(|(other, ..)| other != line);
        left.lines.push(now);
    }
    left.lines.sort_unstable_by_key(|(line, ..)| *line);
    let remains = remaining(worth, &left);
    let gone = !remains.keeps_something();

    let version = draft.context.programmes.version(sale.programme).unwrap_or(&draft.programme).clone();
    let rooms = version.numbers().map(|wallet| sale.share(wallet).and_then(|share| share.room)).collect();
    let facts = Facts { found: sale.found.clone(), rooms, campaigns: super::campaigns::recorded(sale, &version) };
    let earned = earn(&version, &sale.basket, &remains, &facts)?;
    let mut refunds = Refunds { sale, worth, remains: &remains, asked: points_refund, gone };
    let places: Vec<u16> = lines.iter().map(|(line, ..)| *line).collect();
    let mut claims: SmallVec<[Claim; 1]> = SmallVec::new();
    // Restored first, then clawed back (rule 19).
    let mut restored = Vec::with_capacity(left.wallets.len());
    for of in &left.wallets {
        restored.push(refunds.of(of)?);
    }
    refunds.all_taken()?;
    for (of, restored) in left.wallets.iter_mut().zip(restored) {
        restore(draft, of.wallet, seq, of.restored, restored, records);
        of.restored += restored;
        let kept = of.kept.min(earned.of(of.wallet));
        let claimed = of.kept - kept;
        of.kept = kept;
        let unmet = claim(draft, of.wallet, LotId::sale(short(seq)), claimed, &places);
        claims.push(Claim { wallet: of.wallet, claimed, restored, unmet });
    }
    for wallet in draft.numbers() {
        gone_lines(draft, wallet, seq, &left);
        bonus_of_the_rest(draft, wallet, seq);
    }
    for (share, claim) in sale.shares.iter().zip(&claims).filter(|(share, claim)| share.room.is_some() && claim.claimed > 0) {
        draft.emit(Event::RoomUsed { wallet: share.wallet, period: share.cap_period, points: -claim.claimed });
    }
    let change = match version.tiers.metric {
        Metric::Points(wallet) => {
            left.metric = left.metric.min(left.wallets.iter().find(|of| of.wallet == wallet).map_or(0, |of| of.kept));
            left.metric - before.metric
        }
        Metric::Spend(currency) => {
            left.metric = left.metric.min(version.spent(&sale.basket, currency, earned.eligible));
            left.metric - before.metric
        }
        Metric::Visits if gone && had_something => {
            let store = super::purchase::store_number(&sale.basket.store, sale.tier_period);
            let last = draft.visits(sale.day, store) == 1;
            draft.emit(Event::Visit { day: sale.day, store, count: -1 });
            -i64::from(last)
        }
        Metric::Visits => 0,
    };
    if change != 0 {
        let period = draft.member.merges.as_ref().map_or(sale.tier_period, |merges| merges.period(seq, sale.tier_period));
        draft.emit(Event::Metric { period, amount: change });
        draft.withdraw();
    }
    super::campaigns::take_back(draft, &version, &earned, &mut left);
    super::goals::take_back(draft, sale, &version, &remains, &mut left);
    for claim in &claims {
        draft.meet_debt(claim.wallet);
    }
    Ok(Back { sale: seq, lines, wallets: claims, left })
}

/// A line that has come back whole is not delivered any more. What a cap had kept of its points, and the goods left would
/// have earned, waits with the rest of the sale.
fn gone_lines(draft: &mut Draft<'_>, wallet: u8, sale: u64, left: &SaleLeft) {
    let seq = short(sale);
    let gone = |line: u16| left.lines.iter().any(|(place, net, quantity)| *place == line && *net == 0 && quantity.0 == 0);
    let waiting: Vec<_> = draft.wallet(wallet).waiting.iter().filter(|(lot, _)| lot.id.seq == seq).copied().collect();
    for (lot, unlock) in waiting {
        match unlock {
            Unlock::Delivery { line, deadline } if gone(line) && lot.left > 0 => {
                draft.moves(wallet, Movement::Rescheduled { lot: lot.id, unlock: Unlock::LastLine { not_before: Millis::MIN, deadline } });
            }
            Unlock::Delivery { line, .. } if gone(line) => draft.moves(wallet, Movement::Lapsed { lot: lot.id, points: 0, at: draft.now }),
            Unlock::Delivery { .. } | Unlock::LastLine { .. } | Unlock::At(_) => {}
        }
    }
}

/// A basket's bonus waits for the sale's last line; when that has come back instead, nothing is left to wait for.
fn bonus_of_the_rest(draft: &mut Draft<'_>, wallet: u8, sale: u64) {
    let seq = short(sale);
    let mut waiting = draft.wallet(wallet).waiting.iter().filter(|(lot, _)| lot.id.seq == seq);
    if waiting.all(|(_, unlock)| !matches!(unlock, Unlock::Delivery { .. })) {
        super::deliver::last_line(draft, wallet, seq);
    }
}

/// The worth of what is left of a sale.
fn remaining(worth: &Worth, left: &SaleLeft) -> Worth {
    let mut remains = worth.clone();
    for (line, net, quantity) in &left.lines {
        let whole = &worth.lines[usize::from(*line)];
        remains.lines[usize::from(*line)] = whole.less(whole.net - net, Decimal(whole.quantity.0 - quantity.0));
    }
    remains
}

/// Points that come back of those the sale burned (rule 19), at what they paid for then: a hold fixes its own price.
struct Refunds<'a> {
    sale: &'a Sale,
    worth: &'a Worth,
    remains: &'a Worth,
    /// Minor units that the return says go back as points: each wallet takes what it can of them, in turn.
    asked: Option<i64>,
    /// All goods have come back.
    gone: bool,
}

impl Refunds<'_> {
    fn of(&mut self, left: &Left) -> Result<i64, Rejection> {
        let (burned, paid) = self.sale.share(left.wallet).map_or((0, 0), |share| (share.burned, share.paid));
        let most = burned - left.restored;
        match self.asked {
            Some(0) => Ok(0),
            Some(_) if most == 0 || paid == 0 => Ok(0),
            Some(amount) => {
                // Each part of a refund is rounded up; the last takes what there is.
                let overflow = || Rejection::new(Code::Overflow, "/refunds", "this refund does not fit");
                let product = i128::from(amount) * i128::from(burned) + i128::from(paid) - 1;
                let points = i64::try_from(product / i128::from(paid)).map_err(|_| overflow())?;
                // What has not come back yet is worth so many minor units, rounded up as the parts before were.
                let worth = i64::try_from((i128::from(most) * i128::from(paid) + i128::from(burned) - 1) / i128::from(burned)).map_err(|_| overflow())?;
                self.asked = Some((amount - worth).max(0));
                Ok(points.min(most))
            }
            None if self.gone => Ok(most),
            None => {
                let (sold, back) = (self.worth.net(), self.worth.net() - self.remains.net());
                let so_far = mul_div_floor(burned, back, sold).unwrap_or(0);
                Ok((so_far - left.restored).clamp(0, most))
            }
        }
    }

    fn all_taken(&self) -> Result<(), Rejection> {
        // Nothing was taken for a tender beyond its allowance, and nothing of it comes back.
        let tender = |place: &u16| self.sale.basket.tenders.get(usize::from(*place)).map_or(0, |tender| tender.amount);
        let untaken: i64 = self.sale.refused.iter().map(tender).sum();
        match self.asked {
            Some(rest) if rest > untaken => Err(Rejection::new(Code::ExceedsSale, "/refunds", &format!("{rest} minor units more than what this purchase was paid with in points and has not come back yet"))),
            _ => Ok(()),
        }
    }
}

/// Records of one member are numbered far below 2^32.
fn short(seq: u64) -> u32 {
    u32::try_from(seq).unwrap_or(u32::MAX)
}

/// Lines are bounded far below this.
fn index(place: usize) -> u16 {
    u16::try_from(place).unwrap_or(u16::MAX - 1)
}
