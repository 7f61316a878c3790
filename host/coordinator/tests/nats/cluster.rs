//! A cluster of three: never two winners, and nothing acknowledged is forgotten when a server is killed.

use crate::common::{eventually, open, options, space};
use bytes::Bytes;
use shardwright_coordinator::nats::NatsOptions;
use shardwright_coordinator::{Coordinator, Delivery};
use shardwright_core::store::{Expected, Revision, StoreError, Written};
use shardwright_servers::{NatsCluster, NatsServer};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

fn settings(cluster: &NatsCluster) -> NatsOptions {
    let urls = cluster.urls();
    NatsOptions {
        replicas: 3,
        ..options(urls.iter().map(String::as_str))
    }
}

/// One handle connected to each of the servers.
async fn one_at_each(cluster: &NatsCluster, name: &str) -> Vec<Arc<dyn Coordinator>> {
    let mut handles = Vec::new();
    for url in cluster.urls() {
        let settings = NatsOptions {
            replicas: 3,
            ..options([url.as_str()])
        };
        handles.push(open(settings, space(name)).await.unwrap());
    }
    handles
}

/// Nine writers at three servers expect the same revision, again and again.
async fn one_winner(cluster: NatsCluster, rounds: u32) {
    let handles = one_at_each(&cluster, "winner").await;
    let mut last = written(&*handles[0], "k", "begin").await.revision;
    for round in 0..rounds {
        let (mut writers, start) = (JoinSet::new(), Arc::new(Barrier::new(9)));
        // Half of the rounds begin with no entry.
        let expected = if round % 2 == 0 {
            Expected::Revision(last)
        } else {
            removed(&*handles[0], "k").await;
            Expected::Absent
        };
        for writer in 0..9 {
            let (handle, start) = (handles[writer % 3].clone(), start.clone());
            writers.spawn(async move {
                start.wait().await;
                win(&*handle, "k", format!("{round} {writer}").into(), expected).await
            });
        }
        let mut winners = Vec::new();
        while let Some(outcome) = writers.join_next().await {
            winners.extend(outcome.unwrap());
        }
        assert_eq!(winners.len(), 1, "round {round}: {winners:?}");
        assert!(winners[0] > last);
        last = winners[0];
        for handle in &handles {
            assert_eq!(eventually(|| handle.get("k")).await.entry.unwrap().revision, last);
        }
    }
}

/// Stores `value` under `key`, whatever is there, and whatever becomes of the first tries.
async fn written(handle: &dyn Coordinator, key: &str, value: &'static str) -> Written {
    let value = Bytes::from_static(value.as_bytes());
    eventually(|| async { again(handle.put(key, value.clone(), Expected::Any).await) }).await
}

/// Removes what is under `key`.
async fn removed(handle: &dyn Coordinator, key: &str) {
    eventually(|| async { again(handle.delete(key, Expected::Any).await) }).await;
}

/// To whoever does it again anyway, it is no matter whether it was done.
fn again<T>(outcome: Result<T, StoreError<Bytes>>) -> Result<T, StoreError<Bytes>> {
    outcome.map_err(|error| match error {
        StoreError::Indeterminate(why) => StoreError::Unavailable(why),
        other => other,
    })
}

/// Tries to be the one who finds what it expects, also while another server is elected, as may happen at any time on a
/// busy machine. `value` is nobody else's. The revision if it was.
async fn win(handle: &dyn Coordinator, key: &str, value: Bytes, expected: Expected) -> Option<Revision> {
    let begun = Instant::now();
    loop {
        match handle.put(key, value.clone(), expected).await {
            Ok(written) => return Some(written.revision),
            // An outcome that was not known was this.
            Err(StoreError::Conflict(Some(entry))) => return (entry.value == value).then_some(entry.revision),
            Err(StoreError::Unavailable(_) | StoreError::Indeterminate(_))
                if begun.elapsed() < Duration::from_secs(60) =>
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn never_two_winners() {
    one_winner(NatsCluster::start().unwrap(), 100).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn never_two_winners_on_old_servers() {
    one_winner(NatsCluster::old().unwrap(), 100).await;
}

/// The server that leads the stream of `namespace`.
async fn leader<'a>(cluster: &'a NatsCluster, namespace: &str) -> &'a NatsServer {
    loop {
        let running = cluster.nodes().find(|node| node.is_running()).unwrap();
        let info = crate::common::info(&running.url(), namespace).await;
        if let Some(name) = info["cluster"]["leader"].as_str() {
            return cluster.node(name.strip_prefix("node-").unwrap().parse().unwrap());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Increments its counter by compare-and-set until told to stop; returns the last acknowledged revision and value.
async fn count(handle: Arc<dyn Coordinator>, key: String, stop: Arc<AtomicBool>) -> (u64, Revision) {
    let mut acknowledged = 0;
    let first = win(&*handle, &key, Bytes::from_static(b"0"), Expected::Absent).await;
    let mut at = first.expect("nobody else writes this key");
    while !stop.load(Ordering::Relaxed) {
        let value = Bytes::from((acknowledged + 1).to_string());
        match handle.put(&key, value, Expected::Revision(at)).await {
            Ok(written) => (acknowledged, at) = (acknowledged + 1, written.revision),
            Err(StoreError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(5)).await,
            Err(StoreError::Indeterminate(_)) => {
                let entry = eventually(|| handle.get(&key)).await.entry.unwrap();
                let found: u64 = std::str::from_utf8(&entry.value).unwrap().parse().unwrap();
                // It was done, or not; nothing else can have happened.
                assert!(
                    found == acknowledged || found == acknowledged + 1,
                    "{key}: {found} after {acknowledged}"
                );
                (acknowledged, at) = (found, entry.revision);
            }
            Err(StoreError::Conflict(Some(entry))) => {
                // A write that was thought to be undone was done after all.
                assert_eq!(
                    entry.value,
                    (acknowledged + 1).to_string(),
                    "{key} after {acknowledged}"
                );
                (acknowledged, at) = (acknowledged + 1, entry.revision);
            }
            Err(error) => panic!("{key}: {error:?}"),
        }
    }
    (acknowledged, at)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_acknowledged_is_forgotten_when_the_leader_is_killed() {
    let cluster = NatsCluster::start().unwrap();
    let settings = NatsOptions {
        timeout_request: Duration::from_secs(5),
        ..settings(&cluster)
    };
    let mut handles = Vec::new();
    for _ in 0..3 {
        handles.push(open(settings.clone(), space("killed")).await.unwrap());
    }
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = JoinSet::new();
    for (number, handle) in handles.iter().enumerate() {
        let (handle, key, stop) = (handle.clone(), format!("k{number}"), stop.clone());
        writers.spawn(async move { (key.clone(), count(handle, key, stop).await) });
    }
    let mut before = 0;
    for _ in 0..3 {
        // Each time, writes go on before the next server is killed.
        let progress = async {
            loop {
                let sum: u64 = eventually(|| handles[0].list("", Revision(0)))
                    .await
                    .entries
                    .iter()
                    .map(|(_, e)| e.revision.0)
                    .sum();
                if sum > before + 300 {
                    break sum;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        before = tokio::time::timeout(Duration::from_secs(60), progress)
            .await
            .expect("writes go on");
        let doomed = leader(&cluster, "killed").await;
        doomed.kill().unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
        tokio::task::block_in_place(|| doomed.start_again().and_then(|()| cluster.wait_until_whole())).unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    let mut last = BTreeMap::new();
    while let Some(done) = writers.join_next().await {
        let (key, done) = done.unwrap();
        last.insert(key, done);
    }
    let fresh = open(settings, space("killed")).await.unwrap();
    for handle in handles.iter().chain([&fresh]) {
        for (key, (value, revision)) in &last {
            let entry = eventually(|| handle.get(key)).await.entry.unwrap();
            assert_eq!(
                (entry.revision, entry.value),
                (*revision, Bytes::from(value.to_string())),
                "{key}"
            );
        }
    }
    let written: u64 = last.values().map(|(value, _)| value).sum();
    assert!(written > 100, "{written} writes are not enough to show anything");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_a_majority_nothing_is_done_and_nothing_lost() {
    let cluster = NatsCluster::start().unwrap();
    let settings = NatsOptions {
        timeout_request: Duration::from_secs(3),
        ..options([cluster.node(0).url().as_str()])
    };
    let handle = open(
        NatsOptions {
            replicas: 3,
            ..settings
        },
        space("minority"),
    )
    .await
    .unwrap();
    let written = written(&*handle, "k", "before").await;
    cluster.node(1).kill().unwrap();
    cluster.node(2).kill().unwrap();
    let read = handle.get("k").await;
    assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
    let write = handle
        .put("k", Bytes::from_static(b"after"), Expected::Revision(written.revision))
        .await;
    assert!(
        matches!(write, Err(StoreError::Unavailable(_) | StoreError::Indeterminate(_))),
        "{write:?}"
    );
    tokio::task::block_in_place(|| {
        cluster.node(1).start_again().unwrap();
        cluster.node(2).start_again().unwrap();
        cluster.wait_until_whole().unwrap();
    });
    let entry = eventually(|| handle.get("k")).await.entry.unwrap();
    assert!(entry.value == "before" || entry.value == "after", "{entry:?}");
    assert!(entry.revision >= written.revision);
    self::written(&*handle, "k", "later").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn opening_waits_until_a_leader_is_elected() {
    let cluster = NatsCluster::start().unwrap();
    let settings = NatsOptions {
        replicas: 3,
        timeout_connection: Duration::from_secs(120),
        timeout_request: Duration::from_secs(3),
        ..options([cluster.node(0).url().as_str()])
    };
    let handle = open(settings.clone(), space("election")).await.unwrap();
    let before = written(&*handle, "k", "before").await;
    // Neither who leads the stream nor who leads them all can be elected by one alone.
    cluster.node(1).kill().unwrap();
    cluster.node(2).kill().unwrap();
    let mut opening = tokio::spawn(async move { open(settings, space("election")).await });
    let early = tokio::time::timeout(Duration::from_secs(8), &mut opening).await;
    assert!(
        early.is_err(),
        "without a majority: {:?}",
        early.map(|opened| opened.map(|opened| opened.err()))
    );
    tokio::task::block_in_place(|| {
        cluster.node(1).start_again().unwrap();
        cluster.node(2).start_again().unwrap();
    });
    let opened = tokio::time::timeout(Duration::from_secs(120), opening)
        .await
        .expect("in time");
    let late = opened.unwrap().unwrap();
    let entry = eventually(|| late.get("k")).await.entry.unwrap();
    assert_eq!(entry.revision, before.revision);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_published_at_one_server_is_heard_at_the_others() {
    let cluster = NatsCluster::start().unwrap();
    let handles = one_at_each(&cluster, "bus").await;
    for round in 0..30_u32 {
        let payload = Bytes::from(round.to_string());
        let listener = &handles[round as usize % 3];
        let mut subscription = listener.subscribe(&["t"]).await.unwrap();
        handles[(round as usize + 1) % 3]
            .publish("t", payload.clone())
            .await
            .unwrap();
        let heard = tokio::time::timeout(Duration::from_secs(30), async {
            loop {
                let batch = subscription.next(10).await.unwrap();
                let topic = "t".to_owned();
                if batch.contains(&Delivery::Message {
                    topic,
                    payload: payload.clone(),
                }) {
                    break;
                }
            }
        });
        heard.await.expect("it arrives");
    }
}
