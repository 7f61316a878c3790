//! What every backend accepts: names of namespaces, keys and topics, and sizes of values and messages.

use crate::contract::BusError;
use bytes::Bytes;
use shardwright_core::store::StoreError;
use std::fmt;
use std::sync::Arc;

/// The largest value that a user of the contract may store, in bytes.
pub const MAX_VALUE: usize = 1024 * 1024;
/// The largest message that a user of the contract may publish, in bytes.
pub const MAX_MESSAGE: usize = 512 * 1024;
/// What [`crate::sealed`] adds at most around a value or message, in bytes. A backend takes this much more than the
/// limits above.
pub const FRAME_ROOM: usize = 64;
/// The longest key or topic, in bytes.
pub const MAX_KEY: usize = 512;
/// The longest namespace, in bytes.
pub const MAX_NAMESPACE: usize = 63;
/// How many deliveries wait for a slow subscriber before it is given a gap instead.
pub const SUBSCRIBER_QUEUE: usize = 1024;
/// How many bytes wait for a slow subscriber before it is given a gap instead.
pub const SUBSCRIBER_QUEUE_BYTES: usize = 32 * 1024 * 1024;

/// `cluster.name`: prefixes every key and topic, so that two clusters share a backend without meeting. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace(Arc<str>);

/// A namespace that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no namespace: cluster.name must be 1 to {MAX_NAMESPACE} of a-z, 0-9 and '-'")]
pub struct NamespaceError(pub String);

impl Namespace {
    /// The namespace called `name`.
    ///
    /// # Errors
    /// [`NamespaceError`] unless `name` is 1 to 63 of `a-z`, `0-9` and `-`.
    pub fn new(name: &str) -> Result<Self, NamespaceError> {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if name.is_empty() || name.len() > MAX_NAMESPACE || !name.bytes().all(fits) {
            return Err(NamespaceError(name.chars().take(MAX_NAMESPACE + 1).collect()));
        }
        Ok(Self(name.into()))
    }

    /// Its name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is wrong with `name` as a key, prefix or topic; the empty name is judged by the caller.
fn flaw(what: &str, name: &str) -> Option<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._/@:+-".contains(c);
    if name.len() > MAX_KEY {
        return Some(format!("a {what} of {} bytes is longer than {MAX_KEY}", name.len()));
    }
    let bad = name.chars().find(|c| !fits(*c))?;
    Some(format!(
        "the {what} {name:?} contains {bad:?}: use letters, digits and . _ / @ : + -"
    ))
}

/// Whether `key` may name an entry: 1 to 512 of letters, digits and `._/@:+-`.
///
/// # Errors
/// `Invalid`, saying what is wrong with it.
pub fn check_key(key: &str) -> Result<(), StoreError<Bytes>> {
    if key.is_empty() {
        return Err(StoreError::Invalid("the key is empty".into()));
    }
    flaw("key", key).map_or(Ok(()), |flaw| Err(StoreError::Invalid(flaw)))
}

/// Whether `prefix` may begin a key; the empty prefix begins them all.
///
/// # Errors
/// `Invalid`, saying what is wrong with it.
pub fn check_prefix(prefix: &str) -> Result<(), StoreError<Bytes>> {
    flaw("prefix", prefix).map_or(Ok(()), |flaw| Err(StoreError::Invalid(flaw)))
}

/// Whether `topic` may name a topic: as keys.
///
/// # Errors
/// `Invalid`, saying what is wrong with it.
pub fn check_topic(topic: &str) -> Result<(), BusError> {
    if topic.is_empty() {
        return Err(BusError::Invalid("the topic is empty".into()));
    }
    flaw("topic", topic).map_or(Ok(()), |flaw| Err(BusError::Invalid(flaw)))
}

/// Whether a backend takes a value of `size` bytes, frame included.
///
/// # Errors
/// `TooLarge`.
pub fn check_stored(size: usize) -> Result<(), StoreError<Bytes>> {
    let limit = MAX_VALUE + FRAME_ROOM;
    if size > limit {
        Err(StoreError::TooLarge { size, limit })
    } else {
        Ok(())
    }
}

/// Whether a backend takes a message of `size` bytes, frame included.
///
/// # Errors
/// `TooLarge`.
pub fn check_sent(size: usize) -> Result<(), BusError> {
    let limit = MAX_MESSAGE + FRAME_ROOM;
    if size > limit {
        Err(BusError::TooLarge { size, limit })
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn namespaces_are_short_and_lowercase() {
        for good in ["a", "prod-1", &"x".repeat(63)] {
            assert_eq!(Namespace::new(good).expect("a namespace").as_str(), good);
        }
        for bad in ["", "Prod", "a b", "a/b", "ü", &"x".repeat(64)] {
            let error = Namespace::new(bad).expect_err(bad).to_string();
            assert!(error.contains("cluster.name"), "{error}");
        }
    }

    #[test]
    fn keys_say_what_is_wrong_with_them() {
        for good in [
            "a",
            "plan/push-notifications/0",
            "hosts/mail-1.example.org",
            "A_b@c:d+e",
            &"k".repeat(512),
        ] {
            assert_eq!(check_key(good), Ok(()));
            assert_eq!(check_topic(good), Ok(()));
        }
        for (bad, says) in [
            ("", "empty"),
            ("a b", "' '"),
            ("clé", "'é'"),
            ("a\0", "'\\0'"),
            (&*"k".repeat(513), "513 bytes"),
        ] {
            let StoreError::Invalid(text) = check_key(bad).expect_err(bad) else {
                panic!("another error for {bad:?}")
            };
            assert!(text.contains(says), "{text}");
            assert!(matches!(check_topic(bad), Err(BusError::Invalid(_))));
        }
        assert_eq!(check_prefix(""), Ok(()));
        assert!(check_prefix("a b").is_err());
    }

    #[test]
    fn sizes_leave_room_for_the_frame() {
        assert_eq!(check_stored(MAX_VALUE + FRAME_ROOM), Ok(()));
        assert_eq!(
            check_stored(MAX_VALUE + FRAME_ROOM + 1),
            Err(StoreError::TooLarge {
                size: MAX_VALUE + 65,
                limit: MAX_VALUE + 64
            })
        );
        assert_eq!(check_sent(MAX_MESSAGE + FRAME_ROOM), Ok(()));
        assert!(check_sent(MAX_MESSAGE + FRAME_ROOM + 1).is_err());
    }
}
