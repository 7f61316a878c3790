//! The local clock that deadlines are measured on: it counts suspended time.

use shardwright_core::time::Instant;
use std::time::Duration;

/// The longest time to sleep without a look at the clock: tokio's timers stand still while the machine is suspended.
const NAP: Duration = Duration::from_secs(1);

/// Now, in milliseconds of CLOCK_BOOTTIME (CLOCK_MONOTONIC elsewhere than on Linux).
#[inline]
pub(crate) fn now() -> Instant {
    Instant(shardwright_coordinator::clock::boottime())
}

/// Waits until `instant`; for ever if there is none. Cancel-safe.
pub(crate) async fn sleep_until(instant: Option<Instant>) {
    let Some(instant) = instant else {
        return std::future::pending().await;
    };
    loop {
        let left = instant.since(now());
        if left == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(left).min(NAP)).await;
    }
}
