//! `tessera`: the composition root. Reads its settings before it opens a folder or binds a port.

mod bench;
mod serve;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A retailer's loyalty programme: one durable node.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves the HTTP API until SIGTERM or Ctrl-C.
    Serve(Serve),
    /// Checks a programme file and prints what is wrong with it, line by line.
    Check {
        /// The file.
        programme: PathBuf,
    },
    /// Measures this machine: durable purchases and reads as ratios to what the same listener answers without a member.
    Bench(bench::Bench),
    /// For `bench`: the least that an HTTP server can do.
    #[command(hide = true)]
    Bare,
}

/// Settings of a node: flags, or the environment.
#[derive(clap::Args, Clone)]
struct Serve {
    /// Folder of the store; made if missing.
    #[arg(long, env = "TESSERA_FOLDER")]
    folder: PathBuf,
    /// Programme file; an edited one is a new version at the next start.
    #[arg(long, env = "TESSERA_PROGRAMME")]
    programme: PathBuf,
    /// Address to listen on; port 0 takes a free one. It is printed when the node is ready.
    #[arg(long, env = "TESSERA_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Allow an address that is not loopback. There are no keys yet: everyone who reaches it may do everything.
    #[arg(long, env = "TESSERA_OPEN_TO_ALL")]
    open_to_all: bool,
    /// Shards of a new folder; one that exists keeps its own.
    #[arg(long, env = "TESSERA_SHARDS", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    shards: u16,
    /// For demonstrations and tests: the time at which a new folder's clock starts, as in RFC 3339.
    #[arg(long, env = "TESSERA_CLOCK_START_AT")]
    clock_start_at: Option<jiff::Timestamp>,
    /// For `tessera bench`: also answer `/bench/…`.
    #[arg(long, hide = true)]
    bench_ceiling: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.command {
        Command::Serve(settings) => serve::serve(&settings),
        Command::Check { programme } => check(&programme),
        Command::Bench(settings) => bench::bench(&settings),
        Command::Bare => bench::bare(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("tessera: {sentence}");
            ExitCode::FAILURE
        }
    }
}

fn check(path: &std::path::Path) -> Result<(), String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{} cannot be read: {e}", path.display()))?;
    match tessera_api::programme_file::read(&text, 1, 0) {
        Ok(programme) => {
            eprintln!(
                "{}: good; {} earn rules, {} multipliers, {} bonuses, {} tiers",
                path.display(),
                programme.rates.len(),
                programme.multipliers.len(),
                programme.bonuses.len(),
                programme.tiers.levels.len()
            );
            Ok(())
        }
        Err(findings) => Err(serve::told(path, &findings)),
    }
}

/// Prints what a command was asked for.
pub(crate) fn say(text: &str) {
    use std::io::Write;
    // A reader that has gone away is not our failure.
    drop(writeln!(std::io::stdout(), "{text}"));
}
