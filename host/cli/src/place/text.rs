//! The text of an address, in which macros, `%{env:NAME}%`, are left as they are for the configuration to expand.

use anyhow::{Context, bail};

/// The first byte of `text`, macros aside, that begins a character which `wanted` accepts.
pub(super) fn find(text: &str, wanted: impl Fn(char) -> bool) -> Option<usize> {
    let mut start = 0;
    loop {
        let (plain, after) = to_macro(&text[start..]);
        if let Some(at) = plain.find(&wanted) {
            return Some(start + at);
        }
        start = text.len() - after?.1.len();
    }
}

/// `text` up to its first macro; the macro, and what follows it.
fn to_macro(text: &str) -> (&str, Option<(&str, &str)>) {
    let Some(start) = text.find("%{") else {
        return (text, None);
    };
    let Some(length) = text[start..].find("}%") else {
        return (text, None);
    };
    let (found, rest) = text[start..].split_at(length + 2);
    (&text[..start], Some((found, rest)))
}

/// `text` with each `%` and two hexadecimal digits decoded, macros left as they are.
pub(super) fn decoded(text: &str) -> anyhow::Result<String> {
    let mut out = String::new();
    let mut rest = text;
    loop {
        let (plain, after) = to_macro(rest);
        let plain = percent_decoded(plain)
            .context("a `%` in the address is not followed by two hexadecimal digits of UTF-8; `%` itself is %25")?;
        if plain.contains(char::is_control) {
            bail!("a part of the address has a control character in it");
        }
        if plain.contains("%{") {
            bail!(
                "a part of the address has `%{{` in it, which begins a macro: bring it in with one, as in \
                 %{{env:NAME}}%"
            );
        }
        out.push_str(&plain);
        let Some((found, tail)) = after else { return Ok(out) };
        out.push_str(found);
        rest = tail;
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut pieces = text.split('%');
    bytes.extend_from_slice(pieces.next()?.as_bytes());
    for piece in pieces {
        // `from_str_radix` would take a sign.
        let digits = piece
            .get(..2)
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(piece.get(2..)?.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn what_a_macro_holds_is_not_found() {
        let colon = |text| find(text, |c| c == ':');
        assert_eq!(colon("a:b"), Some(1));
        assert_eq!(colon("%{env:A}%:b"), Some(9));
        assert_eq!(colon("%{env:A}%%{file:/b}%"), None);
        assert_eq!(colon("%{a:b"), Some(3), "without an end it is none");
        assert_eq!(colon("ü%{env:A}%ü:"), Some(13));
    }

    #[test]
    fn what_a_macro_holds_is_not_decoded() {
        let decoded = |text| decoded(text).ok();
        assert_eq!(decoded("%41%{file:/%41}%%42").as_deref(), Some("A%{file:/%41}%B"));
        assert_eq!(decoded("%25%{env:A}%").as_deref(), Some("%%{env:A}%"));
        for refused in [
            "%",
            "%4",
            "%4g",
            "%+4",
            "%c3",
            "%{env:A",
            "%25{env:A}%",
            "%25%7B",
            "%0a",
        ] {
            assert_eq!(decoded(refused), None, "{refused}");
        }
    }
}
