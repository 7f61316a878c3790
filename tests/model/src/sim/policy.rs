//! Stand-ins for policies: the native one, one that decides at random, and bad ones.

use super::rng::Rng;
use shardwright_core::check::takes_new;
use shardwright_core::native;
use shardwright_core::role::Mode;
use shardwright_core::snapshot::{Answer, Proposal, Snapshot};

/// An answer of a policy that works: what the host's own would say, or any other valid plan.
pub fn good(snapshot: &Snapshot, rng: &mut Rng) -> Answer {
    Answer::Plan(if rng.chance(60) {
        native::assign(snapshot)
    } else {
        random(snapshot, rng)
    })
}

/// An answer of a policy that does not.
///
/// # Errors
/// Some of the time, as policies do.
pub fn bad(snapshot: &Snapshot, rng: &mut Rng) -> Result<Answer, String> {
    match rng.index(6) {
        0 => Err("trap".to_owned()),
        1 => Ok(Answer::KeepPrevious),
        2 => Ok(Answer::RetryAfter(u32::try_from(rng.within(0, 2_000)).unwrap_or(0))),
        3 => {
            let mut plan = random(snapshot, rng);
            plan.owners.pop();
            Ok(Answer::Plan(plan))
        }
        4 => {
            let mut plan = random(snapshot, rng);
            plan.owners[0] = 1_000;
            Ok(Answer::Plan(plan))
        }
        _ => Ok(Answer::Plan(random(snapshot, rng))),
    }
}

fn random(snapshot: &Snapshot, rng: &mut Rng) -> Proposal {
    let role = &snapshot.role;
    let width = role.replicas as usize;
    let mut owners = Vec::new();
    for shard in 0..role.shards {
        let listed = |id: u32| role.candidates_of(shard).is_none_or(|ids| ids.contains(&id));
        let able = snapshot.nodes.iter().filter(|n| takes_new(n) && listed(n.id));
        let mut row: Vec<u32> = able.map(|n| n.id).collect();
        rng.shuffle(&mut row);
        if role.mode == Mode::Primary {
            row.truncate(1 + rng.index(width));
        }
        row.resize(width, 0);
        owners.extend(row);
    }
    Proposal {
        owners,
        unplaced: Vec::new(),
    }
}
