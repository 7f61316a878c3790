//! What a lane tells the next one: which member it spoke to, and what it learnt of the members' clocks.

use crate::clock::Remembered;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Memo {
    pub(crate) endpoint: String,
    /// What is known of the members' clocks.
    pub(crate) clock: Vec<Remembered>,
    /// The stored time, and when it was seen.
    pub(crate) seen: Option<(u64, u64)>,
    /// Whether the cluster has one member.
    pub(crate) alone: Option<bool>,
}

impl Memo {
    /// What `text` says; nothing if it makes no sense.
    pub(crate) fn parse(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    pub(crate) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn a_memo_comes_back_and_fits() {
        let memo = Memo {
            endpoint: format!("https://{}:65535", "h".repeat(253)),
            clock: vec![(u64::MAX, i64::MIN, i64::MAX, u64::MAX, u64::MAX); 8],
            seen: Some((u64::MAX, u64::MAX)),
            alone: Some(false),
        };
        assert!(memo.text().len() <= 4096, "the contract's limit");
        assert_eq!(Memo::parse(&memo.text()), memo);
        for bad in ["", "{", "[]", r#"{"clock":[[1]]}"#, r#"{"clock":[[1,2,3,-4,5]]}"#] {
            assert_eq!(Memo::parse(bad), Memo::default());
        }
    }
}
