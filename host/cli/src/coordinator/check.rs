//! `shardwright coordinator check`: the contract suite, run against the configured server.

use crate::cluster::{self, ClusterArgs};
use crate::exit::Exit;
use crate::output::Output;
use crate::trial::{self, Scratch};
use clap::Args;
use shardwright_coordinator::Coordinator;
use std::sync::Arc;

/// Arguments of `coordinator check`.
#[derive(Args, Debug)]
#[command(after_help = "\
The checks use temporary namespaces (suite-…) and remove them afterwards; the cluster's own namespace is not touched. \
                        The configured user needs permission for them. The check that requires a restart of the \
                        server is skipped.

Exit codes: 0 the backend keeps the contract; 1 it could not be checked; 3 it breaks the contract.")]
pub(super) struct Check {
    #[command(flatten)]
    which: ClusterArgs,
    /// Use fewer writers, keys and messages: seconds instead of a minute
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    output: Output,
}

/// Checks the server.
pub(super) fn run(args: &Check) -> anyhow::Result<Exit> {
    let (config, _) = args.which.resolve()?;
    let scratch = Arc::new(Scratch::new(move |space| {
        let mut config = config.clone();
        config.name = space.as_str().to_owned();
        Box::pin(async move { Ok(cluster::connect(&config).await? as Arc<dyn Coordinator>) })
    }));
    trial::conduct(
        &scratch,
        trial::examine(scratch.clone(), args.quick),
        args.output.format,
    )
}
