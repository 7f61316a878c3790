//! Snapshots as JSON, which people write for `policy assign`, and what policies make of them.

use crate::guest;
use shardwright_core::check;
use shardwright_core::native;
use shardwright_core::snapshot::{Answer, Snapshot};

/// The largest that policies are asked about here: more takes longer and shows nothing else.
const PLACES: u32 = 2_048;
const NODES: usize = 32;

/// What is no snapshot is refused at a line or with a field; what is one comes back as it was, and every standard
/// policy answers it, always the same, with a plan that the host takes.
pub(crate) fn snapshot(data: &[u8]) {
    let snapshot: Snapshot = match serde_json::from_slice(data) {
        Ok(snapshot) => snapshot,
        Err(error) => {
            assert!(error.line() > 0, "{error}");
            return;
        }
    };
    let text = serde_json::to_string(&snapshot).expect("JSON");
    assert_eq!(
        serde_json::from_str::<Snapshot>(&text).expect("it was written"),
        snapshot
    );
    if let Some(why) = snapshot.contradiction() {
        assert!(why.contains("role.") || why.contains("node"), "{why}");
        return;
    }
    if snapshot.nodes.len() <= NODES && snapshot.role.shards.saturating_mul(snapshot.role.replicas) <= PLACES {
        answered(&snapshot);
    }
}

fn answered(snapshot: &Snapshot) {
    assert_eq!(
        check::check(snapshot, &native::assign(snapshot)),
        Ok(()),
        "the host's own policy"
    );
    for (name, assign) in guest::POLICIES {
        let answer = assign(snapshot).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(assign(snapshot), Ok(answer.clone()), "{name} answers the same");
        let Answer::Plan(plan) = answer else { continue };
        assert_eq!(check::check(snapshot, &plan), Ok(()), "{name}");
        for unplaced in &plan.unplaced {
            let place = unplaced.shard as usize * snapshot.role.replicas as usize;
            assert_eq!(
                plan.owners.get(place),
                Some(&0),
                "{name}: shard {} has an owner",
                unplaced.shard
            );
        }
    }
}
