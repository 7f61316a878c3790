//! `shardwright adapter`: makes coordinator adapters, looks at them, and checks that they keep the contract.

mod build;
mod files;
mod name;
mod new;
mod project;
mod toolchain;

use crate::exit::Exit;
use clap::{Args, Subcommand};

/// Arguments of `adapter`.
#[derive(Args, Debug)]
pub(crate) struct Adapter {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand, Debug)]
enum Task {
    /// Make a folder with an adapter that builds, passes the check, and waits to be changed
    New(new::New),
    /// Build the component of the adapter in a folder
    Build(build::Build),
}

/// Does one of them.
pub(crate) fn run(args: &Adapter) -> anyhow::Result<Exit> {
    match &args.task {
        Task::New(args) => new::run(args),
        Task::Build(args) => build::run(args),
    }
}
