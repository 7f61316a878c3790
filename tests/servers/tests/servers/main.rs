//! Servers of every kind come up, live through what tests do to them, and end with their test.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod etcd;
mod kafka;
mod nats;
mod postgres;
mod process;
mod proxy;
mod redis;
