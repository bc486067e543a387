//! The figures of a run.

use serde::Serialize;
use tessera_client::load::Measured;

use super::Bench;

/// One measurement.
#[derive(Default, Clone, Copy, Serialize)]
pub(super) struct Phase {
    /// Answers a second.
    pub(super) rate: f64,
    /// Of the server, a request.
    pub(super) cpu_us: f64,
}

/// One of each, close together in time.
#[derive(Default, Clone, Copy, Serialize)]
pub(super) struct Round {
    pub(super) ceiling: Phase,
    pub(super) purchase: Phase,
    pub(super) read: Phase,
    /// A fixed GET through the same layers.
    pub(super) read_ceiling: Phase,
    pub(super) bare: Phase,
}

/// Ratios are medians of per-round ratios.
#[derive(Serialize)]
pub(super) struct Report {
    purchase_vs_ceiling: f64,
    /// Of a fixed GET through the same layers.
    read_vs_ceiling: f64,
    ceiling_vs_bare: f64,
    purchases_per_s: f64,
    reads_per_s: f64,
    ceiling_per_s: f64,
    /// At 70 % of the peak, from the intended start.
    p50_ms: f64,
    p99_ms: f64,
    flush_p99_ms: f64,
    cpu_us_ceiling: f64,
    cpu_us_purchase: f64,
    cpu_us_read: f64,
    /// Growth of the node's resident memory by enrolling, a member; other buffers grow too.
    enrolled_member_bytes: u64,
    members: usize,
    connections: usize,
    rounds: Vec<Round>,
}

/// The middle one; of an even number the upper.
pub(super) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = values.collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(0.0)
}

impl Report {
    pub(super) fn new(rounds: &[Round], fixed: &Measured, flush_p99_ms: f64, enrolled_member_bytes: u64, settings: &Bench) -> Self {
        let of = |figure: fn(&Round) -> f64| median(rounds.iter().map(figure));
        Self {
            purchase_vs_ceiling: of(|round| round.purchase.rate / round.ceiling.rate),
            read_vs_ceiling: of(|round| round.read.rate / round.read_ceiling.rate),
            ceiling_vs_bare: of(|round| round.ceiling.rate / round.bare.rate),
            purchases_per_s: of(|round| round.purchase.rate),
            reads_per_s: of(|round| round.read.rate),
            ceiling_per_s: of(|round| round.ceiling.rate),
            p50_ms: fixed.percentile_ms(50.0),
            p99_ms: fixed.percentile_ms(99.0),
            flush_p99_ms,
            cpu_us_ceiling: of(|round| round.ceiling.cpu_us),
            cpu_us_purchase: of(|round| round.purchase.cpu_us),
            cpu_us_read: of(|round| round.read.cpu_us),
            enrolled_member_bytes,
            members: settings.members,
            connections: settings.connections,
            rounds: rounds.to_vec(),
        }
    }

    /// For people.
    pub(super) fn table(&self) -> String {
        let rows = [
            ("durable purchases / ceiling", format!("{:.2}", self.purchase_vs_ceiling)),
            ("balance reads / a fixed GET", format!("{:.2}", self.read_vs_ceiling)),
            ("ceiling / bare hyper", format!("{:.2}", self.ceiling_vs_bare)),
            ("purchases a second", format!("{:.0}", self.purchases_per_s)),
            ("reads a second", format!("{:.0}", self.reads_per_s)),
            ("p50, p99 at 70 % of the peak", format!("{:.2} ms, {:.2} ms", self.p50_ms, self.p99_ms)),
            ("p99 of a bare flush", format!("{:.2} ms", self.flush_p99_ms)),
            ("CPU: ceiling, purchase, read", format!("{:.1}, {:.1}, {:.1} µs", self.cpu_us_ceiling, self.cpu_us_purchase, self.cpu_us_read)),
            ("memory an enrolled member took", format!("{:.1} KB", self.enrolled_member_bytes as f64 / 1e3)),
        ];
        rows.iter().map(|(name, value)| format!("{name:<32} {value}")).collect::<Vec<_>>().join("\n")
    }
}
