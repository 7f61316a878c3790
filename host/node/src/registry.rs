//! The registry as it changes.

use crate::shared::Phase;
use shardwright_core::engine::NodeRecord;
use std::sync::Arc;
use tokio::sync::watch;

/// One reader's view of the registry: from [`Node::watch_registry`](crate::Node::watch_registry).
#[derive(Debug)]
#[must_use = "the registry is told to whoever reads"]
pub struct RegistryWatch {
    registry: watch::Receiver<Arc<[NodeRecord]>>,
    phase: watch::Receiver<Phase>,
}

impl RegistryWatch {
    pub(crate) fn new(mut registry: watch::Receiver<Arc<[NodeRecord]>>, phase: watch::Receiver<Phase>) -> Self {
        // What is there is the first that is told.
        registry.mark_changed();
        Self { registry, phase }
    }

    /// Waits for a registry that this reader has not seen, sorted by id: at first the present one, then the newest
    /// whenever there is another; those in between are left out. `None` when the node has ended. Cancel-safe.
    pub async fn next(&mut self) -> Option<Arc<[NodeRecord]>> {
        tokio::select! {
            biased;
            changed = self.registry.changed() => changed.ok().map(|()| self.registry.borrow_and_update().clone()),
            _ = self.phase.wait_for(|phase| matches!(phase, Phase::Ended(_))) => None,
        }
    }
}
