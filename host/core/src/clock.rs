//! A guard against steps of the backend's clock.
//!
//! Ages on the backend's clock decide whether a session may be ended, so a step forward would end live ones. Every
//! answer bounds the difference between the backend's clock and the local one; two answers whose bounds cannot both
//! hold show a step, and ages are then not trusted until every entry has been watched on the local clock for long
//! enough.

use crate::store::StoreTime;
use crate::time::Instant;

/// What is known of the difference between the backend's clock and the local one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct BackendClock {
    /// Bounds of backend − local in milliseconds, and when they were learned.
    bounds: Option<(i64, i64, Instant)>,
    distrusted_until: Instant,
    /// There was a step.
    stepped: bool,
}

/// Milliseconds by which bounds may miss each other without being called a step.
const SLACK: i64 = 20;

impl BackendClock {
    /// Learns from an answer with the backend's time `backend` to a request sent at `sent` and answered at `now`.
    /// Returns the size of a step, if there was one; ages are then not trusted for `distrust` milliseconds.
    pub fn learn(
        &mut self,
        sent: Instant,
        now: Instant,
        backend: StoreTime,
        drift_ppm: u64,
        distrust: u64,
    ) -> Option<i64> {
        let at = |local: Instant| signed(backend.0) - signed(local.0);
        let (low, high) = (at(now), at(sent));
        let first = self.bounds.is_none();
        // What was known has grown a little uncertain since.
        let known = self.bounds.map(|(low, high, then)| {
            let drift = signed(now.since(then).saturating_mul(2).saturating_mul(drift_ppm) / 1_000_000);
            (low, high, drift)
        });
        let jumped = known.and_then(|(old_low, old_high, drift)| {
            match (low.saturating_sub(old_high), old_low.saturating_sub(high)) {
                (forward, _) if forward > drift.saturating_add(SLACK) => Some(forward),
                (_, back) if back > drift.saturating_add(SLACK) => Some(-back),
                _ => None,
            }
        });
        // Without a step both hold. So a slow answer, which says little, takes nothing away: it could hide a step from
        // the next one.
        let both = known.map(|(old_low, old_high, drift)| {
            (
                low.max(old_low.saturating_sub(drift)),
                high.min(old_high.saturating_add(drift)),
            )
        });
        let (low, high) = both
            .filter(|(low, high)| jumped.is_none() && low <= high)
            .unwrap_or((low, high));
        self.bounds = Some((low, high, now));
        // Nor are they at first: a step just before could not be seen.
        if jumped.is_some() || first {
            self.distrusted_until = now.plus(distrust);
        }
        self.stepped |= jumped.is_some();
        jumped
    }

    /// Whether ages on the backend's clock may be used to end a session.
    #[must_use]
    pub fn is_trusted(&self, now: Instant) -> bool {
        now >= self.distrusted_until
    }

    /// How old what was written at `written` certainly is, by an answer at `now` with the backend's time `backend`; 0
    /// if that is not to be believed. What a step made of the time in a slow answer does not count: it is seen in a
    /// later one only.
    #[must_use]
    pub fn age(&self, written: StoreTime, backend: StoreTime, now: Instant) -> u64 {
        if self.is_trusted(now) {
            backend.min(self.estimate(now)).since(written)
        } else {
            0
        }
    }

    /// As [`Self::age`], but also by the first answers, which nothing can be compared with: less `margin`, by which the
    /// clocks of the servers that dated the two may differ.
    #[must_use]
    pub fn age_at_first(&self, written: StoreTime, backend: StoreTime, now: Instant, margin: u64) -> u64 {
        if self.stepped || self.is_trusted(now) {
            self.age(written, backend, now)
        } else {
            backend.since(written).saturating_sub(margin)
        }
    }

    /// Whether ages by an answer at `now` with the backend's time `backend` may be believed: it is not later than it
    /// can be.
    #[must_use]
    pub fn believes(&self, backend: StoreTime, now: Instant) -> bool {
        self.is_trusted(now) && backend.since(self.estimate(now)) <= SLACK.unsigned_abs()
    }

    /// The backend's time at `now`, not later than it really is.
    #[must_use]
    pub fn estimate(&self, now: Instant) -> StoreTime {
        let (low, _, _) = self.bounds.unwrap_or_default();
        StoreTime(signed(now.0).saturating_add(low).max(0).unsigned_abs())
    }

    /// The local instant at which the backend's clock will have reached `time`, not earlier.
    #[must_use]
    pub fn local(&self, time: StoreTime) -> Instant {
        let (low, _, _) = self.bounds.unwrap_or_default();
        Instant(signed(time.0).saturating_sub(low).max(0).unsigned_abs())
    }
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}
