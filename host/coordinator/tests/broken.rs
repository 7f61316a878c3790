//! A coordinator that breaks a promise must fail the suite: one fault at a time, each found by the check that is there
//! for it.

use async_trait::async_trait;
use bytes::Bytes;
use shardwright_coordinator::suite::{BoxFuture, Disturb, Factory, Options, Outcome, run_some};
use shardwright_coordinator::{
    Bus, BusError, Coordinator, Delivery, MemoryBroker, MemoryCoordinator, Namespace, Store, Subscription,
};
use shardwright_core::store::{Expected, Listing, Reading, Revision, StoreError, StoreTime, Written};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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

struct Broken {
    inner: MemoryCoordinator,
    fault: Fault,
    count: Arc<AtomicU64>,
    wrote: Arc<Notify>,
    held: tokio::sync::Mutex<Option<(String, Bytes)>>,
    before: std::sync::Mutex<Option<(String, Reading<Bytes>)>>,
    /// What each key was written how often, for all handles.
    counts: Arc<std::sync::Mutex<BTreeMap<String, u64>>>,
    /// Connections are being cut.
    cut: Arc<AtomicBool>,
    broker: MemoryBroker,
    namespace: Namespace,
    /// All namespaces that were opened.
    opened: Arc<std::sync::Mutex<BTreeSet<Namespace>>>,
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
    fn kind(&self) -> &'static str {
        "broken"
    }

    fn location(&self) -> String {
        format!("{:?}", self.fault)
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

/// Runs one check on a coordinator with this fault; what it says if it fails. One that something never comes to takes
/// all of the `patience`.
async fn found(fault: Fault, check: &str, patience: Duration) -> Option<String> {
    let broker = MemoryBroker::new();
    let (count, wrote) = (Arc::new(AtomicU64::new(0)), Arc::new(Notify::new()));
    let counts: Arc<std::sync::Mutex<BTreeMap<String, u64>>> = Arc::default();
    let opened: Arc<std::sync::Mutex<BTreeSet<Namespace>>> = Arc::default();
    let cut = Arc::new(AtomicBool::new(false));
    let cutting = cut.clone();
    let disturb: Disturb = Arc::new(move || {
        let cut = cut.clone();
        Box::pin(async move {
            cut.store(true, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(100)).await;
            cut.store(false, Ordering::SeqCst);
        })
    });
    let factory: &Factory = &move |namespace| -> BoxFuture<'static, Result<Arc<dyn Coordinator>, String>> {
        let namespace = if fault == Fault::NamespacesMeet {
            Namespace::new("one").expect("valid")
        } else {
            namespace
        };
        opened.lock().expect("no panic").insert(namespace.clone());
        let (inner, count, wrote) = (broker.open(namespace.clone()), count.clone(), wrote.clone());
        let broken: Arc<dyn Coordinator> = Arc::new(Broken {
            inner,
            fault,
            count,
            wrote,
            held: Default::default(),
            before: Default::default(),
            counts: counts.clone(),
            cut: cutting.clone(),
            broker: broker.clone(),
            namespace,
            opened: opened.clone(),
        });
        Box::pin(async { Ok(broken) })
    };
    let options = Options {
        keys: 500,
        flood: 1500,
        patience,
        disturb: Some(disturb),
        ..Options::default()
    };
    let report = run_some(factory, options, |name| name == check).await;
    let [row] = &report.rows[..] else {
        panic!("{check}: {:?}", report.rows)
    };
    assert!(!row.detail.is_empty());
    (row.outcome == Outcome::Failed).then(|| row.detail.clone())
}

macro_rules! faults {
    ($($test:ident: $fault:ident => $check:literal $(says $cause:literal)?, not $innocent:literal;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            let said = found(Fault::$fault, $check, Duration::from_secs(8)).await;
            assert!(said.is_some(), "the fault was not found");
            $(assert!(said.as_ref().is_some_and(|said| said.contains($cause)), "{said:?}");)?
            let accused = found(Fault::$fault, $innocent, Duration::from_secs(120)).await;
            assert_eq!(accused, None, "what is sound was accused");
        }
    )*};
}

faults! {
    a_lost_update: LostUpdate => "cas-one-key"
        says "the expectation is checked in one step and the write made in another", not "bus-order";
    a_repeated_revision: RepeatedRevision => "cas-many-keys", not "bus-order";
    a_stale_read: StaleRead => "cas-one-key" says "a copy that is behind", not "list";
    an_empty_conflict: EmptyConflict => "conflict", not "list";
    a_silent_loss: SilentLoss => "bus-slow", not "cas-one-key";
    messages_out_of_order: Reordered => "bus-order", not "cas-one-key";
    a_listing_that_misses: ListMisses => "list-many", not "cas-one-key";
    a_listing_ahead_of_itself: ListAhead => "list-live", not "bus-order";
    a_truncated_value: Truncated => "sizes", not "cas-one-key";
    namespaces_that_meet: NamespacesMeet => "namespaces", not "time";
    a_clock_that_goes_back: ClockBack => "time", not "cas-one-key";
    a_late_subscription: LateSubscription => "bus-subscribe", not "cas-one-key";
    a_write_that_was_done_and_called_unavailable: DoneAndUnavailable => "reconnect"
        says "how locks are held twice", not "cas-one-key";
    topics_that_nobody_asked_for: TopicsUnasked => "bus-topics" says "which was not subscribed to", not "bus-order";
    a_clock_that_is_read_after_the_entries: ClockAfterEntries => "ages"
        says "the clock was read after the entries", not "time";
    a_prefix_that_is_a_pattern: PrefixPattern => "list" says "prefix \"a_\" lists", not "list-many";
    keys_that_are_sorted_as_words: SortedAsWords => "list" says "instead of", not "list-many";
    an_erase_that_is_incomplete: EraseIncomplete => "erase"
        says "erase is incomplete: it left [\"Z\"]", not "namespaces";
    an_erase_that_goes_too_far: EraseTooMuch => "erase" says "erase went too far", not "namespaces";
    a_namespace_that_is_a_prefix: NamespacePrefix => "namespaces" says "whose name begins with its own", not "list";
    a_revision_for_each_key: RevisionPerKey => "cas-many-keys" says "both given revision", not "bus-order";
    a_revision_without_a_lock: RevisionWithoutLock => "cas-many-keys"
        says "in the same indivisible step", not "expectations";
}
