//! Who acts on which shard: nodes with the real [`Duty`](shardwright_core::duty::Duty), leaders that decide with the
//! real [`advance`](shardwright_core::handoff::advance), one plan entry per role.
//!
//! Leaders wish whatever they like and decide on stale looks; nodes crash, pause, pass their deadline, come back, stop
//! slowly. There is no clock: a session is ended only when its holder is dead or past its deadline, which is what the
//! timing rules say.

mod possible;
mod state;
mod steps;

pub use possible::{MOVED, RETURNED, TAKEN_OVER};
pub use state::State;

use shardwright_core::handoff::carried;
use shardwright_core::id::NodeId;
use shardwright_core::role::{Mode, RoleSpec};
use shardwright_core::rules::Rules;
use shardwright_core::store::Revision;
use state::Leader;
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
