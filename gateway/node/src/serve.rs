//! `tessera serve`.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tessera_actors::history::digest;
use tessera_actors::reminders;
use tessera_actors::{Board, Budgets, Feed, Finance, Histories, Members, Purse, Receipts, Saving};
use tessera_api::programme_file;
use tessera_cluster::clock::system_now;
use tessera_cluster::{Clock, Limits, Ownership};
use tessera_config::Settings;
use tessera_domain::compile;
use tessera_domain::programme::{Programme, Programmes};
use tessera_domain::time::timestamp;
use tessera_domain::versions::{History, Origin, Version};
use tessera_gateway::{ServerLimits, Signer, Surface};
use tessera_storage::committer::Sabotage;
use tessera_storage::{Cells, NodeId, Store, StoreError};
use tessera_storage_embedded::{EmbeddedOptions, EmbeddedStore};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::check::told;

/// Exit code when the store cannot go on: the operator must look at the disk.
const EXIT_STORE: i32 = 74;
/// How long the programme's journal may take to be read.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn serve(settings: &Settings, bench_ceiling: bool) -> Result<(), String> {
    let filter = tracing_subscriber::EnvFilter::try_new(&settings.log).map_err(|e| format!("log: {e}; write filters such as info,tessera_cluster=debug"))?;
    tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr).init();
    if !settings.listen.ip().is_loopback() {
        tracing::warn!(address = %settings.listen, "open to all: everyone who reaches this address may do everything");
    }
    let text = std::fs::read_to_string(&settings.programme).map_err(|e| format!("the programme {} cannot be read: {e}", settings.programme.display()))?;
    programme_file::read(&text, 1, 0).map_err(|findings| told(&settings.programme, &findings))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| e.to_string())?;
    runtime.block_on(run(settings, &text, bench_ceiling))
}

async fn run(settings: &Settings, text: &str, bench_ceiling: bool) -> Result<(), String> {
    // Bound first: a taken port must not cost the opening of a folder.
    let listener = TcpListener::bind(settings.listen).await.map_err(|e| format!("cannot listen on {}: {e}; choose another with --listen", settings.listen))?;
    let metrics = recorder()?;
    let store = open(settings).await?;
    let cells = store.cells();
    let signer = signer(cells.as_ref()).await?;
    let clock = clock(cells.as_ref(), settings).await.map_err(|e| e.to_string())?;
    let node = NodeId(format!("{:x}", system_now()));
    let ownership = Ownership::take_all(store.as_ref(), &node, store.shards()).await.map_err(|e| e.to_string())?;
    let histories = Histories::start(clock.clone(), ownership.clone(), limits(settings)).await?;
    let programmes = versions(&histories, Some((&settings.programme, text))).await?;
    let board = Arc::new(Board::new(programmes));
    let skip_dedupe = sabotaged("skip_dedupe");
    let purse = Arc::new(Purse::default());
    let budgets = Budgets::start(purse.clone(), board.clone(), Feed::new(store.clone(), store.shards()), store.cells(), ownership.clone(), limits(settings)).await?;
    let lending = tokio::spawn(budgets.clone().run());
    let members = Members::start(board, clock.clone(), ownership.clone(), cells, limits(settings), purse, skip_dedupe).await?;
    let receipts = Receipts::start(members.clone(), Feed::new(store.clone(), store.shards()), store.cells(), ownership.clone(), limits(settings)).await?;
    let reading = tokio::spawn(receipts.clone().run());
    let finance = Finance::start(members.clone(), Feed::new(store.clone(), store.shards()), ownership, limits(settings)).await?;
    let reminders = tokio::spawn(reminders::run(members.clone(), store.clone(), store.shards()));
    let (stop, stopping) = watch::channel(false);
    tokio::spawn(async move {
        signalled().await;
        stop.send_replace(true);
    });
    let address = listener.local_addr().map_err(|e| e.to_string())?;
    tracing::info!(%address, folder = %settings.folder.display(), now = %timestamp(clock.now()), shift_ms = clock.shift(), "serving");
    eprintln!("tessera is ready on http://{address}");
    let surface = Surface { members: members.clone(), histories: histories.clone(), finance: finance.clone(), receipts: receipts.clone(), budgets: budgets.clone(), jobs: Default::default(), signer: Some(Arc::new(signer)), ceiling: bench_ceiling, metrics: Some(metrics), stop: stopping };
    tessera_gateway::serve(listener, surface, server_limits(settings)).await;
    reminders.abort();
    reading.abort();
    lending.abort();
    members.drain().await;
    budgets.drain().await;
    histories.drain().await;
    finance.drain().await;
    receipts.drain().await;
    store.close().await.map_err(|e| e.to_string())?;
    tracing::info!("stopped");
    Ok(())
}

/// The key of this store, by which allowances are signed; made when it has none. Whoever can read the store can sign.
async fn signer(cells: &dyn Cells) -> Result<Signer, String> {
    let cell = Bytes::from_static(b"allowances/key");
    let mut kept = cells.get(cell.clone()).await.map_err(|e| e.to_string())?;
    if kept.is_none() {
        let mut fresh = [0; 32];
        getrandom::fill(&mut fresh).map_err(|e| format!("no random numbers for a key of allowances: {e}"))?;
        let fresh = Bytes::copy_from_slice(&fresh);
        let outcome = cells.compare_and_set(cell, None, Some(fresh.clone())).await.map_err(|e| e.to_string())?;
        kept = if outcome.applied { Some(fresh) } else { outcome.before };
    }
    let secret: Option<[u8; 32]> = kept.and_then(|kept| kept[..].try_into().ok());
    Ok(Signer::new(&secret.ok_or("the key of allowances is not of 32 bytes; restore it from a backup")?))
}

fn limits(settings: &Settings) -> Limits {
    Limits { in_flight: settings.in_flight, per_entity: settings.in_flight_per_member, awake: settings.awake, idle: Duration::from_secs(settings.idle_seconds) }
}

fn server_limits(settings: &Settings) -> ServerLimits {
    ServerLimits {
        body: settings.body_bytes,
        patience: Duration::from_secs(settings.patience_seconds),
        connections: settings.connections,
        drain: Duration::from_secs(settings.drain_seconds),
    }
}

/// Installs the recorder of metrics and keeps it tidy.
fn recorder() -> Result<PrometheusHandle, String> {
    // From a tenth of a millisecond, a good disk's flush, to the ten seconds at which a request gives up.
    let seconds = [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
    let records = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_024.0];
    let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &seconds);
    let builder = builder.and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_records".into()), &records));
    let handle = builder.and_then(PrometheusBuilder::install_recorder).map_err(|e| e.to_string())?;
    let upkeep = handle.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            upkeep.run_upkeep();
        }
    });
    Ok(handle)
}

pub(crate) async fn open(settings: &Settings) -> Result<Arc<EmbeddedStore>, String> {
    let fatal = |error: &StoreError| {
        eprintln!("tessera: {error}");
        // Nothing else may be acknowledged: what is in memory may differ from what is on the disk.
        std::process::exit(EXIT_STORE);
    };
    let options = EmbeddedOptions {
        path: settings.folder.clone(),
        shards: settings.shards,
        fatal: Arc::new(fatal),
        skip_sync: sabotaged("skip_sync"),
        sabotage: Sabotage { reply_before_append: sabotaged("reply_before_append") },
    };
    let opened = tokio::task::spawn_blocking(move || EmbeddedStore::open(options)).await.map_err(|e| e.to_string())?;
    opened.map(Arc::new).map_err(|e| e.to_string())
}

/// Test-only: breaks one promise, so that the checks can be seen to notice. Debug builds alone look at it.
fn sabotaged(what: &str) -> bool {
    cfg!(debug_assertions) && std::env::var("TESSERA_TEST_SABOTAGE").is_ok_and(|value| value == what)
}

/// The clock, fixed when the folder was made: `start i64 | created i64`, both in milliseconds.
async fn clock(cells: &dyn Cells, settings: &Settings) -> Result<Clock, StoreError> {
    let now = system_now();
    let start = settings.clock_start_at.map_or(now, jiff::Timestamp::as_millisecond);
    let offered: Vec<u8> = [start.to_le_bytes(), now.to_le_bytes()].concat();
    let outcome = cells.compare_and_set("clock".into(), None, Some(offered.clone().into())).await?;
    read_clock(&outcome.before.unwrap_or_else(|| offered.into()))
}

/// The clock of a folder that exists.
pub(crate) async fn kept_clock(cells: &dyn Cells) -> Result<Clock, String> {
    let kept = cells.get("clock".into()).await.map_err(|e| e.to_string())?;
    read_clock(&kept.ok_or("no node has served from this folder yet")?).map_err(|e| e.to_string())
}

fn read_clock(kept: &[u8]) -> Result<Clock, StoreError> {
    let damaged = || StoreError::Corrupt("the clock's cell".into());
    let (start, created) = kept.split_first_chunk::<8>().ok_or_else(damaged)?;
    let created = <[u8; 8]>::try_from(created).map_err(|_| damaged())?;
    Ok(Clock::started(i64::from_le_bytes(*start), i64::from_le_bytes(created)))
}

/// Every version that has served; with a file, its text as a new one if the file was edited since it was last found.
pub(crate) async fn versions(histories: &Histories, file: Option<(&Path, &str)>) -> Result<Programmes, String> {
    let deadline = || Instant::now() + PATIENCE;
    let mut history = histories.history(deadline()).await.map_err(|e| e.to_string())?;
    if let Some((path, text)) = file
        && history.last_file().is_none_or(|last| last.digest != digest(text))
    {
        let after = programme_file::read(text, 0, 0).map_err(|findings| told(path, &findings))?;
        let all = all(histories, &history).await?;
        if let (Some(current), Some(before)) = (history.current(), all.current()) {
            if current.origin != Origin::File {
                tracing::warn!(version = current.number, "the programme file was edited, and takes the place of a version that was saved over HTTP");
            }
            let found = compile::may_follow(before, &all, &after);
            if let Some(finding) = found.first() {
                return Err(format!("{}: {}: {}", path.display(), finding.path, finding.text));
            }
        }
        let saving = Saving { text: text.into(), after: history.current().map_or(0, |version| version.number), author: "file".into(), note: "".into(), origin: Origin::File };
        let (saved, _) = histories.save(saving, deadline()).await.map_err(|miss| format!("the programme cannot be saved: {miss:?}"))?;
        tracing::info!(version = saved.number, "the programme file is a new version");
        history = histories.history(deadline()).await.map_err(|e| e.to_string())?;
    }
    all(histories, &history).await
}

async fn all(histories: &Histories, history: &History) -> Result<Programmes, String> {
    let mut all = Vec::with_capacity(history.versions.len());
    for version in &history.versions {
        all.push(Arc::new(compiled(histories, version).await?));
    }
    Ok(Programmes::new(all))
}

async fn compiled(histories: &Histories, version: &Version) -> Result<Programme, String> {
    let text = histories.text(version).await.map_err(|e| e.to_string())?;
    let damaged = |_| format!("version {} of the programme does not compile any more: use the version of this program that saved it", version.number);
    programme_file::read(&text, version.number, version.saved_at).map_err(damaged)
}

async fn signalled() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
