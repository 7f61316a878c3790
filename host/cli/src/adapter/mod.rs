//! `shardwright adapter`: creates, builds, inspects and verifies coordinator adapters.

mod build;
#[cfg(feature = "adapters")]
mod check;
mod files;
#[cfg(feature = "adapters")]
mod inspect;
#[cfg(feature = "adapters")]
mod load;
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
    /// Create a folder with a working adapter to start from
    New(new::New),
    /// Build the component of an adapter
    Build(build::Build),
    /// Show the metadata, imports and required grants of a component, or why it is not an adapter
    #[cfg(feature = "adapters")]
    Inspect(inspect::Inspect),
    /// Run the contract suite and the sandbox checks on a component, against its real backend
    #[cfg(feature = "adapters")]
    Check(check::Check),
}

/// Does one of them.
pub(crate) fn run(args: &Adapter) -> anyhow::Result<Exit> {
    match &args.task {
        Task::New(args) => new::run(args),
        Task::Build(args) => build::run(args),
        #[cfg(feature = "adapters")]
        Task::Inspect(args) => crate::run_current_thread(inspect::run(args)),
        #[cfg(feature = "adapters")]
        Task::Check(args) => check::run(args),
    }
}
