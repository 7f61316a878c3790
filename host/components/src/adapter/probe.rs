//! One lane in the hands of whoever tests an adapter: what the host's own precautions make good in a cluster is seen
//! here as it is.
//!
//! A coordinator reads back, subscribes again and remembers that a history is lost; it never opens a lane with a
//! history that it knows to be over. So
//! it hides what an adapter does when its host has forgotten, or has not looked yet. Nothing is believed here either,
//! and nothing is made good.

use super::component::AdapterComponent;
use super::fault::LaneFault;
use super::lane::Lane;
use super::options::AdapterOptions;
use super::refusal::Refusal;
use super::state::Shared;
use super::translate;
use super::world::exports::shardwright::coordinator::lifecycle::{Context, Purpose};
use super::world::exports::shardwright::coordinator::{bus, store as wit};
use bytes::Bytes;
use shardwright_coordinator::broker::BrokerError;
use shardwright_coordinator::{BusError, Delivery, Namespace};
use shardwright_core::store::{Entry, Expected, Revision, StoreError, StoreTime, Written};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How much longer than it was given a call of `next` may take.
const GRACE: Duration = Duration::from_secs(4);

/// What a lane is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LanePurpose {
    /// Reading and writing.
    Store,
    /// Publishing.
    Publish,
    /// Subscribing.
    Subscribe,
}

/// Why a lane could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// The history is not the one that was asked for.
    #[error("the history is lost: {0}")]
    Lost(String),
    /// Anything else.
    #[error("{0}")]
    Refused(String),
}

/// A lane.
pub struct Probe {
    lane: Lane,
    shared: Arc<Shared>,
    history: String,
}

impl Probe {
    /// Opens a lane for `purpose`, of the history that is given or of the one that it finds or begins.
    ///
    /// # Errors
    /// [`ProbeError`].
    pub async fn open(
        component: &AdapterComponent,
        options: AdapterOptions,
        namespace: &Namespace,
        purpose: LanePurpose,
        history: Option<&str>,
    ) -> Result<Self, ProbeError> {
        let refused = |error: BrokerError| ProbeError::Refused(error.to_string());
        let shared = Arc::new(Shared::new(options).map_err(refused)?);
        let deadline = Instant::now() + shared.options.timeout;
        let mask = shared.mask.clone();
        let faulty = |fault: LaneFault| ProbeError::Refused(mask.line(&fault.to_string()));
        let mut lane = Lane::start(component.pre(), shared.clone(), deadline)
            .await
            .map_err(faulty)?;
        let context = Context {
            purpose: match purpose {
                LanePurpose::Store => Purpose::Store,
                LanePurpose::Publish => Purpose::Publish,
                LanePurpose::Subscribe => Purpose::Subscribe,
            },
            namespace: namespace.as_str().to_owned(),
            config: shared.options.config.expose().to_owned(),
            history: history.map(str::to_owned),
            memo: String::new(),
        };
        let opened = lane.open(&context, deadline).await.map_err(faulty)?;
        let opened = opened.map_err(|error| match Refusal::of(error, |why| mask.line(why)) {
            Refusal::Lost(why) => ProbeError::Lost(why),
            other => ProbeError::Refused(other.why()),
        })?;
        Ok(Self {
            lane,
            shared,
            history: opened.history,
        })
    }

    /// The history that it says it belongs to.
    #[must_use]
    pub fn history(&self) -> &str {
        &self.history
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.shared.options.timeout
    }

    fn told(&self, fault: &LaneFault) -> String {
        self.shared.mask.line(&fault.to_string())
    }

    /// The entry under `key`.
    ///
    /// # Errors
    /// What the adapter says; `Unavailable` if the lane ended.
    pub async fn get(&mut self, key: &str) -> Result<Option<Entry<Bytes>>, StoreError<Bytes>> {
        let answer = self.lane.get(key, self.deadline()).await;
        let reading = answer.map_err(|fault| StoreError::Unavailable(self.told(&fault)))?;
        Ok(reading.map_err(|error| self.error(error))?.entry.map(entry))
    }

    /// The keys that begin with `prefix`.
    ///
    /// # Errors
    /// As [`Probe::get`].
    pub async fn keys(&mut self, prefix: &str) -> Result<Vec<String>, StoreError<Bytes>> {
        let answer = self.lane.list(prefix, 0, self.deadline()).await;
        let listing = answer.map_err(|fault| StoreError::Unavailable(self.told(&fault)))?;
        let entries = listing.map_err(|error| self.error(error))?.entries;
        Ok(entries.into_iter().map(|entry| entry.key).collect())
    }

    /// Stores `value` under `key`, or removes what is there if it is none.
    ///
    /// # Errors
    /// What the adapter says; `Indeterminate` if the lane ended.
    pub async fn write(
        &mut self,
        key: &str,
        value: Option<&[u8]>,
        expected: Expected,
    ) -> Result<Written, StoreError<Bytes>> {
        let (expected, deadline) = (translate::expected(expected), self.deadline());
        let answer = match value {
            Some(value) => self.lane.put(key, value, expected, deadline).await,
            None => self.lane.delete(key, expected, deadline).await,
        };
        let written = answer.map_err(|fault| StoreError::Indeterminate(self.told(&fault)))?;
        let wit::Written { revision, now } = written.map_err(|error| self.error(error))?;
        Ok(Written {
            revision: Revision(revision),
            now: StoreTime(now),
        })
    }

    /// Publishes.
    ///
    /// # Errors
    /// What the adapter says; `Unavailable` if the lane ended.
    pub async fn publish(&mut self, topic: &str, payload: &[u8]) -> Result<(), BusError> {
        let answer = self.lane.publish(topic, payload, self.deadline()).await;
        self.heard(answer)
    }

    /// Begins to receive `topics`. From then on nothing is taken until [`Probe::next`] is called.
    ///
    /// # Errors
    /// As [`Probe::publish`].
    pub async fn subscribe(&mut self, topics: &[&str]) -> Result<(), BusError> {
        let topics: Vec<_> = topics.iter().map(|topic| (*topic).to_owned()).collect();
        let answer = self.lane.subscribe(&topics, self.deadline()).await;
        self.heard(answer)
    }

    /// What has come, at most `max` deliveries, waited for at most as long as `timeout`.
    ///
    /// # Errors
    /// As [`Probe::publish`].
    pub async fn next(&mut self, max: u32, timeout: Duration) -> Result<Vec<Delivery>, BusError> {
        let millis = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
        let answer = self.lane.next(max, millis, Instant::now() + timeout + GRACE).await;
        let batch = self.heard(answer)?;
        let delivery = |delivery| match delivery {
            bus::Delivery::Message(bus::Message { topic, payload }) => Delivery::Message {
                topic,
                payload: payload.into(),
            },
            bus::Delivery::Gap(lost) => Delivery::Gap { lost },
        };
        Ok(batch.into_iter().map(delivery).collect())
    }

    fn heard<T>(&self, answer: Result<Result<T, bus::BusError>, LaneFault>) -> Result<T, BusError> {
        let answer = answer.map_err(|fault| BusError::Unavailable(self.told(&fault)))?;
        answer.map_err(|error| translate::bus_error(error, &self.shared.mask))
    }

    fn error(&self, error: wit::StoreError) -> StoreError<Bytes> {
        match error {
            wit::StoreError::Conflict(found) => StoreError::Conflict(found.map(entry)),
            error => translate::store_error(error, &self.shared.mask),
        }
    }
}

fn entry(entry: wit::Entry) -> Entry<Bytes> {
    let wit::Entry {
        revision,
        written,
        value,
    } = entry;
    Entry {
        revision: Revision(revision),
        written: StoreTime(written),
        value: value.into(),
    }
}
