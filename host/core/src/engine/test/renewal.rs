//! Renewals that are slow, fail, or whose outcome is unknown.

use super::fate::{Fate, is_history_lost, is_session};
use super::*;

fn cluster() -> World {
    World::sharing(&["h1", "h2"])
}

/// Runs until `host` has sent `count` renewals since `since`; returns when the last was sent.
fn renewed(w: &mut World, host: &str, since: u64, count: usize) -> u64 {
    while w.sent(host, since, is_session) < count {
        w.run(STEP);
    }
    w.now
}

/// Requests of h1 to write its session meet this.
fn renewals(w: &mut World, fate: impl Fn() -> Fate + 'static) {
    w.fate(move |host, request| {
        if host == "h1" && is_session(request) {
            fate()
        } else {
            Fate::Served
        }
    });
}

fn is_lost(notice: &Notice) -> bool {
    matches!(notice, Notice::SessionLost)
}

#[test]
fn one_renewal_is_under_way_at_a_time() {
    let mut w = cluster();
    renewals(&mut w, || Fate::Slow(700));
    let since = w.now;
    w.run(5_000);
    let sent = w.sent("h1", since, is_session);
    assert!((4..=6).contains(&sent), "{sent} in five seconds");
    assert_eq!(w.held("h1"), 6);
}

#[test]
fn a_release_that_cannot_be_reported_is_tried_again_with_pauses() {
    let mut w = cluster();
    renewals(&mut w, || Fate::Failed);
    let since = w.now;
    w.tell(
        "h1",
        Event::Order {
            drain: Some(true),
            cordon: None,
        },
    );
    w.run(1_500);
    let sent = w.sent("h1", since, is_session);
    assert!((5..=20).contains(&sent), "{sent} in 1.5 s");
    w.trouble.fate = None;
    w.run(2_000);
    assert_eq!((w.held("h1"), w.held("h2")), (0, 12));
}

/// Every entry but `meta` is as it was: revisions prove nothing.
#[test]
fn a_late_session_does_not_go_on_in_a_store_that_took_the_place_of_its_own() {
    let mut w = cluster();
    w.trouble.down = true;
    w.run(4_000);
    let Value::Meta(meta) = &mut w.store.entries.get_mut("meta").unwrap().value else {
        panic!("a history")
    };
    meta.history = HistoryId(7);
    w.trouble.down = false;
    w.run(3_000);
    let resumed = |notice: &Notice| matches!(notice, Notice::Resumed { .. });
    for host in ["h1", "h2"] {
        assert_eq!(w.told(host, resumed), [], "{host}");
        assert_eq!(w.told(host, is_history_lost).len(), 1, "{host}");
    }
}

#[test]
fn a_renewal_whose_answer_was_lost_counts_from_when_it_was_sent() {
    let mut w = cluster();
    let since = w.now + 1;
    renewals(&mut w, || Fate::Unknown);
    let sent = renewed(&mut w, "h1", since, 1);
    // The next try is refused, and shows that the first came through.
    w.trouble.fate = None;
    renewed(&mut w, "h1", since, 2);
    w.trouble.down = true;
    w.run(STEP);
    let deadline = Instant(sent).plus(timing().holder());
    assert_eq!(w.nodes["h1"].engine.deadline(), Some(deadline));
    assert_eq!(w.told("h1", is_lost), []);
}

#[test]
fn a_session_that_somebody_ended_is_lost_and_the_history_is_not() {
    let mut w = cluster();
    w.end_session(1);
    w.run(3_000);
    assert_eq!(w.told("h1", is_lost).len(), 1);
    assert_eq!(w.told("h1", is_history_lost), []);
    assert_eq!(w.total(), 12, "it is back without a grace period");
}

#[test]
fn an_answer_at_the_very_deadline_that_it_sets_does_not_bring_a_node_back() {
    let mut w = cluster();
    let since = w.now + 1;
    renewals(&mut w, || Fate::Slow(1_000_000));
    let sent = renewed(&mut w, "h1", since, 1);
    let (_, _, travel) = w.travels.pop().unwrap();
    let fate::Travel::Answer(op, outcome) = travel else {
        panic!("an answer")
    };
    for (early, back) in [(0, false), (1, true)] {
        let mut engine = w.nodes["h1"].engine.clone();
        let outcome = outcome.clone();
        let now = Instant(sent + timing().holder() - early);
        let commands = engine.handle(Event::Stored { op, outcome }, now);
        let resumed = |c: &Command| matches!(c, Command::Notice(Notice::Resumed { .. }) | Command::Gain { .. });
        assert_eq!(commands.iter().any(resumed), back, "{early} ms before: {commands:?}");
    }
}

/// So that the renewals of nodes that were started together do not stay together.
#[test]
fn renewals_are_spread_over_the_last_tenth_of_their_interval() {
    let mut w = World::new(vec![role("a", 12, Mode::Primary)]);
    w.start("h1", 1);
    w.run(6_000);
    let since = w.now;
    w.run(30_000);
    let renewals = w
        .log
        .iter()
        .filter(|(at, _, request)| *at >= since && is_session(request));
    let times: Vec<u64> = renewals.map(|(at, ..)| *at).collect();
    let gaps: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let (least, most) = (gaps.iter().min().unwrap(), gaps.iter().max().unwrap());
    assert!((898..930).contains(least) && (970..=1_002).contains(most), "{gaps:?}");
}
