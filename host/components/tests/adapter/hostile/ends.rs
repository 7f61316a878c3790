//! How a lane ends that computes, waits, grows or traps: by name, and alone.

use super::{counted, misdeed, opened, others_are_well, patient, read, refused, until, x};
use crate::common::{hostile, open};
use shardwright_components::adapter::{AdapterOptions, AdapterState, FaultKind, Grants};
use shardwright_coordinator::broker::{BrokerError, Password};
use shardwright_coordinator::{Bus, Store};
use shardwright_core::store::{Expected, StoreError};
use std::net::TcpListener;
use std::time::{Duration, Instant};

/// An idle lane that sends a write and calls it *unavailable* is not believed: made again, it could be done twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sent_is_not_sent_again() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = listener.local_addr().expect("its address");
    let options = AdapterOptions {
        config: Password::new(format!("{{\"misdeed\": \"shout\", \"at\": \"{at}\"}}")),
        ..misdeed("shout")
    };
    let options = AdapterOptions {
        grants: Grants::parse([format!("tcp://{at}").as_str()]).expect("a grant"),
        ..options
    };
    let coordinator = open(&hostile().await, options).await.expect("it opens");
    coordinator.get("k").await.expect("read");
    // So long that its connection may be gone.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let outcome = coordinator.put("k", x(), Expected::Any).await;
    assert!(
        matches!(&outcome, Err(StoreError::Unavailable(why)) if why.contains("Ok")),
        "{outcome:?}"
    );
}

/// One that sent nothing is replaced, and nobody notices.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_sent_is_tried_by_another_lane() {
    let options = AdapterOptions {
        config: Password::new("{\"misdeed\": \"shout\", \"at\": \"127.0.0.1:1\"}"),
        ..misdeed("shout")
    };
    let coordinator = open(&hostile().await, options).await.expect("it opens");
    coordinator.get("k").await.expect("read");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    coordinator
        .put("k", x(), Expected::Any)
        .await
        .expect("written by another lane");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_computes_without_end_is_stopped() {
    let error = patient("spin-open").await.expect_err("it does not open");
    assert!(
        matches!(&error, BrokerError::Unsafe { why, .. } if why.contains("computed for more than 100ms")),
        "{error}"
    );
    let coordinator = patient("spin").await.expect("it opens");
    let spinning = async {
        let write = coordinator
            .put("k", x(), Expected::Any)
            .await
            .expect_err("it never ends");
        assert!(
            matches!(&write, StoreError::Indeterminate(why) if why.contains("computed")),
            "{write}"
        );
    };
    tokio::join!(spinning, others_are_well());
    assert_eq!(counted(&coordinator, FaultKind::CpuBudgetExceeded), 1);
    let subscribed = patient("spin-next").await.expect("it opens");
    let _subscription = subscribed.subscribe(&["t"]).await.expect("subscribed");
    until(|| counted(&subscribed, FaultKind::CpuBudgetExceeded) > 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_without_end_is_given_up() {
    let began = Instant::now();
    let (coordinator, error) = read("sleep").await;
    assert!(
        matches!(&error, StoreError::Unavailable(why) if why.contains("no answer within")),
        "{error}"
    );
    assert!(began.elapsed() >= Duration::from_millis(1900), "{:?}", began.elapsed());
    assert_eq!(counted(&coordinator, FaultKind::Silent), 1);
    let state = coordinator.status().state;
    assert_eq!(state, AdapterState::Running, "it may be the backend that is silent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_limited_for_a_lane_and_for_all() {
    let (coordinator, error) = read("allocate").await;
    assert!(
        matches!(&error, StoreError::Unavailable(why) if why.contains("bytes of memory")),
        "{error}"
    );
    assert_eq!(counted(&coordinator, FaultKind::OutOfMemory), 1);
    assert!(coordinator.status().memory < 4 << 20, "what the lane had is given back");
    // Four lanes of 16 MiB do not fit into 48.
    let all = open(
        &hostile().await,
        AdapterOptions {
            lanes: 4,
            ..misdeed("allocate")
        },
    )
    .await
    .expect("it opens");
    tokio::join!(all.get("k"), all.get("k"), all.get("k"), all.get("k"))
        .0
        .expect_err("out of memory");
    until(|| all.status().memory < 16 << 20).await;
}

/// What it only holds in the host counts like its own memory; `tests/hoards.rs` has all the ways.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_host_keeps_for_a_lane_counts_and_is_shown() {
    let coordinator = opened("keep-some").await;
    let before = coordinator.status().memory;
    coordinator.get("k").await.expect("it is not much yet");
    let each = coordinator.status().memory - before;
    assert!(each > 20 * (128 << 10), "twenty requests with bodies are {each} bytes");
    while coordinator.get("k").await.is_ok() {
        assert!(coordinator.status().memory <= 16 << 20);
    }
    assert_eq!(
        counted(&coordinator, FaultKind::OutOfMemory),
        1,
        "{:?}",
        coordinator.status()
    );
    until(|| coordinator.status().memory == 0).await;
}

/// A megabyte for each call: another lane takes over before the memory of this one is used up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leak_costs_a_lane_now_and_then_and_no_call() {
    let coordinator = opened("leak").await;
    for call in 0..60 {
        coordinator
            .get("k")
            .await
            .unwrap_or_else(|error| panic!("call {call}: {error}"));
        assert!(coordinator.status().memory <= 16 << 20);
    }
    let status = coordinator.status();
    assert!(
        status.totals.faults.is_empty() && status.totals.calls == 60,
        "{status:?}"
    );
    assert!((6..=12).contains(&status.totals.lanes_opened), "{status:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_traps_now_and_then_is_replaced_and_who_always_traps_is_quarantined() {
    let now_and_then = opened("trap-third").await;
    for n in 1..=7 {
        let outcome = now_and_then.get("k").await;
        assert_eq!(outcome.is_err(), n % 3 == 0, "call {n}: {outcome:?}");
    }
    assert_eq!(
        now_and_then.status().state,
        AdapterState::Running,
        "{:?}",
        now_and_then.status()
    );

    let always = opened("trap").await;
    let mut states = always.states();
    let error = loop {
        let error = always.get("k").await.expect_err("it traps");
        if always.status().state == AdapterState::Quarantined {
            break error;
        }
    };
    assert!(states.has_changed().expect("it lives") && *states.borrow_and_update() == AdapterState::Quarantined);
    assert!(
        !error.to_string().contains("hunter2") && error.to_string().contains("***"),
        "a panic tells no secret: {error}"
    );
    assert!(
        error.to_string().contains("on purpose"),
        "a panic is not swallowed: {error}"
    );
    let faults = counted(&always, FaultKind::Trap);
    let refused = always.get("k").await.expect_err("quarantined");
    assert!(
        matches!(&refused, StoreError::Unavailable(why) if why.contains("quarantined") && why.contains("faults")),
        "{refused}"
    );
    assert_eq!(
        counted(&always, FaultKind::Trap),
        faults,
        "nothing is started in quarantine"
    );
    others_are_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ends_of_other_kinds_have_other_names() {
    let (coordinator, _) = read("recurse").await;
    let faults = coordinator.status().totals.faults;
    assert!(
        faults.contains_key(&FaultKind::StackOverflow) || faults.contains_key(&FaultKind::Trap),
        "{faults:?}"
    );
    let error = refused("exit").await.to_string();
    assert!(error.contains("it ended itself"), "{error}");
    let error = refused("trap-open").await.to_string();
    assert!(error.contains("on purpose") && !error.contains("hunter2"), "{error}");
}
