//! `shardwright coordinator`: inspects and verifies the coordinator backend.

mod check;
mod doctor;
mod sighting;
mod status;
#[cfg(feature = "adapters")]
mod upgrade;
mod watch;

use crate::exit::Exit;
use clap::{Args, Subcommand};

/// Arguments of `coordinator`.
#[derive(Args, Debug)]
pub(crate) struct Coordinator {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand, Debug)]
enum Task {
    /// Run the contract suite against the backend, in temporary namespaces
    Check(check::Check),
    /// Check how the backend is configured: version, safety of its settings, clock, round trips
    Doctor(doctor::Doctor),
    /// Show the state of an adapter, as reported by the nodes of this machine, or whether a native backend answers
    Status(status::Status),
    /// Replace the configured component of an adapter by another version, after a trial
    #[cfg(feature = "adapters")]
    Upgrade(upgrade::Upgrade),
    /// Show the messages on the bus, and report gaps
    Watch(watch::Watch),
}

/// Does one of them.
pub(crate) fn run(args: &Coordinator) -> anyhow::Result<Exit> {
    match &args.task {
        Task::Check(args) => check::run(args),
        Task::Doctor(args) => crate::run_current_thread(doctor::run(args)),
        Task::Status(args) => crate::run_current_thread(status::run(args)),
        #[cfg(feature = "adapters")]
        Task::Upgrade(args) => crate::run_multi_thread(upgrade::run(args)),
        Task::Watch(args) => crate::run_multi_thread(watch::run(args)),
    }
}
