//! A coordinator for unit tests.

use async_trait::async_trait;
use bytes::Bytes;
use shardwright_coordinator::{Bus, BusError, Coordinator, Store, Subscription};
use shardwright_core::store::{Expected, Listing, Reading, Revision, StoreError, Written};
use std::future::pending;

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
    async fn put(&self, _: &str, _: Bytes, _: Expected) -> Result<Written, StoreError<Bytes>> {
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
    fn kind(&self) -> &'static str {
        "mute"
    }
    fn location(&self) -> String {
        "nowhere".into()
    }
    async fn erase(&self) -> Result<(), StoreError<Bytes>> {
        pending().await
    }
}
