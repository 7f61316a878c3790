//! `cargo xtask up`: one server or cluster, left running until Ctrl-C.

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use shardwright_servers::{
    EtcdCluster, EtcdServer, KafkaCluster, KafkaServer, NatsCluster, NatsServer, PostgresServer, RedisCluster,
    RedisSentinel, RedisServer,
};
use tokio::signal::unix::{SignalKind, signal};

use crate::servers::{self, Tool};

/// What `cargo xtask up` accepts.
#[derive(Args)]
pub(crate) struct Arguments {
    /// What to run.
    server: Kind,
    /// Install nothing: fail when the server is missing.
    #[arg(long)]
    no_install: bool,
}

/// What can be run.
#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// One Redis server.
    Redis,
    /// Three Redis masters, each with a replica.
    RedisCluster,
    /// A Redis master and a replica that three sentinels watch.
    RedisSentinel,
    /// One NATS server with JetStream.
    Nats,
    /// Three NATS servers with JetStream.
    NatsCluster,
    /// One Kafka broker.
    Kafka,
    /// Three Kafka brokers.
    KafkaCluster,
    /// One etcd server.
    Etcd,
    /// Three etcd servers.
    EtcdCluster,
    /// One PostgreSQL server.
    Postgres,
}

impl Kind {
    fn tools(self) -> &'static [Tool] {
        match self {
            Self::Redis | Self::RedisCluster | Self::RedisSentinel => &[Tool::Redis],
            Self::Nats | Self::NatsCluster => &[Tool::Nats],
            Self::Kafka | Self::KafkaCluster => &[Tool::Java, Tool::Kafka],
            Self::Etcd | Self::EtcdCluster => &[Tool::Etcd],
            Self::Postgres => &[Tool::Postgres],
        }
    }
}

/// Starts the server, prints how to use it, and stops it when a signal asks for that. Standard output is a
/// configuration file.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    servers::present(arguments.server.tools(), !arguments.no_install)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // From here on a signal waits until the server is up: it is stopped in order.
    let (mut interrupt, mut terminate) = runtime.block_on(async {
        let interrupt = signal(SignalKind::interrupt())?;
        let terminate = signal(SignalKind::terminate())?;
        anyhow::Ok((interrupt, terminate))
    })?;
    let value = arguments.server.to_possible_value().context("every kind has a name")?;
    let name = value.get_name();
    eprintln!("starting {name} …");
    let running = Running::start(arguments.server)?;
    println!("# {name} on this machine, until the command that printed this ends; its data is gone then.");
    println!("{}", running.configuration(name));
    eprintln!("{name} is up; Ctrl-C stops it");
    runtime.block_on(async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    });
    drop(running);
    eprintln!("{name} has stopped");
    Ok(())
}

/// What runs; it stops when it is dropped.
enum Running {
    Redis(RedisServer),
    RedisCluster(RedisCluster),
    RedisSentinel(RedisSentinel),
    Nats(NatsServer),
    NatsCluster(NatsCluster),
    Kafka(KafkaServer),
    KafkaCluster(KafkaCluster),
    Etcd(EtcdServer),
    EtcdCluster(EtcdCluster),
    Postgres(PostgresServer),
}

impl Running {
    fn start(kind: Kind) -> Result<Self> {
        Ok(match kind {
            Kind::Redis => Self::Redis(RedisServer::start()?),
            Kind::RedisCluster => Self::RedisCluster(RedisCluster::start()?),
            Kind::RedisSentinel => Self::RedisSentinel(RedisSentinel::start()?),
            Kind::Nats => Self::Nats(NatsServer::start()?),
            Kind::NatsCluster => Self::NatsCluster(NatsCluster::start()?),
            Kind::Kafka => Self::Kafka(KafkaServer::start()?),
            Kind::KafkaCluster => Self::KafkaCluster(KafkaCluster::start()?),
            Kind::Etcd => Self::Etcd(EtcdServer::start()?),
            Kind::EtcdCluster => Self::EtcdCluster(EtcdCluster::start()?),
            Kind::Postgres => Self::Postgres(PostgresServer::start()?),
        })
    }

    /// A configuration that uses it under `name`.
    fn configuration(&self, name: &str) -> String {
        let settings = match self {
            Self::Redis(server) => format!("type = \"redis\"\nurls = {:?}", [server.url()]),
            Self::RedisCluster(cluster) => format!(
                "type = \"redis\"\nredis-type = \"cluster\"\nurls = {:?}",
                cluster.urls()
            ),
            Self::RedisSentinel(group) => format!(
                "type = \"redis\"\nredis-type = \"sentinel\"\nservice-name = {:?}\nurls = {:?}",
                group.service(),
                group.urls()
            ),
            Self::Nats(server) => format!("type = \"nats\"\naddress = {:?}", [server.url()]),
            Self::NatsCluster(cluster) => format!("type = \"nats\"\naddress = {:?}\nreplicas = 3", cluster.urls()),
            Self::Kafka(server) => format!("type = \"kafka\"\nbrokers = {:?}", [server.address()]),
            Self::KafkaCluster(cluster) => {
                format!("type = \"kafka\"\nbrokers = {:?}\nreplication = 3", cluster.addresses())
            }
            Self::Etcd(server) => etcd(&[server.url()]),
            Self::EtcdCluster(cluster) => etcd(&cluster.urls()),
            Self::Postgres(server) => format!(
                "type = \"component\"\nadapter = \"postgresql\"\nallow = [\"tcp://127.0.0.1:{port}\"]\nconfig = {{ \
                 host = \"127.0.0.1\", port = {port}, database = {:?}, user = {:?}, password = {:?} }}",
                server.database(),
                server.user(),
                server.password(),
                port = server.port()
            ),
        };
        format!("[store.{name}]\n{settings}\n\n[cluster]\nname = \"trial\"\ncoordinator = \"{name}\"")
    }
}

/// The settings of etcd's adapter.
fn etcd(urls: &[String]) -> String {
    format!("type = \"component\"\nadapter = \"etcd\"\nallow = {urls:?}\nconfig = {{ endpoints = {urls:?} }}")
}
