//! Runs WebAssembly components, so that nothing they do can harm the host: assignment policies, and with the feature
//! `adapters` coordinator adapters.
//!
//! - [`PolicyEngine`] compiles and runs; one for a process. [`cache`] keeps compiled code on disk.
//! - [`PolicyComponent`] is a loaded policy: `describe`, `validate`, `assign`. Every call gets a new instance, so no
//!   call can see another.
//! - [`Budget`] says what one call may take; each limit has its own [`PolicyFault`].
//! - [`bundled`] has the standard policies.
//! - `adapter` is the coordinator whose backend a component speaks to.
//!
//! All calls of policies block for as long as the budget allows: call them from `spawn_blocking` in asynchronous code.
//! Whether a plan is any good is for `shardwright_core::check` to say: this crate delivers the answer as it was given.

#[cfg(feature = "adapters")]
pub mod adapter;
mod budget;
pub mod bundled;
pub mod cache;
mod code;
mod component;
mod digest;
mod engine;
mod fault;
mod limiter;
mod load;
mod state;
mod wire;

pub use budget::Budget;
pub use code::CodeError;
pub use component::PolicyComponent;
pub use digest::Digest;
pub use engine::{EngineError, PolicyEngine};
pub use fault::{PolicyFault, Refusal};
pub use load::LoadError;
pub use state::AdapterState;
pub use wire::Description;
