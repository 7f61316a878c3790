//! NATS as a coordinator, on real servers.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod access;
mod clocks;
mod cluster;
mod common;
mod contract;
mod faults;
mod links;
mod reads;
