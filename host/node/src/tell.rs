//! One event, one line in the log: the same facts for the embedder and for people.

use crate::event::NodeEvent;
use crate::health::HealthState;
use serde::Serialize;
use shardwright_config::{Difference, differences, told};
use shardwright_core::engine::{Ending, NodeRecord, Notice};
use shardwright_core::human::Span;
use shardwright_core::id::NodeId;
use std::fmt;
use std::time::Duration;
use tracing::{debug, error, info, warn};

/// The event that a notice of the engine means. `roles` are the names that it refers to by index.
pub(crate) fn event(notice: Notice, roles: &[String]) -> NodeEvent {
    let name = |role: usize| roles.get(role).cloned().unwrap_or_default();
    let millis = Duration::from_millis;
    match notice {
        Notice::Joined { id, session } => NodeEvent::Joined { node: id, session },
        Notice::Renamed { id, from } => NodeEvent::Renamed { node: id, from },
        Notice::Grace { wait } => NodeEvent::Grace { wait: millis(wait) },
        Notice::Waiting { awaited, wait } => NodeEvent::Waiting {
            reason: awaited.to_string(),
            wait: millis(wait),
        },
        Notice::Fenced { deadline } => NodeEvent::Fenced {
            deadline: millis(deadline.0),
        },
        Notice::Resumed { deadline } => NodeEvent::Resumed {
            deadline: millis(deadline.0),
        },
        Notice::SessionLost => NodeEvent::SessionLost,
        Notice::HistoryLost { reason, .. } => NodeEvent::HistoryLost { reason },
        Notice::CoordinatorDown(reason) => NodeEvent::CoordinatorDown { reason },
        Notice::CoordinatorUp => NodeEvent::CoordinatorUp,
        Notice::Refused(refusal) => NodeEvent::Refused {
            reason: refusal.to_string(),
        },
        Notice::PeerJoined(node) => NodeEvent::PeerJoined { node },
        Notice::PeerLeft(node, how) => NodeEvent::PeerLeft { node, how },
        Notice::Ordered { node, drain, cordon } => NodeEvent::Ordered { node, drain, cordon },
        Notice::Forgotten(node) => NodeEvent::Forgotten { node },
        Notice::PeerStatus(node, status) => NodeEvent::PeerStatus { node, status },
        Notice::SettingsDiffer { from, mine, prevailing } => NodeEvent::SettingsDiffer {
            from,
            keys: prevailing.map_or_else(Vec::new, |theirs| differences(&mine, &theirs)),
        },
        Notice::SettingsAgree => NodeEvent::SettingsAgree,
        Notice::PeerDiffers {
            node,
            theirs,
            prevailing,
        } => NodeEvent::PeerDiffers {
            node,
            keys: prevailing
                .zip(theirs)
                .map_or_else(Vec::new, |(prevailing, theirs)| differences(&prevailing, &theirs)),
        },
        Notice::Leading => NodeEvent::Leading,
        Notice::Resigned => NodeEvent::Resigned,
        Notice::ClockJumped { by } => NodeEvent::ClockJumped { by },
        Notice::PlanAccepted {
            role,
            epoch,
            moves,
            native,
        } => NodeEvent::PlanAccepted {
            role: name(role),
            epoch,
            moves,
            native,
        },
        Notice::PlanRefused { role, reason, failures } => NodeEvent::PlanRefused {
            role: name(role),
            reason,
            failures,
        },
        Notice::PolicySuspended { role } => NodeEvent::PolicySuspended { role: name(role) },
    }
}

/// A node as people know it, `2 (mail-2)`: its id alone if the registry does not have it.
pub(crate) fn label(registry: &[NodeRecord], node: NodeId) -> String {
    let record = registry.iter().find(|record| record.node_id == node);
    record.map_or_else(|| node.to_string(), |record| format!("{node} ({})", record.hostname))
}

/// Writes the line of `event`. The fields are those listed in the crate's documentation; `label` is what a node is
/// called in a sentence.
pub(crate) fn log(event: &NodeEvent, label: &dyn Fn(NodeId) -> String) {
    use NodeEvent as E;
    match event {
        E::Joined { node, session } => info!(%node, %session, "joined"),
        E::Renamed { node, from } => {
            info!(%node, %from, "this installation had another hostname before: it keeps its id");
        }
        E::StateDirLost { reason } => error!(
            %reason,
            "the state directory is gone: this node goes on, but after a restart it would be another installation, \
             which first waits for the lease of this one. Put the directory back, or restart the node in good order"
        ),
        E::StateDirBack => info!("the state directory is there again"),
        E::Grace { wait } => info!(
            wait = %Span::from(*wait),
            "the store is new, or may have lost its last writes: waiting until nobody can be acting on what it does \
             not say"
        ),
        E::Waiting { reason, wait } => info!(at_most = %Span::from(*wait), "waiting before this node joins: {reason}"),
        E::Gained { role, shards, .. } => info!(role, shards = %Ranges(shards), "gained"),
        E::Losing { role, shards, .. } => info!(role, shards = %Ranges(shards), "losing"),
        E::Lost {
            role,
            shards,
            overdue: false,
            ..
        } => info!(role, shards = %Ranges(shards), "lost"),
        E::Lost {
            role,
            shards,
            overdue: true,
            ..
        } => {
            error!(
                role, shards = %Ranges(shards),
                "lost, and work had not ended within stop-timeout: only its tokens stop it now"
            );
        }
        E::Fenced { .. } => error!("not renewed in time: this node does not act"),
        E::Resumed { .. } => info!("renewed after all: this node acts again"),
        E::SessionLost => error!("the session was ended by others: joining again"),
        E::HistoryLost { reason } => error!(%reason, "the coordinator lost its history: joining again"),
        E::Refused { reason } => error!(%reason, "joining again was refused; it is tried again"),
        E::CoordinatorDown { reason } => error!(%reason, "the coordinator fails"),
        E::CoordinatorUp => info!("the coordinator answers again"),
        E::Health {
            state: HealthState::Fine,
        } => info!("healthy again: the session is renewed, and messages come back"),
        E::Health {
            state: HealthState::BusSilent,
        } => warn!(
            "this node's messages to itself do not come back: it learns of news late, by looking, and acts as before"
        ),
        E::Health {
            state: HealthState::StoreSilent,
        } => warn!("the session was not renewed for two intervals: this node stops acting soon unless it is"),
        // Why was told: it was not renewed, was ended, or its settings differ.
        E::Health { state } => debug!(state = %word(state), "not healthy"),
        E::Resync { reason } => warn!(%reason, "messages were lost"),
        E::PeerJoined { node } => info!(peer = %node, "node {} joined", label(*node)),
        E::PeerLeft { node, how } => match how {
            Some(Ending::Left) => info!(peer = %node, "node {} left in good order", label(*node)),
            Some(Ending::Expired) => {
                warn!(peer = %node, "node {} is lost: it showed no life until its session expired", label(*node));
            }
            None => info!(peer = %node, "node {node} was forgotten"),
        },
        E::Ordered { node, drain, cordon } => {
            let order = match (drain, cordon) {
                (true, _) => "to be emptied, and given nothing until `undrain`",
                (false, true) => "to keep what it has, and be given nothing more until `uncordon`",
                (false, false) => "taken back: it is given shards like any other",
            };
            info!(ordered = %node, drain, cordon, "the operator's order for node {}: {order}", label(*node));
        }
        E::Forgotten { node } => info!(forgotten = %node, "the operator removed node {node}, which was gone"),
        // What matters of it is told: who joined, who left, and who is lost.
        E::PeerStatus { node, status } => {
            debug!(peer = %node, status = %word(status), "node {} is {}", label(*node), word(status));
        }
        E::PeerDiffers { node, keys } => warn!(
            peer = %node,
            "the settings of node {} differ from those that prevail: {}. It is given nothing until they agree",
            label(*node),
            what(keys, "on the others", "there")
        ),
        E::SettingsDiffer { from, keys } => error!(
            "this node's settings differ from those of {}, which prevail: {}. It does not act until they agree: \
             correct its configuration and restart it, or restart the others with its configuration, one after another",
            nodes(from, label),
            what(keys, "here", "there")
        ),
        E::SettingsAgree => info!("this node's settings are the prevailing ones again"),
        E::Leading => info!("leading"),
        E::Resigned => info!("leading no more"),
        E::ClockJumped { by } => {
            let sign = if *by < 0 { "-" } else { "" };
            warn!(by = %format_args!("{sign}{}", Span(by.unsigned_abs())), "the coordinator's clock stepped");
        }
        E::PlanAccepted {
            role,
            epoch,
            moves,
            native,
        } => info!(role, epoch, moves, native, "plan accepted"),
        E::PlanRefused { role, reason, failures } => {
            warn!(role, %reason, failures, "plan refused: the previous one stays");
        }
        E::PolicySuspended { role } => error!(
            role,
            "the policy failed too often: the native one takes over until the component changes"
        ),
        E::PolicyReplaced { role } => info!(role, "policy replaced"),
        // The adapter's host has told it, with more.
        E::AdapterState { .. } => {}
        E::AdapterUpgraded {
            name, from, to, digest, ..
        } => info!(name, from, to, digest, "the adapter was replaced by another version"),
        E::AdapterRefused { name, version, reason } => {
            error!(name, version, %reason, "the adapter was not replaced: the present one goes on");
        }
        E::Ended { reason: None } => info!("ended"),
        E::Ended { reason: Some(reason) } => error!(%reason, "ended"),
        // Made by the reader, told by nobody.
        E::Lagged { .. } => {}
    }
}

/// What differs, as a part of a sentence.
fn what(keys: &[Difference], here: &str, there: &str) -> String {
    match keys {
        [] => "what differs is not known here, compare the files with `shardwright check`".to_owned(),
        keys => told(keys, here, there),
    }
}

/// The word that events have for it.
fn word(value: &impl Serialize) -> String {
    let word = serde_json::to_value(value).ok();
    word.as_ref()
        .and_then(serde_json::Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// Nodes in a sentence: `node 1 (mail-1)`, `the nodes 1 (mail-1), 2 (mail-2)`.
fn nodes(nodes: &[NodeId], label: &dyn Fn(NodeId) -> String) -> String {
    let labels: Vec<_> = nodes.iter().map(|node| label(*node)).collect();
    format!(
        "{} {}",
        if nodes.len() == 1 { "node" } else { "the nodes" },
        labels.join(", ")
    )
}

/// Shards as ranges: `0-3,7`, and how many more after the first twenty ranges.
struct Ranges<'s>(&'s [u32]);

impl fmt::Display for Ranges<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        for n in 0..20 {
            let Some((&first, _)) = rest.split_first() else {
                return Ok(());
            };
            let length = rest
                .iter()
                .zip(first..)
                .take_while(|(shard, expected)| **shard == *expected)
                .count();
            f.write_str(if n > 0 { "," } else { "" })?;
            match length {
                1 => write!(f, "{first}")?,
                _ => write!(f, "{first}-{}", rest[length - 1])?,
            }
            rest = &rest[length..];
        }
        if rest.is_empty() {
            Ok(())
        } else {
            write!(f, " and {} more", rest.len())
        }
    }
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn shards_are_shown_as_ranges() {
        assert_eq!(Ranges(&[]).to_string(), "");
        assert_eq!(Ranges(&[4]).to_string(), "4");
        assert_eq!(Ranges(&[0, 1, 2, 3, 7, 9, 10]).to_string(), "0-3,7,9-10");
        let even: Vec<u32> = (0..100).map(|n| n * 2).collect();
        assert!(Ranges(&even).to_string().ends_with(",38 and 80 more"));
    }
}
