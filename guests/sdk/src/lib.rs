//! What an author of a Shardwright component writes against: of an assignment policy with the feature `policy`, which
//! is on by default, and of a coordinator adapter with the feature `adapter` (and `default-features = false`),
//! described in `adapter`. A component is one of the two.
//!
//! An assignment policy is a type that implements [`Policy`], handed to [`export!`](crate::export):
//!
//! ```
//! use shardwright_guest::{
//!     Answer, Description, Policy, PolicyError, Proposal, Snapshot, SnapshotNode, SnapshotStatus, config, considers,
//! };
//!
//! /// Shard `i` goes to live node number `i`, round and round.
//! struct RoundRobin;
//!
//! impl Policy for RoundRobin {
//!     fn describe() -> Description {
//!         Description {
//!             name: "round-robin".into(),
//!             version: "0.1.0".into(),
//!             summary: "Deals the shards out one by one.".into(),
//!             considers: considers(&["replicas"]),
//!         }
//!     }
//!
//!     fn validate(config: &str) -> Result<(), PolicyError> {
//!         config::none(config)
//!     }
//!
//!     fn assign(_config: &str, snapshot: &Snapshot) -> Result<Answer, PolicyError> {
//!         let may = |n: &&SnapshotNode| n.status == SnapshotStatus::Active && n.capacity > 0;
//!         let live: Vec<u32> = snapshot.nodes.iter().filter(may).map(|n| n.id).collect();
//!         let mut plan = Proposal::empty(&snapshot.role);
//!         for shard in 0..snapshot.role.shards {
//!             let owners = live.iter().cycle().skip(shard as usize % live.len().max(1)).take(live.len());
//!             plan.place(&snapshot.role, shard, owners.copied());
//!         }
//!         Ok(Answer::Plan(plan.explained(&snapshot.role, |_| "no node is active".into())))
//!     }
//! }
//!
//! shardwright_guest::export!(RoundRobin);
//! ```
//!
//! The types are those of `wit/policy/0.1.0`, where each field is documented. They exist on every target, so a policy
//! can be tested natively like any other Rust code. What helps with placing shards: [`quota`] for fair shares,
//! [`rendezvous`] for choices that all nodes make alike, [`zone`] for spreading, [`Members`] for looking ids up. All of
//! it is deterministic: the same on every machine, native or component.

#[cfg(feature = "adapter")]
pub mod adapter;
#[cfg(feature = "policy")]
mod policy;
#[cfg(feature = "policy")]
pub use policy::*;
