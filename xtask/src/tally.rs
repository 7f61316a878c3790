//! Counting tests: the summaries that Rust's test harness prints, added up.

use std::ops::AddAssign;

/// How many tests ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
}

impl Tally {
    /// Reads a harness summary such as `test result: ok. 3 passed; 0 failed; 0 ignored; …`; any other line is none.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let (_verdict, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let count = |label: &str| {
            counts
                .split("; ")
                .find_map(|part| part.strip_suffix(label)?.trim_end().parse().ok())
        };
        Some(Self {
            passed: count("passed")?,
            failed: count("failed")?,
            ignored: count("ignored")?,
        })
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

#[cfg(test)]
mod test {
    use super::Tally;

    #[test]
    fn reads_the_summaries_of_the_harness() {
        let good = "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.02s";
        assert_eq!(
            Tally::read(good),
            Some(Tally {
                passed: 12,
                failed: 0,
                ignored: 1
            })
        );
        let bad = "test result: FAILED. 7 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.50s";
        assert_eq!(
            Tally::read(bad),
            Some(Tally {
                passed: 7,
                failed: 2,
                ignored: 0
            })
        );
        let coloured = "test result: \u{1b}[32mok\u{1b}[0m. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered \
                        out; finished in 0.00s";
        assert_eq!(
            Tally::read(coloured),
            Some(Tally {
                passed: 1,
                failed: 0,
                ignored: 0
            })
        );
    }

    #[test]
    fn other_lines_are_no_summary() {
        for line in [
            "",
            "running 3 tests",
            "test tally::test::reads ... ok",
            "  test result: ok. 1 passed; 0 failed; 0 ignored",
            "test result: ok.",
            "test result: ok. 3 passed; 0 failed",
            "test result: ok. many passed; 0 failed; 0 ignored",
            "test result: ok. -1 passed; 0 failed; 0 ignored",
        ] {
            assert_eq!(Tally::read(line), None, "{line:?}");
        }
    }

    #[test]
    fn tallies_add_up() {
        let mut sum = Tally {
            passed: 1,
            failed: 2,
            ignored: 3,
        };
        sum += Tally {
            passed: 10,
            failed: 20,
            ignored: 30,
        };
        assert_eq!(
            sum,
            Tally {
                passed: 11,
                failed: 22,
                ignored: 33
            }
        );
    }
}
