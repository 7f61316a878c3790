//! The host's own policy: fair shares, few moves, the operator's order, ties that spread.

use crate::asked::{self, node};
use shardwright_core::native::{affinity, assign};
use shardwright_core::snapshot::{Snapshot, SnapshotStatus};

fn snapshot(capacities: &[u32], shards: u32, replicas: u32) -> Snapshot {
    let active = |(id, &capacity): (u32, &u32)| node(id, SnapshotStatus::Active, capacity);
    asked::snapshot((1..).zip(capacities).map(active), shards, replicas)
}

/// How many shards each of `nodes` nodes has as a primary.
fn shares(owners: &[u32], replicas: usize, nodes: u32) -> Vec<usize> {
    let of = |id| owners.iter().step_by(replicas).filter(|&&owner| owner == id).count();
    (1..=nodes).map(of).collect()
}

#[test]
fn each_node_has_its_share_by_capacity() {
    assert_eq!(shares(&assign(&snapshot(&[100, 300], 16, 1)).owners, 1, 2), [4, 12]);
    assert_eq!(
        shares(&assign(&snapshot(&[100, 100, 0], 16, 1)).owners, 1, 3),
        [8, 8, 0]
    );
}

#[test]
fn whoever_is_within_its_share_keeps_what_it_has() {
    let mut s = snapshot(&[100, 100], 16, 1);
    s.role.previous = [[1; 8], [2; 8]].concat();
    assert_eq!(assign(&s).owners, s.role.previous);
    s.role.previous = [[1, 1, 1, 0]; 4].concat();
    let owners = assign(&s).owners;
    assert_eq!(shares(&owners, 1, 2), [8, 8]);
    assert_eq!(owners[..8], [1, 1, 1, 2].repeat(2), "up to its share");
    s.nodes = snapshot(&[100, 100, 200], 16, 1).nodes;
    s.role.previous = owners;
    assert_eq!(shares(&assign(&s).owners, 1, 3), [4, 4, 8]);
    let mut s = snapshot(&[100, 100, 100], 3, 2);
    s.role.previous = vec![3, 1, 1, 2, 2, 3];
    assert_eq!(assign(&s).owners, s.role.previous, "and its place as a standby");
}

#[test]
fn a_listed_order_decides_alone_where_each_shard_has_its_own() {
    let mut s = snapshot(&[100, 100], 2, 2);
    s.role.previous = vec![2, 1, 2, 1];
    s.role.candidates = vec![1, 2, 1, 2];
    s.role.candidate_ends = vec![2, 4];
    assert_eq!(assign(&s).owners, [1, 2, 1, 2]);
    s.role.candidates = vec![1, 2];
    s.role.candidate_ends = vec![2];
    assert_eq!(
        shares(&assign(&s).owners, 2, 2),
        [1, 1],
        "one list for all names no preference"
    );
}

#[test]
fn every_node_is_liked_best_by_its_part_of_the_shards_and_keeps_them_when_another_comes() {
    let best = |shard, nodes: u32| (1..=nodes).max_by_key(|&node| affinity(7, shard, node)).unwrap();
    let mut liked = [0; 4];
    for shard in 0..1_000 {
        liked[best(shard, 4) as usize - 1] += 1;
        assert!(best(shard, 5) == best(shard, 4) || best(shard, 5) == 5, "{shard}");
    }
    assert!(liked.iter().all(|count| (200..300).contains(count)), "{liked:?}");
}
