//! What the engine is told and what it orders.

use crate::duty::StopId;
use crate::id::{HistoryId, InstanceId, NodeId, SessionId, Token};
use crate::join::{Awaited, Identity, JoinError, Outcome, Request};
use crate::memory::Memory;
use crate::plan::PlanPart;
use crate::role::RoleSpec;
use crate::rules::Rules;
use crate::snapshot::{Answer, Snapshot};
use crate::store::{Revision, StoreTime};
use crate::time::{Instant, Timing};
use crate::values::{NodeInfo, SharedSettings};
use serde::Serialize;
use std::sync::Arc;

/// Everything that a node knows about itself before it starts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    /// Hostname, instance and wishes about the id.
    pub identity: Identity,
    /// 128 fresh random bits: session ids and jitter derive from them.
    pub seed: u128,
    /// The durations.
    pub timing: Timing,
    /// The roles, in a fixed order that commands and events refer to by index.
    pub roles: Vec<RoleSpec>,
    /// For each role a digest of the policy that assigns it: another one is a reason to ask again.
    pub policies: Vec<u64>,
    /// What the state directory remembers.
    pub memory: Memory,
    /// What the node says of itself; its `settings`, `session` and orders are filled in here.
    pub info: NodeInfo,
    /// What all nodes must share.
    pub shared: Arc<SharedSettings>,
    /// A new store proves that nobody acts on an older one (in process only): no grace period.
    pub fresh_is_safe: bool,
    /// The rules in force.
    pub rules: Rules,
}

/// Names a store operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u64);

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The beginning: once, before all others.
    Start,
    /// The time asked for by [`Command::Wake`] has come. Harmless at any time.
    Wake,
    /// Somebody says that the store has changed.
    Look,
    /// A store operation ended. Every operation must end, within a time-out of the runtime's.
    Stored {
        /// Which one.
        op: OpId,
        /// How.
        outcome: Outcome,
    },
    /// The work of a [`Command::Stop`] has ended.
    Stopped(StopId),
    /// A policy answered, or failed to.
    Answered {
        /// The number from [`Command::Ask`].
        request: u64,
        /// Its answer, or why there is none.
        answer: Result<Answer, String>,
    },
    /// The policy of a role was replaced.
    PolicyChanged {
        /// Index of the role.
        role: usize,
        /// Digest of the new policy.
        digest: u64,
    },
    /// Orders for this very node, as the operator could give them.
    Order {
        /// Whether to be emptied; `None` leaves that as it is.
        drain: Option<bool>,
        /// Whether to be given nothing more.
        cordon: Option<bool>,
    },
    /// Go: stop the work, end the session, keep the id.
    Leave,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Perform a store operation and report [`Event::Stored`].
    Store {
        /// To be reported.
        op: OpId,
        /// The operation.
        request: Request,
        /// The greatest `unsure_before` that this node was told of: a write is to be refused if the store has had a
        /// partial loss since.
        heard: StoreTime,
    },
    /// Tell the other nodes to look.
    Hint,
    /// Run the role's policy and report [`Event::Answered`].
    Ask {
        /// To be reported.
        request: u64,
        /// Index of the role.
        role: usize,
        /// The question.
        snapshot: Box<Snapshot>,
    },
    /// These shards are held from now on.
    Gain {
        /// Index of the role.
        role: usize,
        /// Number of the plan that grants them.
        epoch: u64,
        /// Shards and tokens.
        shards: Vec<(u32, Token)>,
        /// Since when: now.
        since: Instant,
        /// Until when, unless the session is renewed: the deadline as it is now.
        deadline: Instant,
    },
    /// These shards are not held any more. Stop their work, then report [`Event::Stopped`], within the stop time-out.
    Stop {
        /// To be reported.
        stop: StopId,
        /// Index of the role.
        role: usize,
        /// The shards, each with the token under which it was held.
        shards: Vec<(u32, Token)>,
        /// The last moment at which they may have been acted on: now, or the deadline if that has passed already.
        until: Instant,
    },
    /// Work may go on until this instant and no longer; `None`: not at all. The runtime must enforce it by itself.
    Deadline(Option<Instant>),
    /// The newest plan of a part, for questions about who owns what.
    Plan {
        /// Index of the role.
        role: usize,
        /// Number of the part.
        part: u32,
        /// Revision of the entry.
        revision: Revision,
        /// The plan.
        plan: Arc<PlanPart>,
    },
    /// The registry has changed.
    Registry(Arc<[NodeRecord]>),
    /// To be kept in the state directory: it is there at the next start, whatever became of the store.
    Remember(Arc<Memory>),
    /// Something that people or the embedder want to know.
    Notice(Notice),
    /// Send [`Event::Wake`] at this instant; replaces an earlier order.
    Wake(Instant),
    /// The node is out, in good order or for the reason given. No more commands follow.
    Left(Result<(), Refusal>),
}

/// Why a node does not start.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// No id to be had.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The cluster was founded with another kind of coordinator.
    #[error(
        "this cluster was founded on a {theirs:?} coordinator and this node is configured with {ours:?}: use the same \
         on all nodes"
    )]
    Coordinator {
        /// Kind in the store.
        theirs: String,
        /// Kind configured here.
        ours: String,
    },
    /// The coordinator refuses this node for good.
    #[error("{0}")]
    Denied(String),
}

/// A node as operators know it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeRecord {
    /// Its id.
    pub node_id: NodeId,
    /// Its hostname.
    pub hostname: String,
    /// The backend's time of its last renewal.
    pub last_renewal: StoreTime,
    /// How fresh that is.
    pub status: Status,
    /// How its session ended, if it has.
    pub ended: Option<Ending>,
    /// Its session.
    pub session: SessionId,
    /// Its installation.
    pub instance: InstanceId,
    /// Whether it leads.
    pub leader: bool,
    /// What it says of itself, with the operator's orders.
    #[serde(skip)]
    pub info: Arc<NodeInfo>,
}

/// How a session came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// The node left in good order.
    Left,
    /// The node showed no life for so long that others ended it: it crashed, hangs or is cut off.
    Expired,
}

/// How fresh a node's last renewal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Renewed within `stale-after`.
    Active,
    /// Not renewed for `stale-after`, or ended.
    Stale,
    /// Not renewed for `inactive-after`.
    Inactive,
}

/// Something worth telling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// This node holds its id.
    Joined {
        /// The id.
        id: NodeId,
        /// Its session.
        session: SessionId,
    },
    /// This installation had its id under another hostname, and keeps it.
    Renamed {
        /// The id.
        id: NodeId,
        /// The former hostname.
        from: String,
    },
    /// The history is new: nobody acts before former holders, if there are any, must have stopped.
    Grace {
        /// Milliseconds to wait.
        wait: u64,
    },
    /// This node cannot join before something has shown itself.
    Waiting {
        /// What.
        awaited: Awaited,
        /// For how many milliseconds at most.
        wait: u64,
    },
    /// The session could not be renewed in time: this node does not act.
    Fenced {
        /// The deadline that has passed.
        deadline: Instant,
    },
    /// The same session was renewed after all: this node acts again.
    Resumed {
        /// Until when, unless it is renewed again.
        deadline: Instant,
    },
    /// The session was ended or replaced: this node stops and joins again.
    SessionLost,
    /// The store is not the one it was: this node stops and joins again after a grace period.
    HistoryLost {
        /// The history that this node knew.
        known: HistoryId,
        /// How that was noticed.
        reason: String,
    },
    /// The coordinator fails; told once.
    CoordinatorDown(String),
    /// The coordinator answers again.
    CoordinatorUp,
    /// A later join was refused; it is tried again.
    Refused(Refusal),
    /// Another node appeared or came back.
    PeerJoined(NodeId),
    /// Another node's session ended, in this way; or it was forgotten.
    PeerLeft(NodeId, Option<Ending>),
    /// The operator's orders for this node have changed; if it leads, for any node.
    Ordered {
        /// For which.
        node: NodeId,
        /// Whether it is to be emptied.
        drain: bool,
        /// Whether it is to be given nothing more.
        cordon: bool,
    },
    /// A node was forgotten, as this leader sees.
    Forgotten(NodeId),
    /// Another node's freshness changed.
    PeerStatus(NodeId, Status),
    /// This node's settings differ from the prevailing ones: it refuses to act. Told anew when others prevail, and when
    /// they become known.
    SettingsDiffer {
        /// Nodes that have the prevailing settings.
        from: Vec<NodeId>,
        /// This node's settings.
        mine: Arc<SharedSettings>,
        /// The prevailing ones, if they are known.
        prevailing: Option<Arc<SharedSettings>>,
    },
    /// This node's settings are the prevailing ones again.
    SettingsAgree,
    /// Another node's settings differ from the prevailing ones: it is given nothing.
    PeerDiffers {
        /// Which.
        node: NodeId,
        /// Its settings, if they are known.
        theirs: Option<Arc<SharedSettings>>,
        /// The prevailing ones, if they are known.
        prevailing: Option<Arc<SharedSettings>>,
    },
    /// This node leads now.
    Leading,
    /// This node leads no more.
    Resigned,
    /// The backend's clock stepped: its ages are not trusted for a while.
    ClockJumped {
        /// By how much, in milliseconds, as far as known.
        by: i64,
    },
    /// A plan was accepted.
    PlanAccepted {
        /// Index of the role.
        role: usize,
        /// Its number.
        epoch: u64,
        /// Primaries that will move.
        moves: usize,
        /// Whether the host's native policy made it.
        native: bool,
    },
    /// A policy failed or its plan was refused: the previous one stays.
    PlanRefused {
        /// Index of the role.
        role: usize,
        /// Why.
        reason: String,
        /// How many times in a row.
        failures: u32,
    },
    /// A policy failed too often: the host's native policy takes over until the component changes.
    PolicySuspended {
        /// Index of the role.
        role: usize,
    },
}
