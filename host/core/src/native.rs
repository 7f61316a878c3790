//! The host's own policy: what assigns shards while no component can, and who stands in for a dead owner.
//!
//! Deliberately plain. It keeps every owner that may stay up to its fair share, and gives the rest to the least loaded
//! candidates; ties fall by rendezvous hashing (Thaler and Ravishankar, 1998).

use crate::check::takes_new;
use crate::snapshot::{Proposal, Snapshot, SnapshotNode, SnapshotStatus, Unplaced};
use std::collections::BTreeMap;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A plan that passes [`crate::check::check`]: by preference where each shard lists its candidates, by quota otherwise.
#[must_use]
pub fn assign(snapshot: &Snapshot) -> Proposal {
    let role = &snapshot.role;
    let width = role.replicas as usize;
    let nodes: BTreeMap<u32, &SnapshotNode> = snapshot.nodes.iter().map(|n| (n.id, n)).collect();
    let mut plan = Proposal {
        owners: vec![0; role.shards as usize * width],
        unplaced: Vec::new(),
    };
    let mut count: BTreeMap<u32, u32> = BTreeMap::new();
    let capacity: u64 = snapshot
        .nodes
        .iter()
        .filter(|n| stays(n))
        .map(|n| u64::from(n.capacity))
        .sum();
    let share = |n: &SnapshotNode| (u64::from(role.shards) * u64::from(n.capacity)).div_ceil(capacity.max(1));

    for shard in 0..role.shards {
        let start = shard as usize * width;
        let candidates = role.candidates_of(shard);
        let preferred = candidates.filter(|_| role.candidate_ends.len() == role.shards as usize);
        let may = |id: u32| candidates.is_none_or(|ids| ids.contains(&id));
        let mut row: Vec<u32> = Vec::with_capacity(width);
        match preferred {
            // A listed order is the operator's preference: it decides alone.
            Some(ids) => {
                for &id in ids {
                    if !row.contains(&id)
                        && nodes
                            .get(&id)
                            .is_some_and(|n| stays(n) && n.status != SnapshotStatus::Cordoned)
                    {
                        row.push(id);
                    }
                }
                row.truncate(width);
            }
            None => {
                let previous = role
                    .previous
                    .get(start..start + width)
                    .unwrap_or_default()
                    .iter()
                    .copied();
                let kept: Vec<u32> = previous
                    .filter(|&id| may(id) && nodes.get(&id).is_some_and(|n| stays(n)))
                    .collect();
                let best = |row: &[u32], count: &BTreeMap<u32, u32>| {
                    let free = snapshot
                        .nodes
                        .iter()
                        .filter(|n| takes_new(n) && may(n.id) && !row.contains(&n.id));
                    let load = |n: &SnapshotNode| {
                        u64::from(count.get(&n.id).copied().unwrap_or(0)) * 1_000 / u64::from(n.capacity)
                    };
                    let rank = |n: &&SnapshotNode| (load(n), std::cmp::Reverse(affinity(snapshot.seed, shard, n.id)));
                    free.min_by_key(rank).map(|n| n.id)
                };
                // Whoever is within its quota stays primary. One that is not remains as a standby.
                let within = |id: &&u32| u64::from(count.get(id).copied().unwrap_or(0)) < share(nodes[*id]);
                let primary = kept.iter().find(within).copied();
                if let Some(primary) = primary.or_else(|| best(&[], &count)).or(kept.first().copied()) {
                    *count.entry(primary).or_default() += 1;
                    row.push(primary);
                }
                for id in kept {
                    if !row.contains(&id) {
                        row.push(id);
                    }
                }
                row.truncate(width);
                while let Some(id) = Some(row.len())
                    .filter(|len| *len < width)
                    .and_then(|_| best(&row, &count))
                {
                    row.push(id);
                }
            }
        }
        if row.is_empty() {
            plan.unplaced.push(Unplaced {
                shard,
                reason: "no node that may own it is there".to_owned(),
            });
        }
        plan.owners[start..start + row.len()].copy_from_slice(&row);
    }
    plan
}

/// Whether a node may keep what it has.
fn stays(node: &SnapshotNode) -> bool {
    node.capacity > 0 && node.status != SnapshotStatus::Draining
}

/// How much a shard likes a node: the highest wins, and stays the winner whoever else comes or goes.
#[must_use]
pub fn affinity(seed: u64, shard: u32, node: u32) -> u64 {
    let mut key = [0; 8];
    key[..4].copy_from_slice(&shard.to_le_bytes());
    key[4..].copy_from_slice(&node.to_le_bytes());
    xxh3_64_with_seed(&key, seed)
}
