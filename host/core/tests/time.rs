//! Each bound of the durations, at the last value that is allowed and the first that is not.

use shardwright_core::time::{Instant, Timing, TimingField};

/// Durations that are far from every bound.
fn ample() -> Timing {
    Timing {
        validity: 100_000,
        renew: 10_000,
        margin: 5_000,
        drift_ppm: 1_000,
        stale_after: 200_000,
        inactive_after: 300_000,
        reuse_after: 400_000,
        rejoin_delay: 50_000,
        stop_timeout: 10_000,
        settle: 300,
    }
}

fn fields(timing: &Timing) -> Vec<TimingField> {
    timing.problems().iter().map(|problem| problem.field).collect()
}

/// `change` with `last` is allowed, with `first` it is the one thing that is wrong, and the message names the key.
fn bound(field: TimingField, last: u64, first: u64, change: impl Fn(&mut Timing, u64)) {
    let with = |value| {
        let mut timing = ample();
        change(&mut timing, value);
        timing
    };
    assert_eq!(fields(&with(last)), [], "{field} = {last}");
    let wrong = with(first);
    assert_eq!(fields(&wrong), [field], "{field} = {first}");
    let text = wrong.problems()[0].to_string();
    assert!(text.starts_with(&format!("{} must ", field.key())), "{text}");
}

#[test]
fn durations_are_called_by_their_keys() {
    use TimingField::*;
    let all = [
        Validity,
        Renew,
        Margin,
        DriftPpm,
        StaleAfter,
        InactiveAfter,
        ReuseAfter,
        RejoinDelay,
        StopTimeout,
        Settle,
    ];
    let keys = all.map(|field| field.to_string()).join(" ");
    assert_eq!(
        keys,
        "validity renew margin drift-ppm stale-after inactive-after reuse-after rejoin-delay stop-timeout settle"
    );
}

#[test]
fn instants_are_compared_and_moved_without_wrapping() {
    assert_eq!(Instant(5).plus(7), Instant(12));
    assert_eq!(Instant(5).plus(u64::MAX), Instant(u64::MAX));
    assert_eq!((Instant(12).since(Instant(5)), Instant(5).since(Instant(12))), (7, 0));
}

#[test]
fn a_holder_has_its_validity_less_drift_and_margin_and_a_taker_waits_that_and_the_margin() {
    let timing = ample();
    // 0.1 % of 100 s, and one millisecond for rounding.
    assert_eq!(timing.holder(), 100_000 - 101 - 5_000);
    assert_eq!(timing.taker(), 105_000);
    let short = Timing { validity: 1, ..ample() };
    assert_eq!(short.holder(), 0, "never below nothing");
}

#[test]
fn renewals_and_margins_have_a_least_value() {
    bound(TimingField::Renew, 50, 49, |t, v| t.renew = v);
    bound(TimingField::Margin, 10, 9, |t, v| (t.drift_ppm, t.margin) = (0, v));
    bound(TimingField::Margin, 100, 99, |t, v| t.margin = v);
}

#[test]
fn two_renewals_fit_into_what_a_holder_has() {
    // The holder has 94 899 ms: twice 43 135 and a tenth of it are 94 896, one more makes 94 898, one more 94 900.
    bound(TimingField::Validity, 43_136, 43_137, |t, v| t.renew = v);
}

#[test]
fn each_age_is_at_least_the_one_before_it() {
    bound(TimingField::StaleAfter, 105_000, 104_999, |t, v| t.stale_after = v);
    bound(TimingField::InactiveAfter, 200_000, 199_999, |t, v| {
        t.inactive_after = v;
    });
    bound(TimingField::ReuseAfter, 300_000, 299_999, |t, v| t.reuse_after = v);
    bound(TimingField::RejoinDelay, 400_000, 400_001, |t, v| t.rejoin_delay = v);
}

#[test]
fn nothing_is_longer_than_it_may_be() {
    bound(TimingField::DriftPpm, 50_000, 100_001, |t, v| {
        (t.drift_ppm, t.margin, t.validity, t.stale_after) = (v, 11_000, 100_000, 200_000);
    });
    bound(
        TimingField::ReuseAfter,
        366 * 86_400_000,
        366 * 86_400_000 + 1,
        |t, v| {
            t.reuse_after = v;
        },
    );
    bound(TimingField::StopTimeout, 3_600_000, 3_600_001, |t, v| {
        t.stop_timeout = v;
    });
    bound(TimingField::StopTimeout, 1, 0, |t, v| t.stop_timeout = v);
    bound(TimingField::Settle, 60_000, 60_001, |t, v| t.settle = v);
    bound(TimingField::Validity, 3_600_000, 3_600_001, |t, v| {
        (t.validity, t.stale_after, t.inactive_after, t.reuse_after) = (v, 3_700_000, 3_800_000, 3_900_000);
    });
}
