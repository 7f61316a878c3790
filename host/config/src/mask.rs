//! Hides secrets in the text that problems show.
//!
//! Two nets: the values that the reader knows to be secret, and, since a file may be too broken to be understood,
//! whatever follows a key that sounds like one. Both replace byte for byte, so that every span keeps its meaning.

use crate::problem::Span;
use std::ops::Range;

/// Words that make a key sound secret.
const WORDS: [&str; 8] = ["secret", "pass", "pasw", "pwd", "token", "cred", "key", "auth"];

/// The longest `%{…}%` that is left readable; keeps hostile files from costing quadratic time.
const MAX_MACRO: usize = 512;

/// Whether a key of this name, or a part of a line before its `=`, sounds as if a secret followed.
pub(crate) fn sounds_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    WORDS.iter().any(|word| key.contains(word))
}

/// Replaces every secret in `text` by asterisks.
pub(crate) fn hide(text: &mut String, known: &[Span]) {
    let mut ranges: Vec<Range<usize>> = known.iter().map(|s| s.start..s.end).collect();
    ranges.extend(suspicious(text));
    ranges.extend(user_info(text));
    let mut bytes = std::mem::take(text).into_bytes();
    for range in ranges {
        hide_range(&mut bytes, range);
    }
    // Multi-byte characters are replaced as a whole: a continuation byte is inside the same range as its first.
    *text = String::from_utf8(bytes).unwrap_or_default();
}

/// Hides letters and digits of `range`; keeps quotes, blanks, line ends, and `%{…}%`, which only names a source.
fn hide_range(bytes: &mut [u8], range: Range<usize>) {
    let Some(bytes) = bytes.get_mut(range) else { return };
    let mut i = 0;
    while i < bytes.len() {
        if bytes[i..].starts_with(b"%{")
            && let Some(len) = bytes[i..].windows(2).take(MAX_MACRO).position(|pair| pair == b"}%")
        {
            i += len + 2;
            continue;
        }
        if !matches!(bytes[i], b'"' | b'\'' | b' ' | b'\t' | b'\r' | b'\n') {
            bytes[i] = b'*';
        }
        i += 1;
    }
}

/// What follows `=` after a key that sounds secret: to the end of the line, or of a text or a list over several.
fn suspicious(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let (mut covered, mut previous) = (0, 0);
    for (at, _) in text.match_indices('=') {
        if at < covered {
            continue;
        }
        let before = &text[previous..at];
        previous = at + 1;
        if !sounds_secret(before.rsplit(['{', ',', '\n']).next().unwrap_or(before)) {
            continue;
        }
        let value = &text[at + 1..];
        let trimmed = value.trim_start_matches([' ', '\t']);
        let names_source = trimmed
            .strip_prefix('{')
            .is_some_and(|t| t.trim_start().starts_with("env") || t.trim_start().starts_with("file"));
        if names_source {
            continue;
        }
        let length = value.len() - trimmed.len() + value_length(trimmed);
        covered = at + 1 + length;
        previous = covered;
        found.push(at + 1..covered);
    }
    found
}

/// The length of the value that `text` begins with, to the end of the line on which it ends; of all, if it has no end.
fn value_length(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        match c {
            '\n' if depth == 0 => return at,
            '#' => {
                at += text[at..].find('\n').unwrap_or(text.len() - at);
                continue;
            }
            '[' | '{' => depth += 1,
            ']' | '}' => depth = depth.saturating_sub(1),
            '"' | '\'' => {
                at += quoted_length(&text[at..], c);
                continue;
            }
            _ => {}
        }
        at += c.len_utf8();
    }
    text.len()
}

/// The length of the text in quotes that `text` begins with.
fn quoted_length(text: &str, quote: char) -> usize {
    let triple = if quote == '"' { r#"""""# } else { "'''" };
    let close = if text.starts_with(triple) { triple } else { &triple[..1] };
    let mut at = close.len();
    loop {
        let Some(next) = text[at..].find([quote, '\\']) else {
            return text.len();
        };
        at += next;
        if text[at..].starts_with('\\') {
            at += 1;
            // In single quotes, a backslash may be the last character of the text.
            at += text[at..]
                .chars()
                .next()
                .filter(|_| quote == '"')
                .map_or(0, char::len_utf8);
        } else if text[at..].starts_with(close) {
            return at + close.len();
        } else {
            at += 1;
        }
    }
}

/// User and password in addresses such as `redis://user:password@host`.
pub(crate) fn user_info(text: &str) -> Vec<Range<usize>> {
    let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'');
    let mut found = Vec::new();
    // Up to here, what is no host has been looked through.
    let mut searched = 0;
    for (i, mark) in text.match_indices("://") {
        let start = i + mark.len();
        let rest = &text[start..];
        let authority = &rest[..rest.find(|c| ends(c) || c == '/').unwrap_or(rest.len())];
        if let Some(at) = authority.rfind('@') {
            found.push(start..start + at);
            continue;
        }
        // What is no port is a password, and it may have a `/` in it that should have been written otherwise.
        let port = authority.split_once(':').map_or("", |(_, port)| port);
        if start >= searched && !authority.starts_with('[') && !port.bytes().all(|b| b.is_ascii_digit()) {
            let address = &rest[..rest.find(ends).unwrap_or(rest.len())];
            searched = start + address.len();
            found.extend(address.rfind('@').map(|at| start..start + at));
        }
    }
    found
}

#[cfg(test)]
mod test {
    use super::*;

    fn hidden(text: &str) -> String {
        let mut text = text.to_owned();
        hide(&mut text, &[]);
        text
    }

    #[test]
    fn values_of_secret_keys() {
        assert_eq!(
            hidden("secret = \"hunter2\"\nname = \"a\"\n"),
            "secret = \"*******\"\nname = \"a\"\n"
        );
        assert_eq!(hidden("pasword = \"hé\"\n"), "pasword = \"***\"\n");
        assert_eq!(hidden("x = { password = \"a\" }"), "x = { password = \"*\" *");
        assert_eq!(
            hidden("secret = \"\"\"\nab\ncd\"\"\"\nx = 1"),
            "secret = \"\"\"\n**\n**\"\"\"\nx = 1"
        );
        assert_eq!(hidden("secret = \"ab\ncd\"\nx = 1"), "secret = \"**\n**\"\nx = 1");
        assert_eq!(
            hidden("keys = [\n  \"a]\",\n  'b',\n]\nx = 1"),
            "keys = *\n  \"**\"*\n  '*'*\n*\nx = 1"
        );
        assert_eq!(hidden("secret = \"a\nb = 1"), "secret = \"*\n* * *");
    }

    #[test]
    fn sources_of_secrets_stay() {
        assert_eq!(hidden("secret = \"%{env:A}%x\""), "secret = \"%{env:A}%*\"");
        assert_eq!(hidden("secret = { env = \"A\" }"), "secret = { env = \"A\" }");
    }

    #[test]
    fn user_info_in_addresses() {
        assert_eq!(
            hidden("urls = [\"redis://me:pw@host/0\"]"),
            "urls = [\"redis://*****@host/0\"]"
        );
        assert_eq!(hidden("x = \"https://host/a@b\""), "x = \"https://host/a@b\"");
        assert_eq!(hidden("x = \"redis://me:p/w@host\""), "x = \"redis://******@host\"");
        assert_eq!(hidden("x = \"https://[::1]:80/a@b\""), "x = \"https://[::1]:80/a@b\"");
    }
}
