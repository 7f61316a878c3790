//! Bytes to and from the server: over the host's connection, or whatever a test has.

use crate::config::Config;
use bytes::BytesMut;
use postgres_protocol::message::frontend;
use shardwright_guest::adapter::net::{Connection, NetError};
use shardwright_guest::adapter::{Deadline, OpenError};
use std::time::Duration;

/// How long connecting may take, with TLS. The host's own deadline is usually nearer.
const CONNECT: Duration = Duration::from_secs(20);

/// Why there is nothing to read, or nowhere to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionError {
    /// The connection is gone.
    Lost(String),
    /// Nothing came in time, and the connection is as good as before.
    TimedOut,
}

/// One connection.
pub trait Transport {
    /// Sends all of `bytes`. After an error some of it may have been sent.
    fn send(&mut self, bytes: &[u8], patience: Duration) -> Result<(), ConnectionError>;

    /// Appends what comes to `into`, at least one byte.
    fn receive(&mut self, into: &mut Vec<u8>, patience: Duration) -> Result<(), ConnectionError>;

    /// Appends what has come already, which may be nothing.
    fn sweep(&mut self, into: &mut Vec<u8>) -> Result<(), ConnectionError>;

    /// The time, on a clock that began somewhere.
    fn now(&self) -> Duration;
}

impl Transport for Connection {
    fn send(&mut self, bytes: &[u8], patience: Duration) -> Result<(), ConnectionError> {
        self.write(bytes, Deadline::after(patience)).map_err(cut)
    }

    fn receive(&mut self, into: &mut Vec<u8>, patience: Duration) -> Result<(), ConnectionError> {
        self.read(into, Deadline::after(patience)).map(drop).map_err(cut)
    }

    fn sweep(&mut self, into: &mut Vec<u8>) -> Result<(), ConnectionError> {
        self.read_ready(into).map(drop).map_err(cut)
    }

    fn now(&self) -> Duration {
        Duration::from_nanos(Deadline::now().nanos())
    }
}

fn cut(error: NetError) -> ConnectionError {
    match error {
        NetError::TimedOut => ConnectionError::TimedOut,
        error => ConnectionError::Lost(error.to_string()),
    }
}

/// A connection to the server, secured if the configuration says so.
pub(crate) fn connect(config: &Config) -> Result<Connection, OpenError> {
    let deadline = Deadline::after(CONNECT);
    let mut connection =
        Connection::open(&config.host, config.port, deadline).map_err(|error| refused(config, error))?;
    if !config.tls {
        return Ok(connection);
    }
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    connection
        .write(&request, deadline)
        .map_err(|error| refused(config, error))?;
    let mut answer = Vec::new();
    connection
        .read(&mut answer, deadline)
        .map_err(|error| refused(config, error))?;
    match answer[..] {
        [b'S'] => connection
            .secure(&config.host, config.port)
            .map_err(|error| refused(config, error)),
        [b'N', ..] => Err(OpenError::Tls(format!(
            "the server at {} offers no TLS: set `ssl = on` and its certificate in postgresql.conf, or `tls` to false",
            config.grant()
        ))),
        // More than the one byte was not said by the server that proves its name afterwards.
        _ => Err(OpenError::Tls(format!(
            "what answers at {} does not speak as PostgreSQL does when asked for TLS",
            config.grant()
        ))),
    }
}

fn refused(config: &Config, error: NetError) -> OpenError {
    let at = config.grant();
    match error {
        NetError::Tls(why) => OpenError::Tls(why),
        NetError::NotGranted(why) => OpenError::Denied(why),
        NetError::TimedOut => OpenError::Unreachable(format!("PostgreSQL at {at} gives no answer")),
        NetError::Unreachable(why) | NetError::Lost(why) => {
            OpenError::Unreachable(format!("PostgreSQL at {at} cannot be reached: {why}"))
        }
    }
}
