//! What a policy is asked, in its simplest form: shared by the tests of snapshots, of the check and of the native
//! policy.

use shardwright_core::role::Mode;
use shardwright_core::snapshot::{Snapshot, SnapshotNode, SnapshotRole, SnapshotStatus, Trigger};

pub(crate) fn node(id: u32, status: SnapshotStatus, capacity: u32) -> SnapshotNode {
    SnapshotNode {
        id,
        hostname: format!("host-{id}"),
        status,
        zone: String::new(),
        labels: Vec::new(),
        capacity,
        joined: 0,
        assigned: 0,
    }
}

/// A role that nobody has had before, on these nodes.
pub(crate) fn snapshot(nodes: impl IntoIterator<Item = SnapshotNode>, shards: u32, replicas: u32) -> Snapshot {
    Snapshot {
        epoch: 1,
        now: 0,
        seed: 1,
        trigger: Trigger::Join,
        nodes: nodes.into_iter().collect(),
        role: SnapshotRole {
            name: "r".to_owned(),
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
