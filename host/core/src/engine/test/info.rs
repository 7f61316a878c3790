//! What nodes say of themselves, and what follows from orders: written once, in order, and not before it means
//! something.

use super::fate::{Fate, is_listing};
use super::*;

fn cluster() -> World {
    World::sharing(&["h1", "h2"])
}

fn stored(w: &World, node: u32) -> NodeInfo {
    match &w.store.entries[&format!("nodes/{node}")].value {
        Value::Node(info) => NodeInfo::clone(info),
        other => panic!("{other:?}"),
    }
}

fn order(w: &mut World, drain: Option<bool>, cordon: Option<bool>) {
    w.tell("h1", Event::Order { drain, cordon });
}

fn writes_info(request: &Request) -> bool {
    matches!(request, Request::Put { key: Key::Node(_), .. })
}

#[test]
fn an_order_that_changes_nothing_writes_nothing() {
    let mut w = cluster();
    let since = w.now + 1;
    order(&mut w, Some(false), Some(false));
    w.run(1_000);
    assert_eq!(w.sent("h1", since, writes_info), 0);
}

#[test]
fn an_order_whose_outcome_is_unknown_does_not_come_after_the_next() {
    let mut w = cluster();
    let since = w.now + 1;
    w.fate(|_, request| {
        if writes_info(request) {
            Fate::Stray(500)
        } else {
            Fate::Served
        }
    });
    order(&mut w, Some(true), None);
    while w.sent("h1", since, writes_info) == 0 {
        w.run(STEP);
    }
    w.trouble.fate = None;
    order(&mut w, Some(false), None);
    w.run(2_000);
    assert!(!stored(&w, 1).drain);
}

#[test]
fn an_order_that_comes_while_another_is_written_is_written_too() {
    let mut w = cluster();
    let since = w.now + 1;
    w.fate(|_, request| {
        if writes_info(request) {
            Fate::Slow(100)
        } else {
            Fate::Served
        }
    });
    order(&mut w, Some(true), Some(true));
    while w.sent("h1", since, writes_info) == 0 {
        w.run(STEP);
    }
    order(&mut w, Some(false), Some(false));
    w.run(1_000);
    assert_eq!((stored(&w, 1).drain, stored(&w, 1).cordon), (false, false));
}

#[test]
fn an_order_that_was_stored_may_be_taken_back_by_the_operator_for_good() {
    let mut w = cluster();
    order(&mut w, Some(true), Some(true));
    w.run(500);
    assert_eq!((stored(&w, 1).drain, stored(&w, 1).cordon), (true, true));
    let info = NodeInfo {
        drain: false,
        cordon: false,
        ..stored(&w, 1)
    };
    w.put(Key::Node(NodeId::new(1).unwrap()), Value::Node(Arc::new(info)));
    // The same process comes back with another session, and says anew what it is.
    w.end_session(1);
    w.run(4_000);
    assert_eq!(Some(stored(&w, 1).session), w.nodes["h1"].engine.session());
    assert_eq!((stored(&w, 1).drain, stored(&w, 1).cordon), (false, false));
}

#[test]
fn what_was_removed_is_said_again_as_soon_as_a_complete_listing_shows_it() {
    let mut w = cluster();
    w.store.revision += 1;
    w.store.entries.remove("nodes/1");
    let since = w.now + 1;
    let complete =
        |request: &Request| is_listing(request) && matches!(request, Request::List { since: Revision(0), .. });
    while w.sent("h1", since, complete) == 0 {
        w.run(STEP);
    }
    w.run(5 * STEP);
    assert!(w.store.entries.contains_key("nodes/1"));
}

#[test]
fn nobody_sees_a_fingerprint_before_the_settings_that_it_stands_for() {
    let mut w = World::new(vec![role("a", 12, Mode::Primary)]);
    w.fate(|_, request| match request {
        Request::Put {
            key: Key::Settings(_), ..
        } => Fate::Late(300),
        _ => Fate::Served,
    });
    w.start("h1", 1);
    let has = |w: &World, prefix: &str| w.store.entries.keys().any(|key| key.starts_with(prefix));
    while !has(&w, "nodes/") {
        w.run(STEP);
        assert!(w.now < 6_000 && (has(&w, "settings/") || !has(&w, "nodes/")));
    }
    let stores = |request: &Request| {
        matches!(
            request,
            Request::Put {
                key: Key::Settings(_),
                ..
            }
        )
    };
    assert_eq!(w.sent("h1", 0, stores), 1);
}

#[test]
fn a_node_that_could_not_say_what_it_is_does_not_lead() {
    let mut w = World::new(vec![role("a", 12, Mode::Primary)]);
    w.fate(|_, request| {
        if writes_info(request) {
            Fate::Failed
        } else {
            Fate::Served
        }
    });
    w.start("h1", 1);
    w.run(6_000);
    assert!(w.nodes["h1"].engine.id().is_some());
    assert_eq!(w.claims, 0);
    w.trouble.fate = None;
    w.run(1_000);
    assert_eq!(w.held("h1"), 12);
}

#[test]
fn one_claims_leadership_and_those_after_it_wait_for_their_turn() {
    let mut w = World::new(vec![role("a", 12, Mode::Primary)]);
    for (host, instance) in [("h1", 1), ("h2", 2), ("h3", 3), ("h4", 4)] {
        w.start(host, instance);
    }
    w.run(6_000);
    assert!(w.nodes["h1"].engine.is_leading());
    w.nodes.remove("h1");
    let claims = w.claims;
    w.fate(|_, request| match request {
        Request::Put { key: Key::Leader, .. } => Fate::Late(60),
        _ => Fate::Served,
    });
    w.run(5_000);
    assert_eq!(w.claims - claims, 1);
    assert!(w.nodes["h2"].engine.is_leading());
}

#[test]
fn a_node_without_capacity_is_given_nothing_even_if_it_is_the_last() {
    let mut w = World::new(vec![role("a", 12, Mode::Primary)]);
    w.start("h1", 1);
    w.run(100);
    w.capacity = Some(0);
    w.start("h2", 2);
    w.run(6_000);
    assert_eq!((w.held("h1"), w.held("h2")), (12, 0));
    w.nodes.remove("h1");
    w.run(6_000);
    assert!(w.nodes["h2"].engine.is_leading());
    assert_eq!(w.held("h2"), 0);
}
