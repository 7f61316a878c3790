//! What operators are told: of orders, of how nodes go, of policies that fail.

use super::*;
use crate::id::NodeId;
use crate::values::{Failing, Key, Policies};

fn id(n: u32) -> NodeId {
    NodeId::new(n).unwrap()
}

fn cluster() -> World {
    World::sharing(&["h1", "h2", "h3"])
}

/// As the operator's commands do it: a changed entry, and a hint.
fn order(w: &mut World, node: u32, drain: bool, cordon: bool) {
    let key = Key::Node(id(node));
    let entry = w.store.entries[&key.to_string()].clone();
    let Value::Node(info) = entry.value else {
        panic!("an info")
    };
    let info = NodeInfo {
        drain,
        cordon,
        ..NodeInfo::clone(&info)
    };
    let request = Request::Put {
        key,
        value: Value::Node(Arc::new(info)),
        expected: Expected::Revision(entry.revision),
    };
    w.store.perform(request, w.now).unwrap();
    w.nodes.values_mut().for_each(|node| node.inbox.push(Event::Look));
}

fn orders(w: &World, host: &str) -> Vec<Notice> {
    let is = |notice: &&Notice| matches!(notice, Notice::Ordered { .. } | Notice::Forgotten(_));
    w.nodes[host].notices.iter().filter(is).cloned().collect()
}

#[test]
fn orders_are_told_by_the_node_concerned_and_by_the_leader_once() {
    let mut w = cluster();
    order(&mut w, 2, true, false);
    w.run(3_000);
    order(&mut w, 2, false, true);
    w.run(20_000);
    let ordered = |drain, cordon| Notice::Ordered {
        node: id(2),
        drain,
        cordon,
    };
    let expected = vec![ordered(true, false), ordered(false, true)];
    for (host, told) in [("h1", expected.clone()), ("h2", expected), ("h3", vec![])] {
        assert_eq!(orders(&w, host), told, "{host}");
    }
    // Whoever starts anew is told what it is under.
    w.nodes.remove("h2");
    w.start("h2", 2);
    w.run(10_000);
    assert_eq!(orders(&w, "h2"), [ordered(false, true)]);
}

#[test]
fn an_order_is_followed_as_soon_as_the_leader_has_seen_it() {
    let mut w = cluster();
    order(&mut w, 2, true, false);
    w.run(200);
    assert_eq!((w.held("h2"), w.total()), (0, 12));
}

#[test]
fn one_that_leaves_and_one_that_crashes_are_told_apart() {
    let mut w = cluster();
    w.nodes.get_mut("h3").unwrap().inbox.push(Event::Leave);
    w.run(500);
    w.nodes.remove("h2");
    w.run(5_000);
    let gone = |notice: &&Notice| matches!(notice, Notice::PeerLeft(..));
    let told: Vec<_> = w.nodes["h1"].notices.iter().filter(gone).cloned().collect();
    let expected = [
        Notice::PeerLeft(id(3), Some(Ending::Left)),
        Notice::PeerLeft(id(2), Some(Ending::Expired)),
    ];
    assert_eq!(told, expected);
    // Whoever comes later reads the same.
    w.start("h4", 4);
    w.run(5_000);
    let seen = &w.nodes["h4"].engine.view().sessions;
    let endings = [2, 3].map(|n| seen[&id(n)].ending(&timing()));
    assert_eq!(endings, [Some(Ending::Expired), Some(Ending::Left)]);
    w.store.entries.remove("sessions/3");
    w.store.revision += 1;
    w.run(15_000);
    assert_eq!(orders(&w, "h1"), [Notice::Forgotten(id(3))]);
}

fn written(w: &World) -> Option<Policies> {
    w.store.entries.get("policies").map(|entry| match &entry.value {
        Value::Policies(policies) => policies.clone(),
        other => panic!("{other:?}"),
    })
}

fn failing(suspended: bool, reason: &str) -> Vec<Failing> {
    vec![Failing {
        role: "a".to_owned(),
        suspended,
        reason: reason.to_owned(),
    }]
}

#[test]
fn the_leader_writes_which_policies_fail_and_when_they_do_no_more() {
    let mut w = cluster();
    assert_eq!(written(&w), None, "no policy has failed");
    w.trouble.policy = Some("it trapped");
    order(&mut w, 2, true, false);
    w.run(500);
    let first = written(&w).expect("written");
    assert_eq!(
        (first.failing, Some(first.session)),
        (failing(false, "it trapped"), w.nodes["h1"].engine.session())
    );
    w.run(10_000);
    assert_eq!(written(&w).expect("written").failing, failing(true, "it trapped"));
    let revision = w.store.entries["policies"].revision;
    w.run(10_000);
    assert_eq!(w.store.entries["policies"].revision, revision, "once");

    // Another leader has a better experience, or none yet.
    w.trouble.policy = None;
    w.nodes.get_mut("h1").unwrap().inbox.push(Event::Leave);
    w.run(5_000);
    assert_eq!(written(&w).expect("written").failing, []);
}

#[test]
fn a_component_that_is_replaced_is_no_longer_said_to_fail() {
    let mut w = cluster();
    w.trouble.policy = Some("it trapped");
    order(&mut w, 2, true, false);
    w.run(10_000);
    assert_eq!(written(&w).expect("written").failing, failing(true, "it trapped"));
    w.trouble.policy = None;
    let replaced = Event::PolicyChanged { role: 0, digest: 2 };
    w.nodes.get_mut("h1").unwrap().inbox.push(replaced);
    w.run(1_000);
    assert_eq!(written(&w).expect("written").failing, []);
}

#[test]
fn what_cannot_be_written_is_tried_again_with_pauses() {
    let mut w = cluster();
    w.trouble.policy = Some("it trapped");
    order(&mut w, 2, true, false);
    w.trouble.read_only = true;
    let (before, since) = (w.handled, w.now);
    w.run(1_500);
    assert!(w.handled - before < 300, "{} events in 1.5 s", w.handled - before);
    let tries = w.sent("h1", since, |request| {
        matches!(request, Request::Put { key: Key::Policies, .. })
    });
    assert!((5..=20).contains(&tries), "{tries} in 1.5 s");
    w.trouble.read_only = false;
    w.run(2_000);
    assert!(!written(&w).expect("written").failing.is_empty());
}
