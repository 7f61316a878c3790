//! The keys of one namespace.
//!
//! ```text
//! <prefix>/<namespace>/history      one life of the data: "<32 hex digits> <the cluster's id>"
//! <prefix>/<namespace>/clock        the time of the newest write, and the raft term in which it was made
//! <prefix>/<namespace>/k/<key>      the entries
//! <prefix>/<namespace>/bus/<topic>  the newest message of each topic
//! ```
//!
//! Neither prefix nor namespace has a slash, so no two namespaces meet.

use crate::codec::base64;

/// The keys of one namespace, as the gateway writes them: in base64.
#[derive(Clone)]
pub(crate) struct Keys {
    root: String,
    pub(crate) history: String,
    pub(crate) clock: String,
}

/// A range of keys in base64: from the first to before the second.
pub(crate) struct Range {
    pub(crate) from: String,
    pub(crate) to: String,
}

impl Range {
    /// All keys that begin with `prefix`.
    fn of(prefix: &str) -> Self {
        let mut end = prefix.as_bytes().to_vec();
        // Only ASCII passes the host, so this never overflows.
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        Self {
            from: base64(prefix.as_bytes()),
            to: base64(&end),
        }
    }
}

impl Keys {
    pub(crate) fn of(prefix: &str, namespace: &str) -> Self {
        let root = format!("{prefix}/{namespace}/");
        Self {
            history: base64(format!("{root}history").as_bytes()),
            clock: base64(format!("{root}clock").as_bytes()),
            root,
        }
    }

    /// What an operator must grant.
    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    /// Where the entry under `key` is.
    pub(crate) fn entry(&self, key: &str) -> String {
        base64(format!("{}k/{key}", self.root).as_bytes())
    }

    /// The entries whose key begins with `prefix`.
    pub(crate) fn entries(&self, prefix: &str) -> Range {
        Range::of(&format!("{}k/{prefix}", self.root))
    }

    /// The key after that of the entry under `key`.
    pub(crate) fn after(&self, key: &str) -> String {
        base64(format!("{}k/{key}\0", self.root).as_bytes())
    }

    /// The key of the entry that is stored under `stored`.
    pub(crate) fn key_of<'a>(&self, stored: &'a [u8]) -> Option<&'a str> {
        std::str::from_utf8(stored)
            .ok()?
            .strip_prefix(&*self.root)?
            .strip_prefix("k/")
    }

    /// Where messages to `topic` go.
    pub(crate) fn topic(&self, topic: &str) -> String {
        base64(format!("{}bus/{topic}", self.root).as_bytes())
    }

    /// Where all messages go.
    pub(crate) fn bus(&self) -> Range {
        Range::of(&format!("{}bus/", self.root))
    }

    /// The topic of a message that is stored under `stored`.
    pub(crate) fn topic_of<'a>(&self, stored: &'a [u8]) -> Option<&'a str> {
        std::str::from_utf8(stored)
            .ok()?
            .strip_prefix(&*self.root)?
            .strip_prefix("bus/")
    }

    /// Everything of the namespace.
    pub(crate) fn all(&self) -> Range {
        Range::of(&self.root)
    }
}

#[cfg(test)]
mod test {
    use super::*;
    use crate::codec::unbase64;

    fn plain(text: &str) -> String {
        String::from_utf8(unbase64(text).unwrap()).unwrap()
    }

    #[test]
    fn the_places_of_a_namespace_are_fixed() {
        let keys = Keys::of("shardwright", "mail");
        assert_eq!(plain(&keys.history), "shardwright/mail/history");
        assert_eq!(plain(&keys.clock), "shardwright/mail/clock");
        assert_eq!(plain(&keys.entry("hosts/a")), "shardwright/mail/k/hosts/a");
        assert_eq!(plain(&keys.topic("t")), "shardwright/mail/bus/t");
        assert_eq!(keys.key_of(b"shardwright/mail/k/hosts/a"), Some("hosts/a"));
        assert_eq!(keys.key_of(b"shardwright/mail-2/k/a"), None);
        assert_eq!(keys.topic_of(b"shardwright/mail/bus/a/b"), Some("a/b"));
        assert_eq!(keys.topic_of(b"shardwright/mail/k/a"), None);
        let (all, bus, some) = (keys.all(), keys.bus(), keys.entries("ho"));
        assert_eq!(
            (plain(&all.from), plain(&all.to)),
            ("shardwright/mail/".into(), "shardwright/mail0".into())
        );
        assert_eq!(
            (plain(&bus.from), plain(&bus.to)),
            ("shardwright/mail/bus/".into(), "shardwright/mail/bus0".into())
        );
        assert_eq!(
            (plain(&some.from), plain(&some.to)),
            ("shardwright/mail/k/ho".into(), "shardwright/mail/k/hp".into())
        );
    }

    #[test]
    fn neither_of_two_namespaces_reaches_into_the_other() {
        let (one, two) = (Keys::of("p", "a"), Keys::of("p", "a-b"));
        let range = one.all();
        for key in [two.entry("x"), two.history.clone(), two.topic("t")] {
            assert!(
                plain(&key) < plain(&range.from) || plain(&key) >= plain(&range.to),
                "{}",
                plain(&key)
            );
        }
    }
}
