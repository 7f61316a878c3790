//! Where values are kept: tables that are opened twice become one, and what contradicts itself is reported.

use super::Parser;
use super::cursor::Key;
use super::own::in_other_case;
use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// What became of an attempt to keep something.
enum Outcome {
    Kept,
    /// In a table that is written in another place, too: that of so many parts of the path.
    Joined(usize),
    /// The same key with the same value.
    Repeated,
    /// The same key with another value.
    Contradicted,
    /// As a value and as a table.
    Clashed,
}

impl<'i> Parser<'i, '_> {
    /// The server takes `[Cluster]` for `[cluster]`.
    pub(super) fn fold_case(&mut self, path: &mut [Key<'i>]) {
        let Some(first) = path.first_mut() else { return };
        let Some(own) = in_other_case(first.get_ref()) else {
            return;
        };
        let span = first.span();
        // In quotes, the server leaves it as it is.
        if !self.cursor.text[span.clone()].starts_with(['"', '\'']) {
            *first = Spanned::new(span, Cow::Borrowed(own));
            self.note_case(path, own);
        }
    }

    /// Opens the table of a header. Whether it can be opened.
    pub(super) fn open(&mut self, path: &[Key<'i>], span: Range<usize>, list: bool) -> bool {
        let Some(last) = path.last() else { return false };
        let outcome = open(&mut self.root, &mut self.passed, path, span, list);
        self.note(path, last.span(), &outcome);
        matches!(outcome, Outcome::Kept | Outcome::Joined(_))
    }

    /// Keeps `value` under `path`, of which the first `section` parts are the header's.
    pub(super) fn insert(&mut self, path: &[Key<'i>], section: usize, value: Spanned<DeValue<'i>>) {
        let mut root = std::mem::take(&mut self.root);
        self.keep(&mut root, path, 0, section, value);
        self.root = root;
    }

    /// Keeps `value` in `table`, an inline one, under the parts of `path` from `outer` on.
    pub(super) fn insert_into(
        &mut self,
        table: &mut DeTable<'i>,
        path: &[Key<'i>],
        outer: usize,
        value: Spanned<DeValue<'i>>,
    ) {
        self.keep(table, path, outer, outer, value);
    }

    fn keep(
        &mut self,
        table: &mut DeTable<'i>,
        path: &[Key<'i>],
        from: usize,
        section: usize,
        value: Spanned<DeValue<'i>>,
    ) {
        let Some((last, way)) = path.split_last() else { return };
        let (mut table, mut outcome) = (table, Outcome::Kept);
        for (i, key) in way.iter().enumerate().skip(from) {
            match step(table, key) {
                Some((inner, span)) => {
                    table = inner;
                    if i >= section && is_written_out(self.cursor.text, &span) {
                        outcome = Outcome::Joined(i + 1);
                    }
                }
                None => {
                    self.note(path, last.span(), &Outcome::Clashed);
                    return;
                }
            }
        }
        match table.get_mut(last.get_ref().as_ref()).map(Spanned::get_mut) {
            None => {
                table.insert(last.clone(), value);
            }
            Some(DeValue::Table(old)) => match value.into_inner() {
                DeValue::Table(new) => {
                    outcome = Outcome::Joined(path.len());
                    let mut path = path.to_vec();
                    for (key, value) in new {
                        path.push(key);
                        let at = path.len() - 1;
                        self.keep(old, &path, at, at, value);
                        path.pop();
                    }
                }
                _ => outcome = Outcome::Clashed,
            },
            Some(_) if value.get_ref().is_table() => outcome = Outcome::Clashed,
            Some(old) if same(old, value.get_ref()) => outcome = Outcome::Repeated,
            Some(_) => outcome = Outcome::Contradicted,
        }
        self.note(path, last.span(), &outcome);
    }

    fn note(&mut self, path: &[Key<'i>], span: Range<usize>, outcome: &Outcome) {
        match outcome {
            Outcome::Kept => {}
            Outcome::Joined(parts) => self.note_joined(&path[..*parts], span),
            Outcome::Repeated => self.note_repeated(path, span),
            Outcome::Contradicted => self.note_syntax(path, span, "duplicate key"),
            Outcome::Clashed => self.note_syntax(path, span, "this key is a value in one place and a table in another"),
        }
    }
}

/// Opens the table at `path` below `root`. `passed` is where keys begin that headers made tables of on their way.
fn open<'i>(
    root: &mut DeTable<'i>,
    passed: &mut HashSet<usize>,
    path: &[Key<'i>],
    span: Range<usize>,
    list: bool,
) -> Outcome {
    let Some((last, way)) = path.split_last() else {
        return Outcome::Clashed;
    };
    let mut table = root;
    for key in way {
        if !table.contains_key(key.get_ref().as_ref()) {
            passed.insert(key.span().start);
        }
        let Some((inner, _)) = step(table, key) else {
            return Outcome::Clashed;
        };
        table = inner;
    }
    if list {
        return append(table, last, span);
    }
    let Some((key, old)) = table.remove_entry(last.get_ref().as_ref()) else {
        table.insert(last.clone(), Spanned::new(span, DeValue::Table(DeTable::new())));
        return Outcome::Kept;
    };
    let old_span = old.span();
    match old.into_inner() {
        DeValue::Table(inner) if passed.contains(&old_span.start) => {
            table.insert(last.clone(), Spanned::new(span, DeValue::Table(inner)));
            Outcome::Kept
        }
        other => {
            let joined = other.is_table();
            table.insert(key, Spanned::new(old_span, other));
            if joined {
                Outcome::Joined(path.len())
            } else {
                Outcome::Clashed
            }
        }
    }
}

/// The table under `key`, made if there is none, with its place: of a list of tables, the last. `None` if it is
/// something else.
fn step<'t, 'i>(table: &'t mut DeTable<'i>, key: &Key<'i>) -> Option<(&'t mut DeTable<'i>, Range<usize>)> {
    let made = || Spanned::new(key.span(), DeValue::Table(DeTable::new()));
    let value = table.entry(key.clone()).or_insert_with(made);
    let span = value.span();
    match value.get_mut() {
        DeValue::Table(inner) => Some((inner, span)),
        DeValue::Array(list) if is_list_of_tables(&span, list) => {
            let last = list.last_mut()?;
            let span = last.span();
            match last.get_mut() {
                DeValue::Table(inner) => Some((inner, span)),
                _ => None,
            }
        }
        _ => None,
    }
}

/// One more table for the list of tables under `key`.
fn append<'i>(table: &mut DeTable<'i>, key: &Key<'i>, span: Range<usize>) -> Outcome {
    let element = Spanned::new(span.clone(), DeValue::Table(DeTable::new()));
    let Some(value) = table.get_mut(key.get_ref().as_ref()) else {
        let list = [element].into_iter().collect();
        table.insert(key.clone(), Spanned::new(span, DeValue::Array(list)));
        return Outcome::Kept;
    };
    let list_span = value.span();
    match value.get_mut() {
        DeValue::Array(list) if is_list_of_tables(&list_span, list) => {
            list.push(element);
            Outcome::Kept
        }
        _ => Outcome::Clashed,
    }
}

/// Whether `list`, at `span`, consists of tables with headers: a list in brackets begins before its first element.
fn is_list_of_tables(span: &Range<usize>, list: &DeArray<'_>) -> bool {
    list.first().is_some_and(|first| first.span() == *span)
}

/// Whether the table at `span` has a header or braces, and does not only follow from a dotted key.
fn is_written_out(text: &str, span: &Range<usize>) -> bool {
    text[span.start..].starts_with(['[', '{'])
}

/// Whether two values are the same. Tables are compared key by key, elsewhere.
fn same(a: &DeValue<'_>, b: &DeValue<'_>) -> bool {
    match (a, b) {
        (DeValue::String(a), DeValue::String(b)) => a == b,
        (DeValue::Integer(a), DeValue::Integer(b)) => (a.as_str(), a.radix()) == (b.as_str(), b.radix()),
        (DeValue::Float(a), DeValue::Float(b)) => a.as_str() == b.as_str(),
        (DeValue::Boolean(a), DeValue::Boolean(b)) => a == b,
        (DeValue::Datetime(a), DeValue::Datetime(b)) => a == b,
        (DeValue::Array(a), DeValue::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| same(a.get_ref(), b.get_ref()))
        }
        _ => false,
    }
}
