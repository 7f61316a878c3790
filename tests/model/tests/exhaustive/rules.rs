//! Each rule, dropped, is missed: a shortest way to harm is found and shown.

use crate::bounds::{copies, pair, processes, say};
use shardwright_core::rules::{Rule, Rules};
use shardwright_model::explore::{Counterexample, refute};
use shardwright_model::{handoff, identity};

fn shown(rule: &str, found: Option<Counterexample>) {
    let found = found.unwrap_or_else(|| panic!("nothing happens without {rule}"));
    say(&format!("without {rule}: {found}"));
    assert!(!found.steps.is_empty());
}

fn two_primaries(rule: Rule, cluster: handoff::Cluster) {
    let rules = Rules::without(rule);
    let found = refute(
        handoff::Cluster {
            rules,
            writes: 4,
            ..cluster
        },
        handoff::ONE_PRIMARY,
    );
    shown(&format!("{rule:?}"), found);
}

fn two_holders(rule: Rule, invariant: &'static str, cluster: identity::Cluster) {
    let rules = Rules::without(rule);
    shown(
        &format!("{rule:?}"),
        refute(
            identity::Cluster {
                rules,
                writes: 8,
                ..cluster
            },
            invariant,
        ),
    );
}

#[test]
fn session_id() {
    two_primaries(Rule::SessionId, handoff::Cluster { lives: 2, ..pair() });
}

#[test]
fn stop_on_target() {
    two_primaries(Rule::StopOnTarget, pair());
}

#[test]
fn fresh_release() {
    two_primaries(Rule::FreshRelease, pair());
}

#[test]
fn plan_compare() {
    two_primaries(Rule::PlanCompare, handoff::Cluster { leaders: 2, ..pair() });
}

#[test]
fn stop_before_release() {
    two_primaries(Rule::StopBeforeRelease, pair());
}

/// A session that a plan names may be younger than an earlier look at the sessions: what that look shows is no
/// evidence.
#[test]
fn sessions_are_looked_at_after_the_plan() {
    let hasty = handoff::Cluster {
        leaders: 2,
        lives: 2,
        writes: 3,
        hasty_looks: true,
        ..pair()
    };
    shown("the order of looks", refute(hasty, handoff::ONE_PRIMARY));
}

#[test]
fn confirm() {
    let statics = processes(2, &[("a", Some(1)), ("a", Some(2))]);
    two_holders(Rule::Confirm, identity::ONE_HOLDER_PER_HOSTNAME, statics);
}

#[test]
fn session_compare() {
    let rivals = processes(1, &[("a", None), ("b", None)]);
    two_holders(Rule::SessionCompare, identity::ONE_HOLDER_PER_ID, rivals);
}

#[test]
fn watch_own_instance() {
    two_holders(
        Rule::WatchOwnInstance,
        identity::ONE_HOLDER_PER_ID,
        copies(processes(1, &[("a", None)])),
    );
}
