//! The documentation: what it tells people to type is typed, and what it says that they will see is seen.

#[path = "../common/mod.rs"]
mod common;

mod blocks;
mod guides;
mod marks;
mod policy;
mod shell;
mod tour;
