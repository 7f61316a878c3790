//! An adapter from a file.

use anyhow::Context;
use shardwright_components::EngineError;
use shardwright_components::adapter::{AdapterComponent, AdapterEngine};
use std::path::Path;

/// The largest component that is read: what the loader accepts.
pub(super) const MAX_FILE: u64 = 64 << 20;

/// An adapter, and what it was loaded from.
pub(super) struct Loaded {
    pub(super) engine: AdapterEngine,
    pub(super) bytes: Vec<u8>,
    pub(super) component: AdapterComponent,
}

/// Loads the adapter in `path`.
pub(super) async fn load(path: &Path) -> anyhow::Result<Loaded> {
    let bytes = read(path).with_context(|| format!("cannot read {}", path.display()))?;
    // The same place as a node's: what is compiled here need not be compiled there.
    let engine = match AdapterEngine::new(shardwright::places::default_cache_dir()) {
        Err(EngineError::Cache(error)) => {
            tracing::debug!(%error, "compiled adapters are not kept");
            AdapterEngine::new(None)?
        }
        engine => engine?,
    };
    let component = AdapterComponent::load(&engine, bytes.clone()).await;
    let component = component.with_context(|| format!("{} is refused", path.display()))?;
    Ok(Loaded {
        engine,
        bytes,
        component,
    })
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    Ok(shardwright_files::read(path, MAX_FILE)?)
}
