//! What the log says: the state that every handle makes of it, record by record, and all make the same.
//!
//! Nothing here knows the time, chance, or who asks: the state after a record depends on the records before it and on
//! nothing else.

use super::record::{Guard, Head, Operation, RecordError};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use shardwright_core::store::{Entry, Revision, StoreTime};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The entries of the store.
pub(super) type Entries = BTreeMap<Arc<str>, Entry<Bytes>>;

/// How much is written between two snapshots at least, in weight.
const PERIOD: u64 = 2 * 1024 * 1024;
/// What a record weighs beside its bytes: reading many small ones takes time too.
const RECORD_WEIGHT: u64 = 256;
/// What an entry weighs beside its key and value in a snapshot.
const ENTRY_WEIGHT: u64 = 32;
/// How many hashes of the log's past are kept to compare with those of others.
const REMEMBERED: usize = 1024;

/// The state after some prefix of the log.
#[derive(Clone, Debug)]
pub(super) struct StateMachine {
    pub(super) facts: SnapshotHeader,
    pub(super) entries: Entries,
    /// The weight of the entries: about the size of a snapshot.
    size: u64,
    /// The hashes of the log up to its last offsets, the newest at the back.
    past: VecDeque<u64>,
}

/// The state without its entries: what a snapshot begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SnapshotHeader {
    /// Which history this is.
    pub(super) history: u64,
    /// The offset of the next record.
    pub(super) next: u64,
    /// The running hash of all records so far.
    pub(super) chain: u64,
    /// The greatest append time so far, in milliseconds: the broker's clock may step back, this does not.
    pub(super) time: u64,
    snapshots: Snapshots,
}

/// What the log says about snapshots.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Snapshots {
    /// Where the last one began, who writes it, and its next page; no page when it is complete.
    begun: Option<(u64, u64, Option<u32>)>,
    /// Where the last complete one began.
    complete: Option<u64>,
    /// The weight of what was written since the last one began.
    weight: u64,
    /// How often that was found to be enough.
    turns: u64,
}

/// What became of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Applied {
    /// Who wrote it, and which of its records it is; `None` for a record of a stranger or of another history.
    pub(super) by: Option<(u64, u64)>,
    pub(super) outcome: Outcome,
    /// Why this may not be the log that was read so far.
    pub(super) doubt: Option<String>,
    /// Its author is to begin a snapshot.
    pub(super) turn: bool,
}

/// What a record did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// What it says.
    Done,
    /// Nothing: it did not find what it expected, but this.
    Refused(Option<Entry<Bytes>>),
    /// It completed a snapshot: what is before this offset is of no use any more.
    Completed(Option<u64>),
    /// Nothing can be told: a later release wrote it.
    Newer(u8),
}

impl StateMachine {
    /// The state after the record at `offset`, which begins the history `history`.
    pub(super) fn genesis(history: u64, offset: u64, time: u64, record: &[u8]) -> Self {
        let facts = SnapshotHeader {
            history,
            next: offset + 1,
            chain: link(0, offset, time, record),
            time,
            snapshots: Snapshots::default(),
        };
        Self::restore(facts, Entries::new())
    }

    /// The state of a snapshot.
    pub(super) fn restore(facts: SnapshotHeader, entries: Entries) -> Self {
        Self {
            size: entries.iter().map(|(key, entry)| weight(key, entry)).sum(),
            past: VecDeque::from([facts.chain]),
            facts,
            entries,
        }
    }

    /// Where the last snapshot began, plus one; 0 if none did.
    pub(super) fn last_begun(&self) -> u64 {
        self.facts.snapshots.begun.map_or(0, |(at, ..)| at.saturating_add(1))
    }

    /// Takes the record at `offset`, which is the next one.
    pub(super) fn apply(&mut self, offset: u64, time: u64, record: &[u8]) -> Applied {
        let facts = &mut self.facts;
        let seen_before = facts.next;
        facts.next = offset + 1;
        facts.time = facts.time.max(time);
        facts.chain = link(facts.chain, offset, time, record);
        // A snapshot may say of it whatever somebody has written there.
        let weight = &mut facts.snapshots.weight;
        *weight = weight.saturating_add(record.len() as u64 + RECORD_WEIGHT);
        let mut folded = match Head::decode(record) {
            Err(RecordError::Newer(version)) => Applied::nothing(Outcome::Newer(version), None),
            Err(RecordError::Stranger) => Applied::nothing(Outcome::Done, None),
            // What begins a history after one has begun lost a race.
            Ok((
                Head {
                    act: Operation::Genesis,
                    ..
                },
                _,
            )) => Applied::nothing(Outcome::Done, None),
            // Of somebody who does not know the history yet.
            Ok((head, _)) if (head.history, head.act) == (0, Operation::Tick) => Applied {
                by: Some((head.author, head.sequence)),
                ..Applied::nothing(Outcome::Done, None)
            },
            Ok((head, _)) if head.history != facts.history => {
                let why = format!("the record at offset {offset} belongs to another history");
                Applied::nothing(Outcome::Done, Some(why))
            }
            Ok((head, value)) => Applied {
                by: Some((head.author, head.sequence)),
                outcome: self.act(&head, value, offset),
                doubt: self.differs(&head, seen_before),
                turn: false,
            },
        };
        if self.past.len() == REMEMBERED {
            self.past.pop_front();
        }
        self.past.push_back(self.facts.chain);
        let snapshots = &mut self.facts.snapshots;
        let turns = snapshots.weight / self.size.max(PERIOD);
        folded.turn = folded.by.is_some() && turns > snapshots.turns;
        snapshots.turns = turns.max(snapshots.turns);
        folded
    }

    /// Whether the author of a record at `offset` had read something else where this fold was then.
    fn differs(&self, head: &Head<'_>, offset: u64) -> Option<String> {
        if head.seen > offset {
            return Some(format!(
                "the record at offset {offset} knows {} records, more than there are before it",
                head.seen
            ));
        }
        let ago = usize::try_from(offset - head.seen).unwrap_or(usize::MAX);
        let ours = self.past.len().checked_sub(ago + 1).map(|place| self.past[place])?;
        (ours != head.chain).then(|| {
            format!(
                "the author of the record at offset {offset} has read another log up to {}",
                head.seen
            )
        })
    }

    fn act(&mut self, head: &Head<'_>, value: &[u8], offset: u64) -> Outcome {
        match head.act {
            Operation::Genesis | Operation::Tick => Outcome::Done,
            Operation::Put(key, guard) => self.guarded(key, guard, |fold| {
                let entry = Entry {
                    revision: Revision(offset + 1),
                    written: StoreTime(fold.facts.time),
                    value: Bytes::copy_from_slice(value),
                };
                fold.size += weight(key, &entry);
                fold.replaced(key, |entries| entries.insert(key.into(), entry));
            }),
            Operation::Delete(key, guard) => {
                self.guarded(key, guard, |fold| fold.replaced(key, |entries| entries.remove(key)))
            }
            Operation::Begin(after) if after == self.last_begun() => {
                self.facts.snapshots.begun = Some((offset, head.author, Some(0)));
                self.facts.snapshots.weight = 0;
                self.facts.snapshots.turns = 0;
                Outcome::Done
            }
            Operation::Begin(_) => Outcome::Refused(None),
            Operation::Page { of, number, last } => self.page(head.author, of, number, last.is_some()),
        }
    }

    fn guarded(&mut self, key: &str, guard: Guard, change: impl FnOnce(&mut Self)) -> Outcome {
        let present = self.entries.get(key);
        let holds = match guard {
            Guard::Any => true,
            Guard::Absent => present.is_none(),
            Guard::At(revision) => present.is_some_and(|entry| entry.revision.0 == revision),
        };
        if !holds {
            return Outcome::Refused(present.cloned());
        }
        change(self);
        Outcome::Done
    }

    /// Keeps the size right when `change` takes an entry out.
    fn replaced(&mut self, key: &str, change: impl FnOnce(&mut Entries) -> Option<Entry<Bytes>>) {
        if let Some(old) = change(&mut self.entries) {
            self.size -= weight(key, &old);
        }
    }

    /// A page counts if it is the next one of the last snapshot that began.
    fn page(&mut self, author: u64, of: u64, number: u32, last: bool) -> Outcome {
        let snapshots = &mut self.facts.snapshots;
        if snapshots.begun != Some((of, author, Some(number))) {
            return Outcome::Refused(None);
        }
        snapshots.begun = Some((of, author, if last { None } else { number.checked_add(1) }));
        if last {
            Outcome::Completed(snapshots.complete.replace(of))
        } else {
            Outcome::Done
        }
    }
}

impl Applied {
    fn nothing(outcome: Outcome, doubt: Option<String>) -> Self {
        Self {
            by: None,
            outcome,
            doubt,
            turn: false,
        }
    }
}

/// The hash of the log with one more record.
fn link(chain: u64, offset: u64, time: u64, record: &[u8]) -> u64 {
    xxh3_64_with_seed(record, chain.rotate_left(7) ^ offset.rotate_left(32) ^ time)
}

fn weight(key: &str, entry: &Entry<Bytes>) -> u64 {
    (key.len() + entry.value.len()) as u64 + ENTRY_WEIGHT
}
