//! The facts of a cluster's state, as `status -o json` prints them: a contract, described in docs/operating.md.

use super::problems::{self, Kind, Problem};
use super::settings::{self, Differing};
use super::why::{self, Moving, Unowned};
use crate::cluster::{Cluster, ClusterSnapshot};
use crate::nodes::{Load, rfc3339};
use crate::shards::{self, RoleView, State};
use serde::Serialize;
use shardwright_config::ClusterConfig;
use shardwright_core::engine::{Ending, NodeRecord, Status};
use shardwright_core::human::Span;
use shardwright_core::values::Failing;
use std::time::{Duration, SystemTime};

/// Everything that is told.
#[derive(Serialize)]
pub(super) struct Report {
    pub(super) cluster: String,
    /// Whether all is well.
    pub(super) ok: bool,
    pub(super) coordinator: Coordinator,
    /// Null if nobody leads.
    pub(super) leader: Option<Leader>,
    /// Null unless nothing is granted for a while.
    pub(super) grace: Option<Grace>,
    pub(super) nodes: Nodes,
    pub(super) settings: Vec<Differing>,
    pub(super) policies: Vec<Policy>,
    pub(super) roles: Vec<Role>,
    pub(super) moving: Vec<Moving>,
    pub(super) unowned: Vec<Unowned>,
    /// What is not well, one by one.
    pub(super) problems: Vec<Problem>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Coordinator {
    pub(super) kind: String,
    pub(super) location: Option<String>,
    pub(super) reachable: bool,
    /// Why not.
    pub(super) error: Option<String>,
    pub(super) latency_ms: Option<u64>,
    /// Which history the store has, and since when.
    pub(super) history: Option<String>,
    pub(super) history_since: Option<String>,
    /// Its clock, and how far that is ahead of this machine's.
    pub(super) clock: Option<String>,
    pub(super) clock_ahead_ms: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Leader {
    pub(super) node_id: u32,
    pub(super) hostname: String,
    pub(super) since: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Grace {
    pub(super) left_ms: u64,
}

/// Ids, by what is the matter with the node. One may be in several lists.
#[derive(Default, Serialize)]
pub(super) struct Nodes {
    pub(super) active: Vec<u32>,
    /// Not renewed in time, and not ended yet.
    pub(super) stale: Vec<u32>,
    pub(super) left: Vec<u32>,
    pub(super) expired: Vec<u32>,
    pub(super) draining: Vec<u32>,
    pub(super) drained: Vec<u32>,
    pub(super) cordoned: Vec<u32>,
    pub(super) differing: Vec<u32>,
}

/// A policy that fails.
#[derive(Serialize)]
pub(super) struct Policy {
    pub(super) role: String,
    /// Null without a configuration.
    pub(super) policy: Option<String>,
    pub(super) suspended: bool,
    pub(super) reason: String,
}

#[derive(Serialize)]
pub(super) struct Role {
    pub(super) role: String,
    pub(super) shards: usize,
    pub(super) held: usize,
    pub(super) moving: usize,
    pub(super) unowned: usize,
}

impl Report {
    /// Of a coordinator that does not answer: nothing else is known.
    pub(super) fn silent(config: &ClusterConfig, error: &str) -> Self {
        let coordinator = Coordinator {
            kind: config.coordinator.kind().to_owned(),
            location: None,
            reachable: false,
            error: Some(error.to_owned()),
            latency_ms: None,
            history: None,
            history_since: None,
            clock: None,
            clock_ahead_ms: None,
        };
        let text = format!(
            "the coordinator does not answer: {error}. Without it no node acts for longer than {} after its last \
             renewal; when it answers again, they go on by themselves",
            Span(config.timing.holder())
        );
        Self {
            cluster: config.name.clone(),
            ok: false,
            coordinator,
            leader: None,
            grace: None,
            nodes: Nodes::default(),
            settings: Vec::new(),
            policies: Vec::new(),
            roles: Vec::new(),
            moving: Vec::new(),
            unowned: Vec::new(),
            problems: vec![Problem {
                kind: Kind::Coordinator,
                text,
            }],
        }
    }

    pub(super) fn of(cluster: &Cluster, sight: &ClusterSnapshot, latency: Duration) -> Self {
        let roles = shards::roles(cluster, sight);
        let policies = policies(&roles, sight);
        let (mut moving, mut unowned, mut counts) = (Vec::new(), Vec::new(), Vec::new());
        for role in &roles {
            let all = role.every_shard();
            let failing = policies.iter().find(|policy| policy.role == role.name);
            let nobody = why::unowned(role, &all, sight, failing.map(|policy| policy.reason.as_str()));
            let held = all.iter().filter(|shard| shard.state == State::Held).count();
            let on_the_way = all.iter().filter(|shard| shard.state == State::Moving).count();
            counts.push(Role {
                role: role.name.clone(),
                shards: all.len(),
                held,
                moving: on_the_way,
                unowned: nobody.iter().map(|unowned| unowned.count).sum(),
            });
            moving.extend(why::moving(role, &all, sight));
            unowned.extend(nobody);
        }
        let mut report = Self {
            cluster: cluster.config.name.clone(),
            ok: true,
            coordinator: coordinator(cluster, sight, latency),
            leader: leader(sight),
            grace: sight.grace().map(|left_ms| Grace { left_ms }),
            nodes: nodes(sight, &roles),
            settings: settings::differing(sight),
            policies,
            roles: counts,
            moving,
            unowned,
            problems: Vec::new(),
        };
        report.problems = problems::of(&report, sight);
        report.ok = report.problems.is_empty();
        report
    }
}

fn coordinator(cluster: &Cluster, sight: &ClusterSnapshot, latency: Duration) -> Coordinator {
    let here = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let ahead = i128::from(sight.now.0) - i128::try_from(here.as_millis()).unwrap_or_default();
    let meta = sight.view.meta.as_ref();
    Coordinator {
        kind: cluster.kind().to_owned(),
        location: Some(cluster.place()),
        reachable: true,
        error: None,
        latency_ms: u64::try_from(latency.as_millis()).ok(),
        history: meta.map(|meta| meta.value.history.to_string()),
        history_since: meta.map(|meta| rfc3339(meta.written)),
        clock: Some(rfc3339(sight.now)),
        clock_ahead_ms: i64::try_from(ahead).ok(),
    }
}

fn leader(sight: &ClusterSnapshot) -> Option<Leader> {
    let id = sight.view.leader()?;
    Some(Leader {
        node_id: id.get(),
        hostname: sight
            .record(id)
            .map_or_else(|_| String::new(), |record| record.hostname.clone()),
        since: sight.view.leader.as_ref().map(|entry| rfc3339(entry.written)),
    })
}

fn nodes(sight: &ClusterSnapshot, roles: &[RoleView<'_>]) -> Nodes {
    let loads = Load::of(roles, sight);
    let empty = |record: &NodeRecord| loads.get(&record.node_id.get()).is_none_or(|load| load.is_empty());
    let ids = |is: &dyn Fn(&NodeRecord) -> bool| -> Vec<u32> {
        let those = sight.records.iter().filter(|record| is(record));
        those.map(|record| record.node_id.get()).collect()
    };
    Nodes {
        active: ids(&|record| {
            record.ended.is_none() && record.status == Status::Active && sight.late(record.node_id).is_none()
        }),
        stale: ids(&|record| {
            record.ended.is_none() && (record.status != Status::Active || sight.late(record.node_id).is_some())
        }),
        left: ids(&|record| record.ended == Some(Ending::Left)),
        expired: ids(&|record| record.ended == Some(Ending::Expired)),
        draining: ids(&|record| record.info.drain && !empty(record)),
        drained: ids(&|record| record.info.drain && empty(record)),
        cordoned: ids(&|record| record.info.cordon),
        differing: ids(&|record| sight.differing.contains(&record.node_id)),
    }
}

/// Those that the present leader says fail: of a former one it is out of date.
fn policies(roles: &[RoleView<'_>], sight: &ClusterSnapshot) -> Vec<Policy> {
    let leading = sight
        .view
        .leader
        .as_ref()
        .filter(|_| sight.view.leader().is_some())
        .map(|entry| entry.value.session);
    let told = sight.view.policies.as_ref().map(|entry| &entry.value);
    let told = told.filter(|told| Some(told.session) == leading);
    let policy = |failing: &Failing| Policy {
        role: failing.role.clone(),
        policy: roles
            .iter()
            .find(|role| role.name == failing.role)
            .and_then(|role| Some(role.spec?.policy.clone())),
        suspended: failing.suspended,
        reason: failing.reason.clone(),
    };
    told.map_or_else(Vec::new, |told| told.failing.iter().map(policy).collect())
}
