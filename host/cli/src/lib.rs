//! The binary `shardwright`: the daemon, a demonstration, and the tools of operators and of authors of policies and
//! adapters.
//!
//! Each command is a module: `adapter`, `check`, `coordinator`, `demo`, `nodes`, `policy`, `roles`, `run`, `status`.
//! They share how a cluster's store is looked at (`cluster`, `place`, `reach`, `shards`, `owners`) and how things are
//! shown (`output`, `exit`, `trial`). `process` runs nodes as child processes; it is public, and with it `acts` and
//! `audit`, which check what nodes tell, for the tests and the benchmark of this package.

pub mod acts;
mod adapter;
mod args;
pub mod audit;
mod check;
mod cluster;
mod completions;
mod coordinator;
mod demo;
mod exit;
mod nodes;
mod output;
mod owners;
mod place;
mod policy;
pub mod process;
mod reach;
mod roles;
mod run;
mod shards;
mod status;
mod stop;
mod trial;

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use place::properties;

use args::{Cli, Command};
use clap::Parser;
use exit::Exit;
use std::process::ExitCode;

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => exit::conclude(exit::guarded(|| dispatch(cli.command))),
        Err(error) => {
            // If nobody can be told, the exit code still says it.
            let _ = error.print();
            u8::try_from(error.exit_code()).unwrap_or(2).into()
        }
    }
}

fn dispatch(command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Check(args) => run_current_thread(check::run(&args)),
        Command::Completions(args) => completions::print(args.shell),
        Command::Policy(args) => policy::run(&args),
        Command::Adapter(args) => adapter::run(&args),
        Command::Status(args) => run_current_thread(status::run(&args)),
        Command::Nodes(args) => run_current_thread(nodes::run(&args)),
        Command::Roles(args) => run_current_thread(roles::run(&args)),
        Command::Owner(args) => run_current_thread(roles::owner(&args)),
        Command::Coordinator(args) => coordinator::run(&args),
        Command::Run(args) => run_multi_thread(run::run(args)),
        Command::Demo(args) => run_multi_thread(demo::run(args)),
    }
}

/// Runs a command that asks and answers.
fn run_current_thread<T>(command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(command)
}

/// Runs a command that stays.
fn run_multi_thread(command: impl Future<Output = anyhow::Result<Exit>>) -> anyhow::Result<Exit> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(command)
}
