//! Handles that leave word, when they go, of what the host had against the adapter.

use async_trait::async_trait;
use bytes::Bytes;
use shardwright_components::adapter::{AdapterCoordinator, FaultKind};
use shardwright_coordinator::{Bus, BusError, Coordinator, Finding, PutRequest, Store, Subscription};
use shardwright_core::store::{Expected, Listing, Reading, Revision, StoreError, Written};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What the host had against the adapter, in the words of the last fault of each handle.
#[derive(Clone, Default)]
pub(super) struct Complaints(Arc<Mutex<BTreeSet<String>>>);

impl Complaints {
    pub(super) fn all(&self) -> Vec<String> {
        // One insertion: sound at any moment.
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .cloned()
            .collect()
    }
}

/// A handle of the suite.
pub(super) struct Watched {
    pub(super) inner: AdapterCoordinator,
    pub(super) complaints: Complaints,
}

impl Drop for Watched {
    fn drop(&mut self) {
        let status = self.inner.status();
        // That a backend is slow is not the adapter's fault.
        let faults = status.totals.faults.keys().any(|kind| *kind != FaultKind::Silent);
        let told = status.last_fault.filter(|_| faults).into_iter().chain(status.lost);
        self.complaints
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(told);
    }
}

#[async_trait]
impl Store for Watched {
    async fn get(&self, key: &str) -> Result<Reading<Bytes>, StoreError<Bytes>> {
        self.inner.get(key).await
    }

    async fn list(&self, prefix: &str, since: Revision) -> Result<Listing<Bytes>, StoreError<Bytes>> {
        self.inner.list(prefix, since).await
    }

    async fn put_with(&self, request: PutRequest<'_>) -> Result<Written, StoreError<Bytes>> {
        self.inner.put_with(request).await
    }

    async fn delete(&self, key: &str, expected: Expected) -> Result<Written, StoreError<Bytes>> {
        self.inner.delete(key, expected).await
    }
}

#[async_trait]
impl Bus for Watched {
    async fn publish(&self, topic: &str, payload: Bytes) -> Result<(), BusError> {
        self.inner.publish(topic, payload).await
    }

    async fn subscribe(&self, topics: &[&str]) -> Result<Box<dyn Subscription>, BusError> {
        self.inner.subscribe(topics).await
    }
}

#[async_trait]
impl Coordinator for Watched {
    fn kind(&self) -> &str {
        self.inner.kind()
    }

    fn location(&self) -> String {
        self.inner.location()
    }

    fn clock_uncertainty(&self) -> Duration {
        self.inner.clock_uncertainty()
    }

    fn fresh_is_safe(&self) -> bool {
        self.inner.fresh_is_safe()
    }

    async fn ended(&self) -> String {
        self.inner.ended().await
    }

    async fn examine(&self) -> Vec<Finding> {
        self.inner.examine().await
    }

    async fn erase(&self) -> Result<(), StoreError<Bytes>> {
        self.inner.erase().await
    }
}
