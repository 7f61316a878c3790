//! What travels over the bus around every body: who sent it, in which life, as which message of its topic.

use crate::limits::Namespace;
use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer};
use shardwright_core::id::{NodeId, Token};

/// The version written by this release, and the only one it reads.
pub const VERSION: u8 = 1;

/// A message between nodes.
///
/// Encoded as [postcard](https://postcard.jamesmunns.com/wire-format): one byte version, then the fields in this order,
/// strings and the body with a length before them, integers as varints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The cluster that it belongs to.
    pub namespace: Namespace,
    /// The node that sent it.
    pub origin: NodeId,
    /// Tells the lives of the sender apart; a later life has a greater one.
    pub token: Token,
    /// Counts the messages of this sender, life and topic, from 1.
    pub sequence: u64,
    /// The topic it was published to.
    pub topic: String,
    /// What was published.
    pub body: Bytes,
}

#[derive(Serialize, Deserialize)]
struct Wire<'a> {
    version: u8,
    namespace: &'a str,
    origin: u32,
    token: u64,
    sequence: u64,
    topic: &'a str,
    #[serde(serialize_with = "as_bytes")]
    body: &'a [u8],
}

fn as_bytes<S: Serializer>(body: &&[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(body)
}

/// Why bytes are no envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Another release wrote it.
    #[error("a message of envelope version {0}, this release reads only {VERSION}: run one release on all nodes")]
    Version(u8),
    /// Nothing that any release writes.
    #[error("a message that is no envelope")]
    Malformed,
}

impl Envelope {
    /// The bytes to publish.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let wire = Wire {
            version: VERSION,
            namespace: self.namespace.as_str(),
            origin: self.origin.get(),
            token: self.token.0,
            sequence: self.sequence,
            topic: &self.topic,
            body: &self.body,
        };
        postcard::to_allocvec(&wire)
            .expect("a vector takes any bytes, and every length is known")
            .into()
    }

    /// Reads what [`Envelope::encode`] wrote. The body shares the memory of `bytes`.
    ///
    /// # Errors
    /// [`EnvelopeError`] for anything else, trailing bytes included.
    pub fn decode(bytes: &Bytes) -> Result<Self, EnvelopeError> {
        match bytes.first() {
            Some(&VERSION) => {}
            Some(&other) => return Err(EnvelopeError::Version(other)),
            None => return Err(EnvelopeError::Malformed),
        }
        let (wire, rest) = postcard::take_from_bytes::<Wire<'_>>(bytes).map_err(|_| EnvelopeError::Malformed)?;
        if !rest.is_empty() {
            return Err(EnvelopeError::Malformed);
        }
        Ok(Self {
            namespace: Namespace::new(wire.namespace).map_err(|_| EnvelopeError::Malformed)?,
            origin: NodeId::new(wire.origin).ok_or(EnvelopeError::Malformed)?,
            token: Token(wire.token),
            sequence: wire.sequence,
            topic: wire.topic.to_owned(),
            body: bytes.slice_ref(wire.body),
        })
    }
}

#[cfg(test)]
mod test {
    use super::*;

    fn sample() -> Envelope {
        Envelope {
            namespace: Namespace::new("prod").expect("valid"),
            origin: NodeId::new(300).expect("not zero"),
            token: Token(1 << 40),
            sequence: 7,
            topic: "imap/notify".into(),
            body: Bytes::from_static(&[0, 1, 254, 255]),
        }
    }

    /// These bytes are what nodes of other releases send: they change only with the version.
    const SAMPLE: &[u8] = b"\x01\x04prod\xac\x02\x80\x80\x80\x80\x80\x20\x07\x0bimap/notify\x04\x00\x01\xfe\xff";

    #[test]
    fn the_encoding_is_fixed() {
        assert_eq!(sample().encode(), SAMPLE);
        assert_eq!(Envelope::decode(&Bytes::from_static(SAMPLE)), Ok(sample()));
        let least = Envelope {
            origin: NodeId::new(1).expect("not zero"),
            token: Token(0),
            sequence: 0,
            topic: String::new(),
            body: Bytes::new(),
            ..sample()
        };
        assert_eq!(least.encode(), &b"\x01\x04prod\x01\x00\x00\x00\x00"[..]);
    }

    #[test]
    fn nothing_else_is_an_envelope() {
        for cut in 1..SAMPLE.len() {
            assert_eq!(
                Envelope::decode(&Bytes::copy_from_slice(&SAMPLE[..cut])),
                Err(EnvelopeError::Malformed),
                "cut at {cut}"
            );
        }
        assert_eq!(Envelope::decode(&Bytes::new()), Err(EnvelopeError::Malformed));
        let changed = |at: usize, to: u8| {
            let mut bytes = SAMPLE.to_vec();
            bytes[at] = to;
            Envelope::decode(&bytes.into())
        };
        assert_eq!(changed(0, 2), Err(EnvelopeError::Version(2)));
        assert_eq!(changed(2, b'P'), Err(EnvelopeError::Malformed), "not a namespace");
        assert_eq!(
            changed(1, 0xff),
            Err(EnvelopeError::Malformed),
            "a length beyond the end"
        );
        let long = Bytes::from([SAMPLE, b"x"].concat());
        assert_eq!(Envelope::decode(&long), Err(EnvelopeError::Malformed));
        assert_eq!(
            Envelope::decode(&Bytes::from_static(b"\x01\x04prod\x00\x00\x00\x00\x00")),
            Err(EnvelopeError::Malformed),
            "node 0"
        );
    }
}
