//! Local time and the durations of the protocol.

use serde::{Deserialize, Serialize};

/// Milliseconds on the local clock that counts suspended time (CLOCK_BOOTTIME). Only differences mean anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Instant(pub u64);

impl Instant {
    /// This instant plus `ms` milliseconds.
    #[must_use]
    pub const fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to `self`, 0 if it is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// The durations of the protocol, in milliseconds. Shared by all nodes of a cluster (`[cluster.timing]`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Timing {
    /// How long a session holds after its last renewal.
    pub validity: u64,
    /// How often a session is renewed; jittered by a tenth.
    pub renew: u64,
    /// Safety distance: a holder stops this much before its validity ends, a taker waits this much longer.
    pub margin: u64,
    /// How much faster or slower than true time a node's clock may run, in parts per million.
    pub drift_ppm: u64,
    /// A node is shown as stale after this long without renewal.
    pub stale_after: u64,
    /// A node is shown as inactive after this long without renewal.
    pub inactive_after: u64,
    /// An id may go to another hostname after its session has been ended for this long.
    pub reuse_after: u64,
    /// A node that is away for less than this gets its own shards back.
    pub rejoin_delay: u64,
    /// How long work may take to stop when its shard moves.
    pub stop_timeout: u64,
    /// How long the leader waits for further changes before it asks a policy.
    pub settle: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            validity: 15_000,
            renew: 5_000,
            margin: 500,
            drift_ppm: 1_000,
            stale_after: 30_000,
            inactive_after: 600_000,
            reuse_after: 86_400_000,
            rejoin_delay: 60_000,
            stop_timeout: 10_000,
            settle: 300,
        }
    }
}

impl Timing {
    /// How long a holder may act after it *sent* its last successful renewal: validity·(1 − ρ) − margin.
    #[must_use]
    pub const fn holder(&self) -> u64 {
        let drift = self.validity * self.drift_ppm / 1_000_000 + 1;
        self.validity.saturating_sub(drift).saturating_sub(self.margin)
    }

    /// How long a taker must see no renewal before it may end a session.
    #[must_use]
    pub const fn taker(&self) -> u64 {
        self.validity + self.margin
    }

    /// Every way in which these durations contradict each other; empty if none.
    #[must_use]
    pub fn problems(&self) -> Vec<TimingProblem> {
        use TimingField as F;
        let mut found = Vec::new();
        let mut need = |ok: bool, field, reason| {
            if !ok {
                found.push(TimingProblem { field, reason });
            }
        };
        need(self.renew >= 50, F::Renew, "must be at least 50ms");
        need(self.margin >= 10, F::Margin, "must be at least 10ms");
        // A taker's fast clock against a holder's slow one: the margins on both sides must make up for it.
        need(
            self.margin >= self.validity * self.drift_ppm / 1_000_000,
            F::Margin,
            "must be at least validity × drift-ppm / 1000000",
        );
        need(self.drift_ppm <= 100_000, F::DriftPpm, "must be at most 100000 (10 %)");
        need(
            self.holder() >= 2 * (self.renew + self.renew / 10),
            F::Validity,
            "must leave room for two renewals: validity less margin and drift ≥ 2.2 × renew",
        );
        need(
            self.stale_after >= self.taker(),
            F::StaleAfter,
            "must be at least validity + margin",
        );
        need(
            self.inactive_after >= self.stale_after,
            F::InactiveAfter,
            "must be at least stale-after",
        );
        need(
            self.reuse_after >= self.inactive_after,
            F::ReuseAfter,
            "must be at least inactive-after",
        );
        need(
            self.reuse_after <= 366 * 86_400_000,
            F::ReuseAfter,
            "must be at most 366 days",
        );
        need(self.validity <= 3_600_000, F::Validity, "must be at most 1h");
        need(
            self.rejoin_delay <= self.reuse_after,
            F::RejoinDelay,
            "must be at most reuse-after",
        );
        need(
            self.stop_timeout >= 1 && self.stop_timeout <= 3_600_000,
            F::StopTimeout,
            "must be between 1ms and 1h",
        );
        need(self.settle <= 60_000, F::Settle, "must be at most 1m");
        found
    }
}

/// One contradiction among the durations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {reason}")]
pub struct TimingProblem {
    /// The duration at fault.
    pub field: TimingField,
    /// What is required of it.
    pub reason: &'static str,
}

/// A duration of [`Timing`], displayed as its key in `[cluster.timing]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the same names as the fields")]
pub enum TimingField {
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
}

impl TimingField {
    /// The key in `[cluster.timing]`.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Validity => "validity",
            Self::Renew => "renew",
            Self::Margin => "margin",
            Self::DriftPpm => "drift-ppm",
            Self::StaleAfter => "stale-after",
            Self::InactiveAfter => "inactive-after",
            Self::ReuseAfter => "reuse-after",
            Self::RejoinDelay => "rejoin-delay",
            Self::StopTimeout => "stop-timeout",
            Self::Settle => "settle",
        }
    }
}

impl std::fmt::Display for TimingField {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.key())
    }
}
