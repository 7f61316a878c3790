//! Three brokers, three replicas: the contract, and the loss of a leader while others write.

use super::contract::suite;
use super::{PATIENCE, options, reopen};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use shardwright_coordinator::kafka::{KafkaCoordinator, KafkaOptions};
use shardwright_coordinator::suite::{
    Action, Effect, Operation, Seen, check_key_history, check_revisions, disturbance,
};
use shardwright_coordinator::{Bus, Delivery, Store, Subscription};
use shardwright_core::store::{Entry, Expected, Revision, StoreError};
use shardwright_servers::KafkaCluster;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

pub(super) fn replicated(cluster: &KafkaCluster) -> KafkaOptions {
    KafkaOptions {
        replication: 3,
        ..options(&cluster.addresses())
    }
}

/// Which broker leads the log of a namespace, from 0.
pub(super) fn leader(cluster: &KafkaCluster, name: &str) -> usize {
    let addresses = cluster.addresses().join(",");
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", addresses)
        .create()
        .unwrap();
    let topic = format!("shardwright.{name}.store");
    let begun = std::time::Instant::now();
    loop {
        // None, -1, while one is being elected.
        let led = consumer
            .fetch_metadata(Some(&topic), Duration::from_secs(10))
            .ok()
            .and_then(|metadata| {
                let leader = metadata.topics().first()?.partitions().first()?.leader();
                usize::try_from(leader).ok()?.checked_sub(1)
            });
        if let Some(leader) = led {
            return leader;
        }
        assert!(begun.elapsed() < PATIENCE, "nobody leads {topic}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[derive(Clone, Default)]
struct Clock(Arc<AtomicU64>);

impl Clock {
    fn tick(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

fn seen(entry: Option<&Entry<bytes::Bytes>>) -> Seen {
    entry.map(|entry| (entry.revision, String::from_utf8_lossy(&entry.value).parse().unwrap()))
}

/// Does one thing and says what happened; nothing if it certainly did not happen.
async fn record(store: &KafkaCoordinator, clock: &Clock, key: &str, action: Action) -> Option<Operation> {
    let call = clock.tick();
    let answer = match action {
        Action::Get => store
            .get(key)
            .await
            .map(|reading| Effect::Read(seen(reading.entry.as_ref()))),
        Action::Put(value, expected) => {
            let written = store.put(key, value.to_string().into(), expected).await;
            written.map(|written| Effect::Written(written.revision))
        }
        Action::Delete(expected) => store
            .delete(key, expected)
            .await
            .map(|written| Effect::Written(written.revision)),
    };
    let (effect, back) = match answer {
        Ok(effect) => (effect, clock.tick()),
        Err(StoreError::Conflict(entry)) => (Effect::Conflict(seen(entry.as_ref())), clock.tick()),
        Err(StoreError::Indeterminate(_)) => (Effect::Unknown, u64::MAX),
        Err(StoreError::Unavailable(_)) => {
            tokio::time::sleep(Duration::from_millis(50)).await;
            return None;
        }
        Err(error) => panic!("{error}"),
    };
    Some(Operation {
        call,
        back,
        action,
        effect,
    })
}

/// Compares and sets one of three keys again and again until it is told to stop.
async fn contend(
    store: Arc<KafkaCoordinator>,
    clock: Clock,
    writer: u64,
    stop: Arc<AtomicBool>,
) -> Vec<(u64, Operation)> {
    let mut history = Vec::new();
    for round in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        // Not faster than a history can be searched for an order.
        tokio::time::sleep(Duration::from_millis(30)).await;
        let key = (writer + round) % 3;
        let name = format!("k{key}");
        let read = record(&store, &clock, &name, Action::Get).await;
        history.extend(read.map(|read| (key, read)));
        let Some(Effect::Read(there)) = read.map(|read| read.effect) else {
            continue;
        };
        let expected = there.map_or(Expected::Absent, |(revision, _)| Expected::Revision(revision));
        let write = record(&store, &clock, &name, Action::Put(writer * 1_000_000 + round, expected)).await;
        history.extend(write.map(|write| (key, write)));
    }
    history
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn three_brokers() {
    let cluster = Arc::new(KafkaCluster::start().unwrap());
    let options = replicated(&cluster);
    let disturbed = cluster.clone();
    let restart = disturbance(move || {
        disturbed.node(0).kill().unwrap();
        disturbed.node(0).start_again().unwrap();
    });
    suite(options.clone(), Some(restart)).await;

    // Twice the leader is lost while four handles write.
    let (clock, stop) = (Clock::default(), Arc::new(AtomicBool::new(false)));
    let mut writers = JoinSet::new();
    for writer in 1..=4 {
        let store = reopen(&options, "failover").await;
        writers.spawn(contend(store, clock.clone(), writer, stop.clone()));
    }
    let watcher = reopen(&options, "failover").await;
    let mut subscription = watcher.subscribe(&["t"]).await.unwrap();
    for round in 0..2 {
        progress(&watcher, 20).await;
        let lost = leader(&cluster, "failover");
        cluster.node(lost).kill().unwrap();
        progress(&watcher, 20).await;
        let text = format!("after the loss of {lost} in round {round}");
        timeout(PATIENCE, async {
            loop {
                let _ = watcher.publish("t", text.clone().into()).await;
                while let Ok(batch) = timeout(Duration::from_millis(500), subscription.next(100)).await {
                    let mut heard = batch.unwrap().into_iter();
                    if heard.any(|delivery| matches!(delivery, Delivery::Message { payload, .. } if payload == text)) {
                        return;
                    }
                }
            }
        })
        .await
        .unwrap();
        if round == 0 {
            quiet(&mut *subscription).await;
        }
        cluster.node(lost).start_again().unwrap();
    }
    stop.store(true, Ordering::SeqCst);
    let mut histories: BTreeMap<u64, Vec<Operation>> = BTreeMap::new();
    while let Some(done) = writers.join_next().await {
        for (key, operation) in done.unwrap() {
            histories.entry(key).or_default().push(operation);
        }
    }
    let fresh = reopen(&options, "failover").await;
    for (key, history) in &mut histories {
        // The last word: what a new handle finds must explain everything that was answered before.
        history.extend(record(&fresh, &clock, &format!("k{key}"), Action::Get).await);
    }
    let all: Vec<Operation> = histories.values().flatten().copied().collect();
    // The search goes as deep as a history is long.
    let search = std::thread::Builder::new().stack_size(1 << 30).spawn(move || {
        for (key, history) in histories {
            check_key_history(&history).unwrap_or_else(|flaw| panic!("key {key}: {flaw}"));
        }
    });
    search.unwrap().join().unwrap();
    check_revisions(&all).unwrap();
    let written = all
        .iter()
        .filter(|operation| matches!(operation.effect, Effect::Written(_)))
        .count();
    assert!(written >= 80, "{written} writes");
}

/// Whoever knows that a broker is away is not told of it again and again: after a few gaps at most there is none for
/// ten seconds.
async fn quiet(subscription: &mut dyn Subscription) {
    let (mut gaps, mut until) = (0, Instant::now() + Duration::from_secs(10));
    while let Ok(batch) = timeout_at(until, subscription.next(100)).await {
        if batch
            .unwrap()
            .iter()
            .any(|delivery| matches!(delivery, Delivery::Gap { .. }))
        {
            // More than one is no fault on a machine that is too busy to answer in time.
            (gaps, until) = (gaps + 1, Instant::now() + Duration::from_secs(10));
        }
        assert!(gaps <= 5, "{gaps} gaps, each within ten seconds of the one before");
    }
}

/// Waits until the writers have got on.
async fn progress(watcher: &KafkaCoordinator, writes: usize) {
    let (mut last, mut seen) = (Revision(0), 0);
    let got_on = async {
        while seen < writes {
            if let Ok(listing) = watcher.list("k", last).await {
                seen += listing.entries.len();
                last = listing.revision;
            }
        }
    };
    timeout(PATIENCE, got_on).await.unwrap();
}
