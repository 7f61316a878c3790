//! The ends of sessions that show no life: who writes them, and on what evidence.

use super::fate::{Fate, is_listing, is_session};
use super::*;

fn cluster() -> World {
    World::sharing(&["h1", "h2", "h3"])
}

fn is_probe(request: &Request) -> bool {
    matches!(request, Request::Get(Key::Session(_)))
}

fn is_end(request: &Request) -> bool {
    matches!(request, Request::Put { value: Value::Session(session), .. } if session.ended.is_some())
}

#[test]
fn the_end_of_a_dead_session_is_left_to_the_leader_even_by_those_before_it() {
    let mut w = cluster();
    w.tell("h1", Event::Leave);
    w.run(500);
    w.start("h1", 1);
    w.run(3_000);
    assert!(w.nodes["h2"].engine.is_leading());
    w.nodes.remove("h3");
    let since = w.now;
    // Whoever does not leave it to the leader has looked long before the leader has done it.
    w.fate(|host, request| {
        if host == "h2" && is_probe(request) {
            Fate::Slow(50)
        } else {
            Fate::Served
        }
    });
    w.run(5_000);
    assert_eq!((w.sent("h2", since, is_probe), w.sent("h1", since, is_probe)), (1, 0));
    assert!(w.session_entry(3).ended.is_some());
}

#[test]
fn a_session_that_was_watched_for_long_enough_is_ended_whatever_the_stores_clock_says() {
    let mut w = cluster();
    w.nodes.remove("h3");
    w.run(300);
    w.store.behind = 500_000;
    w.run(4_200);
    assert_eq!(w.total(), 12);
}

#[test]
fn a_session_is_ended_by_the_evidence_of_the_last_look_at_it() {
    let mut w = cluster();
    let since = w.now + 1;
    while w.sent("h3", since, is_session) == 0 {
        w.run(STEP);
    }
    w.nodes.remove("h3");
    w.nodes.remove("h2");
    let since = w.now;
    w.fate(|_, request| {
        if is_probe(request) {
            Fate::Late(60)
        } else {
            Fate::Served
        }
    });
    while w.sent("h1", since, is_probe) == 0 {
        w.run(STEP);
    }
    // It is old by the store's clock, which is shown to be wrong before the answer comes.
    w.store.behind = 500_000;
    w.run(60 + 4 * STEP);
    assert_eq!(w.sent("h1", since, is_end), 0);
    w.run(3_000);
    assert_eq!(w.total(), 12, "in the end they are");
}

#[test]
fn who_comes_second_to_end_a_session_goes_by_the_end_that_it_meets() {
    let mut w = cluster();
    w.trouble.deaf = true;
    w.nodes.remove("h3");
    let since = w.now;
    w.fate(move |host, request| {
        if host == "h1" && is_session(request) {
            Fate::Late(500)
        } else {
            Fate::Served
        }
    });
    while w.sent("h1", since, is_end) == 0 {
        w.run(STEP);
    }
    w.fate(|host, request| match request {
        request if host == "h1" && is_session(request) => Fate::Late(500),
        request if host == "h1" && is_listing(request) => Fate::Failed,
        _ => Fate::Served,
    });
    w.run(490);
    assert_eq!(w.sent("h2", since, is_end), 1);
    assert_eq!(w.held("h1"), 4);
    w.run(20);
    assert!(w.held("h1") > 4, "the leader has moved what the dead node had");
}

/// What was written meanwhile is dated by seconds too early, and nothing shows that to who has not looked.
#[test]
fn a_clock_that_is_set_back_and_put_right_between_two_looks_of_a_node_ends_nobodys_session() {
    for phase in (0..timing().renew).step_by(100) {
        let mut w = cluster();
        w.run(phase);
        w.fate(|host, _| if host == "h1" { Fate::Failed } else { Fate::Served });
        w.store.behind = 5_000;
        w.run(900);
        w.store.behind = 0;
        w.trouble.fate = None;
        w.run(3_000);
        for node in 1..=3 {
            assert_eq!(w.session_entry(node).ended, None, "node {node}, at {phase} ms");
        }
    }
}
