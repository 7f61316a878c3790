//! The core from outside: what its callers rely on. One program, since what takes long is linking.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod asked;
mod check;
mod clock;
mod codec;
mod duty;
mod extremes;
mod handoff;
mod inputs;
mod join;
mod native;
mod plan;
mod snapshot;
mod time;
mod view;
