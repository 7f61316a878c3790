//! Coordinators for unit tests.

use crate::backend::{BackendError, Opener};
use async_trait::async_trait;
use bytes::Bytes;
use shardwright_coordinator::broker::BrokerError;
use shardwright_coordinator::{
    Bus, BusError, Coordinator, MemoryBroker, Namespace, PutRequest, SAME_CLOCK, Store, Subscription,
};
use shardwright_core::store::{Expected, Listing, Reading, Revision, StoreError, Written};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

/// Never answers.
pub(crate) struct Mute;

#[async_trait]
impl Store for Mute {
    async fn get(&self, _: &str) -> Result<Reading<Bytes>, StoreError<Bytes>> {
        pending().await
    }
    async fn list(&self, _: &str, _: Revision) -> Result<Listing<Bytes>, StoreError<Bytes>> {
        pending().await
    }
    async fn put_with(&self, _: PutRequest<'_>) -> Result<Written, StoreError<Bytes>> {
        pending().await
    }
    async fn delete(&self, _: &str, _: Expected) -> Result<Written, StoreError<Bytes>> {
        pending().await
    }
}

#[async_trait]
impl Bus for Mute {
    async fn publish(&self, _: &str, _: Bytes) -> Result<(), BusError> {
        pending().await
    }
    async fn subscribe(&self, _: &[&str]) -> Result<Box<dyn Subscription>, BusError> {
        pending().await
    }
}

#[async_trait]
impl Coordinator for Mute {
    fn kind(&self) -> &str {
        "mute"
    }
    fn location(&self) -> String {
        "nowhere".into()
    }
    fn clock_uncertainty(&self) -> Duration {
        SAME_CLOCK
    }
    async fn erase(&self) -> Result<(), StoreError<Bytes>> {
        pending().await
    }
}

/// An opener that does what `open` says, at once.
pub(crate) fn opener(open: impl Fn() -> Result<Arc<dyn Coordinator>, BackendError> + Send + Sync + 'static) -> Opener {
    Arc::new(move || Box::pin(std::future::ready(open())))
}

/// What a server that is down comes to.
pub(crate) fn unreachable() -> BackendError {
    let (location, why) = ("the server".into(), "nobody answers".into());
    BackendError::Broker {
        id: "main".into(),
        error: BrokerError::Unreachable { location, why },
    }
}

/// A coordinator in memory.
pub(crate) fn in_memory(broker: &MemoryBroker) -> Arc<dyn Coordinator> {
    Arc::new(broker.open(Namespace::new("test").expect("a name")))
}

/// Has lost its history. Its bus works.
pub(crate) fn lossy(broker: &MemoryBroker) -> Arc<dyn Coordinator> {
    Arc::new(Lossy(in_memory(broker)))
}

struct Lossy(Arc<dyn Coordinator>);

impl Lossy {
    fn lost<T>() -> Result<T, StoreError<Bytes>> {
        Err(StoreError::HistoryLost("wiped".into()))
    }
}

#[async_trait]
impl Store for Lossy {
    async fn get(&self, _: &str) -> Result<Reading<Bytes>, StoreError<Bytes>> {
        Self::lost()
    }
    async fn list(&self, _: &str, _: Revision) -> Result<Listing<Bytes>, StoreError<Bytes>> {
        Self::lost()
    }
    async fn put_with(&self, _: PutRequest<'_>) -> Result<Written, StoreError<Bytes>> {
        Self::lost()
    }
    async fn delete(&self, _: &str, _: Expected) -> Result<Written, StoreError<Bytes>> {
        Self::lost()
    }
}

#[async_trait]
impl Bus for Lossy {
    async fn publish(&self, topic: &str, payload: Bytes) -> Result<(), BusError> {
        self.0.publish(topic, payload).await
    }
    async fn subscribe(&self, topics: &[&str]) -> Result<Box<dyn Subscription>, BusError> {
        self.0.subscribe(topics).await
    }
}

#[async_trait]
impl Coordinator for Lossy {
    fn kind(&self) -> &str {
        "lossy"
    }
    fn location(&self) -> String {
        "nowhere".into()
    }
    fn clock_uncertainty(&self) -> Duration {
        SAME_CLOCK
    }
    async fn erase(&self) -> Result<(), StoreError<Bytes>> {
        Self::lost()
    }
}
