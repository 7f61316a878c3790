//! `shardwright status`: whether all is well with a cluster, on one screen and in one exit code.

mod problems;
mod report;
mod screen;
mod settings;
#[cfg(test)]
mod test;
mod why;

use crate::cluster::{Cluster, ClusterArgs};
use crate::exit::Exit;
use crate::output::{self, Format, Output};
use anyhow::Context;
use clap::Args;
use report::Report;
use shardwright_config::CoordinatorConfig;
use std::time::{Duration, Instant};

/// The longest that the coordinator is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Arguments of `status`.
#[derive(Args, Debug)]
#[command(after_help = "\
docs/operating.md describes the output of -o json.

Exit codes: 0 healthy; 1 the configuration or the cluster does not exist; 3 a problem was found: the coordinator does \
                        not answer, there is no leader, a shard has no acting node, a policy fails, a node is lost \
                        or has different settings, or a grace period is in progress.")]
pub(crate) struct Status {
    #[command(flatten)]
    which: ClusterArgs,
    #[command(flatten)]
    output: Output,
}

/// That nothing came, and what that may mean.
fn overdue(coordinator: &CoordinatorConfig) -> String {
    let seconds = PATIENCE.as_secs();
    match coordinator {
        CoordinatorConfig::Sqlite { path: Some(path) } => format!(
            "no answer within {seconds} s: another process may hold the lock of {0}, a node that hangs for one: find \
             it with `fuser {0}`",
            path.display()
        ),
        _ => format!("no answer within {seconds} s"),
    }
}

/// Shows how the cluster is.
pub(crate) async fn run(args: &Status) -> anyhow::Result<Exit> {
    let (config, _) = args.which.resolve()?;
    let asked = tokio::time::timeout(PATIENCE, async {
        let cluster = Cluster::open(&args.which).await?;
        let begun = Instant::now();
        cluster.ping().await?;
        anyhow::Ok((cluster, begun.elapsed()))
    });
    let asked = asked
        .await
        .unwrap_or_else(|_| Err(anyhow::anyhow!(overdue(&config.coordinator))));
    let report = match asked {
        Ok((cluster, latency)) => {
            let sight = tokio::time::timeout(PATIENCE, cluster.look()).await;
            let sight = sight.with_context(|| overdue(&config.coordinator))??;
            Report::of(&cluster, &sight, latency)
        }
        Err(error) => Report::silent(&config, &format!("{error:#}")),
    };
    match args.output.format {
        Format::Json => output::json(&report)?,
        Format::Table | Format::Wide => screen::show(&report)?,
    }
    Ok(if report.ok { Exit::Ok } else { Exit::Unhealthy })
}
