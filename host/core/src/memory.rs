//! What a node remembers outside the store, so that a store that was lost does not deal the ids anew.

use crate::id::NodeId;
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
