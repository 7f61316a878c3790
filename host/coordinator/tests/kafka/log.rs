//! The log of the store: what a read sees, how it is kept short, and which topics are refused.

use super::{PATIENCE, open, options, reopen, shared, sleeper};
use bytes::Bytes;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{FutureProducer, FutureRecord};
use shardwright_coordinator::broker::BrokerError;
use shardwright_coordinator::kafka::KafkaCoordinator;
use shardwright_coordinator::{Bus, BusError, Coordinator, Store, Verdict};
use shardwright_core::store::{Expected, Revision, StoreError};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

fn admin(address: &str) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", address).create().unwrap()
}

/// The first offset of a namespace's log, and the one after its last; `None` if there is no such topic.
async fn range(address: &str, name: &str) -> Option<(i64, i64)> {
    let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", address).create().unwrap();
    let topic = format!("shardwright.{name}.store");
    let asked = tokio::task::spawn_blocking(move || {
        let metadata = consumer.fetch_metadata(Some(&topic), Duration::from_secs(10)).unwrap();
        let missing =
            metadata.topics()[0].error().map(RDKafkaErrorCode::from) == Some(RDKafkaErrorCode::UnknownTopicOrPartition);
        (!missing).then(|| consumer.fetch_watermarks(&topic, 0, Duration::from_secs(10)).unwrap())
    });
    asked.await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_read_sees_what_was_acknowledged_before_it_began() {
    let server = shared();
    let options = options(&[server.address()]);
    let acknowledged = Arc::new(AtomicU64::new(0));
    let writer = reopen(&options, "reads").await;
    let mut readers = JoinSet::new();
    for _ in 0..3 {
        let (reader, acknowledged) = (reopen(&options, "reads").await, acknowledged.clone());
        for _ in 0..4 {
            let (reader, acknowledged) = (reader.clone(), acknowledged.clone());
            readers.spawn(async move {
                loop {
                    let least = acknowledged.load(Ordering::SeqCst);
                    let value = reader.get("k").await.unwrap().entry.map(|entry| entry.value);
                    let value: u64 = value.map_or(0, |value| String::from_utf8_lossy(&value).parse().unwrap());
                    assert!(value >= least, "read {value} after {least} was acknowledged");
                    if value == 300 {
                        return;
                    }
                }
            });
        }
    }
    for value in 1..=300_u64 {
        writer.put("k", value.to_string().into(), Expected::Any).await.unwrap();
        acknowledged.store(value, Ordering::SeqCst);
    }
    while let Some(done) = readers.join_next().await {
        done.unwrap();
    }
}

/// Writes `bytes` in all to a few keys, 16 at a time.
async fn fill(store: &Arc<KafkaCoordinator>, bytes: usize) {
    let mut writers = JoinSet::new();
    for lane in 0..16 {
        let store = store.clone();
        writers.spawn(async move {
            for i in 0..bytes / 16 / 10_000 {
                let value = Bytes::from(vec![b'x'; 10_000]);
                store
                    .put(&format!("k{lane}/{}", i % 5), value, Expected::Any)
                    .await
                    .unwrap();
            }
        });
    }
    while let Some(done) = writers.join_next().await {
        done.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_log_is_cut_off_and_says_the_same_from_there() {
    let server = shared();
    let (address, options) = (server.address(), options(&[server.address()]));
    let (one, two) = (reopen(&options, "cut").await, reopen(&options, "cut").await);
    // One that sleeps through it all.
    let (runtime, sleeper) = sleeper(&options, "cut", "sleeper", "here");
    let mut lows = Vec::new();
    for _ in 0..4 {
        fill(&one, 8_000_000).await;
        fill(&two, 8_000_000).await;
        // Two snapshots and what was written since: of 1600 records in each round. The last cut may be under way still.
        let begun = Instant::now();
        loop {
            let (low, high) = range(&address, "cut").await.unwrap();
            if high - low < 1600 {
                lows.push(low);
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "{} records are left", high - low);
            // A snapshot that could not be written in time is made up for by the next, one period of writes later.
            if begun.elapsed() > Duration::from_secs(10) {
                fill(&one, 1_000_000).await;
            }
        }
    }
    assert!(lows.is_sorted() && lows[0] > 0, "{lows:?}");
    let expected = one.list("", Revision(0)).await.unwrap().entries;
    assert_eq!(expected.len(), 81);
    assert_eq!(two.list("", Revision(0)).await.unwrap().entries, expected);
    let fresh = reopen(&options, "cut").await;
    assert_eq!(fresh.list("", Revision(0)).await.unwrap().entries, expected);
    // What it was reading is gone, but not its history.
    let woken = std::thread::spawn(move || {
        let begun = Instant::now();
        let listing = loop {
            match runtime.block_on(sleeper.list("", Revision(0))) {
                Ok(listing) => break listing.entries,
                Err(StoreError::Unavailable(_)) if begun.elapsed() < PATIENCE => {}
                Err(error) => panic!("{error}"),
            }
        };
        runtime
            .block_on(sleeper.put("sleeper", "awake".into(), Expected::Any))
            .unwrap();
        listing
    });
    assert_eq!(woken.join().unwrap(), expected);
}

async fn throw_in(address: &str, topic: &str) {
    let stranger: FutureProducer = ClientConfig::new().set("bootstrap.servers", address).create().unwrap();
    for junk in ["", "junk", "SW", "SW\u{1}\u{ff}"] {
        let record = FutureRecord::<str, str>::to(topic).partition(0).payload(junk);
        stranger.send(record, Duration::from_secs(10)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_in_the_log_do_no_harm() {
    let server = shared();
    let (address, options) = (server.address(), options(&[server.address()]));
    let store = reopen(&options, "junk").await;
    let written = store.put("k", "v".into(), Expected::Absent).await.unwrap();
    throw_in(&address, "shardwright.junk.store").await;
    throw_in(&address, "shardwright.junk.bus").await;
    let entry = store.get("k").await.unwrap().entry.unwrap();
    assert_eq!((entry.revision, &entry.value[..]), (written.revision, &b"v"[..]));
    assert!(
        store
            .put("k", "w".into(), Expected::Revision(entry.revision))
            .await
            .is_ok()
    );
    assert_eq!(
        reopen(&options, "junk")
            .await
            .get("k")
            .await
            .unwrap()
            .entry
            .unwrap()
            .value,
        "w"
    );
    // Nor do those who were there first: handles to a log that was deleted may still write when it is made again.
    make(&address, "shardwright.first.store", 1, GOOD).await;
    throw_in(&address, "shardwright.first.store").await;
    let store = reopen(&options, "first").await;
    store.put("k", "v".into(), Expected::Absent).await.unwrap();
    assert!(reopen(&options, "first").await.get("k").await.unwrap().entry.is_some());
}

const GOOD: [(&str, &str); 7] = [
    ("cleanup.policy", "delete"),
    ("retention.ms", "-1"),
    ("retention.bytes", "-1"),
    ("message.timestamp.type", "LogAppendTime"),
    ("unclean.leader.election.enable", "false"),
    ("max.message.bytes", "3000000"),
    ("compression.type", "producer"),
];

async fn make(address: &str, topic: &str, partitions: i32, settings: [(&str, &str); 7]) {
    let made = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    let made = settings
        .into_iter()
        .fold(made, |made, (name, value)| made.set(name, value));
    let made = admin(address)
        .create_topics([&made], &AdminOptions::new())
        .await
        .unwrap();
    assert!(made[0].is_ok(), "{made:?}");
}

/// The broker of this test makes topics that somebody asks for; ours are not to come into being that way.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_topic_is_a_lost_history_and_does_not_come_back_by_itself() {
    let server = shared();
    let (address, options) = (server.address(), options(&[server.address()]));
    let store = reopen(&options, "deleted").await;
    store.put("k", "v".into(), Expected::Absent).await.unwrap();
    let gone = admin(&address)
        .delete_topics(&["shardwright.deleted.store"], &AdminOptions::new())
        .await
        .unwrap();
    assert!(gone[0].is_ok(), "{gone:?}");
    let begun = Instant::now();
    let error = loop {
        match store.get("k").await {
            Err(StoreError::Unavailable(_)) | Ok(_) if begun.elapsed() < PATIENCE => {}
            Err(error) => break error,
            Ok(reading) => panic!("{reading:?}"),
        }
    };
    assert!(matches!(error, StoreError::HistoryLost(_)), "{error}");
    assert_eq!(range(&address, "deleted").await, None);
    let fresh = reopen(&options, "deleted").await;
    assert_eq!(fresh.get("k").await.unwrap().entry, None);
    assert!(matches!(
        store.put("k", "x".into(), Expected::Any).await,
        Err(StoreError::HistoryLost(_))
    ));
    fresh.publish("t", Bytes::new()).await.unwrap();
    fresh.erase().await.unwrap();
    assert_eq!(range(&address, "deleted").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_that_are_not_safe_are_refused() {
    let server = shared();
    let address = server.address();
    let bad = [
        ("cleanup.policy", "compact"),
        ("retention.ms", "604800000"),
        ("retention.bytes", "1000000000"),
        ("message.timestamp.type", "CreateTime"),
        ("unclean.leader.election.enable", "true"),
        ("max.message.bytes", "1048588"),
        ("compression.type", "zstd"),
        ("partitions", "2"),
    ];
    for (i, (setting, value)) in bad.into_iter().enumerate() {
        let (name, partitions) = (format!("unsafe-{i}"), if setting == "partitions" { 2 } else { 1 });
        let settings = GOOD.map(|(name, good)| (name, if name == setting { value } else { good }));
        make(&address, &format!("shardwright.{name}.store"), partitions, settings).await;
        let Err(error) = open(&options(std::slice::from_ref(&address)), &name).await else {
            panic!("{setting}={value} was accepted")
        };
        assert!(matches!(&error, BrokerError::Unsafe { .. }), "{error:?}");
        assert!(error.to_string().contains(setting), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_replicas_than_brokers_are_asked_for_again() {
    let server = shared();
    let three = shardwright_coordinator::kafka::KafkaOptions {
        replication: 3,
        ..options(&[server.address()])
    };
    let Err(error) = open(&three, "three").await else {
        panic!("one broker made three replicas")
    };
    assert!(
        error.is_transient() && error.to_string().contains("replication"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_finds_what_could_be_better() {
    let server = shared();
    let options = options(&[server.address()]);
    let store = reopen(&options, "doctor").await;
    let found = store.examine().await;
    assert!(
        found.iter().all(|finding| finding.verdict == Verdict::Good),
        "{found:#?}"
    );
    for name in [
        "replicas",
        "topic of the store",
        "log",
        "clock",
        "store round trip",
        "bus round trip",
    ] {
        assert!(
            found.iter().any(|finding| finding.name == name),
            "nothing about {name} in {found:#?}"
        );
    }
    let topic = "shardwright.doctor.store";
    let change = AlterConfig::new(ResourceSpecifier::Topic(topic)).set("cleanup.policy", "compact");
    let changed = admin(&server.address())
        .alter_configs([&change], &AdminOptions::new())
        .await
        .unwrap();
    assert!(changed[0].is_ok(), "{changed:?}");
    let found = store.examine().await;
    let bad: Vec<_> = found.iter().filter(|finding| finding.verdict == Verdict::Bad).collect();
    assert!(
        bad.iter().any(|finding| finding.detail.contains("cleanup.policy")),
        "{found:#?}"
    );
    assert!(bad.iter().all(|finding| finding.remedy.is_some()), "{bad:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handle_that_is_dropped_ends_its_subscriptions() {
    let server = shared();
    let store = reopen(&options(&[server.address()]), "dropped").await;
    let mut subscription = store.subscribe(&["t"]).await.unwrap();
    drop(store);
    let over = tokio::time::timeout(PATIENCE, subscription.next(1)).await.unwrap();
    assert_eq!(over, Err(BusError::Closed));
}
