//! How to reach Kafka brokers.

use super::client;
use crate::broker::{BrokerError, Password, Tls};
use std::time::Duration;

/// By how much the clock of one broker may be wrong about an age.
const ONE_CLOCK: Duration = Duration::from_millis(10);
/// By how much those of several brokers may, which cannot be asked: as far apart as docs/kafka.md permits them to be.
const SEVERAL_CLOCKS: Duration = Duration::from_millis(500);

/// Where and how, as [`super::KafkaCoordinator::open`] takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaOptions {
    /// `host:port` of some brokers.
    pub brokers: Vec<String>,
    /// Who we are; `None` for nobody, or for the TLS certificate alone.
    pub login: Option<KafkaLogin>,
    /// TLS.
    pub tls: Option<Tls>,
    /// Replicas of topics that are made here.
    pub replication: u16,
    /// The longest that a record may take to be acknowledged (`message.timeout.ms`).
    pub timeout_message: Duration,
    /// After how long without answer a broker counts as gone (`socket.timeout.ms`).
    pub timeout_session: Duration,
}

impl KafkaOptions {
    /// Whether they lead anywhere, as far as can be told without a broker: what opening refuses before it connects.
    ///
    /// # Errors
    /// `Invalid`.
    pub fn check(&self) -> Result<(), BrokerError> {
        client::base(self).map(drop)
    }

    /// By how much ages may be wrong on brokers so set up.
    #[must_use]
    pub fn clock_uncertainty(&self) -> Duration {
        // Whoever leads the log dates its records, by a clock of its own.
        if self.replication > 1 {
            SEVERAL_CLOCKS
        } else {
            ONE_CLOCK
        }
    }
}

/// Who we are to Kafka: SASL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaLogin {
    /// How to prove it.
    pub mechanism: KafkaMechanism,
    /// The user.
    pub user: String,
    /// The password.
    pub password: Password,
}

/// How to prove who we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KafkaMechanism {
    /// The password as it is; only over TLS is it not seen by others.
    Plain,
    /// SCRAM-SHA-256.
    ScramSha256,
    /// SCRAM-SHA-512.
    ScramSha512,
}
