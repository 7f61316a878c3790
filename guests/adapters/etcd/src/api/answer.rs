//! Answers. Numbers of 64 bits are texts in them, and what is zero, false or empty is left out.

use crate::codec::{entry, unbase64};
use crate::codes::ErrorBody;
use serde::{Deserialize, Deserializer, de};
use shardwright_guest::adapter::Entry;
use std::borrow::Cow;
use std::fmt;

/// Who answers, and as of which revision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Header {
    #[serde(deserialize_with = "number")]
    pub(crate) cluster_id: u64,
    #[serde(deserialize_with = "number")]
    pub(crate) member_id: u64,
    #[serde(deserialize_with = "number")]
    pub(crate) revision: u64,
    #[serde(deserialize_with = "number")]
    pub(crate) raft_term: u64,
}

/// A key with its value, both in base64.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Pair<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow)]
    value: Cow<'a, str>,
    #[serde(deserialize_with = "number")]
    pub(crate) mod_revision: u64,
}

impl Pair<'_> {
    /// Its key.
    pub(crate) fn key(&self) -> Option<Vec<u8>> {
        unbase64(&self.key)
    }

    /// Its value as it is.
    pub(crate) fn value(&self) -> Option<Vec<u8>> {
        unbase64(&self.value)
    }

    /// Its value in base64.
    pub(crate) fn text(&self) -> &str {
        &self.value
    }

    /// Its value as an entry.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn entry(&self) -> Result<Entry, String> {
        entry(&self.value, self.mod_revision)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RangeAnswer<'a> {
    pub(crate) header: Header,
    #[serde(borrow)]
    pub(crate) kvs: Vec<Pair<'a>>,
    pub(crate) more: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct OpAnswer<'a> {
    #[serde(borrow)]
    response_range: Option<RangeAnswer<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct TxnAnswer<'a> {
    pub(crate) header: Header,
    /// Whether the comparisons held.
    pub(crate) succeeded: bool,
    #[serde(borrow)]
    responses: Vec<OpAnswer<'a>>,
}

impl<'a> TxnAnswer<'a> {
    /// What the operation at this place found; nothing if it was none that reads.
    pub(crate) fn range(&self, at: usize) -> Option<&RangeAnswer<'a>> {
        self.responses.get(at)?.response_range.as_ref()
    }

    /// The only key that the operation at this place can have found.
    pub(crate) fn pair(&self, at: usize) -> Option<&Pair<'a>> {
        self.range(at)?.kvs.first()
    }
}

/// One line of a stream.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct StreamAnswer<'a> {
    #[serde(borrow)]
    pub(crate) result: Option<WatchAnswer<'a>>,
    pub(crate) error: Option<ErrorBody>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct WatchAnswer<'a> {
    pub(crate) created: bool,
    pub(crate) canceled: bool,
    pub(crate) cancel_reason: String,
    #[serde(deserialize_with = "number")]
    pub(crate) compact_revision: u64,
    #[serde(borrow)]
    pub(crate) events: Vec<Event<'a>>,
}

/// Something that happened to a key.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Event<'a> {
    /// Nothing for a put, and `DELETE`.
    #[serde(rename = "type", borrow)]
    pub(crate) kind: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) kv: Pair<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Token {
    pub(crate) token: String,
}

/// What `/version` answers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Release {
    pub(crate) etcdserver: String,
}

/// What a member says of itself.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Status {
    pub(crate) header: Header,
    #[serde(deserialize_with = "number")]
    pub(crate) leader: u64,
    #[serde(rename = "dbSize", deserialize_with = "number")]
    pub(crate) size: u64,
    #[serde(rename = "dbSizeInUse", deserialize_with = "number")]
    pub(crate) used: u64,
    /// Since 3.6.
    #[serde(rename = "dbSizeQuota", deserialize_with = "number")]
    pub(crate) quota: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Members {
    pub(crate) members: Vec<Member>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Member {
    pub(crate) is_learner: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Alarm {
    pub(crate) alarms: Vec<AlarmOf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct AlarmOf {
    pub(crate) alarm: String,
}

/// A number, or a text of one.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    struct Number;
    impl de::Visitor<'_> for Number {
        type Value = u64;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number that is not negative, or a text of one")
        }
        fn visit_u64<E: de::Error>(self, number: u64) -> Result<u64, E> {
            Ok(number)
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
            text.parse()
                .map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
        }
    }
    from.deserialize_any(Number)
}

#[cfg(test)]
mod test {
    use super::*;
    use proptest::prelude::*;

    /// As 3.4.23 answers; 3.6.16 does the same.
    const TXN: &str = concat!(
        r#"{"header":{"cluster_id":"10144879847569953045","member_id":"12428976124636271536","revision":"2","#,
        r#""raft_term":"2"},"responses":[{"response_range":{"header":{"revision":"2"},"kvs":[{"key":"YQ==","#,
        r#""create_revision":"2","mod_revision":"2","version":"1","value":"AQAAAAAAAAAHYg=="}],"count":"1"}},"#,
        r#"{"response_put":{"header":{"revision":"2"}}},{"response_range":{"header":{"revision":"2"}}}]}"#,
    );
    const WATCH: [&str; 4] = [
        concat!(
            r#"{"result":{"header":{"cluster_id":"1","member_id":"2","revision":"2","raft_term":"2"},"#,
            r#""watch_id":"1","created":true}}"#,
        ),
        concat!(
            r#"{"result":{"header":{"cluster_id":"1","member_id":"2","revision":"3","raft_term":"2"},"events":["#,
            r#"{"kv":{"key":"YQ==","create_revision":"2","mod_revision":"2","version":"1","value":"Yg=="}},"#,
            r#"{"type":"DELETE","kv":{"key":"YQ==","mod_revision":"3"}}]}}"#,
        ),
        concat!(
            r#"{"result":{"header":{"cluster_id":"1","member_id":"2","raft_term":"2"},"canceled":true,"#,
            r#""compact_revision":"2"}}"#,
        ),
        concat!(
            r#"{"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader","#,
            r#""http_status":"Service Unavailable"}}"#,
        ),
    ];

    #[test]
    fn a_transaction_is_read() {
        let answer: TxnAnswer<'_> = serde_json::from_str(TXN).unwrap();
        assert_eq!(
            (answer.header.cluster_id, answer.header.revision),
            (10_144_879_847_569_953_045, 2)
        );
        assert!(
            !answer.succeeded && answer.range(1).is_none() && answer.pair(2).is_none() && answer.range(3).is_none()
        );
        let pair = answer.pair(0).unwrap();
        assert!(matches!(pair.key, Cow::Borrowed(_)), "nothing is copied");
        let entry = pair.entry().unwrap();
        assert_eq!(
            (pair.key().unwrap(), entry.revision, entry.written, &*entry.value),
            (b"a".to_vec(), 2, 7, &b"b"[..])
        );
    }

    #[test]
    fn lines_of_a_watch_are_read() {
        let lines: Vec<StreamAnswer<'_>> = WATCH.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(lines[0].result.as_ref().is_some_and(|line| line.created));
        let events = &lines[1].result.as_ref().unwrap().events;
        assert_eq!(
            (&*events[0].kind, &*events[1].kind, events[1].kv.mod_revision),
            ("", "DELETE", 3)
        );
        assert!(
            lines[2]
                .result
                .as_ref()
                .is_some_and(|line| line.canceled && line.compact_revision == 2)
        );
        assert!(lines[3].error.is_some());
    }

    #[test]
    fn a_member_is_read() {
        let status: Status = serde_json::from_str(
            r#"{"header":{"member_id":"7"},"version":"3.6.16","dbSize":"20480","leader":"7","dbSizeInUse":"16384",
                "dbSizeQuota":"2147483648","downgradeInfo":{}}"#,
        )
        .unwrap();
        assert_eq!(
            (status.leader, status.size, status.used, status.quota),
            (7, 20_480, 16_384, 2_147_483_648)
        );
        let members: Members =
            serde_json::from_str(r#"{"members":[{"ID":"7","name":"n","peerURLs":["x"]},{"ID":"8","isLearner":true}]}"#)
                .unwrap();
        assert_eq!(
            members
                .members
                .iter()
                .map(|member| member.is_learner)
                .collect::<Vec<_>>(),
            [false, true]
        );
    }

    proptest! {
        #[test]
        fn no_text_harms(at in 0..TXN.len(), byte: u8, text in ".*") {
            let mut broken = TXN.as_bytes().to_vec();
            broken[at] = byte;
            let _ = serde_json::from_slice::<TxnAnswer<'_>>(&broken);
            let _ = serde_json::from_str::<TxnAnswer<'_>>(&TXN[..at]);
            let _ = serde_json::from_str::<StreamAnswer<'_>>(&text);
        }
    }
}
