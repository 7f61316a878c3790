//! A linearizable store without a clock: what each answer says about ages is chosen by whoever asks the model.

use shardwright_core::store::{Entry, Expected, Revision, StoreError, StoreTime};
use shardwright_core::values::{Key, Session, Value};
use std::collections::BTreeMap;

/// Entries and the last revision. Times are left at zero: an answer dates its entries as it is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Store {
    entries: BTreeMap<Key, Entry<Value>>,
    revision: Revision,
}

impl Store {
    /// The revision of the last write.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The entry under `key`.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<&Entry<Value>> {
        self.entries.get(key)
    }

    /// The session of an id.
    #[must_use]
    pub fn session(&self, key: &Key) -> Option<(Revision, &Session)> {
        match self.get(key)? {
            Entry {
                revision,
                value: Value::Session(session),
                ..
            } => Some((*revision, session)),
            _ => None,
        }
    }

    /// Every entry whose key, as text, begins with `prefix`.
    pub fn list(&self, prefix: &str) -> impl Iterator<Item = (&Key, &Entry<Value>)> {
        self.entries
            .iter()
            .filter(move |(key, _)| key.to_string().starts_with(prefix))
    }

    /// Compare-and-set.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the expectation does not hold; nothing is written then.
    pub fn put(&mut self, key: &Key, value: Value, expected: Expected) -> Result<Revision, StoreError<Value>> {
        let present = self.entries.get(key);
        let holds = match expected {
            Expected::Any => true,
            Expected::Absent => present.is_none(),
            Expected::Revision(revision) => present.is_some_and(|e| e.revision == revision),
        };
        if !holds {
            return Err(StoreError::Conflict(present.cloned()));
        }
        self.revision = Revision(self.revision.0 + 1);
        let entry = Entry {
            revision: self.revision,
            written: StoreTime(0),
            value: undated(value),
        };
        self.entries.insert(key.clone(), entry);
        Ok(self.revision)
    }
}

/// The value without the times that it carries: they are whatever an answer says.
fn undated(value: Value) -> Value {
    match value {
        Value::Session(session) => Value::Session(Session {
            began: StoreTime(0),
            away: 0,
            ended: session.ended.map(|_| StoreTime(0)),
            ..session
        }),
        other => other,
    }
}
