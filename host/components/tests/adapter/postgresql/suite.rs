//! The contract suite.

use super::{adapter, at, fresh, local, open, server, settings};
use bytes::Bytes;
use shardwright_components::adapter::{AdapterCoordinator, AdapterOptions};
use shardwright_coordinator::Store;
use shardwright_coordinator::broker::{Pem, Tls};
use shardwright_coordinator::limits::{FRAME_ROOM, MAX_VALUE};
use shardwright_coordinator::suite::{Options, disturbance, factory, run};
use shardwright_core::store::{Expected, Revision, StoreError};
use shardwright_servers::{Authority, Proxy};
use std::sync::Arc;
use std::time::Duration;

/// Once, a listing is as long as it gets; filling the store for it takes longer than all other checks.
const MANY: usize = 10_000;
const SOME: usize = 1_000;

/// Runs the suite, with so many keys in a listing, and with `disturb` in the middle of one check.
async fn verify(options: AdapterOptions, keys: usize, disturb: impl Fn() + Send + Sync + 'static) {
    let component = adapter().await;
    let factory = factory(move |namespace| AdapterCoordinator::open(component.clone(), options.clone(), namespace));
    let suite = Options {
        keys,
        disturb: Some(disturbance(disturb)),
        // On a machine that is busy: how long a check takes is no promise.
        patience: Duration::from_secs(240),
        ..Options::default()
    };
    let report = run(&factory, suite).await;
    report.verify("postgresql", &[]).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_behind_a_link_that_is_cut() {
    let server = server();
    let proxy = Arc::new(Proxy::to(server.port()).unwrap());
    verify(local(proxy.port()), MANY, move || proxy.interrupt().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_is_killed_and_started_again() {
    let server = Arc::new(server());
    let port = server.port();
    verify(local(port), SOME, move || {
        server.kill().unwrap();
        server.start_again().unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn over_tls() {
    let authority = Authority::new().unwrap();
    let server = Arc::new(settings().tls(&authority, true).start().unwrap());
    let own = authority.client("node").unwrap();
    let options = AdapterOptions {
        tls: Some(Tls {
            ca: Some(Pem::File(authority.ca())),
            identity: Some((Pem::File(own.certificate), Pem::File(own.key))),
            server_name: None,
        }),
        ..at("localhost", server.port(), ", \"tls\": true")
    };
    verify(options, SOME, move || {
        server
            .sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'node'")
            .unwrap();
    })
    .await;
}

/// A lane has 64 MiB of memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_values_fit_into_one_listing() {
    let server = server();
    let handle = open(&local(server.port()), &fresh()).await;
    let value = |number: usize| Bytes::from(vec![u8::try_from(number).unwrap(); MAX_VALUE + FRAME_ROOM]);
    for number in 0..32 {
        handle
            .put(&format!("k/{number:02}"), value(number), Expected::Absent)
            .await
            .unwrap();
    }
    let listing = handle.list("k/", Revision(0)).await.unwrap();
    assert_eq!(listing.entries.len(), 32);
    for (number, (key, entry)) in listing.entries.iter().enumerate() {
        assert!(
            *key == format!("k/{number:02}") && entry.value == value(number),
            "{key} came otherwise"
        );
    }
    // Beyond, it says so.
    for number in 32..48 {
        handle
            .put(&format!("k/{number:02}"), value(number), Expected::Absent)
            .await
            .unwrap();
    }
    let outcome = handle.list("k/", Revision(0)).await;
    assert!(
        matches!(&outcome, Err(StoreError::Unavailable(why)) if why.contains("40 MiB")),
        "{outcome:?}"
    );
    assert_eq!(handle.list("k/4", Revision(0)).await.unwrap().entries.len(), 8);
}
