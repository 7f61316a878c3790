//! `cargo xtask up` leaves each kind of server running, prints a configuration that reaches it, and ends it when it is
//! interrupted.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use shardwright_config::{AdapterSource, CoordinatorConfig, RedisTopology};

/// `cargo xtask up …`, which is interrupted also when the test fails.
struct Up {
    child: Child,
    coordinator: CoordinatorConfig,
}

impl Up {
    fn start(kind: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(["up", "--no-install", kind])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut text = String::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap) {
            text = text + &line + "\n";
            if line.starts_with("coordinator = ") {
                break;
            }
        }
        let (config, _) =
            shardwright_config::parse(&text, "up.toml").unwrap_or_else(|report| panic!("{report}\n{text}"));
        Self {
            child,
            coordinator: config.coordinator,
        }
    }

    /// All these addresses answer, and none does when it was interrupted.
    fn serves_until_interrupted(mut self, addresses: &[String], count: usize) {
        assert_eq!(addresses.len(), count, "{addresses:?}");
        for address in addresses {
            TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        }
        self.interrupt();
        assert!(self.child.wait().unwrap().success());
        for address in addresses {
            TcpStream::connect(address).unwrap_err();
        }
    }

    fn interrupt(&self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            self.interrupt();
            self.child.wait().unwrap();
        }
    }
}

/// The part of a URL that can be connected to.
fn address(url: &str) -> String {
    url.split_once("://")
        .map_or(url, |(_, address)| address)
        .trim_end_matches('/')
        .to_owned()
}

fn redis(kind: &str, topology: impl Fn(&RedisTopology) -> bool, count: usize) {
    let up = Up::start(kind);
    let CoordinatorConfig::Redis(section) = &up.coordinator else {
        panic!("{:?}", up.coordinator)
    };
    assert!(topology(&section.topology), "{:?}", section.topology);
    let addresses: Vec<_> = section.urls.iter().map(|url| address(url.expose())).collect();
    up.serves_until_interrupted(&addresses, count);
}

fn nats(kind: &str, count: usize) {
    let up = Up::start(kind);
    let CoordinatorConfig::Nats(section) = &up.coordinator else {
        panic!("{:?}", up.coordinator)
    };
    assert_eq!(usize::from(section.replicas), count);
    let addresses: Vec<_> = section.addresses.iter().map(|url| address(url.expose())).collect();
    up.serves_until_interrupted(&addresses, count);
}

fn kafka(kind: &str, count: usize) {
    let up = Up::start(kind);
    let CoordinatorConfig::Kafka(section) = &up.coordinator else {
        panic!("{:?}", up.coordinator)
    };
    assert_eq!(usize::from(section.replication), count);
    let addresses = section.brokers.clone();
    up.serves_until_interrupted(&addresses, count);
}

/// A server that an adapter speaks to: it reaches what it is granted, and is told all of `config`.
fn adapter(kind: &str, name: &'static str, config: &[&str], count: usize) {
    let up = Up::start(kind);
    let CoordinatorConfig::Component(section) = &up.coordinator else {
        panic!("{:?}", up.coordinator)
    };
    assert_eq!(section.adapter, AdapterSource::Bundled(name));
    let addresses: Vec<_> = section.grants.iter().map(|grant| address(&grant.to_string())).collect();
    let told = section.config.expose();
    for part in config
        .iter()
        .copied()
        .chain(addresses.iter().map(|address| address.rsplit(':').next().unwrap()))
    {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    up.serves_until_interrupted(&addresses, count);
}

#[test]
fn one_redis_server() {
    redis("redis", |topology| *topology == RedisTopology::Single, 1);
}

#[test]
fn a_redis_cluster() {
    redis("redis-cluster", |topology| *topology == RedisTopology::Cluster, 6);
}

#[test]
fn redis_with_sentinels() {
    redis(
        "redis-sentinel",
        |topology| matches!(topology, RedisTopology::Sentinel { .. }),
        3,
    );
}

#[test]
fn one_nats_server() {
    nats("nats", 1);
}

#[test]
fn a_nats_cluster() {
    nats("nats-cluster", 3);
}

#[test]
fn one_kafka_broker() {
    kafka("kafka", 1);
}

#[test]
fn a_kafka_cluster() {
    kafka("kafka-cluster", 3);
}

#[test]
fn one_etcd_server() {
    adapter("etcd", "etcd", &["\"endpoints\":[\"http://127.0.0.1:"], 1);
}

#[test]
fn an_etcd_cluster() {
    adapter("etcd-cluster", "etcd", &["\"endpoints\":[\"http://127.0.0.1:"], 3);
}

#[test]
fn one_postgresql_server() {
    let config = [
        "\"host\":\"127.0.0.1\"",
        "\"database\":\"shardwright\"",
        "\"user\":\"node\"",
        "\"password\":\"secret\"",
    ];
    adapter("postgres", "postgresql", &config, 1);
}
