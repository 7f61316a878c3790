//! Hides secrets in the text that problems show.
//!
//! Two nets: the values that the reader knows to be secret, and, since a file may be too broken to be understood, whatever
//! follows a key that sounds like one. Both replace byte for byte, so that every span keeps its meaning.

use crate::problem::Span;
use std::ops::Range;

/// Words that make a key sound secret.
const WORDS: [&str; 8] = ["secret", "pass", "pasw", "pwd", "token", "cred", "key", "auth"];

/// The longest `%{…}%` that is left readable; keeps hostile files from costing quadratic time.
const MAX_MACRO: usize = 512;

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

/// What follows `=` after a key that sounds secret: to the end of the line, or of a multi-line string.
fn suspicious(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let (mut covered, mut previous) = (0, 0);
    for (at, _) in text.match_indices('=') {
        if at < covered {
            continue;
        }
        let before = &text[previous..at];
        previous = at + 1;
        let key = before.rsplit(['{', ',', '\n']).next().unwrap_or(before).to_ascii_lowercase();
        if !WORDS.iter().any(|word| key.contains(word)) {
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
        let multi_line = ["\"\"\"", "'''"].into_iter().find(|quotes| trimmed.starts_with(quotes));
        let length = match multi_line {
            Some(quotes) => {
                let open = value.len() - trimmed.len() + quotes.len();
                value[open..].find(quotes).map_or(value.len(), |i| open + i)
            }
            None => value.find('\n').unwrap_or(value.len()),
        };
        covered = at + 1 + length;
        previous = covered;
        found.push(at + 1..covered);
    }
    found
}

/// User and password in addresses such as `redis://user:password@host`.
pub(crate) fn user_info(text: &str) -> Vec<Range<usize>> {
    let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '/');
    text.match_indices("://")
        .filter_map(|(i, mark)| {
            let start = i + mark.len();
            let rest = &text[start..];
            let authority = &rest[..rest.find(ends).unwrap_or(rest.len())];
            authority.rfind('@').map(|at| start..start + at)
        })
        .collect()
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
    }

    #[test]
    fn sources_of_secrets_stay() {
        assert_eq!(hidden("secret = \"%{env:A}%x\""), "secret = \"%{env:A}%*\"");
        assert_eq!(hidden("secret = { env = \"A\" }"), "secret = { env = \"A\" }");
    }

    #[test]
    fn user_info_in_addresses() {
        assert_eq!(hidden("urls = [\"redis://me:pw@host/0\"]"), "urls = [\"redis://*****@host/0\"]");
        assert_eq!(hidden("x = \"https://host/a@b\""), "x = \"https://host/a@b\"");
    }
}
