//! The canonical snapshot that a policy is asked about, built from the view.

use crate::clock::BackendClock;
use crate::plan::{self, PlanPart};
use crate::role::{Member, Placement, Replicas, RoleSpec};
use crate::snapshot::{Snapshot, SnapshotNode, SnapshotRole, SnapshotStatus, Trigger};
use crate::store::StoreTime;
use crate::time::{Instant, Timing};
use crate::view::View;
use std::collections::BTreeMap;
use xxhash_rust::xxh3::xxh3_64;

/// The nodes that count for assignments, and the local time at which one of them stops counting.
#[must_use]
pub fn members(
    view: &View,
    settings: u128,
    timing: &Timing,
    clock: &BackendClock,
    now: Instant,
) -> (Vec<SnapshotNode>, Option<Instant>) {
    let backend = clock.estimate(now);
    let mut next: Option<Instant> = None;
    let mut members = Vec::new();
    for (id, seen) in &view.sessions {
        let session = &seen.entry.value;
        let Some(info) = view.nodes.get(id).filter(|i| i.settings == settings) else {
            continue;
        };
        let status = match session.ended {
            None if info.drain => SnapshotStatus::Draining,
            None if info.cordon => SnapshotStatus::Cordoned,
            None => SnapshotStatus::Active,
            Some(ended) if !info.drain && backend.since(ended) < timing.rejoin_delay => {
                let at = clock.local(ended.plus(timing.rejoin_delay)).max(now.plus(1));
                next = Some(next.map_or(at, |n| n.min(at)));
                SnapshotStatus::Away
            }
            Some(_) => continue,
        };
        members.push(SnapshotNode {
            id: id.get(),
            hostname: session.hostname.clone(),
            status,
            zone: info.zone.clone(),
            labels: info.labels.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
            capacity: info.capacity,
            joined: session.began.0,
            assigned: 0,
        });
    }
    (members, next)
}

/// Digest of what a plan depends on: the upper half of the role and its policy, the lower half of the nodes.
///
/// A node that is away for a moment counts like one that is there: a crash alone is no reason to ask a policy.
#[must_use]
pub fn digest(role: &RoleSpec, policy: u64, members: &[SnapshotNode]) -> u64 {
    let of_role = postcard::to_stdvec(&(role, policy)).unwrap_or_default();
    let mut of_nodes = Vec::new();
    for node in members {
        let status = match node.status {
            SnapshotStatus::Away => SnapshotStatus::Active,
            status => status,
        };
        of_nodes.extend(
            postcard::to_stdvec(&(node.id, status, &node.zone, &node.labels, node.capacity)).unwrap_or_default(),
        );
    }
    // Never 0, which stands for "no plan yet".
    (xxh3_64(&of_role) & 0xffff_ffff_0000_0000) | (xxh3_64(&of_nodes) & 0xffff_ffff) | 1
}

/// The candidates of every shard among `members`: flat ids and ends, both empty if every node may own every shard.
#[must_use]
pub fn candidates(role: &RoleSpec, members: &[SnapshotNode]) -> (Vec<u32>, Vec<u32>) {
    let groups: &[Vec<Member>] = match &role.placement {
        Placement::Anywhere => return (Vec::new(), Vec::new()),
        Placement::Nodes(group) => std::slice::from_ref(group),
        Placement::Groups(groups) => groups,
    };
    let labels: Vec<BTreeMap<String, String>> = members.iter().map(|n| n.labels.iter().cloned().collect()).collect();
    let (mut ids, mut ends) = (Vec::new(), Vec::with_capacity(groups.len()));
    for group in groups {
        let start = ids.len();
        for member in group {
            for (node, labels) in members.iter().zip(&labels) {
                if member.matches(node.id, &node.zone, labels) && !ids[start..].contains(&node.id) {
                    ids.push(node.id);
                }
            }
        }
        ends.push(u32::try_from(ids.len()).unwrap_or(u32::MAX));
    }
    (ids, ends)
}

/// Builds the snapshot of one role. `parts` are the role's plan entries in order, all of the role's shape.
#[must_use]
pub fn snapshot(
    role: &RoleSpec,
    policy: u64,
    view: &View,
    mut members: Vec<SnapshotNode>,
    parts: &[&PlanPart],
    now: StoreTime,
) -> Snapshot {
    let (candidates, candidate_ends) = candidates(role, &members);
    let replicas = match role.replicas {
        Replicas::Count(n) => n.max(1),
        Replicas::Every if candidate_ends.is_empty() => u32::try_from(members.len()).unwrap_or(1).max(1),
        Replicas::Every => {
            let starts = std::iter::once(0).chain(candidate_ends.iter().copied());
            candidate_ends
                .iter()
                .zip(starts)
                .map(|(end, start)| end - start)
                .max()
                .unwrap_or(1)
                .max(1)
        }
    };
    let epoch = parts.iter().map(|p| p.epoch).max().unwrap_or(0);
    let width = replicas as usize;
    let mut previous = Vec::new();
    if epoch > 0 {
        previous.reserve(role.shards as usize * width);
        for part in parts {
            for at in 0..part.shards() {
                let row = part.row(at);
                previous.extend(row.iter().copied().chain(std::iter::repeat(0)).take(width));
            }
        }
    }
    let held = |at: &dyn Fn(&PlanPart, usize) -> u32| -> Vec<u32> {
        if epoch == 0 {
            return Vec::new();
        }
        parts
            .iter()
            .flat_map(|part| (0..part.holders.len()).map(move |i| at(part, i)))
            .collect()
    };
    let holders = held(&|part, i| part.holder(i).map_or(0, |(id, _)| id.get()));
    let targets = held(&|part, i| Some(part.target(i)).filter(|&t| t != plan::RELEASE).unwrap_or(0));
    let trigger = trigger(role, policy, parts, &members, &previous);
    let mut assigned: BTreeMap<u32, u32> = BTreeMap::new();
    for ((name, _), (_, part)) in &view.plans {
        if *name != role.name {
            for at in 0..part.holders.len() {
                if let Some((id, _)) = part.holder(at) {
                    *assigned.entry(id.get()).or_default() += 1;
                }
            }
        }
    }
    for node in &mut members {
        node.assigned = assigned.get(&node.id).copied().unwrap_or(0);
    }
    let seed = view.meta.as_ref().map_or(0, |m| {
        u64::try_from(m.value.history.0 & u128::from(u64::MAX)).unwrap_or(0)
    });
    Snapshot {
        epoch,
        now: now.0,
        seed,
        trigger,
        nodes: members,
        role: SnapshotRole {
            name: role.name.clone(),
            shards: role.shards,
            replicas,
            mode: role.mode,
            candidates,
            candidate_ends,
            previous,
            holders,
            targets,
            loads: Vec::new(),
        },
    }
}

fn trigger(role: &RoleSpec, policy: u64, parts: &[&PlanPart], members: &[SnapshotNode], previous: &[u32]) -> Trigger {
    let planned: Vec<u64> = parts.iter().map(|p| p.inputs).collect();
    if planned.iter().all(|&i| i == 0) {
        return Trigger::Start;
    }
    let present = digest(role, policy, members);
    if planned.iter().any(|i| i >> 32 != present >> 32) {
        return Trigger::Config;
    }
    if previous
        .iter()
        .any(|&id| id != 0 && members.binary_search_by_key(&id, |n| n.id).is_err())
    {
        return Trigger::Leave;
    }
    if members
        .iter()
        .any(|n| n.status == SnapshotStatus::Active && !previous.contains(&n.id))
    {
        return Trigger::Join;
    }
    Trigger::Orders
}
