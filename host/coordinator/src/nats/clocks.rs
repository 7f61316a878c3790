//! Whether the clocks of the servers that keep the stream agree.
//!
//! Whoever leads dates the messages. If another server with another clock leads from some moment on, everything looks
//! older, or younger, than it is by as much as the two differ. A node that was there before sees the step and believes
//! no ages for a while; one that comes later has nothing to compare them with. So a difference that matters is refused
//! when a handle is opened, and told when it comes up later.

use shardwright_core::human::Span;
use std::collections::HashMap;

/// The largest difference, in milliseconds, that is not refused: the margin that ages have by default.
pub(super) const LIMIT: u64 = 500;

/// What a server said of its clock: bounds of the difference between it and this machine's, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClockOffset {
    least: i64,
    most: i64,
}

impl ClockOffset {
    /// By a `time` that was told between the moments `asked` and `answered` of a clock of this machine.
    pub(super) fn by(time: u64, asked: u64, answered: u64) -> Self {
        Self {
            least: time.wrapping_sub(answered).cast_signed(),
            most: time.wrapping_sub(asked).cast_signed(),
        }
    }
}

/// By how much, and which, if two of these clocks certainly differ by more than [`LIMIT`].
pub(super) fn differ<'a>(told: impl Iterator<Item = (&'a str, ClockOffset)>) -> Option<String> {
    let told: HashMap<&str, ClockOffset> = told.collect();
    let (first, ahead) = told.iter().max_by_key(|(_, clock)| clock.least)?;
    let (second, behind) = told.iter().min_by_key(|(_, clock)| clock.most)?;
    let by = u64::try_from(ahead.least - behind.most).ok().filter(|by| *by > LIMIT)?;
    Some(format!(
        "the clock of the server {first} is at least {} ahead of that of {second}, so ages cannot be believed when \
         another one leads: let NTP set them",
        Span(by)
    ))
}

/// The milliseconds since the Unix epoch of a time such as `2026-01-31T23:59:59.123456789Z`, which is how the server
/// writes it.
pub(super) fn parse(time: &str) -> Option<u64> {
    let (date, clock) = time.strip_suffix('Z')?.split_once('T')?;
    let [year, month, day] = numbers(date, '-')?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let [hour, minute, second] = numbers(clock, ':')?;
    let millis: u64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    if !(1..=12).contains(&month) || year < 1970 {
        return None;
    }
    // Counted from March on, a leap day is the last of its year.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let seconds = days.checked_sub(719_468)? * 86_400 + hour * 3_600 + minute * 60 + second;
    Some(seconds * 1_000 + millis)
}

fn numbers(text: &str, between: char) -> Option<[u64; 3]> {
    let numbers: Vec<u64> = text.split(between).map_while(|part| part.parse().ok()).collect();
    numbers.try_into().ok()
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn times_are_read() {
        for (text, millis) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:00:00.5Z", 951_825_600_500),
            ("2026-11-30T09:07:00.123456789Z", 1_796_029_620_123),
            ("2024-12-31T23:59:59.999Z", 1_735_689_599_999),
        ] {
            assert_eq!(parse(text), Some(millis), "{text}");
        }
        for text in [
            "",
            "now",
            "2026-11-30",
            "2026-13-01T00:00:00Z",
            "2026-11-30T09:07:00+01:00",
            "1900-01-01T00:00:00Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn only_a_certain_difference_counts() {
        let differ = |told: &[(&'static str, u64, u64, u64)]| {
            let told = told
                .iter()
                .map(|(name, time, asked, answered)| (*name, ClockOffset::by(*time, *asked, *answered)));
            super::differ(told)
        };
        assert_eq!(differ(&[]), None);
        assert_eq!(differ(&[("a", 50_000, 10, 12)]), None);
        // Slow answers may be of any moment between.
        assert_eq!(
            differ(&[("a", 50_000, 10, 12), ("b", 56_000, 10, 6_010), ("c", 50_100, 10, 13)]),
            None
        );
        let why = differ(&[("a", 50_000, 10, 12), ("b", 56_000, 10, 20), ("c", 50_100, 10, 13)]).expect("they differ");
        assert!(why.contains("server b is at least 5.9 s ahead of that of a"), "{why}");
        // The machine's own clock is no matter.
        assert_eq!(
            differ(&[("a", 50_000, 900_000, 900_002), ("b", 50_001, 900_000, 900_003)]),
            None
        );
    }
}
