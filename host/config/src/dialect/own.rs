//! Which parts of a file are ours: only there does it matter what is wrong.

use super::cursor::{Cursor, Key};
use crate::keys;
use crate::secret::{self, Budget};
use toml::de::DeTable;

/// The sections that are ours as a whole.
pub(crate) const SECTIONS: &[&str] = &["cluster", "node", "policy"];

/// The sections of which we read a part.
const SHARED: &[&str] = &["store", "server"];

/// What is ours in one file.
#[derive(Default)]
pub(super) struct Own {
    /// The id of the store that is the coordinator.
    pub(super) coordinator: Option<String>,
}

impl Own {
    /// What is ours in the file that reads as `root`.
    pub(super) fn of(root: &DeTable<'_>) -> Self {
        let cluster = root.get("cluster").and_then(|value| value.get_ref().as_table());
        let named = cluster.and_then(|cluster| cluster.get("coordinator")?.get_ref().as_str());
        Self {
            coordinator: named.and_then(|named| secret::expand(named, &Budget::default()).ok()),
        }
    }

    /// Whether what stands at `path` is read.
    pub(super) fn has(&self, path: &[Key<'_>]) -> bool {
        let part = |i: usize| path.get(i).map(|key: &Key<'_>| key.get_ref().as_ref());
        match part(0) {
            None => true,
            Some("store") => part(1).is_none_or(|id| self.coordinator.as_deref() == Some(id)),
            Some("server") => part(1) == Some("hostname"),
            Some(name) => SECTIONS.contains(&name),
        }
    }

    /// Whether what stands at `path`, as far as it could be read, may be meant for us.
    pub(super) fn may_have(&self, path: &[Key<'_>]) -> bool {
        self.has(path) || path.first().is_some_and(|key| meant(key.get_ref()).is_some())
    }

    /// Whether `text` has a line, after its first, that looks as if it were ours.
    pub(super) fn in_lines(&self, text: &str) -> bool {
        lines(text).any(|path| !path.is_empty() && self.has(&path))
    }
}

/// Whether `text` has a line, after its first, that looks like a statement.
pub(super) fn statement_in_lines(text: &str) -> bool {
    lines(text).next().is_some()
}

/// The keys of the lines of `text`, after its first, that look like `[header]` or `key = value`.
fn lines(text: &str) -> impl Iterator<Item = Vec<Key<'_>>> {
    text.split('\n').skip(1).filter_map(|line| {
        let mut cursor = Cursor::new(line);
        let mut path = Vec::new();
        cursor.blanks();
        if cursor.eat(b'[') {
            cursor.eat(b'[');
            cursor.path(&mut path).ok()?;
            (cursor.eat(b']') && (cursor.eat(b']') || cursor.nothing_more().is_ok())).then_some(path)
        } else {
            cursor.path(&mut path).ok()?;
            // A line of base64 ends with `=`, or with two.
            let assigns = cursor.eat(b'=') && !cursor.rest().starts_with('=') && !cursor.rest().trim().is_empty();
            assigns.then_some(path)
        }
    })
}

/// The section of ours whose name `name` is in other letters, as in `[Cluster]`.
pub(super) fn in_other_case(name: &str) -> Option<&'static str> {
    let all = SECTIONS.iter().chain(SHARED).copied();
    all.into_iter()
        .find(|own| *own != name && own.eq_ignore_ascii_case(name))
}

/// The section of ours that was probably meant by `name`, which is none.
pub(crate) fn meant(name: &str) -> Option<&'static str> {
    // Of four letters, two that differ are another word.
    let near =
        |own: &&str| strsim::damerau_levenshtein(own, &keys::canonical(name)) <= if own.len() < 6 { 1 } else { 2 };
    let plausible = name.len() <= 16 && !SECTIONS.contains(&name);
    SECTIONS.iter().copied().find(|own| plausible && near(own))
}
