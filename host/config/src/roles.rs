//! `[cluster.roles]`: finds each role in its nest of tables and reads the list forms.

use crate::keys;
use crate::known;
use crate::members::{MemberReader, bare, show_groups};
use crate::problem::{Code, Span};
use crate::reader::{self, Item, Reader};
use crate::role_table;
use shardwright_core::role::{Member, Placement, RoleSpec};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use toml::de::{DeTable, DeValue};

/// The roles that a file sets, with the places of their values.
#[derive(Debug, Default)]
pub(crate) struct Roles {
    pub(crate) set: BTreeMap<String, (RoleSpec, Span)>,
    /// Roles with a problem: neither set nor unset.
    failed: BTreeSet<String>,
}

impl Roles {
    /// All roles, sorted by name: those that are set, and the known ones that are not.
    pub(crate) fn complete(&self) -> Vec<RoleSpec> {
        let mut all: BTreeMap<&str, RoleSpec> = known::KNOWN_ROLES
            .iter()
            .filter(|name| !self.failed.contains(**name))
            .map(|name| (*name, known::unset(name)))
            .collect();
        all.extend(self.set.iter().map(|(name, (spec, _))| (name.as_str(), spec.clone())));
        all.into_values().collect()
    }
}

/// What reading a role needs besides its own value.
pub(crate) struct RoleReader<'r, 's> {
    pub(crate) reader: &'r Reader<'s>,
    pub(crate) members: MemberReader<'r, 's>,
    /// Names of the `[policy."<name>"]` sections.
    pub(crate) policies: BTreeSet<String>,
}

impl RoleReader<'_, '_> {
    /// All roles below `item`, which is `cluster.roles`.
    pub(crate) fn read(&self, item: &Item<'_>) -> Roles {
        let mut roles = Roles::default();
        if let Some(table) = self.reader.table(item) {
            self.children(table, item, "", &mut roles);
        }
        roles
    }

    fn children<'t>(&self, table: &'t DeTable<'t>, item: &Item<'t>, prefix: &str, roles: &mut Roles) {
        for (key, value) in reader::in_order(table) {
            let name = if prefix.is_empty() {
                key.get_ref().to_string()
            } else {
                format!("{prefix}.{}", key.get_ref())
            };
            let child = Item::new(format!("{}.{}", item.path, key.get_ref()), key.span().into(), value);
            self.walk(&child, &name, roles);
        }
    }

    fn walk(&self, item: &Item<'_>, name: &str, roles: &mut Roles) {
        let spec = match item.value {
            DeValue::Table(table) if known::is_known(name) => {
                // A role may be nested under its own name: `[cluster.roles.fts-indexing] fts-indexing = […]`.
                let own = table.iter().find(|(key, _)| is_own_name(key.get_ref(), name));
                if let Some((own_key, value)) = own {
                    for key in table.keys().filter(|key| *key != own_key) {
                        reader::unknown_key(
                            self.reader,
                            key.get_ref(),
                            key.span().into(),
                            &item.path,
                            [own_key.get_ref().as_ref()],
                        );
                    }
                    let child = Item::new(format!("{}.{}", item.path, own_key.get_ref()), own_key.span().into(), value);
                    return self.walk(&child, name, roles);
                }
                if table.is_empty() {
                    return;
                }
                role_table::read(self, item, table, name)
            }
            DeValue::Table(table) if known::nested(name).next().is_some() || !looks_like_definition(table) => {
                return self.children(table, item, name, roles);
            }
            DeValue::Table(table) => role_table::read(self, item, table, name),
            DeValue::Array(_) | DeValue::String(_) | DeValue::Integer(_) => {
                if !known::is_known(name) {
                    self.unknown_role(item, name);
                    return;
                }
                match self.list(item, name) {
                    Some(None) => return,
                    Some(spec) => spec,
                    None => None,
                }
            }
            _ => {
                self.reader
                    .wrong_type(item, "a list or a table", "write the shards as in [\"1,4\", \"2,3\"]");
                None
            }
        };
        let new = !roles.set.contains_key(name) && !roles.failed.contains(name);
        if !new {
            self.reader.error(
                Code::DuplicateRole,
                item.key_span,
                format!("the role `{name}` is set twice"),
                "keep one of the two",
            );
        }
        match spec {
            Some(spec) if new => {
                roles.set.insert(name.to_owned(), (spec, item.span));
            }
            _ => {
                roles.failed.insert(name.to_owned());
            }
        }
    }

    fn unknown_role(&self, item: &Item<'_>, name: &str) {
        let nested: Vec<_> = known::nested(name).map(|role| format!("`{role}`")).collect();
        let help = match keys::suggest(name, known::KNOWN_ROLES.iter().copied()) {
            _ if !nested.is_empty() => format!("did you mean {}?", nested.join(" or ")),
            Some(meant) => format!("did you mean `{meant}`?"),
            None => {
                "the mail server's roles are: ".to_owned()
                    + &known::KNOWN_ROLES.join(", ")
                    + "; a role of your own takes the table form: `{ groups = [\"1,4\"] }` or `{ shards = 64 }`"
            }
        };
        self.reader.error(
            Code::UnknownRole,
            item.key_span,
            format!("there is no role `{}`", name.escape_debug()),
            help,
        );
    }

    /// A list form. `Some(None)` if the list is empty, which is as if it were absent; `None` after any problem.
    fn list(&self, item: &Item<'_>, name: &str) -> Option<Option<RoleSpec>> {
        let groups = self.groups(item, name)?;
        if groups.is_empty() {
            return Some(None);
        }
        self.refuse_unsharded(item, name, &groups)?;
        Some(Some(RoleSpec {
            shards: u32::try_from(groups.len()).ok()?,
            policy: known::STATIC_GROUPS.to_owned(),
            placement: Placement::Groups(groups),
            ..known::unset(name)
        }))
    }

    /// The shards of a list: one for each string, or a single one for integers, as older releases meant them.
    pub(crate) fn groups(&self, item: &Item<'_>, name: &str) -> Option<Vec<Vec<Member>>> {
        let elements = item.elements();
        let mut good = true;
        for element in &elements {
            let refused = match element.value {
                DeValue::String(_) | DeValue::Integer(_) => continue,
                DeValue::Array(_) => {
                    let message = format!("`{}` has a list inside its list", item.path);
                    let help = "write each shard as one string, as in [\"1,4\", \"2,3\"]";
                    self.reader.error(Code::NestedList, element.span, message, help);
                    true
                }
                _ => false,
            };
            if !refused {
                self.reader.wrong_type(
                    element,
                    "a list of strings",
                    "write each shard as one string, as in [\"1,4\", \"2,3\"]",
                );
            }
            good = false;
        }
        let integers = elements.iter().filter(|e| matches!(e.value, DeValue::Integer(_))).count();
        if integers == 0 {
            let groups: Vec<_> = elements
                .iter()
                .filter(|e| matches!(e.value, DeValue::String(_)))
                .map(|e| self.members.text(e))
                .collect();
            return groups.into_iter().collect::<Option<Vec<_>>>().filter(|_| good);
        }
        if let Some(text) = elements.iter().find(|e| matches!(e.value, DeValue::String(_))) {
            let message = format!("`{}` mixes integers and strings", item.path);
            self.reader.error(
                Code::MixedList,
                text.span,
                message,
                "write every shard as a string, as in [\"1,4\", \"2,3\"]",
            );
            return None;
        }
        let members = self.integers(&elements, item)?;
        if name != known::PUSH_NOTIFICATIONS || members.len() == 1 {
            let message = format!(
                "integers in `{}` are read as older releases meant them: the members of one group",
                item.path
            );
            let help = format!("write it as {}", show_groups(std::slice::from_ref(&members)));
            self.reader.warn(Code::IntegerList, item.span, message, help);
        }
        good.then(|| vec![members])
    }

    fn integers(&self, elements: &[Item<'_>], item: &Item<'_>) -> Option<Vec<Member>> {
        let mut seen = HashSet::new();
        let mut members = Vec::new();
        let mut good = true;
        for element in elements.iter().filter(|e| matches!(e.value, DeValue::Integer(_))) {
            match self.members.integer(element) {
                Some(member) if self.members.unique(&mut seen, &member, element.span, &item.path) => members.push(member),
                _ => good = false,
            }
        }
        good.then_some(members)
    }

    /// `push-notifications` as one group of several nodes: under the older meaning each would notify.
    pub(crate) fn refuse_unsharded(&self, item: &Item<'_>, name: &str, groups: &[Vec<Member>]) -> Option<()> {
        let [group] = groups else { return Some(()) };
        let one_node = matches!(group.as_slice(), [Member::Node(_)]);
        if name != known::PUSH_NOTIFICATIONS || one_node {
            return Some(());
        }
        let ids: Vec<u32> = group
            .iter()
            .filter_map(|m| if let Member::Node(id) = m { Some(*id) } else { None })
            .collect();
        let corrected = if ids.len() == group.len() && ids.len() <= 8 {
            // Each node acts for one shard, and the next one stands by.
            let shards: Vec<_> = (0..ids.len())
                .map(|i| vec![Member::Node(ids[i]), Member::Node(ids[(i + 1) % ids.len()])])
                .collect();
            show_groups(&shards)
        } else {
            let nodes: Vec<_> = group.iter().take(8).map(bare).collect();
            format!(
                "{{ shards = 16, replicas = 2, nodes = [\"{}{}\"] }}",
                nodes.join(","),
                if group.len() > 8 { ",…" } else { "" }
            )
        };
        self.reader.error(
            Code::UnshardedPush,
            item.span,
            "`push-notifications` must be sharded: with one list of several nodes, users would be notified more than once",
            format!("give each node a shard and a standby: push-notifications = {corrected}"),
        );
        None
    }
}

/// Whether `key` repeats the role's name, or its last word.
fn is_own_name(key: &str, name: &str) -> bool {
    key == name || name.rsplit('.').next() == Some(key)
}

/// Whether a table defines a role rather than holding some: it is empty, or has a key of the table form, if misspelt.
fn looks_like_definition(table: &DeTable<'_>) -> bool {
    let is_key = |key: &str, value: &DeValue<'_>| {
        keys::ROLE.contains(&key) || (!value.is_table() && keys::suggest(key, keys::ROLE.iter().copied()).is_some())
    };
    table.is_empty() || table.iter().any(|(key, value)| is_key(key.get_ref(), value.get_ref()))
}
