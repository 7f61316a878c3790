//! The decisions of Shardwright, as pure functions.
pub mod id;
pub mod role;
pub mod shard;
pub mod snapshot;
pub mod store;
pub mod time;
