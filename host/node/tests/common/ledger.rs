//! What nodes do on the store, and how many round trips a handoff takes.

use async_trait::async_trait;
use bytes::Bytes;
use shardwright::Role;
use shardwright_coordinator::{Bus, BusError, Coordinator, PutRequest, Store, Subscription};
use shardwright_core::store::{Expected, Listing, Reading, Revision, StoreError, Written};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// All that is done on one store.
#[derive(Clone, Default)]
pub struct Ledger(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    acts: Vec<Act>,
    /// The handoff that is being measured: the roles of those that stay, and how many shards they are to have.
    staying: Option<(Vec<Role>, usize)>,
    /// Who wrote a plan last.
    leader: String,
}

/// One round trip.
struct Act {
    host: String,
    what: What,
    began: Instant,
    ended: Instant,
}

impl Act {
    fn told(&self, over: Instant) -> String {
        let at = |time: Instant| match time.checked_duration_since(over) {
            Some(after) => format!("{}", after.as_micros()),
            None => format!("-{}", over.duration_since(time).as_micros()),
        };
        format!("{} {:?} {}..{}", self.host, self.what, at(self.began), at(self.ended))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// The store is listed, and has news. One without is on nobody's way.
    Look,
    /// A plan is written: only the leader does.
    Plan,
    /// A session is renewed, or ended.
    Session,
}

/// A handoff, measured.
#[derive(Clone, Debug)]
pub struct Measured {
    /// When the store had answered that the session is over.
    pub over: Instant,
    /// One after the other since then, until those that stay had everything.
    pub trips: usize,
    /// All that was done, with the microseconds since then.
    pub story: String,
}

impl Ledger {
    /// From here on, a handoff to those with these roles is measured, until they have `shards` together.
    pub fn begin(&self, staying: Vec<Role>, shards: usize) {
        let mut inner = self.inner();
        inner.acts.clear();
        inner.staying = Some((staying, shards));
    }

    /// Whether `host` was the last to write a plan.
    pub fn leads(&self, host: &str) -> bool {
        self.inner().leader == host
    }

    /// What the handoff took, once it is done. `left` is who left.
    pub fn measured(&self, left: &str) -> Measured {
        let mut inner = self.inner();
        inner.staying = None;
        let last = inner
            .acts
            .iter()
            .rfind(|act| act.host == left && act.what == What::Session);
        let over = last.expect("it ended its session").ended;
        let since = |what, from| {
            inner
                .acts
                .iter()
                .filter(move |act| act.what == what && act.began >= from && act.host != left)
        };
        let story = inner
            .acts
            .iter()
            .map(|act| act.told(over))
            .collect::<Vec<_>>()
            .join(", ");
        let Some(granting) = since(What::Plan, over).next() else {
            // Its successor had seen the end before the answer came.
            return Measured { over, trips: 0, story };
        };
        let leader = &granting.host;
        let found_out = since(What::Look, over).filter(|look| look.host == *leader && look.ended <= granting.began);
        let granted = since(What::Plan, over).map(|act| act.ended).max().unwrap_or(over);
        let mut told: HashMap<&str, usize> = HashMap::new();
        since(What::Look, granted)
            .filter(|look| look.host != *leader)
            .for_each(|look| *told.entry(&look.host).or_default() += 1);
        let trips = found_out.count() + since(What::Plan, over).count() + told.into_values().max().unwrap_or(0);
        Measured { over, trips, story }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether what begins now can still be a part of the handoff.
    fn counts(&self) -> bool {
        let inner = self.inner();
        let staying = inner.staying.as_ref();
        staying.is_some_and(|(roles, shards)| roles.iter().map(|role| role.shards().count()).sum::<usize>() < *shards)
    }
}

/// A node's coordinator, with everything that it does on the store written down.
pub struct Counted {
    inner: Arc<dyn Coordinator>,
    host: String,
    ledger: Ledger,
}

impl Counted {
    pub fn new(inner: Arc<dyn Coordinator>, host: &str, ledger: &Ledger) -> Arc<Self> {
        let (host, ledger) = (host.to_owned(), ledger.clone());
        Arc::new(Self { inner, host, ledger })
    }

    async fn count<T>(&self, what: Option<What>, act: impl Future<Output = T>, is_news: impl FnOnce(&T) -> bool) -> T {
        if what == Some(What::Plan) {
            self.host.clone_into(&mut self.ledger.inner().leader);
        }
        let what = what.filter(|what| *what == What::Session || self.ledger.counts());
        let began = Instant::now();
        let done = act.await;
        if let Some(what) = what.filter(|_| is_news(&done)) {
            let (host, ended) = (self.host.clone(), Instant::now());
            self.ledger.inner().acts.push(Act {
                host,
                what,
                began,
                ended,
            });
        }
        done
    }
}

/// What a write to `key` is.
fn writes(key: &str) -> Option<What> {
    let kinds = [("sessions/", What::Session), ("plan/", What::Plan)];
    kinds
        .into_iter()
        .find(|(prefix, _)| key.starts_with(prefix))
        .map(|(_, what)| what)
}

#[async_trait]
impl Store for Counted {
    async fn get(&self, key: &str) -> Result<Reading<Bytes>, StoreError<Bytes>> {
        self.inner.get(key).await
    }
    async fn list(&self, prefix: &str, since: Revision) -> Result<Listing<Bytes>, StoreError<Bytes>> {
        let is_news =
            |listed: &Result<Listing<Bytes>, _>| listed.as_ref().is_ok_and(|listing| !listing.entries.is_empty());
        self.count(Some(What::Look), self.inner.list(prefix, since), is_news)
            .await
    }
    async fn put_with(&self, request: PutRequest<'_>) -> Result<Written, StoreError<Bytes>> {
        self.count(writes(request.key), self.inner.put_with(request), |_| true)
            .await
    }
    async fn delete(&self, key: &str, expected: Expected) -> Result<Written, StoreError<Bytes>> {
        self.inner.delete(key, expected).await
    }
}

#[async_trait]
impl Bus for Counted {
    async fn publish(&self, topic: &str, payload: Bytes) -> Result<(), BusError> {
        self.inner.publish(topic, payload).await
    }
    async fn subscribe(&self, topics: &[&str]) -> Result<Box<dyn Subscription>, BusError> {
        self.inner.subscribe(topics).await
    }
}

#[async_trait]
impl Coordinator for Counted {
    fn kind(&self) -> &str {
        self.inner.kind()
    }
    fn location(&self) -> String {
        self.inner.location()
    }
    /// No test has used the store before.
    fn fresh_is_safe(&self) -> bool {
        true
    }
    async fn ended(&self) -> String {
        self.inner.ended().await
    }
    fn clock_uncertainty(&self) -> Duration {
        self.inner.clock_uncertainty()
    }
    async fn erase(&self) -> Result<(), StoreError<Bytes>> {
        self.inner.erase().await
    }
}
