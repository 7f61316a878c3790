//! What answers show: which entries, and how old they look.

use crate::store::Store;
use shardwright_core::id::{ProcessId, SessionId};
use shardwright_core::join::Request;
use shardwright_core::store::{Entry, StoreTime};
use shardwright_core::time::Timing;
use shardwright_core::values::{Key, Session, Value};

/// The backend's clock in every answer. Ages are made by dating the entries.
pub(super) const NOW: StoreTime = StoreTime(1 << 40);

/// How old an entry looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Age {
    /// Younger than a validity.
    Young,
    /// At least validity plus margin: whoever wrote it may be taken for dead.
    Aged,
    /// At least reuse-after.
    Ancient,
}

/// A request in few words.
pub(super) fn brief(request: &Request) -> String {
    match request {
        Request::Get(key) => format!("get {key}"),
        Request::List { prefix, .. } => format!("list {prefix}"),
        Request::Put { key, expected, .. } => format!("put {key} over {expected:?}"),
        Request::Delete { key, revision } => format!("delete {key} at {revision:?}"),
    }
}

/// A session id of this process that no session has and no host entry names.
pub(super) fn fresh_session(process: ProcessId, store: &Store) -> SessionId {
    let taken = |id: SessionId| {
        store.list("").any(|(_, entry)| match &entry.value {
            Value::Session(s) => s.session == id,
            Value::Host(h) => h.session == Some(id),
            _ => false,
        })
    };
    let mut id = SessionId::new(process, 0);
    while taken(id) {
        id = id.next();
    }
    id
}

/// The entries that a request reads.
pub(super) fn read<'a>(store: &'a Store, request: &Request) -> Vec<(&'a Key, &'a Entry<Value>)> {
    match request {
        Request::Get(key) => store.list(&key.to_string()).collect(),
        Request::List { prefix, .. } => store.list(prefix).collect(),
        Request::Put { .. } | Request::Delete { .. } => Vec::new(),
    }
}

/// The entry as an answer shows it that makes it look as old as this.
pub(super) fn dated(entry: &Entry<Value>, age: Age) -> Entry<Value> {
    let timing = Timing::default();
    let written = StoreTime(match age {
        Age::Young => NOW.0,
        Age::Aged => NOW.0 - timing.taker(),
        Age::Ancient => NOW.0 - timing.reuse_after,
    });
    let value = match entry.value.clone() {
        Value::Session(s) => Value::Session(Session {
            began: written,
            ended: s.ended.map(|_| written),
            ..s
        }),
        other => other,
    };
    Entry {
        revision: entry.revision,
        written,
        value,
    }
}
