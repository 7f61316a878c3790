//! The four operations of the store.

use super::follow::identify;
use super::mirror::{Arrival, WriteBasis};
use super::publish::{Guard, PublishError};
use super::record::{Body, OVERHEAD, Record};
use super::shared::{Shared, unavailable};
use super::slot::{Content, Slot};
use super::sweep;
use super::ticker::Ticker;
use crate::broker::random_name;
use crate::limits;
use bytes::Bytes;
use shardwright_core::store::{Expected, Listing, Reading, Revision, StoreError, StoreTime, Written};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// What headers and the subject may take of a message.
pub(super) const HEADER_ROOM: usize = 1024;
/// How long the mirror may stand still behind what is known to be stored before its consumer is made again.
const STILL: Duration = Duration::from_secs(1);
/// How long to wait before looking whether the mirror is being built again.
const REBUILD: Duration = Duration::from_millis(20);
/// How often a write is tried that others overtake, and the pause that grows with it.
const TRIES: u32 = 200;

/// The store as one handle uses it.
pub(super) struct Store {
    pub(super) shared: Arc<Shared>,
    ticker: Ticker,
    /// Held while writing under a guard of the whole stream, which any other write of this handle would break.
    turn: Mutex<()>,
}

impl Store {
    pub(super) fn new(shared: Arc<Shared>, ticker: Ticker) -> Self {
        Self {
            shared,
            ticker,
            turn: Mutex::new(()),
        }
    }

    /// Waits until the mirror has all that was acknowledged before, and returns the revision up to which it misses
    /// nothing.
    pub(super) async fn catch_up(&self) -> Result<Revision, StoreError<Bytes>> {
        let shared = &self.shared;
        shared.mirror.check()?;
        let outdated = shared.mirror.outdated();
        let work = async {
            loop {
                if outdated == Some(shared.mirror.builds()) {
                    shared.doubt.notify_one();
                    tokio::time::sleep(REBUILD).await;
                    continue;
                }
                let tick = self.ticker.tick().await?;
                if self.arrival(tick.sequence).await?.holes == tick.holes {
                    return shared.mirror.settle().map(|()| Revision(tick.sequence));
                }
            }
        };
        let limit = shared.wire.timeout;
        let late = |_| StoreError::Unavailable(format!("the store was not read within {limit:?}"));
        tokio::time::timeout(limit, work).await.map_err(late)?
    }

    /// Waits until the mirror has the message `sequence`. A consumer that stands still is made again.
    async fn arrival(&self, sequence: u64) -> Result<Arrival, StoreError<Bytes>> {
        let mirror = &self.shared.mirror;
        let mut arrival = std::pin::pin!(mirror.reach(sequence));
        loop {
            let before = mirror.cursor();
            match tokio::time::timeout(STILL, &mut arrival).await {
                Ok(arrived) => return arrived,
                Err(_) if mirror.cursor() == before => self.shared.doubt.notify_one(),
                Err(_) => {}
            }
        }
    }

    pub(super) async fn get(&self, key: &str) -> Result<Reading<Bytes>, StoreError<Bytes>> {
        self.catch_up().await?;
        let WriteBasis { slot, now, .. } = self.shared.mirror.guess(key);
        Ok(Reading {
            entry: slot.map_or(Ok(None), |slot| slot.entry())?,
            now: StoreTime(now),
            unsure_before: StoreTime(0),
        })
    }

    pub(super) async fn list(&self, prefix: &str, since: Revision) -> Result<Listing<Bytes>, StoreError<Bytes>> {
        let revision = self.catch_up().await?;
        sweep::start_if_due(&self.shared);
        self.shared.mirror.list(prefix, since, revision)
    }

    pub(super) async fn put(&self, key: &str, value: Bytes, expected: Expected) -> Result<Written, StoreError<Bytes>> {
        limits::check_stored(value.len())?;
        let room = self
            .shared
            .wire
            .client
            .max_payload()
            .saturating_sub(HEADER_ROOM + OVERHEAD);
        if value.len() <= room {
            return self.write(key, Body::Value(value), expected).await;
        }
        // Nobody needs the parts of a write that cannot succeed.
        self.catch_up().await?;
        let WriteBasis { slot, .. } = self.shared.mirror.guess(key);
        if !holds(expected, slot.as_ref()) {
            return Err(conflict(slot));
        }
        let (head, parts) = self.put_parts(&value, room).await?;
        let outcome = self.write(key, head, expected).await;
        if matches!(&outcome, Err(error) if !matches!(error, StoreError::Indeterminate(_))) {
            self.remove(parts).await;
        }
        outcome
    }

    pub(super) async fn delete(&self, key: &str, expected: Expected) -> Result<Written, StoreError<Bytes>> {
        self.write(key, Body::Deleted, expected).await
    }

    /// Stores the parts of a large value; returns the head that refers to them, and their messages.
    async fn put_parts(&self, value: &Bytes, room: usize) -> Result<(Body, Vec<u64>), StoreError<Bytes>> {
        let id = random_name().map_err(StoreError::Unavailable)?;
        let (mut count, mut messages) = (0, Vec::new());
        for part in value.chunks(room.max(1)) {
            let record = Record {
                known: self.shared.mirror.now().0,
                body: Body::Part(value.slice_ref(part)),
            };
            match self
                .shared
                .publish(self.shared.subjects.part(&id, count), None, &record)
                .await
            {
                Ok(message) => messages.push(message),
                Err(failed) => {
                    self.remove(messages).await;
                    return Err(match failed.into_error() {
                        // Without a head it means nothing.
                        StoreError::Indeterminate(why) => StoreError::Unavailable(why),
                        error => error,
                    });
                }
            }
            count += 1;
        }
        Ok((Body::Head { parts: count, id }, messages))
    }

    /// Tidies up. What cannot be removed now is swept later.
    async fn remove(&self, messages: Vec<u64>) {
        for message in messages {
            if self
                .shared
                .wire
                .delete_message(&self.shared.names.stream, message)
                .await
                .is_err()
            {
                return;
            }
        }
    }

    /// Stores `body` under `key` if `expected` holds.
    async fn write(&self, key: &str, body: Body, expected: Expected) -> Result<Written, StoreError<Bytes>> {
        let shared = &self.shared;
        shared.mirror.check()?;
        let _turn = if expected == Expected::Any || shared.by_subject() {
            None
        } else {
            let late = |_| StoreError::Unavailable("other writes of this node take too long".into());
            Some(
                tokio::time::timeout(shared.wire.timeout, self.turn.lock())
                    .await
                    .map_err(late)?,
            )
        };
        let mut guess = shared.mirror.guess(key);
        let mut certain = false;
        // The deletion that was there when a guard failed: it may have been tidied up.
        let mut swept = None;
        for attempt in 0..TRIES {
            // A mirror that knows nothing has nothing to go by: 0 for the whole stream is no expectation to an old
            // server.
            if guess.cursor == 0 || !holds(expected, guess.slot.as_ref()) {
                if certain {
                    return Err(conflict(guess.slot));
                }
                self.catch_up().await?;
                (guess, certain) = (shared.mirror.guess(key), true);
                continue;
            }
            let last = guess.slot.as_ref().map_or(0, |slot| slot.revision);
            let guard = match expected {
                Expected::Any => None,
                _ if !shared.by_subject() => Some(Guard::Stream(guess.cursor)),
                _ if swept == Some(last) => Some(Guard::Subject(0)),
                _ => Some(Guard::Subject(last)),
            };
            let record = Record {
                known: guess.now,
                body: body.clone(),
            };
            match shared.publish(shared.subjects.key(key), guard, &record).await {
                Ok(revision) => return self.written(revision).await,
                Err(PublishError::Error(error)) => return Err(error),
                Err(PublishError::Guard) => {}
            }
            swept = guess
                .slot
                .filter(|slot| slot.content == Content::Deleted)
                .map(|slot| slot.revision);
            if attempt > 0 {
                tokio::time::sleep(pause(attempt)).await;
            }
            self.catch_up().await?;
            (guess, certain) = (shared.mirror.guess(key), true);
        }
        Err(StoreError::Unavailable(format!(
            "others wrote first {TRIES} times; try again"
        )))
    }

    /// Waits until the mirror has the write, which was acknowledged, and tidies up after what it replaced.
    async fn written(&self, revision: u64) -> Result<Written, StoreError<Bytes>> {
        let limit = self.shared.wire.timeout;
        let now = match tokio::time::timeout(limit, self.arrival(revision)).await {
            Ok(Ok(arrival)) => arrival.time,
            Ok(Err(error @ StoreError::HistoryLost(_))) => return Err(error),
            Ok(Err(error)) => return Err(StoreError::Indeterminate(error.to_string())),
            Err(_) => {
                return Err(StoreError::Indeterminate(format!(
                    "stored, but not seen within {limit:?}"
                )));
            }
        };
        let waste = self.shared.mirror.waste_of(revision);
        if !waste.is_empty() {
            self.remove(waste).await;
        }
        Ok(Written {
            revision: Revision(revision),
            now,
        })
    }

    /// Removes the stream.
    pub(super) async fn erase(&self) -> Result<(), StoreError<Bytes>> {
        self.shared.mirror.check()?;
        identify(&self.shared).await.map_err(|error| unavailable(&error))?;
        self.shared.mirror.check()?;
        let deleted = self.shared.wire.delete_stream(&self.shared.names.stream).await;
        deleted.map_err(|error| unavailable(&error))
    }
}

/// Whether `expected` holds of what is there.
fn holds(expected: Expected, slot: Option<&Slot>) -> bool {
    let there = slot.filter(|slot| slot.content != Content::Deleted);
    match expected {
        Expected::Any => true,
        Expected::Absent => there.is_none(),
        Expected::Revision(revision) => there.is_some_and(|slot| slot.revision == revision.0),
    }
}

fn conflict(slot: Option<Slot>) -> StoreError<Bytes> {
    match slot.map_or(Ok(None), |slot| slot.entry()) {
        Ok(entry) => StoreError::Conflict(entry),
        Err(error) => error,
    }
}

/// A random pause, so that those who overtake each other do not do it again.
fn pause(attempt: u32) -> Duration {
    let mut random = [0; 1];
    // Without randomness all wait equally long, which is only less good.
    let _ = getrandom::fill(&mut random);
    Duration::from_micros(u64::from(random[0]) * 4 * u64::from(attempt.min(16)))
}
