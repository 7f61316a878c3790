//! Redis, by real servers: the contract suite on every topology, and what happens when things go wrong.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod access;
mod clocks;
mod common;
mod examine;
mod failover;
mod faults;
mod mended;
mod revoked;
mod suite;
