//! A master and a replica that three sentinels watch.

use std::time::Instant;

use anyhow::{Result, ensure};

use super::{RedisBuilder, RedisServer, Role};
use crate::process::{GLANCE, PATIENCE};

/// What the sentinels call the master.
const SERVICE: &str = "shardwright";

/// A master, its replica, and three sentinels that replace a silent master within some seconds.
pub struct RedisSentinel {
    master: RedisServer,
    replica: RedisServer,
    sentinels: Vec<RedisServer>,
}

impl RedisSentinel {
    /// Starts it and waits until the replica is linked and the sentinels know each other.
    ///
    /// # Errors
    /// A server does not come up, or they do not find each other within a minute.
    pub fn start() -> Result<Self> {
        let master = RedisServer::start()?;
        let replica = RedisServer::builder()
            .line(&format!("replicaof 127.0.0.1 {}", master.port()))
            .start()?;
        let sentinels = (0..3).map(|_| sentinel(&master)).collect::<Result<_>>()?;
        let all = Self {
            master,
            replica,
            sentinels,
        };
        let deadline = Instant::now() + PATIENCE;
        for sentinel in &all.sentinels {
            while !sees_all(sentinel)? {
                let view = sentinel.cli(&["sentinel", "master", SERVICE])?;
                ensure!(
                    Instant::now() < deadline,
                    "the sentinels are not ready after {PATIENCE:?}:\n{view}"
                );
                std::thread::sleep(GLANCE);
            }
        }
        Ok(all)
    }

    /// The addresses of the sentinels.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.sentinels.iter().map(RedisServer::url).collect()
    }

    /// The master's name at the sentinels.
    #[must_use]
    pub fn service(&self) -> &str {
        SERVICE
    }

    /// The server that was the master at first.
    #[must_use]
    pub fn master(&self) -> &RedisServer {
        &self.master
    }

    /// The server that was its replica at first.
    #[must_use]
    pub fn replica(&self) -> &RedisServer {
        &self.replica
    }

    /// One of the three sentinels.
    ///
    /// # Panics
    /// There are only three.
    #[must_use]
    pub fn sentinel(&self, index: usize) -> &RedisServer {
        &self.sentinels[index]
    }

    /// Waits until the sentinels name `server` as the master.
    ///
    /// # Errors
    /// They do not within a minute.
    pub fn wait_for_master(&self, server: &RedisServer) -> Result<()> {
        let port = server.port().to_string();
        let deadline = Instant::now() + PATIENCE;
        for sentinel in &self.sentinels {
            loop {
                let address = sentinel.cli(&["sentinel", "get-master-addr-by-name", SERVICE])?;
                if address.lines().nth(1) == Some(&port) {
                    break;
                }
                ensure!(
                    Instant::now() < deadline,
                    "the master is still at {address} after {PATIENCE:?}, not at port {port}"
                );
                std::thread::sleep(GLANCE);
            }
        }
        Ok(())
    }
}

fn sentinel(master: &RedisServer) -> Result<RedisServer> {
    RedisBuilder::default()
        .line(&format!("sentinel monitor {SERVICE} 127.0.0.1 {} 2", master.port()))
        .line(&format!("sentinel down-after-milliseconds {SERVICE} 2000"))
        .line(&format!("sentinel failover-timeout {SERVICE} 6000"))
        .start_as(Role::Sentinel)
}

/// Whether `sentinel` knows the replica and both other sentinels.
fn sees_all(sentinel: &RedisServer) -> Result<bool> {
    let view = sentinel.cli(&["sentinel", "master", SERVICE])?;
    let lines: Vec<_> = view.lines().collect();
    let is = |name, value| lines.windows(2).any(|pair| pair == [name, value]);
    let replica = sentinel.cli(&["sentinel", "replicas", SERVICE])?;
    Ok(is("flags", "master")
        && is("num-slaves", "1")
        && is("num-other-sentinels", "2")
        && replica.contains("master-link-status\nok"))
}
