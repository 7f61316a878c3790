//! What is seen when the server, or the way to it, fails.

use super::{eventually, fresh, local, open, server, settings};
use bytes::Bytes;
use shardwright_components::adapter::AdapterOptions;
use shardwright_coordinator::Store;
use shardwright_core::store::{Expected, Revision, StoreError};
use shardwright_servers::{PostgresPair, Proxy};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const VALUE: Bytes = Bytes::from_static(b"v");

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn killed_during_writes() {
    let server = server();
    let handle = Arc::new(open(&local(server.port()), &fresh()).await);
    let (over, progress) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..4u64 {
        let (handle, over, progress) = (handle.clone(), over.clone(), progress.clone());
        writers.spawn(async move {
            let (mut told, mut unknown, mut refused) = (BTreeMap::new(), 0, 0);
            for number in 0u64.. {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let key = format!("{writer}/{number}");
                match handle.put(&key, Bytes::from(key.clone()), Expected::Absent).await {
                    Ok(written) => {
                        told.insert(key, written.revision);
                        progress.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(StoreError::Indeterminate(_)) => unknown += 1,
                    Err(StoreError::Unavailable(_)) => {
                        refused += 1;
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    Err(error) => panic!("{error:?}"),
                }
            }
            (told, unknown, refused)
        });
    }
    let goes_on = async || {
        let reached = progress.load(Ordering::Relaxed) + 50;
        eventually("writes go on", async || {
            (progress.load(Ordering::Relaxed) >= reached).then_some(())
        })
        .await;
    };
    for _ in 0..3 {
        goes_on().await;
        server.kill().unwrap();
        server.start_again().unwrap();
    }
    goes_on().await;
    over.store(true, Ordering::Relaxed);
    let (mut told, mut unknown, mut refused) = (BTreeMap::new(), 0, 0);
    while let Some(writer) = writers.join_next().await {
        let (its, perhaps, not) = writer.unwrap();
        told.extend(its);
        unknown += perhaps;
        refused += not;
    }
    assert!(
        !told.is_empty() && unknown + refused > 0,
        "{} told, {unknown} unknown, {refused} refused",
        told.len()
    );
    let listing = eventually("it is back", async || handle.list("", Revision(0)).await.ok()).await;
    let stored: BTreeMap<_, _> = listing
        .entries
        .iter()
        .map(|(key, entry)| (key.clone(), entry.revision))
        .collect();
    for (key, revision) in &told {
        assert_eq!(stored.get(key), Some(revision), "{key} was acknowledged");
    }
    // What is there without having been told was told to be unknown.
    assert!(
        stored.len() - told.len() <= unknown,
        "{} entries, {} told, {unknown} unknown",
        stored.len(),
        told.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_lost_leaves_the_outcome_open() {
    let server = server();
    let proxy = Proxy::to(server.port()).unwrap();
    let handle = open(
        &AdapterOptions {
            timeout: Duration::from_secs(2),
            ..local(proxy.port())
        },
        &fresh(),
    )
    .await;
    handle.get("k").await.unwrap();
    proxy.swallow_answers(true);
    let outcome = handle.put("k", VALUE, Expected::Absent).await;
    assert!(matches!(outcome, Err(StoreError::Indeterminate(_))), "{outcome:?}");
    proxy.swallow_answers(false);
    let reading = eventually("it is read back", async || handle.get("k").await.ok()).await;
    assert!(reading.entry.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_has_ended_is_noticed_before_a_write() {
    let server = server();
    let handle = open(&local(server.port()), &fresh()).await;
    handle.put("k", VALUE, Expected::Absent).await.unwrap();
    for _ in 0..3 {
        server
            .sql("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = 'node'")
            .unwrap();
        // At once, or by another lane; but never with an outcome that nobody knows.
        eventually("it goes on", async || {
            match handle.put("k", VALUE, Expected::Any).await {
                Ok(written) => Some(written),
                Err(StoreError::Unavailable(_)) => None,
                Err(error) => panic!("{error:?}"),
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server() {
    let server = server();
    let handle = open(
        &AdapterOptions {
            timeout: Duration::from_secs(1),
            ..local(server.port())
        },
        &fresh(),
    )
    .await;
    let before = handle.put("k", VALUE, Expected::Absent).await.unwrap();
    server.pause().unwrap();
    let begun = Instant::now();
    let outcome = handle.put("k", VALUE, Expected::Revision(before.revision)).await;
    assert!(matches!(outcome, Err(StoreError::Indeterminate(_))), "{outcome:?}");
    assert!(matches!(handle.get("k").await, Err(StoreError::Unavailable(_))));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    server.resume().unwrap();
    eventually("it goes on", async || handle.get("k").await.ok()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_cut() {
    let server = server();
    let proxy = Proxy::to(server.port()).unwrap();
    let handle = open(&local(proxy.port()), &fresh()).await;
    handle.put("k", VALUE, Expected::Absent).await.unwrap();
    proxy.cut();
    assert!(matches!(handle.get("k").await, Err(StoreError::Unavailable(_))));
    let outcome = handle.put("k", VALUE, Expected::Any).await;
    assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    proxy.heal().unwrap();
    eventually("it goes on", async || handle.put("k", VALUE, Expected::Any).await.ok()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_does_not_end_makes_others_unavailable() {
    let server = Arc::new(server());
    let namespace = fresh();
    let handle = open(&local(server.port()), &namespace).await;
    handle.put("k", VALUE, Expected::Absent).await.unwrap();
    let (locked, lock) = (
        server.clone(),
        format!("SELECT pg_advisory_lock(hashtextextended('{namespace}', 0)), pg_sleep(60)"),
    );
    let holder = tokio::task::spawn_blocking(move || locked.sql(&lock));
    eventually("it is held", async || {
        (server
            .sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
            .unwrap()
            == "1")
            .then_some(())
    })
    .await;
    let outcome = handle.put("k", VALUE, Expected::Any).await;
    assert!(
        matches!(&outcome, Err(StoreError::Unavailable(why)) if why.contains("55P03")),
        "{outcome:?}"
    );
    handle.get("k").await.unwrap();
    let end = "SELECT pg_cancel_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted";
    server.sql(end).unwrap();
    holder.await.unwrap().unwrap_err();
    handle.put("k", VALUE, Expected::Any).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standbys_that_do_not_confirm_leave_the_outcome_open() {
    let pair = PostgresPair::start_with(settings()).unwrap();
    let primary = pair.primary();
    let handle = open(
        &AdapterOptions {
            timeout: Duration::from_secs(8),
            ..local(primary.port())
        },
        &fresh(),
    )
    .await;
    primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'").unwrap();
    primary.sql("SELECT pg_reload_conf()").unwrap();
    eventually("writes wait", async || {
        (primary.sql("SHOW synchronous_standby_names").unwrap() == "*").then_some(())
    })
    .await;
    let written = handle.put("k", VALUE, Expected::Absent).await.unwrap();
    pair.standby().pause().unwrap();
    let cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    let (outcome, ()) = tokio::join!(
        handle.put("k", VALUE, Expected::Revision(written.revision)),
        eventually("the write waits", async || primary
            .sql(cancel)
            .unwrap()
            .contains('t')
            .then_some(()))
    );
    assert!(
        matches!(&outcome, Err(StoreError::Indeterminate(why)) if why.contains("standbys")),
        "{outcome:?}"
    );
    // Nobody else is held up by it, and reads go on.
    handle.get("k").await.unwrap();
    pair.standby().resume().unwrap();
    handle.put("l", VALUE, Expected::Absent).await.unwrap();
}

/// An error at the commit comes after the row that says it was written. One of PostgreSQL's own proves that it was not;
/// one that a pooler tells of a server that it has lost proves nothing, whatever it is here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_at_the_commit() {
    let server = server();
    let handle = open(&local(server.port()), &fresh()).await;
    let before = handle.put("k", VALUE, Expected::Absent).await.unwrap().revision;
    server
        .sql(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE USING ERRCODE = (SELECT code \
             FROM refusal), MESSAGE = 'on purpose'; END $$; CREATE TABLE refusal (code text); GRANT SELECT ON refusal \
             TO node; ALTER FUNCTION refuse() SECURITY DEFINER SET search_path = public; CREATE CONSTRAINT TRIGGER \
             refuse AFTER UPDATE ON shardwright.entries DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION \
             refuse()",
        )
        .unwrap();
    for (code, certain) in [
        ("23514", true),
        ("53100", true),
        ("57014", true),
        ("08006", false),
        ("57P01", false),
        ("XX000", false),
    ] {
        server
            .sql(&format!("DELETE FROM refusal; INSERT INTO refusal VALUES ('{code}')"))
            .unwrap();
        let outcome = handle
            .put("k", Bytes::from_static(b"new"), Expected::Revision(before))
            .await;
        let doubtful = matches!(outcome, Err(StoreError::Indeterminate(_)));
        assert!(outcome.is_err() && doubtful != certain, "{code}: {outcome:?}");
        let entry = handle.get("k").await.unwrap().entry.unwrap();
        assert_eq!((entry.revision, entry.value), (before, VALUE), "{code}");
    }
}
