//! How a node goes when its session or a renewal is in doubt.

use super::fate::{Fate, is_session};
use super::*;

fn cluster() -> World {
    World::sharing(&["h1", "h2"])
}

fn is_end(request: &Request) -> bool {
    matches!(request, Request::Put { value: Value::Session(session), .. } if session.ended.is_some())
}

#[test]
fn who_loses_its_session_while_it_leaves_does_not_come_back() {
    let mut w = cluster();
    w.trouble.stubborn = true;
    w.tell("h1", Event::Leave);
    w.run(500);
    w.end_session(1);
    w.run(2_000);
    assert_eq!((w.nodes["h1"].engine.id(), w.nodes["h1"].left.clone()), (None, None));
    w.tell("h1", Event::Stopped(crate::duty::StopId(1)));
    w.run(4_000);
    assert_eq!(w.nodes["h1"].left, Some(Ok(())));
    assert!(w.session_entry(1).ended.is_some());
}

#[test]
fn who_leaves_after_a_renewal_of_unknown_outcome_ends_its_session_all_the_same() {
    let mut w = cluster();
    let since = w.now + 1;
    w.fate(|host, request| {
        if host == "h1" && is_session(request) {
            Fate::Unknown
        } else {
            Fate::Served
        }
    });
    while w.sent("h1", since, is_session) == 0 {
        w.run(STEP);
    }
    w.trouble.fate = None;
    w.tell("h1", Event::Leave);
    w.run(50);
    assert_eq!(w.nodes["h1"].left, Some(Ok(())));
    assert!(w.session_entry(1).ended.is_some());
}

#[test]
fn who_leaves_while_a_renewal_is_under_way_waits_for_its_answer() {
    let mut w = cluster();
    let since = w.now + 1;
    w.fate(|host, request| {
        if host == "h1" && is_session(request) {
            Fate::Slow(300)
        } else {
            Fate::Served
        }
    });
    while w.sent("h1", since, is_session) == 0 {
        w.run(STEP);
    }
    w.tell("h1", Event::Leave);
    w.run(200);
    assert_eq!(w.sent("h1", since, is_end), 0, "its session would outlive its end");
    w.run(600);
    assert_eq!(w.sent("h1", since, is_end), 1);
    assert_eq!(w.nodes["h1"].left, Some(Ok(())));
}

#[test]
fn whoever_leaves_hands_leadership_over_at_once_though_its_work_goes_on() {
    let mut w = cluster();
    w.trouble.stubborn = true;
    w.tell("h1", Event::Leave);
    w.run(5 * STEP);
    assert!(w.nodes["h2"].engine.is_leading());
    assert_eq!(w.nodes["h1"].left, None);
}

#[test]
fn the_end_of_a_session_says_all_that_was_applied_in_it() {
    let mut w = World::new(vec![role("a", 12, Mode::Primary)]);
    w.start("h1", 1);
    w.start("h2", 2);
    while w.nodes.get("h2").is_none_or(|node| node.held.is_empty()) {
        w.run(STEP);
        assert!(w.now < 6_000);
    }
    let applied = w.nodes["h2"].engine.duty().applied();
    assert!(w.session_entry(2).applied < applied, "it was not renewed since");
    w.tell("h2", Event::Leave);
    w.run(50);
    assert_eq!(w.nodes["h2"].left, Some(Ok(())));
    assert!(w.session_entry(2).applied >= applied);
}
