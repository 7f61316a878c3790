//! The contract suite on every kind of NATS.

use crate::common::options;
use shardwright_coordinator::nats::{NatsCoordinator, NatsOptions};
use shardwright_coordinator::suite::{Disturb, Options, disturbance, factory, run};
use shardwright_servers::{NatsCluster, NatsServer, Proxy};
use std::time::Duration;

/// Runs the suite, with so many keys in a listing, and disturbed if it can be done.
async fn verify(options: NatsOptions, keys: usize, disturb: Option<Disturb>) {
    let optional: &[&str] = if disturb.is_some() { &[] } else { &["reconnect"] };
    let factory = factory(move |namespace| NatsCoordinator::open(options.clone(), namespace));
    let suite = Options {
        keys,
        disturb,
        patience: Duration::from_secs(120),
        ..Options::default()
    };
    let report = run(&factory, suite).await;
    report.verify("nats", optional).unwrap();
}

/// On a server of the tests, whose connections are cut for a moment.
async fn verify_server(server: NatsServer) {
    let proxy = Proxy::to(server.port()).unwrap();
    let through = format!("nats://127.0.0.1:{}", proxy.port());
    let cut = disturbance(move || proxy.interrupt().unwrap());
    verify(options([through.as_str()]), 10_000, Some(cut)).await;
}

/// On the one that `SHARDWRIGHT_TEST_NATS_URL` names, which nobody cuts off, or on one of the tests.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server() {
    match std::env::var("SHARDWRIGHT_TEST_NATS_URL") {
        Ok(url) => verify(options([url.as_str()]), 10_000, None).await,
        Err(_) => verify_server(NatsServer::start().unwrap()).await,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_old_server() {
    verify_server(NatsServer::old().unwrap()).await;
}

/// Here the disturbance is that a server which some of the handles are connected to ends, as `end` has it, and comes
/// back.
async fn verify_cluster(cluster: NatsCluster, keys: usize, end: fn(&NatsServer)) {
    let urls = cluster.urls();
    let settings = NatsOptions {
        replicas: 3,
        ..options(urls.iter().map(String::as_str))
    };
    let restart = disturbance(move || {
        end(cluster.node(0));
        cluster.node(0).start_again().unwrap();
        cluster.wait_until_whole().unwrap();
    });
    verify(settings, keys, Some(restart)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cluster() {
    verify_cluster(NatsCluster::start().unwrap(), 10_000, |node| node.kill().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_old_cluster() {
    // Killed without warning, 2.9.10 forgets acknowledged writes: see docs/nats.md.
    verify_cluster(NatsCluster::old().unwrap(), 1_000, |node| node.stop().unwrap()).await;
}
