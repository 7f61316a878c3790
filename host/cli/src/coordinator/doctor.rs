//! `shardwright coordinator doctor`: how the server is set up, and what to change.

use crate::cluster::{self, ClusterArgs};
use crate::exit::Exit;
use crate::output::{self, Format, Output, Table, line, plain};
use clap::Args;
use serde_json::json;
use shardwright::backend::BackendError;
use shardwright_config::ClusterConfig;
use shardwright_coordinator::broker::BrokerError;
use shardwright_coordinator::{Coordinator, Finding, MarginError, Verdict};
use std::time::Duration;

/// Arguments of `coordinator doctor`.
#[derive(Args, Debug)]
#[command(
    after_help = "Exit codes: 0 safe, possibly with warnings; 1 the backend could not be queried; 3 a setting is \
                  unsafe."
)]
pub(super) struct Doctor {
    #[command(flatten)]
    which: ClusterArgs,
    #[command(flatten)]
    output: Output,
}

/// Examines the server.
pub(super) async fn run(args: &Doctor) -> anyhow::Result<Exit> {
    let (config, _) = args.which.resolve()?;
    let (kind, location, findings) = match cluster::connect(&config).await {
        Ok(coordinator) => {
            let mut findings = coordinator.examine().await;
            findings.push(margin(&config, &*coordinator));
            (coordinator.kind().to_owned(), coordinator.location(), findings)
        }
        Err(error) => {
            let (location, findings) = refused(error)?;
            (config.coordinator.kind().to_owned(), location, findings)
        }
    };
    let worst = findings.iter().map(|finding| finding.verdict).max();
    if args.output.format == Format::Json {
        output::json(&json!({
            "kind": kind,
            "location": location,
            "ok": worst != Some(Verdict::Bad),
            "findings": findings.iter().map(|finding| json!({
                "name": finding.name,
                "verdict": word(finding.verdict),
                "found": finding.detail,
                "remedy": finding.remedy,
            })).collect::<Vec<_>>(),
        }))?;
    } else {
        line(&format!("{kind} at {location}\n"))?;
        show(&findings)?;
    }
    Ok(if worst == Some(Verdict::Bad) {
        Exit::Unhealthy
    } else {
        Exit::Ok
    })
}

/// Whether the cluster's safety distance covers by how much the server's times may be wrong.
fn margin(config: &ClusterConfig, coordinator: &dyn Coordinator) -> Finding {
    let (margin, uncertainty) = (
        Duration::from_millis(config.timing.margin),
        coordinator.clock_uncertainty(),
    );
    match MarginError::check(margin, uncertainty, || coordinator.location()) {
        Ok(()) => Finding::good(
            "margin",
            format!("{margin:?}, and its times may be wrong by {uncertainty:?}"),
        ),
        Err(error) => {
            let found = format!("{margin:?}, but its times may be wrong by {uncertainty:?}: nodes refuse it");
            Finding::bad("margin", found, error.remedy())
        }
    }
}

/// What the backend found when it was opened, if that is why it was not. Anything else is an error: nobody could be
/// asked.
fn refused(error: anyhow::Error) -> anyhow::Result<(String, Vec<Finding>)> {
    match error.downcast::<BackendError>()? {
        BackendError::Broker {
            error: BrokerError::Unsafe { location, why },
            ..
        } => Ok((
            location,
            vec![Finding::bad(
                "safety",
                "not safe to coordinate with, so nodes refuse it",
                why,
            )],
        )),
        other => Err(other.into()),
    }
}

fn show(findings: &[Finding]) -> anyhow::Result<()> {
    let mut table = Table::new(&["WHAT", "VERDICT", "FOUND"]);
    for finding in findings {
        table.row([
            finding.name.clone().into_owned(),
            word(finding.verdict).to_uppercase(),
            finding.detail.clone(),
        ]);
    }
    table.print()?;
    let remedies: Vec<_> = findings
        .iter()
        .filter_map(|finding| Some(format!("  {}: {}", finding.name, plain(finding.remedy.as_ref()?))))
        .collect();
    if !remedies.is_empty() {
        line(&format!("\nWhat to do:\n{}", remedies.join("\n")))?;
    }
    Ok(())
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Good => "good",
        Verdict::Warning => "warning",
        Verdict::Bad => "bad",
    }
}
