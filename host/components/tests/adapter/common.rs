//! What the tests of adapters share.

use shardwright_components::adapter::{AdapterComponent, AdapterCoordinator, AdapterEngine, AdapterOptions, Grants};
use shardwright_coordinator::Namespace;
use shardwright_coordinator::broker::{BrokerError, Password};
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;

/// One engine for all tests of the program, as in a real process.
pub(crate) static ENGINE: LazyLock<AdapterEngine> = LazyLock::new(|| AdapterEngine::new(None).expect("an engine"));

/// The component that the package `name` of this workspace builds to.
pub(crate) fn built(name: &str) -> Vec<u8> {
    std::fs::read(shardwright_servers::component(name).expect("it builds")).expect("it was just built")
}

pub(crate) async fn load(bytes: Vec<u8>) -> AdapterComponent {
    AdapterComponent::load(&ENGINE, bytes).await.expect("an adapter")
}

/// The adapter of `guests/hostile-adapter`.
pub(crate) async fn hostile() -> AdapterComponent {
    static HOSTILE: OnceCell<AdapterComponent> = OnceCell::const_new();
    HOSTILE
        .get_or_init(|| async { load(built("shardwright-hostile-adapter")).await })
        .await
        .clone()
}

/// Options with `config`, two seconds for a call, and these grants.
pub(crate) fn options(config: &str, grants: &[&str]) -> AdapterOptions {
    AdapterOptions {
        grants: Grants::parse(grants.iter().copied()).expect("grants"),
        timeout: Duration::from_secs(2),
        ..AdapterOptions::new("test", Password::new(config))
    }
}

pub(crate) fn space(name: &str) -> Namespace {
    Namespace::new(name).expect("a namespace")
}

pub(crate) async fn open(
    component: &AdapterComponent,
    options: AdapterOptions,
) -> Result<AdapterCoordinator, BrokerError> {
    AdapterCoordinator::open(component.clone(), options, space("test")).await
}

/// Waits for something that comes by itself.
pub(crate) async fn until(mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(120), "it did not come");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
