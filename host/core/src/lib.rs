//! The decisions of Shardwright, as pure functions.
pub mod duty;
pub mod handoff;
pub mod id;
pub mod join;
pub mod plan;
pub mod role;
pub mod rules;
pub mod shard;
pub mod snapshot;
pub mod store;
pub mod time;
pub mod values;
