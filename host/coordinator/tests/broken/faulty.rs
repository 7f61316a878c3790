//! A coordinator in memory with one fault.

use async_trait::async_trait;
use bytes::Bytes;
use shardwright_coordinator::{
    Bus, BusError, Coordinator, Delivery, MemoryBroker, MemoryCoordinator, Namespace, PutRequest, SAME_CLOCK, Store,
    Subscription,
};
use shardwright_core::store::{Expected, Listing, Reading, Revision, StoreError, StoreTime, Written};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Compare and set are two steps: what comes between is lost.
    LostUpdate,
    /// Now and then two writes get one revision.
    RepeatedRevision,
    /// Now and then a read is answered from before the last write.
    StaleRead,
    /// A conflict says that nothing is there.
    EmptyConflict,
    /// Every 37th message vanishes.
    SilentLoss,
    /// Now and then two messages change places.
    Reordered,
    /// Listings leave out the last entry of many.
    ListMisses,
    /// A listing claims a revision newer than what it shows.
    ListAhead,
    /// Large values are cut.
    Truncated,
    /// All namespaces are one.
    NamespacesMeet,
    /// The clock goes back now and then.
    ClockBack,
    /// The subscription begins some messages late.
    LateSubscription,
    /// A write whose answer is lost is called unavailable, and was done.
    DoneAndUnavailable,
    /// Topics are compared by their beginning: who asks for `t` gets `t/x` too.
    TopicsUnasked,
    /// The clock is read some time after the entries.
    ClockAfterEntries,
    /// `_` in a prefix stands for any character, as with SQL's LIKE.
    PrefixPattern,
    /// Keys are sorted as words: `a` before `B`.
    SortedAsWords,
    /// Erasing leaves an entry behind.
    EraseIncomplete,
    /// Erasing a namespace erases those whose name begins with its name.
    EraseTooMuch,
    /// A namespace shows what is in those whose name begins with its name.
    NamespacePrefix,
    /// Each key counts its own revisions.
    RevisionPerKey,
    /// The revision is read in one step and given out in another: two writes at once get the same one.
    RevisionWithoutLock,
}

pub(crate) struct Broken {
    pub(crate) inner: MemoryCoordinator,
    pub(crate) fault: Fault,
    pub(crate) count: Arc<AtomicU64>,
    pub(crate) wrote: Arc<Notify>,
    pub(crate) held: tokio::sync::Mutex<Option<(String, Bytes)>>,
    pub(crate) before: std::sync::Mutex<Option<(String, Reading<Bytes>)>>,
    /// What each key was written how often, for all handles.
    pub(crate) counts: Arc<std::sync::Mutex<BTreeMap<String, u64>>>,
    /// Connections are being cut.
    pub(crate) cut: Arc<AtomicBool>,
    pub(crate) broker: MemoryBroker,
    pub(crate) namespace: Namespace,
    /// All namespaces that were opened.
    pub(crate) opened: Arc<std::sync::Mutex<BTreeSet<Namespace>>>,
}

impl Broken {
    fn now_and_then(&self, n: u64) -> bool {
        self.count.fetch_add(1, Ordering::Relaxed) % n == n - 1
    }

    /// The other namespaces whose name begins with this one's.
    fn longer(&self) -> Vec<Namespace> {
        let opened = self.opened.lock().expect("no panic");
        let longer = opened
            .iter()
            .filter(|other| **other != self.namespace && other.as_str().starts_with(self.namespace.as_str()));
        longer.cloned().collect()
    }
}

#[async_trait]
impl Store for Broken {
    async fn get(&self, key: &str) -> Result<Reading<Bytes>, StoreError<Bytes>> {
        let mut reading = self.inner.get(key).await?;
        match self.fault {
            Fault::ClockBack if self.now_and_then(7) => reading.now = StoreTime(reading.now.0 - 60_000),
            Fault::StaleRead => {
                let before = self
                    .before
                    .lock()
                    .expect("no panic")
                    .replace((key.into(), reading.clone()));
                if let Some((_, old)) = before.filter(|(k, _)| k == key && self.now_and_then(5)) {
                    return Ok(Reading {
                        entry: old.entry,
                        ..reading
                    });
                }
            }
            Fault::ClockAfterEntries if key == "session" => {
                tokio::time::sleep(Duration::from_millis(400)).await;
                reading.now = self.inner.get(key).await?.now;
            }
            _ => {}
        }
        Ok(reading)
    }

    async fn list(&self, prefix: &str, since: Revision) -> Result<Listing<Bytes>, StoreError<Bytes>> {
        let mut listing = self.inner.list(prefix, since).await?;
        match self.fault {
            Fault::PrefixPattern if prefix.contains('_') => {
                let fits = |key: &str| {
                    key.len() >= prefix.len() && prefix.chars().zip(key.chars()).all(|(p, k)| p == '_' || p == k)
                };
                listing = self.inner.list("", since).await?;
                listing.entries.retain(|(key, _)| fits(key));
            }
            Fault::SortedAsWords => listing.entries.sort_by_key(|(key, _)| key.to_lowercase()),
            Fault::NamespacePrefix => {
                for other in self.longer() {
                    listing
                        .entries
                        .extend(self.broker.open(other).list(prefix, since).await?.entries);
                }
            }
            Fault::ListMisses if listing.entries.len() > 100 => drop(listing.entries.pop()),
            Fault::ListAhead => {
                // Somebody writes in between, if anybody does.
                let _ = tokio::time::timeout(Duration::from_millis(20), self.wrote.notified()).await;
                listing.revision = self.inner.list("nothing/", Revision(0)).await?.revision;
            }
            _ => {}
        }
        Ok(listing)
    }

    async fn put_with(&self, request: PutRequest<'_>) -> Result<Written, StoreError<Bytes>> {
        let PutRequest {
            key, value, expected, ..
        } = request;
        match self.fault {
            Fault::LostUpdate => {
                let present = self.inner.get(key).await?.entry;
                tokio::task::yield_now().await;
                let holds = match expected {
                    Expected::Absent => present.is_none(),
                    Expected::Revision(revision) => present.as_ref().is_some_and(|entry| entry.revision == revision),
                    Expected::Any => true,
                };
                if holds {
                    self.inner.put(key, value, Expected::Any).await
                } else {
                    Err(StoreError::Conflict(present))
                }
            }
            Fault::RepeatedRevision => {
                let mut written = self.inner.put(key, value, expected).await?;
                if self.now_and_then(11) {
                    written.revision = Revision(written.revision.0 - 1);
                }
                Ok(written)
            }
            Fault::RevisionPerKey => {
                let mut written = self.inner.put(key, value, expected).await?;
                let mut counts = self.counts.lock().expect("no panic");
                let count = counts.entry(key.into()).or_default();
                *count += 1;
                written.revision = Revision(*count);
                Ok(written)
            }
            Fault::RevisionWithoutLock => {
                let next = Revision(self.inner.list("nothing/", Revision(0)).await?.revision.0 + 1);
                tokio::task::yield_now().await;
                let written = self.inner.put(key, value, expected).await?;
                // Whoever is alone is none the wiser.
                Ok(Written {
                    revision: next,
                    ..written
                })
            }
            Fault::DoneAndUnavailable => {
                let written = self.inner.put(key, value, expected).await?;
                if self.cut.load(Ordering::SeqCst) {
                    return Err(StoreError::Unavailable("the connection was lost".into()));
                }
                Ok(written)
            }
            Fault::EmptyConflict => self.inner.put(key, value, expected).await.map_err(|error| match error {
                StoreError::Conflict(_) => StoreError::Conflict(None),
                other => other,
            }),
            Fault::Truncated => {
                let kept = value.len().min(65_536);
                self.inner
                    .put(key, value.slice(..kept), expected)
                    .await
                    .and_then(|written| {
                        let limit = 1_048_640;
                        if value.len() > limit {
                            Err(StoreError::TooLarge {
                                size: value.len(),
                                limit,
                            })
                        } else {
                            Ok(written)
                        }
                    })
            }
            Fault::ListAhead => {
                let written = self.inner.put(key, value, expected).await;
                self.wrote.notify_waiters();
                written
            }
            _ => self.inner.put(key, value, expected).await,
        }
    }

    async fn delete(&self, key: &str, expected: Expected) -> Result<Written, StoreError<Bytes>> {
        self.inner.delete(key, expected).await
    }
}

#[async_trait]
impl Bus for Broken {
    async fn publish(&self, topic: &str, payload: Bytes) -> Result<(), BusError> {
        match self.fault {
            Fault::SilentLoss if self.now_and_then(37) => Ok(()),
            Fault::Reordered => {
                let mut held = self.held.lock().await;
                if let Some((topic, older)) = held.take() {
                    self.inner.publish(&topic, payload).await?;
                    return self.inner.publish(&topic, older).await;
                }
                if self.now_and_then(37) {
                    *held = Some((topic.into(), payload));
                    return Ok(());
                }
                self.inner.publish(topic, payload).await
            }
            _ => self.inner.publish(topic, payload).await,
        }
    }

    async fn subscribe(&self, topics: &[&str]) -> Result<Box<dyn Subscription>, BusError> {
        let inner = self.inner.subscribe(topics).await?;
        if self.fault == Fault::TopicsUnasked {
            let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
            let inner = self.inner.subscribe(&[]).await?;
            return Ok(Box::new(Loose { inner, topics }));
        }
        Ok(if self.fault == Fault::LateSubscription {
            Box::new(Late { inner, skip: 2 })
        } else {
            inner
        })
    }
}

struct Late {
    inner: Box<dyn Subscription>,
    skip: usize,
}

#[async_trait]
impl Subscription for Late {
    async fn next(&mut self, max: usize) -> Result<Vec<Delivery>, BusError> {
        loop {
            let mut batch = self.inner.next(max).await?;
            let skipped = self.skip.min(batch.len());
            self.skip -= skipped;
            if batch.len() > skipped {
                return Ok(batch.split_off(skipped));
            }
        }
    }
}

/// Compares topics by their beginning.
struct Loose {
    inner: Box<dyn Subscription>,
    topics: Vec<String>,
}

#[async_trait]
impl Subscription for Loose {
    async fn next(&mut self, max: usize) -> Result<Vec<Delivery>, BusError> {
        loop {
            let mut batch = self.inner.next(max).await?;
            batch.retain(|delivery| match delivery {
                Delivery::Message { topic, .. } => {
                    self.topics.is_empty() || self.topics.iter().any(|wanted| topic.starts_with(wanted))
                }
                Delivery::Gap { .. } => true,
            });
            if !batch.is_empty() {
                return Ok(batch);
            }
        }
    }
}

#[async_trait]
impl Coordinator for Broken {
    fn kind(&self) -> &str {
        "broken"
    }

    fn location(&self) -> String {
        format!("{:?}", self.fault)
    }

    fn clock_uncertainty(&self) -> Duration {
        SAME_CLOCK
    }

    async fn erase(&self) -> Result<(), StoreError<Bytes>> {
        match self.fault {
            Fault::EraseIncomplete => {
                let kept = self.inner.get("Z").await?.entry;
                self.inner.erase().await?;
                if let Some(entry) = kept {
                    self.inner.put("Z", entry.value, Expected::Absent).await?;
                }
                Ok(())
            }
            Fault::EraseTooMuch => {
                for other in self.longer() {
                    self.broker.open(other).erase().await?;
                }
                self.inner.erase().await
            }
            _ => self.inner.erase().await,
        }
    }
}
