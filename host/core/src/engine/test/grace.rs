//! How long who starts waits before it joins, though the backend's clock may just have been set, and when it need not.

use super::*;
use crate::id::SessionId;
use crate::values::{Meta, Session};

const DAY: u64 = 86_400_000;

fn world() -> World {
    World::new(vec![role("a", 12, Mode::Primary)])
}

/// A cluster of two, long enough at work that everybody has renewed.
fn cluster() -> World {
    let mut w = world();
    w.start("h1", 1);
    w.start("h2", 2);
    w.run(8_000);
    assert_eq!((w.held("h1"), w.held("h2")), (6, 6));
    w
}

fn holds(w: &World, host: &str) -> bool {
    w.nodes[host].engine.id().is_some()
}

/// `host` does not join before `ms` milliseconds have passed, and soon after.
fn waits(w: &mut World, host: &str, ms: u64, why: &str) {
    let since = w.now;
    while w.now < since + ms {
        assert!(
            !holds(w, host),
            "{why}: {host} joined {} ms after it started",
            w.now - since
        );
        w.run(STEP);
    }
    w.run(2 * timing().renew + 500);
    assert!(holds(w, host), "{why}");
}

/// `host` joins at once, and has nothing to say about a wait.
fn does_not_wait(w: &mut World, host: &str, why: &str) {
    w.run(200);
    assert!(holds(w, host), "{why}");
    let told = w.told(host, |notice| matches!(notice, Notice::Grace { .. }));
    assert_eq!(told, [], "{why}");
}

/// The backend's clock is set forward, by a part of the wait or by more than all of it, and a node starts just then.
#[test]
fn a_clock_that_is_set_forward_in_the_grace_period_does_not_shorten_it_for_who_starts() {
    for by in [1_000, 3_000, 5_000, DAY] {
        let mut w = world();
        w.store.behind = DAY;
        w.now = 2 * DAY;
        w.start("h1", 1);
        w.run(1_000);
        w.store.behind = DAY - by;
        w.start("h2", 2);
        waits(&mut w, "h2", timing().taker() - 1_000, &format!("set by {by} ms"));
    }
}

/// It may have been a join that had not noticed that the store was lost, and its time is that of the clock that was
/// set.
#[test]
fn a_session_of_which_nobody_says_that_it_is_held_proves_nothing() {
    let mut w = world();
    w.store.behind = 5_000;
    w.now = 20_000;
    w.start("h1", 1);
    w.run(1_000);
    w.store.behind = 0;
    let began = StoreTime(EPOCH + w.now);
    w.put(
        Key::Session(NodeId::new(2).unwrap()),
        session("h9", 9, Revision(0), began),
    );
    w.start("h2", 2);
    waits(&mut w, "h2", timing().taker() - 1_000, "a stray session");
}

/// The history was begun anew over one of which the clock was ahead, and who acts by that one has not noticed yet.
#[test]
fn a_session_of_the_former_history_proves_nothing() {
    let mut w = world();
    w.store.behind = 5_000;
    w.now = 50_000;
    w.store.revision = 100;
    let meta = Meta::create(HistoryId(7), StoreTime(EPOCH + w.now - 5_000), 0, "test");
    w.put(Key::Meta, Value::Meta(meta));
    let began = StoreTime(EPOCH + w.now);
    w.put(
        Key::Session(NodeId::new(1).unwrap()),
        session("h9", 9, Revision(100), began),
    );
    w.store.behind = 0;
    w.start("h2", 2);
    waits(&mut w, "h2", timing().taker() - 10, "a session of the former history");
}

fn session(hostname: &str, n: u128, applied: Revision, began: StoreTime) -> Value {
    Value::Session(Session {
        hostname: hostname.to_owned(),
        instance: InstanceId(n),
        session: SessionId(n),
        applied,
        began,
        away: 0,
        ended: None,
    })
}

/// Those who go on through a partial loss have not waited for anything.
#[test]
fn nor_does_it_shorten_the_wait_after_a_partial_loss() {
    let mut w = world();
    w.now = 20_000;
    w.store.behind = 5_000;
    w.start("h1", 1);
    w.run(8_000);
    assert_eq!(w.held("h1"), 12);
    w.store.unsure_before = StoreTime(EPOCH + w.now - 5_000);
    w.store.revision += 1 << 20;
    w.run(1_500);
    w.store.behind = 0;
    w.start("h2", 2);
    waits(&mut w, "h2", timing().taker() - 1_500, "a partial loss");
    // Whoever has joined since has waited.
    w.run(1_500);
    w.start("h3", 3);
    does_not_wait(&mut w, "h3", "after a partial loss");
}

#[test]
fn who_starts_again_in_a_living_cluster_does_not_wait() {
    let mut w = cluster();
    let memory = w.nodes["h2"].memory.clone();
    w.nodes.remove("h2");
    w.run(500);
    w.start_with("h2", 2, memory);
    does_not_wait(&mut w, "h2", "after a crash");
    w.start("h3", 3);
    does_not_wait(&mut w, "h3", "a newcomer");
}

#[test]
fn a_cluster_that_was_stopped_for_a_day_does_not_wait_when_it_starts_again() {
    let mut w = cluster();
    let memory: Vec<Memory> = ["h1", "h2"].map(|host| w.nodes[host].memory.clone()).into();
    for host in ["h1", "h2"] {
        w.tell(host, Event::Leave);
    }
    w.run(1_000);
    assert!(["h1", "h2"].iter().all(|host| w.nodes[*host].left == Some(Ok(()))));
    w.nodes.clear();
    w.now += DAY;
    for (instance, memory) in (1..).zip(memory) {
        let host = ["", "h1", "h2"][instance as usize];
        w.start_with(host, instance, memory);
        does_not_wait(&mut w, host, "after a day");
    }
}

/// One wait for the first start of a cluster, whenever its nodes start: who comes later waits for the first to prove
/// that it has joined, at most.
#[test]
fn the_first_start_of_a_cluster_is_waited_for_once() {
    for later in [0, 500, 2_000, 3_000] {
        let mut w = world();
        w.now = 20_000;
        w.start("h1", 1);
        w.run(later);
        w.start("h2", 2);
        w.run(timing().taker() + 2 * timing().renew + 200 - later);
        assert!(holds(&w, "h1") && holds(&w, "h2"), "{later} ms later");
        let told = w.told("h2", |notice| matches!(notice, Notice::Grace { .. }));
        assert!(told.len() <= 2, "{later} ms later: {told:?}");
    }
}

/// What cannot be read proves nothing, and keeps nobody out.
#[test]
fn sessions_that_cannot_be_listed_cost_one_wait() {
    let mut w = cluster();
    w.fate(|host, request| match request {
        Request::List {
            prefix: "sessions/", ..
        } if host == "h3" => fate::Fate::Invalid,
        _ => fate::Fate::Served,
    });
    w.start("h3", 3);
    waits(&mut w, "h3", timing().taker() - 10, "invalid sessions");
}
