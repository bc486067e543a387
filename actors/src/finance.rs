//! What finance asks: the roll-forward, kept up with the feed; closes; and what is worked out by reading all of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tessera_cluster::{Failure, Limits, Ownership, Region, Reply};
use tessera_domain::finance::ifrs15::Cohorts;
use tessera_domain::finance::{Closes, Place, RollForward, postings};
use tessera_domain::programme::Programme;
use tessera_domain::simulate::{Simulation, Totals};
use tessera_domain::time::{Day, Millis};
use tessera_domain::{Code, Rejection, Text};
use tessera_storage::Offset;
use tokio::sync::Mutex;

use crate::closes::{Close, CloseBehaviour, ShardCloses};
use crate::feed::{Fed, Feed};
use crate::members::{Members, Miss};
use crate::names::close_key;

/// How far a long read has come, in records.
#[derive(Default, Debug)]
pub struct Progress {
    pub done: AtomicU64,
    pub of: AtomicU64,
}

impl Progress {
    /// Begins anew, of so many.
    pub fn begin(&self, of: u64) {
        self.done.store(0, Ordering::Relaxed);
        self.of.store(of, Ordering::Relaxed);
    }

    /// So many more are done.
    pub fn add(&self, records: u64) {
        self.done.fetch_add(records, Ordering::Relaxed);
    }
}

/// The façade. Cheap to clone.
#[derive(Clone)]
pub struct Finance {
    feed: Feed,
    members: Members,
    closes: Region<CloseBehaviour>,
    book: Arc<Mutex<Vec<ShardBook>>>,
}

/// One shard's roll-forward, as far as the feed has been read.
#[derive(Default)]
struct ShardBook {
    next: Offset,
    closes: ShardCloses,
    roll: RollForward,
}

impl Finance {
    /// Starts the region of closes.
    ///
    /// # Errors
    /// A sentence when an actor cannot be started.
    pub async fn start(members: Members, feed: Feed, ownership: Ownership, limits: Limits) -> Result<Self, String> {
        let closes = Region::start(Arc::new(CloseBehaviour { clock: members.clock().clone() }), ownership, limits).await?;
        Ok(Self { feed, members, closes, book: Arc::default() })
    }

    /// Lets the closes finish and sleep.
    pub async fn drain(&self) {
        self.closes.drain().await;
    }

    /// The roll-forward of all shards, with every record that stood when this was asked; until `deadline`.
    ///
    /// # Errors
    /// `Unavailable` with how far it has come, when the feed is longer than that: ask again, it goes on from there.
    pub async fn roll_forward(&self, deadline: Instant) -> Result<RollForward, Failure> {
        // Whoever holds it reads for this one too.
        let waited = tokio::time::timeout_at(deadline.into(), self.book.lock()).await;
        let mut book = waited.map_err(|_| Failure::Unavailable("the books are being read; ask again".into()))?;
        self.catch_up(&mut book, deadline).await?;
        let mut all = RollForward::default();
        for ((wallet, day), flows) in book.iter().flat_map(|shard| &shard.roll.days) {
            let sums = all.days.entry((*wallet, *day)).or_default();
            flows.iter().for_each(|(key, points)| *sums.entry(*key).or_default() += points);
        }
        Ok(all)
    }

    async fn catch_up(&self, book: &mut Vec<ShardBook>, deadline: Instant) -> Result<(), Failure> {
        // Read anew each time: one that was made in doubt counts too. What had been read beyond a new close is read again.
        let mut closes = Vec::with_capacity(usize::from(self.feed.shards()));
        for shard in 0..self.feed.shards() {
            closes.push(self.closes.query(close_key(shard), (), deadline).await?);
        }
        book.resize_with(closes.len(), ShardBook::default);
        for (kept, closes) in book.iter_mut().zip(closes) {
            if kept.closes.made != closes.made {
                let from = closes.made.iter().find(|made| !kept.closes.made.contains(made)).map_or(0, |(_, close)| close.offset);
                *kept = if kept.next > from { ShardBook { closes, ..ShardBook::default() } } else { ShardBook { closes, ..std::mem::take(kept) } };
            }
        }
        for (shard, kept) in (0..).zip(book.iter_mut()) {
            let head = self.feed.head(shard);
            let closes = kept.closes.closes();
            while kept.next < head {
                if Instant::now() >= deadline {
                    return Err(Failure::Unavailable(format!("the books are being read: shard {shard} of {} so far; ask again", self.feed.shards())));
                }
                let (fed, next) = self.feed.next(shard, kept.next).await.map_err(Failure::Stopped)?;
                let programmes = self.members.board().programmes();
                let posted = fed.iter().map(|fed| Ok((fed.offset, postings(&fed.record, &programmes).ok_or_else(|| Failure::Stopped(unknown(fed)))?)));
                // All of a stretch or nothing of it.
                for (offset, postings) in posted.collect::<Result<Vec<_>, Failure>>()? {
                    postings.iter().for_each(|posting| kept.roll.add(posting, closes.accounting(posting.day, offset)));
                }
                kept.next = next;
            }
        }
        Ok(())
    }

    /// Closes every day up to one. A day that is closed never changes: what comes for it later is posted on the first open day.
    ///
    /// # Errors
    /// `invalid` when that day is not over or is closed already; a failure, which may leave some shards closed: send the same again.
    pub async fn close(&self, through: Day, author: Text, deadline: Instant) -> Result<(), Miss> {
        // In a task of its own: a caller who goes away leaves nothing half done.
        let this = self.clone();
        let task = tokio::spawn(async move { this.close_all(through, author, deadline).await });
        task.await.map_err(|e| Miss::Failure(Failure::Unknown(format!("{e}; send the same again"))))?
    }

    async fn close_all(&self, through: Day, author: Text, deadline: Instant) -> Result<(), Miss> {
        let programmes = self.members.board().programmes();
        let programme = programmes.current().ok_or_else(|| Miss::Failure(Failure::Unavailable("no programme is loaded".into())))?;
        if through >= Day::at(self.members.clock().now(), &programme.zone) {
            return Err(Miss::No(Rejection::new(Code::Invalid, "/through", "this day is not over; close the one before it")));
        }
        let mut book = self.book.lock().await;
        self.catch_up(&mut book, deadline).await.map_err(Miss::Failure)?;
        for (shard, kept) in (0..).zip(book.iter_mut()) {
            let closing = programme.numbers().map(|wallet| {
                let [pending, active] = kept.roll.closing(wallet, through);
                (wallet, pending, active)
            });
            let close = Close { offset: kept.next, through, author: author.clone(), closing: closing.collect() };
            match self.closes.ask(close_key(shard), close, deadline).await {
                Reply::Done { .. } => {}
                Reply::Refused(no) => return Err(Miss::No(no)),
                Reply::Failed(failure) => return Err(Miss::Failure(failure)),
            }
        }
        Ok(())
    }

    /// Closes so far: day, when, who, and what all shards closed at, by wallet.
    ///
    /// # Errors
    /// A failure.
    pub async fn closes(&self, deadline: Instant) -> Result<Vec<(Millis, Close)>, Failure> {
        let mut all: Vec<(Millis, Close)> = Vec::new();
        let mut shards: std::collections::BTreeMap<Day, u16> = std::collections::BTreeMap::new();
        for shard in 0..self.feed.shards() {
            for (at, close) in self.closes.query(close_key(shard), (), deadline).await?.made {
                *shards.entry(close.through).or_default() += 1;
                match all.iter_mut().find(|(_, made)| made.through == close.through) {
                    Some((_, made)) => {
                        for (wallet, pending, active) in close.closing {
                            match made.closing.iter_mut().find(|(of, ..)| *of == wallet) {
                                Some(sums) => (sums.1, sums.2) = (sums.1 + pending, sums.2 + active),
                                None => made.closing.push((wallet, pending, active)),
                            }
                        }
                    }
                    None => all.push((at, close)),
                }
            }
        }
        // One that was cut off half-way is none yet: it is to be sent again.
        all.retain(|(_, close)| shards.get(&close.through) == Some(&self.feed.shards()));
        all.sort_by_key(|(_, close)| close.through);
        Ok(all)
    }

    /// Cohorts as of each of some days, by reading everything.
    ///
    /// # Errors
    /// A sentence.
    pub async fn cohorts(&self, as_of: &[Day], progress: &Progress) -> Result<Vec<Cohorts>, String> {
        let mut found: Vec<Cohorts> = as_of.iter().map(|_| Cohorts::default()).collect();
        let programmes = self.members.board().programmes();
        progress.begin(self.feed.len());
        for shard in 0..self.feed.shards() {
            let closes = self.shard_closes(shard).await?;
            self.each(shard, progress, |fed| {
                let place = Place { member: fed.member, seq: fed.seq, offset: fed.offset };
                for (cohorts, through) in found.iter_mut().zip(as_of) {
                    cohorts.add(place, &fed.record, &programmes, &closes, *through).ok_or_else(|| unknown(fed))?;
                }
                Ok(())
            })
            .await?;
            found.iter_mut().for_each(Cohorts::next_members);
        }
        found.iter_mut().for_each(Cohorts::finish);
        Ok(found)
    }

    /// Every posting on accounting days from one to another, handed to `write` with the record that made it and its accounting day.
    ///
    /// # Errors
    /// A sentence; what `write` answers.
    pub async fn journal(&self, from: Day, to: Day, progress: &Progress, mut write: impl FnMut(&Fed, &tessera_domain::finance::Posting, Day) -> Result<(), String>) -> Result<(), String> {
        let programmes = self.members.board().programmes();
        progress.begin(self.feed.len());
        for shard in 0..self.feed.shards() {
            let closes = self.shard_closes(shard).await?;
            self.each(shard, progress, |fed| {
                for posting in postings(&fed.record, &programmes).ok_or_else(|| unknown(fed))? {
                    let accounting = closes.accounting(posting.day, fed.offset);
                    if (from..=to).contains(&accounting) {
                        write(fed, &posting, accounting)?;
                    }
                }
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// A draft over the commands that arrived in `[from, to)`.
    ///
    /// # Errors
    /// A sentence.
    pub async fn simulate(&self, draft: &Programme, from: Millis, to: Millis, progress: &Progress) -> Result<Totals, String> {
        let mut simulation = Simulation::new(&self.members.board().programmes(), draft, from, to);
        progress.begin(self.feed.len());
        for shard in 0..self.feed.shards() {
            self.each(shard, progress, |fed| {
                simulation.add(fed.member, fed.seq, &fed.record);
                Ok(())
            })
            .await?;
            simulation.settle(self.members.clock().now());
        }
        Ok(simulation.totals)
    }

    async fn shard_closes(&self, shard: u16) -> Result<Closes, String> {
        let deadline = Instant::now() + std::time::Duration::from_secs(10);
        Ok(self.closes.query(close_key(shard), (), deadline).await.map_err(|e| e.to_string())?.closes())
    }

    /// Every record of a shard that stands now.
    async fn each(&self, shard: u16, progress: &Progress, mut take: impl FnMut(&Fed) -> Result<(), String>) -> Result<(), String> {
        let head = self.feed.head(shard);
        let mut next = 0;
        while next < head {
            let (fed, after) = self.feed.next(shard, next).await?;
            fed.iter().try_for_each(&mut take)?;
            progress.add(after - next);
            next = after;
            // A long read gives way to those who wait for an answer.
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

fn unknown(fed: &Fed) -> String {
    format!("{}, record {}: the programme's version {} is not known here", fed.member, fed.seq, fed.record.programme)
}
