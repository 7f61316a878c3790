//! The layer between the nodes and any backend that frames every value and message, and with `cluster.secret` encrypts
//! them.
//!
//! What it gives: nobody without the secret reads or changes a value or message, or moves one to another key, topic or
//! cluster. What it does not: whoever can write to the backend can still delete, and put back an older value of the
//! same key. Keys, topics, sizes and times stay visible.

mod frame;
mod secret;

pub use secret::{MIN_SECRET, Secret, SecretTooShort};

use crate::contract::{Bus, BusError, Coordinator, Delivery, PutRequest, Store, Subscription};
use crate::finding::Finding;
use crate::limits::{MAX_MESSAGE, MAX_VALUE, Namespace};
use async_trait::async_trait;
use bytes::Bytes;
use frame::{FrameError, Framer};
use secret::Purpose;
use shardwright_core::store::{Entry, Expected, Listing, Reading, Revision, StoreError, Written};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// `coordinator`, opened for `namespace`, behind the frame. Every node goes through here, with a secret or without one.
#[must_use]
pub fn protect(coordinator: Arc<dyn Coordinator>, namespace: &Namespace, secret: Option<&Secret>) -> Arc<Protected> {
    let framer = |purpose| Framer::new(namespace, secret, purpose);
    let messages = Arc::new(Messages {
        framer: framer(Purpose::Messages),
        rejected: AtomicU64::new(0),
    });
    Arc::new(Protected {
        inner: coordinator,
        values: framer(Purpose::Values),
        messages,
    })
}

/// A coordinator behind the frame: see [`protect`].
pub struct Protected {
    inner: Arc<dyn Coordinator>,
    values: Framer,
    messages: Arc<Messages>,
}

struct Messages {
    framer: Framer,
    rejected: AtomicU64,
}

opaque!(Protected);

impl Protected {
    /// How many messages were dropped because their frame did not open: forged, or sent by a node with another secret.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.messages.rejected.load(Ordering::Relaxed)
    }

    fn open(&self, key: &str, entry: Entry<Bytes>) -> Result<Entry<Bytes>, StoreError<Bytes>> {
        let value = self.values.open(key, &entry.value).map_err(|error| {
            let text = format!("the value under {key} {error}");
            match error {
                FrameError::NotSealed | FrameError::NoSecret | FrameError::OtherSecret => StoreError::Denied(text),
                FrameError::Unknown(_) | FrameError::Malformed => StoreError::Invalid(text),
            }
        })?;
        Ok(Entry { value, ..entry })
    }

    /// A value in its frame.
    fn close(&self, key: &str, value: &Bytes) -> Result<Bytes, StoreError<Bytes>> {
        if value.len() > MAX_VALUE {
            let (size, limit) = (value.len(), MAX_VALUE);
            return Err(StoreError::TooLarge { size, limit });
        }
        let framed = self.values.close(key, value);
        framed.map_err(|error| StoreError::Unavailable(format!("no randomness to seal with: {error}")))
    }

    /// An error of the backend with the entry of a conflict opened.
    fn error(&self, key: &str, error: StoreError<Bytes>) -> StoreError<Bytes> {
        error.map(|entry| self.open(key, entry))
    }
}

#[async_trait]
impl Store for Protected {
    async fn get(&self, key: &str) -> Result<Reading<Bytes>, StoreError<Bytes>> {
        let reading = self.inner.get(key).await?;
        let entry = reading.entry.map(|entry| self.open(key, entry)).transpose()?;
        Ok(Reading { entry, ..reading })
    }

    async fn list(&self, prefix: &str, since: Revision) -> Result<Listing<Bytes>, StoreError<Bytes>> {
        let listing = self.inner.list(prefix, since).await?;
        let opened = listing
            .entries
            .into_iter()
            .map(|(key, entry)| self.open(&key, entry).map(|entry| (key, entry)));
        Ok(Listing {
            entries: opened.collect::<Result<_, _>>()?,
            ..listing
        })
    }

    async fn put_with(&self, request: PutRequest<'_>) -> Result<Written, StoreError<Bytes>> {
        let key = request.key;
        let value = self.close(key, &request.value)?;
        let written = self.inner.put_with(PutRequest { value, ..request }).await;
        written.map_err(|error| self.error(key, error))
    }

    async fn delete(&self, key: &str, expected: Expected) -> Result<Written, StoreError<Bytes>> {
        self.inner
            .delete(key, expected)
            .await
            .map_err(|error| self.error(key, error))
    }
}

#[async_trait]
impl Bus for Protected {
    async fn publish(&self, topic: &str, payload: Bytes) -> Result<(), BusError> {
        if payload.len() > MAX_MESSAGE {
            return Err(BusError::TooLarge {
                size: payload.len(),
                limit: MAX_MESSAGE,
            });
        }
        let framed = self.messages.framer.close(topic, &payload);
        let framed = framed.map_err(|error| BusError::Unavailable(format!("no randomness to seal with: {error}")))?;
        self.inner.publish(topic, framed).await
    }

    async fn subscribe(&self, topics: &[&str]) -> Result<Box<dyn Subscription>, BusError> {
        let inner = self.inner.subscribe(topics).await?;
        Ok(Box::new(ProtectedSubscription {
            inner,
            messages: self.messages.clone(),
        }))
    }
}

#[async_trait]
impl Coordinator for Protected {
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

struct ProtectedSubscription {
    inner: Box<dyn Subscription>,
    messages: Arc<Messages>,
}

#[async_trait]
impl Subscription for ProtectedSubscription {
    async fn next(&mut self, max: usize) -> Result<Vec<Delivery>, BusError> {
        loop {
            let batch = self.inner.next(max).await?;
            let opened: Vec<_> = batch
                .into_iter()
                .filter_map(|delivery| self.messages.open(delivery))
                .collect();
            if !opened.is_empty() {
                return Ok(opened);
            }
        }
    }
}

impl Messages {
    /// The delivery with its payload out of the frame; nothing, and a count, if the frame does not open.
    fn open(&self, delivery: Delivery) -> Option<Delivery> {
        let Delivery::Message { topic, payload } = delivery else {
            return Some(delivery);
        };
        match self.framer.open(&topic, &payload) {
            Ok(payload) => Some(Delivery::Message { topic, payload }),
            Err(error) => {
                // Whoever can forge one can forge a million: the first is worth a line, the rest a count.
                if self.rejected.fetch_add(1, Ordering::Relaxed) == 0 {
                    tracing::warn!(topic, "a message {error}; it and its like are dropped and counted");
                }
                None
            }
        }
    }
}
