//! Running a model to the end, or to its first counterexample.

use stateright::{Checker, HasDiscoveries, Model};
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::hash::Hash;

/// Visits every state within the model's bounds, on all cores.
///
/// Returns the number of distinct states.
///
/// # Panics
/// If an invariant is violated.
pub fn exhaust<M>(model: M) -> usize
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq,
{
    let checker = model.checker().threads(cores()).spawn_bfs().join();
    checker.assert_properties();
    checker.unique_state_count()
}

/// A violated invariant and the steps that lead there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counterexample {
    /// The name of the invariant.
    pub invariant: &'static str,
    /// What happened, in order.
    pub steps: Vec<String>,
}

impl std::fmt::Display for Counterexample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "not \"{}\" after: {}", self.invariant, self.steps.join("; "))
    }
}

/// Searches breadth first for a violation of this invariant, with one thread so that a shortest one is found.
pub fn refute<M>(model: M, invariant: &'static str) -> Option<Counterexample>
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq,
{
    let found = HasDiscoveries::AnyOf(BTreeSet::from([invariant]));
    let checker = model.checker().finish_when(found).spawn_bfs().join();
    let path = checker.discovery(invariant)?;
    let step = |(state, action): (_, Option<_>)| checker.model().format_step(&state, action?);
    let steps = path.into_vec().into_iter().filter_map(step).collect();
    Some(Counterexample { invariant, steps })
}

/// Searches breadth first for each of these situations.
///
/// # Panics
/// If one of them cannot be reached, or if an invariant is violated on the way.
pub fn reach<M>(model: M, situations: &[&'static str])
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq,
{
    let wanted = HasDiscoveries::AllOf(situations.iter().copied().collect());
    let checker = model.checker().threads(cores()).finish_when(wanted).spawn_bfs().join();
    for situation in situations {
        assert!(
            checker.discovery(situation).is_some(),
            "it never happens that {situation}"
        );
    }
    for (name, _) in checker.discoveries() {
        assert!(situations.contains(&name), "violated: {name}");
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
