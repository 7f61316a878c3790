//! Values, as TOML has them and as the mail server's reader takes them.

use super::Parser;
use super::cursor::{Key, MAX_DEPTH, Stop};
use super::own::statement_in_lines;
use std::borrow::Cow;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// Words that a text in quotes is hardly ever meant by.
const NO_TEXTS: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "null", "nil", "none"];

impl<'i> Parser<'i, '_> {
    /// The value that begins here; `path` leads to it.
    pub(super) fn value(&mut self, path: &mut Vec<Key<'i>>, depth: usize) -> Result<Spanned<DeValue<'i>>, Stop> {
        if depth > MAX_DEPTH {
            return self.cursor.stop("this is nested too deeply");
        }
        match self.cursor.peek() {
            Some(b'[') => self.list(path, depth),
            Some(b'{') => self.inline_table(path, depth),
            Some(b'"' | b'\'') => self.string(path),
            _ => self.word(path),
        }
    }

    fn list(&mut self, path: &mut Vec<Key<'i>>, depth: usize) -> Result<Spanned<DeValue<'i>>, Stop> {
        let start = self.cursor.at;
        let mut list = DeArray::new();
        self.cursor.at += 1;
        loop {
            self.cursor.gap();
            if self.cursor.eat(b']') {
                break;
            }
            list.push(self.value(path, depth + 1)?);
            self.cursor.gap();
            if !self.cursor.eat(b',') && self.cursor.peek() != Some(b']') {
                return self.cursor.stop("`,` or `]` is expected here");
            }
        }
        Ok(Spanned::new(start..self.cursor.at, DeValue::Array(list)))
    }

    /// A table in braces; or a set, which the mail server takes for a table whose values are empty.
    fn inline_table(&mut self, path: &mut Vec<Key<'i>>, depth: usize) -> Result<Spanned<DeValue<'i>>, Stop> {
        let start = self.cursor.at;
        let mut table = DeTable::new();
        self.cursor.at += 1;
        loop {
            self.cursor.gap();
            if self.cursor.eat(b'}') {
                break;
            }
            let mut keys = Vec::new();
            self.cursor.path(&mut keys)?;
            let outer = path.len();
            path.extend(keys.iter().cloned());
            self.check_bare(path, outer);
            self.cursor.gap();
            let value = if self.cursor.eat(b'=') {
                self.cursor.gap();
                self.value(path, depth + keys.len())?
            } else {
                self.note_set(path);
                Spanned::new(self.cursor.at..self.cursor.at, DeValue::String(Cow::Borrowed("")))
            };
            self.insert_into(&mut table, path, outer, value);
            path.truncate(outer);
            self.cursor.gap();
            if !self.cursor.eat(b',') && self.cursor.peek() != Some(b'}') {
                return self.cursor.stop("`,` or `}` is expected here");
            }
        }
        Ok(Spanned::new(start..self.cursor.at, DeValue::Table(table)))
    }

    fn string(&mut self, path: &[Key<'i>]) -> Result<Spanned<DeValue<'i>>, Stop> {
        let start = self.cursor.at;
        let quote = if self.cursor.peek() == Some(b'"') { '"' } else { '\'' };
        let triple = if quote == '"' { "\"\"\"" } else { "'''" };
        if self.cursor.rest().starts_with(triple) {
            return self.long_string(path, triple);
        }
        // In single quotes, TOML knows no escapes and the server does: TOML's reading first, the server's if that
        // fails.
        let literal = quote == '\'' && !self.server_quotes;
        let closed = self
            .cursor
            .quoted(if quote == '"' { b'"' } else { b'\'' }, !literal, !literal);
        if literal {
            self.had_literal = true;
        }
        closed?;
        let slice = &self.cursor.text[start..self.cursor.at];
        let inner = &slice[1..slice.len() - 1];
        if inner.contains('\n') {
            if self.may_swallow(path, inner) {
                self.doubt = Some(start);
            }
            self.note_lines(path, start..self.cursor.at);
        }
        let text = match decoded(slice, quote, literal) {
            Ok(text) => text,
            Err(why) => {
                self.note_text(path, start..self.cursor.at, &why);
                Cow::Borrowed(inner)
            }
        };
        Ok(Spanned::new(start..self.cursor.at, DeValue::String(text)))
    }

    /// A text in three quotes.
    fn long_string(&mut self, path: &[Key<'i>], triple: &'static str) -> Result<Spanned<DeValue<'i>>, Stop> {
        let start = self.cursor.at;
        let Some(length) = long_string_length(self.cursor.rest(), triple) else {
            let hides = self.own.in_lines(self.cursor.rest());
            let stop = self.cursor.stop("this text is not closed");
            return stop.map_err(|stop| Stop { hides, ..stop });
        };
        let slice = &self.cursor.rest()[..length];
        if self.may_swallow(path, slice) {
            self.suspects.push(start);
        }
        self.cursor.at += length;
        let text = match DeValue::parse(slice) {
            Ok(value) => value.into_inner(),
            Err(error) => {
                self.note_text(path, start..self.cursor.at, error.message());
                DeValue::String(Cow::Borrowed(&slice[3..slice.len() - 3]))
            }
        };
        Ok(Spanned::new(start..self.cursor.at, text))
    }

    /// Whether `text`, over lines, may have swallowed statements for want of a quote.
    fn may_swallow(&self, path: &[Key<'i>], text: &str) -> bool {
        self.own.in_lines(text) || self.own.has(path) && statement_in_lines(text)
    }

    /// A number, a boolean, a date; or a text without quotes.
    fn word(&mut self, path: &[Key<'i>]) -> Result<Spanned<DeValue<'i>>, Stop> {
        let start = self.cursor.at;
        let ends = |c: char| c.is_whitespace() || matches!(c, ',' | '[' | ']' | '{' | '}' | '#' | '=' | '"' | '\'');
        let rest = self.cursor.rest();
        let word = &rest[..rest.find(ends).unwrap_or(rest.len())];
        if word.is_empty() {
            return self.cursor.stop("a value is expected here");
        }
        let value = match DeValue::parse(word) {
            Ok(value) => value.into_inner(),
            Err(_)
                if !word
                    .chars()
                    .all(|c| c.is_alphanumeric() || matches!(c, '.' | '+' | '-')) =>
            {
                return self.cursor.stop("a text must be in quotes");
            }
            Err(_) => {
                self.note_word(path, start..start + word.len(), word, is_text(word));
                DeValue::String(Cow::Borrowed(word))
            }
        };
        self.cursor.at += word.len();
        Ok(Spanned::new(start..self.cursor.at, value))
    }
}

/// The text in `slice`, which has its quotes around it, or what is wrong with it.
fn decoded(slice: &str, quote: char, literal: bool) -> Result<Cow<'_, str>, String> {
    let inner = &slice[1..slice.len() - 1];
    if quote == '"' && !inner.contains('\n') {
        return text_of(slice).map(Cow::Owned);
    }
    if quote == '"' {
        // As it stands in the file, line ends included.
        let escaped = slice.replace('\r', "").replace('\n', "\\n");
        return text_of(&escaped).map(Cow::Owned);
    }
    if literal {
        return text_of(slice).map(Cow::Owned);
    }
    // The server drops a backslash that is before anything else: hardly what is meant.
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some(escaped @ ('\'' | '\\'))) => text.push(escaped),
            ('\\', _) => return Err("in single quotes, a backslash stands for itself, but not for the server".into()),
            _ => text.push(c),
        }
    }
    Ok(Cow::Owned(text))
}

/// The text that TOML reads in `slice`.
fn text_of(slice: &str) -> Result<String, String> {
    match DeValue::parse(slice).map(Spanned::into_inner) {
        Ok(DeValue::String(text)) => Ok(text.into_owned()),
        Ok(_) => Err("this is no text".to_owned()),
        Err(error) => Err(error.message().to_owned()),
    }
}

/// The length of the text in three quotes that `rest` begins with, up to five of them at its end.
fn long_string_length(rest: &str, triple: &str) -> Option<usize> {
    let escapes = triple.starts_with('"');
    let mut at = triple.len();
    loop {
        let next = rest[at..].find([triple.chars().next()?, '\\'])?;
        at += next;
        if rest[at..].starts_with('\\') {
            at += 1;
            if escapes {
                at += rest[at..].chars().next()?.len_utf8();
            }
        } else if rest[at..].starts_with(triple) {
            at += triple.len();
            let more = rest[at..]
                .bytes()
                .take(2)
                .take_while(|b| triple.as_bytes()[0] == *b)
                .count();
            return Some(at + more);
        } else {
            at += 1;
        }
    }
}

/// Whether a bare word can only be meant as a text: a name, an address, a number with its unit.
fn is_text(word: &str) -> bool {
    let number = word.bytes().take_while(u8::is_ascii_digit).count();
    let unit = &word[number..];
    match word.chars().next() {
        Some(first) if first.is_alphabetic() => !NO_TEXTS.contains(&word.to_ascii_lowercase().as_str()),
        Some(_) if number > 0 => {
            word.parse::<std::net::Ipv4Addr>().is_ok() || unit.chars().all(char::is_alphabetic) && !unit.is_empty()
        }
        _ => false,
    }
}
