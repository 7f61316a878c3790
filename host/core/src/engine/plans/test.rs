//! Who should act on a shard now, and what may be decided.

use super::*;
use crate::handoff::SessionState;
use crate::id::{NodeId, SessionId};
use Fitness::{Fit, Leaving, Settling};

/// One shard with this row of owners, held by `holder`, 0 for nobody.
fn part(row: &[u32], holder: u32) -> PlanPart {
    let node = |n| (NodeId::new(n).expect("not 0"), SessionId(u128::from(n)));
    PlanPart {
        shape: 1,
        epoch: 1,
        inputs: 1,
        width: u32::try_from(row.len()).expect("short"),
        rows: row.to_vec(),
        sessions: (1..=9).map(node).collect(),
        holders: vec![holder],
        granted: vec![0],
        targets: vec![0],
    }
}

fn standing(nodes: &[(u32, Fitness)]) -> Standing {
    let stance = |fitness| Stance {
        fitness,
        takes_new: true,
        told: true,
    };
    nodes.iter().map(|&(id, fitness)| (id, stance(fitness))).collect()
}

/// Who should act among these nodes, where everybody is a candidate.
fn wanted(row: &[u32], holder: u32, nodes: &[(u32, Fitness)]) -> u32 {
    who(&part(row, holder), 0, 5, None, &standing(nodes))
}

#[test]
fn the_first_owner_of_the_row_that_is_fit_acts() {
    assert_eq!(wanted(&[2, 1, 3], 3, &[(1, Fit), (2, Fit), (3, Fit)]), 2);
    assert_eq!(
        wanted(&[2, 1, 3], 3, &[(1, Fit), (3, Fit)]),
        1,
        "the first is not there"
    );
    assert_eq!(wanted(&[2, 1], 0, &[(1, Fit), (2, Leaving)]), 1);
}

#[test]
fn one_that_came_back_lately_acts_after_those_who_stayed_and_keeps_what_it_holds() {
    assert_eq!(wanted(&[2, 1], 0, &[(1, Fit), (2, Settling)]), 1);
    assert_eq!(wanted(&[2, 1], 1, &[(1, Fit), (2, Settling)]), 1);
    assert_eq!(wanted(&[2, 1], 2, &[(1, Fit), (2, Settling)]), 2, "it holds it already");
    assert_eq!(wanted(&[2, 1], 0, &[(1, Settling), (2, Settling)]), 2, "nobody stayed");
    assert_eq!(
        wanted(&[2, 1], 2, &[(1, Fit), (2, Leaving)]),
        1,
        "it holds it, and is to be emptied"
    );
}

#[test]
fn whoever_stands_in_goes_on_while_no_owner_is_there_and_it_may() {
    let nodes = [(3, Fit), (4, Fit), (5, Settling)];
    for holder in [3, 4, 5] {
        assert_eq!(wanted(&[1, 2], holder, &nodes), holder);
        let others: Vec<u32> = [3, 4, 5].into_iter().filter(|id| *id != holder).collect();
        let other = who(&part(&[1, 2], holder), 0, 5, Some(&others), &standing(&nodes));
        assert!(others.contains(&other), "{holder} is no candidate any more: {other}");
    }
}

#[test]
fn one_that_takes_new_shards_and_is_a_candidate_stands_in_best_one_who_stayed() {
    let mut nodes = standing(&[(3, Fit), (4, Fit), (5, Settling)]);
    let stands_in = |nodes: &Standing, candidates| who(&part(&[1], 0), 0, 5, candidates, nodes);
    let first = stands_in(&nodes, None);
    assert!([3, 4].contains(&first));
    nodes.get_mut(&first).expect("there").takes_new = false;
    let second = stands_in(&nodes, None);
    assert_eq!([3, 4].map(|id| id == second), [3, 4].map(|id| id != first));
    nodes.get_mut(&second).expect("there").takes_new = false;
    assert_eq!(
        stands_in(&nodes, None),
        5,
        "it came back lately, and nobody else is left"
    );
    assert_eq!(stands_in(&nodes, Some(&[3, 4])), 0, "and here it may not");
}

#[test]
fn shards_without_owners_are_spread_over_those_who_stand_in() {
    let nodes = standing(&[(3, Fit), (4, Fit)]);
    let threes = (0..100)
        .filter(|&shard| who(&part(&[1], 0), 0, shard, None, &nodes) == 3)
        .count();
    assert!((30..70).contains(&threes), "{threes} of 100");
}

#[test]
fn one_that_is_to_be_emptied_acts_only_until_somebody_else_can() {
    assert_eq!(wanted(&[1], 1, &[(1, Leaving)]), 1);
    assert_eq!(wanted(&[1], 1, &[(1, Leaving), (2, Fit)]), 2);
    assert_eq!(wanted(&[1], 0, &[(1, Leaving)]), 0, "it is given nothing");
    assert_eq!(wanted(&[1], 3, &[(1, Leaving)]), 0);
}

#[test]
fn one_that_has_not_told_its_settings_takes_nothing_from_one_who_has() {
    let mut nodes = standing(&[(1, Fit), (2, Fit)]);
    nodes.get_mut(&1).expect("there").told = false;
    assert_eq!(who(&part(&[1, 2], 2), 0, 5, None, &nodes), 2);
    assert_eq!(who(&part(&[1, 2], 0), 0, 5, None, &nodes), 1, "nobody acts");
    assert_eq!(who(&part(&[1, 2], 1), 0, 5, None, &nodes), 1, "it acts itself");
}

#[test]
fn a_part_is_vacated_when_it_names_nobody_and_all_that_live_have_read_that() {
    let node = |n, applied, ended| {
        let state = SessionState {
            session: SessionId(u128::from(n)),
            applied: Revision(applied),
            ended,
        };
        (NodeId::new(n).expect("not 0"), state)
    };
    let vacated = |row: &[u32], sessions: [(NodeId, SessionState); 2]| {
        is_vacated(Revision(7), &part(row, 0), &sessions.into_iter().collect())
    };
    assert!(vacated(&[0, 0], [node(1, 7, false), node(2, 3, true)]));
    assert!(!vacated(&[0, 1], [node(1, 7, false), node(2, 8, false)]));
    assert!(!vacated(&[0, 0], [node(1, 7, false), node(2, 6, false)]));
    assert!(!vacated(&[0, 1], [node(1, 6, false), node(2, 6, true)]));
}

#[test]
fn an_eighth_of_the_shards_moves_at_a_time_and_never_fewer_than_four() {
    assert_eq!([1, 32, 40, 800].map(budget), [4, 4, 5, 100]);
}
