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
use shardwright_coordinator::{Coordinator, Namespace};
use shardwright_servers::KafkaServer;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

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

fn boxed(opened: Result<Arc<KafkaCoordinator>, BrokerError>) -> Result<Arc<dyn Coordinator>, String> {
    opened
        .map(|coordinator| coordinator as Arc<dyn Coordinator>)
        .map_err(|error| error.to_string())
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
