//! A node whose coordinator is an adapter: how that one is, and another component in its place while the node runs.
//!
//! - `slot` holds on to the newest coordinator, which is opened anew after a loss, and puts another component in its
//!   place;
//! - `watch` tells what becomes of it, as events and in the report;
//! - [`report`] is what a node writes in its state directory for operators' tools.

pub mod report;
mod slot;
mod watch;

pub use crate::backend::{adapter_component, open_adapter, open_component};
pub use shardwright_components::adapter::{
    AdapterBudget, AdapterComponent, AdapterCoordinator, AdapterEngine, AdapterLoadError, AdapterOptions, AdapterState,
    AdapterStatus, Differences, FaultKind, Grant, GrantError, Grants, LaneFault, Redirect, RequiresError, Scheme,
    Totals, UpgradeError,
};
pub use shardwright_components::cache::CacheError;
pub use shardwright_components::{CodeError, Digest, EngineError};
pub use shardwright_coordinator::broker::{Password, Pem, Tls};
pub use slot::{AdapterReloadError, AdapterUpgrade};

pub(crate) use slot::AdapterSlot;
pub(crate) use watch::{Watch, Who};
