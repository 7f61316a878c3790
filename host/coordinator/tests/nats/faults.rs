//! What happens when the server, the link or an administrator gets in the way.

use crate::common::{eventually, open, options, put, space};
use bytes::Bytes;
use futures_util::FutureExt;
use shardwright_coordinator::nats::{NatsCoordinator, NatsOptions};
use shardwright_coordinator::{Coordinator, Delivery, Store, Subscription, protect};
use shardwright_core::store::{Expected, Revision, StoreError};
use shardwright_servers::{NatsServer, Proxy};
use std::time::{Duration, Instant};

/// Waits for a gap, and checks that nothing comes before it.
async fn expect_gap(subscription: &mut dyn Subscription) {
    let first = tokio::time::timeout(Duration::from_secs(60), subscription.next(1))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(first, [Delivery::Gap { lost: 0 }]);
}

/// Publishes until something of it arrives: the bus works in both directions.
async fn expect_bus(bus: &dyn Coordinator, subscription: &mut dyn Subscription) {
    loop {
        let _ = bus.publish("t", Bytes::from_static(b"hello")).await;
        if let Ok(batch) = tokio::time::timeout(Duration::from_millis(500), subscription.next(1)).await {
            assert!(matches!(&batch.unwrap()[..], [Delivery::Message { .. }]));
            return;
        }
    }
}

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
async fn an_answer_that_never_came_is_read_back() {
    let server = NatsServer::start().unwrap();
    let proxy = Proxy::to(server.port()).unwrap();
    let address = format!("nats://127.0.0.1:{}", proxy.port());
    let handle = open(options([address.as_str()]), space("swallow")).await.unwrap();
    let witness = open(options([server.url().as_str()]), space("swallow")).await.unwrap();
    proxy.swallow_answers(true);
    let (outcome, ()) = tokio::join!(handle.put("k", Bytes::from_static(b"v"), Expected::Absent), async {
        // It was done; only the answer is missing.
        while witness.get("k").await.unwrap().entry.is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::task::block_in_place(|| proxy.cut());
    });
    assert!(matches!(outcome, Err(StoreError::Indeterminate(_))), "{outcome:?}");
    let outcome = handle.put("k", Bytes::from_static(b"w"), Expected::Any).await;
    assert!(
        matches!(outcome, Err(StoreError::Unavailable(_))),
        "nothing can be sent: {outcome:?}"
    );
    proxy.swallow_answers(false);
    proxy.heal().unwrap();
    let entry = eventually(|| handle.get("k")).await.entry.unwrap();
    assert_eq!(entry.value, "v");
}

/// On threads of its own, so that what they use of the processors is not what other tests use.
#[test]
fn a_cut_link_fails_fast_and_heals() {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).thread_name(CUT).enable_all().build().unwrap();
    runtime.block_on(cut_and_healed());
}

const CUT: &str = "cut-link";

async fn cut_and_healed() {
    let server = NatsServer::start().unwrap();
    let proxy = Proxy::to(server.port()).unwrap();
    let address = format!("nats://127.0.0.1:{}", proxy.port());
    let handle = open(options([address.as_str()]), space("cut")).await.unwrap();
    let mut subscription = handle.subscribe(&["t"]).await.unwrap();
    let written = put(&*handle, "k", "v").await;
    let (attempts, spent) = (proxy.connections(), cpu_time());
    proxy.cut();
    let begun = Instant::now();
    for _ in 0..20 {
        // Of the twenty seconds that a call may take, a quarter at most.
        let refused = tokio::time::timeout(Duration::from_secs(5), handle.get("k"))
            .await
            .expect("calls do not hang");
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let (cut, used) = (begun.elapsed(), cpu_time() - spent);
    assert!(used < cut / 2, "busy while the link was cut: {used:?} of {cut:?}");
    proxy.heal().unwrap();
    let reading = eventually(|| handle.get("k")).await;
    assert_eq!(reading.entry.unwrap().revision, written.revision);
    assert!(
        proxy.connections() - attempts < 10,
        "{} connections",
        proxy.connections() - attempts
    );
    expect_gap(&mut *subscription).await;
    expect_bus(&*handle, &mut *subscription).await;
}

/// What the threads of that name have used of the processors.
fn cpu_time() -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let ticks = threads.filter_map(|thread| {
        let usage = std::fs::read_to_string(thread.path().join("stat")).ok()?;
        let (name, rest) = usage.rsplit_once(')')?;
        let fields: Vec<_> = rest.split_whitespace().collect();
        let used = fields[11].parse::<u64>().ok()? + fields[12].parse::<u64>().ok()?;
        name.ends_with(CUT).then_some(used)
    });
    Duration::from_millis(ticks.sum::<u64>() * 10)
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
async fn a_slow_link_is_only_slow() {
    let server = NatsServer::start().unwrap();
    let proxy = Proxy::to(server.port()).unwrap();
    proxy.delay(Duration::from_millis(200));
    let address = format!("nats://127.0.0.1:{}", proxy.port());
    let far = open(options([address.as_str()]), space("slow")).await.unwrap();
    let near = open(options([server.url().as_str()]), space("slow")).await.unwrap();
    let mut subscription = far.subscribe(&["t"]).await.unwrap();
    let mut last = put(&*far, "k", "0").await;
    for round in 1..4 {
        let read = near.get("k").await.unwrap().entry.unwrap();
        assert_eq!(read.revision, last.revision);
        let mine = near
            .put(
                "k",
                Bytes::from(format!("near {round}")),
                Expected::Revision(last.revision),
            )
            .await
            .unwrap();
        let stale = far
            .put("k", Bytes::from_static(b"late"), Expected::Revision(last.revision))
            .await;
        let Err(StoreError::Conflict(Some(found))) = stale else {
            panic!("{stale:?}")
        };
        assert_eq!(found.revision, mine.revision);
        last = far
            .put(
                "k",
                Bytes::from(format!("far {round}")),
                Expected::Revision(mine.revision),
            )
            .await
            .unwrap();
        assert!(last.now >= mine.now);
    }
    near.publish("t", Bytes::from_static(b"hello")).await.unwrap();
    assert!(matches!(
        &subscription.next(1).await.unwrap()[..],
        [Delivery::Message { .. }]
    ));
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
