//! Why a server cannot be used.

/// Why a backend that speaks to a server could not be opened. The texts name the server, never a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// Nobody answers: for now. Trying again may help.
    #[error("{location} cannot be reached: {why}")]
    Unreachable {
        /// The server.
        location: String,
        /// What was tried, and what came of it.
        why: String,
    },
    /// The server refused who we are or what we asked for.
    #[error("{location} refuses: {why}")]
    Denied {
        /// The server.
        location: String,
        /// Which credential or permission is wrong or missing, and how to grant it.
        why: String,
    },
    /// No secure connection: the message says whether it is the authority, the name, or our own certificate.
    #[error("no TLS connection to {location}: {why}")]
    Tls {
        /// The server.
        location: String,
        /// What does not fit, and what to change.
        why: String,
    },
    /// The server, or something on it, is set up in a way in which acknowledged writes or exclusive ones cannot be had.
    #[error("{location} is not safe to coordinate with: {why}")]
    Unsafe {
        /// The server.
        location: String,
        /// What is wrong, and the setting to change.
        why: String,
    },
    /// The options make no sense.
    #[error("invalid settings: {0}")]
    Invalid(String),
}

impl BrokerError {
    /// Whether trying again may help without anybody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}
