//! What opens the configured coordinator, and opens it anew.

#[cfg(feature = "adapters")]
use crate::adapter::AdapterSlot;
use crate::backend::{self, Opener, persist};
use crate::error::StartError;
use crate::reopen::Reopening;
use shardwright_config::ClusterConfig;
use shardwright_coordinator::Coordinator;
#[cfg(feature = "adapters")]
use shardwright_coordinator::Namespace;
use std::sync::Arc;

/// The slot for the adapter, if the configured coordinator is one.
#[cfg(feature = "adapters")]
pub(crate) fn adapter(config: &ClusterConfig, namespace: &Namespace) -> Option<AdapterSlot> {
    match &config.coordinator {
        shardwright_config::CoordinatorConfig::Component(section) => Some(AdapterSlot::new(
            section.clone(),
            namespace.clone(),
            config.timing.margin,
        )),
        _ => None,
    }
}

/// Opens the configured coordinator.
pub(crate) fn opener(config: Arc<ClusterConfig>) -> Opener {
    Arc::new(move || {
        let config = config.clone();
        Box::pin(async move { backend::open(&config).await })
    })
}

/// The coordinator that `open` gives, as soon as it can be reached; opened anew whenever it has lost its history.
pub(crate) async fn open(open: Opener) -> Result<Arc<dyn Coordinator>, StartError> {
    let first = persist(&open, |error| !error.is_transient()).await?;
    Ok(Arc::new(Reopening::new(first, open)))
}
