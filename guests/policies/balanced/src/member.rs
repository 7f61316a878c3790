//! The nodes that take part, with what the algorithm needs of them.

use shardwright_guest::{Members, Snapshot, SnapshotStatus, hash, zone};

/// A node that may own shards, known to the algorithm by its position in [`Context::members`].
pub(crate) struct Member {
    pub(crate) id: u32,
    pub(crate) weight: u32,
    /// Number of its zone.
    pub(crate) zone: u32,
    pub(crate) standing: Standing,
    /// Decides between equals.
    pub(crate) tie: u64,
}

/// What may happen to a member.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Gains and loses.
    Full,
    /// Away: loses, if its quota shrinks, but gains nothing.
    Away,
    /// Cordoned: neither.
    Fixed,
}

/// Everybody who takes part, and how they are spread.
pub(crate) struct Context {
    /// Sorted by id.
    pub(crate) members: Vec<Member>,
    pub(crate) lookup: Members,
    /// How many zones there are; 1 if spreading over them says nothing that distinct owners do not.
    pub(crate) zones: u32,
    /// Whether each shard has candidates of its own.
    pub(crate) listed: bool,
    /// What hashes depend on: the cluster's seed and the role.
    pub(crate) seed: u64,
}

impl Context {
    pub(crate) fn new(snapshot: &Snapshot) -> Self {
        let role = &snapshot.role;
        let seed = hash::text(snapshot.seed, &role.name);
        let listed = role.candidate_ends.len() > 1;
        let everywhere = if listed { None } else { role.candidates_of(0) };
        let mut nodes: Vec<_> = (snapshot.nodes.iter())
            .filter(|node| node.capacity > 0 && node.status != SnapshotStatus::Draining)
            .filter(|node| everywhere.is_none_or(|ids| ids.contains(&node.id)))
            .collect();
        nodes.sort_unstable_by_key(|node| node.id);
        let (mut numbers, mut zones) = zone::numbered(nodes.iter().map(|node| node.zone.as_str()));
        if zones as usize == nodes.len() {
            numbers.fill(0);
            zones = 1;
        }
        let members: Vec<Member> = nodes
            .iter()
            .zip(numbers)
            .map(|(node, zone)| Member {
                id: node.id,
                weight: node.capacity,
                zone,
                standing: match node.status {
                    SnapshotStatus::Active => Standing::Full,
                    SnapshotStatus::Away => Standing::Away,
                    SnapshotStatus::Cordoned | SnapshotStatus::Draining => Standing::Fixed,
                },
                tie: hash::mix(seed ^ hash::mix(u64::from(node.id))),
            })
            .collect();
        let lookup = Members::new(members.iter().map(|member| member.id));
        Self {
            members,
            lookup,
            zones,
            listed,
            seed,
        }
    }

    pub(crate) fn gains(&self, member: u32) -> bool {
        self.members[member as usize].standing == Standing::Full
    }

    /// Whether the node of this id, 0 for none, may be given shards.
    pub(crate) fn gains_id(&self, id: u32) -> bool {
        self.members
            .get(self.lookup.position(id) as usize)
            .is_some_and(|member| member.standing == Standing::Full)
    }

    pub(crate) fn zone(&self, member: u32) -> u32 {
        self.members[member as usize].zone
    }
}
