//! The host's monotonic clock, which also counts while the machine is suspended, and points on it.

use std::time::Duration;
use wasip2::clocks::monotonic_clock;
use wasip2::io::poll::{Pollable, poll};

/// A point in time on the host's monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(u64);

impl Deadline {
    /// The present moment.
    #[must_use]
    pub fn now() -> Self {
        Self(monotonic_clock::now())
    }

    /// The moment at which the clock says `nanos`, as [`Deadline::nanos`] does.
    #[must_use]
    pub const fn at(nanos: u64) -> Self {
        Self(nanos)
    }

    /// `wait` from now.
    #[must_use]
    pub fn after(wait: Duration) -> Self {
        Self::now().plus(wait)
    }

    /// `wait` later than this.
    #[must_use]
    pub fn plus(self, wait: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)),
        )
    }

    /// How long it is from `earlier` to this; nothing if it is not later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// How long it is until then; nothing if it has passed.
    #[must_use]
    pub fn left(self) -> Duration {
        self.since(Self::now())
    }

    /// Nanoseconds on the host's clock, which began somewhere.
    #[must_use]
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// Waits until then.
    pub fn sleep(self) {
        monotonic_clock::subscribe_instant(self.0).block();
    }

    /// Waits until `ready` is ready, which is true, or this point has come, which is false.
    pub(crate) fn wait(self, ready: &Pollable) -> bool {
        if ready.ready() {
            return true;
        }
        let timer = monotonic_clock::subscribe_instant(self.0);
        poll(&[ready, &timer]).contains(&0)
    }
}
