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
    /// The last partial loss of the store that this node was told of in that history; 0 if of none.
    #[serde(default)]
    pub heard: StoreTime,
}

impl Memory {
    /// How many writes there may have been since this was written, at most: some 4,000 a second for the hour that it
    /// may be old. Much more would put tokens ahead of the clock, by which they are counted after a partial loss:
    /// this is as much as 16 ms.
    pub const SINCE: u64 = 1 << 24;
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
