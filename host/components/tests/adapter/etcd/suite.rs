//! The contract suite on every version and topology.

use super::{etcd, options};
use shardwright_components::adapter::{AdapterCoordinator, AdapterOptions};
use shardwright_coordinator::Coordinator;
use shardwright_coordinator::broker::{Pem, Tls};
use shardwright_coordinator::suite::{CHECKS, Disturb, Factory, Options, Outcome, run};
use shardwright_servers::{Authority, EtcdCluster, EtcdServer, Proxy};
use std::sync::Arc;
use std::time::Duration;

/// Once, a listing is as long as it gets; filling the store for it takes longer than all other checks.
const MANY: usize = 10_000;
const SOME: usize = 1_000;
/// More than a subscriber keeps.
const FLOOD: u64 = 2_000;

/// Runs the suite, with so many keys in a listing, and with `disturb` in the middle of one check.
#[expect(
    clippy::print_stdout,
    reason = "the table is worth reading when a test is run by hand"
)]
async fn verify(options: AdapterOptions, keys: usize, disturb: impl Fn() + Clone + Send + Sync + 'static) {
    let component = etcd().await;
    let factory: &Factory = &move |namespace| {
        let (component, options) = (component.clone(), options.clone());
        Box::pin(async move {
            let opened = AdapterCoordinator::open(component, options, namespace).await;
            opened
                .map(|opened| Arc::new(opened) as Arc<dyn Coordinator>)
                .map_err(|error| error.to_string())
        })
    };
    let disturb: Disturb = Arc::new(move || {
        let disturb = disturb.clone();
        Box::pin(async move { tokio::task::spawn_blocking(disturb).await.expect("disturbed") })
    });
    let options = Options {
        keys,
        flood: FLOOD,
        disturb: Some(disturb),
        // On a machine that is busy: how long a check takes is no promise.
        patience: Duration::from_secs(240),
        ..Options::default()
    };
    let report = run(factory, options).await;
    for [name, outcome, millis, detail] in report.table() {
        println!("{name:<16} {outcome:<8} {millis:>6} ms  {detail}");
    }
    assert!(report.passed(), "{:#?}", report.failures().collect::<Vec<_>>());
    assert!(
        report.rows.iter().all(|row| row.outcome == Outcome::Passed),
        "something was skipped"
    );
    assert_eq!((report.kind.as_str(), report.rows.len()), ("etcd", CHECKS));
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
