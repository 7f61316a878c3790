//! The coordinator in memory: who meets there, and who does not.

mod common;

use common::{Cluster, TIMING, held, id, next, received, until};
use shardwright::{Builder, MemoryBroker, Node};
use std::path::Path;

fn builder(folder: &Path, host: &str) -> Builder {
    let text = format!(
        "[cluster]\nname = \"test\"\ncoordinator = \"m\"\nroles.work = {{ shards = 4 }}\n[store.m]\ntype = \
         \"memory\"\n{TIMING}"
    );
    Node::builder()
        .config_str(text)
        .hostname(host)
        .state_dir(folder.join(host))
        .cache_dir(Path::new(env!("CARGO_TARGET_TMPDIR")).join("policies"))
}

/// As two tests of one process would: one cluster by its name, and the same hostnames.
#[tokio::test(flavor = "multi_thread")]
async fn clusters_of_one_name_meet_only_by_a_shared_broker() {
    let folders = [
        tempfile::tempdir().expect("a folder"),
        tempfile::tempdir().expect("a folder"),
    ];
    let brokers = [MemoryBroker::new(), MemoryBroker::new()];
    let mut clusters = Vec::new();
    for (folder, broker) in folders.iter().zip(&brokers) {
        let a = builder(folder.path(), "a").memory(broker).start().await.expect("a");
        // A clone is the same broker.
        let b = builder(folder.path(), "b")
            .memory(&broker.clone())
            .start()
            .await
            .expect("b");
        clusters.push((a, b));
    }
    for (a, b) in &clusters {
        assert_eq!([id(a).get(), id(b).get()], [1, 2]);
        until("two nodes share four shards", &[a, b], || held(&[a, b]) == [2, 2]).await;
        until("they know of each other, and of nobody else", &[a, b], || {
            (a.registry().len(), b.registry().len()) == (2, 2)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_broker_a_node_is_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let (a, b) = (
        builder(folder.path(), "a").start().await.expect("a"),
        builder(folder.path(), "b").start().await.expect("b"),
    );
    for node in [&a, &b] {
        until("it does everything", &[node], || held(&[node]) == [4]).await;
        assert_eq!((id(node).get(), node.registry().len()), (1, 1));
        assert_eq!(node.coordinator_location(), "memory: this process");
    }
}

/// A server that needs ids and messages only: nothing in its configuration sets a role, and none is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_may_have_no_role_at_all() {
    let mut cluster = Cluster::new("{ shards = 1 }");
    cluster.config = format!("[cluster]\nname = \"test\"\n{TIMING}");
    let (a, b) = (cluster.start("a").await, cluster.start("b").await);
    assert_eq!([id(&a).get(), id(&b).get()], [1, 2]);
    assert_eq!(a.roles().count(), 0);
    assert!(a.role("work").expect_err("there is none").to_string().contains("work"));
    let mut messages = b.subscribe(&["news"]).await.expect("subscribed");
    a.publish("news", "hello").await.expect("published");
    assert_eq!(
        received(next(&mut messages).await),
        (id(&a), "news".into(), "hello".into())
    );
    b.shutdown().await;
    assert!(a.is_live());
}
