//! What secures a connection.

use super::{BrokerError, Password};
use std::path::PathBuf;

/// The largest file of certificates or of a key: 4 MiB, some ten times what an operating system trusts.
const MAX_PEM: u64 = 4 << 20;

/// Certificates or a key in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pem {
    /// In this file, read when the backend is opened.
    File(PathBuf),
    /// This text.
    Text(Password),
}

impl Pem {
    /// What `text` means: PEM if it looks so, else a path.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        if text.trim_start().starts_with("-----BEGIN") {
            Self::Text(Password::new(text))
        } else {
            Self::File(PathBuf::from(text))
        }
    }

    /// Its text. `what` says in errors what it is for, as in `tls.ca`.
    ///
    /// # Errors
    /// `Invalid`, naming the file and `what`.
    pub fn load(&self, what: &str) -> Result<Password, BrokerError> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::File(path) => match shardwright_files::read_text(path, MAX_PEM) {
                Ok(text) if text.contains("-----BEGIN") => Ok(Password::new(text)),
                Ok(_) => Err(BrokerError::Invalid(format!(
                    "{what}: {} holds nothing in PEM",
                    path.display()
                ))),
                Err(error) => Err(BrokerError::Invalid(format!(
                    "{what}: {} cannot be read: {error}",
                    path.display()
                ))),
            },
        }
    }
}

/// Use TLS, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// The authorities to trust; `None` for those of the operating system.
    pub ca: Option<Pem>,
    /// This node's certificate chain and its key, if the server asks for one.
    pub identity: Option<(Pem, Pem)>,
    /// The name that the server's certificate must have, if it is not the host that is connected to.
    pub server_name: Option<String>,
}
