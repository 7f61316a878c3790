//! What the ownership search remembers: plans, sessions, nodes, leaders, and who owned what.

use super::id;
use shardwright_core::duty::{Change, Duty, PartId, StopId};
use shardwright_core::handoff::{SessionState, Sessions};
use shardwright_core::id::{NodeId, SessionId, Token};
use shardwright_core::plan::PlanPart;
use shardwright_core::store::Revision;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Plan entries as read, by role.
pub(super) type Plans = Vec<(Revision, Arc<PlanPart>)>;

/// Everything that the future depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The revision of the last plan write. Other writes take none: nothing compares with theirs.
    pub(super) revision: Revision,
    pub(super) plans: Plans,
    pub(super) sessions: Arc<Sessions>,
    pub(super) nodes: Vec<Arc<Node>>,
    pub(super) leaders: Vec<Leader>,
    /// By role and shard: who owned it last, the present owner at the end.
    pub(super) owners: Vec<Vec<Vec<Owner>>>,
    pub(super) tokens_grow: bool,
}

/// One ownership of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Owner {
    pub(super) node: NodeId,
    pub(super) session: SessionId,
    pub(super) token: Token,
}

/// One node: its process and what is true of its clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) duty: Duty,
    pub(super) session: Option<SessionId>,
    pub(super) joined: u32,
    /// Its deadline has passed.
    pub(super) late: bool,
    /// It has noticed.
    pub(super) fenced: bool,
    /// The revision up to which it has read, and the entries.
    pub(super) seen: Revision,
    pub(super) read: Plans,
    /// Read, but not learned yet.
    pub(super) coming: Option<(Revision, Plans)>,
    pub(super) stopping: Vec<(StopId, usize, Vec<u32>)>,
}

/// The state of [`Duty`] follows from what it was told, all but the numbers of its stops, which only grow. Hashing what
/// was told and what it answers makes states that differ in these numbers alone one state.
impl Hash for Node {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (
            self.session,
            self.joined,
            self.late,
            self.fenced,
            self.seen,
            &self.read,
            &self.coming,
        )
            .hash(state);
        self.duty.applied().hash(state);
        for (role, (_, part)) in self.read.iter().enumerate() {
            for shard in (0..).take(part.shards()) {
                self.duty.token(role, shard).hash(state);
            }
        }
        self.stopping.len().hash(state);
        for (_, role, shards) in &self.stopping {
            (role, shards).hash(state);
        }
    }
}

/// One leader: its last looks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Leader {
    pub(super) entry: Option<(usize, Revision, Arc<PlanPart>)>,
    pub(super) sessions: Option<Arc<Sessions>>,
}

impl Leader {
    pub(super) fn rank(&self) -> impl Ord + use<> {
        let sessions = self.sessions.as_deref().map(|all| {
            let each = all.iter().map(|(node, s)| (*node, s.session, s.applied, s.ended));
            each.collect::<Vec<_>>()
        });
        (
            self.entry.as_ref().map(|(role, revision, _)| (*role, *revision)),
            sessions,
        )
    }
}

impl Node {
    pub(super) fn absorb(&mut self, changes: Vec<Change>) {
        for change in changes {
            if let Change::Stop { stop, role, shards } = change {
                let shards = shards.into_iter().map(|(shard, _)| shard).collect();
                self.stopping.push((stop, role, shards));
            }
        }
    }

    pub(super) fn learn(&mut self, seen: Revision, entries: &[(usize, (Revision, Arc<PlanPart>))]) {
        let told = entries
            .iter()
            .map(|(role, (at, part))| (PartId { role: *role, part: 0 }, *at, part.clone()));
        let changes = self.duty.learn(seen, told);
        self.absorb(changes);
        self.seen = self.seen.max(seen);
        for (role, new) in entries {
            if self.read[*role].0 < new.0 {
                self.read[*role] = new.clone();
            }
        }
    }

    pub(super) fn learn_all(&mut self, seen: Revision, plans: &Plans) {
        let entries: Vec<_> = plans.iter().cloned().enumerate().collect();
        self.learn(seen, &entries);
    }

    /// Work on the shard may be running here, and nothing but the protocol keeps others from it.
    pub(super) fn acts(&self, role: usize, shard: u32) -> bool {
        !self.late && self.duty.is_active(role, shard)
    }
}

impl State {
    pub(super) fn session(&self, node: usize) -> Option<&SessionState> {
        self.sessions.get(&id(node))
    }

    /// Whether the node's session is the one stored, and not over.
    pub(super) fn is_in_session(&self, node: usize) -> bool {
        let mine = self.nodes[node].session;
        mine.is_some() && self.session(node).is_some_and(|s| Some(s.session) == mine && !s.ended)
    }

    pub(super) fn node(&mut self, node: usize) -> &mut Node {
        Arc::make_mut(&mut self.nodes[node])
    }

    pub(super) fn set_session(&mut self, node: usize, change: impl FnOnce(&mut SessionState)) {
        if let Some(session) = Arc::make_mut(&mut self.sessions).get_mut(&id(node)) {
            change(session);
        }
    }
}
