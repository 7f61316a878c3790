//! A store that may have lost a part of itself: who holds a shard goes on, and nothing moves until everybody has heard
//! of it.

use super::*;

/// What the store says from now on.
fn lose(w: &mut World) -> u64 {
    w.store.unsure_before = StoreTime(1_000_000 + w.now);
    w.store.revision += 1 << 20;
    w.now
}

fn cluster() -> World {
    let mut w = World::new(vec![role("a", 12, Mode::Primary)]);
    w.start("h1", 1);
    w.start("h2", 2);
    w.run(8_000);
    assert_eq!((w.held("h1"), w.held("h2")), (6, 6));
    w
}

fn tokens(w: &World, host: &str) -> BTreeMap<(usize, u32), Token> {
    w.nodes[host].held.clone()
}

#[test]
fn holders_go_on_under_higher_tokens() {
    let mut w = cluster();
    let before = tokens(&w, "h2");
    lose(&mut w);
    w.run(1_500);
    let after = tokens(&w, "h2");
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    for (shard, token) in &after {
        assert!(*token > before[shard], "{token:?} after {:?}", before[shard]);
    }
    assert!(!w.nodes["h2"].notices.contains(&Notice::SessionLost));
    w.run(20_000);
    assert_eq!(tokens(&w, "h2"), after, "and nothing more happens");
}

#[test]
fn a_dead_nodes_shards_wait_until_everybody_has_heard() {
    let mut w = cluster();
    w.nodes.remove("h2");
    w.run(2_000);
    let lost = lose(&mut w);
    let taker = timing().taker();
    w.run(taker - 10);
    assert_eq!(w.held("h1"), 6, "{} ms after the loss", w.now - lost);
    w.run(2_000);
    assert_eq!(w.held("h1"), 12);
}

#[test]
fn nobody_joins_until_everybody_has_heard() {
    let mut w = cluster();
    lose(&mut w);
    w.start("h3", 3);
    w.run(timing().taker() - 10);
    assert_eq!(w.nodes["h3"].engine.id(), None);
    w.run(2_000);
    assert!(w.nodes["h3"].engine.id().is_some());
}

#[test]
fn a_join_under_way_begins_again() {
    let mut w = cluster();
    w.start("h3", 3);
    while !w.store.entries.contains_key("sessions/3") {
        w.run(STEP);
    }
    lose(&mut w);
    w.run(timing().taker() - 10);
    assert_eq!(
        w.nodes["h3"].engine.id(),
        None,
        "it has written its session, and does not count on it"
    );
    w.run(2_000);
    assert!(w.nodes["h3"].engine.id().is_some());
}

#[test]
fn a_late_session_waits_too() {
    let mut w = cluster();
    w.trouble.down = true;
    w.run(3_500);
    w.trouble.down = false;
    lose(&mut w);
    w.run(timing().taker() - 10);
    assert_eq!(w.total(), 0);
    w.run(4_000);
    assert_eq!(w.total(), 12);
}

#[test]
fn an_old_loss_concerns_nobody() {
    let mut w = World::new(vec![role("a", 12, Mode::Primary)]);
    w.now = 10_000;
    lose(&mut w);
    w.run(4_000);
    w.start("h1", 1);
    w.run(4_500);
    w.start("h2", 2);
    w.run(500);
    assert!(w.nodes["h2"].engine.id().is_some(), "the second need not wait at all");
    let waits = |notice: &Notice| matches!(notice, Notice::Grace { .. });
    assert_eq!(w.told("h2", waits), []);
}
