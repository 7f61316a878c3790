//! Namespaces that are made for a check, and removed after it.

use crate::cluster;
use shardwright_config::ClusterConfig;
use shardwright_coordinator::{Coordinator, Namespace};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What opens namespaces at the configured coordinator, and remembers which.
pub(super) struct Scratch {
    config: ClusterConfig,
    made: Mutex<BTreeSet<String>>,
}

impl Scratch {
    /// At the coordinator of `config`, and with its secret.
    pub(super) fn new(config: ClusterConfig) -> Self {
        Self {
            config,
            made: Mutex::default(),
        }
    }

    // One insertion or one removal: sound at any moment.
    fn made(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A handle to the namespace `space`, as a node of a cluster of that name would have it.
    pub(super) async fn open(&self, space: &Namespace) -> anyhow::Result<Arc<dyn Coordinator>> {
        let mut config = self.config.clone();
        config.name = space.as_str().to_owned();
        // Before it is opened: whoever breaks that off does not know how far it came.
        let first = self.made().insert(config.name.clone());
        let opened = cluster::connect(&config).await;
        if first && opened.is_err() {
            self.forget(|space| space == config.name);
        }
        Ok(opened?)
    }

    /// These namespaces are gone.
    pub(super) fn forget(&self, gone: impl Fn(&str) -> bool) {
        self.made().retain(|space| !gone(space));
    }

    /// The namespaces that are not known to be gone.
    pub(super) fn left(&self) -> Vec<String> {
        self.made().iter().cloned().collect()
    }

    /// Removes every namespace that is not known to be gone. Those that cannot be removed are left; the last reason is returned.
    pub(super) async fn erase(&self) -> anyhow::Result<()> {
        let mut outcome = Ok(());
        for space in self.left() {
            match self.erase_one(&space).await {
                Ok(()) => self.forget(|gone| gone == space),
                Err(error) => outcome = Err(error),
            }
        }
        outcome
    }

    async fn erase_one(&self, space: &str) -> anyhow::Result<()> {
        let coordinator = self.open(&Namespace::new(space)?).await?;
        Ok(coordinator.erase().await?)
    }
}
