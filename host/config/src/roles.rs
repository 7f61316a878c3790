//! `[cluster.roles]`: finds each role in its nest of tables and reads the list forms.

use crate::keys;
use crate::known;
use crate::members::{MemberReader, bare, show_groups};
use crate::numbered;
use crate::problem::{Code, Span};
use crate::reader::{Item, Reader};
use crate::role_table;
use crate::section::{in_order, unknown_key};
use shardwright_core::role::{Member, Placement, RoleSpec};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use toml::de::{DeTable, DeValue};

/// The roles that a file sets, with the places of their values.
#[derive(Debug, Default)]
pub(crate) struct Roles {
    pub(crate) set: BTreeMap<String, (RoleSpec, Span)>,
    /// Roles with a problem: neither set nor unset.
    failed: BTreeSet<String>,
    /// The first of the mail server's roles that the file names, be it empty.
    pub(crate) mentioned: Option<&'static str>,
}

impl Roles {
    /// Whether the file sets no role, not even a wrong one.
    pub(crate) fn is_empty(&self) -> bool {
        self.set.is_empty() && self.failed.is_empty()
    }

    /// All roles, sorted by name: those that are set, and, `with_known`, the known ones that are not.
    pub(crate) fn complete(&self, with_known: bool) -> Vec<RoleSpec> {
        let mut all: BTreeMap<&str, RoleSpec> = known::KNOWN_ROLES
            .iter()
            .filter(|name| with_known && !self.failed.contains(**name))
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
        for (key, value) in in_order(table) {
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
        let is_role = |known: &&&str| **known == name;
        roles.mentioned = roles.mentioned.or(known::KNOWN_ROLES.iter().find(is_role).copied());
        let known = known::is_known(name);
        let spec = match item.value {
            // Empty is as if it were absent.
            DeValue::Array(list) if known && list.is_empty() => return,
            DeValue::Table(table) if known && table.is_empty() => return,
            _ if is_list_form(item.value) && known => self.list(item, name),
            _ if is_list_form(item.value) => return self.unknown_role(item, name),
            DeValue::Table(table) if known => match table.iter().find(|(key, _)| is_own_name(key.get_ref(), name)) {
                Some((key, _)) => return self.under_own_name(table, item, key.get_ref(), name, roles),
                None => role_table::read(self, item, table, name),
            },
            DeValue::Table(table) if known::nested(name).next().is_some() || !looks_like_definition(table) => {
                return self.children(table, item, name, roles);
            }
            DeValue::Table(table) => role_table::read(self, item, table, name),
            _ => {
                let help = "write the shards as in [\"1,4\", \"2,3\"]";
                self.reader.wrong_type(item, "a list or a table", help);
                None
            }
        };
        if roles.set.contains_key(name) || roles.failed.contains(name) {
            let message = format!("the role `{name}` is set twice");
            self.reader
                .error(Code::DuplicateRole, item.key_span, message, "keep one of the two");
        } else if let Some(spec) = spec {
            roles.set.insert(name.to_owned(), (spec, item.span));
        } else {
            roles.failed.insert(name.to_owned());
        }
    }

    /// A role under its own name: `[cluster.roles.fts-indexing] fts-indexing = […]`.
    fn under_own_name<'t>(&self, table: &'t DeTable<'t>, item: &Item<'t>, own: &str, name: &str, roles: &mut Roles) {
        for (key, value) in in_order(table) {
            let span = key.span().into();
            if key.get_ref() == own {
                self.walk(&Item::new(format!("{}.{own}", item.path), span, value), name, roles);
            } else {
                unknown_key(self.reader, key.get_ref(), span, &item.path, [own]);
            }
        }
    }

    fn unknown_role(&self, item: &Item<'_>, name: &str) {
        let nested: Vec<_> = known::nested(name).map(|role| format!("`{role}`")).collect();
        let help = match keys::suggest(name, known::KNOWN_ROLES.iter().copied()) {
            _ if name == "preset" => "`preset` stands in `[cluster]`, beside `roles`".to_owned(),
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

    /// A list form, which is not empty.
    fn list(&self, item: &Item<'_>, name: &str) -> Option<RoleSpec> {
        let groups = self.groups(item, name)?;
        self.refuse_unsharded(item, name, &groups)?;
        Some(RoleSpec {
            shards: u32::try_from(groups.len()).ok()?,
            policy: known::STATIC_GROUPS.to_owned(),
            placement: Placement::Groups(groups),
            ..known::unset(name)
        })
    }

    /// The shards of a list: one for each string, or a single one for integers, as older releases meant them.
    pub(crate) fn groups(&self, item: &Item<'_>, name: &str) -> Option<Vec<Vec<Member>>> {
        let help = "write each shard as one string, as in [\"1,4\", \"2,3\"]";
        let (mut strings, mut integers, mut good) = (Vec::new(), Vec::new(), true);
        for element in item.elements() {
            match element.value {
                DeValue::String(_) => strings.push(element),
                DeValue::Integer(_) => integers.push(element),
                DeValue::Array(_) => {
                    let message = format!("`{}` has a list inside its list", item.path);
                    self.reader.error(Code::NestedList, element.span, message, help);
                    good = false;
                }
                _ => {
                    self.reader.wrong_type(&element, "a list of strings", help);
                    good = false;
                }
            }
        }
        if let (Some(text), Some(_)) = (strings.first(), integers.first()) {
            let message = format!("`{}` mixes integers and strings", item.path);
            self.reader.error(Code::MixedList, text.span, message, help);
            return None;
        }
        let groups: Vec<_> = if integers.is_empty() {
            strings.iter().map(|text| self.members.text(text)).collect()
        } else {
            vec![self.integers(&integers, item, name)]
        };
        groups.into_iter().collect::<Option<_>>().filter(|_| good)
    }

    /// The one group that a list of integers is.
    fn integers(&self, integers: &[Item<'_>], item: &Item<'_>, name: &str) -> Option<Vec<Member>> {
        let mut seen = HashSet::new();
        let mut members = Vec::new();
        for integer in integers {
            if let Some(member) = self.members.integer(integer)
                && self.members.unique(&mut seen, &member, integer.span, &item.path)
            {
                members.push(member);
            }
        }
        if members.len() < integers.len() {
            return None;
        }
        // Several nodes of `push-notifications` are refused: no spelling would help.
        if name != known::PUSH_NOTIFICATIONS || members.len() == 1 {
            let message = format!(
                "integers in `{}` are read as older releases meant them: the members of one group",
                item.path
            );
            let help = format!("write it as {}", show_groups(std::slice::from_ref(&members)));
            self.reader.warn(Code::IntegerList, item.span, message, help);
        }
        Some(members)
    }

    /// `push-notifications` as one group of several nodes: under the older meaning each would notify.
    pub(crate) fn refuse_unsharded(&self, item: &Item<'_>, name: &str, groups: &[Vec<Member>]) -> Option<()> {
        let [group] = groups else { return Some(()) };
        let one_node = matches!(group.as_slice(), [Member::Node(_)]);
        if name != known::PUSH_NOTIFICATIONS || one_node {
            return Some(());
        }
        let shown: Vec<_> = group.iter().take(8).map(bare).collect();
        let more = if group.len() > shown.len() { ",…" } else { "" };
        let table = format!(
            "{{ shards = 16, replicas = 2, nodes = [\"{}{more}\"] }}",
            shown.join(",")
        );
        let help = if more.is_empty() && group.iter().all(|m| matches!(m, Member::Node(_))) {
            let each: Vec<_> = group.iter().map(|m| vec![m.clone()]).collect();
            format!(
                "give each node a shard: push-notifications = {}; or, with standbys: push-notifications = {table}",
                show_groups(&each)
            )
        } else {
            format!("divide it into shards: push-notifications = {table}")
        };
        self.reader.error(
            Code::UnshardedPush,
            item.span,
            "`push-notifications` must be sharded: with one list of several nodes, users would be notified more than \
             once",
            help,
        );
        None
    }
}

/// Whether a role's value is one of the list forms: a list, its elements under numbered keys, or a lone element.
fn is_list_form(value: &DeValue<'_>) -> bool {
    match value {
        DeValue::Array(_) | DeValue::String(_) | DeValue::Integer(_) => true,
        DeValue::Table(table) => numbered::is_list(table),
        DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => false,
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
