//! What a policy is asked and what it answers: the host side of `wit/policy`.
//!
//! A snapshot is complete and canonical: nodes sorted by id, labels by key, so the same state gives the same bytes.

use crate::role::{MAX_SHARDS, Mode};
use serde::{Deserialize, Serialize};

/// Everything that an assignment may depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Snapshot {
    /// Number of the last accepted plan of this role; 0 before the first.
    pub epoch: u64,
    /// Milliseconds since the Unix epoch on the coordinator's clock.
    pub now: u64,
    /// Breaks ties: the same for all policies of a cluster, constant over its life.
    pub seed: u64,
    /// Why the policy is asked.
    pub trigger: Trigger,
    /// The nodes, sorted by id, without repetition.
    pub nodes: Vec<SnapshotNode>,
    /// The role whose shards are to be assigned.
    pub role: SnapshotRole,
}

/// The most places, shards × replicas, that a snapshot may have.
const MAX_PLACES: u64 = 1 << 26;

impl Snapshot {
    /// What a host would never ask, in a sentence that names the field; `None` if it could be one of a host's.
    #[must_use]
    pub fn contradiction(&self) -> Option<String> {
        let role = &self.role;
        if !(1..=MAX_SHARDS).contains(&role.shards) {
            return Some(format!("role.shards is {}, and must be 1 to {MAX_SHARDS}", role.shards));
        }
        let places = u64::from(role.shards) * u64::from(role.replicas);
        if role.replicas == 0 || places > MAX_PLACES {
            return Some(format!(
                "role.replicas is {}, and must be at least 1 and give at most {MAX_PLACES} places",
                role.replicas
            ));
        }
        if self.nodes.first().is_some_and(|node| node.id == 0) {
            return Some("a node's id is 0; ids begin at 1".to_owned());
        }
        if let Some(pair) = self.nodes.windows(2).find(|pair| pair[0].id >= pair[1].id) {
            return Some(format!(
                "nodes must be sorted by id without repetition, and {} comes before {}",
                pair[0].id, pair[1].id
            ));
        }
        let lists = [
            ("previous", role.previous.len(), places),
            ("holders", role.holders.len(), u64::from(role.shards)),
            ("targets", role.targets.len(), u64::from(role.shards)),
            ("loads", role.loads.len(), u64::from(role.shards)),
        ];
        if let Some((name, found, wanted)) = lists
            .into_iter()
            .find(|&(_, found, wanted)| found != 0 && found as u64 != wanted)
        {
            return Some(format!(
                "role.{name} has {found} elements, and must have {wanted} or none"
            ));
        }
        let ends = &role.candidate_ends;
        if ends.len() > 1 && ends.len() != role.shards as usize {
            return Some(format!(
                "role.candidate-ends has {} elements, and must have none, one, or one for each of {} shards",
                ends.len(),
                role.shards
            ));
        }
        let listed = u32::try_from(role.candidates.len()).unwrap_or(u32::MAX);
        if ends.is_sorted() && ends.last().copied().unwrap_or(0) == listed {
            return None;
        }
        Some(format!(
            "role.candidate-ends must rise to the number of role.candidates, {listed}"
        ))
    }
}

/// Why a policy is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trigger {
    /// The role has no plan yet.
    Start,
    /// A node joined or came back after it had lost its place.
    Join,
    /// A node has been away for longer than the rejoin delay, or was forgotten.
    Leave,
    /// An operator drained, undrained, cordoned or uncordoned a node, or its labels, zone or capacity changed.
    Orders,
    /// The role's settings or its policy changed.
    Config,
    /// Somebody asked for it.
    Manual,
}

/// A node as a policy sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SnapshotNode {
    /// The node's id, ≥ 1.
    pub id: u32,
    /// Its hostname.
    pub hostname: String,
    /// Whether it can take shards.
    pub status: SnapshotStatus,
    /// Its zone; empty if it has none.
    #[serde(default)]
    pub zone: String,
    /// Its labels, sorted by key.
    #[serde(default)]
    pub labels: Vec<(String, String)>,
    /// Its share of the work relative to others; 0 takes nothing. 100 unless configured.
    pub capacity: u32,
    /// When its present session began (or its last one, if it is away), milliseconds since the Unix epoch on the
    /// coordinator's clock.
    pub joined: u64,
    /// Primaries of other roles that it holds.
    #[serde(default)]
    pub assigned: u32,
}

/// A node's status as far as a policy is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SnapshotStatus {
    /// Alive, may be given shards.
    Active,
    /// Its session has ended, but less than the rejoin delay ago: it keeps its place, and the host lets others act
    /// meanwhile.
    Away,
    /// Keeps what it has; is given nothing more.
    Cordoned,
    /// Is to be emptied.
    Draining,
}

/// A role as a policy sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SnapshotRole {
    /// The role's name.
    pub name: String,
    /// Number of shards, ≥ 1.
    pub shards: u32,
    /// Width of an owner row: owners wanted for each shard, ≥ 1.
    pub replicas: u32,
    /// Who acts among the owners.
    pub mode: Mode,
    /// The candidates of all shards, one shard after another, in order of preference. Empty together with
    /// `candidate-ends` if every node may own every shard.
    #[serde(default)]
    pub candidates: Vec<u32>,
    /// For each shard, where its candidates end in `candidates`. With a single element, the list holds for all shards.
    #[serde(default)]
    pub candidate_ends: Vec<u32>,
    /// The owner rows of the last accepted plan, row-major, `shards × replicas` ids, 0 for none; or empty.
    #[serde(default)]
    pub previous: Vec<u32>,
    /// Who acts on each shard at the moment, 0 for nobody; or empty.
    #[serde(default)]
    pub holders: Vec<u32>,
    /// Where each shard is moving, 0 for nowhere; or empty.
    #[serde(default)]
    pub targets: Vec<u32>,
    /// A relative load for each shard, 0 for unknown; or empty.
    #[serde(default)]
    pub loads: Vec<u32>,
}

impl SnapshotRole {
    /// The candidates of `shard`, or `None` if every node is one.
    #[must_use]
    pub fn candidates_of(&self, shard: u32) -> Option<&[u32]> {
        candidates_of(&self.candidates, &self.candidate_ends, shard)
    }
}

/// The candidates of `shard` in flat lists of ids and ends as [`SnapshotRole`] has them, or `None` if every node is
/// one.
#[must_use]
pub fn candidates_of<'a>(ids: &'a [u32], ends: &[u32], shard: u32) -> Option<&'a [u32]> {
    match ends {
        [] => None,
        [end] => ids.get(..*end as usize),
        ends => {
            let shard = shard as usize;
            let start = if shard == 0 { 0 } else { *ends.get(shard - 1)? as usize };
            ids.get(start..*ends.get(shard)? as usize)
        }
    }
}

/// What a policy answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// These owners.
    Plan(Proposal),
    /// Leave everything as it is.
    KeepPrevious,
    /// Not now: ask again after this many milliseconds.
    RetryAfter(u32),
}

/// A policy's plan before the host has checked it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Proposal {
    /// Owner rows, row-major, exactly `shards × replicas` ids, primary first; 0 fills the end of a short row.
    pub owners: Vec<u32>,
    /// Shards that the policy left without any owner, with the reason.
    #[serde(default)]
    pub unplaced: Vec<Unplaced>,
}

/// A shard that a policy could not place.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Unplaced {
    /// The shard.
    pub shard: u32,
    /// Why nobody can own it.
    pub reason: String,
}
