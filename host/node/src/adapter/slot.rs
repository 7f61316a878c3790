//! Where a node keeps hold of its adapter, whichever coordinator that is at present.

use crate::backend::{BackendError, Opened, Opener, adapter_component, open_component};
use shardwright_components::adapter::{AdapterComponent, AdapterCoordinator, AdapterStatus, Differences, UpgradeError};
use shardwright_config::ComponentSection;
use shardwright_coordinator::Namespace;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::watch;

/// A component that took the place of another, while the node ran.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AdapterUpgrade {
    /// The adapter's name.
    pub name: String,
    /// The version before.
    pub from: String,
    /// The version now.
    pub to: String,
    /// The digest of the component, in hexadecimal digits.
    pub digest: String,
    /// What it asks for, compared with the one before.
    pub differences: Differences,
}

/// Why the adapter's component was not put in the place of the present one. The present one goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdapterReloadError {
    /// The file is not there, is no adapter, or has another digest than the configuration demands.
    #[error(transparent)]
    Load(#[from] BackendError),
    /// The component was refused.
    #[error(transparent)]
    Refused(#[from] UpgradeError),
    /// The coordinator is being opened anew.
    #[error("the coordinator is being opened anew after it lost its history: try again when the node has joined")]
    NotOpen,
}

/// The adapter of one node. Cheap to clone.
#[derive(Clone)]
pub(crate) struct AdapterSlot(Arc<Inner>);

struct Inner {
    section: ComponentSection,
    namespace: Namespace,
    /// What the times of an adapter may be wrong by.
    margin: Duration,
    newest: watch::Sender<Weak<AdapterCoordinator>>,
    /// What runs. After a loss it is what is opened again, whatever its file has become: nobody has compared that yet.
    component: Mutex<Option<AdapterComponent>>,
    /// Held while another component is being tried.
    reloading: tokio::sync::Mutex<()>,
}

impl AdapterSlot {
    pub(crate) fn new(section: ComponentSection, namespace: Namespace, margin: u64) -> Self {
        Self(Arc::new(Inner {
            section,
            namespace,
            margin: Duration::from_millis(margin),
            newest: watch::Sender::new(Weak::new()),
            component: Mutex::default(),
            reloading: tokio::sync::Mutex::default(),
        }))
    }

    /// What opens the coordinator, and has this slot hold on to it.
    pub(crate) fn opener(&self) -> Opener {
        let slot = self.clone();
        Arc::new(move || {
            let slot = slot.clone();
            Box::pin(async move { slot.open().await })
        })
    }

    async fn open(&self) -> Opened {
        let Inner { section, namespace, .. } = &*self.0;
        let known = self.component().clone();
        let component = match known {
            Some(component) => component,
            None => adapter_component(section).await?,
        };
        let opened = Arc::new(open_component(section, component.clone(), namespace.clone()).await?);
        // One that was put in its place meanwhile is the newer.
        self.component().get_or_insert(component);
        self.0.newest.send_replace(Arc::downgrade(&opened));
        Ok(opened)
    }

    fn component(&self) -> MutexGuard<'_, Option<AdapterComponent>> {
        // It is only ever replaced.
        self.0.component.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whenever the coordinator is another one.
    pub(crate) fn newest(&self) -> watch::Receiver<Weak<AdapterCoordinator>> {
        self.0.newest.subscribe()
    }

    fn present(&self) -> Option<Arc<AdapterCoordinator>> {
        self.0.newest.borrow().upgrade()
    }

    pub(crate) fn status(&self) -> Option<AdapterStatus> {
        self.present().map(|present| present.status())
    }

    /// Reads the component again, and if it is another one puts it in the place of the present one.
    pub(crate) async fn reload(&self) -> Result<Option<AdapterUpgrade>, AdapterReloadError> {
        let _only = self.0.reloading.lock().await;
        let component = adapter_component(&self.0.section).await?;
        let present = self.present().ok_or(AdapterReloadError::NotOpen)?;
        let before = present.status();
        let digest = component.digest().to_string();
        if before.digest == digest {
            return Ok(None);
        }
        let differences = present.upgrade(component.clone(), false, self.0.margin).await?;
        let upgrade = AdapterUpgrade {
            name: before.name,
            from: before.version,
            to: component.version().to_owned(),
            digest,
            differences,
        };
        *self.component() = Some(component);
        // The same coordinator, with news: who watches looks.
        self.0.newest.send_modify(|_| {});
        Ok(Some(upgrade))
    }
}
