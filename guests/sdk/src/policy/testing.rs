//! For the tests of policies: small snapshots, and the checks that the host makes of a plan.

use crate::{Members, Mode, Proposal, Snapshot, SnapshotNode, SnapshotRole, SnapshotStatus, Trigger};

/// An active node of capacity 100, without zone or labels.
#[must_use]
pub fn node(id: u32) -> SnapshotNode {
    SnapshotNode {
        id,
        hostname: format!("node-{id}"),
        status: SnapshotStatus::Active,
        zone: String::new(),
        labels: Vec::new(),
        capacity: 100,
        joined: 0,
        assigned: 0,
    }
}

/// A role of so many shards and replicas in mode `primary`, not assigned yet, that any of `nodes` may own.
#[must_use]
pub fn snapshot(shards: u32, replicas: u32, nodes: impl IntoIterator<Item = SnapshotNode>) -> Snapshot {
    Snapshot {
        epoch: 0,
        now: 1_700_000_000_000,
        seed: 42,
        trigger: Trigger::Start,
        nodes: nodes.into_iter().collect(),
        role: SnapshotRole {
            name: "role".into(),
            shards,
            replicas,
            mode: Mode::Primary,
            candidates: Vec::new(),
            candidate_ends: Vec::new(),
            previous: Vec::new(),
            holders: Vec::new(),
            targets: Vec::new(),
            loads: Vec::new(),
        },
    }
}

/// What the host checks of a plan: see `assign` in `wit/policy`.
///
/// # Errors
/// The first offence.
pub fn check(snapshot: &Snapshot, plan: &Proposal) -> Result<(), String> {
    let role = &snapshot.role;
    let width = role.replicas as usize;
    if plan.owners.len() != role.shards as usize * width {
        return Err(format!("{} owners for {} × {width}", plan.owners.len(), role.shards));
    }
    let lookup = Members::new(snapshot.nodes.iter().map(|node| node.id));
    let find = |id: u32| snapshot.nodes.get(lookup.position(id) as usize);
    let active = |id: u32| find(id).is_some_and(|node| node.status == SnapshotStatus::Active && node.capacity > 0);
    for (shard, row) in (0..).zip(plan.owners.chunks_exact(width)) {
        let owners = row.iter().position(|&id| id == 0).unwrap_or(width);
        let start = shard as usize * width;
        let had = role.previous.get(start..start + width).unwrap_or_default();
        if row[owners..].iter().any(|&id| id != 0) {
            return Err(format!("shard {shard}: an owner after an empty place in {row:?}"));
        }
        for (place, &id) in row[..owners].iter().enumerate() {
            let node = find(id).ok_or(format!("shard {shard}: there is no node {id}"))?;
            let settled = matches!(node.status, SnapshotStatus::Cordoned | SnapshotStatus::Draining);
            if row[..place].contains(&id) {
                return Err(format!("shard {shard}: node {id} twice"));
            }
            if node.capacity == 0 || settled && !had.contains(&id) {
                return Err(format!("shard {shard}: node {id} must not be given it"));
            }
            if role.candidates_of(shard).is_some_and(|ids| !ids.contains(&id)) {
                return Err(format!("shard {shard}: node {id} is no candidate"));
            }
        }
        let could = match role.candidates_of(shard) {
            Some(ids) => ids.iter().any(|&id| active(id)),
            None => snapshot.nodes.iter().any(|node| active(node.id)),
        };
        if owners == 0 && could {
            return Err(format!("shard {shard}: no owner, though there are candidates"));
        }
        if (owners == 0) != plan.unplaced.iter().any(|unplaced| unplaced.shard == shard) {
            return Err(format!("shard {shard}: unplaced and owned, or neither"));
        }
    }
    Ok(())
}

/// How many places each node has, and how many of them as primary; in the order of the snapshot.
#[must_use]
pub fn loads(snapshot: &Snapshot, plan: &Proposal) -> Vec<(u32, u32)> {
    let lookup = Members::new(snapshot.nodes.iter().map(|node| node.id));
    let mut loads = vec![(0, 0); snapshot.nodes.len()];
    for row in plan.owners.chunks_exact(snapshot.role.replicas.max(1) as usize) {
        for (place, &id) in row.iter().enumerate() {
            if let Some((all, primary)) = loads.get_mut(lookup.position(id) as usize) {
                *all += 1;
                *primary += u32::from(place == 0);
            }
        }
    }
    loads
}

/// How many places of `after` have an owner that the same shard had not before: what has to move. Change of roles does
/// not count.
#[must_use]
pub fn moves(before: &[u32], after: &[u32], replicas: u32) -> usize {
    let width = replicas.max(1) as usize;
    let rows = before.chunks_exact(width).zip(after.chunks_exact(width));
    rows.map(|(before, after)| after.iter().filter(|&&id| id != 0 && !before.contains(&id)).count())
        .sum()
}
