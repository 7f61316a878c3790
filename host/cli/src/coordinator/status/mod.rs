//! `shardwright coordinator status`: how the coordinator is.

#[cfg(feature = "adapters")]
mod adapter;

use crate::cluster::{self, ClusterArgs};
use crate::exit::Exit;
use crate::output::{self, Format, Output, Table};
use anyhow::Context;
use clap::Args;
use serde_json::json;
use shardwright_config::ClusterConfig;
use shardwright_coordinator::{Coordinator, Store};
use shardwright_core::values::Key;
#[cfg(feature = "adapters")]
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The longest that an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Arguments of `coordinator status`.
#[derive(Args, Debug)]
#[command(after_help = "\
For an adapter, the command reads the reports of this machine's nodes from their state directories: the configured \
                        one, or those in the default place. If no node runs here, it opens the coordinator once \
                        itself.

Exit codes: 0 healthy; 1 the state could not be determined; 3 quarantined, unreachable, lost, or its node does not \
                        report.")]
pub(super) struct Status {
    #[command(flatten)]
    which: ClusterArgs,
    /// The state directory of a node of this machine; overrides the configuration
    #[cfg(feature = "adapters")]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

/// Shows how it is.
pub(super) async fn run(args: &Status) -> anyhow::Result<Exit> {
    let (config, _) = args.which.resolve()?;
    let format = args.output.format;
    #[cfg(feature = "adapters")]
    if let shardwright_config::CoordinatorConfig::Component(section) = &config.coordinator {
        return adapter::run(&config, section, args.state_dir.as_deref(), format).await;
    }
    native(&config, format).await
}

/// Whether a coordinator of the host's own answers.
async fn native(config: &ClusterConfig, format: Format) -> anyhow::Result<Exit> {
    let begun = Instant::now();
    let (kind, location) = tokio::time::timeout(PATIENCE, async {
        let coordinator = cluster::connect(config).await?;
        coordinator
            .get(&Key::Meta.to_string())
            .await
            .with_context(|| coordinator.location())?;
        anyhow::Ok((coordinator.kind().to_owned(), coordinator.location()))
    })
    .await
    .with_context(|| format!("no answer within {PATIENCE:?}"))??;
    let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    if format == Format::Json {
        output::json(&json!({ "kind": kind, "location": location, "ok": true, "answeredInMs": ms }))?;
    } else {
        let mut table = Table::new(&["KIND", "LOCATION", "STATE", "ANSWERED IN MS"]);
        table.row([kind, location, "answers".to_owned(), ms.to_string()]);
        table.print()?;
    }
    Ok(Exit::Ok)
}
