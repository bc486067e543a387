//! `tessera audit`: adds up every record of a folder with accumulators of its own, and compares with what the members'
//! state and the API say. It never calls the fold that the node uses.

mod books;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tessera_actors::names::member_of;
use tessera_actors::{Board, Budgets, Feed, Finance, Histories, Members, Purse, Receipts};
use tessera_client::Connection;
use tessera_cluster::clock::system_now;
use tessera_cluster::{Limits, Ownership};
use tessera_domain::ids::MemberId;
use tessera_gateway::{ServerLimits, Surface};
use tessera_storage::{NodeId, ShardId, Store};
use tokio::sync::watch;

use crate::audit::books::{Books, Ledger};
use crate::flags::Flags;
use crate::serve;

/// What is audited. No node may run on the folder meanwhile.
#[derive(clap::Args)]
pub(crate) struct Audit {
    #[command(flatten)]
    flags: Flags,
    /// Print the figures as JSON.
    #[arg(long)]
    json: bool,
}

/// What was found.
#[derive(Serialize)]
struct Report {
    members: usize,
    records: u64,
    #[serde(flatten)]
    books: Books,
    /// By wallet: available + held + pending − debt of all members, by the API.
    closing_by_api: BTreeMap<u8, i64>,
    /// Ids of the wallets, by their places.
    ids: Vec<String>,
    problems: Vec<String>,
}

/// Records read at a time.
const CHUNK: usize = 4_096;
/// Problems printed; all are counted.
const SHOWN: usize = 20;

pub(crate) fn audit(asked: &Audit) -> Result<(), String> {
    let settings = asked.flags.load()?;
    if !settings.folder.exists() {
        return Err(format!("there is no folder {}; name it with --folder", settings.folder.display()));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| e.to_string())?;
    let report = runtime.block_on(async {
        let store = serve::open(&settings).await?;
        let report = run(store.clone(), store.shards()).await;
        store.close().await.map_err(|e| e.to_string())?;
        report
    })?;
    if asked.json {
        crate::say(&serde_json::to_string_pretty(&report).map_err(|e| e.to_string())?);
    } else {
        let name = |number: u8| report.ids.get(usize::from(number)).cloned().unwrap_or_default();
        let by_api = report.closing_by_api.iter().map(|(number, points)| format!("{points} {}", name(*number))).collect::<Vec<_>>().join(", ");
        crate::say(&format!("{} records of {} members\n{}\nby the API        {by_api}", report.records, report.members, report.books.text(name)));
        for problem in report.problems.iter().take(SHOWN) {
            crate::say(problem);
        }
    }
    match report.problems.len() {
        0 => {
            if !asked.json {
                crate::say("the books balance");
            }
            Ok(())
        }
        count => Err(format!("{count} problems")),
    }
}

async fn run(store: Arc<dyn Store>, shards: u16) -> Result<Report, String> {
    let cells = store.cells();
    let clock = serve::kept_clock(cells.as_ref()).await?;
    let ownership = Ownership::take_all(store.as_ref(), &NodeId(format!("audit-{:x}", system_now())), shards).await.map_err(|e| e.to_string())?;
    let histories = Histories::start(clock.clone(), ownership.clone(), Limits::default()).await?;
    let versions = serve::versions(&histories, None).await?;
    let ids: Vec<String> = versions.current().into_iter().flat_map(|programme| &programme.wallets).map(|wallet| wallet.id.to_string()).collect();

    let mut problems = Vec::new();
    let mut ledgers: HashMap<MemberId, Ledger> = HashMap::new();
    let mut books = Books::default();
    let mut records = 0;
    for shard in (0..shards).map(ShardId) {
        let mut next = 0;
        loop {
            let rows = store.read_feed(shard, next, CHUNK).await.map_err(|e| e.to_string())?;
            let Some(last) = rows.last() else { break };
            let from = next;
            next = last.offset + 1;
            for (row, offset) in rows.iter().zip(from..) {
                if row.offset != offset {
                    problems.push(format!("shard {}: offset {offset} is missing", shard.0));
                }
                let Some(member) = member_of(&row.entity) else { continue };
                match tessera_codec::decode_record(&row.entity.0, row.seq, &row.frame) {
                    Ok(record) => ledgers.entry(member).or_default().add(member, row.seq, &record, &mut books, &mut problems),
                    Err(error) => problems.push(format!("{member}, record {}: {error}", row.seq)),
                }
                records += 1;
            }
        }
    }

    // A node of its own in this process answers for the state.
    let now = clock.now();
    let (board, purse) = (Arc::new(Board::new(versions)), Arc::new(Purse::default()));
    let budgets = Budgets::start(purse.clone(), board.clone(), Feed::new(store.clone(), shards), store.cells(), ownership.clone(), Limits::default()).await?;
    let members = Members::start(board, clock, ownership.clone(), cells, Limits::default(), purse, false).await?;
    let receipts = Receipts::start(members.clone(), Feed::new(store.clone(), shards), store.cells(), ownership.clone(), Limits::default()).await?;
    let finance = Finance::start(members.clone(), Feed::new(store.clone(), shards), ownership, Limits::default()).await?;
    let (stop, stopping) = watch::channel(false);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(|e| e.to_string())?;
    let address = listener.local_addr().map_err(|e| e.to_string())?;
    let surface = Surface { members: members.clone(), histories: histories.clone(), finance: finance.clone(), receipts, budgets, jobs: Default::default(), signer: None, ceiling: false, metrics: None, stop: stopping };
    let server = tokio::spawn(tessera_gateway::serve(listener, surface, ServerLimits::default()));
    let closing_by_api = compare(address, &ledgers, &ids, now, &mut problems).await?;
    let closing_by_finance = finance_closing(address, &ids, &mut problems).await?;
    stop.send_replace(true);
    server.await.map_err(|e| e.to_string())?;
    members.drain().await;
    histories.drain().await;
    books.close(&ledgers);
    problems.extend(books.twice());
    if books.closing() != closing_by_api && problems.is_empty() {
        problems.push(format!("the records close at {:?} and the API at {closing_by_api:?}", books.closing()));
    }
    // INV-4: Σ lots − Σ debt is the closing of finance's roll-forward.
    for (number, closing) in books.closing() {
        let by_finance = closing_by_finance.get(usize::from(number)).copied().unwrap_or_default();
        if by_finance != closing {
            problems.push(format!("wallet {number}: the lots close at {closing}, finance's roll-forward at {by_finance}"));
        }
    }
    Ok(Report { members: ledgers.len(), records, books, closing_by_api, ids, problems })
}

/// Asks the API for every member; answers, by wallet, the sum of their points less their debt.
async fn compare(address: SocketAddr, ledgers: &HashMap<MemberId, Ledger>, ids: &[String], now: i64, problems: &mut Vec<String>) -> Result<BTreeMap<u8, i64>, String> {
    let mut connection = Connection::open(address).await.map_err(|e| e.to_string())?;
    let mut closing: BTreeMap<u8, i64> = BTreeMap::new();
    for (member, ledger) in ledgers {
        let mut get = async |path: String| -> Result<serde_json::Value, String> {
            let answer = connection.get(&path).await.map_err(|e| e.to_string())?;
            serde_json::from_slice(&answer.body).map_err(|e| e.to_string())
        };
        let page = get(format!("/v1/members/{member}/statement?limit=1&own=true")).await?;
        let shown = get(format!("/v1/members/{member}")).await?;
        if ledger.gone() {
            // Another member answers for it, and has all that it had.
            if ledger.figures().values().any(|figures| *figures != [0; 4]) || page["entries"][0]["seq"].as_u64() != Some(ledger.head()) {
                problems.push(format!("{member} has gone into another member and is not at its end: {:?}", ledger.figures()));
            }
            continue;
        }
        for (number, records) in ledger.figures() {
            let id = ids.get(usize::from(number)).map_or("", String::as_str);
            let state = figures(&shown["wallets"][id]);
            // Time may have brought something about that no record says yet: then only the sum of the records is compared.
            if state != Some(records) && !ledger.is_due(now) {
                problems.push(format!("{member}: the records come to {records:?} {id}, its state is {state:?}"));
            }
            // The last entry tells of the wallets that it touched.
            if let Some(stated) = figures(&page["entries"][0]["wallets"][id]).filter(|stated| *stated != records) {
                problems.push(format!("{member}: the records come to {records:?} {id}, the statement says {stated:?}"));
            }
            let [available, pending, held, debt] = if ledger.is_due(now) { records } else { state.unwrap_or_default() };
            *closing.entry(number).or_default() += available + pending + held - debt;
        }
        if shown["seq"].as_u64() != Some(ledger.head()) {
            problems.push(format!("{member}: {} records, and its state stands at {}", ledger.head(), shown["seq"]));
        }
    }
    Ok(closing)
}

/// What each wallet closes at in the roll-forward, in the order of `ids`.
async fn finance_closing(address: SocketAddr, ids: &[String], problems: &mut Vec<String>) -> Result<Vec<i64>, String> {
    let mut connection = Connection::open(address).await.map_err(|e| e.to_string())?;
    loop {
        // Far in the future: whatever is posted has come.
        let answer = connection.get("/v1/reports/liability?day=2200-01-01").await.map_err(|e| e.to_string())?;
        let shown: serde_json::Value = serde_json::from_slice(&answer.body).map_err(|e| e.to_string())?;
        if shown["code"] == "unavailable" {
            // A long feed is read in parts.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        }
        if answer.status != http::StatusCode::OK {
            problems.push(format!("finance cannot close: {}", shown["detail"]));
        }
        let closing = |id: &String| {
            let wallet = shown["wallets"].as_array().into_iter().flatten().find(|wallet| wallet["wallet"] == **id);
            wallet.map_or(0, |wallet| wallet["pending"].as_i64().unwrap_or(0) + wallet["active"].as_i64().unwrap_or(0))
        };
        return Ok(ids.iter().map(closing).collect());
    }
}

/// available, pending, held, debt.
fn figures(wallet: &serde_json::Value) -> Option<[i64; 4]> {
    let figure = |name: &str| wallet[name].as_i64();
    Some([figure("available")?, figure("pending")?, figure("held")?, figure("debt")?])
}
