//! True time, and clocks that only nearly follow it.

use shardwright_core::time::Instant;

/// True time in microseconds, which nobody but the checker knows.
pub type Time = u64;

/// One millisecond of true time.
pub const MS: Time = 1_000;

/// A clock with an offset and a rate error.
#[derive(Clone, Debug)]
pub struct Clock {
    since: Time,
    /// What the clock showed at `since`, in microseconds.
    shown: i128,
    /// Rate error in parts per million.
    ppm: i128,
}

impl Clock {
    /// A clock that shows `offset` milliseconds at the beginning and runs `ppm` parts per million too fast.
    #[must_use]
    pub fn new(offset: u64, ppm: i64) -> Self {
        Self {
            since: 0,
            shown: i128::from(offset) * 1_000,
            ppm: i128::from(ppm),
        }
    }

    /// What it shows at `time`, in milliseconds.
    #[must_use]
    pub fn read(&self, time: Time) -> Instant {
        Instant(u64::try_from(self.micros(time) / 1_000).unwrap_or(0))
    }

    /// The true time at which it shows `instant`, if it keeps its present rate; `since` if it has shown that before.
    #[must_use]
    pub fn when(&self, instant: Instant) -> Time {
        let left = (i128::from(instant.0) * 1_000 - self.shown).max(0);
        let rate = 1_000_000 + self.ppm;
        let elapsed = (left * 1_000_000 + rate - 1) / rate;
        self.since + u64::try_from(elapsed).unwrap_or(u64::MAX / 2)
    }

    /// Runs at another rate from `time` on.
    pub fn retune(&mut self, time: Time, ppm: i64) {
        self.shown = self.micros(time);
        self.since = time;
        self.ppm = i128::from(ppm);
    }

    /// Jumps by `by` milliseconds at `time`.
    pub fn step(&mut self, time: Time, by: i64) {
        self.shown = (self.micros(time) + i128::from(by) * 1_000).max(0);
        self.since = time;
    }

    fn micros(&self, time: Time) -> i128 {
        let elapsed = i128::from(time.saturating_sub(self.since));
        self.shown + elapsed + elapsed * self.ppm / 1_000_000
    }
}
