//! NATS as a coordinator: a JetStream stream is the store, core NATS is the bus.
//!
//! - Each key is a subject of the stream, which keeps the last message of each; a revision is a sequence of the stream.
//!   A write says which message it expects to be the last, and the leader of the stream decides (`publish`).
//! - Each handle mirrors the stream in memory (`mirror`, `follow`). Whoever reads writes a message that says nothing, a
//!   tick, and waits until the mirror has it: so a read sees all that was acknowledged before it began, whoever leads
//!   the stream (`ticker`).
//! - The stream's subjects hold the id of its history. A stream that was removed and made again takes other subjects,
//!   so a write of somebody who knew the old one finds nobody (`names`).
//! - Time is that of the messages, as the leaders stamp them; a record also holds what its writer knew of it, so that
//!   it never goes back when another server leads (`record`).
//!
//! `no_echo` is not used: whoever publishes hears it too, as the bus promises, and the messenger above it knows its own
//! messages.

mod api;
mod bus;
mod clocks;
mod connect;
mod connection;
mod examine;
mod follow;
mod mirror;
mod names;
mod options;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod properties;
mod publish;
mod record;
mod shared;
mod slot;
mod store;
mod stream;
mod sweep;
mod ticker;
mod tls;
mod versions;

pub use options::*;

use crate::broker::{BrokerError, OpenRetry};
use crate::contract::{Bus, BusError, Coordinator, PutRequest, Store, Subscription};
use crate::finding::Finding;
use crate::limits::{self, Namespace};
use crate::tasks::{End, Tasks};
use async_trait::async_trait;
use bytes::Bytes;
use shardwright_core::store::{Expected, Listing, Reading, Revision, StoreError, Written};
use std::sync::Arc;
use std::time::Duration;

/// A handle to NATS, opened for one namespace. Dropping it ends its tasks, its subscriptions and its connection.
pub struct NatsCoordinator {
    shared: Arc<shared::Shared>,
    store: store::Store,
    bus: Arc<bus::Bus>,
    end: End,
    uncertainty: Duration,
    _tasks: Tasks,
}

opaque!(NatsCoordinator);

impl NatsCoordinator {
    /// Connects, checks that the server is fit, and opens the stream of `namespace`, making it if there is none.
    ///
    /// # Errors
    /// [`BrokerError`]; only `Unreachable` is worth trying again. A stream that was just made may be left behind.
    pub async fn open(options: NatsOptions, namespace: Namespace) -> Result<Self, BrokerError> {
        let target = connect::Target::new(&options)?;
        let location = target.location();
        let end = End::new();
        let signals = Arc::new(connection::ConnectionEvents::new(
            &location,
            options.max_reconnects,
            end.clone(),
        ));
        let client = target.connect(&options, &signals).await?;
        let wire = connection::Connection::new(client, signals, options.timeout_request);
        let names = names::Names::new(&namespace);
        check_server(&wire, &location)?;
        // The servers of a cluster may have yet to find each other, and to elect who leads the stream.
        let mut patience = OpenRetry::new(&location, options.timeout_connection);
        let coordinator = loop {
            match Self::begin(&wire, &names, &options, &location, &end).await {
                Ok(coordinator) => break coordinator,
                Err(error) if patience.wait_after(&error).await => {}
                Err(error) => return Err(error),
            }
        };
        for finding in examine::settings(&coordinator.shared).await {
            if let Some(remedy) = &finding.remedy {
                tracing::warn!(
                    coordinator = coordinator.shared.location,
                    check = &*finding.name,
                    remedy,
                    "{}",
                    finding.detail
                );
            }
        }
        Ok(coordinator)
    }

    /// Opens the stream over `wire`, and reads it for the first time.
    async fn begin(
        wire: &connection::Connection,
        names: &names::Names,
        options: &NatsOptions,
        location: &str,
        end: &End,
    ) -> Result<Self, BrokerError> {
        let failed = |error: api::CallError| stream::explain(&error, wire, names, options.replicas, location);
        let ear = bus::WireSubscription::open(wire, names)
            .await
            .map_err(|trouble| failed(trouble.into()))?;
        let (info, history) = stream::open(wire, names, options.replicas, location).await?;
        let shared = shared::Shared::new(wire.clone(), names.clone(), location.into(), history, info.created);
        let shared = Arc::new(shared);
        let feed = follow::Feed::begin(&shared).await.map_err(failed)?;
        if let Some(why) = shared.clocks_differ() {
            let location = location.into();
            return Err(BrokerError::Unsafe { location, why });
        }
        let bus = Arc::new(bus::Bus::new(options.capacity_subscription));
        let (ticker, ticking) = ticker::Ticker::new(shared.clone());
        // Those that return do so because the client has given up, which is told, or because the history is lost, which
        // operations tell.
        let mut tasks = Tasks::new(end.clone());
        tasks.spawn("what asks how far the stream is", ticking);
        tasks.spawn("what follows the stream", follow::follow(shared.clone(), feed));
        let (hearing, hearer) = (bus.clone(), shared.clone());
        tasks.spawn("what hears the bus", async move {
            hearing.serve(&hearer.wire, &hearer.names, ear).await;
        });
        let coordinator = Self {
            store: store::Store::new(shared.clone(), ticker),
            shared,
            bus,
            end: end.clone(),
            uncertainty: options.clock_uncertainty(),
            _tasks: tasks,
        };
        coordinator.store.catch_up().await.map_err(|error| match error {
            StoreError::Denied(why) => failed(api::CallError::Wire(connection::RequestError::Denied(why))),
            other => BrokerError::Unreachable {
                location: location.into(),
                why: other.to_string(),
            },
        })?;
        Ok(coordinator)
    }
}

/// Whether the server that is connected to can serve at all.
fn check_server(wire: &connection::Connection, location: &str) -> Result<(), BrokerError> {
    let info = wire.client.server_info();
    let least = limits::MAX_MESSAGE + limits::FRAME_ROOM + store::HEADER_ROOM;
    let why = if !info.headers {
        format!("nats-server {} has no headers: use 2.9 or newer", info.version)
    } else if info.max_payload < least {
        format!(
            "max_payload is {} bytes and must be at least {least}: leave it at its default, 1MB",
            info.max_payload
        )
    } else {
        return Ok(());
    };
    Err(BrokerError::Unsafe {
        location: location.into(),
        why,
    })
}

#[async_trait]
impl Store for NatsCoordinator {
    async fn get(&self, key: &str) -> Result<Reading<Bytes>, StoreError<Bytes>> {
        limits::check_key(key)?;
        self.store.get(key).await
    }

    async fn list(&self, prefix: &str, since: Revision) -> Result<Listing<Bytes>, StoreError<Bytes>> {
        limits::check_prefix(prefix)?;
        self.store.list(prefix, since).await
    }

    async fn put_with(&self, request: PutRequest<'_>) -> Result<Written, StoreError<Bytes>> {
        let PutRequest {
            key, value, expected, ..
        } = request;
        limits::check_key(key)?;
        limits::check_stored(value.len())?;
        self.store.put(key, value, expected).await
    }

    async fn delete(&self, key: &str, expected: Expected) -> Result<Written, StoreError<Bytes>> {
        limits::check_key(key)?;
        self.store.delete(key, expected).await
    }
}

#[async_trait]
impl Bus for NatsCoordinator {
    async fn publish(&self, topic: &str, payload: Bytes) -> Result<(), BusError> {
        self.bus
            .publish(&self.shared.wire, &self.shared.names, topic, payload)
            .await
    }

    async fn subscribe(&self, topics: &[&str]) -> Result<Box<dyn Subscription>, BusError> {
        self.bus.subscribe(&self.shared.wire, topics).await
    }
}

#[async_trait]
impl Coordinator for NatsCoordinator {
    fn kind(&self) -> &str {
        "nats"
    }

    fn location(&self) -> String {
        self.shared.location.clone()
    }

    async fn ended(&self) -> String {
        self.end.wait().await
    }

    fn clock_uncertainty(&self) -> Duration {
        self.uncertainty
    }

    async fn examine(&self) -> Vec<Finding> {
        examine::examine(&self.shared, &self.store).await
    }

    async fn erase(&self) -> Result<(), StoreError<Bytes>> {
        self.store.erase().await
    }
}
