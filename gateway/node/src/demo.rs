//! `tessera demo`: a fresh node, a fortnight of real baskets, what happened, one member live.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tessera_api::request::Who;
use tessera_client::journey::{Baskets, survey};
use tessera_client::{Connection, events};

use crate::child::Child;
use crate::replay::{self, Summary};

/// Where the demonstration stands.
#[derive(clap::Args)]
pub(crate) struct Demo {
    /// Baskets to replay.
    #[arg(long, default_value = "tests/data/two_weeks.csv.gz")]
    baskets: PathBuf,
    #[arg(long, default_value = "config/programme.toml")]
    programme: PathBuf,
    /// A folder that is made anew.
    #[arg(long, default_value = "target/demo")]
    folder: PathBuf,
    /// Where the node listens; a free port when it is taken.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: String,
    /// End when all is shown, instead of leaving the node up.
    #[arg(long)]
    end: bool,
}

/// Members that then spend some of what they earned.
const SPENDERS: usize = 100;

pub(crate) fn demo(asked: &Demo) -> Result<(), String> {
    let (baskets, start_at) = survey(&asked.baskets)?;
    if asked.folder.exists() {
        std::fs::remove_dir_all(&asked.folder).map_err(|e| format!("{} cannot be emptied: {e}", asked.folder.display()))?;
    }
    let start = |listen: &str| replay::fresh(&asked.folder, &asked.programme, listen, &start_at);
    let node = start(&asked.listen).or_else(|_| start("127.0.0.1:0"))?;
    crate::say(&format!("a node on http://{}, its clock at {start_at}; {baskets} baskets to come (The Complete Journey, 84.51°)", node.address));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| e.to_string())?;
    runtime.block_on(async {
        tokio::select! {
            shown = show(asked, &node, baskets) => shown,
            interrupted = tokio::signal::ctrl_c() => interrupted.map_err(|e| e.to_string()),
        }
    })?;
    if asked.end {
        return node.stop();
    }
    // Ctrl-C reaches the node by itself; either way it has ended well when we leave.
    node.stop().or(Ok(()))
}

async fn show(asked: &Demo, node: &Child, baskets: u64) -> Result<(), String> {
    let address = node.address;
    let card = busiest(&asked.baskets)?;
    let live = tokio::spawn(follow(address, card.clone()));
    let summary = replay::run(&asked.baskets, address, 32, baskets).await?;
    crate::say(&format!("\n{}", summary.text()));
    let spent = spend(address, &summary).await?;
    let mut connection = Connection::open(address).await.map_err(|e| e.to_string())?;
    let mut sums: HashMap<&str, i64> = HashMap::new();
    for member in summary.baskets_of.keys() {
        let shown = get(&mut connection, &format!("/v1/members/{member}")).await?;
        for figure in ["available", "pending", "held", "debt"] {
            *sums.entry(figure).or_default() += shown["wallets"]["points"][figure].as_i64().unwrap_or(0);
        }
    }
    let left = sums["available"] + sums["pending"] + sums["held"] - sums["debt"];
    crate::say(&format!(
        "then {} members spent: {} points redeemed, {} held now; expired {}; liability {left} points",
        spent.members,
        spent.redeemed,
        sums["held"],
        summary.earned - spent.redeemed - left
    ));
    live.abort();
    let member = look_up(&mut connection, &card).await?.ok_or("the followed member is not there")?;
    crate::say(&format!(
        "\ntry: curl -s http://{address}/v1/members/{member}\n     curl -s http://{address}/v1/members/{member}/statement?limit=3\n     curl -sN http://{address}/v1/members/{member}/events -H 'Last-Event-ID: 1.0'\n     http://{address}/docs (the API), http://{address}/metrics"
    ));
    if asked.end {
        return Ok(());
    }
    crate::say("the node stays up; Ctrl-C ends it");
    std::future::pending().await
}

/// The card with the most baskets.
fn busiest(path: &std::path::Path) -> Result<String, String> {
    let mut counts: HashMap<String, u64> = HashMap::new();
    for basket in Baskets::open(path)? {
        if let Who::Alias(by) = basket?.member {
            *counts.entry(by.alias.value.to_string()).or_default() += 1;
        }
    }
    let most = counts.into_iter().max_by_key(|(card, count)| (*count, card.clone()));
    most.map(|(card, _)| card).ok_or_else(|| format!("{} has no baskets", path.display()))
}

/// Waits until a card is known, then prints its member's events as they come.
async fn follow(address: SocketAddr, card: String) -> Result<(), String> {
    let mut connection = Connection::open(address).await.map_err(|e| e.to_string())?;
    let member = loop {
        if let Some(member) = look_up(&mut connection, &card).await? {
            break member;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let mut live = events::follow(address, format!("/v1/members/{member}/events"), Some("0.0".into())).await.map_err(|e| e.to_string())?;
    let mut shown = 0;
    while let Some(event) = live.recv().await {
        let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
        shown += 1;
        if shown <= 12 || event.what.starts_with("hold") || event.what.starts_with("tier") || event.what == "points.redeemed" {
            let points = data["points"].as_i64().map_or(String::new(), |points| format!(" {points}"));
            eprintln!("card {card} live: {:>6} {}{points}, {} available", event.id, event.what, data["wallets"]["points"]["available"]);
        } else if shown == 13 {
            eprintln!("card {card} live: … more of the same");
        }
    }
    Ok(())
}

struct Spent {
    members: usize,
    redeemed: i64,
}

/// The members with the most baskets spend: a hold confirmed in part, one left open, one redemption at once.
async fn spend(address: SocketAddr, summary: &Summary) -> Result<Spent, String> {
    let mut connection = Connection::open(address).await.map_err(|e| e.to_string())?;
    let mut busiest: Vec<(&String, &u64)> = summary.baskets_of.iter().collect();
    busiest.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    let mut spent = Spent { members: 0, redeemed: 0 };
    for (member, _) in busiest.into_iter().take(SPENDERS) {
        let available = get(&mut connection, &format!("/v1/members/{member}")).await?["wallets"]["points"]["available"].as_i64().unwrap_or(0);
        if available < 40 {
            continue;
        }
        spent.members += 1;
        let hold = post(&mut connection, "/v1/holds", &format!("{member}-hold"), &json!({ "member": member, "points": 20 })).await?;
        let id = hold["id"].as_str().unwrap_or_default().to_owned();
        let confirmed = post(&mut connection, &format!("/v1/holds/{id}/confirm"), &format!("{member}-confirm"), &json!({ "points": 15 })).await?;
        let redeemed = post(&mut connection, "/v1/redemptions", &format!("{member}-redeem"), &json!({ "member": member, "points": 5 })).await?;
        post(&mut connection, "/v1/holds", &format!("{member}-open"), &json!({ "member": member, "points": 10 })).await?;
        spent.redeemed += confirmed["points"].as_i64().unwrap_or(0) + redeemed["points"].as_i64().unwrap_or(0);
    }
    Ok(spent)
}

async fn look_up(connection: &mut Connection, card: &str) -> Result<Option<String>, String> {
    let body = Bytes::from(json!({ "type": "card", "value": card }).to_string());
    let answer = connection.post("/v1/members/lookup", None, body).await.map_err(|e| e.to_string())?;
    let found: Value = serde_json::from_slice(&answer.body).map_err(|e| e.to_string())?;
    Ok(found["member"].as_str().map(str::to_owned))
}

async fn get(connection: &mut Connection, path: &str) -> Result<Value, String> {
    let answer = connection.get(path).await.map_err(|e| e.to_string())?;
    serde_json::from_slice(&answer.body).map_err(|e| e.to_string())
}

async fn post(connection: &mut Connection, path: &str, key: &str, body: &Value) -> Result<Value, String> {
    let answer = connection.post(path, Some(key), Bytes::from(body.to_string())).await.map_err(|e| e.to_string())?;
    let value: Value = serde_json::from_slice(&answer.body).map_err(|e| e.to_string())?;
    if answer.status.is_success() { Ok(value) } else { Err(format!("{path}: {}", value["detail"])) }
}
