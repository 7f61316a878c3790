//! Why nobody acts on a shard, and on whom a handoff waits.

use crate::cluster::ClusterSnapshot;
use crate::output::ranges;
use crate::owners::Owners;
use crate::shards::{RoleView, Shard, State};
use serde::Serialize;
use shardwright_core::human::Span;
use shardwright_core::id::NodeId;
use shardwright_core::plan::PART_SHARDS;
use shardwright_core::role::Mode;
use std::collections::BTreeMap;

/// Shards of a role on which nobody acts, for one reason.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Unowned {
    pub(super) role: String,
    /// As ranges, `0-3,7`.
    pub(super) shards: String,
    pub(super) count: usize,
    pub(super) reason: Reason,
    /// The same for people, with what is awaited.
    pub(super) text: String,
    /// The node that is awaited, if one is.
    pub(super) node: Option<u32>,
    /// For how long at most, if that is known.
    pub(super) left_ms: Option<u64>,
}

/// Shards of a role that are on their way from one node to another.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Moving {
    pub(super) role: String,
    /// As ranges, `0-3,7`.
    pub(super) shards: String,
    pub(super) count: usize,
    pub(super) from: u32,
    /// Null: to nobody yet.
    pub(super) to: Option<u32>,
    /// How long the work may take to stop yet; 0: it should have.
    pub(super) left_ms: u64,
    pub(super) text: String,
}

/// Why nobody acts. Ordered so that what explains the others comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Reason {
    /// The store is new, or may have lost its last writes.
    Grace,
    /// Its owner has not renewed its session in time: it has stopped, and is taken over when others may end that
    /// session.
    OwnerSilent,
    /// Its owner has other settings than most, and refuses to act.
    OwnerDiffers,
    /// Nobody who may own it is there.
    NoEligibleNode,
    /// Nobody leads.
    NoLeader,
    /// There is no plan, and the policy fails.
    PolicyFails,
    /// Somebody may own it: the leader grants it in a moment.
    Pending,
}

/// Whether a node has not renewed its session for so long that it must have stopped by itself.
pub(super) fn is_silent(sight: &ClusterSnapshot, id: NodeId) -> bool {
    let live = sight
        .view
        .sessions
        .get(&id)
        .filter(|seen| seen.entry.value.ended.is_none());
    live.is_some_and(|seen| sight.now.since(seen.entry.written) >= sight.timing.holder())
}

/// When others take over what a node has that renewed so many milliseconds ago.
pub(super) fn takers(sight: &ClusterSnapshot, renewed: u64) -> String {
    match sight.timing.taker().saturating_sub(renewed) {
        0 => "others may take over now".to_owned(),
        left => format!("others may take over in {}", Span(left)),
    }
}

/// The shards that nobody acts on, by reason. `failing` is how the role's policy fails, if it does.
pub(super) fn unowned(
    role: &RoleView<'_>,
    shards: &[Shard],
    sight: &ClusterSnapshot,
    failing: Option<&str>,
) -> Vec<Unowned> {
    let owners = Owners::of(role, sight);
    let mut found: BTreeMap<Why, Vec<u32>> = BTreeMap::new();
    for shard in shards {
        if let Some(why) = why(role, shard, &owners, sight, failing) {
            found.entry(why).or_default().push(shard.shard);
        }
    }
    let unowned = found
        .into_iter()
        .map(|((reason, node, left_ms, text), shards)| Unowned {
            role: role.name.clone(),
            shards: ranges(&shards),
            count: shards.len(),
            reason,
            text,
            node,
            left_ms,
        });
    unowned.collect()
}

type Why = (Reason, Option<u32>, Option<u64>, String);

fn why(
    role: &RoleView<'_>,
    shard: &Shard,
    owners: &Owners,
    sight: &ClusterSnapshot,
    failing: Option<&str>,
) -> Option<Why> {
    let refuses = |id: NodeId| sight.differing.contains(&id);
    let others = shard.standbys.iter().filter(|_| role.mode() == Mode::All);
    let mut acting = shard.primary.iter().chain(others).filter_map(|id| NodeId::new(*id));
    if let Some(first) = acting.next() {
        if std::iter::once(first)
            .chain(acting)
            .any(|id| !is_silent(sight, id) && !refuses(id))
        {
            return None;
        }
        let (id, label) = (first.get(), sight.label(first.get()));
        if refuses(first) {
            let text = format!(
                "its owner {label} has other settings than those under which the cluster acts, and refuses to act"
            );
            return Some((Reason::OwnerDiffers, Some(id), None, text));
        }
        let renewed = sight
            .view
            .sessions
            .get(&first)
            .map_or(0, |seen| sight.now.since(seen.entry.written));
        if let Some(left) = sight.grace() {
            let text = format!(
                "its owner {label} has stopped, and nothing is granted for another {}",
                Span(left)
            );
            return Some((Reason::Grace, Some(id), Some(left), text));
        }
        let left = sight.timing.taker().saturating_sub(renewed);
        let text = format!(
            "its owner {label} has not renewed its session for {}, and has stopped: {}",
            Span(renewed),
            takers(sight, renewed)
        );
        return Some((Reason::OwnerSilent, Some(id), Some(left), text));
    }
    if let Some(left) = sight.grace() {
        return Some((
            Reason::Grace,
            None,
            Some(left),
            format!("nothing is granted for another {}", Span(left)),
        ));
    }
    if !owners.any(shard, &[]) {
        return Some((Reason::NoEligibleNode, None, None, owners.refusal(role, shard, sight)));
    }
    if sight.view.leader().is_none() {
        return Some((
            Reason::NoLeader,
            None,
            None,
            "nobody leads, so nobody grants it".to_owned(),
        ));
    }
    if let Some(failing) = failing.filter(|_| role.epoch() == 0) {
        return Some((
            Reason::PolicyFails,
            None,
            None,
            format!("there is no plan yet, and the policy fails: {failing}"),
        ));
    }
    let text = match shard.state {
        State::Orphaned => {
            let owner = shard
                .holder
                .map_or_else(|| "its owner".to_owned(), |id| format!("its owner {}", sight.label(id)));
            format!("the session of {owner} is over: the leader grants it in a moment")
        }
        _ => "the leader grants it in a moment".to_owned(),
    };
    Some((Reason::Pending, None, None, text))
}

/// The shards that are on their way, by where from and where to.
pub(super) fn moving(role: &RoleView<'_>, shards: &[Shard], sight: &ClusterSnapshot) -> Vec<Moving> {
    let mut found: BTreeMap<(u32, Option<u32>, u32), Vec<u32>> = BTreeMap::new();
    for shard in shards.iter().filter(|shard| shard.state == State::Moving) {
        if let Some(from) = shard.primary {
            found
                .entry((from, shard.target, shard.shard / PART_SHARDS))
                .or_default()
                .push(shard.shard);
        }
    }
    let moving = found.into_iter().map(|((from, to, part), shards)| {
        let left_ms = left(role, part, sight);
        let to_whom = to.map_or_else(|| "nobody yet".to_owned(), |id| sight.label(id));
        let until = match left_ms {
            0 => "the work there should have stopped by now, and has not told so".to_owned(),
            left => format!("the work there has {} to stop", Span(left)),
        };
        Moving {
            role: role.name.clone(),
            shards: ranges(&shards),
            count: shards.len(),
            text: format!("going from {} to {to_whom}: {until}", sight.label(from)),
            from,
            to,
            left_ms,
        }
    });
    moving.collect()
}

/// A holder reads of it at its next look at the latest, stops, and says so with a renewal.
fn left(role: &RoleView<'_>, part: u32, sight: &ClusterSnapshot) -> u64 {
    let written = sight
        .planned
        .get(&(role.name.clone(), part))
        .copied()
        .unwrap_or(sight.now);
    let timing = &sight.timing;
    (timing.renew + timing.stop_timeout + timing.margin).saturating_sub(sight.now.since(written))
}
