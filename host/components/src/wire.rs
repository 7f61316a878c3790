//! The types of `wit/policy/0.1.0` as Wasmtime passes them.
//!
//! What goes in is borrowed from the snapshot: lists of numbers are copied once, from the host's memory to the guest's. What comes out stays
//! in the guest's memory until its size has been checked.

use shardwright_core::role::Mode;
use shardwright_core::snapshot::{Snapshot, SnapshotNode, SnapshotStatus, Trigger};
use wasmtime::component::{ComponentType, Lift, Lower, WasmList, WasmStr};

/// The interface that a policy exports.
pub(crate) const INTERFACE: &str = "shardwright:policy/assignment@0.1.0";

pub(crate) type Describe = (RawDescription,);
pub(crate) type Validate = (Result<(), RawError>,);
pub(crate) type Assign = (Result<RawAnswer, RawError>,);

/// What a policy says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it does, in a sentence.
    pub summary: String,
    /// What of a snapshot it takes into account: words like `capacity`, `zones`.
    pub honours: Vec<String>,
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

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct RawDescription {
    pub(crate) name: WasmStr,
    pub(crate) version: WasmStr,
    pub(crate) summary: WasmStr,
    pub(crate) honours: WasmList<WasmStr>,
}

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum RawAnswer {
    #[component(name = "plan")]
    Plan(RawProposal),
    #[component(name = "keep-previous")]
    KeepPrevious,
    #[component(name = "retry-after")]
    RetryAfter(u32),
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct RawProposal {
    pub(crate) owners: WasmList<u32>,
    pub(crate) unplaced: WasmList<RawUnplaced>,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct RawUnplaced {
    pub(crate) shard: u32,
    pub(crate) reason: WasmStr,
}

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum RawError {
    #[component(name = "invalid-config")]
    InvalidConfig(WasmStr),
    #[component(name = "unsatisfiable")]
    Unsatisfiable(WasmStr),
    #[component(name = "other")]
    Other(WasmStr),
}
