//! What is known by name: the mail server's roles, with what is known of each, and the components that come with
//! Shardwright.

use shardwright_core::role::{Mode, Placement, Replicas, RoleSpec};

/// The role that must never be done twice.
pub(crate) const PUSH_NOTIFICATIONS: &str = "push-notifications";

/// The policy of the list forms.
pub(crate) const STATIC_GROUPS: &str = "static-groups";

/// The policy of the table form.
pub(crate) const BALANCED: &str = "balanced";

/// The policies that come with Shardwright.
pub const BUNDLED_POLICIES: &[&str] = &[BALANCED, "rendezvous", STATIC_GROUPS];

/// The coordinator adapters that come with Shardwright, sorted.
pub const BUNDLED_ADAPTERS: &[&str] = &["etcd", "postgresql"];

/// The roles of the mail server, sorted. `bayes-training` became `spam-training` in its release 0.15; both are read.
pub const KNOWN_ROLES: &[&str] = &[
    "acme.renew",
    "bayes-training",
    "calendar-alerts",
    "fts-indexing",
    "imip-processing",
    "merge-threads",
    "metrics.calculate",
    "metrics.push",
    "purge.accounts",
    "purge.stores",
    PUSH_NOTIFICATIONS,
    "spam-training",
];

/// Roles whose standstill harms: they should not depend on one node.
pub(crate) const CRITICAL: &[&str] = &["purge.accounts", "purge.stores", "calendar-alerts", "imip-processing"];

/// Roles that load a node.
pub(crate) const HEAVY: &[&str] = &["fts-indexing", "bayes-training", "spam-training"];

/// Roles that users wait for.
pub(crate) const LATENCY: &[&str] = &["calendar-alerts", "imip-processing", PUSH_NOTIFICATIONS];

/// Roles whose repetition users see.
pub(crate) const VISIBLE: &[&str] = &["calendar-alerts", "imip-processing"];

/// Whether the mail server has a role of this name.
pub(crate) fn is_known(name: &str) -> bool {
    KNOWN_ROLES.contains(&name)
}

/// The known roles whose names begin with `name` and a dot.
pub(crate) fn nested(name: &str) -> impl Iterator<Item = &'static str> {
    KNOWN_ROLES
        .iter()
        .copied()
        .filter(move |role| role.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
}

/// A known role that the file does not set: every node does it; of `push-notifications`, one acts and the others stand
/// by.
pub(crate) fn unset(name: &str) -> RoleSpec {
    let push = name == PUSH_NOTIFICATIONS;
    RoleSpec {
        name: name.to_owned(),
        shards: 1,
        replicas: Replicas::Every,
        mode: if push { Mode::Primary } else { Mode::All },
        policy: if push { BALANCED } else { STATIC_GROUPS }.to_owned(),
        config: "{}".to_owned(),
        placement: Placement::Anywhere,
    }
}
