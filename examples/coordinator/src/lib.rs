//! A coordinator of one's own: a store and a bus for the nodes of one process, made of nothing but what the crate
//! `shardwright` publishes.
//!
//! A real one asks a server where this one locks a mutex. The promises are those of the traits; `tests/contract.rs`
//! has them checked, and runs two nodes on it.

use shardwright::Bytes;
use shardwright::coordinator::{
    Bus, BusError, Coordinator, Delivery, Entry, Expected, Listing, Namespace, PutRequest, Reading, Revision,
    SAME_CLOCK, Store, StoreError, StoreTime, Subscription, Written, async_trait, limits,
};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::broadcast;

/// How many messages wait for a slow subscriber before it is told of a gap instead.
const QUEUE: usize = 256;

/// What the nodes share: clones are the same one.
#[derive(Clone, Debug)]
pub struct Backend(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// One clock for all handles: what the wall clock said once, plus what has passed since. It never goes back.
    origin: (Duration, Instant),
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Counts the writes of all namespaces.
    revision: u64,
    spaces: HashMap<Namespace, Space>,
}

#[derive(Debug)]
struct Space {
    entries: BTreeMap<String, Entry<Bytes>>,
    messages: broadcast::Sender<(String, Bytes)>,
}

impl Default for Space {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            messages: broadcast::Sender::new(QUEUE),
        }
    }
}

impl Default for Backend {
    fn default() -> Self {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self(Arc::new(Inner {
            origin: (wall.unwrap_or_default(), Instant::now()),
            state: Mutex::default(),
        }))
    }
}

impl Backend {
    /// A node's handle to the cluster of this name.
    #[must_use]
    pub fn open(&self, namespace: Namespace) -> Handle {
        Handle {
            backend: self.clone(),
            namespace,
        }
    }

    // Nothing below panics between two changes: a poisoned lock guards a sound state.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> StoreTime {
        let (wall, begun) = self.0.origin;
        StoreTime(u64::try_from((wall + begun.elapsed()).as_millis()).unwrap_or(u64::MAX))
    }
}

/// A [`Backend`] opened for one cluster: what [`Builder::coordinator`](shardwright::Builder::coordinator) takes.
#[derive(Clone, Debug)]
pub struct Handle {
    backend: Backend,
    namespace: Namespace,
}

impl Handle {
    fn write(&self, key: &str, value: Option<Bytes>, expected: Expected) -> Result<Written, StoreError<Bytes>> {
        limits::check_key(key)?;
        let mut state = self.backend.lock();
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
        let (revision, written) = (Revision(*revision), self.backend.now());
        match value {
            Some(value) => entries.insert(
                key.to_owned(),
                Entry {
                    revision,
                    written,
                    value,
                },
            ),
            None => entries.remove(key),
        };
        Ok(Written { revision, now: written })
    }
}

#[async_trait]
impl Store for Handle {
    async fn get(&self, key: &str) -> Result<Reading<Bytes>, StoreError<Bytes>> {
        limits::check_key(key)?;
        let state = self.backend.lock();
        let space = state.spaces.get(&self.namespace);
        Ok(Reading {
            entry: space.and_then(|space| space.entries.get(key)).cloned(),
            now: self.backend.now(),
            // What is written is there for as long as the process is: nothing is lost but everything.
            unsure_before: StoreTime::default(),
        })
    }

    async fn list(&self, prefix: &str, since: Revision) -> Result<Listing<Bytes>, StoreError<Bytes>> {
        limits::check_prefix(prefix)?;
        let state = self.backend.lock();
        let entries = state.spaces.get(&self.namespace).map(|space| &space.entries);
        let listed = entries.into_iter().flatten();
        Ok(Listing {
            entries: listed
                .filter(|(key, entry)| key.starts_with(prefix) && entry.revision > since)
                .map(|(key, entry)| (key.clone(), entry.clone()))
                .collect(),
            revision: Revision(state.revision),
            now: self.backend.now(),
            unsure_before: StoreTime::default(),
        })
    }

    async fn put_with(&self, request: PutRequest<'_>) -> Result<Written, StoreError<Bytes>> {
        let PutRequest {
            key, value, expected, ..
        } = request;
        limits::check_stored(value.len())?;
        self.write(key, Some(value), expected)
    }

    async fn delete(&self, key: &str, expected: Expected) -> Result<Written, StoreError<Bytes>> {
        self.write(key, None, expected)
    }
}

#[async_trait]
impl Bus for Handle {
    async fn publish(&self, topic: &str, payload: Bytes) -> Result<(), BusError> {
        limits::check_topic(topic)?;
        limits::check_sent(payload.len())?;
        if let Some(space) = self.backend.lock().spaces.get(&self.namespace) {
            // Nobody may be listening.
            let _ = space.messages.send((topic.to_owned(), payload));
        }
        Ok(())
    }

    async fn subscribe(&self, topics: &[&str]) -> Result<Box<dyn Subscription>, BusError> {
        topics.iter().try_for_each(|topic| limits::check_topic(topic))?;
        let mut state = self.backend.lock();
        let space = state.spaces.entry(self.namespace.clone()).or_default();
        Ok(Box::new(Subscriber {
            topics: topics.iter().map(|&topic| topic.to_owned()).collect(),
            messages: space.messages.subscribe(),
        }))
    }
}

#[async_trait]
impl Coordinator for Handle {
    fn kind(&self) -> &str {
        "example"
    }

    fn location(&self) -> String {
        "this process".into()
    }

    fn clock_uncertainty(&self) -> Duration {
        SAME_CLOCK
    }

    /// Who could act on an older store has gone with it: nobody needs to wait for him.
    fn fresh_is_safe(&self) -> bool {
        true
    }

    async fn erase(&self) -> Result<(), StoreError<Bytes>> {
        self.backend.lock().spaces.remove(&self.namespace);
        Ok(())
    }
}

struct Subscriber {
    /// None means all.
    topics: Vec<String>,
    messages: broadcast::Receiver<(String, Bytes)>,
}

impl Subscriber {
    fn wants(&self, topic: &String) -> bool {
        self.topics.is_empty() || self.topics.contains(topic)
    }
}

#[async_trait]
impl Subscription for Subscriber {
    async fn next(&mut self, max: usize) -> Result<Vec<Delivery>, BusError> {
        use broadcast::error::{RecvError, TryRecvError};
        let mut batch = Vec::new();
        while batch.is_empty() {
            // Given up while it waits, this has taken nothing.
            match self.messages.recv().await {
                Ok((topic, payload)) if self.wants(&topic) => batch.push(Delivery::Message { topic, payload }),
                Ok(_) => {}
                // Some of them may have been of other topics.
                Err(RecvError::Lagged(_)) => batch.push(Delivery::Gap { lost: 0 }),
                Err(RecvError::Closed) => return Err(BusError::Closed),
            }
        }
        while batch.len() < max {
            match self.messages.try_recv() {
                Ok((topic, payload)) if self.wants(&topic) => batch.push(Delivery::Message { topic, payload }),
                Ok(_) => {}
                Err(TryRecvError::Lagged(_)) => batch.push(Delivery::Gap { lost: 0 }),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        Ok(batch)
    }
}
