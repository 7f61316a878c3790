//! Three NATS servers that replicate their streams.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{NatsBuilder, NatsServer};
use crate::port::Port;
use crate::process::{GLANCE, PATIENCE};

/// Three servers with JetStream; any one of them may fail.
pub struct NatsCluster {
    nodes: Vec<NatsServer>,
    // For each node: where the others reach it, and where it tells how it is.
    _routes: Vec<Port>,
    monitors: Vec<Port>,
}

impl NatsCluster {
    /// Three of the newer servers.
    ///
    /// # Errors
    /// One does not come up, or they elect no leader within a minute.
    pub fn start() -> Result<Self> {
        Self::start_with(NatsBuilder::default())
    }

    /// Three of Debian 12's 2.9.10, whose compare-and-set by subject is not atomic.
    ///
    /// # Errors
    /// One does not come up, or they elect no leader within a minute.
    pub fn old() -> Result<Self> {
        Self::start_with(NatsBuilder::default().old())
    }

    /// Three with settings of your own.
    ///
    /// # Errors
    /// One does not come up, or they elect no leader within a minute.
    pub fn start_with(settings: NatsBuilder) -> Result<Self> {
        let routes = (0..3).map(|_| Port::free()).collect::<Result<Vec<_>>>()?;
        let monitors = (0..3).map(|_| Port::free()).collect::<Result<Vec<_>>>()?;
        let peers: Vec<_> = routes
            .iter()
            .map(|port| format!("nats://127.0.0.1:{}", port.number()))
            .collect();
        let mut nodes = Vec::new();
        for (index, (route, monitor)) in routes.iter().zip(&monitors).enumerate() {
            let node = settings.clone().config(&format!(
                "server_name: node-{index}\nhttp: 127.0.0.1:{}\ncluster {{ name: test, listen: 127.0.0.1:{}, routes: \
                 {peers:?} }}",
                monitor.number(),
                route.number()
            ));
            nodes.push(node.launch(Port::free()?)?);
        }
        let cluster = Self {
            nodes,
            _routes: routes,
            monitors,
        };
        for node in &cluster.nodes {
            node.wait_until_ready()?;
        }
        cluster.wait_until_whole()?;
        Ok(cluster)
    }

    /// The addresses of all nodes.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(NatsServer::url).collect()
    }

    /// One of the three nodes.
    ///
    /// # Panics
    /// There are only three.
    #[must_use]
    pub fn node(&self, index: usize) -> &NatsServer {
        &self.nodes[index]
    }

    /// The nodes.
    pub fn nodes(&self) -> impl Iterator<Item = &NatsServer> {
        self.nodes.iter()
    }

    /// Waits until every node that runs is up to date with the others.
    ///
    /// # Errors
    /// It is not within a minute; its answer is shown.
    pub fn wait_until_whole(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        for (node, monitor) in self.nodes.iter().zip(&self.monitors) {
            while node.is_running() {
                let answer = health(monitor).unwrap_or_else(|error| error.to_string());
                if answer.starts_with("HTTP/1.1 200 ") || answer.starts_with("HTTP/1.0 200 ") {
                    break;
                }
                ensure!(
                    Instant::now() < deadline,
                    "the NATS cluster is not whole after {PATIENCE:?}: {answer}"
                );
                std::thread::sleep(GLANCE);
            }
        }
        Ok(())
    }
}

/// What a node's monitor says about its health.
fn health(monitor: &Port) -> Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, monitor.number()))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
