//! Which server holds the data: the one that was named, the one that sentinels name, or the one that serves the slot.

use super::address::{Addresses, Server, redirected};
use super::connection::{Connection, Dialer, PushHandler};
use super::options::RedisTopology;
use super::reply::Refusal;
use crate::broker::BrokerError;
use redis::{RedisConnectionInfo, Value, cmd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::time::Instant;

/// How often a cluster may send us on before something is wrong with it.
const REDIRECTS: usize = 5;

/// The way to the server that holds the data of one namespace.
pub(super) struct Route {
    dialer: Dialer,
    way: Topology,
    addresses: Addresses,
    /// Which address to begin with: who did not answer is asked last.
    first: AtomicUsize,
}

enum Topology {
    Single,
    Sentinel {
        service: String,
        login: RedisConnectionInfo,
    },
    /// The slot is that of this key.
    Cluster {
        key: String,
    },
}

impl Route {
    /// The route to the server that holds `key`.
    pub(super) fn new(topology: &RedisTopology, addresses: Addresses, dialer: Dialer, key: &str) -> Self {
        let way = match topology {
            RedisTopology::Single => Topology::Single,
            RedisTopology::Cluster => Topology::Cluster { key: key.to_owned() },
            RedisTopology::Sentinel {
                service,
                user,
                password,
            } => Topology::Sentinel {
                service: service.clone(),
                login: super::address::login(user.as_deref(), password.as_ref()),
            },
        };
        Self {
            dialer,
            way,
            addresses,
            first: AtomicUsize::new(0),
        }
    }

    /// A connection to the master that holds the data.
    ///
    /// # Errors
    /// That of the last address that was tried; one that will not pass by itself before one that may.
    pub(super) async fn connect(&self, push: Option<Arc<dyn PushHandler>>) -> Result<Connection, BrokerError> {
        let (count, first) = (self.addresses.servers.len(), self.first.load(Ordering::Relaxed));
        let mut worst: Option<BrokerError> = None;
        for at in (first..first + count).map(|at| at % count) {
            match self.through(&self.addresses.servers[at], push.clone()).await {
                Ok(wire) => {
                    self.first.store(at, Ordering::Relaxed);
                    return Ok(wire);
                }
                Err(error) if worst.as_ref().is_none_or(BrokerError::is_transient) => worst = Some(error),
                Err(_) => {}
            }
            self.first.store(at + 1, Ordering::Relaxed);
        }
        Err(worst.unwrap_or_else(|| BrokerError::Invalid("redis has no address".into())))
    }

    async fn through(&self, server: &Server, push: Option<Arc<dyn PushHandler>>) -> Result<Connection, BrokerError> {
        match &self.way {
            Topology::Single => self.master(server, push).await,
            Topology::Sentinel { service, login } => {
                let master = self.ask_sentinel(server, service, login).await?;
                self.master(&master, push).await
            }
            Topology::Cluster { key } => {
                let owner = self.owner(server, key).await?;
                self.dialer.dial(&owner, &self.addresses.login, push).await
            }
        }
    }

    /// A connection to `server`, which must be a master: a replica would show what is old.
    async fn master(&self, server: &Server, push: Option<Arc<dyn PushHandler>>) -> Result<Connection, BrokerError> {
        let wire = self.dialer.dial(server, &self.addresses.login, push).await?;
        match text(&self.ask(&wire, cmd("INFO").arg("replication")).await?) {
            Some(info) if info.contains("role:master") => Ok(wire),
            Some(info) if !info.contains("role:") => Err(BrokerError::Invalid(format!(
                "{server} is no Redis server, perhaps a sentinel"
            ))),
            _ => Err(BrokerError::Unreachable {
                location: server.to_string(),
                why: "it is a replica now; name the master, or the sentinels that know it".into(),
            }),
        }
    }

    async fn ask_sentinel(
        &self,
        sentinel: &Server,
        service: &str,
        login: &RedisConnectionInfo,
    ) -> Result<Server, BrokerError> {
        let wire = self.dialer.dial(sentinel, login, None).await?;
        let answer = self
            .ask(&wire, cmd("SENTINEL").arg("get-master-addr-by-name").arg(service))
            .await;
        let answer = answer.map_err(|error| match error {
            BrokerError::Unsafe { why, .. } => BrokerError::Invalid(format!("{sentinel} is no sentinel ({why})")),
            error => error,
        })?;
        if let Value::Array(address) = answer
            && let [host, port] = &address[..]
            && let (Some(host), Some(port)) = (text(host), text(port).and_then(|port| port.parse().ok()))
        {
            return Ok(Server::Tcp { host, port });
        }
        Err(BrokerError::Invalid(format!(
            "the sentinel {sentinel} watches no master of the name {service:?}; check service-name"
        )))
    }

    /// The node that serves the slot of `key`.
    async fn owner(&self, node: &Server, key: &str) -> Result<Server, BrokerError> {
        let mut asked = node.clone();
        for _ in 0..REDIRECTS {
            let wire = self.dialer.dial(&asked, &self.addresses.login, None).await?;
            let deadline = Instant::now() + self.dialer.timeout;
            let answer = wire.ask(cmd("HMGET").arg(key).arg("format"), deadline).await;
            let answer = answer.map_err(|silence| unreachable(&asked, silence.why()))?;
            match Refusal::check(answer) {
                Ok(_) => return Ok(asked),
                Err(Refusal::Elsewhere(why, to)) => {
                    let to = to.and_then(|to| redirected(&to, &asked));
                    asked = to.ok_or_else(|| unreachable(&asked, why))?;
                }
                Err(refusal) => return Err(meaning(&asked, refusal)),
            }
        }
        Err(unreachable(
            &asked,
            format!("the cluster sent us on more than {REDIRECTS} times"),
        ))
    }

    async fn ask(&self, wire: &Connection, command: &redis::Cmd) -> Result<Value, BrokerError> {
        let answer = wire.ask(command, Instant::now() + self.dialer.timeout).await;
        let answer = answer.map_err(|silence| unreachable(wire.server(), silence.why()))?;
        Refusal::check(answer).map_err(|refusal| meaning(wire.server(), refusal))
    }
}

fn unreachable(server: &Server, why: String) -> BrokerError {
    BrokerError::Unreachable {
        location: server.to_string(),
        why,
    }
}

fn meaning(server: &Server, refusal: Refusal) -> BrokerError {
    match refusal {
        Refusal::Denied(why) => BrokerError::Denied {
            location: server.to_string(),
            why,
        },
        // A server that does not know a command that all servers know.
        Refusal::Other(why) if why.contains("unknown command") => BrokerError::Unsafe {
            location: server.to_string(),
            why,
        },
        other => unreachable(server, other.why()),
    }
}

/// An answer that is a text.
pub(super) fn text(answer: &Value) -> Option<String> {
    match answer {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text.clone()),
        _ => None,
    }
}
