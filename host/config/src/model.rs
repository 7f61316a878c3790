//! What a configuration file says, once read.

use crate::preset::MailRoles;
use crate::secret::Secret;
use crate::stores::{ComponentSection, KafkaSection, NatsSection, RedisSection};
use serde::Serialize;
use shardwright_core::role::RoleSpec;
use shardwright_core::time::Timing;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Node ids end at 511 unless configured: they feed 9-bit snowflakes.
pub const DEFAULT_MAX_NODE_ID: u32 = 511;

/// The highest upper limit of node ids.
pub const HIGHEST_MAX_NODE_ID: u32 = 65_535;

/// One node's configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterConfig {
    /// The namespace: clusters of different names never meet, whatever they share.
    pub name: String,
    /// The id that this node insists on; `None` to lease the lowest free one.
    pub node_id: Option<u32>,
    /// The highest id a node may have.
    pub max_node_id: u32,
    /// Where the nodes meet.
    pub coordinator: CoordinatorConfig,
    /// With it, values and messages are authenticated and encrypted. At least 16 bytes.
    pub secret: Option<Secret>,
    /// Every role that exists, sorted by name.
    pub roles: Vec<RoleSpec>,
    /// Whether the mail server's roles are among them, and why.
    pub mail_roles: MailRoles,
    /// The durations of the protocol.
    pub timing: Timing,
    /// What is particular to this node.
    pub node: NodeConfig,
    /// The configured policies by name.
    pub policies: BTreeMap<String, PolicySection>,
    /// Where this node keeps what makes it the same node after a restart.
    pub state_dir: Option<PathBuf>,
    /// The mail server's public name. Shown; never used as this node's hostname, since several nodes share it.
    pub server_hostname: Option<String>,
}

/// What is particular to one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeConfig {
    /// Labels for selectors such as `disk=ssd`.
    pub labels: BTreeMap<String, String>,
    /// What fails together with this node; empty if unknown.
    pub zone: String,
    /// This node's share of the work relative to others; 0 takes nothing.
    pub capacity: u32,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            labels: BTreeMap::new(),
            zone: String::new(),
            capacity: 100,
        }
    }
}

/// Where the nodes of a cluster meet.
#[derive(Clone, Debug, PartialEq)]
pub enum CoordinatorConfig {
    /// A file shared by the processes of one machine; the default.
    Sqlite {
        /// The file; `None` for the default place.
        path: Option<PathBuf>,
    },
    /// Inside one process, for tests.
    Memory,
    /// A Redis server or several.
    Redis(RedisSection),
    /// A NATS server or several.
    Nats(NatsSection),
    /// Kafka brokers.
    Kafka(KafkaSection),
    /// Whatever an adapter, a WebAssembly component, speaks to.
    Component(ComponentSection),
    /// Zenoh: read and checked, as the mail server has it; no backend speaks it.
    Zenoh(ZenohSection),
}

impl CoordinatorConfig {
    /// The kind of backend, as in `type = "redis"`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Sqlite { .. } => "sqlite",
            Self::Memory => "memory",
            Self::Redis(_) => "redis",
            Self::Nats(_) => "nats",
            Self::Kafka(_) => "kafka",
            Self::Component(_) => "component",
            Self::Zenoh(_) => "zenoh",
        }
    }

    /// The id of the `[store."<id>"]` section of a coordinator that is a server or an adapter.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Sqlite { .. } | Self::Memory => None,
            Self::Redis(section) => Some(&section.id),
            Self::Nats(section) => Some(&section.id),
            Self::Kafka(section) => Some(&section.id),
            Self::Component(section) => Some(&section.id),
            Self::Zenoh(section) => Some(&section.id),
        }
    }
}

/// A `[store."<id>"]` section of type `zenoh`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZenohSection {
    /// Its id.
    pub id: String,
    /// A whole configuration as JSON5 text.
    pub config: Secret,
}

/// A `[policy."<name>"]` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicySection {
    /// The component's file; `None` for a bundled policy, of which only the budget is set.
    pub path: Option<PathBuf>,
    /// The SHA-256 that the file must have.
    pub digest: Option<[u8; 32]>,
    /// What a call may use.
    pub budget: Budget,
}

/// What one call of a policy may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Wall time in milliseconds.
    pub wall: u64,
    /// Wasm instructions, roughly; `None` for no limit but the time.
    pub fuel: Option<u64>,
    /// Bytes of memory for all that the call allocates.
    pub memory: u64,
    /// Bytes of the answer.
    pub output: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            wall: 1_000,
            fuel: None,
            memory: 256 << 20,
            output: 32 << 20,
        }
    }
}
