//! `shardwright policy`: looks at assignment policies, and tries them.

mod assign;
mod inspect;
mod list;
mod snapshot;

use crate::exit::Exit;
use anyhow::Context;
use clap::{Args, Subcommand};
use shardwright_components::{Budget, PolicyComponent, PolicyEngine, bundled};
use std::path::Path;

/// The largest component that is read: what the loader accepts.
const MAX_FILE: u64 = 64 << 20;

/// Arguments of `policy`.
#[derive(Args, Debug)]
pub(crate) struct Policy {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// List the bundled policies and those of a configuration
    List(list::List),
    /// Show the metadata of a policy component, or why a file is not a policy
    Inspect(inspect::Inspect),
    /// Run a policy on a snapshot, and check its plan
    Assign(assign::Assign),
}

/// Runs one of the policy commands.
pub(crate) fn run(args: &Policy) -> anyhow::Result<Exit> {
    match &args.command {
        Command::List(args) => list::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Assign(args) => assign::run(args),
    }
}

/// The bytes of the bundled policy of this name, or of the file.
fn bytes(name: &str) -> anyhow::Result<Vec<u8>> {
    match bundled::find(name) {
        Some(policy) => Ok(policy.bytes.to_vec()),
        None => read(Path::new(name)).with_context(|| {
            let names: Vec<_> = bundled::ALL.iter().map(|policy| policy.name).collect();
            format!(
                "cannot read {name}: name a component's file, or a bundled policy: {}",
                names.join(", ")
            )
        }),
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    Ok(shardwright_files::read(path, MAX_FILE)?)
}

fn load(bytes: &[u8], budget: &Budget) -> anyhow::Result<PolicyComponent> {
    Ok(PolicyComponent::load(&PolicyEngine::new(None)?, bytes, budget)?)
}
