//! The guard against steps of the backend's clock, and the arithmetic of deadlines.

use shardwright_core::clock::BackendClock;
use shardwright_core::store::StoreTime;
use shardwright_core::time::{Instant, Timing, TimingField};

const DISTRUST: u64 = 15_000;

fn learn(clock: &mut BackendClock, sent: u64, now: u64, backend: u64) -> Option<i64> {
    clock.learn(Instant(sent), Instant(now), StoreTime(backend), 1_000, DISTRUST)
}

#[test]
fn of_two_answers_that_miss_each_other_by_little_the_later_one_counts() {
    let mut clock = BackendClock::default();
    learn(&mut clock, 0, 0, 1_000);
    assert_eq!(learn(&mut clock, 100, 100, 1_090), None, "ten milliseconds are no step");
    assert_eq!(clock.estimate(Instant(100)), StoreTime(1_090));
}

#[test]
fn a_steady_clock_is_trusted_through_slow_answers_and_drift() {
    let mut clock = BackendClock::default();
    let mut local = 1_000;
    for round in 0..1_000u64 {
        let delay = [1, 900, 3, 40][round as usize % 4];
        // The backend runs 0.1 % fast and is read somewhere between sending and answer.
        let backend = 5_000_000 + (local + delay / 2) * 1_001 / 1_000;
        assert_eq!(learn(&mut clock, local, local + delay, backend), None, "round {round}");
        local += 5_000 + delay;
    }
    assert!(clock.is_trusted(Instant(local)));
}

#[test]
fn a_step_either_way_is_seen_and_distrusted_for_a_while() {
    for step in [3_600_000i64, -3_600_000, 500, -500] {
        let mut clock = BackendClock::default();
        assert_eq!(learn(&mut clock, 1_000, 1_002, 9_000_000), None);
        let stepped = (9_005_000 + step) as u64;
        let seen = learn(&mut clock, 6_000, 6_002, stepped).expect("a step is seen");
        assert!((seen - step).abs() <= 4, "{seen} for {step}");
        assert!(!clock.is_trusted(Instant(6_002 + DISTRUST - 1)));
        assert!(clock.is_trusted(Instant(6_002 + DISTRUST)));
        assert_eq!(learn(&mut clock, 7_000, 7_002, stepped + 1_000), None, "seen once");
    }
}

/// Each clock may be off by a thousandth: together by two seconds in a thousand.
#[test]
fn what_two_clocks_may_drift_apart_is_no_step_and_more_is() {
    for (apart, step) in [
        (2_020, None),
        (2_021, Some(2_021)),
        (-2_020, None),
        (-2_021, Some(-2_021)),
    ] {
        let mut clock = BackendClock::default();
        learn(&mut clock, 1_000, 1_000, 9_000_000);
        let backend = 10_000_000 + apart;
        assert_eq!(
            learn(&mut clock, 1_001_000, 1_001_000, backend as u64),
            step,
            "{apart} ms apart"
        );
    }
}

/// A leader with a clock that is ahead takes over while a request waits for it: the answer is as slow as the step is
/// large, and hides it.
#[test]
fn a_step_that_a_slow_answer_hides_makes_nothing_older_than_it_is() {
    for idle in [1_000, 5_000, 12_000, 60_000] {
        let mut clock = BackendClock::default();
        let backend = |local: u64| 9_000_000 + local;
        for local in [1_000, 20_000] {
            assert_eq!(learn(&mut clock, local, local + 2, backend(local + 1)), None);
        }
        let sent = 20_000 + idle;
        let (written, answer) = (StoreTime(backend(sent)), backend(sent) + 3_000);
        // It was written when this was asked for, and this took four seconds.
        let now = sent + 4_000;
        assert_eq!(learn(&mut clock, sent, now, answer), None, "it hides it");
        let age = clock.age(written, StoreTime(answer), Instant(now));
        assert!(age <= 4_000, "{age} ms after {idle}");
        // A quick answer shows it.
        let age = clock.age(written, StoreTime(backend(now + 1_001) + 3_000), Instant(now + 1_002));
        assert!(age <= 5_002, "{age} ms after {idle}");
        let seen = learn(&mut clock, now + 1_000, now + 1_002, backend(now + 1_001) + 3_000);
        assert!(
            seen.is_some_and(|by| (2_800..=3_000).contains(&by)),
            "{seen:?} after {idle}"
        );
        assert_eq!(
            clock.age(written, StoreTime(answer), Instant(now + 1_002)),
            0,
            "nothing is believed then"
        );
    }
}

/// The age of a new store decides how long a node waits that has just started.
#[test]
fn what_nothing_can_be_compared_with_is_believed_up_to_the_margin_and_not_after_a_step() {
    const MARGIN: u64 = 500;
    let age = |clock: &BackendClock, backend, now| {
        clock.age_at_first(StoreTime(9_000_000), StoreTime(backend), Instant(now), MARGIN)
    };
    let mut clock = BackendClock::default();
    learn(&mut clock, 1_000, 1_002, 9_004_000);
    assert_eq!(clock.age(StoreTime(9_000_000), StoreTime(9_004_000), Instant(1_002)), 0);
    assert_eq!(age(&clock, 9_004_000, 1_002), 3_500);
    assert_eq!(age(&clock, 9_000_300, 1_002), 0, "another server may have dated it");
    assert!(learn(&mut clock, 2_000, 2_002, 9_011_000).is_some());
    assert_eq!(
        age(&clock, 9_011_000, 2_002),
        0,
        "it is not known which of the two dated it"
    );
    let later = 2_002 + DISTRUST;
    learn(&mut clock, later - 2, later, 9_011_000 + DISTRUST);
    assert_eq!(age(&clock, 9_011_000 + DISTRUST, later), 11_000 + DISTRUST);
}

#[test]
fn a_time_that_cannot_be_yet_is_not_believed() {
    let mut clock = BackendClock::default();
    learn(&mut clock, 1_000, 1_002, 9_000_000);
    let later = 1_002 + DISTRUST;
    assert!(clock.believes(StoreTime(9_000_000 + DISTRUST), Instant(later)));
    assert!(!clock.believes(StoreTime(9_000_000 + DISTRUST + 100), Instant(later)));
    assert!(
        !clock.believes(StoreTime(9_000_000), Instant(later - 1)),
        "nor any at first"
    );
}

#[test]
fn estimates_are_on_the_safe_side() {
    let mut clock = BackendClock::default();
    learn(&mut clock, 1_000, 1_100, 500_050);
    // Between sending and answer the backend was at 500 050, so at 1 100 it is between 500 050 and 500 150.
    assert_eq!(clock.estimate(Instant(1_100)), StoreTime(500_050));
    assert_eq!(clock.local(StoreTime(500_050)), Instant(1_100));
}

/// Whatever durations are accepted. Those whose margin does not make up for the drift are not.
#[test]
fn a_holder_stops_before_a_taker_may_begin_whatever_the_drift() {
    let (mut accepted, mut refused) = (0, 0);
    for (validity, margin, drift_ppm) in [1_500, 15_000, 3_600_000].into_iter().flat_map(|validity| {
        let margins = [10, 50, 75, 500, 750, 180_000, 360_000];
        margins
            .into_iter()
            .flat_map(move |margin| [0, 100, 1_000, 50_000, 100_000, 500_000].map(|drift| (validity, margin, drift)))
    }) {
        let t = Timing {
            validity,
            renew: 100,
            margin,
            drift_ppm,
            ..Timing::default()
        };
        let about = |field| t.problems().iter().any(|problem| problem.field == field);
        if about(TimingField::Margin) || about(TimingField::DriftPpm) || about(TimingField::Validity) {
            refused += 1;
            continue;
        }
        accepted += 1;
        // True time that passes while the holder's slow clock counts `holder`, against the taker's fast clock counting
        // `taker`.
        let holder = t.holder() as f64 / (1.0 - drift_ppm as f64 / 1e6);
        let taker = t.taker() as f64 / (1.0 + drift_ppm as f64 / 1e6);
        assert!(
            holder < taker,
            "{t:?}: the holder stops after {holder}, the taker begins after {taker}"
        );
    }
    assert!(accepted > 50 && refused > 20, "{accepted} accepted, {refused} refused");
}

#[test]
fn the_defaults_agree_and_contradictions_are_named() {
    let ok = Timing::default();
    assert!(ok.problems().is_empty());
    let fields = |t: Timing| t.problems().iter().map(|p| p.field).collect::<Vec<_>>();
    assert_eq!(
        fields(Timing {
            renew: 7_000,
            ..ok.clone()
        }),
        [TimingField::Validity]
    );
    assert_eq!(
        fields(Timing {
            margin: 1,
            ..ok.clone()
        }),
        [TimingField::Margin, TimingField::Margin]
    );
    assert_eq!(
        fields(Timing {
            stale_after: 1_000,
            ..ok.clone()
        }),
        [TimingField::StaleAfter]
    );
    assert_eq!(
        fields(Timing {
            inactive_after: 1_000,
            ..ok.clone()
        }),
        [TimingField::InactiveAfter]
    );
    assert_eq!(
        fields(Timing {
            reuse_after: 1_000,
            ..ok.clone()
        }),
        [TimingField::ReuseAfter, TimingField::RejoinDelay]
    );
    assert_eq!(
        fields(Timing {
            drift_ppm: 500_000,
            ..ok
        }),
        [TimingField::Margin, TimingField::DriftPpm, TimingField::Validity]
    );
}
