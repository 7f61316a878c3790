//! With all rules in force no invariant is violated in any state within the bounds.

use crate::bounds::{copies, pair, processes, role, say};
use shardwright_core::role::Mode;
use shardwright_model::explore::exhaust;
use shardwright_model::{handoff, identity};
use stateright::Model;
use std::fmt::Debug;
use std::hash::Hash;

fn identities() -> usize {
    let search = |name, cluster: identity::Cluster, joined: &[usize], writes| {
        let joined = joined.to_vec();
        counted(
            name,
            identity::Cluster {
                joined,
                writes,
                ..cluster
            },
        )
    };
    let three = [("a", None), ("a", None), ("b", None)];
    [
        search("three processes", processes(2, &three), &[], 5),
        search("three, one has joined", processes(2, &three), &[0], 4),
        search("three, two have joined", processes(2, &three), &[0, 2], 2),
        search("three, one id", processes(1, &three), &[0], 3),
        search("a hostname twice", processes(2, &three[..2]), &[], 7),
        search("two hostnames, one id", processes(1, &three[1..]), &[], 7),
        search("a copied state directory", copies(processes(2, &three[..1])), &[], 7),
        search(
            "a copied state directory and another host",
            copies(processes(1, &[("a", None), ("b", None)])),
            &[0],
            3,
        ),
        search(
            "a stated id, two hostnames",
            processes(1, &[("a", Some(1)), ("b", Some(1))]),
            &[],
            7,
        ),
        search(
            "a stated id that a third host had",
            processes(1, &[("a", Some(1)), ("b", Some(1)), ("c", None)]),
            &[2],
            4,
        ),
        search(
            "a hostname with two ids",
            processes(2, &[("a", Some(1)), ("a", Some(2))]),
            &[],
            7,
        ),
    ]
    .iter()
    .sum()
}

fn handoffs() -> usize {
    let two = |other| vec![role("r", 1, Mode::Primary), role("s", 1, other)];
    let search = |name, writes, cluster| counted(name, handoff::Cluster { writes, ..cluster });
    [
        search(
            "a role where all act",
            1,
            handoff::Cluster {
                roles: two(Mode::All),
                ..pair()
            },
        ),
        search(
            "two roles",
            1,
            handoff::Cluster {
                roles: two(Mode::Primary),
                ..pair()
            },
        ),
        search("two nodes", 3, pair()),
        search("two nodes, two lives", 2, handoff::Cluster { lives: 2, ..pair() }),
        search("two leaders", 2, handoff::Cluster { leaders: 2, ..pair() }),
        search(
            "slow reads",
            2,
            handoff::Cluster {
                slow_reads: true,
                ..pair()
            },
        ),
        search("three nodes", 1, handoff::Cluster { nodes: 3, ..pair() }),
        search(
            "two shards, a move at a time",
            2,
            handoff::Cluster {
                roles: vec![role("r", 2, Mode::Primary)],
                moves: 1,
                ..pair()
            },
        ),
        search(
            "three shards, a move at a time",
            1,
            handoff::Cluster {
                roles: vec![role("r", 3, Mode::Primary)],
                moves: 1,
                ..pair()
            },
        ),
    ]
    .iter()
    .sum()
}

/// Searches all of it and says how much that was.
fn counted<M>(name: &str, model: M) -> usize
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq,
{
    let states = exhaust(model);
    say(&format!("{name}: {states} states"));
    states
}

#[test]
fn no_invariant_is_violated() {
    let (identity, handoff) = (identities(), handoffs());
    say(&format!("states: identity {identity}, handoff {handoff}"));
    assert!(identity >= 1_300_000 && handoff >= 4_000_000, "the search has shrunk");
}
