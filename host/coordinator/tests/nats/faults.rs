//! What happens when the server or an administrator gets in the way.

use crate::common::{eventually, expect_bus, expect_gap, open, options, put, space};
use bytes::Bytes;
use futures_util::FutureExt;
use shardwright_coordinator::nats::{NatsCoordinator, NatsOptions};
use shardwright_coordinator::{Coordinator, Delivery, Store, protect};
use shardwright_core::store::{Expected, Revision, StoreError};
use shardwright_servers::NatsServer;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarted_with_its_data_it_goes_on() {
    let server = NatsServer::start().unwrap();
    let handle = open(options([server.url().as_str()]), space("restart")).await.unwrap();
    let mut subscription = handle.subscribe(&[]).await.unwrap();
    let written = put(&*handle, "k", "before").await;
    server.kill().unwrap();
    let outcome = handle.get("k").await;
    assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    server.start_again().unwrap();
    let reading = eventually(|| handle.get("k")).await;
    assert_eq!(reading.entry.unwrap().revision, written.revision);
    assert!(reading.now >= written.now);
    let again = handle
        .put("k", Bytes::from_static(b"after"), Expected::Revision(written.revision))
        .await
        .unwrap();
    assert!(again.revision > written.revision);
    expect_gap(&mut *subscription).await;
    expect_bus(&*handle, &mut *subscription).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wiped_it_has_lost_its_history_for_good() {
    let server = NatsServer::start().unwrap();
    let settings = options([server.url().as_str()]);
    let (handle, other) = (
        open(settings.clone(), space("wiped")).await.unwrap(),
        open(settings.clone(), space("wiped")).await.unwrap(),
    );
    put(&*handle, "k", "before").await;
    server.kill().unwrap();
    server.wipe().unwrap();
    server.start_again().unwrap();
    let fresh = open(settings, space("wiped")).await.unwrap();
    assert_eq!(fresh.get("k").await.unwrap().entry, None);
    // Nothing that was decided on the old one reaches the new one.
    loop {
        match other.put("k", Bytes::from_static(b"stale"), Expected::Absent).await {
            Err(StoreError::HistoryLost(_)) => break,
            Err(StoreError::Unavailable(_) | StoreError::Indeterminate(_)) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(fresh.get("k").await.unwrap().entry, None);
    loop {
        match handle.list("", Revision(0)).await {
            Err(StoreError::HistoryLost(_)) => break,
            Err(StoreError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(20)).await,
            other => panic!("{other:?}"),
        }
    }
    put(&*fresh, "k", "new").await;
    for handle in [&handle, &other] {
        assert!(matches!(handle.get("k").await, Err(StoreError::HistoryLost(_))));
        assert!(matches!(
            handle.delete("k", Expected::Any).await,
            Err(StoreError::HistoryLost(_))
        ));
        assert!(matches!(handle.erase().await, Err(StoreError::HistoryLost(_))));
    }
    assert_eq!(fresh.get("k").await.unwrap().entry.unwrap().value, "new");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_an_administrator_removes_is_history_lost() {
    let server = NatsServer::start().unwrap();
    let settings = options([server.url().as_str()]);
    let handle = open(settings.clone(), space("removed")).await.unwrap();
    put(&*handle, "k", "v").await;
    let admin = crate::common::admin(&server.url()).await;
    crate::common::api(&admin, "STREAM.DELETE.SHARDWRIGHT_removed", "").await;
    let outcome = handle.put("k", Bytes::from_static(b"w"), Expected::Any).await;
    assert!(matches!(outcome, Err(StoreError::HistoryLost(_))), "{outcome:?}");
    assert!(matches!(handle.get("k").await, Err(StoreError::HistoryLost(_))));
    let fresh = open(settings, space("removed")).await.unwrap();
    assert!(fresh.list("", Revision(0)).await.unwrap().entries.is_empty());
    assert!(matches!(handle.get("k").await, Err(StoreError::HistoryLost(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_has_given_up_is_told_as_the_end_and_no_other_is() {
    let server = NatsServer::start().unwrap();
    let settings = options([server.url().as_str()]);
    let limited = NatsOptions {
        max_reconnects: Some(3),
        ..settings.clone()
    };
    // Whoever wraps it hands it on.
    let limited = protect(open(limited, space("end")).await.unwrap(), &space("end"), None);
    let patient = open(settings, space("end")).await.unwrap();
    put(&*patient, "k", "before").await;
    assert!(limited.ended().now_or_never().is_none());
    server.kill().unwrap();
    let why = tokio::time::timeout(Duration::from_secs(60), limited.ended())
        .await
        .expect("it ends");
    assert!(why.contains("max-reconnects") && why.contains('3'), "{why}");
    // Such an end is one for good, and of one handle.
    server.start_again().unwrap();
    let entry = eventually(|| patient.get("k")).await.entry.unwrap();
    assert_eq!(entry.value, "before");
    assert!(patient.ended().now_or_never().is_none());
    assert_eq!(limited.ended().await, why);
    assert!(matches!(limited.get("k").await, Err(StoreError::Unavailable(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_fails_within_the_time_out() {
    let server = NatsServer::start().unwrap();
    let settings = NatsOptions {
        timeout_request: Duration::from_secs(2),
        ..options([server.url().as_str()])
    };
    let handle = open(settings, space("frozen")).await.unwrap();
    put(&*handle, "k", "v").await;
    server.pause().unwrap();
    // It freezes soon, not at once.
    while handle.put("k", Bytes::from_static(b"v"), Expected::Any).await.is_ok() {}
    let (read, write) = tokio::join!(
        handle.get("k"),
        handle.put("k", Bytes::from_static(b"w"), Expected::Any)
    );
    assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
    assert!(matches!(write, Err(StoreError::Indeterminate(_))), "{write:?}");
    server.resume().unwrap();
    // What was sent is done after all.
    loop {
        if eventually(|| handle.get("k")).await.entry.unwrap().value == "w" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_store_refuses_and_keeps_what_it_has() {
    let server = NatsServer::builder().jetstream("max_file_store: 3MB").start().unwrap();
    let admin = crate::common::admin(&server.url()).await;
    let hog = r#"{"name":"HOG","subjects":["hog"],"storage":"file","retention":"limits"}"#;
    crate::common::api(&admin, "STREAM.CREATE.HOG", hog).await;
    for _ in 0..4 {
        admin.request("hog", vec![1; 200_000].into()).await.unwrap();
    }
    let handle = open(options([server.url().as_str()]), space("full")).await.unwrap();
    let mut stored = 0;
    let value = || Bytes::from(vec![7; 200_000]);
    let refusal = loop {
        match handle.put(&format!("k{stored}"), value(), Expected::Absent).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 100, "it is never full");
    };
    assert!(stored > 5, "{stored}");
    // Some servers say so when the others have stored it.
    assert!(
        matches!(&refusal, StoreError::Indeterminate(why) if why.contains("full")),
        "{refusal:?}"
    );
    // A tick is a message, too.
    let large = handle
        .put("large", Bytes::from(vec![8; 1024 * 1024]), Expected::Any)
        .await;
    for refusal in [large.unwrap_err(), handle.get("k0").await.unwrap_err()] {
        assert!(
            matches!(&refusal, StoreError::Unavailable(why) if why.contains("full")),
            "{refusal:?}"
        );
    }
    crate::common::api(&admin, "STREAM.DELETE.HOG", "").await;
    let listing = eventually(|| handle.list("", Revision(0))).await;
    assert_eq!(listing.entries.len(), stored);
    assert!(listing.entries.iter().all(|(_, entry)| entry.value == value()));
    handle.put("more", value(), Expected::Absent).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_values_leave_nothing_behind() {
    let server = NatsServer::start().unwrap();
    let handle = open(options([server.url().as_str()]), space("large")).await.unwrap();
    let large = |byte| Bytes::from(vec![byte; 1024 * 1024 + 64]);
    let mut last = handle.put("k", large(1), Expected::Absent).await.unwrap();
    for byte in 2..6 {
        let stale = handle.put("k", large(0), Expected::Absent).await;
        assert!(matches!(stale, Err(StoreError::Conflict(Some(_)))), "{stale:?}");
        last = handle
            .put("k", large(byte), Expected::Revision(last.revision))
            .await
            .unwrap();
    }
    // One head and its two parts.
    assert_eq!(stored_for(&server, "large").await, 3);
    let other = NatsCoordinator::open(options([server.url().as_str()]), space("large"))
        .await
        .unwrap();
    assert_eq!(other.get("k").await.unwrap().entry.unwrap().value, large(5));
    other.delete("k", Expected::Revision(last.revision)).await.unwrap();
    assert_eq!(stored_for(&server, "large").await, 1);
}

/// How many messages the stream of `namespace` holds beside ticks.
async fn stored_for(server: &NatsServer, namespace: &str) -> usize {
    let admin = crate::common::admin(&server.url()).await;
    let call = format!("STREAM.INFO.SHARDWRIGHT_{namespace}");
    let info = crate::common::api(&admin, &call, r#"{"subjects_filter":">"}"#).await;
    let subjects = info["state"]["subjects"].as_object().unwrap();
    subjects.keys().filter(|subject| !subject.contains(".t.")).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overflowing_queues_are_gaps_wherever_they_are() {
    let server = NatsServer::start().unwrap();
    let settings = NatsOptions {
        capacity_subscription: 16,
        ..options([server.url().as_str()])
    };
    let bus = open(options([server.url().as_str()]), space("small")).await.unwrap();
    let listener = open(settings, space("small")).await.unwrap();
    let mut subscription = listener.subscribe(&["t"]).await.unwrap();
    let count = 20_000_u64;
    let publisher = tokio::spawn(async move {
        for number in 0..count {
            bus.publish("t", Bytes::copy_from_slice(&number.to_be_bytes()))
                .await
                .unwrap();
        }
        bus
    });
    let (mut next, mut gap) = (0, false);
    let mut bus = None;
    let mut publisher = Some(publisher);
    while next < count {
        let batch = match tokio::time::timeout(Duration::from_millis(500), subscription.next(100)).await {
            Ok(batch) => batch.unwrap(),
            Err(_) => {
                // All has been published, and the last one was lost: one more shows it.
                if let Some(publisher) = publisher.take() {
                    bus = Some(publisher.await.unwrap());
                }
                let last = Bytes::copy_from_slice(&(count - 1).to_be_bytes());
                bus.as_ref().unwrap().publish("t", last).await.unwrap();
                continue;
            }
        };
        for delivery in batch {
            match delivery {
                Delivery::Gap { .. } => gap = true,
                Delivery::Message { payload, .. } => {
                    let number = u64::from_be_bytes(payload[..].try_into().unwrap());
                    assert!(
                        number == next || (gap && number > next) || number == count - 1,
                        "{number} came instead of {next}"
                    );
                    if number != next {
                        assert!(gap, "{next} to {number} are missing without a gap");
                    }
                    (next, gap) = (number + 1, false);
                }
            }
        }
    }
}
