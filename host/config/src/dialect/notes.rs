//! What is said about our sections: warnings that show the clean spelling, and errors where there is more than one
//! meaning.

use super::cursor::{Key, is_bare};
use super::{Finding, MAX_FINDINGS, Parser};
use crate::mask;
use crate::problem::{Code, Severity};
use std::ops::Range;

impl<'i> Parser<'i, '_> {
    fn push(&mut self, finding: Finding) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        }
    }

    /// A warning at `span`, if `path` is ours: it was read, and this is how it is written cleanly.
    fn warn(&mut self, path: &[Key<'i>], span: Range<usize>, message: String, help: String) {
        if self.own.has(path) && self.section.is_some() {
            self.push(Finding {
                severity: Severity::Warning,
                code: Code::Dialect,
                span: span.into(),
                message,
                help,
            });
        }
    }

    /// Something that cannot be read, wherever it stands.
    pub(super) fn syntax(&mut self, span: Range<usize>, why: &str) {
        self.push(Finding {
            severity: Severity::Error,
            code: Code::Syntax,
            span: span.into(),
            message: format!("this is not valid TOML: {why}"),
            help: "correct the line; strings are quoted, lists are in brackets".into(),
        });
    }

    /// Something that cannot be read, if `path` is ours.
    pub(super) fn note_syntax(&mut self, path: &[Key<'i>], span: Range<usize>, why: &str) {
        if self.own.has(path) && self.section.is_some() {
            self.syntax(span, why);
        }
    }

    /// A text that TOML refuses, for an escape that is none or a character that must be escaped.
    pub(super) fn note_text(&mut self, path: &[Key<'i>], span: Range<usize>, why: &str) {
        if !self.own.has(path) || self.section.is_none() {
            return;
        }
        let from = self.errors.partition_point(|(at, _)| at.start < span.start);
        let known = self.errors.get(from).filter(|(at, _)| at.end <= span.end);
        let (span, why) = known.map_or((span.into(), why), |(at, why)| (*at, *why));
        self.push(Finding {
            severity: Severity::Error,
            code: Code::Syntax,
            span,
            message: format!("this is not valid TOML: {why}"),
            help: "write a backslash as `\\\\` in double quotes, or put the text in single quotes, where it stands \
                   for itself"
                .into(),
        });
    }

    /// A text without quotes, which is read if it `can` be nothing else.
    pub(super) fn note_word(&mut self, path: &[Key<'i>], span: Range<usize>, word: &str, can: bool) {
        let secret = path.iter().any(|key| mask::sounds_secret(key.get_ref()));
        let shown = if secret { "…" } else { word };
        let assigned = self.cursor.text[..span.start]
            .trim_end_matches([' ', '\t'])
            .ends_with('=');
        let help = match path.last() {
            Some(key) if assigned => format!("write `{} = \"{shown}\"`", spelled(key.get_ref())),
            _ => format!("write `\"{shown}\"`"),
        };
        if can {
            let message = format!("`{}` is a text without quotes, which is not TOML", joined(path));
            self.warn(path, span, message, help);
        } else if self.own.has(path) && self.section.is_some() {
            self.push(Finding {
                severity: Severity::Error,
                code: Code::Syntax,
                span: span.into(),
                message: "this is not valid TOML: neither a number nor a text in quotes".into(),
                help: format!("if a text is meant, {help}"),
            });
        }
    }

    /// A text over lines in plain quotes.
    pub(super) fn note_lines(&mut self, path: &[Key<'i>], span: Range<usize>) {
        let key = path.last().map(|key| spelled(key.get_ref())).unwrap_or_default();
        let message = format!(
            "`{}` is a text over several lines in plain quotes, which is not TOML",
            joined(path)
        );
        self.warn(
            path,
            span,
            message,
            format!("put it in three quotes: `{key} = \"\"\"…\"\"\"`"),
        );
    }

    /// An element of a set.
    pub(super) fn note_set(&mut self, path: &[Key<'i>]) {
        if self.own.has(path) && self.section.is_some() {
            let at = path.last().map_or(self.cursor.at..self.cursor.at, |key| key.span());
            self.push(Finding {
                severity: Severity::Error,
                code: Code::Syntax,
                span: at.into(),
                message: "this is not valid TOML: an entry without a value, as in a set of the mail server's dialect"
                    .into(),
                help: "a set has no order; write a list, as in `[\"a\", \"b\"]`, or `key = value`".into(),
            });
        }
    }

    /// A header in other letters than our section has.
    pub(super) fn note_case(&mut self, path: &[Key<'i>], own: &str) {
        let Some(first) = path.first() else { return };
        let message = format!("this is read as `[{own}]`, as the mail server does; to TOML it is another table");
        let span = first.span();
        self.warn(path, span, message, format!("write `[{}]`", joined(path)));
    }

    /// A table that is written in two places.
    pub(super) fn note_joined(&mut self, path: &[Key<'i>], span: Range<usize>) {
        let table = joined(path);
        let message = format!("`{table}` is opened a second time, which is not TOML; both parts are read as one");
        self.warn(
            path,
            span,
            message,
            format!("write all keys of `{table}` below one `[{table}]`"),
        );
    }

    /// A key that is given twice, with one value.
    pub(super) fn note_repeated(&mut self, path: &[Key<'i>], span: Range<usize>) {
        let message = format!(
            "`{}` is given twice, which is not TOML; both say the same",
            joined(path)
        );
        self.warn(path, span, message, "remove one of the two".into());
    }

    /// Says which of the parts of `path`, from `from` on, need quotes that they do not have.
    pub(super) fn check_bare(&mut self, path: &[Key<'i>], from: usize) {
        for (i, key) in path.iter().enumerate().skip(from) {
            let quoted = self.cursor.text[key.span()].starts_with(['"', '\'']);
            if !quoted && !is_bare(key.get_ref()) {
                let message = "this key has characters that need quotes in TOML".to_owned();
                let help = format!("write `{}`", spelled(key.get_ref()));
                self.warn(&path[..=i], key.span(), message, help);
            }
        }
    }
}

/// A key as TOML has it.
fn spelled(key: &str) -> String {
    if is_bare(key) {
        key.to_owned()
    } else {
        format!("\"{}\"", key.escape_debug())
    }
}

fn joined(path: &[Key<'_>]) -> String {
    path.iter()
        .map(|key| spelled(key.get_ref()))
        .collect::<Vec<_>>()
        .join(".")
}
