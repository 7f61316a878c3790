//! The types of `wit/policy/0.1.0` as Wasmtime passes them.
//!
//! What goes in is borrowed from the snapshot: lists of numbers are copied once, from the host's memory to the guest's.
//! What comes out is copied once too, after Wasmtime has made sure that it does not exceed the budget.

use crate::fault::Refusal;
use shardwright_core::role::Mode;
use shardwright_core::snapshot::{Answer, Proposal, Snapshot, SnapshotNode, SnapshotStatus, Trigger, Unplaced};
use wasmtime::component::{ComponentType, Lift, Lower};

/// The interface that a policy exports.
pub(crate) const INTERFACE: &str = "shardwright:policy/assignment@0.1.0";

pub(crate) type Describe = (Description,);
pub(crate) type Validate = (Result<(), ErrorOut>,);
pub(crate) type Assign = (Result<AnswerOut, ErrorOut>,);

/// What a policy says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, ComponentType, Lift)]
#[component(record)]
pub struct Description {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it does, in a sentence.
    pub summary: String,
    /// What of a snapshot it takes into account: words like `capacity`, `zones`.
    pub considers: Vec<String>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct SnapshotIn<'a> {
    epoch: u64,
    now: u64,
    seed: u64,
    trigger: TriggerIn,
    nodes: &'a [NodeIn<'a>],
    role: RoleIn<'a>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct NodeIn<'a> {
    id: u32,
    hostname: &'a str,
    status: StatusIn,
    zone: &'a str,
    labels: &'a [(String, String)],
    capacity: u32,
    joined: u64,
    assigned: u32,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct RoleIn<'a> {
    name: &'a str,
    shards: u32,
    replicas: u32,
    mode: ModeIn,
    candidates: &'a [u32],
    #[component(name = "candidate-ends")]
    candidate_ends: &'a [u32],
    previous: &'a [u32],
    holders: &'a [u32],
    targets: &'a [u32],
    loads: &'a [u32],
}

#[derive(Clone, Copy, ComponentType, Lower)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum TriggerIn {
    #[component(name = "start")]
    Start,
    #[component(name = "join")]
    Join,
    #[component(name = "leave")]
    Leave,
    #[component(name = "orders")]
    Orders,
    #[component(name = "config")]
    Config,
    #[component(name = "manual")]
    Manual,
}

#[derive(Clone, Copy, ComponentType, Lower)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum StatusIn {
    #[component(name = "active")]
    Active,
    #[component(name = "away")]
    Away,
    #[component(name = "cordoned")]
    Cordoned,
    #[component(name = "draining")]
    Draining,
}

#[derive(Clone, Copy, ComponentType, Lower)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum ModeIn {
    #[component(name = "primary")]
    Primary,
    #[component(name = "all")]
    All,
}

/// The nodes of a snapshot, to be lent to [`snapshot`].
pub(crate) fn nodes(nodes: &[SnapshotNode]) -> Vec<NodeIn<'_>> {
    nodes.iter().map(node).collect()
}

fn node(node: &SnapshotNode) -> NodeIn<'_> {
    NodeIn {
        id: node.id,
        hostname: &node.hostname,
        status: match node.status {
            SnapshotStatus::Active => StatusIn::Active,
            SnapshotStatus::Away => StatusIn::Away,
            SnapshotStatus::Cordoned => StatusIn::Cordoned,
            SnapshotStatus::Draining => StatusIn::Draining,
        },
        zone: &node.zone,
        labels: &node.labels,
        capacity: node.capacity,
        joined: node.joined,
        assigned: node.assigned,
    }
}

/// A snapshot as the component takes it.
pub(crate) fn snapshot<'a>(snapshot: &'a Snapshot, nodes: &'a [NodeIn<'a>]) -> SnapshotIn<'a> {
    let role = &snapshot.role;
    SnapshotIn {
        epoch: snapshot.epoch,
        now: snapshot.now,
        seed: snapshot.seed,
        trigger: match snapshot.trigger {
            Trigger::Start => TriggerIn::Start,
            Trigger::Join => TriggerIn::Join,
            Trigger::Leave => TriggerIn::Leave,
            Trigger::Orders => TriggerIn::Orders,
            Trigger::Config => TriggerIn::Config,
            Trigger::Manual => TriggerIn::Manual,
        },
        nodes,
        role: RoleIn {
            name: &role.name,
            shards: role.shards,
            replicas: role.replicas,
            mode: match role.mode {
                Mode::Primary => ModeIn::Primary,
                Mode::All => ModeIn::All,
            },
            candidates: &role.candidates,
            candidate_ends: &role.candidate_ends,
            previous: &role.previous,
            holders: &role.holders,
            targets: &role.targets,
            loads: &role.loads,
        },
    }
}

/// What a policy answers to `assign`.
#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum AnswerOut {
    #[component(name = "plan")]
    Plan(ProposalOut),
    #[component(name = "keep-previous")]
    KeepPrevious,
    #[component(name = "retry-after")]
    RetryAfter(u32),
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct ProposalOut {
    owners: Vec<u32>,
    unplaced: Vec<UnplacedOut>,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct UnplacedOut {
    shard: u32,
    reason: String,
}

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum ErrorOut {
    #[component(name = "invalid-config")]
    InvalidConfig(String),
    #[component(name = "unsatisfiable")]
    Unsatisfiable(String),
    #[component(name = "other")]
    Other(String),
}

impl From<AnswerOut> for Answer {
    fn from(answer: AnswerOut) -> Self {
        match answer {
            AnswerOut::Plan(ProposalOut { owners, unplaced }) => {
                let unplaced = unplaced
                    .into_iter()
                    .map(|UnplacedOut { shard, reason }| Unplaced { shard, reason })
                    .collect();
                Self::Plan(Proposal { owners, unplaced })
            }
            AnswerOut::KeepPrevious => Self::KeepPrevious,
            AnswerOut::RetryAfter(ms) => Self::RetryAfter(ms),
        }
    }
}

impl From<ErrorOut> for Refusal {
    fn from(error: ErrorOut) -> Self {
        match error {
            ErrorOut::InvalidConfig(reason) => Self::InvalidConfig(short(&reason)),
            ErrorOut::Unsatisfiable(reason) => Self::Unsatisfiable(short(&reason)),
            ErrorOut::Other(reason) => Self::Other(short(&reason)),
        }
    }
}

impl Description {
    /// What is kept of it.
    pub(crate) fn shortened(&self) -> Self {
        Self {
            name: short(&self.name),
            version: short(&self.version),
            summary: short(&self.summary),
            considers: self.considers.iter().take(CONSIDERS).map(|word| short(word)).collect(),
        }
    }
}

/// The longest text of a policy that is kept, in bytes: these go into logs and to operators.
const TEXT: usize = 1024;
/// The most words about what it takes into account.
const CONSIDERS: usize = 64;

/// The beginning of `text`, if it is long.
fn short(text: &str) -> String {
    if text.len() <= TEXT {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(TEXT)])
}
