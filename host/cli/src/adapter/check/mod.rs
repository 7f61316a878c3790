//! `adapter check`: the contract suite and the tests of the sandbox, on a component and its real backend.

mod answers;
mod bus;
mod lives;
mod sandbox;
mod watched;
mod way;
mod work;

use super::load::{Loaded, load};
use crate::cluster;
use crate::exit::Exit;
use crate::output::Output;
use crate::trial::{self, Scratch};
use anyhow::{Context, bail};
use clap::Args;
use sandbox::Subject;
use shardwright_components::adapter::{AdapterCoordinator, AdapterOptions};
use shardwright_config::{ComponentSection, CoordinatorConfig};
use shardwright_coordinator::broker::Password;
use shardwright_coordinator::suite::{self, Row};
use shardwright_coordinator::{Coordinator, Namespace, Secret, protect};
use std::path::PathBuf;
use std::sync::Arc;
use watched::{Complaints, Watched};
use way::Way;

/// Arguments of `adapter check`.
#[derive(Args, Debug)]
#[command(after_help = "\
This is the suite that Shardwright's native backends pass. It uses temporary namespaces (suite-…) and removes them \
                        afterwards. With --config-json, the adapter gets every grant that it requires.

Exit codes: 0 every promise is kept; 1 the adapter could not be checked; 3 a promise is broken.")]
pub(super) struct Check {
    /// The component's file
    #[arg(value_name = "FILE")]
    adapter: PathBuf,
    /// A configuration whose coordinator is of type component; FILE replaces its `adapter` or `path`
    #[arg(
        short,
        long,
        value_name = "CLUSTER.toml",
        required_unless_present = "config_json",
        conflicts_with = "config_json"
    )]
    config: Option<PathBuf>,
    /// The adapter's configuration, a JSON object
    #[arg(long, value_name = "JSON")]
    config_json: Option<String>,
    /// Use fewer writers, keys and messages: seconds instead of a minute
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    output: Output,
}

/// Checks it.
pub(super) fn run(args: &Check) -> anyhow::Result<Exit> {
    // Compiling an adapter with a language's runtime takes seconds, before there is anything to interrupt.
    let (loaded, options, secret) = crate::run_current_thread(prepare(args))?;
    let component = loaded.component.clone();
    let complaints = Complaints::default();
    let (opened, opening, told) = (component.clone(), options.clone(), complaints.clone());
    let scratch = Arc::new(Scratch::new(move |space: Namespace| {
        let (component, options, secret, complaints) = (opened.clone(), opening.clone(), secret.clone(), told.clone());
        Box::pin(async move {
            let secret = secret.as_deref().map(Secret::new).transpose()?;
            let inner = AdapterCoordinator::open(component, options, space.clone()).await?;
            let backend = Arc::new(Watched { inner, complaints });
            Ok(protect(backend, &space, secret.as_ref()) as Arc<dyn Coordinator>)
        })
    }));
    let subject = Subject {
        loaded,
        options,
        scratch: scratch.clone(),
        complaints,
        quick: args.quick,
    };
    let work = async move {
        // First: without a backend there is nothing to find out.
        let mut findings = trial::examine(subject.scratch.clone(), subject.quick).await?;
        let disturbed = disturbed(&subject).await;
        for row in &mut findings.report.rows {
            if let Some(disturbed) = disturbed.iter().find(|disturbed| disturbed.name == row.name) {
                *row = disturbed.clone();
            }
        }
        findings.report.rows.extend(subject.rows().await);
        Ok(findings)
    };
    trial::conduct(&scratch, work, args.output.format)
}

/// The check of the suite that has the backend disturbed, with connections that can be cut.
async fn disturbed(subject: &Subject) -> Vec<Row> {
    let way = Way::default();
    let (component, scratch) = (subject.component(), subject.scratch.clone());
    let options = AdapterOptions {
        detour: Some(way.detour()),
        ..subject.options.clone()
    };
    let factory = suite::factory(move |space: Namespace| {
        scratch.note(&space);
        AdapterCoordinator::open(component.clone(), options.clone(), space)
    });
    let options = suite::Options {
        disturb: Some(way.disturb()),
        ..suite::Options::default()
    };
    suite::run_some(&factory, options, |check| check == "reconnect")
        .await
        .rows
}

/// The adapter, what it is opened with, and the cluster's secret.
async fn prepare(args: &Check) -> anyhow::Result<(Loaded, AdapterOptions, Option<String>)> {
    let loaded = load(&args.adapter).await?;
    if let Some(json) = &args.config_json {
        let mut options = AdapterOptions::new("check", Password::new(json.clone()));
        let required = loaded.component.requires(&options.config).await;
        options.grants = required.context("--config-json")?;
        return Ok((loaded, options, None));
    }
    let path = args.config.as_deref().context("--config or --config-json is needed")?;
    let config = cluster::load(path)?;
    let section = section(&config.coordinator).with_context(|| path.display().to_string())?;
    let options = shardwright::backend::adapter_options(section)?;
    Ok((loaded, options, config.secret.map(|secret| secret.expose().to_owned())))
}

fn section(coordinator: &CoordinatorConfig) -> anyhow::Result<&ComponentSection> {
    match coordinator {
        CoordinatorConfig::Component(section) => Ok(section),
        other => bail!(
            "its coordinator is of type \"{}\": name a configuration whose coordinator is of type \"component\", or \
             use --config-json",
            other.kind()
        ),
    }
}
