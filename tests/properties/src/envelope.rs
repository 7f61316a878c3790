//! Messages between nodes.

use bytes::Bytes;
use shardwright_coordinator::Envelope;
use shardwright_coordinator::envelope::{EnvelopeError, VERSION};

/// What is read can be sent again as the same message, and its body is a part of what came; every other version is
/// named.
pub(crate) fn envelope(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    match Envelope::decode(&bytes) {
        Ok(envelope) => {
            assert!(envelope.body.len() < bytes.len());
            let sent = envelope.encode();
            assert!(sent.len() <= bytes.len(), "nothing is added");
            assert_eq!(Envelope::decode(&sent), Ok(envelope));
        }
        Err(EnvelopeError::Version(version)) => assert_eq!(data.first(), Some(&version)),
        Err(EnvelopeError::Malformed) => assert!(data.first().is_none_or(|first| *first == VERSION)),
    }
}
