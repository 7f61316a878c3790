//! Three members, some of which fail.

use super::{VALUE, eventually, fresh, message, next, open, options};
use shardwright_components::adapter::AdapterOptions;
use shardwright_coordinator::{Bus, Coordinator, Delivery, Store};
use shardwright_core::store::{Expected, Revision, StoreError};
use shardwright_servers::EtcdCluster;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

fn members(cluster: &EtcdCluster) -> AdapterOptions {
    AdapterOptions {
        timeout: Duration::from_secs(6),
        ..options(&cluster.urls(), "")
    }
}

/// Four writers write while `fail` happens: nothing that was acknowledged is missing afterwards, and no revision was
/// given twice.
async fn nothing_is_lost(cluster: Arc<EtcdCluster>, fail: impl FnOnce(&EtcdCluster) + Send + 'static) {
    let (options, namespace) = (members(&cluster), fresh());
    let (stop, stopped) = watch::channel(false);
    let (progress, mut progressed) = watch::channel(0_u64);
    let mut writers = JoinSet::new();
    for writer in 0..4 {
        let handle = open(&options, &namespace).await;
        let (stopped, progress) = (stopped.clone(), progress.clone());
        writers.spawn(async move {
            let mut acknowledged = BTreeMap::new();
            let mut number = 0;
            while !*stopped.borrow() {
                let key = format!("w{writer}/{number}");
                number += 1;
                match handle.put(&key, VALUE, Expected::Absent).await {
                    Ok(written) => {
                        acknowledged.insert(key, written.revision);
                        progress.send_modify(|count| *count += 1);
                    }
                    Err(StoreError::Unavailable(_) | StoreError::Indeterminate(_)) => {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            acknowledged
        });
    }
    let seen = async |more: u64, progressed: &mut watch::Receiver<u64>| {
        let aim = *progressed.borrow() + more;
        let waited = tokio::time::timeout(super::PATIENCE, progressed.wait_for(|count| *count >= aim)).await;
        waited.expect("the writers go on").expect("they live");
    };
    seen(40, &mut progressed).await;
    let failing = cluster.clone();
    tokio::task::spawn_blocking(move || fail(&failing))
        .await
        .expect("it failed as it should");
    seen(40, &mut progressed).await;
    stop.send_replace(true);
    let mut acknowledged = BTreeMap::new();
    while let Some(done) = writers.join_next().await {
        acknowledged.extend(done.expect("no writer panicked"));
    }
    let reader = open(&options, &namespace).await;
    let listing = eventually("a listing", async || reader.list("", Revision(0)).await.ok()).await;
    let found: BTreeMap<_, _> = listing
        .entries
        .iter()
        .map(|(key, entry)| (key.as_str(), entry.revision))
        .collect();
    for (key, revision) in &acknowledged {
        assert_eq!(found.get(key.as_str()), Some(revision), "{key}");
    }
    let mut revisions: Vec<_> = found.values().collect();
    revisions.sort_unstable();
    revisions.dedup();
    assert_eq!(revisions.len(), found.len(), "a revision was given twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_leader_is_killed_under_writes() {
    let cluster = Arc::new(EtcdCluster::start().expect("a cluster"));
    nothing_is_lost(cluster, |cluster| {
        cluster.leader().expect("a leader").kill().expect("killed");
    })
    .await;
}

/// The member that everybody uses answers nothing any more, and keeps its connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_member_in_use_is_frozen_under_writes() {
    let cluster = Arc::new(EtcdCluster::old().expect("a cluster"));
    nothing_is_lost(cluster, |cluster| cluster.node(0).pause().expect("paused")).await;
}

/// A member that is alone refuses at once, and what listens at it moves to another.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_a_majority_nothing_is_written() {
    let cluster = EtcdCluster::start().expect("a cluster");
    let namespace = fresh();
    let handle = open(&members(&cluster), &namespace).await;
    let mut subscription = handle.subscribe(&["t"]).await.expect("subscribed");
    let before = handle.put("k", VALUE, Expected::Absent).await.expect("written");
    cluster.node(1).kill().expect("killed");
    cluster.node(2).kill().expect("killed");
    // Until it notices that it leads nobody, a write may still be under way; then it certainly is not.
    let refused = eventually("a refusal", async || {
        match handle.put("k", VALUE, Expected::Any).await {
            Err(StoreError::Indeterminate(_)) => None,
            other => Some(other),
        }
    })
    .await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    for node in [1, 2] {
        cluster.node(node).launch_again().expect("launched");
    }
    cluster.wait_until_whole().expect("whole");
    let entry = eventually("a reading", async || handle.get("k").await.ok()).await.entry;
    assert!(entry.is_some_and(|entry| entry.revision >= before.revision));
    assert_eq!(next(&mut *subscription).await, Delivery::Gap { lost: 0 });
    eventually("the bus", async || handle.publish("t", VALUE).await.ok()).await;
    assert_eq!(next(&mut *subscription).await, message("t", VALUE));
    let findings = handle.examine().await;
    let members = findings
        .iter()
        .find(|finding| finding.name == "members")
        .expect("members are looked at");
    assert!(members.detail.contains("1 may fail"), "{members:?}");
}
