//! A coordinator whose writes often end with an unknown outcome, to practise on.

use super::Random;
use crate::contract::{Bus, BusError, Coordinator, PutRequest, Store, Subscription};
use crate::finding::Finding;
use async_trait::async_trait;
use bytes::Bytes;
use shardwright_core::store::{Expected, Listing, Reading, Revision, StoreError, Written};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Passes everything on, except that one write in four is done and one in four is dropped, and both are answered
/// `Indeterminate`.
pub struct FaultyCoordinator {
    inner: Arc<dyn Coordinator>,
    state: Mutex<(Random, Faults)>,
}

/// What a [`FaultyCoordinator`] has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Writes that were done, though the answer was that nobody knows.
    pub done: u64,
    /// Writes that were dropped with the same answer.
    pub dropped: u64,
}

enum Fault {
    Done,
    Dropped,
}

opaque!(FaultyCoordinator);

impl FaultyCoordinator {
    /// Wraps `inner`; the same `seed` makes the same choices.
    #[must_use]
    pub fn new(inner: Arc<dyn Coordinator>, seed: u64) -> Self {
        Self {
            inner,
            state: Mutex::new((Random(seed), Faults::default())),
        }
    }

    /// What it has done so far.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).1
    }

    fn choose(&self) -> Option<Fault> {
        let (random, faults) = &mut *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match random.below(4) {
            0 => {
                faults.done += 1;
                Some(Fault::Done)
            }
            1 => {
                faults.dropped += 1;
                Some(Fault::Dropped)
            }
            _ => None,
        }
    }

    async fn write(
        &self,
        write: impl Future<Output = Result<Written, StoreError<Bytes>>>,
    ) -> Result<Written, StoreError<Bytes>> {
        match self.choose() {
            None => return write.await,
            // Whatever came of it, the caller is not told.
            Some(Fault::Done) => drop(write.await),
            Some(Fault::Dropped) => {}
        }
        Err(StoreError::Indeterminate("injected".into()))
    }
}

#[async_trait]
impl Store for FaultyCoordinator {
    async fn get(&self, key: &str) -> Result<Reading<Bytes>, StoreError<Bytes>> {
        self.inner.get(key).await
    }

    async fn list(&self, prefix: &str, since: Revision) -> Result<Listing<Bytes>, StoreError<Bytes>> {
        self.inner.list(prefix, since).await
    }

    async fn put_with(&self, request: PutRequest<'_>) -> Result<Written, StoreError<Bytes>> {
        self.write(self.inner.put_with(request)).await
    }

    async fn delete(&self, key: &str, expected: Expected) -> Result<Written, StoreError<Bytes>> {
        self.write(self.inner.delete(key, expected)).await
    }
}

#[async_trait]
impl Bus for FaultyCoordinator {
    async fn publish(&self, topic: &str, payload: Bytes) -> Result<(), BusError> {
        self.inner.publish(topic, payload).await
    }

    async fn subscribe(&self, topics: &[&str]) -> Result<Box<dyn Subscription>, BusError> {
        self.inner.subscribe(topics).await
    }
}

#[async_trait]
impl Coordinator for FaultyCoordinator {
    fn kind(&self) -> &str {
        self.inner.kind()
    }

    fn location(&self) -> String {
        self.inner.location()
    }

    fn fresh_is_safe(&self) -> bool {
        self.inner.fresh_is_safe()
    }

    async fn ended(&self) -> String {
        self.inner.ended().await
    }

    fn clock_uncertainty(&self) -> Duration {
        self.inner.clock_uncertainty()
    }

    async fn examine(&self) -> Vec<Finding> {
        self.inner.examine().await
    }

    async fn erase(&self) -> Result<(), StoreError<Bytes>> {
        self.inner.erase().await
    }
}
