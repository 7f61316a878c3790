//! Namespaces that are made for a check, and removed after it.

use shardwright_coordinator::suite::BoxFuture;
use shardwright_coordinator::{Coordinator, Namespace};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Opens a namespace, as a node of a cluster of that name would.
type Opener = dyn Fn(Namespace) -> BoxFuture<'static, anyhow::Result<Arc<dyn Coordinator>>> + Send + Sync;

/// What opens namespaces at one coordinator, and remembers which.
pub(crate) struct Scratch {
    opener: Box<Opener>,
    made: Mutex<BTreeSet<String>>,
}

impl Scratch {
    /// At the coordinator that `opener` opens.
    pub(crate) fn new<O>(opener: O) -> Self
    where
        O: Fn(Namespace) -> BoxFuture<'static, anyhow::Result<Arc<dyn Coordinator>>> + Send + Sync + 'static,
    {
        Self {
            opener: Box::new(opener),
            made: Mutex::default(),
        }
    }

    // One insertion or one removal: sound at any moment.
    fn made(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A namespace that nobody else uses, for a handle that is opened otherwise. It is removed with the rest.
    #[cfg(feature = "adapters")]
    pub(crate) fn space(&self) -> anyhow::Result<Namespace> {
        let name = crate::cluster::scratch_name("suite")?;
        self.made().insert(name.clone());
        Ok(Namespace::new(&name)?)
    }

    /// Takes note of a namespace that is opened otherwise.
    #[cfg(feature = "adapters")]
    pub(crate) fn note(&self, space: &Namespace) {
        self.made().insert(space.as_str().to_owned());
    }

    /// A handle to the namespace `space`.
    pub(crate) async fn open(&self, space: &Namespace) -> anyhow::Result<Arc<dyn Coordinator>> {
        // Before it is opened: whoever breaks that off does not know how far it came.
        let first = self.made().insert(space.as_str().to_owned());
        let opened = (self.opener)(space.clone()).await;
        if first && opened.is_err() {
            self.forget(|made| made == space.as_str());
        }
        opened
    }

    /// These namespaces are gone.
    pub(crate) fn forget(&self, gone: impl Fn(&str) -> bool) {
        self.made().retain(|space| !gone(space));
    }

    /// The namespaces that are not known to be gone.
    pub(crate) fn left(&self) -> Vec<String> {
        self.made().iter().cloned().collect()
    }

    /// Removes every namespace that is not known to be gone. Those that cannot be removed are left; the last reason is
    /// returned.
    pub(crate) async fn erase(&self) -> anyhow::Result<()> {
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
