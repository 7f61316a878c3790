//! What this node may act on: the newest plan it has read, its session, and what is still stopping.
//!
//! A shard is *held* from the moment a read plan grants it, is *stopping* from the moment a read plan takes it away
//! until the runtime reports that its work has ended, and may be granted again only after that. `applied` advances only
//! past entries whose consequences are complete.

use crate::id::{NodeId, SessionId, Token};
use crate::plan::{PART_SHARDS, PlanPart};
use crate::rules::{Rule, Rules};
use crate::store::Revision;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One part of one role: role index and part number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartId {
    /// Index among the node's roles.
    pub role: usize,
    /// The part's number.
    pub part: u32,
}

/// Names a stop that the runtime must acknowledge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StopId(pub u64);

/// A consequence of what was learned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// These shards may be acted on, each under its token.
    Gain {
        /// Index of the role.
        role: usize,
        /// Number of the plan that grants them.
        epoch: u64,
        /// Shard and token.
        shards: Vec<(u32, Token)>,
    },
    /// These shards may not be acted on any more: stop their work, then report [`Duty::stopped`].
    Stop {
        /// To be reported.
        stop: StopId,
        /// Index of the role.
        role: usize,
        /// The shards, each with the token under which it was held.
        shards: Vec<(u32, Token)>,
    },
}

/// The node's side of ownership.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Duty {
    /// The shape that this node means by each of its roles.
    shapes: Vec<u64>,
    me: Option<(NodeId, SessionId)>,
    base: u64,
    fenced: bool,
    parts: BTreeMap<PartId, (Revision, Arc<PlanPart>)>,
    held: BTreeMap<PartId, Vec<u64>>,
    stopping: BTreeMap<StopId, (PartId, Vec<u32>)>,
    stops: u64,
    seen: Revision,
    applied: Revision,
    rules: Rules,
}

impl Duty {
    /// A node that holds nothing; `shapes` are those of its roles ([`crate::plan::shape`]).
    #[must_use]
    pub fn new(shapes: Vec<u64>, rules: Rules) -> Self {
        Self {
            shapes,
            rules,
            ..Self::default()
        }
    }

    /// A session begins: nothing learned before counts. What was held must have stopped ([`Duty::is_idle`]).
    pub fn begin(&mut self, id: NodeId, session: SessionId, base: u64) {
        self.parts.clear();
        self.held.clear();
        self.me = Some((id, session));
        self.base = base;
        self.fenced = false;
        self.seen = Revision(0);
        self.applied = Revision(0);
    }

    /// Tokens count from another base from now on: what is held stops, and goes on under its new token.
    pub fn rebase(&mut self, base: u64) -> Vec<Change> {
        if std::mem::replace(&mut self.base, base) == base {
            return Vec::new();
        }
        self.review_all()
    }

    /// The session is over: everything stops.
    pub fn end(&mut self) -> Vec<Change> {
        self.me = None;
        let changes = self.review_all();
        self.parts.clear();
        changes
    }

    /// The deadline has passed: everything stops until [`Duty::resume`].
    pub fn fence(&mut self) -> Vec<Change> {
        self.fenced = true;
        self.review_all()
    }

    /// The session was renewed after all.
    pub fn resume(&mut self) -> Vec<Change> {
        if !std::mem::take(&mut self.fenced) {
            return Vec::new();
        }
        self.review_all()
    }

    /// Plan entries were read: those that changed, in a listing that reads everything up to `seen`.
    pub fn learn(
        &mut self,
        seen: Revision,
        entries: impl IntoIterator<Item = (PartId, Revision, Arc<PlanPart>)>,
    ) -> Vec<Change> {
        let mut changes = Vec::new();
        for (id, revision, part) in entries {
            if self.parts.get(&id).is_some_and(|(known, _)| *known >= revision) {
                continue;
            }
            self.parts.insert(id, (revision, part));
            self.review(id, &mut changes);
        }
        self.seen = self.seen.max(seen);
        self.settle();
        changes
    }

    /// The work of a stop has ended.
    pub fn stopped(&mut self, stop: StopId) -> Vec<Change> {
        let mut changes = Vec::new();
        if let Some((id, _)) = self.stopping.remove(&stop) {
            self.review(id, &mut changes);
            self.settle();
        }
        changes
    }

    /// Every plan entry up to this revision has been applied, consequences included.
    #[must_use]
    pub fn applied(&self) -> Revision {
        self.applied
    }

    /// Whether a holder's release is due that the store does not know of yet.
    #[must_use]
    pub fn owes_release(&self, reported: Revision) -> bool {
        let asks = |(revision, part): &(Revision, Arc<PlanPart>)| {
            *revision > reported
                && (0..part.targets.len())
                    .any(|at| part.targets[at] != 0 && part.holder(at) == self.me && self.me.is_some())
        };
        self.applied > reported && self.parts.values().any(asks)
    }

    /// Whether no work runs or is stopping.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.stopping.is_empty() && self.held.values().flatten().all(|&t| t == 0)
    }

    /// Whether work on the shard may be running here: it is held, or has not stopped yet.
    #[must_use]
    pub fn is_active(&self, role: usize, shard: u32) -> bool {
        let id = PartId {
            role,
            part: shard / PART_SHARDS,
        };
        let at = shard % PART_SHARDS;
        self.held
            .get(&id)
            .is_some_and(|h| h.get(at as usize).is_some_and(|&t| t != 0))
            || self
                .stopping
                .values()
                .any(|(part, ats)| *part == id && ats.contains(&at))
    }

    /// The token under which the shard may be acted on now.
    #[must_use]
    pub fn token(&self, role: usize, shard: u32) -> Option<Token> {
        let held = self.held.get(&PartId {
            role,
            part: shard / PART_SHARDS,
        })?;
        held.get((shard % PART_SHARDS) as usize)
            .filter(|&&t| t != 0)
            .map(|&t| Token(t))
    }

    fn review_all(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        let ids: Vec<PartId> = self.parts.keys().copied().collect();
        for id in ids {
            self.review(id, &mut changes);
        }
        self.settle();
        changes
    }

    /// Brings what is held of one part in line with its newest plan.
    fn review(&mut self, id: PartId, changes: &mut Vec<Change>) {
        let Some((revision, part)) = self.parts.get(&id) else {
            return;
        };
        let shards = part.shards();
        let mut named: Vec<u64> = (0..shards)
            .map(|at| self.named(id, *revision, part, at).map_or(0, |t| t.0))
            .collect();
        for (_, ats) in self.stopping.values().filter(|(part, _)| *part == id) {
            for &at in ats {
                if let Some(token) = named.get_mut(at as usize) {
                    *token = 0;
                }
            }
        }
        let exclusive = !part.holders.is_empty();
        let held = self.held.entry(id).or_default();
        held.resize(shards.max(held.len()), 0);
        named.resize(held.len(), 0);
        let first = id.part * PART_SHARDS;
        let epoch = part.epoch;
        let (mut gained, mut lost) = (Vec::new(), Vec::new());
        for (at, (old, new)) in (0u32..).zip(held.iter_mut().zip(&named)) {
            if *old != 0 && *new != 0 && !exclusive {
                continue; // where all act, a rewritten entry changes nothing for those who stay
            }
            if *old != 0 && *old != *new {
                lost.push((at, Token(*old)));
                *old = 0;
            } else if *old == 0 && *new != 0 {
                gained.push((first + at, Token(*new)));
                *old = *new;
            }
        }
        if !lost.is_empty() {
            self.stops += 1;
            let stop = StopId(self.stops);
            changes.push(Change::Stop {
                stop,
                role: id.role,
                shards: lost.iter().map(|&(at, token)| (first + at, token)).collect(),
            });
            self.stopping
                .insert(stop, (id, lost.into_iter().map(|(at, _)| at).collect()));
        }
        if !gained.is_empty() {
            changes.push(Change::Gain {
                role: id.role,
                epoch,
                shards: gained,
            });
        }
    }

    /// The token under which this plan lets me act, were nothing stopping.
    fn named(&self, id: PartId, revision: Revision, part: &PlanPart, at: usize) -> Option<Token> {
        let (me, session) = self.me.filter(|_| !self.fenced)?;
        if self.shapes.get(id.role) != Some(&part.shape) {
            return None;
        }
        if part.holders.is_empty() {
            return part.row(at).contains(&me.get()).then(|| Token::of(self.base, revision));
        }
        let (holder, under) = part.holder(at)?;
        let mine = holder == me && (under == session || !self.rules.keep(Rule::SessionId));
        let stays = part.target(at) == 0 || !self.rules.keep(Rule::StopOnTarget);
        (mine && stays).then(|| part.token(at, revision, self.base))
    }

    fn settle(&mut self) {
        if self.stopping.is_empty() || !self.rules.keep(Rule::StopBeforeRelease) {
            self.applied = self.applied.max(self.seen);
        }
    }
}
