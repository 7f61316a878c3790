//! Mends rows that have too many owners in one zone, by exchanging places: nobody's load changes.

use crate::member::Context;
use crate::table::{NOBODY, Table};
use shardwright_guest::{hash, zone};

/// How many crowded rows, and how many others, are tried as partners of a crowded row. Where zones are too unequal for
/// the quotas, most rows stay crowded, and this bounds the search.
const TRIES: usize = 32;

/// Exchanges places until no exchange that is tried makes rows less crowded.
pub(crate) fn mend(table: &mut Table, cast: &Context) {
    if cast.zones <= 1 || table.width() <= 1 {
        return;
    }
    let limit = zone::limit(table.width(), cast.zones);
    loop {
        let crowded: Vec<u32> = table
            .all()
            .filter(|(_, row)| excess(cast, row, limit) > 0)
            .map(|(shard, _)| shard)
            .collect();
        let mut mended = false;
        for (at, &shard) in crowded.iter().enumerate() {
            let hash = hash::mix(cast.seed ^ u64::from(shard));
            let fellows = crowded
                .iter()
                .cycle()
                .skip(at + 1)
                .take(crowded.len().min(TRIES))
                .copied();
            let anyone = (0..TRIES as u64).map(|i| hash::below(hash::mix(hash ^ i), table.shards() as usize) as u32);
            let exchange = fellows
                .chain(anyone)
                .find_map(|other| Some((other, exchange(table, cast, limit, shard, other)?)));
            if let Some((other, (mine, theirs))) = exchange {
                table.replace(shard, mine, theirs);
                table.replace(other, theirs, mine);
                mended = true;
            }
        }
        if !mended {
            return;
        }
    }
}

/// How many owners of a row exceed what a zone should have of it.
pub(crate) fn excess(cast: &Context, row: &[u32], limit: u32) -> u32 {
    let mut excess = 0;
    for (place, &member) in row.iter().enumerate().filter(|(_, m)| **m != NOBODY) {
        let before = row[..place]
            .iter()
            .filter(|&&m| m != NOBODY && cast.zone(m) == cast.zone(member))
            .count() as u32;
        excess += u32::from(before >= limit);
    }
    excess
}

/// Two owners, one of each shard, whose exchange makes the rows less crowded.
fn exchange(table: &Table, cast: &Context, limit: u32, shard: u32, other: u32) -> Option<(u32, u32)> {
    let (row, there) = (table.row(shard), table.row(other));
    let now = excess(cast, row, limit) + excess(cast, there, limit);
    if shard == other || now == 0 {
        return None;
    }
    let with = |row: &[u32], from: u32, to: u32| {
        row.iter()
            .map(|&m| if m == from { to } else { m })
            .collect::<Vec<u32>>()
    };
    for &mine in row.iter().filter(|&&m| cast.gains(m) && !there.contains(&m)) {
        for &theirs in there
            .iter()
            .filter(|&&m| cast.gains(m) && !row.contains(&m) && cast.zone(m) != cast.zone(mine))
        {
            if excess(cast, &with(row, mine, theirs), limit) + excess(cast, &with(there, theirs, mine), limit) < now {
                return Some((mine, theirs));
            }
        }
    }
    None
}
