//! Sections that are not read, with names like those of sections that are: `[clustre]`, `[cluste.roles.purge]`.

use crate::dialect::{SECTIONS, meant};
use crate::keys;
use crate::problem::{Code, Span};
use crate::reader::Reader;
use crate::secret;
use crate::section::in_order;
use toml::de::{DeTable, DeValue};

/// Warns of every section in `root` that was probably meant as one of ours.
pub(crate) fn check(reader: &Reader<'_>, root: &DeTable<'_>) {
    for (key, value) in in_order(root) {
        let name = key.get_ref();
        if SECTIONS.contains(&name.as_ref()) {
            continue;
        }
        let like = meant(name).filter(|own| *own != "node" || has_key_of_node(value.get_ref()));
        let Some(meant) = like.or_else(|| store(root, name, value.get_ref())) else {
            continue;
        };
        let (rest, header) = first_below(value.get_ref(), value.span().start, &reader.source.text);
        let written = |section: &str| {
            let path = std::iter::once(section)
                .chain(rest.iter().map(String::as_str))
                .collect::<Vec<_>>()
                .join(".");
            if header { format!("[{path}]") } else { path }
        };
        let message = format!(
            "`{}` is not read: there is no section `{}`",
            written(&name.escape_debug().to_string()),
            name.escape_debug()
        );
        let span: Span = key.span().into();
        reader.warn(
            Code::SimilarSection,
            span,
            message,
            format!("did you mean `{}`?", written(meant)),
        );
    }
}

/// Whether a table has a key that `[node]` has: of four letters, there are words that are like it and mean something
/// else.
fn has_key_of_node(value: &DeValue<'_>) -> bool {
    value
        .as_table()
        .is_some_and(|table| table.keys().any(|key| keys::NODE.contains(&key.get_ref().as_ref())))
}

/// `store`, if `name` is like it and holds the coordinator that `store` does not.
fn store(root: &DeTable<'_>, name: &str, value: &DeValue<'_>) -> Option<&'static str> {
    let named = root
        .get("cluster")?
        .get_ref()
        .as_table()?
        .get("coordinator")?
        .get_ref()
        .as_str()?;
    let known = root.get("store").and_then(|stores| stores.get_ref().as_table());
    let missing = known.is_none_or(|stores| !stores.contains_key(named));
    let like = !secret::has_macro(named)
        && name.len() <= 8
        && strsim::damerau_levenshtein("store", &name.to_ascii_lowercase()) <= 2;
    (like && missing && value.as_table()?.contains_key(named)).then_some("store")
}

/// The keys from a table to the first header below it, if it has none of its own, or to the first value. Whether it is
/// a header.
fn first_below(value: &DeValue<'_>, start: usize, text: &str) -> (Vec<String>, bool) {
    let (mut keys, mut value, mut start) = (Vec::new(), value, start);
    loop {
        if text.get(start..).is_some_and(|text| text.starts_with('[')) && value.as_table().is_some() {
            return (keys, true);
        }
        let Some((key, inner)) = value.as_table().and_then(|table| in_order(table).into_iter().next()) else {
            return (keys, false);
        };
        keys.push(key.get_ref().escape_debug().to_string());
        (value, start) = (inner.get_ref(), inner.span().start);
    }
}
