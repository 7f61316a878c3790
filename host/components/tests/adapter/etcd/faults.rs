//! One server, and what can go wrong with it and the way to it.

use super::{AdapterCoordinator, VALUE, at, etcd, eventually, fresh, message, next, open, options};
use bytes::Bytes;
use shardwright_components::adapter::AdapterOptions;
use shardwright_coordinator::broker::BrokerError;
use shardwright_coordinator::{Bus, BusError, Delivery, Store};
use shardwright_core::store::{Expected, Revision, StoreError};
use shardwright_servers::{EtcdServer, Proxy};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn within(timeout: Duration, options: AdapterOptions) -> AdapterOptions {
    AdapterOptions { timeout, ..options }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_answer_is_lost_is_indeterminate_and_can_be_read_back() {
    let server = EtcdServer::start().expect("a server");
    let proxy = Proxy::to(server.port()).expect("a proxy");
    let handle = open(&within(Duration::from_secs(4), at(proxy.port())), &fresh()).await;
    let before = handle.put("k", VALUE, Expected::Absent).await.expect("written");
    proxy.swallow_answers(true);
    let lost = handle
        .put("k", Bytes::from_static(b"new"), Expected::Revision(before.revision))
        .await;
    assert!(matches!(lost, Err(StoreError::Indeterminate(_))), "{lost:?}");
    proxy.swallow_answers(false);
    proxy.interrupt().expect("interrupted");
    let found = eventually("reading back", async || handle.get("k").await.ok()).await;
    let entry = found.entry.expect("there");
    assert!(entry.value == "new" && entry.revision > before.revision, "{entry:?}");
}

/// Killed in the middle of many writes; nothing that was acknowledged is missing, and no revision was given twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_and_comes_back_with_its_data_goes_on() {
    let server = Arc::new(EtcdServer::old().expect("a server"));
    let namespace = fresh();
    let (one, two) = (
        open(&at(server.port()), &namespace).await,
        open(&at(server.port()), &namespace).await,
    );
    let mut subscription = one.subscribe(&["t"]).await.expect("subscribed");
    let mut acknowledged = Vec::new();
    let (back, is_back) = tokio::sync::watch::channel(false);
    let writes = async {
        let mut number = 0;
        while !*is_back.borrow() || acknowledged.len() < 30 {
            let key = format!("k{number}");
            number += 1;
            match one.put(&key, VALUE, Expected::Absent).await {
                Ok(written) => acknowledged.push((key, written.revision)),
                Err(StoreError::Unavailable(_) | StoreError::Indeterminate(_)) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    };
    let fault = async {
        eventually("some writes", async || {
            (two.list("", Revision(0)).await.ok()?.entries.len() > 5).then_some(())
        })
        .await;
        let server = server.clone();
        let restart = tokio::task::spawn_blocking(move || {
            server.kill().expect("killed");
            server.start_again().expect("started");
        });
        restart.await.expect("restarted");
        back.send_replace(true);
    };
    tokio::join!(writes, fault);
    let listing = eventually("a listing", async || two.list("", Revision(0)).await.ok()).await;
    for (key, revision) in &acknowledged {
        let there = listing
            .entries
            .iter()
            .any(|(found, entry)| found == key && entry.revision == *revision);
        assert!(there, "{key} of revision {} is missing", revision.0);
    }
    assert_eq!(next(&mut *subscription).await, Delivery::Gap { lost: 0 });
    eventually("the bus", async || two.publish("t", VALUE).await.ok()).await;
    assert_eq!(next(&mut *subscription).await, message("t", VALUE));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_back_empty_has_lost_the_history() {
    let server = EtcdServer::start().expect("a server");
    let namespace = fresh();
    let handle = open(&at(server.port()), &namespace).await;
    handle.put("k", VALUE, Expected::Absent).await.expect("written");
    server.kill().expect("killed");
    server.wipe().expect("wiped");
    server.start_again().expect("started");
    let lost = eventually("an answer", async || {
        match handle.put("k", VALUE, Expected::Any).await {
            Err(StoreError::Unavailable(_)) => None,
            other => Some(other),
        }
    })
    .await;
    assert!(matches!(lost, Err(StoreError::HistoryLost(_))), "{lost:?}");
    let new = open(&at(server.port()), &namespace).await;
    assert!(new.list("", Revision(0)).await.expect("listed").entries.is_empty());
    new.put("k", VALUE, Expected::Absent).await.expect("written");
    for _ in 0..2 {
        assert!(
            matches!(handle.get("k").await, Err(StoreError::HistoryLost(_))),
            "it is for good"
        );
        assert!(matches!(
            handle.delete("k", Expected::Any).await,
            Err(StoreError::HistoryLost(_))
        ));
    }
    assert!(new.get("k").await.expect("read").entry.is_some());
}

/// Other data was put under the running nodes: a part of it is missing, or it is another life of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_of_which_a_part_is_gone_has_lost_the_history() {
    let server = EtcdServer::start().expect("a server");
    for part in ["history", "clock"] {
        let namespace = fresh();
        let handle = open(&at(server.port()), &namespace).await;
        handle.put("k", VALUE, Expected::Absent).await.expect("written");
        let mut subscription = handle.subscribe(&[]).await.expect("subscribed");
        let key = data_encoding::BASE64.encode(format!("shardwright/{namespace}/{part}").as_bytes());
        server
            .call("kv/deleterange", None, &format!(r#"{{"key":{key:?}}}"#))
            .expect("deleted");
        let lost = handle.put("k", VALUE, Expected::Any).await;
        assert!(
            matches!(lost, Err(StoreError::HistoryLost(_))),
            "without {part}: {lost:?}"
        );
        if part == "history" {
            let over = tokio::time::timeout(super::PATIENCE, async { while subscription.next(1).await.is_ok() {} });
            over.await.expect("the subscription ends");
        }
        // What is there stays, in a new history.
        let new = open(&at(server.port()), &namespace).await;
        assert!(new.get("k").await.expect("read").entry.is_some(), "without {part}");
    }
}

/// The data of an hour ago has the same history and fewer revisions.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_went_back_in_time_has_lost_the_history() {
    let server = EtcdServer::start().expect("a server");
    let namespace = fresh();
    let handle = open(&at(server.port()), &namespace).await;
    handle.put("k", VALUE, Expected::Absent).await.expect("written");
    server.kill().expect("killed");
    let (data, copy) = (server.data_folder(), tempfile::tempdir().expect("a folder"));
    let copied = |from: &std::path::Path, to: &std::path::Path| {
        let status = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status();
        assert!(status.is_ok_and(|status| status.success()));
    };
    copied(&data, &copy.path().join("data"));
    server.start_again().expect("started");
    for _ in 0..3 {
        eventually("a write", async || handle.put("k", VALUE, Expected::Any).await.ok()).await;
    }
    server.kill().expect("killed");
    std::fs::remove_dir_all(&data).expect("removed");
    copied(&copy.path().join("data"), &data);
    server.start_again().expect("started");
    let lost = eventually("an answer", async || match handle.get("k").await {
        Err(StoreError::Unavailable(_)) => None,
        other => Some(other),
    })
    .await;
    assert!(matches!(lost, Err(StoreError::HistoryLost(_))), "{lost:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_server_makes_no_call_hang() {
    let server = EtcdServer::start().expect("a server");
    let options = within(Duration::from_secs(3), at(server.port()));
    let handle = open(&options, &fresh()).await;
    server.pause().expect("paused");
    let begun = Instant::now();
    let published = handle.publish("t", VALUE).await;
    assert!(matches!(published, Err(BusError::Unavailable(_))), "{published:?}");
    let read = handle.get("k").await;
    assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
    let opened = AdapterCoordinator::open(etcd().await, options, fresh()).await.err();
    assert!(matches!(opened, Some(BrokerError::Unreachable { .. })), "{opened:?}");
    assert!(begun.elapsed() < Duration::from_secs(30));
    server.resume().expect("resumed");
    eventually("the store", async || handle.get("k").await.ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_cut_for_a_while_is_made_again() {
    let server = EtcdServer::start().expect("a server");
    let proxy = Proxy::to(server.port()).expect("a proxy");
    let namespace = fresh();
    let handle = open(&at(proxy.port()), &namespace).await;
    let far = open(&at(server.port()), &namespace).await;
    let mut subscription = handle.subscribe(&[]).await.expect("subscribed");
    far.publish("t", Bytes::from_static(b"before"))
        .await
        .expect("published");
    assert_eq!(next(&mut *subscription).await, message("t", "before"));
    proxy.cut();
    let down = handle.get("k").await;
    assert!(matches!(down, Err(StoreError::Unavailable(_))), "{down:?}");
    let down = handle.put("k", VALUE, Expected::Any).await;
    assert!(matches!(down, Err(StoreError::Unavailable(_))), "{down:?}");
    far.publish("t", Bytes::from_static(b"meanwhile"))
        .await
        .expect("published");
    proxy.heal().expect("healed");
    eventually("the store", async || handle.get("k").await.ok()).await;
    assert_eq!(next(&mut *subscription).await, Delivery::Gap { lost: 0 });
    far.publish("t", Bytes::from_static(b"after")).await.expect("published");
    assert_eq!(next(&mut *subscription).await, message("t", "after"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_link_is_only_slow() {
    let server = EtcdServer::start().expect("a server");
    let proxy = Proxy::to(server.port()).expect("a proxy");
    proxy.delay(Duration::from_millis(100));
    let handle = open(&at(proxy.port()), &fresh()).await;
    let mut subscription = handle.subscribe(&["t"]).await.expect("subscribed");
    let mut revision = handle
        .put("k", VALUE, Expected::Absent)
        .await
        .expect("written")
        .revision;
    for _ in 0..3 {
        revision = handle
            .put("k", VALUE, Expected::Revision(revision))
            .await
            .expect("written")
            .revision;
        let entry = handle.get("k").await.expect("read").entry;
        assert!(entry.is_some_and(|entry| entry.revision == revision));
    }
    let stale = handle.put("k", VALUE, Expected::Revision(Revision(1))).await;
    assert!(matches!(stale, Err(StoreError::Conflict(Some(entry))) if entry.revision == revision));
    handle.publish("t", VALUE).await.expect("published");
    assert_eq!(next(&mut *subscription).await, message("t", VALUE));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_space_refuses_writes_and_reads_on() {
    let server = EtcdServer::builder()
        .flag("quota-backend-bytes", "8388608")
        .start()
        .expect("a server");
    let handle = open(&at(server.port()), &fresh()).await;
    let written = handle.put("k", VALUE, Expected::Absent).await.expect("written");
    let large = Bytes::from(vec![7; 1 << 20]);
    let full = eventually("the end of the space", async || {
        handle.put("large", large.clone(), Expected::Any).await.err()
    })
    .await;
    // Some that are answered so were done.
    let StoreError::Indeterminate(why) = full else {
        panic!("{full:?}")
    };
    assert!(why.contains("space exceeded") && why.contains("defrag"), "{why}");
    let there = handle.get("k").await.expect("read").entry.expect("there");
    assert_eq!((there.revision, there.value), (written.revision, VALUE));
    let full = handle.publish("t", large.slice(..1 << 19)).await;
    assert!(matches!(full, Err(BusError::Unavailable(_))), "{full:?}");
}

/// etcd says that there is no space of writes that it has done, too: many writers pass the check before any of them is
/// applied.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_said_not_to_be_written_is_not_there() {
    let server = EtcdServer::builder()
        .flag("quota-backend-bytes", "16777216")
        .start()
        .expect("a server");
    let namespace = fresh();
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..8 {
        let handle = open(&at(server.port()), &namespace).await;
        writers.spawn(async move {
            let (mut certain, mut doubtful) = (Vec::new(), 0);
            for number in 0..20 {
                let key = format!("w{writer}/{number}");
                match handle
                    .put(&key, Bytes::from(vec![7; 512 << 10]), Expected::Absent)
                    .await
                {
                    Ok(_) => {}
                    Err(StoreError::Indeterminate(_)) => doubtful += 1,
                    Err(_) => certain.push(key),
                }
            }
            (certain, doubtful)
        });
    }
    let (mut certain, mut doubtful) = (Vec::new(), 0);
    for (sure, unsure) in writers.join_all().await {
        certain.extend(sure);
        doubtful += unsure;
    }
    assert!(doubtful > 0, "there was space for all");
    let reader = open(&at(server.port()), &namespace).await;
    for key in certain {
        let found = reader.get(&key).await.expect("read").entry;
        assert!(found.is_none(), "{key} was said not to be written");
    }
}

/// While others write and compact, listings stay whole and consistent, and watchers are given what they are due, or a
/// gap.
#[tokio::test(flavor = "multi_thread")]
async fn compaction_disturbs_nobody() {
    let server = EtcdServer::start().expect("a server");
    let namespace = fresh();
    let (writer, reader) = (
        open(&at(server.port()), &namespace).await,
        open(&at(server.port()), &namespace).await,
    );
    let count = 300;
    for i in 0..count {
        writer
            .put(&format!("k/{i:04}"), Bytes::from(vec![b'x'; 2000]), Expected::Absent)
            .await
            .expect("written");
    }
    let mut subscription = reader.subscribe(&[]).await.expect("subscribed");
    let (over, is_over) = tokio::sync::watch::channel(false);
    let work = async {
        for number in 0..60_u64 {
            let written = writer
                .put("k/0000", Bytes::from(number.to_string()), Expected::Any)
                .await
                .expect("written");
            writer
                .publish("t", Bytes::from(number.to_string()))
                .await
                .expect("published");
            let compact = format!(r#"{{"revision":"{}"}}"#, written.revision.0);
            server.call("kv/compaction", None, &compact).expect("compacted");
        }
        over.send_replace(true);
    };
    let list = async {
        while !*is_over.borrow() {
            let listing = reader.list("k/", Revision(0)).await.expect("listed");
            assert_eq!(listing.entries.len(), count);
        }
    };
    tokio::join!(work, list);
    let mut expected = 0;
    while expected < 60 {
        match next(&mut *subscription).await {
            Delivery::Message { payload, .. } => {
                assert_eq!(payload, expected.to_string());
                expected += 1;
            }
            Delivery::Gap { .. } => break,
        }
    }
}

/// An operator allows less than the contract's limits.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_less_says_so() {
    let server = EtcdServer::builder()
        .flag("max-request-bytes", "65536")
        .start()
        .expect("a server");
    let handle = open(&options(&[server.url()], r#","prefix":"other.prefix""#), &fresh()).await;
    let refused = handle.put("k", Bytes::from(vec![0; 100_000]), Expected::Any).await;
    assert!(
        matches!(refused, Err(StoreError::TooLarge { size: 100_000, .. })),
        "{refused:?}"
    );
    let refused = handle.publish("t", Bytes::from(vec![0; 100_000])).await;
    assert!(matches!(refused, Err(BusError::TooLarge { .. })), "{refused:?}");
    handle
        .put("k", Bytes::from(vec![0; 60_000]), Expected::Any)
        .await
        .expect("written");
}
