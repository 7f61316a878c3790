//! Answers that contradict each other or have no end: not used, and limited before the host reserves anything.

use super::{counted, opened, others_are_well, read, refused, until, x};
use shardwright_components::adapter::{AdapterState, FaultKind};
use shardwright_coordinator::{Bus, Delivery, Store};
use shardwright_core::store::{Expected, Revision, StoreError};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revisions_that_go_back_or_repeat_are_lost_history_for_good() {
    for name in ["regress", "repeat", "regress-read"] {
        let coordinator = opened(name).await;
        let mut outcomes = Vec::new();
        for _ in 0..3 {
            outcomes.push(coordinator.put("k", x(), Expected::Any).await.err());
            // A store that was set back has no entry of later. One that shows such an entry contradicts itself, which
            // proves nothing.
            outcomes.push(coordinator.get("absent").await.err());
        }
        let lost = outcomes
            .iter()
            .position(|outcome| matches!(outcome, Some(StoreError::HistoryLost(_))));
        let lost = lost.unwrap_or_else(|| panic!("{name}: {outcomes:?}"));
        assert!(
            outcomes[lost..]
                .iter()
                .all(|o| matches!(o, Some(StoreError::HistoryLost(_)))),
            "{name}: {outcomes:?}"
        );
        assert_eq!(coordinator.status().state, AdapterState::Lost, "{name}");
    }
    let (coordinator, error) = read("lost").await;
    assert_eq!(error, StoreError::HistoryLost("gone".into()));
    assert!(matches!(
        coordinator.list("", Revision(0)).await,
        Err(StoreError::HistoryLost(_))
    ));
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
    assert!(
        matches!(&error, StoreError::HistoryLost(why) if why.contains("history")),
        "{error}"
    );
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
    assert!(
        matches!(batch.last(), Some(Delivery::Gap { lost: 1.. })),
        "{:?}",
        batch.last()
    );
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
