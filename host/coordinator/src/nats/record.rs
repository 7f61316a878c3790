//! What a message of the stream holds. Its format is fixed: see the test, and `docs/nats.md`.
//!
//! ```text
//! byte 0      format, 1
//! byte 1      kind: 0 tick, 1 value, 2 deletion, 3 head of a large value, 4 part of one
//! bytes 2-9   the backend's time as its writer knew it, in milliseconds since the Unix epoch, big-endian
//! then        value: the value; head: how many parts (u32, big-endian) and their id (text); part: its bytes;
//!             else nothing
//! ```

use bytes::{BufMut, Bytes, BytesMut};

const FORMAT: u8 = 1;
/// How much longer than its body a record is at most, beside the id of a head.
pub(super) const OVERHEAD: usize = 10;

/// A message of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// The backend's time as its writer knew it. The message is at least as young, whatever the clock of a new leader
    /// says.
    pub(super) known: u64,
    pub(super) body: Body,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// Nothing: somebody asked how far the stream is.
    Tick,
    /// The value of the key.
    Value(Bytes),
    /// The key has none.
    Deleted,
    /// The value of the key is in that many parts.
    Head { parts: u32, id: String },
    /// A part of a large value.
    Part(Bytes),
}

impl Record {
    pub(super) fn encode(&self) -> Bytes {
        let (kind, size) = match &self.body {
            Body::Tick => (0, 0),
            Body::Value(value) => (1, value.len()),
            Body::Deleted => (2, 0),
            Body::Head { id, .. } => (3, 4 + id.len()),
            Body::Part(part) => (4, part.len()),
        };
        let mut out = BytesMut::with_capacity(OVERHEAD + size);
        out.put_u8(FORMAT);
        out.put_u8(kind);
        out.put_u64(self.known);
        match &self.body {
            Body::Value(bytes) | Body::Part(bytes) => out.put_slice(bytes),
            Body::Head { parts, id } => {
                out.put_u32(*parts);
                out.put_slice(id.as_bytes());
            }
            Body::Tick | Body::Deleted => {}
        }
        out.freeze()
    }

    /// # Errors
    /// What is wrong with it.
    pub(super) fn decode(payload: &Bytes) -> Result<Self, String> {
        let Some((header, _)) = payload.split_first_chunk::<OVERHEAD>() else {
            return Err(format!("a record of {} bytes is cut off", payload.len()));
        };
        let [format, kind, known @ ..] = *header;
        if format != FORMAT {
            return Err(format!(
                "a record of format {format}, this release reads {FORMAT}: update this node"
            ));
        }
        let rest = payload.slice(OVERHEAD..);
        let body = match kind {
            0 => Body::Tick,
            1 => Body::Value(rest),
            2 => Body::Deleted,
            3 => head(&rest).ok_or("the head of a large value is damaged")?,
            4 => Body::Part(rest),
            other => return Err(format!("a record of the unknown kind {other}")),
        };
        Ok(Self {
            known: u64::from_be_bytes(known),
            body,
        })
    }
}

fn head(rest: &[u8]) -> Option<Body> {
    let (parts, id) = rest.split_first_chunk()?;
    Some(Body::Head {
        parts: u32::from_be_bytes(*parts),
        id: std::str::from_utf8(id).ok()?.into(),
    })
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn the_format_stays() {
        let value = Bytes::from_static(b"v");
        let vectors: [(Body, &[u8]); 5] = [
            (Body::Tick, b"\x01\x00\0\0\0\0\0\0\x01\x02"),
            (Body::Value(value.clone()), b"\x01\x01\0\0\0\0\0\0\x01\x02v"),
            (Body::Deleted, b"\x01\x02\0\0\0\0\0\0\x01\x02"),
            (
                Body::Head {
                    parts: 3,
                    id: "0a".into(),
                },
                b"\x01\x03\0\0\0\0\0\0\x01\x02\0\0\0\x030a",
            ),
            (Body::Part(value), b"\x01\x04\0\0\0\0\0\0\x01\x02v"),
        ];
        for (body, bytes) in vectors {
            let record = Record { known: 0x102, body };
            assert_eq!(record.encode(), bytes);
            assert_eq!(Record::decode(&Bytes::from_static(bytes)), Ok(record));
        }
    }

    #[test]
    fn what_is_no_record_says_why() {
        for (bytes, says) in [
            (&b""[..], "cut off"),
            (b"\x01\x00\0\0\0", "cut off"),
            (b"\x02\x00\0\0\0\0\0\0\0\0", "format 2"),
            (b"\x01\x09\0\0\0\0\0\0\0\0", "kind 9"),
            (b"\x01\x03\0\0\0\0\0\0\0\0\0", "damaged"),
            (b"\x01\x03\0\0\0\0\0\0\0\0\0\0\0\x01\xff", "damaged"),
        ] {
            let error = Record::decode(&Bytes::copy_from_slice(bytes)).expect_err(says);
            assert!(error.contains(says), "{error}");
        }
    }
}
