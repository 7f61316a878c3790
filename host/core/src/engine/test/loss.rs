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

/// The store loses its last writes, and then another replica takes over that did not even hear of that and whose clock
/// is behind: it tells of an earlier loss than the one before. Its revisions go on below or above those of the other,
/// which served for `ms` milliseconds.
fn lose_twice(w: &mut World, above: bool, ms: u64) {
    let before = w.store.clone();
    lose(w);
    w.run(ms);
    let highest = if above { w.store.revision } else { before.revision };
    w.store = before;
    w.store.behind = 8_000;
    w.store.unsure_before = StoreTime(EPOCH + w.now - w.store.behind);
    w.store.revision = highest + (1 << 20);
}

fn highest(w: &World) -> Token {
    let held = w.nodes.values().flat_map(|node| node.held.values());
    held.copied().max().expect("somebody holds something")
}

fn all_above(w: &World, before: Token) {
    assert_eq!(w.total(), 12);
    for (host, node) in &w.nodes {
        assert!(
            node.held.values().all(|held| *held > before),
            "{host}: {:?} after {before}",
            node.held
        );
    }
}

#[test]
fn tokens_grow_though_the_store_forgets_a_loss_of_which_it_had_told() {
    for (above, ms) in [(false, 6_000), (true, 6_000)]
        .into_iter()
        .chain((100..1_000).step_by(100).map(|ms| (true, ms)))
    {
        let mut w = cluster();
        lose_twice(&mut w, above, ms);
        let before = highest(&w);
        w.start("h3", 3);
        w.run(20_000);
        all_above(&w, before);
        assert!(w.held("h3") > 0);
        let lost = |notice: &Notice| matches!(notice, Notice::HistoryLost { .. });
        assert!(ms < 1_000 || ["h1", "h2"].iter().all(|host| !w.told(host, lost).is_empty()));
    }
}

/// Whoever begins again is told of the second loss only, and its state directory of the first.
#[test]
fn tokens_grow_though_all_who_were_told_of_a_forgotten_loss_have_restarted() {
    let mut w = cluster();
    lose_twice(&mut w, true, 6_000);
    let before = highest(&w);
    let memory = w.nodes["h2"].memory.clone();
    assert!(memory.heard > w.store.unsure_before, "it was written down");
    w.nodes.clear();
    // It knows nothing, and waits first.
    w.start("a-newcomer", 9);
    w.run(1_000);
    w.start_with("h2", 2, memory);
    w.run(20_000);
    all_above(&w, before);
}

#[test]
fn who_begins_again_after_a_loss_that_the_store_remembers_leaves_the_history_as_it_is() {
    let mut w = cluster();
    lose(&mut w);
    w.run(1_500);
    let (memory, meta) = (w.nodes["h2"].memory.clone(), w.store.entries["meta"].clone());
    w.nodes.remove("h2");
    w.start_with("h2", 2, memory);
    w.run(10_000);
    assert_eq!(w.store.entries["meta"], meta);
    assert_eq!(w.total(), 12);
}

/// Whoever joins while the store forgets counts tokens from where those count who heard of the second loss only.
#[test]
fn a_join_goes_by_what_the_store_says_last() {
    let mut w = World::new(vec![role("a", 12, Mode::Primary)]);
    w.start("h1", 1);
    w.run(1_000);
    let before = w.store.clone();
    lose(&mut w);
    w.start("h2", 2);
    w.run(500);
    w.store = before;
    w.store.behind = 900;
    w.store.unsure_before = StoreTime(EPOCH + w.now - w.store.behind);
    w.start("h3", 3);
    w.run(20_000);
    assert_eq!(w.total(), 12);
    let base = crate::values::token_base(w.store.unsure_before);
    for (host, node) in &w.nodes {
        assert!(!node.held.is_empty(), "{host}");
        assert!(
            node.held.values().all(|held| held.0 - base < 1 << 20),
            "{host}: {:?} from {base}",
            node.held
        );
    }
}

/// Nothing but what the store says of its losses tells that it went back: nobody has written anything in between.
#[test]
fn a_loss_that_is_forgotten_suffices_as_a_sign() {
    let mut w = cluster();
    w.fate(|_, request| match request {
        Request::Get(_) | Request::List { .. } => fate::Fate::Served,
        Request::Put { .. } | Request::Delete { .. } => fate::Fate::Failed,
    });
    lose_twice(&mut w, true, 1_300);
    let before = highest(&w);
    w.trouble.fate = None;
    w.run(20_000);
    all_above(&w, before);
}
