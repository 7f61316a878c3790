//! Coordinators whose backend is a component: found, loaded once for each digest, opened.

use super::{BackendError, options};
use crate::places;
use shardwright_components::adapter::{AdapterComponent, AdapterCoordinator, AdapterEngine};
use shardwright_components::{Digest, EngineError, bundled};
use shardwright_config::{AdapterSource, ClusterConfig, ComponentSection, CoordinatorConfig};
use shardwright_coordinator::Namespace;
use shardwright_coordinator::broker::BrokerError;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// How many components are kept that nobody may be running any more.
const KEPT: usize = 16;
/// The largest adapter's file that is read: what the loader accepts.
const MAX_BYTES: u64 = 64 << 20;

/// What has been loaded, and the engine that it runs on: one for the process, made when it is needed first.
static LOADED: Mutex<Option<Loaded>> = Mutex::new(None);

struct Loaded {
    engine: AdapterEngine,
    components: HashMap<Digest, AdapterComponent>,
}

/// Opens the adapter that `config` names for the namespace `cluster.name`, once, as [`open`](super::open) does.
///
/// # Errors
/// [`BackendError`]; `Unsupported` if the coordinator is of another type.
pub async fn open_adapter(config: &ClusterConfig) -> Result<AdapterCoordinator, BackendError> {
    let namespace = Namespace::new(&config.name)?;
    let CoordinatorConfig::Component(section) = &config.coordinator else {
        return Err(BackendError::Unsupported {
            id: config.coordinator.id().unwrap_or_default().to_owned(),
            kind: config.coordinator.kind(),
        });
    };
    open_component(section, adapter_component(section).await?, namespace).await
}

/// Opens `component` for `namespace`, with all that `section` says but which component it is.
///
/// # Errors
/// [`BackendError::Broker`].
pub async fn open_component(
    section: &ComponentSection,
    component: AdapterComponent,
    namespace: Namespace,
) -> Result<AdapterCoordinator, BackendError> {
    let error = |error| BackendError::Broker {
        id: section.id.clone(),
        error,
    };
    let options = options::adapter(section).map_err(error)?;
    AdapterCoordinator::open(component, options, namespace)
        .await
        .map_err(error)
}

/// The component of `section`, as its file is now, ready to be opened. Compiled once for each process and digest.
///
/// # Errors
/// [`BackendError::Broker`]: the file is not there, is no adapter, or has another digest than the section demands.
pub async fn adapter_component(section: &ComponentSection) -> Result<AdapterComponent, BackendError> {
    let bytes = read(section).await?;
    let digest = Digest::of(&bytes);
    if let AdapterSource::File {
        digest: Some(wanted), ..
    } = &section.adapter
        && wanted != digest.as_bytes()
    {
        return Err(unusable(
            section,
            format!("the file has the digest sha256:{digest}, and `digest` demands another"),
        ));
    }
    let engine = {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = match &mut *loaded {
            Some(loaded) => loaded,
            none => none.insert(Loaded {
                engine: engine().map_err(|error| unusable(section, error.to_string()))?,
                components: HashMap::new(),
            }),
        };
        if let Some(component) = loaded.components.get(&digest) {
            return Ok(component.clone());
        }
        loaded.engine.clone()
    };
    let component = AdapterComponent::load(&engine, bytes).await;
    let component = component.map_err(|error| unusable(section, error.to_string()))?;
    if let Some(loaded) = &mut *LOADED.lock().unwrap_or_else(PoisonError::into_inner) {
        if loaded.components.len() >= KEPT {
            // Who runs one has it.
            loaded.components.clear();
        }
        loaded.components.insert(digest, component.clone());
    }
    Ok(component)
}

async fn read(section: &ComponentSection) -> Result<Vec<u8>, BackendError> {
    let path = match &section.adapter {
        AdapterSource::Bundled(name) => {
            let bundled = bundled::adapter(name)
                .ok_or_else(|| unusable(section, format!("no adapter called {name} is bundled")))?;
            return Ok(bundled.bytes.to_vec());
        }
        AdapterSource::File { path, .. } => path.clone(),
    };
    let shown = path.display().to_string();
    let reading = tokio::task::spawn_blocking(move || shardwright_files::read(&path, MAX_BYTES));
    let read = reading.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    read.map_err(|error| unusable(section, format!("{shown} cannot be read: {error}")))
}

fn unusable(section: &ComponentSection, why: String) -> BackendError {
    BackendError::Broker {
        id: section.id.clone(),
        error: BrokerError::Invalid(format!("the adapter cannot be used: {why}")),
    }
}

/// Without a cache if there can be none: then each start compiles again.
fn engine() -> Result<AdapterEngine, EngineError> {
    match AdapterEngine::new(places::default_cache_dir()) {
        Err(EngineError::Cache(error)) => {
            tracing::warn!(%error, "compiled adapters are not kept");
            AdapterEngine::new(None)
        }
        other => other,
    }
}
