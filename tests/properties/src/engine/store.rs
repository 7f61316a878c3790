//! A store as backends have it, in which somebody else may write as well.

use shardwright_core::join::{Answer, Outcome, Request};
use shardwright_core::store::{Entry, Expected, Listing, Reading, Revision, StoreError, StoreTime, Written};
use shardwright_core::time::Instant;
use shardwright_core::values::{Key, Value};
use std::collections::BTreeMap;

#[derive(Default)]
pub(super) struct Store {
    pub(super) entries: BTreeMap<String, Entry<Value>>,
    pub(super) revision: u64,
    pub(super) unsure_before: StoreTime,
    /// Its clock less that of the nodes.
    pub(super) ahead: u64,
}

impl Store {
    pub(super) fn now(&self, now: Instant) -> StoreTime {
        StoreTime(now.0.saturating_add(self.ahead))
    }

    /// As a backend does it. Nothing is stored that could not be read again, and nothing above the last revision.
    pub(super) fn perform(&mut self, request: Request, now: Instant) -> Outcome {
        let now = self.now(now);
        match request {
            Request::Get(key) => Ok(Answer::Reading(Reading {
                entry: self.entries.get(&key.to_string()).cloned(),
                now,
                unsure_before: self.unsure_before,
            })),
            Request::List { prefix, since } => {
                let entries = self
                    .entries
                    .iter()
                    .filter(|(key, entry)| key.starts_with(prefix) && entry.revision > since);
                Ok(Answer::Listing(Listing {
                    entries: entries.map(|(key, entry)| (key.clone(), entry.clone())).collect(),
                    revision: Revision(self.revision),
                    now,
                    unsure_before: self.unsure_before,
                }))
            }
            Request::Put { key, value, expected } => {
                let found = self.entries.get(&key.to_string());
                let holds = match expected {
                    Expected::Any => true,
                    Expected::Absent => found.is_none(),
                    Expected::Revision(revision) => found.is_some_and(|entry| entry.revision == revision),
                };
                if !holds {
                    return Err(StoreError::Conflict(found.cloned()));
                }
                let revision = self.put(&key, value, now);
                Ok(Answer::Written(Written { revision, now }))
            }
            Request::Delete { key, revision } => {
                let found = self.entries.get(&key.to_string());
                if found.is_none_or(|entry| entry.revision != revision) {
                    return Err(StoreError::Conflict(found.cloned()));
                }
                self.entries.remove(&key.to_string());
                self.revision = self.revision.saturating_add(1);
                let revision = Revision(self.revision);
                Ok(Answer::Written(Written { revision, now }))
            }
        }
    }

    pub(super) fn put(&mut self, key: &Key, value: Value, written: StoreTime) -> Revision {
        self.revision = self.revision.saturating_add(1);
        let revision = Revision(self.revision);
        self.entries.insert(
            key.to_string(),
            Entry {
                revision,
                written,
                value,
            },
        );
        revision
    }
}
