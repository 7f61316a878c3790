//! The coordinator contract: a revisioned store with compare-and-set, and a bus.
//!
//! Everything that nodes agree on lives in the store; everything they tell each other goes over the bus.
pub mod contract;

pub use contract::{Bus, BusError, Coordinator, Delivery, Store, Subscription};
