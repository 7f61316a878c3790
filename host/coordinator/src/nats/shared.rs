//! What the tasks of one handle share.

use super::api::{CallError, StreamInfo};
use super::connection::{Connection, RequestError};
use super::mirror::Mirror;
use super::names::{Names, Subjects};
use super::versions::Servers;
use crate::clock;
use bytes::Bytes;
use shardwright_core::store::StoreError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use tokio::sync::Notify;

/// One handle's connection, and what it knows of the store.
pub(super) struct Shared {
    pub(super) wire: Connection,
    pub(super) names: Names,
    pub(super) location: String,
    /// The history that this handle knows; a stream with another one is another store.
    pub(super) history: String,
    pub(super) created: String,
    pub(super) subjects: Subjects,
    pub(super) mirror: Mirror,
    /// Told when the mirror does not get what it should.
    pub(super) doubt: Notify,
    /// Whether every server that may lead the stream checks the last sequence of a subject atomically.
    by_subject: AtomicBool,
    /// Which clocks of the servers that may lead differ by too much.
    apart: Mutex<Option<String>>,
    /// When this handle last began to tidy up, by the machine's clock.
    swept: AtomicU64,
}

impl Shared {
    pub(super) fn new(wire: Connection, names: Names, location: String, history: String, created: String) -> Self {
        Self {
            subjects: Subjects::new(&names, &history),
            wire,
            names,
            location,
            history,
            created,
            mirror: Mirror::default(),
            doubt: Notify::new(),
            by_subject: AtomicBool::new(false),
            apart: Mutex::default(),
            swept: AtomicU64::new(0),
        }
    }

    /// Finds out what the servers that keep the stream now are like: how exclusive writes must be guarded, and whether
    /// their clocks agree.
    pub(super) async fn look_at_servers(&self, info: &StreamInfo) {
        if info.config.num_replicas == 1 {
            return self.by_subject.store(true, Ordering::Relaxed);
        }
        let servers = Servers::ask(&self.wire, info).await;
        self.by_subject.store(servers.are_atomic(), Ordering::Relaxed);
        let apart = servers.clocks_differ();
        if let Some(why) = &apart {
            tracing::warn!(coordinator = self.location, "{why}");
        }
        *self.apart.lock().unwrap_or_else(PoisonError::into_inner) = apart;
    }

    /// Which clocks of the servers that may lead were found to differ by too much.
    pub(super) fn clocks_differ(&self) -> Option<String> {
        self.apart.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether it was longer than `every` milliseconds ago that this said so.
    pub(super) fn sweep_is_due(&self, every: u64) -> bool {
        let (now, last) = (clock::boottime(), self.swept.load(Ordering::Relaxed));
        let due = last == 0 || now.saturating_sub(last) > every;
        due && self
            .swept
            .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    /// Whether writes are guarded by the last sequence of their subject, or else by that of the whole stream.
    pub(super) fn by_subject(&self) -> bool {
        self.by_subject.load(Ordering::Relaxed)
    }
}

/// A failed call as an operation that changes nothing tells it.
pub(super) fn unavailable(error: &CallError) -> StoreError<Bytes> {
    match error {
        CallError::Wire(RequestError::Denied(why) | RequestError::Deaf(why)) => StoreError::Denied(why.clone()),
        other => StoreError::Unavailable(other.to_string()),
    }
}
