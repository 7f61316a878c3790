//! `shardwright adapter`: made, built, looked at and checked, in every language, as a stranger would do it; and a
//! policy.

mod build;
mod check;
#[path = "../common/mod.rs"]
mod common;
mod docs;
mod example;
mod faulty;
mod inspect;
mod new;
mod policy;
mod workshop;
