//! The settings of one coordinator section: found under any of their names, read as what they must be.

use super::address::{self, Address};
use super::words;
use crate::keys::{self, Backend, Use};
use crate::problem::{Code, Span};
use crate::reader::{Item, Reader};
use crate::secret::Secret;
use crate::section::{in_order, unknown_key};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;
use toml::de::{DeTable, DeValue};

/// Durations of backends, in milliseconds: up to a day.
const DURATIONS: RangeInclusive<u64> = 1..=86_400_000;

/// A section whose keys may be nested (`[store.x.tls] enable`), dotted (`tls.enable`) or joined (`tls-enable`).
pub(super) struct Settings<'r, 's, 't> {
    reader: &'r Reader<'s>,
    section: Item<'t>,
    backend: &'static Backend,
    /// Where relative paths begin.
    pub(super) base: &'r Path,
    found: BTreeMap<&'static str, Item<'t>>,
    failed: Cell<bool>,
}

impl<'r, 's, 't> Settings<'r, 's, 't> {
    /// Finds the settings in `table`. What is unknown, there twice or missing is reported, and what is ignored
    /// explained.
    pub(super) fn read(
        reader: &'r Reader<'s>,
        section: Item<'t>,
        table: &'t DeTable<'t>,
        backend: &'static Backend,
        base: &'r Path,
    ) -> Self {
        let mut settings = Self {
            reader,
            section,
            backend,
            base,
            found: BTreeMap::new(),
            failed: Cell::new(false),
        };
        settings.walk(table, "");
        settings.require();
        settings
    }

    fn walk(&mut self, table: &'t DeTable<'t>, prefix: &str) {
        for (key, value) in in_order(table) {
            let name = if prefix.is_empty() {
                key.get_ref().to_string()
            } else {
                format!("{prefix}.{}", key.get_ref())
            };
            let item = Item::new(format!("{}.{name}", self.section.path), key.span().into(), value);
            let spelling = keys::canonical(&name);
            let setting = self
                .backend
                .all()
                .find(|s| keys::canonical(s.name) == spelling || s.aliases.contains(&spelling.as_str()));
            match (setting, item.value) {
                (Some(setting), _) => self.take(setting, item),
                (None, DeValue::Table(inner)) if self.parts(&spelling).next().is_some() => self.walk(inner, &name),
                (None, _) => self.unknown(&name, &spelling, &item),
            }
        }
    }

    /// The settings that can stand in a table of this name.
    fn parts(&self, spelling: &str) -> impl Iterator<Item = &'static str> {
        let below = move |full: &str| full.strip_prefix(spelling).is_some_and(|rest| rest.starts_with('-'));
        let fits =
            move |s: &&keys::Setting| below(&keys::canonical(s.name)) || s.aliases.iter().any(|alias| below(alias));
        self.backend.all().filter(fits).map(|s| s.name)
    }

    /// Reports a key that is none, or that only tables can have.
    fn unknown(&self, name: &str, spelling: &str, item: &Item<'_>) {
        let parts: Vec<_> = self.parts(spelling).collect();
        if parts.is_empty() {
            let names = self.backend.all().map(|s| s.name);
            unknown_key(self.reader, name, item.key_span, &self.section.path, names);
        } else {
            let help = format!("write what is meant of: {}", parts.join(", "));
            self.reader.wrong_type(item, "a table", help);
        }
        self.failed.set(true);
    }

    fn take(&mut self, setting: &'static keys::Setting, item: Item<'t>) {
        if self.found.contains_key(setting.name) {
            let message = format!("`{}` is given twice, under different names", setting.name);
            self.error(Code::ConflictingKeys, item.key_span, message, "keep one of the two");
            return;
        }
        if let Use::Ignored(why) = setting.usage {
            self.ignore(item.key_span, &item.path, why);
        }
        self.found.insert(setting.name, item);
    }

    fn require(&self) {
        let missing = |s: &&keys::Setting| s.usage == Use::Required && !self.found.contains_key(s.name);
        for setting in self.backend.all().filter(missing) {
            if self.reader.is_broken() {
                self.failed.set(true);
            } else {
                self.missing(self.section.span, setting.name);
            }
        }
    }

    /// `[store."<id>"]`, without its brackets.
    pub(super) fn path(&self) -> &str {
        &self.section.path
    }

    /// Reports an error, which fails the section.
    pub(super) fn error(&self, code: Code, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.reader.error(code, span, message, help);
        self.failed.set(true);
    }

    /// Reports that `name` is not given, at `span`, where it is needed.
    pub(super) fn missing(&self, span: Span, name: &str) {
        let message = format!("`{}` has no `{name}`", self.section.path);
        self.error(Code::MissingKey, span, message, format!("add `{name}` to the section"));
    }

    /// Reports that neither of two settings is given, one of which is needed.
    pub(super) fn neither(&self, one: &str, other: &str) {
        if self.reader.is_broken() {
            self.failed.set(true);
            return;
        }
        let message = format!("`{}` has neither `{one}` nor `{other}`", self.section.path);
        self.error(
            Code::MissingKey,
            self.section.span,
            message,
            format!("add `{one}` or `{other}` to the section"),
        );
    }

    /// Reports that `item` excludes `other`.
    pub(super) fn conflict(&self, item: &Item<'_>, other: &str, help: &str) {
        let message = format!("`{}` and {other} exclude each other", item.path);
        self.error(Code::ConflictingKeys, item.key_span, message, help);
    }

    pub(super) fn warn(&self, code: Code, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.reader.warn(code, span, message, help);
    }

    /// Says that the key `path` has no effect, and why.
    pub(super) fn ignore(&self, span: Span, path: &str, why: &str) {
        self.ignore_part(span, &format!("`{path}`"), why);
    }

    /// Says that `what` has no effect, and why.
    pub(super) fn ignore_part(&self, span: Span, what: &str, why: &str) {
        let help = format!("{why}. Remove it, or leave it if the mail server reads this section too");
        self.reader
            .warn(Code::IgnoredKey, span, format!("{what} has no effect here"), help);
    }

    /// `value`, unless something was wrong in the section.
    pub(super) fn sound<T>(&self, value: T) -> Option<T> {
        (!self.failed.get()).then_some(value)
    }

    /// The setting `name` as it stands in the file.
    pub(super) fn get(&self, name: &'static str) -> Option<&Item<'t>> {
        debug_assert!(
            self.backend.all().any(|s| s.name == name),
            "{name} is in no list of keys"
        );
        self.found.get(name)
    }

    /// What `read` makes of the setting `name`, if it is given. A `None` from `read`, which has reported why, fails the
    /// section.
    pub(super) fn with<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(&Reader<'s>, &Item<'t>) -> Option<T>,
    ) -> Option<T> {
        let value = read(self.reader, self.get(name)?);
        if value.is_none() {
            self.failed.set(true);
        }
        value
    }

    /// A text that is not empty.
    pub(super) fn text(&self, name: &'static str) -> Option<String> {
        self.with(name, |reader, item| {
            filled(reader, item, reader.text(item)?, String::is_empty)
        })
    }

    /// A text that is not empty and must not be seen.
    pub(super) fn secret(&self, name: &'static str) -> Option<Secret> {
        let is_empty = |secret: &Secret| secret.expose().is_empty();
        self.with(name, |reader, item| {
            filled(reader, item, reader.secret(item)?, is_empty)
        })
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, name: &'static str) -> Option<bool> {
        self.with(name, words::flag)
    }

    /// The one of `words` that the setting is, in whatever case it is written.
    pub(super) fn word(&self, name: &'static str, words: &[&'static str]) -> Option<&'static str> {
        self.with(name, |reader, item| words::word(reader, item, words))
    }

    /// A duration.
    pub(super) fn duration(&self, name: &'static str) -> Option<Duration> {
        self.with(name, |reader, item| words::duration(reader, item, DURATIONS))
            .map(Duration::from_millis)
    }

    /// Whether the setting turns a limit off.
    pub(super) fn is_off(&self, name: &'static str) -> bool {
        self.get(name).is_some_and(|item| words::is_off(self.reader, item))
    }

    /// A whole number; quoted is accepted in store sections, as the mail server does.
    pub(super) fn number(&self, name: &'static str, range: RangeInclusive<u32>) -> Option<u32> {
        self.with(name, |reader, item| words::number(reader, item, range))
    }

    /// Addresses of servers, at least one, each checked at its place. They may hold passwords.
    pub(super) fn addresses(&self, name: &'static str, form: &address::Form) -> Vec<Address<'t>> {
        let read = |reader: &Reader<'s>, item: &Item<'t>| {
            let elements = item.elements();
            if elements.is_empty() {
                let message = format!("`{}` is empty", item.path);
                reader.error(Code::InvalidValue, item.span, message, "give at least one address");
                return None;
            }
            // All of them, so that every problem is reported.
            let read: Vec<_> = elements
                .iter()
                .map(|item| Address::read_all(reader, item, form))
                .collect();
            read.into_iter()
                .collect::<Option<Vec<_>>>()
                .map(|all| all.into_iter().flatten().collect())
        };
        self.with(name, read).unwrap_or_default()
    }
}

/// `value`, unless it is empty: an unset variable, more likely than meant.
fn filled<T>(reader: &Reader<'_>, item: &Item<'_>, value: T, is_empty: impl FnOnce(&T) -> bool) -> Option<T> {
    if is_empty(&value) {
        let message = format!("`{}` is empty", item.path);
        reader.error(
            Code::InvalidValue,
            item.span,
            message,
            "give it a value, or leave the key out",
        );
        return None;
    }
    Some(value)
}
