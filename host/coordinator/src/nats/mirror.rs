//! The store as one handle has it in memory: what the stream was as of some message.
//!
//! The follower applies every message of the stream in order. Whoever reads first learns how far the stream is, and
//! waits until the mirror is as far. What nobody waited for is only a guess at what a write will meet.
//!
//! The stream keeps the last message of each subject only. A message that was replaced before it was pushed leaves a
//! hole, and what replaced it may be further on than the mirror: then the mirror is as far as asked for, and yet misses
//! what was there. But what made a hole was stored before the hole was seen. So holes are counted, and a reader who
//! finds that one appeared after it had asked asks again.

use super::names::Place;
use super::record::{Body, Record};
use super::slot::{Content, Slot};
use super::sweep::TRUST;
use crate::clock;
use bytes::{Bytes, BytesMut};
use shardwright_core::store::{Listing, Revision, StoreError, StoreTime};
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::sync::oneshot;

/// Parts of a value whose head has not come.
#[derive(Default)]
struct Parts {
    /// When the last of them was written.
    written: u64,
    /// For each number the message and its bytes.
    found: BTreeMap<u32, (u64, Bytes)>,
}

/// Messages that nothing refers to any more.
struct Garbage {
    /// The message that made them so.
    by: u64,
    since: u64,
    messages: Vec<u64>,
}

#[derive(Default)]
struct State {
    slots: BTreeMap<String, Slot>,
    /// The keys of the slots by their revisions.
    order: BTreeMap<u64, String>,
    parts: HashMap<String, Parts>,
    waste: Vec<Garbage>,
    /// All messages up to here have been applied.
    cursor: u64,
    /// The backend's clock: the greatest time of any message.
    now: u64,
    /// The greatest revision that this handle has ever heard of.
    highest: u64,
    /// How often messages were missing where the next one came.
    holes: u64,
    /// How often it was begun.
    builds: u64,
    waiting: BTreeMap<u64, Vec<oneshot::Sender<Arrival>>>,
    /// While the mirror is built again: for each key the revision that it had, and whether it had a value.
    before: Option<BTreeMap<String, (u64, bool)>>,
    /// When it was last known to miss nothing, or was begun, by the machine's clock.
    complete: u64,
}

/// What [`State`] knows, shared.
#[derive(Default)]
pub(super) struct Mirror {
    state: Mutex<State>,
    lost: OnceLock<String>,
}

/// The mirror is as far as was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    /// When the message that was waited for was written.
    pub(super) time: StoreTime,
    /// How many holes had been seen by then.
    pub(super) holes: u64,
}

/// What a write goes by.
pub(super) struct WriteBasis {
    pub(super) slot: Option<Slot>,
    pub(super) cursor: u64,
    pub(super) now: u64,
}

impl Mirror {
    // Each statement under this lock leaves the state whole: poison is no reason to stop.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// # Errors
    /// `HistoryLost`, if it is, for good.
    pub(super) fn check(&self) -> Result<(), StoreError<Bytes>> {
        self.lost
            .get()
            .map_or(Ok(()), |why| Err(StoreError::HistoryLost(why.clone())))
    }

    /// The stream is not the one it was: for good. Returns what everybody is told from now on.
    pub(super) fn lose(&self, why: &str) -> StoreError<Bytes> {
        if self.lost.set(why.to_owned()).is_ok() {
            tracing::error!(why, "the store lost its history");
        }
        self.lock().waiting.clear();
        StoreError::HistoryLost(why.to_owned())
    }

    /// Forgets everything, to be told all of it again.
    pub(super) fn begin(&self) {
        let mut state = self.lock();
        let known = std::mem::take(&mut state.slots);
        // After a long time what is missing may have been deleted, and the deletion tidied up.
        let recent = clock::boottime().saturating_sub(state.complete) <= TRUST;
        if state.before.is_none() && !known.is_empty() && recent {
            let keys = known
                .into_iter()
                .map(|(key, slot)| (key, (slot.revision, slot.content != Content::Deleted)));
            state.before = Some(keys.collect());
        }
        state.order.clear();
        state.parts.clear();
        state.waste.clear();
        state.cursor = 0;
        state.holes += 1;
        state.builds += 1;
        state.complete = clock::boottime();
    }

    /// Takes the message `sequence`, which the server stored at `stored`.
    pub(super) fn apply(&self, sequence: u64, stored: u64, place: Option<Place<'_>>, record: Result<Record, String>) {
        let mut state = self.lock();
        let written = record.as_ref().map_or(stored, |record| stored.max(record.known));
        if sequence != state.cursor + 1 {
            state.holes += 1;
        }
        state.now = state.now.max(written);
        match (place, record.map(|record| record.body)) {
            (Some(Place::Key(key)), body) => state.set(key, sequence, written, body),
            (Some(Place::Part { id, number }), Ok(Body::Part(bytes))) => {
                let parts = state.parts.entry(id.to_owned()).or_default();
                parts.written = written;
                parts.found.insert(number, (sequence, bytes));
            }
            // A tick, or nothing of ours.
            _ => {}
        }
        state.cursor = state.cursor.max(sequence);
        state.highest = state.highest.max(sequence);
        let still = state.waiting.split_off(&(sequence + 1));
        for (wanted, waiters) in std::mem::replace(&mut state.waiting, still) {
            // One that is passed was replaced before it was pushed: nobody will ever see it.
            let time = StoreTime(if wanted == sequence { written } else { state.now });
            for waiter in waiters {
                // Who gave up waiting is not interested.
                let _ = waiter.send(Arrival {
                    time,
                    holes: state.holes,
                });
            }
        }
    }

    /// Waits until message `sequence` has been applied.
    ///
    /// # Errors
    /// `HistoryLost`.
    pub(super) async fn reach(&self, sequence: u64) -> Result<Arrival, StoreError<Bytes>> {
        let arrival = {
            let mut state = self.lock();
            self.check()?;
            if state.cursor >= sequence {
                let time = StoreTime(state.time_of(sequence));
                return Ok(Arrival {
                    time,
                    holes: state.holes,
                });
            }
            let (sender, arrival) = oneshot::channel();
            state.waiting.entry(sequence).or_default().push(sender);
            arrival
        };
        // Waiters are only ever forgotten when the history is lost.
        arrival.await.or_else(|_| {
            self.check()
                .and(Err(StoreError::Unavailable("the mirror ended".into())))
        })
    }

    /// The greatest revision that this handle has ever heard of.
    pub(super) fn highest(&self) -> u64 {
        self.lock().highest
    }

    /// How many holes have been seen.
    pub(super) fn holes(&self) -> u64 {
        self.lock().holes
    }

    /// How far it is.
    pub(super) fn cursor(&self) -> u64 {
        self.lock().cursor
    }

    /// What is believed of `key`.
    pub(super) fn guess(&self, key: &str) -> WriteBasis {
        let state = self.lock();
        WriteBasis {
            slot: state.slots.get(key).cloned(),
            cursor: state.cursor,
            now: state.now,
        }
    }

    pub(super) fn now(&self) -> StoreTime {
        StoreTime(self.lock().now)
    }

    /// The entries as of `revision` or later.
    pub(super) fn list(
        &self,
        prefix: &str,
        since: Revision,
        revision: Revision,
    ) -> Result<Listing<Bytes>, StoreError<Bytes>> {
        let state = self.lock();
        let mut entries = Vec::new();
        if since.0 == 0 {
            let from = (Bound::Included(prefix), Bound::Unbounded);
            for (key, slot) in state
                .slots
                .range::<str, _>(from)
                .take_while(|(key, _)| key.starts_with(prefix))
            {
                entries.extend(slot.entry()?.map(|entry| (key.clone(), entry)));
            }
        } else {
            let newer = state.order.range((Bound::Excluded(since.0), Bound::Unbounded));
            for key in newer.map(|(_, key)| key).filter(|key| key.starts_with(prefix)) {
                if let Some(slot) = state.slots.get(key) {
                    entries.extend(slot.entry()?.map(|entry| (key.clone(), entry)));
                }
            }
            entries.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        }
        Ok(Listing {
            entries,
            revision,
            now: StoreTime(state.now),
            unsure_before: StoreTime(0),
        })
    }

    /// It misses nothing now. If it was built again, all that was known before must still be there, or have been
    /// replaced.
    ///
    /// # Errors
    /// `HistoryLost`.
    pub(super) fn settle(&self) -> Result<(), StoreError<Bytes>> {
        let mut state = self.lock();
        state.complete = clock::boottime();
        for (key, (revision, there)) in state.before.take().into_iter().flatten() {
            let gone = state.slots.get(&key).map_or(there, |slot| slot.revision < revision);
            if gone {
                drop(state);
                return Err(self.lose(&format!(
                    "revision {revision}, of the key {key}, is no longer in the stream"
                )));
            }
        }
        Ok(())
    }

    /// How often it was begun, if that must happen once more before it may be believed: a deletion that it has not seen
    /// may have been tidied up.
    pub(super) fn outdated(&self) -> Option<u64> {
        let state = self.lock();
        (clock::boottime().saturating_sub(state.complete) > TRUST).then_some(state.builds)
    }

    /// How often it was begun.
    pub(super) fn builds(&self) -> u64 {
        self.lock().builds
    }

    /// Takes out the messages that the message `by` made waste of.
    pub(super) fn waste_of(&self, by: u64) -> Vec<u64> {
        let mut state = self.lock();
        let (gone, kept): (Vec<_>, Vec<_>) = state.waste.drain(..).partition(|waste| waste.by == by);
        state.waste = kept;
        gone.into_iter().flat_map(|waste| waste.messages).collect()
    }

    /// The messages that have been of no use since before `limit`: deletions, and parts that nothing refers to.
    pub(super) fn useless(&self, limit: StoreTime) -> Vec<u64> {
        let state = self.lock();
        let deletions = state
            .slots
            .values()
            .filter(|slot| slot.content == Content::Deleted && slot.written < limit.0);
        let mut messages: Vec<u64> = deletions.map(|slot| slot.revision).collect();
        for parts in state.parts.values().filter(|parts| parts.written < limit.0) {
            messages.extend(parts.found.values().map(|(sequence, _)| sequence));
        }
        for waste in state.waste.iter().filter(|waste| waste.since < limit.0) {
            messages.extend(&waste.messages);
        }
        messages
    }

    /// A useless message is no longer in the stream.
    pub(super) fn forget(&self, message: u64) {
        let mut state = self.lock();
        let state = &mut *state;
        if let Some(key) = state.order.get(&message)
            && state
                .slots
                .get(key)
                .is_some_and(|slot| slot.content == Content::Deleted)
        {
            state.slots.remove(key);
            state.order.remove(&message);
        }
        state.parts.retain(|_, parts| {
            parts.found.retain(|_, (sequence, _)| *sequence != message);
            !parts.found.is_empty()
        });
        state.waste.retain_mut(|waste| {
            waste.messages.retain(|sequence| *sequence != message);
            !waste.messages.is_empty()
        });
    }
}

impl State {
    fn set(&mut self, key: String, revision: u64, written: u64, body: Result<Body, String>) {
        let mut messages = Vec::new();
        let content = match body {
            Ok(Body::Value(value)) => Content::Value(value),
            Ok(Body::Deleted) => Content::Deleted,
            Ok(Body::Head { parts, id }) => match self.assemble(parts, &id, &mut messages) {
                Some(value) => Content::Value(value),
                None => Content::Unreadable(format!(
                    "the parts of the large value under {key:?} are missing: write it again"
                )),
            },
            Ok(Body::Tick | Body::Part(_)) => Content::Unreadable(format!("what is stored under {key:?} is no value")),
            Err(why) => Content::Unreadable(format!("what is stored under {key:?} cannot be read: {why}")),
        };
        self.order.insert(revision, key.clone());
        let slot = Slot {
            revision,
            written,
            content,
            parts: messages,
        };
        if let Some(old) = self.slots.insert(key, slot) {
            self.order.remove(&old.revision);
            if !old.parts.is_empty() {
                self.waste.push(Garbage {
                    by: revision,
                    since: written,
                    messages: old.parts,
                });
            }
        }
    }

    /// The value made of its parts, whose messages are added to `messages`.
    fn assemble(&mut self, count: u32, id: &str, messages: &mut Vec<u64>) -> Option<Bytes> {
        let parts = self.parts.remove(id)?;
        let mut value = BytesMut::with_capacity(parts.found.values().map(|(_, bytes)| bytes.len()).sum());
        for number in 0..count {
            let (sequence, bytes) = parts.found.get(&number)?;
            messages.push(*sequence);
            value.extend_from_slice(bytes);
        }
        Some(value.freeze())
    }

    fn time_of(&self, sequence: u64) -> u64 {
        let slot = self.order.get(&sequence).and_then(|key| self.slots.get(key));
        slot.map_or(self.now, |slot| slot.written)
    }
}

#[cfg(test)]
#[path = "mirror_test.rs"]
mod test;
