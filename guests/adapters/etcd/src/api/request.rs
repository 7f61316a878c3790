//! Requests. All their texts are base64 or numbers, so they are written without an escape.

use crate::codec::{frame_entry, frame_message};
use std::fmt::Write;

/// What a transaction looks at. Keys and values are in base64.
#[derive(Clone, Copy)]
pub(crate) enum Compare<'a> {
    /// The value is this one.
    Is(&'a str, &'a str),
    /// The value is less than this one, by bytes.
    Less(&'a str, &'a str),
    /// The key was written last at this revision; 0 if it is absent.
    Written(&'a str, u64),
}

/// What a transaction does.
#[derive(Clone, Copy)]
pub(crate) enum Op<'a> {
    Range(RangeOp<'a>),
    /// Key and value in base64.
    Put(&'a str, &'a str),
    /// Key in base64, time and plain value of an entry.
    PutEntry(&'a str, u64, &'a [u8]),
    /// Key in base64 and plain payload of a message.
    PutMessage(&'a str, &'a [u8]),
    /// A key, or the keys from the first to before the second.
    Delete(&'a str, Option<&'a str>),
}

/// What is read.
#[derive(Clone, Copy, Default)]
pub(crate) struct RangeOp<'a> {
    pub(crate) key: &'a str,
    /// Up to before this key.
    pub(crate) to: Option<&'a str>,
    /// At most so many; 0 for all.
    pub(crate) limit: u64,
    /// As it was at this revision; 0 for now.
    pub(crate) revision: u64,
    /// Only what was written after this revision.
    pub(crate) since: u64,
    /// Without the values.
    pub(crate) keys_only: bool,
}

impl<'a> RangeOp<'a> {
    pub(crate) fn one(key: &'a str) -> Self {
        Self { key, ..Self::default() }
    }
}

/// A transaction: if all of `compares` hold, `success`, and otherwise `failure`.
pub(crate) fn txn(compares: &[Compare<'_>], success: &[Op<'_>], failure: &[Op<'_>]) -> String {
    let size = |op: &Op<'_>| match op {
        Op::PutEntry(_, _, value) | Op::PutMessage(_, value) => value.len() / 3 * 4 + 16,
        _ => 0,
    };
    let mut body = String::with_capacity(2048 + success.iter().map(size).sum::<usize>());
    body.push_str("{\"compare\":[");
    list(&mut body, compares, compare);
    body.push_str("],\"success\":[");
    list(&mut body, success, op);
    body.push_str("],\"failure\":[");
    list(&mut body, failure, op);
    body.push_str("]}");
    body
}

fn list<T>(body: &mut String, items: &[T], write: fn(&mut String, &T)) {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            body.push(',');
        }
        write(body, item);
    }
}

// Writing into a string cannot fail.
fn compare(body: &mut String, compare: &Compare<'_>) {
    let _ = match compare {
        Compare::Is(key, value) => {
            write!(
                body,
                r#"{{"target":"VALUE","key":"{key}","result":"EQUAL","value":"{value}"}}"#
            )
        }
        Compare::Less(key, value) => {
            write!(
                body,
                r#"{{"target":"VALUE","key":"{key}","result":"LESS","value":"{value}"}}"#
            )
        }
        Compare::Written(key, revision) => {
            write!(
                body,
                r#"{{"target":"MOD","key":"{key}","result":"EQUAL","mod_revision":"{revision}"}}"#
            )
        }
    };
}

fn op(body: &mut String, op: &Op<'_>) {
    let _ = match op {
        Op::Range(range) => {
            body.push_str("{\"request_range\":");
            range.write(body);
            body.push('}');
            return;
        }
        Op::Put(key, value) => write!(body, r#"{{"request_put":{{"key":"{key}","value":"{value}"}}}}"#),
        Op::PutEntry(key, written, value) => {
            let _ = write!(body, r#"{{"request_put":{{"key":"{key}","value":""#);
            frame_entry(*written, value, body);
            write!(body, r#""}}}}"#)
        }
        Op::PutMessage(key, payload) => {
            let _ = write!(body, r#"{{"request_put":{{"key":"{key}","value":""#);
            frame_message(payload, body);
            write!(body, r#""}}}}"#)
        }
        Op::Delete(key, None) => write!(body, r#"{{"request_delete_range":{{"key":"{key}"}}}}"#),
        Op::Delete(key, Some(to)) => write!(
            body,
            r#"{{"request_delete_range":{{"key":"{key}","range_end":"{to}"}}}}"#
        ),
    };
}

impl RangeOp<'_> {
    fn write(&self, body: &mut String) {
        let _ = write!(body, r#"{{"key":"{}""#, self.key);
        if let Some(to) = self.to {
            let _ = write!(body, r#","range_end":"{to}""#);
        }
        for (name, value) in [
            ("limit", self.limit),
            ("revision", self.revision),
            ("min_mod_revision", if self.since > 0 { self.since + 1 } else { 0 }),
        ] {
            if value > 0 {
                let _ = write!(body, r#","{name}":"{value}""#);
            }
        }
        if self.keys_only {
            body.push_str(",\"keys_only\":true");
        }
        body.push('}');
    }

    /// As a request of its own, which the member answers from what it has, without asking the others.
    pub(crate) fn alone(&self) -> String {
        let mut body = String::new();
        self.write(&mut body);
        body.truncate(body.len() - 1);
        body.push_str(",\"serializable\":true}");
        body
    }
}

/// Watches of single keys, or of ranges, one after the other.
pub(crate) fn watch(ranges: &[(&str, Option<&str>)]) -> String {
    let mut body = String::new();
    for (key, to) in ranges {
        let _ = write!(body, r#"{{"create_request":{{"key":"{key}""#);
        if let Some(to) = to {
            let _ = write!(body, r#","range_end":"{to}""#);
        }
        body.push_str(",\"fragment\":true}}\n");
    }
    body
}

/// A login. The only request with texts of the operator.
pub(crate) fn login(user: &str, password: &str) -> String {
    serde_json::json!({ "name": user, "password": password }).to_string()
}

#[cfg(test)]
mod test {
    use super::*;

    fn parsed(text: &str) -> serde_json::Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_transaction_is_json() {
        let range = RangeOp {
            key: "ZQ==",
            to: Some("Zg=="),
            limit: 8,
            revision: 5,
            since: 3,
            keys_only: true,
        };
        let text = txn(
            &[
                Compare::Is("YQ==", "Yg=="),
                Compare::Less("Yw==", "ZA=="),
                Compare::Written("ZQ==", 0),
            ],
            &[
                Op::PutEntry("ZQ==", 1, b"v"),
                Op::Put("Yw==", "ZA=="),
                Op::PutMessage("Zg==", b""),
                Op::Delete("Zw==", None),
                Op::Delete("Zw==", Some("aA==")),
            ],
            &[Op::Range(RangeOp::one("ZQ==")), Op::Range(range)],
        );
        let json = parsed(&text);
        assert_eq!(json["compare"][2]["mod_revision"], "0");
        assert_eq!(json["compare"][1]["result"], "LESS");
        assert_eq!(json["success"][0]["request_put"]["value"], "AQAAAAAAAAABdg==");
        assert_eq!(json["success"][2]["request_put"]["value"], "AQAA");
        assert_eq!(json["success"][4]["request_delete_range"]["range_end"], "aA==");
        assert_eq!(json["failure"][0]["request_range"], parsed(r#"{"key":"ZQ=="}"#));
        let range = &json["failure"][1]["request_range"];
        assert_eq!(
            (&range["min_mod_revision"], &range["limit"], &range["revision"]),
            (&"4".into(), &"8".into(), &"5".into())
        );
        assert_eq!(
            parsed(&RangeOp::one("ZQ==").alone()),
            parsed(r#"{"key":"ZQ==","serializable":true}"#)
        );
    }

    #[test]
    fn watches_are_a_line_each_and_logins_are_escaped() {
        let text = watch(&[("YQ==", None), ("Yg==", Some("Yw=="))]);
        let lines: Vec<_> = text.lines().map(parsed).collect();
        assert_eq!(lines[1]["create_request"]["range_end"], "Yw==");
        assert_eq!(parsed(&login("a\"b", "\\"))["name"], "a\"b");
    }
}
