//! The frame around every stored value and every message.
//!
//! | first byte | then |
//! |---|---|
//! | 0 | the plain bytes |
//! | 1 | nonce (24 bytes), ciphertext, tag (16 bytes): XChaCha20-Poly1305 |
//!
//! The associated data of a sealed frame is the byte 1, the namespace, a zero byte, and the key or topic: a frame that
//! is moved to another place does not open.

use super::secret::{Purpose, Secret};
use crate::limits::Namespace;
use bytes::Bytes;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

const PLAIN: u8 = 0;
const SEALED: u8 = 1;
const NONCE: usize = 24;

/// What a sealed frame is longer than its content, in bytes.
#[cfg(test)]
pub(super) const SEALED_OVERHEAD: usize = 1 + NONCE + 16;

/// Puts content into frames and takes it out, for one purpose.
pub(super) struct Framer {
    namespace: Namespace,
    cipher: Option<XChaCha20Poly1305>,
}

/// Why a frame does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    #[error(
        "was written without cluster.secret, but this node has one: give every node the same secret, or none, and \
         begin with an empty store"
    )]
    NotSealed,
    #[error(
        "was written with cluster.secret, but this node has none: set cluster.secret to the value that the other \
         nodes have"
    )]
    NoSecret,
    #[error(
        "does not open with this node's cluster.secret: set it to the value that the other nodes have; if it is the \
         same, somebody tampered"
    )]
    OtherSecret,
    #[error("has a frame of kind {0}, which this release does not know: run one release on all nodes")]
    Unknown(u8),
    #[error("is cut short or was not written by Shardwright: is the namespace (cluster.name) used by something else?")]
    Malformed,
}

impl Framer {
    pub(super) fn new(namespace: &Namespace, secret: Option<&Secret>, purpose: Purpose) -> Self {
        let cipher = secret.map(|secret| XChaCha20Poly1305::new((&*secret.key(namespace, purpose)).into()));
        Self {
            namespace: namespace.clone(),
            cipher,
        }
    }

    /// The frame around `content` at `place`, its key or topic.
    pub(super) fn close(&self, place: &str, content: &[u8]) -> Result<Bytes, getrandom::Error> {
        let mut nonce = [0; NONCE];
        if self.cipher.is_some() {
            getrandom::fill(&mut nonce)?;
        }
        Ok(self.close_with(nonce, place, content))
    }

    fn close_with(&self, nonce: [u8; NONCE], place: &str, content: &[u8]) -> Bytes {
        let Some(cipher) = &self.cipher else {
            return [&[PLAIN], content].concat().into();
        };
        let aad = self.associated(place);
        let sealed = cipher
            .encrypt(
                &XNonce::from(nonce),
                Payload {
                    msg: content,
                    aad: &aad,
                },
            )
            .expect("only 256 GiB are too much to seal");
        [&[SEALED], &nonce[..], &sealed].concat().into()
    }

    /// The content of the frame found at `place`.
    pub(super) fn open(&self, place: &str, frame: &Bytes) -> Result<Bytes, FrameError> {
        match (frame.first().copied(), &self.cipher) {
            (None, _) => Err(FrameError::Malformed),
            (Some(PLAIN), None) => Ok(frame.slice(1..)),
            (Some(PLAIN), Some(_)) => Err(FrameError::NotSealed),
            (Some(SEALED), None) => Err(FrameError::NoSecret),
            (Some(SEALED), Some(cipher)) => {
                let (nonce, sealed) = frame[1..].split_first_chunk::<NONCE>().ok_or(FrameError::Malformed)?;
                let payload = Payload {
                    msg: sealed,
                    aad: &self.associated(place),
                };
                cipher
                    .decrypt(&XNonce::from(*nonce), payload)
                    .map(Bytes::from)
                    .map_err(|_| FrameError::OtherSecret)
            }
            (Some(other), _) => Err(FrameError::Unknown(other)),
        }
    }

    /// No namespace contains a zero byte, so no two places have the same associated data.
    fn associated(&self, place: &str) -> Vec<u8> {
        [&[SEALED], self.namespace.as_str().as_bytes(), &[0], place.as_bytes()].concat()
    }
}

#[cfg(test)]
mod test {
    use super::*;

    fn framer(namespace: &str, secret: Option<&str>, purpose: Purpose) -> Framer {
        let secret = secret.map(|s| Secret::new(s).expect("long enough"));
        Framer::new(&Namespace::new(namespace).expect("valid"), secret.as_ref(), purpose)
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    const SECRET: Option<&str> = Some("correct horse battery staple");

    /// Computed once, and checked against an independent implementation: changes only with the frame's first byte.
    #[test]
    fn the_format_is_fixed() {
        let frame = framer("prod", SECRET, Purpose::Values).close_with([7; NONCE], "hosts/a", b"hello");
        assert_eq!(
            hex(&frame),
            "010707070707070707070707070707070707070707070707079c510c1cdc39d304dfc34e05e084ee1b501d3697d9"
        );
        let frame = framer("prod", SECRET, Purpose::Messages).close_with([7; NONCE], "hosts/a", b"hello");
        assert_eq!(
            hex(&frame),
            "010707070707070707070707070707070707070707070707072ecacd21ee0844b3f81e6839af772c498c7c68d326"
        );
        assert_eq!(
            framer("prod", None, Purpose::Values).close_with([7; NONCE], "hosts/a", b"hello"),
            &b"\0hello"[..]
        );
    }

    #[test]
    fn a_frame_opens_only_where_it_was_closed() {
        let values = framer("prod", SECRET, Purpose::Values);
        let frame = values.close("a", b"content").expect("randomness");
        assert_eq!(frame.len(), 7 + SEALED_OVERHEAD);
        assert_eq!(values.open("a", &frame).expect("opens"), &b"content"[..]);
        assert_ne!(
            values.close("a", b"content").expect("randomness"),
            frame,
            "every nonce is fresh"
        );
        let others = [
            values.open("b", &frame),
            framer("test", SECRET, Purpose::Values).open("a", &frame),
            framer("prod", Some("another secret altogether"), Purpose::Values).open("a", &frame),
            framer("prod", SECRET, Purpose::Messages).open("a", &frame),
        ];
        for other in others {
            assert_eq!(other, Err(FrameError::OtherSecret));
        }
        for at in 1..frame.len() {
            let mut forged = frame.to_vec();
            forged[at] ^= 1;
            assert_eq!(
                values.open("a", &forged.into()),
                Err(FrameError::OtherSecret),
                "byte {at}"
            );
        }
    }

    #[test]
    fn every_other_frame_is_named() {
        let (plain, sealed) = (
            framer("prod", None, Purpose::Values),
            framer("prod", SECRET, Purpose::Values),
        );
        let open = |framer: &Framer, frame: &[u8]| framer.open("a", &Bytes::copy_from_slice(frame));
        assert_eq!(open(&plain, b"\0x").expect("opens"), &b"x"[..]);
        assert_eq!(open(&plain, b"\0").expect("opens"), &b""[..]);
        assert_eq!(open(&sealed, b"\0x"), Err(FrameError::NotSealed));
        assert_eq!(open(&plain, b"\x01x"), Err(FrameError::NoSecret));
        assert_eq!(open(&plain, b""), Err(FrameError::Malformed));
        assert_eq!(open(&sealed, b"\x01too short for a nonce"), Err(FrameError::Malformed));
        assert_eq!(open(&sealed, b"\x02x"), Err(FrameError::Unknown(2)));
    }
}
