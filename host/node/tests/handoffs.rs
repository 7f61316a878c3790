//! Handing over: whoever leaves has told the others before it is gone, however long that takes.

mod common;

use common::wire::Wire;
use common::{Cluster, held, until};
use shardwright::{Coordinator, Node};
use shardwright_coordinator::{MemoryBroker, Namespace, SqliteCoordinator};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often somebody leaves.
const TRIES: usize = 100;
/// Of these, so many may be slow: a look that was under way already comes too early.
const SLOW: usize = 1;
/// How long a message takes to be sent: much longer than the rest of a shutdown.
const SENDING: Duration = Duration::from_millis(20);
/// Nobody looks by itself before.
const RENEW: Duration = Duration::from_secs(20);
const TIMING: &str = "[cluster.timing]\nvalidity = \"60s\"\nrenew = \"20s\"\nsettle = \"5ms\"\nstale-after = \"90s\"\ninactive-after = \"200s\"\nstop-timeout = \"5s\"\n";

enum Backend<'p> {
    Memory(MemoryBroker),
    Sqlite(&'p Path),
}

impl Backend<'_> {
    /// A handle of its own for a node, whose messages take their time.
    async fn open(&self) -> Arc<Wire> {
        let name = Namespace::new("test").expect("a name");
        let inner: Arc<dyn Coordinator> = match self {
            Self::Memory(broker) => Arc::new(broker.open(name)),
            Self::Sqlite(path) => Arc::new(SqliteCoordinator::open(path, name).await.expect("opens")),
        };
        Wire::slow(inner, SENDING)
    }
}

/// One of two nodes leaves and comes back, again and again; in turn it is the one that leads.
async fn leave_and_return(backend: Backend<'_>) {
    let mut cluster = Cluster::new("{ shards = 6 }");
    cluster.config = cluster.config.split("[cluster.timing]").next().expect("a part").to_owned() + TIMING;
    let start = async |host: &str| {
        let builder = cluster.builder(host).coordinator(backend.open().await);
        builder.start().await.expect(host)
    };
    let mut nodes: [Node; 2] = [start("a").await, start("b").await];
    let mut slow = Vec::new();
    for _ in 0..TRIES {
        until("both hold their share", &[&nodes[0], &nodes[1]], || {
            held(&[&nodes[0], &nodes[1]]) == [3, 3]
        })
        .await;
        // The older of the two leads.
        let [leaving, staying] = nodes;
        let hostname = leaving.hostname().to_owned();
        leaving.shutdown().await;
        let began = Instant::now();
        until("the other holds everything", &[&staying], || held(&[&staying]) == [6]).await;
        slow.extend((began.elapsed() > RENEW / 4).then(|| began.elapsed()));
        nodes = [staying, start(&hostname).await];
    }
    assert!(
        slow.len() <= SLOW,
        "of {TRIES} handoffs these waited for somebody to look by itself: {slow:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn in_memory_the_others_take_over_without_waiting_for_a_renewal() {
    leave_and_return(Backend::Memory(MemoryBroker::new())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_file_the_others_take_over_without_waiting_for_a_renewal() {
    let folder = tempfile::tempdir().expect("a folder");
    leave_and_return(Backend::Sqlite(&folder.path().join("store"))).await;
}
