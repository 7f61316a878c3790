//! What a node started ends with it. Alone in its file: it counts the threads of the whole process.
#![cfg(target_os = "linux")]

mod common;

use common::{Cluster, PATIENCE, held, until};
use std::time::Instant;

/// Threads of this process by what nodes call theirs.
fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("it is Linux");
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names
        .filter(|name| name.starts_with("shardwright-") || name.starts_with("wasm-clock"))
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn threads_end_with_their_node() {
    let cluster = Cluster::new("{ shards = 4 }");
    let (a, b) = (cluster.start("a").await, cluster.start("b").await);
    until("both work", &[&a, &b], || held(&[&a, &b]) == [2, 2]).await;
    assert!(threads() >= 4, "a fence and a policy clock each");
    drop(a);
    b.shutdown().await;
    drop(b);
    let began = Instant::now();
    while threads() > 0 {
        assert!(began.elapsed() < PATIENCE, "{} threads are left", threads());
        tokio::task::yield_now().await;
    }
}
