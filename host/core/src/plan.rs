//! A part of a role's plan: owner rows as the policy wants them, holders as they are, targets as they move.

use crate::id::{NodeId, SessionId, Token};
use crate::role::{Mode, RoleSpec};
use crate::store::Revision;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// Shards in one plan entry, at most.
pub const PART_SHARDS: u32 = 4_096;

/// A target that names no node: the holder must stop, nobody follows yet.
pub const RELEASE: u32 = u32::MAX;

/// The plan of up to [`PART_SHARDS`] consecutive shards of one role.
///
/// Rows say who *should* own a shard, in order; holders say who *does* act, with the session that this was granted to.
/// A dead owner's shard is held by another while its row stays, so the owner finds its place again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PlanPart {
    /// Digest of what the shards mean ([`shape`]): a node acts only on a plan of its own shape.
    pub shape: u64,
    /// Counts the accepted plans of the role.
    pub epoch: u64,
    /// Digest of the inputs that the rows were computed from: unchanged inputs need no new plan.
    pub inputs: u64,
    /// Owners in a row.
    pub width: u32,
    /// `shards × width` node ids, row-major, primary first, 0 for nobody.
    pub rows: Vec<u32>,
    /// Sessions that [`PlanPart::holders`] refers to.
    pub sessions: Vec<(NodeId, SessionId)>,
    /// For each shard 1 + the index in `sessions` of who acts, or 0 for nobody. Empty when all owners act.
    pub holders: Vec<u32>,
    /// For each shard the revision at which its holder was granted; 0 means at the revision of this very entry.
    pub granted: Vec<u64>,
    /// For each shard 0, or the node it is to move to, or [`RELEASE`].
    pub targets: Vec<u32>,
}

impl PlanPart {
    /// A part without owners.
    #[must_use]
    pub fn empty(role: &RoleSpec, part: u32) -> Self {
        let shards = part_len(role.shards, part);
        let exclusive = if role.mode == Mode::Primary { shards } else { 0 };
        Self {
            shape: shape(role),
            epoch: 0,
            inputs: 0,
            width: 1,
            rows: vec![0; shards],
            sessions: Vec::new(),
            holders: vec![0; exclusive],
            granted: vec![0; exclusive],
            targets: vec![0; exclusive],
        }
    }

    /// Whether this is a plan of that part of the role: of its shape, and with as many shards as the part has.
    #[must_use]
    pub fn is_of(&self, role: &RoleSpec, part: u32) -> bool {
        let shards = part_len(role.shards, part);
        let exclusive = if role.mode == Mode::Primary { shards } else { 0 };
        self.shape == shape(role) && self.shards() == shards && self.holders.len() == exclusive
    }

    /// Number of shards in this part.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.rows.len() / self.width.max(1) as usize
    }

    /// The owner row of the shard at `at` within this part.
    #[must_use]
    pub fn row(&self, at: usize) -> &[u32] {
        let width = self.width as usize;
        self.rows.get(at * width..(at + 1) * width).unwrap_or_default()
    }

    /// Who acts on the shard at `at`, under which session. Meaningless where all owners act.
    #[must_use]
    pub fn holder(&self, at: usize) -> Option<(NodeId, SessionId)> {
        let index = (*self.holders.get(at)? as usize).checked_sub(1)?;
        self.sessions.get(index).copied()
    }

    /// Where the shard at `at` is moving: 0 for nowhere.
    #[must_use]
    pub fn target(&self, at: usize) -> u32 {
        self.targets.get(at).copied().unwrap_or(0)
    }

    /// The fencing token of whoever holds the shard at `at`, if this entry has `revision` in a history of this `base`.
    #[must_use]
    pub fn token(&self, at: usize, revision: Revision, base: u64) -> Token {
        Token::of(
            base,
            match self.granted.get(at) {
                None | Some(0) => revision,
                Some(&granted) => Revision(granted),
            },
        )
    }

    /// Whether the lists have the lengths and indices that they must have. Checked when an entry is read.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        let shards = self.shards();
        let exclusive = [self.holders.len(), self.granted.len(), self.targets.len()];
        self.width >= 1
            && shards <= PART_SHARDS as usize
            && shards * self.width as usize == self.rows.len()
            && (exclusive == [0; 3] || exclusive == [shards; 3])
            && self.holders.iter().all(|&h| h as usize <= self.sessions.len())
    }
}

/// Digest of what the shards of a role mean: its name, their number, who acts. Plans of another shape are never acted
/// on.
#[must_use]
pub fn shape(role: &RoleSpec) -> u64 {
    let mode = match role.mode {
        Mode::Primary => "primary",
        Mode::All => "all",
    };
    xxh3_64(format!("shardwright 1/{}/{}/{mode}", role.name, role.shards).as_bytes())
}

/// Number of parts of a role with this many shards.
#[must_use]
pub const fn parts(shards: u32) -> u32 {
    shards.div_ceil(PART_SHARDS)
}

/// Number of shards in part `part` of a role with this many shards.
#[must_use]
pub fn part_len(shards: u32, part: u32) -> usize {
    shards.saturating_sub(part.saturating_mul(PART_SHARDS)).min(PART_SHARDS) as usize
}
