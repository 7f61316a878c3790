//! A place in the text, and the steps from one thing to the next.

use std::borrow::Cow;
use toml::Spanned;
use toml::de::{DeString, DeValue};

/// The most parts of a dotted key, and the deepest nesting of a value: as deep as `toml` goes.
pub(super) const MAX_DEPTH: usize = 80;

/// A part of a key, without its quotes.
pub(super) type Key<'i> = Spanned<DeString<'i>>;

/// Where and why a statement cannot be read.
#[derive(Debug)]
pub(super) struct Stop {
    pub(super) at: usize,
    pub(super) why: &'static str,
    /// Whether the statement may hide one of ours, so that it matters wherever it stands.
    pub(super) hides: bool,
}

/// A place in the text; always at the beginning of a character.
#[derive(Clone)]
pub(super) struct Cursor<'i> {
    pub(super) text: &'i str,
    pub(super) at: usize,
    /// How many bytes were looked through for the end of a text that has none.
    pub(super) lost: usize,
}

impl<'i> Cursor<'i> {
    pub(super) fn new(text: &'i str) -> Self {
        let mark = if text.starts_with('\u{feff}') {
            '\u{feff}'.len_utf8()
        } else {
            0
        };
        Self {
            text,
            at: mark,
            lost: 0,
        }
    }

    pub(super) fn rest(&self) -> &'i str {
        &self.text[self.at..]
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    pub(super) fn stop<T>(&self, why: &'static str) -> Result<T, Stop> {
        Err(Stop {
            at: self.at,
            why,
            hides: false,
        })
    }

    /// Over spaces and tabs, and the first half of a line's end.
    pub(super) fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    /// Over blanks, line ends and comments.
    pub(super) fn gap(&mut self) {
        loop {
            self.blanks();
            match self.peek() {
                Some(b'\n') => self.at += 1,
                Some(b'#') => self.line_end(),
                _ => return,
            }
        }
    }

    /// To the end of the line, before its `\n`.
    pub(super) fn line_end(&mut self) {
        self.at += self.rest().find('\n').unwrap_or(self.rest().len());
    }

    /// Over the rest of a line on which nothing more may stand but a comment.
    pub(super) fn nothing_more(&mut self) -> Result<(), Stop> {
        self.blanks();
        match self.peek() {
            None | Some(b'\n') => Ok(()),
            Some(b'#') => {
                self.line_end();
                Ok(())
            }
            Some(_) => self.stop("nothing more is expected on this line"),
        }
    }

    /// The parts of a dotted key, pushed to `path` as far as they can be read.
    pub(super) fn path(&mut self, path: &mut Vec<Key<'i>>) -> Result<(), Stop> {
        loop {
            self.blanks();
            let key = self.part()?;
            if path.len() >= MAX_DEPTH {
                return self.stop("this key has too many parts");
            }
            path.push(key);
            self.blanks();
            if !self.eat(b'.') {
                return Ok(());
            }
        }
    }

    fn part(&mut self) -> Result<Key<'i>, Stop> {
        let start = self.at;
        match self.peek() {
            Some(quote @ (b'"' | b'\'')) => {
                self.quoted(quote, quote == b'"', false)?;
                let slice = &self.text[start..self.at];
                let text = match DeValue::parse(slice).map(Spanned::into_inner) {
                    Ok(DeValue::String(text)) => text,
                    // With an escape that is none: whoever looks the key up does not find it.
                    _ => Cow::Borrowed(&slice[1..slice.len() - 1]),
                };
                Ok(Spanned::new(start..self.at, text))
            }
            _ => {
                let ends = |c: char| {
                    c.is_whitespace() || matches!(c, '.' | '=' | '[' | ']' | '{' | '}' | ',' | '#' | '"' | '\'')
                };
                let text = &self.rest()[..self.rest().find(ends).unwrap_or(self.rest().len())];
                if text.is_empty() {
                    return self.stop("a key is expected here");
                }
                self.at += text.len();
                Ok(Spanned::new(start..self.at, Cow::Borrowed(text)))
            }
        }
    }

    /// From a quote over the text to behind the quote that closes it. Without `lines`, they stand on one line.
    pub(super) fn quoted(&mut self, quote: u8, escapes: bool, lines: bool) -> Result<(), Stop> {
        let start = self.at;
        self.at += 1;
        loop {
            let found = self
                .rest()
                .find(|c: char| c == char::from(quote) || c == '\n' || (escapes && c == '\\'));
            self.at += found.unwrap_or(self.rest().len());
            match self.peek() {
                Some(b'\\') => {
                    self.at += 1;
                    self.at += self.rest().chars().next().map_or(0, char::len_utf8);
                }
                Some(b'\n') if lines => self.at += 1,
                Some(byte) if byte == quote => {
                    self.at += 1;
                    return Ok(());
                }
                _ => {
                    self.lost += self.at - start;
                    self.at = start;
                    return self.stop("this text is not closed");
                }
            }
        }
    }
}

/// Whether a part of a key needs no quotes in TOML.
pub(super) fn is_bare(key: &str) -> bool {
    !key.is_empty()
        && key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}
