//! Ids outlast the store: whoever remembers whose they are writes it down again before anybody joins.

use super::*;

fn cluster() -> World {
    let mut w = World::new(vec![role("a", 12, Mode::Primary)]);
    for (host, instance) in [("h1", 1), ("h2", 2), ("h3", 3)] {
        w.start(host, instance);
        w.run(4_000);
    }
    assert_eq!([id(&w, "h1"), id(&w, "h2"), id(&w, "h3")], [Some(1), Some(2), Some(3)]);
    // Long enough that everybody has seen everything.
    w.run(15_000);
    w
}

fn id(w: &World, host: &str) -> Option<u32> {
    w.nodes[host].engine.id().map(NodeId::get)
}

fn wipe(w: &mut World) {
    w.store = Store::default();
}

#[test]
fn nodes_keep_their_ids_when_the_store_is_lost() {
    let mut w = cluster();
    wipe(&mut w);
    w.start("a-newcomer", 9);
    w.run(12_000);
    assert_eq!(
        [id(&w, "h1"), id(&w, "h2"), id(&w, "h3"), id(&w, "a-newcomer")],
        [Some(1), Some(2), Some(3), Some(4)]
    );
}

#[test]
fn the_id_of_a_node_that_is_away_is_kept_for_it() {
    let mut w = cluster();
    w.nodes.remove("h1");
    w.run(5_000);
    wipe(&mut w);
    w.start("a-newcomer", 9);
    w.run(12_000);
    assert_eq!(
        [id(&w, "h2"), id(&w, "h3"), id(&w, "a-newcomer")],
        [Some(2), Some(3), Some(4)]
    );
    w.start("h1", 77);
    w.run(8_000);
    assert_eq!(id(&w, "h1"), Some(1), "though its state directory is lost, too");
}

#[test]
fn an_id_that_was_free_for_anybody_is_not_kept() {
    let mut w = cluster();
    w.nodes.remove("h1");
    w.run(timing().reuse_after + 70_000);
    wipe(&mut w);
    w.start("a-newcomer", 9);
    w.run(12_000);
    assert_eq!(id(&w, "a-newcomer"), Some(1));
}

#[test]
fn a_cluster_that_stands_still_while_its_store_is_lost_keeps_its_ids() {
    let mut w = cluster();
    let memory: Vec<Memory> = ["h1", "h2", "h3"]
        .iter()
        .map(|host| w.nodes[host].memory.clone())
        .collect();
    assert_eq!(memory[2].former.as_ref().map(|f| f.id.get()), Some(3));
    assert_eq!(memory[0].ids.len(), 3, "everybody remembers everybody");
    w.nodes.clear();
    wipe(&mut w);
    w.start("a-newcomer", 9);
    w.start_with("h3", 3, memory[2].clone());
    w.run(12_000);
    w.start_with("h1", 1, memory[0].clone());
    w.start_with("h2", 22, Memory::default());
    w.run(8_000);
    assert_eq!(
        [id(&w, "h1"), id(&w, "h2"), id(&w, "h3"), id(&w, "a-newcomer")],
        [Some(1), Some(2), Some(3), Some(4)]
    );
}

#[test]
fn a_store_lost_twice_keeps_the_ids_too() {
    let mut w = cluster();
    w.nodes.remove("h1");
    for _ in 0..2 {
        wipe(&mut w);
        w.run(14_000);
    }
    w.start("a-newcomer", 9);
    w.run(12_000);
    assert_eq!(
        [id(&w, "h2"), id(&w, "h3"), id(&w, "a-newcomer")],
        [Some(2), Some(3), Some(4)]
    );
}

/// The id belongs to `hostname`, as written `late` milliseconds from now.
fn claim(w: &mut World, n: u32, hostname: &str, late: u64) {
    let key = Key::Id(NodeId::new(n).unwrap());
    let value = Value::Id(crate::values::IdOwner {
        hostname: hostname.to_owned(),
    });
    let expected = Expected::Any;
    w.store
        .perform(
            Request::Put {
                key: key.clone(),
                value,
                expected,
            },
            w.now,
        )
        .unwrap();
    w.store.entries.get_mut(&key.to_string()).unwrap().written.0 += late;
}

fn owner(w: &World, n: u32) -> String {
    match &w.store.entries[&format!("ids/{n}")].value {
        Value::Id(owner) => owner.hostname.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_id_that_somebody_claims_before_its_holder_has_heard_of_the_loss_is_taken_back() {
    let mut w = cluster();
    wipe(&mut w);
    claim(&mut w, 2, "a-newcomer", 0);
    w.run(12_000);
    assert_eq!((id(&w, "h2"), owner(&w, 2)), (Some(2), "h2".to_owned()));
}

#[test]
fn an_id_that_somebody_could_rightly_claim_is_left_to_it() {
    let mut w = cluster();
    wipe(&mut w);
    claim(&mut w, 2, "a-newcomer", 60_000);
    w.run(12_000);
    assert_eq!((id(&w, "h2"), owner(&w, 2)), (Some(4), "a-newcomer".to_owned()));
}

#[test]
fn an_id_that_a_node_had_but_did_not_hold_when_the_store_was_lost_is_left_to_whoever_claims_it() {
    let mut w = cluster();
    let memory = w.nodes["h2"].memory.clone();
    w.nodes.remove("h2");
    wipe(&mut w);
    claim(&mut w, 2, "a-newcomer", 0);
    w.start_with("h2", 2, memory);
    w.run(12_000);
    assert_eq!((id(&w, "h2"), owner(&w, 2)), (Some(4), "a-newcomer".to_owned()));
}

/// The highest token that anybody holds.
fn highest(w: &World) -> Token {
    let held = w.nodes.values().flat_map(|node| node.held.values());
    held.copied().max().expect("somebody holds something")
}

#[test]
fn tokens_grow_though_the_clock_of_a_new_store_is_behind() {
    let mut w = cluster();
    let before = highest(&w);
    wipe(&mut w);
    w.store.behind = 900_000;
    // Whoever is there first knows nothing, and makes the history.
    w.start("a-newcomer", 9);
    w.run(20_000);
    assert_eq!(w.total(), 12);
    let lowest = w.nodes.values().flat_map(|node| node.held.values()).min();
    assert!(lowest > Some(&before), "{lowest:?} after {before:?}");
}

/// Some see by a listing that the store was lost, others by the answer to a renewal.
#[test]
fn tokens_grow_however_the_loss_is_noticed() {
    for phase in (0..timing().renew).step_by(100) {
        let mut w = cluster();
        // Tokens that nobody has written down.
        for drain in [true, false].repeat(10) {
            let order = Event::Order {
                drain: Some(drain),
                cordon: None,
            };
            w.nodes.get_mut("h2").unwrap().inbox.push(order);
            w.run(500);
        }
        w.run(phase);
        let before = highest(&w);
        wipe(&mut w);
        w.store.behind = 900_000;
        w.run(20_000);
        assert_eq!(w.total(), 12);
        let lowest = w.nodes.values().flat_map(|node| node.held.values()).min();
        assert!(lowest > Some(&before), "{phase}: {lowest:?} after {before:?}");
    }
}

/// All have ended, the store is lost, and the clock of the new one is behind: h2 comes back alone with what it
/// remembers.
fn tokens_grow_after_a_restart(mut w: World, before: Token) {
    let memory = w.nodes["h2"].memory.clone();
    w.nodes.clear();
    wipe(&mut w);
    w.store.behind = 900_000;
    w.start_with("h2", 2, memory);
    w.run(20_000);
    let lowest = w.nodes["h2"].held.values().min();
    assert!(lowest > Some(&before), "{lowest:?} after {before:?}");
}

#[test]
fn tokens_grow_though_the_whole_cluster_was_restarted_meanwhile() {
    let w = cluster();
    let before = highest(&w);
    tokens_grow_after_a_restart(w, before);
}

/// Who remembers tells it anew once in an hour, unless something else is new.
#[test]
fn tokens_grow_though_what_is_remembered_of_them_is_older_than_the_last() {
    let mut w = cluster();
    for drain in [true, false] {
        let (drain, cordon) = (Some(drain), None);
        w.tell("h3", Event::Order { drain, cordon });
        w.run(3_000);
    }
    let before = highest(&w);
    let memory = &w.nodes["h2"].memory;
    assert!(memory.token < before.0, "{memory:?} and {before}");
    tokens_grow_after_a_restart(w, before);
}

/// What a state directory holds may be anything, too.
#[test]
fn a_remembered_token_beyond_all_that_follow_is_the_greatest_and_does_not_wrap() {
    for token in [u64::MAX, u64::MAX - Memory::SINCE + 1] {
        let mut w = World::new(vec![role("a", 12, Mode::Primary)]);
        let memory = Memory {
            token,
            ..Memory::default()
        };
        w.start_with("h1", 1, memory);
        w.run(20_000);
        assert_eq!(w.total(), 12);
        let held = &w.nodes["h1"].held;
        assert!(held.values().all(|held| held.0 >= token), "{held:?} after {token}");
    }
}

#[test]
fn a_restart_in_a_young_history_leaves_it_as_it_is() {
    let mut w = World::new(vec![role("a", 12, Mode::Primary)]);
    w.start("h1", 1);
    w.run(3_300);
    let memory = w.nodes["h1"].memory.clone();
    assert!(memory.token > 0);
    let meta = w.store.entries["meta"].clone();
    w.nodes.remove("h1");
    // The store's clock went back, so that the history looks younger than it is.
    w.store.behind = 1_000;
    w.start_with("h1", 1, memory);
    // It has not shown yet that it had joined.
    w.run(4_000);
    assert_eq!(w.store.entries["meta"], meta);
    assert_eq!(w.total(), 12);
}

/// A node whose join was among what a store lost stays cut off, another host is given its id, and the history is begun
/// anew over what is there: then it hears of all that at once.
#[test]
fn an_id_that_was_given_to_another_before_the_history_was_begun_anew_is_left_to_it() {
    let mut w = cluster();
    w.fate(|host, _| {
        if host == "h2" {
            fate::Fate::Failed
        } else {
            fate::Fate::Served
        }
    });
    w.run(5_000);
    w.store.revision += 1 << 20;
    claim(&mut w, 2, "a-newcomer", 0);
    w.run(1_000);
    let meta = crate::values::Meta::create(HistoryId(7), StoreTime(EPOCH + w.now), u64::MAX / 2, "test");
    w.put(Key::Meta, Value::Meta(meta));
    w.trouble.fate = None;
    w.run(12_000);
    assert_eq!((id(&w, "h2"), owner(&w, 2)), (Some(4), "a-newcomer".to_owned()));
}
