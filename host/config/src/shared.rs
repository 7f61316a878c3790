//! The settings that all nodes of a cluster must share, as the canonical text that nodes store, compare by its digest,
//! and explain by.
//!
//! The text is the configuration's own language: one `key = value` a line, sorted by key. What has its default is left
//! out, so a key that a later release adds changes nothing where nobody sets it. A policy's `config` is there as a
//! digest only: macros may bring anything in.

use crate::known;
use crate::model::{ClusterConfig, DEFAULT_MAX_NODE_ID};
use serde::Serialize;
use shardwright_core::role::{Member, Mode, Placement, Replicas, RoleSpec};
use shardwright_core::time::Timing;
use shardwright_core::values::SharedSettings;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use xxhash_rust::xxh3::xxh3_128;

/// The default of `cluster.name`.
const NAME: &str = "default";
/// What the keys of roles begin with.
const ROLES: &str = "cluster.roles.";
/// How many differences a sentence tells, and how much of a value.
const TOLD: usize = 5;
const SHOWN: usize = 120;

/// What `config` says of that which all nodes of its cluster must share: name, upper limit of ids, timing, roles.
#[must_use]
pub fn shared_settings(config: &ClusterConfig) -> SharedSettings {
    let mut lines = BTreeMap::new();
    if config.name != NAME {
        lines.insert("cluster.name".to_owned(), quoted(&config.name));
    }
    if config.max_node_id != DEFAULT_MAX_NODE_ID {
        lines.insert("cluster.max-node-id".to_owned(), config.max_node_id.to_string());
    }
    let usual = timing(&Timing::default());
    for (entry, default) in timing(&config.timing).into_iter().zip(usual) {
        if entry != default {
            lines.insert(format!("cluster.timing.{}", entry.0), entry.1);
        }
    }
    for role in &config.roles {
        for (key, value) in fields(role) {
            lines.insert(format!("{ROLES}{}.{key}", role.name), value);
        }
    }
    let text = lines.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
    SharedSettings { text }
}

/// A setting that differs between two nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The key, as in a configuration; of a role that one side lacks, its name.
    pub key: String,
    /// The value on this side; `None` if it is not set and has no default.
    pub here: Option<String>,
    /// The value on the other side.
    pub there: Option<String>,
}

/// In what `here` and `there` differ, by key.
#[must_use]
pub fn differences(here: &SharedSettings, there: &SharedSettings) -> Vec<Difference> {
    let (here, there) = (Lines::of(here), Lines::of(there));
    let keys: BTreeSet<&str> = here.0.keys().chain(there.0.keys()).copied().collect();
    let mut found: Vec<Difference> = Vec::new();
    for key in keys.into_iter().filter(|key| here.0.get(key) != there.0.get(key)) {
        let role = key
            .strip_prefix(ROLES)
            .and_then(|rest| rest.rsplit_once('.'))
            .map(|(role, _)| role);
        let difference = match role.filter(|role| !here.has_role(role) || !there.has_role(role)) {
            Some(role) => Difference {
                key: format!("{ROLES}{role}"),
                here: here.role(role),
                there: there.role(role),
            },
            None => Difference {
                key: key.to_owned(),
                here: here.value(key),
                there: there.value(key),
            },
        };
        // A role that is lacking has several keys; a default of one key may be what the other side has written.
        if difference.here != difference.there && found.last() != Some(&difference) {
            found.push(difference);
        }
    }
    found
}

/// A sentence's part about `differences`: ``` `cluster.max-node-id` is 63 here and 511 there ```, with what `here` and
/// `there` are called.
#[must_use]
pub fn told(differences: &[Difference], here: &str, there: &str) -> String {
    let mut text = String::new();
    for (n, Difference { key, here: a, there: b }) in differences.iter().take(TOLD).enumerate() {
        let join = if n > 0 { ", " } else { "" };
        // Writing to a text cannot fail.
        let _ = write!(
            text,
            "{join}`{key}` is {} {here} and {} {there}",
            shown(a.as_deref()),
            shown(b.as_deref())
        );
    }
    if differences.len() > TOLD {
        let _ = write!(text, ", and {} more", differences.len() - TOLD);
    }
    text
}

fn shown(value: Option<&str>) -> String {
    match value {
        None => "not set".to_owned(),
        Some(value) if value.chars().count() > SHOWN => value.chars().take(SHOWN).chain(['…']).collect(),
        Some(value) => value.to_owned(),
    }
}

/// The lines of a text.
struct Lines<'t>(BTreeMap<&'t str, &'t str>);

impl<'t> Lines<'t> {
    fn of(settings: &'t SharedSettings) -> Self {
        Self(
            settings
                .text
                .lines()
                .filter_map(|line| line.split_once(" = "))
                .collect(),
        )
    }

    /// The keys of a role, without what they begin with.
    fn fields<'s>(&'s self, role: &'s str) -> impl Iterator<Item = (&'t str, &'t str)> + 's {
        self.0.iter().filter_map(move |(key, value)| {
            let (name, field) = key.strip_prefix(ROLES)?.rsplit_once('.')?;
            (name == role).then_some((field, *value))
        })
    }

    fn has_role(&self, role: &str) -> bool {
        self.fields(role).next().is_some()
    }

    /// The role as a table.
    fn role(&self, role: &str) -> Option<String> {
        let fields: Vec<_> = self
            .fields(role)
            .map(|(key, value)| format!("{key} = {value}"))
            .collect();
        (!fields.is_empty()).then(|| format!("{{ {} }}", fields.join(", ")))
    }

    /// The value of `key`, or its default.
    fn value(&self, key: &str) -> Option<String> {
        let set = self.0.get(key).map(|value| (*value).to_owned());
        set.or_else(|| self.default(key))
    }

    fn default(&self, key: &str) -> Option<String> {
        let (section, field) = key.rsplit_once('.')?;
        if let Some(role) = section.strip_prefix(ROLES) {
            let set = |field: &str| self.fields(role).find(|(key, _)| *key == field).map(|(_, value)| value);
            let (all, groups) = (set("mode").is_some(), set("groups").is_some());
            return Some(match field {
                "mode" => quoted(word(Mode::Primary)),
                "replicas" => replicas(usual_replicas(all, groups)),
                "policy" => quoted(usual_policy(groups)),
                "config" => "{}".to_owned(),
                _ => return None,
            });
        }
        match (section, field) {
            ("cluster", "name") => Some(quoted(NAME)),
            ("cluster", "max-node-id") => Some(DEFAULT_MAX_NODE_ID.to_string()),
            ("cluster.timing", field) => timing(&Timing::default())
                .into_iter()
                .find(|(key, _)| *key == field)
                .map(|(_, value)| value),
            _ => None,
        }
    }
}

/// The durations by their keys.
fn timing(timing: &Timing) -> [(&'static str, String); 10] {
    [
        ("validity", duration(timing.validity)),
        ("renew", duration(timing.renew)),
        ("margin", duration(timing.margin)),
        ("drift-ppm", timing.drift_ppm.to_string()),
        ("stale-after", duration(timing.stale_after)),
        ("inactive-after", duration(timing.inactive_after)),
        ("reuse-after", duration(timing.reuse_after)),
        ("rejoin-delay", duration(timing.rejoin_delay)),
        ("stop-timeout", duration(timing.stop_timeout)),
        ("settle", duration(timing.settle)),
    ]
}

/// Milliseconds in the largest unit that holds them without a rest, as the defaults are written.
fn duration(ms: u64) -> String {
    let unit = [("h", 3_600_000), ("m", 60_000), ("s", 1_000)]
        .into_iter()
        .find(|(_, factor)| ms >= *factor && ms.is_multiple_of(*factor));
    let (name, factor) = unit.unwrap_or(("ms", 1));
    format!("\"{}{name}\"", ms / factor)
}

/// The keys of a role that are not as they would be if they were not set. How many shards there are is always said: it
/// says that there is such a role.
fn fields(role: &RoleSpec) -> Vec<(&'static str, String)> {
    let grouped = matches!(role.placement, Placement::Groups(_));
    let mut fields = match &role.placement {
        Placement::Groups(groups) => {
            let groups: Vec<_> = groups.iter().map(|group| quoted(&members(group))).collect();
            vec![("groups", format!("[{}]", groups.join(", ")))]
        }
        Placement::Nodes(nodes) => vec![("shards", role.shards.to_string()), ("nodes", quoted(&members(nodes)))],
        Placement::Anywhere => vec![("shards", role.shards.to_string())],
    };
    let mut add = |usual: bool, key, value: String| {
        if !usual {
            fields.push((key, value));
        }
    };
    add(role.mode == Mode::Primary, "mode", quoted(word(role.mode)));
    let usual = usual_replicas(role.mode == Mode::All, grouped);
    add(role.replicas == usual, "replicas", replicas(role.replicas));
    add(role.policy == usual_policy(grouped), "policy", quoted(&role.policy));
    let digest = format!("xxh3:{:032x}", xxh3_128(role.config.as_bytes()));
    add(role.config == "{}", "config", quoted(&digest));
    fields
}

/// A role that all owners do wants every node, and groups want every member.
pub(crate) fn usual_replicas(all: bool, groups: bool) -> Replicas {
    if all || groups {
        Replicas::Every
    } else {
        Replicas::Count(1)
    }
}

pub(crate) fn usual_policy(groups: bool) -> &'static str {
    if groups { known::STATIC_GROUPS } else { known::BALANCED }
}

fn replicas(replicas: Replicas) -> String {
    match replicas {
        Replicas::Count(count) => count.to_string(),
        Replicas::Every => quoted("every"),
    }
}

const fn word(mode: Mode) -> &'static str {
    match mode {
        Mode::Primary => "primary",
        Mode::All => "all",
    }
}

/// Members as they are written: three ids and more in a row as a range.
fn members(members: &[Member]) -> String {
    let mut parts = Vec::new();
    let mut rest = members;
    while let Some(first) = rest.first() {
        let mut length = 1;
        match first {
            Member::Label { key, value } => parts.push(format!("{key}={value}")),
            Member::Node(id) => {
                let run = rest
                    .iter()
                    .zip(*id..)
                    .take_while(|(member, id)| **member == Member::Node(*id))
                    .count();
                if run > 2 {
                    length = run;
                    parts.push(format!("{id}-{}", *id as usize + run - 1));
                } else {
                    parts.push(id.to_string());
                }
            }
        }
        rest = &rest[length..];
    }
    parts.join(",")
}

/// A text in double quotes. JSON's escapes are TOML's, too, and no line ends within it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
