//! Writing a plan row by row.

use crate::{Proposal, SnapshotRole, Unplaced};

impl Proposal {
    /// A plan for `role` in which nobody owns anything yet.
    #[must_use]
    pub fn empty(role: &SnapshotRole) -> Self {
        Self {
            owners: vec![0; role.shards as usize * role.replicas as usize],
            unplaced: Vec::new(),
        }
    }

    /// Makes `owners` the owners of `shard`, primary first; what exceeds the role's replicas is left out.
    ///
    /// # Panics
    /// If the role has no such shard.
    pub fn place(&mut self, role: &SnapshotRole, shard: u32, owners: impl IntoIterator<Item = u32>) {
        let width = role.replicas as usize;
        let row = &mut self.owners[shard as usize * width..][..width];
        row.fill(0);
        for (slot, owner) in row.iter_mut().zip(owners) {
            *slot = owner;
        }
    }

    /// The same plan, with every shard that has no owner listed as unplaced for the `reason` given.
    #[must_use]
    pub fn explained(mut self, role: &SnapshotRole, reason: impl Fn(u32) -> String) -> Self {
        let rows = self.owners.chunks_exact(role.replicas.max(1) as usize);
        self.unplaced = (0..)
            .zip(rows)
            .filter(|(_, row)| row[0] == 0)
            .map(|(shard, _)| Unplaced {
                shard,
                reason: reason(shard),
            })
            .collect();
        self
    }
}

impl SnapshotRole {
    /// The candidates of `shard`, or `None` if every node is one.
    #[must_use]
    pub fn candidates_of(&self, shard: u32) -> Option<&[u32]> {
        let range = match self.candidate_ends.as_slice() {
            [] => return None,
            [end] => 0..*end as usize,
            ends => {
                let start = if shard == 0 {
                    0
                } else {
                    ends.get(shard as usize - 1).map_or(0, |&end| end as usize)
                };
                start..ends.get(shard as usize).map_or(start, |&end| end as usize)
            }
        };
        Some(self.candidates.get(range).unwrap_or_default())
    }
}
