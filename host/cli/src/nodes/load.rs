//! How many shards each node has, is being given, and stands by for.

use crate::cluster::ClusterSnapshot;
use crate::shards::RoleView;
use serde::Serialize;
use shardwright_core::id::NodeId;
use shardwright_core::role::Mode;
use std::collections::{BTreeMap, BTreeSet};

/// The shards of one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Load {
    /// It acts on so many.
    pub(crate) acting: u32,
    /// So many are on their way to it.
    pub(crate) taking: u32,
    /// It is an owner of so many others, and takes them over when their turn comes.
    pub(crate) standby: u32,
}

impl Load {
    /// Those of every node that has any. Who is gone stands by for nothing, though it may find its place again.
    pub(crate) fn of(roles: &[RoleView<'_>], sight: &ClusterSnapshot) -> BTreeMap<u32, Self> {
        let live: BTreeSet<u32> = sight.view.live().map(NodeId::get).collect();
        let mut loads: BTreeMap<u32, Self> = BTreeMap::new();
        for role in roles {
            for shard in role.shards() {
                let others = shard.standbys.iter().copied();
                match role.mode() {
                    Mode::All => shard
                        .primary
                        .into_iter()
                        .chain(others)
                        .for_each(|id| loads.entry(id).or_default().acting += 1),
                    Mode::Primary => {
                        shard
                            .primary
                            .into_iter()
                            .for_each(|id| loads.entry(id).or_default().acting += 1);
                        shard
                            .target
                            .into_iter()
                            .for_each(|id| loads.entry(id).or_default().taking += 1);
                        others
                            .filter(|id| Some(*id) != shard.target && live.contains(id))
                            .for_each(|id| loads.entry(id).or_default().standby += 1);
                    }
                }
            }
        }
        loads
    }

    /// Whether nothing is there, nor on its way.
    pub(crate) fn is_empty(self) -> bool {
        self.acting == 0 && self.taking == 0
    }
}
