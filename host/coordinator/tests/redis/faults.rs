//! A single server, and what can go wrong with it and the way to it.

use crate::common::{at, eventually, fresh, message, next, open, single, within};
use bytes::Bytes;
use shardwright_coordinator::broker::BrokerError;
use shardwright_coordinator::redis::{RedisCoordinator, RedisOptions};
use shardwright_coordinator::{Bus, BusError, Coordinator, Delivery, Store};
use shardwright_core::store::{Expected, Revision, StoreError, StoreTime};
use shardwright_servers::{Proxy, RedisServer};
use std::time::{Duration, Instant};

const VALUE: Bytes = Bytes::from_static(b"value");

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_answer_is_lost_is_indeterminate_and_can_be_read_back() {
    let server = RedisServer::start().unwrap();
    let proxy = Proxy::to(server.port()).unwrap();
    let handle = open(&within(Duration::from_secs(2), at(proxy.port())), &fresh()).await;
    let before = handle.put("k", VALUE, Expected::Absent).await.unwrap();

    proxy.swallow_answers(true);
    let begun = Instant::now();
    let lost = handle
        .put("k", Bytes::from_static(b"new"), Expected::Revision(before.revision))
        .await;
    assert!(matches!(lost, Err(StoreError::Indeterminate(_))), "{lost:?}");
    assert!(begun.elapsed() >= Duration::from_secs(2), "it waited for the answer");
    proxy.swallow_answers(false);
    proxy.interrupt().unwrap();

    let found = eventually("reading back", async || handle.get("k").await.ok()).await;
    let entry = found.entry.unwrap();
    assert_eq!(
        (&entry.value[..], entry.revision),
        (&b"new"[..], Revision(before.revision.0 + 1))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_indeterminate_too_when_the_connection_is_cut_under_it() {
    let server = RedisServer::start().unwrap();
    let proxy = Proxy::to(server.port()).unwrap();
    let handle = open(&at(proxy.port()), &fresh()).await;
    proxy.swallow_answers(true);
    let write = handle.put("k", VALUE, Expected::Absent);
    let cut = async {
        let other = open(&single(&server.url()), &fresh()).await;
        // What the server did is seen at the server.
        eventually("the write", async || {
            let keys = server.cli(&["--scan", "--pattern", "*entries"]).unwrap();
            (!keys.is_empty()).then_some(())
        })
        .await;
        drop(other);
        proxy.cut();
    };
    let (written, ()) = tokio::join!(write, cut);
    assert!(matches!(written, Err(StoreError::Indeterminate(_))), "{written:?}");
    // And now it is certain that nothing is sent.
    let refused = handle.put("other", VALUE, Expected::Any).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    proxy.swallow_answers(false);
    proxy.heal().unwrap();
    let found = eventually("reading back", async || handle.get("k").await.ok()).await;
    assert_eq!(found.entry.unwrap().value, VALUE);
    assert!(handle.get("other").await.unwrap().entry.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_back_with_its_data_goes_on() {
    let server = RedisServer::builder().set("appendfsync", "always").start().unwrap();
    let (options, namespace) = (single(&server.url()), fresh());
    let (one, two) = (open(&options, &namespace).await, open(&options, &namespace).await);
    let mut subscription = one.subscribe(&["t"]).await.unwrap();
    let before = one.put("k", VALUE, Expected::Absent).await.unwrap();
    let reading = two.get("k").await.unwrap();
    assert_eq!(reading.unsure_before, StoreTime(0), "one life only: nothing is unsure");

    server.kill().unwrap();
    let down = one.get("k").await;
    assert!(matches!(down, Err(StoreError::Unavailable(_))), "{down:?}");
    server.start_again().unwrap();

    // A write that was decided on before anybody heard of the restart is refused once, and not done.
    let refused = eventually("a refusal", async || {
        match two.put("k", Bytes::new(), Expected::Revision(before.revision)).await {
            Err(StoreError::Unavailable(why)) if why.contains("started anew") => Some(why),
            Err(StoreError::Unavailable(_)) => None,
            other => panic!("{other:?}"),
        }
    })
    .await;
    assert!(refused.contains("nothing was written"), "{refused}");
    let after = eventually("a reading", async || one.get("k").await.ok()).await;
    assert_eq!(after.entry.clone().unwrap().revision, before.revision);
    assert!(after.unsure_before > before.now, "{after:?}");
    let written = two
        .put("k", Bytes::new(), Expected::Revision(before.revision))
        .await
        .unwrap();
    assert!(written.revision > before.revision && written.now >= after.unsure_before);
    assert_eq!(next(&mut *subscription).await, Delivery::Gap { lost: 0 });
    one.publish("t", VALUE).await.unwrap();
    assert_eq!(next(&mut *subscription).await, message("t", "value"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_back_empty_has_lost_the_history() {
    let server = RedisServer::start().unwrap();
    let (options, namespace) = (single(&server.url()), fresh());
    let handle = open(&options, &namespace).await;
    handle.put("k", VALUE, Expected::Absent).await.unwrap();
    server.kill().unwrap();
    server.wipe().unwrap();
    server.start_again().unwrap();

    let lost = eventually("an answer", async || {
        match handle.put("k", VALUE, Expected::Any).await {
            Err(StoreError::Unavailable(_)) => None,
            other => Some(other),
        }
    })
    .await;
    assert!(matches!(lost, Err(StoreError::HistoryLost(_))), "{lost:?}");
    assert_eq!(server.cli(&["dbsize"]).unwrap(), "0", "nothing was written");

    let new = open(&options, &namespace).await;
    assert!(new.list("", Revision(0)).await.unwrap().entries.is_empty());
    new.put("k", VALUE, Expected::Absent).await.unwrap();
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
    assert!(new.get("k").await.unwrap().entry.is_some());
}

/// A server that is also a cache throws away what it likes.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_which_a_part_was_evicted_has_lost_the_history() {
    let server = RedisServer::start().unwrap();
    let options = single(&server.url());
    for part in ["entries", "index", "meta"] {
        let namespace = fresh();
        let handle = open(&options, &namespace).await;
        handle.put("k", VALUE, Expected::Absent).await.unwrap();
        server
            .cli(&["unlink", &format!("shardwright:{{{namespace}}}:{part}")])
            .unwrap();
        let read = handle.get("k").await;
        assert!(
            matches!(read, Err(StoreError::HistoryLost(_))),
            "without {part}: {read:?}"
        );
        let new = open(&options, &namespace).await;
        // The values are in one of the parts.
        let left = usize::from(part != "entries");
        assert_eq!(
            new.list("", Revision(0)).await.unwrap().entries.len(),
            left,
            "without {part}"
        );
        new.put("k", VALUE, Expected::Any).await.unwrap();
        assert!(
            matches!(handle.get("k").await, Err(StoreError::HistoryLost(_))),
            "it is for good"
        );
    }
}

/// A backup of an hour ago has the same history and fewer revisions.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_went_back_in_time_has_lost_the_history() {
    let server = RedisServer::start().unwrap();
    let namespace = fresh();
    let handle = open(&single(&server.url()), &namespace).await;
    let late = open(&single(&server.url()), &namespace).await;
    handle.put("k", VALUE, Expected::Any).await.unwrap();
    handle.put("k", VALUE, Expected::Any).await.unwrap();
    let meta = format!("shardwright:{{{namespace}}}:meta");
    server.cli(&["hset", &meta, "revision", "1"]).unwrap();
    assert!(matches!(handle.get("k").await, Err(StoreError::HistoryLost(_))));
    // Who never knew better goes on.
    assert!(late.get("k").await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_cut_for_a_while_is_made_again_without_a_storm() {
    let server = RedisServer::start().unwrap();
    let proxy = Proxy::to(server.port()).unwrap();
    let namespace = fresh();
    let handle = open(&at(proxy.port()), &namespace).await;
    let mut subscription = handle.subscribe(&[]).await.unwrap();
    let far = open(&single(&server.url()), &namespace).await;
    far.publish("t", Bytes::from_static(b"before")).await.unwrap();
    assert_eq!(next(&mut *subscription).await, message("t", "before"));

    // The proxy accepts, and finds nobody behind it.
    let accepted = proxy.connections();
    server.kill().unwrap();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        let asked = Instant::now();
        assert!(matches!(handle.get("k").await, Err(StoreError::Unavailable(_))));
        assert!(handle.publish("t", VALUE).await.is_err());
        assert!(asked.elapsed() < Duration::from_secs(30), "a call hung");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let tries = proxy.connections() - accepted;
    // Two lines, each after 50, 100, 200 … ms at most and half of that at least.
    assert!((2..=30).contains(&tries), "{tries} attempts in three seconds");
    server.start_again().unwrap();
    eventually("the store", async || handle.get("k").await.ok()).await;
    assert_eq!(next(&mut *subscription).await, Delivery::Gap { lost: 0 });
    eventually("the bus", async || {
        far.publish("t", Bytes::from_static(b"after")).await.ok()
    })
    .await;
    assert_eq!(next(&mut *subscription).await, message("t", "after"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_server_makes_no_call_hang() {
    let server = RedisServer::start().unwrap();
    let options = within(Duration::from_secs(1), single(&server.url()));
    let namespace = fresh();
    let handle = open(&options, &namespace).await;
    server.pause().unwrap();
    let begun = Instant::now();
    let published = handle.publish("t", VALUE).await;
    assert!(matches!(published, Err(BusError::Unavailable(_))), "{published:?}");
    let read = handle.get("k").await;
    assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
    let opened = RedisCoordinator::open(options, fresh()).await.err();
    assert!(matches!(opened, Some(BrokerError::Unreachable { .. })), "{opened:?}");
    assert!(begun.elapsed() < Duration::from_secs(30));
    server.resume().unwrap();
    eventually("the store", async || handle.get("k").await.ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_link_is_only_slow() {
    let server = RedisServer::start().unwrap();
    let proxy = Proxy::to(server.port()).unwrap();
    proxy.delay(Duration::from_millis(200));
    let handle = open(&at(proxy.port()), &fresh()).await;
    let mut subscription = handle.subscribe(&["t"]).await.unwrap();
    let mut revision = handle.put("k", VALUE, Expected::Absent).await.unwrap().revision;
    for _ in 0..3 {
        revision = handle
            .put("k", VALUE, Expected::Revision(revision))
            .await
            .unwrap()
            .revision;
    }
    let stale = handle.put("k", VALUE, Expected::Revision(Revision(1))).await;
    assert!(matches!(stale, Err(StoreError::Conflict(Some(entry))) if entry.revision == revision));
    handle.publish("t", VALUE).await.unwrap();
    assert_eq!(next(&mut *subscription).await, message("t", "value"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_memory_refuses_writes_and_reads_on() {
    let server = RedisServer::start().unwrap();
    let handle = open(&single(&server.url()), &fresh()).await;
    let written = handle.put("k", VALUE, Expected::Absent).await.unwrap();
    server.cli(&["config", "set", "maxmemory", "1"]).unwrap();
    let full = handle.put("k", Bytes::new(), Expected::Any).await;
    let Err(StoreError::Unavailable(why)) = full else {
        panic!("{full:?}")
    };
    assert!(why.contains("OOM") && why.contains("maxmemory"), "{why}");
    let there = handle.get("k").await.unwrap().entry.unwrap();
    assert_eq!((there.revision, there.value), (written.revision, VALUE));
    server.cli(&["config", "set", "maxmemory", "0"]).unwrap();
    handle
        .put("k", VALUE, Expected::Revision(written.revision))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_write_its_disk_refuses_writes() {
    // A dump cannot be put where a folder is.
    let server = RedisServer::builder()
        .set("save", "3600 1000000")
        .set("dbfilename", "appendonlydir")
        .start()
        .unwrap();
    let handle = open(&single(&server.url()), &fresh()).await;
    handle.put("k", VALUE, Expected::Absent).await.unwrap();
    server.cli(&["bgsave"]).unwrap();
    eventually("the failure", async || {
        let state = server.cli(&["info", "persistence"]).unwrap();
        state.contains("rdb_last_bgsave_status:err").then_some(())
    })
    .await;
    let refused = handle.put("k", Bytes::new(), Expected::Any).await;
    let Err(StoreError::Unavailable(why)) = refused else {
        panic!("{refused:?}")
    };
    assert!(why.contains("MISCONF"), "{why}");
    assert_eq!(handle.get("k").await.unwrap().entry.unwrap().value, VALUE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_handle_leaves_no_connection() {
    let server = RedisServer::start().unwrap();
    let options = RedisOptions {
        min_replicas: 1,
        ..single(&server.url())
    };
    let handle = open(&within(Duration::from_secs(1), options), &fresh()).await;
    let subscription = handle.subscribe(&[]).await.unwrap();
    // It makes the third connection, which waits for replicas in vain.
    assert!(matches!(
        handle.put("k", VALUE, Expected::Any).await,
        Err(StoreError::Indeterminate(_))
    ));
    let connections = || {
        server
            .cli(&["client", "list"])
            .unwrap()
            .lines()
            .filter(|line| !line.contains("cmd=client"))
            .count()
    };
    assert!(connections() >= 3, "store, bus and writes");
    drop(handle);
    eventually("the end of all connections", async || {
        (connections() == 0).then_some(())
    })
    .await;
    drop(subscription);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_was_thrown_away_is_sent_again() {
    let server = RedisServer::start().unwrap();
    let handle = open(&single(&server.url()), &fresh()).await;
    let mut revision = handle.put("k", VALUE, Expected::Absent).await.unwrap().revision;
    for _ in 0..3 {
        server.cli(&["script", "flush"]).unwrap();
        revision = handle
            .put("k", VALUE, Expected::Revision(revision))
            .await
            .unwrap()
            .revision;
    }
    assert_eq!(revision, Revision(4));
}

/// The stored form: whoever changes it must raise its format.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_is_what_is_documented() {
    let server = RedisServer::start().unwrap();
    let namespace = fresh();
    let handle = open(&single(&server.url()), &namespace).await;
    handle.put("a", VALUE, Expected::Absent).await.unwrap();
    let written = handle.put("k", VALUE, Expected::Absent).await.unwrap();
    let key = |what: &str| format!("shardwright:{{{namespace}}}:{what}");
    let unpack = "local e = redis.call('HGET', KEYS[1], 'k') local f, r, t = struct.unpack('>BI8I8', e) return {f, r, \
                  t, string.sub(e, 18)}";
    let stored = server.cli(&["eval", unpack, "1", &key("entries")]).unwrap();
    let parts: Vec<_> = stored.lines().collect();
    assert_eq!(parts, ["1", "2", &written.now.0.to_string(), "value"]);
    assert_eq!(server.cli(&["zscore", &key("index"), "k"]).unwrap(), "2");
    let meta = server
        .cli(&[
            "hmget",
            &key("meta"),
            "format",
            "revision",
            "count",
            "time",
            "since",
            "shift",
        ])
        .unwrap();
    assert_eq!(
        meta.lines().collect::<Vec<_>>(),
        ["1", "2", "2", &written.now.0.to_string(), "0", "0"]
    );

    server.cli(&["hset", &key("meta"), "format", "2"]).unwrap();
    let newer = RedisCoordinator::open(single(&server.url()), namespace)
        .await
        .err()
        .unwrap();
    assert!(
        matches!(newer, BrokerError::Unsafe { .. }) && newer.to_string().contains("format 2"),
        "{newer}"
    );
    let refused = handle.put("k", VALUE, Expected::Any).await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable(ref why)) if why.contains("newer release")),
        "{refused:?}"
    );
    handle.erase().await.unwrap_err();
}
