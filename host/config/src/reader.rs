//! Walks a TOML tree, takes typed values out of it, and collects what is wrong instead of stopping at it.

use crate::dialect::Finding;
use crate::keys;
use crate::numbered;
use crate::problem::{Code, Problem, Severity, Span};
use crate::redact::Values;
use crate::secret::{self, Budget, FetchError, Origin, Secret};
use crate::source::Source;
use crate::units;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The most problems that are recorded for one file.
const MAX_PROBLEMS: usize = 1_000;

/// The problems of one file, and the values in it that must not be shown.
pub(crate) struct Reader<'s> {
    pub(crate) source: &'s Source,
    problems: RefCell<Vec<Problem>>,
    secrets: RefCell<Vec<Span>>,
    /// What came from elsewhere.
    values: RefCell<Values>,
    budget: Budget,
    /// Lines with a syntax error: what was made of them means nothing.
    broken_lines: BTreeSet<usize>,
}

/// A value with its full key and its place.
#[derive(Clone)]
pub(crate) struct Item<'t> {
    pub(crate) path: String,
    pub(crate) key_span: Span,
    pub(crate) span: Span,
    pub(crate) value: &'t DeValue<'t>,
}

impl<'t> Item<'t> {
    pub(crate) fn new(path: String, key_span: Span, value: &'t Spanned<DeValue<'t>>) -> Self {
        Self {
            path,
            key_span,
            span: value.span().into(),
            value: value.get_ref(),
        }
    }

    /// The elements of a list, numbered keys or not, or the value itself as the only one.
    pub(crate) fn elements(&self) -> Vec<Self> {
        let element = |value: &'t Spanned<DeValue<'t>>| Item::new(self.path.clone(), value.span().into(), value);
        match self.value {
            DeValue::Array(array) => array.iter().map(element).collect(),
            DeValue::Table(table) => match numbered::elements(table) {
                Some(elements) => elements.into_iter().map(|(_, value)| element(value)).collect(),
                None => vec![self.clone()],
            },
            _ => vec![self.clone()],
        }
    }

    /// The entries of a table with their keys; none of anything else.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'t str, Self)> {
        let entries = self.value.as_table().into_iter().flatten();
        entries.map(|(key, value)| {
            let path = format!("{}.{}", self.path, key.get_ref().escape_debug());
            (key.get_ref().as_ref(), Item::new(path, key.span().into(), value))
        })
    }

    /// What type the value has, with its article.
    pub(crate) fn type_name(&self) -> &'static str {
        match self.value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a fraction",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        }
    }
}

impl<'s> Reader<'s> {
    pub(crate) fn new(source: &'s Source) -> Self {
        Self {
            source,
            problems: RefCell::default(),
            secrets: RefCell::default(),
            values: RefCell::default(),
            budget: Budget::default(),
            broken_lines: BTreeSet::new(),
        }
    }

    /// Records what was found about the way a section is written.
    pub(crate) fn found(&mut self, finding: Finding) {
        let broken = (finding.code == Code::Syntax).then(|| self.source.line(finding.span.start));
        self.report(
            finding.severity,
            finding.code,
            finding.span,
            finding.message,
            finding.help,
        );
        self.broken_lines.extend(broken);
    }

    /// Records that the file as a whole is none that can be read. Nothing of it is shown.
    pub(crate) fn refuse(&mut self, message: String, help: String) {
        let problem = self.source.problem(Severity::Error, Code::Syntax, None, message, help);
        self.problems.borrow_mut().push(problem);
    }

    /// Whether the file is broken, so that something may seem absent that is not.
    pub(crate) fn is_broken(&self) -> bool {
        !self.broken_lines.is_empty()
    }

    fn report(&self, severity: Severity, code: Code, span: Span, message: String, help: String) {
        let mut problems = self.problems.borrow_mut();
        if problems.len() < MAX_PROBLEMS && !self.broken_lines.contains(&self.source.line(span.start)) {
            let values = self.values.borrow();
            let (message, help) = (values.redact(Some(span), message), values.redact(Some(span), help));
            problems.push(self.source.problem(severity, code, Some(span), message, help));
        }
    }

    pub(crate) fn error(&self, code: Code, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.report(Severity::Error, code, span, message.into(), help.into());
    }

    pub(crate) fn warn(&self, code: Code, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.report(Severity::Warning, code, span, message.into(), help.into());
    }

    pub(crate) fn hide(&self, span: Span) {
        self.secrets.borrow_mut().push(span);
    }

    pub(crate) fn finish(self) -> (Vec<Problem>, Vec<Span>, Values) {
        (
            self.problems.into_inner(),
            self.secrets.into_inner(),
            self.values.into_inner(),
        )
    }

    /// The text of `item`, macros replaced. What they bring in is never shown; `note` is told of it.
    pub(crate) fn expand(&self, item: &Item<'_>, text: &str, mut note: impl FnMut(&str)) -> Result<String, FetchError> {
        let expanded = secret::expand_noting(text, &self.budget, |part| {
            self.values.borrow_mut().add(item.span, part);
            note(part);
        })?;
        if secret::has_macro(text) {
            self.values.borrow_mut().add(item.span, &expanded);
        }
        Ok(expanded)
    }

    /// The value of `item`, which stands at `origin`. It is never shown.
    pub(crate) fn fetch(&self, item: &Item<'_>, origin: Origin<'_>) -> Result<String, FetchError> {
        let value = origin.fetch(&self.budget)?;
        self.values.borrow_mut().add(item.span, &value);
        Ok(value)
    }

    /// Reports that `item` is not `wanted`.
    pub(crate) fn wrong_type(&self, item: &Item<'_>, wanted: &str, help: impl Into<String>) {
        let message = format!("`{}` must be {wanted}, not {}", item.path, item.type_name());
        self.error(Code::WrongType, item.span, message, help);
    }

    /// What was fetched from elsewhere for `item`, or the report that it cannot be.
    pub(crate) fn fetched(&self, item: &Item<'_>, fetched: Result<String, FetchError>) -> Option<String> {
        fetched
            .map_err(|e| {
                self.error(
                    Code::MissingSecret,
                    item.span,
                    format!("`{}`: {e}", item.path),
                    e.help(),
                );
            })
            .ok()
    }

    /// The table that `item` must be.
    pub(crate) fn table<'t>(&self, item: &Item<'t>) -> Option<&'t DeTable<'t>> {
        let table = item.value.as_table();
        if table.is_none() {
            self.wrong_type(
                item,
                "a table",
                format!("write it as `[{}]` with its keys below", item.path),
            );
        }
        table
    }

    /// The text that `item` must be, macros expanded.
    pub(crate) fn text(&self, item: &Item<'_>) -> Option<String> {
        match item.value {
            DeValue::String(text) => self.fetched(item, self.expand(item, text, |_| {})),
            _ => {
                self.wrong_type(item, "a string", "put it in quotes");
                None
            }
        }
    }

    /// The secret that `item` must be: inline, with macros, or as `{ env = "NAME" }` or `{ file = "/path" }`.
    pub(crate) fn secret(&self, item: &Item<'_>) -> Option<Secret> {
        let fetched = match item.value {
            DeValue::String(text) => {
                self.hide(item.span);
                self.expand(item, text, |_| {})
            }
            DeValue::Table(table) => match origin(table) {
                Some(origin) => self.fetch(item, origin),
                None => {
                    self.hide(item.span);
                    let message = format!("`{}` must be a string or name one source", item.path);
                    self.error(
                        Code::WrongType,
                        item.span,
                        message,
                        "write `{ env = \"NAME\" }` or `{ file = \"/path\" }`",
                    );
                    return None;
                }
            },
            _ => {
                self.hide(item.span);
                self.wrong_type(
                    item,
                    "a string",
                    "put it in quotes, or write `{ env = \"NAME\" }` or `{ file = \"/path\" }`",
                );
                return None;
            }
        };
        self.fetched(item, fetched).map(Secret::new)
    }

    /// The integer within `range` that `item` must be. A quoted one is refused unless a macro brings it in.
    pub(crate) fn integer(&self, item: &Item<'_>, range: RangeInclusive<u64>) -> Option<u64> {
        let help = || {
            format!(
                "write a whole number from {} to {}, without quotes",
                range.start(),
                range.end()
            )
        };
        let number = match item.value {
            DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix()).unwrap_or(i128::MAX),
            DeValue::String(text) if secret::has_macro(text) => {
                let text = self.text(item)?;
                let Ok(number) = text.trim().parse() else {
                    // The value may be anything: it is not shown.
                    self.error(
                        Code::WrongType,
                        item.span,
                        format!("`{}` must be an integer; its source holds something else", item.path),
                        help(),
                    );
                    return None;
                };
                number
            }
            _ => {
                self.wrong_type(item, "an integer", help());
                return None;
            }
        };
        let within = u64::try_from(number).ok().filter(|n| range.contains(n));
        if within.is_none() {
            let message = format!("`{}` must be from {} to {}", item.path, range.start(), range.end());
            self.error(Code::OutOfRange, item.span, message, help());
        }
        within
    }

    /// As [`Reader::integer`], for ranges that fit in 32 bits.
    pub(crate) fn integer32(&self, item: &Item<'_>, range: RangeInclusive<u32>) -> Option<u32> {
        self.integer(item, u64::from(*range.start())..=u64::from(*range.end()))
            .and_then(|n| u32::try_from(n).ok())
    }

    /// `true` or `false`; quoted is accepted, as the mail server does.
    pub(crate) fn flag(&self, item: &Item<'_>) -> Option<bool> {
        match item.value {
            DeValue::Boolean(flag) => Some(*flag),
            DeValue::String(text) if text == "true" || text == "false" => Some(text == "true"),
            _ => {
                self.wrong_type(item, "`true` or `false`", "write it without quotes");
                None
            }
        }
    }

    /// Milliseconds: a text such as `"15s"`, or an integer of milliseconds.
    pub(crate) fn duration(&self, item: &Item<'_>, range: RangeInclusive<u64>) -> Option<u64> {
        self.measure(
            item,
            range,
            units::duration,
            "a duration",
            "write one number with its unit (ms, s, m, h, d), as in `\"15s\"` or `\"90m\"`",
        )
    }

    /// Bytes: a text such as `"64MiB"`, or an integer of bytes.
    pub(crate) fn size(&self, item: &Item<'_>, range: RangeInclusive<u64>) -> Option<u64> {
        self.measure(
            item,
            range,
            units::size,
            "a size",
            "write a number with its unit (B, KiB, MiB, GiB), as in `\"64MiB\"`",
        )
    }

    fn measure(
        &self,
        item: &Item<'_>,
        range: RangeInclusive<u64>,
        parse: fn(&str) -> Option<u64>,
        what: &str,
        help: &str,
    ) -> Option<u64> {
        let value = match item.value {
            DeValue::Integer(_) => return self.integer(item, range),
            DeValue::String(_) => parse(&self.text(item)?),
            _ => {
                self.wrong_type(item, what, help);
                return None;
            }
        };
        let Some(value) = value else {
            self.error(
                Code::InvalidValue,
                item.span,
                format!("`{}` is not {what}", item.path),
                help,
            );
            return None;
        };
        if !range.contains(&value) {
            let unit = if what == "a size" { "bytes" } else { "milliseconds" };
            let message = format!(
                "`{}` must be from {} to {} {unit}",
                item.path,
                range.start(),
                range.end()
            );
            self.error(Code::OutOfRange, item.span, message, help);
            return None;
        }
        Some(value)
    }

    /// The one of `words` that `item` must be, as its index.
    pub(crate) fn word(&self, item: &Item<'_>, words: &[&str]) -> Option<usize> {
        let text = self.text(item)?;
        let found = words.iter().position(|w| *w == text);
        if found.is_none() {
            let help = match keys::suggest(&text, words.iter().copied()) {
                Some(word) => format!("did you mean \"{word}\"?"),
                None => format!("write one of: {}", words.join(", ")),
            };
            self.error(
                Code::InvalidValue,
                item.span,
                format!("`{}` must be one of: {}", item.path, words.join(", ")),
                help,
            );
        }
        found
    }

    /// A name: lower-case letters, digits, `-` and, where `dots`, `.`; 1 to 63 of them.
    pub(crate) fn check_name(&self, what: &str, name: &str, span: Span, dots: bool) -> bool {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || (dots && c == '.');
        let good = (1..=63).contains(&name.len()) && name.chars().all(allowed);
        if !good {
            let dot = if dots { ", `.`" } else { "" };
            let help = format!("use 1 to 63 of: lower-case letters, digits{dot}, `-`");
            self.error(
                Code::InvalidValue,
                span,
                format!("{what} has a character or length that is not allowed"),
                help,
            );
        }
        good
    }
}

/// The source that `table` names: `{ env = "NAME" }` or `{ file = "/path" }`, and nothing else.
pub(crate) fn origin<'t>(table: &'t DeTable<'t>) -> Option<Origin<'t>> {
    let mut entries = table.iter();
    let (key, value) = entries.next()?;
    let value = value.get_ref().as_str().filter(|_| entries.next().is_none())?;
    match key.get_ref().as_ref() {
        "env" => Some(Origin::Env(value)),
        "file" => Some(Origin::File(value)),
        _ => None,
    }
}
