//! What the host checks of a policy's plan before anything comes of it.

use crate::snapshot::{Proposal, Snapshot, SnapshotNode, SnapshotStatus};
use serde::Serialize;

/// A plan that must not be used, with the first offence found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "violation")]
pub enum Violation {
    /// Not one row for each shard.
    #[error("the plan has {found} entries, and {shards} shards × {replicas} replicas need exactly {wanted}")]
    Length {
        /// Entries found.
        found: usize,
        /// Entries needed.
        wanted: usize,
        /// Shards of the role.
        shards: u32,
        /// Width of a row.
        replicas: u32,
    },
    /// An id that no node in the snapshot has.
    #[error("shard {shard} is given to node {node}, which is not in the snapshot")]
    UnknownNode {
        /// The shard.
        shard: u32,
        /// The id.
        node: u32,
    },
    /// One node twice in a row.
    #[error("shard {shard} names node {node} twice: replicas must be distinct")]
    Repeated {
        /// The shard.
        shard: u32,
        /// The id.
        node: u32,
    },
    /// An owner after a gap: a row is filled from the front.
    #[error("shard {shard} names an owner behind an empty place: fill rows from the front")]
    Gap {
        /// The shard.
        shard: u32,
    },
    /// A node that is not a candidate.
    #[error("shard {shard} is given to node {node}, which is not among its candidates")]
    NotCandidate {
        /// The shard.
        shard: u32,
        /// The id.
        node: u32,
    },
    /// A node that may not be given shards.
    #[error("shard {shard} is given to node {node}, which {reason}")]
    Ineligible {
        /// The shard.
        shard: u32,
        /// The id.
        node: u32,
        /// Why it may not have it.
        reason: &'static str,
    },
    /// Nobody, though somebody could.
    #[error("shard {shard} has no owner, though node {node} could own it")]
    Uncovered {
        /// The shard.
        shard: u32,
        /// A node that could.
        node: u32,
    },
}

/// Checks a plan against the snapshot that it answers.
///
/// Known nodes, row lengths, distinct owners, candidates, statuses, capacities, coverage. A draining node may only stay
/// where nobody else could own the shard; a cordoned one only where it was before.
///
/// # Errors
/// The first [`Violation`].
pub fn check(snapshot: &Snapshot, plan: &Proposal) -> Result<(), Violation> {
    let role = &snapshot.role;
    let width = role.replicas as usize;
    let wanted = role.shards as usize * width;
    if plan.owners.len() != wanted || width == 0 {
        return Err(Violation::Length {
            found: plan.owners.len(),
            wanted,
            shards: role.shards,
            replicas: role.replicas,
        });
    }
    let index = Index::new(&snapshot.nodes);
    let anyone = snapshot.nodes.iter().find(|n| takes_new(n)).map(|n| n.id);
    for (shard, row) in (0u32..).zip(plan.owners.chunks_exact(width)) {
        let candidates = role.candidates_of(shard);
        if row[0] == 0 {
            let could = match candidates {
                None => anyone,
                Some(ids) => ids.iter().copied().find(|&id| index.get(id).is_some_and(takes_new)),
            };
            if let Some(node) = could {
                return Err(Violation::Uncovered { shard, node });
            }
        }
        for (at, &id) in row.iter().enumerate() {
            if id == 0 {
                continue;
            }
            if at > 0 && row[at - 1] == 0 {
                return Err(Violation::Gap { shard });
            }
            if row[..at].contains(&id) {
                return Err(Violation::Repeated { shard, node: id });
            }
            let node = index.get(id).ok_or(Violation::UnknownNode { shard, node: id })?;
            if candidates.is_some_and(|ids| !ids.contains(&id)) {
                return Err(Violation::NotCandidate { shard, node: id });
            }
            if let Some(reason) = ineligible(node, shard, &role.previous, width) {
                return Err(Violation::Ineligible {
                    shard,
                    node: id,
                    reason,
                });
            }
        }
    }
    Ok(())
}

/// Whether a node may be given a shard that it did not have.
#[must_use]
pub fn takes_new(node: &SnapshotNode) -> bool {
    node.status == SnapshotStatus::Active && node.capacity > 0
}

fn ineligible(node: &SnapshotNode, shard: u32, previous: &[u32], width: usize) -> Option<&'static str> {
    let had = || {
        let start = shard as usize * width;
        previous
            .get(start..start + width)
            .is_some_and(|row| row.contains(&node.id))
    };
    match node.status {
        _ if node.capacity == 0 => Some("has capacity 0"),
        SnapshotStatus::Cordoned if !had() => Some("is cordoned and did not have it before"),
        SnapshotStatus::Draining if !had() => Some("is draining and did not have it before"),
        _ => None,
    }
}

/// Nodes by id: an array where ids are small, which they are meant to be.
struct Index<'a> {
    nodes: &'a [SnapshotNode],
    by_id: Vec<u32>,
}

impl<'a> Index<'a> {
    fn new(nodes: &'a [SnapshotNode]) -> Self {
        let mut by_id = Vec::new();
        for (at, node) in (1u32..).zip(nodes) {
            let id = node.id as usize;
            if id < 1 << 16 {
                if by_id.len() <= id {
                    by_id.resize(id + 1, 0);
                }
                by_id[id] = at;
            }
        }
        Self { nodes, by_id }
    }

    fn get(&self, id: u32) -> Option<&'a SnapshotNode> {
        match self.by_id.get(id as usize) {
            Some(&at) => self.nodes.get((at as usize).checked_sub(1)?),
            None => self
                .nodes
                .binary_search_by_key(&id, |n| n.id)
                .ok()
                .and_then(|at| self.nodes.get(at)),
        }
    }
}
