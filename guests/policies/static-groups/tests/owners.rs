//! What `static-groups` promises.

use shardwright_guest::testing::{check, node, snapshot};
use shardwright_guest::{Answer, Policy, Proposal, Snapshot, SnapshotStatus};
use shardwright_policy_static_groups::StaticGroups;

fn assign(snapshot: &Snapshot) -> Proposal {
    let Ok(Answer::Plan(plan)) = StaticGroups::assign("{}", snapshot) else {
        panic!("there is always a plan")
    };
    assert_eq!(check(snapshot, &plan), Ok(()));
    plan
}

/// `["1,4", "2,3", "5,6"]`, on nodes 1 to 6.
fn groups() -> Snapshot {
    let mut made = snapshot(3, 2, (1..=6).map(node));
    made.role.candidates = vec![1, 4, 2, 3, 5, 6];
    made.role.candidate_ends = vec![2, 4, 6];
    made
}

#[test]
fn owners_are_the_listed_nodes_in_their_order() {
    assert_eq!(assign(&groups()).owners, [1, 4, 2, 3, 5, 6]);
    let mut turned = groups();
    turned.role.candidates = vec![4, 1, 3, 2, 6, 5];
    assert_eq!(
        assign(&turned).owners,
        [4, 1, 3, 2, 6, 5],
        "the order of the list, not of the ids"
    );
}

#[test]
fn a_node_that_is_gone_is_passed_over_and_one_that_is_away_keeps_its_place() {
    let mut made = groups();
    made.nodes[0].status = SnapshotStatus::Away;
    assert_eq!(assign(&made).owners, [1, 4, 2, 3, 5, 6]);
    made.nodes.remove(0);
    assert_eq!(assign(&made).owners, [4, 0, 2, 3, 5, 6]);
}

#[test]
fn draining_and_capacity_0_are_passed_over_and_cordoned_keeps_what_it_had() {
    let mut made = groups();
    made.nodes[0].status = SnapshotStatus::Draining;
    made.nodes[1].capacity = 0;
    made.nodes[4].status = SnapshotStatus::Cordoned;
    assert_eq!(assign(&made).owners, [4, 0, 3, 0, 6, 0]);
    made.role.previous = vec![1, 4, 2, 3, 5, 6];
    assert_eq!(assign(&made).owners, [4, 0, 3, 0, 5, 6]);
}

#[test]
fn a_group_without_anybody_is_left_with_the_reason() {
    let mut made = groups();
    made.nodes.retain(|node| node.id != 5 && node.id != 6);
    let plan = assign(&made);
    assert_eq!(plan.owners, [1, 4, 2, 3, 0, 0]);
    assert_eq!(
        (plan.unplaced[0].shard, plan.unplaced[0].reason.as_str()),
        (2, "none of its candidates can take it: nodes 5, 6")
    );
}

#[test]
fn without_a_list_every_node_is_a_candidate_in_order_of_id() {
    let mut made = snapshot(2, 3, [node(9), node(2), node(5)]);
    made.nodes.sort_by_key(|node| node.id);
    assert_eq!(assign(&made).owners, [2, 5, 9, 2, 5, 9]);
}

#[test]
fn one_list_holds_for_all_shards() {
    let mut made = snapshot(2, 2, (1..=3).map(node));
    made.role.candidates = vec![3, 1];
    made.role.candidate_ends = vec![2];
    assert_eq!(assign(&made).owners, [3, 1, 3, 1]);
}

#[test]
fn it_has_no_options() {
    assert_eq!(StaticGroups::validate(" { } "), Ok(()));
    for config in ["", "[]", "{\"a\":1}", "null"] {
        assert!(StaticGroups::validate(config).is_err(), "{config}");
    }
}
