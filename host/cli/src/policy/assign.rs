//! `policy assign`: asks a policy about a snapshot, and says what the host would make of its answer.

use crate::exit::Exit;
use crate::output;
use anyhow::Context;
use clap::Args;
use serde::Serialize;
use shardwright_components::Budget;
use shardwright_core::check::{self, Violation};
use shardwright_core::snapshot::{Answer, Proposal, Snapshot};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

#[derive(Args, Debug)]
pub(super) struct Assign {
    /// A component's file, or the name of a bundled policy
    policy: String,
    /// The snapshot as JSON, `-` for stdin; see docs/schema/snapshot.schema.json
    #[arg(short, long, value_name = "FILE")]
    snapshot: PathBuf,
    /// The policy's configuration, a JSON object
    #[arg(long, value_name = "JSON", default_value = "{}")]
    config_json: String,
}

/// What is printed: docs/schema/plan.schema.json.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Judged {
    policy: Asked,
    answer: Answer,
    /// Whether the host would use it.
    accepted: bool,
    /// The first offence, if there is one.
    violation: Option<Offence>,
    /// What would change, compared with `previous`; absent without a plan or without previous owners.
    moves: Option<Moves>,
    /// What each node would have; empty without a plan.
    balance: Vec<Share>,
}

#[derive(Serialize)]
struct Asked {
    name: String,
    version: String,
    digest: String,
}

#[derive(Serialize)]
struct Offence {
    #[serde(flatten)]
    violation: Violation,
    message: String,
}

/// Differences between the plan and the previous owners.
#[derive(Serialize)]
struct Moves {
    /// Shards whose first owner is another.
    primaries: u32,
    /// Places given to a node that did not own the shard before.
    owners: u32,
}

/// What one node would have.
#[derive(Serialize)]
struct Share {
    node: u32,
    capacity: u32,
    primaries: u32,
    owners: u32,
}

pub(super) fn run(args: &Assign) -> anyhow::Result<Exit> {
    let bytes = super::bytes(&args.policy)?;
    let snapshot = super::snapshot::read(&args.snapshot)?;
    let policy = super::load(&bytes, &Budget::default()).with_context(|| format!("{} is refused", args.policy))?;
    policy
        .validate(&args.config_json)
        .context("the policy does not take this --config-json")?;
    let answer = policy
        .assign_twice(&args.config_json, &snapshot)
        .context("the policy gave no answer")?;
    let plan = match &answer {
        Answer::Plan(plan) => Some(plan),
        Answer::KeepPrevious | Answer::RetryAfter(_) => None,
    };
    let violation = plan.and_then(|plan| check::check(&snapshot, plan).err());
    let is = policy.describe();
    let judged = Judged {
        policy: Asked {
            name: is.name.clone(),
            version: is.version.clone(),
            digest: format!("sha256:{}", policy.digest()),
        },
        accepted: violation.is_none(),
        moves: plan.and_then(|plan| moves(&snapshot, plan)),
        balance: plan.map_or_else(Vec::new, |plan| balance(&snapshot, plan)),
        violation: violation.map(|violation| Offence {
            message: violation.to_string(),
            violation,
        }),
        answer,
    };
    output::json(&judged)?;
    Ok(if judged.accepted { Exit::Ok } else { Exit::Error })
}

fn moves(snapshot: &Snapshot, plan: &Proposal) -> Option<Moves> {
    let previous = &snapshot.role.previous;
    if previous.is_empty() || previous.len() != plan.owners.len() {
        return None;
    }
    let width = snapshot.role.replicas as usize;
    let mut moves = Moves {
        primaries: 0,
        owners: 0,
    };
    for (before, after) in previous.chunks_exact(width).zip(plan.owners.chunks_exact(width)) {
        moves.primaries += u32::from(before[0] != after[0] && after[0] != 0);
        let had: BTreeSet<u32> = before.iter().copied().collect();
        moves.owners += after
            .iter()
            .filter(|&&id| id != 0 && !had.contains(&id))
            .map(|_| 1)
            .sum::<u32>();
    }
    Some(moves)
}

fn balance(snapshot: &Snapshot, plan: &Proposal) -> Vec<Share> {
    let width = snapshot.role.replicas as usize;
    let mut shares: BTreeMap<u32, Share> = BTreeMap::new();
    for node in &snapshot.nodes {
        shares.insert(
            node.id,
            Share {
                node: node.id,
                capacity: node.capacity,
                primaries: 0,
                owners: 0,
            },
        );
    }
    for (at, id) in plan.owners.iter().enumerate() {
        if let Some(share) = shares.get_mut(id) {
            share.owners += 1;
            share.primaries += u32::from(at % width == 0);
        }
    }
    shares.into_values().collect()
}
