//! One file, from its text to a [`ClusterConfig`] and all of its problems.

use crate::cluster;
use crate::dialect;
use crate::members::MemberReader;
use crate::model::{ClusterConfig, CoordinatorConfig, DEFAULT_MAX_NODE_ID, HIGHEST_MAX_NODE_ID, NodeConfig};
use crate::node;
use crate::policy;
use crate::preset::{self, MailRoles};
use crate::problem::{Problem, Severity, Span};
use crate::reader::{Item, Reader};
use crate::registry;
use crate::roles::{RoleReader, Roles};
use crate::similar;
use crate::source::Source;
use crate::stores;
use shardwright_core::time::Timing;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use toml::de::DeTable;

/// A file as read: what it says, where it says it, what is wrong with it.
pub(crate) struct Parsed {
    pub(crate) config: ClusterConfig,
    /// The places of the settings that other files or the audit may object to, by key.
    pub(crate) places: BTreeMap<&'static str, Span>,
    /// The places of the roles that the file sets.
    pub(crate) role_places: BTreeMap<String, Span>,
    /// The text, secrets masked.
    pub(crate) source: Source,
    pub(crate) problems: Vec<Problem>,
}

impl Parsed {
    pub(crate) fn has_errors(&self) -> bool {
        self.problems.iter().any(|p| p.severity == Severity::Error)
    }
}

/// Reads `source`, completely, whatever is wrong with it.
pub(crate) fn parse(source: Source) -> Parsed {
    let mut reader = Reader::new(&source);
    let root = tree(&mut reader, &source.text);
    let mut places = BTreeMap::new();
    let (config, roles) = read(&reader, &root, &mut places);
    let (problems, secrets, values) = reader.finish();
    let role_places = roles.set.into_iter().map(|(name, (_, span))| (name, span)).collect();
    drop(root);
    Parsed {
        config,
        places,
        role_places,
        source: source.masked(&secrets, values),
        problems,
    }
}

/// The tree of the file: as TOML has it, or else as the mail server's reader would.
fn tree<'t>(reader: &mut Reader<'_>, text: &'t str) -> DeTable<'t> {
    if let Some((message, help)) = registry::explain(text) {
        reader.refuse(message, help);
        return DeTable::new();
    }
    let (root, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() && !dialect::has_other_case(root.get_ref()) {
        return root.into_inner();
    }
    drop(root);
    let (root, findings) = dialect::read(text, &errors);
    for finding in findings {
        reader.found(finding);
    }
    root
}

fn read(reader: &Reader<'_>, root: &DeTable<'_>, places: &mut BTreeMap<&'static str, Span>) -> (ClusterConfig, Roles) {
    let base = Path::new(&reader.source.name)
        .parent()
        .map(PathBuf::from)
        .unwrap_or_default();
    let top = |key: &str| {
        root.get_key_value(key)
            .map(|(key, value)| Item::new(key.get_ref().to_string(), key.span().into(), value))
    };

    similar::check(reader, root);
    let policies = top("policy")
        .map(|item| policy::read(reader, &item, &base))
        .unwrap_or_default();
    // A policy that is wrong is still meant by the roles that name it.
    let named = top("policy").and_then(|item| item.value.as_table());
    let policy_names: BTreeSet<String> = named
        .into_iter()
        .flatten()
        .map(|(key, _)| key.get_ref().to_string())
        .collect();
    let (node, state_dir) = top("node").map_or((NodeConfig::default(), None), |item| node::read(reader, &item, &base));
    let mut config = ClusterConfig {
        name: "default".to_owned(),
        node_id: None,
        max_node_id: DEFAULT_MAX_NODE_ID,
        coordinator: CoordinatorConfig::Sqlite { path: None },
        secret: None,
        roles: Vec::new(),
        mail_roles: MailRoles::NotItsFile,
        timing: Timing::default(),
        node,
        policies,
        state_dir,
        server_hostname: server_hostname(reader, top("server").as_ref()),
    };
    let mut roles = Roles::default();
    let mut preset = None;
    let cluster = top("cluster").and_then(|item| {
        reader
            .table(&item)
            .map(|table| cluster::section(reader, table, &item, places))
    });
    if let Some(section) = cluster {
        let mut get = |key: &'static str| section.get(key).inspect(|item| _ = places.insert(key, item.span));
        if let Some(name) = get("name").and_then(|item| cluster::name(reader, &item)) {
            config.name = name;
        }
        if let Some(max) = get("max-node-id").and_then(|item| reader.integer32(&item, 1..=HIGHEST_MAX_NODE_ID)) {
            config.max_node_id = max;
        }
        config.node_id = get("node-id").and_then(|item| cluster::node_id(reader, &item, config.max_node_id));
        config.secret = get("secret").and_then(|item| cluster::secret(reader, &item));
        if let Some(timing) = get("timing").and_then(|item| cluster::timing(reader, &item)) {
            config.timing = timing;
        }
        if let Some(coordinator) = get("coordinator").and_then(|item| stores::coordinator(reader, root, &item, &base)) {
            config.coordinator = coordinator;
        }
        preset = get("preset").and_then(|item| preset::read(reader, &item));
        if let Some(item) = get("roles") {
            let members = MemberReader::new(reader, config.max_node_id);
            roles = RoleReader {
                reader,
                members,
                policies: policy_names,
            }
            .read(&item);
        }
    }
    config.mail_roles = MailRoles::of(root, &roles, &config.coordinator, preset);
    config.roles = roles.complete(config.mail_roles.exist());
    (config, roles)
}

/// `server.hostname`. The other keys of `[server]` are the mail server's own.
fn server_hostname(reader: &Reader<'_>, server: Option<&Item<'_>>) -> Option<String> {
    let (key, value) = server?.value.as_table()?.get_key_value("hostname")?;
    reader.text(&Item::new("server.hostname".to_owned(), key.span().into(), value))
}
