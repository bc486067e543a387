//! A draft programme over what really happened: every command of the journal is decided again, by the same code, in states of
//! its own. Nothing is written.
//!
//! Before the period the states are the fold of the real records; in it they go their own way. A command that the draft refuses (points
//! that it has not given cannot be spent) leaves no record, so what later commands name is found by its old number.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::basket::{Allowed, Basket};
use crate::campaigns::Pots;
use crate::command::{Allow, Ask, BlindReturn, Command, Purchase, Return, SaleName};
use crate::decide::{Context, Decision, decide, due, needs};
use crate::ids::MemberId;
use crate::member::Member;
use crate::merge;
use crate::programme::{Programme, Programmes};
use crate::record::{Body, Event, Figures, Offline, Record};
use crate::time::Millis;

/// What is simulated: the versions before the period, then the draft.
pub struct Simulation {
    programmes: Programmes,
    /// Of its own. Members are decided one after the other, so who gets the last of a budget may differ from what would really happen.
    budgets: Pots,
    from: Millis,
    to: Millis,
    mirrors: BTreeMap<MemberId, Mirror>,
    pub totals: Totals,
}

/// One member as the draft would have it.
#[derive(Default)]
struct Mirror {
    state: Member,
    /// Its records, as far as a command may still name them: by their number here.
    records: BTreeMap<u64, Arc<Record>>,
    /// Number in the journal → number here.
    numbers: BTreeMap<u64, u64>,
    /// Given in the period, by wallet: really, and by the draft.
    given: BTreeMap<u8, [i64; 2]>,
    /// As it really ended.
    real: BTreeMap<u8, Figures>,
    real_tier: u8,
    /// It has really gone into another one.
    gone: bool,
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    pub members: u64,
    pub purchases: u64,
    /// Commands that the draft refuses, by code.
    pub refused: BTreeMap<&'static str, u64>,
    pub wallets: BTreeMap<u8, WalletTotals>,
    /// By tier held at the purchase: points given in the period, by wallet, really and by the draft.
    pub by_tier: BTreeMap<(u8, u8), [i64; 2]>,
    /// Members by the tier in which they end.
    pub tiers: BTreeMap<u8, [u64; 2]>,
    /// By the first wallet: who gains most, and who loses most; difference, member.
    pub gain: Vec<(i64, MemberId)>,
    pub lose: Vec<(i64, MemberId)>,
}

/// Of one wallet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct WalletTotals {
    /// Earned by purchases of the period, really and by the draft.
    pub given: [i64; 2],
    /// Σ lots − Σ debt at the end.
    pub closing: [i64; 2],
}

/// How many of those who gain or lose most are named.
const NAMED: usize = 10;

impl Simulation {
    /// Of commands that arrived in `[from, to)`. `history`: the versions that really served; the draft takes the place of all
    /// that serve from `from` on.
    #[must_use]
    pub fn new(history: &Programmes, draft: &Programme, from: Millis, to: Millis) -> Self {
        let mut versions: Vec<Arc<Programme>> = history.oldest_first().filter(|version| version.serves_from < from && from > Millis::MIN).cloned().collect();
        let version = u32::try_from(versions.len() + 1).unwrap_or(u32::MAX);
        versions.push(Arc::new(Programme { version, serves_from: from, ..draft.clone() }));
        Self { programmes: Programmes::new(versions), budgets: Pots::default(), from, to, mirrors: BTreeMap::new(), totals: Totals::default() }
    }

    /// Takes the next record of a member's journal.
    pub fn add(&mut self, member: MemberId, seq: u64, record: &Arc<Record>) {
        if record.at >= self.to {
            return;
        }
        let mirror = self.mirrors.entry(member).or_default();
        mirror.real.extend(record.after.iter().copied());
        mirror.real_tier = record.tier;
        mirror.gone |= matches!(record.body, Body::Merged { place: Some(_), .. });
        if record.at < self.from {
            for event in &record.events {
                if let Event::CampaignUsed { campaign, points, charged: true } = event {
                    self.budgets.charge(*campaign, *points);
                }
            }
            mirror.keep(seq, record);
            return;
        }
        let Some(ask) = mirror.ask(&record.body) else { return };
        let command = Command { header: 0, ask };
        let context = Context { budgets: &self.budgets, ..Context::new(record.at, &self.programmes) };
        let named: Vec<(u64, Arc<Record>)> = needs(&mirror.state, &command).into_iter().filter_map(|seq| Some((seq, mirror.records.get(&seq)?.clone()))).collect();
        let decision = decide(&mirror.state, &command, &context, &named);
        if let Body::Purchased(sale) = &record.body {
            self.totals.purchases += 1;
            for share in &sale.shares {
                mirror.given.entry(share.wallet).or_default()[0] += share.earned;
                self.totals.by_tier.entry((sale.found.tier, share.wallet)).or_default()[0] += share.earned;
            }
        }
        match decision {
            Decision::Commit(made) => {
                if let Body::Purchased(sale) = &made.body {
                    for share in &sale.shares {
                        mirror.given.entry(share.wallet).or_default()[1] += share.earned;
                        self.totals.by_tier.entry((sale.found.tier, share.wallet)).or_default()[1] += share.earned;
                    }
                }
                mirror.keep(seq, &made);
            }
            // In the journal each command stands once.
            Decision::Repeat(_) => {}
            Decision::Refuse(no) => *self.totals.refused.entry(no.code.as_str()).or_default() += 1,
        }
    }

    /// Adds up the members so far, with everything due by `now`, and forgets them: their journals have been read.
    pub fn settle(&mut self, now: Millis) {
        let now = now.min(self.to);
        for (member, mirror) in std::mem::take(&mut self.mirrors) {
            self.totals.members += 1;
            let closing = |figures: &Figures| figures.available + figures.pending + figures.held - figures.debt;
            for (wallet, figures) in &mirror.real {
                self.totals.wallets.entry(*wallet).or_default().closing[0] += closing(figures);
            }
            let context = Context::new(mirror.state.now(now), &self.programmes);
            let (figures, tier) = due(&mirror.state, &context).unwrap_or_default();
            for (wallet, figures) in (0_u8..).zip(&figures) {
                self.totals.wallets.entry(wallet).or_default().closing[1] += closing(figures);
            }
            for (wallet, [real, draft]) in &mirror.given {
                let given = &mut self.totals.wallets.entry(*wallet).or_default().given;
                (given[0], given[1]) = (given[0] + real, given[1] + draft);
            }
            if !mirror.gone {
                self.totals.tiers.entry(mirror.real_tier).or_default()[0] += 1;
                self.totals.tiers.entry(tier).or_default()[1] += 1;
            }
            let difference = mirror.given.get(&0).map_or(0, |[real, draft]| draft - real);
            let list = if difference > 0 { &mut self.totals.gain } else { &mut self.totals.lose };
            if difference != 0 {
                list.push((difference, member));
                list.sort_by_key(|(difference, member)| (std::cmp::Reverse(difference.abs()), *member));
                list.truncate(NAMED);
            }
        }
    }
}

impl Mirror {
    fn keep(&mut self, seq: u64, record: &Arc<Record>) {
        self.state.apply(record);
        self.numbers.insert(seq, self.state.seq);
        // What a later command may name.
        if matches!(record.body, Body::Purchased(_) | Body::Returned(_) | Body::ReturnWaits(_) | Body::Gave { .. } | Body::HoldPlaced { .. } | Body::Redeemed { .. } | Body::Allowed { .. } | Body::HoldConfirmed { .. }) {
            self.records.insert(self.state.seq, record.clone());
        }
    }

    /// A number of the journal as it is here; one that was refused here is no record's.
    fn number(&self, seq: u64) -> u64 {
        self.numbers.get(&seq).copied().unwrap_or(u64::MAX)
    }

    fn basket(&self, basket: &Arc<Basket>) -> Arc<Basket> {
        merge::basket(basket, |seq| self.number(seq))
    }

    /// The command that a record answered.
    fn ask(&self, body: &Body) -> Option<Ask> {
        Some(match body {
            Body::Enrolled { aliases, .. } => Ask::Enrol { aliases: aliases.clone() },
            Body::Purchased(sale) => Ask::Purchase(Box::new(Purchase { basket: self.basket(&sale.basket), keys: sale.keys.clone(), alias: sale.alias.clone() })),
            // Of a pool each member's points stay its own here: what others lent is then missing.
            Body::HoldPlaced { wallet, asked, ttl_ms, .. } => Ask::PlaceHold { wallet: *wallet, asked: *asked, ttl_ms: *ttl_ms, pool: None },
            Body::HoldConfirmed { hold, asked, .. } => Ask::ConfirmHold { hold: self.number(*hold), points: *asked },
            Body::HoldCancelled { hold } => Ask::CancelHold { hold: self.number(*hold) },
            Body::Redeemed { wallet, asked, offline, .. } => {
                let mine = |offline: Box<Offline>| Box::new(Offline { used: Allowed { allowance: self.number(offline.used.allowance), ..offline.used }, ..*offline });
                Ask::Redeem { wallet: *wallet, asked: *asked, offline: offline.clone().map(mine) }
            }
            Body::Allowed { wallet, store, till, points, ttl_ms, .. } => Ask::Allow(Box::new(Allow { wallet: *wallet, store: store.clone(), till: till.clone(), points: *points, ttl_ms: *ttl_ms })),
            Body::Adjusted { wallet, points, reason, allow_debt, write_off } => {
                Ask::Adjust { wallet: *wallet, points: *points, reason: reason.clone(), allow_debt: *allow_debt, write_off: *write_off }
            }
            Body::Returned(returned) => {
                let sale = match &returned.asked.sale {
                    SaleName::Seq(seq) => SaleName::Seq(self.number(*seq)),
                    keys @ SaleName::Keys(_) => keys.clone(),
                };
                Ask::Return(Box::new(Return { sale, ..returned.asked.clone() }))
            }
            Body::BlindReturned { basket, keys, .. } => Ask::BlindReturn(Box::new(BlindReturn { basket: basket.clone(), keys: keys.clone() })),
            Body::Delivered { sale, asked, .. } => Ask::Deliver { sale: self.number(*sale), lines: asked.clone() },
            Body::Reversed { redemption, .. } => Ask::Reverse { redemption: self.number(*redemption) },
            Body::Transferred { from, to, points, .. } => Ask::Transfer { from: *from, to: *to, points: *points },
            Body::AliasAdded { alias } => Ask::AddAlias { alias: alias.clone() },
            Body::AliasRemoved { kind, hash } => Ask::RemoveAlias { kind: kind.clone(), hash: *hash },
            Body::TierGiven { grant, reason } => Ask::GrantTier { grant: *grant, reason: reason.clone() },
            Body::Updated(change) => Ask::Update(change.clone()),
            Body::ReturnWaits(asked) => Ask::Return(asked.clone()),
            Body::Gave { wallet, points, to } => Ask::Give { wallet: *wallet, points: *points, to: *to },
            // What another member gave is taken as it was: that member may have less here.
            Body::Took { .. } | Body::TakeRefused { .. } => return None,
            // Each goes its own way here, as if it had stayed apart.
            Body::Merging { .. } | Body::Absorbed(_) | Body::AbsorbRefused { .. } | Body::Merged { .. } => return None,
            Body::PoolFounded { .. } | Body::PoolJoined { .. } | Body::PoolLeft { .. } | Body::PoolChanged { .. } | Body::Lent { .. } | Body::LendRefused { .. } | Body::Gathered { .. } | Body::CameHome { .. } | Body::Homed { .. } => return None,
            Body::GiftSettled { gift, taken } => Ask::SettleGift { gift: self.number(*gift), taken: *taken },
            // The draft's own times come about with its next command.
            Body::Elapsed => return None,
        })
    }
}
