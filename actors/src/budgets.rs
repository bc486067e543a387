//! Budgets of campaigns on this node: slices that it has borrowed, from which its members take without waiting for anybody.
//!
//! Before a decision knows how much is left, it says so ([`tessera_domain::Code::BudgetPending`]) and is made again once more was borrowed:
//! nothing is cut that need not be. What a node that ended without a farewell had left is given back by its successor, once that has read
//! what the sales before it took. That holds for one node; with several, each must give back what is its own.

use std::collections::{BTreeMap, HashMap};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tessera_cluster::{Failure, Limits, Ownership, Region, Reply};
use tessera_codec::{Damage, TooLong};
use tessera_domain::budget::{Budget, BudgetRecord, Told};
use tessera_domain::campaigns::{self, CampaignKey};
use tessera_domain::programme::Programmes;
use tessera_domain::record::{Body, Event, Record};
use tessera_storage::{Cells, Offset, Seq};
use tokio::sync::Notify;

use crate::Board;
use crate::feed::Feed;
use crate::names::budget_key;
use crate::plain::{Entity, Nothing, Plain};

/// How often somebody who looks makes the feed be read on for what sales took.
const EVERY: Duration = Duration::from_secs(2);
/// How often it is read on by itself: each reading may be a record.
const SELDOM: Duration = Duration::from_secs(60);
/// After so many failures what was lost stays lost until the next start, so that sales go on.
const FAILURES: u32 = 5;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// A node borrows a budget in so many parts.
const SLICES: i64 = 64;

/// The entity of a budget.
pub enum Books {}

impl Plain for Books {
    type State = Budget;
    type Told = Told;
    type Record = BudgetRecord;
    type Question = ();
    type Answer = Budget;

    fn answer(state: &Budget, (): ()) -> Budget {
        state.clone()
    }
    fn decide(state: &Budget, told: &Told) -> Option<BudgetRecord> {
        state.decide(told)
    }
    fn apply(state: &mut Budget, record: &BudgetRecord) {
        state.apply(record);
    }
    fn seq(state: &Budget) -> Seq {
        state.seq
    }
    fn encode(entity: &[u8], seq: Seq, record: &BudgetRecord) -> Result<Bytes, TooLong> {
        tessera_codec::encode_budget(entity, seq, record)
    }
    fn decode(entity: &[u8], seq: Seq, bytes: &[u8]) -> Result<BudgetRecord, Damage> {
        tessera_codec::decode_budget(entity, seq, bytes)
    }
}

/// What this node has borrowed, by campaign. Members take from it while they decide.
#[derive(Debug, Default)]
pub struct Purse {
    pots: Mutex<HashMap<CampaignKey, Pot>>,
    asked: Notify,
    filled: Notify,
}

/// Of one campaign.
#[derive(Clone, Copy, Debug, Default)]
struct Pot {
    left: i64,
    /// Since this process began.
    borrowed: i64,
    /// As a decision has last seen it.
    budget: i64,
    /// Wanted beyond what is left.
    wanted: i64,
    /// No more can be borrowed, by that budget.
    dry: Option<i64>,
    /// Decisions that have taken and not come to their end: what they leave is free again.
    open: u32,
    /// Of a larger budget: to be returned.
    returning: i64,
}

impl Purse {
    fn lock(&self) -> MutexGuard<'_, HashMap<CampaignKey, Pot>> {
        // Only sums change under the lock: a poisoned one still holds whole values.
        self.pots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits a moment for more to be borrowed.
    pub async fn wait(&self) {
        // One that came just before is seen by the next try.
        let _late = tokio::time::timeout(Duration::from_millis(20), self.filled.notified()).await;
    }

    fn part(&self, campaign: CampaignKey, budget: i64, wanted: i64, takes: bool) -> Option<i64> {
        let mut pots = self.lock();
        let pot = pots.entry(campaign).or_default();
        if budget < pot.budget {
            // It was lowered: what was borrowed of the larger one goes back first.
            (pot.returning, pot.left, pot.dry) = (pot.returning + pot.left, 0, None);
        }
        pot.budget = budget;
        let dry = pot.dry == Some(budget);
        // At the end of a budget others may still leave something of what they have taken.
        let enough = pot.left >= wanted || (dry && pot.open == 0);
        if !enough || pot.returning > 0 || (!dry && pot.left - wanted < slice(budget) / 2) {
            pot.wanted = pot.wanted.max(wanted);
            self.asked.notify_one();
        }
        if !enough {
            return None;
        }
        let part = wanted.min(pot.left);
        if takes {
            pot.left -= part;
            pot.open += 1;
        }
        Some(part)
    }

    /// What a record got of budgets, which was not written after all.
    pub fn undo(&self, record: &Record, programmes: &Programmes) {
        let (Body::Purchased(sale), true) = (&record.body, programmes.has_budgets()) else { return };
        let Some(version) = programmes.version(sale.programme) else { return };
        for (room, got) in sale.campaigns.iter().filter(|(room, got)| room.budget.is_some() && *got > 0) {
            if let Some(campaign) = version.campaigns.get(usize::from(room.campaign)) {
                campaigns::Budgets::give_back(self, campaign.key, *got);
            }
        }
    }
}

fn slice(budget: i64) -> i64 {
    (budget / SLICES).max(1)
}

impl campaigns::Budgets for Purse {
    fn take(&self, campaign: CampaignKey, budget: i64, wanted: i64) -> Option<i64> {
        self.part(campaign, budget, wanted, true)
    }
    fn taken(&self, campaign: CampaignKey, unused: i64) {
        let mut pots = self.lock();
        let pot = pots.entry(campaign).or_default();
        (pot.left, pot.open) = (pot.left + unused, pot.open.saturating_sub(1));
    }
    fn give_back(&self, campaign: CampaignKey, points: i64) {
        self.lock().entry(campaign).or_default().left += points;
    }
}

/// A look into the purse, for decisions that are not carried out.
#[derive(Debug)]
pub struct Look<'a>(pub &'a Purse);

impl campaigns::Budgets for Look<'_> {
    fn take(&self, campaign: CampaignKey, budget: i64, wanted: i64) -> Option<i64> {
        self.0.part(campaign, budget, wanted, false)
    }
    fn taken(&self, _campaign: CampaignKey, _unused: i64) {}
    fn give_back(&self, _campaign: CampaignKey, _points: i64) {}
}

/// Fills the purse, and counts what was spent. Cheap to clone.
#[derive(Clone)]
pub struct Budgets {
    purse: Arc<Purse>,
    board: Arc<Board>,
    feed: Feed,
    cells: Arc<dyn Cells>,
    region: Region<Entity<Books>>,
    /// Of each shard when this process began: what comes after is of its own slices.
    begun: Arc<[Offset]>,
    /// Somebody has looked since the feed was read.
    looked: Arc<AtomicBool>,
}

impl Budgets {
    /// Starts the region, before anything is sold; [`Self::run`] does the work.
    ///
    /// # Errors
    /// A sentence when an actor cannot be started.
    pub async fn start(purse: Arc<Purse>, board: Arc<Board>, feed: Feed, cells: Arc<dyn Cells>, ownership: Ownership, limits: Limits) -> Result<Self, String> {
        let region = Region::start(Arc::new(Entity(PhantomData)), ownership, limits).await?;
        let begun = (0..feed.shards()).map(|shard| feed.head(shard)).collect();
        Ok(Self { purse, board, feed, cells, region, begun, looked: Arc::default() })
    }

    /// What is lent of a budget, and what sales took of it as far as the feed was read.
    ///
    /// # Errors
    /// A failure.
    pub async fn stands(&self, campaign: CampaignKey, deadline: Instant) -> Result<Budget, Failure> {
        self.looked.store(true, Ordering::Relaxed);
        self.budget(campaign, deadline).await
    }

    async fn budget(&self, campaign: CampaignKey, deadline: Instant) -> Result<Budget, Failure> {
        self.region.query(budget_key(campaign), (), deadline).await
    }

    /// Runs until it is aborted.
    pub async fn run(self) {
        let (mut settled, mut failures, mut read) = (false, 0, Instant::now());
        loop {
            if let Err(error) = self.turn(&mut settled, &mut read).await {
                metrics::counter!("tessera_budgets_failures_total").increment(1);
                tracing::error!(%error, "budgets of campaigns cannot be looked after; tried again");
                failures += 1;
                if failures == FAILURES {
                    settled = true;
                }
                tokio::time::sleep(EVERY / 10).await;
            }
            tokio::select! {
                () = self.purse.asked.notified() => {}
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    async fn turn(&self, settled: &mut bool, read: &mut Instant) -> Result<(), String> {
        let campaigns = self.campaigns();
        if campaigns.is_empty() {
            return Ok(());
        }
        self.borrow(*settled).await?;
        if *settled {
            let due = if self.looked.load(Ordering::Relaxed) { EVERY } else { SELDOM };
            if read.elapsed() >= due {
                *read = Instant::now();
                self.looked.store(false, Ordering::Relaxed);
                self.read(None, true).await?;
            }
            return Ok(());
        }
        self.read(Some(&self.begun), false).await?;
        for campaign in campaigns {
            let budget = self.budget(campaign, Instant::now() + PATIENCE).await.map_err(|e| e.to_string())?;
            let borrowed = self.purse.lock().get(&campaign).map_or(0, |pot| pot.borrowed);
            let lost = budget.lost(borrowed);
            if lost > 0 {
                self.tell(campaign, Told::Return { points: lost }).await?;
            }
        }
        *settled = true;
        self.borrow(true).await
    }

    /// Campaigns with a budget, of all versions.
    fn campaigns(&self) -> Vec<CampaignKey> {
        let programmes = self.board.programmes();
        let mut all: Vec<_> = programmes.oldest_first().flat_map(|version| version.campaigns.iter().filter(|campaign| campaign.budget.is_some()).map(|campaign| campaign.key)).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    async fn tell(&self, campaign: CampaignKey, told: Told) -> Result<Option<Arc<BudgetRecord>>, String> {
        match self.region.ask(budget_key(campaign), told, Instant::now() + PATIENCE).await {
            Reply::Done { record, .. } => Ok(Some(record)),
            Reply::Refused(Nothing::New) => Ok(None),
            Reply::Refused(Nothing::TooLong) => Err("a record of a budget would be too long".into()),
            Reply::Failed(failure) => Err(failure.to_string()),
        }
    }

    /// Borrows what decisions wait for. Not before it is known what was lost is a budget said to be at its end.
    async fn borrow(&self, settled: bool) -> Result<(), String> {
        let wanted: Vec<(CampaignKey, Pot)> = self.purse.lock().iter().filter(|(_, pot)| pot.wanted > 0).map(|(campaign, pot)| (*campaign, *pot)).collect();
        for (campaign, pot) in wanted {
            if pot.returning > 0 {
                self.tell(campaign, Told::Return { points: pot.returning }).await?;
                let mut pots = self.purse.lock();
                let now = pots.entry(campaign).or_default();
                (now.returning, now.borrowed) = (now.returning - pot.returning, now.borrowed - pot.returning);
            }
            let most = pot.wanted.max(slice(pot.budget));
            let lent = match self.tell(campaign, Told::Lend { budget: pot.budget, wanted: most }).await?.as_deref() {
                Some(BudgetRecord::Lent { points }) => *points,
                _ => 0,
            };
            let mut pots = self.purse.lock();
            let pot_now = pots.entry(campaign).or_default();
            pot_now.left += lent;
            pot_now.borrowed += lent;
            if lent == most || settled {
                pot_now.wanted = 0;
            }
            if lent < most && settled {
                pot_now.dry = Some(pot.budget);
            }
        }
        self.purse.filled.notify_waiters();
        Ok(())
    }

    /// Reads the feed on for what sales took, up to where each shard began or now ends.
    async fn read(&self, until: Option<&[Offset]>, settled: bool) -> Result<(), String> {
        loop {
            // A long reading keeps nobody waiting who could be served.
            self.borrow(settled).await?;
            let mut sales: BTreeMap<CampaignKey, Vec<(u16, u64, i64)>> = BTreeMap::new();
            let (mut read, mut moved, mut more) = (Vec::new(), Vec::new(), false);
            for shard in 0..self.feed.shards() {
                let end = until.map_or_else(|| self.feed.head(shard), |until| until[usize::from(shard)]);
                let cell: Bytes = format!("feed/budgets/{shard}").into();
                let kept = self.cells.get(cell.clone()).await.map_err(|e| e.to_string())?;
                let from = kept.as_deref().and_then(|bytes| bytes.try_into().ok()).map_or(0, Offset::from_le_bytes);
                if from >= end {
                    continue;
                }
                let (fed, next) = self.feed.beginnings(shard, from).await?;
                let next = next.min(end);
                for one in fed.iter().filter(|one| one.offset < next) {
                    for event in &one.record.events {
                        if let Event::CampaignUsed { campaign, points, charged: true } = event {
                            sales.entry(*campaign).or_default().push((shard, one.offset, *points));
                        }
                    }
                }
                more |= next < end && next > from;
                read.push((shard, next));
                moved.push((cell, kept, next));
            }
            for (campaign, sales) in sales {
                self.tell(campaign, Told::Seen { sales, read: read.clone() }).await?;
            }
            for (cell, kept, next) in moved {
                self.cells.compare_and_set(cell, kept, Some(next.to_le_bytes().to_vec().into())).await.map_err(|e| e.to_string())?;
            }
            if !more {
                return Ok(());
            }
        }
    }

    /// Gives back what is left, and lets the entities sleep.
    pub async fn drain(&self) {
        let left: Vec<(CampaignKey, i64)> = self.purse.lock().iter_mut().map(|(campaign, pot)| (*campaign, std::mem::take(&mut pot.left) + std::mem::take(&mut pot.returning))).collect();
        for (campaign, points) in left.into_iter().filter(|(_, points)| *points > 0) {
            if let Err(error) = self.tell(campaign, Told::Return { points }).await {
                tracing::warn!(%error, "what is left of a budget is found again by the next start");
            }
        }
        self.region.drain().await;
    }
}
