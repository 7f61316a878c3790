//! The clock that all stamps are read from: one for all processes of the machine, and nobody sets it.

use rustix::time::{ClockId, clock_gettime};

/// Microseconds of CLOCK_BOOTTIME.
#[must_use]
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    let [seconds, nanos] = [time.tv_sec, time.tv_nsec].map(|part| u64::try_from(part).unwrap_or(0));
    seconds * 1_000_000 + nanos / 1_000
}
