//! What is not well with a cluster, in sentences: whom it concerns, for how long, and what to do.

use super::report::{Grace, Policy, Report};
use super::why::{Unowned, takers};
use crate::cluster::ClusterSnapshot;
use serde::Serialize;
use shardwright_core::human::Span;
use shardwright_core::id::NodeId;
use std::collections::BTreeMap;

/// How many roles are named in one problem.
const ROLES: usize = 12;

#[derive(Serialize)]
pub(super) struct Problem {
    pub(super) kind: Kind,
    pub(super) text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    Coordinator,
    Grace,
    Leader,
    Node,
    Settings,
    Policy,
    Unowned,
    Handoff,
}

/// All that is not well, by the facts of `report`.
pub(super) fn of(report: &Report, sight: &ClusterSnapshot) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut add = |kind, text: String| problems.push(Problem { kind, text });
    if let Some(Grace { left_ms }) = report.grace {
        let left = Span(left_ms);
        add(
            Kind::Grace,
            format!(
                "grace: the store is new, or may have lost its last writes: nothing is granted for another {left}. \
                 Nodes that stopped for it go on by themselves then"
            ),
        );
    }
    if report.leader.is_none() && report.grace.is_none() {
        let text = if report.nodes.active.is_empty() {
            "nobody leads, for no node is active: start one"
        } else {
            "nobody leads: the nodes agree on a leader within moments, unless they cannot write"
        };
        add(Kind::Leader, text.to_owned());
    }
    silent(report, sight).into_iter().for_each(|text| add(Kind::Node, text));
    for id in &report.nodes.expired {
        add(
            Kind::Node,
            format!(
                "node {} is lost: it crashed, hangs or is cut off. Start it again, or `shardwright nodes forget {id}`",
                sight.label(*id)
            ),
        );
    }
    for differing in &report.settings {
        add(Kind::Settings, differing.text.clone());
    }
    for Policy {
        role,
        suspended,
        reason,
        ..
    } in &report.policies
    {
        let what = match suspended {
            true => {
                "is suspended, and the native one stands in until the component changes (put a better file in its \
                 place, and send SIGHUP to the nodes)"
            }
            false => "fails, and the previous plan stays",
        };
        add(Kind::Policy, format!("{role}: its policy {what}: {reason}"));
    }
    for (why, shards) in by_text(&report.unowned) {
        add(Kind::Unowned, format!("{shards}: nobody acts: {why}"));
    }
    for moving in report.moving.iter().filter(|moving| moving.left_ms == 0) {
        add(
            Kind::Handoff,
            format!("{} {}: {}", moving.role, moving.shards, moving.text),
        );
    }
    problems
}

/// Nodes that do not renew their sessions. While a grace period is on, that is what they wait for.
fn silent(report: &Report, sight: &ClusterSnapshot) -> Vec<String> {
    let late = |id: &u32| NodeId::new(*id).and_then(|id| sight.late(id));
    let stale: Vec<(u32, u64)> = report
        .nodes
        .stale
        .iter()
        .filter_map(|id| Some((*id, late(id)?)))
        .collect();
    let shortest = stale.iter().map(|(_, renewed)| *renewed).min();
    match shortest {
        None => Vec::new(),
        Some(_) if report.grace.is_some() => Vec::new(),
        Some(shortest) if report.nodes.active.is_empty() => vec![format!(
            "no node has renewed its session for {}: the store takes no writes (a full disk, a lock, a replica that \
             is missing), or all nodes have crashed or are cut off from it. Their logs say which, and `shardwright \
             coordinator doctor` looks at the store",
            Span(shortest)
        )],
        Some(_) => stale
            .iter()
            .map(|(id, renewed)| missing(sight, *id, *renewed))
            .collect(),
    }
}

/// One node that does not renew, while others do.
fn missing(sight: &ClusterSnapshot, id: u32, renewed: u64) -> String {
    let acts = match sight.timing.holder().saturating_sub(renewed) {
        0 => "does not act any more".to_owned(),
        left => format!("stops acting in {} unless it does", Span(left)),
    };
    format!(
        "node {} has not renewed its session for {}: it crashed, hangs or is cut off, as its log may say. It {acts}, \
         and {}",
        sight.label(id),
        Span(renewed),
        takers(sight, renewed)
    )
}

/// What keeps many roles from being acted on is said once.
fn by_text(unowned: &[Unowned]) -> BTreeMap<&str, String> {
    let mut roles: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for Unowned { role, shards, text, .. } in unowned {
        roles.entry(text).or_default().push(format!("{role} {shards}"));
    }
    let named = |roles: Vec<String>| match roles.len().saturating_sub(ROLES) {
        0 => roles.join(", "),
        more => format!("{} and {more} more", roles[..ROLES].join(", ")),
    };
    roles.into_iter().map(|(text, roles)| (text, named(roles))).collect()
}
