//! The `config` of an adapter: any TOML table, passed on as JSON, and which of it must not be seen.

use crate::json;
use crate::keys;
use crate::mask;
use crate::problem::{Code, Span};
use crate::reader::{self, Item, Reader};
use crate::secret::{self, FetchError, Secret};
use serde_json::Value;
use std::collections::BTreeSet;
use toml::de::DeValue;

/// The most bytes of JSON.
const MAX_BYTES: usize = 64 << 10;

/// How deep tables and lists may be nested, the outermost table included.
const MAX_DEPTH: usize = 32;

/// What makes a key sound secret, at the end of its canonical name.
const SECRET: [&str; 5] = ["password", "secret", "token", "key", "credentials"];

/// What an adapter is told.
pub(super) struct AdapterConfig {
    /// A JSON object, its keys sorted.
    pub(super) json: Secret,
    /// What must not be shown if the adapter says it: none is empty, none is there twice, the longest first.
    pub(super) secrets: Vec<Secret>,
}

/// The settings in the table `item`. Whatever is secret in them is hidden, also when something is wrong with them.
pub(super) fn read(reader: &Reader<'_>, item: &Item<'_>) -> Option<AdapterConfig> {
    let Some(table) = item.value.as_table() else {
        hide(reader, item);
        reader.table(item);
        return None;
    };
    if reader::origin(table).is_some() {
        let message = format!("`{}` must be a table of settings, not a source of one", item.path);
        let help = "name the source of one setting at a time, as in `config = { password = { env = \"NAME\" } }`";
        reader.error(Code::WrongType, item.span, message, help);
        return None;
    }
    let mut converter = Converter {
        reader,
        secrets: BTreeSet::new(),
        size: 0,
        failed: false,
    };
    let json = converter.value(item, 1, false).to_string();
    if converter.size > MAX_BYTES || json.len() > MAX_BYTES {
        let message = format!("`{}` is longer than {MAX_BYTES} bytes (64 KiB) as JSON", item.path);
        reader.error(
            Code::OutOfRange,
            item.key_span,
            message,
            "leave out what the adapter can do without",
        );
        return None;
    }
    let mut secrets: Vec<_> = converter.secrets.into_iter().collect();
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    (!converter.failed).then(|| AdapterConfig {
        json: Secret::new(json),
        secrets: secrets.into_iter().map(Secret::new).collect(),
    })
}

struct Converter<'r, 's> {
    reader: &'r Reader<'s>,
    secrets: BTreeSet<String>,
    /// At least as many bytes of JSON have been made; beyond the limit, no more are.
    size: usize,
    failed: bool,
}

impl Converter<'_, '_> {
    /// `item` as JSON. After a problem, which fails the whole, the rest is still looked at, so that all of it is
    /// reported and hidden.
    fn value(&mut self, item: &Item<'_>, depth: usize, secret: bool) -> Value {
        self.size += 1;
        if self.size > MAX_BYTES {
            hide(self.reader, item);
            return Value::Null;
        }
        match item.value {
            DeValue::String(raw) => self.text(item, raw, secret),
            DeValue::Table(table) => match reader::origin(table) {
                Some(origin) => self.fetched(item, self.reader.fetch(item, origin)),
                None => self.nested(item, depth, secret),
            },
            DeValue::Array(_) => self.nested(item, depth, secret),
            _ => {
                if secret {
                    self.reader.hide(item.span);
                }
                let value = json::scalar(self.reader, item);
                self.failed |= value.is_none();
                value.unwrap_or_default()
            }
        }
    }

    fn nested(&mut self, item: &Item<'_>, depth: usize, secret: bool) -> Value {
        if depth > MAX_DEPTH {
            hide(self.reader, item);
            let message = format!("the settings of the adapter are nested more than {MAX_DEPTH} deep here");
            self.reader.error(
                Code::OutOfRange,
                item.key_span,
                message,
                "make them flatter: tables and lists count",
            );
            self.failed = true;
            return Value::Null;
        }
        if let DeValue::Array(array) = item.value {
            let elements = array
                .iter()
                .map(|value| Item::new(item.path.clone(), value.span().into(), value));
            return elements
                .map(|element| self.value(&element, depth + 1, secret))
                .collect();
        }
        let mut entries = Vec::new();
        for (key, child) in item.entries() {
            self.size += key.len() + "\"\":".len();
            let value = self.value(&child, depth + 1, secret || is_secret(key));
            entries.push((key.to_owned(), value));
        }
        json::object(entries)
    }

    fn text(&mut self, item: &Item<'_>, raw: &str, secret: bool) -> Value {
        if secret || secret::has_macro(raw) || !mask::user_info(raw).is_empty() {
            self.reader.hide(item.span);
        }
        let mut parts = Vec::new();
        let text = self.reader.expand(item, raw, |part| parts.push(part.to_owned()));
        let Some(text) = self.reader.fetched(item, text) else {
            self.failed = true;
            return Value::Null;
        };
        self.size += text.len();
        for login in mask::user_info(&text).into_iter().filter_map(|range| text.get(range)) {
            // As `user:password@host`, or `token@host`.
            let password = login.split_once(':').map_or(login, |(_, password)| password);
            parts.extend([login.to_owned(), password.to_owned()]);
        }
        if secret || secret::has_macro(raw) {
            parts.push(text.clone());
        }
        self.secrets.extend(parts.into_iter().filter(|part| !part.is_empty()));
        Value::String(text)
    }

    /// What an `{ env = … }` or `{ file = … }` holds. Nothing in it is an unset variable, more likely than meant.
    fn fetched(&mut self, item: &Item<'_>, fetched: Result<String, FetchError>) -> Value {
        let text = self.reader.fetched(item, fetched).filter(|text| {
            if text.is_empty() {
                let message = format!("`{}` is empty", item.path);
                let help = "give it a value, or leave the key out";
                self.reader.error(Code::InvalidValue, item.span, message, help);
            }
            !text.is_empty()
        });
        let Some(text) = text else {
            self.failed = true;
            return Value::Null;
        };
        self.size += text.len();
        self.secrets.insert(text.clone());
        Value::String(text)
    }
}

/// Whether what stands under this key must not be seen.
fn is_secret(key: &str) -> bool {
    let key = keys::canonical(key);
    SECRET.iter().any(|word| key.ends_with(word))
}

/// Hides every value in `item`, however deep.
fn hide(reader: &Reader<'_>, item: &Item<'_>) {
    let mut left: Vec<(&DeValue<'_>, Span)> = vec![(item.value, item.span)];
    while let Some((value, span)) = left.pop() {
        match value {
            DeValue::Array(array) => left.extend(array.iter().map(|v| (v.get_ref(), v.span().into()))),
            DeValue::Table(table) => left.extend(table.values().map(|v| (v.get_ref(), v.span().into()))),
            _ => reader.hide(span),
        }
    }
}
