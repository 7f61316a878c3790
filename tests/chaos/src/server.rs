//! The store at which a cluster meets: a real server, or a file.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use shardwright_servers::{EtcdServer, KafkaServer, NatsServer, PostgresServer, RedisServer, Server};

use crate::store::Store;

/// The suffixes of the files that a store in a file consists of.
const FILES: [&str; 6] = ["", "-wal", "-shm", "-bus", "-bus-wal", "-bus-shm"];

/// One of the six. It ends when it is dropped.
pub(crate) enum Meeting {
    File(PathBuf),
    Redis(RedisServer),
    Nats(NatsServer),
    Kafka(Box<KafkaServer>),
    Etcd(EtcdServer),
    Postgres(PostgresServer),
}

impl Meeting {
    /// Starts it; a file lies in `folder`. Clients of Kafka come through a proxy if they are `proxied`, since it tells
    /// them itself where to go.
    pub(crate) fn start(store: Store, folder: &Path, proxied: bool) -> Result<Self> {
        Ok(match store {
            Store::Sqlite => Self::File(folder.join("cluster.db")),
            Store::Redis => Self::Redis(RedisServer::builder().clock_ahead_by(0).start()?),
            Store::Nats => Self::Nats(NatsServer::builder().clock_ahead_by(0).start()?),
            Store::Kafka => {
                let builder = KafkaServer::builder().clock(0);
                Self::Kafka(Box::new(if proxied { builder.proxied() } else { builder }.start()?))
            }
            Store::Etcd => Self::Etcd(EtcdServer::start()?),
            Store::Postgres => Self::Postgres(PostgresServer::builder().clock_ahead_by(0).start()?),
        })
    }

    /// The server, if it is one.
    pub(crate) fn server(&self) -> Option<&Server> {
        Some(match self {
            Self::File(_) => return None,
            Self::Redis(server) => server,
            Self::Nats(server) => server,
            Self::Kafka(server) => server,
            Self::Etcd(server) => server,
            Self::Postgres(server) => server,
        })
    }

    /// The port of 127.0.0.1 that leads to the server, if it is one.
    pub(crate) fn port(&self) -> Option<u16> {
        match self {
            // With the time by its own clock.
            Self::Nats(server) => Some(server.port()),
            _ => self.server().map(Server::port),
        }
    }

    /// The broker that has its proxy in itself.
    pub(crate) fn kafka(&self) -> Option<&KafkaServer> {
        match self {
            Self::Kafka(server) => Some(server),
            _ => None,
        }
    }

    /// The lines of the section for nodes that reach it at this port of 127.0.0.1.
    pub(crate) fn section(&self, port: u16) -> String {
        match self {
            Self::File(path) => format!("type = \"sqlite\"\npath = {path:?}\n"),
            Self::Redis(_) => format!("type = \"redis\"\nurls = [\"redis://127.0.0.1:{port}\"]\n"),
            Self::Nats(_) => format!("type = \"nats\"\naddresses = [\"nats://127.0.0.1:{port}\"]\n"),
            Self::Kafka(_) => format!("type = \"kafka\"\nbrokers = [\"127.0.0.1:{port}\"]\n"),
            Self::Etcd(_) => format!(
                "type = \"component\"\nadapter = \"etcd\"\nallow = [\"http://127.0.0.1:{port}\"]\n\
                 config = {{ endpoints = [\"http://127.0.0.1:{port}\"] }}\n"
            ),
            Self::Postgres(server) => format!(
                "type = \"component\"\nadapter = \"postgresql\"\nallow = [\"tcp://127.0.0.1:{port}\"]\nconfig = {{ \
                 host = \"127.0.0.1\", port = {port}, database = {:?}, user = {:?}, password = {:?} }}\n",
                server.database(),
                server.user(),
                server.password()
            ),
        }
    }

    /// Deletes what it holds. A server must have been killed.
    pub(crate) fn wipe(&self) -> Result<()> {
        let Self::File(path) = self else {
            return self.server().context("a store is a file or a server")?.wipe();
        };
        for suffix in FILES {
            let mut name = path.clone().into_os_string();
            name.push(suffix);
            // Not every one of them exists at every moment.
            let _ = fs::remove_file(name);
        }
        Ok(())
    }

    /// Its clock is ahead by so many milliseconds from now on. That of etcd is set in its answers, on their way.
    pub(crate) fn shift_clock(&self, millis: i64) -> Result<()> {
        match self {
            Self::File(_) | Self::Etcd(_) => Ok(()),
            Self::Redis(server) => server.shift_clock(millis),
            Self::Nats(server) => server.shift_clock(millis),
            Self::Kafka(server) => server.shift_clock(millis),
            Self::Postgres(server) => server.shift_clock(millis),
        }
    }
}
