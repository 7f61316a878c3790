//! What the steps of the ownership search do: nodes that begin, leaders that look and write, and what is remembered of
//! it.

use super::state::{Leader, Node, Owner, Plans, State};
use super::{Cluster, id};
use shardwright_core::duty::Duty;
use shardwright_core::handoff::{SessionState, Sessions, advance, carried};
use shardwright_core::id::SessionId;
use shardwright_core::plan::{PlanPart, shape};
use shardwright_core::role::Mode;
use shardwright_core::rules::Rule;
use shardwright_core::store::Revision;
use std::sync::Arc;

impl Cluster {
    /// A process that has just begun.
    pub(super) fn fresh_node(&self, joined: u32) -> Node {
        Node {
            duty: Duty::new(self.roles.iter().map(shape).collect(), self.rules),
            session: None,
            joined,
            late: false,
            fenced: false,
            seen: Revision(0),
            read: self.unread(),
            coming: None,
            stopping: Vec::new(),
        }
    }

    pub(super) fn unread(&self) -> Plans {
        self.roles
            .iter()
            .map(|role| (Revision(0), Arc::new(PlanPart::empty(role, 0))))
            .collect()
    }

    pub(super) fn join(&self, state: &mut State, node: usize) {
        let unread = self.unread();
        let me = state.node(node);
        me.joined += 1;
        let session = SessionId(u128::from(id(node).get()) << 32 | u128::from(me.joined));
        me.duty.begin(id(node), session, 0);
        me.session = Some(session);
        me.late = false;
        me.fenced = false;
        me.seen = Revision(0);
        me.read = unread;
        let fresh = SessionState {
            session,
            applied: Revision(0),
            ended: false,
        };
        Arc::make_mut(&mut state.sessions).insert(id(node), fresh);
    }

    /// Writes over the entry that the leader looked at. `None` if the comparison fails, or beyond the bound.
    pub(super) fn write(
        &self,
        state: &mut State,
        leader: usize,
        decide: impl FnOnce(&Self, Revision, &PlanPart, &Sessions) -> Option<PlanPart>,
    ) -> Option<()> {
        let Leader {
            entry: Some((role, revision, part)),
            sessions: Some(sessions),
        } = state.leaders[leader].clone()
        else {
            return None;
        };
        let agrees = state.plans[role].0 == revision || !self.rules.keep(Rule::PlanCompare);
        if !agrees || state.revision.0 >= self.last() {
            return None;
        }
        let next = decide(self, revision, &part, &sessions)?;
        assert!(next.is_well_formed(), "the leader wrote {next:?}");
        state.revision = Revision(state.revision.0 + 1);
        state.plans[role] = (state.revision, Arc::new(next));
        state.leaders[leader] = Leader::default();
        if self.rules.keep(Rule::PlanCompare) {
            // A look at a former entry can only conflict: it is as good as none.
            for other in &mut state.leaders {
                if other.entry.take_if(|(at, _, _)| *at == role).is_some() && !self.hasty_looks {
                    other.sessions = None;
                }
            }
        }
        Some(())
    }

    /// What a leader sees of the sessions. What has been applied matters only where it releases, and then only whether
    /// it does.
    pub(super) fn look(&self, state: &State, leader: &Leader) -> Arc<Sessions> {
        let mut seen = state.sessions.clone();
        if let Some((_, revision, part)) = &leader.entry
            && self.rules.keep(Rule::FreshRelease)
        {
            for (node, session) in Arc::make_mut(&mut seen) {
                let asked = (0..part.holders.len())
                    .any(|at| part.target(at) != 0 && part.holder(at) == Some((*node, session.session)));
                let released = asked && session.applied >= *revision;
                session.applied = if released { *revision } else { Revision(0) };
            }
        }
        seen
    }

    /// Forgets what cannot matter any more: releases below every present entry, and what a process did that will not
    /// join again.
    pub(super) fn tidy(&self, state: &mut State) {
        let oldest = state
            .plans
            .iter()
            .map(|(revision, _)| *revision)
            .min()
            .unwrap_or_default();
        if self.rules.keep(Rule::FreshRelease) && state.sessions.values().any(|s| s.applied.0 > 0 && s.applied < oldest)
        {
            let stale = Arc::make_mut(&mut state.sessions)
                .values_mut()
                .filter(|s| s.applied < oldest);
            stale.for_each(|s| s.applied = Revision(0));
        }
        for node in &mut state.nodes {
            if node.session.is_none() && node.joined == self.lives && (node.late || !node.stopping.is_empty()) {
                *node = Arc::new(self.fresh_node(node.joined));
            }
        }
    }

    pub(super) fn last(&self) -> u64 {
        self.roles.len() as u64 + self.writes
    }

    /// Where one acts, what the wishes make of the holders. Where all act, new rows: one node, or beyond the last id
    /// all of them.
    pub(super) fn decide(
        &self,
        revision: Revision,
        part: &PlanPart,
        sessions: &Sessions,
        wishes: &[u32],
    ) -> Option<PlanPart> {
        if !part.holders.is_empty() {
            return advance(
                revision,
                part,
                sessions,
                |at| wishes[at],
                &mut self.moves.clone(),
                self.rules,
            );
        }
        let mut next = carried(part, revision);
        next.width = self.nodes;
        next.rows = wishes
            .iter()
            .flat_map(|&wish| (1..=self.nodes).map(move |n| if wish == n || wish > self.nodes { n } else { 0 }))
            .collect();
        (next != *part).then_some(next)
    }

    /// Every wish for a part: nobody or any node for each shard; where all act also everybody.
    pub(super) fn wishes(&self, role: usize) -> Vec<Vec<u32>> {
        let role = &self.roles[role];
        let most = self.nodes + u32::from(role.mode == Mode::All);
        let mut all = vec![Vec::new()];
        for _ in 0..role.shards {
            all = all
                .iter()
                .flat_map(|w| (0..=most).map(move |n| [w.as_slice(), &[n]].concat()))
                .collect();
        }
        all
    }

    /// Role and shard, of all roles with this mode.
    pub(super) fn shards(&self, mode: Mode) -> impl Iterator<Item = (usize, u32)> {
        let roles = self.roles.iter().enumerate().filter(move |(_, role)| role.mode == mode);
        roles.flat_map(|(at, role)| (0..role.shards).map(move |shard| (at, shard)))
    }

    /// Remembers who owns what; every new owner's token must exceed those of all others before.
    pub(super) fn note_owners(&self, state: &mut State) {
        for (role, shard) in self.shards(Mode::Primary) {
            for (at, node) in state.nodes.iter().enumerate().filter(|(_, node)| !node.late) {
                let (Some(token), Some(session)) = (node.duty.token(role, shard), node.session) else {
                    continue;
                };
                let log = &mut state.owners[role][shard as usize];
                let owner = Owner {
                    node: id(at),
                    session,
                    token,
                };
                match log.last() {
                    Some(last) if *last == owner => continue,
                    Some(last) if last.node == owner.node => state.tokens_grow &= token >= last.token,
                    Some(last) => state.tokens_grow &= token > last.token,
                    None => {}
                }
                log.push(owner);
                if log.len() > self.memory {
                    log.remove(0);
                }
            }
        }
    }
}
