//! What a seed stands for: how many nodes, which roles, which timing, which faults.

use super::faults::Fault;
use super::rng::Rng;
use shardwright_core::role::{Member, Mode, Placement, Replicas, RoleSpec};
use shardwright_core::time::Timing;

/// Every shard count divides this: a role has so many keys, and shards of any two counts overlap where they share a
/// key.
pub const KEYS: u32 = 24;

/// The fixed circumstances of one run.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The durations, the same for all nodes.
    pub timing: Timing,
    /// Nodes at the beginning.
    pub nodes: usize,
    /// The highest id that may be given out.
    pub max_id: u32,
    /// The roles as the nodes are configured at first.
    pub roles: Vec<RoleSpec>,
    /// The faults that occur in this run.
    pub faults: Vec<Fault>,
    /// How long they occur, in milliseconds.
    pub trouble: u64,
    /// The longest pause between two, in milliseconds.
    pub gap: u64,
    /// Hints that get lost, in percent.
    pub lost_hints: u64,
}

impl Scenario {
    /// Draws the circumstances. Each fault `among` them is on in half of the runs: with all of them on, the rarer
    /// orders never come up.
    #[must_use]
    pub fn draw(rng: &mut Rng, among: &[Fault]) -> Self {
        let nodes = rng.index(5) + 3;
        let faults: Vec<Fault> = among.iter().copied().filter(|_| rng.chance(50)).collect();
        Self {
            timing: timing(rng),
            nodes,
            max_id: u32::try_from(nodes).unwrap_or(9) + rng.pick(&[0, 1, 9]),
            roles: roles(rng),
            faults,
            trouble: rng.within(10_000, 40_000),
            gap: rng.pick(&[400, 1_500, 4_000]),
            lost_hints: rng.pick(&[0, 20, 100]),
        }
    }
}

/// Short durations, so that much happens in few steps.
fn timing(rng: &mut Rng) -> Timing {
    Timing {
        validity: 3_000,
        renew: 1_000,
        margin: 100,
        drift_ppm: 10_000,
        stale_after: 4_000,
        inactive_after: 8_000,
        reuse_after: 15_000,
        rejoin_delay: 6_000,
        stop_timeout: rng.pick(&[100, 1_000, 4_000]),
        settle: rng.pick(&[0, 50, 300]),
    }
}

/// A role of interchangeable shards, one with listed owners, and one that all perform.
fn roles(rng: &mut Rng) -> Vec<RoleSpec> {
    let group = |ids: [u32; 2]| ids.into_iter().map(Member::Node).collect();
    let role = |name: &str, shards, replicas, mode, placement| RoleSpec {
        name: name.to_owned(),
        shards,
        replicas,
        mode,
        policy: "any".to_owned(),
        config: "{}".to_owned(),
        placement,
    };
    let replicas = u32::try_from(rng.within(1, 3)).unwrap_or(1);
    vec![
        role(
            "spread",
            shards(rng),
            Replicas::Count(replicas),
            Mode::Primary,
            Placement::Anywhere,
        ),
        role(
            "listed",
            3,
            Replicas::Every,
            Mode::Primary,
            Placement::Groups(vec![group([1, 2]), group([2, 3]), group([3, 1])]),
        ),
        role("everyone", 2, Replicas::Every, Mode::All, Placement::Anywhere),
    ]
}

/// A number of shards that divides [`KEYS`].
pub fn shards(rng: &mut Rng) -> u32 {
    rng.pick(&[1, 4, 6, 8, 12, 24])
}

/// The keys of a shard, as a set of bits.
#[must_use]
pub fn keys(shard: u32, shards: u32) -> u32 {
    (0..KEYS)
        .filter(|key| key % shards == shard)
        .fold(0, |set, key| set | 1 << key)
}
