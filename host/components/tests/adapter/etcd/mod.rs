//! The etcd adapter against real servers: the contract suite, and what happens when things go wrong.

mod access;
mod clocks;
mod cluster;
mod faults;
mod suite;

use crate::common::{self, built};
use bytes::Bytes;
use shardwright_components::adapter::{AdapterComponent, AdapterCoordinator, AdapterOptions};
use shardwright_coordinator::broker::BrokerError;
use shardwright_coordinator::{Delivery, Namespace, Subscription};
use shardwright_servers::{PATIENCE, eventually};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;

const VALUE: Bytes = Bytes::from_static(b"value");

/// The component.
async fn etcd() -> AdapterComponent {
    static BUILT: OnceCell<Vec<u8>> = OnceCell::const_new();
    let build = || async {
        tokio::task::spawn_blocking(|| built("shardwright-adapter-etcd"))
            .await
            .expect("built")
    };
    common::load(BUILT.get_or_init(build).await.clone()).await
}

/// Options for these endpoints, with more of the configuration, and all grants.
fn options(endpoints: &[String], more: &str) -> AdapterOptions {
    let list: Vec<_> = endpoints.iter().map(|url| format!("{url:?}")).collect();
    let config = format!("{{\"endpoints\":[{}]{more}}}", list.join(","));
    let grants: Vec<_> = endpoints.iter().map(String::as_str).collect();
    AdapterOptions {
        timeout: Duration::from_secs(10),
        ..common::options(&config, &grants)
    }
}

/// A port of this machine.
fn at(port: u16) -> AdapterOptions {
    options(&[format!("http://127.0.0.1:{port}")], "")
}

/// A namespace that no other test uses.
fn fresh() -> Namespace {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let unique = format!("t-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    common::space(&unique)
}

/// A handle, as soon as one can be had.
async fn open(options: &AdapterOptions, namespace: &Namespace) -> AdapterCoordinator {
    let component = etcd().await;
    let begun = Instant::now();
    loop {
        match AdapterCoordinator::open(component.clone(), options.clone(), namespace.clone()).await {
            Ok(handle) => return handle,
            Err(error) if error.is_transient() && begun.elapsed() < PATIENCE => {}
            Err(error) => panic!("no handle after {:?}: {error}", begun.elapsed()),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Why no handle can be had.
async fn refused(options: AdapterOptions) -> BrokerError {
    let opened = AdapterCoordinator::open(etcd().await, options, fresh()).await;
    opened.expect_err("it was opened")
}

/// The next delivery.
async fn next(subscription: &mut dyn Subscription) -> Delivery {
    let next = tokio::time::timeout(PATIENCE, subscription.next(1)).await;
    next.expect("a delivery").expect("the subscription lives").remove(0)
}

/// A message.
fn message(topic: &str, payload: impl Into<Bytes>) -> Delivery {
    Delivery::Message {
        topic: topic.into(),
        payload: payload.into(),
    }
}
