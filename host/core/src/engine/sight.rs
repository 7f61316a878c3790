//! When this node could see what others write: time in which it could not is no evidence against them.

use crate::time::Instant;
use std::collections::VecDeque;

/// How many gaps are remembered. Whoever has shown no life since before the oldest of them has had time enough in
/// between.
const GAPS: usize = 8;

/// The times in which the store answered, by its answers.
#[derive(Clone, Debug, Default)]
pub(super) struct Sight {
    last: Option<Instant>,
    gaps: VecDeque<(Instant, Instant)>,
}

impl Sight {
    /// The store has answered at `now`. Usually it is asked at least every `renew` milliseconds, and answers within
    /// `slack`.
    pub(super) fn answered(&mut self, now: Instant, renew: u64, slack: u64) {
        if let Some(last) = self.last.filter(|last| now.since(*last) > renew + slack) {
            self.gaps.push_back((last.plus(renew), now));
            if self.gaps.len() > GAPS {
                self.gaps.pop_front();
            }
        }
        self.last = Some(now);
    }

    /// For how many milliseconds after `from` nothing could be seen.
    pub(super) fn blind_since(&self, from: Instant) -> u64 {
        self.gaps.iter().map(|(begin, end)| end.since(from.max(*begin))).sum()
    }

    /// Whether everything could be seen for the `ms` milliseconds before `now`.
    pub(super) fn is_clear(&self, now: Instant, ms: u64) -> bool {
        self.gaps.back().is_none_or(|(_, end)| now.since(*end) >= ms)
    }
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn only_what_could_not_be_seen_is_left_out() {
        let mut sight = Sight::default();
        for now in [100, 1_090, 2_100] {
            sight.answered(Instant(now), 1_000, 50);
        }
        assert_eq!(sight.blind_since(Instant(0)), 0, "the usual intervals are no gaps");
        sight.answered(Instant(10_000), 1_000, 50);
        assert_eq!(sight.blind_since(Instant(0)), 6_900, "from when an answer was due");
        assert_eq!(sight.blind_since(Instant(5_000)), 5_000);
        assert_eq!(sight.blind_since(Instant(10_000)), 0);
        assert!(!sight.is_clear(Instant(12_000), 3_000) && sight.is_clear(Instant(13_000), 3_000));
        sight.answered(Instant(20_000), 1_000, 50);
        assert_eq!(sight.blind_since(Instant(5_000)), 5_000 + 9_000);
    }

    #[test]
    fn an_answer_at_the_last_moment_leaves_no_gap() {
        let mut sight = Sight::default();
        sight.answered(Instant(100), 1_000, 50);
        sight.answered(Instant(1_150), 1_000, 50);
        assert_eq!(sight.blind_since(Instant(0)), 0);
        sight.answered(Instant(2_201), 1_000, 50);
        assert_eq!(sight.blind_since(Instant(0)), 51);
    }

    #[test]
    fn the_last_eight_gaps_are_remembered() {
        let mut sight = Sight::default();
        for n in 0..=9u64 {
            assert_eq!(sight.blind_since(Instant(0)), 1_000 * n.saturating_sub(1).min(8));
            sight.answered(Instant(2_000 * n), 1_000, 50);
        }
        sight.answered(Instant(20_000), 1_000, 50);
        assert_eq!(sight.blind_since(Instant(0)), 8_000);
    }
}
