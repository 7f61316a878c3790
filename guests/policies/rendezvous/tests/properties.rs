//! What `rendezvous` promises, over random clusters.

use proptest::prelude::*;
use shardwright_guest::testing::{check, loads, moves, node, snapshot};
use shardwright_guest::{Answer, Policy, Proposal, Snapshot, SnapshotStatus};
use shardwright_policy_rendezvous::Rendezvous;

fn assign(snapshot: &Snapshot) -> Proposal {
    let Ok(Answer::Plan(plan)) = Rendezvous::assign("{}", snapshot) else {
        panic!("there is always a plan")
    };
    assert_eq!(check(snapshot, &plan), Ok(()));
    plan
}

fn weighted() -> impl Strategy<Value = Snapshot> {
    (
        prop::collection::vec(0u32..300, 1..20),
        1u32..100,
        1u32..5,
        any::<u64>(),
    )
        .prop_map(|(capacities, shards, replicas, seed)| {
            let mut made = snapshot(
                shards,
                replicas,
                (1..).zip(capacities).map(|(id, capacity)| {
                    let mut n = node(id);
                    n.capacity = capacity;
                    n
                }),
            );
            made.seed = seed;
            made
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// One that leaves moves its own places only, and when it is back everything is as it was; history does not matter,
    /// nor does order.
    #[test]
    fn leave_and_return(snapshot in weighted(), who in any::<prop::sample::Index>()) {
        let before = assign(&snapshot);
        let mut left = snapshot.clone();
        left.role.previous = before.owners.clone();
        let gone = left.nodes.remove(who.index(left.nodes.len()));
        let without = assign(&left);
        let usable = left.nodes.iter().filter(|n| n.capacity > 0).count() as u32;
        let mut forced = before.owners.iter().filter(|&&id| id == gone.id).count();
        if usable < snapshot.role.replicas {
            forced = 0;
        }
        prop_assert_eq!(moves(&before.owners, &without.owners, snapshot.role.replicas), forced);
        left.role.previous = without.owners;
        left.nodes.push(gone);
        prop_assert_eq!(assign(&left), before);
    }

    /// Owners of a shard share a zone only if there are fewer zones than owners.
    #[test]
    fn zones(zones in 1u32..5, per_zone in 1u32..4, replicas in 1u32..6, seed: u64) {
        let nodes = (0..zones * per_zone).map(|i| {
            let mut n = node(i + 1);
            n.zone = format!("z{}", i % zones);
            n
        });
        let mut made = snapshot(50, replicas, nodes);
        made.seed = seed;
        let limit = replicas.min(zones * per_zone).div_ceil(zones) as usize;
        for row in assign(&made).owners.chunks_exact(replicas as usize) {
            for zone in 0..zones {
                prop_assert!(row.iter().filter(|&&id| id != 0 && (id - 1) % zones == zone).count() <= limit, "{row:?}");
            }
        }
    }

    /// A cordoned node keeps what it had and gets nothing else.
    #[test]
    fn cordoned(snapshot in weighted()) {
        let before = assign(&snapshot);
        let mut next = snapshot.clone();
        next.nodes[0].status = SnapshotStatus::Cordoned;
        let empty = assign(&next);
        prop_assert!(!empty.owners.contains(&next.nodes[0].id));
        next.role.previous = before.owners.clone();
        prop_assert_eq!(assign(&next), before);
    }
}

/// In the long run each node is primary in proportion to its capacity.
#[test]
fn shares_follow_capacity() {
    let capacities = [100, 200, 300, 400];
    let made = snapshot(
        40_000,
        1,
        (1..).zip(capacities).map(|(id, capacity)| {
            let mut n = node(id);
            n.capacity = capacity;
            n
        }),
    );
    for ((has, _), capacity) in loads(&made, &assign(&made)).into_iter().zip(capacities) {
        let exact = 40_000.0 * f64::from(capacity) / 1000.0;
        // Five standard deviations of a binomial.
        assert!(
            (f64::from(has) - exact).abs() < 5.0 * exact.sqrt(),
            "{has} instead of {exact}"
        );
    }
}
