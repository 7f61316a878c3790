//! What a policy may be asked: a snapshot that contradicts itself is named by the field at fault.

use crate::asked::{self, node};
use shardwright_core::role::MAX_SHARDS;
use shardwright_core::snapshot::{Snapshot, SnapshotRole, SnapshotStatus};

fn snapshot(ids: &[u32], shards: u32, replicas: u32) -> Snapshot {
    asked::snapshot(
        ids.iter().map(|&id| node(id, SnapshotStatus::Active, 100)),
        shards,
        replicas,
    )
}

/// What is wrong with three shards of two replicas on nodes 1 and 2 after `change`; empty if nothing is.
fn wrong(change: impl Fn(&mut SnapshotRole)) -> String {
    let mut snapshot = snapshot(&[1, 2], 3, 2);
    change(&mut snapshot.role);
    snapshot.contradiction().unwrap_or_default()
}

#[test]
fn shards_and_places_have_bounds() {
    let wrong = |shards, replicas| snapshot(&[1], shards, replicas).contradiction().unwrap_or_default();
    assert_eq!(wrong(1, 1), "");
    assert_eq!(wrong(MAX_SHARDS, 64), "", "2²⁶ places");
    assert!(wrong(0, 1).starts_with("role.shards is 0"));
    assert!(wrong(MAX_SHARDS + 1, 1).starts_with("role.shards is 1048577"));
    assert!(wrong(1, 0).starts_with("role.replicas is 0"));
    assert!(wrong(MAX_SHARDS, 65).starts_with("role.replicas is 65"));
    assert!(wrong(3, u32::MAX).starts_with("role.replicas is 4294967295"));
}

#[test]
fn nodes_are_sorted_by_id_from_1_without_repetition() {
    let wrong = |ids: &[u32]| snapshot(ids, 1, 1).contradiction().unwrap_or_default();
    assert_eq!([wrong(&[]), wrong(&[1, 2, 9])], [const { String::new() }; 2]);
    assert!(wrong(&[0, 1]).starts_with("a node's id is 0"));
    for ids in [[1, 3, 3], [1, 3, 2]] {
        assert!(
            wrong(&ids).contains(&format!("3 comes before {}", ids[2])),
            "{}",
            wrong(&ids)
        );
    }
}

#[test]
fn lists_have_an_element_for_each_shard_or_place_or_none() {
    assert_eq!(wrong(|role| role.previous = vec![1; 6]), "");
    assert!(wrong(|role| role.previous = vec![1; 3]).starts_with("role.previous has 3 elements, and must have 6"));
    for right in [0, 3] {
        assert_eq!(wrong(|role| role.holders = vec![1; right]), "");
        assert_eq!(wrong(|role| role.targets = vec![1; right]), "");
        assert_eq!(wrong(|role| role.loads = vec![1; right]), "");
    }
    for number in [2, 6] {
        assert!(wrong(|role| role.holders = vec![1; number]).starts_with("role.holders has"));
        assert!(wrong(|role| role.targets = vec![1; number]).starts_with("role.targets has"));
        assert!(wrong(|role| role.loads = vec![1; number]).starts_with("role.loads has"));
    }
}

#[test]
fn candidates_end_once_or_for_each_shard_and_rise_to_their_number() {
    let wrong = |candidates: &[u32], ends: &[u32]| {
        wrong(|role| {
            role.candidates = candidates.to_vec();
            role.candidate_ends = ends.to_vec();
        })
    };
    assert_eq!(
        [wrong(&[1, 2], &[2]), wrong(&[1, 2], &[1, 1, 2])],
        [const { String::new() }; 2]
    );
    for ends in [&[1, 2][..], &[0, 1, 1, 2]] {
        let told = wrong(&[1, 2], ends);
        assert!(
            told.starts_with(&format!("role.candidate-ends has {} elements", ends.len())),
            "{told}"
        );
    }
    for ends in [&[][..], &[1], &[3], &[2, 1, 2], &[0, 1, 1]] {
        assert!(
            wrong(&[1, 2], ends).contains("must rise to the number of role.candidates, 2"),
            "{ends:?}"
        );
    }
}
