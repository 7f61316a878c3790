//! A role in table form: `{ shards = 64, replicas = 2, policy = "balanced", … }`.

use crate::json;
use crate::keys;
use crate::known;
use crate::problem::Code;
use crate::reader::{Item, Section};
use crate::roles::{MODES, RoleReader};
use shardwright_core::role::{MAX_SHARDS, Member, Mode, Placement, Replicas, RoleSpec};
use std::collections::HashSet;
use toml::de::{DeTable, DeValue};

/// Reads the role `name` from `table`. `None` after any problem.
pub(crate) fn read<'t>(context: &RoleReader<'_, '_>, item: &Item<'t>, table: &'t DeTable<'t>, name: &str) -> Option<RoleSpec> {
    let reader = context.reader;
    let section = Section::new(reader, table, &item.path, keys::ROLE);
    let named = check_own_name(context, &section, item, name);
    conflicts(&section);
    let mut good = named.is_some();
    // Each key is read even after a problem in another one, so that all problems show.
    let mut keep = |ok: bool| good &= ok;

    let mode = section
        .get("mode")
        .map(|item| reader.word(&item, &MODES.map(|(word, _)| word)).map(|i| (MODES[i].1, item)));
    keep(!matches!(mode, Some(None)));
    let mode = mode.flatten();
    if let Some((Mode::All, item)) = &mode
        && name == known::PUSH_NOTIFICATIONS
    {
        let message = "`push-notifications` is always `primary`: with `all`, users would be notified more than once";
        reader.error(
            Code::AlwaysPrimary,
            item.span,
            message,
            "remove `mode`; one node of each shard acts, the others stand by",
        );
        keep(false);
    }
    let explicit_mode = mode.is_some();
    let mode = mode.map_or(Mode::Primary, |(mode, _)| mode);

    let groups = match section.get("groups") {
        None => None,
        Some(item) => {
            let groups = context.groups(&item, name).filter(|groups| not_empty(&section, &item, groups));
            keep(groups.is_some());
            if let Some(groups) = groups.as_ref().filter(|_| !explicit_mode) {
                keep(context.refuse_unsharded(&item, name, groups).is_some());
            }
            groups
        }
    };
    let nodes = match section.get("nodes") {
        None => None,
        Some(item) => {
            let nodes = placement(context, &item);
            keep(nodes.is_some());
            nodes
        }
    };
    let shards = section.get("shards").map(|item| reader.integer32(&item, 1..=MAX_SHARDS));
    keep(shards != Some(None));
    let grouped = groups.is_some();
    let replicas = section.get("replicas").map(|item| replicas(&section, &item));
    keep(replicas != Some(None));
    let policy = section.get("policy").map(|item| policy(context, &item));
    keep(policy != Some(None));
    let config = section.get("config").map(|item| json::text(reader, &item));
    keep(config != Some(None));
    if !good {
        return None;
    }

    let shards_of_groups = groups.as_ref().and_then(|g| u32::try_from(g.len()).ok());
    Some(RoleSpec {
        name: name.to_owned(),
        shards: shards_of_groups.or(shards.flatten()).unwrap_or(1),
        // A role that all owners do wants every node; groups want every member.
        replicas: replicas.flatten().unwrap_or(if mode == Mode::All || grouped {
            Replicas::Every
        } else {
            Replicas::Count(1)
        }),
        mode,
        policy: policy
            .flatten()
            .unwrap_or_else(|| if grouped { known::STATIC_GROUPS } else { known::BALANCED }.to_owned()),
        config: config.flatten().unwrap_or_else(|| "{}".to_owned()),
        placement: match (groups, nodes) {
            (Some(groups), _) => Placement::Groups(groups),
            (None, Some(nodes)) => Placement::Nodes(nodes),
            (None, None) => Placement::Anywhere,
        },
    })
}

/// A role of one's own must have a proper name that is no near miss of a known one.
fn check_own_name(context: &RoleReader<'_, '_>, section: &Section<'_, '_, '_>, item: &Item<'_>, name: &str) -> Option<()> {
    let custom = match section.get("custom") {
        Some(flag) => context.reader.flag(&flag)?,
        None => false,
    };
    if known::is_known(name) {
        return Some(());
    }
    if !context.reader.check_name("the role's name", name, item.key_span, true) {
        return None;
    }
    let near = known::KNOWN_ROLES.iter().find(|role| strsim::damerau_levenshtein(name, role) <= 2);
    match near {
        Some(role) if !custom => {
            let help = format!("did you mean `{role}`? If it is a role of your own, add `custom = true`");
            context
                .reader
                .error(Code::UnknownRole, item.key_span, format!("there is no role `{name}`"), help);
            None
        }
        _ => Some(()),
    }
}

fn conflicts(section: &Section<'_, '_, '_>) {
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
        DeValue::String(text) if !crate::secret::has_macro(text) => section.reader.word(item, &["every"]).map(|_| Replicas::Every),
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
fn placement(context: &RoleReader<'_, '_>, item: &Item<'_>) -> Option<Vec<Member>> {
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
        context
            .reader
            .error(Code::EmptyShard, item.span, message, "name some, or remove the key to allow all");
        return None;
    }
    good.then_some(members)
}
