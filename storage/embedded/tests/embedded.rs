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
        log.append(NewRecord { entity: ENTITY, seq, frame: vec![1; 900].into() }).await.expect("appends");
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
