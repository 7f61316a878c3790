//! Three etcd servers.

use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::{EtcdBuilder, EtcdServer, peer_url};
use crate::http;
use crate::port::Port;
use crate::process::{GLANCE, PATIENCE};

/// Three servers; any one of them may fail.
pub struct EtcdCluster {
    nodes: Vec<EtcdServer>,
}

impl EtcdCluster {
    /// Three of the newer servers.
    ///
    /// # Errors
    /// One does not come up, or they elect no leader within a minute.
    pub fn start() -> Result<Self> {
        Self::start_with(EtcdBuilder::default())
    }

    /// Three of Debian 12's 3.4.
    ///
    /// # Errors
    /// One does not come up, or they elect no leader within a minute.
    pub fn old() -> Result<Self> {
        Self::start_with(EtcdBuilder::default().old())
    }

    /// Three with settings of your own.
    ///
    /// # Errors
    /// One does not come up, or they elect no leader within a minute.
    pub fn start_with(mut settings: EtcdBuilder) -> Result<Self> {
        let peers = (0..3).map(|_| Port::free()).collect::<Result<Vec<_>>>()?;
        let members: Vec<_> = peers
            .iter()
            .enumerate()
            .map(|(index, peer)| format!("node-{index}={}", peer_url(peer)))
            .collect();
        let mut nodes = Vec::new();
        for (index, peer) in peers.into_iter().enumerate() {
            nodes.push(
                settings
                    .clone()
                    .launch(&format!("node-{index}"), peer, &members.join(","))?,
            );
            // The first sets them up for all.
            settings.users.clear();
        }
        let cluster = Self { nodes };
        for node in &cluster.nodes {
            node.wait_until_ready()?;
        }
        cluster.wait_until_whole()?;
        Ok(cluster)
    }

    /// The addresses of all nodes.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(EtcdServer::url).collect()
    }

    /// One of the three nodes.
    ///
    /// # Panics
    /// There are only three.
    #[must_use]
    pub fn node(&self, index: usize) -> &EtcdServer {
        &self.nodes[index]
    }

    /// The nodes.
    pub fn nodes(&self) -> impl Iterator<Item = &EtcdServer> {
        self.nodes.iter()
    }

    /// The node that leads the others.
    ///
    /// # Errors
    /// None of those that run does.
    pub fn leader(&self) -> Result<&EtcdServer> {
        let mut running = self.nodes.iter().filter(|node| node.is_running());
        running
            .find(|node| node.is_leader().unwrap_or(false))
            .context("no node leads")
    }

    /// Waits until every node that runs has a leader and all that was acknowledged.
    ///
    /// # Errors
    /// It has not within a minute; its answer is shown.
    pub fn wait_until_whole(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        for node in &self.nodes {
            while node.is_running() {
                // It reads a key as a client would, which asks the leader how far it is.
                let answer = http::get(node.plain, "/health").unwrap_or_else(|error| error.to_string());
                if answer.contains("\"health\":\"true\"") {
                    break;
                }
                ensure!(
                    Instant::now() < deadline,
                    "the etcd cluster is not whole after {PATIENCE:?}: {answer}"
                );
                std::thread::sleep(GLANCE);
            }
        }
        Ok(())
    }
}
