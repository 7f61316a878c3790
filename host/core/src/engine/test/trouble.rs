//! When things go wrong a node neither hurries nor gives up: no busy loop, no state without a way out.

use super::*;
use crate::id::{NodeId, ProcessId};
use crate::join::{Join, JoinError, Next};
use crate::values::{IdOwner, Key, Session};

fn cluster(hosts: &[(&'static str, u128)]) -> World {
    let mut w = World::new(vec![role("a", 12, Mode::Primary)]);
    for (host, instance) in hosts {
        w.start(host, *instance);
    }
    w.run(6_000);
    w
}

fn tell(w: &mut World, host: &str, event: Event) {
    w.nodes.get_mut(host).unwrap().inbox.push(event);
}

#[test]
fn a_leader_in_an_outage_waits_quietly() {
    let mut w = cluster(&[("h1", 1), ("h2", 2)]);
    assert!(w.nodes["h1"].engine.is_leading());
    w.nodes.remove("h2");
    w.run(3_400);
    w.trouble.down = true;
    w.run(12_000);
    let before = w.handled;
    w.run(10_000);
    assert!(w.handled - before < 500, "{} events in 10 s", w.handled - before);
}

#[test]
fn a_claim_of_leadership_that_fails_is_repeated_with_pauses() {
    let mut w = World::new(vec![role("a", 12, Mode::Primary)]);
    w.trouble.leaderless = true;
    w.start("h1", 1);
    w.run(6_000);
    let before = w.claims;
    w.run(1_000);
    assert!(
        (2..50).contains(&(w.claims - before)),
        "{} claims in 1 s",
        w.claims - before
    );
    w.trouble.leaderless = false;
    w.run(1_000);
    assert_eq!(w.held("h1"), 12);
}

#[test]
fn who_leaves_holds_its_session_until_its_work_has_stopped() {
    let mut w = cluster(&[("h1", 1), ("h2", 2)]);
    w.trouble.stubborn = true;
    tell(&mut w, "h1", Event::Leave);
    w.run(1_000);
    let before = w.handled;
    w.run(1_000);
    assert!(w.handled - before < 100, "{} events in 1 s", w.handled - before);
    w.run(8_000);
    assert_eq!(w.held("h2"), 6, "nobody takes over what has not stopped");
    assert_eq!(
        w.nodes["h2"].engine.view().leader(),
        NodeId::new(2),
        "but somebody else leads"
    );
    w.trouble.stubborn = false;
    tell(&mut w, "h1", Event::Stopped(crate::duty::StopId(1)));
    w.run(200);
    assert_eq!((w.nodes["h1"].left.clone(), w.held("h2")), (Some(Ok(())), 12));
}

#[test]
fn what_a_node_says_of_itself_is_said_again_when_it_was_removed() {
    let mut w = cluster(&[("h1", 1), ("h2", 2)]);
    w.store.revision += 1;
    w.store.entries.remove("nodes/1");
    w.run(15_000);
    assert!(w.store.entries.contains_key("nodes/1"));
    assert_eq!((w.held("h1"), w.held("h2")), (6, 6));
}

/// A store that was lost counts its revisions anew: a write that was under way can fit by chance.
#[test]
fn what_a_node_says_of_itself_is_said_again_when_a_former_session_wrote_over_it() {
    let mut w = cluster(&[("h1", 1), ("h2", 2)]);
    w.store.revision += 1;
    let revision = Revision(w.store.revision);
    let entry = w.store.entries.get_mut("nodes/1").unwrap();
    let Value::Node(info) = &entry.value else {
        panic!("what a node says")
    };
    let former = NodeInfo {
        session: SessionId(7),
        ..NodeInfo::clone(info)
    };
    (entry.revision, entry.value) = (revision, Value::Node(Arc::new(former)));
    w.run(2_500);
    let node = w
        .nodes
        .values()
        .find(|node| node.engine.id() == NodeId::new(1))
        .unwrap();
    assert_eq!(
        node.engine.view().settings_of(NodeId::new(1).unwrap()),
        Some(node.engine.set.info.settings)
    );
    assert_eq!((w.held("h1"), w.held("h2")), (6, 6));
}

#[test]
fn orders_for_a_former_owner_of_an_id_are_not_for_the_next() {
    let mut w = World::new(vec![role("a", 4, Mode::Primary)]);
    w.start("h1", 1);
    w.run(6_000);
    tell(
        &mut w,
        "h1",
        Event::Order {
            drain: Some(true),
            cordon: None,
        },
    );
    w.run(500);
    tell(&mut w, "h1", Event::Leave);
    w.run(500);
    w.nodes.clear();
    // All other ids belong to others, and the first owner has been gone for longer than reuse-after.
    for n in 2..=9 {
        let key = Key::Id(NodeId::new(n).unwrap());
        let value = Value::Id(IdOwner {
            hostname: format!("other-{n}"),
        });
        w.now += timing().reuse_after / 8;
        w.store
            .perform(
                Request::Put {
                    key,
                    value,
                    expected: Expected::Absent,
                },
                w.now,
            )
            .unwrap();
    }
    w.now += 10_000;
    w.start("h9", 9);
    w.run(6_000);
    assert_eq!(w.nodes["h9"].engine.id(), NodeId::new(1));
    assert_eq!(w.held("h9"), 4, "it is not drained");
    let Value::Node(info) = &w.store.entries["nodes/1"].value else {
        panic!("what a node says")
    };
    assert!(!info.drain);
}

#[test]
fn a_store_that_is_another_one_is_told_and_read_again_even_before_the_id_is_held() {
    let mut w = World::new(vec![role("a", 4, Mode::Primary)]);
    w.start("h1", 1);
    w.run(500);
    w.trouble.lost = true;
    let before = w.handled;
    w.run(60_000);
    let node = &w.nodes["h1"];
    assert_eq!(node.left, None, "whoever reads again may find what took its place");
    let told = |notice: &Notice| matches!(notice, Notice::CoordinatorDown(why) if why.contains("another file"));
    assert!(node.notices.iter().any(told), "{:?}", node.notices);
    assert!(w.handled - before < 1_000, "{} events in 60 s", w.handled - before);
    w.trouble.lost = false;
    w.run(6_000);
    assert_eq!(w.held("h1"), 4);

    let mut w = cluster(&[("h1", 1)]);
    w.trouble.down = true;
    w.run(5_000);
    let session = w.store.entries["sessions/1"].clone();
    let Value::Session(mut ended) = session.value else {
        panic!("a session")
    };
    ended.ended = Some(session.written);
    let key = Key::Session(NodeId::new(1).unwrap());
    let end = Request::Put {
        key,
        value: Value::Session(ended),
        expected: Expected::Any,
    };
    w.store.perform(end, w.now).unwrap();
    w.trouble.down = false;
    while w.nodes["h1"].engine.id().is_some() {
        w.run(STEP);
    }
    w.trouble.lost = true;
    w.run(1_000);
    assert!(
        w.nodes["h1"]
            .notices
            .iter()
            .any(|n| matches!(n, Notice::HistoryLost { .. }))
    );
}

#[test]
fn two_hosts_with_one_static_id_are_told_apart() {
    let who = |host: &str, n| Identity {
        static_id: NodeId::new(5),
        ..Identity::new(host, InstanceId(u128::from(n)), ProcessId(n), 9)
    };
    let mut store = Store::default();
    let mut joins = [("a", 1), ("b", 2)].map(|(host, n)| {
        (
            Join::start(
                who(host, n),
                timing(),
                SessionId::new(ProcessId(n), 1),
                Rules::default(),
            ),
            0,
        )
    });
    for now in 1..5_000 {
        for ((join, next), wait) in &mut joins {
            match next.clone() {
                Next::Do(request) => *next = join.answer(store.perform(request, now), Instant(now)),
                Next::Wait(ms) if *wait == 0 => *wait = now + ms,
                Next::Wait(_) if now >= *wait => (*next, *wait) = (join.wake(), 0),
                // Whoever holds it renews it.
                Next::Held(held) if now % 1_000 == 0 => {
                    let renewal = Request::Put {
                        key: Key::Session(held.id),
                        value: Value::Session(held.session),
                        expected: Expected::Any,
                    };
                    store.perform(renewal, now).unwrap();
                }
                _ => {}
            }
        }
    }
    let joins = joins.map(|(join, _)| join);
    let [(_, a), (_, b)] = joins;
    assert!(matches!(a, Next::Held(held) if Some(held.id) == NodeId::new(5)));
    assert!(matches!(b, Next::Refused(JoinError::StaticIdTaken { holder, .. }) if holder == "a"));
}

#[test]
fn an_id_that_somebody_else_lives_under_is_left_to_it() {
    let mut store = Store::default();
    let id = NodeId::new(1).unwrap();
    let theirs = Session {
        hostname: "x".to_owned(),
        instance: InstanceId(7),
        session: SessionId(7),
        applied: Revision(0),
        began: StoreTime(0),
        away: 0,
        ended: None,
    };
    let put = |key, value| Request::Put {
        key,
        value,
        expected: Expected::Any,
    };
    let renew = || put(Key::Session(id), Value::Session(theirs.clone()));
    store.perform(renew(), 0).unwrap();
    store
        .perform(
            put(
                Key::Id(id),
                Value::Id(IdOwner {
                    hostname: "z".to_owned(),
                }),
            ),
            0,
        )
        .unwrap();
    let who = Identity::new("z", InstanceId(1), ProcessId(1), 9);
    let (mut join, mut next) = Join::start(who, timing(), SessionId::new(ProcessId(1), 1), Rules::default());
    let (mut wake, mut held) = (None, None);
    for now in 1..60_000u64 {
        if now % 1_000 == 0 {
            store.perform(renew(), now).unwrap();
        }
        next = match next {
            Next::Do(request) => join.answer(store.perform(request, now), Instant(now)),
            Next::Wait(ms) if now < *wake.get_or_insert(now + ms) => Next::Wait(ms),
            Next::Wait(_) => {
                wake = None;
                join.wake()
            }
            Next::Held(ours) => {
                held = Some(ours.id);
                break;
            }
            Next::Refused(error) => panic!("{error}"),
        };
    }
    assert_eq!(held, NodeId::new(2));
}

#[test]
fn a_store_that_lost_its_tail_is_noticed_even_if_its_counter_caught_up() {
    let mut w = cluster(&[("h1", 1), ("h2", 2)]);
    let old = w.store.entries.clone();
    w.run(2_500);
    w.store.entries = old;
    w.run(5_000);
    for (host, node) in &w.nodes {
        assert!(
            node.notices.iter().any(|n| matches!(n, Notice::HistoryLost { .. })),
            "{host}"
        );
    }
}

#[test]
fn where_all_acted_one_acts_only_after_everyone_has_stopped() {
    let mut w = World::new(vec![role("a", 3, Mode::All)]);
    w.start("h1", 1);
    w.start("h2", 2);
    w.run(6_000);
    assert_eq!(w.total(), 6);
    // A node with the new settings comes with a majority of one: the others still act on what they have read.
    let old = w.nodes.remove("h2").unwrap();
    w.nodes.remove("h1");
    w.roles = vec![role("a", 3, Mode::Primary)];
    w.nodes.insert("old", old);
    w.start("h1", 1);
    w.start("h3", 3);
    for _ in 0..6_000 {
        w.run(STEP);
        let exclusive = ["h1", "h3"].iter().any(|host| w.held(host) > 0);
        assert!(!exclusive || w.held("old") == 0, "at {}", w.now);
    }
    assert_eq!(w.held("h1") + w.held("h3"), 3);
}

#[test]
fn a_store_that_only_reads_is_down_once() {
    let mut w = cluster(&[("h1", 1), ("h2", 2)]);
    w.nodes.get_mut("h1").unwrap().notices.clear();
    w.trouble.read_only = true;
    w.run(10_000);
    w.trouble.read_only = false;
    w.run(10_000);
    let health = |notice: &&Notice| matches!(notice, Notice::CoordinatorDown(_) | Notice::CoordinatorUp);
    let told: Vec<_> = w.nodes["h1"].notices.iter().filter(health).collect();
    assert!(
        matches!(told[..], [Notice::CoordinatorDown(_), Notice::CoordinatorUp]),
        "{told:?}"
    );
}
