//! What Rust's test harness prints about single tests, and how long each of them took.
//!
//! The harness measures tests only on a nightly compiler. But it starts them in the order in which it lists them, a
//! fixed number at once, the next one when one has ended, and says at once when one ends: that tells when each of them
//! began.

use std::collections::HashMap;
use std::time::Duration;

/// The names in the answer to `--list --format terse`, in the order in which the tests run.
pub(crate) fn listed(answer: &str) -> Vec<String> {
    let names = answer.lines().filter_map(|line| line.strip_suffix(": test"));
    names.map(str::to_owned).collect()
}

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) name: String,
    pub(crate) failed: bool,
}

impl Ended {
    /// Reads a line such as `test clock::runs ... ok`; any other line is none.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let (name, verdict) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
        let failed = match verdict {
            "ok" => false,
            "FAILED" => true,
            _ if verdict.starts_with("ignored") => false,
            _ => return None,
        };
        Some(Self {
            name: name.strip_suffix(" - should panic").unwrap_or(name).to_owned(),
            failed,
        })
    }
}

/// Whether the harness says that a test is taking long.
pub(crate) fn is_long(line: &str) -> bool {
    line.starts_with("test ") && line.contains(" has been running for over ")
}

/// How long each test of the list `order` took that is in `ended`, which says when, in the order in which they ended.
/// `at_once` of them ran beside each other.
pub(crate) fn durations(order: &[String], ended: &[(String, Duration)], at_once: usize) -> Vec<(String, Duration)> {
    let begun = |position: usize| match position.checked_sub(at_once) {
        None => Some(Duration::ZERO),
        Some(before) => ended.get(before).map(|(_, at)| *at),
    };
    let positions: HashMap<_, _> = order
        .iter()
        .enumerate()
        .map(|(position, name)| (name, position))
        .collect();
    let taken = ended.iter().filter_map(|(name, at)| {
        let begun = begun(*positions.get(name)?)?;
        Some((name.clone(), at.saturating_sub(begun)))
    });
    taken.collect()
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn the_list_is_read() {
        let answer = "clock::runs: test\nclock::stops: test\nspeed: benchmark\n\n2 tests, 1 benchmark\n";
        assert_eq!(listed(answer), ["clock::runs", "clock::stops"]);
        assert_eq!(listed(""), [""; 0]);
    }

    #[test]
    fn ends_are_read() {
        let read = |line| Ended::read(line).map(|ended| (ended.name, ended.failed));
        assert_eq!(read("test clock::runs ... ok"), Some(("clock::runs".to_owned(), false)));
        assert_eq!(read("test a - should panic ... FAILED"), Some(("a".to_owned(), true)));
        assert_eq!(read("test a ... ignored, no time"), Some(("a".to_owned(), false)));
        for line in [
            "running 3 tests",
            "test a has been running for over 60 seconds",
            "test result: ok. 3 passed; 0 failed; 0 ignored",
            "test a ... ",
            "the test a ... ok",
        ] {
            assert_eq!(read(line), None, "{line:?}");
        }
        assert!(is_long("test a has been running for over 60 seconds"));
        assert!(!is_long("test a ... ok"));
    }

    #[test]
    fn a_test_begins_when_one_before_it_has_ended() {
        let order = ["a", "b", "c", "d", "e"].map(str::to_owned);
        let seconds = Duration::from_secs;
        // a 0–5, b 0–1, c 1–2, d 2–7, e 5–6
        let ended = [("b", 1), ("c", 2), ("a", 5), ("e", 6), ("d", 7)].map(|(name, at)| (name.to_owned(), seconds(at)));
        let took = durations(&order, &ended, 2);
        let took: Vec<_> = took
            .iter()
            .map(|(name, took)| (name.as_str(), took.as_secs()))
            .collect();
        assert_eq!(took, [("b", 1), ("c", 1), ("a", 5), ("e", 1), ("d", 5)]);
        // One by one.
        let took = durations(
            &order[..2],
            &[("a".to_owned(), seconds(2)), ("b".to_owned(), seconds(5))],
            1,
        );
        assert_eq!(took, [("a".to_owned(), seconds(2)), ("b".to_owned(), seconds(3))]);
        // What is not listed has no time.
        assert_eq!(durations(&order, &[("x".to_owned(), seconds(2))], 2), []);
    }
}
