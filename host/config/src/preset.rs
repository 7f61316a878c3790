//! Whether the mail server's roles exist in a cluster, and by which rule.

use crate::dialect::SECTIONS;
use crate::keys;
use crate::known;
use crate::model::{ClusterConfig, CoordinatorConfig};
use crate::reader::{Item, Reader};
use crate::roles::Roles;
use crate::section::in_order;
use std::fmt;
use toml::de::DeTable;

/// Whether the mail server's roles exist beside those that a file sets, and why. The rules are tried in the order of
/// the variants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailRoles {
    /// They exist: `cluster.preset` is `"stalwart"`.
    Preset,
    /// Only those exist that the file sets: `cluster.preset` is `"none"`.
    Declined,
    /// They exist: the file mentions this one.
    Mentioned(&'static str),
    /// They exist: the file is the mail server's own, which does not start without `storage.data`.
    ItsOwnFile,
    /// They exist: the file sets no role, and says this, which files of the mail server say. Such a file means all of
    /// its roles.
    LikeItsFile(String),
    /// None exists: the file sets roles of its own and mentions none of the mail server's.
    OthersOnly,
    /// None exists: the file sets no role, and nothing in it is the mail server's.
    NotItsFile,
}

impl MailRoles {
    /// Whether all of the mail server's roles exist.
    #[must_use]
    pub fn exist(&self) -> bool {
        match self {
            Self::Preset | Self::Mentioned(_) | Self::ItsOwnFile | Self::LikeItsFile(_) => true,
            Self::Declined | Self::OthersOnly | Self::NotItsFile => false,
        }
    }

    /// By which rule, given what the file says: its tree, its roles, its coordinator, and `cluster.preset`.
    pub(crate) fn of(root: &DeTable<'_>, roles: &Roles, coordinator: &CoordinatorConfig, preset: Option<&str>) -> Self {
        match preset {
            Some(STALWART) => return Self::Preset,
            Some(_) => return Self::Declined,
            None => {}
        }
        if let Some(name) = roles.mentioned {
            return Self::Mentioned(name);
        }
        let table = |key: &str| root.get(key).and_then(|value| value.get_ref().as_table());
        if table("storage").is_some_and(|storage| storage.contains_key("data")) {
            return Self::ItsOwnFile;
        }
        if !roles.is_empty() {
            return Self::OthersOnly;
        }
        match table("cluster").and_then(|cluster| of_its_cluster(cluster, coordinator)) {
            Some(says) => Self::LikeItsFile(says),
            None => other_section(root).map_or(Self::NotItsFile, Self::LikeItsFile),
        }
    }
}

impl fmt::Display for MailRoles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Preset => f.write_str("`cluster.preset` is \"stalwart\""),
            Self::Declined => f.write_str("`cluster.preset` is \"none\""),
            Self::Mentioned(name) => write!(f, "the file mentions `{name}`"),
            Self::ItsOwnFile => f.write_str("the file has the mail server's `storage.data`"),
            Self::LikeItsFile(says) => write!(
                f,
                "the file sets no role and has {says}, as the mail server's files have"
            ),
            Self::OthersOnly => f.write_str("the file mentions none of them"),
            Self::NotItsFile => f.write_str("the file sets no role, and nothing in it is the mail server's"),
        }
    }
}

/// The preset with the mail server's roles.
const STALWART: &str = "stalwart";

/// The values of `cluster.preset`.
const PRESETS: [&str; 2] = [STALWART, "none"];

/// `cluster.preset`.
pub(crate) fn read(reader: &Reader<'_>, item: &Item<'_>) -> Option<&'static str> {
    reader
        .word(item, &PRESETS)
        .and_then(|index| PRESETS.get(index).copied())
}

/// What in `[cluster]` only files of the mail server have, or have as well: not `node-id`, which is particular to each
/// node and must not decide what all nodes share.
fn of_its_cluster(cluster: &DeTable<'_>, coordinator: &CoordinatorConfig) -> Option<String> {
    let shown = |key: &str| format!("`cluster.{key}`");
    if let Some(key) = keys::GOSSIP.iter().find(|key| cluster.contains_key(**key)) {
        return Some(shown(key));
    }
    // A blank one is how the mail server's web administration switches it off.
    let its_kind = match coordinator {
        CoordinatorConfig::Redis(_)
        | CoordinatorConfig::Nats(_)
        | CoordinatorConfig::Kafka(_)
        | CoordinatorConfig::Zenoh(_) => true,
        CoordinatorConfig::Sqlite { path } => path.is_none(),
        CoordinatorConfig::Memory | CoordinatorConfig::Component(_) => false,
    };
    let is_blank = matches!(coordinator, CoordinatorConfig::Sqlite { .. });
    let what = match is_blank {
        true => format!("a blank {}", shown("coordinator")),
        false => format!("{} of type \"{}\"", shown("coordinator"), coordinator.kind()),
    };
    (its_kind && cluster.contains_key("coordinator")).then_some(what)
}

/// The first section that is none of ours.
fn other_section(root: &DeTable<'_>) -> Option<String> {
    let mut names = in_order(root).into_iter().map(|(key, _)| key.get_ref());
    let name = names.find(|name| !SECTIONS.contains(&name.as_ref()) && *name != "store")?;
    let name: String = name.chars().take(40).collect();
    Some(format!("`[{}]`", name.escape_debug()))
}

/// Which roles exist in the cluster of `config`, and why: one line.
#[must_use]
pub fn explain_roles(config: &ClusterConfig) -> String {
    let own: Vec<_> = config
        .roles
        .iter()
        .map(|role| role.name.as_str())
        .filter(|name| !(config.mail_roles.exist() && known::is_known(name)))
        .collect();
    let why = &config.mail_roles;
    let named = match own.len() {
        0 => String::new(),
        1..=8 => own.join(", "),
        many => format!("{}, … ({many} in all)", own[..8].join(", ")),
    };
    match (why.exist(), named.as_str()) {
        (true, "") => format!("roles: the mail server's {}: {why}", known::KNOWN_ROLES.len()),
        (true, _) => format!(
            "roles: {named}, and the mail server's {}: {why}",
            known::KNOWN_ROLES.len()
        ),
        (false, "") => {
            format!(
                "roles: none: {why}; add some in [cluster.roles], or the mail server's by `preset = \"stalwart\"` in \
                 [cluster]"
            )
        }
        (false, _) => format!("roles: {named}, and none of the mail server's: {why}"),
    }
}
