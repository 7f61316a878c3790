//! What the tests of NATS share.

use shardwright_coordinator::broker::Password;
use shardwright_coordinator::nats::{NatsCoordinator, NatsLogin, NatsOptions};
use shardwright_coordinator::{Coordinator, Namespace};
use std::sync::Arc;
use std::time::Duration;

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
    let coordinator = NatsCoordinator::open(options, namespace).await.map_err(|error| error.to_string())?;
    Ok(Arc::new(coordinator))
}
