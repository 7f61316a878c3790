//! How fast a cluster of real processes takes over, how fast a node starts, and what an idle one costs.

mod common;

use common::{figure, percent, resident, ticks};
use rustix::process::Signal;
use shardwright_cli::process::{ClusterFolder, NodeProcess, OutputLine};
use shardwright_coordinator::clock::boottime;
use shardwright_coordinator::{Namespace, SqliteCoordinator, Store, protect};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);
const VALIDITY: u64 = 1_500;
const MARGIN: u64 = 50;
const ROLE: &str = "fts-indexing";
const SHARDS: usize = 12;

/// Sessions that run out soon, so that twenty kills take less than a minute.
const SHORT: &str = r#"name = "bench"
timing = { validity = "1500ms", renew = "300ms", margin = "50ms", settle = "50ms", stale-after = "2s" }
roles.fts-indexing = { shards = 12, replicas = 2 }
"#;

/// As most clusters are configured.
const DEFAULT: &str = "name = \"bench\"\nroles.fts-indexing = { shards = 12, replicas = 2 }\n";

fn main() -> anyhow::Result<()> {
    let quick = std::env::args().any(|arg| arg == "--quick");
    takeover(if quick { 3 } else { 20 })?;
    start(if quick { 3 } else { 10 })?;
    idle(if quick {
        Duration::from_secs(3)
    } else {
        Duration::from_secs(20)
    })
}

/// Nodes, and who of them holds which shard.
struct Cluster {
    nodes: BTreeMap<&'static str, NodeProcess>,
    held: BTreeMap<u32, (String, u64)>,
    tell: Sender<OutputLine>,
    told: Receiver<OutputLine>,
    yard: ClusterFolder,
}

impl Cluster {
    fn new(settings: &str) -> anyhow::Result<Self> {
        let (tell, told) = channel();
        let yard = ClusterFolder::new(PathBuf::from(env!("CARGO_BIN_EXE_shardwright")), settings)?;
        Ok(Self {
            nodes: BTreeMap::new(),
            held: BTreeMap::new(),
            tell,
            told,
            yard,
        })
    }

    fn start(&mut self, host: &'static str) -> anyhow::Result<()> {
        self.nodes.insert(host, self.yard.start(host, self.tell.clone())?);
        Ok(())
    }

    /// Follows what is told until `done`.
    fn until(
        &mut self,
        mut done: impl FnMut(&OutputLine, &BTreeMap<u32, (String, u64)>) -> bool,
    ) -> anyhow::Result<OutputLine> {
        loop {
            let told = self.told.recv_timeout(LIMIT)?;
            for (shard, _) in told.shards().filter(|_| told.role() == ROLE) {
                match told.event.as_str() {
                    "gained" => drop(self.held.insert(shard, (told.host.clone(), told.at))),
                    "losing" if self.held.get(&shard).is_some_and(|(host, _)| *host == told.host) => {
                        drop(self.held.remove(&shard));
                    }
                    _ => {}
                }
            }
            if done(&told, &self.held) {
                return Ok(told);
            }
        }
    }

    /// Waits until each of the nodes has its share.
    fn shared(&mut self) -> anyhow::Result<()> {
        let nodes = self.nodes.len();
        self.until(|_, held| {
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            held.values()
                .for_each(|(host, _)| *counts.entry(host).or_default() += 1);
            held.len() == SHARDS && counts.len() == nodes && counts.values().all(|n| *n == SHARDS / nodes)
        })?;
        Ok(())
    }
}

/// From the moment at which a dead node's session may be ended, to the last of its shards being acted on again.
fn takeover(kills: usize) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut cluster = Cluster::new(SHORT)?;
    let hosts = ["alpha", "bravo", "charlie"];
    for host in hosts {
        cluster.start(host)?;
    }
    cluster.shared()?;
    let namespace = Namespace::new("bench")?;
    let store = runtime.block_on(SqliteCoordinator::open(cluster.yard.store(), namespace.clone()))?;
    let store = protect(Arc::new(store), &namespace, None);

    let mut times = Vec::new();
    for host in hosts.into_iter().cycle().take(kills) {
        let lost: Vec<u32> = cluster
            .held
            .iter()
            .filter(|(_, (holder, _))| holder == host)
            .map(|(shard, _)| *shard)
            .collect();
        let mut node = cluster.nodes.remove(host).ok_or_else(|| anyhow::anyhow!("no {host}"))?;
        node.kill()?;
        let listing = runtime.block_on(store.list("sessions/", shardwright_core::store::Revision(0)))?;
        let here = boottime();
        let renewed = listing.entries.iter().filter_map(|(key, entry)| {
            let key = shardwright_core::values::Key::parse(key)?;
            match shardwright_core::codec::decode(&key, &entry.value).ok()? {
                shardwright_core::values::Value::Session(session) if session.hostname == host => Some(entry.written),
                _ => None,
            }
        });
        let renewed = renewed.max().ok_or_else(|| anyhow::anyhow!("{host} has no session"))?;
        let bound = here - listing.now.since(renewed) + VALIDITY + MARGIN;
        cluster.until(|_, held| {
            lost.iter()
                .all(|shard| held.get(shard).is_some_and(|(holder, _)| holder != host))
        })?;
        let last = lost
            .iter()
            .filter_map(|shard| cluster.held.get(shard))
            .map(|(_, at)| *at)
            .max()
            .unwrap_or(bound);
        anyhow::ensure!(
            last >= bound,
            "taken over {} ms before the session could be ended",
            bound - last
        );
        times.push(last - bound);
        cluster.start(host)?;
        cluster.shared()?;
    }
    times.sort_unstable();
    figure(
        &format!("takeover beyond the session bound, p50 of {kills} kills"),
        rank(&times, 50),
        250.0,
        "ms",
    );
    figure(
        &format!("takeover beyond the session bound, p99 of {kills} kills"),
        rank(&times, 99),
        250.0,
        "ms",
    );
    Ok(())
}

/// From the start of a process to its readiness line, where the store and the compiled policies are there already.
fn start(times: usize) -> anyhow::Result<()> {
    let mut cluster = Cluster::new(SHORT)?;
    cluster.start("alpha")?;
    cluster.start("bravo")?;
    cluster.shared()?;
    let mut taken = Vec::new();
    for _ in 0..times {
        let mut node = cluster
            .nodes
            .remove("bravo")
            .ok_or_else(|| anyhow::anyhow!("no bravo"))?;
        node.signal(Signal::TERM)?;
        node.wait(LIMIT)?;
        cluster.until(|told, _| told.event == "eof" && told.host == "bravo")?;
        let began = boottime();
        cluster.start("bravo")?;
        let ready = cluster.until(|told, _| told.event == "ready" && told.host == "bravo")?;
        taken.push(ready.at - began);
    }
    taken.sort_unstable();
    figure(
        &format!("start to ready, p50 of {times}"),
        rank(&taken, 50),
        150.0,
        "ms",
    );
    Ok(())
}

/// What a node of an idle cluster of three costs.
fn idle(time: Duration) -> anyhow::Result<()> {
    let mut cluster = Cluster::new(DEFAULT)?;
    for host in ["alpha", "bravo", "charlie"] {
        cluster.start(host)?;
    }
    cluster.shared()?;
    let ticks = || cluster.nodes.values().map(ticks).collect::<anyhow::Result<Vec<_>>>();
    let before = ticks()?;
    // The time itself is what is measured.
    std::thread::sleep(time);
    let used = ticks()?.iter().zip(&before).map(|(after, before)| after - before).max();
    figure("idle node, processor", percent(used.unwrap_or(0), time), 1.0, "%");
    let memory = cluster
        .nodes
        .values()
        .map(resident)
        .collect::<anyhow::Result<Vec<_>>>()?;
    figure(
        "idle node, resident memory",
        memory.into_iter().fold(0.0, f64::max),
        50.0,
        "MB",
    );
    Ok(())
}

/// The value of a percentile in a sorted list: the nearest rank.
#[expect(clippy::cast_precision_loss, reason = "milliseconds, far below 2^52")]
fn rank(sorted: &[u64], percent: usize) -> f64 {
    let at = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    sorted.get(at).copied().unwrap_or(0) as f64
}
