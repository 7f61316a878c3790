//! A role in table form: `{ shards = 64, replicas = 2, policy = "balanced", … }`.

use crate::json;
use crate::keys;
use crate::known;
use crate::problem::Code;
use crate::reader::Item;
use crate::roles::RoleReader;
use crate::section::Section;
use crate::shared;
use shardwright_core::role::{MAX_SHARDS, Member, Mode, Placement, Replicas, RoleSpec};
use std::collections::HashSet;
use toml::de::{DeTable, DeValue};

/// The modes by their words.
const MODES: [(&str, Mode); 2] = [("primary", Mode::Primary), ("all", Mode::All)];

/// Reads the role `name` from `table`. `None` after any problem.
pub(crate) fn read<'t>(
    context: &RoleReader<'_, '_>,
    item: &Item<'t>,
    table: &'t DeTable<'t>,
    name: &str,
) -> Option<RoleSpec> {
    let reader = context.reader;
    let section = Section::new(reader, table, &item.path, keys::ROLE);
    check_name(context, &section, item, name);
    check_conflicts(&section);
    // Each key is read even after a problem in another one, so that all problems show.
    let mode = section.read("mode", |item| mode(&section, item, name));
    let groups = section.read("groups", |item| {
        let groups = context
            .groups(item, name)
            .filter(|groups| not_empty(&section, item, groups))?;
        if mode.is_none() {
            context.refuse_unsharded(item, name, &groups)?;
        }
        Some(groups)
    });
    let nodes = section.read("nodes", |item| nodes(context, item));
    let shards = section.read("shards", |item| reader.integer32(item, 1..=MAX_SHARDS));
    let replicas = section.read("replicas", |item| replicas(&section, item));
    let policy = section.read("policy", |item| policy(context, item));
    let config = section.read("config", |item| json::text(reader, item));

    let mode = mode.unwrap_or(Mode::Primary);
    let usual_replicas = shared::usual_replicas(mode == Mode::All, groups.is_some());
    let usual_policy = shared::usual_policy(groups.is_some());
    // One that is named and unknown has been reported.
    if policy.is_some() || section.get("policy").is_none() {
        check_settings(&section, policy.as_deref().unwrap_or(usual_policy), config.as_deref());
    }
    section.sound(RoleSpec {
        name: name.to_owned(),
        shards: match &groups {
            Some(groups) => u32::try_from(groups.len()).ok()?,
            None => shards.unwrap_or(1),
        },
        replicas: replicas.unwrap_or(usual_replicas),
        mode,
        policy: policy.unwrap_or_else(|| usual_policy.to_owned()),
        config: config.unwrap_or_else(|| "{}".to_owned()),
        placement: match (groups, nodes) {
            (Some(groups), _) => Placement::Groups(groups),
            (None, Some(nodes)) => Placement::Nodes(nodes),
            (None, None) => Placement::Anywhere,
        },
    })
}

fn mode(section: &Section<'_, '_, '_>, item: &Item<'_>, name: &str) -> Option<Mode> {
    let mode = MODES[section.reader.word(item, &MODES.map(|(word, _)| word))?].1;
    if mode == Mode::All && name == known::PUSH_NOTIFICATIONS {
        let message = "`push-notifications` is always `primary`: with `all`, users would be notified more than once";
        let help = "remove `mode`; one node of each shard acts, the others stand by";
        section.reader.error(Code::AlwaysPrimary, item.span, message, help);
        return None;
    }
    Some(mode)
}

/// The policies that come along take no settings, and refuse any.
fn check_settings(section: &Section<'_, '_, '_>, policy: &str, config: Option<&str>) {
    let given = section
        .get("config")
        .filter(|_| config.is_some_and(|config| config != "{}"));
    if let (Some(item), true) = (given, known::BUNDLED_POLICIES.contains(&policy)) {
        let message = format!("the policy \"{policy}\" takes no settings");
        let help = "remove `config`, or name a policy of your own with `policy`";
        section.reader.error(Code::InvalidValue, item.key_span, message, help);
        section.fail();
    }
}

/// A role of one's own must have a proper name that is no near miss of a known one.
fn check_name(context: &RoleReader<'_, '_>, section: &Section<'_, '_, '_>, item: &Item<'_>, name: &str) {
    let custom = section
        .read("custom", |item| context.reader.flag(item))
        .unwrap_or(false);
    if known::is_known(name) {
        return;
    }
    if !context.reader.check_name("the role's name", name, item.key_span, true) {
        section.fail();
        return;
    }
    let near = known::KNOWN_ROLES
        .iter()
        .find(|role| strsim::damerau_levenshtein(name, role) <= 2);
    if let (Some(role), false) = (near, custom) {
        let help = format!("did you mean `{role}`? If it is a role of your own, add `custom = true`");
        context.reader.error(
            Code::UnknownRole,
            item.key_span,
            format!("there is no role `{name}`"),
            help,
        );
        section.fail();
    }
}

fn check_conflicts(section: &Section<'_, '_, '_>) {
    for (other, help) in [
        ("shards", "remove `shards`: there are as many as groups"),
        ("nodes", "name the nodes in one of the two"),
    ] {
        if let (Some(_), Some(item)) = (section.get("groups"), section.get(other)) {
            section.reader.error(
                Code::ConflictingKeys,
                item.key_span,
                format!("`groups` and `{other}` exclude each other"),
                help,
            );
        }
    }
}

fn not_empty(section: &Section<'_, '_, '_>, item: &Item<'_>, groups: &[Vec<Member>]) -> bool {
    if groups.is_empty() {
        let message = format!("`{}` has no group", item.path);
        section.reader.error(
            Code::EmptyShard,
            item.span,
            message,
            "name the nodes of each shard, as in [\"1,4\", \"2,3\"]",
        );
    }
    !groups.is_empty()
}

fn replicas(section: &Section<'_, '_, '_>, item: &Item<'_>) -> Option<Replicas> {
    match item.value {
        DeValue::String(text) if !crate::secret::has_macro(text) => {
            section.reader.word(item, &["every"]).map(|_| Replicas::Every)
        }
        // The widest row of owners that a plan can hold.
        _ => section.reader.integer32(item, 1..=1_024).map(Replicas::Count),
    }
}

fn policy(context: &RoleReader<'_, '_>, item: &Item<'_>) -> Option<String> {
    let name = context.reader.text(item)?;
    let mut all = known::BUNDLED_POLICIES
        .iter()
        .copied()
        .chain(context.policies.iter().map(String::as_str));
    if all.clone().any(|known| known == name) {
        return Some(name);
    }
    if !context.reader.is_broken() {
        let help = match keys::suggest(&name, all.by_ref()) {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None => format!(
                "add a section `[policy.\"{0}\"]`, or use one of: {1}",
                name.escape_debug(),
                known::BUNDLED_POLICIES.join(", ")
            ),
        };
        let message = format!("there is no policy \"{}\"", name.escape_debug());
        context.reader.error(Code::UnknownPolicy, item.span, message, help);
    }
    None
}

/// The nodes that may own any shard.
fn nodes(context: &RoleReader<'_, '_>, item: &Item<'_>) -> Option<Vec<Member>> {
    let mut members = Vec::new();
    let mut seen = HashSet::new();
    let mut good = true;
    for element in item.elements() {
        let Some(found) = context.members.text(&element) else {
            good = false;
            continue;
        };
        for member in found {
            if context.members.unique(&mut seen, &member, element.span, &item.path) {
                members.push(member);
            } else {
                good = false;
                break;
            }
        }
    }
    if members.is_empty() && good {
        let message = format!("`{}` names no node", item.path);
        context.reader.error(
            Code::EmptyShard,
            item.span,
            message,
            "name some, or remove the key to allow all",
        );
        return None;
    }
    good.then_some(members)
}
