//! A guard against steps of the backend's clock.
//!
//! Ages on the backend's clock decide whether a session may be ended, so a step forward would end live ones. Every answer
//! bounds the difference between the backend's clock and the local one; two answers whose bounds cannot both hold show a step,
//! and ages are then not trusted until every entry has been watched on the local clock for long enough.

use crate::store::StoreTime;
use crate::time::Instant;

/// What is known of the difference between the backend's clock and the local one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct BackendClock {
    /// Bounds of backend − local in milliseconds, and when they were learned.
    bounds: Option<(i64, i64, Instant)>,
    distrusted_until: Instant,
}

/// Milliseconds by which bounds may miss each other without being called a step.
const SLACK: i64 = 20;

impl BackendClock {
    /// Learns from an answer with the backend's time `backend` to a request sent at `sent` and answered at `now`. Returns the size
    /// of a step, if there was one; ages are then not trusted for `distrust` milliseconds.
    pub fn learn(&mut self, sent: Instant, now: Instant, backend: StoreTime, drift_ppm: u64, distrust: u64) -> Option<i64> {
        let at = |local: Instant| signed(backend.0) - signed(local.0);
        let (low, high) = (at(now), at(sent));
        let first = self.bounds.is_none();
        let jumped = self.bounds.and_then(|(old_low, old_high, then)| {
            let drift = SLACK + signed(now.since(then) * 2 * drift_ppm / 1_000_000);
            match (low - old_high, old_low - high) {
                (forward, _) if forward > drift => Some(forward),
                (_, back) if back > drift => Some(-back),
                _ => None,
            }
        });
        // The tightest recent bounds: a slow answer says little and must not replace what a quick one said.
        self.bounds = match self.bounds {
            Some((old_low, old_high, then)) if jumped.is_none() && old_high - old_low < high - low && now.since(then) < 10_000 => {
                Some((old_low, old_high, then))
            }
            _ => Some((low, high, now)),
        };
        // Nor are they at first: a step just before could not be seen.
        if jumped.is_some() || first {
            self.distrusted_until = now.plus(distrust);
        }
        jumped
    }

    /// Whether ages on the backend's clock may be used to end a session.
    #[must_use]
    pub fn is_trusted(&self, now: Instant) -> bool {
        now >= self.distrusted_until
    }

    /// The backend's time at `now`, not later than it really is.
    #[must_use]
    pub fn estimate(&self, now: Instant) -> StoreTime {
        let (low, _, _) = self.bounds.unwrap_or_default();
        StoreTime((signed(now.0) + low).max(0).unsigned_abs())
    }

    /// The local instant at which the backend's clock will have reached `time`, not earlier.
    #[must_use]
    pub fn local(&self, time: StoreTime) -> Instant {
        let (low, _, _) = self.bounds.unwrap_or_default();
        Instant((signed(time.0) - low).max(0).unsigned_abs())
    }
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}
