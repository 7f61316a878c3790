//! The project's own commands, run as `cargo xtask …`: every check, the bundled components, the benchmarks.
//!
//! - `checks`: every `step` in order
//! - `programs`: the tests, built, and run in `lanes`; what the test `harness` prints is read, and counted in a `tally`
//! - `fuzz`: the fuzz targets, one after the other
//! - `bench`: the benchmarks and the `figure`s that they print
//! - `chaos`: clusters of real processes, disturbed at random
//! - `guests`: the bundled policy components, built or compared
//! - `mutants`: small changes of the code that decides, each of which a test must notice
//! - `up`: one server or cluster left running, with the configuration to use it
//! - `tools`: what the commands need on a fresh machine, installed or asked for; `servers`, `languages` and `apt`
//!   likewise
//! - `lint`: what cargo calls instead of the compiler, so that Clippy and rustdoc see what is built
//! - `child`: running another program, its output shown as it comes, or as `say` has it
#![expect(clippy::print_stdout, reason = "these commands speak on standard output")]

mod apt;
mod bench;
mod chaos;
mod checks;
mod child;
mod columns;
mod figure;
mod fuzz;
mod guests;
mod harness;
mod lanes;
mod languages;
#[cfg(test)]
mod ledger;
mod lint;
mod mutants;
mod programs;
mod say;
mod servers;
mod step;
mod tally;
mod tools;
mod up;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

/// The project's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Command {
    /// Run every check, in order; the last line counts the tests.
    Test(checks::Arguments),
    /// Build the bundled policy components.
    Guests {
        /// Change nothing: fail when a rebuilt component differs from the committed one.
        #[arg(long)]
        check: bool,
    },
    /// Leave a server running on loopback until Ctrl-C, and print the configuration that uses it.
    Up(up::Arguments),
    /// Change the code that decides in small ways, and see that some test notices each.
    Mutants(mutants::Arguments),
    /// Disturb a cluster of real processes at random from a seed; exit 1 if a promise was broken.
    Chaos(chaos::Arguments),
    /// Look for input that harms, with libFuzzer.
    Fuzz(fuzz::Arguments),
    /// Run the benchmarks and list the figures beside their limits.
    Bench(bench::Arguments),
}

fn main() -> ExitCode {
    if let Some(status) = lint::called() {
        return status;
    }
    match run(Command::parse()) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("xtask lies in the root of the workspace")?;
    std::env::set_current_dir(root).with_context(|| {
        format!(
            "the workspace is no longer at {}; build xtask again there",
            root.display()
        )
    })?;
    match command {
        Command::Test(arguments) => Ok(checks::run(&arguments)),
        Command::Guests { check } => {
            tools::toolchain(true)?;
            guests::build(check)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Up(arguments) => {
            up::run(&arguments)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Mutants(arguments) => {
            mutants::run(&arguments)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Chaos(arguments) => chaos::run(&arguments),
        Command::Fuzz(arguments) => {
            fuzz::run(&arguments)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Bench(arguments) => bench::run(&arguments),
    }
}
