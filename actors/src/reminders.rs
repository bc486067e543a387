//! Durable wake-ups: what is due is posted also for a member that nobody asks for (rule 4), some ten seconds late at most.
//!
//! Each record says when its member next wants to be woken; the store keeps that by time. A reminder that comes too early, since
//! the lot was spent meanwhile, is moved. One that cannot be served is tried again in a minute.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use tessera_domain::Code;
use tessera_storage::{Due, EntityKey, NO_DUE, ShardId, Store};

use crate::members::{Members, Miss};
use crate::names::member_of;

/// How often the store is asked.
const EVERY: Duration = Duration::from_secs(1);
/// Members that are woken at the same time: few, so that tills go first.
const AT_ONCE: usize = 16;
/// Reminders that are read at once.
const CHUNK: usize = 256;
/// When one that failed comes again, in milliseconds.
const AGAIN: Due = 60_000;
/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs until it is dropped or aborted.
pub async fn run(members: Members, store: Arc<dyn Store>, shards: u16) {
    loop {
        for shard in (0..shards).map(ShardId) {
            // A chunk that is full may have more behind it.
            while wake(&members, store.as_ref(), shard).await == CHUNK {}
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Wakes the first of those that are due; answers how many there were.
async fn wake(members: &Members, store: &dyn Store, shard: ShardId) -> usize {
    let due = match store.due(shard, members.clock().now(), CHUNK).await {
        Ok(due) => due,
        Err(error) => {
            tracing::error!(%error, shard = shard.0, "reminders cannot be read");
            return 0;
        }
    };
    let count = due.len();
    stream::iter(due).for_each_concurrent(AT_ONCE, |(entity, was)| one(members, store, shard, entity, was)).await;
    count
}

async fn one(members: &Members, store: &dyn Store, shard: ShardId, entity: EntityKey, was: Due) {
    let Some(member) = member_of(&entity) else { return store.remind(shard, entity, was, NO_DUE) };
    let deadline = Instant::now() + PATIENCE;
    if let Err(miss) = members.finish_gifts(member, deadline).await {
        tracing::warn!(%member, ?miss, "a gift cannot be brought to its end now");
    }
    if let Err(miss) = members.finish_pools(member, deadline).await {
        tracing::warn!(%member, ?miss, "a hold of a pool cannot be brought to its end now");
    }
    if let Err(miss) = members.finish_merge(member, deadline).await {
        tracing::warn!(%member, ?miss, "a merge cannot be brought to its end now");
    }
    let next = match members.tick(member, deadline).await {
        Ok(_) => {
            metrics::counter!("tessera_reminders_total", "outcome" => "posted").increment(1);
            return;
        }
        Err(Miss::No(no)) if no.code == Code::NothingDue => {
            metrics::counter!("tessera_reminders_total", "outcome" => "early").increment(1);
            members.next_due(member, deadline).await
        }
        Err(miss) => Err(miss),
    };
    let again = members.clock().now().saturating_add(AGAIN);
    let next = next.unwrap_or_else(|miss| {
        metrics::counter!("tessera_reminders_total", "outcome" => "failed").increment(1);
        tracing::warn!(%member, ?miss, "a reminder cannot be served now");
        again
    });
    // Due at once, and nothing to post: a flaw, which must not turn into a loop.
    store.remind(shard, entity, was, if next <= members.clock().now() { again } else { next });
}
