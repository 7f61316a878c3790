//! What the steps of the search over ids do: joins that begin and go on, requests that are performed, and what is
//! forgotten.

use super::answers::{Age, NOW, dated, fresh_session, read};
use super::{Cluster, Process, Stage, State};
use crate::store::Store;
use shardwright_core::id::NodeId;
use shardwright_core::join::{Answer, Held, Join, Next, Outcome, Request};
use shardwright_core::store::{Entry, Expected, Listing, Reading, Revision, StoreError, StoreTime, Written};
use shardwright_core::time::{Instant, Timing};
use shardwright_core::values::{Key, Session, Value};
use std::sync::Arc;

impl Cluster {
    pub(super) fn hostname(&self, process: usize) -> &str {
        &self.processes[process].hostname
    }

    /// The beginning of a join. Its session id is one that no entry has; an old one may return, so that states stay
    /// few.
    pub(super) fn start(&self, process: usize, store: &Store) -> Stage {
        let who = self.processes[process].clone();
        let session = fresh_session(who.process, store);
        let (join, next) = Join::start(who, Timing::default(), session, self.rules);
        match next {
            Next::Do(request) => Stage::Joining {
                join: Box::new(join),
                request,
            },
            other => unreachable!("a join begins by reading, not with {other:?}"),
        }
    }

    /// Follows a join to its next request or its end. Waiting takes no step: anything can happen before the request
    /// that follows.
    pub(super) fn follow(&self, process: usize, mut join: Box<Join>, mut next: Next, store: &Store) -> Stage {
        let start = Request::Get(Key::Host(self.hostname(process).to_owned()));
        loop {
            match next {
                Next::Wait(_) => next = join.wake(),
                // A join that starts over differs from a fresh one only in how long it will pause and in unused session
                // ids.
                Next::Do(request) if request == start => return self.start(process, store),
                Next::Do(request) => return Stage::Joining { join, request },
                Next::Held(held) => return Stage::Held(undated(held)),
                Next::Refused(error) => return Stage::Refused(error),
            }
        }
    }

    /// Whether the session at this revision belongs to a process that may act on it now: then it cannot look old.
    pub(super) fn guarded(state: &State, id: NodeId, revision: Revision) -> bool {
        state
            .processes
            .iter()
            .any(|p| p.lease == Some((id, revision)) && !p.late)
    }

    /// How old an entry may look.
    pub(super) fn ages(state: &State, key: &Key, entry: &Entry<Value>) -> &'static [Age] {
        match (key, &entry.value) {
            (Key::Session(id), Value::Session(s)) if s.ended.is_none() => {
                match Self::guarded(state, *id, entry.revision) {
                    true => &[Age::Young],
                    false => &[Age::Young, Age::Aged, Age::Ancient],
                }
            }
            (Key::Session(_) | Key::Id(_), _) => &[Age::Young, Age::Ancient],
            (Key::Host(_), Value::Host(h)) if h.session.is_none() => &[Age::Young, Age::Aged],
            _ => &[Age::Young],
        }
    }

    /// Every way to date the entries that the answer to `request` has.
    pub(super) fn datings(state: &State, request: &Request) -> Vec<Vec<Age>> {
        let mut all = vec![Vec::new()];
        for (key, entry) in read(&state.store, request) {
            let ages = Self::ages(state, key, entry);
            all = all
                .iter()
                .flat_map(|dated| ages.iter().map(|&age| [dated.as_slice(), &[age]].concat()))
                .collect();
        }
        all
    }

    /// Performs a request; the store is changed by writes only. `None` beyond the bound.
    pub(super) fn perform(
        &self,
        state: &mut State,
        process: usize,
        request: &Request,
        ages: &[Age],
    ) -> Option<Outcome> {
        let Request::Put { key, value, expected } = request else {
            let mut entries = read(&state.store, request)
                .into_iter()
                .zip(ages)
                .map(|((k, e), &age)| (k.to_string(), dated(e, age)));
            return Some(Ok(match request {
                Request::List { .. } => Answer::Listing(Listing {
                    entries: entries.collect(),
                    revision: state.store.revision(),
                    now: NOW,
                    unsure_before: StoreTime::default(),
                }),
                _ => Answer::Reading(Reading {
                    entry: entries.next().map(|(_, e)| e),
                    now: NOW,
                    unsure_before: StoreTime::default(),
                }),
            }));
        };
        let written = match self.put(state, key, value.clone(), *expected)? {
            Ok(revision) => revision,
            Err(conflict) => return Some(Err(conflict)),
        };
        if let (Key::Session(id), Value::Session(Session { ended: None, .. })) = (key, value) {
            let process = Arc::make_mut(&mut state.processes[process]);
            process.lease = Some((*id, written));
            process.late = false;
        }
        Some(Ok(Answer::Written(Written {
            revision: written,
            now: NOW,
        })))
    }

    pub(super) fn put(
        &self,
        state: &mut State,
        key: &Key,
        value: Value,
        expected: Expected,
    ) -> Option<Result<Revision, StoreError<Value>>> {
        let result = Arc::make_mut(&mut state.store).put(key, value, expected);
        (state.store.revision().0 <= state.last).then_some(result)
    }

    pub(super) fn answer(&self, state: &mut State, process: usize, outcome: Outcome) {
        let State { store, processes, .. } = state;
        let actor = Arc::make_mut(&mut processes[process]);
        if let Stage::Joining { join, .. } = &actor.stage {
            let mut join = join.clone();
            let next = join.answer(outcome, Instant(0));
            actor.stage = self.follow(process, join, next, store);
        }
    }

    pub(super) fn begin(&self, state: &mut State, process: usize) {
        let stage = self.start(process, &state.store);
        state.processes[process] = Arc::new(Process {
            stage,
            lease: None,
            late: false,
        });
    }

    /// A lease that was replaced or ended says nothing any more, except to a holder, or to one that may still become
    /// it.
    pub(super) fn tidy(state: &mut State) {
        let State { store, processes, .. } = state;
        for process in processes {
            let over = process.lease.is_some_and(|lease| !stands(store, lease));
            let begins = match &process.stage {
                Stage::Joining { request, .. } => matches!(request, Request::Get(Key::Host(_))),
                Stage::Held(_) => false,
                Stage::Refused(_) => true,
            };
            if over && begins {
                let process = Arc::make_mut(process);
                process.lease = None;
                process.late = false;
            }
        }
    }

    /// The live holders: process and what it holds.
    pub(super) fn holders(state: &State) -> impl Iterator<Item = (usize, &Held)> {
        state
            .processes
            .iter()
            .enumerate()
            .filter_map(|(n, process)| match &process.stage {
                Stage::Held(held) if !process.late => Some((n, held)),
                _ => None,
            })
    }

    pub(super) fn distinct<T: PartialEq>(&self, state: &State, of: impl Fn(usize, &Held) -> T) -> bool {
        let seen: Vec<T> = Self::holders(state).map(|(n, held)| of(n, held)).collect();
        (1..seen.len()).all(|n| !seen[..n].contains(&seen[n]))
    }
}

/// Whether a session is still as its writer left it.
pub(super) fn stands(store: &Store, (id, revision): (NodeId, Revision)) -> bool {
    store
        .session(&Key::Session(id))
        .is_some_and(|(at, s)| at == revision && s.ended.is_none())
}

/// What a holder keeps, without times: nothing here depends on them.
fn undated(mut held: Held) -> Held {
    held.session.began = StoreTime(0);
    held.session.away = 0;
    held
}
