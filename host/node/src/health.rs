//! Whether the coordinator serves this node: not by the state of a connection, but by what came through it.

use crate::clock;
use crate::event::NodeEvent;
use crate::shared::Shared;
use serde::Serialize;
use shardwright_core::time::{Instant, Timing};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How a node and its coordinator get on: from [`Node::health`](crate::Node::health).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// The sum of it.
    pub state: HealthState,
    /// How long ago this node's session was last renewed: a write that the store acknowledged.
    pub renewed: Duration,
    /// How long ago this node last heard its own echo over the bus; `None` before the first.
    pub heard: Option<Duration>,
    /// How long that echo took to come back.
    pub round_trip: Option<Duration>,
}

/// The sum of a node's health: the worst that is the case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum HealthState {
    /// The session is renewed in time, and messages come back.
    #[default]
    Fine,
    /// This node's messages to itself do not come back: it learns of news late, by looking. It acts on its shards as
    /// before.
    BusSilent,
    /// The session was not renewed for as long as two renewals are apart: this node will stop acting soon.
    StoreSilent,
    /// This node may not act: its session has run out or was ended, or its settings are not the prevailing ones.
    Fenced,
}

/// What health is computed from.
pub(crate) struct Pulse {
    shared: Arc<Shared>,
    timing: Timing,
    /// When the last renewal that succeeded was sent.
    renewed: AtomicU64,
    bus_silent: AtomicBool,
    /// When the last echo was heard, and how many microseconds it took; 0: never.
    heard: AtomicU64,
    round_trip: AtomicU64,
    /// What was told last; `None` before the node may act for the first time.
    told: Mutex<Option<HealthState>>,
}

impl Pulse {
    pub(crate) fn new(shared: Arc<Shared>, timing: Timing) -> Self {
        Self {
            shared,
            timing,
            renewed: AtomicU64::new(0),
            bus_silent: AtomicBool::new(false),
            heard: AtomicU64::new(0),
            round_trip: AtomicU64::new(0),
            told: Mutex::default(),
        }
    }

    /// How often the session is renewed.
    pub(crate) fn renew(&self) -> Duration {
        Duration::from_millis(self.timing.renew)
    }

    /// The session was renewed: it holds until `deadline`.
    pub(crate) fn renewed(&self, deadline: Instant) {
        let sent = deadline.0.saturating_sub(self.timing.holder());
        self.renewed.fetch_max(sent, Ordering::Relaxed);
    }

    /// As it is now.
    pub(crate) fn health(&self) -> Health {
        let now = clock::now();
        let age = |at: Instant| Duration::from_millis(now.since(at));
        let renewed = age(Instant(self.renewed.load(Ordering::Relaxed)));
        let heard = self.heard.load(Ordering::Acquire);
        let echoed = heard > 0;
        let state = if !self.shared.fence.permits() {
            HealthState::Fenced
        } else if renewed > 2 * self.renew() {
            HealthState::StoreSilent
        } else if self.bus_silent.load(Ordering::Relaxed) {
            HealthState::BusSilent
        } else {
            HealthState::Fine
        };
        Health {
            state,
            renewed,
            heard: echoed.then(|| age(Instant(heard))),
            round_trip: echoed.then(|| Duration::from_micros(self.round_trip.load(Ordering::Relaxed))),
        }
    }

    /// An echo came back after this time.
    pub(crate) fn echoed(&self, round_trip: Duration) {
        let micros = u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX);
        self.round_trip.store(micros, Ordering::Relaxed);
        self.heard.store(clock::now().0.max(1), Ordering::Release);
        self.bus_silent.store(false, Ordering::Relaxed);
        self.tell();
    }

    /// Echoes do not come back.
    pub(crate) fn silent(&self) {
        self.bus_silent.store(true, Ordering::Relaxed);
        self.tell();
    }

    /// Tells the state if it is another than was told last.
    pub(crate) fn tell(&self) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self.health().state;
        if told.is_none() && state == HealthState::Fenced {
            // Between joining and the first deadline.
            return;
        }
        if told.replace(state).unwrap_or_default() != state {
            self.shared.emit(NodeEvent::Health { state });
        }
    }
}
