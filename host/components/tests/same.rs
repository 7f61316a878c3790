//! The standard policies answer the same as components and natively, to the last id.

mod support;

use proptest::prelude::*;
use shardwright_components::{Budget, PolicyComponent, PolicyEngine, bundled};
use shardwright_core::check;
use shardwright_core::snapshot::Answer;
use shardwright_guest::{Policy, Snapshot, SnapshotStatus, Trigger, testing};
use std::sync::OnceLock;

fn component(policy: bundled::Bundled) -> PolicyComponent {
    static ENGINE: OnceLock<PolicyEngine> = OnceLock::new();
    let engine = ENGINE.get_or_init(|| PolicyEngine::new(None).expect("an engine"));
    PolicyComponent::load(engine, policy.bytes, &Budget::default()).expect("a standard policy")
}

fn anything() -> impl Strategy<Value = Snapshot> {
    let nodes = prop::collection::vec((0u8..8, 0u8..4, 0u32..400), 1..12);
    (
        nodes,
        1u32..60,
        1u32..5,
        any::<u64>(),
        0u8..3,
        prop::collection::vec(any::<u32>(), 64),
    )
        .prop_map(|(nodes, shards, replicas, seed, candidates, noise)| {
            let count = nodes.len() as u32;
            let nodes = (1..).zip(nodes).map(|(id, (status, zone, capacity))| {
                let mut node = testing::node(id);
                node.status = [SnapshotStatus::Away, SnapshotStatus::Cordoned, SnapshotStatus::Draining]
                    .get(usize::from(status))
                    .copied()
                    .unwrap_or(SnapshotStatus::Active);
                node.zone = ["", "a", "b", "é"][usize::from(zone)].into();
                node.labels = vec![("kind".into(), "x".into())];
                node.capacity = capacity;
                node
            });
            let mut made = testing::snapshot(shards, replicas, nodes);
            made.seed = seed;
            made.trigger = Trigger::Orders;
            let noise = |i: u32| noise[i as usize % noise.len()].wrapping_add(i) % (count + 3);
            if candidates == 1 {
                made.role.candidates = (0..3).map(noise).collect();
                made.role.candidate_ends = vec![3];
            } else if candidates == 2 {
                made.role.candidates = (0..shards * 3).map(|i| noise(i + 7)).collect();
                made.role.candidate_ends = (1..=shards).map(|shard| shard * 3).collect();
            }
            if noise(1) % 2 == 0 {
                made.role.previous = (0..shards * replicas).map(|i| noise(i * 5 + 1)).collect();
            }
            if noise(2) % 2 == 0 {
                made.role.targets = (0..shards).map(|i| noise(i * 11 + 2)).collect();
            }
            made
        })
}

fn same<P: Policy>(component: &PolicyComponent, snapshot: &Snapshot) -> Result<(), TestCaseError> {
    let native = support::host_answer(P::assign("{}", snapshot).expect("a standard policy always answers"));
    let snapshot = support::host_snapshot(snapshot);
    let answer = component.assign_twice("{}", &snapshot);
    prop_assert_eq!(answer.as_ref(), Ok(&native));
    let Answer::Plan(plan) = native else { panic!("a plan") };
    prop_assert_eq!(check::check(&snapshot, &plan), Ok(()));
    Ok(())
}

#[test]
fn component_and_native_agree_and_pass_the_check() {
    let policies = bundled::ALL.map(component);
    let config = ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(snapshot in anything())| {
        same::<static_groups::StaticGroups>(&policies[0], &snapshot)?;
        same::<balanced::Balanced>(&policies[1], &snapshot)?;
        same::<rendezvous::Rendezvous>(&policies[2], &snapshot)?;
    });
}
