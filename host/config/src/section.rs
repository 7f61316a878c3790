//! A table with known keys: what is unknown in it is reported, with what was probably meant.

use crate::keys;
use crate::problem::{Code, Span};
use crate::reader::{Item, Reader};
use std::cell::Cell;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

/// The entries of `table` as they stand in the file, so that the second of two is reported, not the first.
pub(crate) fn in_order<'t>(table: &'t DeTable<'t>) -> Vec<(&'t Spanned<DeString<'t>>, &'t Spanned<DeValue<'t>>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// A table of known keys, which remembers whether anything in it was wrong.
pub(crate) struct Section<'r, 's, 't> {
    pub(crate) reader: &'r Reader<'s>,
    table: &'t DeTable<'t>,
    path: String,
    keys: &'static [&'static str],
    failed: Cell<bool>,
}

impl<'r, 's, 't> Section<'r, 's, 't> {
    /// The section in `table`; every key that is not among `keys` is reported.
    pub(crate) fn new(
        reader: &'r Reader<'s>,
        table: &'t DeTable<'t>,
        path: &str,
        keys: &'static [&'static str],
    ) -> Self {
        Self::besides(reader, table, path, keys, &[])
    }

    /// As [`Section::new`], beside keys that somebody else looks at.
    pub(crate) fn besides(
        reader: &'r Reader<'s>,
        table: &'t DeTable<'t>,
        path: &str,
        keys: &'static [&'static str],
        others: &[&str],
    ) -> Self {
        let mut failed = false;
        let known = |key: &str| keys.contains(&key) || others.contains(&key);
        for key in table.keys().filter(|k| !known(k.get_ref())) {
            unknown_key(reader, key.get_ref(), key.span().into(), path, keys.iter().copied());
            failed = true;
        }
        Self {
            reader,
            table,
            path: path.to_owned(),
            keys,
            failed: Cell::new(failed),
        }
    }

    /// The value of `key`, if there is one.
    pub(crate) fn get(&self, key: &str) -> Option<Item<'t>> {
        debug_assert!(
            self.keys.contains(&key),
            "{key} is not in the list of keys of {}",
            self.path
        );
        let (key, value) = self.table.get_key_value(key)?;
        Some(Item::new(
            format!("{}.{}", self.path, key.get_ref()),
            key.span().into(),
            value,
        ))
    }

    /// What `read` makes of the value of `key`, if there is one. A `None` from `read` fails the section.
    pub(crate) fn read<T>(&self, key: &str, read: impl FnOnce(&Item<'t>) -> Option<T>) -> Option<T> {
        let value = read(&self.get(key)?);
        if value.is_none() {
            self.fail();
        }
        value
    }

    /// Notes that something is wrong, which has been reported.
    pub(crate) fn fail(&self) {
        self.failed.set(true);
    }

    /// `value`, unless something was wrong in the section.
    pub(crate) fn sound<T>(&self, value: T) -> Option<T> {
        (!self.failed.get()).then_some(value)
    }
}

/// Reports `key`, with the one of `candidates` that was probably meant.
pub(crate) fn unknown_key<'c>(
    reader: &Reader<'_>,
    key: &str,
    span: Span,
    path: &str,
    candidates: impl IntoIterator<Item = &'c str> + Clone,
) {
    let help = match keys::suggest(key, candidates.clone()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => {
            let known: Vec<_> = candidates.into_iter().collect();
            let known = if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            };
            format!("remove it, or use one of the keys of `{path}`: {known}")
        }
    };
    let message = format!("`{path}` has no key `{}`", key.escape_debug());
    reader.error(Code::UnknownKey, span, message, help);
}
