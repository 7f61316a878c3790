//! What things are called on the server: the stream, its subjects, the subjects of the bus.

use crate::limits::Namespace;

/// The names of one namespace that do not depend on its history.
#[derive(Clone, Debug)]
pub(super) struct Names {
    /// The stream that holds the store.
    pub(super) stream: String,
    /// Begins the subjects of the store, of whatever history.
    store: String,
    /// Begins the subjects of the bus.
    bus: String,
}

impl Names {
    pub(super) fn new(namespace: &Namespace) -> Self {
        Self {
            stream: format!("SHARDWRIGHT_{namespace}"),
            store: format!("shardwright.{namespace}.store."),
            bus: format!("shardwright.{namespace}.bus."),
        }
    }

    /// What the stream of `history` takes.
    pub(super) fn stream_subjects(&self, history: &str) -> String {
        format!("{}{history}.>", self.store)
    }

    /// The history of the stream that takes `subjects`; `None` if that is no stream of ours.
    pub(super) fn history<'a>(&self, subjects: &'a str) -> Option<&'a str> {
        let history = subjects.strip_prefix(&self.store)?.strip_suffix(".>")?;
        (!history.is_empty() && history.bytes().all(|b| b.is_ascii_hexdigit())).then_some(history)
    }

    pub(super) fn topic(&self, topic: &str) -> String {
        format!("{}{}", self.bus, token(topic))
    }

    /// What the bus subscribes to: all topics, and the probes.
    pub(super) fn all_topics(&self) -> String {
        format!("{}*", self.bus)
    }

    /// Where a handle asks itself whether it hears: no topic is called so, since `~` occurs in none.
    pub(super) fn probe(&self) -> String {
        format!("{}~", self.bus)
    }

    /// The topic that a message to `subject` was published to; `None` for a probe.
    pub(super) fn topic_of(&self, subject: &str) -> Option<String> {
        let token = subject.strip_prefix(&self.bus)?;
        (token != "~").then(|| untoken(token))
    }
}

/// The subjects of one history of the store. A write of somebody who knows another history finds nobody there.
#[derive(Clone, Debug)]
pub(super) struct Subjects {
    root: String,
}

/// What a subject of the store is for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// The entry of a key.
    Key(String),
    /// A part of a large value.
    Part {
        /// Which value.
        id: &'a str,
        /// Which of its parts.
        number: u32,
    },
    /// Where readers tick.
    Tick,
}

impl Subjects {
    pub(super) fn new(names: &Names, history: &str) -> Self {
        Self {
            root: format!("{}{history}.", names.store),
        }
    }

    pub(super) fn key(&self, key: &str) -> String {
        format!("{}k.{}", self.root, token(key))
    }

    pub(super) fn part(&self, id: &str, number: u32) -> String {
        format!("{}p.{id}.{number}", self.root)
    }

    /// One of the subjects for ticks.
    pub(super) fn tick(&self, number: usize) -> String {
        format!("{}t.{number}", self.root)
    }

    /// What `subject` is for; `None` if it is none of ours.
    pub(super) fn place<'a>(&self, subject: &'a str) -> Option<Place<'a>> {
        let rest = subject.strip_prefix(&self.root)?;
        if rest.starts_with("t.") {
            return Some(Place::Tick);
        }
        if let Some(token) = rest.strip_prefix("k.") {
            return Some(Place::Key(untoken(token)));
        }
        let (id, number) = rest.strip_prefix("p.")?.split_once('.')?;
        Some(Place::Part {
            id,
            number: number.parse().ok()?,
        })
    }
}

/// `name` as one token of a subject. Of what keys and topics are made of only `.` means something to NATS, and `=`
/// occurs in none.
fn token(name: &str) -> String {
    name.replace('.', "=")
}

fn untoken(token: &str) -> String {
    token.replace('=', ".")
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn every_key_is_one_token_and_comes_back() {
        let names = Names::new(&Namespace::new("prod-1").expect("a namespace"));
        let subjects = Subjects::new(&names, "0af3");
        for key in ["a", "..", "a/b.c_d@e:f+g-h", "/", "t", &"k.".repeat(256)] {
            let subject = subjects.key(key);
            assert_eq!(subject.split('.').count(), 6, "{subject}");
            assert!(!subject.split('.').any(str::is_empty), "{subject}");
            assert_eq!(subjects.place(&subject), Some(Place::Key(key.into())));
            assert_eq!(names.topic_of(&names.topic(key)), Some(key.into()));
        }
        assert_eq!(subjects.place(&subjects.tick(255)), Some(Place::Tick));
        assert_eq!(
            subjects.place(&subjects.part("0b", 7)),
            Some(Place::Part { id: "0b", number: 7 })
        );
        assert_eq!(subjects.place("shardwright.prod-1.store.0af4.t.1"), None);
        assert_eq!(names.topic_of(&names.probe()), None);
    }

    #[test]
    fn a_stream_says_which_history_it_is() {
        let names = Names::new(&Namespace::new("a").expect("a namespace"));
        assert_eq!(names.stream, "SHARDWRIGHT_a");
        assert_eq!(names.stream_subjects("0f"), "shardwright.a.store.0f.>");
        assert_eq!(names.history("shardwright.a.store.0f.>"), Some("0f"));
        for other in [
            "shardwright.b.store.0f.>",
            "shardwright.a.store..>",
            "shardwright.a.store.>",
            "shardwright.>",
        ] {
            assert_eq!(names.history(other), None, "{other}");
        }
    }
}
