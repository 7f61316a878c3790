//! Meets the quotas: fills empty places, then takes from those above their quota for those below.

use crate::member::{Context, Standing};
use crate::table::{NOBODY, Table};
use shardwright_guest::quota::{self, Participant, Share};
use shardwright_guest::{hash, zone};
use std::collections::VecDeque;

/// Brings every member to its quota with as few moves as possible, where every member may own every shard.
pub(crate) fn fill(table: &mut Table, cast: &Context) {
    let mut room = QuotaRoom::new(table, cast);
    fill_empty(table, cast, &mut room);
    take_from_above(table, cast, &mut room);
}

/// How many owners `shard` can have: members that may gain, and those that it has already.
fn wanted(table: &Table, cast: &Context, full: u32, shard: u32) -> u32 {
    if full >= table.width() {
        return table.width();
    }
    let others = table.row(shard).iter().filter(|&&member| !cast.gains(member)).count() as u32;
    table.width().min(full + others)
}

fn full(cast: &Context) -> u32 {
    cast.members
        .iter()
        .filter(|member| member.standing == Standing::Full)
        .count() as u32
}

/// How many places each member should hold, and how that was rounded.
fn quotas(table: &Table, cast: &Context) -> (Vec<u32>, Vec<Rounding>) {
    let full = full(cast);
    let places: u64 = if full >= table.width() {
        u64::from(table.shards()) * u64::from(table.width())
    } else {
        (0..table.shards())
            .map(|shard| u64::from(wanted(table, cast, full, shard)))
            .sum()
    };
    let fixed = |at: usize| cast.members[at].standing == Standing::Fixed;
    let kept: u64 = (0..cast.members.len())
        .filter(|&at| fixed(at))
        .map(|at| u64::from(table.held[at]))
        .sum();
    let claims: Vec<Participant> = (cast.members.iter().zip(&table.held))
        .map(|(member, &held)| Participant {
            weight: if member.standing == Standing::Fixed {
                0
            } else {
                member.weight
            },
            cap: if member.standing == Standing::Full {
                table.shards()
            } else {
                held
            },
            held,
            tie: member.tie,
        })
        .collect();
    let places = places.saturating_sub(kept);
    let shares = quota::shares(places, &claims);
    let mut quotas = if cast.zones > 1 {
        by_zone(cast, places, claims, &shares)
    } else {
        quota::sticky(places, &claims)
    };
    let odd = shares.iter().zip(&quotas).map(|(share, &quota)| match quota {
        _ if share.low == share.high => Rounding::No,
        quota if quota == share.low => Rounding::Down,
        _ => Rounding::Up,
    });
    let odd = odd.collect();
    for (at, quota) in quotas.iter_mut().enumerate().filter(|(at, _)| fixed(*at)) {
        *quota = table.held[at];
    }
    (quotas, odd)
}

/// Divides first among zones, then within each: so that equal zones get equal parts, which rows can spread over.
fn by_zone(cast: &Context, mut places: u64, mut claims: Vec<Participant>, shares: &[Share]) -> Vec<u32> {
    let mut quotas = vec![0; claims.len()];
    let mut zones = vec![
        Participant {
            weight: 0,
            cap: 0,
            held: 0,
            tie: 0
        };
        cast.zones as usize
    ];
    for (at, (claim, share)) in claims.iter_mut().zip(shares).enumerate() {
        if share.low == claim.cap || claim.weight == 0 {
            // Its quota is settled, and says nothing about its zone.
            quotas[at] = share.low;
            places -= u64::from(share.low);
            claim.weight = 0;
        } else {
            let zone = &mut zones[cast.members[at].zone as usize];
            zone.weight = zone.weight.saturating_add(claim.weight);
            zone.cap = zone.cap.saturating_add(claim.cap);
            zone.held += claim.held;
            zone.tie ^= claim.tie;
        }
    }
    for (zone, places) in (0..).zip(quota::sticky(places, &zones)) {
        let inside: Vec<usize> = (0..claims.len())
            .filter(|&at| claims[at].weight > 0 && cast.members[at].zone == zone)
            .collect();
        let theirs: Vec<Participant> = inside.iter().map(|&at| claims[at]).collect();
        for (at, quota) in inside.into_iter().zip(quota::sticky(u64::from(places), &theirs)) {
            quotas[at] = quota;
        }
    }
    quotas
}

/// The quotas, and the members below theirs, by zone.
struct QuotaRoom {
    quotas: Vec<u32>,
    odd: Vec<Rounding>,
    /// What each member can still take.
    left: Vec<u32>,
    /// The members with something left, by zone.
    open: Vec<Vec<u32>>,
    /// What each zone can still take.
    zone_left: Vec<u64>,
    /// Owners of a row that may share a zone.
    limit: u32,
}

/// How a quota was rounded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rounding {
    /// Not at all: the exact share is whole.
    No,
    Down,
    Up,
}

impl QuotaRoom {
    fn new(table: &Table, cast: &Context) -> Self {
        let (quotas, odd) = quotas(table, cast);
        let zones = cast.zones.max(1) as usize;
        let limit = zone::limit(table.width(), cast.zones);
        let mut room = Self {
            left: vec![0; quotas.len()],
            quotas,
            odd,
            open: vec![Vec::new(); zones],
            zone_left: vec![0; zones],
            limit,
        };
        for member in (0..cast.members.len() as u32).filter(|&m| cast.gains(m)) {
            let at = member as usize;
            let left = room.quotas[at].saturating_sub(table.held[at]);
            if left > 0 {
                let zone = cast.zone(member) as usize;
                room.left[at] = left;
                room.open[zone].push(member);
                room.zone_left[zone] += u64::from(left);
            }
        }
        room
    }

    /// Whether `member` can take a place more; if it cannot, but its share was rounded down, it is made to at the cost
    /// of one of its zone whose share was rounded up and who has a place left.
    fn make(&mut self, cast: &Context, member: u32) -> bool {
        let (at, zone) = (member as usize, cast.zone(member) as usize);
        if self.left[at] > 0 {
            return true;
        }
        let Some(&giver) = self.open[zone].iter().find(|&&m| self.odd[m as usize] == Rounding::Up) else {
            return false;
        };
        if self.odd[at] != Rounding::Down {
            return false;
        }
        self.took(cast, giver);
        self.quotas[giver as usize] -= 1;
        self.odd[giver as usize] = Rounding::Down;
        self.quotas[at] += 1;
        self.odd[at] = Rounding::Up;
        self.left[at] = 1;
        self.open[zone].push(member);
        self.zone_left[zone] += 1;
        true
    }

    fn is_empty(&self) -> bool {
        self.open.iter().all(Vec::is_empty)
    }

    /// Records that `member` has taken a place.
    fn took(&mut self, cast: &Context, member: u32) {
        let (at, zone) = (member as usize, cast.zone(member) as usize);
        if self.left[at] == 0 {
            return;
        }
        self.left[at] -= 1;
        self.zone_left[zone] -= 1;
        if self.left[at] == 0 {
            self.open[zone].retain(|&other| other != member);
        }
    }

    /// A member with room for a place in a row whose other owners are `row`: of the zone with most room among those
    /// that the row has too few of. With `spread`, only of such a zone.
    fn pick(&self, cast: &Context, row: &[u32], hash: u64, spread: bool) -> Option<u32> {
        if self.open.len() == 1 {
            return self.among(0, row, hash);
        }
        let crowded = |zone: usize| row.iter().filter(|&&m| cast.zone(m) as usize == zone).count() as u32 >= self.limit;
        let ranked = (0..self.open.len()).filter_map(|zone| {
            let crowded = crowded(zone);
            let member = if spread && crowded {
                None
            } else {
                self.among(zone, row, hash)
            };
            Some(((crowded, std::cmp::Reverse(self.zone_left[zone])), member?))
        });
        ranked.min_by_key(|&(rank, _)| rank).map(|(_, member)| member)
    }

    /// Of two members of `zone` with room that are not in `row`, chosen by `hash`, the one with more of it.
    fn among(&self, zone: usize, row: &[u32], hash: u64) -> Option<u32> {
        let open = &self.open[zone];
        let next = |hash: u64| {
            // From a place that the hash says, onwards: one more step than the row has owners is enough.
            let start = if open.is_empty() {
                0
            } else {
                hash::below(hash, open.len())
            };
            open[start..]
                .iter()
                .chain(&open[..start])
                .copied()
                .find(|member| !row.contains(member))
        };
        let (one, other) = (next(hash)?, next(hash << 32)?);
        Some(if self.left[other as usize] > self.left[one as usize] {
            other
        } else {
            one
        })
    }
}

/// Gives every empty place to a member below its quota.
fn fill_empty(table: &mut Table, cast: &Context, room: &mut QuotaRoom) {
    let full = full(cast);
    let short = std::mem::take(&mut table.short);
    for (at, &(shard, _)) in short.iter().enumerate() {
        let wanted = wanted(table, cast, full, shard);
        while (table.row(shard).len() as u32) < wanted {
            let hash = hash::mix(cast.seed ^ (u64::from(shard) << 16 | table.row(shard).len() as u64));
            if let Some(member) = room.pick(cast, table.row(shard), hash, false) {
                table.add(shard, member);
                room.took(cast, member);
            } else if rearrange(table, cast, room, &short[..at], shard) {
            } else if let Some((other, below, moved)) = detour(table, cast, room, shard, NOBODY) {
                table.replace(other, moved, below);
                room.took(cast, below);
                table.add(shard, moved);
            } else if let Some(member) = least(table, cast, shard) {
                table.add(shard, member);
            } else {
                break;
            }
        }
    }
}

/// Gives `shard` an owner by rearranging what was given out just now, so that nothing else moves. `filled` are the rows
/// that were filled before, each with the number of owners that stayed. False if there is no such way.
///
/// A search in breadth for the shortest chain: a member comes to `shard` from a row that it was given, another comes to
/// that row, and so on to one that can take a place more.
fn rearrange(table: &mut Table, cast: &Context, room: &mut QuotaRoom, filled: &[(u32, u32)], shard: u32) -> bool {
    let members = 0..cast.members.len() as u32;
    let mut given = vec![Vec::new(); cast.members.len()];
    for &(shard, kept) in filled {
        for &member in &table.row(shard)[kept as usize..] {
            given[member as usize].push(shard);
        }
    }
    // Which row each member would come to, and whom it would replace there; `NOBODY` in `shard` itself.
    let mut comes: Vec<Option<(u32, u32)>> = vec![None; cast.members.len()];
    let mut queue = VecDeque::new();
    let reach = |comes: &mut Vec<Option<(u32, u32)>>, queue: &mut VecDeque<u32>, row: &[u32], to: (u32, u32)| {
        for member in members.clone().filter(|&m| cast.gains(m) && !row.contains(&m)) {
            if comes[member as usize].is_none() {
                comes[member as usize] = Some(to);
                queue.push_back(member);
            }
        }
    };
    reach(&mut comes, &mut queue, table.row(shard), (shard, NOBODY));
    while let Some(member) = queue.pop_front() {
        if room.make(cast, member) {
            room.took(cast, member);
            let mut coming = member;
            while let Some((to, replaced)) = comes[coming as usize] {
                if replaced == NOBODY {
                    table.add(to, coming);
                    return true;
                }
                table.replace(to, replaced, coming);
                coming = replaced;
            }
        }
        for &from in &given[member as usize] {
            reach(&mut comes, &mut queue, table.row(from), (from, member));
        }
    }
    false
}

/// The member with the least load that `shard` lacks: where quotas cannot be met, cover comes first.
fn least(table: &Table, cast: &Context, shard: u32) -> Option<u32> {
    let row = table.row(shard);
    let load =
        |m: u32| (u64::from(table.held[m as usize]) + 1) * (1 << 24) / u64::from(cast.members[m as usize].weight);
    (0..cast.members.len() as u32)
        .filter(|&m| cast.gains(m) && !row.contains(&m))
        .min_by_key(|&m| (load(m), cast.members[m as usize].tie))
}

/// A way to give `shard` an owner, although all members below their quota own it already: another shard whose owner
/// `moved` can come here and be replaced there by a member `below` its quota. Answers the other shard, `below` and
/// `moved`. `leaving` is about to leave `shard`.
fn detour(table: &Table, cast: &Context, room: &QuotaRoom, shard: u32, leaving: u32) -> Option<(u32, u32, u32)> {
    let row = table.row(shard);
    let start = hash::below(hash::mix(cast.seed ^ u64::from(shard)), table.shards() as usize) as u32;
    for &below in row.iter().filter(|&&m| m != leaving && room.left[m as usize] > 0) {
        for other in (start..table.shards()).chain(0..start) {
            let there = table.row(other);
            if other != shard
                && !there.contains(&below)
                && let Some(&moved) = there.iter().find(|&&m| cast.gains(m) && !row.contains(&m))
            {
                return Some((other, below, moved));
            }
        }
    }
    None
}

/// Moves places from members above their quota to members below it.
fn take_from_above(table: &mut Table, cast: &Context, room: &mut QuotaRoom) {
    let quotas = room.quotas.clone();
    let above = |table: &Table, m: u32| table.held[m as usize] > quotas[m as usize];
    if room.is_empty() || !(0..quotas.len() as u32).any(|m| above(table, m)) {
        return;
    }
    let mut shards_of = vec![Vec::new(); quotas.len()];
    for (shard, row) in table.all() {
        for &member in row.iter().filter(|&&m| m != NOBODY && above(table, m)) {
            shards_of[member as usize].push(shard);
        }
    }
    for member in 0..quotas.len() as u32 {
        let shards = &mut shards_of[member as usize];
        if shards.is_empty() {
            continue;
        }
        // Not always the first shards, and standby places before the ones that act.
        let start = hash::below(cast.members[member as usize].tie, shards.len());
        shards.rotate_left(start);
        shards.sort_by_key(|&shard| table.row(shard)[0] == member);
        for spread in [true, false] {
            shards.retain(|&shard| {
                if !above(table, member) {
                    return false;
                }
                let others: Vec<u32> = table.row(shard).iter().copied().filter(|&m| m != member).collect();
                let hash = hash::mix(cast.seed ^ (u64::from(shard) << 16 | u64::from(member)));
                let Some(below) = room.pick(cast, &others, hash, spread) else {
                    return true;
                };
                table.replace(shard, member, below);
                room.took(cast, below);
                false
            });
        }
        for &shard in shards.iter() {
            if !above(table, member) {
                break;
            }
            if let Some((other, below, moved)) = detour(table, cast, room, shard, member) {
                table.replace(other, moved, below);
                room.took(cast, below);
                table.replace(shard, member, moved);
            }
        }
    }
}
