//! What a component may answer, against what the host must let pass.

use arbitrary::{Arbitrary, Unstructured};
use shardwright_core::check::{Violation, check};
use shardwright_core::role::Mode;
use shardwright_core::snapshot::{Proposal, Snapshot, SnapshotNode, SnapshotRole, SnapshotStatus, Trigger};
use std::collections::BTreeMap;

/// A small question, and an answer to it.
#[derive(Arbitrary, Debug)]
struct Case {
    /// Status and capacity of each node, by id; the ids are far apart if asked for.
    nodes: [Option<(u8, u8)>; 5],
    far: bool,
    shards: u8,
    replicas: u8,
    candidates: Option<Vec<Vec<u8>>>,
    previous: Option<Vec<u8>>,
    owners: Vec<u8>,
    /// Makes the answer as long as it must be.
    fits: bool,
}

impl Case {
    fn id(&self, number: u8) -> u32 {
        let id = u32::from(number % 8);
        if self.far && id > 3 { id << 24 } else { id }
    }

    fn snapshot(&self) -> Snapshot {
        let (shards, replicas) = (u32::from(self.shards % 5) + 1, u32::from(self.replicas % 3) + 1);
        let node = |(at, (status, capacity)): (u8, (u8, u8))| SnapshotNode {
            id: self.id(at),
            hostname: format!("mail-{at}"),
            status: match status % 4 {
                0 => SnapshotStatus::Active,
                1 => SnapshotStatus::Away,
                2 => SnapshotStatus::Cordoned,
                _ => SnapshotStatus::Draining,
            },
            zone: String::new(),
            labels: Vec::new(),
            capacity: u32::from(capacity % 3) * 100,
            joined: 0,
            assigned: 0,
        };
        let (mut candidates, mut candidate_ends) = (Vec::new(), Vec::new());
        if let Some(lists) = self.candidates.as_deref().filter(|lists| !lists.is_empty()) {
            let one_for_all = lists.len() == 1;
            for shard in 0..if one_for_all { 1 } else { shards as usize } {
                candidates.extend(lists[shard % lists.len()].iter().map(|number| self.id(*number)));
                candidate_ends.push(candidates.len() as u32);
            }
        }
        Snapshot {
            epoch: 1,
            now: 1_700_000_000_000,
            seed: 9,
            trigger: Trigger::Manual,
            nodes: (1..)
                .zip(self.nodes)
                .filter_map(|(at, node)| Some((at, node?)))
                .map(node)
                .collect(),
            role: SnapshotRole {
                name: "purge.accounts".into(),
                shards,
                replicas,
                mode: Mode::Primary,
                candidates,
                candidate_ends,
                previous: self
                    .previous
                    .as_ref()
                    .map_or_else(Vec::new, |ids| self.row(ids, shards * replicas)),
                holders: Vec::new(),
                targets: Vec::new(),
                loads: Vec::new(),
            },
        }
    }

    fn row(&self, numbers: &[u8], length: u32) -> Vec<u32> {
        (0..length as usize)
            .map(|at| self.id(numbers.get(at).copied().unwrap_or(0)))
            .collect()
    }
}

/// The host takes an answer exactly if each of its rules holds, and says of every other at which shard it offends.
pub(crate) fn answer(data: &[u8]) {
    let Ok(case) = Case::arbitrary_take_rest(Unstructured::new(data)) else {
        return;
    };
    let snapshot = case.snapshot();
    assert_eq!(snapshot.contradiction(), None);
    let wanted = snapshot.role.shards * snapshot.role.replicas;
    let length = if case.fits { wanted } else { case.owners.len() as u32 };
    let plan = Proposal {
        owners: case.row(&case.owners, length),
        unplaced: Vec::new(),
    };
    match check(&snapshot, &plan) {
        Ok(()) => assert_eq!(offence(&snapshot, &plan.owners), None),
        Err(violation) => {
            let offence = offence(&snapshot, &plan.owners);
            assert!(offence.is_some(), "{violation}");
            let told = violation.to_string();
            let names_shard = (0..snapshot.role.shards).any(|shard| told.contains(&format!("shard {shard}")));
            assert!(names_shard || matches!(violation, Violation::Length { .. }), "{told}");
        }
    }
}

/// The rules again, one after the other, with no thought of speed.
fn offence(snapshot: &Snapshot, owners: &[u32]) -> Option<&'static str> {
    let role = &snapshot.role;
    let width = role.replicas as usize;
    if owners.len() != role.shards as usize * width {
        return Some("length");
    }
    let nodes: BTreeMap<u32, &SnapshotNode> = snapshot.nodes.iter().map(|node| (node.id, node)).collect();
    let new = |id: &u32| {
        nodes
            .get(id)
            .is_some_and(|node| node.status == SnapshotStatus::Active && node.capacity > 0)
    };
    for (shard, row) in (0..).zip(owners.chunks_exact(width)) {
        let everyone: Vec<u32> = nodes.keys().copied().collect();
        let candidates = role.candidates_of(shard).unwrap_or(&everyone);
        let had = role
            .previous
            .chunks_exact(width)
            .nth(shard as usize)
            .unwrap_or_default();
        let named: Vec<u32> = row.iter().copied().take_while(|id| *id != 0).collect();
        if row[named.len()..].iter().any(|id| *id != 0) {
            return Some("gap");
        }
        if named.is_empty() && candidates.iter().any(new) {
            return Some("nobody");
        }
        for (at, id) in named.iter().enumerate() {
            let Some(node) = nodes.get(id) else {
                return Some("unknown");
            };
            if named[..at].contains(id) {
                return Some("twice");
            }
            if !candidates.contains(id) {
                return Some("no candidate");
            }
            let stays = matches!(node.status, SnapshotStatus::Active | SnapshotStatus::Away) || had.contains(id);
            if node.capacity == 0 || !stays {
                return Some("not eligible");
            }
        }
    }
    None
}
