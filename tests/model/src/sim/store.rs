//! The virtual store: linearizable, with a clock of its own, and a history that can be lost.

use super::clock::{Clock, Time};
use shardwright_core::join::{Answer, Outcome, Request};
use shardwright_core::store::{Entry, Expected, Listing, Reading, Revision, StoreError, StoreTime, Written};
use shardwright_core::values::Value;
use std::collections::{BTreeMap, VecDeque};

/// Everything that nodes agree on.
#[derive(Clone, Debug)]
pub struct Store {
    entries: BTreeMap<String, Entry<Value>>,
    revision: u64,
    /// The backend's clock.
    pub clock: Clock,
    /// What a backup of some time ago has.
    backup: Option<(BTreeMap<String, Entry<Value>>, u64)>,
    /// How to undo the last writes: the key, and what was there before.
    undo: VecDeque<(String, Option<Entry<Value>>)>,
    /// The servers that have served, by number, and the revision at which each took over, the first with nothing.
    runs: Vec<(usize, u64)>,
    /// When the present one did.
    unsure_before: StoreTime,
    /// What the last takeover began with, as a replica still has it that did not hear of that one.
    former: Option<Former>,
    /// Servers of which nothing is left but what handles know, and the number of the next.
    forgotten: Vec<usize>,
    next_run: usize,
}

/// A store as it was before a takeover.
#[derive(Clone, Debug)]
struct Former {
    entries: BTreeMap<String, Entry<Value>>,
    revision: u64,
    runs: Vec<(usize, u64)>,
    unsure_before: StoreTime,
}

/// How many writes a replica is behind at most.
const LAG: usize = 24;
/// Revisions left out after a partial loss: more than can have been lost.
const JUMP: u64 = 1 << 20;

/// What a handle to the store knows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Handle {
    /// The server that it spoke to last; `None` before the first answer.
    pub run: Option<usize>,
    /// The highest revision that it has seen.
    pub highest: u64,
    /// It knows what the store no longer has: for good.
    pub lost: bool,
}

impl Handle {
    /// An answer arrives.
    pub fn learn(&mut self, outcome: &Outcome) {
        let seen = match outcome {
            Ok(Answer::Reading(read)) => read.entry.as_ref().map(|e| e.revision),
            Ok(Answer::Listing(list)) => Some(list.revision),
            Ok(Answer::Written(written)) => Some(written.revision),
            Err(StoreError::Conflict(entry)) => entry.as_ref().map(|e| e.revision),
            Err(_) => None,
        };
        self.highest = self.highest.max(seen.map_or(0, |revision| revision.0));
    }
}

impl Store {
    /// An empty store.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            entries: BTreeMap::new(),
            revision: 0,
            clock,
            backup: None,
            undo: VecDeque::new(),
            runs: vec![(0, 0)],
            unsure_before: StoreTime::default(),
            former: None,
            forgotten: Vec::new(),
            next_run: 1,
        }
    }

    /// The entries, by key.
    #[must_use]
    pub fn entries(&self) -> &BTreeMap<String, Entry<Value>> {
        &self.entries
    }

    /// The backend's time.
    #[must_use]
    pub fn time(&self, now: Time) -> StoreTime {
        StoreTime(self.clock.read(now).0)
    }

    /// Whether it says that it may have lost a part of itself.
    #[must_use]
    pub fn may_lack(&self) -> bool {
        self.unsure_before > StoreTime::default()
    }

    /// Performs a request of `handle`, sent when it spoke to the server `run`, by somebody who has heard of `heard`.
    pub fn serve(
        &mut self,
        handle: &mut Handle,
        run: Option<usize>,
        heard: StoreTime,
        request: Request,
        now: Time,
    ) -> Outcome {
        let present = self.runs.last().map_or(0, |(run, _)| *run);
        let known = handle.run.unwrap_or(present);
        let later = self.runs.iter().skip_while(|(run, _)| *run != known).skip(1);
        let lacks = later.fold(false, |lacks, (_, base)| lacks || *base < handle.highest);
        if handle.lost || lacks || self.forgotten.contains(&known) {
            handle.lost = true;
            return Err(StoreError::HistoryLost("a part of it is gone".to_owned()));
        }
        handle.run = Some(present);
        let informed = run.unwrap_or(present) == present && heard >= self.unsure_before;
        if request.is_write() && !informed {
            return Err(StoreError::Unavailable("another server answers".to_owned()));
        }
        self.perform(request, now)
    }

    /// Performs a request at one instant.
    fn perform(&mut self, request: Request, now: Time) -> Outcome {
        let time = self.time(now);
        match request {
            Request::Get(key) => Ok(Answer::Reading(Reading {
                entry: self.entries.get(&key.to_string()).cloned(),
                now: time,
                unsure_before: self.unsure_before,
            })),
            Request::List { prefix, since } => {
                let asked = self
                    .entries
                    .iter()
                    .filter(|(k, e)| k.starts_with(prefix) && e.revision > since);
                Ok(Answer::Listing(Listing {
                    entries: asked.map(|(k, e)| (k.clone(), e.clone())).collect(),
                    revision: Revision(self.revision),
                    now: time,
                    unsure_before: self.unsure_before,
                }))
            }
            Request::Put { key, value, expected } => self.put(key.to_string(), value, expected, time),
            Request::Delete { key, revision } => self.delete(key.to_string(), revision, time),
        }
    }

    fn delete(&mut self, key: String, revision: Revision, written: StoreTime) -> Outcome {
        let found = self.entries.get(&key);
        if found.is_none_or(|e| e.revision != revision) {
            return Err(StoreError::Conflict(found.cloned()));
        }
        let old = self.entries.remove(&key);
        self.revision += 1;
        self.remember(key, old);
        Ok(Answer::Written(Written {
            revision: Revision(self.revision),
            now: written,
        }))
    }

    fn put(&mut self, key: String, value: Value, expected: Expected, written: StoreTime) -> Outcome {
        let found = self.entries.get(&key);
        let holds = match expected {
            Expected::Any => true,
            Expected::Absent => found.is_none(),
            Expected::Revision(revision) => found.is_some_and(|e| e.revision == revision),
        };
        if !holds {
            return Err(StoreError::Conflict(found.cloned()));
        }
        self.revision += 1;
        let revision = Revision(self.revision);
        let old = self.entries.insert(
            key.clone(),
            Entry {
                revision,
                written,
                value,
            },
        );
        self.remember(key, old);
        Ok(Answer::Written(Written { revision, now: written }))
    }

    /// How to undo a write.
    fn remember(&mut self, key: String, old: Option<Entry<Value>>) {
        self.undo.push_back((key, old));
        if self.undo.len() > LAG {
            self.undo.pop_front();
        }
    }

    /// Keeps a backup of the present state.
    pub fn back_up(&mut self) {
        self.backup = Some((self.entries.clone(), self.revision));
    }

    /// Loses everything.
    pub fn wipe(&mut self) {
        self.entries.clear();
        self.revision = 0;
        self.backup = None;
        self.undo.clear();
        self.runs = vec![(0, 0)];
        self.unsure_before = StoreTime::default();
        self.former = None;
        self.forgotten.clear();
    }

    /// A replica takes over that had not heard of the last writes, at most `lost` of them.
    pub fn promote(&mut self, lost: usize, now: Time) {
        for (key, old) in self
            .undo
            .drain(self.undo.len().saturating_sub(lost)..)
            .rev()
            .collect::<Vec<_>>()
        {
            self.revision -= 1;
            match old {
                Some(old) => self.entries.insert(key, old),
                None => self.entries.remove(&key),
            };
        }
        self.take_over(now);
    }

    /// Another replica takes over, which did not even hear of the last takeover; false if there was none.
    pub fn promote_behind(&mut self, now: Time) -> bool {
        let Some(former) = self.former.take() else { return false };
        self.forgotten
            .extend(self.runs[former.runs.len()..].iter().map(|(run, _)| *run));
        self.entries = former.entries;
        self.revision = former.revision;
        self.runs = former.runs;
        self.unsure_before = former.unsure_before;
        self.take_over(now);
        true
    }

    fn take_over(&mut self, now: Time) {
        self.former = Some(Former {
            entries: self.entries.clone(),
            revision: self.revision,
            runs: self.runs.clone(),
            unsure_before: self.unsure_before,
        });
        self.runs.push((self.next_run, self.revision));
        self.next_run += 1;
        // Later than all that was written, and than the last loss, whatever the clock says.
        let written = self.entries.values().map(|entry| entry.written);
        let latest = written.chain([self.unsure_before]).max().unwrap_or_default();
        self.unsure_before = self.time(now).max(latest.plus(1));
        self.revision += JUMP;
        self.undo.clear();
    }

    /// Goes back to the last backup; false if there is none, or nothing was written since.
    pub fn restore(&mut self) -> bool {
        match self.backup.take() {
            Some((entries, revision)) if revision < self.revision => {
                self.entries = entries;
                self.revision = revision;
                self.former = None;
                self.undo.clear();
                true
            }
            _ => false,
        }
    }
}
