//! What the tests share: the hostile guest, and snapshots in the host's and the guests' types.
#![allow(dead_code, reason = "each test uses a part of it")]

use shardwright_core::role::Mode;
use shardwright_core::snapshot as host;
use shardwright_guest as guest;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

/// The component of `guests/hostile`, built from source once for each test program.
pub(crate) fn hostile() -> &'static [u8] {
    static BUILT: OnceLock<Vec<u8>> = OnceLock::new();
    BUILT.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let target = root.join("target/guests");
        let status = Command::new(env!("CARGO"))
            .args([
                "build",
                "--quiet",
                "--locked",
                "--lib",
                "--package",
                "shardwright-hostile",
            ])
            .args([
                "--profile",
                "guest",
                "--target",
                "wasm32-unknown-unknown",
                "--target-dir",
            ])
            .arg(&target)
            .current_dir(&root)
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env_remove("RUSTFLAGS")
            .status();
        assert!(
            status.expect("cargo runs").success(),
            "the hostile guest does not build: `rustup target add wasm32-unknown-unknown`?"
        );
        let module = std::fs::read(target.join("wasm32-unknown-unknown/guest/shardwright_hostile.wasm"))
            .expect("it was just built");
        wit_component::ComponentEncoder::default()
            .validate(true)
            .module(&module)
            .and_then(|mut encoder| encoder.encode())
            .expect("it encodes")
    })
}

/// The snapshot as the host has it.
pub(crate) fn host_snapshot(from: &guest::Snapshot) -> host::Snapshot {
    let role = from.role.clone();
    host::Snapshot {
        epoch: from.epoch,
        now: from.now,
        seed: from.seed,
        trigger: match from.trigger {
            guest::Trigger::Start => host::Trigger::Start,
            guest::Trigger::Join => host::Trigger::Join,
            guest::Trigger::Leave => host::Trigger::Leave,
            guest::Trigger::Orders => host::Trigger::Orders,
            guest::Trigger::Config => host::Trigger::Config,
            guest::Trigger::Manual => host::Trigger::Manual,
        },
        nodes: from.nodes.iter().map(host_node).collect(),
        role: host::SnapshotRole {
            name: role.name,
            shards: role.shards,
            replicas: role.replicas,
            mode: match role.mode {
                guest::Mode::Primary => Mode::Primary,
                guest::Mode::All => Mode::All,
            },
            candidates: role.candidates,
            candidate_ends: role.candidate_ends,
            previous: role.previous,
            holders: role.holders,
            targets: role.targets,
            loads: role.loads,
        },
    }
}

fn host_node(from: &guest::SnapshotNode) -> host::SnapshotNode {
    host::SnapshotNode {
        id: from.id,
        hostname: from.hostname.clone(),
        status: match from.status {
            guest::SnapshotStatus::Active => host::SnapshotStatus::Active,
            guest::SnapshotStatus::Away => host::SnapshotStatus::Away,
            guest::SnapshotStatus::Cordoned => host::SnapshotStatus::Cordoned,
            guest::SnapshotStatus::Draining => host::SnapshotStatus::Draining,
        },
        zone: from.zone.clone(),
        labels: from.labels.clone(),
        capacity: from.capacity,
        joined: from.joined,
        assigned: from.assigned,
    }
}

/// The answer as the host has it.
pub(crate) fn host_answer(from: guest::Answer) -> host::Answer {
    match from {
        guest::Answer::Plan(plan) => host::Answer::Plan(host::Proposal {
            owners: plan.owners,
            unplaced: plan
                .unplaced
                .into_iter()
                .map(|u| host::Unplaced {
                    shard: u.shard,
                    reason: u.reason,
                })
                .collect(),
        }),
        guest::Answer::KeepPrevious => host::Answer::KeepPrevious,
        guest::Answer::RetryAfter(ms) => host::Answer::RetryAfter(ms),
    }
}
