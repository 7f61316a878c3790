//! What the backends that speak to a server share: credentials, TLS, why one cannot be opened, how to try again.

mod backoff;
mod link;
mod name;
mod open;
#[cfg(any(feature = "nats", feature = "kafka"))]
mod open_retry;
mod password;
#[cfg(any(feature = "tls", feature = "nats"))]
mod pinned;
#[cfg(feature = "tls")]
mod security;
mod tls;

pub use backoff::Backoff;
pub use link::Link;
#[cfg(any(feature = "redis", feature = "nats"))]
pub(crate) use name::random_name;
pub use open::BrokerError;
#[cfg(any(feature = "nats", feature = "kafka"))]
pub(crate) use open_retry::OpenRetry;
pub use password::Password;
#[cfg(feature = "nats")]
pub(crate) use pinned::{NOT_PINNED, Pinned, is_authority};
#[cfg(feature = "tls")]
pub use security::Security;
pub use tls::{Pem, Tls};
