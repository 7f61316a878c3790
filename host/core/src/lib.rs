//! The decisions of Shardwright, as pure functions: no I/O, no clock, no randomness. Events and the time go in,
//! commands come out.
//!
//! A tour, in the direction in which data flows:
//!
//! 1. [`join`] and [`engine`]: a node takes its id, keeps its session, and stops by itself when it cannot ([`time`],
//!    [`values`], [`store`]).
//! 2. [`view`] and [`inputs`]: what it sees of the others becomes a canonical [`snapshot`]; [`clock`] distrusts clocks
//!    that step.
//! 3. A policy answers; [`check`] refuses what must not be; [`native`] stands in when no policy can.
//! 4. [`handoff`] turns the checked [`plan`] into the next compare-and-set, on evidence only.
//! 5. [`duty`]: what this node may act on right now, under which fencing token ([`id::Token`]); [`shard`] maps keys to
//!    it.
//!
//! The protocol and why it is safe: `docs/guarantees.md`. What is stored: `docs/stored-values.md` ([`codec`]).
//! [`human`] says times as people read them.

#![warn(missing_debug_implementations)]

pub mod check;
pub mod clock;
pub mod codec;
pub mod duty;
pub mod engine;
pub mod handoff;
pub mod human;
pub mod id;
pub mod inputs;
pub mod join;
pub mod memory;
pub mod native;
pub mod plan;
pub mod role;
pub mod rules;
pub mod shard;
pub mod snapshot;
pub mod store;
pub mod time;
pub mod values;
pub mod view;
