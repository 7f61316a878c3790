//! Entries that none of us would write.

use super::*;
use crate::id::NodeId;
use crate::plan::{PART_SHARDS, PlanPart};
use crate::values::Key;
use std::sync::Arc;

/// A plan of so many shards that grants them all to `host`, under its present session.
fn grant(w: &World, host: &str, shards: usize) -> PlanPart {
    let engine = &w.nodes[host].engine;
    let holder = (engine.id().unwrap(), engine.session().unwrap());
    PlanPart {
        shape: shape(&w.roles[0]),
        epoch: 9,
        inputs: 0,
        width: 1,
        rows: vec![holder.0.get(); shards],
        sessions: vec![holder],
        holders: vec![1; shards],
        granted: vec![0; shards],
        targets: vec![0; shards],
    }
}

fn plant(w: &mut World, part: u32, plan: PlanPart) {
    let key = Key::Plan {
        role: "a".to_owned(),
        part,
    };
    let value = Value::Plan(Arc::new(plan));
    let expected = Expected::Any;
    w.store.perform(Request::Put { key, value, expected }, w.now).unwrap();
}

/// Its number, times the shards of a part, would be that of another part.
#[test]
fn a_part_that_the_role_does_not_have_grants_nothing() {
    for part in [1, u32::MAX / PART_SHARDS + 1, u32::MAX] {
        let mut w = World::new(vec![role("a", 12, Mode::Primary)]);
        w.start("h1", 1);
        w.start("h2", 2);
        w.run(8_000);
        let (one, two) = (w.held("h1"), w.held("h2"));
        assert_eq!((one + two, w.nodes["h1"].engine.id()), (12, NodeId::new(1)));
        let plan = grant(&w, "h1", 12);
        plant(&mut w, part, plan);
        w.run(3_000);
        assert_eq!((w.held("h1"), w.held("h2")), (one, two), "part {part}");
        let told: BTreeSet<_> = w.nodes.values().flat_map(|node| &node.parts).collect();
        assert_eq!(told, BTreeSet::from([&(0, 0)]), "part {part}");
    }
}

/// The shape is that of the role, and yet it is no plan of it: it is written anew, and nobody acts on what it has too
/// much.
#[test]
fn a_part_of_another_length_is_put_right() {
    for shards in [0, 3, 13] {
        let mut w = World::new(vec![role("a", 12, Mode::Primary)]);
        w.start("h1", 1);
        w.start("h2", 2);
        w.run(8_000);
        assert_eq!(w.total(), 12);
        let plan = grant(&w, "h2", shards);
        plant(&mut w, 0, plan);
        for _ in 0..50 {
            w.run(400);
            let held = w.nodes.values().flat_map(|node| node.held.keys());
            assert!(held.max().is_none_or(|(_, shard)| *shard < 12), "{shards} shards");
        }
        assert_eq!(w.total(), 12, "{shards} shards");
    }
}
