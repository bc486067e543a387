//! Which member a receipt counts for, and what staff must look at: both fed by the feed of all members (rules 17, 23).
//!
//! The feed is read from a cursor of each shard. What a stretch of all of them says is grouped by book, told to the books, and only then
//! the cursors move on: a stretch that is read again says nothing new. A book keeps what is still to be taken back until it was.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::try_join_all;
use futures_util::{StreamExt, stream};
use tessera_cluster::{Failure, Limits, Ownership, Region, Reply};
use tessera_codec::{Damage, TooLong};
use tessera_domain::command::{Ask, Command, Return, SaleName};
use tessera_domain::ids::MemberId;
use tessera_domain::keys::{KeyKind, Keys};
use tessera_domain::receipts::{Bearer, Book, BookRecord, Change, Exception, Exceptions, Told, Why};
use tessera_domain::record::{Beginning, Event};
use tessera_domain::{Code, Text};
use tessera_storage::{Cells, EntityKey, Offset, Seq, StoreError};

use crate::feed::{Fed, Feed};
use crate::members::{Members, Miss};
use crate::names::{exceptions_key, header_hash, receipts_key, receipts_of_source_key};
use crate::plain::{Entity, Nothing, Plain};

/// How often the feed is looked at: what comes meanwhile shares one record of a book.
const EVERY: Duration = Duration::from_secs(1);
/// Receipts in one record of a book, at most: some 35 bytes each.
const TOLD: usize = 512;
/// Books that are told at the same time.
const AT_ONCE: usize = 16;
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Books of receipts.
pub enum Books {}

impl Plain for Books {
    type State = Book;
    type Told = Told;
    type Record = BookRecord;
    /// A fingerprint; or, with none, what is still to be taken back.
    type Question = Option<u64>;
    type Answer = Vec<Bearer>;

    fn answer(state: &Book, question: Option<u64>) -> Vec<Bearer> {
        match question {
            Some(fingerprint) => state.receipts.get(&fingerprint).copied().into_iter().collect(),
            None => state.pending.clone(),
        }
    }

    fn decide(state: &Book, told: &Told) -> Option<BookRecord> {
        state.decide(told)
    }
    fn apply(state: &mut Book, record: &BookRecord) {
        state.apply(record);
    }
    fn seq(state: &Book) -> Seq {
        state.seq
    }
    fn encode(entity: &[u8], seq: Seq, record: &BookRecord) -> Result<Bytes, TooLong> {
        tessera_codec::encode_book(entity, seq, record)
    }
    fn decode(entity: &[u8], seq: Seq, bytes: &[u8]) -> Result<BookRecord, Damage> {
        tessera_codec::decode_book(entity, seq, bytes)
    }
}

/// Which exceptions are asked for.
#[derive(Clone, Copy, Debug)]
pub enum Asked {
    /// From a number on, at most so many; those that are closed, or open, or all.
    From { number: u64, closed: Option<bool>, most: usize },
    One(u64),
}

/// The list of exceptions.
pub enum ExceptionList {}

impl Plain for ExceptionList {
    type State = Exceptions;
    type Told = Change;
    type Record = Change;
    type Question = Asked;
    type Answer = Vec<(u64, Exception)>;

    fn answer(state: &Exceptions, asked: Asked) -> Vec<(u64, Exception)> {
        let wanted = |(number, one): &(u64, &Exception)| match asked {
            Asked::From { number: from, closed, .. } => *number >= from && closed.is_none_or(|closed| closed == one.closed.is_some()),
            Asked::One(wanted) => *number == wanted,
        };
        let most = if let Asked::From { most, .. } = asked { most } else { 1 };
        (0_u64..).zip(&state.all).filter(wanted).take(most).map(|(number, one)| (number, one.clone())).collect()
    }

    fn decide(state: &Exceptions, change: &Change) -> Option<Change> {
        state.is_new(change).then(|| change.clone())
    }
    fn apply(state: &mut Exceptions, change: &Change) {
        state.apply(change);
    }
    fn seq(state: &Exceptions) -> Seq {
        state.seq
    }
    fn encode(entity: &[u8], seq: Seq, record: &Change) -> Result<Bytes, TooLong> {
        tessera_codec::encode_exception(entity, seq, record)
    }
    fn decode(entity: &[u8], seq: Seq, bytes: &[u8]) -> Result<Change, Damage> {
        tessera_codec::decode_exception(entity, seq, bytes)
    }
}

/// The façade. Cheap to clone.
#[derive(Clone)]
pub struct Receipts {
    members: Members,
    feed: Feed,
    cells: Arc<dyn Cells>,
    books: Region<Entity<Books>>,
    exceptions: Region<Entity<ExceptionList>>,
}

impl Receipts {
    /// Starts the regions; [`Self::run`] feeds them.
    ///
    /// # Errors
    /// A sentence when an actor cannot be started.
    pub async fn start(members: Members, feed: Feed, cells: Arc<dyn Cells>, ownership: Ownership, limits: Limits) -> Result<Self, String> {
        let books = Region::start(Arc::new(Entity(std::marker::PhantomData)), ownership.clone(), limits).await?;
        let exceptions = Region::start(Arc::new(Entity(std::marker::PhantomData)), ownership, limits).await?;
        Ok(Self { members, feed, cells, books, exceptions })
    }

    /// Lets them finish and sleep.
    pub async fn drain(&self) {
        self.books.drain().await;
        self.exceptions.drain().await;
    }

    /// For which purchase a receipt counts, as far as the feed has been read: a second or two ago.
    ///
    /// # Errors
    /// A failure.
    pub async fn find(&self, keys: &Keys, deadline: Instant) -> Result<Option<Bearer>, Failure> {
        for (book, fingerprint) in places(keys) {
            let found = self.books.query(book, Some(fingerprint), deadline).await?.first().copied();
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// What staff must look at, the oldest first, by their numbers.
    ///
    /// # Errors
    /// A failure.
    pub async fn exceptions(&self, asked: Asked, deadline: Instant) -> Result<Vec<(u64, Exception)>, Failure> {
        self.exceptions.query(exceptions_key(), asked, deadline).await
    }

    /// Staff have looked at one. False: it is not open.
    ///
    /// # Errors
    /// A failure.
    pub async fn close(&self, number: u64, author: Text, note: Text, deadline: Instant) -> Result<bool, Failure> {
        let close = Change::Close { number, at: self.members.clock().now(), author, note };
        self.change(close, deadline).await
    }

    async fn change(&self, change: Change, deadline: Instant) -> Result<bool, Failure> {
        match self.exceptions.ask(exceptions_key(), change, deadline).await {
            Reply::Done { .. } => Ok(true),
            Reply::Refused(_) => Ok(false),
            Reply::Failed(failure) => Err(failure),
        }
    }

    /// Reads the feed until it is aborted.
    pub async fn run(self) {
        // After a start or an error a book may still have to take something back.
        let mut careful = true;
        loop {
            match self.pass(careful).await {
                Ok(Pass::More) => careful = false,
                Ok(Pass::End) => {
                    careful = false;
                    tokio::time::sleep(EVERY).await;
                }
                Err(error) => {
                    metrics::counter!("tessera_receipts_failures_total").increment(1);
                    tracing::error!(%error, "receipts cannot be read on; tried again");
                    careful = true;
                    tokio::time::sleep(EVERY).await;
                }
            }
        }
    }

    /// A stretch of each shard's feed, from its cursor: what they say goes to the books together, so that each book has one record of it.
    async fn pass(&self, careful: bool) -> Result<Pass, String> {
        let (mut seen, mut read, mut pass) = (HashMap::new(), Vec::new(), Pass::End);
        for shard in 0..self.feed.shards() {
            let head = self.feed.head(shard);
            let cell: Bytes = format!("feed/receipts/{shard}").into();
            let kept = self.cells.get(cell.clone()).await.map_err(|e| e.to_string())?;
            let from = kept.as_deref().and_then(|bytes| bytes.try_into().ok()).map_or(0, Offset::from_le_bytes);
            if from < head {
                let (fed, next) = self.feed.beginnings(shard, from).await?;
                self.gather(&fed, &mut seen).await?;
                if next < head {
                    pass = Pass::More;
                }
                read.push((cell, kept, next));
            }
        }
        let mut told = stream::iter(seen).map(|(book, seen)| self.tell_book(book, seen, careful)).buffer_unordered(AT_ONCE);
        while let Some(outcome) = told.next().await {
            outcome?;
        }
        // Another node's reader may have been faster: then its cursor stands.
        let moved = read.into_iter().map(|(cell, kept, next)| self.cells.compare_and_set(cell, kept, Some(next.to_le_bytes().to_vec().into())));
        try_join_all(moved).await.map_err(|e: StoreError| e.to_string())?;
        Ok(pass)
    }

    async fn gather(&self, fed: &[Fed<Beginning>], seen: &mut HashMap<EntityKey, Vec<(u64, Bearer)>>) -> Result<(), String> {
        for Fed { member, seq, record, .. } in fed {
            if let Some((keys, refused)) = &record.sale {
                let bearer = Bearer { at: record.at, member: *member, seq: *seq };
                if !refused.is_empty() {
                    self.open(Why::AllowanceExceeded, *member, *seq).await?;
                }
                for (book, fingerprint) in places(keys) {
                    seen.entry(book).or_default().push((fingerprint, bearer));
                }
            }
            for event in &record.events {
                if let Event::ReturnLapsed { seq } = event {
                    self.open(Why::ReturnWithoutSale, *member, *seq).await?;
                }
            }
        }
        Ok(())
    }

    async fn tell_book(&self, book: EntityKey, seen: Vec<(u64, Bearer)>, careful: bool) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        let mut second = careful;
        for part in seen.chunks(TOLD) {
            match self.books.ask(book, Told::Seen(part.to_vec()), deadline).await {
                Reply::Done { record, .. } => second |= !record.second.is_empty(),
                Reply::Refused(Nothing::New) => {}
                Reply::Refused(Nothing::TooLong) => return Err("a record of a book of receipts would be too long".into()),
                Reply::Failed(failure) => return Err(failure.to_string()),
            }
        }
        if !second {
            return Ok(());
        }
        // Also what an earlier reading left: it was cut off before it was done.
        let pending = self.books.query(book, None, deadline).await.map_err(|e| e.to_string())?;
        for bearer in pending {
            self.take_back(bearer, deadline).await?;
            self.open(Why::ReceiptUsed, bearer.member, bearer.seq).await?;
            match self.books.ask(book, Told::TakenBack(bearer), deadline).await {
                Reply::Done { .. } | Reply::Refused(_) => {}
                Reply::Failed(failure) => return Err(failure.to_string()),
            }
        }
        Ok(())
    }

    /// Takes all that is left of a purchase back whose receipt counts for another member.
    async fn take_back(&self, bearer: Bearer, deadline: Instant) -> Result<(), String> {
        let Bearer { member, seq, .. } = bearer;
        let asked = Return {
            kind: KeyKind::Void,
            sale: SaleName::Seq(seq),
            lines: Vec::new(),
            currency: None,
            points_refund: None,
            keys: Keys::default(),
            occurred_at: self.members.clock().now(),
            may_wait: false,
            receipt_used: true,
        };
        let header = header_hash("receipt used", &format!("{member} {seq}"));
        match self.members.command(member, Command { header, ask: Ask::Return(Box::new(asked)) }, deadline).await {
            Ok(_) => {}
            // Done before at another time of this node's, or nothing is left of it.
            Err(Miss::No(no)) if matches!(no.code, Code::KeyConflict | Code::ExceedsSale) => {}
            Err(Miss::No(no)) => return Err(format!("{member}, purchase {seq}: {}", no.detail)),
            Err(Miss::Failure(failure)) => return Err(failure.to_string()),
        }
        metrics::counter!("tessera_receipts_used_twice_total").increment(1);
        tracing::warn!(%member, seq, "a receipt counts for another member: this purchase was taken back");
        Ok(())
    }

    async fn open(&self, why: Why, member: MemberId, seq: u64) -> Result<(), String> {
        let change = Change::Open { why, member, seq, at: self.members.clock().now() };
        self.change(change, Instant::now() + PATIENCE).await.map(drop).map_err(|e| e.to_string())
    }
}

/// Whether the feed went on when it was read.
enum Pass {
    More,
    End,
}

/// In which books the keys of a purchase stand, and under which fingerprint.
fn places(keys: &Keys) -> Vec<(EntityKey, u64)> {
    let natural = keys.natural.as_ref().map(|key| (receipts_key(&key.source, &key.store, key.business_date), key.fingerprint(KeyKind::Purchase)));
    let transaction = keys.transaction.as_ref().map(|key| {
        let fingerprint = key.fingerprint(KeyKind::Purchase);
        (receipts_of_source_key(&key.source, fingerprint), fingerprint)
    });
    natural.into_iter().chain(transaction).collect()
}
