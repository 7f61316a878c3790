//! What becomes of a policy's answers.

use super::*;
use crate::plan::PART_SHARDS;
use crate::snapshot::Answer;

fn cluster(shards: u32) -> World {
    let mut w = World::new(vec![role("a", shards, Mode::Primary)]);
    w.start("h1", 1);
    w.start("h2", 2);
    w.run(6_000);
    assert_eq!(w.total(), shards as usize);
    w
}

fn told<T>(w: &World, what: impl Fn(&Notice) -> Option<T>) -> Vec<T> {
    w.nodes
        .values()
        .flat_map(|node| &node.notices)
        .filter_map(what)
        .collect()
}

#[test]
fn a_policy_that_keeps_a_plan_where_there_is_none_is_refused() {
    let mut w = World::new(vec![role("a", 12, Mode::Primary)]);
    w.trouble.answer = Some(Answer::KeepPrevious);
    w.start("h1", 1);
    w.run(4_000);
    let reasons = told(&w, |notice| match notice {
        Notice::PlanRefused { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    assert!(
        reasons.first().is_some_and(|reason| reason.contains("there is none")),
        "{reasons:?}"
    );
    w.run(10_000);
    assert_eq!(w.total(), 12, "the native policy takes over");
}

#[test]
fn a_policy_that_keeps_its_plan_is_not_asked_again_before_something_changes() {
    let mut w = cluster(12);
    w.trouble.answer = Some(Answer::KeepPrevious);
    let asks = w.asks;
    w.start("h3", 3);
    w.run(20_000);
    assert_eq!((w.asks - asks, w.held("h3")), (1, 0));
    assert_eq!(
        told(&w, |notice| matches!(notice, Notice::PlanRefused { .. }).then_some(())),
        []
    );
    w.trouble.answer = None;
    w.start("h4", 4);
    w.run(5_000);
    assert_eq!(w.asks - asks, 2);
    assert!(w.held("h3") > 0 && w.held("h4") > 0);
}

#[test]
fn a_policy_that_wants_time_has_it_but_not_too_little() {
    for (wanted, asked) in [(1, 15..=20), (1_000, 2..=2)] {
        let mut w = cluster(12);
        w.trouble.answer = Some(Answer::RetryAfter(wanted));
        w.start("h3", 3);
        w.run(1_000);
        let asks = w.asks;
        w.run(2_000);
        assert!(asked.contains(&(w.asks - asks)), "{} in two seconds", w.asks - asks);
    }
}

#[test]
fn a_plan_is_told_with_the_number_of_shards_that_change_their_owner() {
    let mut w = cluster(12);
    w.nodes.get_mut("h2").unwrap().inbox.push(Event::Order {
        drain: Some(true),
        cordon: None,
    });
    w.run(3_000);
    let moves = told(&w, |notice| match notice {
        Notice::PlanAccepted { moves, .. } => Some(*moves),
        _ => None,
    });
    assert_eq!(moves, [0, 6]);
}

#[test]
fn every_part_of_a_role_has_its_own_rows_of_the_plan() {
    let w = cluster(PART_SHARDS + 8);
    let parts = w.store.entries.values().filter_map(|entry| match &entry.value {
        Value::Plan(part) => Some(part.rows.clone()),
        _ => None,
    });
    let rows = parts.collect::<Vec<_>>();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows.concat(), w.planned);
}
