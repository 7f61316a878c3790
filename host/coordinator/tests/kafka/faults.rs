//! What becomes of a handle when the broker or the way to it fails.

use super::{PATIENCE, open, options, pause, reopen, sleeper, write};
use shardwright_coordinator::kafka::{KafkaCoordinator, KafkaOptions};
use shardwright_coordinator::{Bus, BusError, Delivery, Store, Subscription};
use shardwright_core::store::{Expected, Revision, StoreError};
use shardwright_servers::KafkaServer;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout;

type Coordinator = Arc<KafkaCoordinator>;

async fn proxied(name: &str) -> (KafkaServer, KafkaOptions, Coordinator) {
    let server = KafkaServer::builder().proxied().start().unwrap();
    let options = KafkaOptions {
        timeout_message: Duration::from_secs(2),
        ..options(&[server.address()])
    };
    let store = reopen(&options, name).await;
    (server, options, store)
}

/// Reads as soon as that is possible again, unless the history is lost.
async fn read(store: &KafkaCoordinator, key: &str) -> Result<Option<String>, StoreError<bytes::Bytes>> {
    let begun = Instant::now();
    loop {
        match store.get(key).await {
            Ok(reading) => {
                return Ok(reading
                    .entry
                    .map(|entry| String::from_utf8_lossy(&entry.value).into_owned()));
            }
            Err(StoreError::Unavailable(_)) if begun.elapsed() < PATIENCE => pause().await,
            Err(error) => return Err(error),
        }
    }
}

/// Publishes until `subscription` hears of it; says whether a gap came first.
async fn heard(bus: &KafkaCoordinator, subscription: &mut dyn Subscription, text: &'static str) -> bool {
    let (begun, mut gap) = (Instant::now(), false);
    loop {
        assert!(begun.elapsed() < PATIENCE, "nothing is heard");
        let _: Result<(), BusError> = bus.publish("t", text.into()).await;
        while let Ok(batch) = timeout(Duration::from_millis(500), subscription.next(100)).await {
            for delivery in batch.unwrap() {
                match delivery {
                    Delivery::Message { payload, .. } if payload == text => return gap,
                    Delivery::Message { .. } => {}
                    Delivery::Gap { .. } => gap = true,
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_swallowed_leaves_a_riddle_that_can_be_read() {
    let (server, options, store) = proxied("riddle").await;
    let first = write(&store, "k", "first").await;
    server.proxy().swallow_answers(true);
    let begun = Instant::now();
    let outcome = store
        .put("k", "second".into(), Expected::Revision(first.revision))
        .await;
    assert!(matches!(outcome, Err(StoreError::Indeterminate(_))), "{outcome:?}");
    assert!(begun.elapsed() < 4 * options.timeout_message, "{:?}", begun.elapsed());
    // From now on it is known to be away: nothing is sent, so nothing is a riddle.
    let outcome = store.put("k", "third".into(), Expected::Any).await;
    assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    assert!(matches!(store.get("k").await, Err(StoreError::Unavailable(_))));
    server.proxy().cut();
    server.proxy().swallow_answers(false);
    server.proxy().heal().unwrap();
    assert_eq!(read(&store, "k").await.unwrap().as_deref(), Some("second"));
    assert_eq!(
        read(&*reopen(&options, "riddle").await, "k").await.unwrap().as_deref(),
        Some("second")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_broker_has_everything() {
    let (server, _, store) = proxied("restart").await;
    let mut subscription = store.subscribe(&["t"]).await.unwrap();
    heard(&store, &mut *subscription, "hello").await;
    let mut last = write(&store, "k", "before").await;
    for hard in [true, false] {
        if hard { server.kill() } else { server.stop() }.unwrap();
        let outcome = store.put("k", "while away".into(), Expected::Absent).await;
        assert!(
            matches!(outcome, Err(StoreError::Indeterminate(_) | StoreError::Unavailable(_))),
            "{outcome:?}"
        );
        server.start_again().unwrap();
        assert_eq!(read(&store, "k").await.unwrap().as_deref(), Some("before"));
        let next = write(&store, "k", "before").await;
        assert!(next.revision > last.revision);
        assert!(next.now >= last.now);
        assert!(
            heard(&store, &mut *subscription, if hard { "one" } else { "two" }).await,
            "no gap was told"
        );
        last = next;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_broker_has_lost_its_history() {
    let (server, options, store) = proxied("wiped").await;
    write(&store, "k", "before").await;
    server.kill().unwrap();
    server.wipe().unwrap();
    server.start_again().unwrap();
    let lost = read(&store, "k").await;
    assert!(matches!(lost, Err(StoreError::HistoryLost(_))), "{lost:?}");
    let fresh = reopen(&options, "wiped").await;
    assert_eq!(read(&fresh, "k").await, Ok(None));
    write(&fresh, "k", "after").await;
    // For good.
    for outcome in [
        store.put("k", "x".into(), Expected::Any).await,
        store.delete("k", Expected::Any).await,
    ] {
        assert!(matches!(outcome, Err(StoreError::HistoryLost(_))), "{outcome:?}");
    }
    assert!(matches!(
        store.list("", Revision(0)).await,
        Err(StoreError::HistoryLost(_))
    ));
    assert_eq!(read(&fresh, "k").await.unwrap().as_deref(), Some("after"));
}

/// A broker that was restored from an older copy of its data lacks what was acknowledged since.
#[tokio::test(flavor = "multi_thread")]
async fn a_restored_broker_has_lost_its_history() {
    let (server, options, store) = proxied("restored").await;
    write(&store, "k", "before").await;
    server.stop().unwrap();
    let copy = tempfile::tempdir().unwrap();
    copy_folder(&server.data_folder(), copy.path());
    server.start_again().unwrap();
    write(&store, "k", "lost").await;
    server.kill().unwrap();
    server.wipe().unwrap();
    copy_folder(copy.path(), &server.data_folder());
    server.start_again().unwrap();
    let lost = read(&store, "k").await;
    assert!(matches!(lost, Err(StoreError::HistoryLost(_))), "{lost:?}");
    let fresh = reopen(&options, "restored").await;
    assert_eq!(read(&fresh, "k").await.unwrap().as_deref(), Some("before"));
}

/// The same, when the log has grown past what the old handle knew before that handle looks again.
#[tokio::test(flavor = "multi_thread")]
async fn a_restored_broker_that_went_on_has_lost_its_history() {
    let server = KafkaServer::start().unwrap();
    let options = options(&[server.address()]);
    let first = reopen(&options, "went-on").await;
    write(&first, "k", "before").await;
    server.stop().unwrap();
    let copy = tempfile::tempdir().unwrap();
    copy_folder(&server.data_folder(), copy.path());
    server.start_again().unwrap();
    drop(first);
    let (runtime, sleeper) = sleeper(&options, "went-on", "k", "lost");
    server.kill().unwrap();
    server.wipe().unwrap();
    copy_folder(copy.path(), &server.data_folder());
    server.start_again().unwrap();
    let fresh = reopen(&options, "went-on").await;
    for _ in 0..50 {
        write(&fresh, "k", "since").await;
    }
    let lost = std::thread::spawn(move || runtime.block_on(read(&sleeper, "k")))
        .join()
        .unwrap();
    assert!(matches!(lost, Err(StoreError::HistoryLost(_))), "{lost:?}");
    assert_eq!(read(&fresh, "k").await.unwrap().as_deref(), Some("since"));
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_cut_and_slow_is_survived() {
    let (server, options, store) = proxied("link").await;
    let other = reopen(&options, "link").await;
    let mut subscription = store.subscribe(&["t"]).await.unwrap();
    heard(&other, &mut *subscription, "hello").await;
    let before = write(&store, "k", "before").await;
    server.proxy().cut();
    for _ in 0..2 {
        let asked = Instant::now();
        assert!(matches!(store.get("k").await, Err(StoreError::Unavailable(_))));
        assert!(asked.elapsed() < 4 * options.timeout_message, "{:?}", asked.elapsed());
        assert!(store.publish("t", "lost".into()).await.is_err());
        pause().await;
    }
    server.proxy().heal().unwrap();
    assert_eq!(read(&store, "k").await.unwrap().as_deref(), Some("before"));
    assert!(heard(&other, &mut *subscription, "back").await, "no gap was told");
    server.proxy().delay(Duration::from_millis(200));
    let slow = write(&store, "k", "slow").await;
    assert!(slow.revision > before.revision);
    assert_eq!(read(&other, "k").await.unwrap().as_deref(), Some("slow"));
    let outcome = other.put("k", "late".into(), Expected::Revision(before.revision)).await;
    assert!(matches!(outcome, Err(StoreError::Conflict(Some(_)))), "{outcome:?}");
    heard(&other, &mut *subscription, "slow").await;
}

/// A frozen broker, too, is noticed, and found again.
#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_broker_is_not_waited_for() {
    let (server, options, store) = proxied("frozen").await;
    write(&store, "k", "before").await;
    server.pause().unwrap();
    let begun = Instant::now();
    assert!(matches!(store.get("k").await, Err(StoreError::Unavailable(_))));
    assert!(begun.elapsed() < 4 * options.timeout_message, "{:?}", begun.elapsed());
    server.resume().unwrap();
    assert_eq!(read(&store, "k").await.unwrap().as_deref(), Some("before"));
}

/// While there is no broker, it is looked for in peace.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_no_busy_loop() {
    let (server, _, store) = proxied("outage").await;
    let _subscription = store.subscribe(&["t"]).await.unwrap();
    write(&store, "k", "before").await;
    server.kill().unwrap();
    assert!(store.get("k").await.is_err());
    let before = server.proxy().connections();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let tries = server.proxy().connections() - before;
    assert!((1..=25).contains(&tries), "{tries} connections in three seconds");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_is_said_at_once() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let begun = Instant::now();
    let Err(error) = open(&options(&[free.to_string()]), "nobody").await else {
        panic!("somebody was there")
    };
    assert!(
        error.is_transient() && error.to_string().contains(&free.to_string()),
        "{error}"
    );
    assert!(begun.elapsed() < PATIENCE);
}
