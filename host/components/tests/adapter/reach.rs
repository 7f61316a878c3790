//! Adapters that reach for what nobody granted them, or for more than they may have of it.

use crate::common::{hostile, open, options, until};
use bytes::Bytes;
use shardwright_components::adapter::{AdapterBudget, AdapterCoordinator, AdapterOptions, FaultKind};
use shardwright_coordinator::broker::Password;
use shardwright_coordinator::{Bus, Delivery, Store};
use shardwright_core::store::{Expected, StoreError};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// An adapter that does `name` to `at`, with these grants.
async fn reaching(name: &str, at: SocketAddr, grants: &[&str]) -> AdapterCoordinator {
    let config = format!("{{\"misdeed\": \"{name}\", \"at\": \"{at}\"}}");
    let options = AdapterOptions {
        lanes: 1,
        timeout: Duration::from_secs(20),
        secrets: vec![Password::new("hunter2")],
        ..options(&config, grants)
    };
    open(&hostile().await, options).await.expect("it opens")
}

/// What came of it.
async fn outcome(coordinator: &AdapterCoordinator) -> String {
    match coordinator.get("k").await {
        Err(StoreError::Invalid(said)) => said,
        other => panic!("{other:?}"),
    }
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = listener.local_addr().expect("bound");
    (listener, at)
}

/// Nobody has connected to it.
fn untouched(listener: &TcpListener) {
    listener.set_nonblocking(true).expect("set");
    let accepted = listener.accept().map_err(|error| error.kind());
    assert_eq!(accepted.err(), Some(ErrorKind::WouldBlock), "somebody came through");
}

/// Answers one request.
fn serve(listener: TcpListener, answer: String) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("somebody comes");
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a request");
            request.extend(byte);
        }
        stream.write_all(answer.as_bytes()).expect("answered");
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_leads_nowhere_that_was_not_granted() {
    let ((server, at), (elsewhere, to)) = (listener(), listener());
    let answer = format!("HTTP/1.1 302 Found\r\nLocation: http://{to}/\r\nContent-Length: 0\r\n\r\n");
    let served = serve(server, answer);
    let coordinator = reaching("redirect", at, &[&format!("http://{at}")]).await;
    let said = outcome(&coordinator).await;
    assert!(
        said.starts_with(&format!("302 to http://{to}/: Err(NotGranted(")),
        "{said}"
    );
    served.join().expect("it was asked");
    let refused = coordinator.status().refused;
    assert!(refused.contains(&format!("http://{to}")), "{refused:?}");
    untouched(&elsewhere);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_to_what_was_granted_is_a_request_like_any_other() {
    let ((server, at), (elsewhere, to)) = (listener(), listener());
    let answer = format!("HTTP/1.1 302 Found\r\nLocation: http://{to}/\r\nContent-Length: 0\r\n\r\n");
    let served = serve(server, answer);
    let reached = serve(elsewhere, "HTTP/1.1 204 No Content\r\n\r\n".into());
    let coordinator = reaching("redirect", at, &[&format!("http://{at}"), &format!("http://{to}")]).await;
    let said = outcome(&coordinator).await;
    assert!(said.ends_with(": Ok(204)"), "{said}");
    served.join().expect("it was asked");
    reached.join().expect("so was this");
}

/// With the grant of everything that there is at its own port.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_listens_or_sends_datagrams() {
    let (_server, at) = listener();
    let grants = [format!("tcp://{at}"), format!("http://{at}")];
    let grants: Vec<_> = grants.iter().map(String::as_str).collect();
    for (name, says) in [
        ("datagrams", "no socket: ErrorCode { code: 1, name: \"access-denied\""),
        (
            "listen",
            "does not listen: ErrorCode { code: 1, name: \"access-denied\"",
        ),
        (
            "listen-at-loopback",
            "not bound: ErrorCode { code: 1, name: \"access-denied\"",
        ),
    ] {
        let said = outcome(&reaching(name, at, &grants).await).await;
        assert!(said.contains(says), "{name}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_has_eight_connections_of_http_at_most() {
    let (server, at) = listener();
    let coordinator = reaching("connections", at, &[&format!("http://{at}")]).await;
    assert_eq!(outcome(&coordinator).await, "20 begun, 12 refused, others []");
    server.set_nonblocking(true).expect("set");
    let accepted: Vec<TcpStream> = std::iter::from_fn(|| server.accept().ok())
        .map(|(stream, _)| stream)
        .collect();
    assert_eq!(accepted.len(), 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_all_that_is_said_before_a_panic_the_end_is_told() {
    let (_server, at) = listener();
    let coordinator = reaching("babble", at, &[]).await;
    let error = coordinator.get("k").await.expect_err("it panics").to_string();
    assert!(
        error.contains("that was all"),
        "why it ended is the last thing that it says: {error}"
    );
    assert!(
        error.contains("word 9999, ***") && !error.contains("hunter2"),
        "{error}"
    );
    assert!(
        !error.contains("word 9900") && error.len() < 1 << 10,
        "{} bytes: {error}",
        error.len()
    );
    assert_eq!(coordinator.status().totals.faults, [(FaultKind::Trap, 1)].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_messages_that_nobody_reads_end_in_a_gap() {
    let (_server, at) = listener();
    let coordinator = reaching("flood-of-whales", at, &[]).await;
    let mut subscription = coordinator.subscribe(&["t"]).await.expect("subscribed");
    until(|| coordinator.status().totals.received > 70).await;
    let batch = subscription.next(usize::MAX).await.expect("a batch");
    let length = |delivery: &Delivery| match delivery {
        Delivery::Message { payload, .. } => payload.len(),
        Delivery::Gap { .. } => 0,
    };
    let bytes: usize = batch.iter().map(length).sum();
    assert!(
        (31 << 20..=32 << 20).contains(&bytes),
        "{bytes} bytes waited in {} deliveries",
        batch.len()
    );
    assert!(
        matches!(batch.last(), Some(Delivery::Gap { lost: 1.. })),
        "{:?}",
        batch.last()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_values_that_wait_for_a_lane_are_refused_beyond_32_mebibytes() {
    let (_server, at) = listener();
    let options = AdapterOptions {
        lanes: 1,
        ..options("{\"misdeed\": \"sleep\"}", &[])
    };
    let coordinator = open(&hostile().await, options).await.expect("it opens");
    let value = Bytes::from(vec![0; 1 << 20]);
    let calls = (0..100).map(|_| coordinator.put("k", value.clone(), Expected::Any));
    let outcomes = futures_util::future::join_all(calls).await;
    let refused = |outcome: &&Result<_, _>| {
        matches!(outcome, Err(StoreError::Unavailable(why))
            if why.contains("bytes are waiting"))
    };
    let refused = outcomes.iter().filter(refused).count();
    // One of them may have got its lane meanwhile.
    assert!(
        (100 - 34..=100 - 32).contains(&refused),
        "{refused} of 100 refused, {at}"
    );
}

/// On one thread, and no other for what blocks: if a lane that computes or waits kept it, nothing else would happen.
#[test]
fn a_lane_that_computes_or_waits_takes_no_thread() {
    let one = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    one.block_on(async {
        let (_server, at) = listener();
        let well = reaching("", at, &[]).await;
        let works = async || {
            for _ in 0..50 {
                well.put("k", Bytes::from_static(b"x"), Expected::Any)
                    .await
                    .expect("it works");
            }
        };
        let config = |name: &str| format!("{{\"misdeed\": \"{name}\"}}");
        let patient = |name: &str| AdapterOptions {
            lanes: 16,
            timeout: Duration::from_secs(600),
            budget: AdapterBudget {
                cpu: Duration::from_secs(600),
                ..AdapterBudget::default()
            },
            ..options(&config(name), &[])
        };
        for name in ["spin", "sleep"] {
            let coordinator = open(&hostile().await, patient(name)).await.expect("it opens");
            // One computes: each takes its share of the thread. Many wait.
            let count = if name == "spin" { 1 } else { 16 };
            let busy = futures_util::future::join_all((0..count).map(|_| coordinator.get("k")));
            tokio::select! {
                biased;
                ended = busy => panic!("{name}: {ended:?}"),
                () = works() => {}
            }
        }
    });
}
