//! Advice: what works, but is probably not meant.

use crate::known::{CRITICAL, HEAVY, LATENCY, VISIBLE};
use crate::members::show_groups;
use crate::model::{CoordinatorConfig, NodeConfig};
use crate::parse::Parsed;
use crate::problem::{Code, Problem, Severity, Span};
use shardwright_core::role::{Member, Mode, Placement, Replicas, RoleSpec};
use std::collections::{BTreeMap, BTreeSet};

/// What is known of the cluster's nodes.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    /// The known ids.
    pub(crate) ids: BTreeSet<u32>,
    /// Whether these are all.
    pub(crate) complete: bool,
    /// What each file says of its node.
    pub(crate) details: BTreeMap<u32, NodeConfig>,
}

impl Nodes {
    /// The ids of `group`, or `None` if a label selects nodes that are not known.
    fn members(&self, group: &[Member]) -> Option<BTreeSet<u32>> {
        let mut ids = BTreeSet::new();
        for member in group {
            match member {
                Member::Node(id) => _ = ids.insert(*id),
                Member::Label { .. } if self.complete && self.details.len() == self.ids.len() => {
                    ids.extend(
                        self.details
                            .iter()
                            .filter(|(id, n)| member.matches(**id, &n.zone, &n.labels))
                            .map(|(id, _)| *id),
                    );
                }
                Member::Label { .. } => return None,
            }
        }
        Some(ids)
    }

    /// Whether `group` names the node, as far as known: a label may always mean a node without details.
    fn may_name(&self, id: u32, group: &[Member]) -> bool {
        group.iter().any(|member| match (member, self.details.get(&id)) {
            (Member::Node(n), _) => *n == id,
            (member, Some(node)) => member.matches(id, &node.zone, &node.labels),
            (Member::Label { .. }, None) => true,
        })
    }
}

/// The lists of nodes that a role names: its groups, its allowed nodes, or none.
fn groups(role: &RoleSpec) -> &[Vec<Member>] {
    match &role.placement {
        Placement::Anywhere => &[],
        Placement::Nodes(nodes) => std::slice::from_ref(nodes),
        Placement::Groups(groups) => groups,
    }
}

/// The audit of one file.
pub(crate) struct Audit<'a> {
    parsed: &'a Parsed,
    nodes: &'a Nodes,
    problems: Vec<Problem>,
}

impl<'a> Audit<'a> {
    pub(crate) fn new(parsed: &'a Parsed, nodes: &'a Nodes) -> Self {
        Self {
            parsed,
            nodes,
            problems: Vec::new(),
        }
    }

    pub(crate) fn finish(self) -> Vec<Problem> {
        self.problems
    }

    fn warn(&mut self, code: Code, span: Span, message: String, help: impl Into<String>) {
        let problem = self
            .parsed
            .source
            .problem(Severity::Warning, code, Some(span), message, help.into());
        self.problems.push(problem);
    }

    /// The roles that the file sets, with their places.
    fn set(&self) -> impl Iterator<Item = (&'a RoleSpec, Span)> + use<'a> {
        let parsed = self.parsed;
        parsed
            .config
            .roles
            .iter()
            .filter_map(|role| parsed.role_places.get(&role.name).map(|span| (role, *span)))
    }

    /// Advice about the roles, which all nodes of a cluster share.
    pub(crate) fn roles(mut self) -> Self {
        for (role, span) in self.set() {
            let name = role.name.as_str();
            let sizes: Option<Vec<BTreeSet<u32>>> = groups(role).iter().map(|g| self.nodes.members(g)).collect();
            if CRITICAL.contains(&name) {
                self.single_node(role, span);
            }
            if let Some(sizes) = &sizes {
                self.uneven(role, span, sizes);
                self.unheld(role, span, sizes);
            }
            if VISIBLE.contains(&name) {
                self.repeated(role, span, sizes.as_deref());
            }
            self.replicas(role, span, sizes.as_deref());
            if HEAVY.contains(&name) {
                self.heavy(role, span, sizes.as_deref().unwrap_or_default());
            }
        }
        self
    }

    fn single_node(&mut self, role: &RoleSpec, span: Span) {
        let alone = |group: &Vec<Member>| {
            self.nodes
                .members(group)
                .filter(|ids| ids.len() == 1)
                .and_then(|ids| ids.first().copied())
        };
        let alone: Vec<(usize, u32)> = groups(role)
            .iter()
            .enumerate()
            .filter_map(|(i, g)| alone(g).map(|id| (i, id)))
            .collect();
        let Some((shard, node)) = alone.first() else { return };
        let name = &role.name;
        let message = if groups(role).len() == 1 {
            format!("`{name}` is critical and depends on node {node} alone: while it is away, nobody does it")
        } else {
            format!(
                "`{name}` is critical and its shard {shard} (counted from 0) depends on node {node} alone: while it \
                 is away, nobody does it"
            )
        };
        let help = "name a second node; with `mode = \"primary\"` in table form it stands by until it is needed";
        self.warn(Code::SingleNodeRole, span, message, help);
    }

    fn uneven(&mut self, role: &RoleSpec, span: Span, shards: &[BTreeSet<u32>]) {
        let spread = |values: &[u64]| values.iter().copied().min().zip(values.iter().copied().max());
        let sizes: Vec<u64> = shards.iter().map(|s| s.len() as u64).collect();
        let Some((least, most)) = spread(&sizes) else { return };
        if least != most {
            let message = format!(
                "the shards of `{}` have from {least} to {most} nodes, but each gets the same share of the work",
                role.name
            );
            self.warn(
                Code::UnevenShards,
                span,
                message,
                "list as many nodes in every shard, or use the table form and let a policy balance",
            );
            return;
        }
        let capacity = |shard: &BTreeSet<u32>| {
            shard
                .iter()
                .map(|id| self.nodes.details.get(id).map(|n| u64::from(n.capacity)))
                .sum::<Option<u64>>()
        };
        let Some(capacities) = shards.iter().map(capacity).collect::<Option<Vec<_>>>() else {
            return;
        };
        // A quarter more is noise: capacities are rough.
        if let Some((least, most)) = spread(&capacities).filter(|(least, most)| most * 4 > least * 5) {
            let message = format!(
                "the shards of `{}` have capacities from {least} to {most}, but each gets the same share of the work",
                role.name
            );
            self.warn(
                Code::UnevenCapacity,
                span,
                message,
                "spread strong and weak nodes over the shards, or use the table form: its policies respect capacity",
            );
        }
    }

    fn unheld(&mut self, role: &RoleSpec, span: Span, shards: &[BTreeSet<u32>]) {
        if !self.nodes.complete {
            return;
        }
        let unheld: BTreeSet<u32> = shards
            .iter()
            .flatten()
            .filter(|id| !self.nodes.ids.contains(id))
            .copied()
            .collect();
        if !unheld.is_empty() {
            let (ids, are) = (show_ids(&unheld), if unheld.len() == 1 { "an id" } else { "ids" });
            let message = format!("`{}` names {ids}: {are} that no node holds", role.name);
            self.warn(
                Code::UnheldId,
                span,
                message,
                format!(
                    "the nodes are {}: correct the list, or add the missing node",
                    show_ids(&self.nodes.ids)
                ),
            );
        }
    }

    fn repeated(&mut self, role: &RoleSpec, span: Span, shards: Option<&[BTreeSet<u32>]>) {
        let several = shards.is_none_or(|shards| shards.is_empty() || shards.iter().any(|s| s.len() > 1));
        if role.mode == Mode::All && several {
            let name = &role.name;
            let message =
                format!("every node of a shard of `{name}` acts, so users may see the same effect more than once");
            let help = match &role.placement {
                Placement::Groups(groups) if groups.iter().map(Vec::len).sum::<usize>() <= 64 => {
                    format!(
                        "let one act and the others stand by: {{ groups = {}, mode = \"primary\" }}",
                        show_groups(groups)
                    )
                }
                _ => "let one act and the others stand by: `mode = \"primary\"` in table form".to_owned(),
            };
            self.warn(Code::RepeatedEffects, span, message, help);
        }
    }

    fn replicas(&mut self, role: &RoleSpec, span: Span, shards: Option<&[BTreeSet<u32>]>) {
        let Replicas::Count(wanted) = role.replicas else { return };
        let candidates = match shards.and_then(|shards| shards.iter().map(BTreeSet::len).min()) {
            Some(least) => least,
            None if self.nodes.complete => self.nodes.ids.len(),
            None => self.parsed.config.max_node_id as usize,
        };
        if wanted as usize > candidates {
            let message = format!(
                "`{}` wants {wanted} replicas, but only {candidates} node{} can own a shard",
                role.name,
                if candidates == 1 { "" } else { "s" }
            );
            self.warn(
                Code::ReplicasOverNodes,
                span,
                message,
                format!("write `replicas = {candidates}`, or allow more nodes"),
            );
        }
    }

    fn heavy(&mut self, role: &RoleSpec, span: Span, shards: &[BTreeSet<u32>]) {
        let own: BTreeSet<u32> = shards.iter().flatten().copied().collect();
        let mut shared = BTreeSet::new();
        let mut with = Vec::new();
        for (other, _) in self.set().filter(|(other, _)| LATENCY.contains(&other.name.as_str())) {
            let theirs: BTreeSet<u32> = groups(other)
                .iter()
                .filter_map(|g| self.nodes.members(g))
                .flatten()
                .collect();
            let common: BTreeSet<u32> = own.intersection(&theirs).copied().collect();
            if !common.is_empty() {
                shared.extend(common);
                with.push(format!("`{}`", other.name));
            }
        }
        if !with.is_empty() {
            let message = format!(
                "`{}` is heavy and shares {} with {}, which users wait for",
                role.name,
                show_ids(&shared),
                with.join(", ")
            );
            self.warn(Code::HeavyWithLatency, span, message, "move one of them to other nodes");
        }
    }

    /// Whether the nodes have somewhere to meet: several of them, and nothing but the default file of one machine. What
    /// several files have in common is said of the `first`.
    pub(crate) fn coordinator(mut self, first: bool) -> Self {
        let parsed = self.parsed;
        if parsed.has_errors() || parsed.config.coordinator != (CoordinatorConfig::Sqlite { path: None }) {
            return self;
        }
        let mut ids: BTreeSet<u32> = self.nodes.ids.clone();
        let members = self.set().flat_map(|(role, _)| groups(role).iter().flatten());
        ids.extend(members.filter_map(|member| match member {
            Member::Node(id) => Some(*id),
            Member::Label { .. } => None,
        }));
        let place = |key: &str| parsed.places.get(key).copied();
        let first_role = parsed.role_places.values().min().copied();
        let (span, message) = if let Some(span) = place("gossip") {
            (
                span,
                "nodes that found each other by gossip need a coordinator now, and none is named".to_owned(),
            )
        } else if let Some(span) = place("coordinator") {
            (
                span,
                "`cluster.coordinator` is blank, which is as if it were unset".to_owned(),
            )
        } else if let (true, Some(span)) = (first && ids.len() > 1, first_role.or(place("node-id"))) {
            (
                span,
                format!(
                    "{} are meant to work together, and no coordinator is named",
                    show_ids(&ids)
                ),
            )
        } else {
            return self;
        };
        let message = format!("{message}: only processes of one machine meet, in a local file");
        let help = "add a section of a server that all nodes reach, as in `[store.\"redis\"]`, and name it: \
                    `cluster.coordinator = \"redis\"`; or, if one machine is meant, a section of type \"sqlite\"";
        self.warn(Code::NoCoordinator, span, message, help);
        self
    }

    /// Advice about single nodes: this file's own, and those of which only the id is known.
    pub(crate) fn nodes(mut self) -> Self {
        if self.set().next().is_none() || self.parsed.has_errors() {
            return self;
        }
        for &id in &self.nodes.ids {
            let own = self.parsed.config.node_id == Some(id);
            let details = self.nodes.details.get(&id);
            // Other files are audited themselves; a node without capacity is meant to be idle.
            if (details.is_some() && !own) || details.is_some_and(|n| n.capacity == 0) {
                continue;
            }
            let named = self
                .set()
                .any(|(role, _)| groups(role).is_empty() || groups(role).iter().any(|g| self.nodes.may_name(id, g)));
            let place = self.parsed.places.get(if own { "node-id" } else { "roles" });
            if let (false, Some(&span)) = (named, place) {
                let message = format!("node {id} is named by none of the roles that are set");
                let help = "add it to one; or, if it is meant to stay idle, give it `capacity = 0` in `[node]`";
                self.warn(Code::NodeWithoutRole, span, message, help);
            }
        }
        self
    }
}

/// `node 1` or `nodes 1, 2`.
fn show_ids(ids: &BTreeSet<u32>) -> String {
    let shown: Vec<String> = ids.iter().take(10).map(u32::to_string).collect();
    let plural = if ids.len() == 1 { "" } else { "s" };
    format!(
        "node{plural} {}{}",
        shown.join(", "),
        if ids.len() > shown.len() { ", …" } else { "" }
    )
}
