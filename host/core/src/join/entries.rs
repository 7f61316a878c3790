//! Entries of the types that a join reads; anything else under their keys counts as absent.

use crate::id::NodeId;
use crate::store::Entry;
use crate::values::{Host, IdOwner, Key, Session, Value};

pub(super) fn host_entry(entry: Option<Entry<Value>>) -> Option<Entry<Host>> {
    entry.and_then(|e| match e.value {
        Value::Host(value) => Some(Entry {
            revision: e.revision,
            written: e.written,
            value,
        }),
        _ => None,
    })
}

pub(super) fn session_entry(entry: Option<Entry<Value>>) -> Option<Entry<Session>> {
    entry.and_then(|e| match e.value {
        Value::Session(value) => Some(Entry {
            revision: e.revision,
            written: e.written,
            value,
        }),
        _ => None,
    })
}

pub(super) fn session_of(key: &str, entry: Entry<Value>) -> Option<(NodeId, Entry<Session>)> {
    match Key::parse(key)? {
        Key::Session(id) => session_entry(Some(entry)).map(|e| (id, e)),
        _ => None,
    }
}

pub(super) fn id_entry(key: &str, entry: Entry<Value>) -> Option<(NodeId, Entry<IdOwner>)> {
    match (Key::parse(key)?, entry.value) {
        (Key::Id(id), Value::Id(value)) => Some((
            id,
            Entry {
                revision: entry.revision,
                written: entry.written,
                value,
            },
        )),
        _ => None,
    }
}
