//! The suite that each store passes: one macro makes its tests.

use bytes::Bytes;

use crate::{EntityKey, Epoch, NO_DUE, NewRecord, NodeId, Page, Seq, ShardId, Snapshot, Store, StoreError};

const SHARD: ShardId = ShardId(1);

fn entity(byte: u8) -> EntityKey {
    EntityKey([byte; EntityKey::LEN])
}

fn record(byte: u8, seq: Seq) -> NewRecord {
    // Longer than a row's part, of another length each time.
    let frame = Bytes::from(vec![byte; 100 + usize::try_from(seq).unwrap_or(0) % 2_000]);
    NewRecord { entity: entity(byte), seq, frame, due: None }
}

/// Records come back dense and byte for byte; a stale one is refused alone.
///
/// # Panics
/// When the store breaks the contract.
pub async fn append_then_read(store: &dyn Store) {
    store.open(&NodeId("a".into())).await.expect("opens");
    let log = store.take(SHARD, Epoch(1)).await.expect("takes");
    let cold = log.append(record(9, 1)).await;
    assert!(matches!(cold, Err(StoreError::Conflict { actual: None, .. })), "an entity that was not woken must not append: {cold:?}");
    for byte in 0..3 {
        assert_eq!(log.wake(entity(byte)).await.expect("wakes").head(), 0);
    }
    let mut offset = 0;
    for seq in 1..=40 {
        for byte in 0..3 {
            assert_eq!(log.append(record(byte, seq)).await.expect("appends"), offset, "offsets are dense");
            offset += 1;
        }
    }
    let stale = log.append(record(1, 40)).await;
    assert!(matches!(stale, Err(StoreError::Conflict { expected: 39, actual: Some(40), .. })), "{stale:?}");
    for byte in 0..3 {
        let found = log.history(entity(byte), 1, Seq::MAX).await.expect("reads");
        let expected: Vec<_> = (1..=40).map(|seq| record(byte, seq).frame).collect();
        assert_eq!(found.iter().map(|stored| stored.frame.clone()).collect::<Vec<_>>(), expected);
        let part = log.history(entity(byte), 5, 7).await.expect("reads");
        assert_eq!(part.iter().map(|stored| stored.seq).collect::<Vec<_>>(), [5, 6, 7]);
    }
    let feed = store.read_feed(SHARD, 100, 10).await.expect("reads the feed");
    assert_eq!(feed.iter().map(|stored| stored.offset).collect::<Vec<_>>(), (100..110).collect::<Vec<_>>());
    assert!(store.read_feed(ShardId(2), 0, 10).await.expect("reads the feed").is_empty());
}

/// A cell is set only from the value that was expected.
///
/// # Panics
/// When the store breaks the contract.
pub async fn cells(store: &dyn Store) {
    let cells = store.cells();
    let (key, one, two) = (Bytes::from("k"), Bytes::from("1"), Bytes::from("2"));
    let rivals = [one.clone(), two.clone()].map(|value| cells.compare_and_set(key.clone(), None, Some(value)));
    let outcomes = futures_util::future::join_all(rivals).await;
    let applied = outcomes.iter().filter(|outcome| outcome.as_ref().is_ok_and(|outcome| outcome.applied)).count();
    assert_eq!(applied, 1, "of two rivals one wins");
    let now = cells.get(key.clone()).await.expect("reads").expect("is there");
    assert!(!cells.compare_and_set(key.clone(), Some("other".into()), None).await.expect("answers").applied);
    assert!(cells.compare_and_set(key.clone(), Some(now), None).await.expect("answers").applied);
    assert_eq!(cells.get(key).await.expect("reads"), None);
}

/// A wake gives the newest snapshot and the records after it.
///
/// # Panics
/// When the store breaks the contract.
pub async fn wake_after_snapshot(store: &dyn Store) {
    let log = store.take(SHARD, Epoch(1)).await.expect("takes");
    log.wake(entity(0)).await.expect("wakes");
    for seq in 1..=10 {
        log.append(record(0, seq)).await.expect("appends");
    }
    let page = |number, text: &'static str| Page { number, bytes: text.into() };
    log.write_snapshot(entity(0), Snapshot { seq: 4, pages: vec![page(0, "old core"), page(1, "keys")] });
    log.write_snapshot(entity(0), Snapshot { seq: 8, pages: vec![page(0, "core")] });
    log.write_snapshot(entity(0), Snapshot { seq: 6, pages: vec![page(0, "late")] });
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        let wake = log.wake(entity(0)).await.expect("wakes");
        assert_eq!(wake.head(), 10, "whatever the snapshot, nothing is missing");
        if wake.snapshot.seq == 8 {
            assert_eq!(wake.snapshot.pages, [page(0, "core"), page(1, "keys")]);
            assert_eq!(wake.records.iter().map(|stored| stored.seq).collect::<Vec<_>>(), [9, 10]);
            return;
        }
        assert!(std::time::Instant::now() < deadline, "the snapshot never came");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

/// Reminders come by time, as the newest record that says so has it, and move.
///
/// # Panics
/// When the store breaks the contract.
pub async fn reminders(store: &dyn Store) {
    let log = store.take(SHARD, Epoch(1)).await.expect("takes");
    for (byte, dues) in [(0, vec![Some(50), Some(30), None]), (1, vec![None, Some(10)]), (2, vec![Some(20), Some(NO_DUE)]), (3, vec![Some(-5)]), (4, vec![Some(31)]), (5, vec![None])] {
        log.wake(entity(byte)).await.expect("wakes");
        for (seq, due) in (1..).zip(dues) {
            log.append(NewRecord { due, ..record(byte, seq) }).await.expect("appends");
        }
    }
    let until = async |expected: &[(u8, i64)]| {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        let expected: Vec<_> = expected.iter().map(|(byte, due)| (entity(*byte), *due)).collect();
        loop {
            let found = store.due(SHARD, 30, 10).await.expect("reads");
            if found == expected {
                return;
            }
            assert!(std::time::Instant::now() < deadline, "{found:?}, not {expected:?}");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    until(&[(3, -5), (1, 10), (0, 30)]).await;
    assert_eq!(store.due(SHARD, 30, 1).await.expect("reads").len(), 1);
    assert!(store.due(ShardId(2), 30, 10).await.expect("reads").is_empty());
    // One that is not as it was stays; the others move.
    store.remind(SHARD, entity(1), 11, NO_DUE);
    store.remind(SHARD, entity(0), 30, 25);
    store.remind(SHARD, entity(3), -5, NO_DUE);
    until(&[(1, 10), (0, 25)]).await;
}

/// Makes the tests of the suite. `$open` makes a fresh store and what must outlive it.
#[macro_export]
macro_rules! store_contract {
    ($open:expr) => {
        #[tokio::test]
        async fn append_then_read() {
            let (store, _kept) = $open;
            $crate::contract::append_then_read(&store).await;
        }
        #[tokio::test]
        async fn cells() {
            let (store, _kept) = $open;
            $crate::contract::cells(&store).await;
        }
        #[tokio::test]
        async fn reminders() {
            let (store, _kept) = $open;
            $crate::contract::reminders(&store).await;
        }
        #[tokio::test]
        async fn wake_after_snapshot() {
            let (store, _kept) = $open;
            $crate::contract::wake_after_snapshot(&store).await;
        }
    };
}
