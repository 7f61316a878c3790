//! How to reach a Redis server.

use super::address::Addresses;
use crate::broker::{BrokerError, Password, Security, Tls};
use std::time::Duration;

/// Where and how, as [`super::RedisCoordinator::open`] takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisOptions {
    /// How the servers stand to each other.
    pub topology: RedisTopology,
    /// `redis://`, `rediss://` (TLS) or `unix://` (a socket of this machine) addresses; may hold user, password and,
    /// for a single server, a database number: `redis://user:password@host/3`,
    /// `unix:///run/redis.sock?db=3&user=…&pass=…`.
    pub urls: Vec<Password>,
    /// The ACL user, if the address names none.
    pub user: Option<String>,
    /// Its password, if the address has none.
    pub password: Option<Password>,
    /// The longest that connecting and one command may take.
    pub timeout: Duration,
    /// How many replicas must have a write before it is acknowledged (`WAIT`).
    pub min_replicas: u32,
    /// TLS beyond what `rediss://` means; its presence turns TLS on for every address.
    pub tls: Option<Tls>,
}

impl RedisOptions {
    /// Whether they lead anywhere, as far as can be told without a server: what opening refuses before it connects.
    ///
    /// # Errors
    /// `Invalid`.
    pub fn check(&self) -> Result<(), BrokerError> {
        Addresses::of(self)?;
        // Without `ca` it is the system's authorities that are looked for, which another machine may have.
        match self.tls.as_ref().filter(|tls| tls.ca.is_some()) {
            Some(tls) => Security::new(tls).map(drop),
            None => Ok(()),
        }
    }
}

/// How the servers stand to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisTopology {
    /// One server.
    Single,
    /// Redis Cluster; the addresses are some of its nodes.
    Cluster,
    /// A master that sentinels watch; the addresses are the sentinels'.
    Sentinel {
        /// The master's name there.
        service: String,
        /// The ACL user at the sentinels.
        user: Option<String>,
        /// Its password.
        password: Option<Password>,
    },
}
