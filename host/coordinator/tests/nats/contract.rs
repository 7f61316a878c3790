//! The contract suite on every kind of NATS.

use crate::common::{open, options};
use shardwright_coordinator::Coordinator;
use shardwright_coordinator::nats::NatsOptions;
use shardwright_coordinator::suite::{BoxFuture, CHECKS, Disturb, Factory, Options, SuiteReport, run};
use shardwright_servers::{NatsCluster, NatsServer, Proxy};
use std::sync::Arc;
use std::time::Duration;

type Opened = BoxFuture<'static, Result<Arc<dyn Coordinator>, String>>;

/// `disturbed`: all checks could be made.
#[expect(
    clippy::print_stdout,
    reason = "the table is worth reading when a test is run by hand"
)]
fn verify(report: &SuiteReport, disturbed: bool) {
    for [name, outcome, millis, detail] in report.table() {
        println!("{name:<16} {outcome:<8} {millis:>6} ms  {detail}");
    }
    assert!(report.passed(), "{:#?}", report.failures().collect::<Vec<_>>());
    assert_eq!((report.kind.as_str(), report.rows.len()), ("nats", CHECKS));
    let skipped = report
        .table()
        .iter()
        .filter(|[_, outcome, ..]| outcome == "skipped")
        .count();
    assert_eq!(
        skipped,
        usize::from(!disturbed),
        "only what needs a disturbance may be left out"
    );
}

fn factory(options: NatsOptions) -> impl Fn(shardwright_coordinator::Namespace) -> Opened {
    move |namespace| -> Opened { Box::pin(open(options.clone(), namespace)) }
}

/// Cuts the connections for a moment.
fn interrupt(proxy: &Arc<Proxy>) -> Disturb {
    let proxy = proxy.clone();
    Arc::new(move || {
        let proxy = proxy.clone();
        Box::pin(async move {
            tokio::task::spawn_blocking(move || proxy.interrupt().unwrap())
                .await
                .unwrap();
        })
    })
}

/// On the servers at `url`, which are disturbed if it can be done.
async fn verify_single(url: &str, disturb: Option<Disturb>) {
    let disturbed = disturb.is_some();
    let factory: &Factory = &factory(options([url]));
    let options = Options {
        disturb,
        patience: Duration::from_secs(120),
        ..Options::default()
    };
    verify(&run(factory, options).await, disturbed);
}

/// On a server of the tests, whose connections are cut.
async fn verify_server(server: NatsServer) {
    let proxy = Arc::new(Proxy::to(server.port()).unwrap());
    verify_single(&format!("nats://127.0.0.1:{}", proxy.port()), Some(interrupt(&proxy))).await;
}

/// On the one that `SHARDWRIGHT_TEST_NATS_URL` names, which nobody cuts off, or on one of the tests.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server() {
    match std::env::var("SHARDWRIGHT_TEST_NATS_URL") {
        Ok(url) => verify_single(&url, None).await,
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
    let cluster = Arc::new(cluster);
    let urls = cluster.urls();
    let settings = NatsOptions {
        replicas: 3,
        ..options(urls.iter().map(String::as_str))
    };
    let disturbed = cluster.clone();
    let disturb: Disturb = Arc::new(move || {
        let cluster = disturbed.clone();
        Box::pin(async move {
            let restart = move || {
                end(cluster.node(0));
                cluster.node(0).start_again().unwrap();
                cluster.wait_until_whole().unwrap();
            };
            tokio::task::spawn_blocking(restart).await.unwrap();
        })
    });
    let suite = Options {
        keys,
        disturb: Some(disturb),
        patience: Duration::from_secs(120),
        ..Options::default()
    };
    let factory: &Factory = &factory(settings);
    verify(&run(factory, suite).await, true);
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
