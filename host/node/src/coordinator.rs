//! What a coordinator of your own is made of, for [`Builder::coordinator`](crate::Builder::coordinator).
//!
//! Implement [`Store`], [`Bus`] and [`Coordinator`] for a handle to your backend, opened for one [`Namespace`]. Their
//! documentation states the promises; the module `suite` checks them (feature `contract-suite`, in tests). What is
//! stored and sent is framed, and sealed with `cluster.secret`, before a coordinator sees it.
//!
//! `examples/coordinator` is one in memory that uses nothing but this crate. One that stands around another forwards
//! every method.

pub use async_trait::async_trait;
pub use shardwright_coordinator::broker::BrokerError;
pub use shardwright_coordinator::limits::{self, Namespace, NamespaceError};
#[cfg(feature = "contract-suite")]
pub use shardwright_coordinator::suite;
pub use shardwright_coordinator::{
    Bus, BusError, Coordinator, Delivery, Finding, MarginError, MemoryBroker, MemoryCoordinator, OpenError, PutRequest,
    SAME_CLOCK, Store, Subscription, Verdict,
};
pub use shardwright_core::store::{Entry, Expected, Listing, Reading, Revision, StoreError, StoreTime, Written};
