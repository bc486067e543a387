//! `tessera bench`: durable purchases and reads as ratios to a ceiling measured in the same run.
//!
//! Server and load are separate processes. The ceiling is the same listener and every layer up to the finished command,
//! then fixed bytes; it is itself set against a bare hyper server that answers as much.

mod parts;
mod report;
mod rules;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use tessera_client::load::{Load, Make, Measured};

use crate::bench::parts::{Bodies, enrol, flush_p99_ms, measure};
use crate::child::Child;
pub(crate) use crate::bench::parts::bare;
use crate::bench::report::{Report, Round, median};

/// Settings of a measurement.
#[derive(clap::Args)]
pub(crate) struct Bench {
    /// Baskets to send, in the shape of The Complete Journey.
    #[arg(long, default_value = "tests/data/two_weeks.csv.gz")]
    baskets: PathBuf,
    /// Programme file.
    #[arg(long, default_value = "config/programme.toml")]
    programme: PathBuf,
    /// A folder on the disk that is measured; its contents are replaced.
    #[arg(long, default_value = "target/bench")]
    folder: PathBuf,
    /// Where the figures go, as JSON.
    #[arg(long, default_value = "target/bench.json")]
    out: PathBuf,
    /// Members, all awake.
    #[arg(long, default_value_t = 10_000)]
    members: usize,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Measure instead what so many rules cost, of which twenty match.
    #[arg(long, value_parser = clap::value_parser!(u32).range(20..=9_900))]
    rules: Option<u32>,
    /// With --rules: those that do not match are expressions that each sale is asked.
    #[arg(long, requires = "rules")]
    expressions: bool,
    /// Print the figures as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn bench(settings: &Bench) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| e.to_string())?;
    let (json, people) = runtime.block_on(async {
        match settings.rules {
            Some(count) => {
                let (start_at, bodies) = prepare(settings)?;
                let found = rules::run(settings, usize::try_from(count).unwrap_or(usize::MAX), &start_at, bodies).await?;
                Ok::<_, String>((serde_json::to_string_pretty(&found), found.text()))
            }
            None => {
                let report = run(settings).await?;
                Ok((serde_json::to_string_pretty(&report), report.table()))
            }
        }
    })?;
    let json = json.map_err(|e| e.to_string())?;
    std::fs::write(&settings.out, format!("{json}\n")).map_err(|e| format!("{} cannot be written: {e}", settings.out.display()))?;
    crate::say(if settings.json { &json } else { &people });
    Ok(())
}

/// Empties the folder and reads the baskets; the clock starts the morning after them.
fn prepare(settings: &Bench) -> Result<(String, Arc<Bodies>), String> {
    let (_, start_at) = tessera_client::journey::survey(&settings.baskets)?;
    let bodies = Arc::new(Bodies::read(&settings.baskets)?);
    if settings.folder.exists() {
        std::fs::remove_dir_all(&settings.folder).map_err(|e| format!("{} cannot be emptied: {e}", settings.folder.display()))?;
    }
    std::fs::create_dir_all(&settings.folder).map_err(|e| format!("{} cannot be made: {e}", settings.folder.display()))?;
    Ok((start_at, bodies))
}

/// Longer than what is new stays out of the index.
const INDEXED: Duration = Duration::from_secs(12);

async fn run(settings: &Bench) -> Result<Report, String> {
    let (start_at, bodies) = prepare(settings)?;
    let store = settings.folder.join("store");
    let node = Child::start(&["serve", "--folder", &store.to_string_lossy(), "--programme", &settings.programme.to_string_lossy(), "--listen", "127.0.0.1:0", "--clock-start-at", &start_at, "--bench-ceiling"])?;
    let bare = Child::start(&["bare"])?;
    eprintln!("enrolling {} members", settings.members);
    let before = node.resident_bytes();
    let members = Arc::new(enrol(node.address, settings.members, settings.connections).await?);
    // The buffers that all members share are in it too.
    tokio::time::sleep(INDEXED).await;
    let bare_member_bytes = node.resident_bytes().saturating_sub(before) / settings.members.max(1) as u64;

    let mut load = Load::open(node.address, settings.connections).await.map_err(|e| e.to_string())?;
    let mut bare_load = Load::open(bare.address, settings.connections).await.map_err(|e| e.to_string())?;
    let time = Duration::from_secs(settings.seconds);
    let purchase: Arc<Make> = bodies.posts("/v1/purchases".into(), members.clone());
    let read: Arc<Make> = gets("/v1/members/", String::new(), members.clone());

    eprintln!("warming");
    let warm = closed(&mut load, &purchase, time * 2).await?;
    let shown = closed(&mut load, &read, time.min(Duration::from_secs(1))).await?;
    let (bytes, read_bytes) = (warm.sizes.value_at_quantile(0.5), shown.sizes.value_at_quantile(0.5));
    let ceiling = bodies.posts(format!("/bench/purchases/{bytes}"), members.clone());
    let read_ceiling = gets("/bench/members/", format!("/{read_bytes}"), members.clone());
    let bare_make = bodies.posts(format!("/{bytes}"), members.clone());
    closed(&mut bare_load, &bare_make, time.min(Duration::from_secs(1))).await?;

    let mut rounds = Vec::with_capacity(settings.rounds);
    for number in 0..settings.rounds {
        let mut round = Round::default();
        // The order rotates: whoever runs after a busy neighbour is another one each time.
        for step in 0..5 {
            match (step + number) % 5 {
                0 => round.ceiling = measure(&node, closed(&mut load, &ceiling, time)).await?,
                1 => round.purchase = measure(&node, closed(&mut load, &purchase, time)).await?,
                2 => round.read = measure(&node, closed(&mut load, &read, time)).await?,
                3 => round.read_ceiling = measure(&node, closed(&mut load, &read_ceiling, time)).await?,
                _ => round.bare = measure(&bare, closed(&mut bare_load, &bare_make, time)).await?,
            }
        }
        eprintln!(
            "round {}: ceiling {:.0}/s, purchases {:.0}/s ({:.2}), reads {:.0}/s ({:.2} of a fixed GET), bare hyper {:.0}/s",
            number + 1,
            round.ceiling.rate,
            round.purchase.rate,
            round.purchase.rate / round.ceiling.rate,
            round.read.rate,
            round.read.rate / round.read_ceiling.rate,
            round.bare.rate
        );
        rounds.push(round);
    }
    let flush_p99_ms = flush_p99_ms(&settings.folder)?;
    let rate = 0.7 * median(rounds.iter().map(|round| round.purchase.rate));
    let fixed = load.fixed(purchase, time * 2, rate).await.map_err(|e| e.to_string())?;
    Ok(Report::new(&rounds, &fixed, flush_p99_ms, bare_member_bytes, settings))
}

async fn closed(load: &mut Load, make: &Arc<Make>, time: Duration) -> Result<Measured, String> {
    let measured = load.closed(make.clone(), time, u64::MAX).await.map_err(|e| e.to_string())?;
    if measured.refused > 0 {
        return Err(format!("{} of {} answers were refusals: the figures would mean nothing", measured.refused, measured.answers));
    }
    Ok(measured)
}

fn gets(before: &'static str, after: String, members: Arc<Vec<String>>) -> Arc<Make> {
    Arc::new(move |n| (Method::GET, format!("{before}{}{after}", parts::pick(&members, n)), None, Bytes::new()))
}
