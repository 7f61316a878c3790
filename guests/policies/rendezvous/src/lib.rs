//! `rendezvous`: the owners of a shard follow from the nodes alone, whatever the previous plan was.
//!
//! Weighted rendezvous hashing: each node gets its share of the shards on average, a node that leaves moves its own
//! shards only, and two clusters with the same nodes and seed agree. Owners of a shard are spread over zones first.
//! With few shards the shares are uneven, by the nature of hashing: prefer `balanced` unless independence of history
//! matters.
//!
//! It costs one hash for each shard and node.

use shardwright_guest::rendezvous::{Chooser, Node};
use shardwright_guest::{
    Answer, Description, Members, Policy, PolicyError, Proposal, Snapshot, SnapshotStatus, config, considers, hash,
    zone,
};

/// The policy.
pub struct Rendezvous;

impl Policy for Rendezvous {
    fn describe() -> Description {
        Description {
            name: "rendezvous".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Weighted rendezvous hashing: the owners follow from the nodes alone.".into(),
            considers: considers(&["candidates", "capacity", "replicas", "zones"]),
        }
    }

    fn validate(config: &str) -> Result<(), PolicyError> {
        config::none(config)
    }

    fn assign(_config: &str, snapshot: &Snapshot) -> Result<Answer, PolicyError> {
        let role = &snapshot.role;
        let seed = hash::text(snapshot.seed, &role.name);
        let nodes = eligible(snapshot);
        let lookup = Members::new(nodes.iter().map(|node| node.id));
        let among = |ids: &[u32]| -> Chooser {
            let mut listed: Vec<Node> = ids
                .iter()
                .filter_map(|&id| nodes.get(lookup.position(id) as usize).copied())
                .collect();
            listed.sort_unstable_by_key(|node| node.id);
            listed.dedup();
            Chooser::new(seed, listed)
        };
        // One chooser serves all shards, unless each has its own candidates.
        let each = role.candidate_ends.len() > 1;
        let mut chooser = match role.candidates_of(0) {
            Some(ids) => among(ids),
            None => Chooser::new(seed, nodes.iter().copied()),
        };

        // A cordoned node is ranked with the others, and then passed over for the shards that it did not have.
        let cordoned: Vec<u32> = snapshot
            .nodes
            .iter()
            .filter(|node| node.status == SnapshotStatus::Cordoned)
            .map(|node| node.id)
            .collect();
        let width = role.replicas as usize;
        let mut plan = Proposal::empty(role);
        for shard in 0..role.shards {
            if each {
                chooser = among(role.candidates_of(shard).unwrap_or_default());
            }
            let start = shard as usize * width;
            let had = role.previous.get(start..start + width).unwrap_or_default();
            let owners = chooser.choose(u64::from(shard), width + cordoned.len());
            plan.place(
                role,
                shard,
                owners.filter(|id| !cordoned.contains(id) || had.contains(id)),
            );
        }
        Ok(Answer::Plan(
            plan.explained(role, |_| "no node that may own it can take shards".into()),
        ))
    }
}

/// The nodes among which shards choose: those that may have any. One that is away keeps its place.
fn eligible(snapshot: &Snapshot) -> Vec<Node> {
    let (zones, _) = zone::numbered(snapshot.nodes.iter().map(|node| node.zone.as_str()));
    let nodes = snapshot
        .nodes
        .iter()
        .zip(zones)
        .filter(|(node, _)| node.status != SnapshotStatus::Draining && node.capacity > 0);
    nodes
        .map(|(node, zone)| Node {
            id: node.id,
            weight: node.capacity,
            zone,
        })
        .collect()
}

shardwright_guest::export!(Rendezvous);
