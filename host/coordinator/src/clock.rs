//! The machine's clocks.

use rustix::time::{ClockId, clock_gettime};
use std::time::SystemTime;

/// CLOCK_BOOTTIME counts suspended time; elsewhere than on Linux CLOCK_MONOTONIC does.
#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

/// Milliseconds since the machine was started, suspended time included. The same for all processes of the machine.
#[must_use]
pub fn boottime() -> u64 {
    boottime_nanos() / 1_000_000
}

/// As [`boottime`], in nanoseconds.
#[must_use]
pub fn boottime_nanos() -> u64 {
    let t = clock_gettime(CLOCK);
    u64::try_from(t.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(t.tv_nsec).unwrap_or(0)
}

/// Milliseconds since the Unix epoch by the wall clock, which may be stepped at any time: only good for choosing an
/// origin.
#[must_use]
pub fn wall() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}
