//! What etcd's refusals mean: what was certainly not done, and what may have been.

use crate::wire::{Answer, Fault};
use serde::Deserialize;
use shardwright_guest::adapter::{BusError, OpenError, StoreError, TooLarge};

/// Why something was not done, or not certainly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Nothing was done, and nothing will be. It may be tried again.
    Unavailable(String),
    /// It may have been done, or may still be.
    Indeterminate(String),
    /// Who we are is not known, or no longer. Nothing was done.
    Unauthenticated(String),
    /// etcd has no users, so nobody can log in. Nothing was done.
    NoUsers(String),
    /// We may not. Nothing was done.
    Denied(String),
    /// No secure connection.
    Tls(String),
    /// The request is larger than the server takes. Nothing was done.
    TooLarge(String),
    /// The answer is longer than what was asked for.
    TooLong,
    /// The revision that was asked for is no longer kept.
    Compacted(String),
    /// The store is not the one it was.
    Lost(String),
    /// The clock of the member may not be used. Nothing was done.
    Untimely(String),
    /// Anything else that was refused before anything was done.
    Other(String),
    /// We may not, says somebody who may know of it too late.
    Barred(String),
    /// Anything else, as to which nobody knows.
    Strange(String),
}

/// The gateway's word for a refusal: flat in an answer, and in a stream within `error`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ErrorBody {
    code: i64,
    grpc_code: i64,
    message: String,
}

impl ErrorBody {
    /// What it means, from the server at `url`.
    pub(crate) fn refusal(&self, url: &str) -> Refusal {
        meaning(self.code.max(self.grpc_code), &self.message, url)
    }
}

/// What is to be said about a refusal by the server at `url`.
///
/// That nothing was done is believed of those refusals alone that etcd (3.4 to 3.6) raises before it proposes a request
/// to its members, or by which they all refuse it before its first step:
///
/// | refusal | raised |
/// |---|---|
/// | no leader, learner, not capable | by the interceptor, before the request is looked at |
/// | invalid auth token, invalid user ID or password | when the user is looked up, before proposing |
/// | too many requests, request is too large | when it is about to be proposed |
/// | other invalid arguments, unimplemented | when the request is checked, before proposing |
/// | permission denied, user name is empty, auth store is old | by every member alike, before its first step |
///
/// `database space exceeded` is raised before proposing, by members that refuse to apply it, and *after it was
/// applied*: one cannot tell. Neither can one of anything else, so it is doubtful.
fn meaning(code: i64, message: &str, url: &str) -> Refusal {
    let message: String = message.chars().take(300).collect();
    let has = |part: &str| message.contains(part);
    let text = format!("{url}: {message}");
    match code {
        3 if has("auth store is old") || has("user name is empty") => Refusal::Unauthenticated(text),
        3 if has("request is too large") => Refusal::TooLarge(text),
        3 if has("invalid user ID or password") => Refusal::Denied(format!("{text}: check `user` and `password`")),
        3 | 12 => Refusal::Other(text),
        7 if has("permission denied") => Refusal::Denied(text),
        8 if has("space exceeded") => Refusal::Indeterminate(format!(
            "{text}; compact and defragment etcd, then disarm the alarm (etcdctl compact, defrag, alarm disarm), and \
             set --auto-compaction-retention"
        )),
        8 if has("too many requests") => Refusal::Unavailable(text),
        9 if has("authentication is not enabled") => Refusal::NoUsers(text),
        11 if has("compacted") => Refusal::Compacted(text),
        14 if has("etcdserver: no leader") || has("learner") || has("not capable") => Refusal::Unavailable(text),
        15 => Refusal::Strange(format!(
            "{text}: its data is damaged; see the alarms (etcdctl alarm list)"
        )),
        16 if has("invalid auth token") => Refusal::Unauthenticated(text),
        7 | 16 => Refusal::Barred(text),
        5 | 6 | 9 | 11 => Refusal::Strange(text),
        _ => Refusal::Indeterminate(text),
    }
}

/// What an answer other than 200 means.
pub(crate) fn refusal(url: &str, answer: &Answer) -> Refusal {
    if let Ok(word) = serde_json::from_slice::<ErrorBody>(&answer.body)
        && !word.message.is_empty()
    {
        return word.refusal(url);
    }
    let mut text = format!("{url} answers with HTTP status {}", answer.status);
    let said = String::from_utf8_lossy(&answer.body);
    if let Some(line) = said
        .lines()
        .next()
        .filter(|line| !line.is_empty() && !line.starts_with('<'))
    {
        text = format!("{text}: {}", line.chars().take(200).collect::<String>());
    }
    match answer.status {
        // etcd looks at nothing else before it says this.
        400 if said.contains("CommonName") => Refusal::Denied(format!(
            "{text}: where etcd has users and asks for client certificates, ours must have no common name (CN)"
        )),
        // Something between may have said so, and to whom?
        401 | 403 => Refusal::Barred(text),
        404 => Refusal::Strange(format!("{text}: it does not speak the JSON API of etcd 3.4 or newer")),
        _ => Refusal::Indeterminate(text),
    }
}

/// What it means that there is no answer.
pub(crate) fn silence(url: &str, fault: Fault) -> Refusal {
    match fault {
        Fault::Unreachable(why) => Refusal::Unavailable(why),
        Fault::Tls(why) => Refusal::Tls(why),
        Fault::Lost(why) => Refusal::Indeterminate(why),
        Fault::TimedOut => Refusal::Indeterminate(format!("{url}: no answer in time")),
        Fault::TooLong => Refusal::TooLong,
    }
}

impl Refusal {
    /// The text for an operator.
    pub(crate) fn why(self) -> String {
        match self {
            Self::Unavailable(why)
            | Self::Indeterminate(why)
            | Self::Unauthenticated(why)
            | Self::NoUsers(why)
            | Self::Denied(why)
            | Self::Tls(why)
            | Self::TooLarge(why)
            | Self::Compacted(why)
            | Self::Lost(why)
            | Self::Untimely(why)
            | Self::Other(why)
            | Self::Barred(why)
            | Self::Strange(why) => why,
            Self::TooLong => "the answer is longer than anything that was asked for".into(),
        }
    }

    /// As the answer to a read.
    pub(crate) fn read(self) -> StoreError {
        match self {
            Self::Denied(why) | Self::Unauthenticated(why) | Self::Barred(why) => StoreError::Denied(why),
            Self::Lost(why) => StoreError::HistoryLost(why),
            Self::Other(why) | Self::TooLarge(why) | Self::Strange(why) => StoreError::Other(why),
            refusal => StoreError::Unavailable(refusal.why()),
        }
    }

    /// As the answer to a write of `size` bytes.
    pub(crate) fn written(self, size: usize) -> StoreError {
        match self {
            // Whatever the length of the answer to a write is: it was answered, so it may have been done.
            Self::Indeterminate(_)
            | Self::Barred(_)
            | Self::Strange(_)
            | Self::Compacted(_)
            | Self::NoUsers(_)
            | Self::TooLong => StoreError::Indeterminate(self.why()),
            Self::TooLarge(_) => StoreError::TooLarge(too_large(size)),
            refusal => refusal.read(),
        }
    }

    /// As the answer to a publication of `size` bytes.
    pub(crate) fn published(self, size: usize) -> BusError {
        match self {
            Self::TooLarge(_) => BusError::TooLarge(too_large(size)),
            refusal => refusal.heard(),
        }
    }

    /// As the answer to a subscriber.
    pub(crate) fn heard(self) -> BusError {
        match self {
            Self::Denied(why) | Self::Unauthenticated(why) | Self::Barred(why) => BusError::Denied(why),
            Self::Other(why) | Self::Strange(why) => BusError::Other(why),
            // The host opens another lane, which then says if the history is lost.
            refusal => BusError::Unavailable(refusal.why()),
        }
    }

    /// As the answer to the opening of a lane.
    pub(crate) fn opened(self) -> OpenError {
        match self {
            Self::Denied(why) | Self::Unauthenticated(why) | Self::Barred(why) => OpenError::Denied(why),
            Self::Tls(why) => OpenError::Tls(why),
            Self::Lost(why) => OpenError::HistoryLost(why),
            Self::Untimely(why) => OpenError::UnsafeBackend(why),
            Self::Other(why) | Self::TooLarge(why) | Self::Strange(why) => OpenError::Other(why),
            refusal => OpenError::Unreachable(refusal.why()),
        }
    }
}

/// `--max-request-bytes` was lowered, to what is not told.
fn too_large(size: usize) -> TooLarge {
    let size = size as u64;
    TooLarge {
        size,
        limit: size.saturating_sub(1),
    }
}

#[cfg(test)]
mod test {
    use super::*;
    use crate::wire::Moment;
    use proptest::prelude::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status,
            date: None,
            body: body.into(),
            sent: Moment(0),
            received: Moment(0),
        }
    }

    fn meaning(status: u16, body: &str) -> Refusal {
        refusal("http://h:1", &answer(status, body))
    }

    /// As 3.4.23 and 3.6.16 answer.
    #[test]
    fn refusals_of_both_gateways_are_understood() {
        let old = r#"{"error":"etcdserver: mvcc: required revision has been compacted",
            "message":"etcdserver: mvcc: required revision has been compacted","code":11}"#;
        let new = r#"{"code":11,"message":"etcdserver: mvcc: required revision has been compacted"}"#;
        for body in [old, new] {
            assert!(matches!(meaning(400, body), Refusal::Compacted(_)), "{body}");
        }
        let streamed: ErrorBody = serde_json::from_str(
            r#"{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader","http_status":"Service Unavailable"}"#,
        )
        .unwrap();
        assert_eq!(
            streamed.refusal("u"),
            Refusal::Unavailable("u: etcdserver: no leader".into())
        );
    }

    #[test]
    fn what_may_have_been_done_is_doubtful_and_nothing_else() {
        let say = |code: i64, message: &str| meaning(503, &format!(r#"{{"code":{code},"message":"{message}"}}"#));
        for message in [
            "etcdserver: request timed out",
            "etcdserver: request timed out, possibly due to previous leader failure",
            "etcdserver: request timed out, possibly due to connection lost",
            "etcdserver: leader changed",
            "etcdserver: server stopped",
            "transport is closing",
        ] {
            assert!(
                matches!(say(14, message).written(1), StoreError::Indeterminate(_)),
                "{message}"
            );
            assert!(
                matches!(say(14, message).read(), StoreError::Unavailable(_)),
                "{message}"
            );
        }
        for code in [1, 2, 4, 10, 13] {
            assert!(
                matches!(say(code, "x").written(1), StoreError::Indeterminate(_)),
                "{code}"
            );
        }
        assert!(matches!(
            meaning(502, "<html>").written(1),
            StoreError::Indeterminate(_)
        ));
        assert!(matches!(
            silence("u", Fault::TimedOut).written(1),
            StoreError::Indeterminate(_)
        ));
        assert!(matches!(
            silence("u", Fault::Lost("x".into())).written(1),
            StoreError::Indeterminate(_)
        ));
        assert!(matches!(
            say(14, "etcdserver: no leader").written(1),
            StoreError::Unavailable(_)
        ));
        assert!(matches!(
            silence("u", Fault::Unreachable("x".into())).written(1),
            StoreError::Unavailable(_)
        ));
    }

    /// Every refusal by which a write is said not to have been done, and nothing else; see the table at `meaning`.
    #[test]
    fn certainly_not_is_said_of_what_was_refused_before_it_was_done() {
        let certain = [
            (14, "etcdserver: no leader"),
            (14, "etcdserver: rpc not supported for learner"),
            (14, "etcdserver: not capable"),
            (16, "etcdserver: invalid auth token"),
            (3, "etcdserver: authentication failed, invalid user ID or password"),
            (3, "etcdserver: user name is empty"),
            (3, "etcdserver: revision of auth store is old"),
            (3, "etcdserver: request is too large"),
            (3, "etcdserver: duplicate key given in txn request"),
            (7, "etcdserver: permission denied"),
            (8, "etcdserver: too many requests"),
            (12, "unknown method Txn"),
        ];
        for code in 1..=16 {
            let messages = certain
                .iter()
                .filter(|(of, _)| *of == code)
                .map(|(_, message)| (*message, true));
            for (message, sure) in messages.chain([("etcdserver: anything else", matches!(code, 3 | 12))]) {
                let told = meaning(503, &format!(r#"{{"code":{code},"message":"{message}"}}"#)).written(1);
                let doubtful = matches!(told, StoreError::Indeterminate(_));
                assert_eq!(!doubtful, sure, "{code} {message}: {told:?}");
            }
        }
        let full = "etcdserver: mvcc: database space exceeded";
        assert!(matches!(
            meaning(429, &format!(r#"{{"code":8,"message":"{full}"}}"#)).written(1),
            StoreError::Indeterminate(_)
        ));
        for status in [401, 403, 404, 408, 413, 429, 500, 502, 503, 504] {
            assert!(
                matches!(meaning(status, "<html>").written(1), StoreError::Indeterminate(_)),
                "{status}"
            );
        }
    }

    #[test]
    fn every_other_refusal_has_its_kind() {
        let say =
            |code: i64, message: &str| meaning(400, &format!(r#"{{"code":{code},"message":"etcdserver: {message}"}}"#));
        let space = say(8, "mvcc: database space exceeded").why();
        assert!(space.contains("defrag"), "{space:?}");
        assert!(matches!(
            say(8, "too many requests").written(1),
            StoreError::Unavailable(_)
        ));
        assert!(matches!(say(7, "permission denied").written(1), StoreError::Denied(_)));
        assert!(matches!(say(16, "invalid auth token"), Refusal::Unauthenticated(_)));
        assert!(matches!(say(3, "user name is empty"), Refusal::Unauthenticated(_)));
        assert!(matches!(
            say(3, "revision of auth store is old"),
            Refusal::Unauthenticated(_)
        ));
        assert!(matches!(say(9, "authentication is not enabled"), Refusal::NoUsers(_)));
        let wrong = say(3, "authentication failed, invalid user ID or password").opened();
        assert!(
            matches!(&wrong, OpenError::Denied(why) if why.contains("`password`")),
            "{wrong:?}"
        );
        assert!(matches!(
            say(3, "request is too large").written(9),
            StoreError::TooLarge(TooLarge { size: 9, .. })
        ));
        assert!(matches!(say(15, "corrupt cluster").read(), StoreError::Other(_)));
        let old = meaning(404, "Not Found\n").opened();
        assert!(matches!(&old, OpenError::Other(why) if why.contains("3.4")), "{old:?}");
        assert!(matches!(meaning(403, "").opened(), OpenError::Denied(_)));
        let named = meaning(
            400,
            "CommonName of client sending a request against gateway will be ignored and not used as expected\n",
        );
        assert!(matches!(&named.opened(), OpenError::Denied(why) if why.contains("must have no common name")));
        let other = meaning(502, "bad gateway\nmore").why();
        assert_eq!(other, "http://h:1 answers with HTTP status 502: bad gateway");
    }

    proptest! {
        #[test]
        fn no_answer_harms(status: u16, body: Vec<u8>, text in ".*") {
            let _ = refusal("u", &Answer { body, ..answer(status, "") });
            let _ = meaning(status, &text);
        }
    }
}
