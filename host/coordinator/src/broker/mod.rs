//! What the backends that speak to a server share: credentials, TLS, why one cannot be opened, how to try again.

mod backoff;
mod link;
mod open;
mod password;
mod tls;

pub use backoff::Backoff;
pub use link::Link;
pub use open::BrokerError;
pub use password::Password;
pub use tls::{Pem, Tls};
