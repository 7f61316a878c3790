//! Several files of one cluster, compared: what all nodes must share, and what no two may.

use crate::model::{ClusterConfig, CoordinatorConfig};
use crate::parse::Parsed;
use crate::problem::{Code, Problem, Severity, Span};
use crate::shared::{Difference, differences, shared_settings, told};
use crate::stores::{AdapterSource, ComponentSection};
use shardwright_core::values::SharedSettings;
use std::collections::BTreeMap;

/// What a node does about it.
const HELP: &str = "all nodes of a cluster must share it: a node that differs refuses to act";

/// Every way in which `files` do not fit together, beside their own problems.
pub(crate) fn compare(files: &[Parsed]) -> Vec<Problem> {
    let mut problems = node_ids(files);
    let sound: Vec<_> = files
        .iter()
        .filter(|file| !file.has_errors())
        .map(|file| (file, shared_settings(&file.config)))
        .collect();
    let like = |shared: &SharedSettings| sound.iter().filter(|(_, other)| other == shared).count();
    // As among nodes: what most say is what the others are measured by; of equals, the first.
    let Some((first, theirs)) = sound.iter().rev().max_by_key(|(_, shared)| like(shared)) else {
        return problems;
    };
    let reference = match like(theirs) {
        1 => format!("in `{}`", first.source.name),
        many => format!("in `{}` and {} more", first.source.name, many - 1),
    };
    for (other, shared) in sound.iter().filter(|(other, _)| other.source.name != first.source.name) {
        let pair = Pair {
            first,
            other,
            reference: &reference,
        };
        pair.apart(&mut problems);
        pair.shared(&differences(shared, theirs), &mut problems);
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

/// A file, and the one that it is measured by.
struct Pair<'f> {
    first: &'f Parsed,
    other: &'f Parsed,
    /// What the first is called in a sentence.
    reference: &'f str,
}

impl Pair<'_> {
    /// What nodes cannot tell each other, since they do not meet.
    fn apart(&self, problems: &mut Vec<Problem>) {
        let (a, b) = (&self.first.config, &self.other.config);
        if a.secret != b.secret {
            let message = format!("`cluster.secret` is another than {}", self.reference);
            problems.push(problem(self.other, "secret", Code::SettingsDiffer, message, HELP));
        }
        if !may_meet(&a.coordinator, &b.coordinator) {
            let (here, there) = (kind(&b.coordinator), kind(&a.coordinator));
            let message = format!(
                "`cluster.coordinator` is of type \"{here}\" here and \"{there}\" {}",
                self.reference
            );
            problems.push(problem(self.other, "coordinator", Code::SettingsDiffer, message, HELP));
        }
    }

    /// The keys that differ: a problem for each of `[cluster]`, and for each role.
    fn shared(&self, found: &[Difference], problems: &mut Vec<Problem>) {
        let (a, b) = (&self.first.config, &self.other.config);
        // One problem for all roles that nobody has set.
        let mail = a.mail_roles.exist() == b.mail_roles.exist();
        if !mail {
            let exist = |config: &ClusterConfig| {
                if config.mail_roles.exist() {
                    "exist"
                } else {
                    "do not exist"
                }
            };
            let message = format!(
                "the mail server's roles {} here ({}), and {} {} ({})",
                exist(b),
                b.mail_roles,
                exist(a),
                self.reference,
                a.mail_roles
            );
            let place = if self.other.places.contains_key("preset") {
                "preset"
            } else {
                "roles"
            };
            let help = "all nodes of a cluster must share its roles: write `preset = \"stalwart\"`, or \"none\", in \
                        `[cluster]` of every file";
            problems.push(problem(self.other, place, Code::SettingsDiffer, message, help));
        }
        let mut by_place: BTreeMap<Place<'_>, Vec<Difference>> = BTreeMap::new();
        for difference in found {
            let place = Place::of(&difference.key, [a, b]);
            let set = |file: &Parsed| matches!(place, Place::Role(role) if file.role_places.contains_key(role));
            let lacking = difference.here.is_none() || difference.there.is_none();
            if mail || !lacking || matches!(place, Place::Key(_)) || set(self.first) || set(self.other) {
                by_place.entry(place).or_default().push(difference.clone());
            }
        }
        for (place, differences) in by_place {
            let message = told(&differences, "here", self.reference);
            // What a macro brought in is not shown, whichever file has it.
            let message = self.first.source.redacted(place.span(self.first), message);
            let span = place.span(self.other).unwrap_or(Span { start: 0, end: 0 });
            let source = &self.other.source;
            problems.push(source.problem(
                Severity::Error,
                Code::SettingsDiffer,
                Some(span),
                message,
                HELP.to_owned(),
            ));
        }
    }
}

/// Where in a file a shared setting is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place<'k> {
    /// A key of `[cluster]`.
    Key(&'k str),
    Role(&'k str),
}

impl<'k> Place<'k> {
    /// That of `key`, which is one of a role, or a role's name, if one of `configs` has that role.
    fn of(key: &'k str, configs: [&ClusterConfig; 2]) -> Self {
        let known = |name: &str| {
            configs
                .iter()
                .any(|config| config.roles.iter().any(|role| role.name == name))
        };
        let role = key
            .strip_prefix("cluster.roles.")
            .map(|role| match role.rsplit_once('.') {
                Some((name, _)) if known(name) => name,
                _ => role,
            });
        let top = key.split('.').nth(1).unwrap_or(key);
        role.map_or(Self::Key(top), Self::Role)
    }

    fn span(self, file: &Parsed) -> Option<Span> {
        match self {
            Self::Key(key) => file.places.get(key).copied(),
            Self::Role(role) => file.role_places.get(role).or_else(|| file.places.get("roles")).copied(),
        }
    }
}

/// What a coordinator is called where two differ.
fn kind(coordinator: &CoordinatorConfig) -> &str {
    bundled(coordinator).unwrap_or_else(|| coordinator.kind())
}

fn bundled(coordinator: &CoordinatorConfig) -> Option<&'static str> {
    match coordinator {
        CoordinatorConfig::Component(ComponentSection {
            adapter: AdapterSource::Bundled(name),
            ..
        }) => Some(*name),
        _ => None,
    }
}

/// Whether nodes may meet there, as far as can be told: of addresses and of an adapter's file, each node may have its
/// own.
fn may_meet(a: &CoordinatorConfig, b: &CoordinatorConfig) -> bool {
    a.kind() == b.kind() && bundled(a).zip(bundled(b)).is_none_or(|(a, b)| a == b)
}

/// An error at the setting `key`, or at the beginning of a file that does not set it.
fn problem(file: &Parsed, key: &str, code: Code, message: String, help: &str) -> Problem {
    let span = file.places.get(key).copied().unwrap_or(Span { start: 0, end: 0 });
    file.source
        .problem(Severity::Error, code, Some(span), message, help.to_owned())
}
