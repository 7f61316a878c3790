//! Listening: one stream with a watch for each topic, or one for all, and one for the history.
//!
//! etcd gives a watcher every change of a key, in order, even if the key was changed again since. If it cannot, because
//! what is missing was compacted away, it ends the watch; then the subscription fails, the host subscribes again, and
//! reports a gap.

use crate::api::{StreamAnswer, watch};
use crate::codec;
use crate::codes::Refusal;
use crate::keys::Keys;
use crate::lane::Lane;
use crate::lines::Lines;
use crate::open::Open;
use crate::wire::{Fault, HttpClient, Moment, Stream};
use shardwright_guest::adapter::{self, BusError, Delivery, Message};
use std::collections::VecDeque;
use std::time::Duration;

/// More topics than this are watched as one range, and what was not asked for is left out.
const WATCHES: usize = 16;

/// A lane that listens.
pub struct Subscriber<W: HttpClient> {
    lane: Lane<W>,
    stream: Option<W::Stream>,
    inbox: Inbox,
}

/// What came, from bytes to deliveries.
struct Inbox {
    keys: Keys,
    /// All, if empty.
    topics: Vec<String>,
    lines: Lines,
    /// Watches that were begun.
    begun: usize,
    waiting: VecDeque<Delivery>,
}

impl Inbox {
    fn new(keys: Keys, topics: Vec<String>) -> Self {
        Self {
            keys,
            topics,
            lines: Lines::default(),
            begun: 0,
            waiting: VecDeque::new(),
        }
    }

    /// The watches to ask for.
    fn watches(&self) -> Vec<(String, Option<String>)> {
        let mut watches: Vec<_> = if self.topics.is_empty() || self.topics.len() > WATCHES {
            let all = self.keys.bus();
            vec![(all.from, Some(all.to))]
        } else {
            self.topics.iter().map(|topic| (self.keys.topic(topic), None)).collect()
        };
        watches.push((self.keys.history.clone(), None));
        watches
    }

    /// Takes the lines that are whole.
    ///
    /// # Errors
    /// The stream is over.
    fn take(&mut self, url: &str) -> Result<(), Refusal> {
        let over = |why: &str| Refusal::Unavailable(format!("{url}: {why}"));
        loop {
            let Some(line) = self
                .lines
                .next()
                .map_err(|_| over("a line of the watch does not end"))?
            else {
                return Ok(());
            };
            if line.is_empty() {
                continue;
            }
            let nonsense = |error| over(&format!("a line of the watch makes no sense: {error}"));
            let line: StreamAnswer<'_> = serde_json::from_slice(line).map_err(nonsense)?;
            if let Some(word) = line.error {
                return Err(word.refusal(url));
            }
            let Some(result) = line.result else { continue };
            if result.canceled {
                if result.compact_revision > 0 {
                    return Err(over("messages were compacted away before they were received"));
                }
                let why = format!("{url}: the watch was refused: {}", result.cancel_reason);
                let denied = result.cancel_reason.contains("permission denied");
                return Err(if denied {
                    Refusal::Denied(why)
                } else {
                    Refusal::Unavailable(why)
                });
            }
            self.begun += usize::from(result.created);
            for event in &result.events {
                let stored = event.kv.key().unwrap_or_default();
                let Some(topic) = self.keys.topic_of(&stored) else {
                    return Err(over("the history has changed: the data was removed or restored"));
                };
                let wanted = self.topics.is_empty() || self.topics.iter().any(|wanted| wanted == topic);
                if event.kind == "DELETE" || !wanted {
                    continue;
                }
                self.waiting.push_back(match codec::message(event.kv.text()) {
                    Some(payload) => Delivery::Message(Message {
                        topic: topic.to_owned(),
                        payload,
                    }),
                    // Another program wrote it, or a newer release.
                    None => Delivery::Gap(1),
                });
            }
        }
    }
}

impl<W: HttpClient> Subscriber<W> {
    pub(crate) fn new(open: Open<W>) -> Self {
        let keys = open.lane.keys.clone();
        Self {
            lane: open.lane,
            stream: None,
            inbox: Inbox::new(keys, Vec::new()),
        }
    }

    /// Waits for bytes and takes what they bring; whether any came in time.
    fn hear(&mut self, until: Moment) -> Result<bool, Refusal> {
        let gateway = &self.lane.gateway;
        let Some(stream) = &mut self.stream else {
            return Err(Refusal::Unavailable(format!("{}: there is no watch", gateway.url())));
        };
        match stream.read(self.inbox.lines.buffer(), until) {
            Ok(0) => Err(gateway.broken(None)),
            Ok(_) => self.inbox.take(gateway.url()).map(|()| true),
            Err(Fault::TimedOut) => Ok(false),
            Err(fault) => Err(gateway.broken(Some(fault))),
        }
    }

    fn begin(&mut self, topics: Vec<String>) -> Result<(), Refusal> {
        let until = self.lane.until();
        self.inbox = Inbox::new(self.lane.keys.clone(), topics);
        let watches = self.inbox.watches();
        let ranges: Vec<_> = watches.iter().map(|(key, to)| (&**key, to.as_deref())).collect();
        self.stream = Some(self.lane.gateway.watch(&watch(&ranges), until)?);
        while self.inbox.begun < watches.len() {
            if !self.hear(until)? {
                return Err(Refusal::Unavailable(format!(
                    "{}: the watch did not begin in time",
                    self.lane.gateway.url()
                )));
            }
        }
        // Were it another history by now, the watch would be of the wrong one.
        self.lane.verify(until)
    }

    fn wait(&mut self, max: usize, until: Moment) -> Result<Vec<Delivery>, Refusal> {
        while self.inbox.waiting.is_empty() {
            if !self.hear(until)? {
                break;
            }
        }
        let count = self.inbox.waiting.len().min(max);
        Ok(self.inbox.waiting.drain(..count).collect())
    }
}

impl<W: HttpClient> adapter::Subscriber for Subscriber<W> {
    fn subscribe(&mut self, topics: Vec<String>) -> Result<(), BusError> {
        self.begin(topics).map_err(Refusal::heard)
    }

    fn next(&mut self, max: usize, timeout: Duration) -> Result<Vec<Delivery>, BusError> {
        let until = self.lane.gateway.after(timeout);
        self.wait(max, until).map_err(Refusal::heard)
    }
}

#[cfg(test)]
mod test {
    use super::*;
    use crate::codec::{base64, frame_message};
    use proptest::prelude::*;

    fn event(key: &str, payload: &[u8]) -> String {
        let mut value = String::new();
        frame_message(payload, &mut value);
        format!(
            r#"{{"kv":{{"key":"{}","create_revision":"2","mod_revision":"2","version":"1","value":"{value}"}}}}"#,
            base64(key.as_bytes())
        )
    }

    fn line(events: &[String]) -> String {
        format!(
            concat!(
                r#"{{"result":{{"header":{{"cluster_id":"1","member_id":"2","revision":"2","raft_term":"2"}},"#,
                r#""watch_id":"1","events":[{}]}}}}"#,
            ),
            events.join(",")
        ) + "\n"
    }

    fn inbox(topics: &[&str]) -> Inbox {
        Inbox::new(
            Keys::of("p", "ns"),
            topics.iter().map(|topic| (*topic).to_owned()).collect(),
        )
    }

    fn message(topic: &str, payload: &[u8]) -> Delivery {
        Delivery::Message(Message {
            topic: topic.into(),
            payload: payload.into(),
        })
    }

    /// What comes of `text`, given in pieces.
    fn feed(inbox: &mut Inbox, pieces: &[&[u8]]) -> Result<Vec<Delivery>, Refusal> {
        for piece in pieces {
            inbox.lines.buffer().extend_from_slice(piece);
            inbox.take("u")?;
        }
        Ok(inbox.waiting.drain(..).collect())
    }

    #[test]
    fn messages_are_the_same_wherever_the_stream_is_cut() {
        let created = r#"{"result":{"header":{"cluster_id":"1"},"watch_id":"1","created":true}}"#;
        let removed = r#"{"result":{"events":[{"type":"DELETE","kv":{"key":"cC9ucy9idXMvdA=="}}]}}"#;
        let text = format!(
            "{created}\n{}{removed}\n{}",
            line(&[event("p/ns/bus/t", b"one"), event("p/ns/bus/u/v", b"")]),
            line(&[event("p/ns/bus/t", &[0xff; 100])])
        );
        for cut in 0..=text.len() {
            let mut inbox = inbox(&[]);
            let (left, right) = text.as_bytes().split_at(cut);
            let got = feed(&mut inbox, &[left, right]).unwrap();
            assert_eq!(
                got,
                [message("t", b"one"), message("u/v", b""), message("t", &[0xff; 100])],
                "cut at {cut}"
            );
            assert_eq!(inbox.begun, 1);
        }
    }

    #[test]
    fn few_topics_are_watched_one_by_one_and_many_together() {
        assert_eq!(inbox(&[]).watches().len(), 2);
        assert_eq!(inbox(&["a", "b"]).watches().len(), 3);
        let many = inbox(&["t"; WATCHES + 1]);
        assert!(many.watches().len() == 2 && many.watches()[0].1.is_some());
        let mut some = inbox(&["a"]);
        let text = line(&[event("p/ns/bus/b", b"x"), event("p/ns/bus/a", b"y")]);
        assert_eq!(feed(&mut some, &[text.as_bytes()]), Ok(vec![message("a", b"y")]));
    }

    #[test]
    fn what_ends_a_watch_says_so() {
        let fed = |text: &str| feed(&mut inbox(&[]), &[text.as_bytes(), b"\n"]);
        let compacted = fed(r#"{"result":{"canceled":true,"compact_revision":"2"}}"#);
        assert!(matches!(compacted, Err(Refusal::Unavailable(why)) if why.contains("compacted")));
        let denied = concat!(
            r#"{"result":{"created":true,"canceled":true,"watch_id":"-1","#,
            r#""cancel_reason":"etcdserver: permission denied"}}"#,
        );
        assert!(matches!(fed(denied), Err(Refusal::Denied(_))));
        let leader = fed(r#"{"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader"}}"#);
        assert!(matches!(leader, Err(Refusal::Unavailable(why)) if why.contains("no leader")));
        assert!(matches!(
            fed(line(&[event("p/ns/history", b"x")]).trim()),
            Err(Refusal::Unavailable(_))
        ));
        assert!(fed("nonsense").is_err());
        assert_eq!(fed("{}"), Ok(Vec::new()));
        let foreign = line(&[event("p/ns/bus/t", b"x")]).replace("AQAAe", "AgAAe");
        assert_eq!(feed(&mut inbox(&[]), &[foreign.as_bytes()]), Ok(vec![Delivery::Gap(1)]));
    }

    proptest! {
        #[test]
        fn no_stream_harms(bytes: Vec<u8>, at: usize, byte: u8) {
            let _ = feed(&mut inbox(&[]), &[&bytes, b"\n"]);
            let mut text = line(&[event("p/ns/bus/t", b"payload")]).into_bytes();
            let at = at % text.len();
            text[at] = byte;
            let _ = feed(&mut inbox(&["t"]), &[&text]);
        }
    }
}
