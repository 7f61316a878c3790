//! `[node]`: labels, zone, capacity, state directory.

use crate::keys;
use crate::members::{is_label_key, is_label_value};
use crate::model::NodeConfig;
use crate::problem::Code;
use crate::reader::{Item, Reader};
use crate::section::Section;
use std::path::{Path, PathBuf};

/// The largest capacity; sums over all nodes stay far below 2⁶⁴.
const MAX_CAPACITY: u32 = 1_000_000;

/// Reads the section: what is said of the node, and its state directory.
pub(crate) fn read(reader: &Reader<'_>, item: &Item<'_>, base: &Path) -> (NodeConfig, Option<PathBuf>) {
    let mut node = NodeConfig::default();
    let Some(table) = reader.table(item) else {
        return (node, None);
    };
    let section = Section::new(reader, table, &item.path, keys::NODE);
    if let Some(zone) = section.read("zone", |item| label_value(reader, item)) {
        node.zone = zone;
    }
    if let Some(capacity) = section.read("capacity", |item| reader.integer32(item, 0..=MAX_CAPACITY)) {
        node.capacity = capacity;
    }
    if let Some(labels) = section.get("labels") {
        read_labels(reader, &labels, &mut node);
    }
    let state_dir = section
        .get("state-dir")
        .and_then(|item| reader.text(&item))
        .map(|dir| base.join(dir));
    (node, state_dir)
}

fn read_labels(reader: &Reader<'_>, labels: &Item<'_>, node: &mut NodeConfig) {
    for (key, value) in reader.table(labels).into_iter().flatten() {
        let item = Item::new(format!("{}.{}", labels.path, key.get_ref()), key.span().into(), value);
        if key.get_ref() == "zone" {
            reader.error(
                Code::ConflictingKeys,
                item.key_span,
                "the zone is no label",
                "write it as `zone = \"…\"` in `[node]`; `zone=…` selects it",
            );
        } else if !is_label_key(key.get_ref()) {
            let help = "use 1 to 64 of: letters, digits, `.`, `_`, `-`, `/`";
            reader.error(
                Code::InvalidValue,
                item.key_span,
                "a label's key has a character or length that is not allowed",
                help,
            );
        } else if let Some(value) = label_value(reader, &item) {
            node.labels.insert(key.get_ref().to_string(), value);
        }
    }
}

fn label_value(reader: &Reader<'_>, item: &Item<'_>) -> Option<String> {
    let value = reader.text(item)?;
    if !is_label_value(&value) {
        let help = "use 1 to 128 bytes without `,`, `=`, control characters or blanks around";
        reader.error(
            Code::InvalidValue,
            item.span,
            format!("`{}` cannot be selected by a role", item.path),
            help,
        );
        return None;
    }
    Some(value)
}
