//! Redis as a coordinator.

mod options;

pub use options::*;
