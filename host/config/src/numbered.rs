//! Lists as the mail server writes them back into its own file: a key for each element, as in `urls.0000 = "…"`.

use crate::section::in_order;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

/// The elements of the list that `table` is, in the order of their numbers; `None` unless all of its keys are numbers.
pub(crate) fn elements<'t>(
    table: &'t DeTable<'t>,
) -> Option<Vec<(&'t Spanned<DeString<'t>>, &'t Spanned<DeValue<'t>>)>> {
    if table.is_empty() || !table.keys().all(|key| is_number(key.get_ref())) {
        return None;
    }
    let mut elements = in_order(table);
    elements.sort_by_key(|(key, _)| {
        let digits = key.get_ref().trim_start_matches('0');
        (digits.len(), digits)
    });
    Some(elements)
}

/// Whether `table` is a list.
pub(crate) fn is_list(table: &DeTable<'_>) -> bool {
    elements(table).is_some()
}

fn is_number(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|b| b.is_ascii_digit())
}
