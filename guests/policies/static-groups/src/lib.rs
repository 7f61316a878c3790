//! `static-groups`: the owners of a shard are the nodes that the configuration lists for it, in that order.
//!
//! The first is the primary, the others stand by; in mode `all` each of them acts. A node that is away for less than
//! the rejoin delay keeps its place; one that is gone for longer, or is being drained, or has capacity 0, is passed
//! over; a cordoned one is passed over for shards that it did not have. Without a list, every node is a candidate, in
//! order of id.

use shardwright_guest::{
    Answer, Description, Members, Policy, PolicyError, Proposal, Snapshot, SnapshotStatus, config, considers,
};

/// The policy.
pub struct StaticGroups;

impl Policy for StaticGroups {
    fn describe() -> Description {
        Description {
            name: "static-groups".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "The owners of a shard are the nodes listed for it, in their order.".into(),
            considers: considers(&["candidates", "previous", "replicas"]),
        }
    }

    fn validate(config: &str) -> Result<(), PolicyError> {
        config::none(config)
    }

    fn assign(_config: &str, snapshot: &Snapshot) -> Result<Answer, PolicyError> {
        let role = &snapshot.role;
        let nodes = Members::new(snapshot.nodes.iter().map(|node| node.id));
        let mut everyone: Vec<u32> = snapshot.nodes.iter().map(|node| node.id).collect();
        everyone.sort_unstable();

        let mut plan = Proposal::empty(role);
        for shard in 0..role.shards {
            let had = role
                .previous
                .chunks(role.replicas.max(1) as usize)
                .nth(shard as usize)
                .unwrap_or_default();
            let takes = |id: &&u32| {
                snapshot.nodes.get(nodes.position(**id) as usize).is_some_and(|node| {
                    node.capacity > 0
                        && match node.status {
                            SnapshotStatus::Active => true,
                            SnapshotStatus::Away => true,
                            SnapshotStatus::Cordoned => had.contains(id),
                            SnapshotStatus::Draining => false,
                        }
                })
            };
            let candidates = role.candidates_of(shard).unwrap_or(&everyone);
            let mut owners: Vec<u32> = Vec::new();
            for &id in candidates.iter().filter(takes) {
                // A label may name a node a second time.
                if !owners.contains(&id) {
                    owners.push(id);
                }
            }
            plan.place(role, shard, owners);
        }
        Ok(Answer::Plan(
            plan.explained(role, |shard| reason(role.candidates_of(shard))),
        ))
    }
}

/// Why nobody owns a shard with these candidates.
fn reason(candidates: Option<&[u32]>) -> String {
    match candidates {
        None => "no node can take shards".into(),
        Some([]) => "no node is a candidate for it".into(),
        Some([one]) => format!("its only candidate, node {one}, cannot take it"),
        Some(many) => {
            let ids: Vec<String> = many.iter().take(8).map(u32::to_string).collect();
            let more = if many.len() > ids.len() { ", …" } else { "" };
            format!("none of its candidates can take it: nodes {}{more}", ids.join(", "))
        }
    }
}

shardwright_guest::export!(StaticGroups);
