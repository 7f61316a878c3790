//! Who acts on which shard: nodes with the real [`Duty`], leaders that decide with the real [`advance`], one plan entry
//! per role.
//!
//! Leaders wish whatever they like and decide on stale looks; nodes crash, pause, pass their deadline, come back, stop
//! slowly. There is no clock: a session is ended only when its holder is dead or past its deadline, which is what the
//! timing rules say.

mod possible;
mod state;

pub use possible::{MOVED, RETURNED, TAKEN_OVER};
pub use state::State;

use shardwright_core::duty::Duty;
use shardwright_core::handoff::{SessionState, Sessions, advance, carried};
use shardwright_core::id::{NodeId, SessionId};
use shardwright_core::plan::{PlanPart, shape};
use shardwright_core::role::{Mode, RoleSpec};
use shardwright_core::rules::{Rule, Rules};
use shardwright_core::store::Revision;
use state::{Leader, Node, Owner, Plans};
use stateright::{Model, Property};
use std::sync::Arc;

/// The invariant of primaries.
pub const ONE_PRIMARY: &str = "no shard has two primaries";
/// The invariant of fencing tokens.
pub const TOKENS_GROW: &str = "a new owner has a higher token";

/// The invariant of roles in which all owners act.
pub const NAMED_ACT: &str = "where all act, only those act whom the plan they read names";

/// What exists and the bounds of the search.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// How many nodes. All have joined when the search begins; no shard has an owner.
    pub nodes: u32,
    /// The roles, each small enough for one plan entry.
    pub roles: Vec<RoleSpec>,
    /// How many leaders race.
    pub leaders: usize,
    /// How many plan entries may be written.
    pub writes: u64,
    /// How often each node may join, the first time included.
    pub lives: u32,
    /// How many planned moves one write may begin.
    pub moves: usize,
    /// A read takes two steps: what was read may be learned late.
    pub slow_reads: bool,
    /// A leader may look at the sessions before it looks at the plan: what the protocol forbids.
    pub hasty_looks: bool,
    /// How many owners of a shard are remembered, the present one included; at least 1.
    pub memory: usize,
    /// The rules in force.
    pub rules: Rules,
    /// What else must be possible within these bounds.
    pub possible: Vec<Possible>,
}

/// A situation that must be reachable, and its name.
pub type Possible = (&'static str, fn(&Cluster, &State) -> bool);

/// One step. Nodes and roles count from 0, ids from 1.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A node writes a fresh session.
    Join(usize),
    /// A node's process dies.
    Crash(usize),
    /// A node reads all plan entries.
    Read(usize),
    /// A node learns what it read before.
    Learn(usize),
    /// A node reads the entry of one role, because a message told it to.
    Hint(usize, usize),
    /// The work of a node's oldest, second … stop has ended.
    Stopped(usize, usize),
    /// A node renews its session and reports what it has applied.
    Renew(usize),
    /// It does, and the answer is lost.
    RenewUnanswered(usize),
    /// A node's deadline passes.
    Deadline(usize),
    /// A node notices that its deadline has passed.
    Fence(usize),
    /// Somebody ends the session of a node that is dead or past its deadline.
    End(usize),
    /// A node finds that its session is over.
    Over(usize),
    /// A leader reads the entry of a role.
    LookAtPlan(usize, usize),
    /// A leader reads all sessions.
    LookAtSessions(usize),
    /// A leader decides, wishing these owners for the shards, and writes.
    Write(usize, Vec<u32>),
    /// A leader writes new rows and leaves the owners as they are.
    Rewrite(usize),
}

impl Cluster {
    /// A process that has just begun.
    fn fresh_node(&self, joined: u32) -> Node {
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

    fn unread(&self) -> Plans {
        self.roles
            .iter()
            .map(|role| (Revision(0), Arc::new(PlanPart::empty(role, 0))))
            .collect()
    }

    fn join(&self, state: &mut State, node: usize) {
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
    fn write(
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
    fn look(&self, state: &State, leader: &Leader) -> Arc<Sessions> {
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
    fn tidy(&self, state: &mut State) {
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

    fn last(&self) -> u64 {
        self.roles.len() as u64 + self.writes
    }

    /// Where one acts, what the wishes make of the holders. Where all act, new rows: one node, or beyond the last id
    /// all of them.
    fn decide(&self, revision: Revision, part: &PlanPart, sessions: &Sessions, wishes: &[u32]) -> Option<PlanPart> {
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
    fn wishes(&self, role: usize) -> Vec<Vec<u32>> {
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
    fn shards(&self, mode: Mode) -> impl Iterator<Item = (usize, u32)> {
        let roles = self.roles.iter().enumerate().filter(move |(_, role)| role.mode == mode);
        roles.flat_map(|(at, role)| (0..role.shards).map(move |shard| (at, shard)))
    }

    /// Remembers who owns what; every new owner's token must exceed those of all others before.
    fn note_owners(&self, state: &mut State) {
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

fn id(node: usize) -> NodeId {
    let number = u32::try_from(node + 1).unwrap_or(u32::MAX);
    NodeId::new(number).unwrap_or_else(|| unreachable!("{number} is not 0"))
}

impl Model for Cluster {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut state = State {
            revision: Revision(self.roles.len() as u64),
            plans: (1..)
                .map(Revision)
                .zip(self.unread())
                .map(|(at, (_, part))| (at, part))
                .collect(),
            sessions: Arc::default(),
            nodes: (0..self.nodes).map(|_| Arc::new(self.fresh_node(0))).collect(),
            leaders: vec![Leader::default(); self.leaders],
            owners: self
                .roles
                .iter()
                .map(|role| vec![Vec::new(); role.shards as usize])
                .collect(),
            tokens_grow: true,
        };
        for node in 0..state.nodes.len() {
            self.join(&mut state, node);
        }
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (n, node) in state.nodes.iter().enumerate() {
            let stored = state.session(n);
            if node.session.is_some() {
                actions.push(Action::Crash(n));
            }
            if state.is_in_session(n) {
                if node.coming.is_some() {
                    actions.push(Action::Learn(n));
                } else if node.seen < state.revision {
                    actions.push(Action::Read(n));
                }
                if self.roles.len() > 1 {
                    let newer = (0..self.roles.len()).filter(|&role| node.read[role].0 < state.plans[role].0);
                    actions.extend(newer.map(|role| Action::Hint(n, role)));
                }
                if node.late || stored.is_some_and(|s| s.applied < node.duty.applied()) {
                    actions.push(Action::Renew(n));
                }
                match (node.late, node.fenced) {
                    (false, _) => actions.push(Action::Deadline(n)),
                    (true, false) => actions.extend([Action::Fence(n), Action::RenewUnanswered(n)]),
                    (true, true) => actions.push(Action::RenewUnanswered(n)),
                }
            } else if node.session.is_some() {
                // What it reads now makes no difference: it is past its deadline for good.
                actions.push(Action::Over(n));
            } else if node.joined < self.lives && node.duty.is_idle() {
                actions.push(Action::Join(n));
            }
            actions.extend((0..node.stopping.len()).map(|stop| Action::Stopped(n, stop)));
            if stored.is_some_and(|s| !s.ended && (node.late || node.session != Some(s.session))) {
                actions.push(Action::End(n));
            }
        }
        for (l, leader) in state.leaders.iter().enumerate() {
            for (role, (revision, _)) in state.plans.iter().enumerate() {
                if !leader
                    .entry
                    .as_ref()
                    .is_some_and(|(at, known, _)| *at == role && known == revision)
                {
                    actions.push(Action::LookAtPlan(l, role));
                }
            }
            let looks = self.hasty_looks || leader.entry.is_some();
            if looks && leader.sessions.as_ref() != Some(&self.look(state, leader)) {
                actions.push(Action::LookAtSessions(l));
            }
            if let (Some((role, _, part)), Some(_)) = (&leader.entry, &leader.sessions)
                && state.revision.0 < self.last()
            {
                actions.extend(self.wishes(*role).into_iter().map(|wishes| Action::Write(l, wishes)));
                if !part.holders.is_empty() {
                    actions.push(Action::Rewrite(l));
                }
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Join(n) => self.join(&mut state, n),
            Action::Crash(n) => state.nodes[n] = Arc::new(self.fresh_node(last.nodes[n].joined)),
            Action::Read(n) if self.slow_reads => state.node(n).coming = Some((last.revision, last.plans.clone())),
            Action::Read(n) => state.node(n).learn_all(last.revision, &last.plans),
            Action::Learn(n) => {
                let (seen, plans) = state.node(n).coming.take()?;
                state.node(n).learn_all(seen, &plans);
            }
            Action::Hint(n, role) => {
                state.node(n).learn(Revision(0), &[(role, last.plans[role].clone())]);
            }
            Action::Stopped(n, stop) => {
                let node = state.node(n);
                let (stop, _, _) = node.stopping.remove(stop);
                let changes = node.duty.stopped(stop);
                node.absorb(changes);
            }
            Action::Renew(n) | Action::RenewUnanswered(n) => {
                let applied = last.nodes[n].duty.applied();
                state.set_session(n, |s| s.applied = applied);
                if action == Action::Renew(n) {
                    let node = state.node(n);
                    node.late = false;
                    node.fenced = false;
                    let changes = node.duty.resume();
                    node.absorb(changes);
                }
            }
            Action::Deadline(n) => state.node(n).late = true,
            Action::Fence(n) => {
                let node = state.node(n);
                node.fenced = true;
                let changes = node.duty.fence();
                node.absorb(changes);
            }
            Action::End(n) => state.set_session(n, |s| s.ended = true),
            Action::Over(n) => {
                let unread = self.unread();
                let node = state.node(n);
                node.session = None;
                node.seen = Revision(0);
                node.read = unread;
                let changes = node.duty.end();
                node.absorb(changes);
            }
            Action::LookAtPlan(l, role) => {
                let (revision, part) = last.plans[role].clone();
                state.leaders[l].entry = Some((role, revision, part));
                if !self.hasty_looks {
                    state.leaders[l].sessions = None;
                }
            }
            Action::LookAtSessions(l) => state.leaders[l].sessions = Some(self.look(last, &last.leaders[l])),
            Action::Write(l, wishes) => self.write(&mut state, l, |model, revision, part, sessions| {
                model.decide(revision, part, sessions, &wishes)
            })?,
            Action::Rewrite(l) => self.write(&mut state, l, |_, revision, part, _| Some(carried(part, revision)))?,
        }
        self.note_owners(&mut state);
        self.tidy(&mut state);
        state.leaders.sort_by_cached_key(Leader::rank); // one is like the other
        Some(state)
    }

    fn format_step(&self, _: &State, action: Action) -> Option<String> {
        Some(format!("{action:?}"))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut all = vec![
            Property::always(ONE_PRIMARY, |cluster: &Self, state: &State| {
                let acting = |role, shard| state.nodes.iter().filter(|node| node.acts(role, shard)).count();
                cluster
                    .shards(Mode::Primary)
                    .all(|(role, shard)| acting(role, shard) <= 1)
            }),
            Property::always(TOKENS_GROW, |_, state: &State| state.tokens_grow),
            Property::always(NAMED_ACT, |cluster: &Self, state: &State| {
                let named = |n: usize, role: usize, shard| {
                    let may = state.nodes[n].read[role].1.row(shard as usize).contains(&id(n).get());
                    may || state.nodes[n].duty.token(role, shard).is_none()
                };
                cluster
                    .shards(Mode::All)
                    .all(|(role, shard)| (0..state.nodes.len()).all(|n| named(n, role, shard)))
            }),
        ];
        all.extend(
            self.possible
                .iter()
                .map(|&(name, reached)| Property::sometimes(name, reached)),
        );
        all
    }
}
