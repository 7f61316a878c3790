//! Whether a server answers, told once for each change.

use std::sync::atomic::{AtomicBool, Ordering};

/// The link to a server as it was last seen. One log line for each change, however often it is tried.
#[derive(Debug)]
pub struct Link {
    /// Which server, without secrets.
    location: String,
    up: AtomicBool,
}

impl Link {
    /// The link to `location`, which answers.
    #[must_use]
    pub fn new(location: impl Into<String>) -> Self {
        Self {
            location: location.into(),
            up: AtomicBool::new(true),
        }
    }

    /// It answered.
    pub fn mark_up(&self) {
        if !self.up.swap(true, Ordering::Relaxed) {
            tracing::info!(coordinator = self.location, "the coordinator answers again");
        }
    }

    /// It did not, because of `why`, which holds no secret.
    pub fn mark_down(&self, why: &dyn std::fmt::Display) {
        if self.up.swap(false, Ordering::Relaxed) {
            tracing::warn!(
                coordinator = self.location, error = %why,
                "the coordinator does not answer; it is tried again"
            );
        }
    }
}
