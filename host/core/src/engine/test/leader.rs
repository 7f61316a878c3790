//! What a leader moves, writes and asks, and what it leaves alone.

use super::fate::{Fate, is_listing};
use super::*;
use crate::handoff::{Sessions, advance};
use crate::plan::{PART_SHARDS, PlanPart};
use crate::role::Member;
use crate::snapshot::Answer;

fn cluster() -> World {
    World::sharing(&["h1", "h2", "h3"])
}

fn writes(w: &World, number: u32) -> usize {
    let is = |request: &Request| matches!(request, Request::Put { key: Key::Plan { part, .. }, .. } if *part == number);
    w.sent("h1", 0, is)
}

fn part(w: &World, number: u32) -> Arc<PlanPart> {
    match &w.store.entries[&format!("plan/a/{number}")].value {
        Value::Plan(plan) => Arc::clone(plan),
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_write_to_a_part_is_under_way_and_none_to_those_that_stand_already() {
    let count = |fate: fn() -> Fate| {
        let mut w = World::new(vec![role("a", PART_SHARDS + 8, Mode::Primary)]);
        w.fate(move |_, request| match request {
            Request::Put {
                key: Key::Plan { part: 1, .. },
                ..
            } => fate(),
            _ => Fate::Served,
        });
        w.start("h1", 1);
        w.run(6_000);
        assert_eq!(w.total() as u32, PART_SHARDS + 8);
        assert_eq!(w.asks, 1);
        (writes(&w, 0), writes(&w, 1))
    };
    let at_once = count(|| Fate::Served);
    assert_eq!(count(|| Fate::Slow(400)), at_once);
    assert_eq!(count(|| Fate::Late(400)), at_once);
}

#[test]
fn a_part_that_was_removed_is_planned_anew_together_with_the_others() {
    let mut w = World::new(vec![role("a", PART_SHARDS + 8, Mode::Primary)]);
    w.start("h1", 1);
    w.run(5_000);
    let (asks, before) = (w.asks, part(&w, 0).epoch);
    assert_eq!(part(&w, 1).epoch, before);
    w.store.revision += 1;
    w.store.entries.remove("plan/a/1");
    // One part stands long before the other can be written.
    w.fate(|_, request| match request {
        Request::Put {
            key: Key::Plan { part: 0, .. },
            ..
        } => Fate::Failed,
        _ => Fate::Served,
    });
    w.run(16_000);
    assert_eq!(w.asks, asks + 1);
    assert!(part(&w, 1).epoch > before);
    w.trouble.fate = None;
    w.run(2_000);
    assert_eq!(part(&w, 0).epoch, part(&w, 1).epoch);
    assert_eq!(w.total() as u32, PART_SHARDS + 8);
}

#[test]
fn a_policy_is_asked_when_what_changes_has_come_to_rest() {
    let mut w = cluster();
    let asks = w.asks;
    for n in 0..20u32 {
        // Never as it was at first, and never twice the same in a row.
        for (node, cordon) in [(2, n % 4 != 1), (3, n % 4 != 3)] {
            let key = Key::Node(NodeId::new(node).unwrap());
            let Value::Node(info) = &w.store.entries[&key.to_string()].value else {
                panic!("an info")
            };
            if info.cordon != cordon {
                let info = NodeInfo {
                    cordon,
                    ..NodeInfo::clone(info)
                };
                w.put(key, Value::Node(Arc::new(info)));
            }
        }
        w.tell("h1", Event::Look);
        w.run(30);
        if n % 2 == 0 && n > 0 {
            assert_eq!(w.asks, asks, "{n}");
        }
    }
    w.run(1_000);
    assert_eq!(w.asks, asks + 1);
}

#[test]
fn answers_in_another_order_than_the_questions_find_their_roles() {
    let mut w = World::new(vec![role("a", 4, Mode::Primary), role("b", 7, Mode::Primary)]);
    w.trouble.mute = true;
    w.start("h1", 1);
    w.run(5_000);
    assert_eq!(
        w.unanswered.iter().map(|(_, role, _)| *role).collect::<Vec<_>>(),
        [0, 1]
    );
    while let Some((request, _, snapshot)) = w.unanswered.pop() {
        let answer = Ok(Answer::Plan(native::assign(&snapshot)));
        w.tell("h1", Event::Answered { request, answer });
    }
    w.run(500);
    let refused = |notice: &Notice| matches!(notice, Notice::PlanRefused { .. });
    assert_eq!((w.told("h1", refused), w.held("h1")), (vec![], 11));
}

#[test]
fn a_plan_is_told_with_those_that_move_and_not_with_those_that_stay() {
    let mut w = cluster();
    w.tell(
        "h3",
        Event::Order {
            drain: Some(true),
            cordon: None,
        },
    );
    w.run(2_000);
    let moves = w.nodes["h1"].notices.iter().filter_map(|notice| match notice {
        Notice::PlanAccepted { moves, .. } => Some(*moves),
        _ => None,
    });
    assert_eq!(moves.collect::<Vec<_>>(), [0, 4]);
}

#[test]
fn a_node_that_has_no_place_in_the_plan_is_no_reason_to_ask_again_and_again_when_it_is_away() {
    let mut w = World::new(vec![role("a", 1, Mode::Primary)]);
    for (host, instance) in [("h1", 1), ("h2", 2), ("h3", 3)] {
        w.start(host, instance);
    }
    w.run(6_000);
    let rows = part(&w, 0).rows.clone();
    let odd = [("h1", 1), ("h2", 2), ("h3", 3)]
        .into_iter()
        .find(|(_, id)| !rows.contains(id));
    w.nodes.remove(odd.expect("two of three are in the row").0);
    let asks = w.asks;
    w.run(9_000);
    assert!(w.asks - asks <= 1, "{} questions", w.asks - asks);
}

#[test]
fn who_comes_back_from_a_long_absence_takes_nothing_until_it_has_stayed_as_long() {
    let mut w = cluster();
    w.nodes.remove("h2");
    w.run(15_000);
    assert_eq!(w.total(), 12);
    w.start("h2", 2);
    w.run(9_000);
    assert!(w.nodes["h2"].engine.id().is_some());
    assert_eq!(w.held("h2"), 0);
    w.run(3_000);
    assert_eq!((w.held("h2"), w.total()), (4, 12));
}

#[test]
fn a_node_that_is_to_be_emptied_is_emptied_though_its_policy_keeps_the_plan() {
    let mut w = cluster();
    w.trouble.answer = Some(Answer::KeepPrevious);
    w.tell(
        "h2",
        Event::Order {
            drain: Some(true),
            cordon: None,
        },
    );
    w.run(1_000);
    assert_eq!((w.held("h2"), w.total()), (0, 12));
}

#[test]
fn a_node_that_is_to_be_given_nothing_more_does_not_stand_in_for_others() {
    let mut w = World::new(vec![role("a", 12, Mode::Primary)]);
    w.roles[0].replicas = Replicas::Count(1);
    for (host, instance) in [("h1", 1), ("h2", 2), ("h3", 3)] {
        w.start(host, instance);
    }
    w.run(6_000);
    w.tell(
        "h2",
        Event::Order {
            drain: None,
            cordon: Some(true),
        },
    );
    w.run(1_000);
    let before = w.held("h2");
    w.nodes.remove("h3");
    w.run(5_000);
    assert_eq!((w.held("h1"), w.held("h2")), (12 - before, before));
}

/// Two groups take turns, and the other way round in the second part.
#[test]
fn whoever_stands_in_is_a_candidate_for_that_very_shard() {
    let shards = PART_SHARDS + 8;
    let group = |shard: u32| (shard + shard / PART_SHARDS) % 2;
    let members = |shard| [1, 2].map(|n| Member::Node(n + 2 * group(shard))).to_vec();
    let mut w = World::new(vec![role("a", shards, Mode::Primary)]);
    w.roles[0].replicas = Replicas::Count(1);
    w.roles[0].placement = Placement::Groups((0..shards).map(members).collect());
    for (host, n) in [("h1", 1), ("h2", 2), ("h3", 3), ("h4", 4)] {
        w.static_id = NodeId::new(n);
        w.start(host, u128::from(n));
    }
    w.run(5_000);
    assert_eq!(w.total() as u32, shards);
    w.nodes.remove("h2");
    w.nodes.remove("h3");
    w.run(5_000);
    for (host, of) in [("h1", 0), ("h4", 1)] {
        let held: Vec<u32> = w.nodes[host].held.keys().map(|(_, shard)| *shard).collect();
        let candidate: Vec<u32> = (0..shards).filter(|shard| group(*shard) == of).collect();
        assert!(held == candidate, "{host}");
    }
}

/// It renews its session and acts, and has not read that it is to stop.
#[test]
fn where_all_acted_one_that_does_not_see_it_is_waited_for() {
    let mut w = World::new(vec![role("a", 3, Mode::All)]);
    w.start("h1", 1);
    w.start("h2", 2);
    w.run(6_000);
    let old = w.nodes.remove("h2").unwrap();
    w.nodes.remove("h1");
    w.roles = vec![role("a", 3, Mode::Primary)];
    w.nodes.insert("old", old);
    w.fate(|host, request| {
        if host == "old" && is_listing(request) {
            Fate::Failed
        } else {
            Fate::Served
        }
    });
    w.start("h1", 1);
    w.start("h3", 3);
    w.run(8_000);
    assert_eq!((w.held("old"), w.held("h1") + w.held("h3")), (3, 0));
    w.trouble.fate = None;
    w.run(4_000);
    assert_eq!((w.held("old"), w.held("h1") + w.held("h3")), (0, 3));
}

/// Another leader has given a share to one that joined after the last look: the entry comes alone, with the conflict.
#[test]
fn whoever_is_named_by_an_entry_is_not_taken_for_dead_before_its_session_was_looked_for() {
    let mut w = World::sharing(&["h1", "h2"]);
    w.fate(|host, request| {
        if host == "h1" && is_listing(request) {
            Fate::Failed
        } else {
            Fate::Served
        }
    });
    w.tell("h2", Event::Leave);
    w.start("h3", 3);
    while w.nodes["h3"].engine.id().is_none() {
        w.run(STEP);
        assert!(w.now < 7_000);
    }
    let mut view = crate::view::View::default();
    for (key, entry) in &w.store.entries {
        view.put(key, entry.clone(), Instant(0));
    }
    let sessions: Sessions = view.evidence();
    let entry = &w.store.entries["plan/a/0"];
    let plan = part(&w, 0);
    let who = |at| {
        plan.holder(at)
            .map_or(0, |(id, _)| if id.get() == 2 { 3 } else { id.get() })
    };
    let next = advance(entry.revision, &plan, &sessions, who, &mut 12, Rules::default());
    let key = Key::Plan {
        role: "a".to_owned(),
        part: 0,
    };
    w.put(key, Value::Plan(Arc::new(next.expect("six shards change hands"))));
    w.tell("h3", Event::Look);
    w.run(100);
    assert_eq!(w.held("h3"), 6);
    let before = writes(&w, 0);
    w.tell("h1", Event::PolicyChanged { role: 0, digest: 7 });
    w.run(1_000);
    assert_eq!(writes(&w, 0) - before, 1, "it conflicts, and nothing is decided on");
    assert_eq!((w.held("h1"), w.held("h3")), (6, 6));
    w.trouble.fate = None;
    w.run(2_000);
    assert!(writes(&w, 0) - before > 1);
    assert_eq!((w.total(), w.held("h2")), (12, 0));
}
