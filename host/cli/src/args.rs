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

/// Node ids, live peers, and the answer to: which shard is mine, right now, and may I still act on it?
#[derive(Parser, Debug)]
#[command(
    name = "shardwright",
    version,
    propagate_version = true,
    after_help = "Exit codes: 0 done, 1 error, 2 usage, 3 done, and something is not as it should be, 4 refused \
                  without --force.\nColours are off with NO_COLOR set, and where the output is no terminal."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Show a cluster of real processes lose a node and recover, within a minute
    Demo(Demo),
    /// Run a node until it is told to stop
    Run(Run),
    /// Check configuration files
    Check(Check),
    /// Say whether all is well with the cluster, and what is not
    Status(Status),
    /// List the nodes, or give some of them an order
    Nodes(Nodes),
    /// List the roles, or show the shards of one
    Roles(Roles),
    /// Say who has the shard of a key
    Owner(Owner),
    /// Look at the server through which the nodes meet: does it keep its promises, is it set up well, what is said on
    /// it
    Coordinator(Coordinator),
    /// Look at assignment policies, and try them
    Policy(Policy),
    /// Make coordinator adapters, look at them, and check that they keep the contract
    Adapter(Adapter),
    /// Print the completions for a shell
    Completions(Completions),
}

#[derive(Args, Debug)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}
