//! Kafka, on real brokers.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod clocks;
mod cluster;
mod contract;
mod faults;
mod log;
mod security;

use shardwright_coordinator::broker::BrokerError;
use shardwright_coordinator::kafka::{KafkaCoordinator, KafkaOptions};
use shardwright_coordinator::{Namespace, Store};
use shardwright_core::store::{Expected, StoreError, Written};
use shardwright_servers::KafkaServer;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// How long anything may take before it counts as never.
const PATIENCE: Duration = Duration::from_secs(60);

/// How to reach these brokers, with nothing else.
fn options(brokers: &[String]) -> KafkaOptions {
    KafkaOptions {
        brokers: brokers.to_vec(),
        login: None,
        tls: None,
        replication: 1,
        timeout_message: Duration::from_secs(5),
        timeout_session: Duration::from_secs(5),
    }
}

fn namespace(name: &str) -> Namespace {
    Namespace::new(name).unwrap()
}

async fn open(options: &KafkaOptions, name: &str) -> Result<Arc<KafkaCoordinator>, BrokerError> {
    KafkaCoordinator::open(options.clone(), namespace(name))
        .await
        .map(Arc::new)
}

/// Opens a handle, trying again as a node does.
async fn reopen(options: &KafkaOptions, name: &str) -> Arc<KafkaCoordinator> {
    let begun = Instant::now();
    loop {
        match open(options, name).await {
            Ok(coordinator) => return coordinator,
            Err(error) if error.is_transient() && begun.elapsed() < PATIENCE => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Writes as soon as it can be done.
async fn write(store: &KafkaCoordinator, key: &str, value: &'static str) -> Written {
    let begun = Instant::now();
    loop {
        match store.put(key, value.into(), Expected::Any).await {
            Ok(written) => return written,
            Err(StoreError::Unavailable(_) | StoreError::Indeterminate(_)) if begun.elapsed() < PATIENCE => {
                pause().await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

async fn pause() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// A handle that has stored `value` under `key`, and now sleeps: nothing of it runs but what is done with its runtime,
/// which takes a thread of its own.
fn sleeper(
    options: &KafkaOptions,
    name: &'static str,
    key: &'static str,
    value: &'static str,
) -> (Runtime, Arc<KafkaCoordinator>) {
    let options = options.clone();
    let sleeper = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let store = runtime.block_on(reopen(&options, name));
        runtime.block_on(write(&store, key, value));
        (runtime, store)
    });
    sleeper.join().unwrap()
}

/// A broker for the tests that do it no harm, shared by those that run at the same time.
fn shared() -> Arc<KafkaServer> {
    static SHARED: Mutex<Weak<KafkaServer>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap();
    shared.upgrade().unwrap_or_else(|| {
        let server = Arc::new(
            KafkaServer::builder()
                .property("auto.create.topics.enable", "true")
                .start()
                .unwrap(),
        );
        *shared = Arc::downgrade(&server);
        server
    })
}
