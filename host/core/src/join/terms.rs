//! What a join is given, asks for and comes to.

use crate::human::{Span, Utc};
use crate::id::{InstanceId, NodeId, ProcessId};
use crate::store::{Expected, Listing, Reading, Revision, StoreError, StoreTime, Written};
use crate::time::Instant;
use crate::values::{Key, Session, Value};
use serde::{Deserialize, Serialize};

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
    /// Remove what is there, if it still has the revision.
    Delete {
        /// The key.
        key: Key,
        /// What must be there now.
        revision: Revision,
    },
}

impl Request {
    /// Whether it changes the store: then its outcome may be unknown.
    #[must_use]
    pub const fn is_write(&self) -> bool {
        match self {
            Self::Get(_) | Self::List { .. } => false,
            Self::Put { .. } | Self::Delete { .. } => true,
        }
    }
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
    /// This process.
    pub process: ProcessId,
    /// Processes of this installation that are certainly over: they ran on this machine since it was started, in the
    /// very folder that this process has locked. Any other session of this instance may be that of a live copy.
    pub predecessors: Vec<ProcessId>,
    /// What this installation held before, as its state directory remembers it.
    pub former: Option<Former>,
    /// The id that the configuration demands, if it does.
    pub static_id: Option<NodeId>,
    /// The highest id that may be given out.
    pub max_id: u32,
}

impl Identity {
    /// A process that remembers nothing and demands nothing.
    #[must_use]
    pub fn new(hostname: impl Into<String>, instance: InstanceId, process: ProcessId, max_id: u32) -> Self {
        Self {
            hostname: hostname.into(),
            instance,
            process,
            predecessors: Vec::new(),
            former: None,
            static_id: None,
            max_id,
        }
    }
}

/// The id and the hostname under which an installation was last known.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Former {
    /// The id.
    pub id: NodeId,
    /// The hostname to which it belonged.
    pub hostname: String,
}

/// Why a node may not join: asking again does not help until an operator acts or another node is gone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum JoinError {
    /// A live second instance uses the same hostname.
    #[error(
        "hostname {hostname:?} is in use by {} (node {node}, last renewed at {}, its lease ends {} after that unless \
         it renews again); this is instance {mine}. {}",
        rival(*mine, *other), Utc(StoreTime(*renewed)), Span(*frees_in), way_out(*mine, *other)
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
    /// The configured id is held by another hostname, which lives.
    #[error(
        "cluster.node-id = {id} is held by host {holder:?}, which renews its session, and this is {hostname:?}. Give \
         each node an id of its own, leave cluster.node-id out, or stop that host: the id is free as soon as its \
         session is over"
    )]
    StaticIdTaken {
        /// The id.
        id: NodeId,
        /// This host.
        hostname: String,
        /// The host that holds it.
        holder: String,
    },
    /// Every id up to the limit is taken.
    #[error(
        "all node ids up to {max_id} belong to other hosts. Raise cluster.max-node-id, or release ids of hosts that \
         are gone for good with `shardwright nodes forget`"
    )]
    Exhausted {
        /// The limit.
        max_id: u32,
    },
}

fn rival(mine: InstanceId, other: InstanceId) -> String {
    if mine == other {
        "another live process with a copy of this node's state directory".to_owned()
    } else {
        format!("another live instance {other}")
    }
}

fn way_out(mine: InstanceId, other: InstanceId) -> &'static str {
    if mine == other {
        "Stop one of the two, and delete the file `instance` in the state directory of the copy if both are to run, \
         under different hostnames"
    } else {
        "Give each node a hostname of its own (SHARDWRIGHT_HOSTNAME), or stop the other one"
    }
}

/// What a join waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Awaited {
    /// Another installation has this hostname: it renews its session under this id, or that ends.
    #[error(
        "this hostname is that of another installation, {instance}, which is node {id} and may be alive: it shows \
         that by then, or counts as gone. If the state directory of this node was lost, that other installation was \
         this node"
    )]
    Rival {
        /// The other installation.
        instance: InstanceId,
        /// Its id.
        id: NodeId,
    },
    /// Another installation with this hostname is joining: it goes on, or counts as gone.
    #[error(
        "another installation with this hostname began to join and may be alive: it shows that by then, or counts as \
         gone"
    )]
    Joiner,
    /// The session under this id, which is to be this node's, may be that of somebody alive.
    #[error(
        "the session under the id {0}, which is this node's, may be that of a copy of it or of another host: whoever \
         has it shows by then that it is alive, or it is ended"
    )]
    Session(NodeId),
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
    /// How this id came to this hostname.
    pub origin: Origin,
}

/// How an id came to the hostname that holds it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// It was its own already, or nobody's.
    Own,
    /// It was another host's, which is gone: what is stored about that node is not about this one.
    Inherited,
    /// This installation had it under this other hostname.
    Renamed(String),
}
