//! `cluster.secret`, and the keys that are derived from it.

use crate::limits::Namespace;
use hkdf::Hkdf;
use sha2::Sha256;
use std::fmt;
use zeroize::Zeroizing;

/// The shortest secret that is accepted, in bytes.
pub const MIN_SECRET: usize = 16;

/// `cluster.secret`: whoever has it may read, and speak for, the cluster. Wiped from memory when dropped, never shown.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

/// A secret that anybody would guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "cluster.secret has {0} bytes, at least {MIN_SECRET} are needed: take 32 random ones, as `openssl rand -base64 \
     32` prints them"
)]
pub struct SecretTooShort(pub usize);

impl Secret {
    /// The secret made of `bytes`. It is not stretched: it should be random, not a word.
    ///
    /// # Errors
    /// [`SecretTooShort`] below 16 bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, SecretTooShort> {
        let bytes = Zeroizing::new(bytes.into());
        if bytes.len() < MIN_SECRET {
            Err(SecretTooShort(bytes.len()))
        } else {
            Ok(Self(bytes))
        }
    }

    /// The key for one purpose in one namespace: HKDF-SHA256 with the namespace as salt and the purpose as info.
    pub(super) fn key(&self, namespace: &Namespace, purpose: Purpose) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        let hkdf = Hkdf::<Sha256>::new(Some(namespace.as_str().as_bytes()), &self.0);
        hkdf.expand(purpose.info(), key.as_mut())
            .expect("32 bytes are within the limit of HKDF-SHA256");
        key
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What a key protects: a sealed value is never a valid message, nor the reverse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Values,
    Messages,
}

impl Purpose {
    const fn info(self) -> &'static [u8] {
        match self {
            Self::Values => b"shardwright v1 values",
            Self::Messages => b"shardwright v1 messages",
        }
    }
}
