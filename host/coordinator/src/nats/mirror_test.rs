//! The mirror's promises, message by message.

use super::*;

fn record(body: Body) -> Result<Record, String> {
    Ok(Record { known: 0, body })
}

fn value(text: &'static str) -> Body {
    Body::Value(Bytes::from_static(text.as_bytes()))
}

fn key(name: &str) -> Option<Place<'_>> {
    Some(Place::Key(name.into()))
}

fn tick(mirror: &Mirror, sequence: u64, time: u64) {
    mirror.apply(sequence, time, Some(Place::Tick), record(Body::Tick));
}

fn there(mirror: &Mirror, name: &str) -> Option<(u64, u64, Bytes)> {
    let entry = mirror.guess(name).slot?.entry().expect("readable")?;
    Some((entry.revision.0, entry.written.0, entry.value))
}

fn listed(mirror: &Mirror, prefix: &str, since: u64) -> Vec<String> {
    let listing = mirror.list(prefix, Revision(since), Revision(9)).expect("readable");
    listing.entries.into_iter().map(|(key, _)| key).collect()
}

#[tokio::test]
async fn the_last_message_of_each_key_counts() {
    let mirror = Mirror::default();
    mirror.apply(1, 10, key("a/1"), record(value("one")));
    mirror.apply(2, 20, key("a/0"), record(value("two")));
    mirror.apply(3, 30, key("b"), record(value("three")));
    mirror.apply(4, 40, key("a/1"), record(value("four")));
    mirror.apply(5, 50, key("b"), record(Body::Deleted));
    assert_eq!(there(&mirror, "a/1"), Some((4, 40, "four".into())));
    assert_eq!(there(&mirror, "b"), None);
    assert_eq!(listed(&mirror, "", 0), ["a/0", "a/1"]);
    assert_eq!(listed(&mirror, "a/", 2), ["a/1"]);
    assert_eq!(listed(&mirror, "", 4), Vec::<String>::new());
    let arrival = mirror.reach(4).await.expect("there");
    assert_eq!(arrival.time, StoreTime(40));
}

/// Two servers lead one after the other, and the clock of the second is six seconds ahead: what a node's engine makes
/// of it.
#[test]
fn no_age_is_believed_that_the_clock_of_another_leader_made() {
    use shardwright_core::clock::BackendClock;
    use shardwright_core::time::Instant;
    const TAKER: u64 = 15_500;
    let (first, second) = (|local: u64| 1_000_000 + local, |local: u64| 1_006_000 + local);
    // How long the first answer of the second server takes: a quick one shows the step, a slow one hides it.
    for took in [2, 500, 3_000, 6_000, 9_000] {
        let (mirror, mut clock, mut sequence) = (Mirror::default(), BackendClock::default(), 0);
        let mut read = |clock: &mut BackendClock, mirror: &Mirror, sent: u64, now: u64, time: u64| {
            sequence += 1;
            tick(mirror, sequence, time);
            clock.learn(Instant(sent), Instant(now), mirror.now(), 1_000, TAKER);
            sequence
        };
        for local in (0..20_000).step_by(500) {
            read(&mut clock, &mirror, local, local + 2, first(local + 1));
        }
        assert!(clock.is_trusted(Instant(20_000)));
        // A session is renewed, and the server that dated it is lost.
        let renewed = read(&mut clock, &mirror, 20_000, 20_002, first(20_001)) + 1;
        mirror.apply(renewed, first(20_003), key("session"), record(value("v")));
        let written = StoreTime(there(&mirror, "session").expect("there").1);
        tick(&mirror, renewed + 1, second(20_010));
        let mut now = 20_010 + took;
        clock.learn(Instant(20_005), Instant(now), mirror.now(), 1_000, TAKER);
        for round in 0..100 {
            let believed = clock.age(written, mirror.now(), Instant(now));
            // 20 ms by which a step may be missed. After the doubt all that is from before the step is older than a
            // taker waits, in truth too.
            let age = now - 20_003;
            assert!(
                believed <= age + 20 || age >= TAKER,
                "{believed} at {now} after an answer in {took} ms"
            );
            now += 100;
            tick(&mirror, renewed + 2 + round, second(now - 1));
            clock.learn(Instant(now - 2), Instant(now), mirror.now(), 1_000, TAKER);
        }
    }
}

#[test]
fn time_never_goes_back() {
    let mirror = Mirror::default();
    tick(&mirror, 1, 1000);
    // Another leader's clock is behind; the writer knew the time of the one before.
    let body = value("v");
    mirror.apply(2, 900, key("k"), Ok(Record { known: 1000, body }));
    assert_eq!(there(&mirror, "k").map(|(_, written, _)| written), Some(1000));
    tick(&mirror, 3, 950);
    assert_eq!(mirror.now(), StoreTime(1000));
}

#[tokio::test]
async fn whoever_waits_is_told_of_holes() {
    let mirror = std::sync::Arc::new(Mirror::default());
    mirror.apply(1, 1, key("k"), record(value("old")));
    let asked = mirror.holes();
    let waiter = tokio::spawn({
        let mirror = mirror.clone();
        async move { mirror.reach(3).await }
    });
    while mirror.lock().waiting.is_empty() {
        tokio::task::yield_now().await;
    }
    // Message 2, for k, was replaced by 4 before it was pushed: at 3 the mirror shows what was there before both.
    tick(&mirror, 3, 3);
    let arrival = waiter.await.expect("no panic").expect("there");
    assert_ne!(arrival.holes, asked);
    assert_eq!(there(&mirror, "k").map(|(revision, ..)| revision), Some(1));
    let asked = mirror.holes();
    mirror.apply(4, 4, key("k"), record(value("new")));
    tick(&mirror, 5, 5);
    assert_eq!(mirror.reach(5).await.expect("there").holes, asked);
    assert_eq!(there(&mirror, "k").map(|(revision, ..)| revision), Some(4));
}

#[test]
fn large_values_are_put_together_and_their_parts_become_waste() {
    let mirror = Mirror::default();
    let part = |sequence, id, number, text: &'static str| {
        let body = Body::Part(Bytes::from_static(text.as_bytes()));
        mirror.apply(sequence, sequence, Some(Place::Part { id, number }), record(body));
    };
    let head = |sequence, parts, id: &str| {
        mirror.apply(
            sequence,
            sequence,
            key("k"),
            record(Body::Head { parts, id: id.into() }),
        );
    };
    part(1, "x", 0, "ab");
    part(2, "y", 0, "never used");
    part(3, "x", 1, "cd");
    head(4, 2, "x");
    assert_eq!(there(&mirror, "k"), Some((4, 4, "abcd".into())));
    mirror.apply(5, 5, key("k"), record(value("small")));
    assert_eq!(mirror.useless(StoreTime(6)), [2, 1, 3]);
    assert_eq!(mirror.useless(StoreTime(5)), [2]);
    mirror.forget(2);
    assert_eq!(mirror.waste_of(5), [1, 3]);
    assert!(mirror.useless(StoreTime(6)).is_empty());
    head(6, 2, "nowhere");
    let slot = mirror.guess("k").slot.expect("a slot");
    assert!(matches!(slot.entry(), Err(StoreError::Invalid(why)) if why.contains("parts")));
}

#[test]
fn what_cannot_be_read_is_an_error_and_not_absent() {
    let mirror = Mirror::default();
    mirror.apply(1, 1, key("k"), Err("a record of format 2".into()));
    let slot = mirror.guess("k").slot.expect("a slot");
    assert!(matches!(slot.entry(), Err(StoreError::Invalid(why)) if why.contains("format 2")));
    assert!(mirror.list("", Revision(0), Revision(1)).is_err());
    assert!(mirror.list("other", Revision(0), Revision(1)).is_ok());
}

#[test]
fn deletions_are_forgotten_only_once_they_are_gone() {
    let mirror = Mirror::default();
    mirror.apply(1, 1, key("k"), record(Body::Deleted));
    mirror.apply(2, 2, key("l"), record(value("v")));
    assert_eq!(mirror.useless(StoreTime(9)), [1]);
    assert!(mirror.guess("k").slot.is_some());
    mirror.forget(1);
    mirror.forget(2);
    assert!(mirror.guess("k").slot.is_none());
    assert!(there(&mirror, "l").is_some(), "only deletions are forgotten");
}

#[test]
fn what_was_known_must_be_there_again() {
    let mirror = Mirror::default();
    let build = |keys: &[(&'static str, u64)]| {
        for (name, sequence) in keys {
            mirror.apply(*sequence, 1, key(name), record(value("v")));
        }
    };
    build(&[("a", 1), ("b", 2)]);
    mirror.settle().expect("nothing was known");
    mirror.begin();
    build(&[("b", 2), ("a", 3)]);
    mirror.settle().expect("a was replaced");
    mirror.begin();
    build(&[("b", 2)]);
    // Interrupted: what was known is still compared with the next one.
    mirror.begin();
    build(&[("b", 2), ("c", 4)]);
    let lost = mirror.settle().expect_err("a is missing");
    assert!(
        matches!(&lost, StoreError::HistoryLost(why) if why.contains("revision 3")),
        "{lost:?}"
    );
    assert_eq!(mirror.check(), Err(lost));
}
