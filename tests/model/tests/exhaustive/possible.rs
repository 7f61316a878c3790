//! The searches see what they claim to see: each situation that makes the protocol interesting is reached.

use crate::bounds::{pair, processes};
use shardwright_model::explore::reach;
use shardwright_model::{handoff, identity};

fn identity_reaches(situation: identity::Possible, cluster: identity::Cluster, joined: &[usize], writes: u64) {
    let cluster = identity::Cluster {
        joined: joined.to_vec(),
        writes,
        possible: vec![situation],
        ..cluster
    };
    reach(cluster, &[situation.0]);
}

#[test]
fn two_hostnames_live() {
    identity_reaches(identity::TWO_LIVE, processes(2, &[("a", None), ("b", None)]), &[0], 4);
}

#[test]
fn an_id_is_reused() {
    identity_reaches(identity::ID_REUSED, processes(1, &[("a", None), ("b", None)]), &[0], 5);
}

#[test]
fn a_dead_rival_is_replaced() {
    identity_reaches(
        identity::RIVAL_REPLACED,
        processes(2, &[("a", None), ("a", None)]),
        &[0],
        4,
    );
}

#[test]
fn a_hostname_is_refused() {
    identity_reaches(
        identity::HOSTNAME_CONFLICT,
        processes(2, &[("a", None), ("a", None)]),
        &[0],
        2,
    );
}

#[test]
fn ids_run_out() {
    identity_reaches(identity::EXHAUSTED, processes(1, &[("a", None), ("b", None)]), &[0], 1);
}

fn handoff_reaches(situation: handoff::Possible, cluster: handoff::Cluster) {
    let cluster = handoff::Cluster {
        memory: 3,
        possible: vec![situation],
        ..cluster
    };
    reach(cluster, &[situation.0]);
}

#[test]
fn a_shard_moves() {
    handoff_reaches(handoff::MOVED, pair());
}

#[test]
fn a_shard_is_taken_over() {
    handoff_reaches(handoff::TAKEN_OVER, handoff::Cluster { moves: 0, ..pair() });
}

#[test]
fn a_shard_returns() {
    handoff_reaches(handoff::RETURNED, handoff::Cluster { writes: 5, ..pair() });
}
