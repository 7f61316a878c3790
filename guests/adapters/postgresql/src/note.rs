//! Messages as notifications: a topic, how many parts follow, and a part of the message as text.
//!
//! A notification carries at most 7999 bytes of text. What is larger goes in several, sent in one transaction, so that
//! nothing comes between them and whoever listens hears all of them or none.

use data_encoding::BASE64_NOPAD;
use sha2::{Digest, Sha256};

/// The largest message: what the contract promises to carry, and what it adds around that.
pub(crate) const LARGEST: usize = 512 * 1024 + 64;
/// The longest payload of a notification.
const PAYLOAD: usize = 7999;
/// The most parts that a message can have.
const PARTS: usize = 128;
/// A topic's limit, in the contract.
const TOPIC: usize = 512;

/// The channel of a history, as an identifier, which has at most 63 bytes. Nobody hears those of another history.
pub(crate) fn channel(schema: &str, namespace: &str, history: &str) -> String {
    let hash = Sha256::digest(format!("1\0{schema}\0{namespace}\0{history}"));
    format!("shardwright_{}", data_encoding::HEXLOWER.encode(&hash[..20]))
}

/// The payloads that carry a message.
pub(crate) fn encode(topic: &str, payload: &[u8]) -> Vec<String> {
    let room = (PAYLOAD - topic.len().min(TOPIC) - " 127 ".len()) / 4 * 3;
    let count = payload.len().div_ceil(room).max(1);
    let part = |number: usize| {
        let bytes = payload.get(number * room..).unwrap_or_default();
        let bytes = &bytes[..bytes.len().min(room)];
        format!("{topic} {} {}", count - 1 - number, BASE64_NOPAD.encode(bytes))
    };
    (0..count).map(part).collect()
}

/// One part of a message.
struct Part<'a> {
    topic: &'a str,
    /// How many parts follow.
    left: usize,
    text: &'a str,
}

impl<'a> Part<'a> {
    fn parse(payload: &'a str) -> Option<Self> {
        let mut pieces = payload.splitn(3, ' ');
        let part = Self {
            topic: pieces.next()?,
            left: pieces.next()?.parse().ok()?,
            text: pieces.next()?,
        };
        (part.left < PARTS && !part.topic.is_empty()).then_some(part)
    }
}

/// What a payload came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decoded {
    /// The end of a message.
    Message { topic: String, payload: Vec<u8> },
    /// Parts are missing.
    Gap,
    /// More of it follows, or nobody asked for it.
    Nothing,
    /// Not from an adapter.
    Strange,
}

/// Puts parts together again.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    /// The topics to hear of; all, if there are none.
    pub(crate) topics: Vec<String>,
    /// Of a message that is not complete: what there is, and how many parts follow.
    begun: Option<(String, Vec<u8>, usize)>,
}

impl Parts {
    pub(crate) fn hear(&mut self, payload: &str) -> Decoded {
        let Some(part) = Part::parse(payload) else {
            return Decoded::Strange;
        };
        if !self.topics.is_empty() && !self.topics.iter().any(|topic| topic == part.topic) {
            // Nothing comes between the parts of a message.
            return if self.begun.take().is_some() {
                Decoded::Gap
            } else {
                Decoded::Nothing
            };
        }
        let Ok(bytes) = BASE64_NOPAD.decode(part.text.as_bytes()) else {
            return Decoded::Strange;
        };
        let payload = match self.begun.take() {
            None => bytes,
            Some((topic, mut payload, left))
                if topic == part.topic && left == part.left + 1 && payload.len() < LARGEST =>
            {
                payload.extend_from_slice(&bytes);
                payload
            }
            Some(_) => return Decoded::Gap,
        };
        if part.left > 0 {
            self.begun = Some((part.topic.to_owned(), payload, part.left));
            return Decoded::Nothing;
        }
        Decoded::Message {
            topic: part.topic.to_owned(),
            payload,
        }
    }
}

#[cfg(test)]
mod test {
    use super::*;

    fn bytes(size: usize) -> Vec<u8> {
        (0..size).map(|i| (i * 31 % 251) as u8).collect()
    }

    #[test]
    fn a_channel_is_an_identifier_of_one_history() {
        let name = channel("shardwright", "mail", "h");
        assert!(
            name.len() <= 63
                && name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
            "{name}"
        );
        // Fixed: nodes of all releases of this format meet there.
        assert_eq!(name, "shardwright_3c17cf36d0c1a97c0d83159d7a5bdbc7f3332c07");
        for other in [
            channel("x", "mail", "h"),
            channel("shardwright", "mai", "lh"),
            channel("shardwright", "mail", "i"),
        ] {
            assert_ne!(name, other);
        }
    }

    #[test]
    fn a_small_message_is_one_line_of_text() {
        assert_eq!(encode("plans/0", b"hello"), ["plans/0 0 aGVsbG8"]);
        assert_eq!(encode("t", b""), ["t 0 "]);
    }

    #[test]
    fn whatever_is_sent_arrives() {
        for topic in ["t", &"x".repeat(512)] {
            for size in [0, 1, 5_500, 5_600, 5_991, 6_000, 20_000, LARGEST] {
                let mut parts = Parts::default();
                let mut heard = Vec::new();
                for payload in encode(topic, &bytes(size)) {
                    assert!(payload.len() <= PAYLOAD, "{}", payload.len());
                    heard.push(parts.hear(&payload));
                }
                let last = heard.pop();
                assert_eq!(
                    last,
                    Some(Decoded::Message {
                        topic: topic.into(),
                        payload: bytes(size)
                    })
                );
                assert!(heard.iter().all(|heard| *heard == Decoded::Nothing));
            }
        }
    }

    #[test]
    fn other_topics_are_left_out() {
        let mut parts = Parts {
            topics: vec!["a".into()],
            begun: None,
        };
        for payload in encode("b", &bytes(20_000)) {
            assert_eq!(parts.hear(&payload), Decoded::Nothing);
        }
        assert_eq!(
            parts.hear("a 0 "),
            Decoded::Message {
                topic: "a".into(),
                payload: Vec::new()
            }
        );
    }

    #[test]
    fn a_missing_part_is_a_gap() {
        let payloads = encode("t", &bytes(20_000));
        assert!(payloads.len() > 3);
        let mut parts = Parts::default();
        assert_eq!(parts.hear(&payloads[0]), Decoded::Nothing);
        assert_eq!(parts.hear(&payloads[2]), Decoded::Gap);
        assert!(matches!(parts.hear("t 0 "), Decoded::Message { .. }));
    }

    #[test]
    fn what_others_send_is_strange() {
        for payload in [
            "",
            "t",
            "t 0",
            "t x ",
            "t 0 *",
            " 0 ",
            "t -1 ",
            "t 4000 ",
            "t 0 a",
            "t 99999999999999999999 ",
        ] {
            assert_eq!(Parts::default().hear(payload), Decoded::Strange, "{payload:?}");
        }
    }
}
