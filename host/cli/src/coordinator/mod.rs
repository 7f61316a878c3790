//! `shardwright coordinator`: a look at the server behind the cluster. Does it keep the contract, is it set up well,
//! what is said on it?

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
    /// Run the contract suite against the server, in scratch namespaces that are removed again
    Check(check::Check),
    /// Look at how the server is set up: version, safety of its settings, clock, round trips
    Doctor(doctor::Doctor),
    /// Show how it is: for an adapter what the nodes of this machine say of it, for any other whether it answers
    Status(status::Status),
    /// Put a newer component of an adapter in the place of the configured one, after a trial
    #[cfg(feature = "adapters")]
    Upgrade(upgrade::Upgrade),
    /// Show what is said on the bus, and what got lost there
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
