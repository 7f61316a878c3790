//! Values of store sections as the mail server's own readers take them: there all of them are texts, with macros in any
//! of them.

use crate::problem::Code;
use crate::reader::{Item, Reader};
use crate::secret;
use std::ops::RangeInclusive;
use toml::de::DeValue;

/// The words by which the mail server takes a limit for none, `0` and an empty text besides.
const OFF: [&str; 4] = ["false", "disable", "disabled", "never"];

/// `true` or `false`, quoted or not.
pub(super) fn flag(reader: &Reader<'_>, item: &Item<'_>) -> Option<bool> {
    let DeValue::String(_) = item.value else {
        return reader.flag(item);
    };
    let text = reader.text(item)?;
    let flag = [true, false]
        .into_iter()
        .find(|flag| flag.to_string().eq_ignore_ascii_case(text.trim()));
    if flag.is_none() {
        let message = format!("`{}` must be `true` or `false`", item.path);
        reader.error(
            Code::WrongType,
            item.span,
            message,
            "write one of the two, without quotes",
        );
    }
    flag
}

/// The one of `words` that `item` is, in whatever case it is written.
pub(super) fn word(reader: &Reader<'_>, item: &Item<'_>, words: &[&'static str]) -> Option<&'static str> {
    let folded = |text: &str| {
        words
            .iter()
            .copied()
            .find(|word| word.eq_ignore_ascii_case(text.trim()))
    };
    let plain = item
        .value
        .as_str()
        .filter(|text| !secret::has_macro(text))
        .and_then(folded);
    plain.or_else(|| reader.word(item, words).map(|i| words[i]))
}

/// Whether `item` turns a limit off.
pub(super) fn is_off(reader: &Reader<'_>, item: &Item<'_>) -> bool {
    let off = |text: &str| text.is_empty() || text == "0" || OFF.iter().any(|word| word.eq_ignore_ascii_case(text));
    match item.value {
        DeValue::Boolean(flag) => !flag,
        DeValue::Integer(number) => number.as_str() == "0",
        // An empty source is an unset variable, more likely than meant.
        DeValue::String(raw) if secret::has_macro(raw) => {
            let text = reader.expand(item, raw, |_| {});
            text.is_ok_and(|text| !text.trim().is_empty() && off(text.trim()))
        }
        DeValue::String(raw) => off(raw.trim()),
        _ => false,
    }
}

/// Milliseconds: as everywhere, or a number in quotes without a unit.
pub(super) fn duration(reader: &Reader<'_>, item: &Item<'_>, range: RangeInclusive<u64>) -> Option<u64> {
    let DeValue::String(raw) = item.value else {
        return reader.duration(item, range);
    };
    let text = match secret::has_macro(raw) {
        true => reader.text(item)?,
        false => raw.to_string(),
    };
    match digits(&text) {
        Some(number) => within(reader, item, number, range, " milliseconds"),
        None => reader.duration(item, range),
    }
}

/// A whole number, quoted or not.
pub(super) fn number(reader: &Reader<'_>, item: &Item<'_>, range: RangeInclusive<u32>) -> Option<u32> {
    match item.value.as_str().and_then(digits) {
        Some(number) => {
            let range = u64::from(*range.start())..=u64::from(*range.end());
            within(reader, item, number, range, "").and_then(|number| u32::try_from(number).ok())
        }
        None => reader.integer32(item, range),
    }
}

/// The number that `text` is; one too long for the type is out of any range.
fn digits(text: &str) -> Option<u64> {
    let digits = text.trim();
    let fits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    fits.then(|| digits.parse().unwrap_or(u64::MAX))
}

fn within(reader: &Reader<'_>, item: &Item<'_>, number: u64, range: RangeInclusive<u64>, unit: &str) -> Option<u64> {
    if range.contains(&number) {
        return Some(number);
    }
    let message = format!(
        "`{}` must be from {} to {}{unit}",
        item.path,
        range.start(),
        range.end()
    );
    reader.error(
        Code::OutOfRange,
        item.span,
        message,
        "write a number within these limits",
    );
    None
}
