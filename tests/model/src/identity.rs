//! Who holds which id: several processes run the real [`Join`] over one store, and anything may happen between two
//! requests.
//!
//! A process may pause anywhere, crash and restart, lose the answer to a write, pass its deadline and come back. There
//! is no clock. The age that an answer shows is any that could be true: an unended session of a process that lives and
//! is not past its deadline is young; every other entry may look as old as it likes.

mod answers;
mod possible;
mod steps;

pub use answers::Age;
pub use possible::{EXHAUSTED, HOSTNAME_CONFLICT, ID_REUSED, RIVAL_REPLACED, TWO_LIVE};

use crate::store::Store;
use answers::{NOW, brief, read};
use shardwright_core::id::{InstanceId, NodeId, ProcessId};
use shardwright_core::join::{Held, Identity, Join, JoinError, Request};
use shardwright_core::rules::Rules;
use shardwright_core::store::{Expected, Revision, StoreError};
use shardwright_core::values::{Key, Session, Value};
use stateright::{Model, Property};
use std::sync::Arc;
use steps::stands;

/// The invariant of ids.
pub const ONE_HOLDER_PER_ID: &str = "no id has two live holders";
/// The invariant of hostnames.
pub const ONE_HOLDER_PER_HOSTNAME: &str = "no hostname has two live holders";

/// The processes and the bounds of the search.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// The processes. Those of one hostname differ in their instance, or are copies.
    pub processes: Vec<Identity>,
    /// These processes, in this order, have joined undisturbed when the search begins.
    pub joined: Vec<usize>,
    /// How many writes may be made after that.
    pub writes: u64,
    /// The rules in force.
    pub rules: Rules,
    /// What else must be possible within these bounds.
    pub possible: Vec<Possible>,
}

/// A situation that must be reachable, and its name.
pub type Possible = (&'static str, fn(&Cluster, &State) -> bool);

/// Process number `n` (from 1) under a hostname, with a state directory of its own. Its restarts are the same process
/// here: each is over when the next begins, as the lock of the state directory has it.
#[must_use]
pub fn process(n: u64, hostname: &str, static_id: Option<u32>, max_id: u32) -> Identity {
    Identity {
        static_id: static_id.and_then(NodeId::new),
        ..Identity::new(hostname, InstanceId(u128::from(n)), ProcessId(n), max_id)
    }
}

/// The same in a copy of its state directory.
#[must_use]
pub fn copy(of: &Identity) -> Identity {
    Identity {
        process: ProcessId(of.process.0 + 100),
        ..of.clone()
    }
}

/// Everything that the future depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    store: Arc<Store>,
    processes: Vec<Arc<Process>>,
    /// The last revision that may be written.
    last: u64,
}

/// One process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Process {
    stage: Stage,
    /// The session that it wrote last in this life, while that counts.
    lease: Option<(NodeId, Revision)>,
    /// The deadline of that session has passed.
    late: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Stage {
    Joining { join: Box<Join>, request: Request },
    Held(Held),
    Refused(JoinError),
}

/// One step of one process, or of the world around it. Processes count from 0.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The pending request is performed and answered; entries look as old as this, in the order of their keys.
    Perform(usize, Vec<Age>),
    /// The pending request fails, or its answer is lost: was it executed?
    Lose(usize, bool),
    /// The process dies and starts again with the same instance.
    Restart(usize),
    /// The deadline of its session passes.
    Deadline(usize),
    /// A holder renews its session.
    Renew(usize),
    /// A holder finds that its session is over and joins again.
    Rejoin(usize),
    /// Somebody ends a session that shows no life.
    End(NodeId),
}

impl Model for Cluster {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let store = Arc::new(Store::default());
        let processes = (0..self.processes.len()).map(|n| {
            Arc::new(Process {
                stage: self.start(n, &store),
                lease: None,
                late: false,
            })
        });
        let mut state = State {
            processes: processes.collect(),
            store: store.clone(),
            last: u64::MAX,
        };
        for &n in &self.joined {
            self.begin(&mut state, n);
            while let Stage::Joining { request, .. } = &state.processes[n].stage.clone() {
                let young = vec![Age::Young; read(&state.store, request).len()];
                let Some(outcome) = self.perform(&mut state, n, request, &young) else {
                    break;
                };
                self.answer(&mut state, n, outcome);
            }
        }
        state.last = state.store.revision().0 + self.writes;
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (n, process) in state.processes.iter().enumerate() {
            match &process.stage {
                Stage::Joining { request, .. } => {
                    actions.extend(
                        Self::datings(state, request)
                            .into_iter()
                            .map(|ages| Action::Perform(n, ages)),
                    );
                    actions.push(Action::Lose(n, false));
                    if matches!(request, Request::Put { .. }) {
                        actions.push(Action::Lose(n, true));
                    }
                }
                Stage::Held(_) if process.lease.is_some_and(|lease| stands(&state.store, lease)) => {
                    actions.push(Action::Renew(n));
                }
                Stage::Held(_) => actions.push(Action::Rejoin(n)),
                Stage::Refused(_) => {}
            }
            actions.push(Action::Restart(n));
            if process.lease.is_some() && !process.late {
                actions.push(Action::Deadline(n));
            }
        }
        for (key, entry) in state.store.list("sessions/") {
            if let (Key::Session(id), Value::Session(Session { ended: None, .. })) = (key, &entry.value)
                && !Self::guarded(state, *id, entry.revision)
            {
                actions.push(Action::End(*id));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        let pending = |n: usize| match &last.processes[n].stage {
            Stage::Joining { request, .. } => Some(request),
            _ => None,
        };
        match action {
            Action::Perform(n, ages) => {
                let outcome = self.perform(&mut state, n, pending(n)?, &ages)?;
                self.answer(&mut state, n, outcome);
            }
            Action::Lose(n, executed) => {
                if executed {
                    // A write that conflicts tells nothing by failing to answer: nothing happened.
                    self.perform(&mut state, n, pending(n)?, &[])?.ok()?;
                }
                self.answer(&mut state, n, Err(StoreError::Indeterminate(String::new())));
            }
            Action::Restart(n) | Action::Rejoin(n) => self.begin(&mut state, n),
            Action::Deadline(n) => Arc::make_mut(&mut state.processes[n]).late = true,
            Action::Renew(n) => {
                let Stage::Held(held) = &last.processes[n].stage else {
                    return None;
                };
                let value = Value::Session(held.session.clone());
                let revision = self
                    .put(
                        &mut state,
                        &Key::Session(held.id),
                        value,
                        Expected::Revision(held.revision),
                    )?
                    .ok()?;
                let held = Held {
                    revision,
                    ..held.clone()
                };
                state.processes[n] = Arc::new(Process {
                    lease: Some((held.id, revision)),
                    stage: Stage::Held(held),
                    late: false,
                });
            }
            Action::End(id) => {
                let key = Key::Session(id);
                let (revision, session) = last.store.session(&key)?;
                let ended = Session {
                    ended: Some(NOW),
                    ..session.clone()
                };
                self.put(&mut state, &key, Value::Session(ended), Expected::Revision(revision))?
                    .ok()?;
            }
        }
        Self::tidy(&mut state);
        Some(state)
    }

    fn format_step(&self, last: &State, action: Action) -> Option<String> {
        let pending = |n: usize| match &last.processes[n].stage {
            Stage::Joining { request, .. } => brief(request),
            _ => "nothing".to_owned(),
        };
        Some(match action {
            Action::Perform(n, ages) if ages.is_empty() => format!("{n}: {}", pending(n)),
            Action::Perform(n, ages) => format!("{n}: {}, looks {ages:?}", pending(n)),
            Action::Lose(n, executed) => format!("{n}: {} fails, executed: {executed}", pending(n)),
            other => format!("{other:?}"),
        })
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut all = vec![
            Property::always(ONE_HOLDER_PER_ID, |model: &Self, state| {
                model.distinct(state, |_, h| h.id)
            }),
            Property::always(ONE_HOLDER_PER_HOSTNAME, |model: &Self, state| {
                model.distinct(state, |n, _| model.hostname(n).to_owned())
            }),
            Property::always("a live holder's session stands", |_, state| {
                Self::holders(state).all(|(_, held)| stands(&state.store, (held.id, held.revision)))
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
