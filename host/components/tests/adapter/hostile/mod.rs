//! Adapters that misbehave: each end is typed, the host is as well as before, and nobody else notices.

mod answers;
mod ends;
mod reach;

use crate::common::{hostile, open, options, until};
use bytes::Bytes;
use shardwright_components::adapter::{AdapterBudget, AdapterCoordinator, AdapterOptions, AdapterState, FaultKind};
use shardwright_coordinator::Store;
use shardwright_coordinator::broker::{BrokerError, Password};
use shardwright_core::store::{Expected, StoreError};
use std::time::Duration;

fn misdeed(name: &str) -> AdapterOptions {
    AdapterOptions {
        lanes: 1,
        budget: AdapterBudget {
            memory: 16 << 20,
            total_memory: 48 << 20,
            cpu: Duration::from_millis(100),
            answer: 4 << 20,
        },
        secrets: vec![Password::new("hunter2")],
        ..options(&format!("{{\"misdeed\": \"{name}\"}}"), &[])
    }
}

/// Opened with more time than a busy machine takes: what is limited is the processor's.
async fn patient(name: &str) -> Result<AdapterCoordinator, BrokerError> {
    let options = AdapterOptions {
        timeout: Duration::from_secs(60),
        ..misdeed(name)
    };
    open(&hostile().await, options).await
}

async fn opened(name: &str) -> AdapterCoordinator {
    open(&hostile().await, misdeed(name)).await.expect("it opens")
}

async fn refused(name: &str) -> BrokerError {
    open(&hostile().await, misdeed(name))
        .await
        .expect_err("it does not open")
}

fn x() -> Bytes {
    Bytes::from_static(b"x")
}

/// What a read comes to.
async fn read(name: &str) -> (AdapterCoordinator, StoreError<Bytes>) {
    let coordinator = opened(name).await;
    let error = coordinator.get("k").await.expect_err(name);
    (coordinator, error)
}

fn counted(coordinator: &AdapterCoordinator, kind: FaultKind) -> u64 {
    coordinator.status().totals.faults.get(&kind).copied().unwrap_or(0)
}

/// The host as it should be: an adapter that does nothing wrong works beside the one that does.
async fn others_are_well() {
    let well = patient("").await.expect("it opens");
    for _ in 0..100 {
        well.put("k", x(), Expected::Any).await.expect("each within its time");
    }
    assert_eq!(well.status().state, AdapterState::Running);
}
