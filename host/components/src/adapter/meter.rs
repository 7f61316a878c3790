//! How long a call computes: the time in which it is polled, and not that in which it waits.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Counts for one lane, whose calls come one after the other.
pub(super) struct Meter {
    base: Instant,
    /// Nanoseconds of the polls that are over.
    spent: AtomicU64,
    /// When the present poll began, in nanoseconds since `base`; `IDLE` outside of one.
    polled: AtomicU64,
}

const IDLE: u64 = u64::MAX;

impl Default for Meter {
    fn default() -> Self {
        Self {
            base: Instant::now(),
            spent: AtomicU64::new(0),
            polled: AtomicU64::new(IDLE),
        }
    }
}

impl Meter {
    /// A call begins.
    pub(super) fn reset(&self) {
        self.spent.store(0, Ordering::Relaxed);
        self.polled.store(IDLE, Ordering::Relaxed);
    }

    /// How long the present call, or the last, has computed.
    pub(super) fn spent(&self) -> Duration {
        let polled = self.polled.load(Ordering::Relaxed);
        let present = if polled == IDLE { 0 } else { self.now().saturating_sub(polled) };
        Duration::from_nanos(self.spent.load(Ordering::Relaxed) + present)
    }

    /// Carries out `call`, and counts what it computes.
    pub(super) async fn count<F: Future>(&self, call: F) -> F::Output {
        let mut call = pin!(call);
        poll_fn(|cx| {
            let began = self.now();
            self.polled.store(began, Ordering::Relaxed);
            let polled = call.as_mut().poll(cx);
            self.polled.store(IDLE, Ordering::Relaxed);
            self.spent.fetch_add(self.now().saturating_sub(began), Ordering::Relaxed);
            polled
        })
        .await
    }

    fn now(&self) -> u64 {
        u64::try_from(self.base.elapsed().as_nanos()).unwrap_or(IDLE - 1)
    }
}

#[cfg(test)]
mod test {
    use super::*;

    #[tokio::test]
    async fn waiting_is_not_computing() {
        let meter = Meter::default();
        let busy = Duration::from_millis(20);
        meter
            .count(async {
                for _ in 0..2 {
                    let began = Instant::now();
                    while began.elapsed() < busy {}
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                assert!(meter.spent() >= 2 * busy, "the present poll counts");
            })
            .await;
        assert!(
            (2 * busy..Duration::from_millis(200)).contains(&meter.spent()),
            "{:?}",
            meter.spent()
        );
        meter.reset();
        assert_eq!(meter.spent(), Duration::ZERO);
    }
}
