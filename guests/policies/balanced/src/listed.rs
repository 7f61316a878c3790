//! Where each shard has candidates of its own: no quota, but the least loaded candidate, and single moves that even the
//! load out.

use crate::member::Context;
use crate::spread::excess;
use crate::table::{NOBODY, Table};
use shardwright_guest::{SnapshotRole, hash, zone};

/// Fills every row from its candidates, then evens out.
pub(crate) fn fill(table: &mut Table, cast: &Context, role: &SnapshotRole) {
    let candidates: Vec<Vec<u32>> = (0..role.shards)
        .map(|shard| {
            let ids = role.candidates_of(shard).unwrap_or_default().iter();
            let mut gaining: Vec<u32> = ids
                .map(|&id| cast.lookup.position(id))
                .filter(|&m| m != NOBODY && cast.gains(m))
                .collect();
            gaining.sort_unstable();
            gaining.dedup();
            gaining
        })
        .collect();
    let limit = zone::limit(table.width(), cast.zones);

    for (shard, candidates) in (0..).zip(&candidates) {
        while table.row(shard).len() < table.width() as usize {
            let row = table.row(shard);
            let crowded =
                |m: u32| row.iter().filter(|&&other| cast.zone(other) == cast.zone(m)).count() as u32 >= limit;
            let key = hash::mix(cast.seed ^ u64::from(shard));
            let rank = |m: u32| {
                (
                    crowded(m),
                    load(cast, m, table.held[m as usize] + 1),
                    hash::pair(key, cast.members[m as usize].tie),
                )
            };
            let Some(least) = candidates
                .iter()
                .copied()
                .filter(|m| !row.contains(m))
                .min_by_key(|&m| rank(m))
            else {
                break;
            };
            table.add(shard, least);
        }
    }

    // Each move makes the higher of two loads lower, so this ends.
    while (0..).zip(&candidates).fold(false, |moved, (shard, candidates)| {
        ease(table, cast, limit, shard, candidates) || moved
    }) {}
}

/// Places held, relative to weight.
fn load(cast: &Context, member: u32, held: u32) -> u64 {
    (u64::from(held) << 32) / u64::from(cast.members[member as usize].weight)
}

/// Moves a place of `shard` from a higher to a lower load, if one remains lower even after that and no zone gets more
/// crowded.
fn ease(table: &mut Table, cast: &Context, limit: u32, shard: u32, candidates: &[u32]) -> bool {
    let row = table.row(shard);
    let now = excess(cast, row, limit);
    let high = |m: u32| load(cast, m, table.held[m as usize]);
    let low = |m: u32| load(cast, m, table.held[m as usize] + 1);
    let Some(from) = row
        .iter()
        .copied()
        .filter(|&m| cast.gains(m))
        .max_by_key(|&m| (high(m), cast.members[m as usize].tie))
    else {
        return false;
    };
    let fits = |&to: &u32| {
        let after: Vec<u32> = row.iter().map(|&m| if m == from { to } else { m }).collect();
        !row.contains(&to) && low(to) < high(from) && excess(cast, &after, limit) <= now
    };
    let Some(to) = candidates
        .iter()
        .copied()
        .filter(fits)
        .min_by_key(|&m| (low(m), cast.members[m as usize].tie))
    else {
        return false;
    };
    table.replace(shard, from, to);
    true
}
