//! Reads, checks and explains Shardwright's configuration files.
//!
//! A file describes one node: `[cluster]` with what all nodes share, `[node]` with what is its own. It may be the mail
//! server's own file; sections that are not ours are left alone. Whatever is wrong is collected, with its place and a
//! way out, and nothing is guessed: a malformed entry is an error, never a silently smaller cluster. The keys are
//! described in `docs/configuration.md`.
//!
//! - [`load`] and [`parse`] give a [`ClusterConfig`] and the warnings, or all problems.
//! - [`check`] audits one or several files, as `shardwright check` does.
//! - [`Report`] shows problems to people and machines.
//!
//! ```
//! let text = "[cluster]\nname = \"mail\"\n\n[cluster.roles.purge]\nstores = [\"1,4\", \"2,3\"]\n";
//! let (config, _) = shardwright_config::parse(text, "mail.toml")?;
//! let stores = config.roles.iter().find(|role| role.name == "purge.stores");
//! assert_eq!(stores.map(|role| role.shards), Some(2));
//! # Ok::<(), shardwright_config::Report>(())
//! ```

#![warn(missing_debug_implementations)]

mod audit;
mod cluster;
mod cross;
mod dialect;
mod json;
pub mod keys;
mod known;
mod mask;
mod members;
mod model;
mod node;
mod numbered;
mod parse;
mod policy;
mod preset;
mod problem;
mod reader;
mod redact;
mod registry;
mod report;
mod role_table;
mod roles;
mod secret;
mod section;
mod shared;
mod similar;
mod source;
mod stores;
mod units;

pub use known::{BUNDLED_ADAPTERS, BUNDLED_POLICIES, KNOWN_ROLES};
pub use model::{
    Budget, ClusterConfig, CoordinatorConfig, DEFAULT_MAX_NODE_ID, HIGHEST_MAX_NODE_ID, NodeConfig, PolicySection,
    ZenohSection,
};
pub use preset::{MailRoles, explain_roles};
pub use problem::{Code, Problem, Severity};
pub use report::Report;
pub use secret::Secret;
pub use shared::{Difference, differences, shared_settings, told};
pub use source::MAX_FILE_BYTES;
pub use stores::{
    AdapterBudget, AdapterSource, ComponentSection, Grant, GrantScheme, KafkaLogin, KafkaMechanism, KafkaSection,
    NatsLogin, NatsSection, Pem, RedisSection, RedisTopology, TlsSection,
};

use audit::{Audit, Nodes};
use parse::Parsed;
use source::{Refused, Source};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What [`check`] is told besides the files.
#[derive(Clone, Debug, Default)]
pub struct CheckOptions {
    /// The ids of all nodes of the cluster, if known: then ids that no node holds are found. Several files that all
    /// have a `node-id` say it themselves.
    pub node_ids: Option<BTreeSet<u32>>,
}

/// The configuration in the file at `path`, with the warnings about it.
///
/// # Errors
/// All problems of the file, if one of them is an error.
pub fn load(path: &Path) -> Result<(ClusterConfig, Report), Report> {
    read(Source::read(path))
}

/// The configuration in `text`, with the warnings about it. `name` is how problems call it; relative paths begin at its
/// folder.
///
/// # Errors
/// All problems of the text, if one of them is an error.
pub fn parse(text: &str, name: &str) -> Result<(ClusterConfig, Report), Report> {
    read(Source::checked(name, text.as_bytes().to_vec()))
}

type Opened = Result<Source, Box<Refused>>;

fn read(opened: Opened) -> Result<(ClusterConfig, Report), Report> {
    let mut report = Report::default();
    let files = examine(vec![opened], &CheckOptions::default(), &mut report);
    match files.into_iter().next() {
        Some(file) if !report.has_errors() => Ok((file.config, report)),
        _ => Err(report),
    }
}

/// All problems of the files at `paths`: of each by itself, and, as the files of one cluster's nodes, together.
#[must_use]
pub fn check(paths: &[PathBuf], options: &CheckOptions) -> Report {
    let mut seen = BTreeSet::new();
    let opened = paths
        .iter()
        .filter(|path| seen.insert(*path))
        .map(|path| Source::read(path))
        .collect();
    let mut report = Report::default();
    examine(opened, options, &mut report);
    report
}

/// Reads and audits the files; the problems go to `report`.
fn examine(opened: Vec<Opened>, options: &CheckOptions, report: &mut Report) -> Vec<Parsed> {
    let mut files: Vec<Parsed> = Vec::new();
    let unread = opened.iter().any(Result::is_err);
    for opened in opened {
        match opened {
            Ok(source) => {
                let file = parse::parse(source);
                report.push(file.source.clone(), file.problems.clone());
                files.push(file);
            }
            Err(refused) => report.push(refused.source, vec![refused.problem]),
        }
    }
    let nodes = known_nodes(&files, options, unread);
    let mut audited = BTreeSet::new();
    for file in &files {
        // Files that share their roles share what there is to say about them.
        let first = audited.insert(shared_settings(&file.config).text);
        let audit = Audit::new(file, &nodes).coordinator(first).nodes();
        let audit = if first { audit.roles() } else { audit };
        report.extend(audit.finish());
    }
    report.extend(cross::compare(&files));
    files
}

fn known_nodes(files: &[Parsed], options: &CheckOptions, unread: bool) -> Nodes {
    let own = || {
        files
            .iter()
            .filter_map(|file| file.config.node_id.map(|id| (id, file.config.node.clone())))
    };
    let all_static = files.len() > 1 && !unread && own().count() == files.len();
    Nodes {
        ids: options
            .node_ids
            .clone()
            .unwrap_or_else(|| own().map(|(id, _)| id).collect()),
        complete: options.node_ids.is_some() || all_static,
        details: own().collect(),
    }
}
