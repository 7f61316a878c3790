//! What passes by on the bus, decoded, with what is missing between.

use crate::cluster::OPERATOR;
use serde::Serialize;
use shardwright_coordinator::envelope::{Envelope, EnvelopeError};
use shardwright_coordinator::{Delivery, Namespace};
use shardwright_core::values::LOOK;
use std::collections::HashMap;

/// What the topics of the embedding server begin with on the wire.
const SERVER: &str = "app/";

/// One thing that was seen.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub(super) enum Observation {
    /// A message.
    Message {
        /// The node; absent for an operator's command.
        origin: Option<u32>,
        /// Tells the lives of its sender apart.
        life: u64,
        sequence: u64,
        topic: String,
        bytes: usize,
        /// What it is about, if it is not the server's.
        meaning: Option<&'static str>,
    },
    /// A sender's numbers have a hole.
    Missing {
        origin: Option<u32>,
        topic: String,
        lost: u64,
    },
    /// The backend says that messages were lost; 0 if it cannot tell how many.
    Gap { lost: u64 },
    /// A message of another cluster.
    Foreign { cluster: String, topic: String },
    /// A message of another release.
    OtherRelease { version: u8, topic: String },
    /// No message of a node, or one that came by another topic than it was sent to.
    Malformed { topic: String, bytes: usize },
    /// A message that was numbered lower than one before it: a replay or a straggler.
    Stale {
        origin: Option<u32>,
        topic: String,
        sequence: u64,
    },
}

/// What was seen altogether.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Counts {
    pub(super) messages: u64,
    pub(super) bytes: u64,
    /// Known to be lost, by numbers or by the backend.
    pub(super) lost: u64,
    /// Losses of which the backend cannot tell how much was lost.
    pub(super) gaps: u64,
    pub(super) foreign: u64,
    pub(super) other_release: u64,
    pub(super) malformed: u64,
    pub(super) stale: u64,
    /// Messages that the secret did not open.
    pub(super) unreadable: u64,
}

/// Follows the numbers of all senders.
pub(super) struct Watcher {
    namespace: Namespace,
    /// For each sender and topic: life and number of its newest message, and how many gaps had been told then.
    seen: HashMap<(u32, String), (u64, u64, u64)>,
    told: u64,
    pub(super) counts: Counts,
}

impl Watcher {
    pub(super) fn new(namespace: Namespace) -> Self {
        Self {
            namespace,
            seen: HashMap::new(),
            told: 0,
            counts: Counts::default(),
        }
    }

    /// Takes what the bus delivers.
    pub(super) fn take(&mut self, delivery: &Delivery) -> Vec<Observation> {
        let (topic, payload) = match delivery {
            Delivery::Message { topic, payload } => (topic, payload),
            Delivery::Gap { lost } => {
                self.told += 1;
                self.counts.gaps += u64::from(*lost == 0);
                self.counts.lost += lost;
                return vec![Observation::Gap { lost: *lost }];
            }
        };
        let malformed = || Observation::Malformed {
            topic: topic.clone(),
            bytes: payload.len(),
        };
        let envelope = match Envelope::decode(payload) {
            Ok(envelope) if envelope.namespace != self.namespace => {
                self.counts.foreign += 1;
                let cluster = envelope.namespace.to_string();
                return vec![Observation::Foreign {
                    cluster,
                    topic: topic.clone(),
                }];
            }
            Ok(envelope) if envelope.topic == *topic => envelope,
            Err(EnvelopeError::Version(version)) => {
                self.counts.other_release += 1;
                return vec![Observation::OtherRelease {
                    version,
                    topic: topic.clone(),
                }];
            }
            Ok(_) | Err(EnvelopeError::Malformed) => {
                self.counts.malformed += 1;
                return vec![malformed()];
            }
        };
        self.message(&envelope)
    }

    fn message(&mut self, envelope: &Envelope) -> Vec<Observation> {
        let Envelope { sequence, topic, .. } = envelope;
        let (life, sequence, number) = (envelope.token.0, *sequence, envelope.origin.get());
        let origin = (number != OPERATOR).then_some(number);
        let last = self.seen.get(&(number, topic.clone())).copied();
        let lost = match last {
            Some((known, newest, _)) if (life, sequence) <= (known, newest) => {
                self.counts.stale += 1;
                let topic = topic.clone();
                return vec![Observation::Stale {
                    origin,
                    topic,
                    sequence,
                }];
            }
            // Each command of an operator is a life of its own, and says one thing.
            _ if origin.is_none() => 0,
            // What is missing across a gap was told with the gap.
            Some((_, _, told)) if told != self.told => 0,
            Some((known, newest, _)) if known == life => sequence - newest - 1,
            Some(_) => sequence.saturating_sub(1),
            None => 0,
        };
        self.seen.insert((number, topic.clone()), (life, sequence, self.told));
        let mut sightings = Vec::with_capacity(2);
        if lost > 0 {
            self.counts.lost += lost;
            let topic = topic.clone();
            sightings.push(Observation::Missing { origin, topic, lost });
        }
        self.counts.messages += 1;
        self.counts.bytes += envelope.body.len() as u64;
        sightings.push(Observation::Message {
            origin,
            life,
            sequence,
            topic: topic.clone(),
            bytes: envelope.body.len(),
            meaning: meaning(topic),
        });
        sightings
    }
}

/// What the runtime means by a topic of its own.
fn meaning(topic: &str) -> Option<&'static str> {
    match topic {
        LOOK => Some("the store has changed, look"),
        _ if topic.starts_with(SERVER) => None,
        _ => Some("of the runtime"),
    }
}

/// The topics on the wire that `given` may mean: the runtime's, or the server's of this name.
pub(super) fn on_the_wire(given: &str) -> Vec<String> {
    vec![given.to_owned(), format!("{SERVER}{given}")]
}

#[cfg(test)]
mod test {
    use super::*;
    use bytes::Bytes;
    use shardwright_core::id::{NodeId, Token};

    fn watcher() -> Watcher {
        Watcher::new(Namespace::new("here").expect("a name"))
    }

    fn envelope(cluster: &str, origin: u32, life: u64, sequence: u64, topic: &str) -> Delivery {
        let envelope = Envelope {
            namespace: Namespace::new(cluster).expect("a name"),
            origin: NodeId::new(origin).expect("not 0"),
            token: Token(life),
            sequence,
            topic: topic.into(),
            body: Bytes::from_static(b"body"),
        };
        Delivery::Message {
            topic: topic.into(),
            payload: envelope.encode(),
        }
    }

    fn missing(sightings: &[Observation]) -> u64 {
        let lost = sightings.iter().map(|sighting| match sighting {
            Observation::Missing { lost, .. } => *lost,
            _ => 0,
        });
        lost.sum()
    }

    #[test]
    fn holes_in_the_numbers_are_shown_once() {
        let mut watcher = watcher();
        let mut take = |life, sequence| missing(&watcher.take(&envelope("here", 2, life, sequence, "app/t")));
        assert_eq!(take(7, 5), 0, "what came before is not known");
        assert_eq!(take(7, 6), 0);
        assert_eq!(take(7, 9), 2);
        assert_eq!(take(8, 1), 0, "a new life");
        assert_eq!(take(9, 3), 2, "a new life whose beginning is missing");
        assert_eq!(watcher.take(&Delivery::Gap { lost: 0 }), [Observation::Gap { lost: 0 }]);
        assert_eq!(
            missing(&watcher.take(&envelope("here", 2, 9, 30, "app/t"))),
            0,
            "told already"
        );
        assert_eq!(missing(&watcher.take(&envelope("here", 2, 9, 32, "app/t"))), 1);
        let expected = Counts {
            messages: 7,
            bytes: 28,
            lost: 5,
            gaps: 1,
            ..Counts::default()
        };
        assert_eq!(watcher.counts, expected);
    }

    #[test]
    fn what_is_no_message_of_this_cluster_is_named() {
        let mut watcher = watcher();
        let raw = |payload: &'static [u8]| Delivery::Message {
            topic: "t".into(),
            payload: Bytes::from_static(payload),
        };
        let seen = watcher.take(&envelope("there", 1, 1, 1, "t"));
        assert!(matches!(&seen[..], [Observation::Foreign { cluster, .. }] if cluster == "there"));
        assert!(matches!(
            &watcher.take(&raw(&[9, 9]))[..],
            [Observation::OtherRelease { version: 9, .. }]
        ));
        assert!(matches!(
            &watcher.take(&raw(&[1, 9]))[..],
            [Observation::Malformed { bytes: 2, .. }]
        ));
        watcher.take(&envelope("here", 1, 1, 2, "t"));
        assert!(matches!(
            &watcher.take(&envelope("here", 1, 1, 1, "t"))[..],
            [Observation::Stale { sequence: 1, .. }]
        ));
        let Counts {
            foreign,
            other_release,
            malformed,
            stale,
            ..
        } = watcher.counts;
        assert_eq!((foreign, other_release, malformed, stale), (1, 1, 1, 1));
    }

    #[test]
    fn the_runtimes_own_topics_and_the_operator_are_named() {
        let mut watcher = watcher();
        let sightings = watcher.take(&envelope("here", OPERATOR, 5, 1, LOOK));
        assert!(matches!(
            sightings[..],
            [Observation::Message {
                origin: None,
                meaning: Some("the store has changed, look"),
                ..
            }]
        ));
        assert_eq!((meaning("app/x"), meaning("node/x")), (None, Some("of the runtime")));
        assert_eq!(missing(&watcher.take(&envelope("here", OPERATOR, 6, 1, LOOK))), 0);
    }
}
