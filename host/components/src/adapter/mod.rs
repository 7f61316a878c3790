//! Coordinators whose backend is spoken to by a component: `shardwright:coordinator@0.1.0`.
//!
//! An [`AdapterComponent`] is loaded once; an [`AdapterCoordinator`] opens it for one namespace, as [`AdapterOptions`]
//! say, and is a coordinator like any other. It runs the component in *lanes*: each an instance with a connection and
//! one call in flight. From the bottom up:
//!
//! - `grants`, `connect_policy` and `inward`: what a lane may reach, decided at the moment of each connection; `dns`,
//!   `http` with `requests`, and `tls` are the ways out; `sent`: whether a call has sent anything;
//! - `state` and `lane`: one instance, its budget, its calls; `kept`: what the host keeps for it; `redact`: what it
//!   says, with secrets masked; `fault`: how it ended;
//! - `history_guard`: what the host knows of the store, and therefore does not believe;
//! - `supervisor`: how often an adapter may fail, and what becomes of it;
//! - `pool`, `opening`, `call` and `coordinator`: lanes for the store and the bus, opened when they are needed;
//!   `subscriber`: subscriptions; `upgrade`: another component in its place;
//! - `redirect` and `probe`: for whoever tests an adapter, its connections and single lanes.

mod call;
mod component;
mod connect_policy;
mod coordinator;
mod dns;
mod engine;
mod fault;
mod grants;
mod history_guard;
mod http;
mod inward;
mod kept;
mod lane;
mod meter;
mod opening;
mod options;
mod pool;
mod probe;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod properties;
mod redact;
mod redirect;
mod refusal;
mod requests;
mod sent;
mod state;
mod status;
mod subscriber;
mod supervisor;
mod tls;
mod tls_writer;
mod translate;
mod upgrade;
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated from the WIT")]
mod world;

pub use crate::state::AdapterState;
pub use component::{AdapterComponent, AdapterLoadError, RequiresError, VERSION};
pub use coordinator::AdapterCoordinator;
pub use engine::AdapterEngine;
pub use fault::{FaultKind, LaneFault};
pub use grants::{Grant, GrantError, Grants, Scheme};
pub use options::{AdapterBudget, AdapterOptions};
pub use probe::{LanePurpose, Probe, ProbeError};
pub use redirect::Redirect;
pub use status::{AdapterStatus, Totals};
pub use upgrade::{Differences, UpgradeError};
