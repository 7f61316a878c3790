//! The kinds of stores that a cluster can meet at.

use clap::ValueEnum;

/// One of the six.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Store {
    /// A file.
    Sqlite,
    /// One Redis server.
    Redis,
    /// One NATS server with JetStream.
    Nats,
    /// One Kafka broker.
    Kafka,
    /// One etcd server, by the adapter.
    Etcd,
    /// One PostgreSQL server, by the adapter.
    Postgres,
}

impl Store {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Sqlite,
        Self::Redis,
        Self::Nats,
        Self::Kafka,
        Self::Etcd,
        Self::Postgres,
    ];

    /// The name that `--store` takes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Redis => "redis",
            Self::Nats => "nats",
            Self::Kafka => "kafka",
            Self::Etcd => "etcd",
            Self::Postgres => "postgres",
        }
    }

    /// Whether nodes reach it over a network.
    #[must_use]
    pub fn has_server(self) -> bool {
        self != Self::Sqlite
    }

    /// How long its server is left alone after it was started, in milliseconds: a second kill before it serves is none.
    #[must_use]
    pub fn start_up(self) -> u64 {
        match self {
            Self::Sqlite | Self::Redis | Self::Nats => 500,
            Self::Etcd | Self::Postgres => 2_500,
            Self::Kafka => 16_000,
        }
    }
}
