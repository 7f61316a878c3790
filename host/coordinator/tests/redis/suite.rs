//! The contract suite on every topology.

use crate::common::{secured, single};
use shardwright_coordinator::broker::Password;
use shardwright_coordinator::redis::{RedisCoordinator, RedisOptions, RedisTopology};
use shardwright_coordinator::suite::{Options, disturbance, factory, run};
use shardwright_servers::{Authority, Proxy, RedisCluster, RedisSentinel, RedisServer};
use std::sync::Arc;
use std::time::Duration;

/// Once, a listing is as long as it gets; filling the store for it takes longer than all other checks.
const MANY: usize = 10_000;
const SOME: usize = 1_000;

/// Runs the suite, with so many keys in a listing, and with `disturb` in the middle of one check.
async fn verify(options: RedisOptions, keys: usize, disturb: impl Fn() + Send + Sync + 'static) {
    let factory = factory(move |namespace| RedisCoordinator::open(options.clone(), namespace));
    let suite = Options {
        keys,
        disturb: Some(disturbance(disturb)),
        // On a machine that is busy: how long a check takes is no promise.
        patience: Duration::from_secs(240),
        ..Options::default()
    };
    let report = run(&factory, suite).await;
    report.verify("redis", &[]).unwrap();
}

/// All connections are cut, other handles' included. `SHARDWRIGHT_TEST_REDIS_URL` names a server of your own on this
/// machine.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn single_server_behind_a_link_that_is_cut() {
    let given = std::env::var("SHARDWRIGHT_TEST_REDIS_URL").ok();
    let server = given.is_none().then(|| RedisServer::start().unwrap());
    let url = given.or(server.as_ref().map(|server| server.url())).unwrap();
    let place = url
        .rsplit(['/', '@'])
        .find(|part| part.contains(':'))
        .unwrap_or_default();
    let port = place.rsplit(':').next().and_then(|port| port.parse().ok());
    let proxy = Arc::new(Proxy::to(port.expect("an address as redis://127.0.0.1:6379")).unwrap());
    let through = url.replace(place, &format!("127.0.0.1:{}", proxy.port()));
    verify(single(&through), MANY, move || proxy.interrupt().unwrap()).await;
}

/// The server throws everybody out and forgets the script.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn single_server_that_closes_all_connections() {
    let server = Arc::new(RedisServer::start().unwrap());
    verify(single(&server.url()), SOME, move || {
        server.cli(&["script", "flush"]).unwrap();
        server.cli(&["client", "kill", "type", "normal"]).unwrap();
        server.cli(&["client", "kill", "type", "pubsub"]).unwrap();
    })
    .await;
}

/// The server is killed and started again, over TLS with client certificates.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn single_server_with_tls_that_is_killed() {
    let authority = Authority::new().unwrap();
    let server = Arc::new(
        RedisServer::builder()
            .set("appendfsync", "always")
            .tls(&authority, true)
            .start()
            .unwrap(),
    );
    let own = authority.client("node").unwrap();
    verify(
        secured("localhost", server.port(), &authority, Some(&own)),
        SOME,
        move || {
            server.kill().unwrap();
            server.start_again().unwrap();
        },
    )
    .await;
}

/// All nodes throw everybody out; what happens when one dies is tested apart.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cluster_that_closes_all_connections() {
    let cluster = Arc::new(RedisCluster::start().unwrap());
    let options = RedisOptions {
        topology: RedisTopology::Cluster,
        urls: cluster.urls().iter().map(Password::new).collect(),
        ..single("")
    };
    verify(options, SOME, move || {
        for node in cluster.nodes() {
            node.cli(&["client", "kill", "type", "normal"]).unwrap();
            node.cli(&["client", "kill", "type", "pubsub"]).unwrap();
        }
    })
    .await;
}

/// Every write waits for the replica.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sentinels_with_a_master_that_closes_all_connections() {
    let servers = Arc::new(RedisSentinel::start().unwrap());
    let options = RedisOptions {
        topology: RedisTopology::Sentinel {
            service: servers.service().into(),
            user: None,
            password: None,
        },
        urls: servers.urls().iter().map(Password::new).collect(),
        min_replicas: 1,
        ..single("")
    };
    verify(options, SOME, move || {
        servers.master().cli(&["client", "kill", "type", "normal"]).unwrap();
        servers.master().cli(&["client", "kill", "type", "pubsub"]).unwrap();
    })
    .await;
}
