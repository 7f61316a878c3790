//! A store in one lane's own memory. Its revisions come from the clock, so that those of a lane's successor go on from
//! there.

use crate::misdeed::Misdeed;
use shardwright_guest::adapter::{
    BusError, Deadline, Delivery, Entry, Expected, Listed, Listing, Publisher, Reading, Store, StoreError, Subscriber,
    Written,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// What one lane stores.
pub struct Memory {
    entries: BTreeMap<String, Entry>,
    revision: u64,
    misdeed: Misdeed,
}

fn now() -> u64 {
    Deadline::now().nanos() / 1_000_000
}

impl Memory {
    pub fn new(misdeed: Misdeed) -> Self {
        Self {
            entries: BTreeMap::new(),
            revision: Deadline::now().nanos(),
            misdeed,
        }
    }

    fn write(&mut self, key: &str, expected: Expected) -> Result<Written, StoreError> {
        let found = self.entries.get(key);
        let holds = match expected {
            Expected::Any => true,
            Expected::Absent => found.is_none(),
            Expected::Revision(revision) => found.is_some_and(|entry| entry.revision == revision),
        };
        if !holds {
            return Err(StoreError::Conflict(found.cloned()));
        }
        self.revision = Deadline::now().nanos().max(self.revision + 1);
        Ok(self.misdeed.written(Written {
            revision: self.revision,
            now: now(),
        }))
    }
}

impl Store for Memory {
    fn get(&mut self, key: &str) -> Result<Reading, StoreError> {
        self.misdeed.call()?;
        Ok(Reading {
            entry: self.entries.get(key).cloned(),
            revision: self.misdeed.revision(self.revision),
            now: now(),
            unsure_before: 0,
        })
    }

    fn list(&mut self, prefix: &str, since: u64) -> Result<Listing, StoreError> {
        let entries = self
            .entries
            .iter()
            .filter(|(key, entry)| key.starts_with(prefix) && entry.revision > since);
        let listing = Listing {
            entries: entries
                .map(|(key, entry)| Listed {
                    key: key.clone(),
                    revision: entry.revision,
                    written: entry.written,
                    value: entry.value.clone(),
                })
                .collect(),
            revision: self.revision,
            now: now(),
            unsure_before: 0,
        };
        Ok(self.misdeed.listing(listing))
    }

    fn put(&mut self, key: &str, value: Vec<u8>, expected: Expected) -> Result<Written, StoreError> {
        self.misdeed.call()?;
        let written = self.write(key, expected)?;
        if self.misdeed.claims() {
            return Ok(written);
        }
        let entry = Entry {
            revision: written.revision,
            written: written.now,
            value,
        };
        self.entries.insert(key.to_owned(), entry);
        Ok(written)
    }

    fn delete(&mut self, key: &str, expected: Expected) -> Result<Written, StoreError> {
        self.misdeed.call()?;
        let written = self.write(key, expected)?;
        self.entries.remove(key);
        Ok(written)
    }

    fn erase(&mut self) -> Result<(), StoreError> {
        self.entries.clear();
        Ok(())
    }
}

impl Publisher for Memory {
    fn publish(&mut self, _topic: &str, _payload: Vec<u8>) -> Result<(), BusError> {
        Ok(())
    }
}

impl Subscriber for Memory {
    fn subscribe(&mut self, _topics: Vec<String>) -> Result<(), BusError> {
        Ok(())
    }

    fn next(&mut self, max: usize, timeout: Duration) -> Result<Vec<Delivery>, BusError> {
        if let Some(turn) = self.misdeed.turn(max) {
            return turn;
        }
        Deadline::after(timeout).sleep();
        Ok(Vec::new())
    }
}
