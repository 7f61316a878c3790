//! What must be noticed as another history, and what must not.

use super::{eventually, fresh, local, open, server, settings};
use bytes::Bytes;
use shardwright_components::adapter::AdapterCoordinator;
use shardwright_coordinator::{Namespace, Store};
use shardwright_core::store::{Expected, Revision, StoreError};
use shardwright_servers::{PostgresPair, Proxy};

const VALUE: Bytes = Bytes::from_static(b"v");

/// Waits until the handle knows that its history is lost, and makes sure that it stays so.
async fn lost(handle: &AdapterCoordinator) -> String {
    let why = eventually("the loss is noticed", async || match handle.get("k").await {
        Err(StoreError::HistoryLost(why)) => Some(why),
        Err(StoreError::Unavailable(_)) => None,
        other => panic!("{other:?}"),
    })
    .await;
    assert!(matches!(
        handle.put("k", VALUE, Expected::Any).await,
        Err(StoreError::HistoryLost(_))
    ));
    assert!(matches!(
        handle.list("", Revision(0)).await,
        Err(StoreError::HistoryLost(_))
    ));
    why
}

async fn written(port: u16, namespace: &Namespace) -> (AdapterCoordinator, Revision) {
    let handle = open(&local(port), namespace).await;
    let written = handle.put("k", VALUE, Expected::Absent).await.unwrap();
    (handle, written.revision)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_wiped() {
    let server = server();
    let namespace = fresh();
    let (handle, _) = written(server.port(), &namespace).await;
    server.kill().unwrap();
    server.wipe().unwrap();
    server.start_again().unwrap();
    lost(&handle).await;
    let next = open(&local(server.port()), &namespace).await;
    assert_eq!(next.get("k").await.unwrap().entry, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_that_were_dropped_or_emptied() {
    let server = server();
    for loss in [
        "DROP SCHEMA shardwright CASCADE",
        "TRUNCATE shardwright.namespaces",
        "DELETE FROM shardwright.namespaces",
    ] {
        let namespace = fresh();
        let (handle, revision) = written(server.port(), &namespace).await;
        server.sql(loss).unwrap();
        lost(&handle).await;
        let next = open(&local(server.port()), &namespace).await;
        let reading = next.get("k").await.unwrap();
        if reading.entry.is_some() {
            // The entries were left: whoever goes on with them is told, and revisions do not come again.
            assert!(reading.unsure_before.0 > 0);
            assert!(next.put("l", VALUE, Expected::Absent).await.unwrap().revision.0 > revision.0 + 1_000_000);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_from_a_backup() {
    let server = server();
    let namespace = fresh();
    let (handle, _) = written(server.port(), &namespace).await;
    // What pg_dump and pg_restore leave: the same rows in other tables.
    for statement in [
        "CREATE TABLE kept AS SELECT * FROM shardwright.namespaces",
        "CREATE TABLE entries_kept AS SELECT * FROM shardwright.entries",
        "DROP SCHEMA shardwright CASCADE",
        include_str!("../../../../../guests/adapters/postgresql/schema.sql"),
        "INSERT INTO shardwright.namespaces SELECT * FROM kept",
        "INSERT INTO shardwright.entries SELECT * FROM entries_kept",
        "ALTER SCHEMA shardwright OWNER TO node",
        "GRANT ALL ON ALL TABLES IN SCHEMA shardwright TO node",
    ] {
        server.sql(statement).unwrap();
    }
    let next = open(&local(server.port()), &namespace).await;
    assert!(next.get("k").await.unwrap().unsure_before.0 > 0);
    lost(&handle).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_killed_has_lost_nothing() {
    let server = server();
    let (handle, revision) = written(server.port(), &fresh()).await;
    server.kill().unwrap();
    assert!(matches!(handle.get("k").await, Err(StoreError::Unavailable(_))));
    server.start_again().unwrap();
    let reading = eventually("it is back", async || handle.get("k").await.ok()).await;
    assert_eq!(reading.entry.as_ref().map(|entry| entry.revision), Some(revision));
    assert_eq!(reading.unsure_before.0, 0);
    handle.put("k", VALUE, Expected::Revision(revision)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_was_promoted() {
    let pair = PostgresPair::start_with(settings()).unwrap();
    let proxy = Proxy::to(pair.primary().port()).unwrap();
    let namespace = fresh();
    let (handle, revision) = written(proxy.port(), &namespace).await;
    pair.wait_until_whole().unwrap();
    // The last write is acknowledged, and does not get there.
    pair.standby().stop().unwrap();
    let last = handle.put("k", VALUE, Expected::Revision(revision)).await.unwrap();
    pair.primary().kill().unwrap();
    pair.standby().start_again().unwrap();
    pair.promote().unwrap();
    proxy.lead_to(pair.standby().port());
    proxy.interrupt().unwrap();
    let why = lost(&handle).await;
    assert!(
        why.contains("older timeline") || why.contains("has the history"),
        "{why}"
    );
    let next = open(&local(pair.standby().port()), &namespace).await;
    let reading = next.get("k").await.unwrap();
    assert_eq!(reading.entry.as_ref().map(|entry| entry.revision), Some(revision));
    assert!(reading.unsure_before > last.now, "{reading:?}");
    let token = next.put("k", VALUE, Expected::Any).await.unwrap().revision;
    assert!(token > last.revision, "{token:?} was given out before");
    // Once it is one history, it stays.
    let again = open(&local(pair.standby().port()), &namespace).await;
    assert_eq!(
        again.get("k").await.unwrap().entry.map(|entry| entry.revision),
        Some(token)
    );
    next.get("k").await.unwrap();
}

/// The primary's clock was 6 s ahead of the standby's: after the promotion no stamp goes back, and nothing is older
/// than it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_was_promoted_and_whose_clock_is_behind() {
    let pair = PostgresPair::start_with(settings()).unwrap();
    let namespace = fresh();
    let (handle, _) = written(pair.primary().port(), &namespace).await;
    pair.primary()
        .sql("UPDATE shardwright.entries SET written = written + 6000")
        .unwrap();
    let ahead = handle.put("k", VALUE, Expected::Any).await.unwrap().now;
    pair.wait_until_whole().unwrap();
    pair.primary().kill().unwrap();
    pair.promote().unwrap();
    let next = open(&local(pair.standby().port()), &namespace).await;
    let reading = next.get("k").await.unwrap();
    assert!(reading.now >= ahead && reading.unsure_before >= ahead, "{reading:?}");
    let began = std::time::Instant::now();
    let stamp = next.put("k", VALUE, Expected::Any).await.unwrap().now;
    assert!(stamp >= ahead);
    let reading = next.get("k").await.unwrap();
    let (age, most) = (reading.now.0 - stamp.0, began.elapsed().as_millis());
    assert!(u128::from(age) <= most + 10, "{age} ms after {most} ms");
}
