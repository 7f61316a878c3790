//! A coordinator that breaks a promise must fail the suite: one fault at a time, each found by the check that is there for it.

use async_trait::async_trait;
use bytes::Bytes;
use shardwright_coordinator::suite::{BoxFuture, Factory, Options, Outcome, run};
use shardwright_coordinator::{Bus, BusError, Coordinator, Delivery, MemoryBroker, MemoryCoordinator, Namespace, Store, Subscription};
use shardwright_core::store::{Expected, Listing, Reading, Revision, StoreError, StoreTime, Written};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
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
}

struct Broken {
    inner: MemoryCoordinator,
    fault: Fault,
    count: Arc<AtomicU64>,
    wrote: Arc<Notify>,
    held: tokio::sync::Mutex<Option<(String, Bytes)>>,
    before: std::sync::Mutex<Option<(String, Reading<Bytes>)>>,
}

impl Broken {
    fn now_and_then(&self, n: u64) -> bool {
        self.count.fetch_add(1, Ordering::Relaxed) % n == n - 1
    }
}

#[async_trait]
impl Store for Broken {
    async fn get(&self, key: &str) -> Result<Reading<Bytes>, StoreError<Bytes>> {
        let mut reading = self.inner.get(key).await?;
        match self.fault {
            Fault::ClockBack if self.now_and_then(7) => reading.now = StoreTime(reading.now.0 - 60_000),
            Fault::StaleRead => {
                let before = self.before.lock().expect("no panic").replace((key.into(), reading.clone()));
                if let Some((_, old)) = before.filter(|(k, _)| k == key && self.now_and_then(5)) {
                    return Ok(Reading {
                        entry: old.entry,
                        ..reading
                    });
                }
            }
            _ => {}
        }
        Ok(reading)
    }

    async fn list(&self, prefix: &str, since: Revision) -> Result<Listing<Bytes>, StoreError<Bytes>> {
        let mut listing = self.inner.list(prefix, since).await?;
        match self.fault {
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

    async fn put(&self, key: &str, value: Bytes, expected: Expected) -> Result<Written, StoreError<Bytes>> {
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
            Fault::EmptyConflict => self.inner.put(key, value, expected).await.map_err(|error| match error {
                StoreError::Conflict(_) => StoreError::Conflict(None),
                other => other,
            }),
            Fault::Truncated => {
                let kept = value.len().min(65_536);
                self.inner.put(key, value.slice(..kept), expected).await.and_then(|written| {
                    let limit = 1_048_640;
                    if value.len() > limit {
                        Err(StoreError::TooLarge { size: value.len(), limit })
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

#[async_trait]
impl Coordinator for Broken {
    fn kind(&self) -> &'static str {
        "broken"
    }

    fn location(&self) -> String {
        format!("{:?}", self.fault)
    }

    async fn erase(&self) -> Result<(), StoreError<Bytes>> {
        self.inner.erase().await
    }
}

/// Runs the suite on a coordinator with this fault; the checks that found it.
async fn found(fault: Fault) -> Vec<&'static str> {
    let broker = MemoryBroker::new();
    let (count, wrote) = (Arc::new(AtomicU64::new(0)), Arc::new(Notify::new()));
    let factory: &Factory = &move |namespace| -> BoxFuture<'static, Result<Arc<dyn Coordinator>, String>> {
        let namespace = if fault == Fault::NamespacesMeet {
            Namespace::new("one").expect("valid")
        } else {
            namespace
        };
        let (inner, count, wrote) = (broker.open(namespace), count.clone(), wrote.clone());
        let broken: Arc<dyn Coordinator> = Arc::new(Broken {
            inner,
            fault,
            count,
            wrote,
            held: Default::default(),
            before: Default::default(),
        });
        Box::pin(async { Ok(broken) })
    };
    let options = Options {
        keys: 500,
        flood: 1500,
        patience: Duration::from_secs(3),
        ..Options::default()
    };
    let report = run(factory, options).await;
    assert!(report.rows.iter().all(|row| !row.detail.is_empty()));
    report
        .rows
        .iter()
        .filter(|row| row.outcome == Outcome::Failed)
        .map(|row| row.name)
        .collect()
}

macro_rules! faults {
    ($($test:ident: $fault:ident => $check:literal, not $innocent:literal;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            let found = found(Fault::$fault).await;
            assert!(found.contains(&$check), "the fault was found by {found:?}");
            assert!(!found.contains(&$innocent), "what is sound was accused: {found:?}");
        }
    )*};
}

faults! {
    a_lost_update: LostUpdate => "cas-one-key", not "bus-order";
    a_repeated_revision: RepeatedRevision => "cas-many-keys", not "bus-order";
    a_stale_read: StaleRead => "cas-one-key", not "list";
    an_empty_conflict: EmptyConflict => "conflict", not "list";
    a_silent_loss: SilentLoss => "bus-slow", not "cas-one-key";
    messages_out_of_order: Reordered => "bus-order", not "cas-one-key";
    a_listing_that_misses: ListMisses => "list-many", not "cas-one-key";
    a_listing_ahead_of_itself: ListAhead => "list-live", not "bus-order";
    a_truncated_value: Truncated => "sizes", not "cas-one-key";
    namespaces_that_meet: NamespacesMeet => "namespaces", not "time";
    a_clock_that_goes_back: ClockBack => "time", not "cas-one-key";
    a_late_subscription: LateSubscription => "bus-subscribe", not "cas-one-key";
}
