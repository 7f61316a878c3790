//! Handing over: whoever leaves has told the others before it is gone, and they have everything three round trips
//! later, on every backend.

mod common;

use common::ledger::{Counted, Ledger};
use common::until;
use common::wire::Wire;
use shardwright::{Node, Role, backend};
use shardwright_config::{ClusterConfig, CoordinatorConfig};
use shardwright_coordinator::{Coordinator, MemoryBroker, Namespace};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How often somebody leaves.
const TRIES: usize = 100;
/// Of these, so many may be slow: a look that was under way already comes too early.
const SLOW: usize = 1;
/// A look of the leader, its write, a look of the others.
const TRIPS: usize = 3;
/// How many shards there are.
const SHARDS: usize = 6;
/// Nobody looks by itself before.
const RENEW: Duration = Duration::from_secs(25);
const SETTINGS: &str = r#"
[cluster.roles]
# The one role that one node does by itself even if it is not set: no other is handed over beside it.
push-notifications = { shards = 6 }
[cluster.timing]
validity = "75s"
renew = "25s"
margin = "500ms"
settle = "5ms"
stale-after = "90s"
inactive-after = "200s"
stop-timeout = "5s"
"#;

/// Three nodes that meet in one store.
struct Cluster {
    config: ClusterConfig,
    folder: TempDir,
    ledger: Ledger,
    /// Where those in memory meet.
    memory: MemoryBroker,
    /// How long a message takes to be sent, beside what it takes anyway.
    sending: Option<Duration>,
}

impl Cluster {
    /// That meets in the store of this section.
    fn at(section: &str) -> Self {
        let text = format!("[cluster]\nname = \"test\"\ncoordinator = \"main\"\n[store.main]\n{section}\n{SETTINGS}");
        let (config, _) = shardwright_config::parse(&text, "configuration").expect("it is good");
        Self {
            config,
            folder: tempfile::tempdir().expect("a folder"),
            ledger: Ledger::default(),
            memory: MemoryBroker::new(),
            sending: None,
        }
    }

    /// A message takes much longer than the rest of a shutdown.
    fn slowly(mut self) -> Self {
        self.sending = Some(Duration::from_millis(20));
        self
    }

    /// A node with a connection of its own.
    async fn start(&self, host: &str) -> Node {
        let mut coordinator: Arc<dyn Coordinator> = match self.config.coordinator {
            CoordinatorConfig::Memory => Arc::new(self.memory.open(Namespace::new("test").expect("a name"))),
            _ => backend::open(&self.config).await.expect("it opens"),
        };
        if let Some(sending) = self.sending {
            coordinator = Wire::slow(coordinator, sending);
        }
        Node::builder()
            .config(self.config.clone())
            .hostname(host)
            .state_dir(self.folder.path().join(host))
            .cache_dir(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("policies"))
            .coordinator(Counted::new(coordinator, host, &self.ledger))
            .start()
            .await
            .expect(host)
    }

    /// One after the other leaves and comes back, again and again; in turn it is the one that leads.
    async fn measure(self) {
        let mut nodes = vec![self.start("a").await, self.start("b").await, self.start("c").await];
        let (mut slow, mut trips, mut longest, mut led) = (Vec::new(), [0; TRIPS + 1], Duration::ZERO, 0);
        for round in 0..TRIES {
            wait("all hold their share", &nodes, |held| {
                held.iter().all(|&held| held == SHARDS / 3)
            })
            .await;
            let leading = nodes
                .iter()
                .position(|node| self.ledger.leads(node.hostname()))
                .expect("one leads");
            let leaving = nodes.remove((leading + round) % nodes.len());
            led += usize::from(round % 3 == 0);
            let hostname = leaving.hostname().to_owned();
            self.ledger.begin(nodes.iter().map(work).collect(), SHARDS);
            leaving.shutdown().await;
            wait("the others hold everything", &nodes, |held| {
                held.iter().sum::<usize>() == SHARDS
            })
            .await;
            let had = Instant::now();
            let measured = self.ledger.measured(&hostname);
            let took = had - measured.over;
            if measured.trips > TRIPS || took > RENEW / 2 {
                slow.push(format!(
                    "{hostname} left: {} trips, {took:?}: {}",
                    measured.trips, measured.story
                ));
            } else {
                trips[measured.trips] += 1;
                longest = longest.max(took);
            }
            nodes.push(self.start(&hostname).await);
        }
        let told = format!(
            "{TRIES} handoffs, {led} by the leader; by round trips {trips:?}, the longest {longest:?}; slow {slow:?}"
        );
        writeln!(std::io::stderr(), "{told}").expect("standard error takes a line");
        assert!(
            slow.len() <= SLOW,
            "of {TRIES} handoffs these took more than {TRIPS} round trips, or waited for somebody to look: {slow:?}"
        );
        let all: usize = trips.iter().enumerate().map(|(trips, times)| trips * times).sum();
        assert!(all > TRIES / 2, "hardly any round trip was counted: {trips:?}");
    }
}

fn work(node: &Node) -> Role {
    node.role("push-notifications").expect("it is configured")
}

/// Waits until the numbers of shards that the nodes hold are as `wanted`.
async fn wait(what: &str, nodes: &[Node], wanted: impl Fn(&[usize]) -> bool) {
    let held = || nodes.iter().map(|node| work(node).shards().count()).collect::<Vec<_>>();
    until(what, &nodes.iter().collect::<Vec<_>>(), || wanted(&held())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_memory() {
    Cluster::at("type = \"memory\"").slowly().measure().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    let cluster = Cluster::at(&format!("type = \"sqlite\"\npath = {path:?}"));
    cluster.slowly().measure().await;
}

#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread")]
async fn on_redis() {
    let server = shardwright_servers::RedisServer::builder().start().expect("it starts");
    let section = format!("type = \"redis\"\nurl = \"redis://127.0.0.1:{}\"", server.port());
    Cluster::at(&section).measure().await;
}

#[cfg(feature = "nats")]
#[tokio::test(flavor = "multi_thread")]
async fn on_nats() {
    let server = shardwright_servers::NatsServer::builder().start().expect("it starts");
    let section = format!("type = \"nats\"\naddresses = [\"nats://127.0.0.1:{}\"]", server.port());
    Cluster::at(&section).measure().await;
}

#[cfg(feature = "kafka")]
#[tokio::test(flavor = "multi_thread")]
async fn on_kafka() {
    let server = shardwright_servers::KafkaServer::builder().start().expect("it starts");
    let section = format!("type = \"kafka\"\nbrokers = [\"{}\"]", server.address());
    Cluster::at(&section).measure().await;
}

#[cfg(feature = "adapters")]
#[tokio::test(flavor = "multi_thread")]
async fn on_etcd() {
    let server = shardwright_servers::EtcdServer::builder().start().expect("it starts");
    let url = format!("http://127.0.0.1:{}", server.port());
    let section = format!(
        "type = \"component\"\nadapter = \"etcd\"\nallow = [\"{url}\"]\nconfig = {{ endpoints = [\"{url}\"] }}"
    );
    Cluster::at(&section).measure().await;
}

#[cfg(feature = "adapters")]
#[tokio::test(flavor = "multi_thread")]
async fn on_postgresql() {
    let server = shardwright_servers::PostgresServer::builder()
        .start()
        .expect("it starts");
    let (port, database, user, password) = (server.port(), server.database(), server.user(), server.password());
    let section = format!(
        "type = \"component\"\nadapter = \"postgresql\"\nallow = [\"tcp://127.0.0.1:{port}\"]\nconfig = {{ host = \
         \"127.0.0.1\", port = {port}, database = \"{database}\", user = \"{user}\", password = \"{password}\" }}"
    );
    Cluster::at(&section).measure().await;
}
