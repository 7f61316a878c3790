//! Node ids, live peers, messages, and the answer to one question: **which shard of which role is mine, right now, and
//! may I still act on it?**
//!
//! ```no_run
//! # async fn embed() -> Result<(), Box<dyn std::error::Error>> {
//! let node = shardwright::Node::builder().config_file("/etc/mail/config.toml").start().await?;
//! let role = node.role("calendar-alerts")?;
//!
//! // In the scheduler, for each due alert: cheap enough to ask for every row.
//! let account = 4711_u64;
//! if let Some(claim) = role.claim(account) {
//!     // Ends where it stands when the shard is lost; the token lets the database refuse a straggler.
//!     let sent = claim.run(send_alert(account, claim.token())).await;
//! }
//! node.shutdown().await;
//! # Ok(())
//! # }
//! # async fn send_alert(_: u64, _: shardwright::Token) {}
//! ```
//!
//! # What is guaranteed
//! - At most one node of a cluster has a valid [`Claim`] on a shard of a role in `mode = "primary"`, and at most one
//!   live node has an id. Deadlines are kept by a thread of their own ([`Node`] acts no more when its runtime hangs),
//!   on a clock that counts suspended time.
//! - A shard goes to its next owner only after its claims were cancelled and dropped and the [losing
//!   hook](Builder::on_losing) is done, or `stop-timeout` later, or when this node's session has provably ended.
//! - Not guaranteed: that a process which is stopped *between* asking and acting does not act late. That is what
//!   [`Claim::token`] is for.
//!
//! # Work
//! - Work that comes from outside, such as a request about a key, asks: [`Role::owns`], [`Role::claim`].
//! - Work that is there for as long as a shard is owned is handed over: [`Role::run_owned`] has a task for each shard,
//!   and its example shows the end on a signal.
//! - A test of either grants and revokes shards itself: [`testing`].
//!
//! # Features
//! None is on by default. The local file and memory are always there, and so are the standard policies.
//!
//! | feature | coordinators | brings along |
//! |---|---|---|
//! | `redis` | Redis: single, Cluster, Sentinel | rustls |
//! | `nats` | NATS with JetStream | rustls |
//! | `kafka` | Kafka | librdkafka and OpenSSL: a C and a C++ compiler, make, perl |
//! | `adapters` | etcd, PostgreSQL, and components of your own | WASI for Wasmtime |
//! | `contract-suite` | the checks for a [coordinator] of your own | nothing |
//!
//! What is public has the same shape whatever the features; the module `adapter` and the methods about adapters are
//! there with `adapters` only.
//!
//! # A tour of the source
//! `builder` reads the configuration and puts a node together; `backend` opens its coordinator, `reopen` does so again
//! after a loss; `driver` is the one task that owns the engine of `shardwright-core`, feeds it events and has its
//! commands performed by `store`, `bus`, `policies` and `table`; `fence` enforces the deadline; `claim` and `role` are
//! what the server's threads touch, `owned` the tasks of their shards; `adapter` holds on to a coordinator that is a
//! component.
//!
//! # Log fields
//! Everything is logged through `tracing`, one line for each change of state, with the same facts as [`NodeEvent`]. The
//! names are stable: the span `shardwright` has `cluster`, `host` and `node` (the id); events have, where they apply,
//! `session`, `role`, `shards` (ranges), `peer` (another node's id), `status`, `state`, `epoch`, `moves`, `native`,
//! `failures`, `reason`, `error`. Secrets never appear.
//!
//! Needs a tokio runtime of either flavour with time enabled.

#![warn(missing_debug_implementations)]

#[cfg(feature = "adapters")]
pub mod adapter;
pub mod backend;
mod builder;
mod bus;
mod claim;
mod clock;
pub mod config;
pub mod coordinator;
mod crew;
mod driver;
mod echo;
mod error;
mod event;
#[cfg(test)]
mod fakes;
mod fence;
mod health;
mod hostname;
mod life;
mod losing;
mod node;
mod opening;
mod owned;
pub mod places;
mod policies;
mod precheck;
mod registry;
mod reopen;
mod role;
mod shared;
mod slow;
mod state_dir;
mod store;
mod stream;
mod table;
mod tell;
pub mod testing;

#[cfg(feature = "adapters")]
pub use adapter::{AdapterReloadError, AdapterStatus, AdapterUpgrade};
pub use backend::BackendError;
pub use builder::Builder;
pub use bus::{Message, Messages};
pub use claim::{Claim, Lost};
pub use error::{DrainError, StartError};
pub use event::NodeEvent;
pub use health::{Health, HealthState};
pub use hostname::{HostnameError, VARIABLES as HOSTNAME_VARIABLES};
pub use losing::LosingShards;
pub use node::{Node, NodeStats};
pub use policies::PolicyFileError;
pub use precheck::precheck;
pub use registry::RegistryWatch;
pub use role::{Role, UnknownRole};
pub use state_dir::StateDirError;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use state_dir::properties;
pub use stream::EventStream;

pub use bytes::Bytes;
pub use config::{ClusterConfig, Difference, Mode, RoleSpec};
pub use coordinator::{BusError, Coordinator, MemoryBroker};
pub use shardwright_components::AdapterState;
pub use shardwright_core::engine::{Ending, NodeRecord, Refusal, Status};
pub use shardwright_core::id::{InstanceId, NodeId, ProcessId, SessionId, Token};
pub use shardwright_core::join::JoinError;
pub use shardwright_core::shard::ShardKey;
pub use shardwright_core::values::NodeInfo;
