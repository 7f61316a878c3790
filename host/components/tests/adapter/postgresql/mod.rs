//! PostgreSQL, by the adapter in `guests/adapters/postgresql` and real servers.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod access;
mod bus;
mod faults;
mod history;
mod suite;

use crate::common::{built, load};
use shardwright_components::adapter::{AdapterComponent, AdapterCoordinator, AdapterOptions, Grants};
use shardwright_coordinator::Namespace;
use shardwright_coordinator::broker::{BrokerError, Password};
use shardwright_servers::{PATIENCE, PostgresBuilder, PostgresServer, eventually};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::OnceCell;

/// The adapter, built and compiled once.
async fn adapter() -> AdapterComponent {
    static BUILT: OnceCell<AdapterComponent> = OnceCell::const_new();
    let component = BUILT
        .get_or_init(async || load(built("shardwright-adapter-postgresql")).await)
        .await;
    component.clone()
}

fn settings() -> PostgresBuilder {
    PostgresServer::builder()
}

fn server() -> PostgresServer {
    settings().start().unwrap()
}

/// Options for the server at `host` and `port`, with `more` in the configuration.
fn at(host: &str, port: u16, more: &str) -> AdapterOptions {
    let scheme = if more.contains("\"tls\": true") { "tls" } else { "tcp" };
    let config = format!(
        "{{\"host\": \"{host}\", \"port\": {port}, \"database\": \"shardwright\", \"user\": \"node\", \"password\": \
         \"secret\"{more}}}"
    );
    AdapterOptions {
        grants: Grants::parse([format!("{scheme}://{host}:{port}").as_str()]).unwrap(),
        timeout: Duration::from_secs(10),
        secrets: vec![Password::new("secret")],
        ..AdapterOptions::new("test", Password::new(config.as_str()))
    }
}

/// Options for a port of this machine.
fn local(port: u16) -> AdapterOptions {
    at("127.0.0.1", port, "")
}

/// A namespace that no other test uses.
fn fresh() -> Namespace {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let unique = format!("t-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    Namespace::new(&unique).unwrap()
}

/// A handle, as soon as one can be had.
async fn open(options: &AdapterOptions, namespace: &Namespace) -> AdapterCoordinator {
    let component = adapter().await;
    eventually("a handle", async || {
        match AdapterCoordinator::open(component.clone(), options.clone(), namespace.clone()).await {
            Ok(handle) => Some(handle),
            Err(error) if error.is_transient() => None,
            Err(error) => panic!("{error}"),
        }
    })
    .await
}

/// Why no handle can be had.
async fn refused(options: AdapterOptions) -> BrokerError {
    AdapterCoordinator::open(adapter().await, options, fresh())
        .await
        .expect_err("refused")
}
