//! The journals of all members, shard by shard, in the order in which they were written.

use std::sync::Arc;

use tessera_domain::ids::MemberId;
use tessera_codec::Damage;
use tessera_domain::record::{Beginning, Record};
use tessera_storage::{Offset, ShardId, Store, StoreError};

use crate::names::member_of;

/// Records read at a time.
const CHUNK: usize = 4_096;

/// What was recorded. Cheap to clone.
#[derive(Clone)]
pub struct Feed {
    store: Arc<dyn Store>,
    shards: u16,
}

/// A member's record in the feed, or what stands at its beginning.
pub struct Fed<R = Arc<Record>> {
    pub offset: Offset,
    pub member: MemberId,
    pub seq: u64,
    pub record: R,
}

/// How a record of an entity is read.
type Decode<R> = fn(&[u8], u64, &[u8]) -> Result<R, Damage>;

impl Feed {
    /// Of a store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, shards: u16) -> Self {
        Self { store, shards }
    }

    /// How many shards there are.
    #[must_use]
    pub fn shards(&self) -> u16 {
        self.shards
    }

    /// Offset after a shard's last record.
    #[must_use]
    pub fn head(&self, shard: u16) -> Offset {
        self.store.head(ShardId(shard))
    }

    /// Records of all shards.
    #[must_use]
    pub fn len(&self) -> u64 {
        (0..self.shards).map(|shard| self.head(shard)).sum()
    }

    /// Whether nothing was recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next records of a shard's members, and from where to go on; the same offset: that was all.
    ///
    /// # Errors
    /// A sentence: the store cannot be read, or a record is damaged.
    pub async fn next(&self, shard: u16, from: Offset) -> Result<(Vec<Fed>, Offset), String> {
        self.read(shard, from, |entity, seq, frame| tessera_codec::decode_record(entity, seq, frame).map(Arc::new)).await
    }

    /// As [`Self::next`], of each record only its beginning: a fraction of the work.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub async fn beginnings(&self, shard: u16, from: Offset) -> Result<(Vec<Fed<Beginning>>, Offset), String> {
        self.read(shard, from, tessera_codec::decode_beginning).await
    }

    /// Decodes on a thread that may block, so that a long read stands in nobody's way.
    async fn read<R: Send + 'static>(&self, shard: u16, from: Offset, decode: Decode<R>) -> Result<(Vec<Fed<R>>, Offset), String> {
        let rows = self.store.read_feed(ShardId(shard), from, CHUNK).await.map_err(|e: StoreError| e.to_string())?;
        let next = rows.last().map_or(from, |row| row.offset + 1);
        let all = move || {
            let mut fed = Vec::with_capacity(rows.len());
            for row in rows {
                let Some(member) = member_of(&row.entity) else { continue };
                let record = decode(&row.entity.0, row.seq, &row.frame).map_err(|e| format!("{member}, record {}: {e}", row.seq))?;
                fed.push(Fed { offset: row.offset, member, seq: row.seq, record });
            }
            Ok((fed, next))
        };
        tokio::task::spawn_blocking(all).await.map_err(|e| e.to_string())?
    }
}
