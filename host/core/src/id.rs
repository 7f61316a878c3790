//! Names of things: nodes, sessions, instances, hosts, fencing tokens.

use crate::store::Revision;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU32;

/// A node's id: unique among the live nodes of a cluster, at least 1, at most the configured upper limit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(NonZeroU32);

impl NodeId {
    /// The id `n`, or `None` for 0, which flat owner lists use for "nobody".
    #[must_use]
    pub const fn new(n: u32) -> Option<Self> {
        match NonZeroU32::new(n) {
            Some(n) => Some(Self(n)),
            None => None,
        }
    }

    /// The id as a plain number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {}", self.0)
    }
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u128);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:08x}", self.0 >> 96)
            }
        }
    };
}

hex_id! {
    /// One life of a node between two joins, fresh at every join. Plans name it. The upper 64 bits are random bits of
    /// the join, the lower 64 those of the process, the same in all of its sessions.
    SessionId
}

impl SessionId {
    /// The session of process `process` that `join` random bits name.
    #[must_use]
    pub const fn new(process: ProcessId, join: u64) -> Self {
        Self((join as u128) << 64 | process.0 as u128)
    }

    /// The process that wrote it.
    #[must_use]
    pub const fn process(self) -> ProcessId {
        ProcessId(self.0 as u64)
    }

    /// The next session of the same process.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1 << 64))
    }
}

/// One run of the software: 64 random bits, the lower half of every session id that it writes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ProcessId(pub u64);

hex_id! {
    /// One installation of a node: the identifier kept in its locked state directory.
    InstanceId
}
hex_id! {
    /// One life of the store: chosen by the node that created `meta`. Another value means that history was lost.
    HistoryId
}

/// Increases with every owner of a shard; the resource that the work touches refuses an older one.
///
/// It is the revision of the plan entry under which a claim was made, plus the base of the store's history.
///
/// Serialised, it is a text of 20 decimal digits: texts in their order are tokens in theirs, and no reader of JSON
/// rounds them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Token(pub u64);

impl Token {
    /// The token of a grant at `revision` in a history of this `base`: never below the base, whatever stands in the
    /// store.
    #[must_use]
    pub const fn of(base: u64, revision: Revision) -> Self {
        Self(base.saturating_add(revision.0))
    }
}

impl Serialize for Token {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:020}", self.0))
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map(Self).map_err(D::Error::custom)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn the_next_session_is_of_the_same_process_and_another_join() {
        let first = SessionId::new(ProcessId(7), 5);
        assert_eq!(first.next(), SessionId::new(ProcessId(7), 6));
        assert_eq!(
            SessionId::new(ProcessId(7), u64::MAX).next(),
            SessionId::new(ProcessId(7), 0)
        );
        assert_eq!(first.next().process(), ProcessId(7));
    }

    #[test]
    fn ids_and_tokens_are_shown_as_numbers() {
        let id = NodeId::new(12).expect("not 0");
        assert_eq!(
            (id.to_string(), format!("{id:?}")),
            ("12".to_owned(), "node 12".to_owned())
        );
        assert_eq!(Token(34).to_string(), "34");
        assert_eq!(InstanceId(0xab).to_string(), "000000000000000000000000000000ab");
        assert_eq!(format!("{:?}", InstanceId(0xab << 96)), "000000ab");
    }
}
