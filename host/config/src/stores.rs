//! `cluster.coordinator` and the `[store."<id>"]` section that it names.

use crate::keys::{self, COMMON, COORDINATORS, Kind, OTHER_STORES, Setting};
use crate::model::{CoordinatorConfig, SettingValue, StoreSection};
use crate::problem::Code;
use crate::reader::{Item, Reader};
use crate::section::{in_order, unknown_key};
use std::collections::BTreeMap;
use std::path::Path;
use toml::de::{DeTable, DeValue};

/// Durations of backends: up to a day.
const MAX_DURATION: u64 = 86_400_000;

/// The coordinator that `named` (the value of `cluster.coordinator`) means, among the sections of `root`.
pub(crate) fn coordinator(reader: &Reader<'_>, root: &DeTable<'_>, named: &Item<'_>, base: &Path) -> Option<CoordinatorConfig> {
    let id = reader.text(named)?;
    let stores = root.get("store").and_then(|v| v.get_ref().as_table());
    let Some((key, value)) = stores.and_then(|stores| stores.get_key_value(id.as_str())) else {
        if !reader.is_broken() {
            unknown(reader, named, &id, stores);
        }
        return None;
    };
    let section = Item::new(format!("store.\"{}\"", id.escape_debug()), key.span().into(), value);
    let table = reader.table(&section)?;
    let (kind, specific) = kind(reader, named, &section, table, &id)?;
    let settings = settings(reader, &section, table, specific)?;
    if settings.get("disable") == Some(&SettingValue::Flag(true)) {
        let message = format!("the coordinator \"{}\" is disabled", id.escape_debug());
        reader.error(
            Code::NotACoordinator,
            named.span,
            message,
            format!("remove `disable` from `[{}]`, or name another section", section.path),
        );
        return None;
    }
    Some(match kind {
        "memory" => CoordinatorConfig::Memory,
        "sqlite" => CoordinatorConfig::Sqlite {
            path: match settings.get("path") {
                Some(SettingValue::Text(path)) => Some(base.join(path)),
                _ => None,
            },
        },
        _ => CoordinatorConfig::Section(StoreSection {
            id,
            kind: kind.to_owned(),
            settings,
        }),
    })
}

fn unknown(reader: &Reader<'_>, named: &Item<'_>, id: &str, stores: Option<&DeTable<'_>>) {
    let ids = stores.into_iter().flatten().map(|(key, _)| key.get_ref().as_ref());
    let help = match keys::suggest(id, ids) {
        Some(meant) => format!("did you mean \"{meant}\"?"),
        None => format!(
            "add a section `[store.\"{}\"]` with its `type`; without `cluster.coordinator`, a local file is used",
            id.escape_debug()
        ),
    };
    let message = format!(
        "`cluster.coordinator` names \"{0}\", but there is no section `[store.\"{0}\"]`",
        id.escape_debug()
    );
    reader.error(Code::UnknownCoordinator, named.span, message, help);
}

/// The section's type and the settings that it may have.
fn kind(
    reader: &Reader<'_>,
    named: &Item<'_>,
    section: &Item<'_>,
    table: &DeTable<'_>,
    id: &str,
) -> Option<(&'static str, &'static [Setting])> {
    let types = || COORDINATORS.iter().map(|(kind, _)| *kind);
    let all = types().collect::<Vec<_>>().join(", ");
    let Some((key, value)) = table.get_key_value("type") else {
        let message = format!("`{}` has no `type`", section.path);
        reader.error(Code::MissingKey, section.key_span, message, format!("add one of: {all}"));
        return None;
    };
    let item = Item::new(format!("{}.type", section.path), key.span().into(), value);
    let text = reader.text(&item)?;
    if let Some(found) = COORDINATORS.iter().find(|(kind, _)| *kind == text) {
        return Some(*found);
    }
    if OTHER_STORES.contains(&text.as_str()) {
        let message = format!(
            "\"{}\" is a {text} store, which keeps data but cannot coordinate",
            id.escape_debug()
        );
        reader.error(
            Code::NotACoordinator,
            named.span,
            message,
            format!("name a section of one of the types: {all}"),
        );
        return None;
    }
    let help = match keys::suggest(&text, types().chain(OTHER_STORES.iter().copied())) {
        Some(meant) => format!("did you mean \"{meant}\"?"),
        None => format!("the types that can coordinate are: {all}"),
    };
    reader.error(
        Code::UnknownStoreType,
        item.span,
        format!("there is no store type \"{}\"", text.escape_debug()),
        help,
    );
    None
}

fn settings(
    reader: &Reader<'_>,
    section: &Item<'_>,
    table: &DeTable<'_>,
    specific: &'static [Setting],
) -> Option<BTreeMap<&'static str, SettingValue>> {
    let mut walk = Walk {
        reader,
        section,
        specific,
        seen: Vec::new(),
        found: BTreeMap::new(),
        good: true,
    };
    walk.table(table, "");
    let Walk { seen, found, mut good, .. } = walk;
    let sentinel = found.get("redis-type") == Some(&SettingValue::Text("sentinel".to_owned()));
    for setting in COMMON.iter().chain(specific) {
        let needed = setting.required || (sentinel && setting.name == "service-name");
        if needed && !seen.contains(&setting.name) && !reader.is_broken() {
            let message = format!("`{}` has no `{}`", section.path, setting.name);
            reader.error(
                Code::MissingKey,
                section.span,
                message,
                format!("add `{}` to the section", setting.name),
            );
            good = false;
        }
    }
    good.then_some(found)
}

/// A walk through a section, whose keys may be nested (`[store.x.tls] enable`), dotted (`tls.enable`) or joined (`tls-enable`).
struct Walk<'w, 's> {
    reader: &'w Reader<'s>,
    section: &'w Item<'w>,
    specific: &'static [Setting],
    seen: Vec<&'static str>,
    found: BTreeMap<&'static str, SettingValue>,
    good: bool,
}

impl Walk<'_, '_> {
    fn table(&mut self, table: &DeTable<'_>, prefix: &str) {
        for (key, value) in in_order(table) {
            let name = if prefix.is_empty() {
                key.get_ref().to_string()
            } else {
                format!("{prefix}.{}", key.get_ref())
            };
            let item = Item::new(format!("{}.{name}", self.section.path), key.span().into(), value);
            let spelling = keys::canonical(&name);
            let matches = |s: &&Setting| keys::canonical(s.name) == spelling || s.aliases.contains(&spelling.as_str());
            let setting = COMMON.iter().chain(self.specific).find(matches);
            match (setting, item.value) {
                (Some(setting), _) => self.setting(setting, &item),
                (None, DeValue::Table(inner)) => self.table(inner, &name),
                (None, _) => {
                    let names = COMMON.iter().chain(self.specific).map(|s| s.name);
                    unknown_key(self.reader, &name, item.key_span, &self.section.path, names);
                    self.good = false;
                }
            }
        }
    }

    fn setting(&mut self, setting: &Setting, item: &Item<'_>) {
        if self.seen.contains(&setting.name) {
            let message = format!("`{}` is given twice, under different names", setting.name);
            self.reader
                .error(Code::ConflictingKeys, item.key_span, message, "keep one of the two");
            self.good = false;
            return;
        }
        self.seen.push(setting.name);
        if setting.kind == Kind::Ignored {
            return;
        }
        match value(self.reader, setting.kind, item) {
            Some(value) => {
                self.found.insert(setting.name, value);
            }
            None => self.good = false,
        }
    }
}

fn value(reader: &Reader<'_>, kind: Kind, item: &Item<'_>) -> Option<SettingValue> {
    let off = matches!(item.value, DeValue::Boolean(false)) || matches!(item.value, DeValue::String(s) if s == "false");
    match kind {
        Kind::Text => reader.text(item).map(SettingValue::Text),
        Kind::Word(words) => reader.word(item, words).map(|i| SettingValue::Text(words[i].to_owned())),
        Kind::NumberOrOff | Kind::DurationOrOff if off => Some(SettingValue::Flag(false)),
        Kind::Number | Kind::NumberOrOff => number(reader, item).map(SettingValue::Number),
        Kind::Flag => reader.flag(item).map(SettingValue::Flag),
        Kind::Duration | Kind::DurationOrOff => reader.duration(item, 1..=MAX_DURATION).map(SettingValue::Duration),
        Kind::List => not_empty(reader, item, reader.texts(item)).map(SettingValue::List),
        Kind::Secret => reader.secret(item).map(SettingValue::Secret),
        Kind::SecretList => {
            let secrets: Option<Vec<_>> = item.elements().iter().map(|e| reader.secret(e)).collect();
            not_empty(reader, item, secrets?).map(SettingValue::Secrets)
        }
        Kind::Ignored => None,
    }
}

/// A whole number; quoted is accepted in store sections, as the mail server does.
fn number(reader: &Reader<'_>, item: &Item<'_>) -> Option<u64> {
    let quoted = item
        .value
        .as_str()
        .filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()));
    let Some(text) = quoted else {
        return reader.integer(item, 0..=u64::from(u32::MAX));
    };
    let number = text.parse::<u32>().ok();
    if number.is_none() {
        let message = format!("`{}` is too large", item.path);
        reader.error(Code::OutOfRange, item.span, message, "write a number below 4294967296");
    }
    number.map(u64::from)
}

fn not_empty<T>(reader: &Reader<'_>, item: &Item<'_>, list: Vec<T>) -> Option<Vec<T>> {
    if list.is_empty() {
        reader.error(
            Code::InvalidValue,
            item.span,
            format!("`{}` is empty", item.path),
            "give at least one address",
        );
        return None;
    }
    Some(list)
}
