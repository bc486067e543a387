//! The shards this node holds. One node holds them all; leases and hand-off come with the cluster.

use std::sync::Arc;

use tessera_storage::{EntityKey, Epoch, NodeId, ShardId, ShardLog, Store, StoreError};
use xxhash_rust::xxh3::xxh3_64;

/// Held shards, by number.
#[derive(Clone)]
pub struct Ownership {
    logs: Arc<[ShardLog]>,
}

impl Ownership {
    /// Takes every one of `shards`.
    ///
    /// # Errors
    /// What the store says of the first that cannot be taken.
    pub async fn take_all(store: &dyn Store, node: &NodeId, shards: u16) -> Result<Self, StoreError> {
        store.open(node).await?;
        let mut logs = Vec::with_capacity(usize::from(shards));
        for shard in (0..shards).map(ShardId) {
            logs.push(store.take(shard, Epoch(1)).await?);
        }
        Ok(Self { logs: logs.into() })
    }

    /// The log of the shard that an entity is hashed to.
    #[must_use]
    pub fn log(&self, entity: &EntityKey) -> &ShardLog {
        &self.logs[usize::from(shard_of(entity, self.len()).0)]
    }

    /// The logs, by shard.
    #[must_use]
    pub fn logs(&self) -> &[ShardLog] {
        &self.logs
    }

    fn len(&self) -> u16 {
        // `take_all` was given a u16.
        u16::try_from(self.logs.len()).unwrap_or(u16::MAX)
    }
}

/// `xxh3-64(key) mod shards`. Part of the stored format: golden vectors in the tests below.
#[must_use]
pub fn shard_of(entity: &EntityKey, shards: u16) -> ShardId {
    let remainder = xxh3_64(&entity.0) % u64::from(shards.max(1));
    ShardId(u16::try_from(remainder).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_shards() {
        let of = |byte: u8| shard_of(&EntityKey([byte; EntityKey::LEN]), 256).0;
        assert_eq!([of(0), of(1), of(2), of(255)], [122, 175, 59, 6]);
    }
}
