//! Every way in which a policy's plan can be wrong is found, and the native policy is never wrong.

use crate::asked::{self, node};
use proptest::prelude::*;
use shardwright_core::check::{Violation, check};
use shardwright_core::native;
use shardwright_core::snapshot::*;

fn snapshot(shards: u32, replicas: u32) -> Snapshot {
    use SnapshotStatus::{Active, Away, Cordoned, Draining};
    let nodes = [(1, Active), (2, Active), (3, Away), (4, Cordoned), (5, Draining)].map(|(id, s)| node(id, s, 100));
    asked::snapshot(nodes.into_iter().chain([node(6, Active, 0)]), shards, replicas)
}

fn verdict(snapshot: &Snapshot, owners: &[u32]) -> Result<(), Violation> {
    check(
        snapshot,
        &Proposal {
            owners: owners.to_vec(),
            unplaced: Vec::new(),
        },
    )
}

#[test]
fn a_correct_plan_passes() {
    assert_eq!(verdict(&snapshot(2, 2), &[1, 2, 2, 0]), Ok(()));
    assert_eq!(
        verdict(&snapshot(1, 2), &[3, 1]),
        Ok(()),
        "a node that is away keeps its place"
    );
}

#[test]
fn each_violation_is_named() {
    let s = snapshot(2, 2);
    let length = |found| {
        Err(Violation::Length {
            found,
            wanted: 4,
            shards: 2,
            replicas: 2,
        })
    };
    assert_eq!(verdict(&s, &[1, 2, 2]), length(3));
    assert_eq!(verdict(&s, &[1, 2, 2, 1, 1]), length(5));
    assert_eq!(verdict(&s, &[]), length(0));
    assert_eq!(
        verdict(&s, &[1, 2, 9, 0]),
        Err(Violation::UnknownNode { shard: 1, node: 9 })
    );
    assert_eq!(
        verdict(&s, &[1, u32::MAX, 1, 0]),
        Err(Violation::UnknownNode {
            shard: 0,
            node: u32::MAX
        })
    );
    assert_eq!(
        verdict(&s, &[1, 1, 2, 0]),
        Err(Violation::Repeated { shard: 0, node: 1 })
    );
    assert_eq!(
        verdict(&s, &[1, 0, 0, 0]),
        Err(Violation::Uncovered { shard: 1, node: 1 })
    );
    let mut wide = snapshot(1, 3);
    assert_eq!(verdict(&wide, &[1, 0, 2]), Err(Violation::Gap { shard: 0 }));
    wide.role.replicas = 0;
    assert!(matches!(verdict(&wide, &[]), Err(Violation::Length { .. })));
}

#[test]
fn eligibility_is_checked_against_status_capacity_and_candidates() {
    let mut s = snapshot(2, 1);
    let ineligible = |shard, node, reason| Err(Violation::Ineligible { shard, node, reason });
    assert_eq!(verdict(&s, &[1, 6]), ineligible(1, 6, "has capacity 0"));
    assert_eq!(
        verdict(&s, &[1, 4]),
        ineligible(1, 4, "is cordoned and did not have it before")
    );
    assert_eq!(
        verdict(&s, &[1, 5]),
        ineligible(1, 5, "is draining and did not have it before")
    );
    s.role.previous = vec![1, 4];
    assert_eq!(verdict(&s, &[1, 4]), Ok(()), "a cordoned node keeps what it has");
    s.role.previous = vec![1, 5];
    assert_eq!(verdict(&s, &[1, 5]), Ok(()), "a draining one too, while it has to");
    let mut wide = snapshot(2, 2);
    wide.role.previous = vec![1, 2, 1, 4];
    assert_eq!(verdict(&wide, &[1, 2, 1, 4]), Ok(()));
    assert_eq!(
        verdict(&wide, &[1, 4, 1, 2]),
        ineligible(0, 4, "is cordoned and did not have it before"),
        "it had another"
    );
    s.role.candidates = vec![1, 2];
    s.role.candidate_ends = vec![1, 2];
    assert_eq!(verdict(&s, &[1, 1]), Err(Violation::NotCandidate { shard: 1, node: 1 }));
    assert_eq!(verdict(&s, &[1, 2]), Ok(()));
    s.role.candidates = vec![1, 3];
    assert_eq!(verdict(&s, &[1, 0]), Ok(()), "nobody who is there could own shard 1");
    s.role.candidate_ends = vec![1, 99];
    assert!(
        verdict(&s, &[1, 2]).is_ok(),
        "ends beyond the list restrict nothing and crash nothing"
    );
}

fn statuses() -> impl Strategy<Value = SnapshotStatus> {
    use SnapshotStatus::{Active, Away, Cordoned, Draining};
    prop_oneof![6 => Just(Active), 1 => Just(Away), 1 => Just(Cordoned), 1 => Just(Draining)]
}

fn snapshots() -> impl Strategy<Value = Snapshot> {
    let nodes = proptest::collection::btree_map(1u32..40, (statuses(), prop_oneof![Just(0u32), 1u32..300]), 1..12);
    (nodes, 1u32..80, 1u32..4, any::<u64>(), any::<bool>(), any::<u64>()).prop_map(
        |(nodes, shards, replicas, seed, grouped, dice)| {
            let mut s = snapshot(shards, replicas);
            s.seed = seed;
            s.nodes = nodes
                .into_iter()
                .map(|(id, (status, capacity))| node(id, status, capacity))
                .collect();
            if grouped {
                let ids: Vec<u32> = s.nodes.iter().map(|n| n.id).collect();
                for shard in 0..shards {
                    let bits = dice.rotate_left(shard);
                    s.role.candidates.extend(
                        ids.iter()
                            .enumerate()
                            .filter(|(at, _)| bits >> (at % 60) & 1 == 1)
                            .map(|(_, id)| *id),
                    );
                    s.role
                        .candidate_ends
                        .push(u32::try_from(s.role.candidates.len()).unwrap());
                }
            }
            s
        },
    )
}

proptest! {
    #[test]
    fn the_native_policy_passes_the_check_and_is_its_own_fixed_point(mut s in snapshots()) {
        let first = native::assign(&s);
        prop_assert_eq!(check(&s, &first), Ok(()));
        prop_assert_eq!(&native::assign(&s), &first, "the same question gives the same answer");
        s.role.previous = first.owners.clone();
        let second = native::assign(&s);
        prop_assert_eq!(check(&s, &second), Ok(()));
        if s.role.candidate_ends.is_empty() && s.nodes.iter().all(|n| n.status == SnapshotStatus::Active) {
            prop_assert_eq!(second.owners, first.owners, "nothing changed, nothing moves");
        }
    }

    #[test]
    fn the_native_policy_balances_equal_nodes(nodes in 1u32..12, shards in 1u32..200) {
        let mut s = snapshot(shards, 1);
        s.nodes = (1..=nodes).map(|id| node(id, SnapshotStatus::Active, 100)).collect();
        let plan = native::assign(&s);
        let count = |id| plan.owners.iter().filter(|&&o| o == id).count();
        let (min, max) = ((1..=nodes).map(count).min().unwrap(), (1..=nodes).map(count).max().unwrap());
        prop_assert!(max - min <= 1, "{min}..{max}");
    }
}
