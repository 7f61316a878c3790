//! The owner rows, as positions of members.

use crate::member::Context;
use shardwright_guest::{Members, SnapshotRole};

/// No member.
pub(crate) const NOBODY: u32 = Members::NONE;

/// Owner rows, filled from the left, and what they add up to.
pub(crate) struct Table {
    width: usize,
    rows: Vec<u32>,
    /// Places held by each member.
    pub(crate) held: Vec<u32>,
    /// Shards whose primary did not stay, each with the number of owners that did.
    pub(crate) orphans: Vec<(u32, u32)>,
    /// Shards with empty places, each with the number of owners that stayed.
    pub(crate) short: Vec<(u32, u32)>,
}

impl Table {
    /// The rows of the previous plan, as far as their owners are still there; a shard on the move counts as its
    /// target's.
    pub(crate) fn keep(role: &SnapshotRole, cast: &Context) -> Self {
        let (shards, width) = (role.shards as usize, role.replicas as usize);
        let mut table = Self {
            width,
            rows: vec![NOBODY; shards * width],
            held: vec![0; cast.members.len()],
            orphans: Vec::new(),
            short: Vec::new(),
        };
        // Without a plan, who acts at present is what there is to keep.
        let (before, stride) = if role.previous.is_empty() {
            (&role.holders, 1)
        } else {
            (&role.previous, width)
        };
        let mut before = before.chunks(stride.max(1));
        for shard in 0..role.shards {
            let start = shard as usize * width;
            let row = &mut table.rows[start..start + width];
            let had = before.next().unwrap_or_default();
            let target = role.targets.get(shard as usize).copied().unwrap_or(0);
            let candidates = if cast.listed { role.candidates_of(shard) } else { None };
            if target == 0 && candidates.is_none() && !role.previous.is_empty() {
                // Nearly every row, and so what the time is spent on.
                let kept = keep_row(row, had, cast, &mut table.held);
                table.note(shard, kept, had.first().map_or(NOBODY, |&id| cast.lookup.position(id)));
                continue;
            }
            let mut kept = 0;
            let mut first = NOBODY;
            // Chained iterators would cost twice the time here.
            let mut keep = |id: u32| {
                let member = cast.lookup.position(id);
                let fits = member != NOBODY && kept < width && !row[..kept].contains(&member);
                if fits && candidates.is_none_or(|ids| ids.contains(&id)) {
                    row[kept] = member;
                    table.held[member as usize] += 1;
                    kept += 1;
                }
                member
            };
            // A cordoned node gains nothing, not even what is on its way to it.
            if target != 0 && (had.contains(&target) || cast.gains_id(target)) {
                first = keep(target);
            }
            for (place, &id) in had.iter().enumerate() {
                if role.previous.is_empty() && !cast.gains_id(id) {
                    continue;
                }
                let member = keep(id);
                if place == 0 && first == NOBODY {
                    first = member;
                }
            }
            table.note(shard, kept, first);
        }
        table
    }

    /// Notes what `shard` lacks, where `kept` owners stayed and `first` should be the primary.
    fn note(&mut self, shard: u32, kept: usize, first: u32) {
        if kept == 0 || self.rows[shard as usize * self.width] != first {
            self.orphans.push((shard, kept as u32));
        }
        if kept < self.width {
            self.short.push((shard, kept as u32));
        }
    }

    pub(crate) fn shards(&self) -> u32 {
        (self.rows.len() / self.width.max(1)) as u32
    }

    pub(crate) fn width(&self) -> u32 {
        self.width as u32
    }

    /// All places of a shard, empty ones included.
    pub(crate) fn places(&self, shard: u32) -> &[u32] {
        &self.rows[shard as usize * self.width..][..self.width]
    }

    /// The owners of a shard.
    pub(crate) fn row(&self, shard: u32) -> &[u32] {
        let places = self.places(shard);
        let owners = places.iter().position(|&m| m == NOBODY).unwrap_or(places.len());
        &places[..owners]
    }

    /// All rows with their shards, empty places included.
    pub(crate) fn all(&self) -> impl Iterator<Item = (u32, &[u32])> {
        (0..).zip(self.rows.chunks_exact(self.width))
    }

    /// Puts `to` behind the owners of `shard`, which has an empty place.
    pub(crate) fn add(&mut self, shard: u32, to: u32) {
        let at = shard as usize * self.width + self.row(shard).len();
        self.rows[at] = to;
        self.held[to as usize] += 1;
    }

    /// Puts `to` into the place of `from`, an owner of `shard`.
    pub(crate) fn replace(&mut self, shard: u32, from: u32, to: u32) {
        let row = &mut self.rows[shard as usize * self.width..][..self.width];
        if let Some(place) = row.iter_mut().find(|place| **place == from) {
            *place = to;
            self.held[from as usize] -= 1;
            self.held[to as usize] += 1;
        }
    }

    /// Makes the owner at `place` the primary; who was it takes that place.
    pub(crate) fn promote(&mut self, shard: u32, place: usize) {
        self.rows[shard as usize * self.width..][..self.width].swap(0, place);
    }

    /// Ids instead of positions, 0 for nobody.
    pub(crate) fn into_owners(self, cast: &Context) -> Vec<u32> {
        let mut owners = self.rows;
        for owner in &mut owners {
            *owner = cast.members.get(*owner as usize).map_or(0, |member| member.id);
        }
        owners
    }
}

/// Puts those of the owners `had` that are still there into `row`, and answers how many they are.
fn keep_row(row: &mut [u32], had: &[u32], cast: &Context, held: &mut [u32]) -> usize {
    let mut kept = 0;
    for &id in had {
        let member = cast.lookup.position(id);
        if member != NOBODY && kept < row.len() && !row[..kept].contains(&member) {
            row[kept] = member;
            held[member as usize] += 1;
            kept += 1;
        }
    }
    kept
}
