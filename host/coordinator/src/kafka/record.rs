//! What stands in the log of the store: one record for each write, each read barrier, and each page of a snapshot.
//!
//! A record is `SW`, a version byte, a head in postcard, and the value or page as it is. Whoever reads a record of a
//! later version must stop: it cannot know what that record does. What does not begin with `SW` was written by a
//! stranger and counts for nothing.

use serde::{Deserialize, Serialize};
use shardwright_core::store::{Expected, Revision};

/// The version of records that this release writes and reads.
pub(super) const VERSION: u8 = 1;
const MAGIC: [u8; 2] = *b"SW";

/// What a record says before its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head<'a> {
    /// The history that it belongs to: a random number made by the first record of the log. 0: whichever.
    pub(super) history: u64,
    /// The handle that wrote it, a random number.
    pub(super) author: u64,
    /// Which of the author's records it is.
    pub(super) sequence: u64,
    /// Up to which offset the author had folded the log when it wrote this.
    pub(super) seen: u64,
    /// The author's running hash of the log there.
    pub(super) chain: u64,
    /// What it does.
    #[serde(borrow)]
    pub(super) act: Operation<'a>,
}

/// What a record does. The order is part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Operation<'a> {
    /// Begins the history, if none has begun.
    Genesis,
    /// Nothing: whoever reads it in the log has read everything before it.
    Tick,
    /// Stores the value that follows.
    Put(&'a str, Guard),
    /// Removes the key.
    Delete(&'a str, Guard),
    /// Begins a snapshot of the state here, if the last one began at this offset (plus one; 0: there was none).
    Begin(u64),
    /// A page of the snapshot that began at the offset `of`; its bytes follow.
    Page {
        of: u64,
        number: u32,
        /// On the last page: the hash of all pages.
        last: Option<u64>,
    },
}

/// What a write expects to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Guard {
    Any,
    Absent,
    At(u64),
}

impl From<Expected> for Guard {
    fn from(expected: Expected) -> Self {
        match expected {
            Expected::Any => Self::Any,
            Expected::Absent => Self::Absent,
            Expected::Revision(Revision(revision)) => Self::At(revision),
        }
    }
}

/// Why a record cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecordError {
    /// A stranger's.
    Stranger,
    /// Of a version that this release does not know.
    Newer(u8),
}

impl<'a> Head<'a> {
    /// The record with this head and value.
    pub(super) fn encode(&self, value: &[u8]) -> Vec<u8> {
        let mut record = Vec::with_capacity(64 + value.len());
        record.extend(MAGIC);
        record.push(VERSION);
        let mut record = postcard::to_extend(self, record).unwrap_or_default();
        record.extend_from_slice(value);
        record
    }

    /// The head of a record, and its value.
    pub(super) fn decode(record: &'a [u8]) -> Result<(Self, &'a [u8]), RecordError> {
        let body = record.strip_prefix(&MAGIC).ok_or(RecordError::Stranger)?;
        match body {
            [VERSION, body @ ..] => postcard::take_from_bytes(body).map_err(|_| RecordError::Stranger),
            [version, ..] if *version > VERSION => Err(RecordError::Newer(*version)),
            _ => Err(RecordError::Stranger),
        }
    }
}

#[cfg(test)]
mod test {
    use super::*;

    fn head(act: Operation<'_>) -> Head<'_> {
        Head {
            history: 0x0102_0304_0506_0708,
            author: 7,
            sequence: 300,
            seen: 5,
            chain: 1,
            act,
        }
    }

    #[test]
    fn the_format_is_what_it_was() {
        let record = head(Operation::Put("k", Guard::At(9))).encode(b"value");
        let expected = [
            &b"SW\x01"[..],
            &[0x88, 0x8e, 0x98, 0xa8, 0xc0, 0xe0, 0x80, 0x81, 0x01],
            &[7, 0xac, 0x02, 5, 1],
            &[2, 1, b'k', 2, 9],
            b"value",
        ]
        .concat();
        assert_eq!(record, expected);
        assert_eq!(
            Head::decode(&record),
            Ok((head(Operation::Put("k", Guard::At(9))), &b"value"[..]))
        );
    }

    #[test]
    fn every_act_comes_back() {
        for act in [
            Operation::Genesis,
            Operation::Tick,
            Operation::Put("a/b", Guard::Any),
            Operation::Delete("a", Guard::Absent),
            Operation::Begin(12),
            Operation::Page {
                of: 3,
                number: 4,
                last: Some(5),
            },
        ] {
            let record = head(act).encode(&[]);
            assert_eq!(Head::decode(&record), Ok((head(act), &[][..])));
            for cut in 0..record.len() {
                assert!(Head::decode(&record[..cut]).is_err(), "cut at {cut}");
            }
        }
    }

    #[test]
    fn strangers_and_later_versions_are_told_apart() {
        assert_eq!(Head::decode(b""), Err(RecordError::Stranger));
        assert_eq!(Head::decode(b"hello"), Err(RecordError::Stranger));
        assert_eq!(Head::decode(b"SW\x02anything"), Err(RecordError::Newer(2)));
    }
}
