//! `shardwright adapter`: makes coordinator adapters, looks at them, and checks that they keep the contract.

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
    /// Make a folder with an adapter that builds, passes the check, and waits to be changed
    New(new::New),
    /// Build the component of the adapter in a folder
    Build(build::Build),
    /// Say what a component is, what it imports and which grants it needs, or why it is no adapter
    #[cfg(feature = "adapters")]
    Inspect(inspect::Inspect),
    /// Run the contract suite and the tests of the sandbox on a component, against its real backend
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
