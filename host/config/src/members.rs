//! The members of a shard, as in `"1,4"`, `"1-4,7"` or `"zone=eu"`.

use crate::cluster::COUNTS_FROM_0;
use crate::problem::{Code, Span};
use crate::reader::{Item, Reader};
use shardwright_core::role::Member;
use std::cell::Cell;
use std::collections::HashSet;
use toml::de::DeValue;

/// The most members that all roles of a file may name, ranges expanded.
const MAX_MEMBERS: usize = 1 << 18;

/// Reads members, within the limits of one file.
pub(crate) struct MemberReader<'r, 's> {
    reader: &'r Reader<'s>,
    max_node_id: u32,
    left: Cell<usize>,
}

impl<'r, 's> MemberReader<'r, 's> {
    pub(crate) fn new(reader: &'r Reader<'s>, max_node_id: u32) -> Self {
        Self {
            reader,
            max_node_id,
            left: Cell::new(MAX_MEMBERS),
        }
    }

    /// The members that the text `item` names, in its order. `None` after any problem.
    pub(crate) fn text(&self, item: &Item<'_>) -> Option<Vec<Member>> {
        let text = self.reader.text(item)?;
        let places = Places::new(self.reader, item, &text);
        if text.trim().is_empty() {
            self.reader.error(
                Code::EmptyShard,
                item.span,
                format!("a shard of `{}` has no member", item.path),
                "name its nodes, as in \"1,4\", or remove the entry",
            );
            return None;
        }
        let mut seen = HashSet::new();
        let mut members = Vec::new();
        let mut good = true;
        let mut offset = 0;
        for part in text.split(',') {
            let span = places.part(offset, part);
            offset += part.len() + 1;
            let Some(found) = self.part(part.trim(), span, &item.path) else {
                good = false;
                continue;
            };
            for member in found {
                if !self.unique(&mut seen, &member, span, &item.path) {
                    good = false;
                    break;
                }
                members.push(member);
            }
        }
        good.then_some(members)
    }

    /// The node that the integer `item` names.
    pub(crate) fn integer(&self, item: &Item<'_>) -> Option<Member> {
        self.take(1, item.span)?;
        self.reader.integer32(item, 1..=self.max_node_id).map(Member::Node)
    }

    /// Whether `member` is new in its shard; reported if not.
    pub(crate) fn unique(&self, seen: &mut HashSet<Member>, member: &Member, span: Span, path: &str) -> bool {
        let new = seen.insert(member.clone());
        if !new {
            let message = format!("{} is named twice in one shard of `{path}`", show(member));
            self.reader
                .error(Code::DuplicateMember, span, message, "name each member once");
        }
        new
    }

    fn part(&self, part: &str, span: Span, path: &str) -> Option<Vec<Member>> {
        if let Some((key, value)) = part.split_once('=') {
            return self.label(key.trim(), value.trim(), span, path);
        }
        let (low, high) = match part.split_once('-') {
            Some((low, high)) => (
                self.id(low.trim(), part, span, path)?,
                self.id(high.trim(), part, span, path)?,
            ),
            None => {
                let id = self.id(part, part, span, path)?;
                (id, id)
            }
        };
        if low > high {
            let message = format!("the range `{low}-{high}` in `{path}` runs backwards");
            self.reader
                .error(Code::InvalidMember, span, message, format!("write `{high}-{low}`"));
            return None;
        }
        self.take((high - low) as usize + 1, span)?;
        Some((low..=high).map(Member::Node).collect())
    }

    fn id(&self, id: &str, part: &str, span: Span, path: &str) -> Option<u32> {
        if id.is_empty() || !id.bytes().all(|b| b.is_ascii_digit()) {
            let message = match part {
                "" => format!("there is an empty member in a shard of `{path}`"),
                _ => format!("`{}` in `{path}` is no node id, range or label", part.escape_debug()),
            };
            let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
            let help = match (part, digits.as_str()) {
                ("", _) => "remove the extra comma".to_owned(),
                (_, "") => "write an id (`4`), a range (`1-4`) or a label (`zone=eu`)".to_owned(),
                (_, digits) => {
                    format!("did you mean `{digits}`? Write an id (`4`), a range (`1-4`) or a label (`zone=eu`)")
                }
            };
            self.reader.error(Code::InvalidMember, span, message, help);
            return None;
        }
        let number = id.parse().ok().filter(|n| (1..=self.max_node_id).contains(n));
        if number.is_none() {
            let max = self.max_node_id;
            let message = format!("the node id {id} in `{path}` is not from 1 to {max}");
            self.reader.error(
                Code::OutOfRange,
                span,
                message,
                if id.bytes().all(|b| b == b'0') {
                    COUNTS_FROM_0
                } else {
                    "`cluster.max-node-id` sets the upper limit"
                },
            );
        }
        number
    }

    fn label(&self, key: &str, value: &str, span: Span, path: &str) -> Option<Vec<Member>> {
        if !is_label_key(key) || !is_label_value(value) {
            let message = format!("a label selector in `{path}` has no proper key or value");
            self.reader.error(
                Code::InvalidMember,
                span,
                message,
                "write `key=value`, as in \"zone=eu\"",
            );
            return None;
        }
        self.take(1, span)?;
        Some(vec![Member::Label {
            key: key.to_owned(),
            value: value.to_owned(),
        }])
    }

    fn take(&self, count: usize, span: Span) -> Option<()> {
        let left = self.left.get().checked_sub(count);
        self.left.set(left.unwrap_or(0));
        if left.is_none() {
            let message = format!("the roles of this file name more than {MAX_MEMBERS} members");
            self.reader.error(
                Code::TooManyMembers,
                span,
                message,
                "use label selectors, or the table form with `shards`",
            );
        }
        left.map(|_| ())
    }
}

/// How a member is written.
fn show(member: &Member) -> String {
    match member {
        Member::Node(id) => format!("node {id}"),
        Member::Label { key, value } => format!("`{key}={value}`"),
    }
}

/// Groups as the list form writes them.
pub(crate) fn show_groups(groups: &[Vec<Member>]) -> String {
    let shards: Vec<_> = groups
        .iter()
        .map(|g| format!("\"{}\"", g.iter().map(bare).collect::<Vec<_>>().join(",")))
        .collect();
    format!("[{}]", shards.join(", "))
}

/// A member as a list writes it.
pub(crate) fn bare(member: &Member) -> String {
    match member {
        Member::Node(id) => id.to_string(),
        Member::Label { key, value } => format!("{key}={value}"),
    }
}

/// Letters, digits, `.`, `_`, `-`, `/`; 1 to 64 of them.
pub(crate) fn is_label_key(key: &str) -> bool {
    (1..=64).contains(&key.len()) && key.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c))
}

/// 1 to 128 bytes without `,`, `=` or control characters, not padded with blanks.
pub(crate) fn is_label_value(value: &str) -> bool {
    (1..=128).contains(&value.len())
        && value.trim() == value
        && !value.chars().any(|c| c.is_control() || c == ',' || c == '=')
}

/// Where the parts of a text stand in the file.
struct Places {
    /// The byte of the file where the text begins, if it stands there as it is.
    start: Option<usize>,
    whole: Span,
}

impl Places {
    fn new(reader: &Reader<'_>, item: &Item<'_>, text: &str) -> Self {
        let raw = reader
            .source
            .text
            .get(item.span.start..item.span.end)
            .unwrap_or_default();
        let plain = matches!(item.value, DeValue::String(_))
            && raw.len() == text.len() + 2
            && raw.get(1..=text.len()) == Some(text);
        Self {
            start: plain.then_some(item.span.start + 1),
            whole: item.span,
        }
    }

    /// The place of `part`, which begins `offset` bytes into the text, without its blanks; an empty one takes in the
    /// comma beside it.
    fn part(&self, offset: usize, part: &str) -> Span {
        let Some(start) = self.start else { return self.whole };
        let start = start + offset;
        match part.trim() {
            "" => Span {
                start,
                end: (start + part.len() + 1).min(self.whole.end),
            },
            trimmed => {
                let lead = part.len() - part.trim_start().len();
                Span {
                    start: start + lead,
                    end: start + lead + trimmed.len(),
                }
            }
        }
    }
}
