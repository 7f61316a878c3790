//! What is known of the difference between a server's clock and the local one.

use crate::wire::Moment;
use std::time::Duration;

/// Nanoseconds in a second.
const SECOND: i64 = 1_000_000_000;
/// One part in so many is what the two clocks may gain on each other: 100 ppm.
const DRIFT: i64 = 10_000;

/// Bounds of server − local in nanoseconds, as they were at a moment. They widen with age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(super) low: i64,
    pub(super) high: i64,
    pub(super) at: Moment,
}

fn signed(moment: Moment) -> i64 {
    i64::try_from(moment.0).unwrap_or(i64::MAX)
}

fn drift(age: Duration) -> i64 {
    i64::try_from(age.as_nanos()).unwrap_or(i64::MAX) / DRIFT
}

impl Bounds {
    /// What an answer tells that was dated `seconds` after the epoch, to a request sent at `sent`, and received at
    /// `received`. The server read its clock between the two, and cut it off to whole seconds.
    pub(super) fn of(seconds: i64, sent: Moment, received: Moment) -> Self {
        let date = seconds.saturating_mul(SECOND);
        let spread = drift(received.since(sent));
        Self {
            low: date.saturating_sub(signed(received)).saturating_sub(spread),
            high: date
                .saturating_add(SECOND)
                .saturating_sub(signed(sent))
                .saturating_add(spread),
            at: received,
        }
    }

    /// As they are at `now`, which is not earlier.
    pub(super) fn at(self, now: Moment) -> Self {
        let spread = drift(now.since(self.at));
        Self {
            low: self.low.saturating_sub(spread),
            high: self.high.saturating_add(spread),
            at: now.max(self.at),
        }
    }

    /// What is known if both hold.
    ///
    /// # Errors
    /// They contradict each other: by how much the second is ahead of the first, in nanoseconds.
    pub(super) fn meet(self, newer: Self) -> Result<Self, i64> {
        let at = self.at.max(newer.at);
        let (older, newer) = (self.at(at), newer.at(at));
        let met = Self {
            low: older.low.max(newer.low),
            high: older.high.min(newer.high),
            at,
        };
        if met.low <= met.high {
            Ok(met)
        } else if newer.low > older.high {
            Err(newer.low.saturating_sub(older.high))
        } else {
            Err(newer.high.saturating_sub(older.low))
        }
    }

    pub(super) fn width(self, now: Moment) -> Duration {
        let Self { low, high, .. } = self.at(now);
        Duration::from_nanos(high.saturating_sub(low).max(0).unsigned_abs())
    }

    /// The server's clock at `now` in milliseconds, not later than it is.
    pub(super) fn earliest(self, now: Moment) -> u64 {
        let nanos = signed(now).saturating_add(self.at(now).low).max(0);
        nanos.unsigned_abs() / 1_000_000
    }

    /// The server's clock at `now` in milliseconds, not earlier than it is.
    pub(super) fn latest(self, now: Moment) -> u64 {
        let nanos = signed(now).saturating_add(self.at(now).high).max(0);
        nanos.unsigned_abs().div_ceil(1_000_000)
    }

    /// The first and the last moment at which the server's clock may come to its next whole second. The first may have
    /// passed.
    pub(super) fn flip(self, now: Moment) -> (Moment, Moment) {
        let Self { low, high, .. } = self.at(now);
        let next = (signed(now).saturating_add(low).div_euclid(SECOND) + 1).saturating_mul(SECOND);
        let moment = |offset: i64| Moment(next.saturating_sub(offset).max(0).unsigned_abs());
        (moment(high), moment(low))
    }

    /// How far the clocks of two servers certainly are from each other.
    pub(super) fn apart(self, other: Self, now: Moment) -> Duration {
        let (one, two) = (self.at(now), other.at(now));
        let gap = one.low.saturating_sub(two.high).max(two.low.saturating_sub(one.high));
        Duration::from_nanos(gap.max(0).unsigned_abs())
    }
}

#[cfg(test)]
mod test {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn one_answer_bounds_the_difference_by_a_second_and_its_round_trip() {
        let bounds = Bounds::of(100, Moment(40_000 * MS), Moment(40_010 * MS));
        assert_eq!(
            bounds.earliest(Moment(40_010 * MS)),
            99_999,
            "100 s, less the drift of the trip"
        );
        assert_eq!(bounds.latest(Moment(40_010 * MS)), 101_011);
        assert_eq!(bounds.width(Moment(40_010 * MS)).as_millis(), 1010);
    }

    #[test]
    fn a_second_that_comes_between_two_answers_bounds_it_by_the_time_between_them() {
        let before = Bounds::of(100, Moment(40_000 * MS), Moment(40_001 * MS));
        let after = Bounds::of(101, Moment(40_003 * MS), Moment(40_004 * MS));
        let both = before.meet(after).unwrap();
        assert!(both.width(Moment(40_004 * MS)).as_micros() <= 4_010, "{both:?}");
        let (first, last) = both.flip(Moment(40_100 * MS));
        assert!(first.0 / MS >= 40_999 && last.0 / MS <= 41_004, "{first:?} {last:?}");
        let hour = Moment(3_640_004 * MS);
        assert_eq!(both.width(hour).as_millis(), 724, "4 ms and an hour's drift, both ways");
    }

    #[test]
    fn a_step_is_a_contradiction() {
        let before = Bounds::of(100, Moment(40_000 * MS), Moment(40_001 * MS));
        let step = |seconds| before.meet(Bounds::of(seconds, Moment(40_100 * MS), Moment(40_101 * MS)));
        assert!(step(100).is_ok() && step(101).is_ok());
        assert!(step(103).is_err_and(|by| by > 1_800_000_000), "{:?}", step(103));
        assert!(step(97).is_err_and(|by| by < -1_800_000_000), "{:?}", step(97));
    }
}
