//! `tessera bench --rules N`: what N rules cost of which twenty match, against those twenty alone, in one run.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tessera_client::load::{Load, Make};

use super::parts::{Bodies, enrol, measure};
use super::report::{Phase, median};
use super::{Bench, closed};
use crate::child::Child;

/// Rules that match some line of the baskets, two a department.
const MATCHING: usize = 20;
const DEPARTMENTS: [&str; 10] = ["GROCERY", "PRODUCE", "MEAT", "DRUG GM", "DELI", "PASTRY", "NUTRITION", "FROZEN GROCERY", "MEAT-PCKGD", "SEAFOOD"];

/// Purchases with few rules and with many.
#[derive(Serialize)]
pub(super) struct Rules {
    rules: usize,
    matching: usize,
    /// Those that do not match are expressions.
    expressions: bool,
    /// Purchases a second with all rules / with those that match; the median of the rounds' ratios.
    many_vs_few: f64,
    few_per_s: f64,
    many_per_s: f64,
    cpu_us_few: f64,
    cpu_us_many: f64,
}

impl Rules {
    pub(super) fn text(&self) -> String {
        format!(
            "{} rules{}, of which {} match, against those alone: {:.2} of the purchases a second ({:.0} of {:.0}); CPU {:.1} against {:.1} µs",
            self.rules, if self.expressions { ", expressions but for those that match" } else { "" }, self.matching, self.many_vs_few, self.many_per_s, self.few_per_s, self.cpu_us_many, self.cpu_us_few
        )
    }
}

/// The sample programme with so many multipliers more.
fn programme(settings: &Bench, count: usize, folder: &Path) -> Result<PathBuf, String> {
    let mut text = std::fs::read_to_string(&settings.programme).map_err(|e| format!("{}: {e}", settings.programme.display()))?;
    for number in 0..count {
        let when = match number {
            number if number < MATCHING => format!("categories = [{:?}]", DEPARTMENTS[number % DEPARTMENTS.len()]),
            number if settings.expressions => format!("expression = \"channel == 'none-{number}' && total > 100\""),
            number => match number % 4 {
                0 => format!("skus = [\"none-{number}\"]"),
                1 => format!("categories = [\"NONE/{number}\"]"),
                2 => format!("brands = [\"none-{number}\"]"),
                _ => format!("stores = [\"none-{number}\"]"),
            },
        };
        // A text takes whatever is written to it.
        let written = write!(text, "\n[[multiplier]]\nid = \"rule-{number}\"\nfactor = \"1.0{}\"\nwhen = {{ {when} }}\ntext = \"Rule {number}\"\n", 1 + number % 9);
        written.map_err(|e| e.to_string())?;
    }
    let path = folder.join(format!("{count}.toml"));
    std::fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(path)
}

pub(super) async fn run(settings: &Bench, count: usize, start_at: &str, bodies: Arc<Bodies>) -> Result<Rules, String> {
    let mut nodes = Vec::with_capacity(2);
    for rules in [MATCHING, count] {
        let path = programme(settings, rules, &settings.folder)?;
        let store = settings.folder.join(format!("store-{rules}"));
        let node = Child::start(&["serve", "--folder", &store.to_string_lossy(), "--programme", &path.to_string_lossy(), "--listen", "127.0.0.1:0", "--clock-start-at", start_at, "--patience-seconds", "60"])?;
        eprintln!("{rules} rules: enrolling {} members", settings.members);
        let members = Arc::new(enrol(node.address, settings.members, settings.connections).await?);
        nodes.push((node, members));
    }
    // Opened last, and with more patience than usual: one side waits while the other is measured, sometimes twice in a row.
    let mut sides = Vec::with_capacity(2);
    for (node, members) in nodes {
        let load = Load::open(node.address, settings.connections).await.map_err(|e| e.to_string())?;
        let purchase: Arc<Make> = bodies.posts("/v1/purchases".into(), members);
        sides.push((node, load, purchase));
    }
    let time = Duration::from_secs(settings.seconds);
    let mut rounds: Vec<[Phase; 2]> = Vec::with_capacity(settings.rounds);
    for number in 0..=settings.rounds {
        let mut round = [Phase::default(); 2];
        // Who comes first changes, so that a busy neighbour meets both.
        for place in [number % 2, 1 - number % 2] {
            let (node, load, purchase) = &mut sides[place];
            round[place] = measure(node, closed(load, purchase, time)).await?;
        }
        // The first one warms.
        if number > 0 {
            eprintln!("round {number}: {:.0}/s with few, {:.0}/s with many ({:.2})", round[0].rate, round[1].rate, round[1].rate / round[0].rate);
            rounds.push(round);
        }
    }
    let of = |figure: fn(&[Phase; 2]) -> f64| median(rounds.iter().map(figure));
    Ok(Rules {
        rules: count,
        matching: MATCHING,
        expressions: settings.expressions,
        many_vs_few: of(|round| round[1].rate / round[0].rate),
        few_per_s: of(|round| round[0].rate),
        many_per_s: of(|round| round[1].rate),
        cpu_us_few: of(|round| round[0].cpu_us),
        cpu_us_many: of(|round| round[1].cpu_us),
    })
}
