//! What the last message for a key says.

use bytes::Bytes;
use shardwright_core::store::{Entry, Revision, StoreError, StoreTime};

/// Its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Value(Bytes),
    Deleted,
    /// This release cannot read it; this is why.
    Unreadable(String),
}

/// The last message for a key.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) revision: u64,
    pub(super) written: u64,
    pub(super) content: Content,
    /// The messages that hold its parts.
    pub(super) parts: Vec<u64>,
}

impl Slot {
    /// The entry, if there is one.
    pub(super) fn entry(&self) -> Result<Option<Entry<Bytes>>, StoreError<Bytes>> {
        match &self.content {
            Content::Deleted => Ok(None),
            Content::Unreadable(why) => Err(StoreError::Invalid(why.clone())),
            Content::Value(value) => Ok(Some(Entry {
                revision: Revision(self.revision),
                written: StoreTime(self.written),
                value: value.clone(),
            })),
        }
    }
}
