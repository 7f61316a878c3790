//! `cluster.coordinator` and the `[store."<id>"]` section that it names.

mod adapter_config;
mod address;
mod component;
mod grant;
mod kafka;
mod nats;
mod redis;
mod redis_address;
mod settings;
mod tls;
mod words;

pub use component::{AdapterBudget, AdapterSource, ComponentSection};
pub use grant::{Grant, GrantScheme};
pub use kafka::{KafkaLogin, KafkaMechanism, KafkaSection};
pub use nats::{NatsLogin, NatsSection};
pub use redis::{RedisSection, RedisTopology};
pub use tls::{Pem, TlsSection};

use crate::keys::{self, Backend, COORDINATORS, OTHER_STORES};
use crate::known::BUNDLED_ADAPTERS;
use crate::model::{CoordinatorConfig, ZenohSection};
use crate::problem::Code;
use crate::reader::{Item, Reader};
use crate::secret;
use settings::Settings;
use std::path::Path;
use toml::de::DeTable;

/// The coordinator that `named` (the value of `cluster.coordinator`) means, among the sections of `root`.
pub(crate) fn coordinator(
    reader: &Reader<'_>,
    root: &DeTable<'_>,
    named: &Item<'_>,
    base: &Path,
) -> Option<CoordinatorConfig> {
    let id = reader.text(named)?;
    if id.trim().is_empty() {
        // Blank is how the mail server has it switched off. A source that holds nothing is a mistake more likely than
        // meant.
        if named.value.as_str().is_some_and(secret::has_macro) {
            let help = "set the variable, or fill the file; to meet in a file of this machine, remove the key";
            reader.error(
                Code::InvalidValue,
                named.span,
                "what `cluster.coordinator` is taken from is empty",
                help,
            );
        }
        return None;
    }
    let stores = root.get("store").and_then(|v| v.get_ref().as_table());
    let Some((key, value)) = stores.and_then(|stores| stores.get_key_value(id.as_str())) else {
        if !reader.is_broken() {
            unknown(reader, named, &id, stores);
        }
        return None;
    };
    let section = Item::new(format!("store.\"{}\"", id.escape_debug()), key.span().into(), value);
    let table = reader.table(&section)?;
    let backend = backend(reader, named, &section, table, &id)?;
    let settings = Settings::read(reader, section, table, backend, base);
    if settings.flag("disable") == Some(true) {
        let message = format!("the coordinator \"{}\" is disabled", id.escape_debug());
        let help = format!("remove `disable` from `[{}]`, or name another section", settings.path());
        settings.error(Code::NotACoordinator, named.span, message, help);
    }
    let config = match backend.kind {
        "memory" => CoordinatorConfig::Memory,
        "redis" => CoordinatorConfig::Redis(redis::read(&settings, id)),
        "nats" => CoordinatorConfig::Nats(nats::read(&settings, id)),
        "kafka" => CoordinatorConfig::Kafka(kafka::read(&settings, id)),
        "component" => CoordinatorConfig::Component(component::read(&settings, id)?),
        "zenoh" => CoordinatorConfig::Zenoh(ZenohSection {
            id,
            config: settings.secret("config")?,
        }),
        _ => CoordinatorConfig::Sqlite {
            path: settings.text("path").map(|path| base.join(path)),
        },
    };
    settings.sound(config)
}

fn unknown(reader: &Reader<'_>, named: &Item<'_>, id: &str, stores: Option<&DeTable<'_>>) {
    let ids = stores.into_iter().flatten().map(|(key, _)| key.get_ref().as_ref());
    let none = ["none", "false", "off", "disable", "disabled", "never"].contains(&id.to_ascii_lowercase().as_str());
    let help = match keys::suggest(id, ids) {
        _ if none => "to have no coordinator but a file of this machine, remove the key".to_owned(),
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

/// What the section's type is.
fn backend(
    reader: &Reader<'_>,
    named: &Item<'_>,
    section: &Item<'_>,
    table: &DeTable<'_>,
    id: &str,
) -> Option<&'static Backend> {
    let types = || COORDINATORS.iter().map(|backend| backend.kind);
    let all = types().collect::<Vec<_>>().join(", ");
    let Some((key, value)) = table.get_key_value("type") else {
        let message = format!("`{}` has no `type`", section.path);
        reader.error(
            Code::MissingKey,
            section.key_span,
            message,
            format!("add one of: {all}"),
        );
        return None;
    };
    let item = Item::new(format!("{}.type", section.path), key.span().into(), value);
    // The mail server folds the case of types, too.
    let text = reader.text(&item)?.to_ascii_lowercase();
    if let Some(found) = COORDINATORS.iter().find(|backend| backend.kind == text) {
        return Some(found);
    }
    if OTHER_STORES.contains(&text.as_str()) {
        let message = format!(
            "\"{}\" is a {text} store, which keeps data but cannot coordinate",
            id.escape_debug()
        );
        let help = match adapter_for(&text) {
            Some(way) => format!("{way}; or name a section of one of the types: {all}"),
            None => format!("name a section of one of the types: {all}"),
        };
        reader.error(Code::NotACoordinator, named.span, message, help);
        return None;
    }
    let meant = keys::suggest(
        &text,
        types()
            .chain(OTHER_STORES.iter().copied())
            .chain(BUNDLED_ADAPTERS.iter().copied()),
    );
    let help = match (meant, meant.and_then(adapter_for)) {
        (_, Some(way)) => way,
        (Some(meant), None) => format!("did you mean \"{meant}\"?"),
        (None, None) => format!("the types that can coordinate are: {all}"),
    };
    let message = format!("there is no store type \"{}\"", text.escape_debug());
    reader.error(Code::UnknownStoreType, item.span, message, help);
    None
}

/// How to coordinate by the servers that a bundled adapter of this name speaks to.
fn adapter_for(name: &str) -> Option<String> {
    let way =
        || format!("an adapter can coordinate there: a section with `type = \"component\"` and `adapter = \"{name}\"`");
    BUNDLED_ADAPTERS.contains(&name).then(way)
}
