//! The coordinator inside one process: for tests, simulations and servers of a single node.

use crate::clock;
use crate::contract::{Bus, BusError, Coordinator, PutRequest, SAME_CLOCK, Store, Subscription};
use crate::limits::{self, Namespace};
use crate::queue::Subscribers;
use async_trait::async_trait;
use bytes::Bytes;
use shardwright_core::store::{Entry, Expected, Listing, Reading, Revision, StoreError, StoreTime, Written};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// One shared store and bus; clones are the same one.
#[derive(Clone)]
pub struct MemoryBroker(Arc<Shared>);

struct Shared {
    /// The backend's clock: what the wall clock said when this began, plus what has passed since.
    origin: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    revision: u64,
    spaces: HashMap<Namespace, NamespaceState>,
}

#[derive(Default)]
struct NamespaceState {
    entries: BTreeMap<String, Entry<Bytes>>,
    subscribers: Subscribers,
}

opaque!(MemoryBroker, MemoryCoordinator);

impl Default for MemoryBroker {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryBroker {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Shared {
            origin: clock::wall().saturating_sub(clock::boottime()),
            state: Mutex::default(),
        }))
    }

    /// A node's handle to `namespace`.
    #[must_use]
    pub fn open(&self, namespace: Namespace) -> MemoryCoordinator {
        MemoryCoordinator {
            broker: self.clone(),
            namespace,
        }
    }

    // Every change below is complete before anything can panic, so a poisoned lock guards a sound state.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> StoreTime {
        StoreTime(self.0.origin + clock::boottime())
    }
}

/// A [`MemoryBroker`] opened for one namespace.
#[derive(Clone)]
pub struct MemoryCoordinator {
    broker: MemoryBroker,
    namespace: Namespace,
}

impl MemoryCoordinator {
    fn write(&self, key: &str, value: Option<Bytes>, expected: Expected) -> Result<Written, StoreError<Bytes>> {
        let mut state = self.broker.lock();
        let State { revision, spaces } = &mut *state;
        let entries = &mut spaces.entry(self.namespace.clone()).or_default().entries;
        let present = entries.get(key);
        let holds = match expected {
            Expected::Absent => present.is_none(),
            Expected::Revision(revision) => present.is_some_and(|entry| entry.revision == revision),
            Expected::Any => true,
        };
        if !holds {
            return Err(StoreError::Conflict(present.cloned()));
        }
        *revision += 1;
        let written = Written {
            revision: Revision(*revision),
            now: self.broker.now(),
        };
        match value {
            Some(value) => entries.insert(
                key.to_owned(),
                Entry {
                    revision: written.revision,
                    written: written.now,
                    value,
                },
            ),
            None => entries.remove(key),
        };
        Ok(written)
    }
}

#[async_trait]
impl Store for MemoryCoordinator {
    async fn get(&self, key: &str) -> Result<Reading<Bytes>, StoreError<Bytes>> {
        limits::check_key(key)?;
        let state = self.broker.lock();
        let entry = state
            .spaces
            .get(&self.namespace)
            .and_then(|space| space.entries.get(key))
            .cloned();
        Ok(Reading {
            entry,
            now: self.broker.now(),
            unsure_before: StoreTime::default(),
        })
    }

    async fn list(&self, prefix: &str, since: Revision) -> Result<Listing<Bytes>, StoreError<Bytes>> {
        limits::check_prefix(prefix)?;
        let state = self.broker.lock();
        let entries = state.spaces.get(&self.namespace).map_or_else(Vec::new, |space| {
            let from = space
                .entries
                .range(prefix.to_owned()..)
                .take_while(|(key, _)| key.starts_with(prefix));
            from.filter(|(_, entry)| entry.revision > since)
                .map(|(key, entry)| (key.clone(), entry.clone()))
                .collect()
        });
        Ok(Listing {
            entries,
            revision: Revision(state.revision),
            now: self.broker.now(),
            unsure_before: StoreTime::default(),
        })
    }

    async fn put_with(&self, request: PutRequest<'_>) -> Result<Written, StoreError<Bytes>> {
        let PutRequest {
            key, value, expected, ..
        } = request;
        limits::check_key(key)?;
        limits::check_stored(value.len())?;
        self.write(key, Some(value), expected)
    }

    async fn delete(&self, key: &str, expected: Expected) -> Result<Written, StoreError<Bytes>> {
        limits::check_key(key)?;
        self.write(key, None, expected)
    }
}

#[async_trait]
impl Bus for MemoryCoordinator {
    async fn publish(&self, topic: &str, payload: Bytes) -> Result<(), BusError> {
        limits::check_topic(topic)?;
        limits::check_sent(payload.len())?;
        if let Some(space) = self.broker.lock().spaces.get_mut(&self.namespace) {
            space.subscribers.each(|queue| queue.push(topic, &payload));
        }
        Ok(())
    }

    async fn subscribe(&self, topics: &[&str]) -> Result<Box<dyn Subscription>, BusError> {
        topics.iter().try_for_each(|topic| limits::check_topic(topic))?;
        let mut state = self.broker.lock();
        Ok(Box::new(
            state
                .spaces
                .entry(self.namespace.clone())
                .or_default()
                .subscribers
                .add(topics),
        ))
    }
}

#[async_trait]
impl Coordinator for MemoryCoordinator {
    fn kind(&self) -> &str {
        "memory"
    }

    fn location(&self) -> String {
        "this process".into()
    }

    fn clock_uncertainty(&self) -> Duration {
        SAME_CLOCK
    }

    fn fresh_is_safe(&self) -> bool {
        true
    }

    async fn erase(&self) -> Result<(), StoreError<Bytes>> {
        self.broker.lock().spaces.remove(&self.namespace);
        Ok(())
    }
}
