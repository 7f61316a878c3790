//! Another server takes over, with or without all that was acknowledged.

use crate::common::{PATIENCE, eventually, fresh, message, next, open, single};
use bytes::Bytes;
use shardwright_coordinator::broker::Password;
use shardwright_coordinator::redis::{RedisCoordinator, RedisOptions, RedisTopology};
use shardwright_coordinator::{Bus, Delivery, Namespace, PutRequest, Store};
use shardwright_core::store::{Expected, Revision, StoreError, StoreTime};
use shardwright_servers::{RedisCluster, RedisSentinel, RedisServer};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

fn sentinels(servers: &RedisSentinel, min_replicas: u32) -> RedisOptions {
    RedisOptions {
        topology: RedisTopology::Sentinel {
            service: servers.service().into(),
            user: None,
            password: None,
        },
        urls: servers.urls().iter().map(Password::new).collect(),
        timeout: Duration::from_secs(3),
        min_replicas,
        ..single("")
    }
}

fn cluster(nodes: &RedisCluster, min_replicas: u32) -> RedisOptions {
    RedisOptions {
        topology: RedisTopology::Cluster,
        urls: nodes.urls().iter().map(Password::new).collect(),
        timeout: Duration::from_secs(3),
        min_replicas,
        ..single("")
    }
}

/// What some writers were told.
#[derive(Default)]
struct Told {
    /// Keys whose writing was acknowledged.
    acknowledged: BTreeSet<String>,
    /// The revisions given.
    revisions: Vec<Revision>,
}

/// Writes one key after the other until told to stop, with a new handle whenever the history of one is lost.
async fn write(
    options: RedisOptions,
    namespace: Namespace,
    writer: usize,
    stop: watch::Receiver<bool>,
    progress: watch::Sender<u64>,
) -> Told {
    let mut told = Told::default();
    let mut handle = open(&options, &namespace).await;
    let mut number = 0;
    while !*stop.borrow() {
        let key = format!("w{writer}/{number}");
        number += 1;
        match handle.put(&key, Bytes::from_static(b"value"), Expected::Absent).await {
            Ok(written) => {
                told.acknowledged.insert(key);
                told.revisions.push(written.revision);
                progress.send_modify(|count| *count += 1);
            }
            Err(StoreError::Unavailable(_) | StoreError::Indeterminate(_)) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(StoreError::HistoryLost(_)) => handle = open(&options, &namespace).await,
            Err(error) => panic!("{error}"),
        }
    }
    told
}

/// Has four writers write while `fail` makes another server the master: nothing that was acknowledged is missing
/// afterwards.
async fn nothing_is_lost(options: RedisOptions, fail: impl FnOnce(&Namespace) + Send + 'static) {
    let namespace = fresh();
    let (stop, stopped) = watch::channel(false);
    let (progress, mut count) = watch::channel(0);
    let mut writers = JoinSet::new();
    for writer in 0..4 {
        writers.spawn(write(
            options.clone(),
            namespace.clone(),
            writer,
            stopped.clone(),
            progress.clone(),
        ));
    }
    let mut reach = async |more: u64| {
        let goal = *count.borrow() + more;
        let reached = tokio::time::timeout(PATIENCE, count.wait_for(|count| *count >= goal)).await;
        *reached.expect("writes go on").unwrap()
    };
    reach(200).await;
    let failing = namespace.clone();
    tokio::task::spawn_blocking(move || fail(&failing)).await.unwrap();
    reach(200).await;
    stop.send_replace(true);
    let (mut keys, mut revisions) = (BTreeSet::new(), BTreeSet::new());
    while let Some(told) = writers.join_next().await {
        let told = told.unwrap();
        assert!(
            told.revisions.is_sorted_by(|one, other| one < other),
            "revisions of a writer went back"
        );
        keys.extend(told.acknowledged);
        for revision in told.revisions {
            assert!(revisions.insert(revision), "revision {} was given twice", revision.0);
        }
    }
    let reader = open(&options, &namespace).await;
    let listing = eventually("a listing", async || reader.list("", Revision(0)).await.ok()).await;
    assert!(listing.unsure_before > StoreTime(0), "the change was not noticed");
    let there: BTreeSet<_> = listing.entries.into_iter().map(|(key, _)| key).collect();
    let missing: Vec<_> = keys.difference(&there).collect();
    assert!(
        missing.is_empty(),
        "{} of {} acknowledged writes are missing: {missing:?}",
        missing.len(),
        keys.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn with_min_replicas_sentinels_lose_nothing() {
    let servers = Arc::new(RedisSentinel::start().unwrap());
    let failing = servers.clone();
    nothing_is_lost(sentinels(&servers, 1), move |_| {
        let servers = failing;
        servers.master().kill().unwrap();
        servers.wait_for_master(servers.replica()).unwrap();
        // Without it no replica could confirm anything.
        servers.master().start_again().unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn with_min_replicas_a_cluster_loses_nothing() {
    let nodes = Arc::new(RedisCluster::start().unwrap());
    let failing = nodes.clone();
    nothing_is_lost(cluster(&nodes, 1), move |namespace| {
        let nodes = failing;
        let key = format!("shardwright:{{{namespace}}}:meta");
        let old = nodes.master_of(&key).unwrap();
        old.kill().unwrap();
        let begun = std::time::Instant::now();
        while !nodes.master_of(&key).is_ok_and(|new| new.port() != old.port()) {
            assert!(begun.elapsed() < PATIENCE, "no replica was promoted");
            std::thread::sleep(Duration::from_millis(20));
        }
        old.start_again().unwrap();
    })
    .await;
}

/// The replica that takes over lacks a write that one handle knows of, and another does not.
async fn one_write_is_lost(knows: &RedisCoordinator, not: &RedisCoordinator, first: Revision, lost: Revision) {
    // Decided on before anybody heard of the change: refused, and not done.
    let refused = eventually("an answer", async || {
        match not
            .put("k", Bytes::from_static(b"blind"), Expected::Revision(first))
            .await
        {
            Err(StoreError::Unavailable(why)) if why.contains("another server") => Some(why),
            Err(StoreError::Unavailable(_) | StoreError::Indeterminate(_)) => None,
            other => panic!("{other:?}"),
        }
    })
    .await;
    assert!(refused.contains("nothing was written"), "{refused}");
    let reading = not.get("k").await.unwrap();
    let entry = reading.entry.unwrap();
    assert_eq!((&entry.value[..], entry.revision), (&b"first"[..], first));
    assert!(
        reading.unsure_before > entry.written,
        "{entry:?}, unsure before {:?}",
        reading.unsure_before
    );
    // The handle has heard of it; whoever writes through it may not have.
    let put = |heard| {
        let request = PutRequest::new("k", Bytes::from_static(b"informed"), Expected::Revision(first));
        not.put_with(request.heard(heard))
    };
    let uninformed = put(StoreTime(reading.unsure_before.0 - 1)).await;
    assert!(matches!(uninformed, Err(StoreError::Unavailable(_))), "{uninformed:?}");
    let written = put(reading.unsure_before).await.unwrap();
    assert!(
        written.revision > lost,
        "revision {} was given before",
        written.revision.0
    );

    for _ in 0..2 {
        let answer = eventually("an answer", async || match knows.get("k").await {
            Err(StoreError::Unavailable(_)) => None,
            other => Some(other),
        })
        .await;
        assert!(matches!(answer, Err(StoreError::HistoryLost(_))), "{answer:?}");
        let answer = knows.put("k", Bytes::new(), Expected::Any).await;
        assert!(matches!(answer, Err(StoreError::HistoryLost(_))), "{answer:?}");
    }
    assert_eq!(not.get("k").await.unwrap().entry.unwrap().revision, written.revision);
}

/// No connection ends: the server that they lead to becomes a replica of another, and then master again.
#[tokio::test(flavor = "multi_thread")]
async fn a_loss_behind_an_open_connection_is_noticed() {
    let (master, replica) = replicated().await;
    let (options, namespace) = (single(&master.url()), fresh());
    let (knows, not) = (open(&options, &namespace).await, open(&options, &namespace).await);
    let first = not
        .put("k", Bytes::from_static(b"first"), Expected::Absent)
        .await
        .unwrap()
        .revision;
    eventually("replication", async || {
        (offset(&master) == offset(&replica)).then_some(())
    })
    .await;

    replica.cli(&["replicaof", "no", "one"]).unwrap();
    let lost = knows
        .put("k", Bytes::from_static(b"lost"), Expected::Any)
        .await
        .unwrap()
        .revision;
    master
        .cli(&["replicaof", "127.0.0.1", &replica.port().to_string()])
        .unwrap();
    linked(&master).await;
    // A replica is no place to write, nor to read from.
    let refused = not.get("k").await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    master.cli(&["replicaof", "no", "one"]).unwrap();
    one_write_is_lost(&knows, &not, first, lost).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loss_at_a_promotion_by_sentinels_is_noticed() {
    let servers = RedisSentinel::start().unwrap();
    let (master, replica) = (servers.master(), servers.replica());
    let (options, namespace) = (sentinels(&servers, 0), fresh());
    let (knows, not) = (open(&options, &namespace).await, open(&options, &namespace).await);
    let mut subscription = not.subscribe(&[]).await.unwrap();
    let first = not
        .put("k", Bytes::from_static(b"first"), Expected::Absent)
        .await
        .unwrap()
        .revision;
    eventually("replication", async || {
        (offset(master) == offset(replica)).then_some(())
    })
    .await;

    // It is frozen and its connection is gone, so it can hear of nothing that is written then.
    replica.pause().unwrap();
    master.cli(&["client", "kill", "type", "replica"]).unwrap();
    let lost = knows
        .put("k", Bytes::from_static(b"lost"), Expected::Any)
        .await
        .unwrap()
        .revision;
    master.kill().unwrap();
    replica.resume().unwrap();
    servers.wait_for_master(replica).unwrap();
    one_write_is_lost(&knows, &not, first, lost).await;
    assert_eq!(next(&mut *subscription).await, Delivery::Gap { lost: 0 });
}

/// The slot is handed to another node with all its keys: nothing is lost, and who listened must listen there.
#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_moves_is_followed() {
    let nodes = RedisCluster::start().unwrap();
    let (options, namespace) = (cluster(&nodes, 0), fresh());
    let (handle, far) = (open(&options, &namespace).await, open(&options, &namespace).await);
    let mut subscription = handle.subscribe(&["t"]).await.unwrap();
    let first = handle
        .put("k", Bytes::from_static(b"first"), Expected::Absent)
        .await
        .unwrap();
    move_slot(&nodes, &namespace);

    let reading = eventually("a reading", async || handle.get("k").await.ok()).await;
    assert_eq!(reading.entry.unwrap().revision, first.revision);
    handle
        .put("k", Bytes::from_static(b"second"), Expected::Revision(first.revision))
        .await
        .unwrap();
    assert_eq!(next(&mut *subscription).await, Delivery::Gap { lost: 0 });
    eventually("the bus", async || {
        far.publish("t", Bytes::from_static(b"there")).await.ok()
    })
    .await;
    assert_eq!(next(&mut *subscription).await, message("t", "there"));
}

/// Moves the slot of `namespace` to another master.
fn move_slot(nodes: &RedisCluster, namespace: &Namespace) {
    let key = |what: &str| format!("shardwright:{{{namespace}}}:{what}");
    let from = nodes.master_of(&key("meta")).unwrap();
    let to = (0..3)
        .map(|index| nodes.node(index))
        .find(|node| node.port() != from.port())
        .unwrap();
    let slot = from.cli(&["cluster", "keyslot", &key("meta")]).unwrap();
    let (from_id, to_id) = (
        from.cli(&["cluster", "myid"]).unwrap(),
        to.cli(&["cluster", "myid"]).unwrap(),
    );
    to.cli(&["cluster", "setslot", &slot, "importing", &from_id]).unwrap();
    from.cli(&["cluster", "setslot", &slot, "migrating", &to_id]).unwrap();
    let (port, keys) = (to.port().to_string(), [key("meta"), key("index"), key("entries")]);
    let mut migrate = vec!["migrate", "127.0.0.1", &port, "", "0", "5000", "keys"];
    migrate.extend(keys.iter().map(String::as_str));
    from.cli(&migrate).unwrap();
    for node in [to, from] {
        node.cli(&["cluster", "setslot", &slot, "node", &to_id]).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_no_replica_confirms_is_indeterminate() {
    let (master, replica) = replicated().await;
    let options = RedisOptions {
        min_replicas: 1,
        timeout: Duration::from_secs(2),
        ..single(&master.url())
    };
    let handle = open(&options, &fresh()).await;
    let first = handle.put("k", Bytes::new(), Expected::Absent).await.unwrap();
    replica.pause().unwrap();
    let unsure = handle.put("k", Bytes::new(), Expected::Revision(first.revision)).await;
    assert!(
        matches!(&unsure, Err(StoreError::Indeterminate(why)) if why.contains("0 of 1 replicas")),
        "{unsure:?}"
    );
    // Reads wait for nobody. A conflict is none before replicas confirm it: it may be one with the write before, which
    // they do not have.
    let there = handle.get("k").await.unwrap().entry.unwrap().revision;
    assert!(there > first.revision);
    let conflict = handle.put("k", Bytes::new(), Expected::Revision(first.revision)).await;
    assert!(matches!(conflict, Err(StoreError::Unavailable(_))), "{conflict:?}");
    replica.resume().unwrap();
    eventually("a conflict", async || {
        match handle.put("k", Bytes::new(), Expected::Revision(first.revision)).await {
            Err(StoreError::Conflict(_)) => Some(()),
            Err(StoreError::Unavailable(_)) => None,
            other => panic!("{other:?}"),
        }
    })
    .await;
    // The connection of the writes finds the script gone, too.
    master.cli(&["script", "flush"]).unwrap();
    eventually("a write", async || {
        handle.put("k", Bytes::new(), Expected::Any).await.ok()
    })
    .await;
}

/// A master and its replica, which has all that it has.
async fn replicated() -> (RedisServer, RedisServer) {
    let master = RedisServer::start().unwrap();
    let replica = RedisServer::builder()
        .line(&format!("replicaof 127.0.0.1 {}", master.port()))
        .start()
        .unwrap();
    linked(&replica).await;
    (master, replica)
}

/// Waits until `replica` follows its master.
async fn linked(replica: &RedisServer) {
    eventually("the link", async || {
        let state = replica.cli(&["info", "replication"]).unwrap();
        (state.contains("role:slave") && state.contains("master_link_status:up")).then_some(())
    })
    .await;
}

/// How much of the stream of writes it has.
fn offset(server: &RedisServer) -> String {
    let state = server.cli(&["info", "replication"]).unwrap();
    let line = state.lines().find(|line| line.starts_with("master_repl_offset:"));
    line.unwrap().trim().to_owned()
}
