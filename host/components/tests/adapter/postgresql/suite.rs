//! The contract suite.

use super::{adapter, at, local, server, settings};
use shardwright_components::adapter::{AdapterCoordinator, AdapterOptions};
use shardwright_coordinator::Coordinator;
use shardwright_coordinator::broker::{Pem, Tls};
use shardwright_coordinator::suite::{Disturb, Factory, Options, Outcome, run};
use shardwright_servers::{Authority, Proxy};
use std::sync::Arc;

/// Runs the suite, with `disturb` in the middle of one check.
#[expect(clippy::print_stdout, reason = "the table is worth reading when a test is run by hand")]
async fn verify(options: AdapterOptions, disturb: impl Fn() + Clone + Send + Sync + 'static) {
    let component = adapter().await;
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
        Box::pin(async move { tokio::task::spawn_blocking(disturb).await.unwrap() })
    });
    let options = Options {
        disturb: Some(disturb),
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
    assert_eq!((report.kind.as_str(), report.rows.len()), ("postgresql", 20));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_behind_a_link_that_is_cut() {
    let server = server();
    let proxy = Arc::new(Proxy::to(server.port()).unwrap());
    verify(local(proxy.port()), move || proxy.interrupt().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_is_killed_and_started_again() {
    let server = Arc::new(server());
    let port = server.port();
    verify(local(port), move || {
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
    verify(options, move || {
        drop(
            server
                .sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'node'")
                .unwrap(),
        )
    })
    .await;
}
