//! Opening waits for a server that is not ready: one that has yet to find its companions, or to elect a leader with
//! them.

use super::{Backoff, BrokerError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The longest pause between two tries: whoever opens wants to go on.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// How long one opening goes on trying.
pub(crate) struct OpenRetry {
    location: String,
    until: Instant,
    backoff: Backoff,
    told: bool,
}

impl OpenRetry {
    /// For `limit` from now on, with the server at `location`.
    pub(crate) fn new(location: impl Into<String>, limit: Duration) -> Self {
        Self {
            location: location.into(),
            until: Instant::now() + limit,
            backoff: Backoff::default(),
            told: false,
        }
    }

    /// Whether to try again after `error`: if it may pass by itself, and the time is not up. Then this has waited a
    /// little.
    pub(crate) async fn wait_after(&mut self, error: &BrokerError) -> bool {
        if !error.is_transient() || Instant::now() >= self.until {
            return false;
        }
        if !std::mem::replace(&mut self.told, true) {
            tracing::info!(coordinator = self.location, %error, "the coordinator is not ready; waiting for it");
        }
        sleep(self.backoff.next_wait().min(LONGEST_PAUSE)).await;
        true
    }
}

#[cfg(test)]
mod test {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    fn unreachable() -> BrokerError {
        let (location, why) = ("here".into(), "no leader yet".into());
        BrokerError::Unreachable { location, why }
    }

    #[tokio::test(start_paused = true)]
    async fn what_passes_is_waited_for_but_not_for_ever() {
        let (begun, mut tries) = (Instant::now(), 0);
        let mut patience = OpenRetry::new("here", LIMIT);
        while patience.wait_after(&unreachable()).await {
            tries += 1;
        }
        assert!(
            (LIMIT..LIMIT + LONGEST_PAUSE).contains(&begun.elapsed()),
            "{:?}",
            begun.elapsed()
        );
        assert!((20..200).contains(&tries), "{tries} tries");
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_pass_is_not_waited_for() {
        let begun = Instant::now();
        let mut patience = OpenRetry::new("here", LIMIT);
        assert!(!patience.wait_after(&BrokerError::Invalid("no".into())).await);
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}
