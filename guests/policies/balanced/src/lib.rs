//! `balanced`: every node carries its share, and as little as possible moves.
//!
//! *Sticky quota.* A node's quota is its share of all owner places by capacity, in whole numbers; equal nodes differ by
//! one at most, in places and in primaries. What a node has, it keeps up to its quota; what is missing goes to nodes
//! below theirs, chosen by hash. So a node that leaves moves its own shards only, one that joins takes its share and
//! nothing else moves, and a balanced plan is answered by itself.
//!
//! Limits. Balance comes before few moves: where those below their quota own the very shards that lost an owner, a
//! detour moves one place more for each. That is rare, and then cannot be avoided; only next to a cordoned node is
//! there, in some ten thousand cases, a detour too many. From an odd start (previous owners at random, statuses, zones
//! and candidates mixed) a plan may take a few rounds until it is answered by itself: never more than four in the
//! tests.
//!
//! - Away nodes count: they keep their place and quota, and get nothing new. Cordoned nodes keep what they have and get
//!   nothing new. Draining nodes and those of capacity 0 have nothing.
//! - A shard that is moving counts as its target's.
//! - Owners of a shard are spread over zones as evenly as the quotas allow; a row that is not is mended by exchanging
//!   places.
//! - In mode `primary`, primaries are balanced by letting owners of a shard change roles: nothing moves for it.
//! - Where each shard has candidates of its own, quotas may be impossible: each shard gets its least loaded candidates,
//!   and then single moves even the load out until none helps. Every shard that has a candidate is owned.
//!
//! The files: `table` holds the rows, `fill` meets the quotas, `listed` does the same under candidate lists, `spread`
//! mends zones, `primaries` balances who acts.

mod fill;
mod listed;
mod member;
mod primaries;
mod spread;
mod table;

use member::Context;
use shardwright_guest::{Answer, Description, Mode, Policy, PolicyError, Proposal, Snapshot, config, considers};
use table::Table;

/// The policy.
pub struct Balanced;

impl Policy for Balanced {
    fn describe() -> Description {
        Description {
            name: "balanced".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Every node carries its share, and as little as possible moves.".into(),
            considers: considers(&["candidates", "capacity", "previous", "replicas", "targets", "zones"]),
        }
    }

    fn validate(config: &str) -> Result<(), PolicyError> {
        config::none(config)
    }

    fn assign(_config: &str, snapshot: &Snapshot) -> Result<Answer, PolicyError> {
        let role = &snapshot.role;
        let cast = Context::new(snapshot);
        let mut table = Table::keep(role, &cast);
        if cast.listed {
            listed::fill(&mut table, &cast, role);
        } else {
            fill::fill(&mut table, &cast);
            spread::mend(&mut table, &cast);
        }
        if role.mode == Mode::Primary {
            primaries::balance(&mut table, &cast);
        }
        let plan = Proposal {
            owners: table.into_owners(&cast),
            unplaced: Vec::new(),
        };
        Ok(Answer::Plan(
            plan.explained(role, |_| "no node that may own it can take shards".into()),
        ))
    }
}

shardwright_guest::export!(Balanced);
