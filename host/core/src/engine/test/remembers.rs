//! What a node remembers of whose the ids are, and what it writes down when the store is lost.

use super::fate::is_history_lost;
use super::*;
use crate::join::Former;
use crate::values::IdOwner;

fn id(n: u32) -> NodeId {
    NodeId::new(n).unwrap()
}

fn cluster() -> World {
    let mut w = World::new(vec![role("a", 12, Mode::Primary)]);
    for (host, instance) in [("h1", 1), ("h2", 2)] {
        w.start(host, instance);
        w.run(4_000);
    }
    w.run(15_000);
    w
}

fn belongs(w: &mut World, n: u32, hostname: &str) {
    let hostname = hostname.to_owned();
    w.put(Key::Id(id(n)), Value::Id(IdOwner { hostname }));
}

fn is_scan(request: &Request) -> bool {
    matches!(request, Request::List { prefix: "ids/", .. })
}

#[test]
fn an_id_in_use_is_remembered_however_long_ago_it_was_given() {
    let mut w = cluster();
    // Nobody renews in between.
    w.now += timing().reuse_after;
    w.run(15_000);
    w.nodes.remove("h1");
    w.run(5_000);
    w.store = Store::default();
    w.start("a-newcomer", 9);
    w.run(12_000);
    assert_eq!(w.nodes["a-newcomer"].engine.id(), Some(id(3)));
}

#[test]
fn an_id_that_goes_to_another_host_is_remembered_as_the_others_at_once() {
    let mut w = cluster();
    for host in ["x", "y"] {
        belongs(&mut w, 5, host);
        w.run(2_000);
        let known = w.nodes["h1"].memory.ids.iter().find(|known| known.id == id(5));
        assert_eq!(known.map(|known| known.hostname.as_str()), Some(host));
    }
}

#[test]
fn the_last_use_of_an_id_is_told_anew_after_an_hour() {
    let mut w = cluster();
    let used = |w: &World| w.nodes["h1"].memory.ids[0].used.0 - EPOCH;
    let before = used(&w);
    w.now += 3_600_000;
    w.run(30_000);
    assert!(used(&w) >= before + 3_600_000);
}

/// Not at once, since those who live write down their own first, and not so late that it would not come in time.
#[test]
fn what_others_had_is_looked_for_once_shortly_before_half_of_the_wait_is_over() {
    let mut spread = std::collections::BTreeSet::new();
    for phase in 0..5 {
        let mut w = cluster();
        w.run(200 * phase);
        w.nodes.remove("h2");
        w.store = Store::default();
        let grace = |notice: &Notice| matches!(notice, Notice::Grace { .. });
        let graces = w.told("h1", grace).len();
        while w.told("h1", grace).len() == graces {
            w.run(STEP);
        }
        assert_eq!(w.told("h1", is_history_lost).len(), 1);
        let Some(&Notice::Grace { wait }) = w.told("h1", grace).last() else {
            panic!("a grace period")
        };
        let begin = w.now;
        w.run(wait - 4 * STEP);
        let scans = w.log.iter().filter(|(at, _, request)| *at >= begin && is_scan(request));
        let scans: Vec<u64> = scans.map(|(at, ..)| *at - begin).collect();
        let in_time = 430 * wait / 1_000..=450 * wait / 1_000;
        assert!(
            matches!(scans[..], [at] if in_time.contains(&at)),
            "{scans:?} of {wait}"
        );
        spread.insert(scans[0]);
    }
    assert!(spread.len() > 1, "not all at the same time: {spread:?}");
}

/// In the grace period of a new store, which has nobody's id, a node writes down that which it had.
#[test]
fn a_node_keeps_its_id_in_a_new_store_unless_it_is_to_have_another_or_was_renamed() {
    for (host, stated, keeps) in [
        ("h1", None, true),
        ("h1", Some(3), true),
        ("h1", Some(5), false),
        ("renamed", None, false),
    ] {
        let mut w = World::new(vec![role("a", 12, Mode::Primary)]);
        w.static_id = stated.and_then(NodeId::new);
        let former = Former {
            id: id(3),
            hostname: "h1".to_owned(),
        };
        let memory = Memory {
            former: Some(former),
            ..Memory::default()
        };
        w.start_with(host, 1, memory);
        w.run(1_000);
        assert_eq!(w.store.entries.contains_key("ids/3"), keeps, "{host}, {stated:?}");
    }
}
