//! What a cluster at rest costs, when a node looks, and what it tells.

use super::fate::{Fate, is_listing, is_session};
use super::*;

fn cluster() -> World {
    World::sharing(&["h1", "h2", "h3"])
}

fn is_complete(request: &Request) -> bool {
    matches!(
        request,
        Request::List {
            prefix: "",
            since: Revision(0)
        }
    )
}

#[test]
fn a_node_at_rest_costs_one_renewal_and_one_listing_an_interval() {
    let mut w = cluster();
    w.tell("h3", Event::Leave);
    w.run(20_000);
    let since = w.now + 1;
    let remembered = w.nodes["h1"].remembered;
    w.run(60_000);
    for host in ["h1", "h2"] {
        let renewals = w.sent(host, since, is_session);
        let listings = w.sent(host, since, is_listing);
        assert!((60..=67).contains(&renewals), "{host}: {renewals} renewals");
        assert!((60..=67).contains(&listings), "{host}: {listings} listings");
        let complete = w.sent(host, since, is_complete);
        assert!((4..=5).contains(&complete), "{host}: {complete} complete ones");
        assert_eq!(
            w.sent(host, since, |_| true),
            renewals + listings,
            "{host}: nothing else"
        );
    }
    assert_eq!(w.nodes["h1"].remembered, remembered, "nothing new is to be remembered");
    assert_eq!(w.asks, 2, "the first plan, and the one without the third node");
}

#[test]
fn a_listing_that_fails_is_repeated_within_an_eighth_of_the_interval() {
    let mut w = cluster();
    w.fail(is_listing);
    w.run(1_000);
    let since = w.now;
    w.run(1_000);
    let listings = w.sent("h1", since, is_listing);
    assert!((7..=10).contains(&listings), "{listings}");
}

#[test]
fn nothing_happens_while_a_listing_is_under_way() {
    let mut w = cluster();
    w.fate(|_, request| {
        if is_listing(request) {
            Fate::Slow(800)
        } else {
            Fate::Served
        }
    });
    w.run(2_000);
    let before = w.handled;
    w.run(1_000);
    assert!(w.handled - before < 40, "{} events in a second", w.handled - before);
}

#[test]
fn a_session_that_is_gone_when_it_is_looked_at_makes_a_node_look_at_everything() {
    let mut w = cluster();
    w.nodes.remove("h3");
    w.run(2_000);
    w.store.revision += 1;
    w.store.entries.remove("sessions/3");
    let since = w.now;
    let probes = |request: &Request| matches!(request, Request::Get(Key::Session(_)));
    while w.sent("h1", since, probes) == 0 {
        w.run(STEP);
        assert!(w.now < since + 3_000);
    }
    w.run(4 * STEP);
    let forgotten = |notice: &Notice| matches!(notice, Notice::Forgotten(_));
    assert_eq!(w.told("h1", forgotten), [Notice::Forgotten(NodeId::new(3).unwrap())]);
}

#[test]
fn who_comes_and_goes_is_told_of_others_only() {
    let mut w = cluster();
    let id = |n| NodeId::new(n).unwrap();
    let joined = |notice: &Notice| matches!(notice, Notice::PeerJoined(_));
    for (host, n) in [("h1", 1), ("h2", 2), ("h3", 3)] {
        let others = [1, 2, 3].into_iter().filter(|other| *other != n);
        let mut told = w.told(host, joined);
        told.sort_by_key(|notice| format!("{notice:?}"));
        let expected: Vec<_> = others.map(|other| Notice::PeerJoined(id(other))).collect();
        assert_eq!(told, expected, "{host}");
    }
    w.nodes.remove("h3");
    w.run(30_000);
    let left = |notice: &Notice| matches!(notice, Notice::PeerLeft(..));
    let status = |notice: &Notice| matches!(notice, Notice::PeerStatus(..));
    for host in ["h1", "h2"] {
        assert_eq!(
            w.told(host, left),
            [Notice::PeerLeft(id(3), Some(Ending::Expired))],
            "{host}"
        );
        let expected = [Status::Stale, Status::Inactive].map(|status| Notice::PeerStatus(id(3), status));
        assert_eq!(w.told(host, status), expected, "{host}");
        let known = |node: &Node| {
            node.registries
                .last()
                .map(|r| r.iter().map(|r| r.status).collect::<Vec<_>>())
        };
        assert_eq!(
            known(&w.nodes[host]),
            Some(vec![Status::Active, Status::Active, Status::Inactive]),
            "{host}"
        );
    }
}

#[test]
fn what_a_node_says_that_it_holds_is_what_it_was_granted() {
    let mut w = cluster();
    w.tell("h2", Event::Leave);
    w.run(500);
    for node in w.nodes.values() {
        for shard in 0..12 {
            let duty = node.engine.duty();
            assert_eq!(duty.token(0, shard), node.held.get(&(0, shard)).copied());
            assert_eq!(duty.is_active(0, shard), node.held.contains_key(&(0, shard)));
        }
    }
}
