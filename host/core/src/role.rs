//! Roles: what work there is, in how many shards, and who may do it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most shards that one role may have: 2²⁰.
pub const MAX_SHARDS: u32 = 1 << 20;

/// A background role of the server and how it is divided.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RoleSpec {
    /// The role's name, as in `purge.accounts`.
    pub name: String,
    /// How many shards there are, 1 to [`MAX_SHARDS`].
    pub shards: u32,
    /// How many owners each shard should have.
    pub replicas: Replicas,
    /// Whether one owner acts or all do.
    pub mode: Mode,
    /// The name of the policy that assigns the shards: a bundled one or a `[policy."<name>"]` section.
    pub policy: String,
    /// The policy's own configuration, a JSON object as text; `{}` when there is none.
    pub config: String,
    /// Which nodes may own which shard.
    pub placement: Placement,
}

/// How many owners a shard should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Replicas {
    /// This many, primary included; at least 1.
    Count(u32),
    /// As many as there are candidates for it.
    Every,
}

/// Who acts among the owners of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// The first owner acts, the others stand by.
    Primary,
    /// Every owner acts.
    All,
}

/// Which nodes may own the shards of a role.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Placement {
    /// Any node, any shard.
    Anywhere,
    /// Any shard, on the nodes that one of these names.
    Nodes(Vec<Member>),
    /// Shard `i` on the nodes that group `i` names, in its order; as many groups as shards.
    Groups(Vec<Vec<Member>>),
}

/// A node named directly or by a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Member {
    /// The node of this id.
    Node(u32),
    /// Every node whose label `key` has this `value`; `zone` is the node's zone.
    Label {
        /// The label's key.
        key: String,
        /// The value it must have.
        value: String,
    },
}

impl Member {
    /// Whether the node of this id, zone and labels is meant.
    #[must_use]
    pub fn matches(&self, id: u32, zone: &str, labels: &BTreeMap<String, String>) -> bool {
        match self {
            Self::Node(n) => *n == id,
            Self::Label { key, value } if key == "zone" && !labels.contains_key("zone") => zone == value,
            Self::Label { key, value } => labels.get(key) == Some(value),
        }
    }
}
