//! The backends that this build has, opened as a configuration says.

#[cfg(feature = "adapters")]
mod adapters;
mod margin;
#[cfg(any(feature = "adapters", feature = "redis", feature = "nats", feature = "kafka"))]
mod options;
mod patience;
mod precheck;

#[cfg(feature = "adapters")]
pub use adapters::{adapter_component, open_adapter, open_component};
pub(crate) use margin::{covers, declared, within};
#[cfg(feature = "adapters")]
pub(crate) use patience::Opened;
pub(crate) use patience::{Opener, persist};
pub(crate) use precheck::precheck;

use crate::places;
use shardwright_config::{ClusterConfig, CoordinatorConfig};
use shardwright_coordinator::broker::BrokerError;
use shardwright_coordinator::limits::NamespaceError;
use shardwright_coordinator::{Coordinator, MarginError, MemoryBroker, Namespace, OpenError, SqliteCoordinator};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a coordinator cannot be opened. The texts hold no secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// The cluster's name cannot be a namespace.
    #[error(transparent)]
    Name(#[from] NamespaceError),
    /// There is no default place for the local file.
    #[error(
        "there is no default place for the store that the nodes of this machine share: set HOME or XDG_STATE_HOME, or \
         name it with path in a [store.\"local\"] section of type \"sqlite\""
    )]
    Nowhere,
    /// The directory of the default store cannot be made.
    #[error(
        "cannot create {path} for the store that the nodes of this machine share: {error}. Or name another place: \
         [store.\"local\"] with type = \"sqlite\" and path, and cluster.coordinator = \"local\""
    )]
    StoreDir {
        /// The directory.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The shared file cannot be used.
    #[error(transparent)]
    File(#[from] OpenError),
    /// A server cannot be used.
    #[error("[store.\"{id}\"]: {error}")]
    Broker {
        /// The section's id.
        id: String,
        /// Why.
        error: BrokerError,
    },
    /// Its times may be wrong by more than the safety distance.
    #[error(transparent)]
    Margin(#[from] MarginError),
    /// The backend panicked while it was being opened.
    #[error(
        "opening the coordinator failed: what opens it {0}. This is a mistake in the program, or in the adapter's \
         host: please report it"
    )]
    Panicked(String),
    /// This build was made without the backend.
    #[error(
        "the coordinator [store.\"{id}\"] is of type \"{kind}\", which this build was made without: build it with the \
         cargo feature \"{feature}\" of the crate shardwright"
    )]
    NotBuilt {
        /// The section's id.
        id: String,
        /// Its type.
        kind: &'static str,
        /// The cargo feature that has it.
        feature: &'static str,
    },
    /// There is no backend of this type.
    #[error(
        "the coordinator [store.\"{id}\"] is of type \"{kind}\", for which there is no backend: use one of the types \
         sqlite, redis, nats, kafka, component, or give the builder a coordinator of your own"
    )]
    Unsupported {
        /// The section's id.
        id: String,
        /// Its type.
        kind: &'static str,
    },
}

impl BackendError {
    /// Whether trying again may help without anybody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Broker { error, .. } if error.is_transient())
    }
}

/// What the adapter of `section` is opened with: for tools that run one themselves.
///
/// # Errors
/// [`BrokerError`] if a grant is none.
#[cfg(feature = "adapters")]
pub fn adapter_options(
    section: &shardwright_config::ComponentSection,
) -> Result<shardwright_components::adapter::AdapterOptions, BrokerError> {
    options::adapter(section)
}

/// Whether this build has a backend for `coordinator`.
///
/// # Errors
/// [`BackendError::NotBuilt`] or [`BackendError::Unsupported`].
pub fn available(coordinator: &CoordinatorConfig) -> Result<(), BackendError> {
    let built = match coordinator {
        CoordinatorConfig::Memory | CoordinatorConfig::Sqlite { .. } => true,
        CoordinatorConfig::Redis(_) => cfg!(feature = "redis"),
        CoordinatorConfig::Nats(_) => cfg!(feature = "nats"),
        CoordinatorConfig::Kafka(_) => cfg!(feature = "kafka"),
        CoordinatorConfig::Component(_) => cfg!(feature = "adapters"),
        CoordinatorConfig::Zenoh(_) => false,
    };
    if built { Ok(()) } else { Err(missing(coordinator)) }
}

fn missing(coordinator: &CoordinatorConfig) -> BackendError {
    let (id, kind) = (coordinator.id().unwrap_or_default().to_owned(), coordinator.kind());
    match coordinator {
        CoordinatorConfig::Zenoh(_) => BackendError::Unsupported { id, kind },
        CoordinatorConfig::Component(_) => BackendError::NotBuilt {
            id,
            kind,
            feature: "adapters",
        },
        _ => BackendError::NotBuilt {
            id,
            kind,
            // Each is named after its type.
            feature: kind,
        },
    }
}

/// Opens the configured coordinator for the namespace `cluster.name`, once: a server that cannot be reached is an error
/// at once. What is stored through it is neither framed nor sealed; [`shardwright_coordinator::protect`] does that. One
/// in memory is empty, and nobody else's.
///
/// # Errors
/// [`BackendError`].
pub async fn open(config: &ClusterConfig) -> Result<Arc<dyn Coordinator>, BackendError> {
    let namespace = Namespace::new(&config.name)?;
    match &config.coordinator {
        CoordinatorConfig::Memory => {
            tracing::info!(
                "the coordinator is of type \"memory\", and no broker was given with `Builder::memory`: this node is \
                 alone"
            );
            Ok(Arc::new(MemoryBroker::new().open(namespace)))
        }
        CoordinatorConfig::Sqlite { path: Some(path) } => file(path, namespace).await,
        CoordinatorConfig::Sqlite { path: None } => {
            let path = places::default_store(&config.name).ok_or(BackendError::Nowhere)?;
            if let Some(dir) = path.parent() {
                let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
                made.map_err(|error| BackendError::StoreDir {
                    path: dir.to_owned(),
                    error,
                })?;
            }
            file(&path, namespace).await
        }
        #[cfg(feature = "redis")]
        CoordinatorConfig::Redis(section) => {
            let opened =
                shardwright_coordinator::redis::RedisCoordinator::open(options::redis(section), namespace).await;
            server(&section.id, opened)
        }
        #[cfg(feature = "nats")]
        CoordinatorConfig::Nats(section) => {
            let opened = shardwright_coordinator::nats::NatsCoordinator::open(options::nats(section), namespace).await;
            server(&section.id, opened)
        }
        #[cfg(feature = "kafka")]
        CoordinatorConfig::Kafka(section) => {
            let opened =
                shardwright_coordinator::kafka::KafkaCoordinator::open(options::kafka(section), namespace).await;
            server(&section.id, opened)
        }
        #[cfg(feature = "adapters")]
        CoordinatorConfig::Component(_) => Ok(Arc::new(open_adapter(config).await?)),
        other => Err(missing(other)),
    }
}

async fn file(path: &Path, namespace: Namespace) -> Result<Arc<dyn Coordinator>, BackendError> {
    Ok(Arc::new(SqliteCoordinator::open(path, namespace).await?))
}

#[cfg(any(feature = "redis", feature = "nats", feature = "kafka"))]
fn server<C: Coordinator + 'static>(
    id: &str,
    opened: Result<C, BrokerError>,
) -> Result<Arc<dyn Coordinator>, BackendError> {
    match opened {
        Ok(coordinator) => Ok(Arc::new(coordinator)),
        Err(error) => Err(BackendError::Broker {
            id: id.to_owned(),
            error,
        }),
    }
}
