//! The command line.

use crate::adapter::Adapter;
use crate::check::Check;
use crate::coordinator::Coordinator;
use crate::demo::Demo;
use crate::nodes::Nodes;
use crate::policy::Policy;
use crate::roles::{Owner, Roles};
use crate::run::Run;
use crate::status::Status;
use clap::{Args, Parser, Subcommand};

/// Coordinate the nodes of a clustered server: node ids, liveness, and ownership of shards
#[derive(Parser, Debug)]
#[command(
    name = "shardwright",
    version,
    propagate_version = true,
    after_help = "Exit codes: 0 completed, 1 error, 2 usage, 3 completed and a problem was found, 4 refused without \
                  --force.\nColours are disabled if NO_COLOR is set or the output is not a terminal."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Demonstrate a takeover with a cluster of real processes, within a minute
    Demo(Demo),
    /// Run a node until it receives SIGTERM or SIGINT
    Run(Run),
    /// Check configuration files
    Check(Check),
    /// Show the health of the cluster, and every problem with its remedy
    Status(Status),
    /// List the nodes, or drain, cordon and forget some of them
    Nodes(Nodes),
    /// List the roles, or show the shards of a role
    Roles(Roles),
    /// Show the owner of a key's shard
    Owner(Owner),
    /// Inspect and verify the coordinator backend
    Coordinator(Coordinator),
    /// Inspect and test assignment policies
    Policy(Policy),
    /// Create, build, inspect and verify coordinator adapters
    Adapter(Adapter),
    /// Print the completion script for a shell
    Completions(Completions),
}

#[derive(Args, Debug)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}
