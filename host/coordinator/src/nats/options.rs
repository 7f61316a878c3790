//! How to reach a NATS server.

use super::connect::Target;
use super::{clocks, tls};
use crate::broker::{BrokerError, Password, Tls};
use std::time::Duration;

/// By how many milliseconds the clock of one server may be wrong about an age.
const ONE_CLOCK: u64 = 10;

/// Where and how, as [`super::NatsCoordinator::open`] takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatsOptions {
    /// `nats://`, `tls://` or bare `host:port`; may hold user and password.
    pub addresses: Vec<Password>,
    /// Who we are.
    pub login: NatsLogin,
    /// TLS; `None` unless an address says `tls://` or the server requires it.
    pub tls: Option<Tls>,
    /// How many servers keep the stream: 1, 3 or 5.
    pub replicas: u8,
    /// The longest that connecting may take.
    pub timeout_connection: Duration,
    /// The longest that a request may take.
    pub timeout_request: Duration,
    /// How often the connection is proved to be alive.
    pub ping_interval: Duration,
    /// Commands that wait to be sent.
    pub capacity_client: usize,
    /// Messages that wait for one subscription inside the client.
    pub capacity_subscription: usize,
    /// Bytes of the read buffer at first.
    pub capacity_read_buffer: u16,
    /// How often to reconnect before giving up; `None` for ever.
    pub max_reconnects: Option<usize>,
}

impl NatsOptions {
    /// Whether they lead anywhere, as far as can be told without a server: what opening refuses before it connects.
    ///
    /// # Errors
    /// `Invalid`.
    pub fn check(&self) -> Result<(), BrokerError> {
        Target::new(self)?;
        // Without `ca` it is the system's authorities that are looked for, which another machine may have.
        match self.tls.as_ref().filter(|tls| tls.ca.is_some()) {
            Some(tls) => tls::configure(tls).map(drop),
            None => Ok(()),
        }
    }

    /// By how much ages may be wrong on a server so set up.
    #[must_use]
    pub fn clock_uncertainty(&self) -> Duration {
        // One server may lead after another.
        Duration::from_millis(if self.replicas > 1 { clocks::LIMIT } else { ONE_CLOCK })
    }
}

/// Who we are to a NATS server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NatsLogin {
    /// Nobody, or whoever the address names.
    #[default]
    None,
    /// A user with a password.
    User {
        /// The user.
        user: String,
        /// The password.
        password: Password,
    },
    /// A token.
    Token(Password),
    /// The seed of an nkey.
    Nkey(Password),
    /// The text of a credentials file: JWT and seed.
    Credentials(Password),
}
