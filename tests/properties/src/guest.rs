//! The standard policies, compiled for this machine, behind the host's own types.

use balanced::Balanced;
use rendezvous::Rendezvous;
use shardwright_core::role::Mode;
use shardwright_core::snapshot::{Answer, Proposal, Snapshot, SnapshotStatus, Trigger, Unplaced};
use shardwright_guest::Policy;
use static_groups::StaticGroups;

type Assign = fn(&Snapshot) -> Result<Answer, String>;

/// Each by name.
pub(crate) const POLICIES: [(&str, Assign); 3] = [
    ("balanced", ask::<Balanced>),
    ("rendezvous", ask::<Rendezvous>),
    ("static-groups", ask::<StaticGroups>),
];

fn ask<P: Policy>(snapshot: &Snapshot) -> Result<Answer, String> {
    let answer = P::assign("{}", &lowered(snapshot)).map_err(|error| format!("{error:?}"))?;
    Ok(match answer {
        shardwright_guest::Answer::Plan(plan) => Answer::Plan(Proposal {
            owners: plan.owners,
            unplaced: plan
                .unplaced
                .into_iter()
                .map(|unplaced| Unplaced {
                    shard: unplaced.shard,
                    reason: unplaced.reason,
                })
                .collect(),
        }),
        shardwright_guest::Answer::KeepPrevious => Answer::KeepPrevious,
        shardwright_guest::Answer::RetryAfter(ms) => Answer::RetryAfter(ms),
    })
}

fn lowered(snapshot: &Snapshot) -> shardwright_guest::Snapshot {
    let role = &snapshot.role;
    shardwright_guest::Snapshot {
        epoch: snapshot.epoch,
        now: snapshot.now,
        seed: snapshot.seed,
        trigger: match snapshot.trigger {
            Trigger::Start => shardwright_guest::Trigger::Start,
            Trigger::Join => shardwright_guest::Trigger::Join,
            Trigger::Leave => shardwright_guest::Trigger::Leave,
            Trigger::Orders => shardwright_guest::Trigger::Orders,
            Trigger::Config => shardwright_guest::Trigger::Config,
            Trigger::Manual => shardwright_guest::Trigger::Manual,
        },
        nodes: snapshot
            .nodes
            .iter()
            .map(|node| shardwright_guest::SnapshotNode {
                id: node.id,
                hostname: node.hostname.clone(),
                status: match node.status {
                    SnapshotStatus::Active => shardwright_guest::SnapshotStatus::Active,
                    SnapshotStatus::Away => shardwright_guest::SnapshotStatus::Away,
                    SnapshotStatus::Cordoned => shardwright_guest::SnapshotStatus::Cordoned,
                    SnapshotStatus::Draining => shardwright_guest::SnapshotStatus::Draining,
                },
                zone: node.zone.clone(),
                labels: node.labels.clone(),
                capacity: node.capacity,
                joined: node.joined,
                assigned: node.assigned,
            })
            .collect(),
        role: shardwright_guest::SnapshotRole {
            name: role.name.clone(),
            shards: role.shards,
            replicas: role.replicas,
            mode: match role.mode {
                Mode::Primary => shardwright_guest::Mode::Primary,
                Mode::All => shardwright_guest::Mode::All,
            },
            candidates: role.candidates.clone(),
            candidate_ends: role.candidate_ends.clone(),
            previous: role.previous.clone(),
            holders: role.holders.clone(),
            targets: role.targets.clone(),
            loads: role.loads.clone(),
        },
    }
}
