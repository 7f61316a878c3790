//! With all rules in force no invariant is violated in any state within the bounds.

use crate::bounds::{pair, processes, role, say};
use shardwright_core::role::Mode;
use shardwright_model::explore::exhaust;
use shardwright_model::{handoff, identity};

fn identities() -> usize {
    let search = |cluster: identity::Cluster, joined: &[usize], writes| {
        let joined = joined.to_vec();
        exhaust(identity::Cluster { joined, writes, ..cluster })
    };
    let three = [("a", None), ("a", None), ("b", None)];
    [
        search(processes(2, &three), &[], 5),
        search(processes(2, &three), &[0], 4),
        search(processes(2, &three), &[0, 2], 2),
        search(processes(1, &three), &[0], 4),
        // One hostname twice, two hostnames for one id, two ids for one hostname: fewer processes, longer histories.
        search(processes(2, &three[..2]), &[], 7),
        search(processes(1, &three[1..]), &[], 7),
        search(processes(2, &[("a", Some(1)), ("a", Some(2))]), &[], 7),
    ]
    .iter()
    .sum()
}

fn handoffs() -> usize {
    let two = |other| vec![role("r", 1, Mode::Primary), role("s", 1, other)];
    [
        handoff::Cluster {
            writes: 2,
            lives: 2,
            ..pair()
        },
        handoff::Cluster {
            leaders: 2,
            writes: 2,
            ..pair()
        },
        handoff::Cluster { writes: 4, ..pair() },
        handoff::Cluster {
            nodes: 3,
            writes: 2,
            ..pair()
        },
        handoff::Cluster {
            roles: vec![role("r", 2, Mode::Primary)],
            writes: 2,
            moves: 1,
            ..pair()
        },
        handoff::Cluster {
            slow_reads: true,
            writes: 2,
            ..pair()
        },
        handoff::Cluster {
            roles: two(Mode::All),
            writes: 2,
            ..pair()
        },
        handoff::Cluster {
            roles: two(Mode::Primary),
            writes: 2,
            ..pair()
        },
    ]
    .into_iter()
    .map(exhaust)
    .sum()
}

#[test]
fn no_invariant_is_violated() {
    let (identity, handoff) = (identities(), handoffs());
    say(&format!("states: identity {identity}, handoff {handoff}"));
    assert!(identity >= 1_000_000 && handoff >= 1_000_000, "the search has shrunk");
}
