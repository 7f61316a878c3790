//! Exhaustive checks of the protocol, made with the same core that production runs.
//!
//! The environment — store, clocks, crashes, pauses — is modelled; the decisions are the real [`shardwright_core`].
//! What is abstracted and what was found is in `docs/model.md`.

pub mod explore;
pub mod handoff;
pub mod identity;
pub mod sim;
pub mod store;
