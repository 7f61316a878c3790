//! A cluster of real nodes inside one process, each with its own state directory, on one memory broker.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

pub mod ledger;
pub mod wire;

use shardwright::{Builder, Bytes, EventStream, MemoryBroker, Message, Messages, Node, NodeEvent, NodeId, Role};
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

/// Short durations: a dead node is replaced after 1.55 s.
pub const TIMING: &str = r#"
[cluster.timing]
validity = "1500ms"
renew = "300ms"
margin = "50ms"
settle = "20ms"
stop-timeout = "2s"
"#;

/// How long anything may take that should happen within a second or two.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Cluster {
    pub broker: MemoryBroker,
    pub temp: TempDir,
    pub config: String,
}

impl Cluster {
    /// A cluster whose only own role is `work`, in table form.
    pub fn new(work: &str) -> Self {
        let config = format!("[cluster]\nname = \"test\"\n[cluster.roles]\nwork = {work}\n{TIMING}");
        Self {
            broker: MemoryBroker::new(),
            temp: tempfile::tempdir().expect("a folder"),
            config,
        }
    }

    pub fn builder(&self, host: &str) -> Builder {
        Node::builder()
            .config_str(self.config.clone())
            .hostname(host)
            .state_dir(self.temp.path().join(host))
            .cache_dir(self.cache())
            .memory(&self.broker)
    }

    /// One code cache for all tests of a run.
    pub fn cache(&self) -> PathBuf {
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("policies")
    }

    pub async fn start(&self, host: &str) -> Node {
        self.builder(host).start().await.expect(host)
    }
}

/// The id that the node holds.
pub fn id(node: &Node) -> NodeId {
    node.id().expect("it holds one")
}

pub fn work(node: &Node) -> Role {
    node.role("work").expect("it is configured")
}

/// How many shards of `work` each node holds.
pub fn held(nodes: &[&Node]) -> Vec<usize> {
    nodes.iter().map(|node| work(node).shards().count()).collect()
}

/// Waits until `condition` holds, looking whenever something happens on one of the nodes.
pub async fn until(what: &str, nodes: &[&Node], mut condition: impl FnMut() -> bool) {
    let (send, mut happened) = tokio::sync::mpsc::unbounded_channel();
    let mut forwarders = tokio::task::JoinSet::new();
    for node in nodes {
        let (mut events, send) = (node.events(), send.clone());
        forwarders.spawn(async move {
            while events.next().await.is_some() {
                if send.send(()).is_err() {
                    return;
                }
            }
        });
    }
    let waiting = async {
        while !condition() {
            // What is read from the store without an event, a plan of others for instance, is looked for now and then.
            let _ = tokio::time::timeout(Duration::from_millis(20), happened.recv()).await;
        }
    };
    assert!(
        tokio::time::timeout(PATIENCE, waiting).await.is_ok(),
        "{what}: not within {PATIENCE:?}; shards held: {:?}",
        nodes
            .iter()
            .map(|node| node.roles().map(|role| role.shards().count()).sum())
            .collect::<Vec<usize>>()
    );
}

/// Waits for the event that `wanted` picks.
pub async fn event<T>(what: &str, events: &mut EventStream, mut wanted: impl FnMut(NodeEvent) -> Option<T>) -> T {
    let found = async {
        loop {
            let event = events.next().await.expect("the node runs");
            if let Some(found) = wanted(event) {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, found)
        .await
        .unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

/// Waits until the node has noticed that its history is lost, and has joined again.
pub async fn joins_anew(events: &mut EventStream) {
    event("it notices", events, |event| {
        matches!(event, NodeEvent::HistoryLost { .. }).then_some(())
    })
    .await;
    event("it joins again", events, |event| {
        matches!(event, NodeEvent::Joined { .. }).then_some(())
    })
    .await;
}

pub async fn next(messages: &mut Messages) -> Message {
    let next = tokio::time::timeout(PATIENCE, messages.next()).await.expect("in time");
    next.expect("the node runs")
}

/// What a message says, if it is one.
pub fn received(message: Message) -> (NodeId, String, Bytes) {
    match message {
        Message::Received { from, topic, body, .. } => (from, topic, body),
        other => panic!("{other:?}"),
    }
}

/// Waits until `messages` has a greeting of `from`. One that falls into a seam is lost, and told.
pub async fn greeted(from: &Node, messages: &mut Messages) {
    let heard = loop {
        from.publish("t", "hello").await.expect("sent");
        match next(messages).await {
            Message::Resync { .. } => {}
            heard => break heard,
        }
    };
    assert!(
        matches!(&heard, Message::Received { from: sender, body, .. } if Some(*sender) == from.id() && body == "hello"),
        "{heard:?}"
    );
}
