//! Balances who acts: owners of a shard change roles, so that every member is primary for its share. Nothing moves.

use crate::member::{Context, Standing};
use crate::table::{NOBODY, Table};
use shardwright_guest::quota::{self, Share};
use std::collections::VecDeque;

/// Makes every member primary as often as its share says, rounded down or up, as far as the rows allow.
pub(crate) fn balance(table: &mut Table, cast: &Context) {
    // Where no owner may gain anything, the first one it is.
    let mut orphans = std::mem::take(&mut table.orphans);
    orphans.retain(|&(shard, _)| table.row(shard).iter().any(|&m| cast.gains(m)));
    let mut count = vec![0u32; cast.members.len()];
    for (_, row) in table.all().filter(|(_, row)| row[0] != NOBODY) {
        count[row[0] as usize] += 1;
    }
    for &(shard, _) in &orphans {
        count[table.row(shard)[0] as usize] -= 1;
    }
    let shares = shares(table, cast, &count);
    for (shard, kept) in orphans {
        appoint(table, cast, &shares, &mut count, shard, kept as usize);
    }
    if cast
        .members
        .iter()
        .enumerate()
        .any(|(at, _)| count[at] < shares[at].low || count[at] > shares[at].high)
    {
        Exchange::new(table, cast, shares, count).run();
    }
}

/// How often each member should be primary. Who gains nothing keeps what it has.
fn shares(table: &Table, cast: &Context, count: &[u32]) -> Vec<Share> {
    let owned = table.all().filter(|(_, row)| row[0] != NOBODY).count() as u64;
    let fixed: u64 = (cast.members.iter().zip(count))
        .filter(|(m, _)| m.standing == Standing::Fixed)
        .map(|(_, &c)| u64::from(c))
        .sum();
    let claims: Vec<quota::Participant> = (cast.members.iter().zip(count).zip(&table.held))
        .map(|((member, &count), &held)| quota::Participant {
            weight: if member.standing == Standing::Fixed {
                0
            } else {
                member.weight
            },
            cap: if member.standing == Standing::Full { held } else { count },
            held: count,
            tie: member.tie,
        })
        .collect();
    let mut shares = quota::shares(owned.saturating_sub(fixed), &claims);
    for ((share, member), &count) in shares.iter_mut().zip(&cast.members).zip(count) {
        if member.standing == Standing::Fixed {
            *share = Share::exactly(count);
        }
    }
    shares
}

/// Chooses a primary for a shard that lost its own: a standby that was there before, if one is below its share; or else
/// the owner that is furthest below.
fn appoint(table: &mut Table, cast: &Context, shares: &[Share], count: &mut [u32], shard: u32, kept: usize) {
    let row = table.row(shard);
    let rank = |&(place, &member): &(usize, &u32)| {
        let at = member as usize;
        let below = count[at] < shares[at].high;
        let load = ((u64::from(count[at]) + 1) << 32) / u64::from(cast.members[at].weight);
        (!cast.gains(member), !below, place >= kept, load, cast.members[at].tie)
    };
    if let Some((place, &member)) = row.iter().enumerate().min_by_key(rank) {
        count[member as usize] += 1;
        table.promote(shard, place);
    }
}

/// Passes the role of primary along chains of rows, from members above their share to members below.
struct Exchange<'a> {
    table: &'a mut Table,
    cast: &'a Context,
    shares: Vec<Share>,
    count: Vec<u32>,
    /// The shards whose primary each member is.
    led: Vec<Vec<u32>>,
}

impl<'a> Exchange<'a> {
    fn new(table: &'a mut Table, cast: &'a Context, shares: Vec<Share>, count: Vec<u32>) -> Self {
        let mut led = vec![Vec::new(); count.len()];
        for (shard, row) in table.all().filter(|(_, row)| row[0] != NOBODY) {
            led[row[0] as usize].push(shard);
        }
        Self {
            table,
            cast,
            shares,
            count,
            led,
        }
    }

    fn run(&mut self) {
        loop {
            let mut passed = false;
            for member in 0..self.count.len() as u32 {
                while self.over(member) && self.pass(&[member], |this, m| this.count[m] < this.shares[m].high) {
                    passed = true;
                }
            }
            // What is left below has to come from those that are within their share, but above its lower bound.
            while (0..self.count.len()).any(|m| self.count[m] < self.shares[m].low) {
                let spare = |m: &u32| {
                    self.count[*m as usize] > self.shares[*m as usize].low
                        && self.cast.members[*m as usize].standing != Standing::Fixed
                };
                let givers: Vec<u32> = (0..self.count.len() as u32).filter(spare).collect();
                if !self.pass(&givers, |this, m| this.count[m] < this.shares[m].low) {
                    break;
                }
                passed = true;
            }
            if !passed {
                return;
            }
        }
    }

    fn over(&self, member: u32) -> bool {
        self.count[member as usize] > self.shares[member as usize].high
    }

    /// Finds the shortest chain from one of `givers` to a member that `takes`, and passes one role along it. False if
    /// there is none.
    fn pass(&mut self, givers: &[u32], takes: impl Fn(&Self, usize) -> bool) -> bool {
        // By which shard, from whom, a member was reached.
        let mut from: Vec<Option<(u32, u32)>> = vec![None; self.count.len()];
        let mut seen = vec![false; self.count.len()];
        let mut queue: VecDeque<u32> = givers.iter().copied().collect();
        for &giver in givers {
            seen[giver as usize] = true;
        }
        while let Some(member) = queue.pop_front() {
            for &shard in &self.led[member as usize] {
                for &standby in &self.table.row(shard)[1..] {
                    if seen[standby as usize] || !self.cast.gains(standby) {
                        continue;
                    }
                    seen[standby as usize] = true;
                    from[standby as usize] = Some((shard, member));
                    if takes(self, standby as usize) {
                        self.follow(&from, standby);
                        return true;
                    }
                    queue.push_back(standby);
                }
            }
        }
        false
    }

    /// Passes the role along the chain that ends in `last`.
    fn follow(&mut self, from: &[Option<(u32, u32)>], last: u32) {
        let mut to = last;
        self.count[last as usize] += 1;
        while let Some((shard, giver)) = from[to as usize] {
            let place = self.table.row(shard).iter().position(|&m| m == to).unwrap_or(0);
            self.table.promote(shard, place);
            self.led[giver as usize].retain(|&led| led != shard);
            self.led[to as usize].push(shard);
            to = giver;
        }
        self.count[to as usize] -= 1;
    }
}
