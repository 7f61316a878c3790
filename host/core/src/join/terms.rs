//! What a join is given, asks for and comes to.

use crate::human::{Span, Utc};
use crate::id::{InstanceId, NodeId};
use crate::store::{Expected, Listing, Reading, Revision, StoreError, StoreTime, Written};
use crate::time::Instant;
use crate::values::{Key, Session, Value};

/// A store operation that the core wants performed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// Read one key.
    Get(Key),
    /// Read all entries under a prefix that changed after a revision.
    List {
        /// Beginning of the keys, as text; empty for all.
        prefix: &'static str,
        /// Entries of at most this revision are left out.
        since: Revision,
    },
    /// Write if the expectation holds.
    Put {
        /// The key.
        key: Key,
        /// The new value.
        value: Value,
        /// What must be there now.
        expected: Expected,
    },
}

/// The answer to a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// To `Get`.
    Reading(Reading<Value>),
    /// To `List`. Entries under keys that this version does not know are left out.
    Listing(Listing<Value>),
    /// To `Put`.
    Written(Written),
}

/// Answer or failure.
pub type Outcome = Result<Answer, StoreError<Value>>;

/// Who wants to join.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The hostname, unique in the cluster.
    pub hostname: String,
    /// This installation.
    pub instance: InstanceId,
    /// The id that the configuration demands, if it does.
    pub static_id: Option<NodeId>,
    /// The highest id that may be given out.
    pub max_id: u32,
}

/// Why a node may not join: asking again does not help until an operator acts or another node is gone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum JoinError {
    /// A live second instance uses the same hostname.
    #[error(
        "hostname {hostname:?} is in use by another live instance {other} (node {node}, last renewed at {}, its lease \
         ends {} after that unless it renews again); this is instance {mine}. Give each node a hostname of its own \
         (SHARDWRIGHT_HOSTNAME), or stop the other one",
        Utc(StoreTime(*renewed)), Span(*frees_in)
    )]
    HostnameConflict {
        /// The hostname.
        hostname: String,
        /// This instance.
        mine: InstanceId,
        /// The live one.
        other: InstanceId,
        /// The live one's id.
        node: NodeId,
        /// Its last renewal, milliseconds since the Unix epoch on the coordinator's clock.
        renewed: u64,
        /// Milliseconds after `renewed` at which its lease frees, if it does not renew again.
        frees_in: u64,
    },
    /// The configured id belongs to another hostname.
    #[error(
        "cluster.node-id = {id} belongs to host {holder:?}, and this is {hostname:?}. Choose another id, leave cluster.node-id out, or \
         release it with `shardwright nodes forget {id}` once that host is gone for good"
    )]
    StaticIdTaken {
        /// The id.
        id: NodeId,
        /// This host.
        hostname: String,
        /// The host it belongs to.
        holder: String,
    },
    /// Every id up to the limit is taken.
    #[error(
        "all node ids up to {max_id} belong to other hosts. Raise cluster.max-node-id, or release ids of hosts that are gone for good \
         with `shardwright nodes forget`"
    )]
    Exhausted {
        /// The limit.
        max_id: u32,
    },
}

/// What a join wants next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Next {
    /// Perform this and report its outcome.
    Do(Request),
    /// Call [`Join::wake`](super::Join::wake) after this many milliseconds.
    Wait(u64),
    /// The id is held.
    Held(Held),
    /// Not to be had.
    Refused(JoinError),
}

/// An id that is held.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Held {
    /// The id.
    pub id: NodeId,
    /// The session as written.
    pub session: Session,
    /// The revision of the session entry.
    pub revision: Revision,
    /// When the session was sent: its deadline counts from here.
    pub sent: Instant,
    /// Whether the id was another hostname's before: what is stored about that node is not about this one.
    pub taken: bool,
}
