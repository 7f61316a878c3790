//! The vocabulary of the store that nodes agree in: revisions, expectations, entries, errors.
//!
//! A coordinator implements these operations over bytes; the core speaks of typed values. Hence the parameter `V`.

use serde::{Deserialize, Serialize};

/// A store-wide, strictly increasing number given to every successful write. 0 is before the first write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub u64);

/// Milliseconds on the backend's own clock, since the Unix epoch as that clock believes it.
///
/// Ages are differences of two of these, never of one and a local clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StoreTime(pub u64);

impl StoreTime {
    /// Milliseconds from `earlier` to `self`; 0 if the backend's clock went back.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// This moment plus `ms` milliseconds.
    #[must_use]
    pub const fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

/// What a write expects to find under its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expected {
    /// No entry.
    Absent,
    /// The entry of exactly this revision.
    Revision(Revision),
    /// Anything or nothing.
    Any,
}

/// A stored value with the revision and the backend's time of its writing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry<V> {
    /// The revision of the write that stored this value.
    pub revision: Revision,
    /// The backend's time of that write.
    pub written: StoreTime,
    /// The value.
    pub value: V,
}

/// The answer to `get`: one key as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reading<V> {
    /// The entry, if there is one.
    pub entry: Option<Entry<V>>,
    /// The backend's clock when it answered.
    pub now: StoreTime,
    /// Writes that were acknowledged before this moment may have been lost, unnoticed by those who never knew of them:
    /// a replica was promoted, say. Whoever does know of one is told `HistoryLost`. 0 for a backend that loses
    /// nothing, or everything.
    pub unsure_before: StoreTime,
}

/// The answer to `list`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Listing<V> {
    /// Every entry under the prefix whose revision is above the one asked for, sorted by key.
    pub entries: Vec<(String, Entry<V>)>,
    /// The store's revision, read before the entries: each write up to it is in `entries` or was above no one's
    /// interest.
    pub revision: Revision,
    /// The backend's clock when it answered.
    pub now: StoreTime,
    /// As [`Reading::unsure_before`].
    pub unsure_before: StoreTime,
}

/// The answer to a successful `put` or `delete`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Written {
    /// The revision of this write.
    pub revision: Revision,
    /// The backend's time of this write: what `Entry::written` will say.
    pub now: StoreTime,
}

/// Why a store operation failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum StoreError<V> {
    /// The expectation did not hold; nothing was written. What is there instead is attached.
    #[error("another write came first")]
    Conflict(Option<Entry<V>>),
    /// The backend cannot be reached or refuses for now; nothing was written.
    #[error("the coordinator is unavailable: {0}")]
    Unavailable(String),
    /// The write may or may not have happened: read it back before anything else.
    #[error("the outcome of a write is unknown: {0}")]
    Indeterminate(String),
    /// The backend does not permit this operation: credentials or access rules.
    #[error("the coordinator denied the operation: {0}")]
    Denied(String),
    /// The request or the stored value makes no sense: a malformed key, a value that does not decode or verify.
    #[error("invalid: {0}")]
    Invalid(String),
    /// The value is larger than this backend stores.
    #[error("a value of {size} bytes exceeds the limit of {limit} bytes")]
    TooLarge {
        /// Bytes asked for.
        size: usize,
        /// The most that can be stored under one key.
        limit: usize,
    },
    /// The store is not the one it was: wiped, restored or recreated.
    #[error("the coordinator lost its history: {0}")]
    HistoryLost(String),
}

impl<V> StoreError<V> {
    /// The same error about a value of another type; `f` converts the entry that a conflict carries.
    ///
    /// # Errors
    /// Never fails by itself: the result is the error to return.
    pub fn map<W>(self, f: impl FnOnce(Entry<V>) -> Result<Entry<W>, StoreError<W>>) -> StoreError<W> {
        match self {
            Self::Conflict(None) => StoreError::Conflict(None),
            Self::Conflict(Some(e)) => match f(e) {
                Ok(e) => StoreError::Conflict(Some(e)),
                Err(e) => e,
            },
            Self::Unavailable(s) => StoreError::Unavailable(s),
            Self::Indeterminate(s) => StoreError::Indeterminate(s),
            Self::Denied(s) => StoreError::Denied(s),
            Self::Invalid(s) => StoreError::Invalid(s),
            Self::TooLarge { size, limit } => StoreError::TooLarge { size, limit },
            Self::HistoryLost(s) => StoreError::HistoryLost(s),
        }
    }
}
