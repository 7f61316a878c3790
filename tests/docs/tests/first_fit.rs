//! The policy of `docs/writing-a-policy.md`, and the test that the guide writes for it.
#![allow(
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    reason = "it is written for a crate of its own"
)]

/// The crate that the guide makes.
mod first_fit {
    include!(concat!(env!("OUT_DIR"), "/first_fit.rs"));
}

include!(concat!(env!("OUT_DIR"), "/plan.rs"));
