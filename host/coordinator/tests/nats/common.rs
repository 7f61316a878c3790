//! What the tests of NATS share.

use bytes::Bytes;
use shardwright_coordinator::broker::Password;
use shardwright_coordinator::nats::{NatsCoordinator, NatsLogin, NatsOptions};
use shardwright_coordinator::{Coordinator, Delivery, Namespace, Subscription};
use shardwright_core::store::{Expected, StoreError, Written};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Options for the servers at `urls`.
pub(crate) fn options<'a>(urls: impl IntoIterator<Item = &'a str>) -> NatsOptions {
    NatsOptions {
        addresses: urls.into_iter().map(Password::new).collect(),
        login: NatsLogin::None,
        tls: None,
        replicas: 1,
        timeout_connection: Duration::from_secs(10),
        timeout_request: Duration::from_secs(20),
        ping_interval: Duration::from_secs(60),
        capacity_client: 2048,
        capacity_subscription: 65_536,
        capacity_read_buffer: u16::MAX,
        max_reconnects: None,
    }
}

pub(crate) fn space(name: &str) -> Namespace {
    Namespace::new(name).unwrap()
}

pub(crate) async fn open(options: NatsOptions, namespace: Namespace) -> Result<Arc<dyn Coordinator>, String> {
    let coordinator = NatsCoordinator::open(options, namespace)
        .await
        .map_err(|error| error.to_string())?;
    Ok(Arc::new(coordinator))
}

/// Stores `value` under `key`, whatever is there.
pub(crate) async fn put(handle: &dyn Coordinator, key: &str, value: &str) -> Written {
    handle
        .put(key, Bytes::from(value.to_owned()), Expected::Any)
        .await
        .unwrap()
}

/// Tries until the coordinator is available.
pub(crate) async fn eventually<T, F: Future<Output = Result<T, StoreError<Bytes>>>>(
    mut operation: impl FnMut() -> F,
) -> T {
    let begun = Instant::now();
    loop {
        match operation().await {
            Ok(done) => return done,
            Err(StoreError::Unavailable(why)) => {
                assert!(begun.elapsed() < Duration::from_secs(60), "still unavailable: {why}");
            }
            Err(error) => panic!("{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Somebody who may do anything.
pub(crate) async fn admin(url: &str) -> async_nats::Client {
    async_nats::connect(url).await.unwrap()
}

/// Asks the server's JetStream.
pub(crate) async fn api(admin: &async_nats::Client, call: &str, request: &str) -> serde_json::Value {
    let answer = admin
        .request(format!("$JS.API.{call}"), Bytes::from(request.to_owned()))
        .await
        .unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&answer.payload).unwrap();
    assert!(answer.get("error").is_none(), "{call}: {answer}");
    answer
}

/// What the server says of the stream of `namespace`.
pub(crate) async fn info(url: &str, namespace: &str) -> serde_json::Value {
    api(&admin(url).await, &format!("STREAM.INFO.SHARDWRIGHT_{namespace}"), "").await
}

/// Waits for a gap, and checks that nothing comes before it.
pub(crate) async fn expect_gap(subscription: &mut dyn Subscription) {
    let first = tokio::time::timeout(Duration::from_secs(60), subscription.next(1))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(first, [Delivery::Gap { lost: 0 }]);
}

/// Publishes until something of it arrives: the bus works in both directions.
pub(crate) async fn expect_bus(bus: &dyn Coordinator, subscription: &mut dyn Subscription) {
    loop {
        let _ = bus.publish("t", Bytes::from_static(b"hello")).await;
        if let Ok(batch) = tokio::time::timeout(Duration::from_millis(500), subscription.next(1)).await {
            assert!(matches!(&batch.unwrap()[..], [Delivery::Message { .. }]));
            return;
        }
    }
}
