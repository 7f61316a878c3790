//! A coordinator whose times may be wrong by more than the cluster's margin is not opened, neither at the start nor
//! after a loss.

#[cfg(any(feature = "nats", feature = "kafka"))]
use super::options;
use super::{BackendError, Opener};
use shardwright_config::ClusterConfig;
use shardwright_coordinator::{Coordinator, MarginError};
use std::sync::Arc;
use std::time::Duration;

/// What opens as `open` does, and refuses what `margin` does not cover.
pub(crate) fn within(margin: Duration, open: Opener) -> Opener {
    Arc::new(move || {
        let open = open.clone();
        Box::pin(async move {
            let coordinator = open().await?;
            covers(margin, &*coordinator)?;
            Ok(coordinator)
        })
    })
}

/// Makes sure that `margin` covers by how much the times of `coordinator` may be wrong at present.
pub(crate) fn covers(margin: Duration, coordinator: &dyn Coordinator) -> Result<(), BackendError> {
    Ok(MarginError::check(margin, coordinator.clock_uncertainty(), || {
        coordinator.location()
    })?)
}

/// Makes sure that the margin of `config` covers what its coordinator's section alone says of that: no server is asked.
pub(crate) fn declared(config: &ClusterConfig) -> Result<(), BackendError> {
    let uncertainty = match &config.coordinator {
        #[cfg(feature = "nats")]
        shardwright_config::CoordinatorConfig::Nats(section) => options::nats(section).clock_uncertainty(),
        #[cfg(feature = "kafka")]
        shardwright_config::CoordinatorConfig::Kafka(section) => options::kafka(section).clock_uncertainty(),
        // The least margin there is covers one clock; an adapter says more when it is open.
        _ => Duration::ZERO,
    };
    let location = || format!("[store.\"{}\"]", config.coordinator.id().unwrap_or_default());
    Ok(MarginError::check(
        Duration::from_millis(config.timing.margin),
        uncertainty,
        location,
    )?)
}
