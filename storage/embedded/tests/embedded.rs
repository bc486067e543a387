//! The contract on a folder, and what a folder adds: it opens again, rebuilds its index, has one process.

use std::path::Path;
use std::sync::Arc;

use tessera_storage::{EntityKey, Epoch, NewRecord, Seq, ShardId, Store, StoreError};
use tessera_storage_embedded::{EmbeddedOptions, EmbeddedStore};

fn open(path: &Path) -> Result<EmbeddedStore, StoreError> {
    let fatal = |error: &StoreError| panic!("the store cannot go on: {error}");
    EmbeddedStore::open(EmbeddedOptions { path: path.to_owned(), shards: 8, fatal: Arc::new(fatal), skip_sync: false, sabotage: Default::default() })
}

fn fresh() -> (EmbeddedStore, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    (open(folder.path()).expect("opens"), folder)
}

tessera_storage::store_contract!(fresh());

const ENTITY: EntityKey = EntityKey([7; EntityKey::LEN]);

async fn append(store: &EmbeddedStore, seqs: std::ops::RangeInclusive<Seq>) {
    let log = store.take(ShardId(0), Epoch(1)).await.expect("takes");
    assert_eq!(log.wake(ENTITY).await.expect("wakes").head() + 1, *seqs.start());
    for seq in seqs {
        log.append(NewRecord { entity: ENTITY, seq, frame: vec![1; 900].into(), due: None }).await.expect("appends");
    }
}

#[tokio::test]
async fn a_folder_opens_again_with_or_without_its_index() {
    let (store, folder) = fresh();
    append(&store, 1..=300).await;
    store.close().await.expect("closes");
    drop(store);
    std::fs::remove_dir_all(folder.path().join("index")).expect("removes the index");
    let store = open(folder.path()).expect("opens without an index");
    append(&store, 301..=310).await;
    store.close().await.expect("closes");
    drop(store);
    append(&open(folder.path()).expect("opens"), 311..=311).await;
}

#[tokio::test]
async fn a_second_process_is_told() {
    let (_store, folder) = fresh();
    let error = open(folder.path()).err().expect("the folder is taken").to_string();
    assert!(error.contains("in use by another process"), "{error}");
}

#[test]
fn a_strange_folder_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("holiday.jpg"), b"x").expect("writes");
    let error = open(folder.path()).err().expect("refused").to_string();
    assert!(error.contains("holiday.jpg"), "{error}");
    assert!(folder.path().join("holiday.jpg").exists());
}

/// Whatever is left of a segment, no row is written over another, and all come back.
#[tokio::test]
async fn rows_at_the_end_of_a_segment() {
    use tessera_storage_embedded::rows::{RECORD_HEAD, ROW_HEAD};
    use tessera_storage_embedded::segments::SEGMENT;
    for left in [-1_i64, 0, 1, 31, 32, 33] {
        let (store, folder) = fresh();
        let log = store.take(ShardId(0), Epoch(1)).await.expect("takes");
        log.wake(ENTITY).await.expect("wakes");
        // One row of half a segment, then one that leaves so many bytes of it.
        let (half, heads) = (SEGMENT as i64 / 2, (ROW_HEAD + RECORD_HEAD) as i64);
        let sizes = [half - heads, half - heads - left, 100, 200].map(|size| usize::try_from(size).expect("fits"));
        for (seq, size) in (1..).zip(sizes) {
            log.append(NewRecord { entity: ENTITY, seq, frame: vec![7; size].into(), due: None }).await.expect("appends");
        }
        let read = |found: Vec<tessera_storage::Stored>| found.iter().map(|one| one.frame.len()).collect::<Vec<_>>();
        assert_eq!(read(log.history(ENTITY, 1, Seq::MAX).await.expect("reads")), sizes, "{left} bytes left");
        drop(log);
        store.close().await.expect("closes");
        drop(store);
        std::fs::remove_dir_all(folder.path().join("index")).expect("removes the index");
        let store = open(folder.path()).expect("opens again");
        let log = store.take(ShardId(0), Epoch(1)).await.expect("takes");
        assert_eq!(log.wake(ENTITY).await.expect("wakes").head(), 4, "{left} bytes left");
        assert_eq!(read(log.history(ENTITY, 1, Seq::MAX).await.expect("reads")), sizes, "{left} bytes left");
    }
}

#[tokio::test]
async fn a_lost_format_file_does_not_cost_the_log() {
    let (store, folder) = fresh();
    append(&store, 1..=3).await;
    store.close().await.expect("closes");
    drop(store);
    std::fs::remove_file(folder.path().join("FORMAT")).expect("removes it");
    let refused = || {
        let error = open(folder.path()).err().expect("refused").to_string();
        assert!(error.contains("no FORMAT file"), "{error}");
    };
    refused();
    std::fs::remove_file(folder.path().join("ACKNOWLEDGED")).expect("removes it");
    refused();
    assert!(folder.path().join("log/00000000.log").exists());
}
