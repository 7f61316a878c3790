//! How many shards each node has, is being given, and stands by for.

use crate::shards::RoleView;
use serde::Serialize;
use shardwright_core::role::Mode;
use std::collections::BTreeMap;

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
    /// Those of every node that has any.
    pub(crate) fn of(roles: &[RoleView<'_>]) -> BTreeMap<u32, Self> {
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
                        shard.primary.into_iter().for_each(|id| loads.entry(id).or_default().acting += 1);
                        shard.target.into_iter().for_each(|id| loads.entry(id).or_default().taking += 1);
                        others
                            .filter(|id| Some(*id) != shard.target)
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
