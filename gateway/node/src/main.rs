//! `tessera`: the composition root. Reads its settings before it opens a folder or binds a port.

mod audit;
mod bench;
mod check;
mod child;
mod demo;
mod flags;
mod replay;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::flags::Flags;

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
    Serve {
        #[command(flatten)]
        flags: Flags,
        /// For `tessera bench`: also answer `/bench/…`.
        #[arg(long, hide = true)]
        bench_ceiling: bool,
    },
    /// Checks the settings and the programme, and prints what is wrong with them, line by line.
    Check(check::Check),
    /// Prints the settings in force, and from where each came.
    Settings {
        #[command(flatten)]
        flags: Flags,
        /// Print them as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Posts a file of real baskets to a node. Any rerun is harmless.
    Replay(replay::Replay),
    /// The main thing on real input: a fresh node, a fortnight of real baskets, what happened, one member live.
    Demo(demo::Demo),
    /// Adds up every record of a folder and compares with the members' state and with a running node's answers.
    Audit(audit::Audit),
    /// Measures this machine: durable purchases and reads as ratios to what the same listener answers without a member.
    Bench(bench::Bench),
    /// For `bench`: the least that an HTTP server can do.
    #[command(hide = true)]
    Bare,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.command {
        Command::Serve { flags, bench_ceiling } => flags.load().and_then(|settings| serve::serve(&settings, bench_ceiling)),
        Command::Check(settings) => check::check(&settings),
        Command::Settings { flags, json } => flags.load().and_then(|settings| check::show(&settings, json)),
        Command::Replay(settings) => replay::replay(&settings),
        Command::Demo(settings) => demo::demo(&settings),
        Command::Audit(settings) => audit::audit(&settings),
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

/// Prints what a command was asked for.
pub(crate) fn say(text: &str) {
    use std::io::Write;
    // A reader that has gone away is not our failure.
    drop(writeln!(std::io::stdout(), "{text}"));
}
