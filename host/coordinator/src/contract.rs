//! The traits that every backend implements, with the promises that the contract suite checks.

use crate::finding::Finding;
use async_trait::async_trait;
use bytes::Bytes;
use shardwright_core::store::{Expected, Listing, Reading, Revision, StoreError, StoreTime, Written};
use std::time::Duration;

/// The [`clock_uncertainty`](Coordinator::clock_uncertainty) of a backend with one clock: what rounding and a clock
/// that is slewed come to.
pub const SAME_CLOCK: Duration = Duration::from_millis(10);

/// The store: linearizable per namespace, revisions store-wide and strictly increasing.
///
/// `HistoryLost` is for good: once a handle has answered with it, every operation of its store does. Whoever wants to
/// go on opens a new handle, and begins by reading what the history of that one is.
///
/// Every error of a write but `Indeterminate` and `HistoryLost` promises that nothing was written and nothing will
/// be. So a backend gives them only for what is raised before the write can have been applied, and sends again only
/// what was certainly not sent; any other error, an unknown one above all, is `Indeterminate`.
///
/// Time is the backend's, one clock for all handles. Ages, `now` less `Entry::written`, decide whether a session is
/// over: they may be too small, never too large, also when another server with another clock takes over. A handle
/// whose time would have to go back for that lets it go back.
///
/// A backend that may have lost *some* acknowledged writes — a replica was promoted, a server came back without its
/// last second — goes on, and does four things: a handle that knows a revision which the store no longer has answers
/// `HistoryLost`; a write of a handle that has not yet heard of the change fails with `Unavailable` and does nothing;
/// `Reading::unsure_before` and `Listing::unsure_before` name the moment of the change, which is not before any write
/// that is left nor before an earlier such moment, and from which the engine waits until everybody whom the loss
/// concerns has heard of it; and revisions go on far above any that may have been lost, since they were given out as
/// fencing tokens. A backend that cannot do all that answers `HistoryLost`.
#[async_trait]
pub trait Store: Send + Sync {
    /// The entry under `key`, as of some moment between call and answer.
    ///
    /// # Errors
    /// Any [`StoreError`] but `Conflict`, `Indeterminate` and `TooLarge`.
    async fn get(&self, key: &str) -> Result<Reading<Bytes>, StoreError<Bytes>>;

    /// The entries whose key begins with `prefix` and whose revision is above `since`, sorted by key.
    ///
    /// `Listing::revision` is read before the entries: every write of at most that revision is seen.
    /// Deleted entries are only absent; with `since` 0 the answer is complete.
    ///
    /// # Errors
    /// As [`Store::get`].
    async fn list(&self, prefix: &str, since: Revision) -> Result<Listing<Bytes>, StoreError<Bytes>>;

    /// Stores the value of `request` under its key if what it expects holds. Whoever wraps a store passes it on as it
    /// is, with another value at most.
    ///
    /// # Errors
    /// `Conflict` carries what is there. After `Indeterminate` the write may have happened or may still happen: read
    /// back. `Unavailable`, and nothing done, if there was a partial loss that the writer has [not
    /// heard](PutRequest::heard) of.
    async fn put_with(&self, request: PutRequest<'_>) -> Result<Written, StoreError<Bytes>>;

    /// As [`Store::put_with`], of a value that rests on nothing that was read. Not to be implemented.
    ///
    /// # Errors
    /// As [`Store::put_with`].
    async fn put(&self, key: &str, value: Bytes, expected: Expected) -> Result<Written, StoreError<Bytes>> {
        self.put_with(PutRequest::new(key, value, expected)).await
    }

    /// Removes the entry under `key` if `expected` holds; removing what is absent under `Any` succeeds and takes a
    /// revision too.
    ///
    /// # Errors
    /// As [`Store::put`].
    async fn delete(&self, key: &str, expected: Expected) -> Result<Written, StoreError<Bytes>>;
}

/// One write.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PutRequest<'a> {
    /// Under which key.
    pub key: &'a str,
    /// What.
    pub value: Bytes,
    /// What must be there for it to happen.
    pub expected: Expected,
    /// The greatest `unsure_before` in an answer to the writer: he was told of no later partial loss. If there was one
    /// since, what he wants to write may rest on what was lost. `None` for what rests on nothing. A backend whose
    /// `unsure_before` is always 0 has no use for it.
    pub heard: Option<StoreTime>,
}

impl<'a> PutRequest<'a> {
    /// The write of what rests on nothing that was read.
    #[must_use]
    pub fn new(key: &'a str, value: Bytes, expected: Expected) -> Self {
        Self {
            key,
            value,
            expected,
            heard: None,
        }
    }

    /// The write by somebody who was told of no later partial loss than this.
    #[must_use]
    pub fn heard(self, heard: StoreTime) -> Self {
        Self {
            heard: Some(heard),
            ..self
        }
    }
}

/// The bus: at most once, in order for each publisher and topic; a loss is signalled, never silent.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Sends `payload` to every present subscriber of `topic` in the namespace, the sender's own included.
    ///
    /// # Errors
    /// [`BusError`]; the message may or may not have been delivered.
    async fn publish(&self, topic: &str, payload: Bytes) -> Result<(), BusError>;

    /// Begins to receive `topics`, or all topics if none is named. What is published after this returns is delivered or
    /// reported as a gap.
    ///
    /// # Errors
    /// [`BusError`] if the backend cannot subscribe.
    async fn subscribe(&self, topics: &[&str]) -> Result<Box<dyn Subscription>, BusError>;
}

/// One subscriber's stream of messages.
#[async_trait]
pub trait Subscription: Send {
    /// Waits for at least one delivery and returns at most `max` of them, in order. Cancel-safe.
    ///
    /// # Errors
    /// [`BusError`] when this subscription is over for good; transient trouble is a [`Delivery::Gap`] after it has
    /// passed.
    async fn next(&mut self, max: usize) -> Result<Vec<Delivery>, BusError>;
}

/// What a subscriber receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// A message.
    Message {
        /// The topic it was published to.
        topic: String,
        /// What was published.
        payload: Bytes,
    },
    /// Messages were lost here, as far as known this many (0: unknown): resynchronise.
    Gap {
        /// How many are known to be lost; 0 if that cannot be told.
        lost: u64,
    },
}

/// Why the bus failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// The backend cannot be reached for now.
    #[error("the bus is unavailable: {0}")]
    Unavailable(String),
    /// Credentials or access rules do not permit it.
    #[error("the bus denied the operation: {0}")]
    Denied(String),
    /// A malformed topic or message.
    #[error("invalid: {0}")]
    Invalid(String),
    /// The message is larger than this backend carries.
    #[error("a message of {size} bytes exceeds the limit of {limit} bytes")]
    TooLarge {
        /// Bytes asked for.
        size: usize,
        /// The most that can be sent at once.
        limit: usize,
    },
    /// The subscription or the backend was closed on this side.
    #[error("the bus is closed")]
    Closed,
}

/// One backend, opened for one namespace.
#[async_trait]
pub trait Coordinator: Store + Bus {
    /// What kind of backend this is, as in `type = "sqlite"`.
    fn kind(&self) -> &str;

    /// Which store is meant, without secrets: a path or an address. Shown to operators, compared by no one.
    fn location(&self) -> String;

    /// Whether a fresh, empty store proves that nobody acts on an older one: true only where the store cannot outlive
    /// or be lost apart from its users (in process). Otherwise a new history begins with a grace period.
    fn fresh_is_safe(&self) -> bool {
        false
    }

    /// Waits until this handle is of no use any more, for good, for another reason than a lost history, which the
    /// operations tell — its client has given up connecting, a task that it needs has ended — and says why. Whoever
    /// uses it is to end with an error then, or to open another. Never returns as long as the handle may come back
    /// by itself. Cancel-safe.
    async fn ended(&self) -> String {
        std::future::pending().await
    }

    /// By how much an age on this backend's clock may be too large at most. `cluster.timing.margin` must not be
    /// smaller: a node with a smaller one does not start. [`SAME_CLOCK`] where it cannot be told, and one clock made
    /// them all.
    fn clock_uncertainty(&self) -> Duration;

    /// Looks at the server behind it: version, safety of its settings, clock, round trips. For the operator; changes
    /// nothing.
    async fn examine(&self) -> Vec<Finding> {
        Vec::new()
    }

    /// Removes everything that this namespace has stored, and what was made for it: for the scratch namespaces of
    /// checks, and for clusters that are gone for good. No handle that is open is to be used any more.
    ///
    /// # Errors
    /// [`StoreError`]; some of it may be left.
    async fn erase(&self) -> Result<(), StoreError<Bytes>>;
}
