//! NATS as a coordinator, on real servers.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod common;
mod contract;
