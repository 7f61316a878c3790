//! What the tests share: options, handles, waiting.

use bytes::Bytes;
use shardwright_coordinator::broker::{BrokerError, Password, Pem, Tls};
use shardwright_coordinator::redis::{RedisCoordinator, RedisOptions, RedisTopology};
use shardwright_coordinator::{Delivery, Namespace, Subscription};
use shardwright_servers::{Authority, Certificate};
pub(crate) use shardwright_servers::{PATIENCE, eventually};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A single server at `url`.
pub(crate) fn single(url: &str) -> RedisOptions {
    RedisOptions {
        topology: RedisTopology::Single,
        urls: vec![Password::new(url)],
        user: None,
        password: None,
        timeout: Duration::from_secs(10),
        min_replicas: 0,
        tls: None,
    }
}

/// A single server at a port of this machine.
pub(crate) fn at(port: u16) -> RedisOptions {
    single(&format!("redis://127.0.0.1:{port}"))
}

/// The same options, but every step may take only `timeout`.
pub(crate) fn within(timeout: Duration, options: RedisOptions) -> RedisOptions {
    RedisOptions { timeout, ..options }
}

/// A server with TLS at `host`, which trusts `authority`.
pub(crate) fn secured(host: &str, port: u16, authority: &Authority, identity: Option<&Certificate>) -> RedisOptions {
    let file = |path: &Path| Pem::File(path.to_owned());
    RedisOptions {
        tls: Some(Tls {
            ca: Some(file(&authority.ca())),
            identity: identity.map(|own| (file(&own.certificate), file(&own.key))),
            server_name: None,
        }),
        ..single(&format!("rediss://{host}:{port}"))
    }
}

/// A namespace that no other test uses.
pub(crate) fn fresh() -> Namespace {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let unique = format!("t-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    Namespace::new(&unique).unwrap()
}

/// A handle, as soon as one can be had.
pub(crate) async fn open(options: &RedisOptions, namespace: &Namespace) -> RedisCoordinator {
    eventually("a handle", async || {
        match RedisCoordinator::open(options.clone(), namespace.clone()).await {
            Ok(handle) => Some(handle),
            Err(error) if error.is_transient() => None,
            Err(error) => panic!("{error}"),
        }
    })
    .await
}

/// Why no handle can be had.
pub(crate) async fn refused(options: RedisOptions) -> BrokerError {
    RedisCoordinator::open(options, fresh()).await.err().unwrap()
}

/// The next delivery.
pub(crate) async fn next(subscription: &mut dyn Subscription) -> Delivery {
    let next = tokio::time::timeout(PATIENCE, subscription.next(1)).await;
    next.expect("a delivery").unwrap().remove(0)
}

/// A message.
pub(crate) fn message(topic: &str, payload: &'static str) -> Delivery {
    Delivery::Message {
        topic: topic.into(),
        payload: Bytes::from_static(payload.as_bytes()),
    }
}
