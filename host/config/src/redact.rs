//! Keeps out of messages what came from elsewhere: a value that a macro or a source brought in.
//!
//! Whoever writes a message about a value need not think of where it came from: all of them pass through here.

use crate::problem::Span;
use crate::secret::Secret;
use std::collections::BTreeMap;

/// What stands in a message instead.
const HIDDEN: &str = "***";

/// The shortest value that is looked for in messages about other things: a shorter one is a word that may be meant
/// otherwise.
const MIN_ELSEWHERE: usize = 8;

/// The values of one file that must not be shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values {
    /// By place, so that messages about that place are searched thoroughly.
    by_place: BTreeMap<(usize, usize), Vec<Secret>>,
}

impl Values {
    /// Keeps `value`, of the item at `span`, out of messages.
    pub(crate) fn add(&mut self, span: Span, value: &str) {
        let known = self.by_place.entry((span.start, span.end)).or_default();
        let new = |value: &str| !value.is_empty() && !known.iter().any(|known| known.expose() == value);
        // Words are folded before they are looked at, and so are they shown.
        let folded = value.to_ascii_lowercase();
        let spellings = [value, value.trim(), &folded, folded.trim()];
        let escaped = [value, &folded].map(|text| text.escape_debug().to_string());
        let forms = spellings.map(str::to_owned).into_iter().chain(escaped);
        let fresh: Vec<_> = forms.filter(|form| new(form)).map(Secret::new).collect();
        known.extend(fresh);
    }

    /// `text`, which is about `span`, without the values.
    pub(crate) fn redact(&self, span: Option<Span>, text: String) -> String {
        let mut text = text;
        for ((start, end), values) in &self.by_place {
            for value in values
                .iter()
                .map(Secret::expose)
                .filter(|value| value.len() >= MIN_ELSEWHERE)
            {
                if text.contains(value) {
                    text = text.replace(value, HIDDEN);
                }
            }
            if span.is_some_and(|span| span.start < *end && *start < span.end) {
                text = without_parts(&text, values);
            }
        }
        text
    }
}

/// `text` without whatever it has of `values` in quotes or backticks, and without numbers that are in them.
fn without_parts(text: &str, values: &[Secret]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find(['`', '"']) {
        let quote = &rest[open..=open];
        let inside = &rest[open + 1..];
        let Some(length) = inside.find(quote) else { break };
        out.push_str(&without_numbers(&rest[..open], values));
        out.push_str(quote);
        out.push_str(&without_value(&inside[..length], values));
        out.push_str(quote);
        rest = &inside[length + 1..];
    }
    out.push_str(&without_numbers(rest, values));
    out
}

/// What a message quotes: nothing of it if it is a part of a value, and no value that is a part of it.
fn without_value(quoted: &str, values: &[Secret]) -> String {
    if !quoted.is_empty() && values.iter().any(|value| value.expose().contains(quoted)) {
        return HIDDEN.to_owned();
    }
    let mut quoted = quoted.to_owned();
    for value in values.iter().map(Secret::expose).filter(|value| value.len() > 2) {
        quoted = quoted.replace(value, HIDDEN);
    }
    quoted
}

/// `text` without the numbers of three digits and more that are in a value.
fn without_numbers(text: &str, values: &[Secret]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let digits = rest[start..].bytes().take_while(u8::is_ascii_digit).count();
        let number = &rest[start..start + digits];
        let hidden = digits >= 3 && values.iter().any(|value| value.expose().contains(number));
        out.push_str(&rest[..start]);
        out.push_str(if hidden { HIDDEN } else { number });
        rest = &rest[start + digits..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod test {
    use super::*;

    fn values(span: (usize, usize), value: &str) -> Values {
        let mut values = Values::default();
        values.add(
            Span {
                start: span.0,
                end: span.1,
            },
            value,
        );
        values
    }

    #[test]
    fn what_is_quoted_from_a_value_is_hidden_where_it_stands() {
        let values = values((10, 20), "1,4x\n");
        let about = |start, end, text: &str| values.redact(Some(Span { start, end }), text.to_owned());
        assert_eq!(
            about(12, 13, "`4x` in `a.b` is no \"id\""),
            "`***` in `a.b` is no \"id\""
        );
        assert_eq!(about(30, 40, "`4x` in `a.b`"), "`4x` in `a.b`", "another value");
        assert_eq!(
            about(10, 20, "the file `/etc/1,4x` is absent"),
            "the file `/etc/***` is absent"
        );
        let number =
            |text: &str| self::values((10, 20), "12345").redact(Some(Span { start: 10, end: 20 }), text.to_owned());
        assert_eq!(
            number("the id 12345 is not from 1 to 511"),
            "the id *** is not from 1 to 511"
        );
    }

    #[test]
    fn a_long_value_is_hidden_everywhere() {
        let values = values((10, 20), "hunter2 \"long\"");
        assert_eq!(values.redact(None, "it is hunter2 \"long\".".into()), "it is ***.");
        assert_eq!(values.redact(None, "it is hunter2 \\\"long\\\".".into()), "it is ***.");
        assert!(!format!("{values:?}").contains("hunter2"));
    }
}
