//! The side of coordinator adapters: what `wit/coordinator/0.1.0` asks of one, as traits, and connections through
//! `wasi:sockets` and `wasi:http`.
//!
//! An adapter is a type that implements [`Adapter`], handed to [`export_adapter!`](crate::export_adapter). It names
//! three more, one for each purpose of a lane: a [`Store`], a [`Publisher`] and a [`Subscriber`]. One instance of the
//! component is one lane and has exactly one of them, so each may keep what it likes: a connection, above all.
//!
//! Nothing here reconnects, retries or runs in the background. When a connection is gone, return
//! [`StoreError::Unavailable`] if nothing can have been written and [`StoreError::Indeterminate`] if something may have
//! been: the host opens another lane.
//!
//! The types are those of the WIT, where each is documented. They exist on every target, so that what an adapter
//! computes can be tested natively; only what connects ([`net`], [`http`], [`time`]) works in a component alone.

#[doc(hidden)]
#[allow(unsafe_code, missing_docs, clippy::all, reason = "generated from the WIT")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit/coordinator/0.1.0",
        world: "coordinator-adapter-with-clock",
        pub_export_macro: true,
        default_bindings_module: "shardwright_guest::adapter::bindings",
        additional_derives: [PartialEq, Eq],
        generate_unused_types: true,
    });
}
#[doc(hidden)]
#[allow(unsafe_code, missing_docs, clippy::all, reason = "generated from the WIT")]
mod tls_bindings {
    wit_bindgen::generate!({
        path: "../../wit/tls/0.1.0",
        world: "user",
        with: {
            "wasi:io/error@0.2.12": wasip2::io::error,
            "wasi:io/poll@0.2.12": wasip2::io::poll,
            "wasi:io/streams@0.2.12": wasip2::io::streams,
        },
    });
}

mod export;
pub mod http;
pub mod log;
pub mod net;
pub mod time;

pub use bindings::exports::shardwright::coordinator::bus::{BusError, Delivery, Message};
pub use bindings::exports::shardwright::coordinator::lifecycle::{
    Context, Description, Finding, OpenError, Opened, Purpose, Verdict,
};
pub use bindings::exports::shardwright::coordinator::store::{
    Entry, Expected, Listed, Listing, Reading, StoreError, TooLarge, Written,
};
#[doc(hidden)]
pub use export::{Lane, with_lane};
pub use time::Deadline;

use std::time::Duration;

/// A coordinator adapter. See `interface lifecycle` of the WIT for what each function promises.
pub trait Adapter: 'static {
    /// A lane of the store.
    type Store: Store;
    /// A lane that publishes.
    type Publisher: Publisher;
    /// A lane that listens.
    type Subscriber: Subscriber;

    /// What this adapter is.
    fn describe() -> Description;

    /// Whether `config`, a JSON object as text, is a configuration of this adapter, and which grants it needs.
    ///
    /// # Errors
    /// One sentence: what is wrong, where, and how to put it right.
    fn requires(config: &str) -> Result<Vec<String>, String>;

    /// Opens a lane of the store. Makes what is missing, and finds, begins or checks the history.
    ///
    /// # Errors
    /// [`OpenError`].
    fn open_store(context: &Context) -> Result<(Self::Store, Opened), OpenError>;

    /// Opens a lane that publishes.
    ///
    /// # Errors
    /// [`OpenError`].
    fn open_publisher(context: &Context) -> Result<(Self::Publisher, Opened), OpenError>;

    /// Opens a lane that listens.
    ///
    /// # Errors
    /// [`OpenError`].
    fn open_subscriber(context: &Context) -> Result<(Self::Subscriber, Opened), OpenError>;
}

/// A lane of the store. See `interface store` of the WIT: order, idempotency, revisions, time, and what each error
/// promises.
pub trait Store: 'static {
    /// The entry under `key`.
    ///
    /// # Errors
    /// [`StoreError`], but no conflict, indeterminate or too-large.
    fn get(&mut self, key: &str) -> Result<Reading, StoreError>;

    /// The entries whose key begins with `prefix` and whose revision is above `since`, sorted by key: one consistent
    /// state.
    ///
    /// # Errors
    /// As [`Store::get`].
    fn list(&mut self, prefix: &str, since: u64) -> Result<Listing, StoreError>;

    /// Stores `value` under `key` if `expected` holds, in one indivisible step.
    ///
    /// # Errors
    /// [`StoreError`].
    fn put(&mut self, key: &str, value: Vec<u8>, expected: Expected) -> Result<Written, StoreError>;

    /// Removes the entry under `key` if `expected` holds; what is absent under `Any` or `Absent` too, with a revision.
    ///
    /// # Errors
    /// [`StoreError`].
    fn delete(&mut self, key: &str, expected: Expected) -> Result<Written, StoreError>;

    /// By how much an age, `now` less `written`, may be too large at most: see `interface clock` of the WIT. A cluster
    /// with a smaller `timing.margin` is refused.
    fn uncertainty(&self) -> Duration {
        Duration::from_millis(10)
    }

    /// Looks at the backend for an operator.
    fn examine(&mut self) -> Vec<Finding> {
        Vec::new()
    }

    /// Removes everything of the namespace.
    ///
    /// # Errors
    /// [`StoreError`].
    fn erase(&mut self) -> Result<(), StoreError>;
}

/// A lane that publishes. See `interface bus` of the WIT.
pub trait Publisher: 'static {
    /// Sends `payload` to every present subscriber of `topic`.
    ///
    /// # Errors
    /// [`BusError`].
    fn publish(&mut self, topic: &str, payload: Vec<u8>) -> Result<(), BusError>;
}

/// A lane that listens. See `interface bus` of the WIT.
pub trait Subscriber: 'static {
    /// Begins to receive `topics`, or all topics if none is named. Called once, first.
    ///
    /// # Errors
    /// [`BusError`].
    fn subscribe(&mut self, topics: Vec<String>) -> Result<(), BusError>;

    /// Waits for at least one delivery, at most `timeout`, and returns at most `max`. Empty if none came in time.
    ///
    /// # Errors
    /// [`BusError`]: the host opens another lane, subscribes again and reports a gap.
    fn next(&mut self, max: usize, timeout: Duration) -> Result<Vec<Delivery>, BusError>;
}
