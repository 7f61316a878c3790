//! Redis Cluster: three masters, each with a replica.

use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::{RedisServer, Role};
use crate::port::Port;
use crate::process::{GLANCE, PATIENCE};
use crate::redis::RedisBuilder;

/// How many masters there are, and how many replicas.
const MASTERS: usize = 3;

/// Three masters and a replica for each; a master that is killed is replaced within some seconds.
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
    // The nodes talk to each other on these.
    buses: Vec<Port>,
}

impl RedisCluster {
    /// Starts it and waits until every slot has a master and every master a replica.
    ///
    /// # Errors
    /// A node does not come up, or they do not find each other within a minute.
    pub fn start() -> Result<Self> {
        Self::start_with(RedisBuilder::default())
    }

    /// Like [`Self::start`], with settings for every node.
    ///
    /// # Errors
    /// A node does not come up, or they do not find each other within a minute.
    pub fn start_with(settings: RedisBuilder) -> Result<Self> {
        let mut nodes = Vec::new();
        let mut buses = Vec::new();
        for _ in 0..2 * MASTERS {
            let bus = Port::free()?;
            let node = settings
                .clone()
                .set("cluster-enabled", "yes")
                .set("cluster-port", &bus.number().to_string())
                .set("cluster-node-timeout", "3000")
                .start_as(Role::Server)?;
            nodes.push(node);
            buses.push(bus);
        }
        let cluster = Self { nodes, buses };
        cluster.join()?;
        cluster.wait_until_whole()?;
        Ok(cluster)
    }

    /// The addresses of all nodes.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(RedisServer::url).collect()
    }

    /// One of the six nodes; 0 to 2 are masters at first, 3 to 5 their replicas.
    ///
    /// # Panics
    /// There are only six.
    #[must_use]
    pub fn node(&self, index: usize) -> &RedisServer {
        &self.nodes[index]
    }

    /// The nodes.
    pub fn nodes(&self) -> impl Iterator<Item = &RedisServer> {
        self.nodes.iter()
    }

    /// The master of the slot in which `key` lies, as the first running node knows it.
    ///
    /// # Errors
    /// No node runs or knows it.
    pub fn master_of(&self, key: &str) -> Result<&RedisServer> {
        let asked = self
            .nodes
            .iter()
            .find(|node| node.is_running())
            .context("no node runs")?;
        let slot: u16 = asked.cli(&["cluster", "keyslot", key])?.parse()?;
        let table = asked.cli(&["cluster", "nodes"])?;
        let line = table.lines().find(|line| {
            line.contains("master")
                && !line.contains("fail")
                && slots(line).any(|(from, to)| (from..=to).contains(&slot))
        });
        let port: u16 = line
            .and_then(|line| line.split([':', '@']).nth(1))
            .with_context(|| format!("slot {slot} has no master:\n{table}"))?
            .parse()?;
        self.nodes
            .iter()
            .find(|node| node.port() == port)
            .context("the master is none of ours")
    }

    /// Waits until every node sees all slots served and all replicas linked.
    ///
    /// # Errors
    /// They do not within a minute; a node's view is shown.
    pub fn wait_until_whole(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        for node in &self.nodes {
            while !is_whole(node)? {
                let view = node.cli(&["cluster", "nodes"])?;
                ensure!(
                    Instant::now() < deadline,
                    "the Redis Cluster is not whole after {PATIENCE:?}:\n{view}"
                );
                std::thread::sleep(GLANCE);
            }
        }
        Ok(())
    }

    /// Makes a cluster of the single nodes.
    fn join(&self) -> Result<()> {
        const SLOTS: usize = 16_384;
        let (first, others) = self.nodes.split_first().context("a cluster without nodes")?;
        for (index, master) in self.nodes[..MASTERS].iter().enumerate() {
            let (from, to) = (SLOTS * index / MASTERS, SLOTS * (index + 1) / MASTERS - 1);
            master.cli(&["cluster", "addslotsrange", &from.to_string(), &to.to_string()])?;
            // Without an epoch of its own each would think that the others' slots are its.
            master.cli(&["cluster", "set-config-epoch", &(index + 1).to_string()])?;
        }
        for (node, bus) in others.iter().zip(&self.buses[1..]) {
            first.cli(&[
                "cluster",
                "meet",
                "127.0.0.1",
                &node.port().to_string(),
                &bus.number().to_string(),
            ])?;
        }
        let deadline = Instant::now() + PATIENCE;
        for (replica, master) in self.nodes[MASTERS..].iter().zip(&self.nodes) {
            let id = master.cli(&["cluster", "myid"])?;
            // It must have heard of its master first.
            while replica.cli(&["cluster", "replicate", &id]).is_err() {
                ensure!(
                    Instant::now() < deadline,
                    "a replica hears nothing of its master after {PATIENCE:?}"
                );
                std::thread::sleep(GLANCE);
            }
        }
        Ok(())
    }
}

/// Whether `node` sees a cluster in which nothing is missing.
fn is_whole(node: &RedisServer) -> Result<bool> {
    let info = node.cli(&["cluster", "info"])?;
    let table = node.cli(&["cluster", "nodes"])?;
    let linked = node.cli(&["info", "replication"])?;
    let whole = table.lines().count() == 2 * MASTERS
        && table.lines().filter(|line| line.contains("slave")).count() == MASTERS
        && !table.contains("fail")
        && !table.contains("handshake");
    let replica = linked.contains("role:slave");
    Ok(info.contains("cluster_state:ok")
        && whole
        && (if replica {
            linked.contains("master_link_status:up")
        } else {
            linked.contains("state=online")
        }))
}

/// The ranges of slots in a line of `CLUSTER NODES`.
fn slots(line: &str) -> impl Iterator<Item = (u16, u16)> {
    line.split(' ').skip(8).filter_map(|range| {
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        Some((from.parse().ok()?, to.parse().ok()?))
    })
}
