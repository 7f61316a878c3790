//! The coordinator contract of Shardwright, and its native backends.
//!
//! Everything that nodes agree on lives in the store; everything they tell each other goes over the bus. From the
//! bottom up:
//!
//! - [`contract`]: the traits, with their promises; [`limits`]: names and sizes that every backend accepts;
//! - [`memory`] and [`sqlite`]: the backends inside one process and inside one machine;
//! - `redis`, `nats` and `kafka` (features of these names): the backends with a server, and what they share,
//!   [`broker`];
//! - [`sealed`]: the frame around every stored value and message, and their encryption under `cluster.secret`;
//! - [`envelope`] and [`messenger`]: who said what, in which order, and whether something is missing;
//! - `suite` (feature `contract-suite`): one check for each promise, for whoever writes a backend.

#![warn(missing_debug_implementations)]

/// `Debug` by name alone, for handles: their connections, locks and keys say nothing to people.
macro_rules! opaque {
    ($($handle:ident),+) => {$(
        impl std::fmt::Debug for $handle {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($handle)).finish_non_exhaustive()
            }
        }
    )+};
}

pub mod broker;
pub mod clock;
pub mod contract;
pub mod envelope;
pub mod finding;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod limits;
mod margin;
pub mod memory;
pub mod messenger;
#[cfg(feature = "nats")]
pub mod nats;
pub mod queue;
mod recent;
#[cfg(feature = "redis")]
pub mod redis;
pub mod sealed;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(feature = "contract-suite")]
pub mod suite;
#[cfg(any(feature = "nats", feature = "kafka"))]
mod tasks;

pub use contract::{Bus, BusError, Coordinator, Delivery, PutRequest, SAME_CLOCK, Store, Subscription};
pub use envelope::Envelope;
pub use finding::{Finding, Verdict};
pub use limits::Namespace;
pub use margin::MarginError;
pub use memory::{MemoryBroker, MemoryCoordinator};
pub use messenger::{Inbox, Incoming, Messenger, MessengerStats, Own, REMEMBERED, Resync};
pub use sealed::{Protected, Secret, protect};
#[cfg(feature = "sqlite")]
pub use sqlite::{OpenError, SqliteCoordinator};
