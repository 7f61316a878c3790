//! What clients did and saw, in the order of one logical clock.

use super::cause::explain;
use crate::contract::Coordinator;
use bytes::Bytes;
use shardwright_core::store::{Entry, Expected, Revision, StoreError};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a client asked for. Values are numbers, each written once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Read.
    Get,
    /// Store this value.
    Put(u64, Expected),
    /// Remove.
    Delete(Expected),
}

/// An entry as a client saw it: its revision and value.
pub type Seen = Option<(Revision, u64)>;

/// What a client was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// This was there.
    Read(Seen),
    /// Done, with this revision.
    Written(Revision),
    /// Not done, because this was there.
    Conflict(Seen),
    /// It may have been done, or may yet be.
    Unknown,
}

/// One operation on one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The moment before it was asked for.
    pub call: u64,
    /// The moment after it was answered; the end of time if the answer was [`Effect::Unknown`].
    pub back: u64,
    /// What was asked for.
    pub action: Action,
    /// What was answered.
    pub effect: Effect,
}

#[cfg(test)]
pub(super) fn op(call: u64, back: u64, action: Action, effect: Effect) -> Operation {
    Operation {
        call,
        back,
        action,
        effect,
    }
}

/// The clock of one history. Ticks are unique: they order all calls and answers as they happened.
#[derive(Clone, Default)]
pub(super) struct Recorder(Arc<AtomicU64>);

pub(super) fn encode(value: u64) -> Bytes {
    Bytes::from(value.to_string())
}

pub(super) fn decode(value: &Bytes) -> Result<u64, String> {
    std::str::from_utf8(value)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| format!("a value that nobody wrote: {value:?}"))
}

fn seen(entry: Option<&Entry<Bytes>>) -> Result<Seen, String> {
    entry
        .map(|entry| Ok((entry.revision, decode(&entry.value)?)))
        .transpose()
}

impl Recorder {
    pub(super) fn tick(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }

    /// Does `action` and says what happened; nothing if it certainly did not happen at all.
    pub(super) async fn record(
        &self,
        coordinator: &dyn Coordinator,
        key: &str,
        action: Action,
    ) -> Result<Option<Operation>, String> {
        let call = self.tick();
        let answer = match action {
            Action::Get => coordinator
                .get(key)
                .await
                .map(|reading| seen(reading.entry.as_ref()).map(Effect::Read)),
            Action::Put(value, expected) => coordinator
                .put(key, encode(value), expected)
                .await
                .map(|written| Ok(Effect::Written(written.revision))),
            Action::Delete(expected) => coordinator
                .delete(key, expected)
                .await
                .map(|written| Ok(Effect::Written(written.revision))),
        };
        let effect = match answer {
            Ok(effect) => effect?,
            Err(StoreError::Conflict(entry)) => Effect::Conflict(seen(entry.as_ref())?),
            Err(StoreError::Indeterminate(_)) => Effect::Unknown,
            Err(StoreError::Unavailable(_)) => return Ok(None),
            Err(error) => return Err(format!("while others wrote, {action:?} failed: {}", explain(&error))),
        };
        let back = if effect == Effect::Unknown {
            u64::MAX
        } else {
            self.tick()
        };
        Ok(Some(Operation {
            call,
            back,
            action,
            effect,
        }))
    }
}
