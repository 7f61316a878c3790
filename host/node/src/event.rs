//! What the embedding server, and people, are told.

use crate::health::HealthState;
use serde::{Serialize, Serializer};
use shardwright_config::Difference;
use shardwright_core::engine::{Ending, Status};
use shardwright_core::id::{NodeId, SessionId, Token};
use tokio::sync::broadcast;

/// How many events wait for a slow reader before it misses some.
pub(crate) const CAPACITY: usize = 1024;

/// Something that happened. As JSON: an object whose `event` names the kind in kebab-case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum NodeEvent {
    /// This node holds its id.
    Joined {
        /// The id.
        node: NodeId,
        /// This life of the node.
        #[serde(serialize_with = "text")]
        session: SessionId,
    },
    /// This installation had its id under another hostname, and keeps it.
    Renamed {
        /// The id.
        node: NodeId,
        /// The former hostname.
        from: String,
    },
    /// The state directory is gone, or another folder stands in its place: at its next start this node would be another
    /// installation.
    StateDirLost {
        /// What was found.
        reason: String,
    },
    /// The state directory is there again.
    StateDirBack,
    /// The store is new: nobody acts before holders of an older one must have stopped.
    Grace {
        /// Milliseconds to wait.
        wait: u64,
    },
    /// This node cannot join yet: somebody may be alive who has its hostname or its id.
    Waiting {
        /// What is waited for.
        reason: String,
        /// For how many milliseconds at most.
        wait: u64,
    },
    /// These shards are this node's to act on.
    Gained {
        /// The role.
        role: String,
        /// The shards.
        shards: Vec<u32>,
        /// The fencing token of each of them, in their order.
        tokens: Vec<Token>,
        /// The number of the plan that grants them.
        epoch: u64,
        /// Since when, in milliseconds of CLOCK_BOOTTIME.
        since: u64,
        /// Until when, in milliseconds of CLOCK_BOOTTIME, unless the session is renewed, as it is every few seconds.
        deadline: u64,
    },
    /// These shards are this node's no more; their claims are cancelled, their work is ending.
    Losing {
        /// The role.
        role: String,
        /// The shards.
        shards: Vec<u32>,
        /// The token under which each of them was held.
        tokens: Vec<Token>,
        /// Until when this node was allowed to act on them, in milliseconds of CLOCK_BOOTTIME: now, or earlier if its
        /// deadline passed while its process was stopped.
        until: u64,
    },
    /// Their work has ended, or had its time.
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
    Fenced {
        /// The deadline that has passed, in milliseconds of CLOCK_BOOTTIME.
        deadline: u64,
    },
    /// The session was renewed after all.
    Resumed {
        /// Until when, in milliseconds of CLOCK_BOOTTIME, unless it is renewed again.
        deadline: u64,
    },
    /// The session was ended by others: this node joins again.
    SessionLost,
    /// The store is not the one it was: this node joins again.
    HistoryLost {
        /// How that was noticed.
        reason: String,
    },
    /// Joining again was refused; it is tried again.
    Refused {
        /// Why.
        reason: String,
    },
    /// The coordinator fails.
    CoordinatorDown {
        /// How.
        reason: String,
    },
    /// The coordinator answers again.
    CoordinatorUp,
    /// How this node and its coordinator get on has changed; it began with [`HealthState::Fine`]. Told within a second.
    Health {
        /// How it is now.
        state: HealthState,
    },
    /// Messages were lost: what was learned from them may be out of date.
    Resync {
        /// How that was noticed.
        reason: String,
    },
    /// Another node appeared or came back.
    PeerJoined {
        /// Which.
        node: NodeId,
    },
    /// Another node's session ended, or it was forgotten.
    PeerLeft {
        /// Which.
        node: NodeId,
        /// In good order, or because it showed no life; nothing if it was forgotten.
        how: Option<Ending>,
    },
    /// The operator's orders for this node have changed; if it leads, for any node. Told at its start, too, if there
    /// are any for it.
    Ordered {
        /// For which.
        node: NodeId,
        /// Whether it is to be emptied.
        drain: bool,
        /// Whether it is to be given nothing more.
        cordon: bool,
    },
    /// The operator removed a node that was gone; told by the leader, within twelve renewal intervals.
    Forgotten {
        /// Which.
        node: NodeId,
    },
    /// Another node's freshness changed.
    PeerStatus {
        /// Which.
        node: NodeId,
        /// How fresh it is.
        status: Status,
    },
    /// Another node's settings differ from the prevailing ones: it is given nothing.
    PeerDiffers {
        /// Which.
        node: NodeId,
        /// What differs: `here` is what prevails, `there` what that node has. Empty if it is not known.
        keys: Vec<Difference>,
    },
    /// This node's settings differ from the prevailing ones: it does not act.
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
    ClockJumped {
        /// Milliseconds, as far as known.
        by: i64,
    },
    /// A plan was accepted.
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
    PlanRefused {
        /// The role.
        role: String,
        /// Why.
        reason: String,
        /// How many times in a row.
        failures: u32,
    },
    /// A policy failed too often: the host's native one takes over until the component changes.
    PolicySuspended {
        /// The role.
        role: String,
    },
    /// The component that assigns a role was replaced.
    PolicyReplaced {
        /// The role.
        role: String,
    },
    /// The adapter that the coordinator is entered another state; it began with
    /// [`AdapterState::Running`](crate::AdapterState::Running). A state that was left again at once may be left
    /// out.
    #[cfg(feature = "adapters")]
    AdapterState {
        /// The adapter's name.
        name: String,
        /// Its version.
        version: String,
        /// How it is now.
        state: crate::AdapterState,
        /// Why, unless it works.
        reason: Option<String>,
    },
    /// Another component of the adapter took the place of the present one.
    #[cfg(feature = "adapters")]
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
    #[cfg(feature = "adapters")]
    AdapterRefused {
        /// The adapter's name; nothing while its coordinator is being opened anew.
        name: Option<String>,
        /// The version that goes on.
        version: Option<String>,
        /// Why.
        reason: String,
    },
    /// The node has ended.
    Ended {
        /// Why, unless it was asked to.
        reason: Option<String>,
    },
    /// This reader was too slow and missed events; the present state is in `Node::registry` and the roles.
    Lagged {
        /// How many it missed.
        missed: u64,
    },
}

fn text<S: Serializer>(id: &impl ToString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&id.to_string())
}

/// One reader's events: from [`Node::events`](crate::Node::events).
#[derive(Debug)]
pub struct EventStream {
    events: broadcast::Receiver<NodeEvent>,
    ended: bool,
}

impl EventStream {
    pub(crate) fn new(events: broadcast::Receiver<NodeEvent>) -> Self {
        Self { events, ended: false }
    }

    /// Waits for the next event; `None` after [`NodeEvent::Ended`]. Cancel-safe.
    ///
    /// A reader that falls more than 1,024 events behind gets [`NodeEvent::Lagged`] once and goes on with the oldest
    /// event kept.
    pub async fn next(&mut self) -> Option<NodeEvent> {
        if self.ended {
            return None;
        }
        match self.events.recv().await {
            Ok(event) => {
                self.ended = matches!(event, NodeEvent::Ended { .. });
                Some(event)
            }
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(NodeEvent::Lagged { missed }),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

#[cfg(test)]
mod test {
    use super::*;

    #[tokio::test]
    async fn a_slow_reader_is_told_what_it_missed_and_goes_on() {
        let sender = broadcast::Sender::new(2);
        let mut stream = EventStream::new(sender.subscribe());
        for wait in 0..5 {
            sender.send(NodeEvent::Grace { wait }).expect("there is a reader");
        }
        assert_eq!(stream.next().await, Some(NodeEvent::Lagged { missed: 3 }));
        assert_eq!(stream.next().await, Some(NodeEvent::Grace { wait: 3 }));
        assert_eq!(stream.next().await, Some(NodeEvent::Grace { wait: 4 }));
        sender
            .send(NodeEvent::Ended { reason: None })
            .expect("there is a reader");
        assert!(stream.next().await.is_some());
        assert_eq!(stream.next().await, None, "nothing follows the end");
    }

    #[test]
    fn the_json_is_stable() {
        let json = |event: NodeEvent| serde_json::to_string(&event).expect("plain data");
        let node = NodeId::new(3).expect("not 0");
        let joined = NodeEvent::Joined {
            node,
            session: SessionId(0xab),
        };
        assert_eq!(
            json(joined),
            r#"{"event":"joined","node":3,"session":"000000000000000000000000000000ab"}"#
        );
        let lost = NodeEvent::Lost {
            role: "r".into(),
            shards: vec![1, 2],
            tokens: vec![Token(7), Token(u64::MAX)],
            overdue: false,
        };
        assert_eq!(
            json(lost),
            concat!(
                r#"{"event":"lost","role":"r","shards":[1,2],"#,
                r#""tokens":["00000000000000000007","18446744073709551615"],"overdue":false}"#,
            )
        );
        let differ = NodeEvent::SettingsDiffer {
            from: vec![node],
            keys: vec![Difference {
                key: "cluster.roles.a.nodes".into(),
                here: Some("\"1-3\"".into()),
                there: None,
            }],
        };
        assert_eq!(
            json(differ),
            concat!(
                r#"{"event":"settings-differ","from":[3],"#,
                r#""keys":[{"key":"cluster.roles.a.nodes","here":"\"1-3\"","there":null}]}"#,
            )
        );
        let health = NodeEvent::Health {
            state: HealthState::BusSilent,
        };
        assert_eq!(json(health), r#"{"event":"health","state":"bus-silent"}"#);
        #[cfg(feature = "adapters")]
        assert_eq!(
            json(NodeEvent::AdapterState {
                name: "etcd".into(),
                version: "0.1.0".into(),
                state: crate::AdapterState::Quarantined,
                reason: Some("it trapped".into()),
            }),
            r#"{"event":"adapter-state","name":"etcd","version":"0.1.0","state":"quarantined","reason":"it trapped"}"#
        );
        assert_eq!(
            json(NodeEvent::PeerStatus {
                node,
                status: Status::Stale
            }),
            r#"{"event":"peer-status","node":3,"status":"stale"}"#
        );
    }
}
