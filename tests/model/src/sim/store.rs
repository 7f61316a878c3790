//! The virtual store: linearizable, with a clock of its own, and a history that can be lost.

use super::clock::{Clock, Time};
use shardwright_core::join::{Answer, Outcome, Request};
use shardwright_core::store::{Entry, Expected, Listing, Reading, Revision, StoreError, StoreTime, Written};
use shardwright_core::values::Value;
use std::collections::BTreeMap;

/// Everything that nodes agree on.
#[derive(Clone, Debug)]
pub struct Store {
    entries: BTreeMap<String, Entry<Value>>,
    revision: u64,
    /// The backend's clock.
    pub clock: Clock,
    /// What a backup of some time ago has.
    backup: Option<(BTreeMap<String, Entry<Value>>, u64)>,
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

    /// Performs a request at one instant.
    pub fn perform(&mut self, request: Request, now: Time) -> Outcome {
        let time = self.time(now);
        match request {
            Request::Get(key) => Ok(Answer::Reading(Reading {
                entry: self.entries.get(&key.to_string()).cloned(),
                now: time,
                unsure_before: StoreTime::default(),
            })),
            Request::List { prefix, since } => {
                let asked = self.entries.iter().filter(|(k, e)| k.starts_with(prefix) && e.revision > since);
                Ok(Answer::Listing(Listing {
                    entries: asked.map(|(k, e)| (k.clone(), e.clone())).collect(),
                    revision: Revision(self.revision),
                    now: time,
                    unsure_before: StoreTime::default(),
                }))
            }
            Request::Put { key, value, expected } => self.put(key.to_string(), value, expected, time),
        }
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
        self.entries.insert(key, Entry { revision, written, value });
        Ok(Answer::Written(Written { revision, now: written }))
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
    }

    /// Goes back to the last backup; false if there is none, or nothing was written since.
    pub fn restore(&mut self) -> bool {
        match self.backup.take() {
            Some((entries, revision)) if revision < self.revision => {
                self.entries = entries;
                self.revision = revision;
                true
            }
            _ => false,
        }
    }
}
