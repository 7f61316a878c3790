//! Snapshots: the state cut into pages, and pages made a state again.
//!
//! A snapshot is its [`SnapshotHeader`], the number of entries, and the entries in the order of their keys, all in
//! postcard, cut wherever a page is full. Every handle writes the same bytes for the same state.

use super::state_machine::{Entries, SnapshotHeader, StateMachine};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use shardwright_core::store::{Entry, Revision, StoreTime};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// How many bytes a page holds.
pub(super) const PAGE: usize = 512 * 1024;

#[derive(Serialize, Deserialize)]
struct Line<'a> {
    key: &'a str,
    revision: u64,
    written: u64,
    size: usize,
}

/// The pages of a state, made one at a time.
pub(super) struct Pages {
    entries: std::collections::btree_map::IntoIter<std::sync::Arc<str>, Entry<Bytes>>,
    buffer: Vec<u8>,
    hash: Xxh3,
    over: bool,
}

/// A page, and on the last one the hash of them all.
pub(super) struct Page {
    pub(super) bytes: Vec<u8>,
    pub(super) last: Option<u64>,
}

impl Pages {
    pub(super) fn new(facts: &SnapshotHeader, entries: Entries) -> Self {
        let buffer = postcard::to_extend(&(facts, entries.len()), Vec::new()).unwrap_or_default();
        Self {
            entries: entries.into_iter(),
            buffer,
            hash: Xxh3::new(),
            over: false,
        }
    }
}

impl Iterator for Pages {
    type Item = Page;

    fn next(&mut self) -> Option<Page> {
        if self.over {
            return None;
        }
        while self.buffer.len() <= PAGE
            && let Some((key, entry)) = self.entries.next()
        {
            let line = Line {
                key: &key,
                revision: entry.revision.0,
                written: entry.written.0,
                size: entry.value.len(),
            };
            self.buffer = postcard::to_extend(&line, std::mem::take(&mut self.buffer)).unwrap_or_default();
            self.buffer.extend_from_slice(&entry.value);
        }
        let rest = self.buffer.split_off(self.buffer.len().min(PAGE));
        let bytes = std::mem::replace(&mut self.buffer, rest);
        self.hash.update(&bytes);
        self.over = self.buffer.is_empty() && self.entries.len() == 0;
        Some(Page {
            bytes,
            last: self.over.then(|| self.hash.digest()),
        })
    }
}

/// The state that these pages hold, if their hash is `hash`.
pub(super) fn read(pages: &[u8], hash: u64) -> Option<StateMachine> {
    if xxh3_64(pages) != hash {
        return None;
    }
    let ((facts, count), mut rest): ((SnapshotHeader, usize), _) = postcard::take_from_bytes(pages).ok()?;
    let mut entries = Entries::new();
    for _ in 0..count {
        let (line, after): (Line<'_>, _) = postcard::take_from_bytes(rest).ok()?;
        let (value, after) = after.split_at_checked(line.size)?;
        let entry = Entry {
            revision: Revision(line.revision),
            written: StoreTime(line.written),
            value: Bytes::copy_from_slice(value),
        };
        entries.insert(line.key.into(), entry);
        rest = after;
    }
    rest.is_empty().then(|| StateMachine::restore(facts, entries))
}
