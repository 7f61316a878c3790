//! Real servers for tests: Redis, NATS, Kafka, etcd and PostgreSQL, alone or as clusters, on loopback and free ports,
//! with their data in temporary folders.
//!
//! Each can be killed, stopped, frozen, started again with its data or without, and reached through a [`Proxy`] that
//! cuts, delays or swallows. A server ends when its value is dropped, and also when the process that started it is
//! killed.
//!
//! Everything here but [`eventually`] blocks; call it from a test's thread, or from a task where blocking does no harm.
//!
//! Programs are looked for in the folder `$SHARDWRIGHT_TOOLS`, then in `target/tools`, then in `PATH`. `cargo xtask
//! test` installs what is missing. See [`tools`].

mod authority;
mod clock;
mod component;
mod dates;
mod etcd;
mod example;
mod http;
mod kafka;
pub mod languages;
mod nats;
mod patience;
mod place;
mod port;
mod postgres;
mod process;
mod proxy;
mod redis;
mod server;
mod stamps;
pub mod tools;

pub use authority::{Authority, Certificate};
pub use component::component;
pub use etcd::{EtcdBuilder, EtcdCluster, EtcdServer};
pub use example::ExampleServer;
pub use kafka::{KafkaBuilder, KafkaCluster, KafkaServer, Sasl};
pub use nats::{NatsBuilder, NatsCluster, NatsServer};
pub use patience::{PATIENCE, eventually};
pub use port::Port;
pub use postgres::{PgBouncer, PostgresBuilder, PostgresPair, PostgresServer};
pub use proxy::Proxy;
pub use redis::{RedisBuilder, RedisCluster, RedisSentinel, RedisServer};
pub use server::Server;
