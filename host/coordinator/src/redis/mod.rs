//! Redis as a coordinator: one server, a master that sentinels watch, or a cluster.
//!
//! The store is one Lua script over three keys of the namespace, the bus one channel. Neither trusts the server's clock
//! to go forward, nor the server to be the one it was: each call carries the history, the run (one life of one master)
//! and the revision that the handle knows, and is refused by the script if they no longer hold. `docs/redis.md` says
//! what that guarantees.

mod address;
mod bus;
mod connection;
mod examine;
mod options;
mod persistent_connection;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod properties;
mod reply;
mod route;
mod script;
mod store;
mod tls;

pub use options::*;

use crate::broker::{BrokerError, Link, Security, random_name};
use crate::clock;
use crate::contract::{Bus, BusError, Coordinator, PutRequest, SAME_CLOCK, Store, Subscription};
use crate::finding::{Finding, Verdict};
use crate::limits::{self, Namespace};
use address::Addresses;
use async_trait::async_trait;
use bus::{Channel, Subscriber};
use bytes::Bytes;
use connection::{Connection, Dialer};
use persistent_connection::{ConnectionPlan, PersistentConnection};
use redis::{Value, cmd};
use reply::Refusal;
use route::Route;
use script::{Answer, Failure, Keys, Known, Operation};
use shardwright_core::store::{Expected, Listing, Reading, Revision, StoreError, Written};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use store::{Memory, NamespaceStore, Replicated};
use tokio::time::Instant;

/// A namespace on Redis. Dropping it closes its connections.
pub struct RedisCoordinator {
    location: String,
    timeout: Duration,
    min_replicas: u32,
    space: NamespaceStore,
    ear: Subscriber,
}

opaque!(RedisCoordinator);

impl RedisCoordinator {
    /// Connects, begins the namespace's history if there is none, and warns of settings that are not safe.
    ///
    /// # Errors
    /// [`BrokerError`]; only `Unreachable` may pass by itself. It is tried once, for as long as `options.timeout`
    /// allows for each step.
    pub async fn open(options: RedisOptions, namespace: Namespace) -> Result<Self, BrokerError> {
        let addresses = Addresses::of(&options)?;
        let location = addresses.location(&options.topology);
        let keys = Keys::of(&namespace);
        let security = match &options.tls {
            Some(tls) => Some(Security::new(tls)?),
            None if addresses.tls => Some(Security::new(&crate::broker::Tls::default())?),
            None => None,
        };
        let timeout = options.timeout;
        let sharded = options.topology == RedisTopology::Cluster;
        let route = Arc::new(Route::new(
            &options.topology,
            addresses,
            Dialer { security, timeout },
            &keys.meta,
        ));
        let wire = route.connect(None).await?;
        examine::check_kind(&wire, sharded, timeout).await?;
        let known = begin(&wire, &keys, timeout).await?;
        if options.min_replicas > 0 {
            may_wait(&wire, &keys, timeout).await?;
        }
        let keep = |first, what: &str| {
            let route = route.clone();
            let connect: persistent_connection::Connect = Box::new(move || {
                let route = route.clone();
                Box::pin(async move { route.connect(None).await })
            });
            let link = Link::new(format!("{location}{what}"));
            let patience = timeout;
            PersistentConnection::keep(
                first,
                ConnectionPlan {
                    connect,
                    link,
                    patience,
                },
            )
        };
        let replicated = (options.min_replicas > 0).then(|| Replicated {
            line: keep(None, " (writes)"),
            replicas: options.min_replicas,
        });
        let channel = Channel {
            name: keys.channel.clone(),
            sharded,
            location: location.clone(),
        };
        let coordinator = Self {
            space: NamespaceStore {
                main: keep(Some(wire.clone()), ""),
                replicated,
                memory: Mutex::new(Memory::knowing(known)),
                keys,
                timeout,
            },
            ear: Subscriber::new(route, channel, timeout),
            location,
            timeout,
            min_replicas: options.min_replicas,
        };
        for finding in examine::settings(&wire, options.min_replicas, timeout).await {
            if finding.verdict != Verdict::Good {
                let remedy = finding.remedy.as_deref().unwrap_or_default();
                tracing::warn!(
                    coordinator = coordinator.location,
                    finding = &*finding.name,
                    remedy,
                    "{}",
                    finding.detail
                );
            }
        }
        Ok(coordinator)
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }
}

/// The history and run that are there now.
async fn begin(wire: &Connection, keys: &Keys, timeout: Duration) -> Result<Known, BrokerError> {
    let location = wire.server().to_string();
    let name = random_name().map_err(BrokerError::Invalid)?;
    let deadline = Instant::now() + timeout;
    let why = match script::run(wire, keys, &Operation::Open(&name), &Known::default(), None, deadline).await {
        Ok((
            Answer::Done {
                revision, now, more, ..
            },
            _,
        )) => {
            if let Value::Array(names) = &more
                && let [history, run] = &names[..]
                && let (Some(history), Some(run)) = (route::text(history), route::text(run))
            {
                let (seen, time, at) = (revision.0, now.0, clock::boottime());
                return Ok(Known {
                    history,
                    run,
                    seen,
                    time,
                    at,
                });
            }
            "the script's answer makes no sense".into()
        }
        Ok((Answer::Lost(why), _)) => why,
        Ok((Answer::Run(_) | Answer::Unheard, _)) => "the script's answer makes no sense".into(),
        Err(Failure::Refusal(Refusal::Denied(why))) => return Err(BrokerError::Denied { location, why }),
        Err(Failure::Refusal(Refusal::Newer(why) | Refusal::Other(why))) => {
            return Err(BrokerError::Unsafe { location, why });
        }
        Err(Failure::Refusal(refusal)) => refusal.why(),
        Err(Failure::Silence(silence)) => silence.why(),
    };
    Err(BrokerError::Unreachable { location, why })
}

/// Whether it may be asked which replicas have a write: without that no write is ever acknowledged.
async fn may_wait(wire: &Connection, keys: &Keys, timeout: Duration) -> Result<(), BrokerError> {
    let location = wire.server().to_string();
    let answer = wire.ask(cmd("WAIT").arg(0).arg(1), Instant::now() + timeout).await;
    match answer.map_err(connection::NoReply::why).map(Refusal::check) {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(Refusal::Denied(why))) => Err(BrokerError::Denied {
            location,
            why: keys.grant(&why),
        }),
        Ok(Err(Refusal::Other(why))) => Err(BrokerError::Unsafe {
            location,
            why: format!("{why}; min-replicas needs it, so that writes wait for replicas"),
        }),
        Ok(Err(refusal)) => Err(BrokerError::Unreachable {
            location,
            why: refusal.why(),
        }),
        Err(why) => Err(BrokerError::Unreachable { location, why }),
    }
}

#[async_trait]
impl Store for RedisCoordinator {
    async fn get(&self, key: &str) -> Result<Reading<Bytes>, StoreError<Bytes>> {
        self.space.get(key).await
    }

    async fn list(&self, prefix: &str, since: Revision) -> Result<Listing<Bytes>, StoreError<Bytes>> {
        self.space.list(prefix, since).await
    }

    async fn put_with(&self, request: PutRequest<'_>) -> Result<Written, StoreError<Bytes>> {
        self.space.put_with(request).await
    }

    async fn delete(&self, key: &str, expected: Expected) -> Result<Written, StoreError<Bytes>> {
        self.space.delete(key, expected).await
    }
}

#[async_trait]
impl Bus for RedisCoordinator {
    async fn publish(&self, topic: &str, payload: Bytes) -> Result<(), BusError> {
        bus::publish(&self.space.main, &self.ear.channel, topic, &payload, self.deadline()).await
    }

    async fn subscribe(&self, topics: &[&str]) -> Result<Box<dyn Subscription>, BusError> {
        topics.iter().try_for_each(|topic| limits::check_topic(topic))?;
        self.ear.subscribe(topics).await
    }
}

#[async_trait]
impl Coordinator for RedisCoordinator {
    fn kind(&self) -> &str {
        "redis"
    }

    fn location(&self) -> String {
        self.location.clone()
    }

    fn clock_uncertainty(&self) -> Duration {
        SAME_CLOCK
    }

    async fn examine(&self) -> Vec<Finding> {
        examine::examine(self).await
    }

    async fn erase(&self) -> Result<(), StoreError<Bytes>> {
        self.space.erase().await
    }
}
