//! Whether the times of a coordinator are exact enough for a cluster's safety distance.

use shardwright_core::human::Span;
use std::time::Duration;

/// The times of a coordinator may be wrong by more than the cluster's margin: a session could be ended while its node
/// acts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`cluster.timing.margin` is {}, and the times of {location} may be wrong by {}: a session could be ended while its \
     node acts; {}",
    Span::from(*margin), Span(millis(*uncertainty)), self.remedy()
)]
pub struct MarginError {
    /// `cluster.timing.margin`.
    pub margin: Duration,
    /// The least that it may be.
    pub uncertainty: Duration,
    /// Which coordinator.
    pub location: String,
}

impl MarginError {
    /// Makes sure that `margin` covers by how much the times of the coordinator at `location` may be wrong.
    ///
    /// # Errors
    /// It does not.
    pub fn check(margin: Duration, uncertainty: Duration, location: impl FnOnce() -> String) -> Result<(), Self> {
        if margin >= uncertainty {
            return Ok(());
        }
        Err(Self {
            margin,
            uncertainty,
            location: location(),
        })
    }

    /// What to change.
    #[must_use]
    pub fn remedy(&self) -> String {
        format!(
            "set margin = \"{}ms\" or more in [cluster.timing] of every node",
            millis(self.uncertainty)
        )
    }
}

/// Whole milliseconds, rounded up.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn a_margin_that_is_too_small_is_named_with_what_to_write() {
        let check = |margin, uncertainty| MarginError::check(margin, uncertainty, || "the server".into());
        let ms = Duration::from_millis;
        assert_eq!(check(ms(50), ms(50)), Ok(()));
        let error = check(ms(50), Duration::from_micros(50_001))
            .expect_err("too small")
            .to_string();
        assert!(
            error.contains("`cluster.timing.margin` is 50 ms") && error.contains("the server"),
            "{error}"
        );
        assert!(error.contains("may be wrong by 51 ms"), "{error}");
        let far = check(ms(1_500), ms(2_500)).expect_err("too small").to_string();
        assert!(
            far.contains("is 1.5 s, and the times of the server may be wrong by 2.5 s"),
            "{far}"
        );
        assert!(far.contains("margin = \"2500ms\" or more"), "{far}");
        assert!(
            error.contains("margin = \"51ms\" or more in [cluster.timing]"),
            "{error}"
        );
    }
}
