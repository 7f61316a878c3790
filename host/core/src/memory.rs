//! What a node remembers outside the store, so that a store that was lost does not deal the ids anew.

use crate::id::{HistoryId, NodeId};
use crate::join::Former;
use crate::store::StoreTime;
use serde::{Deserialize, Serialize};

/// What the state directory keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Memory {
    /// The id that this installation held last, and its hostname then.
    pub former: Option<Former>,
    /// To whom each id belongs, by id.
    pub ids: Vec<Remembered>,
    /// The history in which all of this was so.
    #[serde(default)]
    pub history: Option<HistoryId>,
    /// A fencing token at least as high as any that could be known when this was written; 0 if none is.
    #[serde(default)]
    pub token: u64,
}

impl Memory {
    /// What may have been given out since this was written, at most: by a store that wrote a million entries in every second of ten days.
    pub const SINCE: u64 = 1 << 40;
}

/// One id and its owner.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Remembered {
    /// The id.
    pub id: NodeId,
    /// The hostname to which it belongs.
    pub hostname: String,
    /// When it was last in use, on the backend's clock, or somewhat earlier.
    pub used: StoreTime,
}
