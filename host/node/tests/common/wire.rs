//! A coordinator in memory whose wire can fail in several ways.

use async_trait::async_trait;
use bytes::Bytes;
use shardwright_coordinator::{
    Bus, BusError, Coordinator, Delivery, MemoryBroker, Namespace, PutRequest, Store, Subscription,
};
use shardwright_core::store::{Expected, Listing, Reading, Revision, StoreError, Written};
use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// What is wrong with a wire, and what was done over it.
#[derive(Default)]
pub struct Faults {
    /// The store cannot be reached.
    pub cut: AtomicBool,
    /// What is published vanishes.
    pub swallow: AtomicBool,
    /// Subscriptions end with their next message, and new ones are refused: the backend is closed.
    pub closed: AtomicBool,
    /// How many were refused.
    pub refused: AtomicU64,
    /// Subscriptions so far, and up to which one they receive nothing any more.
    subscriptions: AtomicU64,
    stalled: AtomicU64,
    /// Operations on the store, and messages published.
    pub operations: AtomicU64,
    /// Milliseconds that a message takes to be sent.
    pub sending: AtomicU64,
    /// It has ended for good, and why.
    pub ended: watch::Sender<Option<String>>,
    /// What panics.
    pub panics: Mutex<Option<Panic>>,
}

/// A call that panics, from its next time on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Panic {
    /// Reading and writing.
    Store,
    /// Sending a message to this topic.
    Publish(&'static str),
    /// Subscribing to this topic.
    Subscribe(&'static str),
}

impl Faults {
    /// Every subscription that there is falls silent, without a word.
    pub fn stall(&self) {
        self.stalled
            .store(self.subscriptions.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    fn panic_if(&self, is: impl Fn(Panic) -> bool) {
        let planted = *self.panics.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(!planted.is_some_and(is), "planted");
    }

    fn store(&self) -> Result<(), StoreError<Bytes>> {
        self.panic_if(|panic| panic == Panic::Store);
        self.operations.fetch_add(1, Ordering::SeqCst);
        if self.cut.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("the wire is cut".into()));
        }
        Ok(())
    }
}

/// The coordinator.
pub struct Wire {
    inner: Arc<dyn Coordinator>,
    faults: Arc<Faults>,
}

impl Wire {
    /// One over which messages are `sending` for so long. A store behind it that is new proves that nobody acts on an
    /// older one.
    pub fn slow(inner: Arc<dyn Coordinator>, sending: Duration) -> Arc<Self> {
        let faults = Arc::new(Faults::default());
        let sending = u64::try_from(sending.as_millis()).expect("a short time");
        faults.sending.store(sending, Ordering::SeqCst);
        Arc::new(Self { inner, faults })
    }

    pub fn open(broker: &MemoryBroker) -> (Arc<Self>, Arc<Faults>) {
        let faults = Arc::new(Faults::default());
        let inner = Arc::new(broker.open(Namespace::new("test").expect("a name")));
        let wire = Self {
            inner,
            faults: faults.clone(),
        };
        (Arc::new(wire), faults)
    }
}

#[async_trait]
impl Store for Wire {
    async fn get(&self, key: &str) -> Result<Reading<Bytes>, StoreError<Bytes>> {
        self.faults.store()?;
        self.inner.get(key).await
    }
    async fn list(&self, prefix: &str, since: Revision) -> Result<Listing<Bytes>, StoreError<Bytes>> {
        self.faults.store()?;
        self.inner.list(prefix, since).await
    }
    async fn put_with(&self, request: PutRequest<'_>) -> Result<Written, StoreError<Bytes>> {
        self.faults.store()?;
        self.inner.put_with(request).await
    }
    async fn delete(&self, key: &str, expected: Expected) -> Result<Written, StoreError<Bytes>> {
        self.faults.store()?;
        self.inner.delete(key, expected).await
    }
}

#[async_trait]
impl Bus for Wire {
    async fn publish(&self, topic: &str, payload: Bytes) -> Result<(), BusError> {
        self.faults.operations.fetch_add(1, Ordering::SeqCst);
        self.faults
            .panic_if(|panic| matches!(panic, Panic::Publish(part) if topic.starts_with(part)));
        let sending = self.faults.sending.load(Ordering::SeqCst);
        if sending > 0 {
            tokio::time::sleep(Duration::from_millis(sending)).await;
        }
        if self.faults.swallow.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.inner.publish(topic, payload).await
    }
    async fn subscribe(&self, topics: &[&str]) -> Result<Box<dyn Subscription>, BusError> {
        let planted =
            |panic| matches!(panic, Panic::Subscribe(part) if topics.iter().any(|topic| topic.starts_with(part)));
        self.faults.panic_if(planted);
        if self.faults.closed.load(Ordering::SeqCst) {
            self.faults.refused.fetch_add(1, Ordering::SeqCst);
            return Err(BusError::Closed);
        }
        Ok(Box::new(Ear {
            inner: self.inner.subscribe(topics).await?,
            number: self.faults.subscriptions.fetch_add(1, Ordering::SeqCst) + 1,
            faults: self.faults.clone(),
        }))
    }
}

struct Ear {
    inner: Box<dyn Subscription>,
    number: u64,
    faults: Arc<Faults>,
}

#[async_trait]
impl Subscription for Ear {
    async fn next(&mut self, max: usize) -> Result<Vec<Delivery>, BusError> {
        let news = self.inner.next(max).await;
        if self.number <= self.faults.stalled.load(Ordering::SeqCst) {
            return pending().await;
        }
        if self.faults.closed.load(Ordering::SeqCst) {
            return Err(BusError::Closed);
        }
        news
    }
}

#[async_trait]
impl Coordinator for Wire {
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
        true
    }
    async fn ended(&self) -> String {
        let mut ended = self.faults.ended.subscribe();
        let why = ended
            .wait_for(Option::is_some)
            .await
            .expect("the sender is here")
            .clone();
        why.expect("there is a reason")
    }
    async fn erase(&self) -> Result<(), StoreError<Bytes>> {
        self.inner.erase().await
    }
}
