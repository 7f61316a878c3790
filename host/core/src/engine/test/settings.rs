//! Nodes whose settings differ: who acts, and what is said.

use super::fate::{Fate, is_listing};
use super::*;

/// Two nodes at work with the same settings.
fn pair() -> World {
    let mut w = World::new(vec![role("a", 4, Mode::Primary)]);
    w.start("h1", 1);
    w.start("h2", 2);
    w.run(5_000);
    assert_eq!((w.held("h1"), w.held("h2")), (2, 2));
    w
}

/// `host` goes in good order, or dies, and comes back with other settings.
fn comes_back_with_others(w: &mut World, host: &'static str, instance: u128, well: bool) {
    if well {
        w.nodes.get_mut(host).unwrap().inbox.push(Event::Leave);
        w.run(200);
    }
    w.nodes.remove(host);
    w.roles = vec![role("a", 6, Mode::Primary)];
    w.start(host, instance);
}

#[test]
fn of_two_nodes_the_one_that_comes_back_with_other_settings_takes_nothing_away() {
    for well in [true, false] {
        let mut w = pair();
        comes_back_with_others(&mut w, "h1", 1, well);
        let mut before = w.held("h2");
        for _ in 0..20_000 / STEP {
            w.run(STEP);
            assert!(
                w.held("h2") >= before,
                "not even for a moment: {} of {before}",
                w.held("h2")
            );
            before = w.held("h2");
        }
        assert_eq!(
            (w.held("h1"), w.held("h2")),
            (0, 4),
            "the other keeps its work, and does all of it"
        );
    }
}

#[test]
fn a_node_that_is_alone_never_differs_from_itself() {
    let mut w = World::new(vec![role("a", 4, Mode::Primary)]);
    w.start("h1", 1);
    w.run(5_000);
    comes_back_with_others(&mut w, "h1", 1, true);
    w.run(5_000);
    assert_eq!(w.held("h1"), 6);
    let differs = |notice: &Notice| matches!(notice, Notice::SettingsDiffer { .. } | Notice::PeerDiffers { .. });
    assert!(
        !w.nodes["h1"].notices.iter().any(differs),
        "{:?}",
        w.nodes["h1"].notices
    );
}

/// The shards of the only role, as the text of shared settings in this world has them.
fn shards_in(settings: &SharedSettings) -> &str {
    settings
        .text
        .split("shards: ")
        .nth(1)
        .and_then(|rest| rest.split(',').next())
        .unwrap_or_default()
}

#[test]
fn who_differs_is_told_once_with_the_settings_of_both_sides() {
    let mut w = pair();
    comes_back_with_others(&mut w, "h1", 1, true);
    w.run(10_000);
    let (one, two) = (NodeId::new(1).unwrap(), NodeId::new(2).unwrap());
    let own: Vec<_> = w.nodes["h1"]
        .notices
        .iter()
        .filter_map(|notice| match notice {
            Notice::SettingsDiffer { from, mine, prevailing } => {
                Some((from.clone(), shards_in(mine), shards_in(prevailing.as_ref()?)))
            }
            Notice::PeerDiffers { node, .. } => panic!("{node} differs in nothing from what prevails"),
            _ => None,
        })
        .collect();
    assert_eq!(own, [(vec![two], "6", "4")]);
    let seen: Vec<_> = w.nodes["h2"]
        .notices
        .iter()
        .filter_map(|notice| match notice {
            Notice::PeerDiffers {
                node,
                theirs,
                prevailing,
            } => Some((*node, shards_in(theirs.as_ref()?), shards_in(prevailing.as_ref()?))),
            Notice::SettingsDiffer { .. } => panic!("it is the other that differs"),
            _ => None,
        })
        .collect();
    assert_eq!(seen, [(one, "6", "4")]);
}

#[test]
fn when_the_other_goes_the_one_with_new_settings_takes_over_and_keeps_the_work() {
    let mut w = pair();
    comes_back_with_others(&mut w, "h1", 1, true);
    w.run(2_000);
    w.nodes.get_mut("h2").unwrap().inbox.push(Event::Leave);
    w.run(2_000);
    assert_eq!(w.held("h1"), 6, "nobody acts under the old settings any more");
    assert!(w.nodes["h1"].notices.contains(&Notice::SettingsAgree));
    // It comes back with the old file, and the same holds the other way round.
    w.roles = vec![role("a", 4, Mode::Primary)];
    w.nodes.remove("h2");
    w.start("h2", 2);
    w.run(5_000);
    assert_eq!((w.held("h1"), w.held("h2")), (6, 0));
}

#[test]
fn the_settings_of_most_prevail_over_those_that_were_there_before() {
    let mut w = pair();
    comes_back_with_others(&mut w, "h1", 1, true);
    w.run(2_000);
    w.start("h3", 3);
    w.run(5_000);
    assert_eq!((w.held("h1"), w.held("h2"), w.held("h3")), (3, 0, 3));
}

#[test]
fn a_cluster_that_is_started_anew_with_other_settings_has_no_false_alarm() {
    let mut w = World::new(vec![role("a", 6, Mode::Primary)]);
    for (host, instance) in [("h1", 1), ("h2", 2), ("h3", 3)] {
        w.start(host, instance);
    }
    w.run(5_000);
    for node in w.nodes.values_mut() {
        node.inbox.push(Event::Leave);
    }
    w.run(500);
    w.nodes.clear();
    // What was said in former sessions is still stored.
    w.roles = vec![role("a", 9, Mode::Primary)];
    for (host, instance) in [("h3", 3), ("h1", 1), ("h2", 2)] {
        w.start(host, instance);
        w.run(STEP * 3);
    }
    w.run(5_000);
    assert_eq!(w.total(), 9);
    let differs = |notice: &&Notice| matches!(notice, Notice::SettingsDiffer { .. } | Notice::PeerDiffers { .. });
    for (host, node) in &w.nodes {
        assert_eq!(node.notices.iter().find(differs), None, "{host}");
    }
}

impl World {
    fn stored_settings(&self) -> usize {
        self.store
            .entries
            .keys()
            .filter(|key| key.starts_with("settings/"))
            .count()
    }
}

#[test]
fn settings_are_stored_once_and_removed_when_nobody_names_them() {
    let mut w = pair();
    w.start("h3", 3);
    w.run(1_000);
    assert_eq!(w.stored_settings(), 1, "three nodes have the same");
    comes_back_with_others(&mut w, "h1", 1, true);
    w.run(1_000);
    // Until its place was given to others for good.
    w.run(15_000);
    let revision = w.store.revision;
    w.run(30_000);
    assert_eq!(w.stored_settings(), 2, "a node names them");
    let renewals = 3 * 34;
    assert!(
        w.store.revision - revision <= renewals,
        "nothing is written but renewals"
    );
    // It goes back to what the others have.
    w.nodes.get_mut("h1").unwrap().inbox.push(Event::Leave);
    w.run(200);
    w.roles = vec![role("a", 4, Mode::Primary)];
    w.start("h1", 1);
    w.run(30_000);
    assert_eq!(w.stored_settings(), 1, "nobody has the others any more");
    assert_eq!(w.total(), 4);
    let removals = w
        .log
        .iter()
        .filter(|(_, _, request)| matches!(request, Request::Delete { .. }));
    let by: Vec<_> = removals.map(|(_, host, _)| w.nodes[host].engine.is_leading()).collect();
    assert_eq!(by, [true], "the leader has removed them, and nothing before");
}

#[test]
fn settings_that_somebody_removed_are_stored_again() {
    let mut w = pair();
    w.store.entries.retain(|key, _| !key.starts_with("settings/"));
    w.run(30_000);
    assert_eq!(w.stored_settings(), 1);
    assert_eq!((w.held("h1"), w.held("h2")), (2, 2));
}

#[test]
fn settings_too_long_to_be_stored_are_compared_all_the_same() {
    let mut w = World::new(vec![role("a", 4, Mode::Primary)]);
    w.roles[0].config = "x".repeat(SharedSettings::MAX);
    w.start("h1", 1);
    w.start("h2", 2);
    w.run(5_000);
    assert_eq!((w.held("h1"), w.held("h2"), w.stored_settings()), (2, 2, 0));
    comes_back_with_others(&mut w, "h1", 1, true);
    w.run(5_000);
    assert_eq!((w.held("h1"), w.held("h2")), (0, 4));
    let unknown = |notice: &Notice| matches!(notice, Notice::SettingsDiffer { prevailing: None, .. });
    assert!(w.nodes["h1"].notices.iter().any(unknown));
}

fn stores(request: &Request) -> bool {
    matches!(
        request,
        Request::Put {
            key: Key::Settings(_),
            ..
        }
    )
}

#[test]
fn who_differs_is_told_anew_when_its_settings_become_known_and_they_are_stored_with_pauses() {
    let mut w = pair();
    w.fate(|_, request| if stores(request) { Fate::Failed } else { Fate::Served });
    comes_back_with_others(&mut w, "h1", 1, true);
    let since = w.now;
    w.run(5_000);
    let tries = w.sent("h1", since, stores);
    assert!((3..=6).contains(&tries), "{tries} in five seconds");
    w.trouble.fate = None;
    w.run(3_000);
    let seen = w.nodes["h2"].notices.iter().filter_map(|notice| match notice {
        Notice::PeerDiffers { theirs, prevailing, .. } => {
            Some((theirs.as_deref().map(shards_in), prevailing.as_deref().map(shards_in)))
        }
        _ => None,
    });
    assert_eq!(seen.collect::<Vec<_>>(), [(None, Some("4")), (Some("6"), Some("4"))]);
}

#[test]
fn of_two_that_store_the_same_settings_both_know_by_the_answer_that_they_are_stored() {
    let mut w = World::new(vec![role("a", 4, Mode::Primary)]);
    w.fate(|_, request| if stores(request) { Fate::Late(50) } else { Fate::Served });
    w.start("h1", 1);
    w.start("h2", 2);
    while w.sent("h1", 0, stores) == 0 || w.sent("h2", 0, stores) == 0 {
        w.run(STEP);
    }
    w.fail(is_listing);
    w.run(4_000);
    assert_eq!((w.sent("h1", 0, stores), w.sent("h2", 0, stores)), (1, 1));
}
