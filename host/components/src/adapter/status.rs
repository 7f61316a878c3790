//! How an adapter is, as data: for operators, events and metrics.

use super::fault::FaultKind;
use crate::state::AdapterState;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

/// How an adapter is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AdapterStatus {
    /// Its section in the configuration.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The digest of its component, in hexadecimal digits.
    pub digest: String,
    /// Where it is connected to.
    pub location: String,
    /// How it is.
    pub state: AdapterState,
    /// Milliseconds since it entered this state.
    pub state_for_ms: u64,
    /// Milliseconds until a lane may be opened again, while none may.
    pub retry_in_ms: Option<u64>,
    /// Why its backend cannot be reached at present.
    pub unreachable: Option<String>,
    /// How the history of its store was lost.
    pub lost: Option<String>,
    /// The last fault of a lane.
    pub last_fault: Option<String>,
    /// How many lanes are open, idle or in use.
    pub lanes_open: u64,
    /// Bytes of memory that all lanes have together.
    pub memory: u64,
    /// Grants that it asked for and does not have.
    pub refused: BTreeSet<String>,
    /// What happened since it was opened. Only goes up.
    pub totals: Totals,
}

/// What happened since an adapter was opened. Each only goes up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Calls of the store that were answered.
    pub calls: u64,
    /// Messages that were published.
    pub published: u64,
    /// Messages that subscriptions received.
    pub received: u64,
    /// Lanes that were opened.
    pub lanes_opened: u64,
    /// Lanes that ended by a fault, by kind.
    pub faults: BTreeMap<FaultKind, u64>,
    /// Calls that were refused because too many were waiting.
    pub busy: u64,
    /// Components that took the place of another.
    pub upgrades: u64,
}

impl AdapterStatus {
    /// Why it is in its state; nothing while it works.
    #[must_use]
    pub fn why(&self) -> Option<&str> {
        match self.state {
            AdapterState::Running => None,
            AdapterState::Restarting | AdapterState::Quarantined => self.last_fault.as_deref(),
            AdapterState::Unreachable => self.unreachable.as_deref(),
            AdapterState::Lost => self.lost.as_deref(),
        }
    }
}

/// The counters behind [`Totals`].
#[derive(Default)]
pub(super) struct Counters {
    pub(super) calls: AtomicU64,
    pub(super) published: AtomicU64,
    pub(super) received: AtomicU64,
    pub(super) lanes_opened: AtomicU64,
    pub(super) lanes_open: AtomicU64,
    pub(super) busy: AtomicU64,
    pub(super) upgrades: AtomicU64,
}

impl Counters {
    pub(super) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn totals(&self, faults: BTreeMap<FaultKind, u64>) -> Totals {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Totals {
            calls: read(&self.calls),
            published: read(&self.published),
            received: read(&self.received),
            lanes_opened: read(&self.lanes_opened),
            faults,
            busy: read(&self.busy),
            upgrades: read(&self.upgrades),
        }
    }
}
