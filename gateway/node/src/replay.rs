//! `tessera replay`: a file of real baskets through the HTTP API.
//!
//! Requests are never shifted in time; their only key is the transaction id, so any rerun or interrupted run is harmless.
//! A household's baskets go over one connection, in the order of the file.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tessera_api::request::{Purchase, Who};
use tessera_client::Connection;
use tessera_client::journey::{Baskets, survey};
use tessera_client::load::Measured;
use tokio::sync::mpsc;

use crate::child::Child;

/// What is replayed, where to.
#[derive(clap::Args)]
pub(crate) struct Replay {
    /// A `.csv` or `.csv.gz` of The Complete Journey's shape, sorted by time.
    file: PathBuf,
    /// The node.
    #[arg(long, default_value = "127.0.0.1:8080", conflicts_with = "fresh")]
    node: String,
    /// Start a node of its own on this folder, which must not exist yet; its clock begins on the morning after the file's last basket.
    #[arg(long)]
    fresh: Option<PathBuf>,
    /// Programme of a fresh node.
    #[arg(long, default_value = "config/programme.toml")]
    programme: PathBuf,
    /// Baskets on their way at a time.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Print the summary as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn replay(asked: &Replay) -> Result<(), String> {
    let (baskets, start_at) = survey(&asked.file)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| e.to_string())?;
    let node = asked.fresh.as_ref().map(|folder| fresh(folder, &asked.programme, "127.0.0.1:0", &start_at)).transpose()?;
    let address = match &node {
        Some(node) => node.address,
        None => asked.node.to_socket_addrs().ok().and_then(|mut found| found.next()).ok_or_else(|| format!("{:?} is not an address and a port", asked.node))?,
    };
    let summary = runtime.block_on(run(&asked.file, address, asked.connections, baskets))?;
    crate::say(&if asked.json { serde_json::to_string_pretty(&summary).map_err(|e| e.to_string())? } else { summary.text() });
    node.map_or(Ok(()), Child::stop)?;
    if summary.refused.is_empty() { Ok(()) } else { Err("some baskets were refused; see above".into()) }
}

/// Starts a node on a folder that does not exist yet.
pub(crate) fn fresh(folder: &Path, programme: &Path, listen: &str, start_at: &str) -> Result<Child, String> {
    if folder.exists() {
        return Err(format!("{} exists already; a fresh replay makes its own folder", folder.display()));
    }
    Child::start(&["serve", "--folder", &folder.to_string_lossy(), "--programme", &programme.to_string_lossy(), "--listen", listen, "--clock-start-at", start_at])
}

/// What a replay did.
#[derive(Serialize)]
pub(crate) struct Summary {
    pub(crate) baskets: u64,
    /// Done now.
    pub(crate) new: u64,
    /// Done by an earlier run.
    pub(crate) repeats: u64,
    /// By code.
    pub(crate) refused: BTreeMap<String, u64>,
    pub(crate) members: usize,
    /// Earned by all the baskets, new and repeated.
    pub(crate) earned: i64,
    pub(crate) tiers: BTreeMap<String, u64>,
    pub(crate) seconds: f64,
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p95_ms: f64,
    pub(crate) p99_ms: f64,
    /// Every member, and how many of its baskets were in the file.
    #[serde(skip)]
    pub(crate) baskets_of: HashMap<String, u64>,
}

impl Summary {
    /// For people.
    pub(crate) fn text(&self) -> String {
        let tiers = self.tiers.iter().map(|(tier, count)| format!("{count} {tier}")).collect::<Vec<_>>().join(", ");
        let mut text = format!(
            "{} baskets of {} members: {} new, {} known from before\npoints earned   {}\ntiers           {tiers}\nspeed           {:.0} baskets/s in {:.1} s; latency p50 {:.2} ms, p95 {:.2} ms, p99 {:.2} ms",
            self.baskets, self.members, self.new, self.repeats, self.earned, self.per_second, self.seconds, self.p50_ms, self.p95_ms, self.p99_ms
        );
        if self.new == 0 && self.refused.is_empty() {
            text.push_str("\nall of them were here already: nothing has changed");
        }
        for (code, count) in &self.refused {
            text.push_str(&format!("\nREFUSED         {count} with {code}"));
        }
        text
    }
}

#[derive(Default)]
struct Tally {
    new: u64,
    repeats: u64,
    refused: BTreeMap<String, u64>,
    earned: i64,
    /// Tier and baskets by member.
    members: HashMap<String, (String, u64)>,
}

pub(crate) async fn run(file: &Path, address: SocketAddr, connections: usize, baskets: u64) -> Result<Summary, String> {
    let bar = ProgressBar::new(baskets);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {human_pos}/{human_len} baskets, {per_sec}, {eta} left") {
        bar.set_style(style);
    }
    let started = Instant::now();
    let mut lanes = Vec::new();
    let mut tasks = Vec::new();
    for _ in 0..connections.max(1) {
        // Read ahead of the slowest lane, a little.
        let (lane, work) = mpsc::channel(64);
        lanes.push(lane);
        tasks.push(tokio::spawn(post_all(address, work, bar.clone())));
    }
    let path = file.to_owned();
    let reader = tokio::task::spawn_blocking(move || {
        for basket in Baskets::open(&path)? {
            let basket = basket?;
            let lane = &lanes[lane_of(&basket, lanes.len())];
            // Its task ended with an error, which is told below.
            if lane.blocking_send(basket).is_err() {
                break;
            }
        }
        Ok::<_, String>(())
    });
    let mut all = Tally::default();
    let mut measured = Measured::default();
    for task in tasks {
        let (tally, part) = task.await.map_err(|e| e.to_string())??;
        measured.add(&part);
        all.new += tally.new;
        all.repeats += tally.repeats;
        all.earned += tally.earned;
        all.members.extend(tally.members);
        for (code, count) in tally.refused {
            *all.refused.entry(code).or_default() += count;
        }
    }
    reader.await.map_err(|e| e.to_string())??;
    bar.finish_and_clear();
    measured.seconds = started.elapsed().as_secs_f64();
    let mut tiers = BTreeMap::new();
    for (tier, _) in all.members.values() {
        *tiers.entry(tier.clone()).or_default() += 1;
    }
    Ok(Summary {
        baskets: measured.answers,
        new: all.new,
        repeats: all.repeats,
        refused: all.refused,
        members: all.members.len(),
        earned: all.earned,
        tiers,
        seconds: measured.seconds,
        per_second: measured.rate(),
        p50_ms: measured.percentile_ms(50.0),
        p95_ms: measured.percentile_ms(95.0),
        p99_ms: measured.percentile_ms(99.0),
        baskets_of: all.members.into_iter().map(|(member, (_, baskets))| (member, baskets)).collect(),
    })
}

fn lane_of(basket: &Purchase, lanes: usize) -> usize {
    let mut hash = DefaultHasher::new();
    match &basket.member {
        Who::Id(id) => id.hash(&mut hash),
        Who::Alias(by) => by.alias.value.hash(&mut hash),
    }
    usize::try_from(hash.finish() % lanes as u64).unwrap_or(0)
}

async fn post_all(address: SocketAddr, mut work: mpsc::Receiver<Purchase>, bar: ProgressBar) -> Result<(Tally, Measured), String> {
    let (mut tally, mut measured) = (Tally::default(), Measured::default());
    let mut connection: Option<Connection> = None;
    while let Some(basket) = work.recv().await {
        let body = Bytes::from(serde_json::to_vec(&basket).map_err(|e| e.to_string())?);
        let begun = Instant::now();
        let answer = post(address, &mut connection, body).await?;
        measured.count(answer.status, answer.body.len(), begun);
        bar.inc(1);
        let text: serde_json::Value = serde_json::from_slice(&answer.body).map_err(|e| format!("an answer is not JSON: {e}"))?;
        if !answer.status.is_success() {
            let code = text["code"].as_str().unwrap_or("an unknown code").to_owned();
            bar.suspend(|| eprintln!("{}: {}", basket.transaction_id.as_deref().unwrap_or_default(), text["detail"].as_str().unwrap_or_default()));
            *tally.refused.entry(code).or_default() += 1;
            continue;
        }
        if answer.replayed { tally.repeats += 1 } else { tally.new += 1 }
        let earned = |wallet: &serde_json::Value| wallet["earned"].as_i64().unwrap_or(0);
        tally.earned += text["wallets"].as_object().into_iter().flat_map(serde_json::Map::values).map(earned).sum::<i64>();
        let member = tally.members.entry(text["member"].as_str().unwrap_or_default().to_owned()).or_default();
        member.0 = text["tier"]["id"].as_str().unwrap_or_default().to_owned();
        member.1 += 1;
    }
    Ok((tally, measured))
}

/// Sends until there is an answer: the same again is harmless. Gives up after a minute without one.
async fn post(address: SocketAddr, connection: &mut Option<Connection>, body: Bytes) -> Result<tessera_client::connection::Answer, String> {
    let give_up = Instant::now() + Duration::from_secs(60);
    let mut wait = Duration::from_millis(20);
    loop {
        let outcome = async {
            if connection.is_none() {
                *connection = Some(Connection::open(address).await?);
            }
            match connection {
                Some(open) => open.post("/v1/purchases", None, body.clone()).await,
                None => unreachable!("it was opened above"),
            }
        };
        let told = match outcome.await {
            Ok(answer) if answer.status.as_u16() != 503 && answer.status.as_u16() != 429 => return Ok(answer),
            Ok(answer) => format!("the node answers {}", answer.status),
            Err(error) => {
                *connection = None;
                error.to_string()
            }
        };
        if Instant::now() >= give_up {
            return Err(format!("{told}; is a node running at {address}? Start it again and repeat this command: it goes on where it stopped"));
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(Duration::from_secs(2));
    }
}
