//! What a node waits for is told once, with how long at most.

use super::*;
use crate::join::Awaited;

fn waits(w: &World, host: &str) -> Vec<Awaited> {
    let longest = timing().taker();
    let told = w.nodes[host].notices.iter().filter_map(|notice| match notice {
        Notice::Waiting { awaited, wait } => {
            assert!((1..=longest).contains(wait), "{wait}");
            Some(*awaited)
        }
        _ => None,
    });
    told.collect()
}

#[test]
fn who_lost_its_state_directory_says_that_it_waits_for_itself() {
    let mut w = World::new(vec![role("a", 4, Mode::Primary)]);
    w.start("h1", 1);
    w.run(5_000);
    w.nodes.remove("h1");
    w.start("h1", 99);
    w.run(5_000);
    assert_eq!(w.held("h1"), 4);
    let (instance, id) = (InstanceId(1), NodeId::new(1).unwrap());
    assert_eq!(waits(&w, "h1"), [Awaited::Rival { instance, id }]);
}

#[test]
fn who_cannot_tell_its_own_session_from_that_of_a_copy_says_so() {
    let mut w = World::new(vec![role("a", 4, Mode::Primary)]);
    w.start("h1", 1);
    w.run(5_000);
    w.nodes.remove("h1");
    // As after a restart of the machine.
    w.processes.clear();
    w.start("h1", 1);
    w.run(5_000);
    assert_eq!(w.held("h1"), 4);
    assert_eq!(waits(&w, "h1"), [Awaited::Session(NodeId::new(1).unwrap())]);
}

/// Its first answers cannot be compared with any: the store's clock may just have stepped.
#[test]
fn who_starts_anew_watches_a_session_however_old_it_is_by_the_stores_clock() {
    let mut w = World::new(vec![role("a", 4, Mode::Primary)]);
    w.start("h1", 1);
    w.run(5_000);
    w.nodes.remove("h1");
    w.run(10_000);
    w.start("h1", 99);
    w.run(timing().taker() - 100);
    assert_eq!(w.nodes["h1"].engine.id(), None);
    w.run(2_000);
    assert!(w.nodes["h1"].engine.id().is_some());
}

#[test]
fn who_joins_without_hindrance_has_nothing_to_say() {
    let mut w = World::new(vec![role("a", 4, Mode::Primary)]);
    w.start("h1", 1);
    w.start("h2", 2);
    w.run(5_000);
    assert_eq!((waits(&w, "h1"), waits(&w, "h2")), (vec![], vec![]));
    let grace = |notice: &&Notice| matches!(notice, Notice::Grace { .. });
    assert_eq!(
        w.nodes["h1"].notices.iter().filter(grace).count(),
        1,
        "the store is new"
    );
}

#[test]
fn what_keeps_a_node_from_starting_is_its_refusal_and_no_trouble_besides() {
    let mut w = World::new(vec![role("a", 4, Mode::Primary)]);
    w.trouble.denied = true;
    w.start("h1", 1);
    w.run(1_000);
    assert!(matches!(w.nodes["h1"].left, Some(Err(Refusal::Denied(_)))));
    assert_eq!(w.nodes["h1"].notices, []);
}
