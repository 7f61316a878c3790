//! The contract suite on every version and topology.

use super::{etcd, options};
use shardwright_components::adapter::{AdapterCoordinator, AdapterOptions};
use shardwright_coordinator::broker::{Pem, Tls};
use shardwright_coordinator::suite::{Options, disturbance, factory, run};
use shardwright_servers::{Authority, EtcdCluster, EtcdServer, Proxy};
use std::sync::Arc;
use std::time::Duration;

/// Once, a listing is as long as it gets; filling the store for it takes longer than all other checks.
const MANY: usize = 10_000;
const SOME: usize = 1_000;
/// More than a subscriber keeps.
const FLOOD: u64 = 2_000;

/// Runs the suite, with so many keys in a listing, and with `disturb` in the middle of one check.
async fn verify(options: AdapterOptions, keys: usize, disturb: impl Fn() + Send + Sync + 'static) {
    let component = etcd().await;
    let factory = factory(move |namespace| AdapterCoordinator::open(component.clone(), options.clone(), namespace));
    let suite = Options {
        keys,
        flood: FLOOD,
        disturb: Some(disturbance(disturb)),
        // On a machine that is busy: how long a check takes is no promise.
        patience: Duration::from_secs(240),
        ..Options::default()
    };
    let report = run(&factory, suite).await;
    report.verify("etcd", &[]).expect("the contract is kept");
}

/// All connections are cut, other handles' included.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn old_server_behind_a_link_that_is_cut() {
    let server = EtcdServer::old().expect("a server");
    let proxy = Arc::new(Proxy::to(server.port()).expect("a proxy"));
    let through = options(&[format!("http://127.0.0.1:{}", proxy.port())], "");
    verify(through, MANY, move || proxy.interrupt().expect("interrupted")).await;
}

/// The server is killed and started again, over TLS and with users.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn new_server_with_tls_and_users_that_is_killed() {
    let authority = Authority::new().expect("an authority");
    let server = EtcdServer::builder()
        .tls(&authority, false)
        .user("node", "secret")
        .start();
    let server = Arc::new(server.expect("a server"));
    let secured = AdapterOptions {
        tls: Some(Tls {
            ca: Some(Pem::File(authority.ca())),
            identity: None,
            server_name: None,
        }),
        ..options(&[server.url()], r#","user":"node","password":"secret""#)
    };
    verify(secured, SOME, move || {
        server.kill().expect("killed");
        server.start_again().expect("started");
    })
    .await;
}

/// Three members, of which the leader is killed and started again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cluster_whose_leader_is_killed() {
    let cluster = Arc::new(EtcdCluster::old().expect("a cluster"));
    verify(options(&cluster.urls(), ""), SOME, move || {
        let leader = cluster.leader().expect("a leader");
        leader.kill().expect("killed");
        leader.start_again().expect("started");
        cluster.wait_until_whole().expect("whole");
    })
    .await;
}
