//! Kafka as a coordinator.
//!
//! The store is a log: a topic of one partition, in which every write is a record that says what it expects to find.
//! Every handle reads the log from its newest snapshot on and folds it into the same state; a record counts only if its
//! expectation holds where it stands. Whoever wrote it waits until its own reading has passed it, and so learns whether
//! it counted. A read writes a small record too, and waits until that was read: it then sees everything that was
//! acknowledged before it began. The bus is a second topic, read from its end by every handle, without any consumer
//! group.

mod bus;
mod client;
mod contact;
mod error;
mod examine;
mod follower;
mod frame;
mod keeper;
mod load;
mod log_view;
mod options;
mod outbox;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod properties;
mod record;
mod reports;
mod snapshot;
mod state_machine;
mod store;
#[cfg(test)]
mod test;
mod topic;

pub use options::*;

use crate::broker::{BrokerError, OpenRetry};
use crate::contract::{Bus, BusError, Coordinator, PutRequest, Store, Subscription};
use crate::finding::Finding;
use crate::limits::{self, Namespace};
use crate::tasks::{End, Tasks};
use async_trait::async_trait;
use bytes::Bytes;
use client::Common;
use follower::{Follower, ReplayError, random};
use log_view::LogView;
use outbox::Outbox;
use record::Operation;
use shardwright_core::store::{Expected, Listing, Reading, Revision, StoreError, StoreTime, Written};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How many duties may wait: more are left to others.
const DUTIES: usize = 4;

/// A handle to Kafka, opened for one namespace. Dropping it ends its clients and its subscriptions.
pub struct KafkaCoordinator {
    common: Arc<Common>,
    outbox: Arc<Outbox>,
    store: Arc<store::LogStore>,
    bus: bus::LogBus,
    end: End,
    _tasks: Tasks,
}

opaque!(KafkaCoordinator);

impl KafkaCoordinator {
    /// Connects, makes the topics of `namespace` if they are missing and checks that they are safe, and reads the log
    /// up to now.
    ///
    /// # Errors
    /// [`BrokerError`].
    pub async fn open(options: KafkaOptions, namespace: Namespace) -> Result<Self, BrokerError> {
        let (duties, waiting) = mpsc::channel(DUTIES);
        let board = Arc::new(LogView::new(random(), format!("shardwright.{namespace}.store"), duties));
        let common = Arc::new(Common::new(options, &namespace, board)?);
        let outbox = Arc::new(Outbox::new(common.clone())?);
        // Each step has its own limit; together they have one too.
        let limit = 3 * (common.session() + common.patience());
        let follower = timeout(limit, Self::begin(&outbox))
            .await
            .unwrap_or_else(|_| Err(common.reports.why("it takes too long to answer")))?;

        let store = Arc::new(store::LogStore::new(outbox.clone()));
        let end = End::new();
        let mut tasks = Tasks::new(end.clone());
        let (board, over) = (common.board.clone(), end.clone());
        tasks.spawn("what follows the log", async move {
            follower.run().await;
            match board.over() {
                // This the operations tell.
                None | Some(StoreError::HistoryLost(_)) => {}
                Some(why) => over.because(why.to_string()),
            }
        });
        tasks.spawn(
            "what keeps the log short",
            keeper::keep(store.clone(), outbox.clone(), waiting),
        );
        let watched = store.clone();
        tasks.spawn(
            "what looks whether the broker answers",
            async move { watched.watch().await },
        );
        Ok(Self {
            bus: bus::LogBus::new(outbox.clone(), end.clone()),
            end,
            common,
            outbox,
            store,
            _tasks: tasks,
        })
    }

    /// Makes or checks the topics, and reads the log. The brokers may have yet to find each other, and to elect who
    /// leads.
    async fn begin(outbox: &Arc<Outbox>) -> Result<Follower, BrokerError> {
        let common = &outbox.common;
        let mut patience = OpenRetry::new(&common.location, common.session());
        loop {
            let begun = match topic::ensure(outbox).await {
                Ok(()) => Self::follow(outbox).await,
                Err(error) => Err(error),
            };
            match begun {
                Err(error) if patience.wait_after(&error).await => {}
                outcome => return outcome,
            }
        }
    }

    /// Reads the log for the first time.
    async fn follow(outbox: &Arc<Outbox>) -> Result<Follower, BrokerError> {
        let location = || outbox.common.location.clone();
        Follower::open(outbox.clone()).await.map_err(|halt| match halt {
            ReplayError::Trouble(error) => error,
            ReplayError::Moved => outbox.common.reports.why("the beginning of the log moves"),
            // There was none: somebody deletes the topic just now.
            ReplayError::Over(StoreError::HistoryLost(why)) => BrokerError::Unreachable {
                location: location(),
                why,
            },
            ReplayError::Over(why) => BrokerError::Unsafe {
                location: location(),
                why: why.to_string(),
            },
        })
    }

    async fn change(&self, act: Operation<'_>, value: &[u8]) -> Result<Written, StoreError<Bytes>> {
        let verdict = self.store.write(act, value).await?;
        match verdict.refused {
            None => Ok(verdict.written),
            Some(there) => Err(StoreError::Conflict(there)),
        }
    }
}

#[async_trait]
impl Store for KafkaCoordinator {
    async fn get(&self, key: &str) -> Result<Reading<Bytes>, StoreError<Bytes>> {
        limits::check_key(key)?;
        let look = |fold: &state_machine::StateMachine| Reading {
            entry: fold.entries.get(key).cloned(),
            now: StoreTime(fold.facts.time),
            unsure_before: StoreTime::default(),
        };
        self.store.view(look).await
    }

    async fn list(&self, prefix: &str, since: Revision) -> Result<Listing<Bytes>, StoreError<Bytes>> {
        limits::check_prefix(prefix)?;
        let look = |fold: &state_machine::StateMachine| {
            let from = fold
                .entries
                .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
                .take_while(|(key, _)| key.starts_with(prefix));
            let newer = from.filter(|(_, entry)| entry.revision > since);
            Listing {
                entries: newer.map(|(key, entry)| (key.to_string(), entry.clone())).collect(),
                revision: Revision(fold.facts.next),
                now: StoreTime(fold.facts.time),
                unsure_before: StoreTime::default(),
            }
        };
        self.store.view(look).await
    }

    async fn put_with(&self, request: PutRequest<'_>) -> Result<Written, StoreError<Bytes>> {
        let PutRequest {
            key, value, expected, ..
        } = request;
        limits::check_key(key)?;
        limits::check_stored(value.len())?;
        self.change(Operation::Put(key, expected.into()), &value).await
    }

    async fn delete(&self, key: &str, expected: Expected) -> Result<Written, StoreError<Bytes>> {
        limits::check_key(key)?;
        self.change(Operation::Delete(key, expected.into()), &[]).await
    }
}

#[async_trait]
impl Bus for KafkaCoordinator {
    async fn publish(&self, topic: &str, payload: Bytes) -> Result<(), BusError> {
        limits::check_topic(topic)?;
        limits::check_sent(payload.len())?;
        self.bus.publish(topic, &payload).await
    }

    async fn subscribe(&self, topics: &[&str]) -> Result<Box<dyn Subscription>, BusError> {
        topics.iter().try_for_each(|topic| limits::check_topic(topic))?;
        Ok(Box::new(self.bus.subscribe(topics).await?))
    }
}

#[async_trait]
impl Coordinator for KafkaCoordinator {
    fn kind(&self) -> &str {
        "kafka"
    }

    fn location(&self) -> String {
        self.common.location.clone()
    }

    async fn ended(&self) -> String {
        self.end.wait().await
    }

    fn clock_uncertainty(&self) -> Duration {
        self.common.options.clock_uncertainty()
    }

    async fn examine(&self) -> Vec<Finding> {
        examine::examine(self).await
    }

    async fn erase(&self) -> Result<(), StoreError<Bytes>> {
        topic::remove(&self.common).await.map_err(|error| match error {
            BrokerError::Denied { why, .. } => StoreError::Denied(why),
            other => StoreError::Unavailable(other.to_string()),
        })
    }
}
