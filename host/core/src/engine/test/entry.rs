//! How a node comes in, and back in, when the store is not what it was.

use super::fate::{Fate, is_history_lost, is_listing, is_session};
use super::*;
use crate::values::Meta;

fn meta(history: u128) -> Value {
    Value::Meta(Meta::create(HistoryId(history), StoreTime(EPOCH), 0, "test"))
}

/// A store that is as old as the world and holds nothing but its history.
fn store(history: u128, revision: u64) -> Store {
    let mut store = Store {
        revision,
        ..Store::default()
    };
    let request = Request::Put {
        key: Key::Meta,
        value: meta(history),
        expected: Expected::Any,
    };
    store.perform(request, 0).expect("a write");
    store
}

/// A world whose store is old, with two nodes at work.
fn cluster() -> World {
    let mut w = World::new(vec![role("a", 12, Mode::Primary)]);
    w.now = 20_000;
    w.store = store(1, 10);
    w.start("h1", 1);
    w.start("h2", 2);
    // Nobody has joined in it: nothing but their own clocks tells that it is old.
    w.run(timing().taker() + 3_000);
    assert_eq!((w.held("h1"), w.held("h2")), (6, 6));
    w
}

#[test]
fn nobody_acts_in_an_old_store_that_took_the_place_of_another_before_all_must_have_stopped() {
    let mut w = cluster();
    w.store = store(2, 100_000);
    let replaced = w.now;
    let noticed = |w: &World| {
        ["h1", "h2"]
            .iter()
            .all(|host| !w.told(host, is_history_lost).is_empty())
    };
    while !noticed(&w) {
        w.run(STEP);
        assert!(w.now < replaced + 1_200);
    }
    while w.now < replaced + timing().taker() {
        assert_eq!(w.total(), 0, "{} ms after it was replaced", w.now - replaced);
        w.run(STEP);
    }
    w.run(5_000);
    assert_eq!(w.total(), 12);
    for host in ["h1", "h2"] {
        assert_eq!(w.told(host, is_history_lost).len(), 1, "{host} says so once");
    }
}

#[test]
fn an_id_is_claimed_only_in_the_history_in_which_the_join_began() {
    let claims = |request: &Request| matches!(request, Request::Put { key: Key::Id(_), .. });
    let looks = |request: &Request| matches!(request, Request::Get(Key::Meta));
    let mut replaced_in_time = 0;
    for steps in 1.. {
        let mut w = World::new(vec![role("a", 12, Mode::Primary)]);
        w.now = 20_000;
        w.store = store(1, 10);
        w.start("h1", 1);
        w.run(steps * STEP);
        // Once it has looked before the claim, only the seal of the join shows what became of the store.
        if w.sent("h1", 0, looks) == 2 {
            break;
        }
        w.store = store(2, 100_000);
        w.run(timing().taker() - 10);
        assert_eq!(w.sent("h1", 0, claims), 0, "replaced after {steps} steps");
        replaced_in_time += 1;
    }
    assert!(replaced_in_time >= 4, "{replaced_in_time}");
}

#[test]
fn a_clock_that_goes_back_in_the_grace_period_does_not_prolong_it() {
    let mut w = World::new(vec![role("a", 12, Mode::Primary)]);
    w.start("h1", 1);
    w.run(1_000);
    w.store.behind = 900_000;
    w.run(timing().taker());
    assert!(w.nodes["h1"].engine.id().is_some());
}

#[test]
fn all_wait_for_a_young_history_until_the_same_moment() {
    let mut w = World::new(vec![role("a", 12, Mode::Primary)]);
    w.start("h1", 1);
    w.run(1_000);
    w.start("h2", 2);
    w.run(100);
    let waits = w.nodes["h2"].notices.iter().filter_map(|notice| match notice {
        Notice::Grace { wait } => Some(*wait),
        _ => None,
    });
    // By its first look it takes the margin for a difference of clocks.
    let (waits, left): (Vec<_>, _) = (waits.collect(), timing().taker() - 1_000);
    assert!(
        matches!(waits[..], [wait] if (left..=left + timing().margin + 10).contains(&wait)),
        "{waits:?}"
    );
}

#[test]
fn a_node_that_is_denied_the_store_after_it_has_joined_says_so_and_goes_on_trying() {
    let mut w = cluster();
    // Nobody takes over what h1 still acts on.
    w.nodes.remove("h2");
    w.end_session(1);
    while w.nodes["h1"].engine.id().is_some() {
        w.run(STEP);
    }
    w.trouble.denied = true;
    w.run(3_000);
    let denied = |notice: &Notice| matches!(notice, Notice::CoordinatorDown(why) if why.contains("no permission"));
    assert_eq!((w.told("h1", denied).len(), w.nodes["h1"].left.clone()), (1, None));
    w.trouble.denied = false;
    w.run(6_000);
    assert!(w.nodes["h1"].engine.id().is_some());
}

#[test]
fn a_node_whose_name_was_taken_meanwhile_tries_again_until_it_is_free() {
    let mut w = cluster();
    let first = w.nodes.remove("h1").unwrap();
    w.run(5_000);
    w.start("h1", 99);
    w.run(5_000);
    let second = w.nodes.remove("h1").unwrap();
    assert!(second.engine.id().is_some());
    w.nodes.insert("first", first);
    w.nodes.insert("second", second);
    w.run(5_000);
    let refused = |notice: &Notice| matches!(notice, Notice::Refused(_));
    assert!(!w.told("first", refused).is_empty());
    assert_eq!((w.nodes["first"].left.clone(), w.held("first")), (None, 0));
    w.tell("second", Event::Leave);
    w.run(15_000);
    assert!(w.nodes["first"].engine.id().is_some());
}

#[test]
fn a_node_that_starts_in_an_outage_says_so_once_and_tries_with_pauses() {
    let mut w = World::new(vec![role("a", 12, Mode::Primary)]);
    w.trouble.down = true;
    w.start("h1", 1);
    w.run(3_000);
    let health = |notice: &Notice| matches!(notice, Notice::CoordinatorDown(_) | Notice::CoordinatorUp);
    let told = w.told("h1", health);
    assert!(matches!(told[..], [Notice::CoordinatorDown(_)]), "{told:?}");
    assert!((5..100).contains(&w.log.len()), "{} requests", w.log.len());
    w.trouble.down = false;
    w.run(1_000);
    let told = w.told("h1", health);
    assert!(
        matches!(told[..], [Notice::CoordinatorDown(_), Notice::CoordinatorUp]),
        "{told:?}"
    );
}

#[test]
fn whoever_waits_for_another_to_show_no_life_looks_with_pauses() {
    let mut w = cluster();
    w.nodes.remove("h1");
    let since = w.now;
    w.start("h1", 99);
    w.run(2_000);
    assert_eq!(w.nodes["h1"].engine.id(), None);
    let looks = w.sent("h1", since, |_| true);
    assert!(looks < 100, "{looks} requests in two seconds");
}

#[test]
fn a_store_that_says_that_it_is_another_one_stops_all_at_once_and_is_told_once() {
    let mut w = cluster();
    w.trouble.lost = true;
    w.run(1_100);
    assert_eq!(w.total(), 0, "nobody waits for its deadline");
    w.run(10_000);
    for host in ["h1", "h2"] {
        assert_eq!(w.told(host, is_history_lost).len(), 1, "{host}");
    }
}

/// Any one of these shows that the store went back or is another one: nobody acts on.
#[test]
fn each_sign_of_another_store_suffices() {
    let reason = |w: &World| match &w.told("h1", is_history_lost)[..] {
        [Notice::HistoryLost { reason, .. }] => reason.clone(),
        other => panic!("{other:?}"),
    };
    let mut w = cluster();
    w.fail(is_listing);
    w.store.revision = 1;
    w.run(1_200);
    assert!(reason(&w).contains("a write was given revision"), "{}", reason(&w));

    for other in [false, true] {
        let mut w = cluster();
        w.fate(|_, request| {
            if is_session(request) {
                Fate::Failed
            } else {
                Fate::Served
            }
        });
        if other {
            w.put(Key::Meta, meta(7));
        } else {
            w.store.revision = 1;
        }
        w.run(1_200);
        let sign = if other { "another history" } else { "went back" };
        assert!(reason(&w).contains(sign), "{}", reason(&w));
    }
}
