//! Times as people read them.

use crate::store::StoreTime;
use std::fmt;
use std::time::Duration;

/// A moment on a backend's clock: UTC, to the second, as in `2026-11-21T21:23:45Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Utc(pub StoreTime);

/// A span of milliseconds, in the units that suit it: `350 ms`, `12.5 s`, `45 s`, `2 min`, `3 min 20 s`, `2 h 5 min`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub u64);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What lies beyond the year 9999 is no time that a backend told: shown as its end.
        let seconds = (self.0.0 / 1_000).min(253_402_300_799);
        let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
        let (mut days, mut year) = (seconds / 86_400, 1970);
        while days >= days_of(year) {
            days -= days_of(year);
            year += 1;
        }
        let february = days_of(year) - 337;
        let mut month = 1;
        for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
            if days < length {
                break;
            }
            days -= length;
            month += 1;
        }
        let day = days + 1;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

const fn days_of(year: u64) -> u64 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    if leap { 366 } else { 365 }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0;
        let seconds = ms / 1_000;
        let (whole, unit, rest, part) = match seconds {
            0 => return write!(f, "{ms} ms"),
            1..60 if ms % 1_000 >= 100 => return write!(f, "{seconds}.{} s", ms % 1_000 / 100),
            1..60 => return write!(f, "{seconds} s"),
            60..3_600 => (seconds / 60, "min", seconds % 60, "s"),
            3_600..86_400 => (seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
            _ => (seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
        };
        match rest {
            0 => write!(f, "{whole} {unit}"),
            rest => write!(f, "{whole} {unit} {rest} {part}"),
        }
    }
}

impl From<Duration> for Span {
    fn from(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn moments_are_utc_to_the_second() {
        for (ms, shown) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399_000, "2000-02-28T23:59:59Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (951_868_800_000, "2000-03-01T00:00:00Z"),
            (1_704_067_199_000, "2023-12-31T23:59:59Z"),
            (1_795_296_225_999, "2026-11-21T21:23:45Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00Z"),
            (u64::MAX, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(Utc(StoreTime(ms)).to_string(), shown);
        }
    }

    #[test]
    fn spans_are_in_units_that_suit_them() {
        let shown = |ms| Span(ms).to_string();
        assert_eq!(
            [shown(0), shown(350), shown(2_540), shown(2_000)],
            ["0 ms", "350 ms", "2.5 s", "2 s"]
        );
        assert_eq!(
            [shown(45_900), shown(200_000), shown(7_500_000)],
            ["45.9 s", "3 min 20 s", "2 h 5 min"]
        );
        assert_eq!(
            [shown(12_500), shown(120_000), shown(3_600_000)],
            ["12.5 s", "2 min", "1 h"]
        );
        assert_eq!(shown(183_600_000), "2 d 3 h");
        assert_eq!(Span::from(Duration::from_micros(1_500_900)).to_string(), "1.5 s");
    }
}
