//! Whole clusters of real processes on real servers, and everything that can happen to either.
//!
//! Every node rehearses work: it tells each act with the token it was done under. However the nodes and the server are
//! disturbed, no act may come after one under a higher token, and in the end every shard is worked on again.

mod commands;
#[path = "../common/mod.rs"]
mod common;
mod course;
mod etcd;
mod handoff;
mod kafka;
mod nats;
mod postgresql;
mod redis;
mod trial;
