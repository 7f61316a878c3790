//! Adapters that misbehave: each end is typed, the host is as well as before, and nobody else notices.

use crate::common::{hostile, open, options, until};
use bytes::Bytes;
use shardwright_components::adapter::{AdapterBudget, AdapterCoordinator, AdapterOptions, AdapterState, FaultKind, Grants};
use shardwright_coordinator::broker::{BrokerError, Password};
use shardwright_coordinator::{Bus, Delivery, Store};
use shardwright_core::store::{Expected, Revision, StoreError};
use std::net::TcpListener;
use std::time::{Duration, Instant};

fn misdeed(name: &str) -> AdapterOptions {
    AdapterOptions {
        lanes: 1,
        budget: AdapterBudget {
            memory: 16 << 20,
            total_memory: 48 << 20,
            cpu: Duration::from_millis(100),
            answer: 4 << 20,
        },
        secrets: vec![Password::new("hunter2")],
        ..options(&format!("{{\"misdeed\": \"{name}\"}}"), &[])
    }
}

async fn opened(name: &str) -> AdapterCoordinator {
    open(&hostile().await, misdeed(name)).await.expect("it opens")
}

async fn refused(name: &str) -> BrokerError {
    open(&hostile().await, misdeed(name)).await.expect_err("it does not open")
}

fn x() -> Bytes {
    Bytes::from_static(b"x")
}

/// What a read comes to.
async fn read(name: &str) -> (AdapterCoordinator, StoreError<Bytes>) {
    let coordinator = opened(name).await;
    let error = coordinator.get("k").await.expect_err(name);
    (coordinator, error)
}

fn counted(coordinator: &AdapterCoordinator, kind: FaultKind) -> u64 {
    coordinator.status().totals.faults.get(&kind).copied().unwrap_or(0)
}

/// The host as it should be: an adapter that does nothing wrong works beside the one that does.
async fn others_are_well() {
    let well = opened("").await;
    for _ in 0..100 {
        well.put("k", x(), Expected::Any).await.expect("each within its time");
    }
    assert_eq!(well.status().state, AdapterState::Running);
}

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
    coordinator.put("k", x(), Expected::Any).await.expect("written by another lane");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_computes_without_end_is_stopped() {
    let error = refused("spin-open").await;
    assert!(
        matches!(&error, BrokerError::Unsafe { why, .. } if why.contains("computed for more than 100ms")),
        "{error}"
    );
    let coordinator = opened("spin").await;
    let spinning = async {
        let write = coordinator.put("k", x(), Expected::Any).await.expect_err("it never ends");
        assert!(
            matches!(&write, StoreError::Indeterminate(why) if why.contains("computed")),
            "{write}"
        );
    };
    tokio::join!(spinning, others_are_well());
    assert_eq!(counted(&coordinator, FaultKind::Spinning), 1);
    let subscribed = opened("spin-next").await;
    let _subscription = subscribed.subscribe(&["t"]).await.expect("subscribed");
    until(|| counted(&subscribed, FaultKind::Spinning) > 0).await;
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
    assert_eq!(counted(&coordinator, FaultKind::OutOfMemory), 1, "{:?}", coordinator.status());
    until(|| coordinator.status().memory == 0).await;
}

/// A megabyte for each call: another lane takes over before the memory of this one is used up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leak_costs_a_lane_now_and_then_and_no_call() {
    let coordinator = opened("leak").await;
    for call in 0..60 {
        coordinator.get("k").await.unwrap_or_else(|error| panic!("call {call}: {error}"));
        assert!(coordinator.status().memory <= 16 << 20);
    }
    let status = coordinator.status();
    assert!(status.totals.faults.is_empty() && status.totals.calls == 60, "{status:?}");
    assert!((6..=12).contains(&status.totals.lanes_opened), "{status:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_traps_now_and_then_is_replaced_and_who_always_traps_is_quarantined() {
    let now_and_then = opened("trap-third").await;
    for n in 1..=7 {
        let outcome = now_and_then.get("k").await;
        assert_eq!(outcome.is_err(), n % 3 == 0, "call {n}: {outcome:?}");
    }
    assert_eq!(now_and_then.status().state, AdapterState::Running, "{:?}", now_and_then.status());

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
    assert!(error.to_string().contains("on purpose"), "a panic is not swallowed: {error}");
    let faults = counted(&always, FaultKind::Trap);
    let refused = always.get("k").await.expect_err("quarantined");
    assert!(
        matches!(&refused, StoreError::Unavailable(why) if why.contains("quarantined") && why.contains("faults")),
        "{refused}"
    );
    assert_eq!(counted(&always, FaultKind::Trap), faults, "nothing is started in quarantine");
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revisions_that_go_back_or_repeat_are_lost_history_for_good() {
    for name in ["regress", "repeat", "regress-read"] {
        let coordinator = opened(name).await;
        let mut outcomes = Vec::new();
        for _ in 0..3 {
            outcomes.push(coordinator.put("k", x(), Expected::Any).await.err());
            outcomes.push(coordinator.get("k").await.err());
        }
        let lost = outcomes
            .iter()
            .position(|outcome| matches!(outcome, Some(StoreError::HistoryLost(_))));
        let lost = lost.unwrap_or_else(|| panic!("{name}: {outcomes:?}"));
        assert!(
            outcomes[lost..].iter().all(|o| matches!(o, Some(StoreError::HistoryLost(_)))),
            "{name}: {outcomes:?}"
        );
        assert_eq!(coordinator.status().state, AdapterState::Lost, "{name}");
    }
    let (coordinator, error) = read("lost").await;
    assert_eq!(error, StoreError::HistoryLost("gone".into()));
    assert!(matches!(coordinator.list("", Revision(0)).await, Err(StoreError::HistoryLost(_))));
}

/// Another history under a lane that is replaced.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_history_is_lost_history() {
    let coordinator = opened("new-history").await;
    coordinator.get("k").await.expect("the first lane");
    assert!(
        coordinator.subscribe(&["t"]).await.is_err(),
        "a second lane was opened in another history"
    );
    let error = coordinator.get("k").await.expect_err("nothing goes any more");
    assert!(matches!(&error, StoreError::HistoryLost(why) if why.contains("history")), "{error}");
    assert!(refused("bad-history").await.to_string().contains("history"));
    assert!(refused("long-memo").await.to_string().contains("memo"));
}

/// What a host can see of a lie, and what it cannot.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_was_only_claimed() {
    let coordinator = opened("claim").await;
    let written = coordinator.put("k", x(), Expected::Absent).await.expect("it says so");
    // One answer does not show it: the entry may have been deleted by another.
    assert_eq!(coordinator.get("k").await.expect("a reading").entry, None);
    // The next expectation does, to the one who wrote.
    let conflict = coordinator.put("k", x(), Expected::Revision(written.revision)).await;
    assert_eq!(conflict, Err(StoreError::Conflict(None)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_contradict_themselves_are_not_used() {
    for name in ["unsorted", "twice", "elsewhere"] {
        let coordinator = opened(name).await;
        let error = coordinator.list("a", Revision(0)).await.expect_err(name);
        assert!(
            matches!(&error, StoreError::Unavailable(why) if why.contains("breaks the contract")),
            "{name}: {error}"
        );
        assert_eq!(counted(&coordinator, FaultKind::Lied), 1, "{name}");
    }
    let (coordinator, error) = read("conflict").await;
    assert!(
        matches!(&error, StoreError::Unavailable(why) if why.contains("conflict")),
        "{error}"
    );
    let write = coordinator
        .put("k", x(), Expected::Absent)
        .await
        .expect_err("refused though absent");
    assert!(matches!(&write, StoreError::Indeterminate(_)), "{write}");
    let (_, error) = read("indeterminate").await;
    assert!(
        matches!(error, StoreError::Unavailable(_)),
        "a read cannot be indeterminate: {error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_limited_before_the_host_reserves_anything() {
    let coordinator = opened("echo").await;
    let error = coordinator.list("", Revision(0)).await.expect_err("a gibibyte");
    assert!(
        matches!(&error, StoreError::Unavailable(why) if why.contains("4194304 bytes")),
        "{error}"
    );
    assert_eq!(counted(&coordinator, FaultKind::AnswerTooLong), 1);
    let coordinator = opened("beyond").await;
    coordinator.list("", Revision(0)).await.expect_err("not its memory");
    others_are_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_on_the_bus_ends_in_gaps_and_no_memory() {
    let coordinator = opened("flood").await;
    let mut subscription = coordinator.subscribe(&["t"]).await.expect("subscribed");
    until(|| coordinator.status().totals.received > 20_000).await;
    let batch = subscription.next(usize::MAX).await.expect("a batch");
    assert!(batch.len() <= 1025, "{} deliveries waited", batch.len());
    assert!(matches!(batch.last(), Some(Delivery::Gap { lost: 1.. })), "{:?}", batch.last());
    others_are_well().await;
    drop(subscription);
    let received = || coordinator.status().totals.received;
    until(|| coordinator.status().lanes_open <= 1).await;
    let at = received();
    // As many calls as brought in thousands of messages before.
    others_are_well().await;
    assert_eq!(received(), at, "it goes on though nobody listens");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_that_break_the_contract_begin_again_with_a_gap() {
    for (name, kind) in [
        ("overdo", FaultKind::Lied),
        ("wrong-topic", FaultKind::Lied),
        ("huge-message", FaultKind::Lied),
        ("hasty", FaultKind::Lied),
        ("deaf", FaultKind::Lied),
        ("trap-next", FaultKind::Trap),
    ] {
        let coordinator = opened(name).await;
        let mut subscription = coordinator.subscribe(&["t"]).await.expect("subscribed");
        until(|| counted(&coordinator, kind) > 0).await;
        let first = subscription.next(1).await.expect("a delivery");
        assert_eq!(first, [Delivery::Gap { lost: 0 }], "{name}");
    }
    let coordinator = opened("break-off").await;
    let mut subscription = coordinator.subscribe(&["t"]).await.expect("subscribed");
    let mut seen = Vec::new();
    while !seen.contains(&Delivery::Gap { lost: 0 }) {
        seen.extend(subscription.next(10).await.expect("deliveries"));
    }
    assert!(matches!(seen.first(), Some(Delivery::Message { .. })), "{seen:?}");
    drop(coordinator);
    loop {
        if let Err(over) = subscription.next(10).await {
            assert_eq!(over, shardwright_coordinator::BusError::Closed);
            break;
        }
    }
}

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
        ("connect", format!("127.0.0.1:{port}"), format!("tcp://127.0.0.1:{port}")),
        ("connect", format!("localhost:{port}"), "tcp://localhost".to_owned()),
        ("connect", format!("[::ffff:127.0.0.1]:{port}"), "tcp://".to_owned()),
        ("request", format!("127.0.0.1:{port}"), format!("http://127.0.0.1:{port}")),
        ("request", format!("localhost:{port}"), format!("http://localhost:{port}")),
    ] {
        let config = format!("{{\"misdeed\": \"{name}\", \"at\": \"{at}\"}}");
        let coordinator = open(&hostile().await, options(&config, &[&granted])).await.expect("it opens");
        let error = coordinator.get("k").await.expect_err("refused");
        assert!(
            matches!(&error, StoreError::Invalid(why) if why.contains("not granted") || why.contains("NotGranted")),
            "{at}: {error}"
        );
        let refused = coordinator.status().refused;
        assert!(refused.iter().any(|grant| grant.starts_with(&names)), "{at}: {refused:?}");
    }
    assert!(listener.accept().is_err(), "somebody came through");
    // And with the grant it is.
    let at = format!("127.0.0.1:{port}");
    let config = format!("{{\"misdeed\": \"connect\", \"at\": \"{at}\"}}");
    let coordinator = open(&hostile().await, options(&config, &[&format!("tcp://{at}")]))
        .await
        .expect("it opens");
    let error = coordinator.get("k").await.expect_err("always");
    assert!(matches!(&error, StoreError::Invalid(why) if why.contains("reached")), "{error}");
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
    assert!(refused("want-nonsense").await.to_string().contains("\"everything\" is no grant"));
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
    open(&hostile().await, options).await.expect("ten thousand lines are no error");
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
