//! Several files of one cluster, compared: what all nodes must share, and what no two may.

use crate::model::{ClusterConfig, CoordinatorConfig};
use crate::parse::Parsed;
use crate::problem::{Code, Problem, Severity, Span};
use crate::stores::{AdapterSource, ComponentSection};
use std::collections::BTreeMap;

/// Every way in which `files` do not fit together, beside their own problems.
pub(crate) fn compare(files: &[Parsed]) -> Vec<Problem> {
    let mut problems = node_ids(files);
    let mut sound = files.iter().filter(|file| !file.has_errors());
    if let Some(first) = sound.next() {
        for other in sound {
            differences(first, other, &mut problems);
        }
    }
    problems
}

fn node_ids(files: &[Parsed]) -> Vec<Problem> {
    let mut holders: BTreeMap<u32, &str> = BTreeMap::new();
    let mut problems = Vec::new();
    for file in files {
        let Some(id) = file.config.node_id else { continue };
        match holders.get(&id) {
            Some(holder) => {
                let message = format!("the node id {id} is also the one of `{holder}`");
                let help = "give each node an id of its own, or remove `node-id` to lease the lowest free one";
                problems.push(problem(file, "node-id", Code::DuplicateNodeId, message, help));
            }
            None => _ = holders.insert(id, &file.source.name),
        }
    }
    problems
}

fn differences(first: &Parsed, other: &Parsed, problems: &mut Vec<Problem>) {
    let (a, b) = (&first.config, &other.config);
    let reference = &first.source.name;
    let help = "all nodes of a cluster must share it: a node that differs refuses to act";
    let settings = [
        ("name", a.name == b.name),
        ("max-node-id", a.max_node_id == b.max_node_id),
        ("timing", a.timing == b.timing),
        ("secret", a.secret == b.secret),
        ("coordinator", may_meet(&a.coordinator, &b.coordinator)),
    ];
    for (key, _) in settings.iter().filter(|(_, same)| !same) {
        let message = format!("`cluster.{key}` differs from `{reference}`");
        problems.push(problem(other, key, Code::SettingsDiffer, message, help));
    }
    // One problem for all roles that nobody has set.
    let mail = a.mail_roles.exist() == b.mail_roles.exist();
    if !mail {
        let exist = |config: &ClusterConfig| if config.mail_roles.exist() { "exist" } else { "do not exist" };
        let message = format!(
            "the mail server's roles {} here ({}), and {} in `{reference}` ({})",
            exist(b),
            b.mail_roles,
            exist(a),
            a.mail_roles
        );
        let place = if other.places.contains_key("preset") { "preset" } else { "roles" };
        let help = "all nodes of a cluster must share its roles: write `preset = \"stalwart\"`, or \"none\", in `[cluster]` of every file";
        problems.push(problem(other, place, Code::SettingsDiffer, message, help));
    }
    let theirs: BTreeMap<_, _> = a.roles.iter().map(|role| (role.name.as_str(), role)).collect();
    let unset = |file: &Parsed, role: &str| !mail && !file.role_places.contains_key(role);
    for role in b.roles.iter().filter(|role| theirs.get(role.name.as_str()) != Some(role)) {
        if unset(other, &role.name) && !theirs.contains_key(role.name.as_str()) {
            continue;
        }
        let message = format!("the role `{}` differs from `{reference}`", role.name);
        let mut found = problem(other, "roles", Code::SettingsDiffer, message.clone(), help);
        if let Some(span) = other.role_places.get(&role.name) {
            found = other
                .source
                .problem(Severity::Error, Code::SettingsDiffer, Some(*span), message, help.to_owned());
        }
        problems.push(found);
    }
    let mine = |name: &str| b.roles.iter().any(|role| role.name == name);
    for role in a.roles.iter().filter(|role| !mine(&role.name) && !unset(first, &role.name)) {
        let message = format!("the role `{}` of `{reference}` is absent", role.name);
        problems.push(problem(other, "roles", Code::SettingsDiffer, message, help));
    }
}

/// Whether nodes may meet there, as far as can be told: of addresses and of an adapter's file, each node may have its own.
fn may_meet(a: &CoordinatorConfig, b: &CoordinatorConfig) -> bool {
    let bundled = |coordinator: &CoordinatorConfig| match coordinator {
        CoordinatorConfig::Component(ComponentSection {
            adapter: AdapterSource::Bundled(name),
            ..
        }) => Some(*name),
        _ => None,
    };
    a.kind() == b.kind() && bundled(a).zip(bundled(b)).is_none_or(|(a, b)| a == b)
}

/// An error at the setting `key`, or at the beginning of a file that does not set it.
fn problem(file: &Parsed, key: &str, code: Code, message: String, help: &str) -> Problem {
    let span = file.places.get(key).copied().unwrap_or(Span { start: 0, end: 0 });
    file.source.problem(Severity::Error, code, Some(span), message, help.to_owned())
}
