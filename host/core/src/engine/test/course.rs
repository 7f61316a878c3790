//! The ordinary course of things.

use super::*;
use crate::values::Key;

#[test]
fn three_nodes_share_lose_one_and_take_it_back() {
    let mut w = World::new(vec![role("a", 12, Mode::Primary)]);
    for (host, instance) in [("h1", 1), ("h2", 2), ("h3", 3)] {
        w.start(host, instance);
    }
    w.run(3_050);
    assert_eq!(w.total(), 0, "a new history begins with a grace period");
    w.run(2_000);
    assert_eq!((w.held("h1"), w.held("h2"), w.held("h3")), (4, 4, 4));
    let before = w.nodes["h2"].held.clone();
    let asks = w.asks;

    w.nodes.remove("h2");
    w.run(3_300);
    assert_eq!(
        w.total(),
        12,
        "a dead node's shards are taken over after its session has ended"
    );
    assert_eq!(w.asks, asks, "by the host's own repair");
    w.start("h2", 2);
    w.run(1_500);
    let after: Vec<_> = w.nodes["h2"].held.keys().collect();
    assert_eq!(
        after,
        before.keys().collect::<Vec<_>>(),
        "within the rejoin delay it gets its own shards back"
    );
    assert!(
        w.nodes["h2"].held.iter().all(|(shard, token)| *token > before[shard]),
        "under higher tokens"
    );
    let writes = w.writes;
    w.run(10_000);
    assert_eq!(w.writes, writes, "then the plan rests");
    assert_eq!(w.total(), 12);
}

#[test]
fn shutdown_hands_over_at_once_and_keeps_the_id() {
    let mut w = World::new(vec![role("a", 8, Mode::Primary), role("b", 1, Mode::All)]);
    w.start("h1", 1);
    w.start("h2", 2);
    w.run(5_000);
    assert_eq!(w.total(), 10);
    let id = w.nodes["h1"].engine.id();
    w.nodes.get_mut("h1").unwrap().inbox.push(Event::Leave);
    w.run(100);
    assert_eq!(w.nodes["h1"].left, Some(Ok(())));
    assert_eq!((w.held("h1"), w.held("h2")), (0, 9));
    w.start("h1", 1);
    w.run(1_000);
    assert_eq!(w.nodes["h1"].engine.id(), id);
    assert_eq!(w.total(), 10);
}

/// From the end of its session on: a hint and a look of the leader, a write of the plan, a hint and a look of the
/// others. One step of this world is one trip to the store, or the way of one hint.
#[test]
fn whoever_leaves_is_followed_within_three_trips_to_the_store() {
    for leaving in ["h1", "h2", "h3"] {
        let mut w = World::new(vec![role("a", 12, Mode::Primary)]);
        for (host, instance) in [("h1", 1), ("h2", 2), ("h3", 3)] {
            w.start(host, instance);
        }
        w.run(5_000);
        assert_eq!((w.held("h1"), w.held("h2"), w.held("h3")), (4, 4, 4));
        let led = w.nodes[leaving].engine.is_leading();
        w.nodes.get_mut(leaving).unwrap().inbox.push(Event::Leave);
        while w.nodes[leaving].left.is_none() {
            w.run(STEP);
        }
        let mut steps = 0;
        while w.total() < 12 {
            w.run(STEP);
            steps += 1;
            assert!(steps <= 5, "{leaving}, which led: {led}");
        }
        let claims = w.claims;
        w.run(500);
        assert_eq!(w.claims, claims, "its place as a leader was handed over as well");
        assert_eq!(w.nodes.values().filter(|node| node.engine.is_leading()).count(), 1);
    }
}

/// Else the others could see that nobody leads, and would have to look once more.
#[test]
fn whoever_leads_names_its_successor_before_it_ends_its_session() {
    for answered in [true, false] {
        let mut w = World::new(vec![role("a", 12, Mode::Primary)]);
        w.start("h1", 1);
        w.run(STEP);
        w.start("h2", 2);
        w.run(5_000);
        let mut nodes = w.nodes.values_mut();
        let node = nodes.find(|node| node.engine.is_leading()).expect("one leads");
        let mut events = vec![Event::Leave];
        let (mut resigning, mut ending) = (Vec::new(), 0);
        while let Some(event) = events.pop() {
            for command in node.engine.handle(event, Instant(w.now)) {
                match command {
                    Command::Stop { stop, .. } => events.push(Event::Stopped(stop)),
                    Command::Store {
                        op,
                        request: Request::Put { key: Key::Leader, .. },
                        ..
                    } => resigning.push(op),
                    Command::Store {
                        request:
                            Request::Put {
                                key: Key::Session(_), ..
                            },
                        ..
                    } => ending += 1,
                    _ => {}
                }
            }
        }
        assert_eq!((resigning.len(), ending), (1, 0), "nothing but the successor is named");
        let (revision, now) = (Revision(w.store.revision + 1), StoreTime(1_000_000 + w.now));
        let outcome = match answered {
            true => Ok(Answer::Written(Written { revision, now })),
            false => Err(StoreError::Unavailable("down".to_owned())),
        };
        let commands = node.engine.handle(
            Event::Stored {
                op: resigning[0],
                outcome,
            },
            Instant(w.now),
        );
        let ends = |command: &&Command| {
            matches!(
                command,
                Command::Store {
                    request: Request::Put {
                        key: Key::Session(_),
                        ..
                    },
                    ..
                }
            )
        };
        assert_eq!(commands.iter().filter(ends).count(), 1, "{commands:?}");
    }
}

/// From the moment at which its session may be ended on: a look at it, its end, the plan, a hint, and a look of the
/// others. One step of this world is one trip to the store, or the way of one hint. Without hints the others look when
/// they renew.
#[test]
fn a_dead_nodes_shards_are_taken_over_five_trips_after_validity_and_margin() {
    let late = |dead: &str, phase: u64, deaf: bool| {
        let mut w = World::new(vec![role("a", 12, Mode::Primary)]);
        for (host, instance) in [("h1", 1), ("h2", 2), ("h3", 3)] {
            w.start(host, instance);
        }
        w.run(5_000 + phase);
        w.trouble.deaf = deaf;
        let node = w.nodes.remove(dead).unwrap();
        let session = Key::Session(node.engine.id().unwrap()).to_string();
        let renewed = w.store.entries[&session].written.0 - EPOCH;
        let may_end = renewed + timing().taker();
        while w.total() < 12 {
            assert!(w.now < may_end + 5_000, "{dead} at {phase}: {} of 12", w.total());
            w.run(STEP);
        }
        assert!(w.now >= may_end, "{dead} at {phase}: before its session was over");
        w.now - may_end
    };
    let renew = timing().renew * 11 / 10;
    for dead in ["h1", "h2", "h3"] {
        for phase in (0..timing().renew).step_by(50) {
            assert!(late(dead, phase, false) <= 5 * STEP, "{dead} at {phase}");
            assert!(
                late(dead, phase, true) <= renew + 5 * STEP,
                "{dead} at {phase}, without hints"
            );
        }
    }
}

#[test]
fn what_is_told_of_gains_and_losses_has_their_facts() {
    let mut w = World::new(vec![role("a", 4, Mode::Primary)]);
    w.start("h1", 1);
    w.run(5_000);
    let node = w.nodes.get_mut("h1").unwrap();
    let held = node.held.clone();
    let deadline = node.engine.deadline().expect("it may act");
    // Stopped for a minute.
    let commands = node.engine.handle(Event::Wake, deadline.plus(60_000));
    let told = commands.iter().find_map(|command| match command {
        Command::Stop { shards, until, .. } => Some((shards.clone(), *until)),
        _ => None,
    });
    let (shards, until) = told.expect("everything stops");
    assert_eq!(
        shards,
        held.iter()
            .map(|((_, shard), token)| (*shard, *token))
            .collect::<Vec<_>>()
    );
    assert_eq!(until, deadline, "not when it woke up");
    assert!(commands.contains(&Command::Notice(Notice::Fenced { deadline })));
}

#[test]
fn a_second_live_instance_is_refused_and_harms_nobody() {
    let mut w = World::new(vec![role("a", 4, Mode::Primary)]);
    w.start("h1", 1);
    w.run(5_000);
    let first = w.nodes.remove("h1").unwrap();
    w.start("h1", 99);
    let second = w.nodes.remove("h1").unwrap();
    w.nodes.insert("first", first);
    w.nodes.insert("second", second);
    w.run(3_000);
    let refusal = w.nodes["second"].left.clone().unwrap().unwrap_err().to_string();
    assert!(
        refusal.contains("h1")
            && refusal.contains(&InstanceId(1).to_string())
            && refusal.contains(&InstanceId(99).to_string()),
        "{refusal}"
    );
    assert_eq!(w.held("first"), 4);
}

#[test]
fn draining_moves_everything_away_and_undraining_brings_it_back() {
    let mut w = World::new(vec![role("a", 12, Mode::Primary)]);
    w.start("h1", 1);
    w.start("h2", 2);
    w.run(5_000);
    w.nodes.get_mut("h1").unwrap().inbox.push(Event::Order {
        drain: Some(true),
        cordon: None,
    });
    w.run(1_000);
    assert_eq!(
        (w.held("h1"), w.held("h2")),
        (0, 12),
        "within a second, though it takes several rounds and the leader itself drains"
    );
    w.nodes.get_mut("h1").unwrap().inbox.push(Event::Order {
        drain: Some(false),
        cordon: None,
    });
    w.run(1_000);
    assert_eq!((w.held("h1"), w.held("h2")), (6, 6));
}

#[test]
fn another_shard_count_is_reshaped_without_overlap() {
    let mut w = World::new(vec![role("a", 5_000, Mode::Primary)]);
    w.start("h1", 1);
    w.start("h2", 2);
    w.run(6_000);
    assert_eq!(w.total(), 5_000);
    w.nodes.clear();
    w.roles = vec![role("a", 6, Mode::Primary)];
    w.start("h1", 1);
    w.start("h2", 2);
    w.run(3_000);
    assert_eq!(w.total(), 6);
}

#[test]
fn a_store_that_was_restored_is_lost_history_and_issues_no_token_twice() {
    let mut w = World::new(vec![role("a", 6, Mode::Primary)]);
    w.start("h1", 1);
    w.start("h2", 2);
    w.run(6_000);
    let backup = w.store.clone();
    w.nodes.get_mut("h2").unwrap().inbox.push(Event::Leave);
    w.run(500);
    w.start("h2", 2);
    w.run(2_000);
    let highest = w.nodes.values().flat_map(|n| n.held.values().copied()).max().unwrap();
    w.store = backup;
    w.run(1_200);
    for (host, node) in &w.nodes {
        assert!(
            node.notices.iter().any(|n| matches!(n, Notice::HistoryLost { .. })),
            "{host} notices within one renewal"
        );
    }
    assert_eq!(w.total(), 0, "and nobody acts");
    w.run(4_500);
    assert_eq!(w.total(), 6, "until the grace period is over");
    let lowest = w.nodes.values().flat_map(|n| n.held.values().copied()).min().unwrap();
    assert!(lowest > highest, "{lowest} after {highest}");
}
