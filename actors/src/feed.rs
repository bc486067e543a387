//! The journals of all members, shard by shard, in the order in which they were written.

use std::sync::Arc;

use tessera_domain::ids::MemberId;
use tessera_domain::record::Record;
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

/// A member's record in the feed.
pub struct Fed {
    pub offset: Offset,
    pub member: MemberId,
    pub seq: u64,
    pub record: Arc<Record>,
}

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

    /// The next records of a shard's members, and from where to go on; the same offset: that was all. Decoded on a thread that
    /// may block, so that a long read stands in nobody's way.
    ///
    /// # Errors
    /// A sentence: the store cannot be read, or a record is damaged.
    pub async fn next(&self, shard: u16, from: Offset) -> Result<(Vec<Fed>, Offset), String> {
        let rows = self.store.read_feed(ShardId(shard), from, CHUNK).await.map_err(|e: StoreError| e.to_string())?;
        let next = rows.last().map_or(from, |row| row.offset + 1);
        let decode = move || {
            let mut fed = Vec::with_capacity(rows.len());
            for row in rows {
                let Some(member) = member_of(&row.entity) else { continue };
                let record = tessera_codec::decode_record(&row.entity.0, row.seq, &row.frame).map_err(|e| format!("{member}, record {}: {e}", row.seq))?;
                fed.push(Fed { offset: row.offset, member, seq: row.seq, record: Arc::new(record) });
            }
            Ok((fed, next))
        };
        tokio::task::spawn_blocking(decode).await.map_err(|e| e.to_string())?
    }
}
