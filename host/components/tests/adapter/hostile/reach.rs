//! What an adapter cannot reach, and what it costs to try.

use super::{counted, misdeed, opened, refused, x};
use crate::common::{hostile, open, options};
use shardwright_components::adapter::{AdapterBudget, AdapterOptions, AdapterState, FaultKind};
use shardwright_coordinator::Store;
use shardwright_coordinator::broker::BrokerError;
use shardwright_core::store::{Expected, StoreError};
use std::net::TcpListener;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_sockets_are_too_many() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = listener.local_addr().expect("bound").to_string();
    let config = format!("{{\"misdeed\": \"sockets\", \"at\": \"{at}\"}}");
    let granted = AdapterOptions {
        timeout: Duration::from_secs(20),
        budget: AdapterBudget::default(),
        ..options(&config, &[&format!("tcp://{at}")])
    };
    let coordinator = open(&hostile().await, granted).await.expect("it opens");
    let error = coordinator.get("k").await.expect_err("too many");
    assert!(
        matches!(&error, StoreError::Unavailable(why) if why.contains("too many resources")),
        "{error}"
    );
    assert_eq!(counted(&coordinator, FaultKind::TooManyResources), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_reachable_that_was_not_granted() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("set");
    let port = listener.local_addr().expect("bound").port();
    let granted = format!("tcp://127.0.0.1:{}", if port == 1 { 2 } else { port - 1 });
    for (name, at, names) in [
        (
            "connect",
            format!("127.0.0.1:{port}"),
            format!("tcp://127.0.0.1:{port}"),
        ),
        ("connect", format!("localhost:{port}"), "tcp://localhost".to_owned()),
        ("connect", format!("[::ffff:127.0.0.1]:{port}"), "tcp://".to_owned()),
        (
            "request",
            format!("127.0.0.1:{port}"),
            format!("http://127.0.0.1:{port}"),
        ),
        (
            "request",
            format!("localhost:{port}"),
            format!("http://localhost:{port}"),
        ),
    ] {
        let config = format!("{{\"misdeed\": \"{name}\", \"at\": \"{at}\"}}");
        let coordinator = open(&hostile().await, options(&config, &[&granted]))
            .await
            .expect("it opens");
        let error = coordinator.get("k").await.expect_err("refused");
        assert!(
            matches!(&error, StoreError::Invalid(why) if why.contains("not granted") || why.contains("NotGranted")),
            "{at}: {error}"
        );
        let refused = coordinator.status().refused;
        assert!(
            refused.iter().any(|grant| grant.starts_with(&names)),
            "{at}: {refused:?}"
        );
    }
    assert!(listener.accept().is_err(), "somebody came through");
    // And with the grant it is.
    let at = format!("127.0.0.1:{port}");
    let config = format!("{{\"misdeed\": \"connect\", \"at\": \"{at}\"}}");
    let coordinator = open(&hostile().await, options(&config, &[&format!("tcp://{at}")]))
        .await
        .expect("it opens");
    let error = coordinator.get("k").await.expect_err("always");
    assert!(
        matches!(&error, StoreError::Invalid(why) if why.contains("reached")),
        "{error}"
    );
    assert!(coordinator.status().refused.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grants_that_are_missing_are_named_before_anything_runs() {
    let error = refused("want-grants").await;
    let text = error.to_string();
    assert!(matches!(error, BrokerError::Denied { .. }), "{text}");
    assert!(
        text.contains("\"tcp://10.0.0.1:1\"") && text.contains("\"env:SECRET\"") && text.contains("allow"),
        "{text}"
    );
    assert!(
        refused("want-nonsense")
            .await
            .to_string()
            .contains("\"everything\" is no grant")
    );
    assert!(refused("refuse").await.to_string().contains("not to its liking"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_files_and_only_granted_variables() {
    let error = refused("read-file").await.to_string();
    assert!(error.contains("Err("), "{error}");
    let error = refused("read-variable").await.to_string();
    assert!(error.contains("FRUIT is None, PATH is None"), "{error}");
    // PATH is set wherever this runs, and its value is masked like every variable's.
    let granted = options("{\"misdeed\": \"read-variable\"}", &["env:PATH"]);
    let error = open(&hostile().await, granted).await.expect_err("always").to_string();
    assert!(error.contains("PATH is Some(\"***\")"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_it_tells_holds_no_secret() {
    let error = refused("tell").await.to_string();
    assert!(error.contains("the password *** is wrong"), "{error}");
    let options = misdeed("talk");
    assert!(!format!("{options:?}").contains("hunter2"));
    open(&hostile().await, options)
        .await
        .expect("ten thousand lines are no error");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_calls_at_once_are_refused() {
    let coordinator = opened("sleep").await;
    let calls = (0..300).map(|_| coordinator.get("k"));
    let outcomes = futures_util::future::join_all(calls).await;
    let busy = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Err(StoreError::Unavailable(why)) if why.contains("waiting")))
        .count();
    assert_eq!(coordinator.status().totals.busy, busy as u64);
    assert!((40..=60).contains(&busy), "{busy}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_given_up_costs_its_lane_and_nothing_else() {
    let coordinator = opened("").await;
    coordinator.put("k", x(), Expected::Any).await.expect("it works");
    let given_up = tokio::time::timeout(Duration::ZERO, coordinator.put("k", x(), Expected::Any)).await;
    drop(given_up);
    coordinator.put("k", x(), Expected::Any).await.expect("it works");
    assert_eq!(coordinator.status().state, AdapterState::Running);
    assert!(coordinator.status().totals.faults.is_empty());
}
