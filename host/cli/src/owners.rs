//! Who may own which shard of a role, by the rules of the leader.

use crate::cluster::ClusterSnapshot;
use crate::shards::{RoleView, Shard};
use shardwright_core::check::takes_new;
use shardwright_core::inputs;
use shardwright_core::role::{Member, Placement};
use shardwright_core::snapshot::{SnapshotNode, SnapshotStatus, candidates_of};

/// The live nodes as owners of one role's shards.
pub(crate) struct Owners {
    nodes: Vec<SnapshotNode>,
    candidates: Vec<u32>,
    ends: Vec<u32>,
}

impl Owners {
    /// As the store and the configuration say. Without a configuration nobody knows where a role may be: anywhere,
    /// then.
    pub(crate) fn of(role: &RoleView<'_>, sight: &ClusterSnapshot) -> Self {
        let prevailing = sight.view.prevailing().unwrap_or_default();
        let (mut nodes, _) = inputs::members(&sight.view, prevailing, &sight.timing, &sight.clock, sight.here);
        nodes.retain(|node| node.status != SnapshotStatus::Away);
        let (candidates, ends) = role
            .spec
            .map_or_else(Default::default, |spec| inputs::candidates(spec, &nodes));
        Self {
            nodes,
            candidates,
            ends,
        }
    }

    /// Whether anybody but `without` may be given the shard: as an owner in its row, or as one who stands in.
    pub(crate) fn any(&self, shard: &Shard, without: &[u32]) -> bool {
        self.nodes.iter().any(|node| {
            let stays = node.capacity > 0 && node.status != SnapshotStatus::Draining;
            let placed = shard.row.contains(&node.id) || (takes_new(node) && self.may(shard.shard, node.id));
            stays && placed && !without.contains(&node.id)
        })
    }

    fn may(&self, shard: u32, node: u32) -> bool {
        candidates_of(&self.candidates, &self.ends, shard).is_none_or(|ids| ids.contains(&node))
    }

    /// Why nobody may be given the shard.
    pub(crate) fn refusal(&self, role: &RoleView<'_>, shard: &Shard, sight: &ClusterSnapshot) -> String {
        let wanted = match role.spec.map(|spec| &spec.placement) {
            None | Some(Placement::Anywhere) => None,
            Some(Placement::Nodes(group)) => Some(group),
            Some(Placement::Groups(groups)) => groups.get(shard.shard as usize),
        };
        let there = self
            .nodes
            .iter()
            .filter(|node| self.may(shard.shard, node.id))
            .map(|node| {
                let why = match node.status {
                    SnapshotStatus::Draining => "is draining",
                    SnapshotStatus::Cordoned => "is cordoned",
                    _ => "has capacity 0",
                };
                format!("{} {why}", sight.label(node.id))
            });
        let there: Vec<_> = there.collect();
        let only = wanted.map_or_else(String::new, |group| format!(" it is for {} only", members(group)));
        match (there.is_empty(), wanted) {
            (true, None) => "no node is there that may own it".to_owned(),
            (true, Some(_)) => format!("no node is there that may own it:{only}"),
            (false, None) => format!("no node may take it: {}", there.join(", ")),
            (false, Some(_)) => format!("no node may take it:{only}, and {}", there.join(", ")),
        }
    }
}

fn members(group: &[Member]) -> String {
    let name = |member: &Member| match member {
        Member::Node(id) => format!("node {id}"),
        Member::Label { key, value } => format!("nodes with {key}={value}"),
    };
    group.iter().map(name).collect::<Vec<_>>().join(", ")
}
