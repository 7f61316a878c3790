//! What the embedding server, and people, are told.

use crate::health::HealthState;
use serde::{Serialize, Serializer};
use shardwright_components::AdapterState;
use shardwright_config::Difference;
use shardwright_core::engine::{Ending, Status};
use shardwright_core::id::{NodeId, SessionId, Token};
use std::time::Duration;

/// How many events wait for a slow reader before it misses some.
pub(crate) const CAPACITY: usize = 1024;

/// Something that happened. As JSON: an object whose `event` names the kind in kebab-case; durations are whole
/// milliseconds there. Kinds and fields are added in later versions: match with `..`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum NodeEvent {
    /// This node holds its id.
    #[non_exhaustive]
    Joined {
        /// The id.
        node: NodeId,
        /// This life of the node.
        #[serde(serialize_with = "text")]
        session: SessionId,
    },
    /// This installation had its id under another hostname, and keeps it.
    #[non_exhaustive]
    Renamed {
        /// The id.
        node: NodeId,
        /// The former hostname.
        from: String,
    },
    /// The state directory is gone, or another folder stands in its place: at its next start this node would be another
    /// installation.
    #[non_exhaustive]
    StateDirLost {
        /// What was found.
        reason: String,
    },
    /// The state directory is there again.
    StateDirBack,
    /// The store is new: nobody acts before holders of an older one must have stopped.
    #[non_exhaustive]
    Grace {
        /// How long to wait.
        #[serde(serialize_with = "milliseconds")]
        wait: Duration,
    },
    /// This node cannot join yet: somebody may be alive who has its hostname or its id.
    #[non_exhaustive]
    Waiting {
        /// What is waited for.
        reason: String,
        /// For how long at most.
        #[serde(serialize_with = "milliseconds")]
        wait: Duration,
    },
    /// These shards are this node's to act on.
    #[non_exhaustive]
    Gained {
        /// The role.
        role: String,
        /// The shards.
        shards: Vec<u32>,
        /// The fencing token of each of them, in their order.
        tokens: Vec<Token>,
        /// The number of the plan that grants them.
        epoch: u64,
        /// Since when, on CLOCK_BOOTTIME: since the machine was started.
        #[serde(serialize_with = "milliseconds")]
        since: Duration,
        /// Until when, on the same clock, unless the session is renewed, as it is every few seconds.
        #[serde(serialize_with = "milliseconds")]
        deadline: Duration,
    },
    /// These shards are this node's no more; their claims are cancelled, their work is ending.
    #[non_exhaustive]
    Losing {
        /// The role.
        role: String,
        /// The shards.
        shards: Vec<u32>,
        /// The token under which each of them was held.
        tokens: Vec<Token>,
        /// Until when this node was allowed to act on them, on CLOCK_BOOTTIME: now, or earlier if its deadline passed
        /// while its process was stopped.
        #[serde(serialize_with = "milliseconds")]
        until: Duration,
    },
    /// Their work has ended, or had its time.
    #[non_exhaustive]
    Lost {
        /// The role.
        role: String,
        /// The shards.
        shards: Vec<u32>,
        /// The token under which each of them was held.
        tokens: Vec<Token>,
        /// Whether some of the work had not ended within `stop-timeout`. Its claims are worth nothing.
        overdue: bool,
    },
    /// The session was not renewed in time: this node does not act until it is.
    #[non_exhaustive]
    Fenced {
        /// The deadline that has passed, on CLOCK_BOOTTIME.
        #[serde(serialize_with = "milliseconds")]
        deadline: Duration,
    },
    /// The session was renewed after all.
    #[non_exhaustive]
    Resumed {
        /// Until when, on CLOCK_BOOTTIME, unless it is renewed again.
        #[serde(serialize_with = "milliseconds")]
        deadline: Duration,
    },
    /// The session was ended by others: this node joins again.
    SessionLost,
    /// The store is not the one it was: this node joins again.
    #[non_exhaustive]
    HistoryLost {
        /// How that was noticed.
        reason: String,
    },
    /// Joining again was refused; it is tried again.
    #[non_exhaustive]
    Refused {
        /// Why.
        reason: String,
    },
    /// The coordinator fails.
    #[non_exhaustive]
    CoordinatorDown {
        /// How.
        reason: String,
    },
    /// The coordinator answers again.
    CoordinatorUp,
    /// How this node and its coordinator get on has changed; it began with [`HealthState::Fine`]. Told within a second.
    #[non_exhaustive]
    Health {
        /// How it is now.
        state: HealthState,
    },
    /// Messages were lost: what was learned from them may be out of date.
    #[non_exhaustive]
    Resync {
        /// How that was noticed.
        reason: String,
    },
    /// Another node appeared or came back.
    #[non_exhaustive]
    PeerJoined {
        /// Which.
        node: NodeId,
    },
    /// Another node's session ended, or it was forgotten.
    #[non_exhaustive]
    PeerLeft {
        /// Which.
        node: NodeId,
        /// In good order, or because it showed no life; nothing if it was forgotten.
        how: Option<Ending>,
    },
    /// The operator's orders for this node have changed; if it leads, for any node. Told at its start, too, if there
    /// are any for it.
    #[non_exhaustive]
    Ordered {
        /// For which.
        node: NodeId,
        /// Whether it is to be emptied.
        drain: bool,
        /// Whether it is to be given nothing more.
        cordon: bool,
    },
    /// The operator removed a node that was gone; told by the leader, within twelve renewal intervals.
    #[non_exhaustive]
    Forgotten {
        /// Which.
        node: NodeId,
    },
    /// Another node's freshness changed.
    #[non_exhaustive]
    PeerStatus {
        /// Which.
        node: NodeId,
        /// How fresh it is.
        status: Status,
    },
    /// Another node's settings differ from the prevailing ones: it is given nothing.
    #[non_exhaustive]
    PeerDiffers {
        /// Which.
        node: NodeId,
        /// What differs: `here` is what prevails, `there` what that node has. Empty if it is not known.
        keys: Vec<Difference>,
    },
    /// This node's settings differ from the prevailing ones: it does not act.
    #[non_exhaustive]
    SettingsDiffer {
        /// Nodes that have the prevailing settings.
        from: Vec<NodeId>,
        /// What differs: `here` is what this node has, `there` what prevails. Empty if it is not known.
        keys: Vec<Difference>,
    },
    /// This node's settings are the prevailing ones again.
    SettingsAgree,
    /// This node runs the policies from now on.
    Leading,
    /// This node runs the policies no more.
    Resigned,
    /// The backend's clock stepped: ages on it are not trusted for a while.
    #[non_exhaustive]
    ClockJumped {
        /// Milliseconds, as far as known.
        by: i64,
    },
    /// A plan was accepted.
    #[non_exhaustive]
    PlanAccepted {
        /// The role.
        role: String,
        /// The number of the plan.
        epoch: u64,
        /// Primaries that will move.
        moves: usize,
        /// Whether the host's native policy made it.
        native: bool,
    },
    /// A policy failed, or its plan was refused: the previous one stays.
    #[non_exhaustive]
    PlanRefused {
        /// The role.
        role: String,
        /// Why.
        reason: String,
        /// How many times in a row.
        failures: u32,
    },
    /// A policy failed too often: the host's native one takes over until the component changes.
    #[non_exhaustive]
    PolicySuspended {
        /// The role.
        role: String,
    },
    /// The component that assigns a role was replaced.
    #[non_exhaustive]
    PolicyReplaced {
        /// The role.
        role: String,
    },
    /// The adapter that the coordinator is entered another state; it began with [`AdapterState::Running`]. A state that
    /// was left again at once may be left out. This and the two that follow are told with the feature `adapters` only.
    #[non_exhaustive]
    AdapterState {
        /// The adapter's name.
        name: String,
        /// Its version.
        version: String,
        /// How it is now.
        state: AdapterState,
        /// Why, unless it works.
        reason: Option<String>,
    },
    /// Another component of the adapter took the place of the present one.
    #[non_exhaustive]
    AdapterUpgraded {
        /// The adapter's name.
        name: String,
        /// The version before.
        from: String,
        /// The version now.
        to: String,
        /// The digest of the component, in hexadecimal digits.
        digest: String,
        /// Grants and imports that the one before wanted and this one does not.
        removed: Vec<String>,
    },
    /// Another component was not put in the place of the present one, which goes on.
    #[non_exhaustive]
    AdapterRefused {
        /// The adapter's name; nothing while its coordinator is being opened anew.
        name: Option<String>,
        /// The version that goes on.
        version: Option<String>,
        /// Why.
        reason: String,
    },
    /// The node has ended.
    #[non_exhaustive]
    Ended {
        /// Why, unless it was asked to.
        reason: Option<String>,
    },
    /// This reader was too slow and missed events; the present state is in `Node::registry` and the roles.
    #[non_exhaustive]
    Lagged {
        /// How many it missed.
        missed: u64,
    },
}

impl NodeEvent {
    /// The name of the role that this is about; `None` if it is about the node or the cluster.
    #[must_use]
    pub fn role(&self) -> Option<&str> {
        match self {
            Self::Gained { role, .. }
            | Self::Losing { role, .. }
            | Self::Lost { role, .. }
            | Self::PlanAccepted { role, .. }
            | Self::PlanRefused { role, .. }
            | Self::PolicySuspended { role }
            | Self::PolicyReplaced { role } => Some(role),
            _ => None,
        }
    }
}

fn milliseconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

fn text<S: Serializer>(id: &impl ToString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&id.to_string())
}

#[cfg(test)]
mod test;
